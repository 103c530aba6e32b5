/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/plan/test_join_choice.c: which side of a join is the outer one, by the program, by the graph, by what is known of sizes; and that
 * what is kept in order goes with it.
 */
#include "runtime/plan/explain.h"
#include "tests/kit.h"

#define SOURCE_COUNT_MAX 8
#define UNKNOWN          QN_INPUT_BYTES_UNKNOWN

static const quern_schema plain = {QUERN_BYTES, QUERN_U64, 0};
static qn_graph graph;
static qn_error error;
static qn_account *account;

/* What is known of nodes. */
static struct size {
    const qn_node *node;
    uint64_t bytes;
} sizes[SOURCE_COUNT_MAX];
static uint32_t size_count, asked_count;

static void set_up(void)
{
    qn_graph_init(&graph);
    qn_error_clear(&error);
    size_count = asked_count = 0;
}

static void tear_down(void)
{
    free(account);
    account = NULL;
    qn_graph_fini(&graph);
}

static qn_node *made(const qn_node *node)
{
    ck_assert_msg(node != NULL, "%s", error.text);
    return (qn_node *)(uintptr_t)node;
}

static void tell(const qn_node *node, uint64_t bytes)
{
    for (uint32_t i = 0; i < size_count; i++)
        if (sizes[i].node == node) {
            sizes[i].bytes = bytes;
            return;
        }
    ck_assert_uint_lt(size_count, SOURCE_COUNT_MAX);
    sizes[size_count++] = (struct size){node, bytes};
}

static uint64_t bytes_of(const qn_node *node, void *user)
{
    (void)user;
    asked_count++;
    for (uint32_t i = 0; i < size_count; i++)
        if (sizes[i].node == node)
            return sizes[i].bytes;
    return UNKNOWN;
}

static int map_nothing(const quern_record *in, quern_emitter *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 0;
}

static qn_node *map(const qn_node *input)
{
    qn_node draft = {.kind = QN_NODE_FLAT_MAP, .input = input, .schema = plain, .fn.flat_map = map_nothing};
    return made(qn_graph_add_node(&graph, &draft, &error));
}

static qn_node *read_source(uint64_t bytes)
{
    const qn_node *source = made(qn_graph_add_text(&graph, (const char *const[]){"input"}, 1, NULL, &error));
    tell(source, bytes);
    return map(source);
}

static qn_node *reduce(const qn_node *input)
{
    return made(qn_graph_add_reduce(&graph, input, QUERN_SUM, &error));
}

static qn_node *filter(const qn_node *input)
{
    qn_node draft = {.kind = QN_NODE_FILTER, .input = input, .schema = input->schema};
    return made(qn_graph_add_node(&graph, &draft, &error));
}

/* Cached, and there or not; then sizes of it are what is told. */
static qn_node *keep(qn_node *node, bool is_made)
{
    qn_node *kept = made(qn_graph_add_store(&graph, node, &error));
    qn_graph_cache(&graph, kept);
    kept->is_made = is_made;
    return kept;
}

static qn_node *join_by(const qn_node *left, const qn_node *right, quern_join_type type, quern_join_strategy strategy,
                        quern_join_outer outer)
{
    qn_node draft = {.kind = QN_NODE_JOIN, .schema = plain, .of.join_type = type};
    draft.input = made(qn_graph_add_join_input(&graph, left, right, type, strategy, outer, &error));
    return made(qn_graph_add_node(&graph, &draft, &error));
}

static qn_node *join(const qn_node *left, const qn_node *right)
{
    return join_by(left, right, QUERN_JOIN_INNER, QUERN_JOIN_AUTO, QUERN_JOIN_OUTER_AUTO);
}

/* The stage that collates for the join, when its result is all that is asked for. */
static const qn_stage *plan(const qn_node *joined, bool is_certain)
{
    const qn_known_sizes known = {bytes_of, NULL, 0, is_certain};
    qn_sink draft = {.kind = QN_SINK_TEXT, .input = joined, .directory = "out"};
    kit_assert_ok(qn_graph_add_sink(&graph, &draft, &error), &error);
    free(account);
    kit_assert_ok(qn_account_create(&graph, &known, &account, &error), &error);
    qn_graph_forget_sinks(&graph);
    uint32_t index = qn_stages_find(&account->stages, joined->input);
    ck_assert_uint_ne(index, QN_STAGE_NONE);
    ck_assert_uint_eq(account->stages.items[index].outer_side, joined->input->outer_side);
    return &account->stages.items[index];
}

