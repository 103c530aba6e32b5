/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_chain.c: chains of operators against a plain model of them.
 */
#include "tests/exec/chain_kit.h"
#include "tests/refusal.h"

/* One run gives what the operators give one by one; the counter of calls adds up. */
static void check_chain(const qn_node_kind *kinds, uint32_t depth, const kit_rows *in)
{
    static kit_chain tested;
    qn_edge_stats edges[QN_CHAIN_COUNT_MAX] = {{0}};
    kit_rows expected;
    kit_model_chain(in, kinds, depth, &expected, edges);
    kit_open_chain(&tested, kinds, depth);
    kit_assert_ok(kit_run_chain(&tested, in, 0), &kit_error);
    kit_check_rows(&tested.end.got, &expected);
    kit_check_edges(&tested.chain, edges, depth);
    ck_assert_uint_eq(tested.chain.delivered, expected.count);
    ck_assert_uint_eq(tested.chain.end_records, expected.count);
    ck_assert_int_eq(kit_world.counter.sum, (int64_t)kit_world.call_count);
    ck_assert_int_eq(kit_world.counter.pending, 0);
    if (kinds[0] != QN_NODE_FLAT_MAP_BLOCK && kinds[0] != QN_NODE_MAP_BLOCK && depth == 1)
        ck_assert_uint_eq(tested.end.misplaced_count, 0);
    kit_close_chain(&tested);
    kit_free_rows(&expected);
}

START_TEST(a_random_chain_gives_what_its_operators_give_one_by_one)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        uint64_t state = seed;
        qn_node_kind kinds[6];
        uint32_t depth = 1 + (uint32_t)kit_random_below(&state, 6);
        kit_choose_kinds(kinds, depth, &state);
        kit_rows in;
        kit_make_rows(&in, kit_random_below(&state, 60), &state);
        check_chain(kinds, depth, &in);
        kit_free_rows(&in);
    }
}
END_TEST

START_TEST(a_chain_may_be_as_deep_as_a_stage_allows)
{
    qn_node_kind kinds[QN_CHAIN_COUNT_MAX];
    uint64_t state = 5;
    kit_rows in;
    for (uint32_t i = 0; i < QN_CHAIN_COUNT_MAX; i++)
        kinds[i] = i % 2 ? QN_NODE_MAP_BLOCK : QN_NODE_MAP;
    kit_make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    check_chain(kinds, QN_CHAIN_COUNT_MAX, &in);
    kit_free_rows(&in);
}
END_TEST

START_TEST(a_chain_without_operators_hands_its_blocks_on)
{
    static kit_chain tested;
    uint64_t state = 6;
    kit_rows in;
    kit_make_rows(&in, 100, &state);
    kit_open_chain(&tested, NULL, 0);
    kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
    kit_check_rows(&tested.end.got, &in);
    ck_assert_uint_eq(tested.end.misplaced_count, 0);
    kit_assert_ok(kit_run_chain(&tested, &in, 100), &kit_error);
    kit_assert_ok(kit_run_chain(&tested, &in, 150), &kit_error);
    ck_assert_uint_eq(tested.end.got.count, 100);
    kit_assert_ok(kit_run_chain(&tested, &in, 99), &kit_error);
    ck_assert_uint_eq(tested.end.got.count, 101);
    ck_assert_uint_eq(tested.end.got.items[100].value, in.items[99].value);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

START_TEST(any_number_of_records_can_be_dropped_from_the_front)
{
    static kit_chain tested;
    static const qn_node_kind kinds[] = {QN_NODE_MAP, QN_NODE_FILTER, QN_NODE_FLAT_MAP};
    qn_edge_stats edges[3] = {{0}};
    uint64_t state = 8;
    kit_rows in, expected;
    kit_make_rows(&in, 300, &state);
    kit_model_chain(&in, kinds, 3, &expected, edges);
    kit_open_chain(&tested, kinds, 3);
    for (size_t skip = 0; skip < expected.count + 3; skip++) {
        tested.end.got.count = 0;
        kit_assert_ok(kit_run_chain(&tested, &in, skip), &kit_error);
        size_t dropped = skip < expected.count ? skip : expected.count;
        kit_rows rest = {expected.items + dropped, expected.count - dropped, 0};
        kit_check_rows(&tested.end.got, &rest);
        ck_assert_uint_eq(tested.chain.delivered, expected.count);
    }
    ck_assert_uint_eq(tested.end.misplaced_count, 0);
    kit_close_chain(&tested);
    kit_free_rows(&in);
    kit_free_rows(&expected);
}
END_TEST

static quern_status check_references(void *user, const qn_batch *batch, qn_error *failure)
{
    const kit_rows *in = user;
    (void)failure;
    for (size_t i = 0; i < batch->block.count; i++) {
        ck_assert_ptr_eq(batch->block.key[i], in->items[batch->origin[i]].key);
        ck_assert_ptr_eq(batch->block.value[i], &in->items[batch->origin[i]].value);
    }
    return QUERN_OK;
}

START_TEST(filters_pass_references_on)
{
    static kit_chain tested;
    qn_node nodes[] = {kit_make_node(QN_NODE_FILTER), kit_make_node(QN_NODE_FILTER_BLOCK)};
    kit_rows in;
    uint64_t state = 9;
    kit_make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    kit_open_operators(&tested, nodes, 2, check_references, &in);
    kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
    ck_assert_uint_gt(tested.chain.end_records, 100);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

START_TEST(refused_memory_creates_no_chain)
{
    qn_node nodes[3] = {kit_make_node(QN_NODE_MAP), kit_make_node(QN_NODE_FILTER), kit_make_node(QN_NODE_FLAT_MAP)};
    const qn_node *const operators[] = {&nodes[0], &nodes[1], &nodes[2]};
    int failure_count = 0;
    for (;; failure_count++) {
        qn_chain chain;
        uint64_t arrived = 0;
        qn_error_clear(&kit_error);
        allocations_left = failure_count;
        quern_status status = qn_chain_init(&chain, operators, 3, NULL, kit_count_records, &arrived, &kit_error);
        allocations_left = -1;
        if (status != QUERN_OK)
            ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        qn_chain_fini(&chain);
        qn_chain_fini(&chain);
        if (status == QUERN_OK)
            break;
    }
    ck_assert_int_ge(failure_count, 4);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_random_chain_gives_what_its_operators_give_one_by_one,
        a_chain_may_be_as_deep_as_a_stage_allows,
        a_chain_without_operators_hands_its_blocks_on,
        any_number_of_records_can_be_dropped_from_the_front,
        filters_pass_references_on,
        refused_memory_creates_no_chain,
    };
    return kit_run_tests("chain", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
