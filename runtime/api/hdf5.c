/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/hdf5.h>

#include "runtime/api/dataset_internal.h"
#include "runtime/io/hdf5_filters.h"

/* Up to the last field of version 0.1. */
#define OPTIONS_FIRST_BYTES (offsetof(quern_hdf5_options, external) + sizeof(int))

#define WRITE_OPTIONS_FIRST_BYTES (offsetof(quern_hdf5_write_options, like_type) + sizeof(int))

quern_dataset *quern_read_hdf5(quern_context *context, const char *const *paths, size_t path_count,
                               const quern_hdf5_options *options)
{
    quern_hdf5_options known = {0};
    if (!context || !qn_dataset_check_paths(context, paths, path_count, "read hdf5"))
        return NULL;
    qn_error *error = qn_dataset_error_of(context);
    if (!options)
        return qn_dataset_refuse(context, "read hdf5: the options are NULL: the dataset is needed");
    if (qn_struct_read(&known, sizeof known, OPTIONS_FIRST_BYTES, options, "read hdf5: options",
                       "set it to sizeof(quern_hdf5_options)", error) != QUERN_OK)
        return NULL;
    return qn_dataset_wrap(context, qn_graph_add_hdf5(&context->graph, paths, path_count, &known, error));
}

quern_status quern_write_hdf5(quern_dataset *in, const char *path, const quern_hdf5_write_options *options)
{
    quern_hdf5_write_options known = {0};
    if (!in)
        return QUERN_ERROR_INVALID_ARGUMENT;
    qn_error *error = qn_dataset_error_of(in->context);
    const char *missing = !options          ? "write hdf5: the options are NULL: the dataset is needed"
                          : !path || !*path ? "write hdf5: the path is missing"
                                            : NULL;
    if (missing) {
        qn_dataset_refuse(in->context, missing);
        return QUERN_ERROR_INVALID_ARGUMENT;
    }
    if (qn_struct_read(&known, sizeof known, WRITE_OPTIONS_FIRST_BYTES, options, "write hdf5: options",
                       "set it to sizeof(quern_hdf5_write_options)", error) != QUERN_OK)
        return QUERN_ERROR_INVALID_ARGUMENT;
    quern_status status = qn_hdf5_filters_check(&known, error);
    return status == QUERN_OK ? qn_graph_add_hdf5_sink(&in->context->graph, in->node, path, &known, error) : status;
}
