/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/plan/test_explain.c: plans as text and as graphs, before a run and with figures of one.
 */
#include "runtime/plan/explain.h"
#include "tests/kit.h"
#include "tests/plan/dot_reader.h"
#include "tests/refusal.h"

static const quern_schema plain = {QUERN_BYTES, QUERN_U64, 0};
static qn_graph graph;
static qn_error error;
static qn_account *account;

static void set_up(void)
{
    qn_graph_init(&graph);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    free(account);
    account = NULL;
    qn_graph_fini(&graph);
}

/* ---- graphs; NULL for a name is none ---- */

static const qn_node *named(qn_node *node, const char *name)
{
    ck_assert_msg(node != NULL, "%s", error.text);
    if (name)
        node->name = name;
    return node;
}

static const qn_node *read_paths(const char *const *paths, size_t count, const char *name)
{
    return named(qn_graph_add_text(&graph, paths, count, NULL, &error), name);
}

static const qn_node *read_input(const char *name)
{
    return read_paths((const char *const[]){"input"}, 1, name);
}

static const qn_node *add(qn_node_kind kind, const qn_node *input, const char *name)
{
    bool filters = kind == QN_NODE_FILTER || kind == QN_NODE_FILTER_BLOCK;
    qn_node draft = {.kind = kind, .input = input, .schema = filters ? input->schema : plain};
    return named(qn_graph_add_node(&graph, &draft, &error), name);
}

static const qn_node *reduce(const qn_node *input, quern_reduction reduction, const char *name)
{
    return named(qn_graph_add_reduce(&graph, input, reduction, &error), name);
}

static void write_to(const qn_node *input, const char *directory)
{
    qn_sink draft = {.kind = QN_SINK_TEXT, .input = input, .directory = directory};
    kit_assert_ok(qn_graph_add_sink(&graph, &draft, &error), &error);
}

static void take_top(const qn_node *input, uint64_t k)
{
    qn_sink draft = {.kind = QN_SINK_TOP_K, .input = input, .k = k};
    kit_assert_ok(qn_graph_add_sink(&graph, &draft, &error), &error);
}

/* ---- what is said of them ---- */

static char *explain(quern_explain_form form)
{
    char *text = NULL;
    if (!account)
        kit_assert_ok(qn_account_create(&graph, &(qn_known_sizes){0}, &account, &error), &error);
    kit_assert_ok(qn_account_explain(account, form, &text, &error), &error);
    return text;
}

static void check_text(const char *expected)
{
    char *text = explain(QUERN_EXPLAIN_TEXT);
    ck_assert_str_eq(text, expected);
    free(text);
}

static void check_graph(uint32_t clusters, uint32_t nodes, uint32_t edges)
{
    char *text = explain(QUERN_EXPLAIN_DOT);
    dot_graph found = dot_read(text);
    ck_assert_uint_eq(found.clusters, clusters);
    ck_assert_uint_eq(found.nodes, nodes);
    ck_assert_uint_eq(found.edges, edges);
    free(text);
}

static void check_graph_has(const char *part)
{
    char *text = explain(QUERN_EXPLAIN_DOT);
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in %.3000s", part, text);
    free(text);
}

START_TEST(a_plan_without_outputs_has_no_stages)
{
    read_input(NULL);
    check_text("plan: 0 stages, 0 outputs\n");
    check_graph(0, 0, 0);
}
END_TEST

START_TEST(a_chain_of_operators_is_one_stage_with_kinds_and_names_in_order)
{
    const qn_node *node = read_input("lines");
    node = add(QN_NODE_MAP, node, "parse");
    node = add(QN_NODE_FLAT_MAP, node, NULL);
    node = add(QN_NODE_FILTER, node, "long ones");
    node = add(QN_NODE_MAP_BLOCK, node, NULL);
    node = add(QN_NODE_FLAT_MAP_BLOCK, node, "twice");
    write_to(add(QN_NODE_FILTER_BLOCK, node, NULL), "out");
    check_text("plan: 1 stage, 1 output\n"
               "stage 1\n"
               "  source: read text \"lines\" (bytes, none), \"input\"\n"
               "  operator: map \"parse\" (bytes, u64)\n"
               "  operator: flat map (bytes, u64)\n"
               "  operator: filter \"long ones\" (bytes, u64)\n"
               "  operator: map block (bytes, u64)\n"
               "  operator: flat map block \"twice\" (bytes, u64)\n"
               "  operator: filter block (bytes, u64)\n"
               "  output: write text, \"out\"\n");
    check_graph(1, 8, 7);
}
END_TEST

