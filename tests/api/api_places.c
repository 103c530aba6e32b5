/* SPDX-License-Identifier: BSD-3-Clause */
/* Where records of text are, where callbacks say that they fail, and records written as their bytes. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "api_kit.h"

#define FILE_COUNT 4
#define LINE_COUNT 3000

static kit_text contents[FILE_COUNT];
static const char *names[FILE_COUNT]; /* in byte order; the second one is empty */
static const char *folder[1];
static const quern_schema keys_only = {QUERN_BYTES, QUERN_NONE, 0};

static quern_context *context_with(uint64_t split_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = split_bytes;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static void make_files(void)
{
    uint64_t state = 3;
    folder[0] = strdup(kit_path("in"));
    if (kit_rank() == 0)
        mkdir(folder[0], 0777);
    kit_barrier();
    for (int f = 0; f < FILE_COUNT; f++) {
        names[f] = strdup(kit_path("in/%d-%s", f, f == 2 ? "a-rather-long-name, with a blank" : "x"));
        for (int i = 0; f != 1 && i < LINE_COUNT; i++)
            kit_put(&contents[f], "%d:%d%.*s\n", f, i, (int)(kit_random(&state) % 50),
                    ".........................................................");
        kit_write_for_all(names[f], &contents[f]);
    }
}

static quern_dataset *lines_with(quern_context *context, quern_text_value value)
{
    quern_text_options options = {.struct_size = sizeof options, .value = value};
    return quern_read_text(context, folder, 1, &options);
}

static int file_of(quern_span key)
{
    return *(const char *)key.data - '0';
}

static int check_path(const quern_record *line, void *count)
{
    const char *name = names[file_of(line->key)];
    CHECK_SAME(line->value.bytes, strlen(name));
    CHECK(memcmp(line->value.data, name, line->value.bytes) == 0);
    ++*(uint64_t *)count;
    return 0;
}

static int check_offset(const quern_record *line, void *count)
{
    const kit_text *content = &contents[file_of(line->key)];
    uint64_t offset = quern_u64(line->value);
    CHECK(offset + line->key.bytes < content->bytes);
    CHECK(memcmp(content->data + offset, line->key.data, line->key.bytes) == 0);
    ++*(uint64_t *)count;
    return 0;
}

static int check_place(const quern_record *line, void *count)
{
    uint64_t offset = quern_place_offset(line->value), unused = 0;
    const quern_record with_path = {line->key, quern_place_path(line->value)};
    const quern_record with_offset = {line->key, quern_of_u64(&offset)};
    check_path(&with_path, &unused);
    return check_offset(&with_offset, count);
}

static void lines_know_their_file_and_byte_wherever_files_are_cut(void)
{
    for (uint64_t split_bytes = 5003; split_bytes < 1000000; split_bytes *= 100) {
        uint64_t counts[3] = {0};
        quern_context *context = context_with(split_bytes);
        quern_collect(lines_with(context, QUERN_TEXT_PATH), QUERN_COLLECT_ALL, check_path, &counts[0]);
        quern_collect(lines_with(context, QUERN_TEXT_OFFSET), QUERN_COLLECT_ALL, check_offset, &counts[1]);
        quern_collect(lines_with(context, QUERN_TEXT_PLACE), QUERN_COLLECT_ALL, check_place, &counts[2]);
        kit_run(context);
        for (int i = 0; i < 3; i++)
            CHECK_SAME(counts[i], 3 * LINE_COUNT);
        quern_context_destroy(context);
    }
}

static void offsets_are_numbers_that_reductions_take(void)
{
    quern_context *context = context_with(5000);
    kit_text expected = {0};
    for (int f = 0; f < FILE_COUNT; f++)
        for (size_t at = 0; at < contents[f].bytes; at += strcspn(contents[f].data + at, "\n") + 1)
            kit_put(&expected, "%.*s\t%zu\n", (int)strcspn(contents[f].data + at, "\n"), contents[f].data + at, at);
    quern_write_text(quern_reduce_by_key(lines_with(context, QUERN_TEXT_OFFSET), QUERN_SUM), kit_path("out.offsets"));
    kit_run(context);
    kit_check_output(kit_path("out.offsets"), &expected, false);
    kit_free(&expected);
    quern_context_destroy(context);
}

static void a_value_that_does_not_exist_is_refused(void)
{
    quern_context *context = context_with(5000);
    CHECK(lines_with(context, (quern_text_value)4) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "quern_text_value");
    quern_context_destroy(context);
}

/* ---- failures ---- */

#define BAD_LINE "2:1234"

static bool is_bad(quern_span line)
{
    return line.bytes >= strlen(BAD_LINE) && memcmp(line.data, BAD_LINE, strlen(BAD_LINE)) == 0;
}

static int fail_in_block(const quern_block *lines, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < lines->count; i++) {
        quern_span line = quern_bytes(lines->key[i], lines->key_bytes[i]);
        if (is_bad(line))
            return quern_fail(out, i, "this line is bad");
        if (quern_emit(out, line, quern_bytes("", 0)) != 0)
            return 1;
    }
    return 0;
}

