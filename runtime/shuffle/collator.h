/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/collator.h: all records of all ranks in one order, out of core: each rank gets a stretch of it, sorted.
 *
 * Intuition. Which stretch a rank gets is decided by a sample (splitters.h), and until that is there a rank holds its records back. So
 * the first round carries samples and nothing else: it takes place when some rank has held all that it may, or at the stage's
 * end. From then on records are routed as they come: into the chunk of the rank that they belong to, or into the own sorter.
 *
 *     insert ──► held ──┐ (until the cuts are known)
 *        └──────────────┴──► rounds ──► sorter ──► result
 *                       └── own stretch ──┘
 *
 * A collator may be given the cuts of another one with the same order of keys, which is read beside it: then there are no samples, each key
 * is whole on the rank where the other has it, and nothing is held back.
 *
 * Resting. What a rank has may be saved while not all is inserted: all ranks rest, the rounds go on until they are over, and everything inserted is
 * in a sorter, or, where no round has taken place on any rank, still held. Each record is in one rank's pieces (pieces.h): of copies the first
 * rank's is saved. What was saved is restored by ranks that may be fewer or more as if it had been emitted by them, but with the sample that was saved
 * with it, which the cuts are made of at once: pieces are stretches of an order, and the first of their records are no sample. When all is restored
 * they may rest, and keep it: then the files that it is from go on to be its files, whatever ranks have its records now.
 *
 * Accounting: records_in + restored + copies = records of the result, summed over all ranks. Copies are of a join's inner records, whose
 * key several ranks have.
 */
#ifndef QN_SHUFFLE_COLLATOR_H
#define QN_SHUFFLE_COLLATOR_H

#include "runtime/data/batch.h"
#include "runtime/data/sorter.h"
#include "runtime/shuffle/pieces.h"
#include "runtime/shuffle/rounds.h"
#include "runtime/shuffle/splitters.h"

typedef struct qn_collator_config {
    qn_comm *comm;
    qn_collation collation;
    qn_division division;
    uint32_t outer_input; /* of two: the records of the other one are the inner side */
    const struct qn_collator
        *like;           /* whose cuts these are too: over, and between keys. Borrowed until fini. NULL: none */
    uint64_t pool_bytes; /* held and sorted records together */
    size_t round_bytes;
    size_t block_bytes; /* of spilled runs */
    qn_scratch scratch;
} qn_collator_config;

typedef struct qn_collator {
    qn_collator_config config;
    qn_rounds rounds; /* unused on one rank */
    qn_sorter *sorter;
    qn_splitters splitters;
    uint8_t *held; /* packed records that wait for the cuts, or for room */
    uint64_t held_bytes, held_bytes_max;
    uint64_t held_count;
    uint64_t routed_bytes;   /* of the held ones, done */
    qn_rank_sample *samples; /* [size], owned */
    qn_rounds_chunk *chunks; /* [size] of the next round, while chunks_open */
    bool chunks_open;
    bool chunks_away; /* when there was no room, the next round's chunks were on their way in an earlier one */
    size_t half_chunk_bytes;
    bool sampled;            /* the round of samples has begun */
    bool divided;            /* the cuts are known */
    bool waiting;            /* a record waits for room */
    uint64_t waits_since_ns; /* for a round; 0: it does not */
    bool filling; /* a chunk is half full: the next round had better be announced by the time that it is full */
    bool ended, discarding, sorted, retired;
    bool under_way;              /* the record that waits is: */
    qn_packed moving;            /* this one; borrows from whoever gave it */
    uint32_t to_rank, last_rank; /* it has yet to go to these */
    bool lined;                  /* the line holds it */
    uint8_t *line;               /* a packed record on its way into the sorter, or a large one that waits */
    uint64_t line_bytes_max;
    uint64_t records_in, copies;
    uint64_t task_first_record; /* of records_in, those before the present task; of which */
    uint64_t task_done_bytes, task_bytes;
    bool rests;              /* ended, to be reopened */
    qn_pieces *pieces;       /* what is saved, from the first time on; owned */
    bool pieces_are_held;    /* they are of held records, which will be in other ranks' pieces */
    bool holds_sample;       /* what is held is a sample of what is to be restored, not records */
    uint64_t expected_count; /* that it stands for */
    uint64_t restored;       /* records */
    qn_sorter_saver saver;
} qn_collator;

