/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/lend_run.h: a task of a packed file, which one rank unpacks and others work on (loans.h): its lender's part and its helpers'.
 *
 *     lender:  source ──► pieces ──► helpers' tasks, or here ──► records, each piece in its turn ──► the stage's end
 *     helper:  piece ──► chain ──► the stage's end, or back with the loan
 */
#ifndef QN_ENGINE_LEND_RUN_H
#define QN_ENGINE_LEND_RUN_H

#include "runtime/engine/stage_run.h"

/* Whether a task is one to be lent. */
bool qn_lending_applies(const qn_stage_run *run, const qn_task *task);
/* Such a task. worker: reads the pieces that are worked on here. is_open: it was parked, and goes on. Inside the gate. */
void qn_lending_run(qn_stage_run *run, qn_source *source, qn_source *worker, const qn_task *task, bool is_open);
/* A piece of another rank's. Inside the gate. */
void qn_lending_help(qn_stage_run *run, qn_source *source, const qn_task *task);

#endif
