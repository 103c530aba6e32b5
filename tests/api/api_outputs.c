/* SPDX-License-Identifier: BSD-3-Clause */
/* Outputs of every form: unpacked by the programs that everybody has, they are the plain output, byte by byte. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT 30000

static const char *input[1];

typedef struct way {
    const char *name;
    quern_compression compression;
    int level;
    const char *suffix, *unpack; /* a command that reads files and writes what is in them */
} way;

static const way ways[] = {
    {"plain", QUERN_NOT_COMPRESSED, 0, "", "cat"},
    {"gzip", QUERN_GZIP, 0, ".gz", "gzip -dc"},
    {"best", QUERN_GZIP, 9, ".gz", "gzip -dc"},
    {"zstd", QUERN_ZSTD, 3, ".zst", "zstd -dcq"},
    {"lz4", QUERN_LZ4, 0, ".lz4", "lz4 -dcq --no-sparse"},
};

static void make_input(void)
{
    kit_text lines = {0};
    for (uint64_t i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "key-%" PRIu64 "\n", i * 7919 % 9000);
    input[0] = strdup(kit_path("lines"));
    kit_write_for_all(input[0], &lines);
    kit_free(&lines);
}

static quern_context *context_with(uint64_t split_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = split_bytes;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_dataset *counts_of(quern_context *context)
{
    return quern_reduce_by_key(quern_read_text(context, input, 1, NULL), QUERN_COUNT);
}

/* What the parts unpack to, one behind the other. */
static kit_text unpacked(const char *output, const way *how, bool one_file)
{
    const char *plain = kit_path("unpacked.%s.%d", how->name, one_file);
    char command[2000];
    snprintf(command, sizeof command, "for part in '%s'/part-?????%s; do %s \"$part\" || exit 1; done > '%s'", output,
             how->suffix, how->unpack, plain);
    CHECK_SAME(system(command), 0);
    snprintf(command, sizeof command, "test $(ls '%s' | wc -l) = $(($(ls '%s'/part-*%s | wc -l) + 2))", output, output,
             how->suffix);
    CHECK_SAME(system(command), 0); /* parts, manifest, _SUCCESS */
    return kit_read(plain);
}

static int count_any(const quern_record *record, void *user)
{
    (void)record;
    ++*(uint64_t *)user;
    return 0;
}

static int keep_some(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = in->key.bytes <= 6; /* up to key-99 */
    return 0;
}

static void check_way(quern_context *context, const way *how, bool one_file, const kit_text *expected)
{
    const char *output = kit_path("out.%s.%d", how->name, one_file);
    const quern_output_options options = {
        .struct_size = sizeof options, .compression = how->compression, .level = how->level, .one_file = one_file};
    CHECK_STATUS(quern_write_files(counts_of(context), output, &options), QUERN_OK, "");
    kit_run(context);
    if (kit_rank() == 0) {
        char second[700];
        kit_text got = unpacked(output, how, one_file);
        CHECK_SAME(got.bytes, expected->bytes);
        CHECK(memcmp(got.data, expected->data, got.bytes) == 0);
        snprintf(second, sizeof second, "%s/part-00001%s", output, how->suffix);
        CHECK_SAME(kit_exists(second), !one_file && kit_size() > 1);
        kit_free(&got);
    }
    kit_barrier();
}

static void compressed_and_joined_outputs_hold_the_same_bytes(void)
{
    quern_context *context = context_with(20000);
    quern_write_text(counts_of(context), kit_path("out.text"));
    kit_run(context);
    kit_text expected = {0};
    if (kit_rank() == 0)
        expected = kit_read_output(kit_path("out.text"));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        check_way(context, &ways[i], false, &expected);
        check_way(context, &ways[i], true, &expected);
    }
    kit_free(&expected);
    quern_context_destroy(context);
}

typedef struct wrap {
    quern_archive archive;
    quern_compression compression;
    const char *suffix;
    const char *readers[3]; /* programs that print the members one after the other */
} wrap;

#define PYTHON_ZIP                                                                                                     \
    "python3 -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; "                  \
    "[sys.stdout.buffer.write(z.read(n)) for n in z.namelist()]'"
#define PYTHON_TAR                                                                                                     \
    "python3 -c 'import sys, tarfile; t = tarfile.open(sys.argv[1]); "                                                 \
    "[sys.stdout.buffer.write(t.extractfile(m).read()) for m in t]'"

