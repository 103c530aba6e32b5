/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exchanges on two levels. What rank i of node A has for rank j of node B goes to rank j of A, and with what the other ranks of A have for it
 * to rank j of B: a rank sends node_size + node_count messages and not node_size * node_count.
 *
 * Counts go both ways before the payload does. The payload is on its way within the node while counts are on their way to other nodes;
 * it leaves the node in the order in which exchanges were started, since another order is another collective. Three
 * copies are made: by index, by node, and where a chunk belongs. Between them lie two buffers: relay_chunks, and send_chunks, from which all was
 * taken by the first copy.
 *
 * A count that was damaged on its way to the rank that passes it on is noticed there and passed on as it was sent; a damaged
 * chunk is passed on as it is, and noticed by the rank that it is for.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/comm/mpi_internal.h"

static uint64_t bytes_of(const qn_exchange *exchange, uint64_t count)
{
    uint64_t bytes = count & QN_EXCHANGE_BYTES_MASK;
    QN_ASSERT(bytes <= exchange->stride);
    return bytes;
}

static uint32_t rank_at(const qn_mpi_comm *comm, uint32_t node, uint32_t index)
{
    return comm->relays.rank_at[node * comm->base.node_size + index];
}

/* By index, and for each by node. */
static void pack_by_index(qn_exchange *exchange)
{
    const qn_mpi_comm *comm = (const qn_mpi_comm *)exchange->comm;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    uint64_t *counts = arrays.mine, at = 0;
    for (uint32_t index = 0; index < comm->base.node_size; index++) {
        arrays.send_at[index] = (int)at;
        for (uint32_t node = 0; node < comm->base.node_count; node++) {
            uint32_t rank = rank_at(comm, node, index);
            uint64_t count = exchange->sent[rank], bytes = bytes_of(exchange, count);
            for (uint32_t copy = 0; copy < qn_mpi_copy_count(comm); copy++)
                *counts++ = count;
            memcpy(exchange->relay_chunks + at, exchange->send_chunks + rank * exchange->stride, bytes);
            at += bytes;
        }
        arrays.send_counts[index] = (int)at - arrays.send_at[index];
    }
}

quern_status qn_mpi_relay_start(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    qn_mpi_exchange *backend = exchange->backend;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    int words = (int)(comm->base.node_count * qn_mpi_copy_count(comm)); /* for each rank of this node */
    pack_by_index(exchange);
    COMM_TRY(MPI_Ialltoall(arrays.mine, words, MPI_UINT64_T, arrays.theirs, words, MPI_UINT64_T,
                           comm->relays.near_counts, &backend->counting));
    backend->number = comm->relays.started++;
    backend->step = QN_MPI_NEAR_COUNTS;
    exchange->state = QN_EXCHANGE_COUNTS;
    return QUERN_OK;
}

/* What ranks of this node have for those of this one's index: from there by index and node, on by node and index. */
static quern_status take_near_counts(qn_exchange *exchange, qn_error *error)
{
    const qn_mpi_comm *comm = (const qn_mpi_comm *)exchange->comm;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    uint32_t copies = qn_mpi_copy_count(comm), nodes = comm->base.node_count, at = 0;
    const uint64_t *theirs = arrays.theirs;
    uint64_t *passed = arrays.passed;
    for (uint32_t index = 0; index < comm->base.node_size; index++) {
        arrays.receive_at[index] = (int)at;
        for (uint32_t node = 0; node < nodes; node++, theirs += copies, passed++) {
            if (qn_mpi_take_count(exchange, rank_at(comm, comm->base.node, index), theirs, passed, error) != QUERN_OK)
                return error->status;
            at += (uint32_t)bytes_of(exchange, *passed);
        }
        arrays.receive_counts[index] = (int)at - arrays.receive_at[index];
    }
    uint64_t *mine = arrays.mine;
    for (uint32_t node = 0; node < nodes; node++)
        for (uint32_t index = 0; index < comm->base.node_size; index++)
            for (uint32_t copy = 0; copy < copies; copy++)
                *mine++ = arrays.passed[index * nodes + node];
    return QUERN_OK;
}

static quern_status pass_on(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    qn_mpi_exchange *backend = exchange->backend;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    int words = (int)(comm->base.node_size * qn_mpi_copy_count(comm));
    if (take_near_counts(exchange, error) != QUERN_OK)
        return error->status;
    backend->counting_since_ns = qn_clock_ns();
    COMM_TRY(MPI_Ialltoall(arrays.mine, words, MPI_UINT64_T, arrays.theirs, words, MPI_UINT64_T,
                           comm->relays.far_counts, &backend->counting));
    COMM_TRY(MPI_Ialltoallv(exchange->relay_chunks, arrays.send_counts, arrays.send_at, MPI_BYTE, exchange->send_chunks,
                            arrays.receive_counts, arrays.receive_at, MPI_BYTE, comm->relays.near_payload,
                            &backend->paying));
    backend->step = QN_MPI_FAR_COUNTS;
    return QUERN_OK;
}

