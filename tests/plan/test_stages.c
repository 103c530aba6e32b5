/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/plan/test_stages.c: graphs are cut into stages with the right legs, sides and readers, and what is too large is refused.
 */
#include "runtime/plan/stages.h"
#include "tests/kit.h"

static const quern_schema plain = {QUERN_BYTES, QUERN_U64, 0};
static qn_graph graph;
static qn_error error;
static qn_stages stages;

static void set_up(void)
{
    qn_graph_init(&graph);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    qn_graph_fini(&graph);
}

static const qn_node *made(const qn_node *node)
{
    ck_assert_msg(node != NULL, "%s", error.text);
    return node;
}

static int map_nothing(const quern_record *in, quern_emitter *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 0;
}

static const qn_node *map(const qn_node *input)
{
    qn_node draft = {.kind = QN_NODE_FLAT_MAP, .input = input, .schema = plain, .fn.flat_map = map_nothing};
    return made(qn_graph_add_node(&graph, &draft, &error));
}

static const qn_node *read_text(void)
{
    return map(made(qn_graph_add_text(&graph, (const char *const[]){"input"}, 1, NULL, &error)));
}

static const qn_node *reduce(const qn_node *input)
{
    return made(qn_graph_add_reduce(&graph, input, QUERN_SUM, &error));
}

static const qn_node *unite(const qn_node *left, const qn_node *right)
{
    return made(qn_graph_add_union(&graph, left, right, &error));
}

static const qn_node *join(const qn_node *left, const qn_node *right)
{
    qn_collate how = {.kind = QN_COLLATE_BY_HASH, .divides_keys = true};
    qn_node draft = {.kind = QN_NODE_JOIN, .schema = plain};
    draft.input = made(qn_graph_add_collate(&graph, left, right, &how, &error));
    return made(qn_graph_add_node(&graph, &draft, &error));
}

static void write_to(const qn_node *input, const char *directory)
{
    qn_sink draft = {.kind = QN_SINK_TEXT, .input = input, .directory = directory};
    kit_assert_ok(qn_graph_add_sink(&graph, &draft, &error), &error);
}

static void cut(void)
{
    kit_assert_ok(qn_stages_create(&stages, &graph, &error), &error);
}

/* Steps belong to the leg that says so; the end to none. */
static void check_legs(const qn_stage *stage)
{
    uint32_t step = 0;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++) {
        ck_assert_uint_eq(stage->legs[leg].first_step, step);
        for (uint32_t i = 0; i <= stage->legs[leg].operator_count; i++)
            ck_assert_uint_eq(qn_stage_leg_of(stage, step++), leg);
        ck_assert(qn_node_is_source(qn_leg_source(stage, leg)));
    }
    ck_assert_uint_eq(stage->step_count, step);
    ck_assert_uint_eq(qn_stage_leg_of(stage, step), stage->leg_count);
}

/* Parents come before their readers, and the last reader is one, and the last. */
static void check_readers(void)
{
    for (uint32_t i = 0; i < stages.count; i++) {
        uint32_t last = i;
        for (uint32_t other = 0; other < stages.count; other++)
            if (qn_stage_reads(&stages.items[other], i)) {
                ck_assert_uint_gt(other, i);
                last = other;
            }
        ck_assert_uint_eq(stages.items[i].last_reader, last);
        check_legs(&stages.items[i]);
    }
}

START_TEST(unions_of_unions_are_legs_in_the_order_of_the_graph)
{
    const qn_node *a = read_text(), *b = read_text(), *c = reduce(read_text());
    write_to(map(unite(map(unite(a, b)), unite(c, map(a)))), "out");
    cut();
    ck_assert_uint_eq(stages.count, 2);
    check_readers();
    const qn_stage *last = &stages.items[1];
    ck_assert_uint_eq(last->leg_count, 4);
    ck_assert_ptr_eq(qn_leg_source(last, 0), a->input);
    ck_assert_ptr_eq(qn_leg_source(last, 1), b->input);
    ck_assert_ptr_eq(qn_leg_source(last, 2), c);
    ck_assert_ptr_eq(qn_leg_source(last, 3), a->input);
    ck_assert_uint_eq(last->legs[0].operator_count, 3);
    ck_assert_uint_eq(last->legs[2].operator_count, 1);
    ck_assert_uint_eq(last->legs[3].operator_count, 3);
    ck_assert_uint_eq(last->legs[2].parent, 0);
    ck_assert_uint_eq(last->legs[3].parent, QN_STAGE_NONE);
}
END_TEST

START_TEST(a_diamond_makes_its_result_once)
{
    const qn_node *top = reduce(read_text());
    write_to(join(reduce(map(top)), reduce(map(map(top)))), "out");
    cut();
    ck_assert_uint_eq(stages.count, 5);
    check_readers();
    ck_assert_uint_eq(stages.items[0].last_reader, 2);
    ck_assert_uint_eq(stages.live_max, 3);
}
END_TEST