START_TEST(places_are_known_behind_a_store_which_a_cache_shares)
{
    qn_node *lines = qn_graph_add_text(&graph, (const char *const[]){"input"}, 1, NULL, &error);
    qn_node *kept = qn_graph_add_store(&graph, lines, &error);
    qn_graph_cache(&graph, kept);
    write_to(qn_graph_add_zip(&graph, kept, NULL, NULL, NULL, &error), "out");
    take_top(qn_graph_add_prefix_sum(&graph, qn_graph_add_zip(&graph, lines, NULL, NULL, NULL, &error), &error), 7);
    check_text("plan: 5 stages, 2 outputs\n"
               "stage 1\n"
               "  source: read text (bytes, none), \"input\"\n"
               "  store: store (bytes, none), kept for later runs, read by stage 2\n"
               "stage 2\n"
               "  source: result of stage 1, store (bytes, none)\n"
               "  operator: zip with index (bytes, u64)\n"
               "  output: write text, \"out\"\n"
               "stage 3\n"
               "  source: read text (bytes, none), \"input\"\n"
               "  store: store (bytes, none), read by stage 4\n"
               "stage 4\n"
               "  source: result of stage 3, store (bytes, none)\n"
               "  operator: zip with index (bytes, u64)\n"
               "  store: store (bytes, u64), read by stage 5\n"
               "stage 5\n"
               "  source: result of stage 4, store (bytes, u64)\n"
               "  operator: prefix sum (bytes, u64)\n"
               "  output: top k, 7 largest\n");
    check_graph(5, 10, 8);
    ck_assert_uint_eq(account->stages.store_live_max, 3);
    ck_assert_uint_eq(account->stages.moving_live_max, 0);
    ck_assert_uint_eq(account->stages.live_max, 3); /* the cached one stays to the end */
}
END_TEST

START_TEST(a_result_of_an_earlier_run_is_a_stage_without_legs_and_one_that_is_wanted_needs_no_reader)
{
    const qn_node *lines = read_input(NULL);
    qn_node *counts = qn_graph_add_reduce(&graph, lines, QUERN_COUNT, &error);
    ck_assert_ptr_eq(qn_graph_add_store(&graph, counts, &error), counts);
    qn_graph_cache(&graph, counts);
    qn_graph_cache(&graph, counts);
    graph.wanted = counts;
    check_text("plan: 1 stage, 0 outputs\n"
               "stage 1\n"
               "  source: read text (bytes, none), \"input\"\n"
               "  reduction: reduce by key (bytes, u64), count, kept for later runs\n");
    free(account);
    account = NULL;
    counts->is_made = true;
    write_to(counts, "out");
    check_text("plan: 2 stages, 1 output\n"
               "stage 1: kept\n"
               "  reduction: reduce by key (bytes, u64), count, kept from an earlier run, read by stage 2\n"
               "stage 2\n"
               "  source: result of stage 1, reduce by key (bytes, u64)\n"
               "  output: write text, \"out\"\n");
    check_graph(2, 2, 1);
    ck_assert_uint_eq(account->stages.moving_live_max, 0);
    qn_graph_uncache(&graph, counts);
    ck_assert_ptr_null(graph.cached);
    ck_assert(!counts->is_made && !counts->is_cached);
}
END_TEST

