/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/scheduler.c: who is served next, and what each event means.
 *
 * Intuition. Ranks that ask stand in two queues: those with empty hands, and those that only want a task
 * in reserve. The first queue is always served first. Those that want a reserve stand in a queue for each number of tasks in hand, fewest first. A rank that got
 * a task goes to the end of the next one, so nobody fills up while others wait; but as long as there are enough tasks to fill all hands, one rank is filled after the
 * other, so that what it gets can go in one message. Between the two stand those that are only a
 * second: they leave that for any task that is nobody's.
 *
 * Model. sched_init.c lays the memory out, sched_pile.c knows which pending task a rank gets, this file
 * turns events into state and state into actions, sched_second.c keeps second attempts, sched_check.c audits all of it.
 *
 * Invariants of this file:
 *  - a rank stands in the one queue that its hands call for, or in none;
 *  - if a task is pending, at most attempt_count_max - 1 ranks cannot take it (those it came back from),
 *    so serving passes over no more than that many ranks in a queue. Where tasks stay on nodes, over those of other nodes, too;
 *  - the verdict changes once, from open to finished or failed; events are still accounted for after it.
 *
 * An attempt that was lost with its rank counts as one of the task's attempts. A task that kills its rank is
 * thereby bounded like one that fails; counting only reported failures would let it eat the cluster rank by
 * rank.
 *
 * Rejected. Searching for the best rank for a task instead of the best task for a rank: needs an index of
 * ranks per node and per task, and gains nothing as long as tasks outnumber ranks.
 */
#include "scheduler/scheduler.h"
#include "scheduler/sched_assert.h"
#include "scheduler/sched_internal.h"

#include <string.h>

/* Queues of ranks. */

static void leave_queue(qn_sched *sched, uint32_t rank)
{
    qn_sched_rank *self = &sched->ranks[rank];
    if (self->asking == QN_SCHED_ASKING_NOTHING) {
        return;
    }
    qn_sched_rank_queue *queue = &sched->asking[self->asking];
    *(self->prev == QN_SCHED_NONE ? &queue->first : &sched->ranks[self->prev].next) = self->next;
    *(self->next == QN_SCHED_NONE ? &queue->last : &sched->ranks[self->next].prev) = self->prev;
    if (queue->first == QN_SCHED_NONE) {
        sched->reserve_queues &= ~qn_sched_reserve_bit((qn_sched_asking)self->asking);
    }
    self->asking = QN_SCHED_ASKING_NOTHING;
}

static void join_queue(qn_sched *sched, uint32_t rank, qn_sched_asking asking)
{
    qn_sched_rank *self = &sched->ranks[rank];
    QN_SCHED_ASSERT(self->asking == QN_SCHED_ASKING_NOTHING);
    if (asking == QN_SCHED_ASKING_NOTHING) {
        return;
    }
    qn_sched_rank_queue *queue = &sched->asking[asking];
    self->next = QN_SCHED_NONE;
    self->prev = queue->last;
    *(queue->last == QN_SCHED_NONE ? &queue->first : &sched->ranks[queue->last].next) = rank;
    queue->last = rank;
    sched->reserve_queues |= qn_sched_reserve_bit(asking);
    self->asking = (uint8_t)asking;
}

static qn_sched_asking asking_for(const qn_sched_rank *rank)
{
    if (rank->state != QN_SCHED_RANK_SERVED || rank->hand_count >= rank->hand_max) {
        return QN_SCHED_ASKING_NOTHING;
    }
    if (rank->hand_count > 0) {
        return (qn_sched_asking)(QN_SCHED_ASKING_RESERVE + rank->hand_count - 1);
    }
    return rank->second == QN_SCHED_NONE ? QN_SCHED_ASKING_WORK : QN_SCHED_ASKING_SECOND;
}

/* A rank that already asks for the right thing keeps its place. */
void qn_sched_update_queue(qn_sched *sched, uint32_t rank)
{
    qn_sched_asking asking = asking_for(&sched->ranks[rank]);
    if (asking != (qn_sched_asking)sched->ranks[rank].asking) {
        leave_queue(sched, rank);
        join_queue(sched, rank, asking);
    }
}

/* Events. */