static const wrap wraps[] = {
    {QUERN_TAR, QUERN_NOT_COMPRESSED, ".tar", {"tar -xOf", "bsdtar -xOf", PYTHON_TAR}},
    {QUERN_TAR, QUERN_GZIP, ".tar.gz", {"tar -xzOf", "bsdtar -xOf", PYTHON_TAR}},
    {QUERN_TAR, QUERN_ZSTD, ".tar.zst", {"tar --zstd -xOf", "bsdtar -xOf"}},
    {QUERN_TAR, QUERN_LZ4, ".tar.lz4", {"tar -I lz4 -xOf", "bsdtar -xOf"}},
    {QUERN_ZIP, QUERN_NOT_COMPRESSED, ".zip", {"unzip -p", "bsdtar -xOf", PYTHON_ZIP}},
    {QUERN_ZIP, QUERN_GZIP, ".zip", {"unzip -p", "bsdtar -xOf", PYTHON_ZIP}},
};

static void check_readers(const wrap *how, const char *directory, const kit_text *expected)
{
    for (size_t i = 0; i < sizeof how->readers / sizeof *how->readers && how->readers[i]; i++) {
        const char *plain = kit_path("members");
        char command[2000];
        snprintf(command, sizeof command, "%s '%s/part-00000%s' > '%s'", how->readers[i], directory, how->suffix,
                 plain);
        if (system(command) != 0)
            kit_fail(__FILE__, __LINE__, "%s", command);
        kit_text got = kit_read(plain);
        CHECK_SAME(got.bytes, expected->bytes);
        CHECK(memcmp(got.data, expected->data, got.bytes) == 0);
        kit_free(&got);
    }
}

static void archives_are_read_by_the_programs_that_everybody_has(void)
{
    quern_context *context = context_with(20000);
    quern_write_text(counts_of(context), kit_path("wrap.text"));
    kit_run(context);
    kit_text expected = {0};
    if (kit_rank() == 0)
        expected = kit_read_output(kit_path("wrap.text"));
    for (size_t i = 0; i < sizeof wraps / sizeof *wraps; i++) {
        const char *directory = strdup(kit_path("wrap.%zu", i));
        const quern_output_options options = {
            .struct_size = sizeof options, .compression = wraps[i].compression, .archive = wraps[i].archive};
        CHECK_STATUS(quern_write_files(counts_of(context), directory, &options), QUERN_OK, "");
        kit_run(context);
        if (kit_rank() == 0)
            check_readers(&wraps[i], directory, &expected);
        uint64_t count = 0;
        quern_collect(quern_read_text(context, &directory, 1, NULL), QUERN_COLLECT_ROOT, count_any, &count);
        kit_run(context);
        if (kit_rank() == 0)
            CHECK_SAME(count, 9000);
        kit_barrier();
        free((void *)(uintptr_t)directory);
    }
    kit_free(&expected);
    quern_context_destroy(context);
}

/* Parts of a few lines, or none. */
static void archives_have_many_members_and_empty_ones(void)
{
    for (size_t i = 0; i < sizeof wraps / sizeof *wraps; i += 5) {
        quern_context *context = context_with(6000);
        const char *directory = strdup(kit_path("many.%zu", i));
        const quern_output_options options = {
            .struct_size = sizeof options, .compression = wraps[i].compression, .archive = wraps[i].archive};
        quern_write_files(quern_filter(quern_read_text(context, input, 1, NULL), keep_some, NULL), directory, &options);
        kit_run(context);
        kit_text expected = {0};
        for (uint64_t line = 0; line < LINE_COUNT; line++)
            if (line * 7919 % 9000 < 100)
                kit_put(&expected, "key-%" PRIu64 "\n", line * 7919 % 9000);
        if (kit_rank() == 0)
            check_readers(&wraps[i], directory, &expected);
        kit_free(&expected);
        kit_barrier();
        free((void *)(uintptr_t)directory);
        quern_context_destroy(context);
    }
}

static int count_line(const quern_record *record, void *user)
{
    CHECK(record->value.bytes == 0);
    ++*(uint64_t *)user;
    return 0;
}