START_TEST(two_outputs_of_one_dataset_are_two_stages_that_read_the_source)
{
    const qn_node *node = add(QN_NODE_MAP, read_input(NULL), NULL);
    write_to(node, "out");
    take_top(node, 7);
    check_text("plan: 2 stages, 2 outputs\n"
               "stage 1\n"
               "  source: read text (bytes, none), \"input\"\n"
               "  operator: map (bytes, u64)\n"
               "  output: write text, \"out\"\n"
               "stage 2\n"
               "  source: read text (bytes, none), \"input\"\n"
               "  operator: map (bytes, u64)\n"
               "  output: top k, 7 largest\n");
    check_graph(2, 6, 4);
}
END_TEST

START_TEST(a_collect_says_where_to)
{
    static const char *const places[] = {"on rank 0", "on all ranks", "in place"};
    const qn_node *input = read_input(NULL);
    char expected[1024];
    int at = snprintf(expected, sizeof expected, "plan: 3 stages, 3 outputs\n");
    for (int i = 0; i < 3; i++) {
        qn_sink draft = {.kind = QN_SINK_COLLECT, .input = input, .collect_to = (quern_collect_to)(i + 1)};
        kit_assert_ok(qn_graph_add_sink(&graph, &draft, &error), &error);
        at += snprintf(expected + at, sizeof expected - (size_t)at,
                       "stage %d\n  source: read text (bytes, none), \"input\"\n  output: collect, %s\n", i + 1,
                       places[i]);
    }
    check_text(expected);
    check_graph(3, 6, 3);
}
END_TEST

static void make_a_reduction_that_two_stages_read(void)
{
    const qn_node *counts = reduce(add(QN_NODE_FILTER_BLOCK, read_input(NULL), "short"), QUERN_COUNT, "counts");
    write_to(counts, "out");
    take_top(reduce(add(QN_NODE_MAP, counts, "swap"), QUERN_SUM, NULL), 3);
}

START_TEST(a_reduction_read_by_two_stages_names_them_and_they_name_it)
{
    make_a_reduction_that_two_stages_read();
    check_text("plan: 4 stages, 2 outputs\n"
               "stage 1\n"
               "  source: read text (bytes, none), \"input\"\n"
               "  operator: filter block \"short\" (bytes, none)\n"
               "  reduction: reduce by key \"counts\" (bytes, u64), count, read by stage 2, 3\n"
               "stage 2\n"
               "  source: result of stage 1, reduce by key \"counts\" (bytes, u64)\n"
               "  output: write text, \"out\"\n"
               "stage 3\n"
               "  source: result of stage 1, reduce by key \"counts\" (bytes, u64)\n"
               "  operator: map \"swap\" (bytes, u64)\n"
               "  reduction: reduce by key (bytes, u64), sum, read by stage 4\n"
               "stage 4\n"
               "  source: result of stage 3, reduce by key (bytes, u64)\n"
               "  output: top k, 3 largest\n");
    check_graph(4, 7, 6);
    check_graph_has("  s1_2 -> s2_1;\n  s1_2 -> s3_1;\n  s3_2 -> s4_1;\n");
}
END_TEST

static int combine(void *into, const void *value, void *user)
{
    (void)into;
    (void)value;
    (void)user;
    return 0;
}