static quern_status take_far_counts(qn_exchange *exchange, qn_error *error)
{
    const qn_mpi_comm *comm = (const qn_mpi_comm *)exchange->comm;
    const uint64_t *theirs = qn_mpi_arrays_of(exchange).theirs;
    qn_mpi_note_latency(exchange);
    for (uint32_t node = 0; node < comm->base.node_count; node++)
        for (uint32_t index = 0; index < comm->base.node_size; index++, theirs += qn_mpi_copy_count(comm)) {
            uint32_t from = rank_at(comm, node, index);
            if (qn_mpi_take_count(exchange, from, theirs, &exchange->received[from], error) != QUERN_OK)
                return error->status;
        }
    ((qn_mpi_exchange *)exchange->backend)->step = QN_MPI_NEAR_PAYLOAD;
    exchange->state = QN_EXCHANGE_PAYLOAD;
    return QUERN_OK;
}

/* How much goes to each other node, and comes from it: what is for this one is here. The sum of the former and of the latter. */
static void count_far(qn_exchange *exchange, uint64_t *sent_bytes_out, uint64_t *received_bytes_out)
{
    const qn_mpi_comm *comm = (const qn_mpi_comm *)exchange->comm;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    uint64_t sent = 0, received = 0;
    for (uint32_t node = 0; node < comm->base.node_count; node++) {
        arrays.send_at[node] = (int)sent;
        arrays.receive_at[node] = (int)received;
        for (uint32_t index = 0; node != comm->base.node && index < comm->base.node_size; index++) {
            sent += bytes_of(exchange, arrays.passed[index * comm->base.node_count + node]);
            received += bytes_of(exchange, exchange->received[rank_at(comm, node, index)]);
        }
        arrays.send_counts[node] = (int)sent - arrays.send_at[node];
        arrays.receive_counts[node] = (int)received - arrays.receive_at[node];
    }
    *sent_bytes_out = sent;
    *received_bytes_out = received;
}

/* From by index to by node; send_at is used up, and made anew. What is for this rank goes where it belongs. */
static void pack_by_node(qn_exchange *exchange)
{
    const qn_mpi_comm *comm = (const qn_mpi_comm *)exchange->comm;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    const uint8_t *from = exchange->send_chunks;
    const uint64_t *passed = arrays.passed;
    for (uint32_t index = 0; index < comm->base.node_size; index++)
        for (uint32_t node = 0; node < comm->base.node_count; node++, passed++) {
            uint64_t bytes = bytes_of(exchange, *passed);
            uint8_t *to = exchange->relay_chunks + arrays.send_at[node];
            if (node == comm->base.node)
                to = exchange->receive_chunks + rank_at(comm, node, index) * exchange->stride;
            else
                arrays.send_at[node] += (int)bytes;
            memcpy(to, from, bytes);
            from += bytes;
        }
    for (uint32_t node = 0; node < comm->base.node_count; node++)
        arrays.send_at[node] -= arrays.send_counts[node];
}

static quern_status leave_node(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    qn_mpi_exchange *backend = exchange->backend;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    uint64_t sent_bytes, received_bytes;
    count_far(exchange, &sent_bytes, &received_bytes);
    pack_by_node(exchange);
    qn_mpi_link_begin(exchange, sent_bytes, received_bytes);
    COMM_TRY(MPI_Ialltoallv(exchange->relay_chunks, arrays.send_counts, arrays.send_at, MPI_BYTE, exchange->send_chunks,
                            arrays.receive_counts, arrays.receive_at, MPI_BYTE, comm->relays.far_payload,
                            &backend->paying));
    comm->relays.left++;
    backend->step = QN_MPI_FAR_PAYLOAD;
    return QUERN_OK;
}

/* What came from other nodes, where it belongs. */
static void unpack(qn_exchange *exchange)
{
    const qn_mpi_comm *comm = (const qn_mpi_comm *)exchange->comm;
    const uint8_t *from = exchange->send_chunks;
    for (uint32_t node = 0; node < comm->base.node_count; node++)
        for (uint32_t index = 0; node != comm->base.node && index < comm->base.node_size; index++) {
            uint32_t rank = rank_at(comm, node, index);
            uint64_t bytes = bytes_of(exchange, exchange->received[rank]);
            memcpy(exchange->receive_chunks + rank * exchange->stride, from, bytes);
            from += bytes;
        }
    qn_mpi_link_end(exchange);
    exchange->state = QN_EXCHANGE_DONE;
}

