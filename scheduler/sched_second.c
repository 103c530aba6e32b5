/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sched_second.c: second attempts of tasks that are in hand.
 *
 * Intuition. A task that is in hand of one rank is also worked on by another one, whose hands are empty. Exactly one of them can end it: the
 * first one, until it says that it left the task or is gone; from then on the second. That is decided here, by the order of the
 * events, and by nobody else. So a second may be dropped without asking it, since nothing that it did counts.
 *
 * Model. A second is no task in hand: the rank stands in the queue of seconds, which is searched when something happens to a task that
 * has one. There are at most as many as ranks, and only when nothing is pending. What a rank is to be told waits in a list. One
 * that was not told yet to begin is not told to drop; and if it is to take over, it is told to run the task as any other.
 *
 * Rejected. The second as one more task in hand of its rank: it would count as work in every bound, and a pause would have to wait for it.
 */
#include "scheduler/sched_assert.h"
#include "scheduler/sched_internal.h"

static void note(qn_sched *sched, uint32_t rank, uint32_t task, qn_sched_notice notice)
{
    qn_sched_rank *self = &sched->ranks[rank];
    self->notice = (uint8_t)notice;
    self->notice_task = task;
    if (self->is_noted) {
        return;
    }
    self->is_noted = true;
    self->notice_next = QN_SCHED_NONE;
    *(sched->noted.last == QN_SCHED_NONE ? &sched->noted.first : &sched->ranks[sched->noted.last].notice_next) = rank;
    sched->noted.last = rank;
}

bool qn_sched_second_begin(qn_sched *sched, uint32_t task)
{
    uint32_t rank = sched->asking[QN_SCHED_ASKING_WORK].first;
    while (rank != QN_SCHED_NONE && (sched->ranks[rank].notice != QN_SCHED_NOTICE_NONE ||
                                     !qn_sched_pile_is_place(sched, &sched->tasks[task], rank) ||
                                     qn_sched_pile_came_back_from(sched, &sched->tasks[task], rank))) {
        rank = sched->ranks[rank].next;
    }
    if (rank == QN_SCHED_NONE) {
        return false;
    }
    QN_SCHED_ASSERT(sched->ranks[rank].hand_count == 0 && sched->tasks[task].rank != rank);
    sched->ranks[rank].second = task;
    sched->tasks[task].has_second = true;
    sched->counts.seconds++;
    qn_sched_update_queue(sched, rank);
    note(sched, rank, task, QN_SCHED_NOTICE_BEGIN);
    return true;
}

static uint32_t find(const qn_sched *sched, uint32_t task)
{
    uint32_t rank = sched->asking[QN_SCHED_ASKING_SECOND].first;
    while (rank != QN_SCHED_NONE && sched->ranks[rank].second != task) {
        rank = sched->ranks[rank].next;
    }
    QN_SCHED_ASSERT(rank != QN_SCHED_NONE);
    return rank;
}

void qn_sched_second_take_over(qn_sched *sched, uint32_t task)
{
    uint32_t rank = find(sched, task);
    qn_sched_rank *self = &sched->ranks[rank];
    QN_SCHED_ASSERT(self->hand_count == 0);
    self->second = QN_SCHED_NONE;
    qn_sched_hand(sched, rank)[self->hand_count++] = task;
    sched->tasks[task].has_second = false;
    sched->tasks[task].rank = rank;
    sched->tasks[task].state = QN_SCHED_TASK_IN_HAND;
    sched->counts.in_hand++;
    sched->counts.attempts++;
    sched->counts.taken_over++;
    qn_sched_update_queue(sched, rank);
    bool was_told = self->notice != QN_SCHED_NOTICE_BEGIN;
    note(sched, rank, task, was_told ? QN_SCHED_NOTICE_TAKE_OVER : QN_SCHED_NOTICE_RUN);
}

/* Takes it off; true: the rank knows of it. */
static bool end(qn_sched *sched, uint32_t rank)
{
    qn_sched_rank *self = &sched->ranks[rank];
    QN_SCHED_ASSERT(sched->tasks[self->second].has_second);
    bool was_told = self->notice != QN_SCHED_NOTICE_BEGIN;
    sched->tasks[self->second].has_second = false;
    self->second = QN_SCHED_NONE;
    self->notice = QN_SCHED_NOTICE_NONE;
    return was_told;
}

void qn_sched_second_drop_rank(qn_sched *sched, uint32_t rank)
{
    uint32_t task = sched->ranks[rank].second;
    if (end(sched, rank)) {
        note(sched, rank, task, QN_SCHED_NOTICE_DROP);
    }
    qn_sched_update_queue(sched, rank);
}

void qn_sched_second_drop(qn_sched *sched, uint32_t task)
{
    qn_sched_second_drop_rank(sched, find(sched, task));
}

void qn_sched_second_drop_all(qn_sched *sched)
{
    while (sched->asking[QN_SCHED_ASKING_SECOND].first != QN_SCHED_NONE) {
        qn_sched_second_drop_rank(sched, sched->asking[QN_SCHED_ASKING_SECOND].first);
    }
}

void qn_sched_second_forget(qn_sched *sched, uint32_t rank)
{
    if (sched->ranks[rank].second != QN_SCHED_NONE) {
        end(sched, rank);
    }
    sched->ranks[rank].notice = QN_SCHED_NOTICE_NONE;
}

bool qn_sched_second_next(qn_sched *sched, qn_sched_action *action_out)
{
    static const qn_sched_action_kind kinds[] = {
        [QN_SCHED_NOTICE_BEGIN] = QN_SCHED_SECOND,
        [QN_SCHED_NOTICE_TAKE_OVER] = QN_SCHED_TAKE_OVER,
        [QN_SCHED_NOTICE_RUN] = QN_SCHED_RUN,
        [QN_SCHED_NOTICE_DROP] = QN_SCHED_DROP,
    };
    while (sched->noted.first != QN_SCHED_NONE) {
        uint32_t rank = sched->noted.first;
        qn_sched_rank *self = &sched->ranks[rank];
        uint8_t notice = self->notice;
        sched->noted.first = self->notice_next;
        if (sched->noted.first == QN_SCHED_NONE) {
            sched->noted.last = QN_SCHED_NONE;
        }
        self->is_noted = false;
        self->notice = QN_SCHED_NOTICE_NONE;
        if (notice == QN_SCHED_NOTICE_NONE) {
            continue;
        }
        *action_out =
            (qn_sched_action){kinds[notice], rank, self->notice_task, sched->tasks[self->notice_task].attempt};
        return true;
    }
    return false;
}
