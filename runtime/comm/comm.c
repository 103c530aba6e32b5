/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/comm/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/crash.h"
#include "runtime/base/pages.h"
#include "runtime/comm/backend.h"

/* When two levels are better: docs/decisions/0011-two-levels.md. Larger chunks are dearer to copy than to send by themselves, and more
 * than a quarter of the messages of one level are not worth two more steps. */
#define RELAY_CHUNK_BYTES_MAX ((size_t)4 << 10)
#define RELAY_MESSAGES_PART   4

#define HUGE_FROM_BYTES                                                                                                \
    (QN_PAGE_HUGE_BYTES / 8) /* of a round; less is carried in less time than huge pages are zeroed */

void qn_comm_destroy(qn_comm *comm)
{
    if (comm)
        comm->ops->destroy(comm);
}

quern_status qn_comm_fail_lost(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_MPI, 0, "a rank of the job was lost");
}

quern_status qn_comm_send(qn_comm *comm, uint32_t to, const void *data, size_t bytes, qn_error *error)
{
    QN_ASSERT(to < comm->size);
    QN_ASSERT(bytes <= QN_COMM_MESSAGE_BYTES_MAX);
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->send(comm, to, data, bytes, error);
}

quern_status qn_comm_announce(qn_comm *comm, const void *data, size_t bytes, qn_error *error)
{
    QN_ASSERT(comm->rank == 0);
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->announce(comm, data, bytes, error);
}

quern_status qn_comm_poll(qn_comm *comm, const void **data_out, size_t *bytes_out, uint32_t *from_out, qn_error *error)
{
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->poll(comm, data_out, bytes_out, from_out, error);
}

quern_status qn_comm_broadcast(qn_comm *comm, void *data, size_t bytes, uint32_t root, qn_error *error)
{
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->broadcast(comm, data, bytes, root, error);
}

quern_status qn_comm_broadcast_within(qn_comm *comm, qn_comm_scope scope, void *data, size_t bytes, uint32_t root,
                                      qn_error *error)
{
    QN_ASSERT(scope == QN_COMM_NODE || comm->node_rank == 0);
    QN_ASSERT(root < (scope == QN_COMM_NODE ? comm->node_size : comm->node_count));
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->broadcast_within(comm, scope, data, bytes, root, error);
}

quern_status qn_comm_reduce_sum(qn_comm *comm, uint64_t *numbers, size_t count, qn_error *error)
{
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->reduce(comm, numbers, count, QN_COMM_SUM, error);
}

quern_status qn_comm_reduce_max(qn_comm *comm, uint64_t *numbers, size_t count, qn_error *error)
{
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->reduce(comm, numbers, count, QN_COMM_MAX, error);
}

quern_status qn_comm_gather(qn_comm *comm, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->gather(comm, mine, bytes, all_out, error);
}

quern_status qn_comm_gather_node(qn_comm *comm, const void *mine, size_t bytes, void *all_out, qn_error *error)
{
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->gather_node(comm, mine, bytes, all_out, error);
}

quern_status qn_comm_collect(qn_comm *comm, const void *mine, size_t bytes, void **all_out, size_t *bytes_out,
                             qn_error *error)
{
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->collect(comm, mine, bytes, all_out, bytes_out, error);
}

bool qn_comm_share_hdf5(const qn_comm *comm, int64_t access_list)
{
    return comm->size == 1 || comm->ops->share_hdf5(comm, access_list);
}

quern_status qn_comm_beat_once(qn_comm *comm, const qn_comm_beat *mine, qn_comm_beat *theirs_out, qn_error *error)
{
    QN_ASSERT(qn_comm_has_beats(comm));
    if (qn_comm_is_broken(comm))
        return qn_comm_fail_lost(error);
    return comm->ops->beat(comm, mine, theirs_out, error);
}

quern_status qn_comm_end_beats(qn_comm *comm, qn_error *error)
{
    return qn_comm_has_beats(comm) && !qn_comm_is_broken(comm) ? comm->ops->end_beats(comm, error) : QUERN_OK;
}

quern_status qn_comm_agree(qn_comm *comm, qn_error *error)
{
    /* The largest of (size - rank) among those with a failure tells the lowest of them. */
    uint64_t failed = error->status == QUERN_OK ? 0 : comm->size - comm->rank;
    quern_status status = qn_comm_reduce_max(comm, &failed, 1, error);
    if (status != QUERN_OK || failed == 0)
        return status;
    status = qn_comm_broadcast(comm, error, sizeof *error, comm->size - (uint32_t)failed, error);
    return status == QUERN_OK ? error->status : status;
}

bool qn_comm_sees_loss(qn_comm *comm)
{
    return qn_comm_is_broken(comm) || (comm->tells_losses && comm->ops->sees_loss(comm));
}

bool qn_comm_speaks_for_living(qn_comm *comm)
{
    return comm->tells_losses ? comm->ops->speaks_for_living(comm) : comm->rank == 0;
}

quern_status qn_comm_conclude(qn_comm *comm, uint32_t *flags, bool *is_lost_out, qn_error *error)
{
    *is_lost_out = false;
    return comm->tells_losses ? comm->ops->conclude(comm, flags, is_lost_out, error) : QUERN_OK;
}

