/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/comm/mpi_internal.h: what the files of the MPI backend share; nobody else includes it. */
#ifndef QN_COMM_MPI_INTERNAL_H
#define QN_COMM_MPI_INTERNAL_H

#define OMPI_SKIP_MPICXX  1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include "runtime/comm/backend.h"

typedef struct qn_mpi_outgoing {
    struct qn_mpi_outgoing *next;
    MPI_Request request;
    uint8_t data[];
} qn_mpi_outgoing;

/* Of the first rank of a node; both requests are null between two beats. */
typedef struct qn_mpi_ring {
    MPI_Request sending, receiving;
    qn_comm_beat sent, received;
    bool is_open; /* a beat is on its way, or was */
} qn_mpi_ring;

typedef struct qn_mpi_comm {
    qn_comm base;
    qn_mpi_ring ring;
    MPI_Comm control, job, counts, payload, node;
    MPI_Comm leads;   /* of the first rank of each node, where there are several; else null */
    bool initialised; /* by us: finalise it */
    qn_mpi_outgoing *sending;
    uint8_t *incoming; /* the message that the last poll gave */
    size_t incoming_capacity;
    MPI_Group first;        /* of all ranks that there were */
    uint32_t node_size_max; /* as of the start */
} qn_mpi_comm;

quern_status qn_mpi_fail(int code, const char *call, qn_error *error);
/* The same, and if it is the loss of a rank, all of the communicator is broken. */
quern_status qn_mpi_comm_fail(qn_mpi_comm *comm, int code, const char *call, qn_error *error);
/* After a failure: the memory of a request is MPI's until it is over. In a revoked communicator it will be at once. */
void qn_mpi_drain(qn_mpi_comm *comm, MPI_Request *request);

/* Every MPI call goes through one of these: this where there are no communicators of ours yet, */
#define MPI_TRY(call)                                                                                                  \
    do {                                                                                                               \
        int code_ = (call);                                                                                            \
        if (code_ != MPI_SUCCESS)                                                                                      \
            return qn_mpi_fail(code_, #call, error);                                                                   \
    } while (0)

/* and this where there are. */
#define COMM_TRY(call)                                                                                                 \
    do {                                                                                                               \
        int code_ = (call);                                                                                            \
        if (code_ != MPI_SUCCESS)                                                                                      \
            return qn_mpi_comm_fail(comm, code_, #call, error);                                                        \
    } while (0)

/* Those of qn_comm_ops. */
quern_status qn_mpi_exchange_start(qn_exchange *exchange, qn_error *error);
quern_status qn_mpi_exchange_test(qn_exchange *exchange, qn_error *error);
void qn_mpi_exchange_abandon(qn_exchange *exchange);

#endif
