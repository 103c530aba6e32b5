/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/plan/stages.h"

static quern_status too_many(const char *what, int limit, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "the graph has more than %d %s", limit, what);
}

uint32_t qn_stage_leg_of(const qn_stage *stage, uint32_t step)
{
    uint32_t leg = 0;
    while (leg < stage->leg_count && step > stage->legs[leg].first_step + stage->legs[leg].operator_count)
        leg++;
    return leg;
}

bool qn_stage_reads(const qn_stage *stage, uint32_t parent)
{
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        if (stage->legs[leg].parent == parent)
            return true;
    return stage->kept == parent && parent != QN_STAGE_NONE;
}

static bool has_source(const qn_stage *stage, const qn_node *node)
{
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        if (qn_leg_source(stage, leg) == node)
            return true;
    return false;
}

bool qn_stage_looks_up(const qn_stage *stage, uint32_t step)
{
    const qn_node *node = step < stage->step_count ? stage->steps[step] : NULL;
    return node && node->kind == QN_NODE_JOIN && !has_source(stage, node->input);
}

/* What the records of a node come from, in this stage: of a join by broadcast its large side. */
static const qn_node *input_of(const qn_stage *stage, const qn_node *node)
{
    const qn_node *collated = node->input;
    if (node->kind != QN_NODE_JOIN || has_source(stage, collated))
        return collated;
    return collated->build == QN_BUILD_LEFT ? collated->other : collated->input;
}

/* How many legs a dataset has; the recursion is as deep as its unions, which have passed qn_stages_create(). */
static uint32_t count_ways(const qn_stage *stage, const qn_node *node)
{
    while (node->kind != QN_NODE_UNION && !qn_node_is_source(node))
        node = input_of(stage, node);
    return node->kind == QN_NODE_UNION ? count_ways(stage, node->input) + count_ways(stage, node->other) : 1;
}

static bool passes(const qn_stage *stage, uint32_t leg, const qn_node *node)
{
    const qn_leg *way = &stage->legs[leg];
    for (uint32_t i = 0; i <= way->operator_count; i++)
        if (stage->steps[way->first_step + i] == node)
            return true;
    return false;
}

/* Legs are in the order of the graph: each time that the walk comes to the dataset, all of its legs follow each other. */
uint32_t qn_stage_way_of(const qn_stage *stage, uint32_t leg, uint32_t step)
{
    const qn_node *node = stage->steps[step];
    uint32_t before = 0;
    for (uint32_t i = 0; i < leg; i++)
        before += passes(stage, i, node);
    return before % count_ways(stage, node);
}

uint32_t qn_stages_find(const qn_stages *stages, const qn_node *result)
{
    for (uint32_t i = 0; i < stages->count; i++)
        if (stages->items[i].result == result)
            return i;
    return QN_STAGE_NONE;
}

/* On the way from the end of a stage back to its sources. */
typedef struct walk {
    qn_stages *stages;
    qn_stage *stage;                           /* that is being made */
    const qn_node *passed[QN_CHAIN_COUNT_MAX]; /* operators since the end, the last one first */
    uint32_t passed_count;
    uint32_t side;
    uint32_t depth; /* of stages that wait for their parents */
    qn_error *error;
} walk;

static quern_status add_stage(qn_stages *stages, const qn_node *result, const qn_sink *sink, uint32_t depth,
                              qn_error *error);

/* What an earlier run made. */
static quern_status add_made(qn_stages *stages, const qn_node *result, qn_error *error)
{
    if (stages->count == QN_STAGE_COUNT_MAX)
        return too_many("stages", QN_STAGE_COUNT_MAX, error);
    qn_stage *stage = &stages->items[stages->count];
    *stage = (qn_stage){.result = result,
                        .schema = result->schema,
                        .last_reader = stages->count,
                        .kept = QN_STAGE_NONE,
                        .is_made = true};
    stages->count++;
    return QUERN_OK;
}

/* The stage that makes the result that `source` is, made now if it is not there yet. */
static quern_status require(walk *way, const qn_node *source, uint32_t *parent_out)
{
    *parent_out = QN_STAGE_NONE;
    if (!qn_node_makes_result(source))
        return QUERN_OK;
    if (qn_stages_find(way->stages, source) == QN_STAGE_NONE && source->is_made) {
        quern_status status = add_made(way->stages, source, way->error);
        if (status != QUERN_OK)
            return status;
    } else if (qn_stages_find(way->stages, source) == QN_STAGE_NONE) {
        if (way->depth == QN_STAGE_COUNT_MAX)
            return too_many("stages", QN_STAGE_COUNT_MAX, way->error);
        quern_status status = add_stage(way->stages, source, NULL, way->depth + 1, way->error);
        if (status != QUERN_OK)
            return status;
    }
    *parent_out = qn_stages_find(way->stages, source);
    return QUERN_OK;
}

