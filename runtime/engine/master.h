/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/master.h: the loop around the pure scheduler, on rank 0.
 *
 * It cuts the input into tasks, turns the scheduler's actions into messages and messages into the scheduler's events. It has no
 * thread and no memory of its own beyond the tasks: it runs when rank 0 makes progress, which the agent sees to even
 * while rank 0 is busy in a callback.
 */
#ifndef QN_ENGINE_MASTER_H
#define QN_ENGINE_MASTER_H

#include "runtime/base/log.h"
#include "runtime/comm/comm.h"
#include "runtime/engine/bad_log.h"
#include "runtime/engine/board.h"
#include "runtime/engine/epochs.h"
#include "runtime/engine/failed_attempts.h"
#include "runtime/engine/helpers.h"
#include "runtime/engine/message.h"
#include "runtime/engine/orders.h"
#include "runtime/engine/part_list.h"
#include "runtime/engine/progress.h"
#include "runtime/engine/settings.h"
#include "runtime/engine/task_list.h"
#include "runtime/engine/task_state.h"
#include "runtime/shuffle/result.h"
#include "scheduler/hand_size.h"
#include "scheduler/scheduler.h"
#include "scheduler/stragglers.h"

/* The bad records of a leg, as far as they were told. */
typedef struct qn_bad_watch {
    qn_bad_limit limit;
    const char *source; /* borrowed */
    uint64_t count;
} qn_bad_watch;

/* A task that a rank has in hand while the stage rests. */
typedef struct qn_parked {
    uint32_t rank, task;
} qn_parked;

struct qn_master;

/* Parts may have been finished; ends: the job is about to end. Called at each step. */
typedef void (*qn_master_note_fn)(void *user, struct qn_master *master, bool ends);

/* Whether the job may go on, as it looks from outside of the stage. Called at each step. */
typedef quern_status (*qn_master_check_fn)(void *user, qn_error *error);

typedef struct qn_master {
    qn_comm *comm;
    qn_progress *progress; /* borrowed */
    const char *stage_name;
    uint32_t stage;
    qn_task_list tasks;
    bool
        restores; /* ranks read what an earlier attempt at the job saved before anything else, and tell when they are through */
    bool keeps;       /* then all rest, whether or not there are tasks left */
    bool has_results; /* ranks read results beside the tasks, or only these, and tell when they are through */
    void *sched_memory;
    qn_sched *sched;     /* NULL: no leg of the stage is a source */
    qn_resume **resumes; /* [tasks.count], NULL where an attempt begins at the begin */
    qn_hand_size hand_size;
    qn_orders orders;   /* not sent yet */
    qn_helpers helpers; /* of ranks whose task is packed */
    qn_stragglers stragglers;
    void *stragglers_memory;   /* NULL: they are left alone */
    const qn_log *log;         /* borrowed */
    qn_board *board;           /* of all ranks; borrowed; NULL: nobody wants to see it */
    uint32_t idle_count;       /* ranks that have nothing more to emit */
    uint64_t next_round;       /* rounds below this number were asked for */
    uint64_t announced_rounds; /* … and announced */
    bool tasks_over, ended, aborted;
    uint64_t bytes_done, bytes_before; /* of tasks that are done; of these, by an earlier attempt at the job */
    qn_bad_watch bad[QN_LEG_COUNT_MAX];
    qn_buffer message;
    qn_error last_failure;      /* of an attempt */
    qn_failed_attempts *failed; /* of the run; borrowed */
    qn_epochs *epochs;          /* borrowed; NULL: the job has no checkpoint */
    const qn_result *into;      /* what can be saved with some tasks done; borrowed; NULL: nothing */
    qn_task_cut cut;            /* how the tasks were */
    uint64_t paused_ns;         /* when it began to */
    qn_parked *parked;          /* [comm->size], owned */
    uint32_t parked_count;
    bool pausing, rests;    /* nothing is handed out until all ranks have cut an epoch; nothing is worked on any more */
    bool went_on;           /* some of the tasks were done in an earlier attempt at the job */
    qn_part_list made;      /* parts that are finished, until they are noted */
    qn_master_note_fn note; /* NULL: they need not be */
    void *note_user;
    qn_master_check_fn check; /* NULL: it may */
    void *check_user;
    uint64_t delivered_before; /* records by that attempt, of blocks that will be run once more */
} qn_master;

typedef struct qn_master_config {
    qn_comm *comm; /* borrowed, as all of this, until finish */
    const qn_settings *settings;
    qn_progress *progress;
    const qn_log *log;
    qn_board *board;
    qn_failed_attempts *failed;
    const qn_stage *stage;
    bool makes_parts;          /* its attempts do */
    uint32_t number;           /* of the stage in messages */
    const uint32_t *rank_node; /* [comm->size] */
    const qn_far_tasks *far;
    qn_epochs *epochs;
    const qn_result *into;
    qn_master_note_fn note; /* NULL: ranks do not tell of parts */
    void *note_user;
    size_t counter_count; /* what they tell of each */
    qn_master_check_fn check;
    void *check_user;
    qn_task_state *begun; /* of an earlier attempt; emptied; NULL: none */
} qn_master_config;

/* Begins a stage. Rank 0 only. */
quern_status qn_master_start(qn_master *master, const qn_master_config *config, qn_error *error);
void qn_master_finish(qn_master *master); /* takes a zeroed one */

/* Before the first step, of a stage that restores: it rests when that is over, and only then hands out tasks. */
void qn_master_hold(qn_master *master);
/* After a rest, with another number. */
void qn_master_go_on(qn_master *master, uint32_t number);
/* Of a stage that rests. QUERN_ERROR_NO_MEMORY. */
quern_status qn_master_pack_tasks(qn_master *master, json_t **packed_out, qn_error *error);

/* Takes a rank's message (behind its head). */
quern_status qn_master_receive(qn_master *master, const qn_message_head *head, qn_reader *message, uint32_t from,
                               qn_error *error);

/* Carries out what the scheduler decided. own: what is announced goes to rank 0 itself through this. */
typedef quern_status (*qn_master_own_fn)(void *user, const void *message, size_t bytes, qn_error *error);
quern_status qn_master_step(qn_master *master, qn_master_own_fn own, void *user, qn_error *error);

#endif
