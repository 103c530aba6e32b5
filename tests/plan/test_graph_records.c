/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/plan/test_graph_records.c: what nodes of one record at a time are made with is part of the plan that ranks compare, and the
 * ways of a dataset are the same wherever it is used.
 */
#include "runtime/plan/stages.h"
#include "tests/kit.h"

static qn_graph graph;
static qn_error error;

static void set_up(void)
{
    qn_graph_init(&graph);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    qn_graph_fini(&graph);
}

static const char *const paths[] = {"a", "b"};

static const qn_node *read_lines(void)
{
    const qn_node *node = qn_graph_add_text(&graph, paths, 1, NULL, &error);
    ck_assert_msg(node != NULL, "%s", error.text);
    return node;
}

/* The digest of a graph of one choice. */
static uint64_t digest_of(unsigned choice)
{
    quern_fixed_options options = {.record_bytes = 16, .key_bytes = 8};
    const double bounds[] = {1, 2, choice == 11 ? 4 : 3};
    options.record_bytes += choice == 1;
    options.key_offset += choice == 2;
    options.key_bytes -= choice == 3;
    options.value_offset = choice == 4 ? 9 : 8;
    options.value_bytes = choice == 5 ? 1 : 0;
    options.header_bytes = choice == 6;
    if (choice == 7)
        options.schema = (quern_schema){QUERN_U64, QUERN_BYTES, 0};
    qn_graph_init(&graph);
    ck_assert_ptr_nonnull(qn_graph_add_fixed(&graph, paths, choice == 8 ? 2 : 1, &options, &error));
    qn_node numbers = {.kind = QN_NODE_MAP, .input = read_lines(), .schema = {QUERN_BYTES, QUERN_U64, 0}};
    const qn_node *mapped = qn_graph_add_node(&graph, &numbers, &error);
    ck_assert_ptr_nonnull(qn_graph_add_sample(&graph, mapped, choice == 9 ? 0.25 : 0.5, choice == 10, &error));
    ck_assert_ptr_nonnull(qn_graph_add_bin(&graph, mapped, bounds, choice == 12 ? 2 : 3, &error));
    uint64_t digest = graph.digest;
    qn_graph_fini(&graph);
    return digest;
}

START_TEST(outputs_of_a_thousand_runs_take_the_memory_of_one)
{
    const qn_node *lines = read_lines();
    size_t held_bytes = 0;
    for (int run = 0; run < 1000; run++) {
        qn_sink text = {.kind = QN_SINK_TEXT, .input = lines, .directory = "a directory whose name is not too short"};
        ck_assert_int_eq(qn_graph_add_sink(&graph, &text, &error), QUERN_OK);
        ck_assert_int_eq(qn_graph_add_sink(&graph, &text, &error), QUERN_OK);
        ck_assert_ptr_nonnull(graph.sinks->next);
        qn_graph_forget_sinks(&graph);
        if (run == 0)
            held_bytes = graph.arena.held_bytes + graph.sink_arena.held_bytes;
    }
    ck_assert_uint_eq(graph.arena.held_bytes + graph.sink_arena.held_bytes, held_bytes);
}
END_TEST

START_TEST(every_argument_is_in_the_digest)
{
    uint64_t digests[13];
    qn_graph_fini(&graph);
    for (unsigned choice = 0; choice < 13; choice++) {
        digests[choice] = digest_of(choice);
        ck_assert_uint_eq(digests[choice], digest_of(choice));
        for (unsigned before = 0; before < choice; before++)
            ck_assert_msg(digests[before] != digests[choice], "%u and %u", before, choice);
    }
    qn_graph_init(&graph);
}
END_TEST

static const qn_node *unite(const qn_node *left, const qn_node *right)
{
    return qn_graph_add_union(&graph, left, right, &error);
}

static quern_status add_output(const qn_node *node)
{
    return qn_graph_add_sink(&graph, &(qn_sink){.kind = QN_SINK_TEXT, .input = node, .directory = "out"}, &error);
}

/* The ways of the only sample that legs of a stage pass, or - where there is none. */
static void describe_ways(const qn_stage *stage, char *text)
{
    for (uint32_t leg = 0; leg < stage->leg_count; leg++) {
        char way = '-';
        for (uint32_t i = 1; i <= stage->legs[leg].operator_count; i++) {
            uint32_t step = stage->legs[leg].first_step + i;
            if (stage->steps[step]->kind == QN_NODE_SAMPLE)
                way = (char)('0' + qn_stage_way_of(stage, leg, step));
        }
        *text++ = way;
    }
    *text = 0;
}

START_TEST(the_ways_to_a_dataset_are_numbered_alike_wherever_it_is_used)
{
    static qn_stages stages;
    const qn_node *lines = read_lines();
    const qn_node *three = unite(lines, unite(lines, lines));
    const qn_node *sample = qn_graph_add_sample(&graph, three, 0.5, 1, &error);
    const struct {
        const qn_node *node;
        const char *ways;
    } uses[] = {{sample, "012"},
                {unite(sample, sample), "012012"},
                {unite(lines, unite(sample, unite(lines, sample))), "-012-012"},
                {unite(unite(sample, lines), sample), "012-012"},
                {qn_graph_add_sample(&graph, lines, 0.5, 1, &error), "0"}};
    size_t count = sizeof uses / sizeof *uses;
    for (size_t i = 0; i < count; i++)
        kit_assert_ok(add_output(uses[i].node), &error);
    kit_assert_ok(qn_stages_create(&stages, &graph, &error), &error);
    ck_assert_uint_eq(stages.count, count);
    for (size_t i = 0; i < count; i++) {
        char ways[QN_LEG_COUNT_MAX + 1];
        describe_ways(&stages.items[i], ways);
        ck_assert_str_eq(ways, uses[i].ways);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_argument_is_in_the_digest,
        outputs_of_a_thousand_runs_take_the_memory_of_one,
        the_ways_to_a_dataset_are_numbered_alike_wherever_it_is_used,
    };
    return kit_run_tests("graph_records", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
