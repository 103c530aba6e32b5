/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/result.h: what a stage ends in and later stages read, whatever kind it is.
 *
 * Records arrive on a rank and end up on the rank where they belong; the stage is over when that is true everywhere. Then each
 * rank has its part of the result, and reads it as often as it likes. A stored result
 * exchanges nothing: records stay on the rank that made them, in parts (qn_result_get_store()); of what follows only destroying,
 * reading and keeping is for it.
 */
#ifndef QN_SHUFFLE_RESULT_H
#define QN_SHUFFLE_RESULT_H

#include "runtime/data/store.h"
#include "runtime/shuffle/collator.h"
#include "runtime/shuffle/saved.h"
#include "runtime/shuffle/shuffle.h"

typedef enum qn_result_kind {
    QN_RESULT_REDUCED,  /* equal keys are one */
    QN_RESULT_COLLATED, /* all records, in an order */
    QN_RESULT_STORED,   /* as they came, in parts */
} qn_result_kind;

typedef struct qn_result {
    qn_result_kind kind;
    qn_shuffle *reduced; /* one of these three; owned */
    qn_collator *collated;
    qn_store *stored;
    uint64_t part_count;         /* of a stored one, on all ranks together; set by its stage */
    uint64_t all_in, all_merged; /* records_in and merged of all ranks; set when the stage is reported */
    /* Of a collated one: the other side of a join, kept in order and cut at the same keys, to be read beside it. Borrowed; NULL: both
     * sides are in one. */
    struct qn_result *beside;
    uint32_t beside_side; /* as QN_SIDE_INNER says */
} qn_result;

/* What the balance of records is checked with, and what the report shows. */
typedef struct qn_result_stats {
    uint64_t records_in; /* inserted by this rank */
    uint64_t restored;   /* rows of this rank's part that an earlier attempt at the job had made; not of the former */
    uint64_t copies;     /* made of these */
    uint64_t records_owned; /* that came to this rank's part; of a reduction, after combining where they were */
    uint64_t merged;        /* of all these and of rows of other ranks, combined into others */
    uint64_t result_merged; /* the same as the result was read last */
    uint64_t spill_runs;
    uint64_t spilled_bytes;
    uint64_t memory_bytes_peak;
} qn_result_stats;

quern_status qn_result_create_reduced(qn_result **result_out, const qn_shuffle_config *config, qn_error *error);
quern_status qn_result_create_collated(qn_result **result_out, const qn_collator_config *config, qn_error *error);
quern_status qn_result_create_stored(qn_result **result_out, const qn_store_config *config, qn_error *error);
void qn_result_destroy(qn_result *result); /* takes NULL */

/* The store of a stored result; NULL for others. Borrowed. */
qn_store *qn_result_get_store(qn_result *result);
/* Into how many parts the order of its records is cut: those of all ranks together, and those that are here. */
uint64_t qn_result_get_part_count(const qn_result *result, uint32_t rank_count);
size_t qn_result_get_local_part_count(const qn_result *result);

/* How many records whoever reads the part of this rank gets; of a reduction that was spilled some more, which are combined then. */
uint64_t qn_result_get_record_count(const qn_result *result);

/* For a result that outlives its run: gives back what only making it needed. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_SCRATCH. */
quern_status qn_result_retire(qn_result *result, qn_error *error);
/* Memory that a retired result takes. */
uint64_t qn_result_get_memory_bytes(const qn_result *result);
/* What it has in scratch. */
uint64_t qn_result_get_scratch_bytes(const qn_result *result);
/* Writes of a retired result to disk what takes more than bytes_max, while nobody reads it. QUERN_ERROR_SCRATCH,
 * QUERN_ERROR_NO_MEMORY. */
quern_status qn_result_shrink(qn_result *result, uint64_t bytes_max, qn_error *error);

/* Inserts records [*next, block.count) of the batch as those of a side; moves *next. Not all went in: make progress, and call again. */
quern_status qn_result_insert(qn_result *result, const qn_batch *batch, uint32_t side, size_t *next, qn_error *error);
/* `done` of `all` tasks of about equal size were begun: how much more may come. */
void qn_result_foresee(qn_result *result, uint64_t done, uint64_t all);
/* The task whose records come now has so many bytes, of which so many are through; done 0: it begins. */
void qn_result_note_task(qn_result *result, uint64_t done_bytes, uint64_t task_bytes);
/* No more records of this rank. */
quern_status qn_result_end(qn_result *result, qn_error *error);
/* No more for now: when it is over what every rank has can be saved, and then all reopen it, or none. has_rounds false, of a collated one: no round has
 * taken place on any rank. Not of a stored one. */
quern_status qn_result_rest(qn_result *result, bool has_rounds, qn_error *error);
void qn_result_reopen(qn_result *result);
/* The end, or the rest, and all is thrown away from now on: the job failed. */
void qn_result_discard(qn_result *result);

/* Moves everything on without waiting. *ask_out: a round number to ask the master for, or UINT64_MAX. */
quern_status qn_result_progress(qn_result *result, uint64_t *ask_out, qn_error *error);
/* The master announced this round (UINT64_MAX: all, since the stage ended everywhere). */
void qn_result_announce(qn_result *result, uint64_t round);
/* Every rank has sent and received everything. */
bool qn_result_is_over(const qn_result *result);

/* Writes what this rank has of a result that is over to a new file, 0600, and syncs it; of a collated one, from the second time on, adds to that file
 * what came since. Errors as qn_saved_write() and qn_collator_save(). */
quern_status qn_result_save(qn_result *result, const char *path, qn_saved *saved_out, qn_error *error);
/* About what that would write now. */
uint64_t qn_result_get_saved_bytes(const qn_result *result);

/* The rounds, for their figures. */
const qn_rounds *qn_result_get_rounds(const qn_result *result);
qn_result_stats qn_result_get_stats(const qn_result *result);

#endif
