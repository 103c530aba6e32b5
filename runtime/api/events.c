/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/events.h>

#include "runtime/api/context_internal.h"

quern_status quern_on_progress(quern_context *context, quern_progress_fn fn, void *user)
{
    if (!context) {
        qn_orphan *orphan = qn_orphan_get();
        return orphan->error.status != QUERN_OK ? orphan->error.status : QUERN_ERROR_INVALID_ARGUMENT;
    }
    if (context->running)
        return QUERN_ERROR_INVALID_ARGUMENT; /* from within a callback */
    qn_error_clear(&context->error);
    return qn_engine_listen(&context->engine, fn, user, &context->error);
}
