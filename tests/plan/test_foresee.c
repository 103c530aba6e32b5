/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/plan/test_foresee.c: bytes are carried along a plan as far as operators give nothing that they did not get, and no further.
 */
#include "runtime/plan/foresee.h"
#include "tests/kit.h"

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

static const qn_node *made(const qn_node *node)
{
    ck_assert_msg(node != NULL, "%s", error.text);
    return node;
}

static const qn_node *read_lines(quern_text_value value)
{
    const quern_text_options options = {.struct_size = sizeof options, .value = value};
    return made(qn_graph_add_text(&graph, (const char *const[]){"lines"}, 1, &options, &error));
}

static const qn_node *read_rows(void)
{
    const quern_fixed_options rows = {
        .struct_size = sizeof rows, .record_bytes = 16, .schema = {.key = QUERN_I64, .value = QUERN_I64}};
    return made(qn_graph_add_fixed(&graph, (const char *const[]){"rows"}, 1, &rows, &error));
}

static const qn_node *add(qn_node_kind kind, const qn_node *input)
{
    qn_node draft = {.kind = kind, .input = input, .schema = input->schema};
    if (kind == QN_NODE_KEYS)
        draft.schema.value = QUERN_NONE;
    return made(qn_graph_add_node(&graph, &draft, &error));
}

static const qn_node *sort(const qn_node *input, const qn_node *other)
{
    qn_collate by_key = {.kind = other ? QN_COLLATE_BY_HASH : QN_COLLATE_BY_KEY};
    return made(qn_graph_add_collate(&graph, input, other, &by_key, &error));
}

/* The stage of an output of the node; stages of files read what is told here. */
static qn_stage_facts *foresee(const qn_node *node, uint64_t text_bytes, uint64_t row_bytes)
{
    qn_sink draft = {.kind = QN_SINK_COLLECT, .input = node, .collect_to = QUERN_COLLECT_ROOT};
    kit_assert_ok(qn_graph_add_sink(&graph, &draft, &error), &error);
    free(account);
    kit_assert_ok(qn_account_create(&graph, &(qn_known_sizes){0}, &account, &error), &error);
    for (uint32_t i = 0; i < account->stages.count; i++)
        for (uint32_t leg = 0; leg < account->stages.items[i].leg_count; leg++) {
            qn_node_kind kind = qn_leg_source(&account->stages.items[i], leg)->kind;
            if (kind == QN_NODE_TEXT)
                account->facts[i].reads[leg] = (qn_foreseen){QN_FORESEEN_ABOUT, text_bytes};
            else if (kind == QN_NODE_FIXED)
                account->facts[i].reads[leg] = (qn_foreseen){QN_FORESEEN_ABOUT, row_bytes};
        }
    qn_foresee(account);
    qn_graph_forget_sinks(&graph);
    return &account->facts[account->stages.count - 1];
}

/* What arrives at the output. */
static qn_foreseen arriving(const qn_node *node, uint64_t text_bytes, uint64_t row_bytes)
{
    const qn_stage_facts *facts = foresee(node, text_bytes, row_bytes);
    return facts->gives[account->stages.items[account->stages.count - 1].step_count];
}

static void check(qn_foreseen got, qn_foreseen_kind kind, uint64_t bytes)
{
    ck_assert_int_eq(got.kind, kind);
    if (kind != QN_FORESEEN_NOT)
        ck_assert_uint_eq(got.bytes, bytes);
}

START_TEST(what_only_drops_gives_at_most_what_it_gets)
{
    const qn_node *rows = read_rows();
    check(arriving(rows, 0, 160), QN_FORESEEN_ABOUT, 160);
    check(arriving(add(QN_NODE_FILTER, rows), 0, 160), QN_FORESEEN_AT_MOST, 160);
    check(arriving(add(QN_NODE_KEYS, add(QN_NODE_FILTER_BLOCK, rows)), 0, 160), QN_FORESEEN_AT_MOST, 160);
    const qn_node *quarter = made(qn_graph_add_sample(&graph, rows, 0.25, 1, &error));
    check(arriving(quarter, 0, 160), QN_FORESEEN_ABOUT, 40);
    quarter = made(qn_graph_add_sample(&graph, add(QN_NODE_FILTER, rows), 0.25, 1, &error));
    check(arriving(quarter, 0, 160), QN_FORESEEN_AT_MOST, 160);
}
END_TEST

START_TEST(behind_a_callback_that_makes_records_nothing_is_said)
{
    const qn_node_kind kinds[] = {QN_NODE_MAP, QN_NODE_FLAT_MAP, QN_NODE_MAP_BLOCK, QN_NODE_FLAT_MAP_BLOCK};
    for (size_t i = 0; i < 4; i++) {
        check(arriving(add(QN_NODE_FILTER, add(kinds[i], read_rows())), 0, 160), QN_FORESEEN_NOT, 0);
        check(arriving(sort(add(kinds[i], read_rows()), NULL), 0, 160), QN_FORESEEN_NOT, 0);
    }
    check(arriving(read_lines(QUERN_TEXT_PATH), 100, 0), QN_FORESEEN_NOT, 0);
    check(foresee(read_lines(QUERN_TEXT_PATH), 100, 0)->reads[0], QN_FORESEEN_ABOUT, 100);
    check(arriving(read_lines(QUERN_TEXT_NO_VALUE), 100, 0), QN_FORESEEN_ABOUT, 100);
}
END_TEST

