/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong for good: sums, sizes, schemas, directories. The same status and text on all ranks, and nothing left behind. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api_kit.h"

#define LINE_COUNT 4000

static const quern_schema bytes_i64 = {QUERN_BYTES, QUERN_I64, 0};
static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema i64_u64 = {QUERN_I64, QUERN_U64, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
static const char *input[1];

static void make_input(void)
{
    kit_text lines = {0};
    for (int i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "line %d\n", i);
    input[0] = strdup(kit_path("lines"));
    kit_write_for_all(input[0], &lines);
    kit_free(&lines);
}

static quern_context *many_tasks(quern_options *options)
{
    quern_options standard;
    quern_options_init(&standard);
    if (!options)
        options = &standard;
    options->split_bytes = 500;
    options->report_path = kit_path("report.json");
    return kit_context(options);
}

static quern_dataset *lines_of(quern_context *context)
{
    return quern_read_text(context, input, 1, NULL);
}

static const char *expect(quern_context *context, quern_status status, const char *part)
{
    const char *text = kit_run_fails(context, status);
    CHECK_HAS(text, part);
    kit_check_no_output(kit_path("failed"));
    return text;
}

/* ---- sums ---- */

typedef struct summands {
    const char *key;
    uint64_t large; /* a few of them are too many … */
    uint64_t edge;  /* … and of these they are not */
    uint64_t small; /* for all other keys */
    uint64_t every; /* lines that give the large one */
} summands;

static int emit_summand(const quern_record *in, quern_emitter *out, void *user)
{
    const summands *s = user;
    uint64_t line = strtoull((const char *)in->key.data + strlen("line "), NULL, 10);
    bool is_large = line % s->every == 1;
    return quern_emit(out, is_large ? quern_text(s->key) : in->key, quern_of_u64(is_large ? &s->large : &s->small));
}

static void check_edge(const char *output, const summands *s, bool is_signed)
{
    char line[100];
    uint64_t sum = (LINE_COUNT + s->every - 2) / s->every * s->edge;
    if (kit_rank() != 0)
        return;
    kit_text got = kit_read_output(output);
    if (is_signed)
        snprintf(line, sizeof line, "%s\t%" PRId64 "\n", s->key, (int64_t)sum);
    else
        snprintf(line, sizeof line, "%s\t%" PRIu64 "\n", s->key, sum);
    CHECK_HAS(got.data, line);
    kit_free(&got);
}

static void a_sum_beyond_64_bits_names_its_key(void)
{
    summands cases[] = {
        {"positive", INT64_MAX / 2, INT64_MAX / 4, 1, 1000},
        {"negative", (uint64_t)INT64_MIN, (uint64_t)(INT64_MIN / 2), 1, 2000},
        {"unsigned key that is long", UINT64_MAX / 3, UINT64_MAX / 5, 5, 900},
    };
    quern_context *context = many_tasks(NULL);
    for (int i = 0; i < 3; i++) {
        quern_dataset *summed =
            quern_flat_map(lines_of(context), i < 2 ? bytes_i64 : bytes_u64, emit_summand, &cases[i]);
        quern_write_text(quern_reduce_by_key(summed, QUERN_SUM), kit_path("failed"));
        expect(context, QUERN_ERROR_OVERFLOW, cases[i].key);
        cases[i].large = cases[i].edge;
        quern_write_text(quern_reduce_by_key(summed, QUERN_SUM), kit_path("edge%d", i));
        kit_run(context);
        check_edge(kit_path("edge%d", i), &cases[i], i < 2);
    }
    quern_context_destroy(context);
}

/* The first half of the lines adds what the second takes away: partial sums are far beyond 64 bits. */
static int emit_extremes(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = strtoull((const char *)in->key.data + strlen("line "), NULL, 10);
    int64_t number = line < LINE_COUNT / 2 ? INT64_MAX : -INT64_MAX;
    (void)user;
    return quern_emit(out, quern_text("both"), quern_of_i64(&number));
}

static void a_signed_sum_that_fits_is_right_however_large_its_parts_are(void)
{
    quern_context *context = many_tasks(NULL);
    kit_text expected = {0};
    kit_put(&expected, "both\t%" PRId64 "\n", LINE_COUNT % 2 ? -INT64_MAX : 0);
    quern_write_text(quern_reduce_by_key(quern_flat_map(lines_of(context), bytes_i64, emit_extremes, NULL), QUERN_SUM),
                     kit_path("both"));
    kit_run(context);
    kit_check_output(kit_path("both"), &expected, true);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* ---- sizes and schemas ---- */

static int emit_as_told(const quern_record *in, quern_emitter *out, void *user)
{
    static char large[100000];
    int way = *(const int *)user;
    uint64_t number = 1;
    if (way == 0) /* a key that is no integer */
        return quern_emit(out, in->key, quern_of_u64(&number));
    if (way == 1) /* a value that is too short */
        return quern_emit(out, quern_of_u64(&number), quern_bytes(&number, 7));
    if (way == 2) /* a value that is missing */
        return quern_emit(out, quern_of_u64(&number), quern_bytes("", 0));
    if (way == 3) { /* ignores that emitting failed */
        quern_emit(out, quern_bytes("x", 1), quern_of_u64(&number));
        quern_emit(out, quern_of_u64(&number), quern_of_u64(&number));
        return 0;
    }
    return quern_emit(out, quern_bytes(large, sizeof large), quern_bytes("", 0));
}

static int leave_key_as_it_is(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 0;
}

static int too_few(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i + 1 < in->count; i++)
        if (quern_emit(out, quern_bytes(in->key[i], in->key_bytes[i]), quern_bytes("", 0)))
            return 1;
    return 0;
}

static int too_many(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < 2 * in->count; i++)
        if (quern_emit(out, quern_bytes(in->key[i / 2], in->key_bytes[i / 2]), quern_bytes("", 0)))
            return 1;
    return 0;
}

