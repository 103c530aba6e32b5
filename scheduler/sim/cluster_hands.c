/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/cluster_hands.c: ranks and what they have in hand.
 *
 * A rank's orders stand in slots with begin and end, known as soon as the order is sent. So the timeline holds one happening for each task in
 * hand: its report; or, where several are told of at once, its end, at which the rank tells what is done if it is enough or if nothing else is in hand. What was told stays
 * in its slot until the master has taken the message.
 *
 * A task that is left ends sooner than it was to, and what stands behind it begins sooner. The timeline gives nothing back, so the happening that was to be stays there
 * and is void: it is not at the time at which the slot ends.
 */
#include "scheduler/sim/cluster_internal.h"
#include "scheduler/sim/draws.h"
#include "scheduler/sim/sim_random.h"

#include <string.h>

bool qn_cluster_is_slow(const qn_cluster *c, uint32_t rank)
{
    uint64_t random = qn_sim_mix(c->config->seed ^ 0x510e527f ^ ((uint64_t)c->rank_node[rank] << 24));
    return qn_draw_unit(&random) <= c->config->slow_share;
}

double qn_cluster_drawn_ns(const qn_cluster *c, uint32_t task)
{
    const qn_cluster_config *config = c->config;
    uint64_t random = qn_sim_mix(config->seed ^ ((uint64_t)task << 20) ^ 0x9b05688c);
    switch (config->lengths) {
    case QN_CLUSTER_LOGNORMAL:
        return qn_draw_lognormal(&random, (double)config->task_ns, config->spread);
    case QN_CLUSTER_PARETO:
        return qn_draw_pareto(&random, (double)config->task_ns, config->spread);
    case QN_CLUSTER_CONSTANT:
        break;
    }
    return (double)config->task_ns;
}

uint64_t qn_cluster_length_ns(const qn_cluster *c, uint32_t task, uint32_t from, uint32_t rank)
{
    double length = qn_cluster_drawn_ns(c, task) * (qn_cluster_is_slow(c, rank) ? c->config->slow_factor : 1);
    double least = qn_cluster_read_ns(c->config);
    length = (length > least ? length : least) + c->shuffle.task_ns;
    if (from > 0) {
        length *= 1 - (double)from / QN_CLUSTER_WHOLE;
    }
    return 1 + (uint64_t)length + c->config->task_overhead_ns;
}

uint32_t qn_cluster_part_at(const qn_cluster *c, uint32_t from, uint64_t begin_ns, uint64_t end_ns, uint64_t at_ns)
{
    begin_ns += c->config->task_overhead_ns;
    if (at_ns >= end_ns) {
        return QN_CLUSTER_WHOLE;
    }
    if (at_ns <= begin_ns) {
        return from;
    }
    double did = (double)(at_ns - begin_ns) / (double)(end_ns - begin_ns);
    return from + (uint32_t)((QN_CLUSTER_WHOLE - from) * did);
}

uint64_t qn_cluster_border_ns(qn_cluster *c, uint32_t rank, uint64_t heard_ns)
{
    double block_ns = (double)c->config->block_ns * (qn_cluster_is_slow(c, rank) ? c->config->slow_factor : 1);
    return heard_ns + qn_sim_below(&c->random, (uint64_t)block_ns);
}

uint64_t qn_cluster_latency_ns(const qn_cluster *c, uint32_t rank)
{
    return c->rank_node[rank] == 0 ? c->config->node_latency_ns : c->config->latency_ns;
}

/* Happenings. */

/* From when something is so until it is noticed. */
static uint64_t on_the_way_ns(const qn_cluster *c, qn_cluster_happening kind, uint32_t rank)
{
    return kind <= QN_CLUSTER_READY ? qn_cluster_latency_ns(c, rank) : 0;
}

void qn_cluster_add(qn_cluster *c, qn_cluster_happening kind, uint64_t time_ns, uint32_t rank, uint32_t task,
                    uint32_t attempt)
{
    qn_sim_happening happening = {.time_ns = time_ns + on_the_way_ns(c, kind, rank),
                                  .kind = (uint16_t)kind,
                                  .rank = rank,
                                  .task = task,
                                  .attempt = (uint16_t)attempt};
    if (!qn_sim_timeline_add(&c->timeline, happening)) {
        c->out_of_memory = true;
    }
}

bool qn_cluster_is_void(qn_cluster *c, const qn_sim_happening *what)
{
    if (what->kind != QN_CLUSTER_DONE && what->kind != QN_CLUSTER_TASK_ENDS) {
        return false;
    }
    const qn_cluster_slot *slot = qn_cluster_find_slot(c, what->rank, what->task);
    uint64_t way_ns = on_the_way_ns(c, (qn_cluster_happening)what->kind, what->rank);
    if (slot != NULL && slot->state == QN_CLUSTER_SLOT_HELD && slot->end_ns + way_ns == what->time_ns) {
        return false;
    }
    if (c->void_count == 0) {
        c->result.broken = "a report of a task that is in no hand";
        return true;
    }
    c->void_count--;
    return true;
}

/* Hands. */

