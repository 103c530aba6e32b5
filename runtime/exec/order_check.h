/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/order_check.h: whether a comparison of the user's is an order: the option check.
 *
 * Ranks sort apart and merge, and cut the order at a sample; so a comparison that is no order gives another sequence on another number of
 * ranks, or loses records of a group. Records that arrive at the end of a stage are looked at before they are collated. Of each block a
 * few are added to a sample of 16, where they replace others at random; then all of the sample are compared with each other, twice, and the
 * laws are looked for in the outcomes: equal arguments give equal outcomes; each is equal to itself; what is before another has it
 * behind; of three, what is not behind the second is not behind the third; and nothing is changed.
 *
 * Keys of a sort are compared with any others. Values of groups only with those of one key, since a program may give those of another key
 * another meaning: the values of some keys are followed, up to 8 of each at a time.
 *
 * Which are chosen is a function of the block's bytes: what was found once is found again, on any number of ranks.
 */
#ifndef QN_EXEC_ORDER_CHECK_H
#define QN_EXEC_ORDER_CHECK_H

#include "runtime/data/batch.h"
#include "runtime/plan/graph.h"

typedef struct qn_order_check qn_order_check;

/* Whether the node collates by a comparison of the user's. */
bool qn_order_check_applies(const qn_node *node);
/* collate, and name, of the operator that the user knows: borrowed until destroyed. NULL: no memory. */
qn_order_check *qn_order_check_create(const qn_node *collate, const char *name);
void qn_order_check_destroy(qn_order_check *check); /* takes NULL */

/* Looks at records that will be collated. QUERN_ERROR_CHECK names the operator, the law and the records that break it; *origin_out is then
 * the source record of the last that was added to the sample. */
quern_status qn_order_check_take(qn_order_check *check, const qn_batch *batch, uint32_t *origin_out, qn_error *error);

#endif
