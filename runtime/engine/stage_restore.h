/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/stage_restore.h: what a checkpoint has of a collated result, into a new one: each rank reads a share of the files, and inserts
 * their records as if it had emitted them, in the rounds of the stage.
 */
#ifndef QN_ENGINE_STAGE_RESTORE_H
#define QN_ENGINE_STAGE_RESTORE_H

#include "runtime/engine/stage_run.h"

/* Before the agent starts: the cuts will be made of the samples in the files. Local. */
quern_status qn_stage_expect_saved(qn_stage_run *run, qn_error *error);
/* Before the tasks: the records; then the master is told that this rank is through. Inside the gate. */
void qn_stage_restore_saved(qn_stage_run *run);
/* A new result of which all is saved. Collective. */
quern_status qn_stage_restore_result(qn_engine *engine, const qn_stages *stages, uint32_t index, qn_result *into,
                                     qn_error *error);

#endif
