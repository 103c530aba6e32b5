/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/result_feed.h: what is on this rank already as blocks of records: its part of a result, of a stored one part after
 * part; or its arrays in memory.
 *
 * Of a collated result, references to where its sorter has them. Of a reduction in order, rows come from a merge, which gives a row only until the next: keys and values are copied. Where nobody asks for an
 * order and the result is a table, they are referred to as they lie there: several times as fast.
 */
#ifndef QN_ENGINE_RESULT_FEED_H
#define QN_ENGINE_RESULT_FEED_H

#include "runtime/data/batch.h"
#include "runtime/io/memory_source.h"
#include "runtime/plan/graph.h"
#include "runtime/shuffle/result.h"

typedef struct qn_result_feed {
    qn_store_reader *stored;  /* of a stored result; then the rest is not used */
    qn_memory_source *memory; /* of arrays; the same */
    qn_sorter *sorter;        /* of a collated one; the same */
    bool has_values;
    qn_home *home;             /* of a reduction */
    bool merged;               /* by a merge; else as tables: */
    qn_table_scan scan;        /* of the present one */
    const qn_reducer *reducer; /* borrowed */
    qn_arena long_keys;
    uint64_t *values;                            /* [QN_BATCH_COUNT_MAX][value_words] */
    uint64_t inline_keys[QN_BATCH_COUNT_MAX][4]; /* 16 bytes and slack */
    const void *key[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    uint32_t value_sizes[QN_BATCH_COUNT_MAX];
} qn_result_feed;

/* Begins at the first record. `source`: the node whose result it is. ordered: a reduction's, by hash and bytes. */
quern_status qn_result_feed_open(qn_result_feed *feed, qn_result *result, const qn_node *source, bool ordered,
                                 qn_error *error);
/* The same of the arrays of a source, which are one part. scattered: as memory_source.h says. */
quern_status qn_result_feed_open_memory(qn_result_feed *feed, const qn_node *source, bool scattered, qn_error *error);
/* Goes to one of the parts that are here (qn_result_get_local_part_count()); returns its place in the order of all. To be called
 * before the first block. */
uint64_t qn_result_feed_begin_part(qn_result_feed *feed, size_t part, uint32_t rank);
/* The next block of the part; count 0 at the end. It lives until the next call. */
quern_status qn_result_feed_next(qn_result_feed *feed, qn_batch *batch_out, qn_error *error);
void qn_result_feed_close(qn_result_feed *feed); /* takes a zeroed one */

#endif
