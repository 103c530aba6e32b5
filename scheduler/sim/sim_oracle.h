/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/sim_oracle.h: judges a scheduler from the outside, by its events and actions alone.
 *
 * Intuition. The oracle is told everything that the scheduler is told and does, keeps books of its own, and
 * compares each step with the policy in scheduler.h. It shares no code and no data with the scheduler; its
 * books are plain (a list of ranks to avoid in each task), because it may be slow where the scheduler may not.
 *
 * Each function returns the rule that was broken as static text, or NULL.
 */
#ifndef QN_SCHEDULER_SIM_SIM_ORACLE_H
#define QN_SCHEDULER_SIM_SIM_ORACLE_H

#include "scheduler/scheduler.h"

typedef struct qn_sim_oracle qn_sim_oracle;

/* Copies what it needs. NULL if memory is short. */
qn_sim_oracle *qn_sim_oracle_create(const qn_sched_config *config);
void qn_sim_oracle_destroy(qn_sim_oracle *oracle);

/* After qn_sched_feed. */
const char *qn_sim_oracle_see_event(qn_sim_oracle *oracle, const qn_sched_event *event, bool accepted);

/* After qn_sched_next gave an action. */
const char *qn_sim_oracle_see_action(qn_sim_oracle *oracle, const qn_sched_action *action);

/* After qn_sched_next gave nothing more: nobody may wait for what he could have. */
const char *qn_sim_oracle_see_rest(const qn_sim_oracle *oracle);

/* As qn_sim_oracle_see_rest, with what needs a walk over all tasks: O(tasks). */
const char *qn_sim_oracle_audit(const qn_sim_oracle *oracle, const qn_sched_counts *counts);

bool qn_sim_oracle_is_concluded(const qn_sim_oracle *oracle);

#endif