static uint32_t outer_of(const qn_node *left, const qn_node *right)
{
    return plan(join(left, right), true)->outer_side;
}

START_TEST(the_larger_side_is_the_outer_one_and_the_left_one_of_equal_and_unknown_ones)
{
    ck_assert_uint_eq(outer_of(read_source(10), read_source(11)), 1);
    ck_assert_uint_eq(outer_of(read_source(11), read_source(10)), 0);
    size_count = 0;
    ck_assert_uint_eq(outer_of(read_source(10), read_source(10)), 0);
    ck_assert_uint_eq(outer_of(read_source(UNKNOWN), read_source(10)), 0);
    ck_assert_uint_eq(outer_of(read_source(10), read_source(UNKNOWN)), 0);
    const qn_node *joined = join(map(made(qn_graph_add_text(&graph, (const char *const[]){"a"}, 1, NULL, &error))),
                                 map(made(qn_graph_add_text(&graph, (const char *const[]){"b"}, 1, NULL, &error))));
    const qn_known_sizes nothing = {0};
    qn_sink draft = {.kind = QN_SINK_TEXT, .input = joined, .directory = "out"};
    kit_assert_ok(qn_graph_add_sink(&graph, &draft, &error), &error);
    free(account);
    kit_assert_ok(qn_account_create(&graph, &nothing, &account, &error), &error);
    ck_assert_uint_eq(joined->input->outer_side, 0);
}
END_TEST

START_TEST(a_side_is_all_that_it_is_made_of)
{
    const qn_node *both = made(qn_graph_add_union(&graph, read_source(6), read_source(6), &error));
    ck_assert_uint_eq(outer_of(read_source(11), map(both)), 1);
    ck_assert_uint_eq(outer_of(read_source(13), map(both)), 0);
    size_count = 0;
    const qn_node *pairs = join(read_source(5), map(reduce(read_source(8))));
    ck_assert_uint_eq(outer_of(read_source(12), pairs), 1);
    ck_assert_uint_eq(outer_of(read_source(14), pairs), 0);
}
END_TEST

START_TEST(every_type_and_every_way_to_sort_has_an_outer_side_and_the_program_may_say_which)
{
    const qn_node *small = read_source(10), *large = read_source(11);
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++)
        for (int strategy = QUERN_JOIN_AUTO; strategy <= QUERN_JOIN_SORT; strategy++)
            for (int outer = QUERN_JOIN_OUTER_AUTO; outer <= QUERN_JOIN_OUTER_RIGHT; outer++)
                for (uint32_t larger = 0; larger < 2; larger++) {
                    const qn_node *joined =
                        join_by(larger ? small : large, larger ? large : small, (quern_join_type)type,
                                (quern_join_strategy)strategy, (quern_join_outer)outer);
                    uint32_t expected = outer == QUERN_JOIN_OUTER_AUTO ? larger : outer == QUERN_JOIN_OUTER_RIGHT;
                    const qn_stage *stage = plan(joined, true);
                    ck_assert_uint_eq(stage->outer_side, expected);
                    ck_assert_int_eq(stage->result->build, QN_BUILD_NONE);
                }
}
END_TEST

START_TEST(a_side_with_each_key_once_is_the_inner_one_however_large_it_is)
{
    ck_assert_uint_eq(outer_of(reduce(read_source(100)), read_source(1)), 1);
    ck_assert_uint_eq(outer_of(read_source(1), filter(reduce(read_source(100)))), 0);
    ck_assert_uint_eq(asked_count, 4); /* only of what might be a table */
    size_count = 0;
    ck_assert_uint_eq(outer_of(reduce(read_source(2)), reduce(read_source(3))), 1);
    ck_assert_uint_eq(outer_of(map(reduce(read_source(3))), read_source(2)), 0);
}
END_TEST

START_TEST(what_is_kept_counts_as_it_did_when_it_was_first_joined)
{
    qn_node *kept = keep(read_source(10), false);
    const qn_node *other = read_source(20);
    ck_assert_uint_eq(outer_of(map(kept), other), 1);
    kept->is_made = true;
    tell(kept, 1000); /* it has become more */
    ck_assert_uint_eq(outer_of(map(kept), other), 1);
    ck_assert_uint_eq(outer_of(other, kept), 0);
    qn_graph_uncache(&graph, kept);
    qn_graph_cache(&graph, kept);
    kept->is_made = true;
    ck_assert_uint_eq(outer_of(map(kept), other),
                      0); /* another dataset, as it were, which is there before it is joined */
}
END_TEST