START_TEST(reductions_and_types_have_names)
{
    const quern_schema schemas[] = {{QUERN_I64, QUERN_I64, 0},
                                    {QUERN_U64, QUERN_FIXED, 24},
                                    {QUERN_FIXED, QUERN_F32, 0, 12},
                                    {QUERN_PAIR(QUERN_I32, QUERN_BYTES), QUERN_U32, 0, 0}};
    qn_node draft = {.kind = QN_NODE_MAP, .input = read_input(NULL), .schema = schemas[0]};
    const qn_node *numbers = named(qn_graph_add_node(&graph, &draft, &error), NULL);
    draft.schema = schemas[1];
    const qn_node *structs = named(qn_graph_add_node(&graph, &draft, &error), NULL);
    take_top(reduce(numbers, QUERN_MIN, NULL), 1);
    take_top(reduce(numbers, QUERN_MAX, NULL), 1);
    take_top(reduce(numbers, QUERN_SUM, NULL), 1);
    qn_reducer combining;
    ck_assert(qn_reducer_choose_user(&combining, &structs->schema, combine, NULL, &error));
    const qn_node *combined =
        named(qn_graph_add_reduce_with(&graph, structs, &combining, &structs->schema, &error), NULL);
    take_top(reduce(combined, QUERN_COUNT, NULL), 1);
    draft.schema = schemas[2];
    const qn_node *floats = named(qn_graph_add_node(&graph, &draft, &error), NULL);
    take_top(reduce(floats, QUERN_SUM, NULL), 1);
    take_top(reduce(floats, QUERN_SUM_PLAIN, NULL), 1);
    take_top(reduce(floats, QUERN_MAX, NULL), 1);
    draft.schema = schemas[3];
    take_top(reduce(named(qn_graph_add_node(&graph, &draft, &error), NULL), QUERN_MEAN, NULL), 1);
    char *text = explain(QUERN_EXPLAIN_TEXT);
    const char *const parts[] = {"(i64, i64), min, ",
                                 "(i64, i64), max, ",
                                 "(i64, i64), sum, ",
                                 "(u64, fixed 24), by callback, ",
                                 "(u64, u64), count, ",
                                 "(fixed 12, f64), sum, ",
                                 "(fixed 12, f64), plain sum, ",
                                 "(fixed 12, f32), max, ",
                                 "(pair of i32 and bytes, f64), mean, "};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "'%s' is not in %.3000s", parts[i], text);
    free(text);
}
END_TEST

START_TEST(a_source_shows_its_first_paths_and_the_size_if_that_is_foreseen)
{
    const char *const paths[] = {"a", "b", "c", "d", "e"};
    write_to(read_paths(NULL, 0, NULL), "none");
    write_to(read_paths(paths, QN_EXPLAIN_PATH_COUNT_MAX, NULL), "few");
    write_to(read_paths(paths, QN_EXPLAIN_PATH_COUNT_MAX + 2, NULL), "many");
    kit_assert_ok(qn_account_create(&graph, &(qn_known_sizes){0}, &account, &error), &error);
    account->facts[1].reads[0] = (qn_foreseen){QN_FORESEEN_ABOUT, 0};
    account->facts[2].reads[0] = (qn_foreseen){QN_FORESEEN_ABOUT, UINT64_MAX};
    check_text("plan: 3 stages, 3 outputs\n"
               "stage 1\n"
               "  source: read text (bytes, none), no paths\n"
               "  output: write text, \"none\"\n"
               "stage 2: reads about 0 bytes\n"
               "  source: read text (bytes, none), \"a\", \"b\", \"c\", about 0 bytes\n"
               "  output: write text, \"few\"\n"
               "stage 3: reads about 18446744073709551615 bytes\n"
               "  source: read text (bytes, none), \"a\", \"b\", \"c\" and 2 more, about 18446744073709551615 bytes\n"
               "  output: write text, \"many\"\n");
}
END_TEST

/* ---- after a run ---- */

static void run_stage(uint32_t index, quern_status status, qn_step_facts first, qn_step_facts second, qn_step_facts end)
{
    account->ran = true;
    account->facts[index] = (qn_stage_facts){.ran = true,
                                             .status = status,
                                             .leg_bytes = {4000 + index},
                                             .elapsed_ms = 61005,
                                             .read_bytes = 10000 + index,
                                             .sent_bytes = 300,
                                             .spilled_bytes = 7,
                                             .steps = {first, second, end}};
}

