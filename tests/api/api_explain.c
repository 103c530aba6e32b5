/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans as text: before a run, after it on every rank, and what cannot be explained. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "api_kit.h"

#define LINE_BYTES   64
#define LINE_COUNT   400000
#define KEY_COUNT    200000
#define COUNTS_BYTES (KEY_COUNT / 2 * (LINE_BYTES - 1 + 8)) /* keys without the newline, and numbers */

#define ROW_COUNT 3000
#define ROW_BYTES 16

static const char *input[1], *rows_path[1], *directory_path[1];

static const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};

static void make_input(void)
{
    kit_text lines = {0};
    for (int i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "%0*d\n", LINE_BYTES - 1, i % KEY_COUNT);
    input[0] = strdup(kit_path("in"));
    kit_write_for_all(input[0], &lines);
    kit_free(&lines);
}

static int is_even(const quern_block *in, uint8_t *keep_out, void *user)
{
    (void)user;
    for (size_t i = 0; i < in->count; i++)
        keep_out[i] = ((const char *)in->key[i])[in->key_bytes[i] - 1] % 2 == 0;
    return 0;
}

static int fail_always(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 1;
}

static int take_none(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 0;
}

static char *explain(quern_context *context, quern_explain_form form)
{
    char *text = NULL;
    CHECK_STATUS(quern_explain(context, form, &text), QUERN_OK, quern_context_error_text(context));
    CHECK(text != NULL);
    return text;
}

/* Counts of even lines, written and looked at: three stages. */
static void ask_for_counts(quern_context *context, const char *output)
{
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    quern_dataset *even = quern_name(quern_filter_block(lines, is_even, NULL), "even \"lines\"");
    quern_dataset *counts = quern_name(quern_reduce_by_key(even, QUERN_COUNT), "counts");
    quern_write_text(counts, output);
    quern_top_k(counts, 5, take_none, NULL);
}

static const char *const pending_form =
    "plan: 3 stages, 2 outputs\n"
    "stage 1: reads about %d bytes\n"
    "  source: read text (bytes, none), \"%s\", about %d bytes\n"
    "  operator: filter block \"even \\\"lines\\\"\" (bytes, none), at most %d bytes\n"
    "  reduction: reduce by key \"counts\" (bytes, u64), count, read by stage 2, 3, at most %d bytes\n"
    "stage 2\n"
    "  source: result of stage 1, reduce by key \"counts\" (bytes, u64)\n"
    "  output: write text, \"%s\"\n"
    "stage 3\n"
    "  source: result of stage 1, reduce by key \"counts\" (bytes, u64)\n"
    "  output: top k, 5 largest\n";

static void check_pending(quern_context *context, const char *output)
{
    char expected[2000];
    const int bytes = LINE_BYTES * LINE_COUNT;
    snprintf(expected, sizeof expected, pending_form, bytes, input[0], bytes, bytes, bytes, output);
    char *text = explain(context, QUERN_EXPLAIN_TEXT);
    if (strcmp(text, expected) != 0)
        kit_fail(__FILE__, __LINE__, "the plan is %s, not %s", text, expected);
    free(text);
}

/* Takes the lines that begin with `word` out of the text; the sums of their first three numbers. */
static void take_lines(char *text, const char *word, uint64_t sums_out[3])
{
    for (char *at = text; *at;) {
        char *end = strchr(at, '\n') + 1;
        if (strncmp(at, word, strlen(word)) != 0) {
            at = end;
            continue;
        }
        char *digits = at;
        for (int i = 0; i < 3; i++) {
            digits += strcspn(digits, "0123456789\n");
            sums_out[i] += strtoull(digits, &digits, 10);
        }
        memmove(at, end, strlen(end) + 1);
    }
}

/* ---- before and after a run ---- */

