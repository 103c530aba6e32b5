/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/task_run.h: the tasks of a stage on one rank: those that the master hands out, and pieces of other ranks' (loans.h).
 *
 *     task ──► source ──► chain ──► the stage's end
 *     packed task ──► pieces ──► helpers' tasks, or here
 */
#ifndef QN_ENGINE_TASK_RUN_H
#define QN_ENGINE_TASK_RUN_H

#include "runtime/engine/stage_run.h"

/* Until the master says that the stage has no more, or the job failed. Inside the gate. */
void qn_tasks_run(qn_stage_run *run);
/* The stage will not go on. */
void qn_tasks_end(qn_stage_run *run);

#endif
