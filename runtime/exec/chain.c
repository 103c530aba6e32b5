/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/chain.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/callback_failure.h"
#include "runtime/base/hash.h"
#include "runtime/data/key_text.h"
#include "runtime/exec/apart.h"
#include "runtime/exec/chain_internal.h"
#include "runtime/exec/hold.h"
#include "runtime/exec/join_probe.h"
#include "runtime/exec/order_check.h"
#include "runtime/exec/reduction_check.h"
#include "runtime/exec/stretch.h"

#define EMIT_BUFFER_BYTES ((size_t)128 << 10)

static quern_status run_operator(qn_chain *chain, uint32_t index, const qn_batch *batch);

/* Check mode: blocks that come from the source are worked on in two parts. */
struct qn_block_cut {
    uint32_t origins[QN_BATCH_COUNT_MAX]; /* of a block that came without */
};

/* In check mode a reduction gets its records in another order, and is looked at itself, as the order of a sort is. */
static quern_status check_end(qn_chain *chain, const qn_batch **batch)
{
    quern_status status = QUERN_OK;
    qn_counters_set_aside(chain->counters);
    if (chain->order_check)
        status = qn_order_check_take(chain->order_check, *batch, &chain->failed_origin, chain->error);
    else
        status = qn_reduction_check_take(chain->reduction_check, *batch, &chain->failed_origin, chain->error);
    qn_counters_put_back(chain->counters);
    if (chain->reduction_check)
        *batch = qn_reduction_check_shuffle(chain->reduction_check, *batch);
    return status;
}

static quern_status hand_to_end(qn_chain *chain, const qn_batch *batch)
{
    if (QN_UNLIKELY(chain->checks_end) && check_end(chain, &batch) != QUERN_OK)
        return chain->error->status;
    const struct qn_operator *before = chain->running;
    chain->end_records += batch->block.count;
    chain->shown->handed++;
    if (chain->has_turns)
        qn_counters_hide(chain->counters);
    chain->running = NULL;
    chain->is_at_end = true;
    quern_status status = chain->end(chain->end_user, batch, chain->error);
    chain->is_at_end = false;
    chain->running = before;
    if (chain->has_turns)
        qn_counters_show(chain->counters);
    chain->end_failed = status != QUERN_OK;
    return status;
}

quern_status qn_chain_deliver(qn_chain *chain, const qn_batch *batch)
{
    if (QN_UNLIKELY(chain->hold != NULL) && qn_hold_take(chain->hold, batch))
        return QUERN_OK;
    uint64_t delivered = chain->delivered;
    size_t count = batch->block.count;
    chain->delivered += count;
    if (QN_LIKELY(delivered >= chain->skip)) {
        return hand_to_end(chain, batch);
    }
    size_t dropped = chain->skip - delivered < count ? chain->skip - delivered : count;
    if (dropped == count)
        return QUERN_OK;
    qn_batch rest = qn_batch_slice(batch, dropped, count - dropped);
    return hand_to_end(chain, &rest);
}

static quern_status pass_on(qn_chain *chain, uint32_t index, const qn_batch *batch)
{
    return index < chain->operator_count ? run_operator(chain, index, batch) : qn_chain_deliver(chain, batch);
}

/* What a callback gives when it is called only for comparison goes nowhere. */
static quern_status hand_on(quern_emitter *out, const qn_batch *batch)
{
    if (QN_UNLIKELY(out->trace != NULL) && !qn_trace_take(out->trace, batch))
        return QUERN_OK;
    return pass_on(out->chain, out->owner->index + 1, batch);
}

quern_status qn_emitter_flush(quern_emitter *out)
{
    if (out->count == 0)
        return QUERN_OK;
    bool with_value = out->owner->node->schema.value != QUERN_NONE;
    qn_batch batch = {
        .block = {.count = out->count,
                  .key = out->key,
                  .key_bytes = out->key_bytes,
                  .value = with_value ? out->value : NULL,
                  .value_bytes = with_value ? out->value_bytes : NULL},
        .origin = out->origins,
    };
    out->owner->stats.records_out += out->count;
    quern_status status = hand_on(out, &batch);
    out->count = 0;
    out->used_bytes = 0;
    out->failed = status != QUERN_OK;
    return status;
}

