/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/cluster_end.c: what happens near the end of a stage: ranks are asked to leave tasks to others, and begin second attempts.
 *
 * Who is asked, and what is begun a second time, the rules of real jobs decide (stragglers.h), and the scheduler. Here is what comes of it.
 *
 * A second attempt is no order: it stands beside the slots, and only when it takes over it becomes one. Of what it did until then counts what lies behind
 * the border at which the other left the task; or, where attempts make parts, all or nothing.
 */
#include "scheduler/sim/cluster_internal.h"

#include <stdlib.h>

/* What a task is to the rules: they do not know how long it was drawn. */
static const uint64_t TASK_BYTES = 1 << 30;
/* Of the master, for each rank it looks at. */
static const uint64_t LOOK_NS_OF_RANK = 10;

static uint64_t left_bytes(uint32_t part)
{
    return (uint64_t)((double)TASK_BYTES * (1 - (double)part / QN_CLUSTER_WHOLE));
}

static qn_straggler_config configure(const qn_cluster *c)
{
    return (qn_straggler_config){.rank_count = c->config->rank_count,
                                 .hand_max = c->hand_max,
                                 .makes_parts = c->config->makes_parts,
                                 .may_second = true,
                                 .is_eager = c->config->speculate == QN_CLUSTER_SPECULATE_ON};
}

bool qn_cluster_end_build(qn_cluster *c)
{
    if (c->config->speculate == QN_CLUSTER_SPECULATE_OFF || c->config->rank_count == 1) {
        return true;
    }
    qn_straggler_config config = configure(c);
    c->stragglers_memory = malloc(qn_stragglers_bytes(&config));
    c->seconds = calloc(c->config->rank_count, sizeof *c->seconds);
    return c->stragglers_memory != NULL && c->seconds != NULL;
}

void qn_cluster_end_begin(qn_cluster *c)
{
    c->will_look = false;
    if (c->stragglers_memory == NULL) {
        return;
    }
    qn_straggler_config config = configure(c);
    qn_stragglers_init(&c->stragglers, c->stragglers_memory, &config);
    for (uint32_t rank = 0; rank < c->config->rank_count; rank++) {
        c->seconds[rank].task = QN_SCHED_NONE;
    }
}

void qn_cluster_end_tear_down(qn_cluster *c)
{
    free(c->stragglers_memory);
    free(c->seconds);
}

void qn_cluster_note_given(qn_cluster *c, uint32_t rank, uint32_t task)
{
    qn_stragglers_end_second(&c->stragglers, rank);
    qn_stragglers_give(&c->stragglers, rank, task, left_bytes(qn_cluster_part_of(c, task)), false, c->now_ns);
}

void qn_cluster_note_over(qn_cluster *c, uint32_t rank, uint32_t task, uint32_t part)
{
    qn_stragglers_take(&c->stragglers, rank, task, left_bytes(part), c->now_ns);
}

/* Second attempts. */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void lose(qn_cluster *c, uint64_t begin_ns, uint64_t end_ns)
{
    c->result.twice_ns += end_ns > begin_ns ? (double)(end_ns - begin_ns) : 0;
}

static uint64_t send(qn_cluster *c, uint32_t rank)
{
    qn_cluster_master_works(c, c->config->send_ns);
    qn_cluster_count_message(c, 1, 0);
    return c->now_ns + qn_cluster_latency_ns(c, rank);
}

void qn_cluster_send_second(qn_cluster *c, const qn_sched_action *action)
{
    uint64_t arrival_ns = send(c, action->rank), free_ns = c->free_ns[action->rank];
    qn_cluster_second *second = &c->seconds[action->rank];
    uint32_t attempt = 0, holder = qn_sched_get_holder(c->sched, action->task, &attempt);
    qn_stragglers_begin_second(&c->stragglers, action->rank, holder, action->task);
    second->task = action->task;
    second->from = qn_cluster_part_of(c, action->task);
    second->begin_ns = arrival_ns > free_ns ? arrival_ns : free_ns;
    second->end_ns = second->begin_ns + qn_cluster_length_ns(c, action->task, second->from, action->rank);
    c->result.seconds++;
    if (c->config->makes_parts) {
        qn_cluster_add(c, QN_CLUSTER_READY, second->end_ns, action->rank, action->task, action->attempt);
    }
}

/* Of what it kept back the first part_of() is of no use: the other one delivered that. It goes on where it is, or where the other one left. */
static qn_cluster_slot adopt(qn_cluster *c, const qn_cluster_second *second, uint32_t task, uint64_t heard_ns)
{
    uint64_t did_until_ns = least(heard_ns, second->end_ns);
    qn_cluster_slot slot = {.task = task, .from = qn_cluster_part_of(c, task)};
    uint32_t did = qn_cluster_part_at(c, second->from, second->begin_ns, second->end_ns, heard_ns);
    if (c->config->makes_parts || did <= slot.from) {
        bool counts = c->config->makes_parts && did_until_ns > second->begin_ns;
        c->result.seconds_won += counts;
        if (counts) {
            qn_cluster_count_work(c, second->begin_ns, did_until_ns);
        } else {
            lose(c, second->begin_ns, did_until_ns);
        }
        return slot;
    }
    double counts = (double)(did - slot.from) / (double)(did - second->from);
    uint64_t useful_ns = (uint64_t)(counts * (double)(did_until_ns - second->begin_ns));
    qn_cluster_count_work(c, did_until_ns - useful_ns, did_until_ns);
    lose(c, second->begin_ns, did_until_ns - useful_ns);
    c->result.seconds_won++;
    slot.from = c->part[task] = did;
    return slot;
}

