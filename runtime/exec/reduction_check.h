/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/reduction_check.h: whether a reduction of the user's keeps what it promises: the option check.
 *
 * Records that arrive at the end of a stage are looked at before they are reduced. A sample of their keys is followed: of each, values are
 * kept until there are three, and on these the laws are tried: nothing but the accumulator is changed; equal arguments give
 * equal results; a·b = b·a; (a·b)·c = a·(b·c); and for an aggregation also that accumulating is without order, and equal to merging. Then
 * the three become one accumulator, which takes part in the trials of the next three, so that large accumulators meet values too. After
 * some rounds another key is followed.
 *
 * Only values of one key are combined with each other: a reduction need not make sense of others. So a law is tried only for keys
 * that come at least twice on a rank.
 *
 * Results are compared byte by byte: the values, or, of an aggregation that is finished, what finish makes of them.
 *
 * What fails on both sides of a law is equal. It fails the job where it is reduced.
 *
 * Also gives the records in shuffled order, since their order has no meaning for any reduction.
 */
#ifndef QN_EXEC_REDUCTION_CHECK_H
#define QN_EXEC_REDUCTION_CHECK_H

#include "runtime/data/batch.h"
#include "runtime/plan/graph.h"

typedef struct qn_reduction_check qn_reduction_check;

/* reduce: borrowed until destroyed. NULL: no memory. */
qn_reduction_check *qn_reduction_check_create(const qn_node *reduce);
void qn_reduction_check_destroy(qn_reduction_check *check); /* takes NULL */

/* Looks at records that will be reduced. QUERN_ERROR_CHECK names the reduction, the law and the key; *origin_out is then the source record
 * of the last value that took part. */
quern_status qn_reduction_check_take(qn_reduction_check *check, const qn_batch *batch, uint32_t *origin_out,
                                     qn_error *error);

/* The same records in an order that their keys decide. Borrows the batch; good until the next call. */
const qn_batch *qn_reduction_check_shuffle(qn_reduction_check *check, const qn_batch *batch);

#endif