quern_status qn_collator_init(qn_collator *collator, const qn_collator_config *config, qn_error *error);
void qn_collator_fini(qn_collator *collator); /* takes a zeroed one */

/* Inserts records [*next, block.count) of the batch of an input, 0 or 1; moves *next. Not all went in: make progress, and call
 * again with the same batch. */
quern_status qn_collator_insert(qn_collator *collator, const qn_batch *batch, uint32_t input, size_t *next,
                                qn_error *error);
/* The task whose records are inserted has so many bytes, of which so many are through; done 0: it begins. A sample stands for what is to come
 * of it, too: where tasks are few, a small one that is through would count for more than a large one that has just begun. */
void qn_collator_note_task(qn_collator *collator, uint64_t done_bytes, uint64_t task_bytes);
/* No more inserts. */
quern_status qn_collator_end(qn_collator *collator, qn_error *error);
/* No more inserts for now: when it is over, what every rank has can be saved, and then all reopen it, or none. has_rounds false: no round has
 * taken place on any rank, and none does. Not of one with the cuts of another. */
void qn_collator_rest(qn_collator *collator, bool has_rounds);
void qn_collator_reopen(qn_collator *collator);
/* The end, or the rest, and all is thrown away from now on: the job failed. Rounds go on until they are over. */
void qn_collator_discard(qn_collator *collator);
/* As qn_shuffle_progress() and so on. */
quern_status qn_collator_progress(qn_collator *collator, uint64_t *ask_out, qn_error *error);
void qn_collator_announce(qn_collator *collator, uint64_t round);
bool qn_collator_is_over(const qn_collator *collator);

/* After over, before it is read: saves what came to this rank since the last time. The file is made by the first call. Errors as qn_pieces_create() and
 * qn_sorter_save(): those before stay as they are. */
quern_status qn_collator_save(qn_collator *collator, const char *path, qn_saved *saved_out, qn_error *error);
/* The same of one that was restored, and into which nothing else was inserted: what it has counts as saved, in the files that it is from, and only what
 * comes from now on is saved in this one. */
quern_status qn_collator_keep(qn_collator *collator, const char *path, qn_error *error);
/* About what saving would write now. */
uint64_t qn_collator_get_unsaved_bytes(const qn_collator *collator);

/* Before anything is inserted: this rank will restore so many records, of which `bytes` bytes of packed records are a sample. Can be said several
 * times, of samples that stand for as many records each. */
void qn_collator_expect(qn_collator *collator, const uint8_t *sample, uint64_t bytes, uint64_t record_count);
/* How much sample it can hold. */
uint64_t qn_collator_get_expected_bytes_max(const qn_collator *collator);
/* Inserts packed records that were saved, [*at, bytes); moves *at. Not all went in: as qn_collator_insert(). */
quern_status qn_collator_restore(qn_collator *collator, const uint8_t *packed, uint64_t bytes, uint64_t *at,
                                 qn_error *error);

/* Sorts, if that is not done yet. After over. */
quern_status qn_collator_sort(qn_collator *collator, qn_error *error);
/* When it is sorted: whether processes that are forked from now on can read this rank's result, from a rewind of their own on: as
 * qn_sorter_share(). */
void qn_collator_share(qn_collator *collator, bool with_children);
/* Sorts, if need be, and starts (again) at the first record of this rank's result: it is read with
 * qn_sorter_next(). After over. */
quern_status qn_collator_rewind(qn_collator *collator, qn_error *error);

/* After over, of one that is divided between keys: gives back what only making it needed. QUERN_ERROR_NO_MEMORY: nothing is lost. */
quern_status qn_collator_retire(qn_collator *collator, qn_error *error);
/* Memory that a retired one takes. */
uint64_t qn_collator_get_memory_bytes(const qn_collator *collator);
/* Writes a retired one to disk, while nobody reads it. QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY. */
quern_status qn_collator_shrink(qn_collator *collator, qn_error *error);

#endif
