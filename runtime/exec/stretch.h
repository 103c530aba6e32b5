/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/stretch.h: operators that give at the end of a stretch of blocks what they give of it (quern_flat_map_stretch()).
 *
 * With such an operator a chain has two more moments than its blocks: a stretch begins, and it ends. Until it ends nothing is at the chain's
 * end. So a stretch that failed before is taken again from its begin, as one that never was; none of what chain.h says of blocks and of
 * records that were delivered applies, and what callbacks give may differ from one attempt to the next.
 *
 * Whoever has blocks decides where a stretch ends: where a task does, or where it is left. Rejected: to hold back what such operators emit as
 * they go. A copy of all of it would have to be kept here, in memory or in scratch, where the operators know better: who sorts and combines has it
 * already.
 */
#ifndef QN_EXEC_STRETCH_H
#define QN_EXEC_STRETCH_H

#include "runtime/exec/chain.h"

struct qn_operator;

/* Of a chain that has stretches; of others nothing is to be called. On failure see callback_failed of the chain. */
quern_status qn_stretch_begin(qn_chain *chain, const quern_stretch *stretch, qn_error *error);
/* What the operators give arrives at the end. On failure, chain->delivered records are there already. */
quern_status qn_stretch_end(qn_chain *chain, qn_error *error);
/* Where there will be no end. Nothing where there was one, or no begin. */
void qn_stretch_drop(qn_chain *chain);

/* The failure of an operator that did not wait for the end: where its records are now is unknown, so it is not tried again. */
quern_status qn_stretch_emitted_early(const struct qn_operator *op);

#endif
