/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_bad_input.c: readers that pass over bad input pass over the same, and give the same records, wherever the file is cut.
 *
 * Contents are drawn by lot from few letters, so that most of them are bad in some way. What a reader of the whole says of one is compared with what
 * readers of its two parts say, for every cut, and with a few contents that are spelt out.
 */
#include "runtime/io/bad_list.h"
#include "runtime/io/row_states.h"
#include "tests/io/recordkit.h"

#define SHOWN(buffer) (int)((buffer).bytes < 400 ? (buffer).bytes : 400), (buffer).data

static const qn_row_format *states_of; /* rows whose bad ones are passed over: tasks are told the state */

static qn_row_state state_at(uint64_t begin)
{
    qn_row_state state = QN_ROW_FIELD;
    bool has_mark = made.content.bytes >= 3 && memcmp(made.content.data, "\xef\xbb\xbf", 3) == 0;
    for (uint64_t i = has_mark ? 3 : 0; i < begin; i++)
        state = qn_row_step(states_of, state, made.content.data[i]);
    return state;
}

static void make_tolerant_task(qn_buffer *task, uint64_t begin, uint64_t end)
{
    make_task(task, begin, end);
    uint32_t packing = QN_PACKING_NONE | (states_of ? (uint32_t)state_at(begin) << 24 : 0);
    memcpy(task->data + sizeof(uint32_t) + 4 * sizeof(uint64_t), &packing, sizeof packing);
}

static void tell(byte_buffer *to, byte_buffer *bad_to, const qn_batch *batch, const qn_source *from)
{
    char line[300];
    for (size_t i = 0; i < batch->block.count; i++) {
        put(to, "+", 1);
        put(to, batch->block.key[i], batch->block.key_bytes[i]);
        put(to, "|", 1);
        if (batch->block.value)
            put(to, batch->block.value[i], batch->block.value_bytes[i]);
    }
    for (size_t i = 0; i < from->bad.count; i++) {
        const qn_bad_item *item = &from->bad.items[i];
        size_t raw_bytes = item->texts.bytes - item->raw_at;
        ck_assert_str_eq(qn_bad_item_name(item), path);
        ck_assert_uint_eq(raw_bytes, item->bytes < QN_BAD_RAW_BYTES_MAX ? item->bytes : QN_BAD_RAW_BYTES_MAX);
        ck_assert(memcmp(item->texts.data + item->raw_at, made.content.data + item->place.offset, raw_bytes) == 0);
        snprintf(line, sizeof line, "!%llu,%llu", (unsigned long long)item->place.offset,
                 (unsigned long long)item->bytes);
        put(bad_to, line, strlen(line));
    }
}

/* What comes of a stretch: records, and what was passed over; each block also from its place on again. */
static void read_stretch(byte_buffer *to, byte_buffer *bad_to, uint64_t begin, uint64_t end, bool resume)
{
    static byte_buffer once, again, bad_once, bad_again;
    qn_batch batch = {0};
    qn_buffer task = {0};
    make_tolerant_task(&task, begin, end);
    kit_assert_ok(qn_source_open(&source, task.data, task.bytes, NULL, &error), &error);
    for (;;) {
        kit_assert_ok(qn_source_next(&source, &batch, &error), &error);
        if (batch.block.count == 0 && source.bad.count == 0)
            break;
        once.bytes = again.bytes = bad_once.bytes = bad_again.bytes = 0;
        tell(&once, &bad_once, &batch, &source);
        put(to, once.data, once.bytes);
        put(bad_to, bad_once.data, bad_once.bytes);
        put(&once, bad_once.data, bad_once.bytes);
        if (!resume || batch.block.count == 0)
            continue;
        qn_text_place place = *qn_source_block_place(&source);
        kit_assert_ok(qn_source_open(&resumed, task.data, task.bytes, &place, &error), &error);
        kit_assert_ok(qn_source_next(&resumed, &batch, &error), &error);
        tell(&again, &bad_again, &batch, &resumed);
        put(&again, bad_again.data, bad_again.bytes);
        ck_assert_msg(once.bytes == again.bytes && memcmp(once.data, again.data, once.bytes) == 0,
                      "%.*s, and again %.*s", SHOWN(once), SHOWN(again));
    }
    qn_buffer_fini(&task);
}

/* All of the content. */
static void read_whole(byte_buffer *to, bool resume)
{
    static byte_buffer bad;
    to->bytes = bad.bytes = 0;
    write_content();
    read_stretch(to, &bad, 0, made.content.bytes, resume);
    put(to, bad.data, bad.bytes);
}

static void open_tolerant(const qn_source_format *format, uint64_t record_bytes_max)
{
    open_kit(format, record_bytes_max);
    qn_source_pass_bad(&source, true);
    qn_source_pass_bad(&resumed, true);
}