static void records_that_do_not_fit_their_schema_end_the_job(void)
{
    quern_context *context = many_tasks(NULL);
    for (int way = 0; way < 4; way++) {
        quern_dataset *bad = quern_name(quern_flat_map(lines_of(context), u64_u64, emit_as_told, &way), "bad one");
        quern_write_text(way % 2 ? bad : quern_reduce_by_key(bad, QUERN_SUM), kit_path("failed"));
        const char *text = expect(context, QUERN_ERROR_CALLBACK, "bad one");
        CHECK_HAS(text, "schema");
        CHECK_HAS(text, input[0]);
    }
    quern_write_text(quern_map(lines_of(context), u64_u64, leave_key_as_it_is, NULL), kit_path("failed"));
    expect(context, QUERN_ERROR_CALLBACK, "schema");
    quern_write_text(quern_map_block(lines_of(context), only_key, too_few, NULL), kit_path("failed"));
    expect(context, QUERN_ERROR_CALLBACK, "for a block of");
    quern_write_text(quern_reduce_by_key(quern_map_block(lines_of(context), only_key, too_many, NULL), QUERN_COUNT),
                     kit_path("failed"));
    expect(context, QUERN_ERROR_CALLBACK, "for a block of");
    quern_context_destroy(context);
}

static void a_record_of_the_input_that_is_too_long_is_named(void)
{
    quern_options options;
    quern_options_init(&options);
    options.record_bytes_max = 50000;
    quern_context *context = many_tasks(&options);
    const char *paths[] = {input[0], strdup(kit_path("long"))};
    for (int end = 0; end < 2; end++) { /* in the first task of its file, and in the last */
        kit_text lines = {0};
        char place[40];
        for (int i = 0; i < 2000 * end; i++)
            kit_put(&lines, "short\n");
        snprintf(place, sizeof place, "byte %zu of", lines.bytes);
        for (int i = 0; i < 600000; i++)
            kit_put_bytes(&lines, "x", 1);
        kit_put(&lines, "\n");
        kit_barrier();
        kit_write_for_all(paths[1], &lines);
        quern_write_text(quern_reduce_by_key(quern_read_text(context, paths, 2, NULL), QUERN_COUNT),
                         kit_path("failed"));
        CHECK_HAS(expect(context, QUERN_ERROR_RECORD_TOO_LARGE, paths[1]), place);
        quern_write_text(quern_read_text(context, paths, 2, NULL), kit_path("failed"));
        CHECK_HAS(expect(context, QUERN_ERROR_RECORD_TOO_LARGE, paths[1]), place);
        kit_free(&lines);
    }
    quern_context_destroy(context);
}

