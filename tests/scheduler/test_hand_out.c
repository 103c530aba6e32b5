/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_hand_out.c: which pending task goes to which rank: reserves and hints.
 */
#include "tests/scheduler/sched_kit.h"

static void build_begin(uint32_t rank_count, uint32_t task_count, uint32_t in_hand_max, uint32_t in_hand_begin)
{
    qn_sched_config config = plain_config(rank_count, task_count, in_hand_max, 1);
    config.in_hand_begin = in_hand_begin;
    build(&config);
}

/* Reserves. */

START_TEST(idle_ranks_come_before_reserves)
{
    build_plain(2, 100, 2, 1);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    expect_run(0, 2, 1);
    expect_run(1, 3, 1);
    expect_nothing();
}
END_TEST

START_TEST(with_tasks_for_all_hands_one_rank_is_filled_after_the_other)
{
    build_plain(2, 100, 4, 1);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    for (uint32_t task = 2; task < 8; task++) {
        expect_run(task < 5 ? 0 : 1, task, 1);
    }
    expect_nothing();
}
END_TEST

START_TEST(with_less_reserves_are_dealt_in_turns_to_who_holds_fewest)
{
    build_plain(2, 10, 4, 1);
    ready(0);
    ready(1);
    for (uint32_t task = 0; task < 6; task++) {
        expect_run(task % 2, task,
                   1); /* 4 are left, and a fourth one each would take as many as there are to go round */
    }
    expect_nothing();
    done(1, 1, 1);
    done(1, 3, 1);
    expect_run(1, 6, 1);
    expect_nothing(); /* 3 are left: each has 2, and no third */
}
END_TEST

START_TEST(a_rank_holds_what_it_may_and_keeps_what_it_has)
{
    build_begin(2, 100, 8, 2);
    ready(0);
    ready(1);
    for (uint32_t task = 0; task < 4; task++) {
        expect_run(task % 2, task, 1);
    }
    qn_sched_set_hand(sched, 1, 4);
    expect_run(1, 4, 1);
    expect_run(1, 5, 1);
    expect_nothing();
    qn_sched_set_hand(sched, 1, 1);
    check_machine();
    done(1, 1, 1);
    done(1, 3, 1);
    done(1, 4, 1);
    expect_nothing();
    done(1, 5, 1);
    expect_run(1, 6, 1);
    expect_nothing();
}
END_TEST

START_TEST(no_reserve_is_handed_out_when_no_more_tasks_than_ranks_are_pending)
{
    build_plain(2, 5, 2, 1);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    expect_run(0, 2, 1); /* 3 were pending, for 2 ranks */
    expect_nothing();    /* 2 are pending: a reserve for rank 1 might be missed by rank 0 */
    done(1, 1, 1);
    expect_run(1, 3, 1);
    expect_nothing();
}
END_TEST

START_TEST(a_lost_rank_no_longer_holds_reserves_back)
{
    build_plain(3, 4, 2, 2);
    ready(0);
    expect_run(0, 0, 1);
    expect_nothing(); /* 3 pending, 3 alive */
    lost(2);
    expect_run(0, 1, 1);
    expect_nothing();
}
END_TEST

START_TEST(a_rank_whose_hands_became_empty_comes_before_reserves)
{
    build_plain(2, 100, 2, 1);
    ready(0);
    ready(1);
    for (uint32_t task = 0; task < 4; task++) {
        expect_run(task % 2, task, 1);
    }
    expect_nothing();
    done(0, 0, 1); /* asks for a reserve, first */
    done(1, 1, 1);
    done(1, 3, 1); /* now empty */
    expect_run(1, 4, 1);
    expect_run(0, 5, 1);
    expect_run(1, 6, 1);
    expect_nothing();
}
END_TEST

START_TEST(a_rank_that_asks_for_a_reserve_keeps_its_place)
{
    build_plain(3, 100, 2, 1);
    for (uint32_t rank = 0; rank < 3; rank++) {
        ready(rank);
    }
    for (uint32_t task = 0; task < 6; task++) {
        expect_run(task % 3, task, 1);
    }
    expect_nothing();
    done(0, 0, 1); /* asks first */
    done(1, 1, 1);
    done(2, 2, 1);
    qn_sched_set_hand(sched, 0, 2); /* still the first */
    expect_run(0, 6, 1);
    expect_run(1, 7, 1);
    expect_run(2, 8, 1);
    expect_nothing();
}
END_TEST

