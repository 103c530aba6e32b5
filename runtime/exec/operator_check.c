/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/operator_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/exec/chain_internal.h"

struct qn_operator_check {
    qn_trace first, again;
    uint64_t place;                         /* of the first record of the block, where the operator counts them */
    uint64_t input[QN_BATCH_COUNT_MAX];     /* digests of the records of the block */
    uint32_t origins[QN_BATCH_COUNT_MAX];   /* of a block that came without */
    uint16_t begin[QN_BATCH_COUNT_MAX + 1]; /* of the parts in which the block is given again, and its end */
    uint16_t order[QN_BATCH_COUNT_MAX];     /* of the parts */
};

static bool is_block_wise(const qn_node *node)
{
    return node->kind == QN_NODE_MAP_BLOCK || node->kind == QN_NODE_FLAT_MAP_BLOCK ||
           node->kind == QN_NODE_FILTER_BLOCK;
}

bool qn_operator_check_applies(const qn_node *node)
{
    return node->kind == QN_NODE_MAP || node->kind == QN_NODE_FLAT_MAP || node->kind == QN_NODE_FILTER ||
           node->kind == QN_NODE_KEY_BY || node->kind == QN_NODE_JOIN || (node->kind == QN_NODE_ZIP && node->fn.zip) ||
           (is_block_wise(node) && !qn_node_has_stretches(node));
}

qn_operator_check *qn_operator_check_create(void)
{
    return calloc(1, sizeof(qn_operator_check));
}

void qn_operator_check_destroy(qn_operator_check *check)
{
    free(check);
}

void qn_counters_set_aside(struct quern_counter *counters)
{
    for (struct quern_counter *counter = counters; counter; counter = counter->next)
        counter->set_aside = counter->pending;
}

void qn_counters_put_back(struct quern_counter *counters)
{
    for (struct quern_counter *counter = counters; counter; counter = counter->next)
        counter->pending = counter->set_aside;
}

static uint64_t next_random(uint64_t *state)
{
    *state += QN_HASH_TINY_2;
    return qn_hash_fold(*state, QN_HASH_TINY_1);
}

void qn_check_permute(uint16_t *order, size_t count, uint64_t seed)
{
    QN_ASSERT(count <= QN_BATCH_COUNT_MAX);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint16_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t other = next_random(&seed) % i;
        uint16_t moved = order[other];
        order[other] = order[i - 1];
        order[i - 1] = moved;
    }
}

uint64_t qn_check_digest(quern_record record, uint64_t seed)
{
    uint64_t lengths[2] = {record.key.bytes, record.value.bytes};
    seed = qn_checksum(lengths, sizeof lengths, seed);
    seed = qn_checksum(record.key.data, record.key.bytes, seed);
    return qn_checksum(record.value.data, record.value.bytes, seed);
}

bool qn_trace_take(qn_trace *trace, const qn_batch *given)
{
    for (size_t i = 0; i < given->block.count; i++) {
        uint32_t at = trace->by_origin ? qn_batch_origin(given, i) : 0;
        QN_ASSERT(at < QN_BATCH_COUNT_MAX);
        trace->digest[at] = qn_check_digest(qn_batch_record(given, i), trace->digest[at]);
        trace->count[at]++;
    }
    return !trace->trial;
}

static void begin_trace(qn_trace *trace, const struct qn_operator *op, bool trial)
{
    bool emits_blocks = op->node->kind == QN_NODE_MAP_BLOCK || op->node->kind == QN_NODE_FLAT_MAP_BLOCK;
    memset(trace, 0, sizeof *trace);
    trace->by_origin = !emits_blocks;
    trace->trial = trial;
}

/* Every promise but the one about reductions ends here. */
static quern_status broken(struct qn_operator *op, uint32_t origin, const char *how)
{
    qn_chain *chain = op->out.chain;
    chain->failed_origin = origin;
    return qn_error_set(chain->error, QUERN_ERROR_CHECK, 0, "the callback of '%s' %s", op->node->name, how);
}

/* Returns what stands for all records. */
static uint64_t note_input(qn_operator_check *check, const qn_batch *batch)
{
    uint64_t all = batch->block.count;
    for (size_t i = 0; i < batch->block.count; i++) {
        check->input[i] = qn_check_digest(qn_batch_record(batch, i), 0);
        all = qn_hash_fold(all ^ check->input[i], QN_HASH_TINY_1);
    }
    return all;
}

