/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/task_step.h: what attempts at a task are made of, for those that run them (task_run.c, second_run.c, lend_run.c). Inside the gate.
 */
#ifndef QN_ENGINE_TASK_STEP_H
#define QN_ENGINE_TASK_STEP_H

#include "runtime/engine/stage_run.h"

/* Opens the task where the attempt begins, and has it known what this rank works on. */
quern_status qn_task_open(qn_stage_run *run, qn_source *source, const qn_task *task, qn_error *failure);
/* It works on it no longer. */
void qn_task_close(qn_stage_run *run);
/* The next block, or some of them where callbacks run apart. skip: how many records at the end to drop; 0 if it went well. *more_out: there
 * was one. */
quern_status qn_task_step(qn_stage_run *run, qn_source *source, const qn_task *task, uint64_t *skip, bool *more_out,
                          qn_error *failure);
/* Behind the last step: where another attempt goes on. */
qn_resume qn_task_next(const qn_source *source, uint64_t skip);

bool qn_task_is_same_place(const qn_text_place *left, const qn_text_place *right);

/* What a second attempt did before it took over, and counts now. */
typedef struct qn_task_begun {
    bool has_part, is_through; /* its part is open; there is no block left */
    uint64_t source_records;   /* of the leg, before it */
} qn_task_begun;

/* Around an attempt that counts: its part, if it makes one, and what is said of it. begun: of a second attempt that took over; else NULL. */
quern_status qn_task_begin_attempt(qn_stage_run *run, const qn_task *task, const qn_task_begun *begun,
                                   qn_error *failure);
quern_status qn_task_end_attempt(qn_stage_run *run, const qn_source *source, const qn_task *task, qn_error *failure);
/* This rank goes on with it behind what it worked on; if the job dies before, somebody else does. */
void qn_task_park(qn_stage_run *run, const qn_source *source, const qn_task *task, uint64_t skip);
/* An attempt failed: another one somewhere goes on where this one stopped, or the rank is broken. skip: as qn_task_step() left it. */
void qn_task_give_up(qn_stage_run *run, const qn_task *task, const qn_source *source, uint64_t skip, qn_error *failure);

/* One attempt at a piece of a packed file. *skip_out: as qn_task_step() left it. */
quern_status qn_task_run_piece(qn_stage_run *run, qn_source *source, const qn_task *task, uint64_t *skip_out,
                               qn_error *failure);
/* What is left of one that failed. False: it cannot be tried again, and the rank is broken. */
bool qn_task_leave_piece(qn_stage_run *run, const qn_source *source, const qn_task *task, uint64_t skip,
                         qn_resume *resume_out, qn_error *failure);

/* An attempt to its end, from order.resume on. begun: NULL if it is none of the above. */
void qn_task_run(qn_stage_run *run, qn_source *source, const qn_task *task, const qn_task_begun *begun);

#endif