/* Hints. */

static const uint32_t RANK_NODE[] = {0, 1, 2};

static void build_hinted(const uint32_t *task_node, uint32_t task_count)
{
    build(&(qn_sched_config){
        .rank_count = 3,
        .node_count = 3,
        .task_count = task_count,
        .in_hand_max = 1,
        .attempt_count_max = 4,
        .rank_node = RANK_NODE,
        .task_node = task_node,
    });
}

START_TEST(a_rank_gets_tasks_of_its_node_then_those_without_hint_then_others)
{
    build_hinted((uint32_t[]){1, NONE, 0, 2, 0, NONE}, 6);
    static const uint32_t expected[] = {2, 4, 1, 5, 0, 3};
    ready(0);
    for (uint32_t i = 0; i < 6; i++) {
        expect_run(0, expected[i], 1);
        done(0, expected[i], 1);
    }
    expect_finish();
    qn_sched_counts counts = qn_sched_get_counts(sched);
    ck_assert_uint_eq(counts.hinted_runs, 4);
    ck_assert_uint_eq(counts.local_runs, 2);
}
END_TEST

START_TEST(tasks_hinted_elsewhere_are_taken_from_the_nodes_in_rotation)
{
    build_hinted((uint32_t[]){1, 1, 1, 2, 2, 2}, 6);
    static const uint32_t expected[] = {0, 3, 1, 4, 2, 5};
    ready(0);
    for (uint32_t i = 0; i < 6; i++) {
        expect_run(0, expected[i], 1);
        done(0, expected[i], 1);
    }
    expect_finish();
}
END_TEST

START_TEST(rotation_passes_nodes_whose_tasks_are_gone)
{
    build_hinted((uint32_t[]){0, 1, 1, 2, 2, 2}, 6);
    ready(1);
    expect_run(1, 1, 1);
    done(1, 1, 1);
    expect_run(1, 2, 1);
    done(1, 2, 1);
    expect_run(1, 0, 1); /* node 1 is empty now: rotation begins with node 0 */
    done(1, 0, 1);
    expect_run(1, 3, 1);
    done(1, 3, 1);
    expect_run(1, 4, 1);
    ready(2);
    expect_run(2, 5, 1);
    expect_nothing();
}
END_TEST

START_TEST(a_failed_task_comes_before_a_task_of_the_node)
{
    build_hinted((uint32_t[]){0, 1, 1, 1}, 4);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    failed(0, 0, 1);
    done(1, 1, 1);
    expect_run(0, 2, 1);
    expect_run(1, 0, 2);
    expect_nothing();
}
END_TEST

START_TEST(a_hint_alone_never_keeps_a_rank_idle)
{
    build_hinted((uint32_t[]){2, 2}, 2);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    expect_nothing();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        idle_ranks_come_before_reserves,
        with_tasks_for_all_hands_one_rank_is_filled_after_the_other,
        with_less_reserves_are_dealt_in_turns_to_who_holds_fewest,
        a_rank_holds_what_it_may_and_keeps_what_it_has,
        no_reserve_is_handed_out_when_no_more_tasks_than_ranks_are_pending,
        a_lost_rank_no_longer_holds_reserves_back,
        a_rank_whose_hands_became_empty_comes_before_reserves,
        a_rank_that_asks_for_a_reserve_keeps_its_place,
        a_rank_gets_tasks_of_its_node_then_those_without_hint_then_others,
        tasks_hinted_elsewhere_are_taken_from_the_nodes_in_rotation,
        rotation_passes_nodes_whose_tasks_are_gone,
        a_failed_task_comes_before_a_task_of_the_node,
        a_hint_alone_never_keeps_a_rank_idle,
    };
    return kit_run_tests("hand_out", tests, sizeof tests / sizeof *tests, NULL, free_machine);
}
