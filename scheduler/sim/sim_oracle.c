/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/sim_oracle.c: the books, and the rules.
 *
 * "Nobody idle may be passed over" would need a search for a fitting pair of rank and task after each
 * event. It is counted instead: for each rank, how many of the tasks that came back it must avoid
 * (`avoided_count`). A rank can take something if there is a fresh task or if more came back than it must avoid.
 * A task can be avoided by at most attempt_count_max - 1 ranks, so more idle ranks than that are a breach,
 * and fewer are looked at one by one.
 */
#include "scheduler/sim/sim_oracle.h"

#include <stdlib.h>

typedef enum task_state { FRESH, BACK, IN_HAND, FINISHED, ABANDONED } task_state;
typedef enum rank_state { AWAITED, SERVED, GONE } rank_state;

typedef struct oracle_task {
    task_state state;
    uint32_t node, rank, attempt;
    uint32_t avoid_count;
    uint32_t avoid[QN_SCHED_ATTEMPT_MAX]; /* ranks where it failed, each once */
} oracle_task;

typedef struct oracle_rank {
    rank_state state;
    uint32_t node, hand_count, avoided_count;
    uint32_t idle_slot; /* in oracle->idle */
} oracle_rank;

struct qn_sim_oracle {
    uint32_t rank_count, node_count, task_count, in_hand_max, attempt_count_max;
    oracle_task *tasks;
    oracle_rank *ranks;
    uint32_t *fresh_of; /* node_count + 1: fresh tasks by hint, the last without */
    uint32_t *idle;     /* ranks with empty hands */
    uint32_t idle_count, partly_filled_count;
    uint32_t fresh_count, back_count, done_count, abandoned_count, alive_count, in_hand_count;
    uint64_t attempt_count, failure_count, stale_count, hinted_count, local_count;
    bool concluded;
};

void qn_sim_oracle_destroy(qn_sim_oracle *oracle)
{
    if (oracle == NULL) {
        return;
    }
    free(oracle->tasks);
    free(oracle->ranks);
    free(oracle->fresh_of);
    free(oracle->idle);
    free(oracle);
}

static void open_books(qn_sim_oracle *oracle, const qn_sched_config *config)
{
    for (uint32_t i = 0; i < oracle->task_count; i++) {
        bool hinted = config->task_node != NULL && config->task_node[i] != QN_SCHED_NONE;
        oracle->tasks[i].node = hinted ? config->task_node[i] : oracle->node_count;
        oracle->fresh_of[oracle->tasks[i].node]++;
    }
    for (uint32_t i = 0; i < oracle->rank_count; i++) {
        oracle->ranks[i].node = config->rank_node[i];
    }
    oracle->fresh_count = oracle->task_count;
    oracle->alive_count = oracle->rank_count;
}

qn_sim_oracle *qn_sim_oracle_create(const qn_sched_config *config)
{
    qn_sim_oracle *oracle = calloc(1, sizeof *oracle);
    if (oracle == NULL) {
        return NULL;
    }
    oracle->rank_count = config->rank_count;
    oracle->node_count = config->node_count;
    oracle->task_count = config->task_count;
    oracle->in_hand_max = config->in_hand_max;
    oracle->attempt_count_max = config->attempt_count_max;
    oracle->tasks = calloc((size_t)config->task_count + 1, sizeof *oracle->tasks);
    oracle->ranks = calloc(config->rank_count, sizeof *oracle->ranks);
    oracle->fresh_of = calloc((size_t)config->node_count + 1, sizeof *oracle->fresh_of);
    oracle->idle = calloc(config->rank_count, sizeof *oracle->idle);
    if (oracle->tasks == NULL || oracle->ranks == NULL || oracle->fresh_of == NULL || oracle->idle == NULL) {
        qn_sim_oracle_destroy(oracle);
        return NULL;
    }
    open_books(oracle, config);
    return oracle;
}

bool qn_sim_oracle_is_concluded(const qn_sim_oracle *oracle)
{
    return oracle->concluded;
}

/* Books. */

