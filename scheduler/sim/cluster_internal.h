/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/cluster_internal.h: the cluster's memory, shared by its own .c files and by nobody else: cluster.c (the master, epochs, failures),
 * cluster_hands.c (ranks and what they work on), cluster_end.c (what happens near the end of a stage).
 */
#ifndef QN_SCHEDULER_SIM_CLUSTER_INTERNAL_H
#define QN_SCHEDULER_SIM_CLUSTER_INTERNAL_H

#include "scheduler/hand_size.h"
#include "scheduler/sim/cluster.h"
#include "scheduler/sim/cluster_shuffle.h"
#include "scheduler/sim/sim_timeline.h"
#include "scheduler/stragglers.h"

#define QN_CLUSTER_WHOLE UINT32_MAX /* in parts of a task: all of it */

/* Up to READY they are messages to the master. */
typedef enum qn_cluster_happening {
    QN_CLUSTER_DONE, /* of a task by itself, and of all that was done before it and not told */
    QN_CLUSTER_LEFT,
    QN_CLUSTER_TOLD,          /* of all that was told */
    QN_CLUSTER_READY,         /* a second attempt has made its part */
    QN_CLUSTER_TASK_ENDS,     /* no report: a rank may make one */
    QN_CLUSTER_LEAVE,         /* a rank hears that it is to leave a task */
    QN_CLUSTER_LEAVE_UNBEGUN, /* … if it has not begun it */
    QN_CLUSTER_LOOK,          /* the master looks who is slow */
} qn_cluster_happening;

typedef enum qn_cluster_slot_state {
    QN_CLUSTER_SLOT_HELD,
    QN_CLUSTER_SLOT_LEAVING, /* what it says of it is on its way */
    QN_CLUSTER_SLOT_DONE,
    QN_CLUSTER_SLOT_TOLD,
} qn_cluster_slot_state;

typedef struct qn_cluster_slot {
    uint32_t task;
    uint16_t attempt, state;
    uint64_t begin_ns, end_ns;
    uint32_t from, to; /* parts of the task: that were done when it began; LEAVING: when it was left */
} qn_cluster_slot;

/* What a rank works on and keeps back. */
typedef struct qn_cluster_second {
    uint32_t task; /* QN_SCHED_NONE: nothing */
    uint32_t from;
    uint64_t begin_ns, end_ns;
} qn_cluster_second;

typedef struct qn_cluster {
    const qn_cluster_config *config;
    qn_cluster_result result;
    uint64_t random;
    qn_sim_timeline timeline;
    uint64_t void_count; /* happenings that will not take place, since what they are of was left before */
    bool out_of_memory;

    qn_sched *sched;
    void *sched_memory;
    uint32_t *rank_node;
    uint64_t *free_ns; /* [rank_count] when it has worked through its orders */
    qn_cluster_slot
        *slots; /* [rank_count][hand_max], of each rank the first hand_count, in the order in which it works on them */
    uint8_t *hand_count;  /* [rank_count] */
    uint8_t *tells_every; /* [rank_count] tasks that the rank was asked to tell of at once */
    uint32_t hand_max;
    qn_hand_size hand_size;
    uint64_t told_ns;            /* of work, in the present message */
    bool *saved_done;            /* [task_count] of the last epoch */
    uint32_t *part, *saved_part; /* [task_count] that counts of a task, done or left; NULL: none is left */
    uint64_t *node_fails_ns;     /* [node_count] */

    qn_stragglers stragglers; /* zeroed: they are left alone */
    void *stragglers_memory;
    qn_cluster_second *seconds; /* [rank_count]; NULL: there are none */
    bool will_look;

    uint64_t now_ns, fails_ns; /* the next failure of any node */
    uint64_t visit_ns, master_free_ns;
    uint32_t visit_count;
    bool is_pausing, is_over;
    uint64_t paused_ns, tail_began_ns;
    double since_ns; /* work since the last epoch */
    qn_cluster_shuffle shuffle;
    uint64_t hop_ns; /* from rank to rank of what the master says to all */
    uint64_t second, second_messages;
} qn_cluster;

/* Ranks (cluster_hands.c). */