static void check_cut(const byte_buffer *whole, uint64_t cut, bool resume)
{
    static byte_buffer parts, bad;
    parts.bytes = bad.bytes = 0;
    read_stretch(&parts, &bad, 0, cut, resume);
    read_stretch(&parts, &bad, cut, made.content.bytes, resume);
    put(&parts, bad.data, bad.bytes);
    if (parts.bytes != whole->bytes || memcmp(parts.data, whole->data, whole->bytes) != 0)
        ck_abort_msg("cut at %llu of '%.*s': %.*s, and as a whole %.*s", (unsigned long long)cut, SHOWN(made.content),
                     SHOWN(parts), SHOWN(*whole));
}

/* Returns how much of the whole was bad and how much good, so that a test knows that it tested something. */
static void check_all_cuts(size_t *good_count, size_t *bad_count)
{
    static byte_buffer whole;
    read_whole(&whole, true);
    for (size_t i = 0; i < whole.bytes; i++) {
        *good_count += whole.data[i] == '|';
        *bad_count += whole.data[i] == '!';
    }
    for (uint64_t cut = 1; cut < made.content.bytes; cut++)
        check_cut(&whole, cut, true);
}

static void draw_lines(const char *const *lines, size_t line_count, size_t count, uint64_t *state)
{
    begin_model();
    for (size_t i = 0; i < count; i++)
        put_text(lines[kit_random_below(state, line_count)]);
}

static void check_lines(const qn_source_format *format, uint64_t record_bytes_max, const char *const *lines,
                        size_t line_count, size_t count_max)
{
    size_t good_count = 0, bad_count = 0;
    open_tolerant(format, record_bytes_max);
    for (uint64_t seed = 1; seed <= kit_rounds(150); seed++) {
        uint64_t state = seed;
        draw_lines(lines, line_count, 1 + kit_random_below(&state, count_max), &state);
        check_all_cuts(&good_count, &bad_count);
    }
    ck_assert_uint_ge(good_count, kit_rounds(100));
    ck_assert_uint_ge(bad_count, kit_rounds(60));
    close_kit();
}

/* What a reader says of a content that is spelt out. */
static void check_said(const char *content, const char *said)
{
    static byte_buffer whole;
    begin_model();
    put_text(content);
    read_whole(&whole, true);
    put(&whole, "", 1);
    ck_assert_str_eq(whole.data, said);
}

static qn_source_format rows_of(bool has_quotes, bool has_quoted_newlines)
{
    return (qn_source_format){
        .kind = QN_SOURCE_RECORDS,
        .records = {.kind = QN_RECORDS_ROWS,
                    .rows = {.separator = ',', .has_quotes = has_quotes, .has_quoted_newlines = has_quoted_newlines}}};
}

START_TEST(bad_rows_are_the_same_wherever_the_file_is_cut)
{
    static const char *const parts[] = {"a,b\n",        "\"",           "a",  ",",       "\n", "\r\n",
                                        "\"x\ny\",z\n", "\"\"\"\",b\n", "\r", "a\"b,c\n"};
    for (int kind = 0; kind < 3; kind++) {
        qn_source_format format = rows_of(kind > 0, kind > 1);
        size_t good_count = 0, bad_count = 0;
        states_of = kind > 1 ? &format.records.rows : NULL;
        open_tolerant(&format, RECORD_BYTES_MAX);
        for (uint64_t seed = 1; seed <= kit_rounds(300); seed++) {
            uint64_t state = seed;
            draw_lines(parts, sizeof parts / sizeof *parts, 1 + kit_random_below(&state, 20), &state);
            if (seed % 7 > 0) { /* the first row has to be good */
                static byte_buffer rest;
                rest.bytes = 0;
                put(&rest, made.content.data, made.content.bytes);
                begin_model();
                put_text(seed % 3 ? "a,b\n"
                                  : "\xef\xbb\xbf"
                                    "a,b\n");
                put(&made.content, rest.data, rest.bytes);
                check_all_cuts(&good_count, &bad_count);
            }
        }
        ck_assert_uint_ge(good_count, kit_rounds(300));
        ck_assert_uint_ge(bad_count, kit_rounds(300));
        close_kit();
    }
    states_of = NULL;
}
END_TEST

START_TEST(a_bad_row_ends_at_the_first_line_break_behind_what_is_bad)
{
    qn_source_format format = rows_of(true, true);
    states_of = &format.records.rows;
    open_tolerant(&format, RECORD_BYTES_MAX);
    check_said("a,b\n5\" pipe,x\nc,d\n", "+a|a,b+c|c,d!4,10");
    check_said("a,b\n\"x\ny\"z,1\nc,d\n", "+a|a,b+c|c,d!4,9");
    check_said("a,b\nonly\nc,d\n1,2,3\n", "+a|a,b+c|c,d!4,5!13,6");
    check_said("a,b\nc,\"d\ne,f\n", "+a|a,b!4,9");
    close_kit();
    format.records.rows.has_quoted_newlines = false;
    states_of = NULL;
    open_tolerant(&format, RECORD_BYTES_MAX);
    check_said("a,b\nc,\"d\ne,f\ng\",h\n", "+a|a,b+e|e,f!4,5!13,5");
    close_kit();
}
END_TEST