static void an_output_is_the_input_of_the_next_job_by_its_directory(void)
{
    quern_context *context = context_with(0);
    const quern_output_options packed = {.struct_size = sizeof packed, .compression = QUERN_ZSTD, .one_file = 1};
    const char *directory = kit_path("out.next");
    uint64_t count = 0;
    quern_write_files(counts_of(context), directory, &packed);
    kit_run(context);
    quern_collect(quern_read_text(context, &directory, 1, NULL), QUERN_COLLECT_ROOT, count_line, &count);
    kit_run(context);
    if (kit_rank() == 0)
        CHECK_SAME(count, 9000);
    quern_context_destroy(context);
}

static int keep_eight(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = in->key.bytes == 8; /* key-1000 and on */
    return 0;
}

static int keep_six(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = in->key.bytes == 6; /* key-10 to key-99, of which there are three or four each */
    return 0;
}

static int count_row(const quern_record *row, void *user)
{
    char room[64];
    quern_span field;
    quern_csv_cursor cursor = {.data = row->value.data, .bytes = row->value.bytes};
    CHECK(row->key.bytes == 8 && memcmp(row->key.data, "\"a\",\r", 5) == 0);
    CHECK_SAME(quern_csv_next_field(&cursor, room, &field), 1);
    CHECK(field.bytes == 8 && memcmp(field.data, row->key.data, 8) == 0);
    CHECK_SAME(quern_csv_next_field(&cursor, room, &field), 1);
    CHECK(field.bytes == 1 && (*(const char *)field.data == '3' || *(const char *)field.data == '4'));
    CHECK_SAME(quern_csv_next_field(&cursor, room, &field), 0);
    ++*(uint64_t *)user;
    return 0;
}

/* Of quotes, separators and a carriage return, which all have to be quoted. */
static int make_odd(const quern_record *in, quern_record *out, void *user)
{
    char *odd = user;
    memcpy(odd, "\"a\",\r", 5);
    memcpy(odd + 5, (const char *)in->key.data + in->key.bytes - 3, 3);
    out->key = quern_bytes(odd, 8);
    return 0;
}

static void check_next(quern_context *context, quern_dataset *records, const quern_output_options *options,
                       const char *name, quern_dataset *(*read)(quern_context *context, const char *const *directory),
                       quern_each_fn see, uint64_t expected)
{
    const char *directory = kit_path("next.%s", name);
    uint64_t count = 0;
    quern_write_files(records, directory, options);
    kit_run(context);
    quern_collect(read(context, &directory), QUERN_COLLECT_ROOT, see, &count);
    kit_run(context);
    if (kit_rank() == 0)
        CHECK_SAME(count, expected);
}

static quern_dataset *read_lines(quern_context *context, const char *const *directory)
{
    return quern_read_text(context, directory, 1, NULL);
}

static quern_dataset *read_rows(quern_context *context, const char *const *directory)
{
    return quern_read_csv(context, directory, 1, NULL);
}

static quern_dataset *read_records(quern_context *context, const char *const *directory)
{
    quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = 16, .key_bytes = 8};
    options.schema = (quern_schema){QUERN_BYTES, QUERN_U64, 0, 0};
    return quern_read_fixed(context, directory, 1, &options);
}

static void parts_of_every_form_are_the_input_of_the_next_job(void)
{
    static char odd[8];
    quern_context *context = context_with(20000);
    const quern_schema same = {.key = QUERN_BYTES, .value = QUERN_NONE};
    const quern_output_options gzip = {.struct_size = sizeof gzip, .compression = QUERN_GZIP},
                               lz4 = {.struct_size = sizeof lz4, .compression = QUERN_LZ4},
                               rows = {.struct_size = sizeof rows, .form = QUERN_FORM_CSV},
                               fixed = {.struct_size = sizeof fixed, .form = QUERN_FORM_FIXED};
    check_next(context, counts_of(context), &gzip, "gzip", read_lines, count_line, 9000);
    check_next(context, counts_of(context), &lz4, "lz4", read_lines, count_line, 9000);
    quern_dataset *long_ones = quern_filter(counts_of(context), keep_eight, NULL);
    check_next(context, long_ones, &fixed, "fixed", read_records, count_any, 8000);
    quern_dataset *lines = quern_filter(quern_read_text(context, input, 1, NULL), keep_six, NULL);
    quern_dataset *odd_ones = quern_reduce_by_key(quern_map(lines, same, make_odd, odd), QUERN_COUNT);
    check_next(context, odd_ones, &rows, "csv", read_rows, count_row, 90);
    quern_context_destroy(context);
}