static void count_rank(qn_sim_oracle *oracle, uint32_t rank, bool add)
{
    oracle_rank *self = &oracle->ranks[rank];
    if (self->state != SERVED) {
        return;
    }
    if (self->hand_count > 0) {
        oracle->partly_filled_count += self->hand_count == oracle->in_hand_max ? 0 : add ? 1u : UINT32_MAX;
    } else if (add) {
        self->idle_slot = oracle->idle_count;
        oracle->idle[oracle->idle_count++] = rank;
    } else {
        uint32_t moved = oracle->idle[--oracle->idle_count];
        oracle->idle[self->idle_slot] = moved;
        oracle->ranks[moved].idle_slot = self->idle_slot;
    }
}

static void set_hand_count(qn_sim_oracle *oracle, uint32_t rank, uint32_t hand_count)
{
    count_rank(oracle, rank, false);
    oracle->ranks[rank].hand_count = hand_count;
    count_rank(oracle, rank, true);
}

static void set_rank_state(qn_sim_oracle *oracle, uint32_t rank, rank_state state)
{
    count_rank(oracle, rank, false);
    oracle->ranks[rank].state = state;
    count_rank(oracle, rank, true);
}

static bool must_avoid(const oracle_task *task, uint32_t rank)
{
    for (uint32_t i = 0; i < task->avoid_count; i++) {
        if (task->avoid[i] == rank) {
            return true;
        }
    }
    return false;
}

static bool failed_everywhere(const qn_sim_oracle *oracle, const oracle_task *task)
{
    uint32_t alive_count = 0;
    for (uint32_t i = 0; i < task->avoid_count; i++) {
        alive_count += oracle->ranks[task->avoid[i]].state != GONE;
    }
    return alive_count == oracle->alive_count;
}

static void give_back(qn_sim_oracle *oracle, oracle_task *task)
{
    oracle->in_hand_count--;
    if (task->attempt == oracle->attempt_count_max) {
        task->state = ABANDONED;
        oracle->abandoned_count++;
        return;
    }
    task->state = BACK;
    oracle->back_count++;
    for (uint32_t i = 0; i < task->avoid_count; i++) {
        oracle->ranks[task->avoid[i]].avoided_count++;
    }
}

static bool apply_report(qn_sim_oracle *oracle, const qn_sched_event *event)
{
    if (event->rank >= oracle->rank_count || event->task >= oracle->task_count) {
        return false;
    }
    oracle_task *task = &oracle->tasks[event->task];
    if (task->state != IN_HAND || task->rank != event->rank || task->attempt != event->attempt) {
        return false;
    }
    set_hand_count(oracle, event->rank, oracle->ranks[event->rank].hand_count - 1);
    if (event->kind == QN_SCHED_TASK_DONE) {
        oracle->in_hand_count--;
        task->state = FINISHED;
        oracle->done_count++;
        return true;
    }
    oracle->failure_count++;
    if (!must_avoid(task, event->rank)) {
        task->avoid[task->avoid_count++] = event->rank;
    }
    give_back(oracle, task);
    return true;
}

static bool apply_loss(qn_sim_oracle *oracle, uint32_t rank)
{
    if (rank >= oracle->rank_count || oracle->ranks[rank].state == GONE) {
        return false;
    }
    uint32_t held_count = oracle->ranks[rank].hand_count;
    set_hand_count(oracle, rank, 0);
    set_rank_state(oracle, rank, GONE);
    oracle->alive_count--;
    /* A walk over all tasks, so that no list of hands has to be kept; losses are rare. */
    for (uint32_t i = 0; i < oracle->task_count && held_count > 0; i++) {
        if (oracle->tasks[i].state == IN_HAND && oracle->tasks[i].rank == rank) {
            give_back(oracle, &oracle->tasks[i]);
            held_count--;
        }
    }
    return true;
}

static bool apply_ready(qn_sim_oracle *oracle, uint32_t rank)
{
    if (rank >= oracle->rank_count || oracle->ranks[rank].state != AWAITED) {
        return false;
    }
    set_rank_state(oracle, rank, SERVED);
    return true;
}