static quern_status add_leg(walk *way, const qn_node *source)
{
    qn_stage *stage = way->stage;
    qn_leg leg = {.first_step = stage->step_count, .operator_count = way->passed_count, .side = way->side};
    quern_status status = require(way, source, &leg.parent);
    if (status != QUERN_OK)
        return status;
    if (stage->leg_count == QN_LEG_COUNT_MAX)
        return too_many("inputs of one stage", QN_LEG_COUNT_MAX, way->error);
    if (stage->step_count + 1 + way->passed_count > QN_STEP_COUNT_MAX)
        return too_many("steps in one stage", QN_STEP_COUNT_MAX, way->error);
    stage->legs[stage->leg_count++] = leg;
    stage->steps[stage->step_count++] = source;
    for (uint32_t i = way->passed_count; i-- > 0;)
        stage->steps[stage->step_count++] = way->passed[i];
    return QUERN_OK;
}

/* Goes on to the sources; a union is a fork. The recursion is as deep as there are unions behind each other: less than
 * QN_CHAIN_COUNT_MAX, since each counts as an operator that was passed. */
static quern_status walk_back(walk *way, const qn_node *node, uint32_t union_count)
{
    uint32_t passed_before = way->passed_count;
    while (node->kind != QN_NODE_UNION && !qn_node_is_source(node)) {
        if (way->passed_count + union_count == QN_CHAIN_COUNT_MAX)
            return too_many("operators between two shuffles", QN_CHAIN_COUNT_MAX, way->error);
        way->passed[way->passed_count++] = node;
        node = node->input;
    }
    quern_status status = QUERN_OK;
    if (node->kind != QN_NODE_UNION)
        status = add_leg(way, node);
    else if (way->passed_count + union_count == QN_CHAIN_COUNT_MAX)
        status = too_many("operators between two shuffles", QN_CHAIN_COUNT_MAX, way->error);
    else {
        status = walk_back(way, node->input, union_count + 1);
        if (status == QUERN_OK)
            status = walk_back(way, node->other, union_count + 1);
    }
    way->passed_count = passed_before;
    return status;
}

/* ---- sides that are kept in order ---- */

static const qn_node *side_of(const qn_node *result, uint32_t side)
{
    return side == 0 ? result->input : result->other;
}

bool qn_node_has_unique_keys(const qn_node *node)
{
    while (node->kind == QN_NODE_FILTER || node->kind == QN_NODE_FILTER_BLOCK || node->kind == QN_NODE_SAMPLE)
        node = node->input;
    return node->kind == QN_NODE_REDUCE;
}

/* A join divides keys with many outer records among ranks, which cuts that are between keys cannot. */
static bool may_keep_side(const qn_node *result, uint32_t side)
{
    const qn_node *node = side_of(result, side), *outer = side_of(result, result->outer_side), *sorted = node->sorted;
    if (!node->is_made || !sorted || sorted->is_uneven)
        return false;
    return !result->of.collate.divides_keys ||
           (side == result->outer_side ? !sorted->has_hot_key : qn_node_has_unique_keys(outer));
}

/* The side of a collated result that need not be sorted again. False: none. */
static bool choose_kept_side(const qn_node *result, uint32_t *side_out)
{
    bool found = false;
    for (uint32_t side = 0; side < 2; side++) {
        if (!may_keep_side(result, side) || (found && !side_of(result, side)->sorted->is_made))
            continue;
        if (found && side_of(result, *side_out)->sorted->is_made)
            continue;
        *side_out = side;
        found = true;
    }
    return found;
}

/* All that leads to the end of a stage. */
static quern_status walk_sides(walk *way, const qn_node *result, const qn_node *input)
{
    const qn_node *other = result ? result->other : NULL;
    qn_stage *stage = way->stage;
    quern_status status = QUERN_OK;
    bool is_tried = result && result->build != QN_BUILD_NONE;
    bool keeps = other && !is_tried && !way->stages->keeps_nothing && choose_kept_side(result, &stage->kept_side);
    if (is_tried && result->build == QN_BUILD_LEFT)
        input = result->join.stored[0];
    if (is_tried && result->build == QN_BUILD_RIGHT)
        other = result->join.stored[1];
    if (keeps)
        status = require(way, side_of(result, stage->kept_side)->sorted, &stage->kept);
    if (status == QUERN_OK && !(keeps && stage->kept_side == 0))
        status = walk_back(way, input, 0);
    way->side = 1;
    if (status == QUERN_OK && other && !(keeps && stage->kept_side == 1))
        status = walk_back(way, other, 0);
    return status;
}

/* Appends the stage that ends in a result or an output; those that it reads from come before it. The recursion is as deep as there
 * are results behind each other, at most QN_STAGE_COUNT_MAX. */
