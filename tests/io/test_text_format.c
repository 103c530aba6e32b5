/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_text_format.c: records as lines.
 */
#include "runtime/io/text_format.h"
#include "tests/kit.h"

static kit_directory directory;
static qn_error error;

static void check_line(quern_schema schema, quern_span key, quern_span value, const char *expected, size_t bytes)
{
    qn_part part;
    size_t got_bytes = 0;
    kit_assert_ok(qn_part_open(&part, directory.path, 0, 1, &error), &error);
    quern_record record = {key, value};
    kit_assert_ok(qn_text_put(&part, &schema, &record, &error), &error);
    kit_assert_ok(qn_part_finish(&part, &error), &error);
    char *got = kit_read_file(part.temporary_path, &got_bytes);
    ck_assert_uint_eq(got_bytes, bytes);
    ck_assert_mem_eq(got, expected, bytes);
    ck_assert_uint_eq(part.summary.records, 1);
    free(got);
    qn_part_close(&part, false);
}

#define LINE(text) text, sizeof(text) - 1

static void set_up(void)
{
    kit_make_directory(&directory);
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

START_TEST(bytes_are_written_as_they_are)
{
    check_line((quern_schema){QUERN_BYTES, QUERN_NONE, 0}, quern_text("key"), quern_text(""), LINE("key\n"));
    check_line((quern_schema){QUERN_BYTES, QUERN_NONE, 0}, quern_text(""), quern_text(""), LINE("\n"));
    check_line((quern_schema){QUERN_BYTES, QUERN_BYTES, 0}, quern_bytes("a\0b", 3), quern_bytes("\xff\t", 2),
               LINE("a\0b\t\xff\t\n"));
    check_line((quern_schema){QUERN_BYTES, QUERN_BYTES, 0}, quern_text(""), quern_text(""), LINE("\t\n"));
}
END_TEST

START_TEST(integers_are_written_in_decimal)
{
    static const struct {
        int64_t number;
        const char *as_signed, *as_unsigned;
    } known[] = {
        {0, "0", "0"},
        {1, "1", "1"},
        {-1, "-1", "18446744073709551615"},
        {10, "10", "10"},
        {INT64_MAX, "9223372036854775807", "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808", "9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char expected[64];
        quern_span number = quern_of_i64(&known[i].number);
        int bytes = snprintf(expected, sizeof expected, "%s\t%s\n", known[i].as_signed, known[i].as_unsigned);
        check_line((quern_schema){QUERN_I64, QUERN_U64, 0}, number, number, expected, (size_t)bytes);
        bytes = snprintf(expected, sizeof expected, "%s\t%s\n", known[i].as_unsigned, known[i].as_signed);
        check_line((quern_schema){QUERN_U64, QUERN_I64, 0}, number, number, expected, (size_t)bytes);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        bytes_are_written_as_they_are,
        integers_are_written_in_decimal,
    };
    return kit_run_tests("text_format", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
