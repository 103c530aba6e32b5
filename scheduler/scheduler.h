/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/scheduler.h: which rank runs which task, decided by a pure state machine.
 *
 * Intuition. The master is a clerk at a counter. Ranks come and say "I have a free hand"; the clerk
 * gives out tasks so that each rank always holds its next task while it runs the present one. Failed
 * attempts go back into the pile, to be given to somebody else, until an attempt bound is reached. Of a task that
 * takes long, near the end, when hands are free and nothing is left to give, a second rank may begin the same attempt.
 *
 * Model. Events go in (qn_sched_feed), actions come out (qn_sched_next, until it returns false). There
 * is no clock, no thread, no file, no MPI and no allocation: memory is given by the caller once. The
 * same code runs in the master of a real job and in the simulator of scheduler/sim.
 *
 * Invariants (qn_sched_check verifies them; the tests call it after every event):
 *  - a task is in exactly one state: pending, in hand of exactly one rank, done, or abandoned;
 *  - one in hand may have one second, a rank that holds nothing. What that does counts only from when it takes over: the rank that had the
 *    task in hand said that it left it, or is gone. Before that its reports are stale;
 *  - a rank is given no task beyond what it may hold, which is in_hand_max or less, and holds none after it was lost;
 *  - an attempt number is used once, unless the attempt was given back unfinished: then whoever gets the task next goes on with
 *    that number; a stale report (other attempt, other rank) changes nothing;
 *  - a task is done exactly once; the stage finishes or fails exactly once, and never both;
 *  - a task that stays is in hand of, and seconded by, ranks of its node only;
 *  - while it is paused nothing is handed out, and there are no seconds; a paused machine with no task in hand is at rest.
 */
#ifndef QN_SCHEDULER_SCHEDULER_H
#define QN_SCHEDULER_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QN_SCHED_NONE        UINT32_MAX
#define QN_SCHED_ATTEMPT_MAX 8  /* the largest attempt_count_max */
#define QN_SCHED_IN_HAND_MAX 64 /* the largest in_hand_max */

typedef struct qn_sched qn_sched;

typedef struct qn_sched_config {
    uint32_t rank_count;        /* > 0 */
    uint32_t node_count;        /* > 0 */
    uint32_t task_count;        /* 0 finishes at once */
    uint32_t in_hand_max;       /* tasks a rank holds, the running one included; 1 … QN_SCHED_IN_HAND_MAX */
    uint32_t in_hand_begin;     /* as long as qn_sched_set_hand() says nothing else; 0: in_hand_max */
    uint32_t attempt_count_max; /* attempts of one task before the stage fails; 1 … QN_SCHED_ATTEMPT_MAX */
    const uint32_t *rank_node;  /* [rank_count], each < node_count; borrowed during init */
    const uint32_t *task_node;  /* [task_count], the node where its input is near, or QN_SCHED_NONE; NULL: no hints;
                                   borrowed during init */
    const bool *task_stays; /* [task_count], those that only ranks of their node may run, which task_node names; NULL:
                                   none; borrowed during init */
    const bool *task_done;  /* [task_count], those that were done before: by an earlier run of the stage; NULL: none;
                                   borrowed during init */
} qn_sched_config;

typedef enum qn_sched_event_kind {
    QN_SCHED_RANK_READY,      /* the rank takes tasks from now on (once a rank) */
    QN_SCHED_TASK_DONE,       /* the attempt finished */
    QN_SCHED_TASK_FAILED,     /* the attempt failed; give it to another rank */
    QN_SCHED_TASK_GIVEN_BACK, /* the attempt ended unfinished, through no fault of its own: no attempt is used up */
    QN_SCHED_RANK_LOST,       /* the rank is gone, with what it held (not with what it finished) */
    QN_SCHED_TASK_LATE, /* the attempt takes long: begin it a second time, if a rank is idle and nothing is pending */
    QN_SCHED_PAUSE,     /* hand out nothing until RESUME */
    QN_SCHED_RESUME,
} qn_sched_event_kind;