const char *qn_sim_oracle_see_event(qn_sim_oracle *oracle, const qn_sched_event *event, bool accepted)
{
    bool expected = false;
    if (event->kind == QN_SCHED_RANK_READY) {
        expected = apply_ready(oracle, event->rank);
    } else if (event->kind == QN_SCHED_RANK_LOST) {
        expected = apply_loss(oracle, event->rank);
    } else if (event->kind == QN_SCHED_TASK_DONE || event->kind == QN_SCHED_TASK_FAILED) {
        expected = apply_report(oracle, event);
    }
    oracle->stale_count += !expected;
    if (expected == accepted) {
        return NULL;
    }
    return accepted ? "a stale event was accepted" : "a right event was taken for stale";
}

/* Rules. */

static uint32_t pending_count(const qn_sim_oracle *oracle)
{
    return oracle->fresh_count + oracle->back_count;
}

static bool could_take_back(const qn_sim_oracle *oracle, uint32_t rank)
{
    return oracle->back_count > oracle->ranks[rank].avoided_count;
}

static bool could_idle_rank_take(const qn_sim_oracle *oracle)
{
    if (oracle->idle_count == 0 || pending_count(oracle) == 0) {
        return false;
    }
    if (oracle->fresh_count > 0 || oracle->idle_count >= oracle->attempt_count_max) {
        return true;
    }
    for (uint32_t i = 0; i < oracle->idle_count; i++) {
        if (could_take_back(oracle, oracle->idle[i])) {
            return true;
        }
    }
    return false;
}

static const char *judge_place(const qn_sim_oracle *oracle, const oracle_task *task, const oracle_rank *rank)
{
    uint32_t fresh_local = oracle->fresh_of[rank->node];
    if (task->node != rank->node && fresh_local > 0) {
        return "a rank got a fresh task from elsewhere while one of its node was pending";
    }
    bool elsewhere = task->node != rank->node && task->node != oracle->node_count;
    if (elsewhere && oracle->fresh_of[oracle->node_count] > 0) {
        return "a rank got a task hinted elsewhere while one without hint was pending";
    }
    return NULL;
}

static const char *judge_run(const qn_sim_oracle *oracle, const qn_sched_action *run)
{
    if (run->rank >= oracle->rank_count || run->task >= oracle->task_count) {
        return "a run of an unknown task or on an unknown rank";
    }
    const oracle_task *task = &oracle->tasks[run->task];
    const oracle_rank *rank = &oracle->ranks[run->rank];
    if (rank->state != SERVED) {
        return "a run on a rank that is not ready or was lost";
    }
    if (rank->hand_count >= oracle->in_hand_max) {
        return "a rank holds more than in_hand_max tasks";
    }
    if (task->state != FRESH && task->state != BACK) {
        return "a run of a task that is not pending";
    }
    if (run->attempt != task->attempt + 1 || run->attempt > oracle->attempt_count_max) {
        return "an attempt number is out of order or above the bound";
    }
    if (rank->hand_count > 0 && pending_count(oracle) <= (uint64_t)rank->hand_count * oracle->alive_count) {
        return "a reserve was handed out near the end";
    }
    if (rank->hand_count > 0 && could_idle_rank_take(oracle)) {
        return "a reserve was handed out before an idle rank was served";
    }
    if (must_avoid(task, run->rank) && !failed_everywhere(oracle, task)) {
        return "a task went back to a rank where it had failed while another was left";
    }
    if (task->state == BACK) {
        return NULL;
    }
    if (could_take_back(oracle, run->rank)) {
        return "a fresh task was given before one that came back";
    }
    return judge_place(oracle, task, rank);
}