static quern_status look_at_input(struct qn_operator *op, const qn_batch *batch)
{
    for (size_t i = 0; i < batch->block.count; i++)
        if (op->check->input[i] != qn_check_digest(qn_batch_record(batch, i), 0))
            return broken(op, qn_batch_origin(batch, i), "changed a record that it was given, and may only read");
    return QUERN_OK;
}

/* how: ", " and under what circumstances it was called again. */
static quern_status compare(struct qn_operator *op, const qn_batch *batch, const char *how)
{
    const qn_trace *first = &op->check->first, *again = &op->check->again;
    char what[256];
    for (uint32_t at = 0; at < QN_BATCH_COUNT_MAX; at++) {
        if (first->count[at] == again->count[at] && first->digest[at] == again->digest[at])
            continue;
        if (first->count[at] == again->count[at])
            snprintf(what, sizeof what, "gave other records for the same input when it was called again%s", how);
        else
            snprintf(what, sizeof what, "gave %u records for an input, and %u for the same when it was called again%s",
                     first->count[at], again->count[at], how);
        return broken(op, first->by_origin ? at : qn_batch_origin(batch, 0), what);
    }
    return QUERN_OK;
}

/* Gives the callback the block again, in parts, and compares what comes with the first time. */
static quern_status call_again(struct qn_operator *op, const qn_batch *batch, size_t part_count, const char *how)
{
    qn_operator_check *check = op->check;
    qn_edge_stats stats = op->stats;
    uint64_t place = op->place.record_count;
    struct quern_counter *counters = op->out.chain->counters;
    quern_status status = QUERN_OK;
    qn_counters_set_aside(counters);
    begin_trace(&check->again, op, true);
    op->out.trace = &check->again;
    for (size_t i = 0; i < part_count && status == QUERN_OK; i++) {
        uint16_t part = check->order[i];
        op->place.record_count = check->place + check->begin[part]; /* each record has the place that it had */
        qn_batch slice = qn_batch_slice(batch, check->begin[part], check->begin[part + 1] - check->begin[part]);
        status = qn_operator_call(op, &slice);
    }
    op->out.trace = NULL;
    op->stats = stats;
    op->place.record_count = place;
    qn_counters_put_back(counters);
    if (status == QUERN_OK)
        status = look_at_input(op, batch);
    return status == QUERN_OK ? compare(op, batch, how) : status;
}

/* Parts of one record of the source each: within them the order has a meaning. Returns how many. */
static size_t cut_by_origin(qn_operator_check *check, const qn_batch *batch)
{
    size_t part_count = 0;
    for (size_t i = 0; i < batch->block.count; i++)
        if (i == 0 || batch->origin[i] != batch->origin[i - 1])
            check->begin[part_count++] = (uint16_t)i;
    check->begin[part_count] = (uint16_t)batch->block.count;
    return part_count;
}

static quern_status repeat_records(struct qn_operator *op, const qn_batch *batch, uint64_t seed)
{
    size_t part_count = cut_by_origin(op->check, batch);
    qn_check_permute(op->check->order, part_count, seed);
    return call_again(op, batch, part_count, ", with the records in another order");
}

static quern_status repeat_block(struct qn_operator *op, const qn_batch *batch, uint64_t seed)
{
    qn_operator_check *check = op->check;
    size_t count = batch->block.count;
    check->order[0] = 0;
    check->order[1] = 1;
    check->begin[0] = 0;
    check->begin[1] = (uint16_t)count;
    quern_status status = call_again(op, batch, 1, "");
    if (status != QUERN_OK || count < 2)
        return status;
    check->begin[1] = (uint16_t)(1 + seed % (count - 1));
    check->begin[2] = (uint16_t)count;
    return call_again(op, batch, 2, " with the block cut in two: how records are grouped into blocks has no meaning");
}

quern_status qn_operator_check_run(struct qn_operator *op, const qn_batch *batch)
{
    qn_operator_check *check = op->check;
    qn_batch numbered = *batch; /* a part of a block without numbers would count from 0 */
    for (uint32_t i = 0; i < batch->block.count; i++)
        check->origins[i] = qn_batch_origin(batch, i);
    numbered.origin = check->origins;
    uint64_t seed = note_input(check, &numbered);
    check->place = op->place.record_count;
    begin_trace(&check->first, op, false);
    op->out.trace = &check->first;
    quern_status status = qn_operator_call(op, &numbered);
    op->out.trace = NULL;
    if (status == QUERN_OK)
        status = look_at_input(op, &numbered);
    if (status != QUERN_OK)
        return status;
    return is_block_wise(op->node) ? repeat_block(op, &numbered, seed) : repeat_records(op, &numbered, seed);
}
