/* SPDX-License-Identifier: BSD-3-Clause */
/* HDF5 as a source of records: callbacks that fail, samples, a program that uses HDF5 itself, and options that are refused. */
#include <hdf5.h>
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define ROW_COUNT 20000
#define COLUMNS   3

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0, 0};
static const char *files[1];
static const quern_hdf5_options rows = {.struct_size = sizeof rows, .dataset = "/d", .type = QUERN_I64};

/* Number i, of all, is i; each chunk is 700 rows of all columns but the last, or of that. */
static void make_file(void)
{
    const hsize_t dims[] = {ROW_COUNT, COLUMNS}, chunk[] = {700, 2};
    files[0] = strdup(kit_path("numbers.h5"));
    if (kit_rank() == 0 && !kit_exists(files[0])) {
        int64_t *numbers = malloc(sizeof *numbers * ROW_COUNT * COLUMNS);
        for (int64_t i = 0; i < ROW_COUNT * COLUMNS; i++)
            numbers[i] = i;
        hid_t file = H5Fcreate(files[0], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        hid_t space = H5Screate_simple(2, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(list, 2, chunk);
        H5Pset_deflate(list, 1);
        hid_t dataset = H5Dcreate2(file, "/d", H5T_STD_I64BE, space, H5P_DEFAULT, list, H5P_DEFAULT);
        CHECK(H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >= 0);
        H5Dclose(dataset);
        H5Pclose(list);
        H5Sclose(space);
        CHECK(H5Fclose(file) >= 0);
        free(numbers);
    }
    kit_barrier();
}

static quern_context *small_splits(uint64_t split_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = split_bytes;
    return kit_context(&options);
}

static int sum_rows(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t row = quern_u64(in->key), number = 0;
    for (size_t i = 0; i < COLUMNS; i++)
        number += quern_u64(quern_bytes((const char *)in->value.data + 8 * i, 8));
    if (in->value.bytes != 8 * COLUMNS || number != 9 * row + 3)
        return quern_fail(out, 0, "the numbers of a row are others");
    for (uint64_t key = row % 3; key < 3; key++)
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&number)) != 0)
            return 1;
    return row % 4999 == 0 && *(const int *)user && kit_first_time("row.%" PRIu64, row) ? 7 : 0;
}

static void check_sums(bool fails)
{
    int trouble = fails;
    uint64_t sums[3] = {0};
    kit_text expected = {0};
    for (uint64_t row = 0; row < ROW_COUNT; row++)
        for (uint64_t key = row % 3; key < 3; key++)
            sums[key] += 9 * row + 3;
    for (uint64_t key = 0; key < 3; key++)
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", key, sums[key]);
    quern_context *context = small_splits(30000);
    quern_dataset *read = quern_read_hdf5(context, files, 1, &rows);
    const char *output = kit_path(fails ? "sums.failing" : "sums");
    quern_write_text(quern_reduce_by_key(quern_flat_map(read, u64_u64, sum_rows, &trouble), QUERN_SUM), output);
    kit_run(context);
    kit_check_output(output, &expected, false);
    quern_context_destroy(context);
    kit_free(&expected);
}

static void every_row_counts_once_though_callbacks_fail(void)
{
    check_sums(false);
    check_sums(true);
}

static int fail_at_some(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t one = 0;
    (void)user;
    quern_emit(out, quern_of_u64(&one), quern_of_u64(&one));
    return quern_u64(in->key) % 3000 == 17 ? quern_fail(out, 0, "no") : 0;
}

static void rows_on_which_a_callback_fails_can_be_left_out(void)
{
    kit_text expected = {0};
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 30000;
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    quern_dataset *read = quern_tolerate(quern_read_hdf5(context, files, 1, &rows), QUERN_BAD_SKIP, 7);
    quern_dataset *ones = quern_flat_map(read, u64_u64, fail_at_some, NULL);
    quern_write_text(quern_reduce_by_key(ones, QUERN_COUNT), kit_path("left"));
    kit_run(context);
    kit_put(&expected, "0\t%d\n", ROW_COUNT - 7);
    kit_check_output(kit_path("left"), &expected, false);
    CHECK_SAME(kit_reported("skipped"), 7);
    quern_context_destroy(context);
    kit_free(&expected);
}

static int fail_at_row(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    return quern_u64(in->key) == 12345 ? quern_fail(out, 0, "an odd row") : 0;
}

static void a_failure_names_row_and_dataset(void)
{
    quern_context *context = small_splits(30000);
    quern_dataset *read = quern_read_hdf5(context, files, 1, &rows);
    quern_write_text(quern_flat_map(read, u64_u64, fail_at_row, NULL), kit_path("failed"));
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(text, "an odd row");
    CHECK_HAS(text, "row 12345 of");
    CHECK_HAS(text, "numbers.h5:/d");
    quern_context_destroy(context);
}

