/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sched_pile.c: the pile of pending tasks, and which of them a given rank gets.
 *
 * Intuition. There are two piles. Fresh tasks lie in one queue per node (and one for tasks without a
 * hint); these queues only shrink. Tasks that came back, because an attempt failed or its rank was lost,
 * are written into a log, the returns; they are the oldest work there is, so everybody reads the log first.
 *
 * Model of the log. Returns are appended and never move. One is live while its task is pending by it, and
 * dead after the task was taken. `return_first` passes the dead ones at the front. Each rank has a
 * cursor: what lies before it is dead or has come back from this very rank, so it need not look there again.
 *
 * Why this is O(1). With at most a = attempt_count_max attempts, a pending task has come back from at most
 * a - 1 ranks; call them its set. A rank's cursor passes
 *  - a live return only if the rank is in its set: at most a - 1 ranks do, once each;
 *  - a dead return e only while a live one before it keeps `return_first` back. The rank must be in the
 *    set of every live return before e. As no return ever appears before e, all ranks that do so, over all
 *    time, are in the set of that return before e which is taken last: again at most a - 1.
 * So the whole log costs at most 2 (a - 1) steps per return, even if one broken rank fails a million
 * tasks faster than the others can take them over.
 *
 * Given back. A task that a rank gives back unfinished lies where it lay before it was taken: in front of its fresh queue, or at its
 * latest return, to which all cursors are wound back (a step for each rank, only for tasks that had failed before).
 *
 * The exception. A task that has failed on every living rank goes to any of them. This needs fewer living
 * ranks than attempts; losing a rank can then open returns that cursors have passed, so these are
 * wound back (at most a - 1 times in a stage).
 *
 * Tasks that stay on a node lie in queues of their own, which only ranks of that node look into. Of their returns the cursors of all other
 * ranks pass each, once: there the log costs up to a step for each rank.
 *
 * Rejected. Scanning one list of failed tasks from its head: quadratic with a broken rank. One list per
 * rank last failed on: quadratic again with two broken ranks. Putting the tasks of a lost rank back under
 * their hints: keeps locality for a handful of tasks, but leaves the oldest work for last.
 */
#include "scheduler/sched_assert.h"
#include "scheduler/sched_internal.h"

/* A ring of the nodes with hinted tasks, in node order. Empty nodes are unlinked when rotation meets them. */
static void link_ring(qn_sched *sched)
{
    uint32_t first = QN_SCHED_NONE;
    uint32_t last = QN_SCHED_NONE;
    for (uint32_t node = 0; node < sched->node_count; node++) {
        if (sched->nodes[node].fresh_first == QN_SCHED_NONE) {
            continue;
        }
        if (last == QN_SCHED_NONE) {
            first = node;
        } else {
            sched->nodes[last].ring_next = node;
        }
        last = node;
    }
    if (last != QN_SCHED_NONE) {
        sched->nodes[last].ring_next = first;
    }
    sched->ring_turn = last;
}

/* A task that stays became pending, or is no longer. */
static void count_stay(qn_sched *sched, const qn_sched_task *task, uint32_t change)
{
    if (!task->stays) {
        return;
    }
    sched->nodes[task->node].stay_pending += change;
    sched->stay_pending_count += change;
}

static void push_fresh(qn_sched *sched, uint32_t task)
{
    qn_sched_task *fresh = &sched->tasks[task];
    qn_sched_node *node = &sched->nodes[fresh->node];
    uint32_t *first = fresh->stays ? &node->stay_first : &node->fresh_first;
    fresh->state = QN_SCHED_TASK_FRESH;
    fresh->next = *first;
    *first = task;
    sched->fresh_count++;
    sched->fresh_hinted_count += fresh->node != sched->node_count && !fresh->stays;
    count_stay(sched, fresh, 1);
}

/* As one whose only attempt finished. */
static void file_done(qn_sched *sched, uint32_t task)
{
    sched->tasks[task].state = QN_SCHED_TASK_FINISHED;
    sched->tasks[task].rank = QN_SCHED_NONE;
    sched->tasks[task].attempt = 1;
    sched->counts.done++;
}

