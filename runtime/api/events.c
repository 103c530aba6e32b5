/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/events.h>

#include "runtime/api/context_internal.h"

quern_status quern_on_progress(quern_context *context, quern_progress_fn fn, void *user)
{
    quern_status refused = qn_context_check(context);
    if (refused != QUERN_OK)
        return refused;
    qn_error_clear(&context->error);
    return qn_engine_listen(&context->engine, fn, user, &context->error);
}
