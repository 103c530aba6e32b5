/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sched_internal.h: the scheduler's memory, shared by its own .c files and by nobody else.
 *
 * Everything is an index into one of six arrays that lie behind the struct in the caller's block:
 * tasks, ranks, nodes, hands, queues of ranks, returns. Indices take half the room of pointers, keep their meaning when a
 * trace is compared, and 16 bytes a task let ten million tasks fit into 160 MB.
 *
 * The array of returns is sized for the worst case (each attempt but the last comes back) and is never
 * written before use, so in a healthy job its pages are never resident.
 */
#ifndef QN_SCHEDULER_SCHED_INTERNAL_H
#define QN_SCHEDULER_SCHED_INTERNAL_H

#include "scheduler/scheduler.h"

typedef enum qn_sched_task_state {
    QN_SCHED_TASK_FRESH, /* pending, no attempt used up */
    QN_SCHED_TASK_BACK,  /* pending again: an attempt failed or its rank was lost */
    QN_SCHED_TASK_IN_HAND,
    QN_SCHED_TASK_FINISHED,
    QN_SCHED_TASK_ABANDONED, /* out of attempts */
} qn_sched_task_state;

typedef struct qn_sched_task {
    union {
        uint32_t next; /* FRESH: the following task in the queue of its node */
        uint32_t rank; /* IN_HAND, FINISHED: of whom */
    };
    uint32_t node;    /* the hint; node_count if there is none */
    uint32_t returns; /* its latest return, or QN_SCHED_NONE */
    uint8_t attempt;  /* of the latest run; 0: none, or given back */
    uint8_t state;
    bool has_second; /* IN_HAND only: a rank in the queue of seconds has it, too */
    bool stays;      /* on its node */
} qn_sched_task;

/* One attempt that came back. A task's returns are chained, so they are also the set of ranks to avoid. */
typedef struct qn_sched_return {
    uint32_t task;
    uint32_t rank;
    uint32_t previous; /* return of the same task, or QN_SCHED_NONE */
} qn_sched_return;

typedef enum qn_sched_rank_state {
    QN_SCHED_RANK_AWAITED, /* alive, not ready yet */
    QN_SCHED_RANK_SERVED,
    QN_SCHED_RANK_GONE,
} qn_sched_rank_state;

typedef enum qn_sched_asking {
    QN_SCHED_ASKING_NOTHING,
    QN_SCHED_ASKING_WORK,    /* empty hands */
    QN_SCHED_ASKING_SECOND,  /* a second, which it leaves for any work */
    QN_SCHED_ASKING_RESERVE, /* has a task, could hold one more; with two, the next number, and so on */
} qn_sched_asking;

/* What a rank is to be told of a second attempt. */
typedef enum qn_sched_notice {
    QN_SCHED_NOTICE_NONE,
    QN_SCHED_NOTICE_BEGIN,
    QN_SCHED_NOTICE_TAKE_OVER,
    QN_SCHED_NOTICE_RUN, /* it took over before it was told to begin */
    QN_SCHED_NOTICE_DROP,
} qn_sched_notice;

typedef struct qn_sched_rank {
    uint32_t node;
    uint32_t next, prev; /* in the queue of those asking for the same */
    uint32_t cursor;     /* no return before it is for this rank */
    uint8_t state;
    uint8_t asking;
    uint8_t hand_count;
    uint8_t hand_max; /* that it may hold */
    uint8_t notice;
    bool is_noted;        /* it is in the list of those that have a notice, or had */
    uint32_t second;      /* the task whose second it is, or QN_SCHED_NONE; then its hands are empty */
    uint32_t notice_task; /* what the notice is of */
    uint32_t notice_next;
} qn_sched_rank;

typedef struct qn_sched_node {
    uint32_t fresh_first;             /* queue of fresh tasks hinted here */
    uint32_t stay_first;              /* queue of fresh tasks that stay here */
    uint32_t stay_pending, stay_left; /* of tasks that stay here, those pending; those not done */
    uint32_t ranks_alive;
    uint32_t ring_next; /* ring of nodes that may have fresh tasks; QN_SCHED_NONE: not in it */
} qn_sched_node;

typedef struct qn_sched_rank_queue {
    uint32_t first, last;
} qn_sched_rank_queue;

typedef enum qn_sched_verdict {
    QN_SCHED_VERDICT_OPEN,
    QN_SCHED_VERDICT_FINISHED,
    QN_SCHED_VERDICT_FAILED,
} qn_sched_verdict;

struct qn_sched {
    uint32_t rank_count, node_count, task_count, in_hand_max, attempt_count_max;

    qn_sched_task *tasks;
    qn_sched_rank *ranks;
    qn_sched_node *nodes; /* node_count + 1: the last one stands for "no hint" */
    uint32_t *hands;      /* rank_count × in_hand_max, in the order of handing out */
    qn_sched_return *returns;