/* A callback did not return 0. */
static quern_status callback_failed(struct qn_operator *op, int code, uint32_t origin)
{
    qn_chain *chain = op->out.chain;
    if (chain->end_failed || (op->out.failed && chain->error->status != QUERN_ERROR_CALLBACK))
        return chain->error->status; /* it was told to stop */
    if (!op->out.failed)
        chain->failed_origin = origin;
    chain->callback_failed = true;
    return qn_callback_failed(chain->error, op->node->name, code);
}

quern_status qn_operator_outcome(struct qn_operator *op, int code, uint32_t origin)
{
    if (QN_UNLIKELY(code != 0))
        return callback_failed(op, code, origin);
    if (QN_UNLIKELY(op->out.failed)) {
        qn_chain *chain = op->out.chain;
        chain->callback_failed |= !chain->end_failed && chain->error->status == QUERN_ERROR_CALLBACK;
        return chain->error->status;
    }
    return QUERN_OK;
}

static quern_status run_map(struct qn_operator *op, const qn_batch *batch)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record in = qn_batch_record(batch, i), given = in;
        qn_operator_begin_record(op, qn_batch_origin(batch, i));
        int code = op->node->fn.map(&in, &given, op->node->user);
        if (QN_LIKELY(code == 0))
            quern_emit(&op->out, given.key, given.value);
        quern_status status = qn_operator_outcome(op, code, op->out.origin);
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

static quern_status run_flat_map(struct qn_operator *op, const qn_batch *batch)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record in = qn_batch_record(batch, i);
        qn_operator_begin_record(op, qn_batch_origin(batch, i));
        int code = op->node->fn.flat_map(&in, &op->out, op->node->user);
        quern_status status = qn_operator_outcome(op, code, op->out.origin);
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

/* In a block-wise callback the record at fault is not known: the block's first is named. */
static quern_status call_with_block(struct qn_operator *op, const qn_batch *batch)
{
    uint64_t before = op->stats.records_out + op->out.count;
    qn_operator_begin_record(op, qn_batch_origin(batch, 0));
    op->out.batch = batch;
    int code = op->node->fn.flat_map_block(&batch->block, &op->out, op->node->user);
    op->out.batch = NULL;
    quern_status status = qn_operator_outcome(op, code, op->out.origin);
    uint64_t emitted = op->stats.records_out + op->out.count - before;
    if (status == QUERN_OK && op->in_stretch && emitted > 0)
        return qn_stretch_emitted_early(op);
    if (status == QUERN_OK && op->node->kind == QN_NODE_MAP_BLOCK && emitted != batch->block.count) {
        op->out.chain->callback_failed = true;
        op->out.chain->failed_origin = op->out.origin;
        status = qn_error_set(op->out.chain->error, QUERN_ERROR_CALLBACK, 0,
                              "the callback of '%s' gave %llu records for a block of %zu", op->node->name,
                              (unsigned long long)emitted, batch->block.count);
    }
    return status;
}

static quern_status run_flat_map_block(struct qn_operator *op, const qn_batch *batch)
{
    if (QN_LIKELY(op->index >= op->out.chain->sampled_count))
        return call_with_block(op, batch);
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        uint32_t origin = qn_batch_origin(batch, i);
        qn_batch one = {.block = {1, batch->block.key + i, batch->block.key_bytes + i, NULL, NULL}, .origin = &origin};
        if (batch->block.value) {
            one.block.value = batch->block.value + i;
            one.block.value_bytes = batch->block.value_bytes + i;
        }
        status = call_with_block(op, &one);
    }
    return status;
}

/* Passes record i on as it is. */
static void keep_record(quern_emitter *out, const qn_batch *batch, size_t i)
{
    size_t at = out->count++;
    out->key[at] = batch->block.key[i];
    out->key_bytes[at] = batch->block.key_bytes[i];
    out->origins[at] = qn_batch_origin(batch, i);
    if (batch->block.value) {
        out->value[at] = batch->block.value[i];
        out->value_bytes[at] = batch->block.value_bytes[i];
    }
}