static void conclude_failed(qn_sched *sched, uint32_t rank, uint32_t task, uint32_t attempt)
{
    if (sched->verdict != QN_SCHED_VERDICT_OPEN) {
        return;
    }
    sched->verdict = QN_SCHED_VERDICT_FAILED;
    sched->fail_rank = rank;
    sched->fail_task = task;
    sched->fail_attempt = attempt;
}

static bool is_in_hand(const qn_sched *sched, const qn_sched_event *event)
{
    if (event->rank >= sched->rank_count || event->task >= sched->task_count) {
        return false;
    }
    const qn_sched_task *task = &sched->tasks[event->task];
    return task->state == QN_SCHED_TASK_IN_HAND && task->rank == event->rank && task->attempt == event->attempt;
}

static void drop_from_hand(qn_sched *sched, uint32_t rank, uint32_t task)
{
    uint32_t *hand = qn_sched_hand(sched, rank);
    uint32_t count = sched->ranks[rank].hand_count;
    uint32_t slot = 0;
    while (slot < count && hand[slot] != task) {
        slot++;
    }
    QN_SCHED_ASSERT(slot < count);
    memmove(hand + slot, hand + slot + 1, (count - slot - 1) * sizeof *hand);
    sched->ranks[rank].hand_count--;
    sched->counts.in_hand--;
}

static void put_back_or_abandon(qn_sched *sched, uint32_t task, uint32_t rank)
{
    qn_sched_task *back = &sched->tasks[task];
    if (back->attempt < sched->attempt_count_max && !back->has_second) {
        qn_sched_pile_return(sched, task, rank);
        return;
    }
    if (back->attempt < sched->attempt_count_max) {
        qn_sched_pile_note_return(sched, task, rank);
        back->attempt++;
        qn_sched_second_take_over(sched, task);
        return;
    }
    if (back->has_second) {
        qn_sched_second_drop(sched, task);
    }
    back->state = QN_SCHED_TASK_ABANDONED;
    sched->abandoned_count++;
    conclude_failed(sched, rank, task, back->attempt);
}

static bool feed_rank_ready(qn_sched *sched, uint32_t rank)
{
    if (rank >= sched->rank_count || sched->ranks[rank].state != QN_SCHED_RANK_AWAITED) {
        return false;
    }
    sched->ranks[rank].state = QN_SCHED_RANK_SERVED;
    qn_sched_update_queue(sched, rank);
    return true;
}

static bool feed_task_done(qn_sched *sched, const qn_sched_event *event)
{
    if (!is_in_hand(sched, event)) {
        return false;
    }
    drop_from_hand(sched, event->rank, event->task);
    qn_sched_update_queue(sched, event->rank);
    if (sched->tasks[event->task].has_second) {
        qn_sched_second_drop(sched, event->task);
    }
    sched->tasks[event->task].state = QN_SCHED_TASK_FINISHED;
    sched->nodes[sched->tasks[event->task].node].stay_left -= sched->tasks[event->task].stays;
    sched->counts.done++;
    if (sched->counts.done == sched->task_count) {
        QN_SCHED_ASSERT(sched->verdict == QN_SCHED_VERDICT_OPEN);
        sched->verdict = QN_SCHED_VERDICT_FINISHED;
    }
    return true;
}

static bool feed_task_failed(qn_sched *sched, const qn_sched_event *event)
{
    if (!is_in_hand(sched, event)) {
        return false;
    }
    drop_from_hand(sched, event->rank, event->task);
    qn_sched_update_queue(sched, event->rank);
    sched->counts.failures++;
    put_back_or_abandon(sched, event->task, event->rank);
    return true;
}

static bool feed_task_given_back(qn_sched *sched, const qn_sched_event *event)
{
    if (!is_in_hand(sched, event)) {
        return false;
    }
    drop_from_hand(sched, event->rank, event->task);
    qn_sched_update_queue(sched, event->rank);
    sched->counts.attempts--;
    if (sched->tasks[event->task].has_second) {
        qn_sched_second_take_over(sched, event->task);
    } else {
        qn_sched_pile_give_back(sched, event->task);
    }
    return true;
}

static bool feed_task_late(qn_sched *sched, const qn_sched_event *event)
{
    if (!is_in_hand(sched, event) || sched->tasks[event->task].has_second || sched->is_paused ||
        sched->verdict != QN_SCHED_VERDICT_OPEN || qn_sched_pending(sched) > 0) {
        return false;
    }
    return qn_sched_second_begin(sched, event->task);
}

