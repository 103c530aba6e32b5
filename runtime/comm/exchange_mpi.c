/* SPDX-License-Identifier: BSD-3-Clause */
/* Rounds of the shuffle in the MPI backend. */
#include "runtime/base/assert.h"
#include "runtime/comm/mpi_internal.h"

#define COPIES 3 /* of a count, where the network is not trusted */

/* What an exchange keeps for MPI: behind the struct are copies of counts, to be sent and received, [2][size][COPIES], and
 * arrays of int, [4][size]. */
typedef struct exchange_backend {
    MPI_Request request;
    uint64_t copies[];
} exchange_backend;

size_t qn_exchange_backend_bytes(uint32_t size)
{
    return sizeof(exchange_backend) + (2 * COPIES * sizeof(uint64_t) + 4 * sizeof(int)) * (size_t)size;
}

/* What most of the copies say: a wrong count would not only be wrong, but leave the ranks out of step, and the job would hang. */
static bool vote(const uint64_t copies[COPIES], uint64_t *count_out)
{
    *count_out = copies[0] == copies[2] ? copies[0] : copies[1];
    return copies[0] == copies[1] || copies[0] == copies[2] || copies[1] == copies[2];
}

static quern_status start_copies(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    exchange_backend *backend = exchange->backend;
    uint64_t *mine = backend->copies, *theirs = mine + COPIES * (size_t)comm->base.size;
    for (size_t i = 0; i < COPIES * (size_t)comm->base.size; i++)
        mine[i] = exchange->sent[i / COPIES];
    COMM_TRY(MPI_Ialltoall(mine, COPIES, MPI_UINT64_T, theirs, COPIES, MPI_UINT64_T, comm->counts, &backend->request));
    return QUERN_OK;
}

static quern_status see_copies(qn_exchange *exchange, qn_error *error)
{
    uint32_t size = exchange->comm->size;
    exchange_backend *backend = exchange->backend;
    const uint64_t *theirs = backend->copies + COPIES * (size_t)size;
    for (uint32_t from = 0; from < size; from++, theirs += COPIES) {
        if (!vote(theirs, &exchange->received[from]))
            return qn_error_set(error, QUERN_ERROR_MPI, 0,
                                "what MPI brought from rank %u to rank %u are not the counts of a shuffle", from,
                                exchange->comm->rank);
        if (theirs[0] != theirs[1] || theirs[0] != theirs[2])
            exchange->damaged_from = from;
    }
    return QUERN_OK;
}

quern_status qn_mpi_exchange_start(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    exchange_backend *backend = exchange->backend;
    if (comm->base.trusts_network)
        COMM_TRY(MPI_Ialltoall(exchange->sent, 1, MPI_UINT64_T, exchange->received, 1, MPI_UINT64_T, comm->counts,
                               &backend->request));
    else if (start_copies(exchange, error) != QUERN_OK)
        return error->status;
    exchange->state = QN_EXCHANGE_COUNTS;
    return QUERN_OK;
}

/* Displacements stay below 2^31: the buffers do (qn_shuffle sees to it). */
static quern_status start_payload(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    exchange_backend *backend = exchange->backend;
    uint32_t size = comm->base.size;
    if (!comm->base.trusts_network && see_copies(exchange, error) != QUERN_OK)
        return QUERN_ERROR_MPI;
    int *send_counts = (int *)(backend->copies + 2 * COPIES * (size_t)size), *send_at = send_counts + size;
    int *receive_counts = send_at + size, *receive_at = receive_counts + size;
    for (uint32_t i = 0; i < size; i++) {
        send_counts[i] = (int)(exchange->sent[i] & QN_EXCHANGE_BYTES_MASK);
        receive_counts[i] = (int)(exchange->received[i] & QN_EXCHANGE_BYTES_MASK);
        QN_ASSERT((size_t)send_counts[i] <= exchange->stride);
        QN_ASSERT((size_t)receive_counts[i] <= exchange->stride);
        send_at[i] = receive_at[i] = (int)(i * exchange->stride);
    }
    COMM_TRY(MPI_Ialltoallv(exchange->send_chunks, send_counts, send_at, MPI_BYTE, exchange->receive_chunks,
                            receive_counts, receive_at, MPI_BYTE, comm->payload, &backend->request));
    exchange->state = QN_EXCHANGE_PAYLOAD;
    return QUERN_OK;
}

quern_status qn_mpi_exchange_test(qn_exchange *exchange, qn_error *error)
{
    qn_mpi_comm *comm = (qn_mpi_comm *)exchange->comm;
    exchange_backend *backend = exchange->backend;
    while (exchange->state == QN_EXCHANGE_COUNTS || exchange->state == QN_EXCHANGE_PAYLOAD) {
        int done = 0;
        COMM_TRY(MPI_Test(&backend->request, &done, MPI_STATUS_IGNORE));
        if (!done)
            return QUERN_OK;
        if (exchange->state == QN_EXCHANGE_PAYLOAD)
            exchange->state = QN_EXCHANGE_DONE;
        else {
            quern_status status = start_payload(exchange, error);
            if (status != QUERN_OK)
                return status;
        }
    }
    return QUERN_OK;
}

void qn_mpi_exchange_abandon(qn_exchange *exchange)
{
    qn_mpi_drain((qn_mpi_comm *)exchange->comm, &((exchange_backend *)exchange->backend)->request);
}
