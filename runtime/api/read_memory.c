/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/memory.h>

#include "runtime/api/dataset_internal.h"

quern_dataset *quern_read_memory(quern_context *context, quern_schema schema, const quern_memory_array *arrays,
                                 size_t array_count)
{
    if (!context)
        return NULL;
    return qn_dataset_wrap(
        context, qn_graph_add_memory(&context->graph, &schema, arrays, array_count, qn_dataset_error_of(context)));
}

quern_status quern_renew_memory(quern_dataset *dataset, const quern_memory_array *arrays, size_t array_count)
{
    if (!dataset || dataset->context->running)
        return QUERN_ERROR_INVALID_ARGUMENT;
    return qn_graph_renew_memory(&dataset->context->graph, dataset->node, arrays, array_count,
                                 qn_dataset_error_of(dataset->context));
}
