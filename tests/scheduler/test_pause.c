/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_pause.c: a stage that rests and goes on, and one of which a part was done before.
 */
#include "tests/scheduler/sched_kit.h"

static void give_back(uint32_t rank, uint32_t task, uint32_t attempt)
{
    ck_assert(feed(QN_SCHED_TASK_GIVEN_BACK, rank, task, attempt));
}

static void say(qn_sched_event_kind kind)
{
    ck_assert(feed(kind, 0, 0, 0));
}

START_TEST(a_paused_machine_hands_out_nothing_and_goes_on_where_it_was)
{
    build_plain(2, 3, 1, 2);
    ready(0);
    expect_run(0, 0, 1);
    say(QN_SCHED_PAUSE);
    ready(1);
    expect_nothing();
    done(0, 0, 1);
    expect_nothing();
    ck_assert_uint_eq(qn_sched_get_counts(sched).in_hand, 0);
    say(QN_SCHED_RESUME);
    expect_run(1, 1, 1);
    expect_run(0, 2, 1);
    done(0, 2, 1);
    done(1, 1, 1);
    expect_finish();
}
END_TEST

START_TEST(the_last_task_finishes_a_paused_stage)
{
    build_plain(1, 1, 1, 2);
    ready(0);
    expect_run(0, 0, 1);
    say(QN_SCHED_PAUSE);
    done(0, 0, 1);
    expect_finish();
}
END_TEST

START_TEST(what_is_given_back_uses_up_no_attempt_and_comes_first)
{
    build_plain(2, 3, 2, 1); /* one attempt: a failure would fail the stage */
    ready(0);
    expect_run(0, 0, 1);
    say(QN_SCHED_PAUSE);
    give_back(0, 0, 1);
    expect_stale(QN_SCHED_TASK_GIVEN_BACK, 0, 0, 1);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 1);
    ck_assert_uint_eq(qn_sched_get_counts(sched).attempts, 0);
    ready(1);
    say(QN_SCHED_RESUME);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
}
END_TEST

START_TEST(a_task_that_failed_before_it_was_given_back_still_avoids_the_rank_where_it_did)
{
    build_plain(3, 2, 1, 3);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    failed(0, 0, 1);
    expect_nothing(); /* rank 2 is alive and has not tried */
    failed(1, 1, 1);
    expect_run(0, 1, 2);
    expect_run(1, 0, 2);
    say(QN_SCHED_PAUSE);
    give_back(1, 0, 2);
    give_back(0, 1, 2);
    say(QN_SCHED_RESUME);
    expect_run(1, 0, 2);
    expect_run(0, 1, 2);
}
END_TEST

START_TEST(a_hinted_task_is_found_again_when_its_node_had_nothing_left)
{
    const uint32_t rank_node[] = {0, 1}, task_node[] = {0, 1, 0, 1};
    qn_sched_config config = plain_config(2, 4, 1, 2);
    config.node_count = 2;
    config.rank_node = rank_node;
    config.task_node = task_node;
    build(&config);
    ready(0);
    expect_run(0, 0, 1);
    done(0, 0, 1);
    expect_run(0, 2, 1);
    done(0, 2, 1);
    expect_run(0, 1, 1); /* of the other node, by rotation: its own is off the ring */
    done(0, 1, 1);
    expect_run(0, 3, 1);
    say(QN_SCHED_PAUSE);
    give_back(0, 3, 1);
    lost(1);
    say(QN_SCHED_RESUME);
    expect_run(0, 3, 1);
    done(0, 3, 1);
    expect_finish();
}
END_TEST

START_TEST(tasks_that_were_done_before_are_not_run)
{
    const bool some[] = {true, false, true, false}, all[] = {true, true};
    qn_sched_config config = plain_config(1, 4, 1, 2);
    config.task_done = some;
    build(&config);
    ready(0);
    ck_assert_uint_eq(qn_sched_get_counts(sched).done, 2);
    expect_run(0, 1, 1);
    done(0, 1, 1);
    expect_run(0, 3, 1);
    done(0, 3, 1);
    expect_finish();
    config = plain_config(1, 2, 1, 2);
    config.task_done = all;
    build(&config);
    expect_finish();
}
END_TEST