static int fail_on_record(const quern_record *line, quern_emitter *out, void *user)
{
    (void)user;
    if (is_bad(line->key)) {
        CHECK(quern_fail(out, 0, "this line is bad") != 0);
        CHECK(quern_fail(out, 0, "what comes later is not heard") != 0);
        CHECK(quern_emit(out, line->key, line->value) != 0);
    }
    return is_bad(line->key) ? 5 : quern_emit(out, line->key, line->value);
}

static int pass_block(const quern_record *line, quern_emitter *out, void *user)
{
    (void)user;
    return quern_emit(out, line->key, line->value);
}

static void check_named(quern_dataset *failing, quern_context *context, const char *place)
{
    quern_write_text(quern_name(failing, "finder of bad lines"), kit_path("failed"));
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(text, "'finder of bad lines': this line is bad, on the record at byte ");
    CHECK_HAS(text, place);
    kit_check_no_output(kit_path("failed"));
    quern_context_destroy(context);
}

static void a_callback_says_why_it_fails_and_the_run_where(void)
{
    char place[512];
    const char *bad = strstr(contents[2].data, "\n" BAD_LINE) + 1;
    snprintf(place, sizeof place, "byte %td of %s", bad - contents[2].data, names[2]);
    for (uint64_t split_bytes = 2003; split_bytes < 1000000; split_bytes *= 100) {
        quern_context *context = context_with(split_bytes);
        check_named(quern_flat_map_block(lines_with(context, QUERN_TEXT_NO_VALUE), keys_only, fail_in_block, NULL),
                    context, place);
        context = context_with(split_bytes);
        quern_dataset *passed = quern_flat_map(lines_with(context, QUERN_TEXT_NO_VALUE), keys_only, pass_block, NULL);
        check_named(quern_flat_map_block(passed, keys_only, fail_in_block, NULL), context, place);
        context = context_with(split_bytes);
        check_named(quern_flat_map(lines_with(context, QUERN_TEXT_NO_VALUE), keys_only, fail_on_record, NULL), context,
                    place);
    }
}

/* ---- records as bytes ---- */

static int as_numbers(const quern_record *line, quern_emitter *out, void *user)
{
    uint64_t key = kit_number(quern_bytes((const char *)line->key.data + 2, line->key.bytes - 2));
    int32_t value = -file_of(line->key);
    (void)user;
    return quern_emit(out, quern_of_u64(&key), quern_of_i32(&value));
}

static void records_are_written_as_their_bytes(void)
{
    const quern_schema numbers = {QUERN_U64, QUERN_I32, 0};
    quern_context *context = context_with(3000);
    const char *out = kit_path("out.bytes");
    quern_dataset *lines = lines_with(context, QUERN_TEXT_NO_VALUE);
    quern_write_fixed(quern_sort_by_key(quern_flat_map(lines, numbers, as_numbers, NULL), NULL), out);
    quern_write_fixed(lines, kit_path("out.lines"));
    kit_run(context);
    if (kit_rank() == 0) {
        kit_text got = kit_read_output(out), all_lines = kit_read_output(kit_path("out.lines")), expected = {0};
        static const int32_t values[] = {-3, -2, 0};
        for (uint64_t key = 0; key < LINE_COUNT; key++)
            for (int i = 0; i < 3; i++) {
                kit_put_bytes(&expected, &key, 8);
                kit_put_bytes(&expected, &values[i], 4);
            }
        CHECK_SAME(got.bytes, expected.bytes);
        CHECK(memcmp(got.data, expected.data, got.bytes) == 0);
        expected.bytes = 0;
        for (int f = 0; f < FILE_COUNT; f++)
            for (size_t i = 0; i < contents[f].bytes; i++)
                if (contents[f].data[i] != '\n')
                    kit_put_bytes(&expected, contents[f].data + i, 1);
        CHECK_SAME(all_lines.bytes, expected.bytes);
        CHECK(memcmp(all_lines.data, expected.data, expected.bytes) == 0);
        kit_free(&got);
        kit_free(&all_lines);
        kit_free(&expected);
    }
    quern_context_destroy(context);
}

static void an_output_of_bytes_is_refused_like_one_of_text(void)
{
    quern_context *context = context_with(3000);
    quern_dataset *lines = lines_with(context, QUERN_TEXT_NO_VALUE);
    CHECK_SAME(quern_write_fixed(NULL, "x"), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_SAME(quern_write_fixed(lines, NULL), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "write fixed");
    quern_write_fixed(lines, folder[0]);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_OUTPUT_EXISTS), folder[0]);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_files();
    RUN(lines_know_their_file_and_byte_wherever_files_are_cut, 60);
    RUN(offsets_are_numbers_that_reductions_take, 60);
    RUN(a_value_that_does_not_exist_is_refused, 60);
    RUN(a_callback_says_why_it_fails_and_the_run_where, 60);
    RUN(records_are_written_as_their_bytes, 60);
    RUN(an_output_of_bytes_is_refused_like_one_of_text, 60);
    return kit_finish();
}
