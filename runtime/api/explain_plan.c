/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/dataset.h>
#include <stdlib.h>

#include "runtime/api/context_internal.h"
#include "runtime/engine/join_table.h"

static quern_status explain(quern_context *context, quern_explain_form form, char **text_out, qn_error *error)
{
    const qn_account *past = context->engine.account;
    qn_account *pending = NULL;
    if (!text_out)
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "explain: the place for the text is NULL");
    if (form != QUERN_EXPLAIN_TEXT && form != QUERN_EXPLAIN_DOT)
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                            "explain: the form must be QUERN_EXPLAIN_TEXT or QUERN_EXPLAIN_DOT");
    if (past && !context->graph.sinks)
        return qn_account_explain(past, form, text_out, error);
    const qn_known_sizes sizes = {qn_join_table_guess_bytes, &context->engine,
                                  qn_join_table_input_bytes_max(&context->engine), false};
    quern_status status = qn_account_create(&context->graph, &sizes, &pending, error);
    if (status == QUERN_OK) {
        qn_engine_foresee(&context->engine, pending);
        status = qn_account_explain(pending, form, text_out, error);
    }
    free(pending);
    return status;
}

/* What is asked for after that was shown is not. */
quern_status qn_explain_only(quern_context *context, qn_error *error)
{
    qn_engine *engine = &context->engine;
    bool is_graph = engine->settings.explain == QUERN_EXPLAIN_ONLY_DOT;
    char *text = NULL;
    if (error->status == QUERN_OK && !context->is_explained)
        explain(context, is_graph ? QUERN_EXPLAIN_DOT : QUERN_EXPLAIN_TEXT, &text, error);
    if (text)
        qn_engine_give_plan(engine, text, error);
    free(text);
    if (qn_comm_agree(engine->comm, error) != QUERN_OK)
        return error->status;
    context->is_explained = true;
    return qn_error_set(error, QUERN_ERROR_NOT_RUN, 0, "only the plan was asked for (option explain): nothing ran");
}

quern_status quern_explain(quern_context *context, quern_explain_form form, char **text_out)
{
    qn_error error = {0};
    quern_status refused = qn_context_check(context);
    if (refused != QUERN_OK)
        return refused;
    if (context->build_error.status != QUERN_OK)
        return context->build_error.status; /* whose text the context tells already */
    quern_status status = explain(context, form, text_out, &error);
    if (status != QUERN_OK)
        context->error = error;
    return status;
}
