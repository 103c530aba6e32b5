/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_chain_retry.c: blocks taken up again after a failure: what arrives, arrives once.
 */
#include "tests/exec/chain_kit.h"

/* Whether the record at fault is known: not behind an operator that works on whole blocks. */
static bool names_records(const qn_node_kind *kinds, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++)
        if (kinds[i] == QN_NODE_MAP_BLOCK || kinds[i] == QN_NODE_FLAT_MAP_BLOCK)
            return false;
    return true;
}

/* Attempts on two chains in turn, as on two ranks, into one end. Each fails at another call, earlier or later. */
static void run_with_failures(const qn_node_kind *kinds, uint32_t depth, const kit_rows *in, uint64_t calls,
                              uint64_t *state)
{
    static kit_chain ranks[2];
    kit_rows expected;
    qn_edge_stats edges[QN_CHAIN_COUNT_MAX] = {{0}};
    kit_model_chain(in, kinds, depth, &expected, edges);
    for (int rank = 0; rank < 2; rank++) {
        kit_open_chain(&ranks[rank], kinds, depth);
        ranks[rank].chain.end_user = &ranks[0].end;
    }
    kit_world.ignore_emit = kit_random_below(state, 2);
    uint64_t skip = 0;
    uint32_t last = 0;
    for (uint32_t attempt = 0; attempt < 5; attempt++) {
        last = attempt % 2;
        const qn_chain *chain = &ranks[last].chain;
        kit_world.call_count = 0;
        kit_world.fail_at = attempt < 4 ? 1 + kit_random_below(state, calls) : 0;
        quern_status status = kit_run_chain(&ranks[last], in, skip);
        ck_assert_int_eq(kit_world.counter.pending, 0);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_CALLBACK);
        ck_assert(chain->callback_failed);
        ck_assert_str_eq(kit_error.text, "the callback of 'tested' returned 7");
        if (names_records(kinds, depth))
            ck_assert_uint_eq(chain->failed_origin, kit_world.failed_index);
        ck_assert_int_eq(kit_world.counter.sum, 0);
        skip = chain->delivered > skip ? chain->delivered : skip;
        ck_assert_uint_eq(ranks[0].end.got.count, skip);
    }
    kit_check_rows(&ranks[0].end.got, &expected);
    if (names_records(kinds, depth))
        ck_assert_uint_eq(ranks[0].end.misplaced_count, 0);
    kit_check_edges(&ranks[last].chain, edges, depth);
    ck_assert_uint_eq(qn_chain_edge(&ranks[1 - last].chain, 0).records_in, 0);
    ck_assert_int_eq(kit_world.counter.sum, (int64_t)kit_world.call_count);
    ck_assert_uint_eq(ranks[0].chain.end_records + ranks[1].chain.end_records, expected.count);
    kit_close_chain(&ranks[0]);
    kit_close_chain(&ranks[1]);
    kit_free_rows(&expected);
}

static uint64_t count_calls(const qn_node_kind *kinds, uint32_t depth, const kit_rows *in)
{
    static kit_chain tested;
    kit_open_chain(&tested, kinds, depth);
    kit_assert_ok(kit_run_chain(&tested, in, 0), &kit_error);
    kit_close_chain(&tested);
    return kit_world.call_count;
}

START_TEST(what_arrives_through_failures_is_what_arrives_without_them)
{
    for (uint64_t seed = 1; seed <= 250; seed++) {
        uint64_t state = seed * 977;
        qn_node_kind kinds[5];
        kit_rows in;
        uint32_t depth = 1 + (uint32_t)kit_random_below(&state, 5);
        kit_choose_kinds(kinds, depth, &state);
        kit_make_rows(&in, 1 + kit_random_below(&state, 40), &state);
        uint64_t calls = count_calls(kinds, depth, &in);
        for (int round = 0; round < 4; round++)
            run_with_failures(kinds, depth, &in, calls, &state);
        kit_free_rows(&in);
    }
}
END_TEST

START_TEST(a_failure_of_any_callback_of_a_full_block_loses_and_doubles_nothing)
{
    static const qn_node_kind kinds[] = {QN_NODE_MAP, QN_NODE_FLAT_MAP, QN_NODE_FILTER, QN_NODE_FLAT_MAP_BLOCK};
    kit_rows in;
    uint64_t state = 11;
    kit_make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    uint64_t calls = count_calls(kinds, 4, &in);
    ck_assert_uint_gt(calls, 2000);
    for (int round = 0; round < 30; round++)
        run_with_failures(kinds, 4, &in, calls, &state);
    kit_free_rows(&in);
}
END_TEST

/* A failure behind the chain (a reducer's, say) left its batch half done: taking the block up again would lose the
 * rest. */