/* record-bytes: "the longest record; a longer one fails the job". */
static void an_emitted_record_that_is_too_long_ends_the_job(void)
{
    quern_options options;
    quern_options_init(&options);
    options.record_bytes_max = 50000;
    quern_context *context = many_tasks(&options);
    int way = 4; /* 100,000 bytes */
    quern_dataset *large = quern_flat_map(lines_of(context), only_key, emit_as_told, &way);
    quern_write_text(quern_reduce_by_key(large, QUERN_COUNT), kit_path("failed"));
    const char *text = expect(context, QUERN_ERROR_RECORD_TOO_LARGE, "50000");
    CHECK_HAS(text, "task ");
    CHECK_HAS(text, "in the block of records at byte ");
    CHECK_HAS(text, input[0]);
    quern_context_destroy(context);
}

/* ---- directories ---- */

static void an_output_that_cannot_be_is_refused_before_any_work(void)
{
    quern_context *context = many_tasks(NULL);
    kit_text text = {0};
    kit_put(&text, "precious\n");
    if (kit_rank() == 0) {
        mkdir(kit_path("full"), 0777);
        mkdir(kit_path("empty"), 0777);
        kit_write(kit_path("full/file"), &text);
        kit_write(kit_path("file"), &text);
    }
    kit_barrier();
    const char *bad[] = {"full", "file", "no/such/parent", "file/below"};
    const quern_status statuses[] = {QUERN_ERROR_OUTPUT_EXISTS, QUERN_ERROR_OUTPUT, QUERN_ERROR_OUTPUT,
                                     QUERN_ERROR_OUTPUT};
    for (int i = 0; i < 4; i++) {
        quern_dataset *counts = quern_reduce_by_key(lines_of(context), QUERN_COUNT);
        quern_write_text(counts, kit_path("failed"));
        quern_write_text(counts, kit_path("empty"));
        quern_write_text(counts, kit_path("%s", bad[i]));
        expect(context, statuses[i], bad[i]);
        CHECK(kit_exists(kit_path("full/file")) && kit_exists(kit_path("file")) && kit_exists(kit_path("empty")));
        CHECK(!kit_exists(kit_path("empty/part-00000")));
    }
    quern_write_text(lines_of(context), kit_path("empty"));
    kit_run(context);
    CHECK(kit_exists(kit_path("empty/_SUCCESS")));
    /* A second job into the same directory is refused, and the first one's output stays whole. */
    quern_write_text(lines_of(context), kit_path("empty"));
    expect(context, QUERN_ERROR_OUTPUT_EXISTS, "empty");
    CHECK(kit_exists(kit_path("empty/_SUCCESS")) && kit_exists(kit_path("empty/part-00000")));
    kit_free(&text);
    quern_context_destroy(context);
}

static void two_outputs_in_one_directory_are_refused(void)
{
    quern_context *context = many_tasks(NULL);
    quern_dataset *counts = quern_reduce_by_key(lines_of(context), QUERN_COUNT);
    quern_write_text(counts, kit_path("failed"));
    quern_write_text(lines_of(context), kit_path("failed"));
    quern_status status = quern_run(context);
    CHECK(status == QUERN_ERROR_OUTPUT_EXISTS || status == QUERN_ERROR_OUTPUT || status == QUERN_ERROR_INVALID_PLAN);
    kit_check_alike(status, quern_context_error_text(context));
    kit_check_no_output(kit_path("failed"));
    quern_context_destroy(context);
}

static int spoil_output(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    if (kit_first_time("spoiled"))
        rename(user, kit_path("moved"));
    return 0;
}

static void an_output_directory_that_goes_away_is_an_error(void)
{
    quern_context *context = many_tasks(NULL);
    char *output = strdup(kit_path("failed"));
    quern_dataset *counts =
        quern_reduce_by_key(quern_map(lines_of(context), only_key, spoil_output, output), QUERN_COUNT);
    quern_write_text(counts, output);
    expect(context, QUERN_ERROR_OUTPUT, "failed");
    free(output);
    quern_context_destroy(context);
}

static void an_input_that_is_not_there_is_named(void)
{
    quern_context *context = many_tasks(NULL);
    const char *paths[] = {input[0], kit_path("not there")};
    quern_write_text(quern_read_text(context, paths, 2, NULL), kit_path("failed"));
    expect(context, QUERN_ERROR_INPUT, "not there");
    quern_context_destroy(context);
}

static int emit_many(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = strtoull((const char *)in->key.data + strlen("line "), NULL, 10), one = 1;
    (void)user;
    for (uint64_t i = 0; i < 500; i++) {
        uint64_t key = line * 500 + i;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&one)))
            return 1;
    }
    return 0;
}

