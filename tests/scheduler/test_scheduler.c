/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_scheduler.c: the simplest courses of a stage, stale events, and configurations up to every
 * bound.
 */
#include "tests/scheduler/sched_kit.h"

/* The simplest courses. */

START_TEST(a_stage_without_tasks_finishes_before_any_rank_is_ready)
{
    build_plain(3, 0, 2, 4);
    expect_finish();
}
END_TEST

START_TEST(a_stage_without_tasks_stays_finished_when_all_ranks_are_lost)
{
    build_plain(1, 0, 2, 4);
    lost(0);
    expect_finish();
}
END_TEST

START_TEST(one_rank_runs_all_tasks_in_order)
{
    build_plain(1, 3, 1, 4);
    expect_nothing();
    ready(0);
    for (uint32_t task = 0; task < 3; task++) {
        expect_run(0, task, 1);
        expect_nothing();
        done(0, task, 1);
    }
    expect_finish();
}
END_TEST

START_TEST(nothing_is_handed_out_before_a_rank_is_ready)
{
    build_plain(2, 2, 1, 1);
    expect_nothing();
    ready(1);
    expect_run(1, 0, 1);
    expect_nothing();
}
END_TEST

START_TEST(idle_ranks_are_served_in_order_of_asking)
{
    build_plain(3, 10, 1, 1);
    ready(2);
    ready(0);
    ready(1);
    expect_run(2, 0, 1);
    expect_run(0, 1, 1);
    expect_run(1, 2, 1);
    done(1, 2, 1);
    done(2, 0, 1);
    expect_run(1, 3, 1);
    expect_run(2, 4, 1);
    expect_nothing();
}
END_TEST

START_TEST(counts_add_up_to_the_tasks)
{
    build_plain(2, 5, 1, 2);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    done(0, 0, 1);
    failed(1, 1, 1);
    expect_run(0, 1, 2);
    qn_sched_counts counts = qn_sched_get_counts(sched);
    ck_assert_uint_eq(counts.pending, 3);
    ck_assert_uint_eq(counts.in_hand, 1);
    ck_assert_uint_eq(counts.done, 1);
    ck_assert_uint_eq(counts.ranks_alive, 2);
    ck_assert_uint_eq(counts.attempts, 3);
    ck_assert_uint_eq(counts.failures, 1);
    ck_assert_uint_eq(counts.stale_events, 0);
    ck_assert_uint_eq(counts.hinted_runs, 0);
}
END_TEST

/* Events that come too late, twice, or never should have. */

START_TEST(a_report_counts_once)
{
    build_plain(2, 2, 1, 4);
    ready(0);
    expect_run(0, 0, 1);
    done(0, 0, 1);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 1);
    expect_stale(QN_SCHED_TASK_FAILED, 0, 0, 1);
    expect_run(0, 1, 1);
}
END_TEST

START_TEST(a_report_of_another_attempt_or_rank_is_stale)
{
    build_plain(2, 1, 1, 4);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 2);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 0);
    expect_stale(QN_SCHED_TASK_DONE, 1, 0, 1);
    failed(0, 0, 1);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 1);
    expect_run(1, 0, 2);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 1);
    expect_stale(QN_SCHED_TASK_DONE, 1, 0, 1);
    done(1, 0, 2);
    expect_finish();
}
END_TEST

START_TEST(a_report_from_a_lost_rank_is_stale)
{
    build_plain(2, 1, 1, 4);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    lost(0);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 1);
    expect_stale(QN_SCHED_RANK_LOST, 0, 0, 0);
    expect_run(1, 0, 2);
}
END_TEST

START_TEST(events_about_unknown_ranks_tasks_or_kinds_are_stale)
{
    build_plain(2, 2, 1, 4);
    ready(0);
    expect_run(0, 0, 1);
    expect_stale(QN_SCHED_RANK_READY, 0, 0, 0);
    expect_stale(QN_SCHED_RANK_READY, 2, 0, 0);
    expect_stale(QN_SCHED_RANK_LOST, NONE, 0, 0);
    expect_stale(QN_SCHED_TASK_DONE, 2, 0, 1);
    expect_stale(QN_SCHED_TASK_DONE, 0, 2, 1);
    expect_stale(QN_SCHED_TASK_FAILED, 0, NONE, 1);
    expect_stale(QN_SCHED_TASK_DONE, 0, 1, 0); /* pending, attempt 0 */
    expect_stale((qn_sched_event_kind)77, 0, 0, 1);
}
END_TEST

