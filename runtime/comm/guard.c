/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/comm/guard.h"

#include "runtime/base/clock.h"
#include "runtime/base/thread.h"

#define LOOK_EVERY_NS (100 * QN_NS_PER_MS)

static void *look(void *user)
{
    qn_guard *guard = user;
    while (!qn_thread_pause(&guard->stop, LOOK_EVERY_NS)) {
        if (qn_clock_ns() > guard->until_ns)
            qn_comm_end_job(guard->comm, guard->exit_status, guard->what);
        if (guard->ends_at_loss && qn_comm_sees_loss(guard->comm))
            qn_comm_end_job(guard->comm, QN_COMM_EXIT_LOST, guard->what);
    }
    return NULL;
}

static void start(qn_guard *guard)
{
    sem_init(&guard->stop, 0, 0);
    guard->runs = qn_thread_start(&guard->thread, look, guard) == 0;
}

void qn_guard_start(qn_guard *guard, qn_comm *comm, uint64_t limit_ns, int exit_status, const char *what)
{
    *guard = (qn_guard){.comm = comm, .until_ns = qn_clock_ns() + limit_ns, .exit_status = exit_status, .what = what};
    start(guard);
}

void qn_guard_start_for_loss(qn_guard *guard, qn_comm *comm, const char *what)
{
    *guard = (qn_guard){.comm = comm, .until_ns = UINT64_MAX, .ends_at_loss = true, .what = what};
    start(guard);
}

void qn_guard_stop(qn_guard *guard)
{
    if (!guard->runs)
        return;
    sem_post(&guard->stop);
    pthread_join(guard->thread, NULL);
    sem_destroy(&guard->stop);
    guard->runs = false;
}