static quern_status run_filter(struct qn_operator *op, const qn_batch *batch)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record in = qn_batch_record(batch, i);
        int keep = 1;
        qn_operator_begin_record(op, qn_batch_origin(batch, i));
        int code = op->node->fn.filter(&in, &keep, op->node->user);
        if (QN_UNLIKELY(code != 0))
            return callback_failed(op, code, op->out.origin);
        if (keep)
            keep_record(&op->out, batch, i);
        else
            op->stats.records_dropped++;
    }
    return QUERN_OK;
}

static quern_status run_filter_block(struct qn_operator *op, const qn_batch *batch)
{
    uint8_t keep[QN_BATCH_COUNT_MAX];
    memset(keep, 1, sizeof keep);
    qn_operator_begin_record(op, qn_batch_origin(batch, 0));
    int code = op->node->fn.filter_block(&batch->block, keep, op->node->user);
    if (code != 0)
        return callback_failed(op, code, qn_batch_origin(batch, 0));
    for (size_t i = 0; i < batch->block.count; i++) {
        if (keep[i])
            keep_record(&op->out, batch, i);
        else
            op->stats.records_dropped++;
    }
    return QUERN_OK;
}

/* Records without their values. */
static quern_status run_keys(struct qn_operator *op, const qn_batch *batch)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        op->out.key[i] = batch->block.key[i];
        op->out.key_bytes[i] = batch->block.key_bytes[i];
        op->out.origins[i] = qn_batch_origin(batch, i);
    }
    op->out.count = batch->block.count;
    return QUERN_OK;
}

static quern_status run_key_by(struct qn_operator *op, const qn_batch *batch)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record in = qn_batch_record(batch, i);
        quern_span key = in.key;
        qn_operator_begin_record(op, qn_batch_origin(batch, i));
        int code = op->node->fn.key(&in, &key, op->node->user);
        if (QN_LIKELY(code == 0))
            qn_emitter_put_under_key(&op->out, &in, batch->block.value != NULL, key);
        quern_status status = qn_operator_outcome(op, code, op->out.origin);
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

/* Keys are copied: behind a value there may be nothing to read. */
static quern_status run_value_as_key(struct qn_operator *op, const qn_batch *batch)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        op->out.origin = qn_batch_origin(batch, i);
        quern_emit(&op->out, qn_batch_record(batch, i).value, quern_bytes("", 0));
        status = qn_operator_outcome(op, 0, op->out.origin);
    }
    return status;
}

static quern_status run_bin(struct qn_operator *op, const qn_batch *batch)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        uint64_t bin = qn_bins_find(&op->node->of.bins, qn_batch_record(batch, i).value);
        op->out.origin = qn_batch_origin(batch, i);
        quern_emit(&op->out, quern_of_u64(&bin), quern_bytes("", 0));
        status = qn_operator_outcome(op, 0, op->out.origin);
    }
    return status;
}

/* Records of one source record come one behind the other. */
static bool is_in_sample(struct qn_operator *op, uint32_t origin)
{
    const qn_sample *sample = &op->node->of.sample;
    if (op->sampled_origin != origin)
        op->sampled_count = 0;
    op->sampled_origin = origin;
    uint64_t identity[] = {op->out.chain->identity[origin], op->sampled_count++, (uint64_t)op->way << 32 | op->index};
    return qn_checksum(identity, sizeof identity, sample->seed) >> 11 < sample->kept;
}

static void run_sample(struct qn_operator *op, const qn_batch *batch)
{
    for (size_t i = 0; i < batch->block.count; i++) {
        if (is_in_sample(op, qn_batch_origin(batch, i)))
            keep_record(&op->out, batch, i);
        else
            op->stats.records_dropped++;
    }
}

static quern_status run_zip(struct qn_operator *op, const qn_batch *batch)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        quern_record in = qn_batch_record(batch, i), given = in;
        uint64_t index = op->place.record_count++;
        qn_operator_begin_record(op, qn_batch_origin(batch, i));
        int code = 0;
        if (op->node->fn.zip)
            code = op->node->fn.zip(&in, index, &given, op->node->user);
        else
            given.value = quern_of_u64(&index);
        if (QN_LIKELY(code == 0))
            quern_emit(&op->out, given.key, given.value);
        status = qn_operator_outcome(op, code, op->out.origin);
    }
    return status;
}