static void apply_run(qn_sim_oracle *oracle, const qn_sched_action *run)
{
    oracle_task *task = &oracle->tasks[run->task];
    if (task->state == FRESH) {
        oracle->fresh_count--;
        oracle->fresh_of[task->node]--;
    } else {
        oracle->back_count--;
        for (uint32_t i = 0; i < task->avoid_count; i++) {
            oracle->ranks[task->avoid[i]].avoided_count--;
        }
    }
    task->state = IN_HAND;
    task->rank = run->rank;
    task->attempt = run->attempt;
    set_hand_count(oracle, run->rank, oracle->ranks[run->rank].hand_count + 1);
    oracle->in_hand_count++;
    oracle->attempt_count++;
    oracle->hinted_count += task->node != oracle->node_count;
    oracle->local_count += task->node == oracle->ranks[run->rank].node;
}

static const char *judge_fail(const qn_sim_oracle *oracle, const qn_sched_action *fail)
{
    if (fail->task == QN_SCHED_NONE) {
        return oracle->alive_count == 0 ? NULL : "the stage failed for want of ranks with ranks left";
    }
    bool abandoned = fail->task < oracle->task_count && oracle->tasks[fail->task].state == ABANDONED;
    return abandoned ? NULL : "the stage failed by a task with attempts left";
}

const char *qn_sim_oracle_see_action(qn_sim_oracle *oracle, const qn_sched_action *action)
{
    if (oracle->concluded) {
        return "an action after the verdict";
    }
    if (action->kind == QN_SCHED_RUN) {
        const char *broken = judge_run(oracle, action);
        if (broken == NULL) {
            apply_run(oracle, action);
        }
        return broken;
    }
    oracle->concluded = true;
    if (action->kind == QN_SCHED_FAIL) {
        return judge_fail(oracle, action);
    }
    return oracle->done_count == oracle->task_count ? NULL : "the stage finished with tasks not done";
}

static const char *judge_reserves(const qn_sim_oracle *oracle)
{
    uint64_t held_most = oracle->in_hand_max - 1; /* by a rank that has room */
    bool due = oracle->partly_filled_count > 0 && pending_count(oracle) > held_most * oracle->alive_count;
    bool somebody_can = oracle->fresh_count > 0 || oracle->partly_filled_count >= oracle->attempt_count_max;
    return due && somebody_can ? "a rank did not get its reserve while tasks were plenty" : NULL;
}

const char *qn_sim_oracle_see_rest(const qn_sim_oracle *oracle)
{
    if (oracle->concluded) {
        return NULL;
    }
    if (oracle->done_count == oracle->task_count) {
        return "all tasks are done and the stage did not finish";
    }
    if (oracle->abandoned_count > 0 || oracle->alive_count == 0) {
        return "the stage is lost and did not fail";
    }
    if (could_idle_rank_take(oracle)) {
        return "a rank is idle while a task is pending that it could take";
    }
    return judge_reserves(oracle);
}

static const char *judge_counts(const qn_sim_oracle *oracle, const qn_sched_counts *counts)
{
    if (counts->pending != pending_count(oracle) || counts->in_hand != oracle->in_hand_count ||
        counts->done != oracle->done_count || counts->ranks_alive != oracle->alive_count) {
        return "the scheduler's counts of tasks or ranks are wrong";
    }
    if (counts->attempts != oracle->attempt_count || counts->failures != oracle->failure_count ||
        counts->stale_events != oracle->stale_count || counts->hinted_runs != oracle->hinted_count ||
        counts->local_runs != oracle->local_count) {
        return "the scheduler's counts of runs or events are wrong";
    }
    return NULL;
}

const char *qn_sim_oracle_audit(const qn_sim_oracle *oracle, const qn_sched_counts *counts)
{
    const char *broken = qn_sim_oracle_see_rest(oracle);
    if (broken == NULL) {
        broken = judge_counts(oracle, counts);
    }
    if (broken != NULL || oracle->concluded || oracle->idle_count == 0) {
        return broken;
    }
    for (uint32_t i = 0; i < oracle->task_count; i++) {
        if (oracle->tasks[i].state == BACK && failed_everywhere(oracle, &oracle->tasks[i])) {
            return "a rank is idle while a task is pending that failed on every living rank";
        }
    }
    return NULL;
}