quern_status qn_comm_recover(qn_comm *comm, qn_comm_loss *loss_out, qn_error *error)
{
    QN_ASSERT(comm->tells_losses);
    return comm->ops->recover(comm, loss_out, error);
}

/* Not by an abort of MPI's: Open MPI 5.0.7 does not end the others then, nor itself. Nor by a signal: its launcher would say that all is well. */
_Noreturn void qn_comm_end_job(qn_comm *comm, int exit_status, const char *why)
{
    char line[512];
    if (comm)
        snprintf(line, sizeof line, "quern: rank %u ends: %s", comm->rank, why);
    else
        snprintf(line, sizeof line, "quern: a rank ends: %s", why);
    if (why)
        qn_crash_say(line);
    qn_crash_exit(exit_status);
}

uint32_t qn_exchange_levels(const qn_comm *comm, size_t stride)
{
    if (!comm->can_relay)
        return 1;
    if (comm->shuffle_levels > 0)
        return comm->shuffle_levels;
    uint64_t relayed = (uint64_t)(comm->node_size - 1) + (comm->node_count - 1); /* messages of a rank */
    return stride <= RELAY_CHUNK_BYTES_MAX && RELAY_MESSAGES_PART * relayed <= comm->size - 1 ? 2 : 1;
}

size_t qn_exchange_bytes(const qn_comm *comm, size_t stride)
{
    return (1 + qn_exchange_levels(comm, stride)) * stride * comm->size;
}

quern_status qn_exchange_init(qn_exchange *exchange, qn_comm *comm, size_t stride, qn_error *error)
{
    size_t chunks_bytes = stride * comm->size;
    QN_ASSERT(chunks_bytes < (size_t)1 << 31); /* MPI counts in int */
    *exchange = (qn_exchange){.comm = comm, .stride = stride};
    exchange->send_chunks = qn_pages_reserve(chunks_bytes, false);
    exchange->receive_chunks = qn_pages_reserve(chunks_bytes, false);
    bool relays = qn_exchange_levels(comm, stride) == 2;
    if (relays)
        exchange->relay_chunks = qn_pages_reserve(chunks_bytes, false);
    exchange->sent = calloc(comm->size, sizeof *exchange->sent);
    exchange->received = calloc(comm->size, sizeof *exchange->received);
    exchange->backend = calloc(1, qn_exchange_backend_bytes(comm->size));
    if (exchange->send_chunks && exchange->receive_chunks && (exchange->relay_chunks || !relays) && exchange->sent &&
        exchange->received && exchange->backend)
        return QUERN_OK;
    qn_exchange_fini(exchange);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for shuffle rounds of %zu bytes", chunks_bytes);
}

void qn_exchange_fini(qn_exchange *exchange)
{
    if (!exchange->comm)
        return;
    bool is_under_way = exchange->state == QN_EXCHANGE_COUNTS || exchange->state == QN_EXCHANGE_PAYLOAD;
    if (is_under_way && exchange->comm->ops->exchange_abandon)
        exchange->comm->ops->exchange_abandon(exchange);
    size_t chunks_bytes = exchange->stride * exchange->comm->size;
    qn_pages_unreserve(exchange->send_chunks, chunks_bytes);
    qn_pages_unreserve(exchange->receive_chunks, chunks_bytes);
    qn_pages_unreserve(exchange->relay_chunks, chunks_bytes);
    free(exchange->sent);
    free(exchange->received);
    free(exchange->backend);
    *exchange = (qn_exchange){0};
}

static void move_to_huge_pages(uint8_t **chunks, size_t bytes)
{
    uint8_t *huge = *chunks ? qn_pages_reserve(bytes, true) : NULL;
    if (!huge)
        return; /* as it was will do */
    qn_pages_unreserve(*chunks, bytes);
    *chunks = huge;
}

void qn_exchange_reopen(qn_exchange *exchange)
{
    size_t chunks_bytes = exchange->stride * exchange->comm->size;
    uint64_t bytes = 0;
    QN_ASSERT(exchange->state == QN_EXCHANGE_DONE);
    for (uint32_t i = 0; i < exchange->comm->size; i++)
        bytes += (exchange->sent[i] & QN_EXCHANGE_BYTES_MASK) + (exchange->received[i] & QN_EXCHANGE_BYTES_MASK);
    memset(exchange->sent, 0, exchange->comm->size * sizeof *exchange->sent);
    exchange->state = QN_EXCHANGE_IDLE;
    if (exchange->is_huge || bytes < HUGE_FROM_BYTES)
        return;
    move_to_huge_pages(&exchange->send_chunks, chunks_bytes);
    move_to_huge_pages(&exchange->receive_chunks, chunks_bytes);
    move_to_huge_pages(&exchange->relay_chunks, chunks_bytes);
    exchange->is_huge = true;
}

quern_status qn_exchange_start(qn_exchange *exchange, qn_error *error)
{
    if (qn_comm_is_broken(exchange->comm))
        return qn_comm_fail_lost(error);
    exchange->damaged_from = UINT32_MAX;
    QN_ASSERT(exchange->state == QN_EXCHANGE_IDLE);
    return exchange->comm->ops->exchange_start(exchange, error);
}

quern_status qn_exchange_test(qn_exchange *exchange, qn_error *error)
{
    if (qn_comm_is_broken(exchange->comm))
        return qn_comm_fail_lost(error);
    return exchange->comm->ops->exchange_test(exchange, error);
}
