/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/result_legs.h: the legs of a stage that read what is here: results of earlier stages, group by group or as they are, and arrays in memory.
 */
#ifndef QN_ENGINE_RESULT_LEGS_H
#define QN_ENGINE_RESULT_LEGS_H

#include "runtime/engine/stage_run.h"

/* Whether a leg reads its result group by group. */
bool qn_leg_has_groups(const qn_stage *stage, uint32_t leg);
/* The end of a chain that makes groups, a qn_chain_end_fn of a qn_leg_end: what they gave, on to the other operators. Outside the gate. */
quern_status qn_result_legs_end_in_chain(void *end, const qn_batch *batch, qn_error *error);
/* All of them, inside the gate. If there is one, the master waits to hear that they are through. */
void qn_result_legs_run(qn_stage_run *run);

#endif
