/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_sim.c: the scheduler in simulated clusters. Every rule is the oracle's
 * (scheduler/sim/sim_oracle.c); these tests choose the weather.
 *
 * To replay one configuration of the small runs: QN_SIM_SEED=17 test_sim.
 */
#include "scheduler/sim/sim.h"
#include "scheduler/sim/sim_random.h"
#include "tests/kit.h"

#include <inttypes.h>

enum { SMALL_RUN_COUNT = 4000, TIMEOUT_S = 120 };

static const uint64_t SECOND_NS = 1000000000u;

/* Seeds that once failed stay here; none so far, 0 keeps the array from being empty. */
static const uint64_t KEPT_SEEDS[] = {0};

static qn_sim_result run(const qn_sim_config *config)
{
    qn_sim_result result;
    ck_assert_msg(qn_sim_run(config, &result), "seed %" PRIu64 ": no run", config->seed);
    ck_assert_msg(result.broken == NULL, "seed %" PRIu64 ": %s", config->seed, result.broken);
    return result;
}

static uint32_t draw(uint64_t *random, uint32_t first, uint32_t last)
{
    return first + (uint32_t)qn_sim_below(random, (uint64_t)last - first + 1);
}

/* Zero half of the time, so that each trouble is also met alone. */
static uint32_t draw_or_zero(uint64_t *random, uint32_t last)
{
    return qn_sim_chance(random, 500) ? 0 : draw(random, 1, last);
}

/* A small cluster of random shape in random weather. */
static qn_sim_config small_config(uint64_t seed)
{
    uint64_t random = seed;
    qn_sim_config config = {
        .seed = seed,
        .rank_count = qn_sim_chance(&random, 300) ? draw(&random, 1, 4) : draw(&random, 1, 40),
        .node_count = draw(&random, 1, 6),
        .task_count = draw(&random, 0, 200),
        .in_hand_max = draw(&random, 1, QN_SCHED_IN_HAND_MAX),
        .attempt_count_max = draw(&random, 1, QN_SCHED_ATTEMPT_MAX),
        .task_ns = SECOND_NS,
        .latency_ns_max = qn_sim_chance(&random, 300) ? SECOND_NS : 1000,
        .slow_factor = draw(&random, 2, 20),
        .lost_within_ns = draw(&random, 1, 60) * SECOND_NS,
        .check_period_events = 1,
    };
    config.hinted_permille = draw_or_zero(&random, 1000);
    config.tail_octaves_max = draw_or_zero(&random, 8);
    config.slow_permille = draw_or_zero(&random, 300);
    config.fail_permille = draw_or_zero(&random, 300);
    config.broken_count = draw_or_zero(&random, 4);
    config.poison_count = qn_sim_chance(&random, 50) ? 1 : 0;
    config.lost_permille = draw_or_zero(&random, qn_sim_chance(&random, 100) ? 1000 : 400);
    config.repeat_permille = draw_or_zero(&random, 500);
    config.stray_permille = draw_or_zero(&random, 200);
    return config;
}

START_TEST(every_rule_holds_after_every_event_in_small_clusters)
{
    const char *only = getenv("QN_SIM_SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    uint64_t count = only == NULL ? SMALL_RUN_COUNT : 1;
    uint32_t finished_count = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        qn_sim_config config = small_config(seed);
        finished_count += run(&config).finished;
    }
    /* Both ends must be met often, or the weather is too mild or too rough to show anything. */
    ck_assert(only != NULL || finished_count > SMALL_RUN_COUNT / 4);
    ck_assert(only != NULL || finished_count < SMALL_RUN_COUNT - SMALL_RUN_COUNT / 10);
}
END_TEST

START_TEST(seeds_that_once_failed_pass)
{
    for (size_t i = 0; i < sizeof KEPT_SEEDS / sizeof KEPT_SEEDS[0]; i++) {
        qn_sim_config config = small_config(KEPT_SEEDS[i]);
        run(&config);
    }
}
END_TEST

START_TEST(the_same_seed_gives_the_same_trace_and_another_seed_another)
{
    qn_sim_config config = small_config(5);
    qn_sim_result first = run(&config);
    qn_sim_result second = run(&config);
    ck_assert_uint_eq(first.trace_hash, second.trace_hash);
    ck_assert_uint_eq(first.event_count, second.event_count);
    ck_assert_uint_eq(first.makespan_ns, second.makespan_ns);
    config.seed = 6;
    ck_assert_uint_ne(first.trace_hash, run(&config).trace_hash);
}
END_TEST

START_TEST(a_stage_with_one_task_that_always_fails_fails)
{
    qn_sim_config config = {
        .seed = 1,
        .rank_count = 16,
        .node_count = 4,
        .task_count = 100,
        .in_hand_max = 2,
        .attempt_count_max = 4,
        .task_ns = SECOND_NS,
        .latency_ns_max = 1000,
        .poison_count = 1,
        .check_period_events = 1,
    };
    ck_assert(!run(&config).finished);
}
END_TEST