START_TEST(unions_and_both_sides_of_a_join_are_added)
{
    const qn_node *rows = read_rows(), *few = add(QN_NODE_FILTER, read_rows());
    const qn_node *both = made(qn_graph_add_union(&graph, rows, few, &error));
    check(arriving(both, 0, 160), QN_FORESEEN_AT_MOST, 320);
    check(arriving(sort(both, NULL), 0, 160), QN_FORESEEN_AT_MOST, 320);
    both = made(qn_graph_add_union(&graph, rows, add(QN_NODE_MAP, rows), &error));
    check(arriving(both, 0, 160), QN_FORESEEN_NOT, 0);
    check(arriving(made(qn_graph_add_union(&graph, rows, rows, &error)), 0, UINT64_MAX), QN_FORESEEN_NOT, 0);
    const qn_node join = {
        .kind = QN_NODE_JOIN, .input = sort(rows, rows), .schema = rows->schema, .of.join_type = QUERN_JOIN_INNER};
    const qn_stage_facts *facts = foresee(made(qn_graph_add_node(&graph, &join, &error)), 0, 160);
    check(account->facts[0].gives[account->stages.items[0].step_count], QN_FORESEEN_ABOUT, 320);
    check(facts->reads[0], QN_FORESEEN_ABOUT, 320);
    check(facts->gives[1], QN_FORESEEN_NOT, 0);
}
END_TEST

START_TEST(a_reduction_gives_at_most_its_input_unless_its_values_are_of_another_kind)
{
    const qn_node *rows = read_rows(), *lines = read_lines(QUERN_TEXT_NO_VALUE);
    check(arriving(made(qn_graph_add_reduce(&graph, rows, QUERN_SUM, &error)), 0, 160), QN_FORESEEN_AT_MOST, 160);
    check(arriving(made(qn_graph_add_reduce(&graph, lines, QUERN_COUNT, &error)), 160, 0), QN_FORESEEN_NOT, 0);
}
END_TEST

START_TEST(a_kept_result_is_read_as_large_as_it_is)
{
    qn_node *kept =
        (qn_node *)(uintptr_t)made(qn_graph_add_reduce(&graph, read_lines(QUERN_TEXT_NO_VALUE), QUERN_COUNT, &error));
    qn_graph_cache(&graph, kept);
    kept->is_made = true;
    foresee(kept, 0, 0);
    ck_assert_uint_eq(account->stages.count, 2);
    ck_assert(account->stages.items[0].is_made);
    account->facts[0].kept = (qn_foreseen){QN_FORESEEN_ABOUT, 77};
    qn_foresee(account);
    check(account->facts[1].reads[0], QN_FORESEEN_ABOUT, 77);
}
END_TEST

/* The graph says of each edge what the text says of the step in front of it. */
START_TEST(text_and_graph_agree)
{
    char *text = NULL, *drawn = NULL;
    const qn_node *few = add(QN_NODE_FILTER, read_rows());
    foresee(sort(made(qn_graph_add_union(&graph, few, read_rows(), &error)), NULL), 0, 160);
    kit_assert_ok(qn_account_explain(account, QUERN_EXPLAIN_TEXT, &text, &error), &error);
    kit_assert_ok(qn_account_explain(account, QUERN_EXPLAIN_DOT, &drawn, &error), &error);
    ck_assert_str_eq(text, "plan: 2 stages, 1 output\n"
                           "stage 1: reads about 320 bytes\n"
                           "  source: read fixed (i64, i64), \"rows\", about 160 bytes\n"
                           "  operator: filter (i64, i64), at most 160 bytes\n"
                           "  source: read fixed (i64, i64), \"rows\", about 160 bytes\n"
                           "  shuffle: sort by key (i64, i64), read by stage 2, at most 320 bytes\n"
                           "stage 2: reads at most 320 bytes\n"
                           "  source: result of stage 1, sort by key (i64, i64), at most 320 bytes\n"
                           "  output: collect, on rank 0, at most 320 bytes\n");
    const char *const parts[] = {"stage 1: reads about 320 bytes",
                                 "filter (i64, i64), at most 160 bytes",
                                 "s1_0 -> s1_1 [label=\"about 160 bytes\"];",
                                 "s1_1 -> s1_3 [label=\"at most 160 bytes\"];",
                                 "s1_2 -> s1_3 [label=\"about 160 bytes\"];",
                                 "read by stage 2, at most 320 bytes",
                                 "s1_3 -> s2_1 [label=\"at most 320 bytes\"];",
                                 "collect, on rank 0, at most 320 bytes"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(drawn, parts[i]) != NULL, "'%s' is not in %.3000s", parts[i], drawn);
    free(text);
    free(drawn);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_only_drops_gives_at_most_what_it_gets,
        behind_a_callback_that_makes_records_nothing_is_said,
        unions_and_both_sides_of_a_join_are_added,
        a_reduction_gives_at_most_its_input_unless_its_values_are_of_another_kind,
        a_kept_result_is_read_as_large_as_it_is,
        text_and_graph_agree,
    };
    return kit_run_tests("foresee", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