START_TEST(a_join_with_itself_has_a_leg_for_each_side)
{
    const qn_node *sums = reduce(read_text());
    write_to(join(sums, sums), "out");
    cut();
    ck_assert_uint_eq(stages.count, 3);
    check_readers();
    const qn_stage *gather = &stages.items[1];
    ck_assert_uint_eq(gather->leg_count, 2);
    ck_assert_uint_eq(gather->legs[0].side, 0);
    ck_assert_uint_eq(gather->legs[1].side, 1);
    ck_assert_uint_eq(gather->legs[0].parent, 0);
    ck_assert_uint_eq(gather->legs[1].parent, 0);
    ck_assert_uint_eq(stages.live_max, 2);
}
END_TEST

START_TEST(unions_on_each_side_of_a_join_are_legs_of_that_side)
{
    const qn_node *a = read_text();
    write_to(join(unite(a, a), unite(a, unite(a, a))), "out");
    cut();
    check_readers();
    ck_assert_uint_eq(stages.items[0].leg_count, 5);
    for (uint32_t leg = 0; leg < 5; leg++)
        ck_assert_uint_eq(stages.items[0].legs[leg].side, leg >= 2);
}
END_TEST

START_TEST(results_that_are_read_late_live_until_then)
{
    const qn_node *early = reduce(read_text()), *now = early;
    for (int i = 0; i < 5; i++)
        now = reduce(map(now));
    write_to(now, "first");
    write_to(early, "late");
    cut();
    check_readers();
    ck_assert_uint_eq(stages.count, 8);
    ck_assert_uint_eq(stages.items[0].last_reader, 7);
    ck_assert_uint_eq(stages.live_max, 3);
}
END_TEST

/* A cached dataset that is there, and whose sorted form is wanted. */
static qn_node *keep(const qn_node *node)
{
    qn_node *kept = qn_graph_add_store(&graph, (qn_node *)(uintptr_t)node, &error);
    qn_graph_cache(&graph, (qn_node *)(uintptr_t)made(kept));
    kept->is_made = true;
    kit_assert_ok(qn_graph_want_sorted(&graph, kept, &error), &error);
    return kept;
}

static const qn_stage *last_stage(void)
{
    check_readers();
    return &stages.items[stages.count - 1];
}

/* The stage that collates, of a graph whose last output reads it. */
static const qn_stage *collating(void)
{
    cut();
    return &stages.items[last_stage()->legs[0].parent];
}

START_TEST(a_side_that_is_kept_in_order_has_no_leg_and_is_made_where_it_is_not_there)
{
    qn_node *kept = keep(read_text());
    write_to(join(kept, reduce(read_text())), "out");
    const qn_stage *gather = collating();
    ck_assert_uint_eq(stages.count, 5); /* kept, in order, reduction, gather, output */
    ck_assert_uint_eq(gather->leg_count, 1);
    ck_assert_uint_eq(gather->legs[0].side, 1);
    ck_assert_uint_eq(gather->kept_side, 0);
    ck_assert_ptr_eq(stages.items[gather->kept].result, kept->sorted);
    ck_assert_uint_eq(stages.items[gather->kept].leg_count, 1);
    kept->sorted->is_made = true;
    gather = collating();
    ck_assert_uint_eq(stages.count, 4);
    ck_assert(stages.items[gather->kept].is_made);
}
END_TEST

START_TEST(a_right_side_is_kept_in_order_where_no_left_key_can_be_hot)
{
    qn_node *kept = keep(read_text());
    write_to(join(reduce(read_text()), kept), "out");
    const qn_stage *gather = collating();
    ck_assert_uint_eq(gather->kept_side, 1);
    ck_assert_uint_eq(gather->legs[0].side, 0);
    qn_graph_forget_sinks(&graph);
    write_to(join(map(reduce(read_text())), kept), "out");
    gather = collating();
    ck_assert_uint_eq(gather->kept, QN_STAGE_NONE);
    ck_assert_uint_eq(gather->leg_count, 2);
}
END_TEST

START_TEST(a_side_with_hot_keys_is_joined_anew_and_one_with_uneven_cuts_is_not_kept)
{
    qn_node *kept = keep(read_text());
    write_to(join(kept, reduce(read_text())), "out");
    kept->sorted->has_hot_key = true;
    ck_assert_uint_eq(collating()->kept, QN_STAGE_NONE);
    kept->sorted->has_hot_key = false;
    ck_assert_uint_ne(collating()->kept, QN_STAGE_NONE);
    kept->sorted->is_uneven = true;
    ck_assert_uint_eq(collating()->kept, QN_STAGE_NONE);
}
END_TEST

