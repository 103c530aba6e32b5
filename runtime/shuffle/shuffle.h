/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/shuffle.h: a reduction by key over all ranks, out of core.
 *
 * Intuition. The space of hashes is cut into one range per rank. A rank combines all that it emits in one table, `outgoing`.
 * When that is full, or the stage ends, it is drained: rows of other ranks' ranges go out in rounds and into their `home`
 * (home.h), rows of the own range into home at once. Where combining hardly makes records fewer, they step aside of outgoing (aside.h) and
 * go as they are. One budget bounds it all. On one rank there is only home.
 *
 *     insert ──┬──► outgoing ──► drain ──┬──► rounds ──► home: table ──┬──► result
 *              │                         └── own range ──►   ▲        │
 *              │                                             │ settle │
 *              └ aside ──────────────────┬──► rounds ──► home: piles ─┘
 *                                        └── own range ──►
 *
 * Rows and records find each other at home: the result is the same whichever way they took, each rank decides for itself, and nobody
 * needs to know.
 *
 * States: MAPPING (inserts allowed) → DRAINING (outgoing is on its way; back to MAPPING when it is empty) or WAITING (a chunk is
 * full; back when a round has started) → ENDED (no more inserts, outgoing drains, rounds go on until all ranks ended) → result.
 * Inserting never waits; it says BLOCKED and the owner makes progress, which is how a rank never holds others up.
 *
 * Rejected: putting keys of the own range into home at once (two tables to choose from for each record cost more than
 * moving half of the keys once at the end, measured); leaving the own range in outgoing and merging it with home as the result is read
 * (four times the price of moving it into home, measured).
 *
 * Records larger than a pile takes never step aside: they go through outgoing meanwhile.
 *
 * Accounting: records_in = merged + result_merged + the records of the result, summed over all ranks. The engine verifies it after the run.
 */
#ifndef QN_SHUFFLE_SHUFFLE_H
#define QN_SHUFFLE_SHUFFLE_H

#include "runtime/shuffle/aside.h"
#include "runtime/shuffle/drain.h"
#include "runtime/shuffle/home.h"

typedef struct qn_shuffle_config {
    qn_comm *comm;
    const qn_reducer *reducer; /* borrowed until fini */
    quern_schema schema;       /* of what is inserted */
    uint64_t pool_bytes;       /* tables and piles together */
    size_t round_bytes;
    size_t block_bytes; /* of spilled runs */
    qn_scratch scratch;
    uint64_t aside_bytes_min; /* of keys and values in a table, before records step aside of it; 0: chosen. For tests */
} qn_shuffle_config;

typedef struct qn_shuffle_stats {
    uint64_t records_in;    /* inserted by this rank */
    uint64_t records_aside; /* of these, uncombined */
    uint64_t merged;        /* records combined into others in outgoing */
    uint64_t rows_restored; /* into this rank's part */
    uint64_t memory_bytes_peak;
} qn_shuffle_stats;

/* What was seen when the share of the input last doubled. */
typedef struct qn_foresight {
    uint64_t done, key_count;
    double growth;  /* of the keys with that doubling; 0: not seen yet */
    double decline; /* of what each doubling adds, beside what the one before did; 1: not seen yet */
} qn_foresight;

typedef struct qn_shuffle {
    qn_shuffle_config config;
    qn_rounds rounds; /* unused on one rank */
    qn_home home;
    qn_table outgoing; /* unused on one rank */
    bool draining, ended, discarding;
    bool rests;   /* ended, to be reopened */
    bool waiting; /* a record has no room in a chunk now; */
    bool full;    /* and that is full: a round has to start, not to end, for it */
    bool wanting; /* chunks with records are half full: the next round had better start before they are full */
    bool lent;    /* long keys in home have their bytes in outgoing */
    bool filled;  /* the open chunks hold all that they can of outgoing */
    qn_drain drain;
    uint32_t ranges_left;       /* that are not drained yet */
    bool *range_drained;        /* [size] */
    uint64_t home_count_before; /* the drain */
    qn_foresight foresight;
    qn_aside_watch watch;
    qn_layout layout; /* of records that step aside */
    qn_router router;
    qn_shuffle_stats stats;
} qn_shuffle;

/* Bytes that the buffers of a shuffle take besides the pool. */
uint64_t qn_shuffle_buffer_bytes(const qn_comm *comm, size_t round_bytes);

quern_status qn_shuffle_init(qn_shuffle *shuffle, const qn_shuffle_config *config, qn_error *error);
void qn_shuffle_fini(qn_shuffle *shuffle); /* takes a zeroed one */

/* Inserts records [*next, block.count) of the batch; moves *next. Not all went in: the shuffle is blocked; call progress until
 * it is not, then call again. */
quern_status qn_shuffle_insert(qn_shuffle *shuffle, const qn_batch *batch, size_t *next, qn_error *error);

static inline bool qn_shuffle_is_blocked(const qn_shuffle *shuffle)
{
    return shuffle->draining || shuffle->waiting;
}

/* Tells that `done` of `all` tasks of this stage, about equally large, were begun on all ranks: how much more may come, and so how
 * large its tables should become when they grow. */
void qn_shuffle_foresee(qn_shuffle *shuffle, uint64_t done, uint64_t all);

/* No more inserts. */
quern_status qn_shuffle_end(qn_shuffle *shuffle, qn_error *error);
/* No more inserts for now: when the rounds are over, every rank has what is its own of what was inserted so far, which can be saved; then all
 * reopen it, or none. */
quern_status qn_shuffle_rest(qn_shuffle *shuffle, qn_error *error);
void qn_shuffle_reopen(qn_shuffle *shuffle);
/* No more inserts, and all rows are thrown away from now on: the job failed. Rounds go on until they are over. */
void qn_shuffle_discard(qn_shuffle *shuffle);

/* Moves everything on without waiting. *ask_out: a round number to ask the master for, or UINT64_MAX. */
quern_status qn_shuffle_progress(qn_shuffle *shuffle, uint64_t *ask_out, qn_error *error);
/* The master announced this round (UINT64_MAX: all, since the stage ended everywhere). */
void qn_shuffle_announce(qn_shuffle *shuffle, uint64_t round);
/* Every rank has sent and received everything. */
bool qn_shuffle_is_over(const qn_shuffle *shuffle);

/* Gets the result ready to be read. After over, before it is read for the first time. */
quern_status qn_shuffle_finish(qn_shuffle *shuffle, qn_error *error);
/* How it is read: home.h. */
static inline qn_home *qn_shuffle_get_home(qn_shuffle *shuffle)
{
    return &shuffle->home;
}

/* Instead of inserting: a row of a result that was saved, which is passed over unless it is of this rank's range; then the next. */
quern_status qn_shuffle_restore(qn_shuffle *shuffle, const qn_key *key, const uint64_t *value, qn_error *error);
/* That was all: over, without a round. On all ranks or none. */
void qn_shuffle_end_restored(qn_shuffle *shuffle);

/* After over, for a result that is kept: gives back what only making it needed. */
void qn_shuffle_retire(qn_shuffle *shuffle);
/* Memory that a retired result takes, with what reading it needs. */
uint64_t qn_shuffle_get_memory_bytes(const qn_shuffle *shuffle);
/* Writes a retired result to disk, while nobody reads it. Where it has too many runs already it stays as it is. */
quern_status qn_shuffle_shrink(qn_shuffle *shuffle, qn_error *error);

#endif