/* Configurations. */

static void refuse(const qn_sched_config *config)
{
    max_align_t block[64];
    ck_assert_uint_eq(qn_sched_bytes(config), 0);
    ck_assert_ptr_null(qn_sched_init(block, config));
}

START_TEST(counts_of_zero_or_above_their_bound_are_refused)
{
    qn_sched_config config = plain_config(0, 1, 1, 1);
    refuse(&config);
    config = plain_config(1, 1, 0, 1);
    refuse(&config);
    config = plain_config(1, 1, QN_SCHED_IN_HAND_MAX + 1, 1);
    refuse(&config);
    config = plain_config(1, 1, 1, 0);
    refuse(&config);
    config = plain_config(1, 1, 1, QN_SCHED_ATTEMPT_MAX + 1);
    refuse(&config);
    config = plain_config(1, 1, 1, 1);
    config.node_count = 0;
    refuse(&config);
    refuse(NULL);
}
END_TEST

START_TEST(nodes_out_of_range_are_refused)
{
    qn_sched_config config = plain_config(2, 2, 1, 1);
    config.rank_node = NULL;
    refuse(&config);
    config.rank_node = (uint32_t[]){0, 1};
    refuse(&config);
    config.rank_node = (uint32_t[]){0, NONE};
    refuse(&config);
    config.rank_node = ONE_NODE;
    config.task_node = (uint32_t[]){NONE, 1};
    refuse(&config);
    config.task_node = (uint32_t[]){NONE, 0};
    ck_assert_uint_gt(qn_sched_bytes(&config), 0);
}
END_TEST

START_TEST(counts_that_leave_no_index_free_are_refused)
{
    qn_sched_config config = plain_config(1, NONE, 1, 1);
    refuse(&config);
    config = plain_config(1, NONE / 7 + 1, 1, 8); /* the returns would not fit */
    refuse(&config);
    config = plain_config(NONE, 1, 1, 1);
    refuse(&config);
}
END_TEST

START_TEST(ten_million_tasks_on_a_hundred_thousand_ranks_fit)
{
    static uint32_t rank_node[100000];
    qn_sched_config config = plain_config(100000, 10000000, 8, 8);
    config.rank_node = rank_node;
    ck_assert_uint_gt(qn_sched_bytes(&config), 0);
    config.attempt_count_max = 4;
    ck_assert_uint_lt(qn_sched_bytes(&config), (size_t)600 << 20);
}
END_TEST

START_TEST(every_bound_at_its_largest_works_together)
{
    build_plain(RANKS_MAX, TASKS_MAX, QN_SCHED_IN_HAND_MAX, QN_SCHED_ATTEMPT_MAX);
    for (uint32_t rank = 0; rank < RANKS_MAX; rank++) {
        ready(rank);
    }
    qn_sched_action action;
    uint32_t failures = 0;
    while (qn_sched_next(sched, &action) && action.kind == QN_SCHED_RUN) {
        check_machine();
        bool fails = action.attempt < QN_SCHED_ATTEMPT_MAX;
        failures += fails;
        ck_assert(feed(fails ? QN_SCHED_TASK_FAILED : QN_SCHED_TASK_DONE, action.rank, action.task, action.attempt));
    }
    ck_assert_uint_eq(action.kind, QN_SCHED_FINISH);
    ck_assert_uint_eq(failures, TASKS_MAX * (QN_SCHED_ATTEMPT_MAX - 1));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_stage_without_tasks_finishes_before_any_rank_is_ready,
        a_stage_without_tasks_stays_finished_when_all_ranks_are_lost,
        one_rank_runs_all_tasks_in_order,
        nothing_is_handed_out_before_a_rank_is_ready,
        idle_ranks_are_served_in_order_of_asking,
        counts_add_up_to_the_tasks,
        a_report_counts_once,
        a_report_of_another_attempt_or_rank_is_stale,
        a_report_from_a_lost_rank_is_stale,
        events_about_unknown_ranks_tasks_or_kinds_are_stale,
        counts_of_zero_or_above_their_bound_are_refused,
        nodes_out_of_range_are_refused,
        counts_that_leave_no_index_free_are_refused,
        ten_million_tasks_on_a_hundred_thousand_ranks_fit,
        every_bound_at_its_largest_works_together,
    };
    return kit_run_tests("scheduler", tests, sizeof tests / sizeof *tests, NULL, free_machine);
}
