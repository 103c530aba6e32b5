/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/plan/foresee.h"

static const qn_foreseen nothing_known = {QN_FORESEEN_NOT, 0};

static qn_foreseen at_most(qn_foreseen in)
{
    return in.kind == QN_FORESEEN_NOT ? in : (qn_foreseen){QN_FORESEEN_AT_MOST, in.bytes};
}

static qn_foreseen add(qn_foreseen left, qn_foreseen right)
{
    bool overflows = left.bytes > UINT64_MAX - right.bytes;
    if (left.kind == QN_FORESEEN_NOT || right.kind == QN_FORESEEN_NOT || overflows)
        return nothing_known;
    return (qn_foreseen){left.kind > right.kind ? left.kind : right.kind, left.bytes + right.bytes};
}

/* Values may be longer than the text that they stand for. */
static qn_foreseen behind_source(const qn_node *source, qn_foreseen reads)
{
    bool adds_values = source->kind == QN_NODE_TEXT && source->text.value != QUERN_TEXT_NO_VALUE;
    return adds_values ? nothing_known : reads;
}

static qn_foreseen behind_sample(const qn_sample *sample, qn_foreseen in)
{
    double share = (double)sample->kept / (double)QN_SAMPLE_WHOLE;
    if (in.kind == QN_FORESEEN_ABOUT)
        in.bytes = (uint64_t)(share * (double)in.bytes);
    return in;
}

static qn_foreseen behind_operator(const qn_node *node, qn_foreseen in)
{
    switch (node->kind) {
    case QN_NODE_FILTER:
    case QN_NODE_FILTER_BLOCK:
    case QN_NODE_KEYS:
    case QN_NODE_VALUE_AS_KEY:
    case QN_NODE_TOP_OF_KEY:
        return at_most(in);
    case QN_NODE_PREFIX_SUM: /* as many numbers as there were, but not of fewer bytes */
        return node->schema.value == node->input->schema.value ? in : nothing_known;
    case QN_NODE_SAMPLE:
        return behind_sample(&node->of.sample, in);
    default:
        return nothing_known;
    }
}

/* Of a reduction the row of a key is no longer than one of its records, unless its value is another kind of thing. */
static qn_foreseen behind_result(const qn_node *result, qn_foreseen in)
{
    const quern_schema *made = &result->schema;
    if (result->kind != QN_NODE_REDUCE)
        return in;
    const quern_schema *taken = &result->input->schema;
    return made->value == taken->value && made->value_bytes == taken->value_bytes ? at_most(in) : nothing_known;
}

static qn_foreseen reads_of_result(const qn_account *account, uint32_t parent)
{
    const qn_stage *stage = &account->stages.items[parent];
    const qn_stage_facts *facts = &account->facts[parent];
    if (stage->is_made)
        return facts->kept;
    return behind_result(stage->result, facts->gives[stage->step_count]);
}

static void foresee_stage(qn_account *account, uint32_t index)
{
    const qn_stage *stage = &account->stages.items[index];
    qn_stage_facts *facts = &account->facts[index];
    qn_foreseen all = {QN_FORESEEN_ABOUT, 0};
    for (uint32_t number = 0; number < stage->leg_count; number++) {
        const qn_leg *leg = &stage->legs[number];
        if (leg->parent != QN_STAGE_NONE)
            facts->reads[number] = reads_of_result(account, leg->parent);
        qn_foreseen now = behind_source(stage->steps[leg->first_step], facts->reads[number]);
        facts->gives[leg->first_step] = now;
        for (uint32_t step = leg->first_step + 1; step <= leg->first_step + leg->operator_count; step++)
            facts->gives[step] = now = behind_operator(stage->steps[step], now);
        all = add(all, now);
    }
    facts->gives[stage->step_count] = all;
}

void qn_foresee(qn_account *account)
{
    for (uint32_t i = 0; i < account->stages.count; i++)
        if (!account->stages.items[i].is_made)
            foresee_stage(account, i);
}
