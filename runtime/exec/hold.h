/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/hold.h: a block's records held back at the end of a chain until the whole block went through.
 *
 * For chains whose failing records are to be left out: of these nothing may be at the end, and what is there cannot be taken back. So a block
 * is delivered whole or not at all, and a failed one can be tried record by record. What is held is bounded. A block that gives more is
 * a trial from there on: what it gives goes nowhere; and if it succeeds it is run again and delivered as it comes, as a chain without this does,
 * since equal input gives equal records. Only if it then fails, where it had succeeded, is it too late to leave a record out.
 */
#ifndef QN_EXEC_HOLD_H
#define QN_EXEC_HOLD_H

#include "runtime/base/status.h"
#include "runtime/data/batch.h"

struct qn_chain;

typedef struct qn_hold qn_hold;

/* bytes_max: of records, together. NULL: no memory. */
qn_hold *qn_hold_create(uint64_t bytes_max);
void qn_hold_destroy(qn_hold *hold); /* takes NULL */

/* Whether records that arrive at the end stay here; false: they are to go on. */
bool qn_hold_take(qn_hold *hold, const qn_batch *batch);
/* Whether what was run since counts: not if it was a trial. */
bool qn_hold_counts(const qn_hold *hold);

/* As qn_chain_run() of a chain that has a hold; then chain->delivered is 0 after a failure, but for the one named above. */
quern_status qn_hold_run(struct qn_chain *chain, const qn_batch *batch, uint64_t skip, qn_error *error);

#endif