START_TEST(after_a_run_each_step_has_its_records_and_each_stage_its_bytes_and_time)
{
    make_a_reduction_that_two_stages_read();
    kit_assert_ok(qn_account_create(&graph, &(qn_known_sizes){0}, &account, &error), &error);
    qn_step_facts thousand = {1000, 1000, 0}, kept = {1000, 400, 600}, four = {400, 400, 0}, keys = {90, 90, 0};
    run_stage(0, QUERN_OK, thousand, kept, four);
    run_stage(1, QUERN_OK, keys, keys, keys);
    run_stage(2, QUERN_OK, keys, keys, keys);
    run_stage(3, QUERN_OK, (qn_step_facts){12, 12, 0}, (qn_step_facts){12, 12, 0}, keys);
    check_text("plan: 4 stages, 2 outputs; run: QUERN_OK\n"
               "stage 1: QUERN_OK\n"
               "  source: read text (bytes, none), \"input\" [out 1000, 4000 bytes]\n"
               "  operator: filter block \"short\" (bytes, none) [in 1000, out 400, dropped 600]\n"
               "  reduction: reduce by key \"counts\" (bytes, u64), count, read by stage 2, 3 [in 400]\n"
               "  bytes: 10000 read, 300 sent, 7 spilled\n"
               "  seconds: 61.005\n"
               "stage 2: QUERN_OK\n"
               "  source: result of stage 1, reduce by key \"counts\" (bytes, u64) [out 90, 4001 bytes]\n"
               "  output: write text, \"out\" [in 90]\n"
               "  bytes: 10001 read, 300 sent, 7 spilled\n"
               "  seconds: 61.005\n"
               "stage 3: QUERN_OK\n"
               "  source: result of stage 1, reduce by key \"counts\" (bytes, u64) [out 90, 4002 bytes]\n"
               "  operator: map \"swap\" (bytes, u64) [in 90, out 90]\n"
               "  reduction: reduce by key (bytes, u64), sum, read by stage 4 [in 90]\n"
               "  bytes: 10002 read, 300 sent, 7 spilled\n"
               "  seconds: 61.005\n"
               "stage 4: QUERN_OK\n"
               "  source: result of stage 3, reduce by key (bytes, u64) [out 12, 4003 bytes]\n"
               "  output: top k, 3 largest [in 12]\n"
               "  bytes: 10003 read, 300 sent, 7 spilled\n"
               "  seconds: 61.005\n");
    check_graph(4, 7, 6);
    check_graph_has("    s1_0 -> s1_1 [label=\"1000, 4000 bytes\"];\n    s1_1 -> s1_2 [label=\"400\"];\n");
    check_graph_has("  s1_2 -> s2_1 [label=\"90, 4001 bytes\"];\n  s1_2 -> s3_1 [label=\"90, 4002 bytes\"];\n  s3_2 -> "
                    "s4_1 [label=\"12, 4003 bytes\"];\n");
    check_graph_has("label=\"stage 1: QUERN_OK\\nbytes: 10000 read, 300 sent, 7 spilled\\nseconds: 61.005\";");
}
END_TEST

START_TEST(after_a_failed_run_it_says_which_stage_failed_and_which_did_not_run)
{
    write_to(reduce(read_input(NULL), QUERN_COUNT, NULL), "out");
    kit_assert_ok(qn_account_create(&graph, &(qn_known_sizes){0}, &account, &error), &error);
    run_stage(0, QUERN_ERROR_CALLBACK, (qn_step_facts){5, 5, 0}, (qn_step_facts){5, 5, 0}, (qn_step_facts){0});
    account->status = QUERN_ERROR_CALLBACK;
    check_text("plan: 2 stages, 1 output; run: QUERN_ERROR_CALLBACK\n"
               "stage 1: QUERN_ERROR_CALLBACK\n"
               "  source: read text (bytes, none), \"input\" [out 5, 4000 bytes]\n"
               "  reduction: reduce by key (bytes, u64), count, read by stage 2 [in 5]\n"
               "  bytes: 10000 read, 300 sent, 7 spilled\n"
               "  seconds: 61.005\n"
               "stage 2: not run\n"
               "  source: result of stage 1, reduce by key (bytes, u64)\n"
               "  output: write text, \"out\"\n");
    check_graph(2, 3, 2);
    check_graph_has("s1_1 -> s2_1;");
}
END_TEST

/* ---- odd names ---- */