/* A rank alone asks for a plan, and guesses. */
START_TEST(a_plan_that_is_only_looked_at_weighs_nothing_for_later)
{
    qn_node *kept = keep(read_source(10), true);
    const qn_node *other = read_source(20);
    tell(kept, 1000);
    ck_assert_uint_eq(plan(join(kept, other), false)->outer_side, 0);
    ck_assert(!kept->is_weighed);
    tell(kept, 1);
    ck_assert_uint_eq(plan(join(kept, other), true)->outer_side, 1);
    tell(kept, 1000);
    ck_assert_uint_eq(plan(join(kept, other), false)->outer_side, 1);
}
END_TEST

START_TEST(a_kept_reduction_that_was_mapped_counts_as_what_it_is_made_of)
{
    qn_node *kept = keep(reduce(read_source(10)), true);
    ck_assert_uint_eq(outer_of(map(kept), read_source(9)), 0);
    ck_assert_uint_eq(outer_of(map(kept), read_source(11)), 1);
}
END_TEST

/* Cuts between keys are for sides whose records are not many of one key: the inner side is kept in order where the outer one has each key
 * once, the outer one where its sample had no hot key. */
START_TEST(a_side_is_kept_in_order_by_what_it_is_and_not_by_where_it_stands)
{
    for (uint32_t outer = 0; outer < 2; outer++)
        for (uint32_t kept_side = 0; kept_side < 2; kept_side++)
            for (int unique = 0; unique < 2; unique++) {
                qn_node *kept = keep(read_source(10), true), *other = read_source(10);
                kit_assert_ok(qn_graph_want_sorted(&graph, kept, &error), &error);
                other = unique ? reduce(other) : other;
                const qn_node *joined =
                    join_by(kept_side ? other : kept, kept_side ? kept : other, QUERN_JOIN_FULL, QUERN_JOIN_SORT,
                            outer ? QUERN_JOIN_OUTER_RIGHT : QUERN_JOIN_OUTER_LEFT);
                const qn_stage *stage = plan(joined, true);
                ck_assert_int_eq(stage->kept != QN_STAGE_NONE, kept_side == outer || unique);
                ck_assert(stage->kept == QN_STAGE_NONE || stage->kept_side == kept_side);
                kept->sorted->has_hot_key = true;
                ck_assert_int_eq(plan(joined, true)->kept != QN_STAGE_NONE, kept_side != outer && unique);
                qn_graph_uncache(&graph, kept);
                size_count = 0;
            }
}
END_TEST

START_TEST(the_plan_says_which_side_it_is)
{
    static const char *const words[] = {"left side outer", "right side outer"};
    const qn_node *small = read_source(10), *large = read_source(11);
    for (uint32_t outer = 0; outer < 2; outer++) {
        char *text = NULL;
        plan(outer ? join(small, large) : join(large, small), false);
        kit_assert_ok(qn_account_explain(account, QUERN_EXPLAIN_TEXT, &text, &error), &error);
        ck_assert_msg(strstr(text, words[outer]) && !strstr(text, words[1 - outer]), "%s", text);
        free(text);
    }
}
END_TEST

START_TEST(graphs_with_other_outer_sides_differ)
{
    uint64_t digests[3];
    for (int outer = QUERN_JOIN_OUTER_AUTO; outer <= QUERN_JOIN_OUTER_RIGHT; outer++) {
        tear_down();
        set_up();
        join_by(read_source(1), read_source(1), QUERN_JOIN_INNER, QUERN_JOIN_SORT, (quern_join_outer)outer);
        digests[outer] = graph.digest;
    }
    ck_assert(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_larger_side_is_the_outer_one_and_the_left_one_of_equal_and_unknown_ones,
        a_side_is_all_that_it_is_made_of,
        every_type_and_every_way_to_sort_has_an_outer_side_and_the_program_may_say_which,
        a_side_with_each_key_once_is_the_inner_one_however_large_it_is,
        what_is_kept_counts_as_it_did_when_it_was_first_joined,
        a_plan_that_is_only_looked_at_weighs_nothing_for_later,
        a_kept_reduction_that_was_mapped_counts_as_what_it_is_made_of,
        a_side_is_kept_in_order_by_what_it_is_and_not_by_where_it_stands,
        the_plan_says_which_side_it_is,
        graphs_with_other_outer_sides_differ,
    };
    return kit_run_tests("join_choice", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
