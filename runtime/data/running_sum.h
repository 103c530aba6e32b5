/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/running_sum.h: the sum of numbers of one type, so far: of integers in 128 bits, of floating-point numbers binned.
 *
 * So it does not depend on the order of the numbers, nor on the parts that were summed up before. Zeros are the sum of nothing, and sums of
 * which all but one are that can be added word by word.
 *
 * Rejected: a reducer for sums (reducer.h), where unsigned ones have 64 bits: a part of a dataset of which nobody wants sums may go beyond.
 */
#ifndef QN_DATA_RUNNING_SUM_H
#define QN_DATA_RUNNING_SUM_H

#include "runtime/data/binned_sum.h"
#include "runtime/data/type.h"

typedef struct qn_running_sum {
    uint64_t words[QN_BINNED_SUM_WORDS];
} qn_running_sum;

/* Add a number of the type, or another sum of such. False: more than QN_BINNED_SUM_COUNT_MAX floating-point numbers; nothing was added. */
bool qn_running_sum_add(qn_running_sum *into, quern_type type, const void *number);
bool qn_running_sum_merge(qn_running_sum *into, quern_type type, const qn_running_sum *from);

/* The bytes of the sum as one of qn_type_of_sums(). False: an integer beyond 64 bits. */
bool qn_running_sum_get(const qn_running_sum *sum, quern_type type, uint64_t *word_out);

#endif