qn_cluster_slot *qn_cluster_find_slot(const qn_cluster *c, uint32_t rank, uint32_t task)
{
    qn_cluster_slot *hand = qn_cluster_hand(c, rank);
    for (uint32_t i = 0; i < c->hand_count[rank]; i++) {
        if (hand[i].task == task) {
            return &hand[i];
        }
    }
    return NULL;
}

void qn_cluster_remove_slot(qn_cluster *c, uint32_t rank, qn_cluster_slot *slot)
{
    qn_cluster_slot *end = qn_cluster_hand(c, rank) + c->hand_count[rank];
    memmove(slot, slot + 1, (size_t)(end - slot - 1) * sizeof *slot);
    c->hand_count[rank]--;
}

static void add_end(qn_cluster *c, uint32_t rank, const qn_cluster_slot *slot)
{
    qn_cluster_add(c, c->hand_size.batch > 1 ? QN_CLUSTER_TASK_ENDS : QN_CLUSTER_DONE, slot->end_ns, rank, slot->task,
                   slot->attempt);
}

void qn_cluster_hold(qn_cluster *c, uint32_t rank, qn_cluster_slot slot, uint64_t arrival_ns, uint64_t length_ns)
{
    if (c->hand_count[rank] == c->hand_max) {
        c->result.broken = "a rank was sent more tasks than it can hold";
        return;
    }
    slot.state = QN_CLUSTER_SLOT_HELD;
    slot.begin_ns = arrival_ns > c->free_ns[rank] ? arrival_ns : c->free_ns[rank];
    slot.end_ns = slot.begin_ns + length_ns;
    qn_cluster_hand(c, rank)[c->hand_count[rank]++] = slot;
    c->free_ns[rank] = slot.end_ns;
    add_end(c, rank, &slot);
}

/* What is not begun at a time begins as soon as it can; what is sent at that time is not there before it arrives. */
static void move_up(qn_cluster *c, uint32_t rank, uint64_t at_ns)
{
    uint64_t free_ns = at_ns, there_ns = at_ns + qn_cluster_latency_ns(c, rank);
    qn_cluster_slot *hand = qn_cluster_hand(c, rank);
    for (uint32_t i = 0; i < c->hand_count[rank]; i++) {
        qn_cluster_slot *slot = &hand[i];
        uint64_t least_ns = slot->begin_ns < there_ns ? slot->begin_ns : there_ns;
        uint64_t begin_ns = free_ns > least_ns ? free_ns : least_ns;
        if (slot->state == QN_CLUSTER_SLOT_HELD && slot->begin_ns > at_ns && begin_ns < slot->begin_ns) {
            slot->end_ns -= slot->begin_ns - begin_ns;
            slot->begin_ns = begin_ns;
            c->void_count++;
            add_end(c, rank, slot);
        }
        free_ns = slot->end_ns > free_ns ? slot->end_ns : free_ns;
    }
    c->free_ns[rank] = free_ns;
}

bool qn_cluster_leave(qn_cluster *c, uint32_t rank, qn_cluster_slot *slot, uint64_t heard_ns)
{
    bool has_begun = slot->begin_ns < heard_ns;
    uint64_t stop_ns = has_begun ? qn_cluster_border_ns(c, rank, heard_ns) : heard_ns;
    if (slot->state != QN_CLUSTER_SLOT_HELD || stop_ns >= slot->end_ns) {
        return false;
    }
    slot->to = has_begun ? qn_cluster_part_at(c, slot->from, slot->begin_ns, slot->end_ns, stop_ns) : slot->from;
    slot->begin_ns = has_begun ? slot->begin_ns : stop_ns;
    slot->end_ns = stop_ns;
    slot->state = QN_CLUSTER_SLOT_LEAVING;
    c->void_count++;
    qn_cluster_add(c, QN_CLUSTER_LEFT, stop_ns, rank, slot->task, slot->attempt);
    move_up(c, rank, stop_ns);
    return true;
}

void qn_cluster_end_task(qn_cluster *c, const qn_sim_happening *what)
{
    uint32_t done_count = 0;
    bool goes_on = false;
    qn_cluster_slot *hand = qn_cluster_hand(c, what->rank);
    qn_cluster_find_slot(c, what->rank, what->task)->state = QN_CLUSTER_SLOT_DONE;
    for (uint32_t i = 0; i < c->hand_count[what->rank]; i++) {
        done_count += hand[i].state == QN_CLUSTER_SLOT_DONE;
        goes_on |= hand[i].state == QN_CLUSTER_SLOT_HELD && hand[i].begin_ns <= what->time_ns;
    }
    if (!c->is_pausing && goes_on && done_count < c->tells_every[what->rank]) {
        return;
    }
    for (uint32_t i = 0; i < c->hand_count[what->rank]; i++) {
        hand[i].state = hand[i].state == QN_CLUSTER_SLOT_DONE ? QN_CLUSTER_SLOT_TOLD : hand[i].state;
    }
    qn_cluster_add(c, QN_CLUSTER_TOLD, what->time_ns, what->rank, QN_SCHED_NONE, 0);
}
