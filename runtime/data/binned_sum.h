/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/binned_sum.h: sums of doubles that do not depend on the order in which they are added.
 *
 * Intuition. Every finite double is an integer times 2^-1074. Cut such integers at fixed places into digits of 26 bits: a double is then at
 * most three digits next to each other, since 53 bits begin at one of 26 places in the lowest of them. The accumulator
 * holds four columns, which are sums of digits, each a signed word without carry from one to the next. The
 * highest column is that of the highest digit of the largest value so far; when a larger one comes, the columns move
 * down and the lowest are lost. Digits below the lowest column are not added.
 *
 * Why the order does not matter. Let B be the lowest digit of the value with the highest one, over all values that an
 * accumulator has seen, and column i the place B - 1 + i. Claim: column i is the sum of the digits of all values at its
 * place; so the accumulator is a function of the set of values, whatever tree of additions made it. By induction: it
 * holds for none and for one. Two accumulators with B >= B' give one with B. What the second lacks below its own columns
 * is below those of the first, too, and above its columns its values have no digits; so its columns, moved down by
 * B - B', are the sums of its values' digits at the places of the first. As nothing is carried, adding column to column gives the sums of
 * the digits of all. With carries this would be false: what is lost with a column could have been carried before, or
 * not, as the order has it. The result is a function of the accumulator, so it does not depend on the order either.
 *
 * Error. For n finite values, the largest in magnitude of which is m, what is not added is less than n * 2^-78 * m in all: the
 * lowest column is 78 bits below the highest bit of m or more. Columns are added without loss, and the sum is
 * rounded once, to the nearest double, ties to even. So where all values are within a factor of 2^26 of each other, or all are integers of a
 * common unit that is not below 2^-78 * m, the sum is the exact one, rounded.
 *
 * Limit. A digit is below 2^26, a column below 2^63: 2^37 values. More are a failure, which their number alone decides.
 *
 * Rejected: one integer with carries (depends on the order, above); columns for all places (81 words for each key);
 * compensated or sorted sums (smaller errors, but other bits for another order).
 */
#ifndef QN_DATA_BINNED_SUM_H
#define QN_DATA_BINNED_SUM_H

#include <stdbool.h>
#include <stdint.h>

#define QN_BINNED_SUM_COLUMNS   4
#define QN_BINNED_SUM_WORDS     (1 + QN_BINNED_SUM_COLUMNS)
#define QN_BINNED_SUM_COUNT_MAX (UINT64_C(1) << 37)

/*
 * An accumulator is QN_BINNED_SUM_WORDS words; zeros are the empty one. The first word has, from the lowest bit on: 38 bits for the number of
 * values; whether NaN, infinity and negative infinity were among them, a bit each; and from bit 48 on B.
 */

/* Adds the double with these bits. False: too many values. */
bool qn_binned_sum_add(uint64_t *into, uint64_t bits);
/* Adds an accumulator to another. False: too many values. */
bool qn_binned_sum_merge(uint64_t *into, const uint64_t *from);

/* The sum. Too large for a double: infinity. Of none, or exactly zero: 0.0. With NaN, or infinities of both signs: NaN. */
double qn_binned_sum_get(const uint64_t *sum);
/* The sum, rounded but of any size, divided by the number of values. Of none: NaN. */
double qn_binned_sum_get_mean(const uint64_t *sum);

#endif
