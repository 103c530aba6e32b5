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

/* Goes on to the next window of a range; false if there is none. */
bool qn_drain_enter_next(qn_drain *drain, qn_drain_range *range);

/* The next key for a rank, with its value; false at the end. Both stay in place; of a tiny key only the tag is given. */
static inline __attribute__((always_inline)) bool qn_drain_peek(qn_drain *drain, uint32_t to, qn_key *key_out,
                                                                const uint64_t **value_out)
{
    qn_drain_range *range = &drain->ranges[to];
    while (!qn_table_scan_peek(&range->scan, key_out, value_out))
        if (!qn_drain_enter_next(drain, range))
            return false;
    return true;
}

static inline __attribute__((always_inline)) void qn_drain_step(qn_drain *drain, uint32_t to)
{
    qn_table_scan_step(&drain->ranges[to].scan);
    qn_table_scan_fetch(&drain->ranges[to].scan);
}

/* A range that goes another way counts as done. */
static inline void qn_drain_skip(qn_drain *drain, uint32_t to)
{
    drain->ranges[to].window = UINT64_C(1) << drain->window_bits;
}

/* The part of all windows that is done, from 0 to 1. */
double qn_drain_get_share(const qn_drain *drain);

#endif
