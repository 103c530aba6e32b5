/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/comm/shared.h: bytes that every rank has, in one copy a node.
 *
 * Every rank brings some bytes (often none), and all of them, one behind the other, are then on every node, in memory that the ranks of the
 * node have in common: each writes its own bytes there, and only then the first ranks of the nodes send each other what
 * their nodes wrote. On one node nothing is sent. Behind the bytes there is room that the ranks of a node may fill in common.
 *
 * The memory is an unnamed file of the node's first rank (memfd), opened by the others through /proc: no file system has to have
 * room for it, nobody can find it, and it goes with the last process that has it. Where a rank may not open it (another
 * namespace of processes, say), all ranks of that node get a private copy each.
 *
 *     create ── each rank fills mine ── spread ── fill the room ── settle ── seal ── readers ── destroy
 *
 * Rejected: MPI_Win_allocate_shared and shm_open, whose memory is in /dev/shm, which is 64 MB in many containers.
 */
#ifndef QN_COMM_SHARED_H
#define QN_COMM_SHARED_H

#include "runtime/comm/comm.h"

#define QN_SHARED_SLACK_BYTES ((size_t)64) /* readable behind it */

typedef struct qn_shared {
    qn_comm *comm;
    uint8_t *data; /* [bytes + room_bytes], at the begin of a page */
    size_t bytes;  /* of all ranks */
    size_t room_bytes;
    uint8_t *mine; /* [mine_bytes]: where this rank's bytes go */
    size_t mine_bytes;
    bool is_private; /* the ranks of this node have a copy each */
    size_t mapped_bytes;
    uint64_t charge_bytes; /* of this rank's part of the node's memory */
    uint64_t *node_begins; /* [node_count + 1] of the bytes of each node */
    uint64_t *rank_bytes;  /* [node_size] of the ranks of this node */
    uint8_t *answers;      /* [node_size] of the same, while they agree */
} qn_shared;

typedef struct qn_shared_wish {
    uint64_t bytes;      /* that this rank brings */
    uint64_t room_bytes; /* the same on all ranks */
    bool may_share;      /* false: this rank cannot open what another one made */
} qn_shared_wish;

/* Memory for what all ranks bring, zero. Collective over all ranks; the same status on all of them. QUERN_ERROR_NO_MEMORY,
 * QUERN_ERROR_MPI. */
quern_status qn_shared_create(qn_shared *shared, qn_comm *comm, const qn_shared_wish *wish, qn_error *error);
/* Every rank has filled `mine`: brings all bytes to all nodes. Collective over all ranks. QUERN_ERROR_MPI. */
quern_status qn_shared_spread(qn_shared *shared, qn_error *error);
/* What the ranks of a node wrote is there for all of them. Collective over all ranks. QUERN_ERROR_MPI. */
quern_status qn_shared_settle(qn_shared *shared, qn_error *error);
/* Bytes of the room that ranks have written: rank i those from offset + begins[i] to offset + begins[i + 1], counted from the begin of data. */
typedef struct qn_shared_area {
    uint64_t offset;
    const uint64_t *begins; /* [size + 1]; the same on all ranks */
} qn_shared_area;

/* Every rank has written its own bytes of each area, and all ranks have met since then in another collective call: brings all of them to all
 * nodes. On one node there is nothing to do. Collective over all ranks. QUERN_ERROR_MPI. */
quern_status qn_shared_exchange(qn_shared *shared, const qn_shared_area *areas, uint32_t area_count, qn_error *error);
/* From now on this rank can only read. Local. */
void qn_shared_seal(qn_shared *shared);
/* Takes a zeroed one. Local; for the others the memory stays. */
void qn_shared_destroy(qn_shared *shared);

/* What it takes of this rank's part of the node's memory. */
uint64_t qn_shared_charge_bytes(const qn_shared *shared);

/* Among how many ranks the work of filling one copy of the room is divided, and which of them this one is. */
static inline uint32_t qn_shared_helper_count(const qn_shared *shared)
{
    return shared->is_private ? 1 : shared->comm->node_size;
}

static inline uint32_t qn_shared_helper_number(const qn_shared *shared)
{
    return shared->is_private ? 0 : shared->comm->node_rank;
}

#endif
