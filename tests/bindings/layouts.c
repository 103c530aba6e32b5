/* SPDX-License-Identifier: BSD-3-Clause */
/* Says how large the public structs are, where their members stand and what enumerators are: other languages have copies. */
#include <quern/quern.h>
#include <stdio.h>

#define STRUCT(name)        printf("%s %zu\n", #name, sizeof(name));
#define MEMBER(name, field) printf("%s.%s %zu\n", #name, #field, offsetof(name, field));
#define VALUE(name)         printf("%s %d\n", #name, (int)(name));

#define STRUCTS(X)                                                                                                     \
    X(quern_schema)                                                                                                    \
    X(quern_span)                                                                                                      \
    X(quern_record)                                                                                                    \
    X(quern_block)                                                                                                     \
    X(quern_memory_array)                                                                                              \
    X(quern_text_options)                                                                                              \
    X(quern_fixed_options)                                                                                             \
    X(quern_sequence_options)                                                                                          \
    X(quern_csv_options)                                                                                               \
    X(quern_file_options)                                                                                              \
    X(quern_hdf5_field)                                                                                                \
    X(quern_hdf5_options)                                                                                              \
    X(quern_hdf5_filter)                                                                                               \
    X(quern_hdf5_write_options)                                                                                        \
    X(quern_output_options)                                                                                            \
    X(quern_aggregation)                                                                                               \
    X(quern_sort_options)                                                                                              \
    X(quern_group_options)                                                                                             \
    X(quern_join_options)                                                                                              \
    X(quern_iteration)                                                                                                 \
    X(quern_event)                                                                                                     \
    X(quern_vertices)                                                                                                  \
    X(quern_vertex_program)

/* The last member, and those behind which there is padding or a change of types. */
static void print_members(void)
{
    MEMBER(quern_schema, key_bytes)
    MEMBER(quern_block, value_bytes)
    MEMBER(quern_memory_array, value_stride)
    MEMBER(quern_text_options, value)
    MEMBER(quern_text_options, delimiter_count)
    MEMBER(quern_fixed_options, schema)
    MEMBER(quern_fixed_options, header_bytes)
    MEMBER(quern_fixed_options, as_stored)
    MEMBER(quern_sequence_options, as_stored)
    MEMBER(quern_csv_options, key_column)
    MEMBER(quern_csv_options, key_name)
    MEMBER(quern_csv_options, as_stored)
    MEMBER(quern_file_options, as_stored)
    MEMBER(quern_hdf5_field, count)
    MEMBER(quern_hdf5_options, fields)
    MEMBER(quern_hdf5_options, external)
    MEMBER(quern_hdf5_write_options, row_dims)
    MEMBER(quern_hdf5_write_options, chunk_rows)
    MEMBER(quern_hdf5_write_options, like_type)
    MEMBER(quern_hdf5_write_options, filter_count)
    MEMBER(quern_hdf5_filter, value_count)
    MEMBER(quern_output_options, archive)
    MEMBER(quern_output_options, names)
    MEMBER(quern_output_options, separator)
    MEMBER(quern_output_options, row_no_quotes)
    MEMBER(quern_aggregation, merge)
    MEMBER(quern_aggregation, schema)
    MEMBER(quern_sort_options, user)
    MEMBER(quern_group_options, compare_user)
    MEMBER(quern_join_options, outer)
    MEMBER(quern_iteration, step)
    MEMBER(quern_iteration, until)
    MEMBER(quern_vertices, totals)
    MEMBER(quern_vertices, failed)
    MEMBER(quern_vertex_program, total_count)
    MEMBER(quern_vertex_program, step_count_max)
    MEMBER(quern_vertex_program, until)
    MEMBER(quern_event, slowest_to_mean)
    MEMBER(quern_event, tasks_done)
    MEMBER(quern_event, passed_over)
    MEMBER(quern_event, text)
}

