/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/broadcast.h>
#include <stdlib.h>

#include "runtime/api/context_internal.h"
#include "runtime/engine/engine_broadcast.h"

struct quern_shared {
    quern_context *context;
    qn_shared memory;
    struct quern_shared *next;
};

static quern_status refuse(quern_context *context, const char *what)
{
    qn_error_clear(&context->error);
    return qn_error_set(&context->error, QUERN_ERROR_INVALID_ARGUMENT, 0, "broadcast: %s", what);
}

/* What is wrong on one rank is agreed on before anything is done. */
static quern_status broadcast(quern_context *context, const void *data, size_t bytes, quern_shared **shared_out)
{
    qn_error *error = &context->error;
    quern_shared *shared = calloc(1, sizeof *shared);
    qn_error_clear(error);
    if (!shared)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to broadcast");
    else if (!shared_out)
        refuse(context, "the place for what is shared is NULL");
    else if (!data && bytes > 0 && context->engine.comm->rank == 0)
        refuse(context, "the data of rank 0 is NULL");
    qn_shared memory = {0};
    quern_status status = qn_engine_broadcast(&context->engine, data, bytes, &memory, error);
    if (status != QUERN_OK) {
        free(shared);
        return status;
    }
    *shared = (quern_shared){.context = context, .memory = memory, .next = context->shared};
    context->shared = *shared_out = shared;
    return QUERN_OK;
}

quern_status quern_broadcast(quern_context *context, const void *data, size_t bytes, quern_shared **shared_out)
{
    quern_status refused = qn_context_check(context);
    if (refused != QUERN_OK)
        return refused;
    return broadcast(context, data, bytes, shared_out);
}

const void *quern_shared_data(const quern_shared *shared)
{
    return shared->memory.data;
}

size_t quern_shared_bytes(const quern_shared *shared)
{
    return shared->memory.bytes;
}

int quern_shared_is_private(const quern_shared *shared)
{
    return shared->memory.is_private && shared->memory.comm->node_size > 1;
}

void quern_shared_free(quern_shared *shared)
{
    if (!shared || shared->context->running)
        return;
    quern_shared **at = &shared->context->shared;
    while (*at != shared)
        at = &(*at)->next;
    *at = shared->next;
    qn_engine_unbroadcast(&shared->context->engine, &shared->memory);
    free(shared);
}