double qn_cluster_drawn_ns(const qn_cluster *c, uint32_t task);
bool qn_cluster_is_slow(const qn_cluster *c, uint32_t rank);
uint64_t qn_cluster_latency_ns(const qn_cluster *c, uint32_t rank);
/* What is left of a task that begins there, on a rank. */
uint64_t qn_cluster_length_ns(const qn_cluster *c, uint32_t task, uint32_t from, uint32_t rank);
/* The part of a task that is done at a time, which began from there and would be over at end_ns. */
uint32_t qn_cluster_part_at(const qn_cluster *c, uint32_t from, uint64_t begin_ns, uint64_t end_ns, uint64_t at_ns);
/* When a rank that hears something in the midst of a task comes to the border of a block. */
uint64_t qn_cluster_border_ns(qn_cluster *c, uint32_t rank, uint64_t heard_ns);
/* That counts of a task, as the master knows. */
static inline uint32_t qn_cluster_part_of(const qn_cluster *c, uint32_t task)
{
    return c->part == NULL ? 0 : c->part[task];
}

static inline qn_cluster_slot *qn_cluster_hand(const qn_cluster *c, uint32_t rank)
{
    return &c->slots[(size_t)rank * c->hand_max];
}
qn_cluster_slot *qn_cluster_find_slot(const qn_cluster *c, uint32_t rank, uint32_t task);
/* The rank works on it when it is through with what it has, but not before arrival_ns, for so long. */
void qn_cluster_hold(qn_cluster *c, uint32_t rank, qn_cluster_slot slot, uint64_t arrival_ns, uint64_t length_ns);
void qn_cluster_remove_slot(qn_cluster *c, uint32_t rank, qn_cluster_slot *slot);

/* Something will happen to a rank; or it says something, which then is on its way. */
void qn_cluster_add(qn_cluster *c, qn_cluster_happening kind, uint64_t time_ns, uint32_t rank, uint32_t task,
                    uint32_t attempt);
/* Whether the report or the end of a task will not take place after all. */
bool qn_cluster_is_void(qn_cluster *c, const qn_sim_happening *what);
/* The rank hears that it is to leave a task: at the next border of a block it does, if it is not through before. True: it does. */
bool qn_cluster_leave(qn_cluster *c, uint32_t rank, qn_cluster_slot *slot, uint64_t heard_ns);
/* A task ends on a rank, which tells what is done, if it is as much as was asked for, or it has nothing to go on with, or all are to rest. */
void qn_cluster_end_task(qn_cluster *c, const qn_sim_happening *what);

/* The master (cluster.c). */

/* The clock becomes that of the master when it has done something that takes so long. */
void qn_cluster_master_works(qn_cluster *c, uint64_t ns);
/* It has taken or sent messages. */
void qn_cluster_count_message(qn_cluster *c, uint64_t messages, uint64_t tasks_done);
/* All that the scheduler has decided. */
void qn_cluster_carry_out(qn_cluster *c);
void qn_cluster_count_work(qn_cluster *c, uint64_t begin_ns, uint64_t end_ns);

/* The end of a stage (cluster_end.c). */

/* False: memory is short. The second is called for each start of the job. */
bool qn_cluster_end_build(qn_cluster *c);
void qn_cluster_end_begin(qn_cluster *c);
void qn_cluster_end_tear_down(qn_cluster *c);

/* What the rules for stragglers are to know: a rank is given what is left of a task; it has it no longer, and so much of it counts now. */
void qn_cluster_note_given(qn_cluster *c, uint32_t rank, uint32_t task);
void qn_cluster_note_over(qn_cluster *c, uint32_t rank, uint32_t task, uint32_t part);

/* Of the scheduler's actions, those that are about second attempts. */
void qn_cluster_send_second(qn_cluster *c, const qn_sched_action *action);
void qn_cluster_send_take_over(qn_cluster *c, const qn_sched_action *action);
void qn_cluster_send_drop(qn_cluster *c, const qn_sched_action *action);
/* What a rank works on as a second is of no use: it hears so then. */
void qn_cluster_end_second(qn_cluster *c, uint32_t rank, uint64_t heard_ns);
/* A node failed: what all of them worked on is lost. */
void qn_cluster_lose_seconds(qn_cluster *c, uint64_t failed_ns);

/* Nothing is pending: what real masters do then. */
void qn_cluster_press_on(qn_cluster *c);
void qn_cluster_look(qn_cluster *c, uint64_t time_ns);
void qn_cluster_hear_leave(qn_cluster *c, const qn_sim_happening *what);
/* The master has taken the message. */
void qn_cluster_take_ready(qn_cluster *c, const qn_sim_happening *what);

#endif
