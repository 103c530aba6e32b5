/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_scheduler.c: the scheduler event by event. All events go through feed() and all
 * actions through next(), which audit the machine with qn_sched_check() each time.
 */
#include "scheduler/scheduler.h"

#include <check.h>
#include <stdlib.h>

enum { RANKS_MAX = 64, TASKS_MAX = 256 };

static const uint32_t NONE = QN_SCHED_NONE;
static const uint32_t ONE_NODE[RANKS_MAX];

static void *memory;
static qn_sched *sched;

static void free_machine(void)
{
    free(memory);
    memory = NULL;
    sched = NULL;
}

static void build(const qn_sched_config *config)
{
    size_t bytes = qn_sched_bytes(config);
    ck_assert_uint_gt(bytes, 0);
    free_machine();
    memory = malloc(bytes);
    ck_assert_ptr_nonnull(memory);
    sched = qn_sched_init(memory, config);
    ck_assert_ptr_nonnull(sched);
    ck_assert_ptr_null(qn_sched_check(sched));
}

/* One node, no hints. */
static qn_sched_config plain_config(uint32_t rank_count, uint32_t task_count, uint32_t in_hand_max, uint32_t attempts)
{
    return (qn_sched_config){
        .rank_count = rank_count,
        .node_count = 1,
        .task_count = task_count,
        .in_hand_max = in_hand_max,
        .attempt_count_max = attempts,
        .rank_node = ONE_NODE,
    };
}

static void build_plain(uint32_t rank_count, uint32_t task_count, uint32_t in_hand_max, uint32_t attempts)
{
    qn_sched_config config = plain_config(rank_count, task_count, in_hand_max, attempts);
    build(&config);
}

static void check_machine(void)
{
    const char *broken = qn_sched_check(sched);
    ck_assert_msg(broken == NULL, "%s", broken);
}

static bool feed(qn_sched_event_kind kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    bool accepted = qn_sched_feed(sched, &(qn_sched_event){kind, rank, task, attempt});
    check_machine();
    return accepted;
}

static void ready(uint32_t rank)
{
    ck_assert(feed(QN_SCHED_RANK_READY, rank, 0, 0));
}

static void lost(uint32_t rank)
{
    ck_assert(feed(QN_SCHED_RANK_LOST, rank, 0, 0));
}

static void done(uint32_t rank, uint32_t task, uint32_t attempt)
{
    ck_assert(feed(QN_SCHED_TASK_DONE, rank, task, attempt));
}

static void failed(uint32_t rank, uint32_t task, uint32_t attempt)
{
    ck_assert(feed(QN_SCHED_TASK_FAILED, rank, task, attempt));
}

static void expect_action(qn_sched_action_kind kind, uint32_t rank, uint32_t task)
{
    qn_sched_action action;
    ck_assert(qn_sched_next(sched, &action));
    check_machine();
    ck_assert_uint_eq(action.kind, kind);
    ck_assert_uint_eq(action.rank, rank);
    ck_assert_uint_eq(action.task, task);
}

static void expect_run(uint32_t rank, uint32_t task, uint32_t attempt)
{
    qn_sched_action action;
    ck_assert(qn_sched_next(sched, &action));
    check_machine();
    ck_assert_uint_eq(action.kind, QN_SCHED_RUN);
    ck_assert_uint_eq(action.rank, rank);
    ck_assert_uint_eq(action.task, task);
    ck_assert_uint_eq(action.attempt, attempt);
}

static void expect_nothing(void)
{
    qn_sched_action action = {.task = 12345};
    ck_assert(!qn_sched_next(sched, &action));
    ck_assert_uint_eq(action.task, 12345);
    check_machine();
}

static void expect_finish(void)
{
    expect_action(QN_SCHED_FINISH, NONE, NONE);
    expect_nothing();
}

static void expect_fail(uint32_t rank, uint32_t task)
{
    expect_action(QN_SCHED_FAIL, rank, task);
    expect_nothing();
}

static void expect_stale(qn_sched_event_kind kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    uint64_t stale_count = qn_sched_get_counts(sched).stale_events;
    qn_sched_counts before = qn_sched_get_counts(sched);
    ck_assert(!feed(kind, rank, task, attempt));
    qn_sched_counts after = qn_sched_get_counts(sched);
    ck_assert_uint_eq(after.stale_events, stale_count + 1);
    ck_assert_uint_eq(after.pending, before.pending);
    ck_assert_uint_eq(after.in_hand, before.in_hand);
    ck_assert_uint_eq(after.done, before.done);
    ck_assert_uint_eq(after.ranks_alive, before.ranks_alive);
}

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

START_TEST(reserves_are_dealt_in_turns)
{
    build_plain(2, 100, 3, 1);
    ready(0);
    ready(1);
    for (uint32_t task = 0; task < 6; task++) {
        expect_run(task % 2, task, 1);
    }
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
    done(0, 0, 1); /* asks for a reserve, first */
    done(1, 1, 1);
    done(1, 3, 1); /* now empty */
    expect_run(1, 4, 1);
    expect_run(0, 5, 1);
    expect_run(1, 6, 1);
    expect_nothing();
}
END_TEST

START_TEST(a_rank_that_asks_for_a_reserve_keeps_its_place_when_it_ends_another_task)
{
    build_plain(2, 100, 4, 1);
    ready(0);
    ready(1);
    for (uint32_t task = 0; task < 8; task++) {
        expect_run(task % 2, task, 1);
    }
    done(0, 0, 1); /* asks first */
    done(1, 1, 1);
    done(0, 2, 1); /* still the first */
    expect_run(0, 8, 1);
    expect_run(1, 9, 1);
    expect_run(0, 10, 1);
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

static void add_tests(TCase *tcase)
{
    const TTest *const tests[] = {
        a_stage_without_tasks_finishes_before_any_rank_is_ready,
        a_stage_without_tasks_stays_finished_when_all_ranks_are_lost,
        one_rank_runs_all_tasks_in_order,
        nothing_is_handed_out_before_a_rank_is_ready,
        idle_ranks_are_served_in_order_of_asking,
        counts_add_up_to_the_tasks,
        idle_ranks_come_before_reserves,
        reserves_are_dealt_in_turns,
        no_reserve_is_handed_out_when_no_more_tasks_than_ranks_are_pending,
        a_lost_rank_no_longer_holds_reserves_back,
        a_rank_whose_hands_became_empty_comes_before_reserves,
        a_rank_that_asks_for_a_reserve_keeps_its_place_when_it_ends_another_task,
        a_rank_gets_tasks_of_its_node_then_those_without_hint_then_others,
        tasks_hinted_elsewhere_are_taken_from_the_nodes_in_rotation,
        rotation_passes_nodes_whose_tasks_are_gone,
        a_failed_task_comes_before_a_task_of_the_node,
        a_hint_alone_never_keeps_a_rank_idle,
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
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        tcase_add_test(tcase, tests[i]);
    }
}

int main(void)
{
    Suite *suite = suite_create("scheduler");
    TCase *tcase = tcase_create("events");
    tcase_add_checked_fixture(tcase, NULL, free_machine);
    add_tests(tcase);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