/* The digest that kit_check_output() prints is compared between numbers of ranks; here it is one between splits. */
static kit_text sample_of(uint64_t split_bytes, const char *output)
{
    quern_hdf5_options elements = rows;
    elements.record = QUERN_HDF5_ELEMENTS;
    quern_context *context = small_splits(split_bytes);
    quern_write_text(quern_sample(quern_read_hdf5(context, files, 1, &elements), 0.01, 5), output);
    kit_run(context);
    kit_text text = {0};
    if (kit_rank() == 0)
        text = kit_read_output(output);
    kit_barrier();
    quern_context_destroy(context);
    return text;
}

static void a_sample_does_not_depend_on_splits(void)
{
    kit_text small = sample_of(1, kit_path("sample.small")), large = sample_of(1 << 30, kit_path("sample.large"));
    if (kit_rank() == 0) {
        CHECK(small.bytes > 0 && small.bytes == large.bytes);
        CHECK(memcmp(small.data, large.data, small.bytes) == 0);
    }
    kit_check_output(kit_path("sample.small"), &large, true);
    kit_free(&small);
    kit_free(&large);
}

static herr_t count_errors(hid_t stack, void *user)
{
    (void)stack;
    ++*(int *)user;
    return 0;
}

static void a_program_may_use_hdf5_itself(void)
{
    int errors = 0;
    H5E_auto2_t report;
    void *user;
    H5Eset_auto2(H5E_DEFAULT, count_errors, &errors);
    quern_context *context = small_splits(0);
    quern_hdf5_options missing = rows;
    missing.dataset = "/missing";
    quern_write_text(quern_keys(quern_read_hdf5(context, files, 1, &missing)), kit_path("failed"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INPUT), "/missing");
    CHECK_SAME(errors, 0);
    H5Eget_auto2(H5E_DEFAULT, &report, &user);
    CHECK(report == count_errors && user == &errors);
    CHECK(H5Fopen(kit_path("absent"), H5F_ACC_RDONLY, H5P_DEFAULT) < 0);
    CHECK_SAME(errors, 1);
    hid_t file = H5Fopen(files[0], H5F_ACC_RDONLY, H5P_DEFAULT); /* open on the program's side too */
    CHECK(file >= 0);
    quern_write_text(quern_keys(quern_read_hdf5(context, files, 1, &rows)), kit_path("keys"));
    kit_run(context);
    CHECK(H5Fclose(file) >= 0);
    quern_context_destroy(context);
}

static void check_refused(quern_context *context, const quern_hdf5_options *options, const char *part)
{
    CHECK(quern_read_hdf5(context, files, 1, options) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), part);
}

static void options_that_do_not_go_together_are_refused(void)
{
    quern_context *context = small_splits(0);
    const quern_hdf5_field fields[] = {{"a", QUERN_F64, 100}, {NULL, QUERN_F64, 1}, {"b", QUERN_BYTES, 0}};
    const quern_hdf5_field open_field[] = {{"b", QUERN_BYTES, QUERN_HDF5_VARIABLE}};
    quern_hdf5_options odd = rows;
    CHECK(quern_read_hdf5(NULL, files, 1, &rows) == NULL);
    check_refused(context, NULL, "NULL");
    odd.struct_size = 0;
    check_refused(context, &odd, "struct_size");
    odd = rows, odd.dataset = NULL;
    check_refused(context, &odd, "dataset");
    odd = rows, odd.record = (quern_hdf5_record)3;
    check_refused(context, &odd, "record");
    odd = rows, odd.key = (quern_hdf5_key)2;
    check_refused(context, &odd, "key");
    odd = rows, odd.type = QUERN_FIXED;
    check_refused(context, &odd, "numbers");
    odd = rows, odd.type = QUERN_BYTES;
    check_refused(context, &odd, "strings");
    odd = rows, odd.fields = fields, odd.field_count = 1;
    check_refused(context, &odd, "type");
    odd.type = QUERN_NONE, odd.record = QUERN_HDF5_ELEMENTS;
    check_refused(context, &odd, "QUERN_FIXED_BYTES_MAX");
    odd.fields = fields + 1;
    check_refused(context, &odd, "a field");
    odd.fields = fields + 2;
    check_refused(context, &odd, "a field");
    odd.fields = open_field;
    check_refused(context, &odd, "in rows");
    odd.fields = NULL;
    check_refused(context, &odd, "fields");
    const char *none[] = {NULL};
    CHECK(quern_read_hdf5(context, none, 1, &rows) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "NULL");
    quern_context_destroy(context);
}

/* ---- writing ---- */

static int stumble(const quern_record *in, quern_record *out, void *user)
{
    uint64_t row = quern_u64(in->key);
    (void)out, (void)user;
    return row % 6007 == 17 && kit_first_time("written.%" PRIu64, row) ? 7 : 0;
}

