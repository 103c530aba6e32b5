/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/formats.h>

#include "runtime/api/dataset_internal.h"

/* Up to the last field of the first version. */
#define SEQUENCE_OPTIONS_FIRST_BYTES sizeof(quern_sequence_options)
#define CSV_OPTIONS_FIRST_BYTES      sizeof(quern_csv_options)
#define FILE_OPTIONS_FIRST_BYTES     sizeof(quern_file_options)

quern_dataset *quern_read_sequences(quern_context *context, const char *const *paths, size_t path_count,
                                    const quern_sequence_options *options)
{
    if (!context || !qn_dataset_check_paths(context, paths, path_count, "read sequences"))
        return NULL;
    quern_sequence_options known = {.struct_size = sizeof known};
    if (qn_struct_read(&known, sizeof known, SEQUENCE_OPTIONS_FIRST_BYTES, options, "read sequences: options",
                       "set it to sizeof(quern_sequence_options)", qn_dataset_error_of(context)) != QUERN_OK)
        return NULL;
    return qn_dataset_wrap(
        context, qn_graph_add_sequences(&context->graph, paths, path_count, &known, qn_dataset_error_of(context)));
}

quern_dataset *quern_read_csv(quern_context *context, const char *const *paths, size_t path_count,
                              const quern_csv_options *options)
{
    if (!context || !qn_dataset_check_paths(context, paths, path_count, "read csv"))
        return NULL;
    quern_csv_options known = {.struct_size = sizeof known};
    if (qn_struct_read(&known, sizeof known, CSV_OPTIONS_FIRST_BYTES, options, "read csv: options",
                       "set it to sizeof(quern_csv_options)", qn_dataset_error_of(context)) != QUERN_OK)
        return NULL;
    return qn_dataset_wrap(context,
                           qn_graph_add_rows(&context->graph, paths, path_count, &known, qn_dataset_error_of(context)));
}

quern_dataset *quern_read_files(quern_context *context, const char *const *paths, size_t path_count,
                                const quern_file_options *options)
{
    if (!context || !qn_dataset_check_paths(context, paths, path_count, "read files"))
        return NULL;
    quern_file_options known = {.struct_size = sizeof known};
    if (qn_struct_read(&known, sizeof known, FILE_OPTIONS_FIRST_BYTES, options, "read files: options",
                       "set it to sizeof(quern_file_options)", qn_dataset_error_of(context)) != QUERN_OK)
        return NULL;
    return qn_dataset_wrap(
        context, qn_graph_add_files(&context->graph, paths, path_count, &known, qn_dataset_error_of(context)));
}