static bool feed_pause(qn_sched *sched)
{
    sched->is_paused = true;
    qn_sched_second_drop_all(sched);
    return true;
}

static bool feed_rank_lost(qn_sched *sched, uint32_t rank)
{
    if (rank >= sched->rank_count || sched->ranks[rank].state == QN_SCHED_RANK_GONE) {
        return false;
    }
    qn_sched_rank *self = &sched->ranks[rank];
    self->state = QN_SCHED_RANK_GONE;
    sched->counts.ranks_alive--;
    sched->nodes[self->node].ranks_alive--;
    qn_sched_second_forget(sched, rank);
    qn_sched_update_queue(sched, rank);

    const uint32_t *hand = qn_sched_hand(sched, rank);
    for (uint32_t slot = 0; slot < self->hand_count; slot++) {
        put_back_or_abandon(sched, hand[slot], rank);
    }
    sched->counts.in_hand -= self->hand_count;
    self->hand_count = 0;
    qn_sched_pile_reconsider(sched, rank);
    if (sched->counts.ranks_alive == 0) {
        conclude_failed(sched, QN_SCHED_NONE, QN_SCHED_NONE, 0);
    } else if (sched->nodes[self->node].ranks_alive == 0 && sched->nodes[self->node].stay_left > 0) {
        conclude_failed(sched, QN_SCHED_NONE, qn_sched_pile_find_stay(sched, self->node), 0);
    }
    return true;
}

static bool apply_event(qn_sched *sched, const qn_sched_event *event)
{
    switch (event->kind) {
    case QN_SCHED_RANK_READY:
        return feed_rank_ready(sched, event->rank);
    case QN_SCHED_TASK_DONE:
        return feed_task_done(sched, event);
    case QN_SCHED_TASK_FAILED:
        return feed_task_failed(sched, event);
    case QN_SCHED_TASK_GIVEN_BACK:
        return feed_task_given_back(sched, event);
    case QN_SCHED_RANK_LOST:
        return feed_rank_lost(sched, event->rank);
    case QN_SCHED_TASK_LATE:
        return feed_task_late(sched, event);
    case QN_SCHED_PAUSE:
        return feed_pause(sched);
    case QN_SCHED_RESUME:
        sched->is_paused = false;
        return true;
    }
    return false;
}

bool qn_sched_feed(qn_sched *sched, const qn_sched_event *event)
{
    bool accepted = apply_event(sched, event);
    sched->counts.stale_events += !accepted;
    return accepted;
}

/* Actions. */

static void give_verdict(qn_sched *sched, qn_sched_action *action_out)
{
    sched->verdict_given = true;
    bool finished = sched->verdict == QN_SCHED_VERDICT_FINISHED;
    *action_out = (qn_sched_action){
        .kind = finished ? QN_SCHED_FINISH : QN_SCHED_FAIL,
        .rank = sched->fail_rank,
        .task = sched->fail_task,
        .attempt = sched->fail_attempt,
    };
}

static void give_run(qn_sched *sched, uint32_t rank, uint32_t task, qn_sched_action *action_out)
{
    qn_sched_task *chosen = &sched->tasks[task];
    qn_sched_rank *self = &sched->ranks[rank];
    QN_SCHED_ASSERT(chosen->attempt < sched->attempt_count_max);
    QN_SCHED_ASSERT(self->hand_count < self->hand_max);
    if (self->second != QN_SCHED_NONE) {
        qn_sched_second_drop_rank(sched, rank);
    }
    chosen->state = QN_SCHED_TASK_IN_HAND;
    chosen->rank = rank;
    chosen->attempt++;
    qn_sched_hand(sched, rank)[self->hand_count++] = task;
    leave_queue(sched, rank);
    join_queue(sched, rank, asking_for(self));

    sched->counts.in_hand++;
    sched->counts.attempts++;
    sched->counts.hinted_runs += chosen->node != sched->node_count;
    sched->counts.local_runs += chosen->node == self->node;
    *action_out = (qn_sched_action){QN_SCHED_RUN, rank, task, chosen->attempt};
}