START_TEST(states_of_stretches_put_together_are_those_of_the_whole)
{
    static const char letters[] = "a,\"\n\r";
    char data[10000];
    qn_row_format format = {.separator = ',', .has_quotes = true, .has_quoted_newlines = true};
    for (uint64_t seed = 1; seed <= kit_rounds(40); seed++) {
        uint64_t state = seed, length = kit_random_below(&state, sizeof data),
                 cut = kit_random_below(&state, length + 1);
        for (size_t i = 0; i < length; i++)
            data[i] = letters[kit_random_below(&state, sizeof letters - 1)];
        qn_row_map first = qn_row_map_run(&format, QN_ROW_MAP_NONE, data, cut);
        qn_row_map second = qn_row_map_run(&format, QN_ROW_MAP_NONE, data + cut, length - cut);
        for (int from = 0; from < QN_ROW_STATE_COUNT; from++) {
            qn_row_state stepped = (qn_row_state)from;
            for (size_t i = 0; i < length; i++)
                stepped = qn_row_step(&format, stepped, data[i]);
            ck_assert_int_eq(qn_row_map_get(second, qn_row_map_get(first, (qn_row_state)from)), stepped);
        }
    }
}
END_TEST

static qn_source_format sequences_of(quern_sequence_format format, bool interleaved)
{
    return (qn_source_format){
        .kind = QN_SOURCE_RECORDS,
        .records = {.kind = QN_RECORDS_SEQUENCES, .sequences = {.format = format, .interleaved = interleaved}}};
}

START_TEST(bad_records_of_fastq_are_the_same_wherever_the_file_is_cut)
{
    static const char *const parts[] = {
        "@a\nAC\n+\n@I\n", "@b/1\nA\n+\n+\n", "@\n\n+\n\n", "AC\n", "+\n", "@I\n", "\n", "A", "@", "\r\n", "II\n",
        "@c\nAC\n+\nI\n"};
    qn_source_format format = sequences_of(QUERN_SEQUENCE_FASTQ, false);
    check_lines(&format, RECORD_BYTES_MAX, parts, sizeof parts / sizeof *parts, 14);
    check_lines(&format, 3, parts, sizeof parts / sizeof *parts, 14);
}
END_TEST

START_TEST(fastq_goes_on_at_the_next_four_lines_that_are_a_record)
{
    qn_source_format format = sequences_of(QUERN_SEQUENCE_ANY, false);
    open_tolerant(&format, RECORD_BYTES_MAX);
    check_said("@a\nAC\n+\nII\n@b\nACG\n+\nII\n@c\nA\n+\nI\n", "+a|AC+c|A!11,12");
    check_said("@a\nAC\n+\n@I\nAC\n+\nII\n\n@c\nA\n+\nI\n", "+a|AC+c|A!11,9");
    check_said("@a\nAC\n+\nII\n@b\nAC\n+\n", "+a|AC!11,8");
    close_kit();
    format = sequences_of(QUERN_SEQUENCE_FASTQ, true);
    open_tolerant(&format, RECORD_BYTES_MAX);
    check_said("@a/1\nA\n+\nI\n@b/1\nA\n+\nI\n@b/2\nC\n+\nI\n@d/1\nC\n+\nI\n", "+b/1|A+b/2|C!0,11!33,11");
    close_kit();
}
END_TEST

START_TEST(what_is_before_the_first_sequence_of_fasta_is_bad)
{
    static const char *const parts[] = {">a\nAC\nGT\n", ">b\n", "AC\n", "\n", "A>C\n", "\r\n", "A", ">"};
    qn_source_format format = sequences_of(QUERN_SEQUENCE_FASTA, false);
    check_lines(&format, RECORD_BYTES_MAX, parts, sizeof parts / sizeof *parts, 9);
    check_lines(&format, 4, parts, sizeof parts / sizeof *parts, 9);
    open_tolerant(&format, RECORD_BYTES_MAX);
    check_said("AC\nGT\n>a\nAC\n", "+a|AC!0,6");
    close_kit();
}
END_TEST

