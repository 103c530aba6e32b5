/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sched_check.c: the audit. Recounts everything from the arrays and compares.
 *
 * Each relation that is kept from two sides (a task knows its rank, a rank knows its tasks) is followed
 * from one side and counted on the other: an injection between sets of equal size misses nobody, so no
 * scratch memory is needed. Walks along links are bounded by counts, so a cycle is found, not followed.
 */
#include "scheduler/sched_internal.h"

typedef struct tally {
    uint32_t fresh, hinted, back, in_hand, done, abandoned, stay_pending;
} tally;

static void tally_task(const qn_sched *sched, const qn_sched_task *task, tally *sum)
{
    sum->fresh += task->state == QN_SCHED_TASK_FRESH;
    sum->hinted += task->state == QN_SCHED_TASK_FRESH && task->node != sched->node_count && !task->stays;
    sum->stay_pending += task->stays && (task->state == QN_SCHED_TASK_FRESH || task->state == QN_SCHED_TASK_BACK);
    sum->back += task->state == QN_SCHED_TASK_BACK;
    sum->in_hand += task->state == QN_SCHED_TASK_IN_HAND;
    sum->done += task->state == QN_SCHED_TASK_FINISHED;
    sum->abandoned += task->state == QN_SCHED_TASK_ABANDONED;
}

/* Each attempt but the present one is in the chain of returns; an abandoned task's last one is not. */
static bool is_attempt_count_right(const qn_sched *sched, const qn_sched_task *task)
{
    uint32_t return_count = 0;
    for (uint32_t i = task->returns; i != QN_SCHED_NONE; i = sched->returns[i].previous) {
        if (i >= sched->return_count || ++return_count >= sched->attempt_count_max) {
            return false;
        }
    }
    bool is_pending = task->state == QN_SCHED_TASK_FRESH || task->state == QN_SCHED_TASK_BACK;
    return task->attempt == return_count + !is_pending;
}

static const char *check_tasks(const qn_sched *sched)
{
    tally sum = {0};
    for (uint32_t i = 0; i < sched->task_count; i++) {
        const qn_sched_task *task = &sched->tasks[i];
        tally_task(sched, task, &sum);
        if (!is_attempt_count_right(sched, task)) {
            return "a task has another number of attempts than it has returns";
        }
        if (task->returns != QN_SCHED_NONE && sched->returns[task->returns].task != i) {
            return "a task is chained to another task's return";
        }
    }
    if (sum.fresh != sched->fresh_count || sum.hinted != sched->fresh_hinted_count || sum.back != sched->back_count) {
        return "the pending tasks are miscounted";
    }
    if (sum.stay_pending != sched->stay_pending_count) {
        return "the pending tasks that stay are miscounted";
    }
    if (sum.in_hand != sched->counts.in_hand || sum.done != sched->counts.done) {
        return "the tasks in hand or done are miscounted";
    }
    if (sum.abandoned != sched->abandoned_count) {
        return "the abandoned tasks are miscounted";
    }
    bool one_state_each = sum.fresh + sum.back + sum.in_hand + sum.done + sum.abandoned == sched->task_count;
    return one_state_each ? NULL : "a task is in no state";
}

static const char *check_fresh_queue(const qn_sched *sched, uint32_t node, bool stays, uint32_t *seen_count)
{
    uint32_t task = stays ? sched->nodes[node].stay_first : sched->nodes[node].fresh_first;
    for (; task != QN_SCHED_NONE; task = sched->tasks[task].next) {
        if ((*seen_count)++ == sched->fresh_count) {
            return "the queues of fresh tasks hold too many";
        }
        if (task >= sched->task_count) {
            return "a queue of fresh tasks holds one that does not exist";
        }
        const qn_sched_task *fresh = &sched->tasks[task];
        if (fresh->state != QN_SCHED_TASK_FRESH || fresh->node != node || fresh->stays != stays) {
            return "a task is in a queue of fresh tasks where it does not belong";
        }
    }
    return NULL;
}

static const char *check_fresh_queues(const qn_sched *sched)
{
    uint32_t seen_count = 0;
    const char *broken = NULL;
    for (uint32_t node = 0; node <= sched->node_count && broken == NULL; node++) {
        broken = check_fresh_queue(sched, node, false, &seen_count);
        if (broken == NULL) {
            broken = check_fresh_queue(sched, node, true, &seen_count);
        }
    }
    if (broken != NULL) {
        return broken;
    }
    return seen_count == sched->fresh_count ? NULL : "a fresh task is in no queue";
}

