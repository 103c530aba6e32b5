/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/join_probe.h"

#include "runtime/base/assert.h"
#include "runtime/data/lookup.h"

#define STEP_COUNT_MAX                                                                                                 \
    64 /* records whose memory is asked for at once: more than the cache can wait for, few enough to stay in it */

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

static void ask_for_memory(const qn_lookup *lookup, const qn_batch *batch, size_t from, size_t count, uint64_t *hashes)
{
    for (size_t i = 0; i < count; i++) {
        hashes[i] = qn_lookup_hash(lookup, batch->block.key[from + i], batch->block.key_bytes[from + i]);
        qn_lookup_ask_for_start(lookup, hashes[i]);
    }
    for (size_t i = 0; i < count; i++)
        qn_lookup_ask_for_entry(lookup, hashes[i]);
}

static quern_status probe(struct qn_operator *op, const qn_batch *batch, size_t from, size_t count,
                          const uint64_t *hashes)
{
    for (size_t i = 0; i < count; i++) {
        quern_record record = qn_batch_record(batch, from + i);
        uint64_t found = 0;
        const qn_lookup_entry *entries =
            qn_lookup_find(op->lookup, hashes[i], record.key.data, (uint32_t)record.key.bytes, &found);
        op->out.origin = qn_batch_origin(batch, from + i);
        int code = join_record(op, &record, entries, found);
        quern_status status = qn_operator_outcome(op, code, op->out.origin);
        if (QN_UNLIKELY(status != QUERN_OK))
            return status;
    }
    return QUERN_OK;
}

quern_status qn_join_probe_run(struct qn_operator *op, const qn_batch *batch)
{
    uint64_t hashes[2][STEP_COUNT_MAX];
    size_t count = batch->block.count, next = count < STEP_COUNT_MAX ? count : STEP_COUNT_MAX;
    quern_status status = QUERN_OK;
    QN_ASSERT(op->lookup);
    ask_for_memory(op->lookup, batch, 0, next, hashes[0]);
    for (size_t from = 0, turn = 0; from < count && status == QUERN_OK; turn ^= 1) {
        size_t now = next, left = count - from - now;
        next = left < STEP_COUNT_MAX ? left : STEP_COUNT_MAX;
        ask_for_memory(op->lookup, batch, from + now, next, hashes[turn ^ 1]);
        status = probe(op, batch, from, now, hashes[turn]);
        from += now;
    }
    return status;
}
