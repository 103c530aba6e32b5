/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/comm/comm.h: ranks talking to each other. The only room that calls MPI.
 *
 * Three kinds of talk, on communicators of their own so that they never meet: small control messages from rank to rank,
 * which nobody waits for; collectives at the begin and the end of a job, which wait asleep and not spinning; and the
 * exchanges of the shuffle, non-blocking.
 *
 * One thread at a time: callers serialise (the engine's gate does). A process without a launcher has a backend of its
 * own that needs no MPI.
 */
#ifndef QN_COMM_COMM_H
#define QN_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/options.h>

#include "runtime/base/status.h"

#define QN_COMM_MESSAGE_BYTES_MAX ((size_t)1 << 30)

#define QN_COMM_EXIT_LOST 137 /* of a job that ends since a rank was lost: as if the launcher had ended it */
#define QN_COMM_EXIT_HUNG 76  /* docs/explanation/faults.md */

struct qn_comm_ops;
struct qn_exchange;

/* What it means to the others that a rank died, where MPI tells them (tells_losses). */
typedef enum qn_comm_on_loss {
    QN_LOSS_ENDS_JOB,    /* each ends itself as soon as it notices */
    QN_LOSS_FAILS,       /* calls fail, here and on all other ranks */
    QN_LOSS_IS_SURVIVED, /* the same, until qn_comm_recover() */
} qn_comm_on_loss;

typedef struct qn_comm {
    const struct qn_comm_ops *ops;
    uint32_t rank, size;
    uint32_t node, node_count; /* nodes are numbered by their lowest rank */
    uint32_t node_rank, node_size;
    const uint32_t *node_of; /* [size] of every rank; NULL: there is one node */
    bool can_relay;          /* there are several nodes, all with as many ranks, and several of them */
    bool helper_allowed;     /* a second thread may call in, one at a time */
    bool threads_allowed;    /* and at the same time */
    bool in_host;            /* somebody else initialised MPI */
    bool tells_losses;       /* MPI tells of ranks that died, and its launcher lets the others live */
    qn_comm_on_loss on_loss;
    bool is_broken;          /* a rank was lost: all calls fail. Atomic: qn_comm_is_broken() */
    uint64_t broken_ns;      /* since when */
    uint32_t first_rank;     /* what this one was called before any was lost */
    bool trusts_network;     /* what arrives in exchanges is not compared with checksums; the same on all ranks */
    uint32_t shuffle_levels; /* asked for; 0: by the number of nodes and the size of chunks; the same on all ranks */
    quern_switch compress_links; /* what is sent to other nodes in exchanges; AUTO: where it pays. Ranks may differ */
    uint64_t link_bytes;         /* lately sent to other nodes in exchanges, or received if that was more, */
    uint64_t link_ns;            /* and the time that it took: what this rank gets of its node's link */
    volatile uint64_t
        waits; /* times that the rank looked in vain for what others are to send: for who looks from outside */
} qn_comm;

/* Whether a rank is of this node. */
static inline bool qn_comm_is_near(const qn_comm *comm, uint32_t rank)
{
    return !comm->node_of || comm->node_of[rank] == comm->node;
}

/* Some of the ranks. */
typedef enum qn_comm_scope {
    QN_COMM_NODE,  /* those of this node, numbered as node_rank */
    QN_COMM_LEADS, /* the first one of each node, numbered as node; nobody else may call */
} qn_comm_scope;

/* What the first rank of a node tells that of the next one. */
#define QN_COMM_LAST_BEAT UINT64_MAX

typedef struct qn_comm_beat {
    uint64_t number; /* of the beat, from 1 on; 0: none came; QN_COMM_LAST_BEAT: none will come */
    uint32_t rank;
    int32_t process;
    char host[64];
} qn_comm_beat;

/* Ranks that were lost, by the numbers that they had before any was. */
#define QN_COMM_LOST_NAMED_MAX 16

typedef struct qn_comm_loss {
    uint32_t lost_count;
    uint32_t survivor_count;
    uint32_t lost[QN_COMM_LOST_NAMED_MAX]; /* the first ones */
    bool lost_root;                        /* rank 0 is among them */
} qn_comm_loss;

typedef struct qn_comm_ops {
    void (*destroy)(qn_comm *comm);
    quern_status (*send)(qn_comm *comm, uint32_t to, const void *data, size_t bytes, qn_error *error);
    quern_status (*announce)(qn_comm *comm, const void *data, size_t bytes, qn_error *error);
    quern_status (*poll)(qn_comm *comm, const void **data_out, size_t *bytes_out, uint32_t *from_out, qn_error *error);
    quern_status (*broadcast)(qn_comm *comm, void *data, size_t bytes, uint32_t root, qn_error *error);
    quern_status (*broadcast_within)(qn_comm *comm, qn_comm_scope scope, void *data, size_t bytes, uint32_t root,
                                     qn_error *error);
    quern_status (*reduce)(qn_comm *comm, uint64_t *numbers, size_t count, int operation, qn_error *error);
    quern_status (*gather)(qn_comm *comm, const void *mine, size_t bytes, void *all_out, qn_error *error);
    quern_status (*gather_node)(qn_comm *comm, const void *mine, size_t bytes, void *all_out, qn_error *error);
    quern_status (*collect)(qn_comm *comm, const void *mine, size_t bytes, void **all_out, size_t *bytes_out,
                            qn_error *error);
    bool (*share_hdf5)(const qn_comm *comm, int64_t access_list);
    quern_status (*beat)(qn_comm *comm, const qn_comm_beat *mine, qn_comm_beat *theirs_out, qn_error *error);
    quern_status (*end_beats)(qn_comm *comm, qn_error *error);
    bool (*sees_loss)(qn_comm *comm);
    bool (*speaks_for_living)(qn_comm *comm);
    quern_status (*conclude)(qn_comm *comm, uint32_t *flags, bool *is_lost_out, qn_error *error);
    quern_status (*recover)(qn_comm *comm, qn_comm_loss *loss_out, qn_error *error);
    quern_status (*exchange_start)(struct qn_exchange *exchange, qn_error *error);
    quern_status (*exchange_test)(struct qn_exchange *exchange, qn_error *error);
    /* One that is under way, so that nobody touches its memory any more; NULL: nobody does. */
    void (*exchange_abandon)(struct qn_exchange *exchange);
} qn_comm_ops;

/* How to begin. */
typedef struct qn_comm_start {
    const void *mpi_comm; /* address of the user's MPI_Comm; NULL: find out what launched us */
    bool singleton; /* take one rank even where the environment promises more; but not where a launcher started more */
    uint32_t
        node_size_max; /* ranks beyond so many count as those of another node; 0: no such limit. For tests of several nodes on one machine */
} qn_comm_start;

/* Collective over what is started. QUERN_ERROR_LAUNCHER, QUERN_ERROR_MPI, QUERN_ERROR_NO_MEMORY. */
quern_status qn_comm_create(const qn_comm_start *start, qn_comm **comm_out, qn_error *error);
/* Collective. Takes NULL. Finalises MPI if create initialised it. */
void qn_comm_destroy(qn_comm *comm);

/* Sends a control message; copies; returns at once. To oneself too. Local. */
quern_status qn_comm_send(qn_comm *comm, uint32_t to, const void *data, size_t bytes, qn_error *error);
/* Rank 0 sends to every other rank, along a tree: each rank passes it on in its poll. Local. */
quern_status qn_comm_announce(qn_comm *comm, const void *data, size_t bytes, qn_error *error);
/* The next control message, if one is here; *data_out NULL if none. Borrowed until the next poll. Never waits. Local. */
quern_status qn_comm_poll(qn_comm *comm, const void **data_out, size_t *bytes_out, uint32_t *from_out, qn_error *error);

/* Collectives; every rank must call them in the same order. They wait, asleep. */
quern_status qn_comm_broadcast(qn_comm *comm, void *data, size_t bytes, uint32_t root, qn_error *error);
/* The same among some of the ranks, which alone call it. */
quern_status qn_comm_broadcast_within(qn_comm *comm, qn_comm_scope scope, void *data, size_t bytes, uint32_t root,
                                      qn_error *error);
quern_status qn_comm_reduce_sum(qn_comm *comm, uint64_t *numbers, size_t count, qn_error *error);
quern_status qn_comm_reduce_max(qn_comm *comm, uint64_t *numbers, size_t count, qn_error *error);
/* `bytes` of every rank to all_out [size * bytes] on rank 0 (NULL elsewhere). */
quern_status qn_comm_gather(qn_comm *comm, const void *mine, size_t bytes, void *all_out, qn_error *error);
/* `bytes` of every rank of the node to all_out [node_size * bytes] on all of them. */
quern_status qn_comm_gather_node(qn_comm *comm, const void *mine, size_t bytes, void *all_out, qn_error *error);
/* Any number of bytes of every rank, one after the other in the order of ranks, on rank 0: *all_out is freed by the caller; NULL elsewhere. */
quern_status qn_comm_collect(qn_comm *comm, const void *mine, size_t bytes, void **all_out, size_t *bytes_out,
                             qn_error *error);

/* The first ranks of nodes stand in a ring: each tells the next one that it lives. Takes this rank's beat, if the last one is gone, and gives
 * the newest that came from the one before, or one with number 0. Never waits. Only where qn_comm_has_beats(); by any thread, one at a
 * time, beside all other calls. */
quern_status qn_comm_beat_once(qn_comm *comm, const qn_comm_beat *mine, qn_comm_beat *theirs_out, qn_error *error);
/* No beats come any more. Collective over the first ranks of nodes; waits. */
quern_status qn_comm_end_beats(qn_comm *comm, qn_error *error);

static inline bool qn_comm_has_beats(const qn_comm *comm)
{
    return comm->node_count > 1 && comm->node_rank == 0 && comm->threads_allowed;
}

/* Everybody gets the same outcome: that of the lowest rank that has a failure, or QUERN_OK. Collective. The texts of other ranks'
 * failures are lost. */
quern_status qn_comm_agree(qn_comm *comm, qn_error *error);

/*
 * Ranks that die, where MPI tells of it. Whoever notices breaks the communicator: then all calls fail on all ranks with QUERN_ERROR_MPI, at once, so that
 * everybody gets out of whatever it was in without anybody's help. Then all who live meet in conclude, and if it was a loss that they came
 * from, in recover, after which they go on as ranks of a smaller communicator; there is nothing in it of what was sent before.
 */
static inline bool qn_comm_is_broken(const qn_comm *comm)
{
    return __atomic_load_n(&comm->is_broken, __ATOMIC_ACQUIRE);
}

/* Whether a rank was lost. Local, any thread where threads_allowed. */
bool qn_comm_sees_loss(qn_comm *comm);
/* Whether no rank below this one is known to live. Local. */
bool qn_comm_speaks_for_living(qn_comm *comm);
/* Leaves the bits of *flags that are set on all ranks that live: the same on all of them. *is_lost_out: whether one does not; the same, too. Waits,
 * asleep, for whoever is still in a callback. Collective, in a broken communicator too. */
quern_status qn_comm_conclude(qn_comm *comm, uint32_t *flags, bool *is_lost_out, qn_error *error);
/* Goes on with those who live, under new numbers in the old order. Collective, after a conclude. A failure: nothing can be done with it any more. */
quern_status qn_comm_recover(qn_comm *comm, qn_comm_loss *loss_out, qn_error *error);
/* Ends this process, because the job cannot go on: all others come to the same end, or notice this one's. comm NULL: it is not there yet. why NULL: all
 * have said so. Does not return. */
_Noreturn void qn_comm_end_job(qn_comm *comm, int exit_status, const char *why);

/* Files that HDF5 opens with this access list (a hid_t) are then opened, written and closed by all ranks together: it talks to the other ranks by
 * itself, while nobody else does. Nothing to do for one rank. False: HDF5 does not know how. Local. */
bool qn_comm_share_hdf5(const qn_comm *comm, int64_t access_list);

/* A number per rank that says how much it sends, with two flags. */
#define QN_EXCHANGE_ENDED      (UINT64_C(1) << 63) /* the sender will never send again */
#define QN_EXCHANGE_MORE       (UINT64_C(1) << 62) /* the sender has more already */
#define QN_EXCHANGE_BYTES_MASK (QN_EXCHANGE_MORE - 1)

typedef enum qn_exchange_state {
    QN_EXCHANGE_IDLE,
    QN_EXCHANGE_COUNTS,  /* counts are on their way */
    QN_EXCHANGE_PAYLOAD, /* counts are known (received), payload is on its way */
    QN_EXCHANGE_DONE,    /* all is here */
} qn_exchange_state;

/*
 * One round of the shuffle: chunks of up to `stride` bytes between all pairs. Exchanges must be started in the same
 * order on all ranks, and one may be tested only when all those before it are in PAYLOAD or DONE.
 *
 * On two levels a chunk from rank i of node A to rank j of node B goes to rank j of A first, and from there, with all that the ranks of A
 * have for it, to rank j of B: fewer and larger messages, for more copies. Nobody sees which it was, but for the memory that it takes.
 */
typedef struct qn_exchange {
    qn_comm *comm;
    qn_exchange_state state;
    size_t stride;
    uint8_t *send_chunks; /* [size][stride]; what is in them is not defined from the start on */
    uint8_t *receive_chunks;
    uint8_t *relay_chunks; /* of two levels; NULL: one level */
    uint64_t *sent;        /* [size] bytes and flags, set before the start */
    uint64_t *received;    /* [size] known from PAYLOAD on */
    uint32_t damaged_from; /* a rank whose count arrived in another shape, from PAYLOAD on; UINT32_MAX: none */
    bool is_huge;          /* chunks are on huge pages: not until a round carried much */
    void *backend;
} qn_exchange;

/* How many levels exchanges of this stride have; the same on all ranks. */
uint32_t qn_exchange_levels(const qn_comm *comm, size_t stride);
/* Bytes of memory of an exchange. */
size_t qn_exchange_bytes(const qn_comm *comm, size_t stride);
quern_status qn_exchange_init(qn_exchange *exchange, qn_comm *comm, size_t stride, qn_error *error);
/* Takes a zeroed one; must not be on its way, unless the communicator is broken. */
void qn_exchange_fini(qn_exchange *exchange);
quern_status qn_exchange_start(qn_exchange *exchange, qn_error *error);
/* After one that is done: for the next. What was received is gone, and chunks may be elsewhere. */
void qn_exchange_reopen(qn_exchange *exchange);
/* Moves it on as far as it goes without waiting. */
quern_status qn_exchange_test(qn_exchange *exchange, qn_error *error);

#endif
