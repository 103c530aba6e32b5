/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/memory_source.h: this rank's arrays as blocks of records.
 *
 * There are no tasks: the elements are here and nowhere else. Blocks point into the arrays. Copied, a block at a time, are only values that are
 * not whole words at aligned addresses, keys of floating-point numbers, and the last keys of an array, since key bytes are read
 * QN_SLACK_BYTES past their end.
 *
 * Where what is read first decides how records are divided among ranks, stretches of the arrays come scattered over all of them, as tasks
 * do (task_list.h): arrays that are in order would else be a sample of their begin.
 */
#ifndef QN_IO_MEMORY_SOURCE_H
#define QN_IO_MEMORY_SOURCE_H

#include "runtime/base/status.h"
#include "runtime/data/batch.h"
#include "runtime/data/memory_arrays.h"

/* What is in front of an array. */
typedef struct qn_memory_begin {
    uint64_t stretches, elements;
} qn_memory_begin;

typedef struct qn_memory_source {
    const qn_memory_arrays *arrays; /* borrowed */
    quern_schema schema;
    uint32_t key_size, value_size;
    qn_memory_begin *begins;   /* [count + 1] of the arrays */
    uint64_t stretch_elements; /* UINT64_MAX: an array is one stretch */
    uint64_t turn;             /* of the next stretch */
    uint32_t turn_bits;        /* 2^turn_bits turns; 0: stretches in order */
    size_t array;              /* of the next block, */
    size_t next, end;          /* which begins at this element, within the stretch up to here */
    size_t block_array, block_next;
    uint8_t *copied_keys;     /* [QN_BATCH_COUNT_MAX][key_size], and slack */
    uint64_t *aligned_values; /* [QN_BATCH_COUNT_MAX][words of a value]; NULL: no values */
    const void *keys[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *values[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
} qn_memory_source;

/* Begins at the first element; or goes through all, scattered. QUERN_ERROR_NO_MEMORY. */
quern_status qn_memory_source_open(qn_memory_source *source, const qn_memory_arrays *arrays, const quern_schema *schema,
                                   bool scattered, qn_error *error);
void qn_memory_source_close(qn_memory_source *source); /* takes a zeroed one */

/* The next block; count 0 at the end. It lives until the next call, and is of one array. */
void qn_memory_source_next(qn_memory_source *source, qn_batch *batch_out);

/* The place of the last block's first record among all elements of this rank. */
uint64_t qn_memory_source_number(const qn_memory_source *source);

#endif