static const char *check_stays(const qn_sched *sched)
{
    uint64_t pending_count = 0, left_count = 0, alive_count = 0;
    for (uint32_t node = 0; node < sched->node_count; node++) {
        pending_count += sched->nodes[node].stay_pending;
        left_count += sched->nodes[node].stay_left;
        alive_count += sched->nodes[node].ranks_alive;
    }
    for (uint32_t i = 0; i < sched->task_count; i++) {
        const qn_sched_task *task = &sched->tasks[i];
        bool is_held = task->state == QN_SCHED_TASK_IN_HAND;
        if (is_held && !qn_sched_pile_is_place(sched, task, task->rank)) {
            return "a task that stays is in hand elsewhere";
        }
        left_count -= task->stays && task->state != QN_SCHED_TASK_FINISHED;
    }
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        const qn_sched_rank *self = &sched->ranks[rank];
        if (self->second != QN_SCHED_NONE && !qn_sched_pile_is_place(sched, &sched->tasks[self->second], rank)) {
            return "a task that stays has a second elsewhere";
        }
    }
    bool is_right =
        pending_count == sched->stay_pending_count && left_count == 0 && alive_count == sched->counts.ranks_alive;
    return is_right ? NULL : "what stays on nodes is miscounted";
}

static const char *check_ring(const qn_sched *sched)
{
    uint32_t filled_count = 0;
    for (uint32_t node = 0; node < sched->node_count; node++) {
        filled_count += sched->nodes[node].fresh_first != QN_SCHED_NONE;
    }
    uint32_t node = sched->ring_turn;
    for (uint32_t step = 0; filled_count > 0 && step < sched->node_count; step++) {
        if (node >= sched->node_count) {
            return "the ring of nodes is open";
        }
        filled_count -= sched->nodes[node].fresh_first != QN_SCHED_NONE;
        node = sched->nodes[node].ring_next;
        if (node == sched->ring_turn) {
            break;
        }
    }
    return filled_count == 0 ? NULL : "a node with fresh tasks is not on the ring";
}

static const char *check_returns(const qn_sched *sched)
{
    uint32_t live_count = 0;
    for (uint32_t i = 0; i < sched->return_count; i++) {
        bool live = qn_sched_pile_is_live(sched, i);
        live_count += live;
        if (live && i < sched->return_first) {
            return "a pending return lies before the first one";
        }
    }
    return live_count == sched->back_count ? NULL : "a task that came back has no pending return";
}

/* A rank's cursor may only have passed what the rank cannot take. */
static const char *check_cursor(const qn_sched *sched, uint32_t rank)
{
    uint32_t cursor = sched->ranks[rank].cursor;
    if (cursor > sched->return_count) {
        return "a rank's cursor is beyond the returns";
    }
    for (uint32_t i = sched->return_first; i < cursor; i++) {
        const qn_sched_task *task = &sched->tasks[sched->returns[i].task];
        if (qn_sched_pile_is_live(sched, i) && qn_sched_pile_may_take(sched, task, rank)) {
            return "a rank's cursor has passed a task that the rank may take";
        }
    }
    return NULL;
}

static const char *check_hand(const qn_sched *sched, uint32_t rank)
{
    const qn_sched_rank *self = &sched->ranks[rank];
    const uint32_t *hand = qn_sched_hand(sched, rank);
    if (self->hand_count > (self->state == QN_SCHED_RANK_SERVED ? sched->in_hand_max : 0)) {
        return "a rank holds too many tasks";
    }
    for (uint32_t slot = 0; slot < self->hand_count; slot++) {
        if (hand[slot] >= sched->task_count) {
            return "a rank holds a task that does not exist";
        }
        const qn_sched_task *task = &sched->tasks[hand[slot]];
        if (task->state != QN_SCHED_TASK_IN_HAND || task->rank != rank) {
            return "a rank holds a task that is not in its hand";
        }
        for (uint32_t other = 0; other < slot; other++) {
            if (hand[other] == hand[slot]) {
                return "a rank holds a task twice";
            }
        }
    }
    return NULL;
}

static qn_sched_asking asking_due(const qn_sched_rank *rank)
{
    if (rank->state != QN_SCHED_RANK_SERVED || rank->hand_count >= rank->hand_max) {
        return QN_SCHED_ASKING_NOTHING;
    }
    qn_sched_asking idle = rank->second == QN_SCHED_NONE ? QN_SCHED_ASKING_WORK : QN_SCHED_ASKING_SECOND;
    return rank->hand_count == 0 ? idle : (qn_sched_asking)(QN_SCHED_ASKING_RESERVE + rank->hand_count - 1);
}

static const char *check_ranks(const qn_sched *sched)
{
    uint64_t in_hand_count = 0;
    uint32_t alive_count = 0;
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        const qn_sched_rank *self = &sched->ranks[rank];
        const char *broken = check_hand(sched, rank);
        if (broken != NULL) {
            return broken;
        }
        if ((qn_sched_asking)self->asking != asking_due(self)) {
            return "a rank asks for something else than its hands call for";
        }
        in_hand_count += self->hand_count;
        alive_count += self->state != QN_SCHED_RANK_GONE;
    }
    if (alive_count != sched->counts.ranks_alive) {
        return "the living ranks are miscounted";
    }
    return in_hand_count == sched->counts.in_hand ? NULL : "a task in hand is in no rank's hand";
}