/* Reached by integers only in the result, by floating-point numbers only in their count. */
static quern_status sum_overflows(struct qn_operator *op, const quern_record *at)
{
    const char *what = op->node->schema.value == QUERN_F64 ? "has more than 2^37 values" : "exceeds 64 bits";
    char key[QN_KEY_TEXT_BYTES_MAX + 1];
    qn_key_describe(op->node->schema.key, at->key.data, (uint32_t)at->key.bytes, key);
    return qn_error_set(op->out.chain->error, QUERN_ERROR_OVERFLOW, 0, "the sum of '%s' %s at key \"%s\" (%zu bytes)",
                        op->node->name, what, key, at->key.bytes);
}

static quern_status run_prefix_sum(struct qn_operator *op, const qn_batch *batch)
{
    quern_type type = op->node->input->schema.value;
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        quern_record in = qn_batch_record(batch, i);
        uint64_t sum;
        if (QN_UNLIKELY(!qn_running_sum_add(&op->place.sum, type, in.value.data) ||
                        !qn_running_sum_get(&op->place.sum, type, &sum)))
            return sum_overflows(op, &in);
        op->out.origin = qn_batch_origin(batch, i);
        quern_emit(&op->out, in.key, quern_of_u64(&sum));
        status = qn_operator_outcome(op, 0, op->out.origin);
    }
    return status;
}

static bool is_share(uint64_t part, uint64_t whole, double fraction)
{
    return (double)part / (double)whole >= fraction;
}

/* The place of a quantile: that of the first record with at least such a share of all up to and including it. A product would be rounded up or down,
 * by the fraction and not by what the program meant: 0.07 * 100 is above 7. A quotient is the nearest double, and so was the fraction. */
static uint64_t place_of_quantile(double fraction, uint64_t record_count)
{
    double about = ceil(fraction * (double)record_count);
    uint64_t count = about >= (double)record_count ? record_count : (uint64_t)about;
    while (count > 1 && is_share(count - 1, record_count, fraction))
        count--;
    while (count < record_count && !is_share(count, record_count, fraction))
        count++;
    return count > 0 ? count - 1 : 0;
}

static quern_status run_quantiles(struct qn_operator *op, const qn_batch *batch)
{
    const qn_quantiles *wanted = &op->node->of.quantiles;
    uint64_t first = op->place.record_count, end = first + batch->block.count;
    quern_status status = QUERN_OK;
    op->place.record_count = end;
    for (size_t i = 0; i < wanted->count && status == QUERN_OK; i++) {
        uint64_t at = place_of_quantile(wanted->items[i].fraction, op->place.record_count_all);
        if (at < first || at >= end)
            continue;
        op->out.origin = qn_batch_origin(batch, at - first);
        quern_emit(&op->out, qn_batch_record(batch, at - first).key, quern_of_u64(&wanted->items[i].number));
        status = qn_operator_outcome(op, 0, op->out.origin);
    }
    return status;
}

