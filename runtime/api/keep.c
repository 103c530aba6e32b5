/* SPDX-License-Identifier: BSD-3-Clause */
/* Datasets that are kept, and what follows from that: places, prefix sums, repetition. */
#include <quern/operators.h>

#include "runtime/api/dataset_internal.h"
#include "runtime/base/callback_failure.h"

quern_dataset *quern_cache(quern_dataset *in)
{
    if (!in)
        return NULL;
    qn_graph *graph = &in->context->graph;
    qn_node *node = qn_graph_add_store(graph, in->node, qn_dataset_error_of(in->context));
    if (node)
        qn_graph_cache(graph, node);
    return qn_dataset_wrap(in->context, node);
}

void quern_uncache(quern_dataset *dataset)
{
    if (!dataset || !dataset->node->is_cached || dataset->context->running)
        return;
    if (dataset->node->sorted)
        qn_cache_forget(&dataset->context->engine.cache, dataset->node->sorted);
    qn_cache_forget(&dataset->context->engine.cache, dataset->node);
    qn_graph_uncache(&dataset->context->graph, dataset->node);
}

quern_dataset *quern_zip_with_index(quern_dataset *in, quern_schema schema, quern_zip_fn fn, void *user)
{
    if (!in)
        return NULL;
    qn_error *error = qn_dataset_error_of(in->context);
    return qn_dataset_wrap(in->context, qn_graph_add_zip(&in->context->graph, in->node, &schema, fn, user, error));
}

quern_dataset *quern_prefix_sum(quern_dataset *in)
{
    if (!in)
        return NULL;
    qn_error *error = qn_dataset_error_of(in->context);
    return qn_dataset_wrap(in->context, qn_graph_add_prefix_sum(&in->context->graph, in->node, error));
}

quern_dataset *quern_quantiles(quern_dataset *in, const double *fractions, size_t fraction_count)
{
    quern_dataset *sorted = quern_sort_by_key(quern_value_as_key(in), NULL);
    if (!sorted)
        return NULL;
    qn_error *error = qn_dataset_error_of(in->context);
    return qn_dataset_wrap(in->context,
                           qn_graph_add_quantiles(&in->context->graph, sorted->node, fractions, fraction_count, error));
}

/* ---- repeating ---- */

typedef struct loop {
    quern_context *context;
    quern_iteration iteration;
    void *user;
    quern_dataset *state;
    bool is_ours; /* the state was not kept before; else it stays when the loop is through with it */
} loop;

/* Works a dataset out, with all else that was asked for, and makes it the state. NULL: something failed in building it. */
static quern_status enter_state(loop *running, quern_dataset *next)
{
    quern_context *context = running->context;
    bool was_kept = next && next->node->is_cached;
    bool is_same = next && running->state && next->node == running->state->node;
    next = quern_cache(next);
    was_kept = was_kept || (is_same && running->is_ours);
    context->graph.wanted = next ? next->node : NULL;
    quern_status status = quern_run(context);
    if (is_same)
        return status;
    if (running->state && running->is_ours)
        quern_uncache(running->state);
    running->state = next;
    running->is_ours = !was_kept;
    return status;
}

/* Every rank decides; all must decide alike. */
static quern_status decide(loop *running, uint64_t step, bool *stop_out)
{
    quern_context *context = running->context;
    int stop = 0;
    if (!running->iteration.until)
        return QUERN_OK;
    int code = running->iteration.until(step, &stop, running->user);
    if (code != 0)
        qn_callback_failed(&context->error, "until", code);
    return qn_engine_decide(&context->engine, stop != 0, stop_out, &context->error);
}

static quern_status make_steps(loop *running)
{
    quern_status status = QUERN_OK;
    bool stop = false;
    for (uint64_t step = 0; step < running->iteration.step_count_max && status == QUERN_OK && !stop; step++) {
        quern_dataset *next = running->iteration.step(running->state, step, running->user);
        if (!next || next->context != running->context) {
            next = NULL;
            const char *why = qn_callback_reason_take();
            qn_error_set(qn_dataset_error_of(running->context), QUERN_ERROR_CALLBACK, 0, "iterate: step %llu%s%s",
                         (unsigned long long)step, why ? ": " : " gave no dataset of this context", why ? why : "");
        }
        status = enter_state(running, next);
        if (status == QUERN_OK)
            status = decide(running, step, &stop);
    }
    return status;
}

/* A failure is that of building: the first run then tells all ranks. */
static void check_iteration(loop *running, const quern_dataset *initial, const quern_iteration *iteration,
                            const void *result_out)
{
    quern_context *context = running->context;
    if (!iteration || !result_out)
        qn_dataset_refuse(context, "iterate: the iteration, or the place for its result, is NULL");
    else if (qn_struct_read(&running->iteration, sizeof running->iteration, sizeof *iteration, iteration, "iterate",
                            "set it to sizeof(quern_iteration)", qn_dataset_error_of(context)) == QUERN_OK &&
             !running->iteration.step)
        qn_dataset_refuse(context, "iterate: step is NULL");
    if (!initial || initial->context != context)
        qn_dataset_refuse(context, "iterate: the initial dataset is NULL or of another context");
}

quern_status quern_iterate(quern_context *context, quern_dataset *initial, const quern_iteration *iteration, void *user,
                           quern_dataset **result_out)
{
    loop running = {.context = context, .user = user};
    if (!context || context->running)
        return QUERN_ERROR_INVALID_ARGUMENT;
    check_iteration(&running, initial, iteration, result_out);
    bool is_ready = context->build_error.status == QUERN_OK;
    quern_status status = enter_state(&running, is_ready ? initial : NULL);
    if (status == QUERN_OK)
        status = make_steps(&running);
    if (status == QUERN_OK)
        *result_out = running.state;
    else if (running.state && running.is_ours)
        quern_uncache(running.state);
    return status;
}
