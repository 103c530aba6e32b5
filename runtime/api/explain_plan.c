/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/dataset.h>
#include <stdlib.h>

#include "runtime/api/context_internal.h"
#include "runtime/engine/join_table.h"
#include "runtime/io/listing.h"
#include "runtime/plan/foresee.h"

/* The sizes of files, as far as that is quickly looked up, and of what is kept. */
static void tell_sizes(const quern_context *context, qn_account *account)
{
    for (uint32_t i = 0; i < account->stages.count; i++) {
        const qn_stage *stage = &account->stages.items[i];
        qn_stage_facts *facts = &account->facts[i];
        for (uint32_t leg = 0; leg < stage->leg_count; leg++) {
            const qn_text_input *text = &qn_leg_source(stage, leg)->text;
            uint64_t bytes;
            if (qn_leg_has_tasks(stage, leg) && !text->is_on_nodes &&
                qn_listing_foresee(text->paths, text->path_count, &bytes))
                facts->reads[leg] = (qn_foreseen){QN_FORESEEN_ABOUT, bytes};
        }
    }
    qn_cache_tell_sizes(&context->engine.cache, account);
}

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
        tell_sizes(context, pending);
        qn_foresee(pending);
        status = qn_account_explain(pending, form, text_out, error);
    }
    free(pending);
    return status;
}

quern_status quern_explain(quern_context *context, quern_explain_form form, char **text_out)
{
    qn_error error = {0};
    if (!context) {
        qn_orphan *orphan = qn_orphan_get();
        return orphan->error.status != QUERN_OK ? orphan->error.status : QUERN_ERROR_INVALID_ARGUMENT;
    }
    if (context->running)
        return QUERN_ERROR_INVALID_ARGUMENT; /* from within a callback */
    if (context->build_error.status != QUERN_OK)
        return context->build_error.status; /* whose text the context tells already */
    quern_status status = explain(context, form, text_out, &error);
    if (status != QUERN_OK)
        context->error = error;
    return status;
}