/* On rank 0: number i of all that files hold, one behind the other, is i. */
static void check_numbers(const char *path, int64_t *next)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, "/made/d", H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    hsize_t dims[2] = {0};
    CHECK(H5Sget_simple_extent_dims(space, dims, NULL) == 2 && dims[1] == COLUMNS);
    int64_t *numbers = malloc(sizeof *numbers * (dims[0] * COLUMNS + 1));
    CHECK(H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >= 0);
    for (hsize_t i = 0; i < dims[0] * COLUMNS; i++)
        CHECK(numbers[i] == (*next)++);
    free(numbers);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void written_rows_are_those_that_came_though_callbacks_fail(void)
{
    const uint64_t dims[] = {COLUMNS}, chunk_dims[] = {3};
    quern_hdf5_write_options as = {.struct_size = sizeof as,
                                   .dataset = "/made/d",
                                   .type = QUERN_I64,
                                   .row_dims = dims,
                                   .row_rank = 1,
                                   .chunk_rows = 999,
                                   .deflate_level = 1,
                                   .fletcher32 = 1,
                                   .chunk_dims = chunk_dims};
    for (int per_rank = 0; per_rank < 2; per_rank++) {
        as.files = per_rank ? QUERN_HDF5_PER_RANK : QUERN_HDF5_ONE_FILE;
        const char *output = strdup(kit_path("made%d", per_rank));
        quern_context *context = small_splits(30000);
        quern_dataset *read = quern_read_hdf5(context, files, 1, &rows);
        quern_write_hdf5(quern_map(read, (quern_schema){QUERN_U64, QUERN_BYTES, 0, 0}, stumble, NULL), output, &as);
        kit_run(context);
        int64_t next = 0;
        for (int i = 0; kit_rank() == 0 && i < (per_rank ? kit_size() : 1); i++)
            check_numbers(kit_path("made%d/part-%05d.h5", per_rank, i), &next);
        CHECK(kit_rank() != 0 || next == ROW_COUNT * COLUMNS);
        kit_barrier();
        quern_context_destroy(context);
        free((char *)output);
    }
}

static void check_not_written(quern_dataset *in, quern_context *context, const quern_hdf5_write_options *options,
                              const char *part)
{
    CHECK(quern_write_hdf5(in, kit_path("unwritten"), options) == QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), part);
    CHECK(!kit_exists(kit_path("unwritten")));
}

static void what_cannot_be_written_is_refused(void)
{
    quern_context *context = small_splits(0);
    quern_hdf5_options elements = rows;
    elements.record = QUERN_HDF5_ELEMENTS;
    quern_dataset *in = quern_read_hdf5(context, files, 1, &elements);
    const quern_hdf5_write_options plain = {.struct_size = sizeof plain, .dataset = "d"};
    const quern_hdf5_field fields[] = {{"a", QUERN_I64, 0}, {"a/b", QUERN_I64, 0}};
    const quern_hdf5_attribute attribute = {.name = "x", .type = QUERN_BYTES};
    quern_hdf5_write_options odd = plain;
    CHECK(quern_write_hdf5(NULL, "x", &plain) == QUERN_ERROR_INVALID_ARGUMENT);
    check_not_written(in, context, NULL, "NULL");
    odd.struct_size = 0;
    check_not_written(in, context, &odd, "struct_size");
    odd = plain, odd.dataset = "//";
    check_not_written(in, context, &odd, "the dataset is missing");
    odd = plain, odd.files = (quern_hdf5_files)3;
    check_not_written(in, context, &odd, "quern_hdf5_files");
    odd = plain, odd.row_rank = 1;
    check_not_written(in, context, &odd, "31 dimensions");
    odd = plain, odd.fields = fields, odd.field_count = 65;
    check_not_written(in, context, &odd, "64 fields");
    odd.field_count = 2;
    check_not_written(in, context, &odd, "slash");
    odd.field_count = 1, odd.type = QUERN_I64;
    check_not_written(in, context, &odd, "type and string_bytes");
    odd = plain, odd.attributes = &attribute, odd.attribute_count = 1;
    check_not_written(in, context, &odd, "no text");
    const quern_hdf5_filter filters[] = {{.number = 1, .value_count = 1}, {.number = -1}, {.number = 3}};
    odd = plain, odd.filters = filters, odd.filter_count = 33;
    check_not_written(in, context, &odd, "32 filters");
    odd.filter_count = 1;
    check_not_written(in, context, &odd, "4096 values");
    odd.filters = filters + 1;
    check_not_written(in, context, &odd, "number -1");
    odd.filters = filters + 2, odd.fletcher32 = 1;
    check_not_written(in, context, &odd, "left 0");
    odd.filters = NULL, odd.fletcher32 = 0;
    check_not_written(in, context, &odd, "32 filters");
    odd = plain, odd.like_file = "x";
    check_not_written(in, context, &odd, "like_dataset");
    CHECK(quern_write_hdf5(in, "", &plain) == QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "path");
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_file();
    RUN(every_row_counts_once_though_callbacks_fail, 20);
    RUN(rows_on_which_a_callback_fails_can_be_left_out, 20);
    RUN(a_failure_names_row_and_dataset, 10);
    RUN(a_sample_does_not_depend_on_splits, 20);
    RUN(a_program_may_use_hdf5_itself, 10);
    RUN(options_that_do_not_go_together_are_refused, 10);
    RUN(written_rows_are_those_that_came_though_callbacks_fail, 30);
    RUN(what_cannot_be_written_is_refused, 10);
    return kit_finish();
}