void qn_sched_pile_init(qn_sched *sched, const qn_sched_config *config)
{
    const uint32_t *task_node = config->task_node;
    for (uint32_t node = 0; node <= sched->node_count; node++) {
        sched->nodes[node] =
            (qn_sched_node){.fresh_first = QN_SCHED_NONE, .stay_first = QN_SCHED_NONE, .ring_next = QN_SCHED_NONE};
    }
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        sched->nodes[sched->ranks[rank].node].ranks_alive++;
    }
    /* Backwards, so that pushing in front leaves each queue in task order. */
    for (uint32_t task = sched->task_count; task-- > 0;) {
        bool hinted = task_node != NULL && task_node[task] != QN_SCHED_NONE;
        uint32_t node = hinted ? task_node[task] : sched->node_count;
        bool stays = hinted && config->task_stays != NULL && config->task_stays[task];
        sched->tasks[task] = (qn_sched_task){.node = node, .returns = QN_SCHED_NONE, .stays = stays};
        if (config->task_done != NULL && config->task_done[task]) {
            file_done(sched, task);
        } else {
            push_fresh(sched, task);
            sched->nodes[node].stay_left += stays;
        }
    }
    link_ring(sched);
}

bool qn_sched_pile_is_live(const qn_sched *sched, uint32_t index)
{
    const qn_sched_task *task = &sched->tasks[sched->returns[index].task];
    return task->state == QN_SCHED_TASK_BACK && task->returns == index;
}

static bool came_back_from(const qn_sched *sched, uint32_t first, uint32_t rank)
{
    for (uint32_t i = first; i != QN_SCHED_NONE; i = sched->returns[i].previous) {
        if (sched->returns[i].rank == rank) {
            return true;
        }
    }
    return false;
}

static uint32_t count_places(const qn_sched *sched, const qn_sched_task *task)
{
    return task->stays ? sched->nodes[task->node].ranks_alive : sched->counts.ranks_alive;
}

/* Counts the different living ranks among the task's returns, all of which are where it may be run. */
static bool came_back_from_all(const qn_sched *sched, const qn_sched_task *task)
{
    uint32_t rank_count = 0;
    for (uint32_t i = task->returns; i != QN_SCHED_NONE; i = sched->returns[i].previous) {
        const qn_sched_return *back = &sched->returns[i];
        bool alive = sched->ranks[back->rank].state != QN_SCHED_RANK_GONE;
        rank_count += alive && !came_back_from(sched, back->previous, back->rank);
    }
    return rank_count == count_places(sched, task);
}

bool qn_sched_pile_is_place(const qn_sched *sched, const qn_sched_task *task, uint32_t rank)
{
    return !task->stays || sched->ranks[rank].node == task->node;
}

bool qn_sched_pile_may_take(const qn_sched *sched, const qn_sched_task *task, uint32_t rank)
{
    if (!qn_sched_pile_is_place(sched, task, rank)) {
        return false;
    }
    if (!came_back_from(sched, task->returns, rank)) {
        return true;
    }
    return count_places(sched, task) < sched->attempt_count_max && came_back_from_all(sched, task);
}

static void skip_dead_returns(qn_sched *sched)
{
    while (sched->return_first < sched->return_count && !qn_sched_pile_is_live(sched, sched->return_first)) {
        sched->return_first++;
    }
}

static bool is_for(const qn_sched *sched, uint32_t index, uint32_t rank)
{
    return qn_sched_pile_is_live(sched, index) &&
           qn_sched_pile_may_take(sched, &sched->tasks[sched->returns[index].task], rank);
}

static uint32_t take_back(qn_sched *sched, uint32_t rank)
{
    skip_dead_returns(sched);
    uint32_t at = sched->ranks[rank].cursor;
    if (at < sched->return_first) {
        at = sched->return_first;
    }
    while (at < sched->return_count && !is_for(sched, at, rank)) {
        at++;
    }
    sched->ranks[rank].cursor = at;
    if (at == sched->return_count) {
        return QN_SCHED_NONE;
    }
    uint32_t task = sched->returns[at].task;
    sched->back_count--;
    count_stay(sched, &sched->tasks[task], UINT32_MAX);
    return task;
}

/* The first one of a queue of fresh tasks. */
static uint32_t take_fresh_of(qn_sched *sched, uint32_t *first)
{
    uint32_t task = *first;
    if (task == QN_SCHED_NONE) {
        return QN_SCHED_NONE;
    }
    const qn_sched_task *taken = &sched->tasks[task];
    QN_SCHED_ASSERT(taken->state == QN_SCHED_TASK_FRESH);
    *first = taken->next;
    sched->fresh_count--;
    sched->fresh_hinted_count -= taken->node != sched->node_count && !taken->stays;
    count_stay(sched, taken, UINT32_MAX);
    return task;
}

static uint32_t take_fresh_by_rotation(qn_sched *sched)
{
    QN_SCHED_ASSERT(sched->fresh_hinted_count > 0);
    qn_sched_node *turn = &sched->nodes[sched->ring_turn];
    while (sched->nodes[turn->ring_next].fresh_first == QN_SCHED_NONE) {
        qn_sched_node *empty = &sched->nodes[turn->ring_next];
        turn->ring_next = empty->ring_next;
        empty->ring_next = QN_SCHED_NONE;
    }
    sched->ring_turn = turn->ring_next;
    return take_fresh_of(sched, &sched->nodes[sched->ring_turn].fresh_first);
}

