/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/memory_source.h: this rank's arrays as blocks of records.
 *
 * There are no tasks: the elements are here and nowhere else. Blocks point into the arrays. Copied, a block at a time, are only values that are
 * not whole words at aligned addresses, keys of floating-point numbers, and the last keys of an array, since key bytes are read
 * QN_SLACK_BYTES past their end.
 */
#ifndef QN_IO_MEMORY_SOURCE_H
#define QN_IO_MEMORY_SOURCE_H

#include "runtime/base/status.h"
#include "runtime/data/batch.h"
#include "runtime/data/memory_arrays.h"

typedef struct qn_memory_source {
    const qn_memory_arrays *arrays; /* borrowed */
    quern_schema schema;
    uint32_t key_size, value_size;
    size_t array; /* of the next block, */
    size_t next;  /* which begins at this element */
    size_t block_array, block_next;
    uint64_t passed;          /* elements of the arrays in front of block_array */
    uint8_t *copied_keys;     /* [QN_BATCH_COUNT_MAX][key_size], and slack */
    uint64_t *aligned_values; /* [QN_BATCH_COUNT_MAX][words of a value]; NULL: no values */
    const void *keys[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *values[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
} qn_memory_source;

/* Begins at the first element. QUERN_ERROR_NO_MEMORY. */
quern_status qn_memory_source_open(qn_memory_source *source, const qn_memory_arrays *arrays, const quern_schema *schema,
                                   qn_error *error);
void qn_memory_source_close(qn_memory_source *source); /* takes a zeroed one */

/* The next block; count 0 at the end. It lives until the next call, and is of one array. */
void qn_memory_source_next(qn_memory_source *source, qn_batch *batch_out);

/* The place of the last block's first record among all elements of this rank. */
uint64_t qn_memory_source_number(const qn_memory_source *source);

#endif