quern_status qn_operator_call(struct qn_operator *op, const qn_batch *batch)
{
    quern_status status = QUERN_ERROR_INTERNAL;
    op->stats.records_in += batch->block.count;
    switch (op->node->kind) {
    case QN_NODE_MAP:
        status = run_map(op, batch);
        break;
    case QN_NODE_FLAT_MAP:
        status = run_flat_map(op, batch);
        break;
    case QN_NODE_MAP_BLOCK:
    case QN_NODE_FLAT_MAP_BLOCK:
        status = run_flat_map_block(op, batch);
        break;
    case QN_NODE_FILTER:
        status = run_filter(op, batch);
        break;
    case QN_NODE_FILTER_BLOCK:
        status = run_filter_block(op, batch);
        break;
    case QN_NODE_KEYS:
        status = run_keys(op, batch);
        break;
    case QN_NODE_GROUP:
    case QN_NODE_TOP_OF_KEY:
    case QN_NODE_COGROUP:
        QN_ASSERT(!"groups come in turns");
        break;
    case QN_NODE_JOIN:
        status = qn_join_probe_run(op, batch);
        break;
    case QN_NODE_KEY_BY:
        status = run_key_by(op, batch);
        break;
    case QN_NODE_VALUE_AS_KEY:
        status = run_value_as_key(op, batch);
        break;
    case QN_NODE_SAMPLE:
        run_sample(op, batch);
        status = QUERN_OK;
        break;
    case QN_NODE_BIN:
        status = run_bin(op, batch);
        break;
    case QN_NODE_ZIP:
        status = run_zip(op, batch);
        break;
    case QN_NODE_PREFIX_SUM:
        status = run_prefix_sum(op, batch);
        break;
    case QN_NODE_QUANTILES:
        status = run_quantiles(op, batch);
        break;
    case QN_NODE_TEXT:
    case QN_NODE_FIXED:
    case QN_NODE_HDF5:
    case QN_NODE_SEQUENCES:
    case QN_NODE_ROWS:
    case QN_NODE_FILES:
    case QN_NODE_MEMORY:
    case QN_NODE_UNION:
    case QN_NODE_REDUCE:
    case QN_NODE_COLLATE:
    case QN_NODE_STORE:
    case QN_NODE_LINKS:
        QN_ASSERT(!"sources, unions and results are not in a chain");
    }
    return status == QUERN_OK ? qn_emitter_flush(&op->out) : status;
}

static quern_status run_operator(qn_chain *chain, uint32_t index, const qn_batch *batch)
{
    struct qn_operator *op = &chain->operators[index];
    const struct qn_operator *before = chain->running;
    uint32_t shown_before = chain->shown->running;
    chain->running = op;
    chain->shown->running = index + 1;
    quern_status status = QN_LIKELY(!op->check) ? qn_operator_call(op, batch) : qn_operator_check_run(op, batch);
    chain->running = before;
    chain->shown->running = shown_before;
    return status;
}

const char *qn_chain_running_name(const qn_chain *chain)
{
    const struct qn_operator *op = chain->running; /* once: another thread may be asking */
    return op ? op->node->name : NULL;
}

/* Callbacks for a block say nothing of where they are in it. */
bool qn_chain_running_record(const qn_chain *chain, uint32_t *record_out)
{
    const struct qn_operator *op = chain->running;
    qn_node_kind kind = op ? op->node->kind : QN_NODE_TEXT;
    bool is_known = op && (kind == QN_NODE_MAP || kind == QN_NODE_FLAT_MAP || kind == QN_NODE_FILTER);
    *record_out = is_known ? op->out.origin : 0;
    return is_known;
}

void qn_chain_settle(qn_chain *chain, bool keep)
{
    for (uint32_t i = 0; i < chain->operator_count; i++) {
        struct qn_operator *op = &chain->operators[i];
        if (keep) {
            op->committed = op->stats;
            op->committed_place = op->place;
        } else {
            op->stats = op->committed;
            op->place = op->committed_place;
        }
        op->out.count = op->out.used_bytes = 0;
        op->out.failed = false;
    }
    qn_counters_settle(chain->counters, keep);
}

/* A block begins: samples have seen nothing of it. */
static void begin_samples(qn_chain *chain, const qn_batch *batch)
{
    QN_ASSERT(batch->identity);
    chain->identity = batch->identity;
    for (uint32_t i = 0; i < chain->sampled_count; i++) {
        chain->operators[i].sampled_origin = UINT32_MAX;
        chain->operators[i].sampled_count = 0;
    }
}

bool qn_chain_needs_places(const qn_chain *chain)
{
    for (uint32_t i = 1; i < chain->operator_count; i++)
        QN_ASSERT(!qn_node_needs_places(chain->operators[i].node)); /* it would be behind a store */
    return chain->operator_count > 0 && qn_node_needs_places(chain->operators[0].node);
}

void qn_chain_begin_part(qn_chain *chain, const qn_place *place)
{
    struct qn_operator *op = &chain->operators[0];
    op->place = op->committed_place = *place;
}

