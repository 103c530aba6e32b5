/* SPDX-License-Identifier: BSD-3-Clause */
/* Rounds of the shuffle in the MPI backend: those on one level, and what both kinds share. */
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/comm/mpi_internal.h"

#define LINK_SAMPLE_BYTES_MIN (UINT64_C(16) << 10) /* less tells of latencies, and of when ranks look */
#define LINK_BYTES_MAX        (UINT64_C(64) << 20) /* remembered, so that a link which others begin to use is noticed */

size_t qn_exchange_backend_bytes(uint32_t size)
{
    return sizeof(qn_mpi_exchange) +
           ((2 * QN_MPI_COPIES + 1) * sizeof(uint64_t) + 4 * sizeof(int)) * (size_t)size; /* qn_mpi_arrays */
}

/* What most of the copies say. */
static bool vote(const uint64_t copies[QN_MPI_COPIES], uint64_t *count_out)
{
    *count_out = copies[0] == copies[2] ? copies[0] : copies[1];
    return copies[0] == copies[1] || copies[0] == copies[2] || copies[1] == copies[2];
}

quern_status qn_mpi_take_count(qn_exchange *exchange, uint32_t from, const uint64_t *copies, uint64_t *count_out,
                               qn_error *error)
{
    *count_out = copies[0];
    if (exchange->comm->trusts_network)
        return QUERN_OK;
    if (!vote(copies, count_out))
        return qn_error_set(error, QUERN_ERROR_MPI, 0,
                            "what MPI brought from rank %u to rank %u are not the counts of a shuffle", from,
                            exchange->comm->rank);
    if (copies[0] != copies[1] || copies[0] != copies[2])
        exchange->damaged_from = from;
    return QUERN_OK;
}

void qn_mpi_link_begin(qn_exchange *exchange, uint64_t sent_bytes, uint64_t received_bytes)
{
    qn_mpi_exchange *backend = exchange->backend;
    backend->link_bytes = sent_bytes > received_bytes ? sent_bytes : received_bytes;
    backend->paying_since_ns = qn_clock_ns();
}

void qn_mpi_note_latency(qn_exchange *exchange)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    uint64_t ns = qn_clock_ns() - ((qn_mpi_exchange *)exchange->backend)->counting_since_ns;
    if (comm->latency_ns == 0 || ns < comm->latency_ns)
        comm->latency_ns = ns;
}

/* Two exchanges share the link: the time of the second one begins with the end of the first. One that has it for itself takes what
 * even counts take, which is not the link's time for bytes. */
void qn_mpi_link_end(qn_exchange *exchange)
{
    const qn_mpi_exchange *backend = exchange->backend;
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    uint64_t now_ns = qn_clock_ns(), since_ns = backend->paying_since_ns, ns = now_ns - since_ns;
    if (since_ns < comm->link_since_ns)
        ns = now_ns - comm->link_since_ns;
    else
        ns -= comm->latency_ns < ns / 4 * 3 ? comm->latency_ns : ns / 4 * 3;
    comm->link_since_ns = now_ns;
    if (backend->link_bytes < LINK_SAMPLE_BYTES_MIN)
        return;
    comm->base.link_bytes += backend->link_bytes;
    comm->base.link_ns += ns;
    if (comm->base.link_bytes > LINK_BYTES_MAX) {
        comm->base.link_bytes /= 2;
        comm->base.link_ns /= 2;
    }
}

/* ---- one level */

static quern_status start_counts(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    qn_mpi_exchange *backend = exchange->backend;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    uint32_t copies = qn_mpi_copy_count(comm);
    for (size_t i = 0; i < copies * (size_t)comm->base.size; i++)
        arrays.mine[i] = exchange->sent[i / copies];
    backend->counting_since_ns = qn_clock_ns();
    COMM_TRY(MPI_Ialltoall(arrays.mine, (int)copies, MPI_UINT64_T, arrays.theirs, (int)copies, MPI_UINT64_T,
                           comm->counts, &backend->counting));
    exchange->state = QN_EXCHANGE_COUNTS;
    return QUERN_OK;
}

