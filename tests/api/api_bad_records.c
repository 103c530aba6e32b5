/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/api/api_bad_records.c: bad records fail the job, are skipped up to a bound, or are set apart with their bytes; nothing of them is in the
 * answer, and each is counted once, on any number of ranks and however often it was tried.
 */
#include "api_kit.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_COUNT  6000
#define BURST_COUNT 60000

static quern_options small_splits(void)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 9973;
    options.report_path = kit_path("report.json");
    return options;
}

static const quern_schema bytes_bytes = {QUERN_BYTES, QUERN_BYTES, 0};

/* ---- what sources pass over ---- */

/* Paths are other ones in each launch. */
static int without_path(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    return quern_emit(out, quern_bytes("file", 4), in->value);
}

static void check_skipped(quern_context *context, quern_dataset *records, const char *output, kit_text *expected,
                          uint64_t bad_count)
{
    bool is_file = strstr(output, "files") != NULL;
    quern_tolerate(records, QUERN_BAD_SKIP, bad_count); /* exactly so many may be */
    quern_write_text(is_file ? quern_flat_map(records, bytes_bytes, without_path, NULL) : records, output);
    kit_run(context);
    kit_check_output(output, expected, false);
    CHECK_SAME(kit_reported("skipped"), bad_count);
    CHECK_SAME(kit_reported("quarantined"), 0);
    kit_free(expected);
}

static void rows_with_broken_quotes_or_columns_are_skipped(void)
{
    kit_text csv = {0}, expected = {0};
    uint64_t bad_count = 0;
    for (int i = 0; i < LINE_COUNT; i++) {
        bool bad = i % 100 == 7 || i % 100 == 50 || i % 1000 == 99;
        bad_count += bad;
        if (i % 100 == 7)
            kit_put(&csv, "%d,5\" pipe\n", i);
        else if (i % 100 == 50)
            kit_put(&csv, "%d,a,b\n", i);
        else if (i % 1000 == 99)
            kit_put(&csv, "%d,\"quotes\nand\"more\n", i);
        else
            kit_put(&csv, "%d,\"x,%d\"\n", i, i);
        if (!bad)
            kit_put(&expected, "%d\t%d,\"x,%d\"\n", i, i, i);
    }
    const char *paths[] = {kit_path("rows.csv")};
    kit_write_for_all(paths[0], &csv);
    quern_options options = small_splits();
    quern_context *context = kit_context(&options);
    check_skipped(context, quern_read_csv(context, paths, 1, NULL), kit_path("rows"), &expected, bad_count);
    CHECK(kit_reported("tasks") > 8);
    quern_context_destroy(context);
    kit_free(&csv);
}

static void make_reads(kit_text *fastq, kit_text *expected, uint64_t *bad_count)
{
    *bad_count = 0;
    for (int i = 0; i < LINE_COUNT; i++) {
        bool bad = i % 50 == 3;
        *bad_count += bad;
        kit_put(fastq, "@r%d\nACGT\n+\n%s\n", i, bad ? (i % 100 == 3 ? "III" : "@IIII") : "@III");
        if (!bad)
            kit_put(expected, "r%d\tACGT\n", i);
    }
    kit_put(fastq, "@last\nAC\n+\n");
    ++*bad_count;
}

static void reads_that_are_no_four_lines_are_skipped(void)
{
    kit_text fastq = {0}, expected = {0};
    uint64_t bad_count;
    make_reads(&fastq, &expected, &bad_count);
    const char *paths[] = {kit_path("reads.fq")};
    kit_write_for_all(paths[0], &fastq);
    quern_options options = small_splits();
    quern_context *context = kit_context(&options);
    check_skipped(context, quern_read_sequences(context, paths, 1, NULL), kit_path("reads"), &expected, bad_count);
    quern_context_destroy(context);
    kit_free(&fastq);
}

