/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_text_format.c: records as lines.
 */
#include "runtime/io/text_format.h"

#include <math.h>

#include "runtime/data/key_text.h"
#include "runtime/io/csv_format.h"
#include "tests/kit.h"

static kit_directory directory;
static qn_error error;

static const qn_text_form *as_rows; /* what check_line() writes; NULL: text */

static quern_status put(qn_part *part, const quern_schema *schema, const quern_record *record)
{
    return as_rows ? qn_csv_put(part, as_rows, schema, record, &error) : qn_text_put(part, schema, record, &error);
}

static void check_line(quern_schema schema, quern_span key, quern_span value, const char *expected, size_t bytes)
{
    const qn_part_style style = {.text = as_rows};
    qn_part part;
    size_t got_bytes = 0;
    kit_assert_ok(qn_part_open(&part, directory.path, 0, 1, &style, &error), &error);
    quern_record record = {key, value};
    kit_assert_ok(put(&part, &schema, &record), &error);
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

START_TEST(floating_point_numbers_read_back_as_they_were)
{
    uint64_t state = 1;
    const quern_schema schema = {QUERN_F64, QUERN_F32, 0};
    check_line(schema, quern_of_f64(&(double){-0.0}), quern_of_f32(&(float){0.1F}), LINE("-0\t0.100000001\n"));
    check_line(schema, quern_of_f64(&(double){-NAN}), quern_of_f32(&(float){-INFINITY}), LINE("nan\t-inf\n"));
    check_line(schema, quern_of_f64(&(double){-1.1e-300}), quern_of_f32(&(float){3}), LINE("-1.1e-300\t3\n"));
    for (int i = 0; i < 20000; i++) {
        char text[QN_NUMBER_TEXT_BYTES_MAX];
        uint64_t word = kit_random(&state);
        uint32_t half = (uint32_t)word;
        size_t bytes = qn_number_describe(QUERN_F64, &word, text);
        double number = strtod(text, NULL);
        ck_assert(strlen(text) == bytes && bytes + 1 < sizeof text);
        ck_assert(isnan(quern_f64(quern_bytes(&word, 8))) ? isnan(number) : memcmp(&number, &word, 8) == 0);
        qn_number_describe(QUERN_F32, &half, text);
        float narrow = strtof(text, NULL);
        ck_assert(isnan(quern_f32(quern_bytes(&half, 4))) ? isnan(narrow) : memcmp(&narrow, &half, 4) == 0);
    }
}
END_TEST

START_TEST(small_integers_fixed_keys_and_pairs_are_written_as_fields)
{
    const int32_t minus = INT32_MIN;
    const uint32_t large = UINT32_MAX;
    const quern_type pair = QUERN_PAIR(QUERN_BYTES, QUERN_I32), texts = QUERN_PAIR(QUERN_BYTES, QUERN_BYTES);
    char room[32];
    check_line((quern_schema){QUERN_I32, QUERN_U32, 0}, quern_of_i32(&minus), quern_of_u32(&large),
               LINE("-2147483648\t4294967295\n"));
    check_line((quern_schema){.key = QUERN_FIXED, .key_bytes = 4}, quern_bytes("a\0\tb", 4), quern_text(""),
               LINE("a\0\tb\n"));
    check_line((quern_schema){pair, QUERN_U32, 0}, quern_pair_put(pair, quern_text("key"), quern_of_i32(&minus), room),
               quern_of_u32(&large), LINE("key\t-2147483648\t4294967295\n"));
    check_line((quern_schema){texts, QUERN_NONE, 0}, quern_pair_put(texts, quern_text("a"), quern_text("bc"), room),
               quern_text(""), LINE("a\tbc\n"));
}
END_TEST

static const qn_text_form csv = {.form = QUERN_FORM_CSV, .separator = ','};

START_TEST(csv_quotes_what_has_to_be_quoted_and_nothing_else)
{
    const quern_schema two = {QUERN_BYTES, QUERN_BYTES, 0}, one = {QUERN_BYTES, QUERN_NONE, 0};
    const quern_type pair = QUERN_PAIR(QUERN_BYTES, QUERN_I32);
    const int32_t minus = -5;
    char room[32];
    as_rows = &csv;
    check_line(two, quern_text("plain"), quern_text("tab\tspace "), LINE("plain,tab\tspace \r\n"));
    check_line(two, quern_text("a,b"), quern_text("say \"so\""), LINE("\"a,b\",\"say \"\"so\"\"\"\r\n"));
    check_line(two, quern_text("two\nlines"), quern_text("cr\r"), LINE("\"two\nlines\",\"cr\r\"\r\n"));
    check_line(two, quern_text("\""), quern_text("\"\""), LINE("\"\"\"\",\"\"\"\"\"\"\r\n"));
    check_line(two, quern_text(""), quern_text(""), LINE(",\r\n"));
    check_line(one, quern_text(""), quern_text(""), LINE("\"\"\r\n"));
    check_line(one, quern_bytes("\0,", 2), quern_text(""), LINE("\"\0,\"\r\n"));
    check_line((quern_schema){pair, QUERN_NONE, 0}, quern_pair_put(pair, quern_text("k,"), quern_of_i32(&minus), room),
               quern_text(""), LINE("\"k,\",-5\r\n"));
    as_rows = NULL;
}
END_TEST

START_TEST(a_separator_and_what_readers_take_for_a_byte_order_mark_are_quoted)
{
    const quern_schema two = {QUERN_BYTES, QUERN_BYTES, 0};
    const qn_text_form semicolon = {.form = QUERN_FORM_CSV, .separator = ';'};
    as_rows = &semicolon;
    check_line(two, quern_text("a,b"), quern_text("c;d"), LINE("a,b;\"c;d\"\r\n"));
    check_line(two,
               quern_text("\xef\xbb\xbf"
                          "a"),
               quern_text("\xef\xbb"),
               LINE("\"\xef\xbb\xbf"
                    "a\";\xef\xbb\r\n"));
    as_rows = NULL;
}
END_TEST

START_TEST(tsv_escapes_what_would_end_a_field)
{
    const quern_schema two = {QUERN_BYTES, QUERN_U64, 0}, one = {QUERN_BYTES, QUERN_NONE, 0};
    const qn_text_form tsv = {.form = QUERN_FORM_TSV, .separator = '\t'};
    as_rows = &tsv;
    check_line(two, quern_text("\ta\n\rb\\\\\"c,"), quern_of_u64(&(uint64_t){7}), LINE("\\ta\\n\\rb\\\\\\\\\"c,\t7\n"));
    check_line(one, quern_bytes("\0", 1), quern_text(""), LINE("\0\n"));
    as_rows = NULL;
}
END_TEST

START_TEST(fields_of_rows_are_quoted_as_their_new_form_wants_it)
{
    const quern_schema row = {QUERN_BYTES, QUERN_BYTES, 0};
    const qn_text_form same = {QUERN_FORM_CSV, ',', true, ',', true, NULL, 0};
    const qn_text_form other = {QUERN_FORM_CSV, ';', true, ',', true, NULL, 0};
    const qn_text_form tsv = {QUERN_FORM_TSV, '\t', true, ',', true, NULL, 0};
    const qn_text_form plain = {QUERN_FORM_CSV, ',', true, '\t', false, NULL, 0};
    quern_span key = quern_text("key"), value = quern_text("a,\"b\",\"c\"\"d\"\"\",\"e,\nf;\",,");
    as_rows = &same;
    check_line(row, key, value, LINE("a,b,\"c\"\"d\"\"\",\"e,\nf;\",,\r\n"));
    check_line(row, key, quern_text(""), LINE("\"\"\r\n"));
    check_line(row, key, quern_text("\"\""), LINE("\"\"\r\n"));
    check_line(row, key, quern_text(","), LINE(",\r\n"));
    as_rows = &other;
    check_line(row, key, value, LINE("a;b;\"c\"\"d\"\"\";\"e,\nf;\";;\r\n"));
    as_rows = &tsv;
    check_line(row, key, value, LINE("a\tb\tc\"d\"\te,\\nf;\t\t\n"));
    check_line(row, key, quern_text("\"\"\"\"\"\"\"\",\"\t\"\"\""), LINE("\"\"\"\t\\t\"\n"));
    as_rows = &plain;
    check_line(row, key, quern_text("a\t\"b\tc,d\t"), LINE("a,\"\"\"b\",\"c,d\",\r\n"));
    as_rows = NULL;
}
END_TEST

START_TEST(a_value_that_is_no_row_is_an_error)
{
    const qn_text_form form = {QUERN_FORM_CSV, ',', true, ',', true, NULL, 0};
    const qn_part_style style = {.text = &form};
    static const char *const bad[] = {"a,b\nc", "a,\"b", "\"a\"b,c", "a\"b", "a\r\nb"};
    qn_part part;
    kit_assert_ok(qn_part_open(&part, directory.path, 0, 1, &style, &error), &error);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const quern_schema schema = {QUERN_BYTES, QUERN_BYTES, 0};
        quern_record record = {quern_text("key"), quern_text(bad[i])};
        ck_assert_int_eq(qn_csv_put(&part, &form, &schema, &record, &error), QUERN_ERROR_OUTPUT);
        ck_assert_ptr_nonnull(strstr(error.text, "is no row"));
        error = (qn_error){0};
    }
    ck_assert_uint_eq(part.summary.records, 0);
    qn_part_close(&part, false);
}
END_TEST

