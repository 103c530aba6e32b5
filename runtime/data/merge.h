/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/merge.h: several sorted sources of rows as one, equal keys reduced to one.
 *
 * Sources are spilled runs and a table, or the tables that piles of records become. The source whose row was given last stays where it is until the next
 * call, so keys and values are never copied on their way.
 */
#ifndef QN_DATA_MERGE_H
#define QN_DATA_MERGE_H

#include "runtime/data/record_piles.h"
#include "runtime/data/spill.h"
#include "runtime/data/table.h"

#define QN_MERGE_FAN_IN_MAX  64 /* runs that one merge reads */
#define QN_MERGE_WRITES_MAX  (QN_MERGE_FAN_IN_MAX - QN_SPILL_WRITER_BLOCKS)
#define QN_MERGE_SOURCES_MAX (QN_MERGE_FAN_IN_MAX + 1)

typedef struct qn_merge_source {
    qn_key key;
    const uint64_t *value;
    qn_run_reader reader;   /* of a run; not open for a table */
    qn_table_cursor cursor; /* of a table */
    qn_piles_reader *piles; /* that give one table after the other; NULL: there is only that */
} qn_merge_source;

typedef struct qn_merge {
    const qn_reducer *reducer;
    uint32_t run_count;
    uint8_t *memory; /* of the readers */
    size_t memory_bytes;
    bool has_piles;
    bool resting; /* heap[0] was given and has to move on */
    uint32_t heap_count;
    uint32_t source_count;
    uint64_t merged_count; /* rows that were reduced into another */
    uint64_t accumulator[QUERN_FIXED_BYTES_MAX / 8];
    qn_merge_source sources[QN_MERGE_SOURCES_MAX];
    uint32_t heap[QN_MERGE_SOURCES_MAX]; /* indices of sources, smallest key first */
} qn_merge;

/* Starts on runs, up to QN_MERGE_FAN_IN_MAX, and a table (NULL: none) or what piles give (NULL: none), all borrowed until close. Its readers and a writer of the same
 * spill take QN_MERGE_FAN_IN_MAX times its block_bytes together; with more than QN_MERGE_WRITES_MAX runs, the readers alone. */
quern_status qn_merge_open(qn_merge *merge, const qn_reducer *reducer, qn_spill *spill, const qn_run *runs,
                           uint32_t run_count, qn_table *table, qn_piles_reader *piles, qn_error *error);
/* The next key and its reduced value, good until the next call; *key_out NULL at the end. */
quern_status qn_merge_next(qn_merge *merge, const qn_key **key_out, const uint64_t **value_out, qn_error *error);
void qn_merge_close(qn_merge *merge); /* takes a zeroed one */

/* Whether the bytes of long keys stay where they are until the merge is closed: there is only a table. */
static inline bool qn_merge_is_stable(const qn_merge *merge)
{
    return merge->run_count == 0 && !merge->has_piles;
}

/* Records a reducer's failure: which key, and whether it was an overflow. */
quern_status qn_reducer_failed(const qn_reducer *reducer, const qn_key *key, qn_error *error);

#endif