    uint32_t return_first; /* no return before it is pending */
    uint32_t return_count;
    uint32_t ring_turn; /* the node served last by rotation; QN_SCHED_NONE: no node ever had a hinted task */

    uint32_t fresh_count, back_count, abandoned_count; /* pending is fresh + back */
    uint32_t fresh_hinted_count, stay_pending_count; /* of fresh ones, those that do not stay; of both, those that do */
    qn_sched_counts counts;                          /* its `pending` is derived on reading */

    qn_sched_rank_queue *asking; /* [qn_sched_asking_count()]; [0] stays empty */
    uint64_t reserve_queues;     /* a bit for each queue of those that ask for a reserve: it is not empty */
    uint32_t filling; /* the rank that was given a reserve last, since actions were asked for; or QN_SCHED_NONE */
    qn_sched_rank_queue noted; /* linked by notice_next only */

    qn_sched_verdict verdict;
    bool verdict_given;
    bool is_paused;
    uint32_t fail_rank, fail_task, fail_attempt;
};

/* The pile of pending tasks (sched_pile.c). */

/* Makes every task fresh, unless it is done, and files it under its hint. The ranks are there. */
void qn_sched_pile_init(qn_sched *sched, const qn_sched_config *config);

/* Takes the best pending task for this rank off the pile; QN_SCHED_NONE if there is none for it. Of what there is no more of than the rank holds tasks,
 * times the ranks that may take it, it takes none. */
uint32_t qn_sched_pile_take(qn_sched *sched, uint32_t rank);

/* Puts back a task whose latest attempt came back from this rank. */
void qn_sched_pile_return(qn_sched *sched, uint32_t task, uint32_t rank);

/* Notes the same of a task that is not put back, since its second goes on with it. */
void qn_sched_pile_note_return(qn_sched *sched, uint32_t task, uint32_t rank);

/* Whether the task came back from this rank. */
bool qn_sched_pile_came_back_from(const qn_sched *sched, const qn_sched_task *task, uint32_t rank);

/* Puts back a task whose attempt is as if it had never begun. */
void qn_sched_pile_give_back(qn_sched *sched, uint32_t task);

/* Seconds (sched_second.c). */

/* Has an idle rank begin the task, which is in hand, a second time. False: there is none for it. */
bool qn_sched_second_begin(qn_sched *sched, uint32_t task);

/* The task, just out of a rank's hand, goes to its second. */
void qn_sched_second_take_over(qn_sched *sched, uint32_t task);

/* Ends it: of a task that has one; of a rank that is one; or all. */
void qn_sched_second_drop(qn_sched *sched, uint32_t task);
void qn_sched_second_drop_rank(qn_sched *sched, uint32_t rank);
void qn_sched_second_drop_all(qn_sched *sched);

/* A rank is gone: it is told nothing more. */
void qn_sched_second_forget(qn_sched *sched, uint32_t rank);

/* The next notice as an action; false: there is none. */
bool qn_sched_second_next(qn_sched *sched, qn_sched_action *action_out);

/* A rank's hands or its second changed: it joins the queue that they call for (scheduler.c). */
void qn_sched_update_queue(qn_sched *sched, uint32_t rank);

/* To be called after this rank was lost: tasks may have become takeable where they had failed. */
void qn_sched_pile_reconsider(qn_sched *sched, uint32_t rank);

/* Whether the rank is where the task may be run. */
bool qn_sched_pile_is_place(const qn_sched *sched, const qn_sched_task *task, uint32_t rank);

/* A task that stays on this node and is not done; QN_SCHED_NONE: there is none. O(tasks). */
uint32_t qn_sched_pile_find_stay(const qn_sched *sched, uint32_t node);

/* Whether this pending task may be given to this rank. */
bool qn_sched_pile_may_take(const qn_sched *sched, const qn_sched_task *task, uint32_t rank);

/* Whether the return is the one by which its task is pending now. */
bool qn_sched_pile_is_live(const qn_sched *sched, uint32_t index);

static inline uint32_t qn_sched_asking_count(uint32_t in_hand_max)
{
    return QN_SCHED_ASKING_RESERVE + in_hand_max - 1;
}

/* Of qn_sched.reserve_queues; 0: it is no queue of those that ask for a reserve. */
static inline uint64_t qn_sched_reserve_bit(qn_sched_asking asking)
{
    return asking < QN_SCHED_ASKING_RESERVE ? 0 : UINT64_C(1) << (asking - QN_SCHED_ASKING_RESERVE);
}

static inline uint32_t qn_sched_pending(const qn_sched *sched)
{
    return sched->fresh_count + sched->back_count;
}

static inline uint32_t *qn_sched_hand(const qn_sched *sched, uint32_t rank)
{
    return sched->hands + (size_t)rank * sched->in_hand_max;
}

#endif
