/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/shuffle.h: a reduction by key over all ranks, out of core.
 *
 * Intuition. The space of hashes is cut into one range per rank. A rank combines all that it emits in one table, `outgoing`.
 * When that is full, or the stage ends, it is drained: rows of other ranks' ranges go out in rounds and into their table `home`,
 * rows of the own range into home at once. When home is full, it becomes a sorted run on disk. The result is home, or the merge of
 * home and the runs. One budget bounds both tables. On one rank there is only home.
 *
 *     insert ──► outgoing ──► rounds ──► home ──► result
 *                    │                   ▲  │       ▲
 *                    └─── own range ─────┘  └► runs ┘
 *
 * States: MAPPING (inserts allowed) → DRAINING (outgoing is on its way; back to MAPPING when it is empty) → ENDED (no more inserts,
 * outgoing drains, rounds go on until all ranks ended) → result. Inserting never waits; it says BLOCKED and the owner makes
 * progress, which is how a rank never holds others up.
 *
 * Rejected: putting keys of the own range into home at once (two tables to choose from for each record cost more than
 * moving half of the keys once at the end, measured); leaving the own range in outgoing and merging it with home as the result is read
 * (four times the price of moving it into home, measured).
 *
 * Accounting: records_in = merged + result_merged + the records of the result, summed over all ranks. The engine verifies it after the run.
 */
#ifndef QN_SHUFFLE_SHUFFLE_H
#define QN_SHUFFLE_SHUFFLE_H

#include "runtime/data/batch.h"
#include "runtime/data/merge.h"
#include "runtime/shuffle/drain.h"
#include "runtime/shuffle/rounds.h"

typedef struct qn_shuffle_config {
    qn_comm *comm;
    const qn_reducer *reducer; /* borrowed until fini */
    quern_type key_type;
    quern_type value_type; /* of what is inserted */
    uint64_t pool_bytes;   /* both tables together */
    size_t round_bytes;
    size_t block_bytes; /* of spilled runs */
    const char *scratch_dir;
} qn_shuffle_config;

typedef struct qn_shuffle_stats {
    uint64_t records_in;    /* inserted by this rank */
    uint64_t records_owned; /* rows that came home; on one rank, records */
    uint64_t merged;        /* records and rows combined into others, at any place */
    uint64_t result_merged; /* the same in the merge that gives the result, once it was read to its end */
    uint64_t spill_runs;
    uint64_t table_bytes_peak;
} qn_shuffle_stats;

/* What was seen when the share of the input last doubled. */
typedef struct qn_foresight {
    uint64_t done, key_count;
    double growth; /* of the keys with that doubling; 0: not seen yet */
} qn_foresight;

typedef struct qn_shuffle {
    qn_shuffle_config config;
    qn_rounds rounds; /* unused on one rank */
    qn_table home;
    qn_table outgoing; /* unused on one rank */
    qn_spill spill;
    qn_run runs[QN_MERGE_FAN_IN_MAX];
    uint32_t run_count;
    bool draining, ended, discarding;
    bool lent;   /* long keys in home have their bytes in outgoing */
    bool filled; /* the open chunks hold all that they can */
    qn_drain drain;
    uint32_t ranges_left;       /* that are not drained yet */
    bool *range_drained;        /* [size] */
    uint64_t home_count_before; /* the drain */
    qn_foresight foresight;
    qn_shuffle_stats stats;
    qn_merge merge; /* the result in order */
    bool merge_open;
} qn_shuffle;

/* Bytes that the buffers of a shuffle take besides the pool. */
uint64_t qn_shuffle_buffer_bytes(const qn_comm *comm, size_t round_bytes);

quern_status qn_shuffle_init(qn_shuffle *shuffle, const qn_shuffle_config *config, qn_error *error);
void qn_shuffle_fini(qn_shuffle *shuffle); /* takes a zeroed one */

/* Inserts records [*next, block.count) of the batch; moves *next. Not all went in: the shuffle is draining; call progress until
 * it is not, then call again. */
quern_status qn_shuffle_insert(qn_shuffle *shuffle, const qn_batch *batch, size_t *next, qn_error *error);

static inline bool qn_shuffle_is_blocked(const qn_shuffle *shuffle)
{
    return shuffle->draining;
}

/* Tells that `done` of `all` tasks of this stage, about equally large, were begun on all ranks: how much more may come, and so how
 * large its tables should become when they grow. */
void qn_shuffle_foresee(qn_shuffle *shuffle, uint64_t done, uint64_t all);

/* No more inserts. */
quern_status qn_shuffle_end(qn_shuffle *shuffle, qn_error *error);
/* No more inserts, and all rows are thrown away from now on: the job failed. Rounds go on until they are over. */
void qn_shuffle_discard(qn_shuffle *shuffle);

/* Moves everything on without waiting. *ask_out: a round number to ask the master for, or UINT64_MAX. */
quern_status qn_shuffle_progress(qn_shuffle *shuffle, uint64_t *ask_out, qn_error *error);
/* The master announced this round (UINT64_MAX: all, since the stage ended everywhere). */
void qn_shuffle_announce(qn_shuffle *shuffle, uint64_t round);
/* Every rank has sent and received everything. */
bool qn_shuffle_is_over(const qn_shuffle *shuffle);

/* Starts (again) at the first record of this rank's result. After over. */
quern_status qn_shuffle_result_open(qn_shuffle *shuffle, qn_error *error);
/* The next record of the result in the order (hash, bytes); *key_out NULL at the end. Good until the next call. */
quern_status qn_shuffle_result_next(qn_shuffle *shuffle, const qn_key **key_out, const uint64_t **value_out,
                                    qn_error *error);

/* After over, for a result that is kept: gives back what only making it needed. */
void qn_shuffle_retire(qn_shuffle *shuffle);
/* Memory that a retired result takes, with what reading it needs. */
uint64_t qn_shuffle_get_memory_bytes(const qn_shuffle *shuffle);
/* Writes a retired result to disk, while nobody reads it. Where it has too many runs already it stays as it is. */
quern_status qn_shuffle_shrink(qn_shuffle *shuffle, qn_error *error);

/* Whether the whole result is in a table: who needs no order goes through that instead. */
static inline bool qn_shuffle_result_is_table(const qn_shuffle *shuffle)
{
    return shuffle->run_count == 0;
}

#endif
