/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/transfers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/thread.h"

struct qn_transfers {
    pthread_mutex_t lock;
    pthread_cond_t wanted, made;
    qn_transfer *first, *last; /* not begun; in the order of their start */
    bool stops;
    unsigned generation; /* of the process that has the thread */
    pthread_t thread;
};

/* Held by all that transfer, and alone by who forks. */
static pthread_rwlock_t no_fork = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_uint generation; /* of this process: one more than its parent's */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    pthread_rwlock_wrlock(&no_fork);
}

static void after_fork(void)
{
    pthread_rwlock_unlock(&no_fork);
}

/* Readers who wait for the lock in the parent are not in the child, but their number would be in the lock. */
static void in_child(void)
{
    no_fork = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    atomic_fetch_add(&generation, 1);
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork, in_child);
}

static bool has_thread(const qn_transfers *transfers)
{
    return transfers && transfers->generation == atomic_load_explicit(&generation, memory_order_relaxed);
}

static void make(qn_transfer *transfer)
{
    uint64_t begin_ns = qn_clock_ns();
    transfer->reason = qn_file_move(transfer->fd, transfer->direct, transfer->way, transfer->data, transfer->bytes,
                                    transfer->offset, &transfer->done_bytes);
    transfer->duration_ns = qn_clock_ns() - begin_ns;
}

static qn_transfer *take_first(qn_transfers *transfers)
{
    qn_transfer *transfer = transfers->first;
    transfers->first = transfer->next;
    if (!transfers->first)
        transfers->last = NULL;
    return transfer;
}

static void *make_all(void *user)
{
    qn_transfers *transfers = user;
    pthread_mutex_lock(&transfers->lock);
    while (!transfers->stops) {
        if (!transfers->first) {
            pthread_cond_wait(&transfers->wanted, &transfers->lock);
            continue;
        }
        qn_transfer *transfer = take_first(transfers);
        pthread_mutex_unlock(&transfers->lock);
        pthread_rwlock_rdlock(&no_fork);
        make(transfer);
        pthread_rwlock_unlock(&no_fork);
        pthread_mutex_lock(&transfers->lock);
        transfer->is_done = true;
        pthread_cond_signal(&transfers->made);
    }
    pthread_mutex_unlock(&transfers->lock);
    return NULL;
}

static void destroy_locks(qn_transfers *transfers)
{
    pthread_cond_destroy(&transfers->made);
    pthread_cond_destroy(&transfers->wanted);
    pthread_mutex_destroy(&transfers->lock);
}

qn_transfers *qn_transfers_create(void)
{
    qn_transfers *transfers = calloc(1, sizeof *transfers);
    if (!transfers)
        return NULL;
    pthread_once(&once, watch_forks);
    transfers->generation = atomic_load(&generation);
    pthread_mutex_init(&transfers->lock, NULL);
    pthread_cond_init(&transfers->wanted, NULL);
    pthread_cond_init(&transfers->made, NULL);
    if (qn_thread_start(&transfers->thread, make_all, transfers) == 0)
        return transfers;
    destroy_locks(transfers);
    free(transfers);
    return NULL;
}

static void stop(qn_transfers *transfers)
{
    pthread_mutex_lock(&transfers->lock);
    QN_ASSERT(!transfers->first);
    transfers->stops = true;
    pthread_cond_signal(&transfers->wanted);
    pthread_mutex_unlock(&transfers->lock);
    pthread_join(transfers->thread, NULL);
    destroy_locks(transfers);
}

void qn_transfers_destroy(qn_transfers *transfers)
{
    if (has_thread(transfers))
        stop(transfers); /* in a child, the thread may have left them locked */
    free(transfers);
}

void qn_transfers_start(qn_transfers *transfers, qn_transfer *transfer)
{
    QN_ASSERT(!transfer->is_pending);
    if (!has_thread(transfers)) {
        make(transfer);
        return;
    }
    transfer->is_pending = true;
    transfer->is_done = false;
    transfer->next = NULL;
    pthread_mutex_lock(&transfers->lock);
    if (transfers->last)
        transfers->last->next = transfer;
    else
        transfers->first = transfer;
    transfers->last = transfer;
    pthread_cond_signal(&transfers->wanted);
    pthread_mutex_unlock(&transfers->lock);
}

void qn_transfers_wait(qn_transfers *transfers, qn_transfer *transfer)
{
    if (!transfer->is_pending)
        return;
    transfer->is_pending = false;
    if (!has_thread(transfers)) {
        make(transfer); /* whatever the parent's thread has done of it */
        return;
    }
    pthread_mutex_lock(&transfers->lock);
    while (!transfer->is_done)
        pthread_cond_wait(&transfers->made, &transfers->lock);
    pthread_mutex_unlock(&transfers->lock);
}

/* Takes one that has not begun out of the order; false: it has. */
static bool take_out(qn_transfers *transfers, const qn_transfer *transfer)
{
    qn_transfer *before = NULL;
    for (qn_transfer *at = transfers->first; at; before = at, at = at->next) {
        if (at != transfer)
            continue;
        if (before)
            before->next = at->next;
        else
            transfers->first = at->next;
        if (transfers->last == at)
            transfers->last = before;
        return true;
    }
    return false;
}

void qn_transfers_cancel(qn_transfers *transfers, qn_transfer *transfer)
{
    bool is_out = transfer->is_pending && !has_thread(transfers);
    if (transfer->is_pending && !is_out) {
        pthread_mutex_lock(&transfers->lock);
        is_out = take_out(transfers, transfer);
        pthread_mutex_unlock(&transfers->lock);
    }
    if (is_out)
        transfer->is_pending = false;
    qn_transfers_wait(transfers, transfer);
}