static void one_rank_alone_may_ask_before_a_run_and_nothing_happens(void)
{
    quern_context *context = kit_context(NULL);
    char *empty = explain(context, QUERN_EXPLAIN_TEXT);
    CHECK(strcmp(empty, "plan: 0 stages, 0 outputs\n") == 0);
    free(empty);
    ask_for_counts(context, kit_path("never"));
    if (kit_rank() == kit_size() - 1)
        for (int i = 0; i < 3; i++)
            check_pending(context, kit_path("never"));
    kit_check_no_output(kit_path("never"));
    quern_context_destroy(context);
}

static void after_a_run_every_rank_tells_the_same_sums(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = (uint64_t)kit_size() * (17 << 20); /* too little for the keys */
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    char expected[2000], output[512];
    uint64_t bytes[3] = {0}, seconds[3] = {0};
    snprintf(output, sizeof output, "%s", kit_path("counted"));
    ask_for_counts(context, output);
    check_pending(context, output);
    kit_run(context);
    char *text = explain(context, QUERN_EXPLAIN_TEXT);
    take_lines(text, "  seconds:", seconds);
    kit_check_alike(QUERN_OK, text);
    take_lines(text, "  bytes:", bytes);
    snprintf(expected, sizeof expected,
             "plan: 3 stages, 2 outputs; run: QUERN_OK\n"
             "stage 1: QUERN_OK\n"
             "  source: read text (bytes, none), \"%s\" [out %d, %d bytes]\n"
             "  operator: filter block \"even \\\"lines\\\"\" (bytes, none) [in %d, out %d, dropped %d]\n"
             "  reduction: reduce by key \"counts\" (bytes, u64), count, read by stage 2, 3 [in %d]\n"
             "stage 2: QUERN_OK\n"
             "  source: result of stage 1, reduce by key \"counts\" (bytes, u64) [out %d, %d bytes]\n"
             "  output: write text, \"%s\" [in %d]\n"
             "stage 3: QUERN_OK\n"
             "  source: result of stage 1, reduce by key \"counts\" (bytes, u64) [out %d, %d bytes]\n"
             "  output: top k, 5 largest [in %d]\n",
             input[0], LINE_COUNT, LINE_COUNT * LINE_BYTES, LINE_COUNT, LINE_COUNT / 2, LINE_COUNT / 2, LINE_COUNT / 2,
             KEY_COUNT / 2, COUNTS_BYTES, output, KEY_COUNT / 2, KEY_COUNT / 2, COUNTS_BYTES, KEY_COUNT / 2);
    if (strcmp(text, expected) != 0)
        kit_fail(__FILE__, __LINE__, "the plan is %s, not %s", text, expected);
    CHECK(bytes[0] >= LINE_BYTES * LINE_COUNT && (bytes[2] > 0 || kit_size() > 1) &&
          (bytes[1] > 0) == (kit_size() > 1));
    CHECK_SAME(2 * bytes[0], kit_reported("input_bytes")); /* the run's stand there too */
    CHECK_SAME(bytes[1], kit_reported("sent_bytes"));
    CHECK_SAME(bytes[2], kit_reported("spilled_bytes"));
    free(text);
    quern_context_destroy(context);
}

static void the_graph_has_the_records_on_its_edges(void)
{
    quern_context *context = kit_context(NULL);
    char edge[80];
    ask_for_counts(context, kit_path("drawn"));
    char *text = explain(context, QUERN_EXPLAIN_DOT);
    snprintf(edge, sizeof edge, "s1_0 -> s1_1 [label=\"about %d bytes\"];", LINE_BYTES * LINE_COUNT);
    CHECK_HAS(text, edge);
    CHECK_HAS(text, "s1_2 -> s3_1;");
    free(text);
    kit_run(context);
    text = explain(context, QUERN_EXPLAIN_DOT);
    snprintf(edge, sizeof edge, "s1_1 -> s1_2 [label=\"%d\"];", LINE_COUNT / 2);
    CHECK_HAS(text, edge);
    snprintf(edge, sizeof edge, "s1_2 -> s3_1 [label=\"%d, %d bytes\"];", KEY_COUNT / 2, COUNTS_BYTES);
    CHECK_HAS(text, edge);
    free(text);
    quern_context_destroy(context);
}

