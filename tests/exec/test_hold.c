/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_hold.c: chains that hold their records back: a block arrives whole or not at all, and if it gives too much to be held it is
 * tried first.
 */
#include "runtime/exec/hold.h"
#include "tests/exec/chain_kit.h"

#define MUCH_BYTES ((uint64_t)64 << 20)

static kit_chain tested;

static void open_held(const qn_node_kind *kinds, uint32_t depth, uint64_t bytes_max)
{
    kit_open_chain(&tested, kinds, depth);
    kit_assert_ok(qn_chain_hold(&tested.chain, bytes_max, &kit_error), &kit_error);
}

static quern_status run_held(const kit_rows *in, uint64_t skip)
{
    qn_batch batch = kit_make_batch(in);
    qn_error_clear(&kit_error);
    kit_world.call_count = 0;
    return qn_hold_run(&tested.chain, &batch, skip, &kit_error);
}

static uint64_t count_calls(const qn_node_kind *kinds, uint32_t depth, const kit_rows *in)
{
    open_held(kinds, depth, MUCH_BYTES);
    kit_assert_ok(run_held(in, 0), &kit_error);
    kit_close_chain(&tested);
    return kit_world.call_count;
}

/* Failures at some calls, then none; what arrived when it failed is told by `arrived`. */
static void check_random_chains(uint64_t bytes_max, bool is_whole)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t state = seed * 31, skip = 0;
        qn_node_kind kinds[5];
        kit_rows in, expected;
        qn_edge_stats edges[QN_CHAIN_COUNT_MAX] = {{0}};
        uint32_t depth = 1 + (uint32_t)kit_random_below(&state, 5);
        kit_choose_kinds(kinds, depth, &state);
        kit_make_rows(&in, 1 + kit_random_below(&state, seed % 5 ? 40 : QN_BATCH_COUNT_MAX), &state);
        kit_model_chain(&in, kinds, depth, &expected, edges);
        uint64_t calls = count_calls(kinds, depth, &in);
        open_held(kinds, depth, bytes_max);
        for (int attempt = 0; attempt < 3 && calls > 0; attempt++) {
            kit_world.fail_at = 1 + kit_random_below(&state, is_whole ? calls : 2 * calls);
            if (run_held(&in, skip) == QUERN_OK) {
                ck_assert_uint_eq(expected.count, tested.end.got.count); /* it had nothing to try: all was held */
                break;
            }
            ck_assert(tested.chain.callback_failed);
            skip = tested.chain.delivered > skip ? tested.chain.delivered : skip;
            ck_assert_uint_eq(tested.end.got.count, skip);
            ck_assert(!is_whole || skip == 0);
            ck_assert_int_eq(kit_world.counter.sum, 0);
        }
        if (tested.end.got.count < expected.count || kit_world.counter.sum == 0) {
            kit_world.fail_at = 0;
            kit_assert_ok(run_held(&in, skip), &kit_error);
        }
        kit_check_rows(&tested.end.got, &expected);
        kit_check_edges(&tested.chain, edges, depth);
        ck_assert_int_eq(kit_world.counter.sum, (int64_t)calls);
        ck_assert_uint_eq(tested.chain.end_records, expected.count);
        kit_close_chain(&tested);
        kit_free_rows(&in);
        kit_free_rows(&expected);
    }
}

START_TEST(a_block_that_fails_leaves_nothing_behind)
{
    check_random_chains(MUCH_BYTES, true);
}
END_TEST

START_TEST(a_block_that_gives_too_much_is_tried_before_it_is_delivered)
{
    check_random_chains(1, false);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_block_that_fails_leaves_nothing_behind,
        a_block_that_gives_too_much_is_tried_before_it_is_delivered,
    };
    return kit_run_tests("hold", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
