/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sched_init.c: judges a configuration and lays the machine out in the caller's block.
 *
 * The block is laid out twice by the same function: once to count bytes, once to set the pointers, so the
 * two cannot disagree.
 */
#include "scheduler/sched_assert.h"
#include "scheduler/sched_internal.h"

static bool are_nodes(const uint32_t *nodes, uint32_t count, uint32_t node_count, bool none_allowed)
{
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i] >= node_count && !(none_allowed && nodes[i] == QN_SCHED_NONE)) {
            return false;
        }
    }
    return true;
}

/* Every count must leave QN_SCHED_NONE free, and so must the number of returns. */
static bool fits_indices(const qn_sched_config *config)
{
    uint64_t return_count_max = (uint64_t)config->task_count * (config->attempt_count_max - 1);
    return config->rank_count < QN_SCHED_NONE && config->node_count < QN_SCHED_NONE &&
           config->task_count < QN_SCHED_NONE && return_count_max < QN_SCHED_NONE;
}

/* Whoever stays does so on a node. */
static bool are_stays(const qn_sched_config *config)
{
    for (uint32_t task = 0; config->task_stays != NULL && task < config->task_count; task++) {
        if (config->task_stays[task] && (config->task_node == NULL || config->task_node[task] == QN_SCHED_NONE)) {
            return false;
        }
    }
    return true;
}

static bool is_valid(const qn_sched_config *config)
{
    if (config == NULL || config->rank_count == 0 || config->node_count == 0 || config->rank_node == NULL) {
        return false;
    }
    if (config->in_hand_max == 0 || config->in_hand_max > QN_SCHED_IN_HAND_MAX ||
        config->in_hand_begin > config->in_hand_max) {
        return false;
    }
    if (config->attempt_count_max == 0 || config->attempt_count_max > QN_SCHED_ATTEMPT_MAX) {
        return false;
    }
    return fits_indices(config) && are_stays(config) &&
           are_nodes(config->rank_node, config->rank_count, config->node_count, false) &&
           (config->task_node == NULL || are_nodes(config->task_node, config->task_count, config->node_count, true));
}

typedef struct layout {
    uint64_t tasks, ranks, nodes, hands, asking, returns, bytes;
} layout;

static uint64_t carve(layout *plan, uint64_t count, uint64_t size)
{
    uint64_t offset = plan->bytes;
    uint64_t alignment = _Alignof(max_align_t);
    plan->bytes += (count * size + alignment - 1) / alignment * alignment;
    return offset;
}

/* The returns come last: their pages stay untouched until attempts come back. */
static layout lay_out(const qn_sched_config *config)
{
    layout plan = {0};
    carve(&plan, 1, sizeof(qn_sched));
    plan.tasks = carve(&plan, config->task_count, sizeof(qn_sched_task));
    plan.ranks = carve(&plan, config->rank_count, sizeof(qn_sched_rank));
    plan.nodes = carve(&plan, (uint64_t)config->node_count + 1, sizeof(qn_sched_node));
    plan.hands = carve(&plan, (uint64_t)config->rank_count * config->in_hand_max, sizeof(uint32_t));
    plan.asking = carve(&plan, qn_sched_asking_count(config->in_hand_max), sizeof(qn_sched_rank_queue));
    plan.returns =
        carve(&plan, (uint64_t)config->task_count * (config->attempt_count_max - 1), sizeof(qn_sched_return));
    return plan;
}

size_t qn_sched_bytes(const qn_sched_config *config)
{
    if (!is_valid(config)) {
        return 0;
    }
    uint64_t bytes = lay_out(config).bytes;
    return bytes <= PTRDIFF_MAX ? (size_t)bytes : 0;
}

static void init_ranks(qn_sched *sched, const qn_sched_config *config)
{
    uint32_t hand_max = config->in_hand_begin > 0 ? config->in_hand_begin : config->in_hand_max;
    for (uint32_t rank = 0; rank < sched->rank_count; rank++) {
        sched->ranks[rank] = (qn_sched_rank){
            .node = config->rank_node[rank],
            .hand_max = (uint8_t)hand_max,
            .next = QN_SCHED_NONE,
            .prev = QN_SCHED_NONE,
            .state = QN_SCHED_RANK_AWAITED,
            .asking = QN_SCHED_ASKING_NOTHING,
            .second = QN_SCHED_NONE,
        };
    }
    for (uint32_t i = 0; i < qn_sched_asking_count(config->in_hand_max); i++) {
        sched->asking[i] = (qn_sched_rank_queue){QN_SCHED_NONE, QN_SCHED_NONE};
    }
    sched->noted = (qn_sched_rank_queue){QN_SCHED_NONE, QN_SCHED_NONE};
}

qn_sched *qn_sched_init(void *memory, const qn_sched_config *config)
{
    size_t bytes = qn_sched_bytes(config);
    if (bytes == 0) {
        return NULL;
    }
    QN_SCHED_ASSERT(memory != NULL);
    QN_SCHED_ASSERT((uintptr_t)memory % _Alignof(max_align_t) == 0);

    layout plan = lay_out(config);
    unsigned char *base = memory;
    qn_sched *sched = memory;
    *sched = (qn_sched){
        .rank_count = config->rank_count,
        .node_count = config->node_count,
        .task_count = config->task_count,
        .in_hand_max = config->in_hand_max,
        .attempt_count_max = config->attempt_count_max,
        .tasks = (qn_sched_task *)(void *)(base + plan.tasks),
        .ranks = (qn_sched_rank *)(void *)(base + plan.ranks),
        .nodes = (qn_sched_node *)(void *)(base + plan.nodes),
        .hands = (uint32_t *)(void *)(base + plan.hands),
        .asking = (qn_sched_rank_queue *)(void *)(base + plan.asking),
        .returns = (qn_sched_return *)(void *)(base + plan.returns),
        .counts = {.ranks_alive = config->rank_count},
        .verdict = QN_SCHED_VERDICT_OPEN,
        .fail_rank = QN_SCHED_NONE,
        .fail_task = QN_SCHED_NONE,
        .filling = QN_SCHED_NONE,
    };
    init_ranks(sched, config);
    qn_sched_pile_init(sched, config);
    if (sched->counts.done == sched->task_count) {
        sched->verdict = QN_SCHED_VERDICT_FINISHED;
    }
    for (uint32_t node = 0; node < sched->node_count && sched->verdict == QN_SCHED_VERDICT_OPEN; node++) {
        if (sched->nodes[node].ranks_alive == 0 && sched->nodes[node].stay_left > 0) {
            sched->verdict = QN_SCHED_VERDICT_FAILED;
            sched->fail_task = qn_sched_pile_find_stay(sched, node);
        }
    }
    return sched;
}