static void what_is_asked_for_next_comes_before_what_ran(void)
{
    quern_context *context = kit_context(NULL);
    ask_for_counts(context, kit_path("first"));
    kit_run(context);
    ask_for_counts(context, kit_path("second"));
    check_pending(context, kit_path("second"));
    kit_run(context);
    char *text = explain(context, QUERN_EXPLAIN_TEXT);
    CHECK_HAS(text, "run: QUERN_OK");
    CHECK_HAS(text, kit_path("second"));
    free(text);
    kit_run(context); /* of nothing */
    text = explain(context, QUERN_EXPLAIN_TEXT);
    CHECK(strcmp(text, "plan: 0 stages, 0 outputs; run: QUERN_OK\n") == 0);
    free(text);
    quern_context_destroy(context);
}

static void a_failed_run_shows_where_it_failed(void)
{
    quern_context *context = kit_context(NULL);
    quern_dataset *lines = quern_map(quern_read_text(context, input, 1, NULL), only_key, fail_always, NULL);
    quern_write_text(quern_reduce_by_key(lines, QUERN_COUNT), kit_path("failed"));
    kit_run_fails(context, QUERN_ERROR_CALLBACK);
    char *text = explain(context, QUERN_EXPLAIN_TEXT);
    CHECK_HAS(text, "run: QUERN_ERROR_CALLBACK\nstage 1: QUERN_ERROR_CALLBACK\n");
    CHECK_HAS(text, "stage 2: not run\n  source: result of stage 1, reduce by key (bytes, u64)\n");
    CHECK(quern_context_error_text(context)[0] != 0); /* still that of the run */
    free(text);
    quern_write_text(quern_read_text(context, input, 1, NULL), kit_path("failed/below/nothing"));
    kit_run_fails(context, QUERN_ERROR_OUTPUT);
    text = explain(context, QUERN_EXPLAIN_TEXT);
    CHECK_HAS(text, "run: QUERN_ERROR_OUTPUT\nstage 1: not run\n");
    free(text);
    quern_context_destroy(context);
}

/* ---- sizes ---- */

static int take_even(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = quern_u64(in->value) % 2 == 0;
    return 0;
}

static int join_values(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)left;
    (void)user;
    return quern_emit(out, key, *right);
}

static void make_rows(void)
{
    kit_text rows = {0};
    for (uint64_t i = 0; i < ROW_COUNT; i++) {
        uint64_t row[2] = {i % 1000, i};
        kit_put_bytes(&rows, row, sizeof row);
    }
    rows_path[0] = strdup(kit_path("rows"));
    kit_write_for_all(rows_path[0], &rows);
    directory_path[0] = strdup(kit_path("rows.of.two"));
    if (kit_rank() == 0)
        CHECK(mkdir(directory_path[0], 0755) == 0);
    kit_barrier();
    kit_write_for_all(kit_path("rows.of.two/a"), &rows);
    kit_write_for_all(kit_path("rows.of.two/b"), &rows);
    kit_free(&rows);
}

static quern_dataset *rows_of(quern_context *context, const char *const *paths)
{
    const quern_fixed_options rows = {
        .struct_size = sizeof rows, .record_bytes = ROW_BYTES, .schema = {QUERN_U64, QUERN_U64, 0, 0}};
    return quern_read_fixed(context, paths, 1, &rows);
}

/* One rank may ask; all get the same, but for seconds. */
static void expect_in_both_forms(quern_context *context, const char *const *parts, const char *const *edges)
{
    char *text = explain(context, QUERN_EXPLAIN_TEXT), *drawn = explain(context, QUERN_EXPLAIN_DOT);
    for (; *parts; parts++)
        CHECK_HAS(text, *parts);
    for (; *edges; edges++)
        CHECK_HAS(drawn, *edges);
    free(text);
    free(drawn);
}