/* Serves the first rank of the queue for which there is a task. Something must be pending. */
static bool serve(qn_sched *sched, qn_sched_asking asking, qn_sched_action *action_out)
{
    uint32_t passed_count = 0;
    for (uint32_t rank = sched->asking[asking].first; rank != QN_SCHED_NONE; rank = sched->ranks[rank].next) {
        uint32_t task = qn_sched_pile_take(sched, rank);
        if (task != QN_SCHED_NONE) {
            give_run(sched, rank, task, action_out);
            return true;
        }
        passed_count++;
        QN_SCHED_ASSERT(sched->stay_pending_count > 0 || passed_count < sched->attempt_count_max);
    }
    return false;
}

/* There is enough for all: whom it was begun to fill is filled. */
static bool fill_up(qn_sched *sched, qn_sched_action *action_out)
{
    uint32_t rank = sched->filling;
    if (rank == QN_SCHED_NONE || sched->ranks[rank].asking < QN_SCHED_ASKING_RESERVE ||
        qn_sched_pending(sched) <= (uint64_t)sched->ranks[rank].hand_max * sched->counts.ranks_alive) {
        return false;
    }
    uint32_t task = qn_sched_pile_take(sched, rank);
    if (task != QN_SCHED_NONE) {
        give_run(sched, rank, task, action_out);
    }
    return task != QN_SCHED_NONE;
}

/* Who holds fewest comes first, so where there is too little for one there is for all that follow; but for what stays on nodes. */
static bool serve_reserves(qn_sched *sched, qn_sched_action *action_out)
{
    for (uint64_t left = sched->reserve_queues; left > 0; left &= left - 1) {
        uint32_t number = (uint32_t)__builtin_ctzll(left);
        bool has_reserves = sched->stay_pending_count > 0 ||
                            qn_sched_pending(sched) > (number + 1) * (uint64_t)sched->counts.ranks_alive;
        if (!has_reserves) {
            return false;
        }
        if (serve(sched, (qn_sched_asking)(QN_SCHED_ASKING_RESERVE + number), action_out)) {
            sched->filling = action_out->rank;
            return true;
        }
    }
    return false;
}

bool qn_sched_next(qn_sched *sched, qn_sched_action *action_out)
{
    if (qn_sched_second_next(sched, action_out)) {
        return true;
    }
    if (sched->verdict != QN_SCHED_VERDICT_OPEN) {
        bool due = !sched->verdict_given;
        if (due) {
            give_verdict(sched, action_out);
        }
        return due;
    }
    if (sched->is_paused || qn_sched_pending(sched) == 0) {
        return false;
    }
    bool served = serve(sched, QN_SCHED_ASKING_WORK, action_out) || serve(sched, QN_SCHED_ASKING_SECOND, action_out) ||
                  fill_up(sched, action_out) || serve_reserves(sched, action_out);
    if (!served) {
        sched->filling = QN_SCHED_NONE;
    }
    return served;
}

void qn_sched_set_hand(qn_sched *sched, uint32_t rank, uint32_t hand_max)
{
    QN_SCHED_ASSERT(rank < sched->rank_count && hand_max > 0 && hand_max <= sched->in_hand_max);
    sched->ranks[rank].hand_max = (uint8_t)hand_max;
    qn_sched_update_queue(sched, rank);
}

bool qn_sched_is_done(const qn_sched *sched, uint32_t task)
{
    return sched->tasks[task].state == QN_SCHED_TASK_FINISHED;
}

bool qn_sched_has_taker(const qn_sched *sched, uint32_t task)
{
    uint32_t rank = sched->asking[QN_SCHED_ASKING_WORK].first;
    while (rank != QN_SCHED_NONE && !qn_sched_pile_may_take(sched, &sched->tasks[task], rank)) {
        rank = sched->ranks[rank].next;
    }
    return rank != QN_SCHED_NONE;
}

uint32_t qn_sched_get_holder(const qn_sched *sched, uint32_t task, uint32_t *attempt_out)
{
    const qn_sched_task *held = &sched->tasks[task];
    if (held->state != QN_SCHED_TASK_IN_HAND) {
        return QN_SCHED_NONE;
    }
    *attempt_out = held->attempt;
    return held->rank;
}

qn_sched_counts qn_sched_get_counts(const qn_sched *sched)
{
    qn_sched_counts counts = sched->counts;
    counts.pending = qn_sched_pending(sched);
    return counts;
}
