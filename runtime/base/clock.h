/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/base/clock.h: monotonic time in nanoseconds, and sleeping. */
#ifndef QN_BASE_CLOCK_H
#define QN_BASE_CLOCK_H

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <time.h>

#define QN_NS_PER_S  UINT64_C(1000000000)
#define QN_NS_PER_MS UINT64_C(1000000)
#define QN_NS_PER_US UINT64_C(1000)

static inline uint64_t qn_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * QN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline void qn_clock_sleep(uint64_t duration_ns)
{
    struct timespec pause = {(time_t)(duration_ns / QN_NS_PER_S), (long)(duration_ns % QN_NS_PER_S)};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        ;
}

/* Waiting without burning a core: the first polls come at once, the next when whoever else wants the core had it, later ones
 * after longer and longer sleeps. The shortest sleep takes 50 µs and more, whatever was asked for (the system's timer slack), and who sleeps lets all others wait,
 * who sleep then, too: of some twenty waits of a small job each is short as long as nobody sleeps. So what comes within 0.3 ms is not slept over. On two ranks
 * such a job took 0.75 ms on average where it took 1.1 with 0.1 ms here, on four ranks of two cores 2.5 and not 7; a millisecond gains nothing more. */
typedef struct qn_backoff {
    uint64_t since_ns; /* 0: not waiting */
} qn_backoff;

#define QN_BACKOFF_SPIN_NS      (20 * QN_NS_PER_US)
#define QN_BACKOFF_YIELD_NS     (300 * QN_NS_PER_US)
#define QN_BACKOFF_SLEEP_NS_MAX QN_NS_PER_MS

static inline void qn_backoff_reset(qn_backoff *backoff)
{
    backoff->since_ns = 0;
}

/* Sleeps an eighth of the time waited so far, 1 ms at most. */
static inline void qn_backoff_wait(qn_backoff *backoff)
{
    uint64_t now_ns = qn_clock_ns();
    if (backoff->since_ns == 0)
        backoff->since_ns = now_ns;
    uint64_t waited_ns = now_ns - backoff->since_ns;
    if (waited_ns < QN_BACKOFF_SPIN_NS)
        return;
    if (waited_ns < QN_BACKOFF_YIELD_NS) {
        sched_yield();
        return;
    }
    uint64_t pause_ns = waited_ns / 8;
    qn_clock_sleep(pause_ns < QN_BACKOFF_SLEEP_NS_MAX ? pause_ns : QN_BACKOFF_SLEEP_NS_MAX);
}

#endif