static void a_join_of_a_directory_and_a_file_has_sizes_on_both_legs(void)
{
    quern_context *context = kit_context(NULL);
    quern_dataset *left = rows_of(context, directory_path), *right = rows_of(context, rows_path);
    quern_dataset *joined = quern_join(quern_filter(left, take_even, NULL), right, QUERN_JOIN_INNER,
                                       (quern_schema){QUERN_U64, QUERN_U64, 0, 0}, join_values, NULL);
    quern_collect(joined, QUERN_COLLECT_ROOT, take_none, NULL);
    expect_in_both_forms(context,
                         (const char *const[]){"stage 1: reads about 144000 bytes\n", ", about 96000 bytes\n",
                                               "filter (u64, u64), at most 96000 bytes\n", ", about 48000 bytes\n",
                                               "read by stage 2, at most 144000 bytes\n",
                                               "stage 2: reads at most 144000 bytes\n",
                                               "  output: collect, on rank 0\n", NULL},
                         (const char *const[]){"s1_0 -> s1_1 [label=\"about 96000 bytes\"]",
                                               "s1_1 -> s1_3 [label=\"at most 96000 bytes\"]",
                                               "s1_2 -> s1_3 [label=\"about 48000 bytes\"]",
                                               "s1_3 -> s2_1 [label=\"at most 144000 bytes\"]", "s2_1 -> s2_2;", NULL});
    kit_run(context);
    expect_in_both_forms(context,
                         (const char *const[]){"[out 6000, 96000 bytes]\n", "[out 3000, 48000 bytes]\n",
                                               "[in 6000, out 3000, dropped 3000]\n", "[in 6000]\n",
                                               "gather both sides\" (u64, u64) [out 6000, 96000 bytes]\n",
                                               "bytes: 144000 read", NULL},
                         (const char *const[]){"s1_0 -> s1_1 [label=\"6000, 96000 bytes\"]",
                                               "s1_2 -> s1_3 [label=\"3000, 48000 bytes\"]",
                                               "s1_3 -> s2_1 [label=\"6000, 96000 bytes\"]", NULL});
    quern_context_destroy(context);
}

static void a_kept_dataset_has_its_size_in_the_run_that_makes_it_and_in_those_that_read_it(void)
{
    quern_context *context = kit_context(NULL);
    char takes[80];
    quern_dataset *kept = quern_cache(rows_of(context, rows_path));
    quern_collect(kept, QUERN_COLLECT_ROOT, take_none, NULL);
    char *text = explain(context, QUERN_EXPLAIN_TEXT);
    CHECK_HAS(text, "kept for later runs, read by stage 2, about 48000 bytes\n");
    free(text);
    kit_run(context);
    text = explain(context, QUERN_EXPLAIN_TEXT);
    const char *at = strstr(text, ", kept for later runs, takes ");
    CHECK(at != NULL);
    unsigned long long bytes = strtoull(at + strlen(", kept for later runs, takes "), NULL, 10);
    CHECK(bytes >= ROW_COUNT * ROW_BYTES && bytes < 2 * ROW_COUNT * ROW_BYTES);
    kit_check_alike(QUERN_OK, kit_path("%llu", bytes));
    CHECK_HAS(text, "[out 3000, 48000 bytes]");
    free(text);
    quern_collect(quern_filter(kept, take_even, NULL), QUERN_COLLECT_ROOT, take_none, NULL);
    text = explain(context, QUERN_EXPLAIN_TEXT);
    snprintf(takes, sizeof takes, "kept from an earlier run, takes %llu bytes", bytes);
    CHECK_HAS(text, takes);
    snprintf(takes, sizeof takes, "stage 2: reads about %llu bytes\n", bytes);
    CHECK_HAS(text, takes);
    free(text);
    kit_run(context);
    text = explain(context, QUERN_EXPLAIN_TEXT);
    snprintf(takes, sizeof takes, "kept from an earlier run, takes %llu bytes, read by stage 2\n", bytes);
    CHECK_HAS(text, takes);
    CHECK_HAS(text, "[out 3000, 48000 bytes]");
    free(text);
    quern_context_destroy(context);
}

/* ---- what cannot be explained ---- */