static void records_that_are_too_long_and_ends_of_files_are_skipped(void)
{
    static char zeros[80000];
    kit_text lines = {0}, expected = {0}, fixed = {0}, words = {0};
    memset(zeros, '0', sizeof zeros);
    for (int i = 0; i < LINE_COUNT; i++) {
        if (i % 1000 == 17)
            kit_put_bytes(&lines, zeros, 70000 + (size_t)i);
        kit_put(&lines, "%d\n", i);
        if (i % 1000 != 17)
            kit_put(&expected, "%d\n", i);
        kit_put(&fixed, "%07d%s", i, i == LINE_COUNT - 1 ? "tail" : "");
        kit_put(&words, "%07d\n", i);
    }
    const char *text[] = {kit_path("long.txt")}, *records[] = {kit_path("records")};
    kit_write_for_all(text[0], &lines);
    kit_write_for_all(records[0], &fixed);
    quern_options options = small_splits();
    options.record_bytes_max = 60000;
    quern_context *context = kit_context(&options);
    check_skipped(context, quern_read_text(context, text, 1, NULL), kit_path("long"), &expected, 6);
    quern_fixed_options form = {.struct_size = sizeof form, .record_bytes = 7};
    check_skipped(context, quern_read_fixed(context, records, 1, &form), kit_path("fixed"), &words, 1);
    const char *both[] = {text[0], kit_path("small")};
    kit_text small = {0}, one = {0};
    kit_put(&small, "small");
    kit_put(&one, "file\tsmall\n");
    kit_write_for_all(both[1], &small);
    check_skipped(context, quern_read_files(context, both, 2, NULL), kit_path("files"), &one, 1);
    quern_context_destroy(context);
    kit_free(&lines);
    kit_free(&fixed);
    kit_free(&small);
}

/* Lines in a packed file that ends too early: what is whole before that is there, and the rest is one bad item. */
static void what_cannot_be_unpacked_is_one_bad_item(void)
{
    kit_text lines = {0};
    for (int i = 0; i < 60000; i++)
        kit_put(&lines, "%d\n", i * 7919);
    const char *paths[] = {kit_path("numbers")};
    kit_write_for_all(paths[0], &lines);
    quern_options options = small_splits();
    options.split_bytes = 50000;
    options.bad_records = "skip:1";
    quern_context *context = kit_context(&options);
    for (int form = QUERN_GZIP; form <= QUERN_LZ4; form++) {
        quern_output_options packed = {
            .struct_size = sizeof packed, .compression = (quern_compression)form, .one_file = 1};
        const char *directory = strdup(kit_path("packed%d", form)), *broken[] = {strdup(kit_path("broken%d", form))};
        quern_write_files(quern_read_text(context, paths, 1, NULL), directory, &packed);
        kit_run(context);
        static const char *const ends[] = {"", ".gz", ".zst", ".lz4"};
        char name[500];
        snprintf(name, sizeof name, "%s/data%s", directory, ends[form]);
        if (kit_rank() == 0) {
            DIR *open = opendir(directory);
            for (struct dirent *entry; (entry = readdir(open)) != NULL;)
                if (strstr(entry->d_name, ends[form]))
                    snprintf(name, sizeof name, "%s/%s", directory, entry->d_name);
            closedir(open);
            kit_text whole = kit_read(name);
            whole.bytes = whole.bytes * 2 / 3;
            kit_write(broken[0], &whole);
            kit_free(&whole);
        }
        kit_barrier();
        quern_write_text(quern_reduce_by_key(quern_read_text(context, broken, 1, NULL), QUERN_COUNT),
                         kit_path("unpacked%d", form));
        kit_run(context);
        CHECK_SAME(kit_reported("skipped"), 1);
        if (kit_rank() == 0) {
            kit_text got = kit_read_output(kit_path("unpacked%d", form));
            uint64_t count = 0;
            for (size_t i = 0; i < got.bytes; i++)
                count += got.data[i] == '\n';
            CHECK(count > 10000 && count < 60000);
            printf("%d lines are whole in what is unpacked of form %d\n", (int)count, form);
            kit_free(&got);
        }
    }
    quern_context_destroy(context);
    kit_free(&lines);
}

/* ---- the bound ---- */

static void one_more_than_the_bound_fails_the_job(void)
{
    kit_text csv = {0};
    for (int i = 0; i < LINE_COUNT; i++)
        kit_put(&csv, i % 100 == 7 ? "%d,5\" pipe\n" : "%d,x\n", i);
    const char *paths[] = {kit_path("sixty.csv")};
    kit_write_for_all(paths[0], &csv);
    quern_options options = small_splits();
    quern_context *context = kit_context(&options);
    quern_dataset *rows = quern_read_csv(context, paths, 1, NULL);
    quern_write_text(quern_tolerate(rows, QUERN_BAD_SKIP, LINE_COUNT / 100 - 1), kit_path("exceeded"));
    const char *text = kit_run_fails(context, QUERN_ERROR_BAD_RECORDS);
    CHECK_HAS(text, "sixty.csv");
    CHECK_HAS(text, "a quote within a field");
    kit_check_no_output(kit_path("exceeded"));
    quern_write_text(quern_tolerate(rows, QUERN_BAD_FAIL, 0), kit_path("exceeded"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INPUT), "sixty.csv");
    quern_context_destroy(context);
    kit_free(&csv);
}