void qn_cluster_send_take_over(qn_cluster *c, const qn_sched_action *action)
{
    uint64_t heard_ns = send(c, action->rank), rest_ns = 1;
    qn_cluster_second *second = &c->seconds[action->rank];
    qn_cluster_note_given(c, action->rank, action->task);
    qn_cluster_slot slot = adopt(c, second, action->task, heard_ns);
    slot.attempt = (uint16_t)action->attempt;
    if (c->config->makes_parts) {
        rest_ns += second->end_ns > heard_ns ? second->end_ns - heard_ns : 0;
    } else if (slot.from < QN_CLUSTER_WHOLE) {
        rest_ns = qn_cluster_length_ns(c, action->task, slot.from, action->rank);
    }
    second->task = QN_SCHED_NONE;
    c->free_ns[action->rank] = heard_ns;
    qn_cluster_hold(c, action->rank, slot, heard_ns, rest_ns);
}

void qn_cluster_end_second(qn_cluster *c, uint32_t rank, uint64_t heard_ns)
{
    if (c->seconds == NULL || c->seconds[rank].task == QN_SCHED_NONE) {
        return;
    }
    qn_cluster_second *second = &c->seconds[rank];
    uint64_t stop_ns = heard_ns < second->end_ns ? qn_cluster_border_ns(c, rank, heard_ns) : heard_ns;
    lose(c, second->begin_ns, least(stop_ns, second->end_ns));
    second->task = QN_SCHED_NONE;
    c->free_ns[rank] = stop_ns > c->free_ns[rank] ? stop_ns : c->free_ns[rank];
}

void qn_cluster_send_drop(qn_cluster *c, const qn_sched_action *action)
{
    uint64_t heard_ns = send(c, action->rank);
    qn_stragglers_end_second(&c->stragglers, action->rank);
    qn_cluster_end_second(c, action->rank, heard_ns);
}

void qn_cluster_lose_seconds(qn_cluster *c, uint64_t failed_ns)
{
    for (uint32_t rank = 0; c->seconds != NULL && rank < c->config->rank_count; rank++) {
        const qn_cluster_second *second = &c->seconds[rank];
        if (second->task != QN_SCHED_NONE) {
            lose(c, second->begin_ns, least(second->end_ns, failed_ns));
        }
    }
}

/* Who is asked. */

static void send_leave(qn_cluster *c, const qn_straggler_order *order)
{
    uint64_t heard_ns = send(c, order->rank);
    c->result.asked++;
    qn_cluster_add(c, order->unless_begun ? QN_CLUSTER_LEAVE_UNBEGUN : QN_CLUSTER_LEAVE, heard_ns, order->rank,
                   order->task, order->attempt);
}

static bool has_to_press_on(const qn_cluster *c)
{
    return c->stragglers_memory != NULL && !c->is_over && !c->is_pausing && c->result.broken == NULL &&
           qn_sched_get_counts(c->sched).pending == 0;
}

void qn_cluster_press_on(qn_cluster *c)
{
    qn_straggler_order order;
    if (!has_to_press_on(c)) {
        return;
    }
    if (c->now_ns >= qn_stragglers_get_due_ns(&c->stragglers)) {
        qn_cluster_master_works(c, c->config->rank_count * LOOK_NS_OF_RANK);
    }
    uint64_t now_ns = c->now_ns;
    while (!c->is_over && qn_stragglers_press_on(&c->stragglers, c->sched, now_ns, &order)) {
        if (order.advice == QN_STRAGGLER_ASK) {
            send_leave(c, &order);
        } else {
            qn_cluster_carry_out(c);
        }
    }
    uint64_t due_ns = qn_stragglers_get_due_ns(&c->stragglers);
    if (!c->will_look && due_ns < UINT64_MAX) {
        qn_cluster_add(c, QN_CLUSTER_LOOK, due_ns > c->now_ns ? due_ns : c->now_ns + 1, 0, QN_SCHED_NONE, 0);
        c->will_look = true;
    }
}

void qn_cluster_look(qn_cluster *c, uint64_t time_ns)
{
    c->will_look = false;
    if (!has_to_press_on(c)) {
        return;
    }
    c->master_free_ns = c->master_free_ns > time_ns ? c->master_free_ns : time_ns;
    c->now_ns = c->master_free_ns;
    qn_cluster_press_on(c);
}

void qn_cluster_hear_leave(qn_cluster *c, const qn_sim_happening *what)
{
    qn_cluster_slot *slot = qn_cluster_find_slot(c, what->rank, what->task);
    if (slot == NULL || slot->attempt != what->attempt) {
        return;
    }
    bool has_begun = slot->begin_ns < what->time_ns;
    if (has_begun && what->kind == QN_CLUSTER_LEAVE_UNBEGUN) {
        return;
    }
    c->result.left += qn_cluster_leave(c, what->rank, slot, what->time_ns) && has_begun;
}

void qn_cluster_take_ready(qn_cluster *c, const qn_sim_happening *what)
{
    qn_straggler_order order;
    if (qn_stragglers_second_is_ready(&c->stragglers, c->sched, what->rank, what->task, &order)) {
        send_leave(c, &order);
    }
}