static int fail_always(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 1;
}

/* Before the members are put together, since another stage failed, and while they are made. */
static void a_job_that_fails_leaves_no_archive(void)
{
    for (size_t i = 0; i < sizeof wraps / sizeof *wraps; i++) {
        quern_context *context = context_with(20000);
        const char *directory = strdup(kit_path("failed.%zu", i));
        quern_output_options options = {
            .struct_size = sizeof options, .compression = wraps[i].compression, .archive = wraps[i].archive};
        quern_write_files(counts_of(context), directory, &options);
        quern_write_text(quern_map(counts_of(context), (quern_schema){QUERN_BYTES, QUERN_U64, 0, 0}, fail_always, NULL),
                         kit_path("failed.text"));
        kit_run_fails(context, QUERN_ERROR_CALLBACK);
        kit_check_no_output(directory);
        if (wraps[i].compression == QUERN_GZIP) {
            options.level = 77;
            quern_write_files(counts_of(context), directory, &options);
            CHECK_HAS(kit_run_fails(context, QUERN_ERROR_OUTPUT), "compress");
            kit_check_no_output(directory);
        }
        kit_barrier();
        free((void *)(uintptr_t)directory);
        quern_context_destroy(context);
    }
}

static void options_that_there_are_not_are_refused(void)
{
    const quern_output_options bad[] = {
        {.struct_size = 0},
        {.struct_size = sizeof bad[0], .form = (quern_form)4},
        {.struct_size = sizeof bad[0], .compression = (quern_compression)4},
        {.struct_size = sizeof bad[0], .archive = (quern_archive)3},
        {.struct_size = sizeof bad[0], .archive = QUERN_ZIP, .compression = QUERN_ZSTD},
        {.struct_size = sizeof bad[0], .form = QUERN_FORM_CSV, .separator = '"'},
        {.struct_size = sizeof bad[0], .form = QUERN_FORM_CSV, .separator = '\xff'},
        {.struct_size = sizeof bad[0], .form = QUERN_FORM_CSV, .row_separator = '\n'},
        {.struct_size = sizeof bad[0], .form = QUERN_FORM_TSV, .separator = ','},
        {.struct_size = sizeof bad[0], .separator = ';'},
        {.struct_size = sizeof bad[0], .form = QUERN_FORM_FIXED, .rows = 1},
        {.struct_size = sizeof bad[0], .form = QUERN_FORM_CSV, .name_count = 1},
        {.struct_size = sizeof bad[0], .form = QUERN_FORM_CSV, .names = (const char *const[]){NULL}, .name_count = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        quern_context *context = context_with(0);
        CHECK(quern_write_files(counts_of(context), kit_path("out.bad"), &bad[i]) == QUERN_ERROR_INVALID_ARGUMENT);
        kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT);
        quern_context_destroy(context);
    }
    quern_context *context = context_with(0);
    const quern_output_options rows = {.struct_size = sizeof rows, .form = QUERN_FORM_CSV, .rows = 1};
    CHECK(quern_write_files(counts_of(context), kit_path("out.bad"), &rows) == QUERN_ERROR_INVALID_PLAN);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_PLAN), "QUERN_BYTES");
    quern_context_destroy(context);
    context = context_with(0);
    const quern_output_options level = {.struct_size = sizeof level, .compression = QUERN_GZIP, .level = 77};
    quern_write_files(counts_of(context), kit_path("out.level"), &level);
    const char *text = kit_run_fails(context, QUERN_ERROR_OUTPUT);
    CHECK_HAS(text, "compress");
    kit_check_no_output(kit_path("out.level"));
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(compressed_and_joined_outputs_hold_the_same_bytes, 30);
    RUN(archives_are_read_by_the_programs_that_everybody_has, 30);
    RUN(archives_have_many_members_and_empty_ones, 60);
    RUN(a_job_that_fails_leaves_no_archive, 60);
    RUN(an_output_is_the_input_of_the_next_job_by_its_directory, 10);
    RUN(parts_of_every_form_are_the_input_of_the_next_job, 20);
    RUN(options_that_there_are_not_are_refused, 10);
    return kit_finish();
}
