/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_retry.c: failed attempts and lost ranks, up to the bound of attempts.
 */
#include "tests/scheduler/sched_kit.h"

/* Failed attempts. */

START_TEST(a_failed_task_is_retried_on_another_rank)
{
    build_plain(2, 1, 2, 4);
    ready(0);
    expect_run(0, 0, 1);
    failed(0, 0, 1);
    expect_nothing(); /* rank 0 is idle, but rank 1 is alive and has not tried */
    ready(1);
    expect_run(1, 0, 2);
    done(1, 0, 2);
    expect_finish();
}
END_TEST

START_TEST(a_task_that_failed_on_every_living_rank_is_retried_anywhere)
{
    build_plain(2, 1, 1, 4);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    failed(0, 0, 1);
    expect_run(1, 0, 2);
    failed(1, 0, 2);
    expect_run(0, 0, 3);
    failed(0, 0, 3);
    expect_run(1, 0, 4);
    done(1, 0, 4);
    expect_finish();
}
END_TEST

START_TEST(the_loss_of_the_last_untried_rank_opens_a_task_to_the_others)
{
    build_plain(3, 1, 1, 3);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    failed(0, 0, 1);
    expect_run(1, 0, 2);
    failed(1, 0, 2);
    expect_nothing();
    lost(2);
    expect_run(0, 0, 3); /* idle for longer */
}
END_TEST

START_TEST(a_lost_rank_is_not_counted_among_the_living_where_a_task_failed)
{
    build_plain(3, 1, 1, 4);
    ready(0);
    expect_run(0, 0, 1);
    failed(0, 0, 1);
    ready(1);
    expect_run(1, 0, 2);
    failed(1, 0, 2);
    lost(0);
    expect_nothing(); /* it failed on two ranks and two are alive, but rank 2 has not tried */
    ready(2);
    expect_run(2, 0, 3);
}
END_TEST

START_TEST(one_rank_alone_retries_its_own_failures_up_to_the_bound)
{
    build_plain(1, 2, 1, 3);
    ready(0);
    expect_run(0, 0, 1);
    failed(0, 0, 1);
    expect_run(0, 0, 2);
    failed(0, 0, 2);
    expect_run(0, 0, 3);
    failed(0, 0, 3);
    expect_fail(0, 0);
}
END_TEST

START_TEST(failed_tasks_are_retried_in_order_of_failing)
{
    build_plain(3, 9, 3, 4);
    ready(0);
    expect_run(0, 0, 1);
    expect_run(0, 1, 1);
    expect_run(0, 2, 1);
    failed(0, 2, 1);
    failed(0, 0, 1);
    ready(1);
    expect_run(1, 2, 2);
    expect_run(0, 3, 1); /* its own failure is not for it */
    expect_run(1, 0, 2);
}
END_TEST

START_TEST(a_rank_passes_its_own_failures_to_reach_those_of_others)
{
    build_plain(3, 4, 1, 4);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    failed(0, 0, 1);
    failed(1, 1, 1);
    expect_run(0, 1, 2);
    expect_run(1, 0, 2);
    expect_nothing();
}
END_TEST

START_TEST(the_stage_fails_once_when_a_task_runs_out_of_attempts)
{
    build_plain(3, 9, 1, 2);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    failed(0, 0, 1);
    expect_run(0, 2, 1);
    failed(1, 1, 1);
    expect_run(1, 0, 2);
    failed(1, 0, 2);
    failed(0, 2, 1);
    expect_fail(1, 0);
}
END_TEST

START_TEST(with_one_attempt_the_first_failure_fails_the_stage)
{
    build_plain(4, 9, 1, 1);
    ready(3);
    expect_run(3, 0, 1);
    failed(3, 0, 1);
    expect_fail(3, 0);
}
END_TEST

START_TEST(reports_after_a_failed_stage_are_counted_and_start_nothing)
{
    build_plain(2, 9, 1, 1);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    failed(0, 0, 1);
    expect_fail(0, 0);
    done(1, 1, 1);
    ck_assert_uint_eq(qn_sched_get_counts(sched).done, 1);
    expect_nothing();
    lost(0);
    lost(1);
    expect_nothing();
}
END_TEST

/* Lost ranks. */

START_TEST(a_lost_rank_gives_back_all_it_held_in_its_order)
{
    build_plain(2, 20, 3, 4);
    ready(0);
    expect_run(0, 0, 1);
    expect_run(0, 1, 1);
    expect_run(0, 2, 1);
    lost(0);
    ck_assert_uint_eq(qn_sched_get_counts(sched).in_hand, 0);
    ck_assert_uint_eq(qn_sched_get_counts(sched).pending, 20);
    expect_nothing();
    ready(1);
    expect_run(1, 0, 2);
    expect_run(1, 1, 2);
    expect_run(1, 2, 2);
}
END_TEST

START_TEST(what_a_lost_rank_finished_stays_done)
{
    build_plain(2, 2, 1, 2);
    ready(0);
    expect_run(0, 0, 1);
    done(0, 0, 1);
    lost(0);
    ready(1);
    expect_run(1, 1, 1);
    done(1, 1, 1);
    expect_finish();
}
END_TEST

START_TEST(a_lost_rank_gets_nothing_more)
{
    build_plain(2, 9, 1, 2);
    ready(0);
    ready(1);
    lost(0);
    expect_run(1, 0, 1);
    expect_nothing();
    expect_stale(QN_SCHED_RANK_READY, 0, 0, 0);
    expect_nothing();
}
END_TEST

START_TEST(a_task_that_loses_its_rank_each_time_runs_out_of_attempts)
{
    build_plain(3, 1, 1, 2);
    ready(0);
    ready(1);
    ready(2);
    expect_run(0, 0, 1);
    lost(0);
    expect_run(1, 0, 2);
    lost(1);
    expect_fail(1, 0);
}
END_TEST

START_TEST(the_stage_fails_when_all_ranks_are_lost)
{
    build_plain(2, 3, 1, 4);
    ready(0);
    expect_run(0, 0, 1);
    lost(0);
    expect_nothing();
    lost(1); /* was never ready */
    expect_fail(NONE, NONE);
}
END_TEST

START_TEST(a_finished_stage_does_not_fail_when_all_ranks_are_lost)
{
    build_plain(1, 1, 1, 4);
    ready(0);
    expect_run(0, 0, 1);
    done(0, 0, 1);
    lost(0);
    expect_finish();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_failed_task_is_retried_on_another_rank,
        a_task_that_failed_on_every_living_rank_is_retried_anywhere,
        the_loss_of_the_last_untried_rank_opens_a_task_to_the_others,
        a_lost_rank_is_not_counted_among_the_living_where_a_task_failed,
        one_rank_alone_retries_its_own_failures_up_to_the_bound,
        failed_tasks_are_retried_in_order_of_failing,
        a_rank_passes_its_own_failures_to_reach_those_of_others,
        the_stage_fails_once_when_a_task_runs_out_of_attempts,
        with_one_attempt_the_first_failure_fails_the_stage,
        reports_after_a_failed_stage_are_counted_and_start_nothing,
        a_lost_rank_gives_back_all_it_held_in_its_order,
        what_a_lost_rank_finished_stays_done,
        a_lost_rank_gets_nothing_more,
        a_task_that_loses_its_rank_each_time_runs_out_of_attempts,
        the_stage_fails_when_all_ranks_are_lost,
        a_finished_stage_does_not_fail_when_all_ranks_are_lost,
    };
    return kit_run_tests("retry", tests, sizeof tests / sizeof *tests, NULL, free_machine);
}
