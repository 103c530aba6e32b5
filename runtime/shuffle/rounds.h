/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/rounds.h: rows to other ranks in rounds of collectives.
 *
 * Intuition. A round is a bus that leaves only when somebody has luggage; then everybody gets on, most with nothing. A rank
 * writes rows straight into the chunks of the next round (one chunk for each rank, all of one size: that is all the flow
 * control there is, since a rank can then receive no more in a round than it has room for). Two rounds can be on their way, or one.
 *
 * Which rounds take place must be the same on all ranks. Round k takes place if any of these says so, and each of them
 * reaches every rank: the master's announcement (somebody asked it for one), or a MORE flag in the counts of round k - 1, or that
 * the stage ended and the shuffle is not over. It is over with the round in whose counts everybody says ENDED.
 *
 * Invariants. A rank that said ENDED in round k starts round k + 1 only when it has seen the counts of k, since k
 * may have been the last; a rank that did not say so knows that k was not. So nobody starts a round that others do not.
 *
 * What goes to another node is compressed where that is quicker than sending it as it is (runtime/data/compress.h), by what the link has
 * shown lately; each rank decides for itself, block by block, and says so in the block.
 *
 * Rejected: rounds at fixed times (thousands of ranks exchanging nothing), point-to-point streams with credits (messages per
 * pair and state per pair), waiting for the round instead of going on with work.
 */
#ifndef QN_SHUFFLE_ROUNDS_H
#define QN_SHUFFLE_ROUNDS_H

#include "runtime/comm/comm.h"
#include "runtime/data/compress.h"
#include "runtime/data/row.h"

/* Chunks are of a KiB or more, but where there are so many ranks that this takes too much memory: then down to QN_ROUNDS_CHUNK_BYTES_MIN, of which a fifth is the header,
 * and there is one round under way and not two. */
#define QN_ROUNDS_IN_FLIGHT        2
#define QN_ROUNDS_CHUNK_BYTES_GOOD 1024
#define QN_ROUNDS_CHUNK_BYTES_MIN  256

/* Takes a verified block of rows, or a whole row that came in fragments, of rank `from`. Rows: row_count rows in `bytes` bytes; packed
 * records if value_words is QN_BLOCK_PACKED. */
typedef quern_status (*qn_rounds_receive_fn)(void *user, uint32_t from, const uint64_t *rows, uint64_t bytes,
                                             uint64_t row_count, qn_error *error);

struct qn_rounds_partial;

/* Bytes are counted by pairs of groups of ranks that follow each other: a rank each, if there are no more. */
#define QN_ROUNDS_GROUPS_MAX 64

static inline uint32_t qn_rounds_group_count(const qn_comm *comm)
{
    return comm->size < QN_ROUNDS_GROUPS_MAX ? comm->size : QN_ROUNDS_GROUPS_MAX;
}

static inline uint32_t qn_rounds_group_of(const qn_comm *comm, uint32_t rank)
{
    return (uint32_t)((uint64_t)rank * qn_rounds_group_count(comm) / comm->size);
}

typedef struct qn_rounds {
    qn_comm *comm;
    uint32_t value_words;
    qn_exchange exchanges[QN_ROUNDS_IN_FLIGHT]; /* [in_flight] */
    uint32_t in_flight;
    uint64_t started;                           /* rounds that this rank began */
    uint64_t completed;                         /* rounds whose rows were received */
    uint64_t counted;                           /* rounds whose counts were seen */
    uint64_t on;                                /* rounds below this number take place */
    uint64_t asked;                             /* rounds below this number were asked for by this rank */
    uint64_t last;                              /* rounds in all, once known; else UINT64_MAX */
    bool ended;                                 /* set by the owner: nothing more will be put */
    bool more;                                  /* set by the owner: more is waiting for room */
    bool said_ended;                            /* in the newest started round */
    uint32_t *row_counts;                       /* [size] in the open chunks */
    bool *packed;                               /* [size] the open chunk holds packed records, which is not the rule */
    qn_rounds_receive_fn receive_packed;        /* for such chunks; NULL: there are none */
    uint64_t *partial_sent_bytes;               /* [size] of the row that is being sent in fragments */
    struct qn_rounds_partial *partial_received; /* [size] */
    qn_rounds_receive_fn receive;
    void *user;
    uint64_t sent_bytes, sent_rows, received_bytes, received_rows; /* for the report */
    uint64_t sent_plain_bytes;                                     /* sent_bytes as they were before compression */
    uint64_t exchange_ns;                                          /* in the collectives themselves */
    qn_compressor compressor;                                      /* of what goes to other nodes */
    uint8_t *plain;       /* [stride] a chunk that is compressed, or was; NULL: there is one node */
    uint64_t compress_ns; /* in compressing and back */
    uint64_t sent_group_bytes[QN_ROUNDS_GROUPS_MAX]; /* of sent_bytes, to each group of ranks */
} qn_rounds;