START_TEST(a_stage_survives_as_many_broken_ranks_as_a_task_has_spare_attempts)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        qn_sim_config config = {
            .seed = seed,
            .rank_count = 10,
            .node_count = 2,
            .task_count = 400,
            .in_hand_max = 2,
            .attempt_count_max = 4,
            .task_ns = SECOND_NS,
            .latency_ns_max = 1000,
            .broken_count = 3,
            .check_period_events = 1,
        };
        qn_sim_result result = run(&config);
        ck_assert(result.finished);
        ck_assert_uint_gt(result.counts.failures, 0);
    }
}
END_TEST

static qn_sim_config large_config(uint64_t seed)
{
    return (qn_sim_config){
        .seed = seed,
        .rank_count = 10000,
        .node_count = 200,
        .task_count = 200000,
        .in_hand_max = 2,
        .attempt_count_max = 4,
        .task_ns = SECOND_NS,
        .latency_ns_max = 100000,
        .hinted_permille = 900,
        .check_period_events = 50000,
    };
}

START_TEST(ten_thousand_healthy_ranks_finish_within_a_fifth_of_the_ideal_time)
{
    qn_sim_config config = large_config(1);
    qn_sim_result result = run(&config);
    ck_assert(result.finished);
    ck_assert_uint_eq(result.counts.attempts, config.task_count);
    ck_assert_uint_lt(result.makespan_ns, result.ideal_ns + result.ideal_ns / 5);
    ck_assert_uint_gt(result.counts.local_runs, result.counts.hinted_runs * 9 / 10);
}
END_TEST

START_TEST(ten_thousand_ranks_finish_in_rough_weather)
{
    qn_sim_config config = large_config(2);
    config.tail_octaves_max = 6;
    config.slow_permille = 20;
    config.slow_factor = 5;
    config.fail_permille = 10;
    config.lost_permille = 10;
    config.lost_within_ns = 40 * SECOND_NS;
    config.repeat_permille = 50;
    config.stray_permille = 10;
    qn_sim_result result = run(&config);
    ck_assert(result.finished);
    ck_assert_uint_gt(result.counts.failures, 1000);
    ck_assert_uint_gt(result.counts.stale_events, 1000);
    ck_assert_uint_lt(result.counts.ranks_alive, config.rank_count - 50);
}
END_TEST

START_TEST(three_broken_ranks_that_fail_most_tasks_cost_no_quadratic_time)
{
    qn_sim_config config = {
        .seed = 3,
        .rank_count = 8,
        .node_count = 1,
        .task_count = 100000,
        .in_hand_max = 2,
        .attempt_count_max = 4,
        .task_ns = SECOND_NS,
        .latency_ns_max = 1000,
        .broken_count = 3,
        .check_period_events = 100000,
    };
    qn_sim_result result = run(&config);
    ck_assert_uint_gt(result.counts.failures, config.task_count);
}
END_TEST

START_TEST(a_hundred_thousand_ranks_finish)
{
    qn_sim_config config = large_config(4);
    config.rank_count = 100000;
    config.node_count = 1500;
    config.task_count = 300000;
    config.fail_permille = 5;
    config.check_period_events = 200000;
    ck_assert(run(&config).finished);
}
END_TEST

START_TEST(a_configuration_without_ranks_or_time_is_refused)
{
    qn_sim_result result;
    qn_sim_config config = small_config(1);
    config.rank_count = 0;
    ck_assert(!qn_sim_run(&config, &result));
    config = small_config(1);
    config.task_ns = 0;
    ck_assert(!qn_sim_run(&config, &result));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sim");
    TCase *tcase = tcase_create("clusters");
    tcase_set_timeout(tcase, TIMEOUT_S);
    tcase_add_test(tcase, every_rule_holds_after_every_event_in_small_clusters);
    tcase_add_test(tcase, seeds_that_once_failed_pass);
    tcase_add_test(tcase, the_same_seed_gives_the_same_trace_and_another_seed_another);
    tcase_add_test(tcase, a_stage_with_one_task_that_always_fails_fails);
    tcase_add_test(tcase, a_stage_survives_as_many_broken_ranks_as_a_task_has_spare_attempts);
    tcase_add_test(tcase, ten_thousand_healthy_ranks_finish_within_a_fifth_of_the_ideal_time);
    tcase_add_test(tcase, ten_thousand_ranks_finish_in_rough_weather);
    tcase_add_test(tcase, three_broken_ranks_that_fail_most_tasks_cost_no_quadratic_time);
    tcase_add_test(tcase, a_hundred_thousand_ranks_finish);
    tcase_add_test(tcase, a_configuration_without_ranks_or_time_is_refused);
    suite_add_tcase(suite, tcase);
    return kit_run(suite);
}