/* It is there when the context begins and gone when it is needed. */
static void a_scratch_directory_that_goes_away_is_named(void)
{
    quern_options options;
    quern_options_init(&options);
    char *scratch = strdup(kit_path("scratch"));
    options.scratch_dir = scratch;
    options.memory_bytes = (uint64_t)9 * (uint64_t)kit_size() << 20;
    options.round_bytes = 65536;
    mkdir(scratch, 0777);
    kit_barrier();
    quern_context *context = many_tasks(&options);
    memset(scratch, 'x', strlen(scratch)); /* borrowed during the call only */
    kit_barrier();
    rmdir(kit_path("scratch"));
    kit_barrier();
    quern_write_text(quern_reduce_by_key(quern_flat_map(lines_of(context), u64_u64, emit_many, NULL), QUERN_SUM),
                     kit_path("failed"));
    expect(context, QUERN_ERROR_SCRATCH, "scratch");
    /* What needs no scratch still works. */
    quern_write_text(quern_reduce_by_key(lines_of(context), QUERN_COUNT), kit_path("small"));
    kit_run(context);
    free(scratch);
    quern_context_destroy(context);
}

/* ---- stages that read a result ---- */

static int refuse_one_key(const quern_record *in, quern_record *out, void *user)
{
    const quern_span *refused = user;
    (void)out;
    return in->key.bytes == refused->bytes && memcmp(in->key.data, refused->data, refused->bytes) == 0;
}

static int emit_odd_key(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t one = 1;
    return quern_emit(out, in->key, quern_of_u64(&one)) ||
           quern_emit(out, *(const quern_span *)user, quern_of_u64(&one));
}

static int emit_integer_key(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t one = 1;
    (void)in;
    return quern_emit(out, *(const quern_span *)user, quern_of_u64(&one));
}

static void a_failure_on_a_record_of_a_result_names_operator_and_key(void)
{
    char odd[100];
    memset(odd, 'k', sizeof odd);
    odd[0] = '\n';
    quern_span key = {odd, sizeof odd};
    int64_t number = -77;
    quern_span integer = quern_of_i64(&number);
    quern_context *context = many_tasks(NULL);
    quern_dataset *emitted = quern_flat_map(lines_of(context), bytes_u64, emit_odd_key, &key);
    quern_dataset *summed = quern_name(quern_reduce_by_key(emitted, QUERN_SUM), "sums");
    quern_write_text(quern_map(summed, bytes_u64, refuse_one_key, &key), kit_path("failed"));
    const char *text = expect(context, QUERN_ERROR_CALLBACK, "'map'");
    CHECK_HAS(text, "on the record of 'sums' with key \"?kkkk");
    CHECK_HAS(text, "kkkk\" (100 bytes)");
    CHECK(strstr(text, "?kkk") + 64 == strstr(text, "\" (100 bytes)"));
    emitted = quern_flat_map(lines_of(context), i64_u64, emit_integer_key, &integer);
    summed = quern_reduce_by_key(emitted, QUERN_SUM);
    quern_write_text(quern_map(summed, i64_u64, refuse_one_key, &integer), kit_path("failed"));
    expect(context, QUERN_ERROR_CALLBACK, "on the record of 'reduce by key' with key \"-77\"");
    quern_context_destroy(context);
}

/* ---- the report ---- */

static void the_report_of_a_failed_job_has_its_stages_and_marks_the_one_that_failed(void)
{
    quern_context *context = many_tasks(NULL);
    quern_dataset *counts = quern_reduce_by_key(lines_of(context), QUERN_COUNT);
    quern_write_text(quern_map(counts, u64_u64, leave_key_as_it_is, NULL), kit_path("failed"));
    expect(context, QUERN_ERROR_CALLBACK, "schema");
    kit_barrier();
    if (kit_rank() == 0) {
        kit_text report = kit_read(kit_path("report.json"));
        const char *first = strstr(report.data, "\"end\": \"reduce by key\",\n   \"status\": \"QUERN_OK\"");
        CHECK(first != NULL && strstr(first, "\"records_in\": 4000"));
        CHECK_HAS(first, "\"end\": \"write text\",\n   \"status\": \"QUERN_ERROR_CALLBACK\"");
        kit_free(&report);
    }
    kit_barrier();
    quern_context_destroy(context);
}

/* ---- memory ---- */