static const char *check_rank_queue(const qn_sched *sched, qn_sched_asking asking, uint32_t *seen_count)
{
    uint32_t prev = QN_SCHED_NONE;
    uint32_t rank = sched->asking[asking].first;
    for (; rank != QN_SCHED_NONE; rank = sched->ranks[rank].next) {
        if ((*seen_count)++ == sched->rank_count) {
            return "the queues of ranks hold too many";
        }
        if ((qn_sched_asking)sched->ranks[rank].asking != asking || sched->ranks[rank].prev != prev) {
            return "a rank is in a queue where it does not belong";
        }
        prev = rank;
    }
    bool is_marked = (sched->reserve_queues & qn_sched_reserve_bit(asking)) > 0;
    if (asking >= QN_SCHED_ASKING_RESERVE && is_marked != (prev != QN_SCHED_NONE)) {
        return "a queue of ranks is taken for empty, or the other way round";
    }
    return prev == sched->asking[asking].last ? NULL : "a queue of ranks has another end than its last rank";
}

static const char *check_rank_queues(const qn_sched *sched)
{
    uint32_t asking_count = 0;
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        asking_count += sched->ranks[rank].asking != QN_SCHED_ASKING_NOTHING;
    }
    uint32_t seen_count = 0;
    const char *broken = NULL;
    uint32_t count = qn_sched_asking_count(sched->in_hand_max);
    for (uint32_t asking = QN_SCHED_ASKING_WORK; broken == NULL && asking < count; asking++) {
        broken = check_rank_queue(sched, (qn_sched_asking)asking, &seen_count);
    }
    if (broken != NULL) {
        return broken;
    }
    return seen_count == asking_count ? NULL : "a rank that asks is in no queue";
}

/* Each second is another rank's than the task's, and a task has no more than one: as many as there are tasks that have one. */
static const char *check_seconds(const qn_sched *sched)
{
    uint32_t count = 0;
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        const qn_sched_rank *self = &sched->ranks[rank];
        if (self->notice != QN_SCHED_NOTICE_NONE && !self->is_noted) {
            return "a rank's notice is not on its way";
        }
        if (self->second == QN_SCHED_NONE) {
            continue;
        }
        const qn_sched_task *task = &sched->tasks[self->second];
        if (self->hand_count > 0 || self->state != QN_SCHED_RANK_SERVED || sched->is_paused) {
            return "a rank is a second that cannot be one";
        }
        if (task->state != QN_SCHED_TASK_IN_HAND || !task->has_second || task->rank == rank) {
            return "a rank is the second of a task that has none";
        }
        count++;
    }
    for (uint32_t i = 0; i < sched->task_count; i++) {
        count -= sched->tasks[i].has_second;
    }
    return count == 0 ? NULL : "a task has no second, or two";
}

/* A sample, as all cursors times all returns would be quadratic: ranks with empty hands, who wait in vain if
 * their cursor is wrong. */
static const char *check_cursors(const qn_sched *sched)
{
    uint32_t rank = sched->asking[QN_SCHED_ASKING_WORK].first;
    for (uint32_t i = 0; i < sched->attempt_count_max && rank != QN_SCHED_NONE; i++) {
        const char *broken = check_cursor(sched, rank);
        if (broken != NULL) {
            return broken;
        }
        rank = sched->ranks[rank].next;
    }
    return NULL;
}

/* Whether something stays where no rank is left. */
static bool is_stranded(const qn_sched *sched)
{
    for (uint32_t node = 0; node < sched->node_count; node++) {
        if (sched->nodes[node].ranks_alive == 0 && sched->nodes[node].stay_left > 0) {
            return true;
        }
    }
    return false;
}

static const char *check_verdict(const qn_sched *sched)
{
    bool all_done = sched->counts.done == sched->task_count;
    if (all_done != (sched->verdict == QN_SCHED_VERDICT_FINISHED)) {
        return "the stage is finished without all tasks done, or the other way round";
    }
    bool hopeless = sched->abandoned_count > 0 || is_stranded(sched) || (sched->counts.ranks_alive == 0 && !all_done);
    if (hopeless != (sched->verdict == QN_SCHED_VERDICT_FAILED)) {
        return "the stage failed without a cause, or the other way round";
    }
    return NULL;
}

const char *qn_sched_check(const qn_sched *sched)
{
    static const char *(*const checks[])(const qn_sched *) = {
        check_tasks,       check_fresh_queues, check_ring,    check_returns, check_ranks,
        check_rank_queues, check_seconds,      check_cursors, check_verdict, check_stays,
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const char *broken = checks[i](sched);
        if (broken != NULL) {
            return broken;
        }
    }
    return NULL;
}