static quern_status add_stage(qn_stages *stages, const qn_node *result, const qn_sink *sink, uint32_t depth,
                              qn_error *error)
{
    const qn_node *input = result ? result->input : sink->input;
    qn_stage stage = {.result = result,
                      .sink = sink,
                      .schema = input->schema,
                      .kept = QN_STAGE_NONE,
                      .outer_side = result ? result->outer_side : 0};
    walk way = {.stages = stages, .stage = &stage, .depth = depth, .error = error};
    quern_status status = walk_sides(&way, result, input);
    if (status != QUERN_OK)
        return status;
    if (stages->count == QN_STAGE_COUNT_MAX)
        return too_many("stages", QN_STAGE_COUNT_MAX, error);
    for (uint32_t leg = 0; leg < stage.leg_count; leg++)
        if (stage.legs[leg].parent != QN_STAGE_NONE)
            stages->items[stage.legs[leg].parent].last_reader = stages->count;
    if (stage.kept != QN_STAGE_NONE)
        stages->items[stage.kept].last_reader = stages->count;
    stage.last_reader = stages->count;
    stages->items[stages->count++] = stage;
    return QUERN_OK;
}

static bool was_sorted_to_join(const qn_stages *stages, const qn_node *node)
{
    for (uint32_t i = 0; i < stages->count; i++) {
        const qn_node *result = stages->items[i].is_left_out ? NULL : stages->items[i].result;
        if (result && result->other && (result->input == node || result->other == node))
            return true;
    }
    return false;
}

quern_status qn_stages_learn(const qn_stages *stages, qn_graph *graph, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (qn_node *node = graph->cached; node && status == QUERN_OK; node = node->next_cached)
        if (node->is_made && was_sorted_to_join(stages, node))
            status =
                qn_graph_want_sorted(graph, node, error); /* in front of the others: the loop does not come by it */
    return status;
}

/* Until when a result may be needed: what the large side of a join reads, as long as the join, if that is by broadcast. */
static void reach_further(const qn_stages *stages, uint32_t last_needed[QN_STAGE_COUNT_MAX])
{
    for (uint32_t i = 0; i < stages->count; i++)
        last_needed[i] = stages->items[i].last_reader;
    for (uint32_t i = stages->count; i-- > 0;) {
        const qn_stage *stage = &stages->items[i];
        bool is_tried = stage->result && stage->result->build != QN_BUILD_NONE;
        uint32_t large_side = is_tried && stage->result->build == QN_BUILD_LEFT;
        for (uint32_t leg = 0; is_tried && leg < stage->leg_count; leg++) {
            uint32_t parent = stage->legs[leg].parent;
            if (stage->legs[leg].side == large_side && parent != QN_STAGE_NONE && last_needed[parent] < last_needed[i])
                last_needed[parent] = last_needed[i];
        }
    }
}

static bool is_live(const qn_stage *stage, uint32_t last_needed, uint32_t now)
{
    return stage->result && !stage->is_made && (last_needed >= now || stage->result->is_cached);
}

static uint32_t larger(uint32_t left, uint32_t right)
{
    return left > right ? left : right;
}

static void count_live(qn_stages *stages)
{
    stages->store_live_max = stages->moving_live_max = 0;
    stages->live_max = 1;
    uint32_t last_needed[QN_STAGE_COUNT_MAX];
    reach_further(stages, last_needed);
    for (uint32_t now = 0; now < stages->count; now++) {
        uint32_t stores = 0, others = 0;
        for (uint32_t i = 0; i <= now; i++) {
            bool is_store = stages->items[i].result && stages->items[i].result->kind == QN_NODE_STORE;
            stores += is_store && is_live(&stages->items[i], last_needed[i], now);
            others += !is_store && is_live(&stages->items[i], last_needed[i], now);
        }
        stages->store_live_max = larger(stages->store_live_max, stores);
        stages->moving_live_max = larger(stages->moving_live_max, others);
        stages->live_max = larger(stages->live_max, stores + others);
    }
}

static quern_status add_all(qn_stages *stages, const qn_graph *graph, qn_error *error)
{
    stages->count = 0;
    for (const qn_sink *sink = graph->sinks; sink; sink = sink->next) {
        quern_status status = add_stage(stages, NULL, sink, 0, error);
        if (status != QUERN_OK)
            return status;
    }
    if (graph->wanted && !graph->wanted->is_made && qn_stages_find(stages, graph->wanted) == QN_STAGE_NONE) {
        quern_status status = add_stage(stages, graph->wanted, NULL, 0, error);
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

quern_status qn_stages_create(qn_stages *stages, const qn_graph *graph, qn_error *error)
{
    qn_error failure = {0};
    stages->keeps_nothing = false;
    if (add_all(stages, graph, &failure) != QUERN_OK) { /* what is to be kept in order makes stages more */
        stages->keeps_nothing = true;
        if (add_all(stages, graph, error) != QUERN_OK)
            return error->status;
    }
    count_live(stages);
    return QUERN_OK;
}