START_TEST(a_key_in_a_message_is_cut_and_printable)
{
    char text[QN_KEY_TEXT_BYTES_MAX + 1], room[256], expected[QN_KEY_TEXT_BYTES_MAX + 1];
    const quern_type pair = QUERN_PAIR(QUERN_F64, QUERN_BYTES);
    memset(room, 'x', sizeof room);
    qn_key_describe(QUERN_FIXED, room, sizeof room, text);
    ck_assert_uint_eq(strlen(text), QN_KEY_TEXT_BYTES_MAX);
    quern_span key = quern_pair_put(pair, quern_of_f64(&(double){-2.5}), quern_text("a\nb"), room);
    qn_key_describe(pair, key.data, key.bytes, text);
    ck_assert_str_eq(text, "-2.5, a?b");
    key = quern_pair_put(pair, quern_of_f64(&(double){1}), quern_bytes(memset(expected, 'y', 64), 64), room);
    qn_key_describe(pair, key.data, key.bytes, text);
    ck_assert_uint_eq(strlen(text), QN_KEY_TEXT_BYTES_MAX);
    ck_assert_int_eq(strncmp(text, "1, yyy", 6), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        bytes_are_written_as_they_are,
        integers_are_written_in_decimal,
        floating_point_numbers_read_back_as_they_were,
        small_integers_fixed_keys_and_pairs_are_written_as_fields,
        csv_quotes_what_has_to_be_quoted_and_nothing_else,
        a_separator_and_what_readers_take_for_a_byte_order_mark_are_quoted,
        tsv_escapes_what_would_end_a_field,
        fields_of_rows_are_quoted_as_their_new_form_wants_it,
        a_value_that_is_no_row_is_an_error,
        a_key_in_a_message_is_cut_and_printable,
    };
    return kit_run_tests("text_format", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
