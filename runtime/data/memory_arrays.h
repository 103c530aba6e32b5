/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/memory_arrays.h: the arrays of this rank that a source reads, in memory of the user's.
 */
#ifndef QN_DATA_MEMORY_ARRAYS_H
#define QN_DATA_MEMORY_ARRAYS_H

#include <quern/memory.h>
#include <stdint.h>

typedef struct qn_memory_arrays {
    quern_memory_array *items; /* [count]; of those that have elements no stride is 0 */
    size_t count, capacity;
} qn_memory_arrays;

static inline uint64_t qn_memory_arrays_count_elements(const qn_memory_arrays *arrays)
{
    uint64_t count = 0;
    for (size_t i = 0; i < arrays->count; i++)
        count += arrays->items[i].count;
    return count;
}

#endif