START_TEST(of_two_sides_that_may_be_kept_the_one_that_is_there_in_order_is)
{
    qn_node *left = keep(read_text()), *right = keep(reduce(read_text()));
    write_to(join(left, right), "out");
    ck_assert_uint_eq(collating()->kept_side, 0);
    left->sorted->has_hot_key = true;
    ck_assert_uint_eq(collating()->kept, QN_STAGE_NONE); /* the left one could be hot: the right one cannot be kept */
    left->sorted->has_hot_key = false;
    qn_graph_forget_sinks(&graph);
    write_to(join(right, left), "out");
    ck_assert_uint_eq(collating()->kept_side, 0);
    left->sorted->is_made = true;
    ck_assert_uint_eq(collating()->kept_side, 1);
}
END_TEST

START_TEST(a_dataset_that_was_joined_gets_a_sorted_form_and_loses_it_with_its_place_in_the_cache)
{
    qn_node *kept = qn_graph_add_store(&graph, (qn_node *)(uintptr_t)read_text(), &error);
    qn_graph_cache(&graph, kept);
    write_to(join(kept, reduce(read_text())), "out");
    write_to(reduce(map(kept)), "other");
    cut();
    kit_assert_ok(qn_stages_learn(&stages, &graph, &error), &error);
    ck_assert_ptr_null(kept->sorted); /* the run did not keep it */
    kept->is_made = true;
    kit_assert_ok(qn_stages_learn(&stages, &graph, &error), &error);
    ck_assert_ptr_nonnull(kept->sorted);
    ck_assert(kept->sorted->is_cached);
    qn_graph_uncache(&graph, kept);
    ck_assert_ptr_null(kept->sorted);
    ck_assert_ptr_null(graph.cached);
}
END_TEST

START_TEST(a_graph_that_is_as_large_as_may_be_keeps_nothing_in_order)
{
    const qn_node *node = read_text();
    qn_node *kept = keep(read_text());
    for (int i = 0; i < 61; i++)
        node = reduce(node);
    write_to(join(kept, node), "out");
    ck_assert_uint_eq(collating()->kept, QN_STAGE_NONE);
    ck_assert_uint_eq(stages.count, 64);
}
END_TEST

static void check_refused(const char *part)
{
    ck_assert_int_eq(qn_stages_create(&stages, &graph, &error), QUERN_ERROR_INVALID_PLAN);
    ck_assert_msg(strstr(error.text, part) != NULL, "%s", error.text);
}

/* A graph of `count` of what a limit is on; behind it, one more. */
START_TEST(the_largest_graphs_are_cut_and_larger_ones_refused)
{
    static const char *const parts[] = {"32 inputs of one stage", "64 operators", "128 steps", "64 stages",
                                        "64 operators"};
    for (int what = 0; what < 5; what++)
        for (uint32_t more = 0; more < 2; more++) {
            tear_down();
            set_up();
            const qn_node *node = read_text();
            uint32_t count = what == 0 ? 31 : what == 2 ? 3 : what == 4 ? 6 : 63;
            if (what == 2) { /* 3 + 1 legs of 32 steps */
                for (int i = 0; i < 30; i++)
                    node = map(node);
                const qn_node *first = node;
                for (uint32_t i = 0; i < count; i++)
                    node = unite(node, i + 1 == count && more ? map(first) : first);
            } else if (what == 4) { /* doubled again and again: 2^6 legs, but for the limit */
                for (uint32_t i = 0; i < count - 1 + more * 70; i++)
                    node = unite(node, node);
            } else
                for (uint32_t i = 0; i < count + more - (what == 3); i++)
                    node = what == 0 ? unite(node, read_text()) : what == 1 ? map(node) : reduce(node);
            if (what == 3)
                node = reduce(node);
            write_to(node, "out");
            if (more)
                check_refused(parts[what]);
            else {
                cut();
                check_readers();
            }
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        unions_of_unions_are_legs_in_the_order_of_the_graph,
        a_diamond_makes_its_result_once,
        a_join_with_itself_has_a_leg_for_each_side,
        unions_on_each_side_of_a_join_are_legs_of_that_side,
        results_that_are_read_late_live_until_then,
        the_largest_graphs_are_cut_and_larger_ones_refused,
        a_side_that_is_kept_in_order_has_no_leg_and_is_made_where_it_is_not_there,
        a_right_side_is_kept_in_order_where_no_left_key_can_be_hot,
        a_side_with_hot_keys_is_joined_anew_and_one_with_uneven_cuts_is_not_kept,
        of_two_sides_that_may_be_kept_the_one_that_is_there_in_order_is,
        a_dataset_that_was_joined_gets_a_sorted_form_and_loses_it_with_its_place_in_the_cache,
        a_graph_that_is_as_large_as_may_be_keeps_nothing_in_order,
    };
    return kit_run_tests("stages", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
