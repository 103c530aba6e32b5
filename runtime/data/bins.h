/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/bins.h: which bin of a histogram a value falls into.
 *
 * Integers are not made floating-point numbers, which could not tell large ones apart: a bound is compared with an integer
 * exactly.
 */
#ifndef QN_DATA_BINS_H
#define QN_DATA_BINS_H

#include <quern/types.h>
#include <stdbool.h>

typedef struct qn_bins {
    quern_type type;      /* of the values */
    const double *bounds; /* [bound_count], ascending, all different */
    size_t bound_count;
} qn_bins;

/* Whether values of the type have a place among numbers. */
bool qn_bins_take(quern_type type);

/* How many bounds are not above the value: 0 below the first one, bound_count at or above the last. */
uint64_t qn_bins_find(const qn_bins *bins, quern_span value);

#endif