static void policies_that_make_no_sense_are_refused(void)
{
    quern_context *context = kit_context(NULL);
    const char *paths[] = {"x"};
    quern_dataset *lines = quern_read_text(context, paths, 1, NULL);
    CHECK(!quern_tolerate(NULL, QUERN_BAD_SKIP, 1));
    CHECK(!quern_tolerate(lines, QUERN_BAD_SKIP, 0));
    CHECK(!quern_tolerate(lines, (quern_bad_policy)9, 1));
    CHECK(!quern_tolerate(quern_reduce_by_key(lines, QUERN_COUNT), QUERN_BAD_SKIP, 1));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "above 0");
    quern_write_text(quern_tolerate(lines, QUERN_BAD_QUARANTINE, 1), kit_path("refused"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_OPTION), "quarantine");
    quern_context_destroy(context);
}

/* ---- callbacks ---- */

typedef struct trouble {
    const char *name;
    uint64_t burst_every; /* lines that are multiples of it emit many */
    bool at_first_only;
} trouble;

static bool is_bad(uint64_t line)
{
    return line % 500 == 123;
}

static int emit_five(const quern_record *in, quern_emitter *out, void *user)
{
    const trouble *t = user;
    uint64_t line = kit_number(in->key);
    uint64_t count = t->burst_every > 0 && line % t->burst_every == 23 ? BURST_COUNT : 5;
    for (uint64_t i = 0; i < count; i++) {
        char key[64];
        if (i == count / 2 + 1 && is_bad(line) && (!t->at_first_only || kit_first_time("%s.%" PRIu64, t->name, line)))
            return quern_fail(out, 0, "it is not to my taste");
        int bytes = snprintf(key, sizeof key, "%" PRIu64 ".%" PRIu64, line, i % 100);
        int refused = quern_emit(out, quern_bytes(key, (size_t)bytes), in->key);
        if (refused)
            return refused;
    }
    return 0;
}

static int emit_block(const quern_block *in, quern_emitter *out, void *user)
{
    for (size_t i = 0; i < in->count; i++) {
        quern_record one = {quern_bytes(in->key[i], in->key_bytes[i]), quern_bytes("", 0)};
        int refused = emit_five(&one, out, user);
        if (refused)
            return refused;
    }
    return 0;
}

/* The second operator fails, on what the first one gave: the third of five. */
static int fail_on_third(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    const char *key = in->key.data;
    *keep_out = 1;
    return is_bad(kit_number(in->value)) && memcmp(key + in->key.bytes - 2, ".3", 2) == 0;
}

static int only_pass(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    return quern_emit(out, in->key, in->value);
}

static const char *make_lines(void)
{
    kit_text lines = {0};
    for (int i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "%d\n", i);
    const char *path = strdup(kit_path("lines"));
    kit_write_for_all(path, &lines);
    kit_free(&lines);
    return path;
}

static kit_text expect_lines(bool leaves_out, uint64_t burst_every, bool counts)
{
    kit_text expected = {0};
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        bool bursts = burst_every > 0 && line % burst_every == 23;
        uint64_t count = bursts ? 100 : 5;
        for (uint64_t i = 0; i < count && !(leaves_out && is_bad(line)); i++) {
            kit_put(&expected, "%" PRIu64 ".%" PRIu64 "\t", line, i);
            if (counts)
                kit_put(&expected, "%d\n", bursts ? BURST_COUNT / 100 : 1);
            else
                kit_put(&expected, "%" PRIu64 "\n", line);
        }
    }
    return expected;
}

static void check_callback(quern_context *context, quern_dataset *given, const char *name, bool counts,
                           const trouble *t, uint64_t bad_count)
{
    kit_text expected = expect_lines(bad_count > 0, t->burst_every, counts);
    quern_write_text(counts ? quern_reduce_by_key(quern_keys(given), QUERN_COUNT) : given, kit_path("%s", name));
    kit_run(context);
    kit_check_output(kit_path("%s", name), &expected, false);
    CHECK_SAME(kit_reported("skipped"), bad_count);
    kit_free(&expected);
}