typedef struct qn_sched_event {
    qn_sched_event_kind kind;
    uint32_t rank;
    uint32_t task;    /* TASK_… only */
    uint32_t attempt; /* TASK_… only: as the action gave it, from 1 */
} qn_sched_event;

typedef enum qn_sched_action_kind {
    QN_SCHED_RUN,       /* send this attempt of this task to this rank */
    QN_SCHED_SECOND,    /* have this rank begin the attempt, too, and keep back what it gives */
    QN_SCHED_TAKE_OVER, /* the second has the task in hand now, and goes on where the other left it, as this attempt */
    QN_SCHED_DROP,      /* the second is no longer needed: nothing of it counts */
    QN_SCHED_FINISH,    /* every task is done (once) */
    QN_SCHED_FAIL, /* the stage failed (once): `task` ran out of attempts; or it stays where no rank is left (rank = QN_SCHED_NONE); or
                      none is left at all (task = QN_SCHED_NONE, too) */
} qn_sched_action_kind;

typedef struct qn_sched_action {
    qn_sched_action_kind kind;
    uint32_t rank; /* RUN: where; FAIL: the rank of the last failed attempt, or QN_SCHED_NONE */
    uint32_t task;
    uint32_t attempt; /* from 1 */
} qn_sched_action;

typedef struct qn_sched_counts {
    uint32_t pending, in_hand, done, ranks_alive;
    uint64_t attempts, failures, stale_events, local_runs, hinted_runs; /* local: on the node of the hint */
    uint64_t seconds, taken_over; /* second attempts begun; of these, that took over */
} qn_sched_counts;

/* Bytes of memory that init needs for this configuration; 0 if the configuration is invalid. */
size_t qn_sched_bytes(const qn_sched_config *config);

/* Builds the machine in `memory` (qn_sched_bytes() bytes, aligned for max_align_t; borrowed until the
 * caller is done with the machine: there is no fini). NULL if the configuration is invalid. */
qn_sched *qn_sched_init(void *memory, const qn_sched_config *config);

/* Takes one event. False if it is stale or impossible (unknown task, other attempt, lost rank): then it
 * is counted and otherwise ignored. */
bool qn_sched_feed(qn_sched *sched, const qn_sched_event *event);

/* Gives the next action to carry out; false if there is none until the next event. Amortised O(1); while tasks that stay are pending, O(ranks
 * of other nodes that ask).
 *
 * Policy. Ranks with empty hands are served before ranks that only want a task in reserve, in order of
 * asking; of these, those first that hold fewest, but while there are enough pending to fill all hands each one is filled in one go. A rank that holds some tasks is given another one only while more than as many are pending for each rank that is
 * alive (near the end a reserve would keep a task from an idle rank, so reserves become smaller towards it); of those that stay, for each rank of the node. A rank gets, in this
 * order: a failed task that has not
 * failed on it; a task that stays on its node; a task with a hint of its node; a task without hint; a task hinted elsewhere, from
 * the node with pending ones next in rotation. A failed task goes to a rank where it already failed only if
 * it has failed on every living rank. Where no hands are empty, a second is dropped for a pending task. */
bool qn_sched_next(qn_sched *sched, qn_sched_action *action_out);

qn_sched_counts qn_sched_get_counts(const qn_sched *sched);

bool qn_sched_is_done(const qn_sched *sched, uint32_t task);

/* Whether a rank with empty hands may have the task, if whoever has it in hand leaves it. */
bool qn_sched_has_taker(const qn_sched *sched, uint32_t task);

/* The rank that has the task in hand, as attempt *attempt_out; QN_SCHED_NONE: none has. */
uint32_t qn_sched_get_holder(const qn_sched *sched, uint32_t task, uint32_t *attempt_out);

/* From now on the rank may hold so many tasks, 1 … in_hand_max. It keeps what it holds. */
void qn_sched_set_hand(qn_sched *sched, uint32_t rank, uint32_t hand_max);

/* The first broken invariant as text, or NULL. O(tasks + ranks); for tests and the simulator. */
const char *qn_sched_check(const qn_sched *sched);

#endif
