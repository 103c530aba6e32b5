/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/comm/guard.h: a bound for what cannot be bounded from within: calls of MPI, or of a library that calls it, in which a rank may
 * wait for ever for one that died.
 *
 * A thread looks ten times a second. Where the time is over, or where a rank was lost that the call may wait for, it ends the process
 * (qn_comm_end_job()); so do all others that are in such a call. Only where MPI tells of losses; elsewhere the launcher ends the job.
 */
#ifndef QN_COMM_GUARD_H
#define QN_COMM_GUARD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "runtime/comm/comm.h"

typedef struct qn_guard {
    qn_comm *comm;     /* NULL: MPI is not there yet */
    uint64_t until_ns; /* UINT64_MAX: whenever */
    int exit_status;   /* when the time is over */
    bool ends_at_loss;
    const char *what;
    pthread_t thread;
    sem_t stop;
    bool runs;
} qn_guard;

/* For so long; what: words for who sees the job end, static; NULL: none. Where no thread can be had, nothing is guarded. Local. */
void qn_guard_start(qn_guard *guard, qn_comm *comm, uint64_t limit_ns, int exit_status, const char *what);
/* As long as no rank is lost: where several threads may call MPI. */
void qn_guard_start_for_loss(qn_guard *guard, qn_comm *comm, const char *what);
/* Takes one that was not started, if it is zeroed. */
void qn_guard_stop(qn_guard *guard);

#endif
