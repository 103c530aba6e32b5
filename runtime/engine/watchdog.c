/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/watchdog.h"

#include <signal.h>
#include <stdio.h>

#include "runtime/base/clock.h"
#include "runtime/base/crash.h"
#include "runtime/base/thread.h"

#define LOOKS_PER_TIMEOUT 10

/* What changes as long as a callback comes back or emits. */
typedef struct watch_signs {
    const qn_chain *chain; /* NULL: no callback runs */
    uint32_t running, record;
    uint64_t handed, progress_ns;
} watch_signs;

static watch_signs look(const qn_watchdog *dog)
{
    const qn_chain *chain = dog->site->chain;
    const qn_chain_shown *shown = chain ? &chain->own_shown : NULL;
    if (!shown || shown->running == 0)
        return (watch_signs){.chain = NULL};
    return (watch_signs){chain, shown->running, shown->record, shown->handed,
                         atomic_load_explicit(dog->progress_ns, memory_order_relaxed)};
}

static bool is_same(const watch_signs *left, const watch_signs *right)
{
    return left->chain == right->chain && left->running == right->running && left->record == right->record &&
           left->handed == right->handed && left->progress_ns == right->progress_ns;
}

static void bark(const qn_watchdog *dog)
{
    char line[128];
    snprintf(line, sizeof line, "quern: a callback neither came back nor emitted within %.0f s (task-timeout)",
             (double)dog->timeout_ns / (double)QN_NS_PER_S);
    qn_crash_say(line);
    pthread_kill(dog->watched, SIGABRT);
}

static void *watch(void *user)
{
    qn_watchdog *dog = user;
    watch_signs before = {.chain = NULL};
    uint64_t since_ns = qn_clock_ns();
    while (!qn_thread_pause(&dog->stop, dog->timeout_ns / LOOKS_PER_TIMEOUT)) {
        watch_signs now = look(dog);
        if (!now.chain || !is_same(&now, &before))
            since_ns = qn_clock_ns();
        before = now;
        if (qn_clock_ns() - since_ns <= dog->timeout_ns)
            continue;
        bark(dog);
        break;
    }
    return NULL;
}

quern_status qn_watchdog_start(qn_watchdog *dog, const qn_site *site, const atomic_uint_fast64_t *progress_ns,
                               uint64_t timeout_ns, qn_error *error)
{
    *dog = (qn_watchdog){.site = site, .progress_ns = progress_ns, .timeout_ns = timeout_ns, .watched = pthread_self()};
    if (timeout_ns == 0)
        return QUERN_OK;
    sem_init(&dog->stop, 0, 0);
    int reason = qn_thread_start(&dog->thread, watch, dog);
    dog->runs = reason == 0;
    return dog->runs ? QUERN_OK : qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "cannot start a thread");
}

void qn_watchdog_stop(qn_watchdog *dog)
{
    if (!dog->runs)
        return;
    sem_post(&dog->stop);
    pthread_join(dog->thread, NULL);
    sem_destroy(&dog->stop);
    dog->runs = false;
}
