/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_array_rows.c: records that wait as rows in parts; files of arrays that get their names.
 */
#include "runtime/io/array_rows.h"

#include <unistd.h>

#include "runtime/io/array_file.h"
#include "tests/kit.h"

#define PART_COUNT 12
#define ROW_BYTES  12 /* a number, and a text of up to 8 bytes */

static kit_directory directory;
static qn_error error;
static qn_part parts[PART_COUNT];
static qn_part_summary summaries[PART_COUNT];
static uint32_t row_count;

static const qn_array_output form = {.key = {4, false}, .value = {8, true}, .element_bytes = 12, .row_bytes = 12};

static void set_up(void)
{
    kit_make_directory(&directory);
    error = (qn_error){0};
    row_count = 0;
}

static void tear_down(void)
{
    for (int i = 0; i < PART_COUNT; i++)
        qn_part_close(&parts[i], false);
    kit_remove_directory(&directory);
}

/* Row i is i, and as many letters as i % 9 says. */
static quern_status put_row(qn_part *part, uint32_t number, size_t text_bytes)
{
    const void *key = &number, *value = "abcdefghijklmnop";
    uint32_t key_bytes = sizeof number, value_bytes = (uint32_t)text_bytes;
    const quern_block block = {
        .count = 1, .key = &key, .key_bytes = &key_bytes, .value = &value, .value_bytes = &value_bytes};
    return qn_array_rows_put(part, &form, &block, &error);
}

static void make_parts(const uint32_t *counts)
{
    const qn_part_style style = {.is_passing = true};
    for (uint64_t i = 0; i < PART_COUNT; i++) {
        kit_assert_ok(qn_part_open(&parts[i], directory.path, i, PART_COUNT, &style, &error), &error);
        for (uint32_t row = 0; row < counts[i]; row++, row_count++)
            kit_assert_ok(put_row(&parts[i], row_count, row_count % 9), &error);
        kit_assert_ok(qn_part_finish(&parts[i], &error), &error);
        summaries[i] = parts[i].summary;
    }
}

static void check_rows(qn_array_rows *rows, uint64_t first, uint64_t count)
{
    uint8_t *got = kit_take(count * ROW_BYTES);
    kit_assert_ok(qn_array_rows_read(rows, first, count, got, &error), &error);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t number = (uint32_t)(first + i);
        char text[9] = "abcdefgh";
        memset(text + number % 9, 0, 9 - number % 9);
        ck_assert_mem_eq(got + i * ROW_BYTES, &number, 4);
        ck_assert_mem_eq(got + i * ROW_BYTES + 4, text, 8);
    }
    free(got);
}

START_TEST(any_stretch_of_rows_is_read_across_parts_empty_ones_included)
{
    static const uint32_t counts[PART_COUNT] = {0, 5, 0, 0, 1, 300, 0, 7, 2, 0, 11, 0};
    qn_array_rows rows = {.fd = -1};
    uint64_t state = 5;
    make_parts(counts);
    kit_assert_ok(qn_array_rows_init(&rows, directory.path, NULL, summaries, PART_COUNT, ROW_BYTES, &error), &error);
    ck_assert_uint_eq(qn_array_rows_get_count(&rows), row_count);
    check_rows(&rows, 0, row_count);
    check_rows(&rows, row_count, 0);
    for (int i = 0; i < 500; i++) {
        uint64_t first = kit_random_below(&state, row_count);
        check_rows(&rows, first, kit_random_below(&state, row_count - first + 1));
    }
    qn_array_rows_fini(&rows);
}
END_TEST

START_TEST(a_record_that_is_no_row_is_refused_with_its_size)
{
    const qn_part_style style = {.is_passing = true};
    kit_assert_ok(qn_part_open(&parts[0], directory.path, 0, PART_COUNT, &style, &error), &error);
    ck_assert_int_eq(put_row(&parts[0], 1, 9), QUERN_ERROR_OUTPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "a value has 9 bytes, but the strings of the dataset have 8"));
    ck_assert_uint_eq(parts[0].summary.records, 0);
}
END_TEST

START_TEST(rows_that_are_gone_are_an_error_and_not_others)
{
    static const uint32_t counts[PART_COUNT] = {3, 400, 2};
    qn_array_rows rows = {.fd = -1};
    uint8_t room[8 * ROW_BYTES];
    make_parts(counts);
    ck_assert_int_eq(truncate(parts[1].temporary_path, 399 * ROW_BYTES), 0);
    ck_assert_int_eq(unlink(parts[2].temporary_path), 0);
    kit_assert_ok(qn_array_rows_init(&rows, directory.path, NULL, summaries, PART_COUNT, ROW_BYTES, &error), &error);
    check_rows(&rows, 0, 402);
    ck_assert_int_eq(qn_array_rows_read(&rows, 400, 3, room, &error), QUERN_ERROR_OUTPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "became shorter"));
    error = (qn_error){0};
    ck_assert_int_eq(qn_array_rows_read(&rows, 403, 1, room, &error), QUERN_ERROR_OUTPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "No such file"));
    qn_array_rows_fini(&rows);
}
END_TEST

START_TEST(a_file_never_takes_the_place_of_another)
{
    char temporary[128], path[128];
    qn_output output = {0};
    snprintf(temporary, sizeof temporary, "%s/.part-00000.tmp", directory.path);
    snprintf(path, sizeof path, "%s/own.h5", directory.path);
    kit_assert_ok(qn_array_file_check(path, &error), &error);
    kit_assert_ok(qn_array_file_begin(&output, temporary, &error), &error);
    FILE *other = fopen(path, "w");
    fclose(other);
    ck_assert_int_eq(qn_array_file_check(path, &error), QUERN_ERROR_OUTPUT_EXISTS);
    error = (qn_error){0};
    ck_assert_int_eq(qn_array_file_commit(&output, path, &error), QUERN_ERROR_OUTPUT_EXISTS);
    qn_output_unseal(&output);
    qn_output_release(&output);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_ne(access(temporary, F_OK), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        any_stretch_of_rows_is_read_across_parts_empty_ones_included,
        a_record_that_is_no_row_is_refused_with_its_size,
        rows_that_are_gone_are_an_error_and_not_others,
        a_file_never_takes_the_place_of_another,
    };
    return kit_run_tests("array_rows", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
