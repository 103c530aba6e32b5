/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/resume.h>

#include "runtime/api/dataset_internal.h"

/* A failure is of rank 0 alone: a status of the call would let ranks part, so the next run tells it to all of them. */
static qn_error *error_of(quern_context *context, qn_error *ignored)
{
    qn_error *error = qn_dataset_error_of(context);
    return error->status == QUERN_OK ? error : ignored;
}

static bool counts(const quern_context *context)
{
    return context && !context->running && context->engine.comm->rank == 0;
}

void quern_note_parameter(quern_context *context, const char *name, const void *data, size_t bytes)
{
    qn_error ignored = {0};
    if (!counts(context))
        return;
    qn_error *error = error_of(context, &ignored);
    if (!name || (!data && bytes > 0))
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "note parameter: name or data is NULL");
    else
        qn_givens_note(&context->engine.givens, "parameter", name, data, bytes, error);
}

void quern_note_file(quern_context *context, const char *path)
{
    qn_error ignored = {0};
    if (!counts(context))
        return;
    qn_error *error = error_of(context, &ignored);
    if (!path)
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "note file: the path is NULL");
    else
        qn_givens_note_file(&context->engine.givens, path, error);
}