static uint32_t take_free(qn_sched *sched, uint32_t node)
{
    uint32_t task = take_fresh_of(sched, &sched->nodes[node].fresh_first);
    if (task == QN_SCHED_NONE) {
        task = take_fresh_of(sched, &sched->nodes[sched->node_count].fresh_first);
    }
    if (task == QN_SCHED_NONE && sched->fresh_hinted_count > 0) {
        task = take_fresh_by_rotation(sched);
    }
    return task;
}

uint32_t qn_sched_pile_take(qn_sched *sched, uint32_t rank)
{
    qn_sched_node *node = &sched->nodes[sched->ranks[rank].node];
    uint64_t held_count = sched->ranks[rank].hand_count;
    uint32_t free_count = qn_sched_pending(sched) - sched->stay_pending_count;
    bool has_stay = node->stay_pending > held_count * node->ranks_alive;
    bool has_free = free_count > held_count * sched->counts.ranks_alive;
    uint32_t task = QN_SCHED_NONE;
    if (sched->back_count > 0 && (has_stay || has_free)) {
        task = take_back(sched, rank);
    }
    if (task == QN_SCHED_NONE && has_stay) {
        task = take_fresh_of(sched, &node->stay_first);
    }
    if (task == QN_SCHED_NONE && has_free) {
        task = take_free(sched, sched->ranks[rank].node);
    }
    return task;
}

uint32_t qn_sched_pile_find_stay(const qn_sched *sched, uint32_t node)
{
    for (uint32_t task = 0; task < sched->task_count; task++) {
        const qn_sched_task *each = &sched->tasks[task];
        if (each->stays && each->node == node && each->state != QN_SCHED_TASK_FINISHED) {
            return task;
        }
    }
    return QN_SCHED_NONE;
}

bool qn_sched_pile_came_back_from(const qn_sched *sched, const qn_sched_task *task, uint32_t rank)
{
    return came_back_from(sched, task->returns, rank);
}

void qn_sched_pile_note_return(qn_sched *sched, uint32_t task, uint32_t rank)
{
    qn_sched_task *back = &sched->tasks[task];
    QN_SCHED_ASSERT(back->attempt < sched->attempt_count_max);
    QN_SCHED_ASSERT(sched->return_count < sched->task_count * (sched->attempt_count_max - 1));
    sched->returns[sched->return_count] = (qn_sched_return){.task = task, .rank = rank, .previous = back->returns};
    back->returns = sched->return_count++;
}

void qn_sched_pile_return(qn_sched *sched, uint32_t task, uint32_t rank)
{
    qn_sched_pile_note_return(sched, task, rank);
    sched->tasks[task].state = QN_SCHED_TASK_BACK;
    sched->back_count++;
    count_stay(sched, &sched->tasks[task], 1);
}

/* Behind the node that was served last, unless it is still there. */
static void relink(qn_sched *sched, uint32_t node)
{
    if (node == sched->node_count || sched->nodes[node].ring_next != QN_SCHED_NONE) {
        return;
    }
    if (sched->ring_turn == QN_SCHED_NONE) {
        sched->ring_turn = node;
        sched->nodes[node].ring_next = node;
        return;
    }
    sched->nodes[node].ring_next = sched->nodes[sched->ring_turn].ring_next;
    sched->nodes[sched->ring_turn].ring_next = node;
}

/* The return by which the task was pending last is live again, whoever has passed it. */
static void revive(qn_sched *sched, uint32_t index)
{
    if (sched->return_first > index) {
        sched->return_first = index;
    }
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        if (sched->ranks[rank].cursor > index) {
            sched->ranks[rank].cursor = index;
        }
    }
    sched->back_count++;
}

void qn_sched_pile_give_back(qn_sched *sched, uint32_t task)
{
    qn_sched_task *back = &sched->tasks[task];
    back->attempt--;
    if (back->returns == QN_SCHED_NONE) {
        push_fresh(sched, task);
        if (!back->stays) {
            relink(sched, back->node);
        }
        return;
    }
    back->state = QN_SCHED_TASK_BACK;
    count_stay(sched, back, 1);
    revive(sched, back->returns);
}

void qn_sched_pile_reconsider(qn_sched *sched, uint32_t lost)
{
    const qn_sched_node *node = &sched->nodes[sched->ranks[lost].node];
    bool opens_stay = node->stay_left > 0 && node->ranks_alive < sched->attempt_count_max;
    if (sched->counts.ranks_alive >= sched->attempt_count_max && !opens_stay) {
        return;
    }
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        sched->ranks[rank].cursor = 0;
    }
}