static void nothing_of_a_record_on_which_a_callback_fails_is_in_the_answer(void)
{
    const char *paths[] = {make_lines()};
    trouble always = {.name = "always"};
    uint64_t bad_count = LINE_COUNT / 500;
    for (uint64_t attempts = 1; attempts < 5; attempts += 3) {
        quern_options options = small_splits();
        options.attempt_count_max = attempts;
        quern_context *context = kit_context(&options);
        quern_dataset *lines = quern_tolerate(quern_read_text(context, paths, 1, NULL), QUERN_BAD_SKIP, bad_count);
        quern_dataset *fives = quern_flat_map(lines, bytes_bytes, emit_five, &always);
        const char *names[2][4] = {{"counts1", "records1", "blocks1", "passed1"},
                                   {"counts4", "records4", "blocks4", "passed4"}};
        const char *const *name = names[attempts > 1];
        check_callback(context, fives, name[0], true, &always, bad_count);
        check_callback(context, fives, name[1], false, &always, bad_count);
        quern_dataset *blocks = quern_flat_map_block(lines, bytes_bytes, emit_block, &always);
        check_callback(context, blocks, name[2], true, &always, bad_count);
        check_callback(context, quern_flat_map(blocks, bytes_bytes, only_pass, NULL), name[3], false, &always,
                       bad_count);
        quern_context_destroy(context);
    }
}

static void an_operator_further_on_fails_the_same_way(void)
{
    const char *paths[] = {make_lines()};
    trouble none = {.name = "none", .at_first_only = true};
    uint64_t bad_count = LINE_COUNT / 500;
    quern_options options = small_splits();
    quern_context *context = kit_context(&options);
    quern_dataset *lines = quern_tolerate(quern_read_text(context, paths, 1, NULL), QUERN_BAD_SKIP, bad_count);
    quern_dataset *fives = quern_flat_map(lines, bytes_bytes, emit_five, &none);
    check_callback(context, quern_filter(fives, fail_on_third, NULL), "further", true, &none, bad_count);
    quern_context_destroy(context);
}

static void a_record_that_passes_when_it_is_tried_again_is_not_bad(void)
{
    const char *paths[] = {make_lines()};
    trouble once = {.name = "once", .at_first_only = true};
    quern_options options = small_splits();
    quern_context *context = kit_context(&options);
    quern_dataset *lines = quern_tolerate(quern_read_text(context, paths, 1, NULL), QUERN_BAD_SKIP, 1);
    check_callback(context, quern_flat_map(lines, bytes_bytes, emit_five, &once), "again", true, &once, 0);
    quern_context_destroy(context);
}

/* More than is held back: each block that has one is tried before it is delivered. */
static void records_that_emit_more_than_is_held_back_come_once_or_not_at_all(void)
{
    const char *paths[] = {make_lines()};
    trouble bursts = {.name = "bursts", .burst_every = 100},
            once = {.name = "burst", .burst_every = 100, .at_first_only = true};
    quern_options options = small_splits();
    options.memory_bytes = (uint64_t)kit_size() * (48 << 20);
    options.scratch_dir = kit_path("%s", ".");
    quern_context *context = kit_context(&options);
    quern_dataset *lines = quern_tolerate(quern_read_text(context, paths, 1, NULL), QUERN_BAD_SKIP, LINE_COUNT / 500);
    check_callback(context, quern_flat_map(lines, bytes_bytes, emit_five, &bursts), "bursts", true, &bursts,
                   LINE_COUNT / 500);
    check_callback(context, quern_flat_map(lines, bytes_bytes, emit_five, &once), "burst", true, &once, 0);
    quern_context_destroy(context);
}

/* ---- quarantine ---- */

static int letter_value(char letter)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = letter ? strchr(letters, letter) : NULL;
    return found ? (int)(found - letters) : -1;
}

static void decode(const char *from, kit_text *to)
{
    uint32_t word = 0;
    int bits = 0;
    for (; letter_value(*from) >= 0; from++) {
        word = word << 6 | (uint32_t)letter_value(*from);
        bits += 6;
        if (bits >= 8) {
            char byte = (char)(word >> (bits -= 8));
            kit_put_bytes(to, &byte, 1);
        }
    }
}

/* What the files of a quarantine hold: offset<TAB>bytes as they stood. */
static kit_text read_quarantine(const char *directory, const char *reason)
{
    kit_text all = {0};
    DIR *open = opendir(directory);
    CHECK(open != NULL);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
        char path[600];
        if (strncmp(entry->d_name, "bad-", 4) != 0) {
            CHECK(entry->d_name[0] == '.' && strlen(entry->d_name) < 3); /* nothing temporary is left */
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        kit_text lines = kit_read(path);
        for (char *line = lines.data; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
            const char *offset = strstr(line, "\"offset\":"), *data = strstr(line, "\"data\":\"");
            CHECK(offset && data && strstr(line, reason));
            kit_put(&all, "%d\t", atoi(offset + 9));
            decode(data + 8, &all);
            kit_put(&all, all.data[all.bytes - 1] == '\n' ? "" : "\n");
        }
        kit_free(&lines);
    }
    closedir(open);
    return all;
}

