/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/plan/join_choice.h"

#include <string.h>

#include "runtime/base/assert.h"

#define VISIT_COUNT_MAX 4096 /* nodes looked at for one side: a graph may lead to one source on many ways */

/* ---- before the run ---- */

typedef struct estimate {
    const qn_known_sizes *sizes;
    bool weighs; /* not for a table, but to compare */
    uint64_t visits_left;
} estimate;

static uint64_t add_bytes(uint64_t left, uint64_t right)
{
    return left > QN_INPUT_BYTES_UNKNOWN - right ? QN_INPUT_BYTES_UNKNOWN : left + right;
}

static uint64_t estimate_bytes(estimate *of, const qn_node *node);

/* All that a dataset is made of; of one that is kept, what it is, or, to compare, what it is made of if nobody knows what it is. */
static uint64_t estimate_anew(estimate *of, const qn_node *node)
{
    uint64_t bytes = QN_INPUT_BYTES_UNKNOWN;
    if (node->is_made || !node->input)
        bytes = of->sizes->bytes_of(node, of->sizes->user);
    if (bytes != QN_INPUT_BYTES_UNKNOWN || !node->input || (node->is_made && !of->weighs))
        return bytes;
    bytes = estimate_bytes(of, node->input);
    return node->other ? add_bytes(bytes, estimate_bytes(of, node->other)) : bytes;
}

/* The recursion is as deep as there are nodes behind each other, at most VISIT_COUNT_MAX. */
static uint64_t estimate_bytes(estimate *of, const qn_node *node)
{
    qn_node *kept = of->weighs && node->is_cached ? (qn_node *)(uintptr_t)node : NULL;
    if (kept && kept->is_weighed)
        return kept->weight_bytes;
    if (of->visits_left == 0)
        return QN_INPUT_BYTES_UNKNOWN;
    of->visits_left--;
    uint64_t bytes = estimate_anew(of, node);
    if (kept && of->sizes->is_certain) {
        kept->is_weighed = true;
        kept->weight_bytes = bytes;
    }
    return bytes;
}

static uint64_t side_bytes(const qn_node *side, const qn_known_sizes *sizes, bool weighs)
{
    estimate of = {sizes, weighs, VISIT_COUNT_MAX};
    return side && sizes->bytes_of ? estimate_bytes(&of, side) : QN_INPUT_BYTES_UNKNOWN;
}

static int choose_build(const qn_join_choice *join, const qn_known_sizes *sizes)
{
    if (join->strategy == QUERN_JOIN_BROADCAST_LEFT || join->strategy == QUERN_JOIN_BROADCAST_RIGHT)
        return join->strategy == QUERN_JOIN_BROADCAST_LEFT ? QN_BUILD_LEFT : QN_BUILD_RIGHT;
    uint64_t left = side_bytes(join->stored[0], sizes, false), right = side_bytes(join->stored[1], sizes, false);
    uint64_t smaller = left < right ? left : right;
    if (smaller > sizes->table_bytes_max || smaller == QN_INPUT_BYTES_UNKNOWN)
        return QN_BUILD_NONE;
    return left < right ? QN_BUILD_LEFT : QN_BUILD_RIGHT;
}

/* A side that has each key once has nothing to divide, however large it is. */
static uint32_t choose_outer(const qn_node *collate, const qn_known_sizes *sizes)
{
    if (collate->join.outer != QUERN_JOIN_OUTER_AUTO)
        return collate->join.outer == QUERN_JOIN_OUTER_RIGHT;
    bool left_is_unique = qn_node_has_unique_keys(collate->input);
    if (left_is_unique != qn_node_has_unique_keys(collate->other))
        return left_is_unique;
    uint64_t left = side_bytes(collate->input, sizes, true), right = side_bytes(collate->other, sizes, true);
    return right > left && right != QN_INPUT_BYTES_UNKNOWN;
}

void qn_joins_forget(const qn_graph *graph)
{
    for (qn_node *node = graph->joins; node; node = node->next_join)
        node->build = QN_BUILD_NONE;
}

bool qn_joins_choose(const qn_graph *graph, const qn_stages *stages, const qn_known_sizes *sizes)
{
    bool chose = false;
    for (qn_node *node = graph->joins; node; node = node->next_join) {
        if (qn_stages_find(stages, node) == QN_STAGE_NONE)
            continue;
        node->build = choose_build(&node->join, sizes);
        node->outer_side = choose_outer(node, sizes);
        chose = true;
    }
    return chose;
}

