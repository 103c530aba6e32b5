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
    X(quern_hdf5_write_options)                                                                                        \
    X(quern_output_options)                                                                                            \
    X(quern_aggregation)                                                                                               \
    X(quern_sort_options)                                                                                              \
    X(quern_group_options)                                                                                             \
    X(quern_join_options)                                                                                              \
    X(quern_iteration)

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
    MEMBER(quern_output_options, archive)
    MEMBER(quern_aggregation, merge)
    MEMBER(quern_aggregation, schema)
    MEMBER(quern_sort_options, user)
    MEMBER(quern_group_options, compare_user)
    MEMBER(quern_join_options, outer)
    MEMBER(quern_iteration, step)
    MEMBER(quern_iteration, until)
}

static void print_values(void)
{
    VALUE(QUERN_NONE)
    VALUE(QUERN_BYTES)
    VALUE(QUERN_I64) VALUE(QUERN_U64) VALUE(QUERN_FIXED) VALUE(QUERN_I32) VALUE(QUERN_U32) VALUE(QUERN_F32)
        VALUE(QUERN_F64) VALUE(QUERN_PAIR(QUERN_I32, QUERN_BYTES)) VALUE(QUERN_TEXT_NO_VALUE) VALUE(QUERN_TEXT_PATH)
            VALUE(QUERN_TEXT_OFFSET) VALUE(QUERN_TEXT_PLACE) VALUE(QUERN_COUNT) VALUE(QUERN_SUM) VALUE(QUERN_MIN)
                VALUE(QUERN_MAX) VALUE(QUERN_SUM_PLAIN) VALUE(QUERN_MEAN) VALUE(QUERN_COLLECT_ROOT)
                    VALUE(QUERN_COLLECT_ALL) VALUE(QUERN_COLLECT_LOCAL) VALUE(QUERN_JOIN_INNER) VALUE(QUERN_JOIN_LEFT)
                        VALUE(QUERN_JOIN_RIGHT) VALUE(QUERN_JOIN_FULL) VALUE(QUERN_JOIN_SEMI) VALUE(QUERN_JOIN_ANTI)
                            VALUE(QUERN_FORM_TEXT) VALUE(QUERN_FORM_CSV) VALUE(QUERN_FORM_FIXED)
                                VALUE(QUERN_NOT_COMPRESSED) VALUE(QUERN_GZIP) VALUE(QUERN_ZSTD) VALUE(QUERN_LZ4)
                                    VALUE(QUERN_NO_ARCHIVE) VALUE(QUERN_TAR) VALUE(QUERN_ZIP) VALUE(QUERN_SEQUENCE_ANY)
                                        VALUE(QUERN_SEQUENCE_FASTA) VALUE(QUERN_SEQUENCE_FASTQ)
                                            VALUE(QUERN_SEQUENCE_FASTQ_LINES) VALUE(QUERN_SEQUENCE_BASES)
                                                VALUE(QUERN_SEQUENCE_QUALITIES) VALUE(QUERN_HDF5_ROWS)
                                                    VALUE(QUERN_HDF5_ELEMENTS) VALUE(QUERN_HDF5_CHUNKS)
                                                        VALUE(QUERN_HDF5_INDEX) VALUE(QUERN_HDF5_PLACE)
                                                            VALUE(QUERN_HDF5_ONE_FILE) VALUE(QUERN_HDF5_PER_RANK)
                                                                VALUE(QUERN_HDF5_AT_PATH) VALUE(QUERN_BAD_DEFAULT)
                                                                    VALUE(QUERN_BAD_FAIL) VALUE(QUERN_BAD_SKIP)
                                                                        VALUE(QUERN_BAD_QUARANTINE)
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