START_TEST(text_that_is_too_long_is_passed_over)
{
    static const char *const parts[] = {"a\n", "abcdefgh\n", "\n", "abcd", "ab"};
    for (int skip_empty = 0; skip_empty < 2; skip_empty++) {
        qn_source_format format = {.kind = QN_SOURCE_TEXT, .skip_empty = skip_empty};
        qn_delimiters_init(&format.delimiters, "\n", 1);
        check_lines(&format, 4, parts, sizeof parts / sizeof *parts, 8);
        open_tolerant(&format, 4);
        check_said("ab\nabcde\ncd\nabcdef", "+ab|+cd|!3,5!12,6");
        close_kit();
    }
}
END_TEST

START_TEST(what_is_no_whole_record_at_the_end_is_passed_over)
{
    for (uint64_t header = 0; header < 4; header++) {
        qn_source_format format = {
            .kind = QN_SOURCE_FIXED,
            .layout = {.record_bytes = 3, .header_bytes = header, .key_bytes = 3, .key_type = QUERN_BYTES}};
        size_t good_count = 0, bad_count = 0;
        open_tolerant(&format, RECORD_BYTES_MAX);
        for (size_t bytes = 1; bytes < 20; bytes++) {
            begin_model();
            put(&made.content, "0123456789abcdefghij", bytes);
            check_all_cuts(&good_count, &bad_count);
        }
        ck_assert_uint_ge(good_count, 30);
        ck_assert_uint_ge(bad_count, 12);
        close_kit();
    }
}
END_TEST

/* Records of which some are longer than a chunk, and longer than they may be. */
static void put_long(char begin, size_t bytes)
{
    static char line[800000];
    memset(line, begin == '@' ? 'C' : 'x', sizeof line);
    if (begin == '@') {
        put_text("@r\n");
        put(&made.content, line, bytes);
        put_text("\n+\n");
    } else if (begin == '>') {
        put_text(">r\n");
    } else if (begin) {
        put_text("k,\"\n");
    }
    put(&made.content, line, bytes);
    put_text(begin == '"' ? "\"\n" : "\n");
}

START_TEST(records_longer_than_record_bytes_are_passed_over_without_being_kept)
{
    qn_source_format formats[4] = {{.kind = QN_SOURCE_TEXT},
                                   rows_of(true, true),
                                   sequences_of(QUERN_SEQUENCE_FASTA, false),
                                   sequences_of(QUERN_SEQUENCE_FASTQ, false)};
    qn_delimiters_init(&formats[0].delimiters, "\n", 1);
    for (int i = 0; i < 4; i++) {
        static byte_buffer whole;
        uint64_t state = (uint64_t)i + 1;
        states_of = i == 1 ? &formats[1].records.rows : NULL;
        open_tolerant(&formats[i], 100000);
        begin_model();
        if (i == 1)
            put_text("key,value\n");
        for (int record = 0; record < 14; record++)
            put_long("\0\">@"[i],
                     record % 4 == 1 ? 110000 + kit_random_below(&state, 600000) : kit_random_below(&state, 30000));
        read_whole(&whole, true);
        size_t bad_count = 0;
        for (size_t at = 0; at < whole.bytes; at++)
            bad_count += whole.data[at] == '!';
        ck_assert_uint_eq(bad_count, 4);
        for (int cut = 0; cut < 40; cut++)
            check_cut(&whole, 1 + kit_random_below(&state, made.content.bytes - 1), false);
        close_kit();
    }
    states_of = NULL;
}
END_TEST

START_TEST(a_whole_file_that_is_too_long_is_passed_over)
{
    qn_source_format format = {.kind = QN_SOURCE_RECORDS, .records = {.kind = QN_RECORDS_FILES}};
    open_tolerant(&format, 400000);
    static byte_buffer whole;
    begin_model();
    put_long(0, 700000);
    read_whole(&whole, false);
    put(&whole, "", 1);
    ck_assert_str_eq(whole.data, "!0,700001");
    close_kit();
}
END_TEST

START_TEST(without_a_list_bad_input_is_a_failure)
{
    qn_source_format format = rows_of(true, true);
    open_kit(&format, RECORD_BYTES_MAX);
    begin_model();
    put_text("a,b\n5\" pipe,x\n");
    write_content();
    check_failure(0, made.content.bytes, QUERN_ERROR_INPUT, "a quote within a field");
    close_kit();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        bad_rows_are_the_same_wherever_the_file_is_cut,
        a_bad_row_ends_at_the_first_line_break_behind_what_is_bad,
        states_of_stretches_put_together_are_those_of_the_whole,
        bad_records_of_fastq_are_the_same_wherever_the_file_is_cut,
        fastq_goes_on_at_the_next_four_lines_that_are_a_record,
        what_is_before_the_first_sequence_of_fasta_is_bad,
        text_that_is_too_long_is_passed_over,
        what_is_no_whole_record_at_the_end_is_passed_over,
        records_longer_than_record_bytes_are_passed_over_without_being_kept,
        a_whole_file_that_is_too_long_is_passed_over,
        without_a_list_bad_input_is_a_failure,
    };
    return kit_run_tests("bad_input", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
