/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/drain.h: the keys of a table on their way to the ranks whose they are.
 *
 * The space of tags is cut into one range per rank. Each range is gone through in small windows, whose order is scattered (the
 * bits of their numbers reversed): where the keys arrive, they then fill a table evenly, as if they came at random, though within a window
 * they come in the order of memory. In plain ascending order they would crowd the front of a table that has yet to grow.
 */
#ifndef QN_SHUFFLE_DRAIN_H
#define QN_SHUFFLE_DRAIN_H

#include "runtime/data/table.h"

/* The range of a rank: the tags t with rank * 2^64 <= t * size < (rank + 1) * 2^64. */
static inline uint64_t qn_range_first(uint32_t rank, uint32_t size)
{
    unsigned __int128 edge = (unsigned __int128)rank << 64;
    return (uint64_t)((edge + size - 1) / size);
}

static inline uint64_t qn_range_last(uint32_t rank, uint32_t size)
{
    return rank + 1 == size ? UINT64_MAX : qn_range_first(rank + 1, size) - 1;
}

typedef struct qn_drain_range {
    uint64_t first, last; /* tags */
    uint64_t window;      /* the number of the present one; the range is at its end when all are done */
    qn_table_scan scan;   /* of the present window */
} qn_drain_range;

typedef struct qn_drain {
    qn_table *table;
    uint32_t size;
    uint32_t window_bits;   /* there are 1 << window_bits windows in a range */
    qn_drain_range *ranges; /* [size] */
} qn_drain;

/* For so many ranks. QUERN_ERROR_NO_MEMORY. */
quern_status qn_drain_init(qn_drain *drain, uint32_t size, qn_error *error);
void qn_drain_fini(qn_drain *drain); /* takes a zeroed one */

/* Begins with a table, which must not change until all ranges are at their ends. */
void qn_drain_start(qn_drain *drain, qn_table *table);

/* The next slots for a rank, up to `max`, as qn_table_scan_take() gives them from drain->ranges[to].scan; 0 at the end. */
size_t qn_drain_take(qn_drain *drain, uint32_t to, const uint64_t **slots_out, size_t max);

/* A range that goes another way counts as done. */
static inline void qn_drain_skip(qn_drain *drain, uint32_t to)
{
    drain->ranges[to].window = UINT64_C(1) << drain->window_bits;
}

/* The part of all windows that is done, from 0 to 1. */
double qn_drain_get_share(const qn_drain *drain);

#endif
