/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/plan/stages.h"

static quern_status too_many(const char *what, int limit, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "the graph has more than %d %s", limit, what);
}

/* The stage that makes a reduction's result, if it is there already. */
static uint32_t find_reduce(const qn_stages *stages, const qn_node *reduce)
{
    for (uint32_t i = 0; i < stages->count; i++)
        if (stages->items[i].reduce == reduce)
            return i;
    return QN_STAGE_NONE;
}

/* Appends the stage that ends with the records of `end`, those that it reads from before it. The recursion is as deep as
 * there are reductions behind each other, at most QN_STAGE_COUNT_MAX. */
static quern_status add_stage(qn_stages *stages, const qn_node *end, const qn_node *reduce, const qn_sink *sink,
                              uint32_t depth, qn_error *error)
{
    qn_stage stage = {.parent = QN_STAGE_NONE, .reduce = reduce, .sink = sink, .schema = end->schema};
    const qn_node *node = end;
    uint32_t count = 0;
    for (; node->kind != QN_NODE_TEXT && node->kind != QN_NODE_REDUCE; node = node->input)
        if (count++ == QN_CHAIN_COUNT_MAX)
            return too_many("operators between two shuffles", QN_CHAIN_COUNT_MAX, error);
    stage.source = node;
    stage.operator_count = count;
    for (const qn_node *each = end; each != node; each = each->input)
        stage.operators[--count] = each;
    if (node->kind == QN_NODE_REDUCE && find_reduce(stages, node) == QN_STAGE_NONE) {
        if (depth == QN_STAGE_COUNT_MAX)
            return too_many("stages", QN_STAGE_COUNT_MAX, error);
        quern_status status = add_stage(stages, node->input, node, NULL, depth + 1, error);
        if (status != QUERN_OK)
            return status;
    }
    if (stages->count == QN_STAGE_COUNT_MAX)
        return too_many("stages", QN_STAGE_COUNT_MAX, error);
    if (node->kind == QN_NODE_REDUCE) {
        stage.parent = find_reduce(stages, node);
        stages->items[stage.parent].last_reader = stages->count;
    }
    stage.last_reader = stages->count;
    stages->items[stages->count++] = stage;
    return QUERN_OK;
}

static uint32_t count_live(const qn_stages *stages)
{
    uint32_t live_max = 1;
    for (uint32_t now = 0; now < stages->count; now++) {
        uint32_t live = 0;
        for (uint32_t i = 0; i <= now; i++)
            live += stages->items[i].reduce != NULL && stages->items[i].last_reader >= now;
        if (live > live_max)
            live_max = live;
    }
    return live_max;
}

quern_status qn_stages_create(qn_stages *stages, const qn_graph *graph, qn_error *error)
{
    stages->count = 0;
    for (const qn_sink *sink = graph->sinks; sink; sink = sink->next) {
        quern_status status = add_stage(stages, sink->input, NULL, sink, 0, error);
        if (status != QUERN_OK)
            return status;
    }
    stages->live_max = count_live(stages);
    return QUERN_OK;
}
