/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/base/thread.h: threads of our own in somebody else's program. */
#ifndef QN_BASE_THREAD_H
#define QN_BASE_THREAD_H

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "runtime/base/clock.h"

/* Starts a thread that takes no signals: they are the host program's. 0, or the system's reason (errno). */
static inline int qn_thread_start(pthread_t *thread, void *(*run)(void *user), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int reason = pthread_create(thread, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return reason;
}

/* Sleeps, but no longer than until `wake` is posted. True: it was, and that post is taken. */
static inline bool qn_thread_pause(sem_t *wake, uint64_t duration_ns)
{
    uint64_t until_ns = qn_clock_ns() + duration_ns;
    struct timespec until = {(time_t)(until_ns / QN_NS_PER_S), (long)(until_ns % QN_NS_PER_S)};
    int result;
    while ((result = sem_clockwait(wake, CLOCK_MONOTONIC, &until)) != 0 && errno == EINTR)
        ;
    return result == 0;
}

#endif