static const struct {
    const char *name, *text, *dot;
} odd[] = {
    {"say \"hi\"", "\"say \\\"hi\\\"\"", "\\\"say \\\\\\\"hi\\\\\\\"\\\""},
    {"back\\slash\\n", "\"back\\\\slash\\\\n\"", "\\\"back\\\\\\\\slash\\\\\\\\n\\\""},
    {"two\nlines\t\x01\x7f", "\"two\\x0alines\\x09\\x01\\x7f\"", "\\\"two\\\\x0alines\\\\x09\\\\x01\\\\x7f\\\""},
    {"\xff half \xe2\x82", "\"\\xff half \\xe2\\x82\"", "\\\"\\\\xff half \\\\xe2\\\\x82\\\""},
    {"\xc2\x9b[31m", "\"\\xc2\\x9b[31m\"", "\\\"\\\\xc2\\\\x9b[31m\\\""},
    {"\xef\xbf\xbf", "\"\\xef\\xbf\\xbf\"", "\\\"\\\\xef\\\\xbf\\\\xbf\\\""},
    {"W\xc3\xb6rter \xe2\x82\xac \xf0\x9f\x8c\xbe", "\"W\xc3\xb6rter \xe2\x82\xac \xf0\x9f\x8c\xbe\"",
     "\\\"W\xc3\xb6rter \xe2\x82\xac \xf0\x9f\x8c\xbe\\\""},
    {"a<b>&lt;\\G{|}", "\"a<b>&lt;\\\\G{|}\"", "\\\"a<b>&amp;lt;\\\\\\\\G{|}\\\""},
    {"", "\"\"", "\\\"\\\""},
    {"];}", "\"];}\"", "\\\"];}\\\""},
};

#define ODD_COUNT (sizeof odd / sizeof *odd)

static void make_an_odd_plan(void)
{
    const char *paths[ODD_COUNT];
    for (size_t i = 0; i < ODD_COUNT; i++)
        paths[i] = odd[i].name;
    const qn_node *node = read_paths(paths, ODD_COUNT, NULL);
    for (size_t i = 0; i < ODD_COUNT; i++)
        node = add(QN_NODE_MAP, node, odd[i].name);
    write_to(node, odd[0].name);
}

START_TEST(any_bytes_of_names_are_shown_and_break_neither_lines_nor_graphs)
{
    char part[200];
    make_an_odd_plan();
    char *text = explain(QUERN_EXPLAIN_TEXT);
    for (size_t i = 0; i < ODD_COUNT; i++) {
        snprintf(part, sizeof part, "\n  operator: map %s (bytes, u64)\n", odd[i].text);
        ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in %.3000s", part, text);
        snprintf(part, sizeof part, "    s1_%zu [label=\"map %s (bytes, u64)\"];\n", i + 1, odd[i].dot);
        check_graph_has(part);
    }
    free(text);
    check_graph(1, ODD_COUNT + 2, ODD_COUNT + 1);
}
END_TEST

START_TEST(a_name_may_be_long)
{
    enum { BYTES = 100000 };
    char *name = kit_take(BYTES + 1);
    memset(name, '"', BYTES);
    write_to(add(QN_NODE_MAP, read_input(NULL), name), "out");
    char *text = explain(QUERN_EXPLAIN_TEXT);
    ck_assert_uint_gt(strlen(text), 2 * BYTES);
    check_graph(1, 3, 2);
    free(text);
    free(name);
}
END_TEST

#ifdef DOT
/* What dot makes of the plan; "" for a plan that it refuses. */
static char *draw(const char *form)
{
    kit_directory directory;
    char command[600];
    kit_make_directory(&directory);
    char *graph_text = explain(QUERN_EXPLAIN_DOT), *drawn = NULL;
    kit_write_file(kit_path(&directory, "plan.dot"), graph_text, strlen(graph_text));
    snprintf(command, sizeof command, "%s -T%s -o %s %s", DOT, form, kit_path(&directory, "drawn"),
             kit_path(&directory, "plan.dot"));
    ck_assert_msg(system(command) == 0, "%s: %.3000s", command, graph_text);
    drawn = kit_read_file(kit_path(&directory, "drawn"), NULL);
    ck_assert_ptr_nonnull(drawn);
    kit_remove_directory(&directory);
    free(graph_text);
    return drawn;
}