static void check_failure_of_the_end(qn_node_kind kind, size_t count, quern_status failure, uint64_t at)
{
    static kit_chain tested;
    kit_rows in = {0};
    for (size_t i = 0; i < count; i++)
        kit_add_row(&in, "key", 3, (uint64_t)i << 32 | 61);
    for (int ignore_emit = 0; ignore_emit < 2; ignore_emit++) {
        kit_open_chain(&tested, &kind, 1);
        kit_world.ignore_emit = ignore_emit != 0;
        tested.end.failure = failure;
        tested.end.fail_at = at;
        ck_assert_int_eq(kit_run_chain(&tested, &in, 0), failure);
        ck_assert_str_eq(kit_error.text, "the end failed");
        ck_assert_msg(!tested.chain.callback_failed, "kind %d, batch %d, status %d", (int)kind, (int)at, (int)failure);
        ck_assert_int_eq(kit_world.counter.sum, 0);
        kit_close_chain(&tested);
    }
    kit_free_rows(&in);
}

START_TEST(a_failure_behind_the_chain_is_not_taken_for_one_of_its_callbacks)
{
    static const quern_status failures[] = {QUERN_ERROR_NO_MEMORY, QUERN_ERROR_OVERFLOW, QUERN_ERROR_CALLBACK};
    for (size_t i = 0; i < 3; i++) {
        check_failure_of_the_end(QN_NODE_MAP, 10, failures[i], 1);
        check_failure_of_the_end(QN_NODE_FLAT_MAP, 1, failures[i], 1);
        check_failure_of_the_end(QN_NODE_FLAT_MAP, 1, failures[i], 2);
        check_failure_of_the_end(QN_NODE_FLAT_MAP, 3, failures[i], 2);
        check_failure_of_the_end(QN_NODE_FLAT_MAP_BLOCK, 3, failures[i], 1);
    }
}
END_TEST

START_TEST(a_chain_that_failed_works_on_the_next_block)
{
    static kit_chain tested;
    static const qn_node_kind kinds[] = {QN_NODE_FLAT_MAP, QN_NODE_MAP};
    qn_edge_stats edges[2] = {{0}};
    uint64_t state = 4;
    kit_rows in, expected;
    kit_make_rows(&in, 100, &state);
    kit_model_chain(&in, kinds, 2, &expected, edges);
    kit_open_chain(&tested, kinds, 2);
    kit_world.fail_at = 50;
    ck_assert_int_eq(kit_run_chain(&tested, &in, 0), QUERN_ERROR_CALLBACK);
    kit_world.fail_at = 0;
    tested.end.got.count = 0;
    kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
    kit_check_rows(&tested.end.got, &expected);
    kit_check_edges(&tested.chain, edges, 2);
    ck_assert(!tested.chain.callback_failed);
    kit_close_chain(&tested);
    kit_free_rows(&in);
    kit_free_rows(&expected);
}
END_TEST

START_TEST(what_is_taken_back_between_two_blocks_was_never_counted)
{
    static kit_chain tested;
    static const qn_node_kind kinds[] = {QN_NODE_FILTER, QN_NODE_FLAT_MAP};
    uint64_t tallies[3][1 + 3 * 2 + 1];
    qn_edge_stats edges[2] = {{0}};
    uint64_t state = 5;
    kit_rows in[3], expected;
    kit_open_chain(&tested, kinds, 2);
    ck_assert_uint_eq(qn_chain_tally_count(&tested.chain), 1 + 3 * 2 + 1);
    for (int i = 0; i < 3; i++) {
        kit_make_rows(&in[i], 30 + 20 * (size_t)i, &state);
        qn_chain_tally(&tested.chain, tallies[i]);
        kit_assert_ok(kit_run_chain(&tested, &in[i], 0), &kit_error);
    }
    int64_t counted = kit_world.counter.sum;
    qn_chain_take_back(&tested.chain, tallies[1], tallies[2]);
    kit_model_chain(&in[0], kinds, 2, &expected, edges);
    uint64_t count = expected.count;
    kit_free_rows(&expected);
    kit_model_chain(&in[2], kinds, 2, &expected, edges);
    kit_check_edges(&tested.chain, edges, 2);
    ck_assert_uint_eq(tested.chain.end_records, count + expected.count);
    ck_assert_int_lt(kit_world.counter.sum, counted);
    kit_free_rows(&expected);
    for (int i = 0; i < 3; i++)
        kit_free_rows(&in[i]);
    kit_close_chain(&tested);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_arrives_through_failures_is_what_arrives_without_them,
        a_failure_of_any_callback_of_a_full_block_loses_and_doubles_nothing,
        a_failure_behind_the_chain_is_not_taken_for_one_of_its_callbacks,
        a_chain_that_failed_works_on_the_next_block,
        what_is_taken_back_between_two_blocks_was_never_counted,
    };
    return kit_run_tests("chain_retry", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