static void bad_records_are_set_apart_as_they_stood(void)
{
    kit_text csv = {0}, expected = {0};
    for (int i = 0; i < LINE_COUNT; i++) {
        if (i % 100 == 7)
            kit_put(&expected, "%d\t%d,5\" pi\"pe\n", (int)csv.bytes, i);
        if (i % 100 == 7)
            kit_put(&csv, "%d,5\" pi\"pe\n", i);
        else
            kit_put(&csv, "%d,x\n", i);
    }
    const char *paths[] = {kit_path("set.csv")}, *apart = kit_path("apart");
    kit_write_for_all(paths[0], &csv);
    quern_options options = small_splits();
    options.quarantine_dir = apart;
    options.bad_records = "quarantine:60";
    quern_context *context = kit_context(&options);
    quern_write_text(quern_read_csv(context, paths, 1, NULL), kit_path("kept"));
    kit_run(context);
    CHECK_SAME(kit_reported("quarantined"), LINE_COUNT / 100);
    CHECK_SAME(kit_reported("skipped"), 0);
    if (kit_rank() == 0) {
        kit_text got = read_quarantine(apart, "a quote within a field");
        kit_sort_lines(&got);
        kit_sort_lines(&expected);
        CHECK_SAME(got.bytes, expected.bytes);
        CHECK(memcmp(got.data, expected.data, got.bytes) == 0);
        kit_free(&got);
    }
    quern_write_text(quern_tolerate(quern_read_csv(context, paths, 1, NULL), QUERN_BAD_QUARANTINE, 3),
                     kit_path("kept2"));
    kit_run_fails(context, QUERN_ERROR_BAD_RECORDS); /* it takes nothing back but its own */
    kit_barrier();
    if (kit_rank() == 0) {
        kit_text got = read_quarantine(apart, "a quote within a field");
        CHECK_SAME(got.bytes, expected.bytes);
        kit_free(&got);
    }
    quern_context_destroy(context);
    context = kit_context(&options);
    quern_write_text(quern_read_csv(context, paths, 1, NULL), kit_path("kept3"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_OUTPUT_EXISTS), "is not empty");
    kit_check_no_output(kit_path("kept3"));
    quern_context_destroy(context);
    kit_free(&csv);
    kit_free(&expected);
}

static void records_of_failing_callbacks_are_set_apart_once(void)
{
    const char *paths[] = {make_lines()}, *apart = kit_path("apart2");
    trouble always = {.name = "apart"};
    quern_options options = small_splits();
    options.quarantine_dir = apart;
    quern_context *context = kit_context(&options);
    quern_dataset *lines = quern_tolerate(quern_read_text(context, paths, 1, NULL), QUERN_BAD_QUARANTINE, 100);
    quern_write_text(
        quern_reduce_by_key(quern_keys(quern_flat_map(lines, bytes_bytes, emit_five, &always)), QUERN_COUNT),
        kit_path("apart-counts"));
    kit_run(context);
    CHECK_SAME(kit_reported("quarantined"), LINE_COUNT / 500);
    if (kit_rank() == 0) {
        kit_text got = read_quarantine(apart, "not to my taste"), expected = {0};
        for (int i = 0, offset = 0; i < LINE_COUNT; i++) {
            char line[16];
            if (is_bad((uint64_t)i))
                kit_put(&expected, "%d\t%d\n", offset, i);
            offset += snprintf(line, sizeof line, "%d\n", i);
        }
        kit_sort_lines(&got);
        kit_sort_lines(&expected);
        CHECK(got.bytes == expected.bytes && memcmp(got.data, expected.data, got.bytes) == 0);
        kit_free(&got);
        kit_free(&expected);
    }
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(rows_with_broken_quotes_or_columns_are_skipped, 60);
    RUN(reads_that_are_no_four_lines_are_skipped, 60);
    RUN(records_that_are_too_long_and_ends_of_files_are_skipped, 60);
    RUN(what_cannot_be_unpacked_is_one_bad_item, 60);
    RUN(one_more_than_the_bound_fails_the_job, 60);
    RUN(policies_that_make_no_sense_are_refused, 60);
    RUN(nothing_of_a_record_on_which_a_callback_fails_is_in_the_answer, 60);
    RUN(an_operator_further_on_fails_the_same_way, 60);
    RUN(a_record_that_passes_when_it_is_tried_again_is_not_bad, 60);
    RUN(records_that_emit_more_than_is_held_back_come_once_or_not_at_all, 90);
    RUN(bad_records_are_set_apart_as_they_stood, 60);
    RUN(records_of_failing_callbacks_are_set_apart_once, 60);
    return kit_finish();
}