START_TEST(graphviz_draws_a_plan_and_shows_names_as_the_text_does)
{
    const char *const shown[] = {
        "say \\&quot;hi\\&quot;",     "back\\\\slash\\\\n",        "two\\x0alines", "\\xff half",
        "a&lt;b&gt;&amp;lt;\\\\G{|}", "W\xc3\xb6rter \xe2\x82\xac"};
    make_an_odd_plan();
    char *drawn = draw("svg");
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        ck_assert_msg(strstr(drawn, shown[i]) != NULL, "'%s' is not in %.3000s", shown[i], drawn);
    free(drawn);
}
END_TEST

START_TEST(graphviz_draws_stages_that_read_each_other)
{
    make_a_reduction_that_two_stages_read();
    char *drawn = draw("svg");
    for (uint32_t i = 1; i <= 4; i++) {
        char part[64];
        snprintf(part, sizeof part, "<title>cluster_%u</title>", i);
        ck_assert_ptr_nonnull(strstr(drawn, part));
    }
    ck_assert_ptr_nonnull(strstr(drawn, "s1_2&#45;&gt;s3_1"));
    free(drawn);
}
END_TEST
#endif

/* ---- bounds ---- */

static const qn_node *longest_chain(const qn_node *node)
{
    for (int i = 0; i < QN_CHAIN_COUNT_MAX; i++)
        node = add(QN_NODE_MAP, node, NULL);
    return node;
}

START_TEST(the_largest_plan_is_explained_and_a_larger_one_refused)
{
    const qn_node *node = longest_chain(read_input(NULL));
    for (int i = 0; i < QN_STAGE_COUNT_MAX; i++)
        write_to(node, "out");
    check_graph(QN_STAGE_COUNT_MAX, QN_STAGE_COUNT_MAX * (QN_CHAIN_COUNT_MAX + 2),
                QN_STAGE_COUNT_MAX * (QN_CHAIN_COUNT_MAX + 1));
    write_to(node, "out");
    qn_account *none = NULL;
    ck_assert_int_eq(qn_account_create(&graph, &(qn_known_sizes){0}, &none, &error), QUERN_ERROR_INVALID_PLAN);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(memory_that_is_refused_is_told_and_leaves_nothing)
{
    make_an_odd_plan();
    for (quern_explain_form form = QUERN_EXPLAIN_TEXT; form <= QUERN_EXPLAIN_DOT; form++) {
        char *text = NULL;
        qn_account *made = NULL;
        int refused = 0;
        for (quern_status status = QUERN_ERROR_NO_MEMORY; status != QUERN_OK; refused++) {
            ck_assert_int_lt(refused, 1000);
            qn_error_clear(&error);
            allocations_left = refused;
            status = qn_account_create(&graph, &(qn_known_sizes){0}, &made, &error);
            if (status == QUERN_OK)
                status = qn_account_explain(made, form, &text, &error);
            allocations_left = -1;
            ck_assert(status == QUERN_OK || (status == QUERN_ERROR_NO_MEMORY && error.text[0] && !text));
            free(made);
            made = NULL;
        }
        ck_assert_int_gt(refused, 2);
        free(text);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_plan_without_outputs_has_no_stages,
        a_chain_of_operators_is_one_stage_with_kinds_and_names_in_order,
        places_are_known_behind_a_store_which_a_cache_shares,
        a_result_of_an_earlier_run_is_a_stage_without_legs_and_one_that_is_wanted_needs_no_reader,
        two_outputs_of_one_dataset_are_two_stages_that_read_the_source,
        a_collect_says_where_to,
        a_reduction_read_by_two_stages_names_them_and_they_name_it,
        reductions_and_types_have_names,
        a_source_shows_its_first_paths_and_the_size_if_that_is_foreseen,
        after_a_run_each_step_has_its_records_and_each_stage_its_bytes_and_time,
        after_a_failed_run_it_says_which_stage_failed_and_which_did_not_run,
        any_bytes_of_names_are_shown_and_break_neither_lines_nor_graphs,
        a_name_may_be_long,
#ifdef DOT
        graphviz_draws_a_plan_and_shows_names_as_the_text_does,
        graphviz_draws_stages_that_read_each_other,
#endif
        the_largest_plan_is_explained_and_a_larger_one_refused,
        memory_that_is_refused_is_told_and_leaves_nothing,
    };
    return kit_run_tests("explain", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