#define VALUES(X)                                                                                                      \
    X(QUERN_NONE)                                                                                                      \
    X(QUERN_BYTES)                                                                                                     \
    X(QUERN_I64)                                                                                                       \
    X(QUERN_U64)                                                                                                       \
    X(QUERN_FIXED)                                                                                                     \
    X(QUERN_I32)                                                                                                       \
    X(QUERN_U32)                                                                                                       \
    X(QUERN_F32)                                                                                                       \
    X(QUERN_F64)                                                                                                       \
    X(QUERN_PAIR(QUERN_I32, QUERN_BYTES))                                                                              \
    X(QUERN_TEXT_NO_VALUE)                                                                                             \
    X(QUERN_TEXT_PATH)                                                                                                 \
    X(QUERN_TEXT_OFFSET)                                                                                               \
    X(QUERN_TEXT_PLACE)                                                                                                \
    X(QUERN_COUNT)                                                                                                     \
    X(QUERN_SUM)                                                                                                       \
    X(QUERN_MIN)                                                                                                       \
    X(QUERN_MAX)                                                                                                       \
    X(QUERN_SUM_PLAIN)                                                                                                 \
    X(QUERN_MEAN)                                                                                                      \
    X(QUERN_COLLECT_ROOT)                                                                                              \
    X(QUERN_COLLECT_ALL)                                                                                               \
    X(QUERN_COLLECT_LOCAL)                                                                                             \
    X(QUERN_JOIN_INNER)                                                                                                \
    X(QUERN_JOIN_LEFT)                                                                                                 \
    X(QUERN_JOIN_RIGHT)                                                                                                \
    X(QUERN_JOIN_FULL)                                                                                                 \
    X(QUERN_JOIN_SEMI)                                                                                                 \
    X(QUERN_JOIN_ANTI)                                                                                                 \
    X(QUERN_FORM_TEXT)                                                                                                 \
    X(QUERN_FORM_CSV)                                                                                                  \
    X(QUERN_FORM_FIXED)                                                                                                \
    X(QUERN_FORM_TSV)                                                                                                  \
    X(QUERN_NOT_COMPRESSED)                                                                                            \
    X(QUERN_GZIP)                                                                                                      \
    X(QUERN_ZSTD)                                                                                                      \
    X(QUERN_LZ4)                                                                                                       \
    X(QUERN_NO_ARCHIVE)                                                                                                \
    X(QUERN_TAR)                                                                                                       \
    X(QUERN_ZIP)                                                                                                       \
    X(QUERN_SEQUENCE_ANY)                                                                                              \
    X(QUERN_SEQUENCE_FASTA)                                                                                            \
    X(QUERN_SEQUENCE_FASTQ)                                                                                            \
    X(QUERN_SEQUENCE_FASTQ_LINES)                                                                                      \
    X(QUERN_SEQUENCE_BASES)                                                                                            \
    X(QUERN_SEQUENCE_QUALITIES)                                                                                        \
    X(QUERN_HDF5_ROWS)                                                                                                 \
    X(QUERN_HDF5_ELEMENTS)                                                                                             \
    X(QUERN_HDF5_CHUNKS)                                                                                               \
    X(QUERN_HDF5_INDEX)                                                                                                \
    X(QUERN_HDF5_PLACE)                                                                                                \
    X(QUERN_HDF5_ONE_FILE)                                                                                             \
    X(QUERN_HDF5_PER_RANK)                                                                                             \
    X(QUERN_HDF5_AT_PATH)                                                                                              \
    X(QUERN_BAD_DEFAULT)                                                                                               \
    X(QUERN_BAD_FAIL)                                                                                                  \
    X(QUERN_BAD_SKIP)                                                                                                  \
    X(QUERN_BAD_QUARANTINE)                                                                                            \
    X(QUERN_EVENT_RUN_BEGUN)                                                                                           \
    X(QUERN_EVENT_STAGE_BEGUN)                                                                                         \
    X(QUERN_EVENT_PROGRESS)                                                                                            \
    X(QUERN_EVENT_STAGE_ENDED)                                                                                         \
    X(QUERN_EVENT_RETRY)                                                                                               \
    X(QUERN_EVENT_LOSS)                                                                                                \
    X(QUERN_EVENT_CHECKPOINT)                                                                                          \
    X(QUERN_EVENT_ALERT)                                                                                               \
    X(QUERN_EVENT_NOTE)                                                                                                \
    X(QUERN_EVENT_PLAN)                                                                                                \
    X(QUERN_EVENT_RUN_ENDED)                                                                                           \
    X(QUERN_WEIGHT_NONE)                                                                                               \
    X(QUERN_WEIGHT_ADD)                                                                                                \
    X(QUERN_WEIGHT_MULTIPLY)

static void print_values(void)
{
    VALUES(VALUE)
#define STATUS(name, code, scope, text) VALUE(QUERN_ERROR_##name)
    QUERN_STATUS_LIST(STATUS)
}

int main(void)
{
    STRUCTS(STRUCT)
    print_members();
    print_values();
    return 0;
}
