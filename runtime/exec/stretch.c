/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/stretch.h"

#include "runtime/base/assert.h"
#include "runtime/exec/chain_internal.h"

static void prepare(qn_chain *chain, qn_error *error)
{
    QN_ASSERT(chain->has_stretches);
    QN_ASSERT(!chain->apart);
    QN_ASSERT(!chain->hold);
    chain->error = error;
    chain->delivered = chain->skip = 0;
    chain->callback_failed = chain->end_failed = chain->ended_apart = false;
}

/* stretch: NULL at its end. */
static quern_status call(struct qn_operator *op, const quern_stretch *stretch)
{
    qn_chain *chain = op->out.chain;
    const quern_stretch_operator *callbacks = op->node->of.stretch;
    chain->running = op;
    chain->shown->running = op->index + 1;
    qn_operator_begin_record(op, 0);
    int code = stretch ? callbacks->begin(stretch, &op->out, op->node->user) : callbacks->end(&op->out, op->node->user);
    chain->running = NULL;
    chain->shown->running = 0;
    return qn_operator_outcome(op, code, 0);
}

static quern_status begin(struct qn_operator *op, const quern_stretch *stretch)
{
    uint64_t before = op->stats.records_out;
    quern_status status = op->node->of.stretch->begin ? call(op, stretch) : QUERN_OK;
    if (status == QUERN_OK && (op->out.count > 0 || op->stats.records_out > before))
        status = qn_stretch_emitted_early(op);
    op->in_stretch = status == QUERN_OK;
    return status;
}

quern_status qn_stretch_begin(qn_chain *chain, const quern_stretch *stretch, qn_error *error)
{
    quern_status status = QUERN_OK;
    prepare(chain, error);
    for (uint32_t i = 0; i < chain->operator_count && status == QUERN_OK; i++)
        if (qn_node_has_stretches(chain->operators[i].node))
            status = begin(&chain->operators[i], stretch);
    qn_chain_settle(chain, status == QUERN_OK);
    if (status != QUERN_OK)
        qn_stretch_drop(chain);
    return status;
}

quern_status qn_stretch_end(qn_chain *chain, qn_error *error)
{
    quern_status status = QUERN_OK;
    prepare(chain, error);
    for (uint32_t i = 0; i < chain->operator_count && status == QUERN_OK; i++) {
        struct qn_operator *op = &chain->operators[i];
        if (!op->in_stretch)
            continue;
        op->in_stretch = false;
        status = call(op, NULL);
        if (status == QUERN_OK)
            status = qn_emitter_flush(&op->out);
    }
    qn_chain_settle(chain, status == QUERN_OK);
    return status;
}

void qn_stretch_drop(qn_chain *chain)
{
    for (uint32_t i = 0; i < chain->operator_count; i++) {
        struct qn_operator *op = &chain->operators[i];
        if (op->in_stretch && op->node->of.stretch->drop)
            op->node->of.stretch->drop(op->node->user);
        op->in_stretch = false;
    }
}

quern_status qn_stretch_emitted_early(const struct qn_operator *op)
{
    qn_chain *chain = op->out.chain;
    chain->callback_failed = false;
    return qn_error_set(chain->error, QUERN_ERROR_CALLBACK, 0, "'%s' emitted before its stretch ended", op->node->name);
}
