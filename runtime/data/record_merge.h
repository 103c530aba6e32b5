/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/record_merge.h: several sorted sequences of packed records as one: runs, and sorted entries in memory.
 *
 * A tournament of losers: each record that is taken costs a comparison per level, most of them of two words. A record of a run
 * lives in its reader's block, so before a block is replaced a batch of records ends.
 */
#ifndef QN_DATA_RECORD_MERGE_H
#define QN_DATA_RECORD_MERGE_H

#include "runtime/data/sort_entries.h"
#include "runtime/data/spill.h"

#define QN_RECORD_MERGE_FAN_IN_MAX 64 /* runs */
#define QN_RECORD_MERGE_INPUTS_MAX (QN_RECORD_MERGE_FAN_IN_MAX + 1)

/* Sorted records in memory. */
typedef struct qn_sorted {
    const uint8_t *records;
    const qn_sort_entry *entries;
    size_t count;
    size_t typical_bytes; /* of a record: what is fetched ahead */
} qn_sorted;

typedef struct qn_record_input {
    qn_run_reader reader; /* zeroed: of memory */
    bool of_run;
    const uint8_t *next; /* record in the reader's block */
    uint64_t left_bytes;
    size_t next_entry; /* of memory */
    qn_packed record;  /* the present one */
    bool ended;
} qn_record_input;

typedef struct qn_record_player {
    uint64_t prefix;
    uint32_t input;
} qn_record_player;

typedef struct qn_record_merge {
    const qn_collation *collation;
    qn_sorted memory;
    qn_record_input inputs[QN_RECORD_MERGE_INPUTS_MAX];
    uint32_t input_count;
    qn_record_player losers[QN_RECORD_MERGE_INPUTS_MAX]; /* [0] is the winner */
    bool stalled; /* the winner's record was given, and the next is in another block */
} qn_record_merge;

/* Memory in which runs are read ahead: run_bytes of it for each run, aligned to QN_SPILL_ALIGN_BYTES. Borrowed until close. */
typedef struct qn_merge_room {
    uint8_t *memory;
    size_t run_bytes; /* 0: readers take memory of their own, for a block each */
} qn_merge_room;

/* Begins at the first record. memory: may be NULL; collation and memory are borrowed. On failure nothing is open. */
quern_status qn_record_merge_open(qn_record_merge *merge, const qn_collation *collation, qn_spill *spill,
                                  const qn_run *runs, uint32_t run_count, const qn_sorted *memory, qn_merge_room room,
                                  qn_error *error);
void qn_record_merge_close(qn_record_merge *merge); /* takes a zeroed or closed one */

/* The next up to `max` records in order; they live until the next call. *count_out 0 at the end. */
quern_status qn_record_merge_next(qn_record_merge *merge, qn_packed *records_out, size_t max, size_t *count_out,
                                  qn_error *error);

#endif