/* round_bytes: all chunks of a round together, at least QN_ROUNDS_CHUNK_BYTES_MIN a rank, below 2^31. */
quern_status qn_rounds_init(qn_rounds *rounds, qn_comm *comm, uint32_t value_words, size_t round_bytes,
                            qn_rounds_receive_fn receive, void *user, qn_error *error);
void qn_rounds_fini(qn_rounds *rounds); /* takes a zeroed one */

/* Packed records may come as well as rows: they go to this function, and never in fragments. */
static inline void qn_rounds_accept_packed(qn_rounds *rounds, qn_rounds_receive_fn receive)
{
    rounds->receive_packed = receive;
}

/* Rounds of this size that can be under way at once. */
uint32_t qn_rounds_in_flight(const qn_comm *comm, size_t round_bytes);
/* Memory of the rounds of this size. */
size_t qn_rounds_bytes(const qn_comm *comm, size_t round_bytes);

/* Room for rows to one rank in the next round. */
typedef struct qn_rounds_chunk {
    uint8_t *next;
    size_t left_bytes;
    uint32_t row_count; /* added */
} qn_rounds_chunk;

/* Opens the chunk for a rank (with no room if the next round is on its way), adds rows as long as there is room, closes it. */
qn_rounds_chunk qn_rounds_open_chunk(qn_rounds *rounds, uint32_t to);
/* The same for packed records where rows are the rule. A chunk holds either: there is no room for the others before the next round. */
qn_rounds_chunk qn_rounds_open_packed_chunk(qn_rounds *rounds, uint32_t to);
static inline __attribute__((always_inline)) bool qn_rounds_chunk_add(qn_rounds_chunk *chunk, const qn_key *key,
                                                                      const uint64_t *value, uint32_t value_words)
{
    uint64_t row_bytes = qn_row_bytes(key, value_words);
    if (row_bytes > chunk->left_bytes)
        return false;
    qn_row_encode(key, value, value_words, (uint64_t *)chunk->next);
    chunk->next += row_bytes;
    chunk->left_bytes -= row_bytes;
    chunk->row_count++;
    return true;
}
/* The same with a packed record. */
static inline __attribute__((always_inline)) bool qn_rounds_chunk_add_packed(qn_rounds_chunk *chunk, const void *record,
                                                                             uint64_t bytes)
{
    if (bytes > chunk->left_bytes)
        return false;
    memcpy(chunk->next, record, bytes);
    chunk->next += bytes;
    chunk->left_bytes -= bytes;
    chunk->row_count++;
    return true;
}
void qn_rounds_close_chunk(qn_rounds *rounds, uint32_t to, const qn_rounds_chunk *chunk);

/* Puts a row of any size into the next round. False: no room there now; call again with the same row after the next round has started (a row too large
 * for a chunk goes in pieces, one a round). */
bool qn_rounds_put(qn_rounds *rounds, uint32_t to, const qn_key *key, const uint64_t *value);

/* The same with a packed record. */
bool qn_rounds_put_packed(qn_rounds *rounds, uint32_t to, const void *record, uint64_t bytes);

/* Whether a row of so many bytes is too large for any chunk. */
bool qn_rounds_is_giant(const qn_rounds *rounds, uint64_t row_bytes);

/* Whether a row could be put at all: the next round's chunks are not on their way. */
bool qn_rounds_is_open(const qn_rounds *rounds);

/* Round `number` takes place: the master announced it. */
void qn_rounds_announce(qn_rounds *rounds, uint64_t number);

/* The number of a round to ask the master for, if this rank wants one and nobody has announced it. */
bool qn_rounds_ask(qn_rounds *rounds, uint64_t *number_out);

/* Whether the next round may start now. */
bool qn_rounds_can_start(const qn_rounds *rounds);
quern_status qn_rounds_start(qn_rounds *rounds, qn_error *error);

/* Moves the rounds on their way on and hands out what arrived. */
quern_status qn_rounds_progress(qn_rounds *rounds, qn_error *error);

/* Grows with every step that a round makes. */
static inline uint64_t qn_rounds_get_activity(const qn_rounds *rounds)
{
    return rounds->started + rounds->counted + rounds->completed;
}

/* None is needed: they are over before the first one. On all ranks or none. */
static inline void qn_rounds_skip(qn_rounds *rounds)
{
    rounds->last = rounds->completed;
}

/* They are over and others are to follow, as many as it takes until all have ended again. On all ranks or none. */
void qn_rounds_reopen(qn_rounds *rounds);

static inline bool qn_rounds_is_over(const qn_rounds *rounds)
{
    return rounds->completed == rounds->last;
}

#endif