/* The step that it is in is over. */
static quern_status step_on(qn_exchange *exchange, qn_error *error)
{
    switch (((qn_mpi_exchange *)exchange->backend)->step) {
    case QN_MPI_NEAR_COUNTS:
        return pass_on(exchange, error);
    case QN_MPI_FAR_COUNTS:
        return take_far_counts(exchange, error);
    case QN_MPI_NEAR_PAYLOAD:
        return leave_node(exchange, error);
    case QN_MPI_FAR_PAYLOAD:
        unpack(exchange);
    }
    return QUERN_OK;
}

quern_status qn_mpi_relay_test(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    qn_mpi_exchange *backend = exchange->backend;
    while (exchange->state == QN_EXCHANGE_COUNTS || exchange->state == QN_EXCHANGE_PAYLOAD) {
        int done = 0;
        if (backend->step == QN_MPI_NEAR_PAYLOAD && backend->number != comm->relays.left)
            return QUERN_OK; /* an earlier one has to go first */
        COMM_TRY(MPI_Test(exchange->state == QN_EXCHANGE_COUNTS ? &backend->counting : &backend->paying, &done,
                          MPI_STATUS_IGNORE));
        if (!done)
            return QUERN_OK;
        quern_status status = step_on(exchange, error);
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

/* ---- who is where */

static bool nodes_are_equal(const qn_mpi_comm *comm, uint32_t *next)
{
    const qn_comm *base = &comm->base;
    memset(next, 0, base->node_count * sizeof *next);
    for (uint32_t rank = 0; rank < base->size; rank++)
        next[comm->node_of[rank]]++;
    for (uint32_t node = 0; node < base->node_count; node++)
        if (next[node] != next[0])
            return false;
    return base->node_size > 1;
}

/* Ranks of a node are numbered in their order. */
static void list_ranks(qn_mpi_comm *comm, uint32_t *next)
{
    memset(next, 0, comm->base.node_count * sizeof *next);
    for (uint32_t rank = 0; rank < comm->base.size; rank++) {
        uint32_t node = comm->node_of[rank];
        comm->relays.rank_at[node * comm->base.node_size + next[node]++] = rank;
    }
    QN_ASSERT(rank_at(comm, comm->base.node, comm->base.node_rank) == comm->base.rank);
}

/* All of the job's communicator: if a rank is lost meanwhile, taking that one back frees all who wait, whichever group they wait in. */
static quern_status split_job(qn_mpi_comm *comm, uint32_t group, uint32_t place, MPI_Comm *made, qn_error *error)
{
    MPI_TRY(MPI_Comm_split(comm->job, (int)group, (int)place, made));
    MPI_TRY(MPI_Comm_set_errhandler(*made, MPI_ERRORS_RETURN));
    return QUERN_OK;
}

static quern_status connect_levels(qn_mpi_comm *comm, qn_error *error)
{
    qn_mpi_relays *relays = &comm->relays;
    uint32_t node = comm->base.node, rank = comm->base.node_rank;
    MPI_Comm *const far[] = {&relays->far_counts, &relays->far_payload};
    MPI_Comm *const near[] = {&relays->near_counts, &relays->near_payload};
    quern_status status = QUERN_OK;
    for (int i = 0; i < 2 && status == QUERN_OK; i++)
        status = split_job(comm, rank, node, far[i], error);
    for (int i = 0; i < 2 && status == QUERN_OK; i++)
        status = split_job(comm, node, rank, near[i], error);
    relays->started = relays->left = 0;
    comm->base.can_relay = true;
    return status;
}

quern_status qn_mpi_learn_relays(qn_mpi_comm *comm, qn_error *error)
{
    qn_comm *base = &comm->base;
    if (base->node_count == 1)
        return QUERN_OK;
    comm->node_of = calloc(base->size, sizeof *comm->node_of);
    comm->relays.rank_at = calloc(base->size, sizeof *comm->relays.rank_at);
    uint32_t *next = calloc(base->node_count, sizeof *next);
    if (!comm->node_of || !comm->relays.rank_at || !next) {
        free(next);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a list of %u ranks", base->size);
    }
    int code = MPI_Allgather(&base->node, 1, MPI_UINT32_T, comm->node_of, 1, MPI_UINT32_T, comm->job);
    bool is_even = code == MPI_SUCCESS && nodes_are_equal(comm, next);
    if (is_even)
        list_ranks(comm, next);
    free(next);
    MPI_TRY(code);
    base->node_of = comm->node_of;
    return is_even ? connect_levels(comm, error) : QUERN_OK;
}

void qn_mpi_forget_relays(qn_mpi_comm *comm)
{
    qn_mpi_free_comm(&comm->relays.near_counts);
    qn_mpi_free_comm(&comm->relays.near_payload);
    qn_mpi_free_comm(&comm->relays.far_counts);
    qn_mpi_free_comm(&comm->relays.far_payload);
    free(comm->relays.rank_at);
    free(comm->node_of);
    comm->relays.rank_at = comm->node_of = NULL;
    comm->base.node_of = NULL;
    comm->base.can_relay = false;
}