/* Where a block is cut has no meaning, so check mode cuts it where its bytes say: alike in every attempt. */
static quern_status pass_on_in_parts(qn_chain *chain, const qn_batch *batch)
{
    size_t count = batch->block.count;
    qn_batch numbered = *batch; /* the second part would count from 0 */
    for (size_t i = 0; i < count; i++)
        chain->block_cut->origins[i] = qn_batch_origin(batch, i);
    numbered.origin = chain->block_cut->origins;
    size_t first = count < 2 ? count : 1 + qn_check_digest(qn_batch_record(batch, count / 2), count) % (count - 1);
    qn_batch part = qn_batch_slice(&numbered, 0, first);
    quern_status status = pass_on(chain, 0, &part);
    if (status != QUERN_OK || first == count)
        return status;
    part = qn_batch_slice(&numbered, first, count - first);
    return pass_on(chain, 0, &part);
}

bool qn_chain_has_callbacks(const qn_chain *chain)
{
    if (chain->has_stretches)
        return false; /* what begins here is not to end there */
    for (uint32_t i = 0; i < chain->operator_count; i++) {
        const qn_node *node = chain->operators[i].node;
        switch (node->kind) {
        case QN_NODE_MAP:
        case QN_NODE_FLAT_MAP:
        case QN_NODE_FILTER:
        case QN_NODE_MAP_BLOCK:
        case QN_NODE_FLAT_MAP_BLOCK:
        case QN_NODE_FILTER_BLOCK:
        case QN_NODE_KEY_BY:
        case QN_NODE_GROUP:
        case QN_NODE_COGROUP:
        case QN_NODE_JOIN:
            return true;
        case QN_NODE_ZIP:
            if (node->fn.zip)
                return true;
            break;
        default:
            break;
        }
    }
    return false;
}

quern_status qn_chain_run(qn_chain *chain, const qn_batch *batch, uint64_t skip, qn_error *error)
{
    if (QN_UNLIKELY(chain->apart != NULL))
        return qn_apart_run(chain, batch, skip, error);
    if (QN_UNLIKELY(qn_chain_samples(chain)))
        begin_samples(chain, batch);
    chain->error = error;
    chain->delivered = 0;
    chain->skip = skip;
    chain->callback_failed = chain->end_failed = false;
    chain->shown->record = 0;
    quern_status status = QN_LIKELY(!chain->block_cut) ? pass_on(chain, 0, batch) : pass_on_in_parts(chain, batch);
    if (chain->operator_count > 0)
        qn_chain_settle(chain, status == QUERN_OK && (!chain->hold || qn_hold_counts(chain->hold)));
    return status;
}

uint64_t qn_chain_get_uncounted(const qn_chain *chain)
{
    if (chain->has_turns)
        return 0; /* what it shows only tells them apart */
    uint32_t record = chain->apart ? qn_apart_get_record(chain->apart) : chain->own_shown.record;
    return chain->passed_apart + (record < QN_BATCH_COUNT_MAX ? record : 0);
}

void qn_chain_note_counted(qn_chain *chain)
{
    chain->own_shown.record = 0;
    chain->passed_apart = 0;
}

void qn_chain_set_way(qn_chain *chain, uint32_t index, uint32_t way)
{
    chain->operators[index].way = way;
}

void qn_chain_set_lookup(qn_chain *chain, uint32_t index, const struct qn_lookup *lookup, int build)
{
    QN_ASSERT(chain->operators[index].node->kind == QN_NODE_JOIN);
    chain->operators[index].lookup = lookup;
    chain->operators[index].build = build;
}

