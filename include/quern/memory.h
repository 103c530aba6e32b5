/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/memory.h: arrays that a program has in memory, each rank its own, as records: analysis where a simulation runs.
 *
 *     double pressure[] = {1.5, 2.5};
 *     uint32_t cell[] = {7, 9};
 *     quern_memory_array here = {.count = 2, .key = cell, .value = pressure};
 *     quern_dataset *state = quern_read_memory(context, (quern_schema){QUERN_U32, QUERN_F64, 0, 0}, &here, 1);
 *     for (int step = 0; step < 100; step++) {
 *         pressure[0] += step;
 *         quern_write_text(quern_reduce_by_key(state, QUERN_MEAN), "means");
 *         if (quern_run(context) != QUERN_OK)
 *             break;
 *     }
 *
 * Who reads. Every rank reads its own arrays, and nobody else does: nothing is sent before the first shuffle, and work is as even as the
 * arrays are. A failed attempt is repeated on the same rank. In messages a record is its element's number, its array and its rank.
 *
 * Order: rank after rank, of a rank array after array, of an array by index. quern_zip_with_index() numbers in this order, and a
 * sample knows a record by its number in it, so that neither changes if the same elements are on other ranks.
 *
 * What is copied. Keys and values are handed on where they stand, but for: values that are not 8-byte aligned or not of whole words (numbers of 4
 * bytes); keys with floating-point numbers, whose bytes may have to change; and the last 16 bytes of an array's keys. These are
 * copied a block (512 records) at a time.
 *
 * Repetition. A dataset of memory is made once and read in every run that asks for it, with whatever the arrays then hold. Datasets
 * are kept until the context ends; outputs until the next is asked for after their run. So a program that makes its datasets before its loop, and
 * in the loop asks for outputs and runs, does not grow. In the example quern_write_text() needs another directory at each step.
 */
#ifndef QUERN_MEMORY_H
#define QUERN_MEMORY_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys and values that stand at equal distances: element i's key at key + i * key_stride, its value at value + i * value_stride. Two
 * arrays, or members of one array of structs, whose size both strides then are. Strides may be less than what they
 * step over: windows that overlap. */
typedef struct quern_memory_array {
    size_t count;        /* of elements; 0: nothing else is looked at */
    const void *key;     /* borrowed until the run that reads it is over, and so is value; needs no alignment */
    size_t key_stride;   /* bytes; 0: as many as a key has */
    const void *value;   /* NULL if the schema has QUERN_NONE */
    size_t value_stride; /* bytes; 0: as many as a value has */
} quern_memory_array;

/* Arrays of this rank as records. Local; every rank must call it, those that have nothing with array_count 0. Lazy: the elements are read by
 * quern_run(). schema: of types of one length: numbers, pairs of numbers, QUERN_FIXED; the same on all ranks. arrays: [array_count],
 * copied; what they point to is borrowed, and must not change, while quern_run() runs; between runs it may. Numbers are in
 * the machine's order. QUERN_ERROR_INVALID_ARGUMENT: a type that varies in length, key or value NULL where there are
 * elements, a value without a type, or more bytes than there are addresses. NULL on failure. Since 0.1. Read next: docs/howto/read-memory.md. */
QUERN_API quern_dataset *quern_read_memory(quern_context *context, quern_schema schema,
                                           const quern_memory_array *arrays, size_t array_count);

/* Gives a dataset of quern_read_memory() other arrays from the next run on: where they moved, or are longer or shorter. Local: ranks
 * whose arrays stay need not call it. Not inside a callback. Copies arrays; borrows what they point to, as above. On failure
 * the old ones stay, and the next quern_run() fails. QUERN_ERROR_INVALID_ARGUMENT: as above, or the dataset is none of memory.
 * QUERN_ERROR_NO_MEMORY. Since 0.1. */
QUERN_API quern_status quern_renew_memory(quern_dataset *dataset, const quern_memory_array *arrays, size_t array_count);

#ifdef __cplusplus
}
#endif
#endif
