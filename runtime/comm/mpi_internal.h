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

/* Of exchanges on two levels: those of this node, numbered as node_rank, and those of the same node_rank, numbered as node. Null
 * and NULL where there are none. */
typedef struct qn_mpi_relays {
    MPI_Comm near_counts, near_payload, far_counts, far_payload;
    uint32_t *rank_at; /* [node_count][node_size] */
    uint64_t started;  /* exchanges, */
    uint64_t left;     /* and of these, those whose payload is on its way to other nodes, or was */
} qn_mpi_relays;

typedef struct qn_mpi_comm {
    qn_comm base;
    qn_mpi_ring ring;
    MPI_Comm control, job, counts, payload, node;
    MPI_Comm leads; /* of the first rank of each node, where there are several; else null */
    qn_mpi_relays relays;
    uint32_t *node_of;      /* base.node_of */
    uint64_t latency_ns;    /* the least that counts took between nodes, as this rank looked; 0: none came yet */
    uint64_t link_since_ns; /* until then the link was busy with earlier exchanges */
    bool initialised;       /* by us: finalise it */
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

/* With errors that return. */
quern_status qn_mpi_duplicate(MPI_Comm from, MPI_Comm *to_out, qn_error *error);
void qn_mpi_free_comm(MPI_Comm *comm); /* takes a null one */

/* Which ranks share a node, and the communicators for two levels if they can be. Collective; after the ranks know their places. */
quern_status qn_mpi_learn_relays(qn_mpi_comm *comm, qn_error *error);
void qn_mpi_forget_relays(qn_mpi_comm *comm);

#define QN_MPI_COPIES 3 /* of a count, where the network is not trusted */

typedef enum qn_mpi_step {
    QN_MPI_NEAR_COUNTS, /* counts are on their way within the node, */
    QN_MPI_FAR_COUNTS,  /* and then to other nodes; so is the payload within this one */
    QN_MPI_NEAR_PAYLOAD,
    QN_MPI_FAR_PAYLOAD,
} qn_mpi_step;

/* What an exchange keeps for MPI. */
typedef struct qn_mpi_exchange {
    MPI_Request counting, paying;
    uint64_t counting_since_ns, paying_since_ns; /* those to other nodes */
    uint64_t link_bytes;                         /* of the payload, to or from other nodes: whichever is more */
    qn_mpi_step step;                            /* of two levels */
    uint64_t number;                             /* among those of two levels */
    uint64_t words[];
} qn_mpi_exchange;

/* What lies behind the struct, for as many ranks as there are. */
typedef struct qn_mpi_arrays {
    uint64_t *mine, *theirs; /* [size][QN_MPI_COPIES] counts as they are sent and received */
    uint64_t *passed;        /* [size] counts of what is passed on to other nodes */
    int *send_counts, *send_at, *receive_counts, *receive_at; /* [size] of the payload */
} qn_mpi_arrays;

static inline qn_mpi_arrays qn_mpi_arrays_of(const qn_exchange *exchange)
{
    size_t size = exchange->comm->size;
    uint64_t *words = ((qn_mpi_exchange *)exchange->backend)->words;
    int *numbers = (int *)(words + (2 * QN_MPI_COPIES + 1) * size);
    return (qn_mpi_arrays){
        .mine = words,
        .theirs = words + QN_MPI_COPIES * size,
        .passed = words + 2 * QN_MPI_COPIES * size,
        .send_counts = numbers,
        .send_at = numbers + size,
        .receive_counts = numbers + 2 * size,
        .receive_at = numbers + 3 * size,
    };
}

static inline uint32_t qn_mpi_copy_count(const qn_mpi_comm *comm)
{
    return comm->base.trusts_network ? 1 : QN_MPI_COPIES;
}

/* The count that a rank sent, of its copies as they came; a wrong one would leave the ranks out of step. */
quern_status qn_mpi_take_count(qn_exchange *exchange, uint32_t from, const uint64_t *copies, uint64_t *count_out,
                               qn_error *error);
/* Counts of other nodes are here. */
void qn_mpi_note_latency(qn_exchange *exchange);
/* The payload begins to go to other nodes, or all of it is there: measures the link. */
void qn_mpi_link_begin(qn_exchange *exchange, uint64_t sent_bytes, uint64_t received_bytes);
void qn_mpi_link_end(qn_exchange *exchange);

quern_status qn_mpi_relay_start(qn_exchange *exchange, qn_error *error);
quern_status qn_mpi_relay_test(qn_exchange *exchange, qn_error *error);

/* Those of qn_comm_ops. */
quern_status qn_mpi_exchange_start(qn_exchange *exchange, qn_error *error);
quern_status qn_mpi_exchange_test(qn_exchange *exchange, qn_error *error);
void qn_mpi_exchange_abandon(qn_exchange *exchange);

#endif