/* ---- in the run ---- */

uint32_t qn_stage_reader_count(const qn_stages *stages, uint32_t index)
{
    uint32_t count = 0;
    for (uint32_t i = index + 1; i < stages->count; i++)
        for (uint32_t leg = 0; leg < stages->items[i].leg_count; leg++)
            count += stages->items[i].legs[leg].parent == index;
    return count;
}

static bool append(qn_stage *to, const qn_stage *from, const qn_leg *leg, uint32_t skipped)
{
    uint32_t count = leg->operator_count + 1 - skipped;
    if (to->step_count + count > QN_STEP_COUNT_MAX)
        return false;
    memcpy(to->steps + to->step_count, from->steps + leg->first_step + skipped, count * sizeof *to->steps);
    to->step_count += count;
    return true;
}

/* A leg of the large side, and behind it what read the join. */
static bool add_joined_leg(qn_stage *to, const qn_stage *collated, const qn_leg *large, const qn_stage *reader,
                           const qn_leg *reading)
{
    qn_leg leg = {.parent = large->parent,
                  .first_step = to->step_count,
                  .operator_count = large->operator_count + reading->operator_count,
                  .side = reading->side};
    if (to->leg_count == QN_LEG_COUNT_MAX || leg.operator_count > QN_CHAIN_COUNT_MAX)
        return false;
    to->legs[to->leg_count++] = leg;
    return append(to, collated, large, 0) && append(to, reader, reading, 1);
}

static bool add_same_leg(qn_stage *to, const qn_stage *from, const qn_leg *leg)
{
    qn_leg copy = *leg;
    copy.first_step = to->step_count;
    if (to->leg_count == QN_LEG_COUNT_MAX)
        return false;
    to->legs[to->leg_count++] = copy;
    return append(to, from, leg, 0);
}

/* The reader as it is then. */
static bool join_reader(const qn_stages *stages, uint32_t index, const qn_stage *reader, qn_stage *made)
{
    const qn_stage *collated = &stages->items[index];
    uint32_t large_side = collated->result->build == QN_BUILD_LEFT;
    bool fits = true;
    *made = *reader;
    made->leg_count = made->step_count = 0;
    for (uint32_t i = 0; i < reader->leg_count && fits; i++) {
        const qn_leg *leg = &reader->legs[i];
        if (leg->parent != index)
            fits = add_same_leg(made, reader, leg);
        for (uint32_t from = 0; leg->parent == index && from < collated->leg_count && fits; from++)
            if (collated->legs[from].side == large_side)
                fits = add_joined_leg(made, collated, &collated->legs[from], reader, leg);
    }
    return fits;
}

/* The results and the tables that the stage at index needs stay until then. */
static void keep_needed(qn_stages *stages, uint32_t index)
{
    const qn_stage *stage = &stages->items[index];
    for (uint32_t leg = 0; leg < stage->leg_count; leg++) {
        uint32_t parent = stage->legs[leg].parent;
        if (parent != QN_STAGE_NONE && stages->items[parent].last_reader < index)
            stages->items[parent].last_reader = index;
    }
    for (uint32_t step = 0; step < stage->step_count; step++) {
        uint32_t made_by =
            qn_stage_looks_up(stage, step) ? qn_stages_find(stages, stage->steps[step]->input) : QN_STAGE_NONE;
        if (made_by != QN_STAGE_NONE && stages->items[made_by].last_reader < index)
            stages->items[made_by].last_reader = index;
    }
}

bool qn_stages_broadcast(qn_stages *stages, uint32_t index)
{
    qn_stage *collated = &stages->items[index];
    qn_stage made;
    QN_ASSERT(collated->result && collated->result->build != QN_BUILD_NONE && !collated->is_left_out);
    for (uint32_t i = index + 1; i < stages->count; i++)
        if (qn_stage_reads(&stages->items[i], index) && !join_reader(stages, index, &stages->items[i], &made))
            return false;
    for (uint32_t i = index + 1; i < stages->count; i++) {
        if (!qn_stage_reads(&stages->items[i], index))
            continue;
        join_reader(stages, index, &stages->items[i], &made);
        stages->items[i] = made;
        keep_needed(stages, i);
    }
    collated->is_left_out = true;
    return true;
}
