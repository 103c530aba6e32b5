/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_row_grammar.c: rows of CSV are those that were written, wherever files are cut, within quoted line breaks too.
 */
#include "runtime/io/row_grammar.h"
#include "tests/io/recordkit.h"

#define FIELDS_MAX 6

static qn_source_format csv(bool has_header)
{
    return (qn_source_format){
        .kind = QN_SOURCE_RECORDS,
        .records = {
            .kind = QN_RECORDS_ROWS,
            .rows = {.separator = ',', .has_quotes = true, .has_quoted_newlines = true, .has_header = has_header}}};
}

static size_t random_field(char *to, const char *letters, uint64_t *state)
{
    size_t count = kit_random_below(state, 7);
    for (size_t i = 0; i < count; i++)
        to[i] = letters[kit_random_below(state, strlen(letters))];
    return count;
}

/* Appends the field, in quotes if it must be or by lot. */
static void put_field(const char *field, size_t count, const qn_row_format *rows, uint64_t *state)
{
    bool must = rows->has_quotes && (memchr(field, '"', count) || memchr(field, '\n', count) ||
                                     memchr(field, '\r', count) || memchr(field, rows->separator, count));
    bool quoted = rows->has_quotes && (must || kit_random_below(state, 4) == 0);
    if (quoted)
        put_text("\"");
    for (size_t i = 0; i < count; i++) {
        put(&made.content, field + i, 1);
        if (quoted && field[i] == '"')
            put_text("\"");
    }
    if (quoted)
        put_text("\"");
}

/* One row; a row that would be an empty line has a letter. */
static void put_row(size_t column_count, const char *letters, bool is_record, const qn_row_format *rows,
                    uint64_t *state)
{
    char key[16] = "", field[16];
    size_t key_bytes = 0, begin = made.content.bytes;
    for (size_t i = 0; i < column_count; i++) {
        size_t count = random_field(field, letters, state);
        if (column_count == 1 && count == 0)
            field[count++] = 'x';
        if (i > 0)
            put(&made.content, &rows->separator, 1);
        put_field(field, count, rows, state);
        if (i != rows->key_column)
            continue;
        memcpy(key, field, count);
        key_bytes = count;
    }
    if (is_record)
        expect(key, key_bytes, made.content.data + begin, made.content.bytes - begin);
    put_text(kit_random_below(state, 3) ? "\n" : "\r\n");
    if (kit_random_below(state, 9) == 0)
        put_text("\n");
}

static void make_rows(size_t count, const char *letters, const qn_row_format *rows, uint64_t *state)
{
    size_t column_count = rows->key_column + 1 + kit_random_below(state, 4);
    begin_model();
    if (kit_random_below(state, 4) == 0)
        put_text("\xef\xbb\xbf");
    for (size_t i = 0; i < count; i++)
        put_row(column_count, letters, i > 0 || !rows->has_header, rows, state);
    if (kit_random_below(state, 2))
        while (made.content.data[made.content.bytes - 1] == '\n' || made.content.data[made.content.bytes - 1] == '\r')
            made.content.bytes--;
}

START_TEST(rows_with_quoted_line_breaks_are_whole_wherever_the_file_is_cut)
{
    count_quotes = true; /* as runtime/engine/quotes.h tells them */
    for (uint64_t seed = 1; seed <= kit_rounds(60); seed++) {
        uint64_t state = seed;
        qn_source_format format = csv(seed % 2);
        format.records.rows.key_column = (uint32_t)kit_random_below(&state, 3);
        open_kit(&format, RECORD_BYTES_MAX);
        make_rows(1 + kit_random_below(&state, 9), seed % 3 ? "ab,\"\n\r" : "\"\n,", &format.records.rows, &state);
        check_every_cut();
        close_kit();
    }
}
END_TEST

START_TEST(rows_without_quoted_line_breaks_need_no_count_of_quotes)
{
    count_quotes = false;
    for (uint64_t seed = 1; seed <= kit_rounds(40); seed++) {
        uint64_t state = seed;
        qn_source_format format = csv(seed % 4 < 2);
        format.records.rows.has_quotes = seed % 2;
        format.records.rows.has_quoted_newlines = false;
        format.records.rows.separator = '\t';
        open_kit(&format, RECORD_BYTES_MAX);
        make_rows(1 + kit_random_below(&state, 9), seed % 2 ? "ab,\"\t" : "ab,\"", &format.records.rows, &state);
        check_every_cut();
        close_kit();
    }
}
END_TEST

START_TEST(files_of_many_chunks_and_rows_longer_than_chunks_are_whole)
{
    count_quotes = true; /* as runtime/engine/quotes.h tells them */
    for (uint64_t seed = 1; seed <= 4; seed++) {
        uint64_t state = seed;
        qn_source_format format = csv(true);
        open_kit(&format, RECORD_BYTES_MAX);
        make_rows(90000, "abcdefgh,\"\n", &format.records.rows, &state);
        if (made.content.data[made.content.bytes - 1] != '\n')
            put_text("\n");
        write_content();
        check_stretches(made.content.bytes, 0, true);
        check_stretches(1 + made.content.bytes / 11, kit_random_below(&state, 1000), seed == 1);
        check_pieces(100000 * seed);
        close_kit();
    }
    qn_source_format format = csv(false);
    open_kit(&format, RECORD_BYTES_MAX);
    begin_model();
    for (int i = 0; i < 5; i++) {
        size_t begin = made.content.bytes;
        put_text("k,\"");
        for (int n = 0; n < 100000 * i; n++)
            put_text("\"\"\n,x");
        put_text("\"");
        expect("k", 1, made.content.data + begin, made.content.bytes - begin);
        put_text("\n");
    }
    write_content();
    check_stretches(made.content.bytes, 0, true);
    check_stretches(300001, 77, true);
    check_pieces(300001);
    close_kit();
}
END_TEST

