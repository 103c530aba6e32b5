/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/join_probe.h"

#include "runtime/base/assert.h"
#include "runtime/data/lookup.h"

#define STEP_COUNT_MAX QN_LOOKUP_FIND_COUNT_MAX

/* Calls for a pair, in the user's order of sides. */
static int call(struct qn_operator *op, quern_span key, const quern_span *large, const quern_span *small)
{
    bool is_left = op->build == QN_BUILD_RIGHT; /* the large side is */
    return op->node->fn.join(key, is_left ? large : small, is_left ? small : large, &op->out, op->node->user);
}

/* What the join makes of a record of its large side. */
static int join_record(struct qn_operator *op, const quern_record *record, const qn_lookup_entry *entries,
                       uint64_t count)
{
    quern_join_type type = op->node->of.join_type;
    if (type == QUERN_JOIN_SEMI || type == QUERN_JOIN_ANTI)
        return (count > 0) == (type == QUERN_JOIN_SEMI) ? call(op, record->key, &record->value, NULL) : 0;
    if (count == 0)
        return type == QUERN_JOIN_INNER ? 0 : call(op, record->key, &record->value, NULL);
    int code = 0;
    for (uint64_t i = 0; i < count && code == 0; i++) {
        quern_span small = qn_lookup_value(op->lookup, &entries[i]);
        code = call(op, record->key, &record->value, &small);
    }
    return code;
}

static quern_status join_records(struct qn_operator *op, const qn_batch *batch, size_t from, size_t count,
                                 const qn_lookup_match *matches)
{
    for (size_t i = 0; i < count; i++) {
        quern_record record = qn_batch_record(batch, from + i);
        qn_operator_begin_record(op, qn_batch_origin(batch, from + i));
        int code = join_record(op, &record, matches[i].entries, matches[i].count);
        quern_status status = qn_operator_outcome(op, code, op->out.origin);
        if (QN_UNLIKELY(status != QUERN_OK))
            return status;
    }
    return QUERN_OK;
}

quern_status qn_join_probe_run(struct qn_operator *op, const qn_batch *batch)
{
    const quern_block *block = &batch->block;
    qn_lookup_match matches[STEP_COUNT_MAX];
    quern_status status = QUERN_OK;
    QN_ASSERT(op->lookup);
    for (size_t from = 0; from < block->count && status == QUERN_OK;) {
        size_t left = block->count - from, count = left < STEP_COUNT_MAX ? left : STEP_COUNT_MAX;
        qn_lookup_find(op->lookup, block->key + from, block->key_bytes + from, count, matches);
        status = join_records(op, batch, from, count, matches);
        from += count;
    }
    return status;
}