static quern_status take_counts(qn_exchange *exchange, qn_error *error)
{
    const qn_comm *comm = exchange->comm;
    uint32_t copies = qn_mpi_copy_count((const qn_mpi_comm *)comm);
    const uint64_t *theirs = qn_mpi_arrays_of(exchange).theirs;
    quern_status status = QUERN_OK;
    qn_mpi_note_latency(exchange);
    for (uint32_t from = 0; from < comm->size && status == QUERN_OK; from++, theirs += copies)
        status = qn_mpi_take_count(exchange, from, theirs, &exchange->received[from], error);
    return status;
}

/* Displacements stay below 2^31: the buffers do (qn_exchange_init() sees to it). */
static quern_status start_payload(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    qn_mpi_exchange *backend = exchange->backend;
    qn_mpi_arrays arrays = qn_mpi_arrays_of(exchange);
    uint64_t sent_bytes = 0, received_bytes = 0; /* to and from other nodes */
    for (uint32_t i = 0; i < comm->base.size; i++) {
        arrays.send_counts[i] = (int)(exchange->sent[i] & QN_EXCHANGE_BYTES_MASK);
        arrays.receive_counts[i] = (int)(exchange->received[i] & QN_EXCHANGE_BYTES_MASK);
        QN_ASSERT((size_t)arrays.send_counts[i] <= exchange->stride);
        QN_ASSERT((size_t)arrays.receive_counts[i] <= exchange->stride);
        arrays.send_at[i] = arrays.receive_at[i] = (int)(i * exchange->stride);
        bool is_far = !qn_comm_is_near(&comm->base, i);
        sent_bytes += is_far ? (uint64_t)arrays.send_counts[i] : 0;
        received_bytes += is_far ? (uint64_t)arrays.receive_counts[i] : 0;
    }
    qn_mpi_link_begin(exchange, sent_bytes, received_bytes);
    COMM_TRY(MPI_Ialltoallv(exchange->send_chunks, arrays.send_counts, arrays.send_at, MPI_BYTE,
                            exchange->receive_chunks, arrays.receive_counts, arrays.receive_at, MPI_BYTE, comm->payload,
                            &backend->paying));
    exchange->state = QN_EXCHANGE_PAYLOAD;
    return QUERN_OK;
}

static quern_status test_flat(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    qn_mpi_exchange *backend = exchange->backend;
    int done = 0;
    if (exchange->state == QN_EXCHANGE_COUNTS) {
        COMM_TRY(MPI_Test(&backend->counting, &done, MPI_STATUS_IGNORE));
        if (done && (take_counts(exchange, error) != QUERN_OK || start_payload(exchange, error) != QUERN_OK))
            return error->status;
    }
    if (exchange->state != QN_EXCHANGE_PAYLOAD)
        return QUERN_OK;
    COMM_TRY(MPI_Test(&backend->paying, &done, MPI_STATUS_IGNORE));
    if (!done)
        return QUERN_OK;
    qn_mpi_link_end(exchange);
    exchange->state = QN_EXCHANGE_DONE;
    return QUERN_OK;
}

/* ---- */

quern_status qn_mpi_exchange_start(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_exchange *backend = exchange->backend;
    backend->counting = backend->paying = MPI_REQUEST_NULL;
    return exchange->relay_chunks ? qn_mpi_relay_start(exchange, error) : start_counts(exchange, error);
}

quern_status qn_mpi_exchange_test(qn_exchange *exchange, qn_error *error)
{
    return exchange->relay_chunks ? qn_mpi_relay_test(exchange, error) : test_flat(exchange, error);
}

void qn_mpi_exchange_abandon(qn_exchange *exchange)
{
    qn_mpi_exchange *backend = exchange->backend;
    qn_mpi_drain((qn_mpi_comm *)exchange->comm, &backend->counting);
    qn_mpi_drain((qn_mpi_comm *)exchange->comm, &backend->paying);
}