static void arguments_are_refused_and_leave_the_graph_as_it_is(void)
{
    static const int forms[] = {QUERN_EXPLAIN_NOT_SET, QUERN_EXPLAIN_OFF, 4, -1};
    quern_context *context = kit_context(NULL);
    char *text = NULL;
    CHECK_SAME(quern_explain(NULL, QUERN_EXPLAIN_TEXT, &text), QUERN_ERROR_INVALID_ARGUMENT);
    quern_write_text(quern_read_text(context, input, 1, NULL), kit_path("copied"));
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        CHECK_SAME(quern_explain(context, (quern_explain_form)forms[i], &text), QUERN_ERROR_INVALID_ARGUMENT);
        CHECK_HAS(quern_context_error_text(context), "form");
    }
    CHECK_SAME(quern_explain(context, QUERN_EXPLAIN_DOT, NULL), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_HAS(quern_context_error_text(context), "NULL");
    CHECK(text == NULL);
    kit_run(context);
    quern_context_destroy(context);
}

static void the_failure_of_a_builder_is_told_and_kept_for_the_run(void)
{
    quern_context *context = kit_context(NULL);
    char *text = NULL;
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    CHECK(quern_reduce_by_key(lines, QUERN_SUM) == NULL);
    quern_write_text(lines, kit_path("unbuilt"));
    CHECK_SAME(quern_explain(context, QUERN_EXPLAIN_TEXT, &text), QUERN_ERROR_INVALID_PLAN);
    CHECK_HAS(quern_context_error_text(context), "reduce by key");
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_PLAN), "reduce by key");
    CHECK(text == NULL);
    quern_context_destroy(context);
}

static void a_graph_that_is_too_large_is_refused_as_by_the_run(void)
{
    quern_context *context = kit_context(NULL);
    char *text = NULL;
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    for (int i = 0; i < 65; i++)
        quern_write_text(lines, kit_path("many%d", i));
    CHECK_SAME(quern_explain(context, QUERN_EXPLAIN_TEXT, &text), QUERN_ERROR_INVALID_PLAN);
    CHECK_HAS(quern_context_error_text(context), "64 stages");
    CHECK(text == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_PLAN), "64 stages");
    text = explain(context, QUERN_EXPLAIN_TEXT); /* a refused graph leaves no plan */
    CHECK(strcmp(text, "plan: 0 stages, 0 outputs\n") == 0);
    free(text);
    quern_context_destroy(context);
}

static int explain_inside(const quern_record *record, void *user)
{
    char *text = NULL;
    (void)record;
    CHECK_SAME(quern_explain(user, QUERN_EXPLAIN_TEXT, &text), QUERN_ERROR_INVALID_ARGUMENT);
    CHECK(text == NULL);
    return 0;
}

static void a_callback_is_refused(void)
{
    quern_context *context = kit_context(NULL);
    quern_dataset *counts = quern_reduce_by_key(quern_read_text(context, input, 1, NULL), QUERN_COUNT);
    quern_top_k(counts, 1, explain_inside, context);
    kit_run(context);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    setenv("QUERN_BROADCAST", "1", 1); /* joins by sorting, however small */
    kit_start(&argc, &argv);
    make_input();
    make_rows();
    RUN(one_rank_alone_may_ask_before_a_run_and_nothing_happens, 10);
    RUN(after_a_run_every_rank_tells_the_same_sums, 20);
    RUN(the_graph_has_the_records_on_its_edges, 10);
    RUN(what_is_asked_for_next_comes_before_what_ran, 20);
    RUN(a_failed_run_shows_where_it_failed, 10);
    RUN(a_join_of_a_directory_and_a_file_has_sizes_on_both_legs, 10);
    RUN(a_kept_dataset_has_its_size_in_the_run_that_makes_it_and_in_those_that_read_it, 10);
    RUN(arguments_are_refused_and_leave_the_graph_as_it_is, 10);
    RUN(the_failure_of_a_builder_is_told_and_kept_for_the_run, 10);
    RUN(a_graph_that_is_too_large_is_refused_as_by_the_run, 10);
    RUN(a_callback_is_refused, 10);
    return kit_finish();
}