/* ---- any order of events ---- */

enum { RANKS = 5, TASKS = 60, NODES = 3, HANDS = 2, ATTEMPTS = 4 };

typedef struct held {
    uint32_t rank, task, attempt;
} held;

static struct trial {
    uint64_t random;
    held hands[RANKS * HANDS];
    uint32_t held_count, done_count[TASKS], failures[TASKS];
    bool is_paused, is_over;
} trial;

static uint32_t draw(uint32_t bound)
{
    return (uint32_t)kit_random_below(&trial.random, bound);
}

static void begin_trial(uint64_t seed)
{
    uint32_t rank_node[RANKS], task_node[TASKS];
    bool was_done[TASKS];
    trial = (struct trial){.random = seed};
    for (uint32_t i = 0; i < RANKS; i++)
        rank_node[i] = draw(NODES);
    for (uint32_t i = 0; i < TASKS; i++) {
        task_node[i] = draw(3) == 0 ? NONE : draw(NODES);
        trial.done_count[i] = was_done[i] = draw(4) == 0;
    }
    qn_sched_config config = plain_config(RANKS, TASKS, HANDS, ATTEMPTS);
    config.node_count = NODES;
    config.rank_node = rank_node;
    config.task_node = task_node;
    config.task_done = was_done;
    build(&config);
    for (uint32_t i = 0; i < RANKS; i++)
        ready(i);
}

/* Some of the actions that there are. */
static void take_actions(void)
{
    qn_sched_action action;
    while (!trial.is_over && draw(3) > 0 && qn_sched_next(sched, &action)) {
        check_machine();
        ck_assert(action.kind != QN_SCHED_FAIL);
        trial.is_over = action.kind == QN_SCHED_FINISH;
        if (trial.is_over)
            return;
        ck_assert(!trial.is_paused);
        trial.hands[trial.held_count++] = (held){action.rank, action.task, action.attempt};
    }
}

static void end_an_attempt(void)
{
    uint32_t which = draw(trial.held_count), outcome = draw(trial.is_paused ? 4 : 2);
    held one = trial.hands[which];
    trial.hands[which] = trial.hands[--trial.held_count];
    if (outcome == 1 && trial.failures[one.task] + 1 < ATTEMPTS) {
        trial.failures[one.task]++;
        failed(one.rank, one.task, one.attempt);
    } else if (outcome > 1) {
        give_back(one.rank, one.task, one.attempt);
    } else {
        trial.done_count[one.task]++;
        done(one.rank, one.task, one.attempt);
    }
    ck_assert_uint_eq(qn_sched_get_counts(sched).in_hand, trial.held_count);
}

/* Each task is done once, none gets more attempts than it may, and a machine at rest has nothing in hand. */
START_TEST(random_pauses_lose_and_double_nothing)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        begin_trial(seed);
        while (!trial.is_over) {
            take_actions();
            if (draw(8) == 0) {
                trial.is_paused = !trial.is_paused;
                say(trial.is_paused ? QN_SCHED_PAUSE : QN_SCHED_RESUME);
            }
            if (!trial.is_over && trial.held_count > 0)
                end_an_attempt();
        }
        for (uint32_t i = 0; i < TASKS; i++)
            ck_assert_uint_eq(trial.done_count[i], 1);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_paused_machine_hands_out_nothing_and_goes_on_where_it_was,
        the_last_task_finishes_a_paused_stage,
        what_is_given_back_uses_up_no_attempt_and_comes_first,
        a_task_that_failed_before_it_was_given_back_still_avoids_the_rank_where_it_did,
        a_hinted_task_is_found_again_when_its_node_had_nothing_left,
        tasks_that_were_done_before_are_not_run,
        random_pauses_lose_and_double_nothing,
    };
    return kit_run_tests("pause", tests, sizeof tests / sizeof *tests, NULL, free_machine);
}
