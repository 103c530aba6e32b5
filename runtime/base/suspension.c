/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/suspension.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "runtime/base/clock.h"

#define SIGNAL_COUNT 2
static const int signals[SIGNAL_COUNT] = {SIGUSR1, SIGTERM};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t watch_count;
static bool is_ours[SIGNAL_COUNT];
static atomic_bool is_asked;
static atomic_uint_fast64_t terminated_ns;

static void note(int number)
{
    if (number == SIGTERM && atomic_load(&terminated_ns) == 0)
        atomic_store(&terminated_ns, qn_clock_ns());
    atomic_store(&is_asked, true);
}

static bool has_handler(int number, void (*handler)(int))
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == handler;
}

void qn_suspension_watch(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    for (int i = 0; watch_count == 0 && i < SIGNAL_COUNT; i++)
        is_ours[i] = has_handler(signals[i], SIG_DFL) && sigaction(signals[i], &action, NULL) == 0;
    watch_count++;
    pthread_mutex_unlock(&lock);
}

void qn_suspension_unwatch(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    watch_count--;
    for (int i = 0; watch_count == 0 && i < SIGNAL_COUNT; i++)
        if (is_ours[i] && has_handler(signals[i], note))
            sigaction(signals[i], &action, NULL);
    if (watch_count == 0) {
        atomic_store(&is_asked, false);
        atomic_store(&terminated_ns, 0);
    }
    pthread_mutex_unlock(&lock);
}

void qn_suspension_ask(void)
{
    atomic_store(&is_asked, true);
}

bool qn_suspension_is_asked(void)
{
    return atomic_load_explicit(&is_asked, memory_order_relaxed);
}

uint64_t qn_suspension_since_ns(void)
{
    return atomic_load_explicit(&terminated_ns, memory_order_relaxed);
}