START_TEST(a_key_is_found_by_its_name_in_every_header)
{
    count_quotes = true; /* as runtime/engine/quotes.h tells them */
    qn_source_format format = csv(true);
    format.records.rows.key_name = "the \"key\"";
    open_kit(&format, RECORD_BYTES_MAX);
    begin_model();
    put_text("\"a\nb\",\"the \"\"key\"\"\",c\r\n1,\"2\n\",3\n4,5,6");
    expect_texts("2\n", "1,\"2\n\",3");
    expect_texts("5", "4,5,6");
    check_every_cut();
    begin_model();
    put_text("a,key\n1,2\n");
    write_content();
    check_failure(0, made.content.bytes, QUERN_ERROR_INPUT, "no column of the key's name");
    check_failure(7, made.content.bytes, QUERN_ERROR_INPUT, "no column of the key's name");
    close_kit();
}
END_TEST

static void check_bad(const char *text, const char *words)
{
    begin_model();
    put_text(text);
    write_content();
    check_failure(0, made.content.bytes, QUERN_ERROR_INPUT, words);
}

START_TEST(what_is_no_row_is_refused_with_file_and_byte)
{
    qn_source_format format = csv(false);
    open_kit(&format, RECORD_BYTES_MAX);
    check_bad("a,b\nc,d\"e\n", "byte 7 of");
    check_bad("a,b\nc,\"d\"e\n", "byte 9 of");
    check_bad("a,b\nc,\"d\n", "byte 6 of");
    check_bad("a,b\nc,\"d\n", "not closed");
    check_bad("a,b\nc\n", "byte 4 of");
    check_bad("a,b\nc,d,e\n", "another number of fields");
    close_kit();
    format.records.rows.is_ragged = true;
    format.records.rows.key_column = 1;
    open_kit(&format, RECORD_BYTES_MAX);
    check_bad("a,b,c\nd,e\nf\n", "byte 10 of");
    close_kit();
    format = csv(false);
    format.records.rows.has_quoted_newlines = false;
    open_kit(&format, RECORD_BYTES_MAX);
    check_bad("a,b\nc,\"d\n\"\n", "line break");
    close_kit();
}
END_TEST

START_TEST(any_text_is_the_same_rows_or_a_failure_wherever_it_is_cut)
{
    count_quotes = true;
    qn_source_format format = csv(false);
    format.records.rows.is_ragged = true;
    open_kit(&format, RECORD_BYTES_MAX);
    check_any_text("\"\",a\n\r", 16, 3000, 50);
    close_kit();
    format.records.rows.has_quoted_newlines = false;
    count_quotes = false;
    open_kit(&format, RECORD_BYTES_MAX);
    check_any_text("\"\",a\n\r", 16, 3000, 50);
    close_kit();
}
END_TEST

START_TEST(a_file_of_breaks_alone_has_no_rows_wherever_it_is_cut)
{
    qn_source_format format = csv(true);
    format.records.rows.has_header = true;
    format.records.rows.key_name = "k";
    open_kit(&format, RECORD_BYTES_MAX);
    begin_model();
    put_text("\xef\xbb\xbf\n\r\n\n");
    check_every_cut();
    close_kit();
}
END_TEST

START_TEST(fields_of_a_row_are_given_unquoted)
{
    char room[64];
    const char *row = "a,\"b,\"\"c\"\"\",,\"\",\"\n\"", *fields[] = {"a", "b,\"c\"", "", "", "\n"};
    quern_csv_cursor cursor = {.data = row, .bytes = strlen(row)};
    quern_span field;
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(quern_csv_next_field(&cursor, room, &field), 1);
        ck_assert_uint_eq(field.bytes, strlen(fields[i]));
        ck_assert(memcmp(field.data, fields[i], field.bytes) == 0);
    }
    ck_assert_int_eq(quern_csv_next_field(&cursor, room, &field), 0);
    cursor = (quern_csv_cursor){.data = "a\"\tb,", .bytes = 5, .separator = '\t', .no_quotes = 1};
    ck_assert_int_eq(quern_csv_next_field(&cursor, room, &field), 1);
    ck_assert_uint_eq(field.bytes, 2);
    ck_assert_int_eq(quern_csv_next_field(&cursor, room, &field), 1);
    ck_assert_uint_eq(field.bytes, 2);
    ck_assert_int_eq(quern_csv_next_field(&cursor, room, &field), 0);
    cursor = (quern_csv_cursor){.data = "\"a", .bytes = 2};
    ck_assert_int_lt(quern_csv_next_field(&cursor, room, &field), 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        rows_with_quoted_line_breaks_are_whole_wherever_the_file_is_cut,
        rows_without_quoted_line_breaks_need_no_count_of_quotes,
        files_of_many_chunks_and_rows_longer_than_chunks_are_whole,
        a_key_is_found_by_its_name_in_every_header,
        what_is_no_row_is_refused_with_file_and_byte,
        any_text_is_the_same_rows_or_a_failure_wherever_it_is_cut,
        a_file_of_breaks_alone_has_no_rows_wherever_it_is_cut,
        fields_of_a_row_are_given_unquoted,
    };
    return kit_run_tests("row_grammar", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
