/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/agent.h: what keeps a rank responsive: messages, rounds and, on rank 0, the master.
 *
 * Intuition. All state of a rank is behind one lock, the gate. The working thread holds it except while it reads input or
 * runs callbacks, and calls qn_agent_progress() between blocks. If it stays outside for long (a callback that takes
 * minutes, a slow file system), a helper thread enters instead and makes progress: so a rank always joins the rounds of the others, and
 * the master on rank 0 always answers, whatever user code does. In the ordinary case the helper only looks at the
 * time, a hundred times a second.
 *
 * Rejected: a thread that polls (it takes a quarter of a core on a busy rank, measured); progress only between blocks (one slow callback
 * stalls every rank).
 */
#ifndef QN_ENGINE_AGENT_H
#define QN_ENGINE_AGENT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "runtime/engine/loans.h"
#include "runtime/engine/master.h"
#include "runtime/shuffle/result.h"

#define QN_AGENT_TASKS_MAX (QN_SCHED_IN_HAND_MAX + 2 * QN_LOANS_PER_HELPER_MAX) /* what does not fit is given back */
#define QN_AGENT_MASTERS   UINT32_MAX

/* Looks at what this rank shows of itself. Inside the gate. is_worker: by the working thread. */
typedef void (*qn_agent_show_fn)(void *user, uint64_t now_ns, bool is_worker);

/* A task in hand. message: the split, freed by whoever takes the task. */
typedef struct qn_task {
    qn_task_order order;
    uint32_t lender; /* whose piece it is; QN_AGENT_MASTERS: none's */
    uint32_t second; /* the number of the second attempt that it is; 0: it is none */
    uint8_t *message;
    size_t bytes;
} qn_task;

typedef enum qn_second_state {
    QN_SECOND_WORKS,
    QN_SECOND_TAKES_OVER,
    QN_SECOND_IS_DROPPED,
} qn_second_state;

/* The second attempt that the master gave last. It counts them, since one may be dropped and another come before the working thread
 * looks. */
typedef struct qn_second {
    uint32_t number; /* from 1 */
    uint32_t task;
    qn_second_state state;
    qn_task_order order; /* as which it takes over */
} qn_second;

typedef struct qn_agent {
    qn_comm *comm;
    uint32_t stage;
    qn_master *master; /* rank 0 only; borrowed */
    qn_result *result; /* NULL: the stage ends in an output; borrowed */
    qn_task tasks[QN_AGENT_TASKS_MAX];
    uint32_t task_first, task_count;
    qn_loans loans;
    bool ended;   /* the master said END or ABORT: it needs nobody any more, nor is anybody's message to be passed on */
    bool aborted; /* the job failed, here or elsewhere: no more work, but progress until it ended */
    bool told;    /* the master knows that this rank is broken */
    bool pausing; /* the master wants back what is in hand */
    bool rests;   /* ended: the stage will go on */
    bool has_rounds; /* and before that there are rounds */
    bool told_suspend;
    qn_second second;
    bool is_asked; /* the master wants these back: */
    uint32_t asked_task, asked_attempt;
    uint64_t left_count;   /* tasks given back since others had nothing to do */
    uint32_t report_every; /* tasks that the master wants to be told of at once */
    qn_buffer done;        /* the message of those that are done and not told; it is empty while there are none */
    uint32_t done_count;
    uint64_t began_ns;      /* the present task; set by the owner */
    uint64_t done_since_ns; /* the first of them */
    qn_error error;         /* of this rank, if it is broken; on rank 0 the job's */
    uint64_t activity;      /* messages taken and rounds moved: whoever waits looks whether it changed */
    uint64_t shuffle_ns;    /* time spent on rounds */
    qn_buffer message;
    pthread_mutex_t gate;
    pthread_t helper;
    bool has_helper;
    sem_t helper_stop;                /* posted when it is to end */
    atomic_uint_fast64_t progress_ns; /* when the working thread last made progress */
    uint64_t helped;                  /* how often the helper had to */
    qn_agent_show_fn show;            /* called every show_every_ns; NULL: nobody wants to see it */
    void *show_user;
    uint64_t show_every_ns, shown_ns; /* by whichever thread */
    uint64_t own_shown_ns;            /* by the working thread, which sees more */
} qn_agent;

/* Begins a stage; the caller is inside the gate. master NULL on ranks other than 0. */
quern_status qn_agent_start(qn_agent *agent, qn_comm *comm, uint32_t stage, qn_master *master, qn_result *result,
                            qn_error *error);
/* Ends it: the helper is gone, tasks in hand are dropped. */
void qn_agent_stop(qn_agent *agent);

/* Out of the gate for reading and callbacks, and in again. */
void qn_agent_leave(qn_agent *agent);
void qn_agent_enter(qn_agent *agent);

/* Takes messages, moves rounds on, runs the master; never waits. Inside the gate. A failure makes the rank broken. */
void qn_agent_progress(qn_agent *agent);
/* The same, but only if it is due; costs one look at the clock. Inside the gate. */
void qn_agent_progress_if_due(qn_agent *agent);
/* Shows what is due while the working thread stays outside, where there is no helper that does, and no message to send: with one rank. By another thread that comes
 * now and then. */
void qn_agent_show_alone(qn_agent *agent, uint64_t now_ns);

/* The next task in hand; false if there is none now. */
bool qn_agent_take_task(qn_agent *agent, qn_task *task_out);
/* part: what is to be said of the part that was made; NULL: nothing. bad_count: of its leg, not told before; last_bad: the last of these as a text. */
void qn_agent_report_done(qn_agent *agent, const qn_task *task, const qn_buffer *part, uint64_t bad_count,
                          const char *last_bad);
void qn_agent_report_failed(qn_agent *agent, const qn_task *task, const qn_resume *resume, bool retryable,
                            const qn_error *failure);
/* Sends a free loan, filled in, to its helper. */
void qn_agent_lend(qn_agent *agent, qn_loan *loan);
/* Gives a piece back to its lender. */
void qn_agent_return(qn_agent *agent, const qn_task *task, const qn_loan_return *back);
/* The master wanted it back, or it cannot be taken: whoever gets it next goes on there. */
void qn_agent_give_back(qn_agent *agent, const qn_task *task, const qn_resume *resume);
/* Whether the master wants this one back, which is being worked on. */
bool qn_agent_is_asked(const qn_agent *agent, const qn_task_order *order);
/* What became of a second attempt by now. */
qn_second_state qn_agent_look_at_second(const qn_agent *agent, const qn_task *task);
/* It has made its part. */
void qn_agent_report_ready(qn_agent *agent, const qn_task *task);
/* The master wanted it back, and so far it is; this rank has it in hand still, and goes on with it after the rest. */
void qn_agent_park(qn_agent *agent, const qn_task *task, const qn_resume *resume);
/* This rank will emit nothing more in a stage without tasks. */
void qn_agent_report_idle(qn_agent *agent);
/* Sends rank 0 what this rank, or its node, shows: a message that nobody waits for. */
void qn_agent_show(qn_agent *agent, const void *data, size_t bytes);
/* This rank cannot go on, for the reason in `failure` (may be agent->error): the job fails. */
void qn_agent_break(qn_agent *agent, const qn_error *failure);

#endif