/* Eight results that exist at the same time: each is read early, and again at the end. */
static void ask_for_eight_results(quern_context *context, int attempt)
{
    quern_dataset *results[8];
    for (int i = 0; i < 8; i++) {
        results[i] = quern_reduce_by_key(lines_of(context), QUERN_COUNT);
        quern_write_text(results[i], kit_path("early%d.%d", attempt, i));
    }
    for (int i = 0; i < 8; i++)
        quern_write_text(results[i], kit_path("late%d.%d", attempt, i));
}

static void memory_too_small_for_all_reductions_at_once_is_refused_before_any_work(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = (uint64_t)12 * (uint64_t)kit_size() << 20;
    quern_context *context = many_tasks(&options);
    ask_for_eight_results(context, 0);
    const char *text = expect(context, QUERN_ERROR_BUDGET, "8 reductions at the same time");
    kit_check_no_output(kit_path("early0.0"));
    const char *need = strstr(text, "at least ");
    CHECK(need != NULL);
    options.memory_bytes = strtoull(need + strlen("at least "), NULL, 10) << 20;
    quern_context_destroy(context);
    context = many_tasks(&options);
    ask_for_eight_results(context, 1);
    kit_run(context);
    CHECK(kit_exists(kit_path("late1.7/_SUCCESS")));
    quern_context_destroy(context);
}

static int ignore_record(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 0;
}

static void a_top_k_that_memory_does_not_allow_is_refused(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = (uint64_t)16 * (uint64_t)kit_size() << 20;
    quern_context *context = many_tasks(&options);
    quern_dataset *summed = quern_reduce_by_key(quern_flat_map(lines_of(context), u64_u64, emit_many, NULL), QUERN_SUM);
    quern_top_k(summed, 1 << 20, ignore_record, NULL);
    CHECK_HAS(expect(context, QUERN_ERROR_BUDGET, "top k of 1048576"), "smaller k");
    quern_top_k(summed, 100, ignore_record, NULL);
    kit_run(context);
    quern_context_destroy(context);
}

/* ---- counters ---- */

static quern_counter *ups, *downs, *never;

static int count_line(const quern_record *in, quern_record *out, void *user)
{
    (void)out;
    (void)user;
    quern_counter_add(ups, (int64_t)in->key.bytes);
    quern_counter_add(downs, INT64_MIN / 8192);
    return 0;
}

static void counters_are_sums_over_all_ranks_of_the_last_run(void)
{
    quern_context *context = many_tasks(NULL);
    ups = quern_counter_create(context, "ups");
    downs = quern_counter_create(context, "downs");
    never = quern_counter_create(context, "never");
    CHECK_SAME(quern_counter_value(ups), 0);
    kit_text text = kit_read(input[0]);
    for (int run = 0; run < 2; run++) {
        quern_write_text(quern_map(lines_of(context), only_key, count_line, NULL), kit_path("counted%d", run));
        kit_run(context);
        CHECK_SAME(quern_counter_value(ups), text.bytes - LINE_COUNT);
        CHECK_SAME(quern_counter_value(downs), LINE_COUNT * (INT64_MIN / 8192));
        CHECK_SAME(quern_counter_value(never), 0);
    }
    kit_run(context); /* nothing to do, nothing counted */
    CHECK_SAME(quern_counter_value(ups), 0);
    kit_free(&text);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(a_sum_beyond_64_bits_names_its_key, 10);
    RUN(a_signed_sum_that_fits_is_right_however_large_its_parts_are, 10);
    RUN(records_that_do_not_fit_their_schema_end_the_job, 10);
    RUN(a_record_of_the_input_that_is_too_long_is_named, 10);
    RUN(an_output_that_cannot_be_is_refused_before_any_work, 10);
    RUN(two_outputs_in_one_directory_are_refused, 10);
    RUN(an_output_directory_that_goes_away_is_an_error, 10);
    RUN(an_input_that_is_not_there_is_named, 10);
    RUN(a_scratch_directory_that_goes_away_is_named, 10);
    RUN(counters_are_sums_over_all_ranks_of_the_last_run, 10);
    RUN(an_emitted_record_that_is_too_long_ends_the_job, 10);
    RUN(a_failure_on_a_record_of_a_result_names_operator_and_key, 10);
    RUN(memory_too_small_for_all_reductions_at_once_is_refused_before_any_work, 20);
    RUN(a_top_k_that_memory_does_not_allow_is_refused, 20);
    RUN(the_report_of_a_failed_job_has_its_stages_and_marks_the_one_that_failed, 10);
    return kit_finish();
}
