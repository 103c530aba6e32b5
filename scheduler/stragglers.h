/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/stragglers.h: which ranks are asked to leave their tasks to others, and which tasks are begun a second time, near the end of a
 * stage. The master's part of stealing and of second attempts (runtime/engine/second_run.h).
 *
 * Intuition. When nothing is pending and ranks have nothing to do, what a rank that is slow still has in hand decides when the stage ends. How long that
 * takes is foreseen by the bytes that the rank got done before; one that is overdue is foreseen to take as long again as it took. What it has not begun it
 * gives back at once. What it works on it gives back at the next border of a block, if the others would have it done in half the time: each record
 * counts once by the rules of retry.md, and nothing is done twice. If it does not answer, another rank begins where the task was last known to be.
 *
 * Where an attempt makes a part (a file, say) there is nothing to go on with: a second attempt makes the part as a whole, and the first one
 * is asked to leave it only when that is made.
 *
 * Pure: no clock, no messages, no allocation: memory is given by the caller once. The master of a real job asks it, and the simulated one of scheduler/sim. What it
 * decides costs a little time if it is wrong, and never a wrong answer.
 *
 * Rejected: ranks that tell how far they are, now and then: messages in every stage for what matters in few; the rank that is asked knows
 * it, and is at the border when it answers.
 */
#ifndef QN_SCHEDULER_STRAGGLERS_H
#define QN_SCHEDULER_STRAGGLERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/scheduler.h"

typedef struct qn_held_task {
    uint32_t task;
    bool is_whole; /* once it is begun it cannot be left: what was unpacked before the place would be unpacked again */
    bool is_asked; /* to leave it */
    bool has_second;
    bool was_refused; /* at refused_ns there was nobody who could take it */
    uint64_t bytes, asked_ns, refused_ns;
} qn_held_task;

typedef struct qn_rank_pace {
    qn_held_task *held; /* [held_count] of [hand_max], as they were given; it works on the first */
    uint32_t held_count;
    uint32_t second;     /* the task whose second it is; UINT32_MAX: none */
    uint32_t second_for; /* the rank that had it in hand when that began */
    uint64_t since_ns;
    uint64_t done_bytes, busy_ns; /* of what it is through with */
} qn_rank_pace;

typedef enum qn_straggler_advice {
    QN_STRAGGLER_NONE,
    QN_STRAGGLER_ASK,    /* the rank to leave the task */
    QN_STRAGGLER_SECOND, /* another rank to begin it, too */
} qn_straggler_advice;

/* Of a look, which goes through all ranks once, at most so many, or one for so many ranks if that is more: looks are the rarer the more ranks there are. */
#define QN_STRAGGLER_FINDINGS_MAX     64
#define QN_STRAGGLER_FINDING_OF_RANKS 8

typedef struct qn_straggler_finding {
    qn_straggler_advice advice;
    uint32_t rank, task;
    uint32_t number; /* in the order of the look */
    uint64_t gain_ns;
} qn_straggler_finding;

typedef struct qn_stragglers {
    qn_rank_pace *ranks; /* [rank_count]; NULL: nobody is asked for anything */
    qn_held_task *hands; /* [rank_count][hand_max] */
    uint32_t rank_count, hand_max;
    bool makes_parts, may_second;
    bool is_eager; /* as soon as a rank has nothing to do, whether it seems to pay or not */
    uint32_t idle_count;
    uint64_t done_bytes, busy_ns, looked_ns;
    qn_straggler_finding *found; /* [found_count] of [found_max], when it looked last, what is worth most first */
    uint32_t found_max, found_count, told_count, seen_count;
    bool has_refused; /* since then */
} qn_stragglers;

typedef struct qn_straggler_config {
    uint32_t rank_count, hand_max; /* hand_max: tasks that a rank has in hand at most */
    bool makes_parts;              /* attempts make parts: they cannot be left to go on elsewhere */
    bool may_second;               /* second attempts may be made */
    bool is_eager;
} qn_straggler_config;

/* Bytes of memory that init needs. */
size_t qn_stragglers_bytes(const qn_straggler_config *config);
/* In `memory` (qn_stragglers_bytes() bytes, aligned for max_align_t; borrowed until the caller is done with it: there is no fini). */
void qn_stragglers_init(qn_stragglers *stragglers, void *memory, const qn_straggler_config *config);

/* All calls but init take one that is zeroed, and do nothing then. */

/* A rank was given a task of which so many bytes are left. */
void qn_stragglers_give(qn_stragglers *stragglers, uint32_t rank, uint32_t task, uint64_t bytes, bool is_whole,
                        uint64_t now_ns);
/* It has it no longer; of the bytes so many are left. */
void qn_stragglers_take(qn_stragglers *stragglers, uint32_t rank, uint32_t task, uint64_t left_bytes, uint64_t now_ns);
/* It begins a second attempt at what the holder has in hand; it ends, as it is dropped or takes over (then it is given the task). */
void qn_stragglers_begin_second(qn_stragglers *stragglers, uint32_t rank, uint32_t holder, uint32_t task);
void qn_stragglers_end_second(qn_stragglers *stragglers, uint32_t rank);

/* Nothing is pending: what is to be done now, one thing at a time; it counts as done. No rank is asked to leave what nobody may take, as the scheduler
 * knows: of tasks that stay on a node, say. */
qn_straggler_advice qn_stragglers_next(qn_stragglers *stragglers, const qn_sched *sched, uint64_t now_ns,
                                       uint32_t *rank_out, uint32_t *task_out);
/* A second attempt could not be begun: it is not done after all, and thought of again after a while. */
void qn_stragglers_refuse_second(qn_stragglers *stragglers, uint32_t rank, uint32_t task, uint64_t now_ns);

typedef struct qn_straggler_order {
    qn_straggler_advice advice;
    uint32_t rank, task, attempt;
    bool unless_begun; /* ASK: of what makes parts, which are lost with what was done of them */
} qn_straggler_order;

/* What the master does: the next thing to do, of which the scheduler was told. ASK: tell the rank to leave the attempt, if it is to be left at all. SECOND: the scheduler has actions
 * now. False: there is nothing. */
bool qn_stragglers_press_on(qn_stragglers *stragglers, qn_sched *sched, uint64_t now_ns, qn_straggler_order *order_out);

/* A rank has made the part of a task as its second: whom to tell to leave it, so that this one counts. False: it is the second no longer. */
bool qn_stragglers_second_is_ready(const qn_stragglers *stragglers, const qn_sched *sched, uint32_t rank, uint32_t task,
                                   qn_straggler_order *order_out);

/* Before that time nothing new is thought of; UINT64_MAX: never, or not before a rank has nothing to do. */
uint64_t qn_stragglers_get_due_ns(const qn_stragglers *stragglers);

#endif
