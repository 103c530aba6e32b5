/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/watchdog.h: the option task-timeout for callbacks that run in the rank: ends the process when one neither comes back nor
 * emits for too long.
 *
 * A thread looks at what a chain shows of itself (qn_chain_shown), some times in a timeout. Nothing can take a thread out of somebody
 * else's code, so it sends the working thread SIGABRT: that speaks the last words, with the calls in which it is stuck, and the launcher ends the
 * job. Callbacks of operators only: reductions and comparisons are not looked at.
 */
#ifndef QN_ENGINE_WATCHDOG_H
#define QN_ENGINE_WATCHDOG_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "runtime/engine/site.h"

typedef struct qn_watchdog {
    const qn_site *site;                     /* borrowed */
    const atomic_uint_fast64_t *progress_ns; /* the rank's; borrowed: while that changes, it waits for others */
    uint64_t timeout_ns;
    pthread_t watched, thread;
    sem_t stop;
    bool runs;
} qn_watchdog;

/* Of the calling thread. timeout_ns 0: nothing is watched. QUERN_ERROR_SYSTEM. */
quern_status qn_watchdog_start(qn_watchdog *dog, const qn_site *site, const atomic_uint_fast64_t *progress_ns,
                               uint64_t timeout_ns, qn_error *error);
void qn_watchdog_stop(qn_watchdog *dog); /* takes a zeroed one */

#endif