void qn_chain_mark(qn_chain *chain)
{
    chain->marked_end_records = chain->end_records;
    for (uint32_t i = 0; i < chain->operator_count; i++)
        chain->operators[i].marked = chain->operators[i].committed;
    for (struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        counter->marked = counter->sum;
}

void qn_chain_roll_back(qn_chain *chain)
{
    chain->end_records = chain->marked_end_records;
    for (uint32_t i = 0; i < chain->operator_count; i++)
        chain->operators[i].stats = chain->operators[i].committed = chain->operators[i].marked;
    for (struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        counter->sum = counter->marked;
}

size_t qn_chain_tally_count(const qn_chain *chain)
{
    size_t count = 1 + 3 * (size_t)chain->operator_count;
    for (const struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        count++;
    return count;
}

void qn_chain_tally(const qn_chain *chain, uint64_t *tally_out)
{
    *tally_out++ = chain->end_records;
    for (uint32_t i = 0; i < chain->operator_count; i++) {
        const qn_edge_stats *stats = &chain->operators[i].committed;
        *tally_out++ = stats->records_in;
        *tally_out++ = stats->records_out;
        *tally_out++ = stats->records_dropped;
    }
    for (const struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        *tally_out++ = (uint64_t)counter->sum;
}

void qn_chain_take_back(qn_chain *chain, const uint64_t *from, const uint64_t *to)
{
    chain->end_records -= *to++ - *from++;
    for (uint32_t i = 0; i < chain->operator_count; i++) {
        struct qn_operator *op = &chain->operators[i];
        op->committed.records_in -= *to++ - *from++;
        op->committed.records_out -= *to++ - *from++;
        op->committed.records_dropped -= *to++ - *from++;
        op->stats = op->committed;
    }
    for (struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        counter->sum -= (int64_t)(*to++ - *from++);
}

qn_edge_stats qn_chain_edge(const qn_chain *chain, uint32_t index)
{
    return chain->operators[index].committed;
}

quern_status qn_chain_init(qn_chain *chain, const qn_node *const *operators, uint32_t operator_count,
                           struct quern_counter *counters, qn_chain_end_fn end, void *end_user, qn_error *error)
{
    *chain = (qn_chain){.end = end, .end_user = end_user, .counters = counters, .record_bytes_max = UINT64_MAX};
    chain->shown = &chain->own_shown;
    if (operator_count == 0)
        return QUERN_OK;
    chain->operators = calloc(operator_count, sizeof *chain->operators);
    bool complete = chain->operators != NULL;
    for (uint32_t i = 0; complete && i < operator_count; i++) {
        struct qn_operator *op = &chain->operators[i];
        op->node = operators[i];
        op->key_shape = qn_type_shape_of(op->node->schema.key, op->node->schema.key_bytes);
        op->value_shape = qn_type_shape_of(op->node->schema.value, op->node->schema.value_bytes);
        op->index = i;
        if (op->node->kind == QN_NODE_SAMPLE)
            chain->sampled_count = i + 1;
        chain->has_stretches |= qn_node_has_stretches(op->node);
        op->out.chain = chain;
        op->out.owner = op;
        op->out.capacity_bytes = EMIT_BUFFER_BYTES;
        op->out.buffer = malloc(EMIT_BUFFER_BYTES);
        complete = op->out.buffer != NULL;
    }
    chain->operator_count = operator_count;
    if (complete)
        return QUERN_OK;
    qn_chain_fini(chain);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the operators of a stage");
}

/* What looks at the records at the end, if the result has callbacks. */
static bool create_end_check(qn_chain *chain, const qn_node *result, const char *name)
{
    if (result && result->kind == QN_NODE_REDUCE)
        chain->checks_end = (chain->reduction_check = qn_reduction_check_create(result)) != NULL;
    else if (result && qn_order_check_applies(result))
        chain->checks_end = (chain->order_check = qn_order_check_create(result, name)) != NULL;
    else
        return true;
    return chain->checks_end;
}

quern_status qn_chain_check(qn_chain *chain, const qn_node *result, const char *name, qn_error *error)
{
    bool complete = create_end_check(chain, result, name);
    for (uint32_t i = 0; complete && i < chain->operator_count; i++) {
        struct qn_operator *op = &chain->operators[i];
        if (qn_operator_check_applies(op->node))
            complete = (op->check = qn_operator_check_create()) != NULL;
    }
    chain->checks_turns = true;
    if (complete)
        complete = (chain->block_cut = calloc(1, sizeof *chain->block_cut)) != NULL;
    return complete ? QUERN_OK : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to check callbacks");
}

void qn_chain_fini(qn_chain *chain)
{
    for (uint32_t i = 0; chain->operators && i < chain->operator_count; i++) {
        qn_operator_check_destroy(chain->operators[i].check);
        free(chain->operators[i].out.buffer);
    }
    qn_reduction_check_destroy(chain->reduction_check);
    qn_order_check_destroy(chain->order_check);
    free(chain->block_cut);
    qn_hold_destroy(chain->hold);
    free(chain->operators);
    *chain = (qn_chain){0};
}
