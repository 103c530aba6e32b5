/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Turns of a chain: groups and joins. Several turns fill one block of the emitter, so an attempt that failed is taken out of it
 * again, but for what was passed on already, which the next attempt drops.
 *
 * Check mode. A digest of what the callback emits stands for it. The second call comes right behind the first, so a callback that
 * keeps something of what came before sees it change. It emits into a second digest only.
 */
#include <stdio.h>

#include "runtime/base/assert.h"
#include "runtime/exec/chain_internal.h"

bool qn_emitter_watch(quern_emitter *out, quern_span key, quern_span value)
{
    qn_turn_trace *trace = out->turn_trace;
    if (trace) {
        quern_record given = {key, out->owner->node->schema.value == QUERN_NONE ? (quern_span){"", 0} : value};
        trace->digest = qn_check_digest(given, trace->digest);
        trace->count++;
    }
    if (trace && trace->trial)
        return false;
    if (out->drop_count == 0)
        return true;
    out->drop_count--;
    return false;
}

bool qn_chain_turn_goes_on(quern_emitter *out)
{
    qn_turn_trace *trace = out->turn_trace;
    if (QN_LIKELY(!trace))
        return true;
    if (trace->call_count == QN_TURN_CALLS_MAX) {
        if (trace->trial)
            return false;
        trace->part_count = trace->count;
        trace->part_digest = trace->digest;
    }
    trace->call_count++;
    return true;
}

static quern_status call(struct qn_operator *op, const qn_turn *turn, qn_turn_trace *trace)
{
    quern_emitter *out = &op->out;
    out->turn_trace = trace;
    out->is_watched = trace || out->drop_count > 0;
    out->chain->running = op;
    out->chain->shown->running = op->index + 1;
    out->chain->shown->record++; /* turns have none: it only tells them apart */
    quern_status status = qn_operator_outcome(op, turn->call(out, turn->user), 0);
    out->chain->running = NULL;
    out->chain->shown->running = 0;
    out->turn_trace = NULL;
    out->is_watched = false;
    return status;
}

static quern_status broken(struct qn_operator *op, const char *how)
{
    return qn_error_set(op->out.chain->error, QUERN_ERROR_CHECK, 0, "the callback of '%s' %s", op->node->name, how);
}

static quern_status compare(struct qn_operator *op, const qn_turn_trace *first, const qn_turn_trace *again)
{
    bool is_part = first->call_count > QN_TURN_CALLS_MAX;
    uint64_t count = is_part ? first->part_count : first->count;
    uint64_t digest = is_part ? first->part_digest : first->digest;
    char what[192];
    if (count == again->count && digest == again->digest)
        return QUERN_OK;
    if (count == again->count)
        snprintf(what, sizeof what, "gave other records for the same input when it was called again");
    else
        snprintf(what, sizeof what, "gave %llu records for an input, and %llu for the same when it was called again",
                 (unsigned long long)count, (unsigned long long)again->count);
    return broken(op, what);
}

static quern_status call_twice(struct qn_operator *op, const qn_turn *turn)
{
    static const char changed[] = "changed a key or a value that it was given, and may only read";
    struct quern_counter *counters = op->out.chain->counters;
    qn_turn_trace first = {0}, again = {.trial = true};
    uint64_t input = turn->digest(turn->user);
    quern_status status = call(op, turn, &first);
    if (status == QUERN_OK && turn->digest(turn->user) != input)
        status = broken(op, changed);
    if (status != QUERN_OK)
        return status;
    qn_counters_set_aside(counters);
    status = call(op, turn, &again);
    qn_counters_put_back(counters);
    if (status == QUERN_OK && turn->digest(turn->user) != input)
        status = broken(op, changed);
    return status == QUERN_OK ? compare(op, &first, &again) : status;
}

/* One attempt: forgets what it emitted if it failed, but for what was passed on, which it notes. */
static quern_status attempt(qn_chain *chain, const qn_turn *turn, uint64_t *passed_count)
{
    struct qn_operator *op = &chain->operators[0];
    quern_emitter *out = &op->out;
    size_t count_before = out->count, used_before = out->used_bytes;
    uint64_t passed_before = op->stats.records_out;
    chain->callback_failed = chain->end_failed = out->failed = false;
    out->drop_count = *passed_count;
    quern_status status = chain->checks_turns && turn->digest ? call_twice(op, turn) : call(op, turn, NULL);
    out->drop_count = 0;
    qn_counters_settle(chain->counters, status == QUERN_OK);
    if (status == QUERN_OK)
        return QUERN_OK;
    uint64_t passed_now = op->stats.records_out - passed_before;
    *passed_count += passed_now > 0 ? passed_now - count_before : 0;
    out->count = passed_now > 0 ? 0 : count_before;
    out->used_bytes = passed_now > 0 ? 0 : used_before;
    return status;
}

quern_status qn_chain_turn(qn_chain *chain, const qn_turn *turn, uint32_t attempt_count_max, qn_error *error)
{
    uint64_t passed_count = 0;
    chain->error = error;
    chain->has_turns = true;
    for (uint32_t number = 1;; number++) {
        quern_status status = attempt(chain, turn, &passed_count);
        chain->turn_attempts++;
        chain->turn_attempts_failed += status != QUERN_OK;
        if (status == QUERN_OK || !chain->callback_failed || number == attempt_count_max)
            return status;
        qn_error_clear(error);
    }
}

quern_status qn_chain_end_turns(qn_chain *chain, uint64_t record_count, qn_error *error)
{
    struct qn_operator *op = &chain->operators[0];
    chain->error = error;
    quern_status status = qn_emitter_flush(&op->out);
    op->stats.records_in += record_count;
    op->committed = op->stats;
    return status;
}
