/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_cluster.c: the model of a cluster (scheduler/sim/cluster.h) where its answer can be known beforehand, and the draws that it is
 * made of.
 */
#include <math.h>
#include <string.h>

#include "scheduler/sim/cluster.h"
#include "scheduler/sim/draws.h"
#include "tests/kit.h"

enum { DRAWS = 200000 };

static const uint64_t SECOND_NS = 1000000000u;

static qn_cluster_config calm(uint32_t ranks, uint32_t nodes, uint32_t tasks)
{
    return (qn_cluster_config){
        .seed = 1,
        .rank_count = ranks,
        .node_count = nodes,
        .task_count = tasks,
        .attempt_count_max = 4,
        .task_ns = SECOND_NS,
        .slow_factor = 1,
        .block_ns = SECOND_NS / 1000,
        .round_bytes = 1 << 20,
        .shape = 1,
        .restart_count_max = 1000,
    };
}

static qn_cluster_result run(const qn_cluster_config *config)
{
    qn_cluster_result result;
    memset(&result, 0, sizeof result);
    ck_assert(qn_cluster_run(config, &result));
    ck_assert_msg(result.broken == NULL, "%s", result.broken);
    return result;
}

static void assert_near(double got, double expected, double share)
{
    ck_assert_msg(fabs(got - expected) <= share * fabs(expected), "%g, not %g", got, expected);
}

START_TEST(logarithm_and_exponential_are_those_of_libm_to_the_last_digits)
{
    for (double x = 1e-15; x < 1e15; x *= 1.37)
        ck_assert(fabs(qn_draw_log(x) - log(x)) <= 1e-14 * (1 + fabs(log(x))));
    for (double x = -600; x < 600; x += 0.173)
        assert_near(qn_draw_exp(x), exp(x), 1e-13);
}
END_TEST

typedef double (*draw_fn)(uint64_t *random, double mean, double shape);

static double mean_of(draw_fn draw, double mean, double shape)
{
    uint64_t random = 7;
    double sum = 0;
    for (int i = 0; i < DRAWS; i++)
        sum += draw(&random, mean, shape);
    return sum / DRAWS;
}

START_TEST(draws_have_the_mean_that_was_asked_for)
{
    assert_near(mean_of(qn_draw_lognormal, 3, 0.5), 3, 0.01);
    assert_near(mean_of(qn_draw_pareto, 3, 3), 3, 0.01);
    assert_near(mean_of(qn_draw_weibull, 3, 0.7), 3, 0.02);
    assert_near(mean_of(qn_draw_weibull, 3, 1), 3, 0.01);
}
END_TEST

/* Failures a node and mean life, of many that were found alive and are replaced when they fail. */
static double failure_rate(double shape, double lives)
{
    const int nodes = 100000;
    uint64_t random = 11, failures = 0;
    for (int node = 0; node < nodes; node++) {
        for (double at = qn_draw_weibull_rest(&random, 1, shape); at < lives;
             at += qn_draw_weibull(&random, 1, shape)) {
            failures++;
        }
    }
    return (double)failures / nodes / lives;
}

START_TEST(nodes_that_have_run_before_fail_at_the_same_rate_at_any_time)
{
    static const double shapes[] = {0.5, 0.7, 1, 3};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        assert_near(failure_rate(shapes[i], 0.1), 1, 0.04);
        assert_near(failure_rate(shapes[i], 2), 1, 0.02);
    }
}
END_TEST

START_TEST(equal_tasks_on_calm_ranks_take_the_ideal_time)
{
    qn_cluster_config config = calm(100, 10, 5000);
    qn_cluster_result result = run(&config);
    ck_assert(result.finished);
    assert_near(result.makespan_ns, 50.0 * 1e9, 1e-6);
    assert_near(result.work_ns, 5000.0 * 1e9, 1e-6);
    ck_assert_uint_eq(result.orders, 5000);
    ck_assert_uint_eq(result.messages, 5000);
}
END_TEST

START_TEST(a_rank_waits_for_its_next_order_only_where_the_master_is_too_slow)
{
    qn_cluster_config config = calm(100, 10, 10000);
    config.receive_ns = config.send_ns = 1000;
    assert_near(run(&config).makespan_ns, 100.0 * 1e9, 0.001);
    config.receive_ns = config.send_ns = SECOND_NS / 100; /* twice what 100 ranks leave it for a task */
    qn_cluster_result result = run(&config);
    assert_near(result.makespan_ns, 200.0 * 1e9, 0.02);
    assert_near(result.master_busy_ns, 200.0 * 1e9, 0.001);
}
END_TEST

START_TEST(a_master_that_looks_seldom_takes_as_many_messages_as_a_look_allows)
{
    qn_cluster_config config = calm(1000, 10, 20000);
    config.task_ns = SECOND_NS / 1000;
    config.batch_max = 4;
    config.poll_ns = SECOND_NS / 1000;
    assert_near(run(&config).makespan_ns, 20000.0 / 4 * 1e6, 0.2);
}
END_TEST

START_TEST(where_tasks_are_short_several_go_into_a_message_and_the_master_keeps_up)
{
    qn_cluster_config config = calm(10000, 100, 1000000);
    config.task_ns = SECOND_NS / 50;
    config.receive_ns = 1000;
    config.send_ns = 1500;
    config.receive_task_ns = config.send_task_ns = 100;
    qn_cluster_result many = run(&config);
    config.task_batch = 1;
    qn_cluster_result single = run(&config);
    ck_assert(many.order_messages < many.orders / 3 && many.messages < many.orders / 3);
    ck_assert_uint_gt(many.hand_most, 10);
    ck_assert_uint_eq(single.messages, single.orders);
    ck_assert_uint_eq(single.hand_most, 2);
    assert_near(many.makespan_ns, many.ideal_ns, 0.05);
    assert_near(single.makespan_ns, 1000000 * 2500.0, 0.1);
}
END_TEST

START_TEST(slow_nodes_get_fewer_tasks)
{
    qn_cluster_config config = calm(1000, 100, 100000);
    config.slow_share = 0.3;
    config.slow_factor = 4;
    qn_cluster_result result = run(&config);
    ck_assert(result.ideal_ns > 110e9);
    assert_near(result.makespan_ns, result.ideal_ns, 0.05);
}
END_TEST

START_TEST(a_file_system_that_is_too_slow_decides)
{
    qn_cluster_config config = calm(100, 10, 1000);
    config.task_bytes = 1000000;
    config.disk_bytes_per_s = 1e7;
    assert_near(run(&config).makespan_ns, 100.0 * 1e9, 0.001);
}
END_TEST

/* By a fixed interval. */
typedef struct clerk {
    uint64_t every_ns, last_ns;
    uint32_t noted;
} clerk;

static bool is_due(void *user, uint64_t now_ns, uint64_t bytes)
{
    (void)bytes;
    return now_ns - ((clerk *)user)->last_ns >= ((clerk *)user)->every_ns;
}

static void note(void *user, uint64_t start_ns, uint64_t now_ns, uint64_t bytes)
{
    (void)start_ns, (void)bytes;
    ((clerk *)user)->last_ns = now_ns;
    ((clerk *)user)->noted++;
}

static void restart(void *user, uint64_t now_ns)
{
    ((clerk *)user)->last_ns = now_ns;
}

START_TEST(epochs_lose_no_work_and_cost_what_they_take)
{
    clerk user = {.every_ns = 10 * SECOND_NS};
    qn_cluster_epochs epochs = {is_due, note, restart, &user};
    qn_cluster_config config = calm(64, 4, 6400);
    config.epochs = &epochs;
    config.state_bytes = 1000;
    config.sync_ns = SECOND_NS;
    qn_cluster_result result = run(&config);
    ck_assert(result.finished);
    ck_assert_uint_ge(result.epochs, 9);
    ck_assert_uint_eq(result.epochs, user.noted);
    assert_near(result.work_ns, 6400.0 * 1e9, 0.001);
    assert_near(result.makespan_ns, 100e9 + result.epochs_ns, 0.02);
}
END_TEST

START_TEST(a_job_that_fails_goes_on_from_its_epoch_and_without_one_begins_again)
{
    clerk user = {.every_ns = 10 * SECOND_NS};
    qn_cluster_epochs epochs = {is_due, note, restart, &user};
    qn_cluster_config config = calm(64, 8, 64 * 1000);
    config.failure_ns = 8.0 * 100e9; /* one in a hundred seconds, on average */
    config.restart_ns = 5 * SECOND_NS;
    config.epochs = &epochs;
    config.state_bytes = 1000;
    qn_cluster_result saved = run(&config);
    ck_assert(saved.finished);
    ck_assert_uint_gt(saved.failures, 3);
    ck_assert(saved.lost_ns / 64 <= 11.0 * 1e9 * saved.failures);
    assert_near(saved.work_ns, 64000.0 * 1e9, 0.001);
    assert_near(saved.makespan_ns, 1000e9 + saved.lost_ns / 64 + saved.down_ns + saved.epochs_ns, 0.02);
    config.epochs = NULL;
    config.restart_count_max = 20;
    qn_cluster_result lost = run(&config);
    ck_assert(!lost.finished);
    ck_assert_uint_eq(lost.failures, 21);
}
END_TEST

/* A twentieth of the nodes, or so, takes five times as long. */
static qn_cluster_config uneven(bool makes_parts)
{
    qn_cluster_config config = calm(800, 50, 800 * 20);
    config.slow_share = 0.05;
    config.slow_factor = 5;
    config.makes_parts = makes_parts;
    return config;
}

static void assert_slow_nodes_do_not_decide(bool makes_parts)
{
    qn_cluster_config config = uneven(makes_parts);
    qn_cluster_result off = run(&config);
    config.speculate = QN_CLUSTER_SPECULATE_AUTO;
    qn_cluster_result helped = run(&config);
    ck_assert(off.finished && helped.finished);
    ck_assert(off.makespan_ns > 24e9); /* a task that began at 20 s on a slow node */
    ck_assert(helped.makespan_ns < off.makespan_ns - 2e9 && helped.makespan_ns < 1.1 * helped.ideal_ns);
    ck_assert_uint_eq(off.asked + off.left + off.seconds, 0);
    ck_assert_uint_ge(helped.left, 10);
    ck_assert_uint_eq(helped.seconds_won, makes_parts ? helped.left : 0);
}

START_TEST(slow_nodes_do_not_decide_when_a_stage_ends_where_tasks_are_left_to_others)
{
    assert_slow_nodes_do_not_decide(false);
}
END_TEST

START_TEST(nor_where_tasks_make_parts_of_which_second_attempts_are_made)
{
    assert_slow_nodes_do_not_decide(true);
}
END_TEST

/* Where all ranks are equal the work of a task does not depend on who does it, and in how many pieces. */
START_TEST(however_often_tasks_move_all_their_work_counts_once)
{
    static const qn_cluster_speculate ways[] = {QN_CLUSTER_SPECULATE_AUTO, QN_CLUSTER_SPECULATE_ON};
    for (int i = 0; i < 8; i++) {
        qn_cluster_config config = calm(200, 10, 4000);
        config.lengths = i & 1 ? QN_CLUSTER_PARETO : QN_CLUSTER_LOGNORMAL;
        config.spread = 1.5;
        config.speculate = ways[i >> 1 & 1];
        config.makes_parts = i >= 4;
        config.seed = (uint64_t)i + 1;
        qn_cluster_result result = run(&config);
        ck_assert(result.finished);
        ck_assert_uint_ge(config.makes_parts ? result.seconds : result.left, 10);
        ck_assert_uint_ge(result.seconds, result.seconds_won);
        assert_near(result.work_ns, result.ideal_ns * 200, 1e-5); /* each move rounds */
        ck_assert(config.makes_parts == (result.twice_ns > 0));
    }
}
END_TEST

/* Blocks of two seconds, ten on a slow rank: nobody who is asked answers in time. */
START_TEST(who_is_in_one_block_for_long_gets_a_second_that_goes_on_where_it_leaves)
{
    qn_cluster_config config = uneven(false);
    config.task_ns = 10 * SECOND_NS;
    config.block_ns = 2 * SECOND_NS;
    qn_cluster_result off = run(&config);
    config.speculate = QN_CLUSTER_SPECULATE_AUTO;
    qn_cluster_result helped = run(&config);
    ck_assert_uint_ge(helped.seconds, 10);
    ck_assert_uint_ge(helped.seconds_won, 1);
    ck_assert_uint_le(helped.seconds_won, helped.seconds);
    ck_assert(helped.twice_ns > 0 && helped.makespan_ns < off.makespan_ns - 5e9);
}
END_TEST

START_TEST(tasks_that_move_survive_epochs_and_failures)
{
    clerk user = {.every_ns = 2 * SECOND_NS};
    qn_cluster_epochs epochs = {is_due, note, restart, &user};
    qn_cluster_config config = calm(64, 8, 64 * 20);
    config.lengths = QN_CLUSTER_LOGNORMAL;
    config.spread = 1.5;
    config.failure_ns = 8.0 * 20e9;
    config.restart_ns = SECOND_NS;
    config.epochs = &epochs;
    config.state_bytes = 1000;
    config.speculate = QN_CLUSTER_SPECULATE_ON;
    uint32_t failures = 0;
    for (config.seed = 1; config.seed <= 20; config.seed++) {
        qn_cluster_result result = run(&config);
        ck_assert(result.finished);
        ck_assert_uint_ge(result.left, 10);
        assert_near(result.work_ns, result.ideal_ns * 64, 1e-6);
        failures += result.failures;
    }
    ck_assert_uint_ge(failures, 10);
}
END_TEST

START_TEST(reports_of_several_tasks_and_tasks_that_move_go_together)
{
    qn_cluster_config config = calm(100, 10, 100 * 200);
    config.task_ns = SECOND_NS / 5;
    config.lengths = QN_CLUSTER_LOGNORMAL;
    config.spread = 1;
    config.task_batch = 8;
    config.speculate = QN_CLUSTER_SPECULATE_ON;
    qn_cluster_result result = run(&config);
    ck_assert(result.order_messages < result.orders / 3);
    ck_assert_uint_ge(result.left, 10);
    assert_near(result.work_ns, result.ideal_ns * 100, 1e-6);
}
END_TEST

START_TEST(a_shuffle_behind_the_tasks_takes_the_time_of_the_links)
{
    qn_cluster_config config = calm(40, 4, 400);
    config.shuffle_bytes = 4000000000u;
    config.late_share = 1;
    config.link_bytes_per_s = 1e9;
    assert_near(run(&config).exposed_ns, 0.75e9, 0.01); /* a quarter of a node's gigabyte stays there */
    config.late_share = 0;
    ck_assert(run(&config).exposed_ns < 1e6);
}
END_TEST

START_TEST(what_is_sent_while_ranks_wait_for_files_is_hidden)
{
    qn_cluster_config config = calm(40, 4, 400);
    config.shuffle_bytes = 80000000000u; /* 15 s of the links, and tasks of 10 s */
    config.late_share = 0;
    config.link_bytes_per_s = 1e9;
    assert_near(run(&config).exposed_ns, 5e9, 0.01);
    config.task_bytes = 1000000;
    config.disk_bytes_per_s = 2e7;
    assert_near(run(&config).makespan_ns, 20e9, 0.01);
}
END_TEST

/* What 63 messages to other ranks and 7 + 7 take, twice and a last round; or the copies. */
START_TEST(two_levels_take_fewer_messages_and_more_copies)
{
    qn_cluster_config config = calm(64, 8, 64);
    config.shuffle_bytes = 64 << 20;
    config.late_share = 1;
    config.exchange_ns = 1000;
    config.levels = 1;
    assert_near(run(&config).exposed_ns, (1 + 2) * 2 * 63 * 1000, 0.001);
    config.levels = 2;
    assert_near(run(&config).exposed_ns, (1 + 2) * 2 * 14 * 1000, 0.001);
    config.levels = 0;
    ck_assert_uint_eq(run(&config).levels, 2);
    ck_assert_uint_eq(run(&config).round_buffer_bytes, 6 << 20);
    config.copy_bytes_per_s = 1e9; /* a round is a MiB, or a millisecond: more than the messages */
    qn_cluster_result result = run(&config);
    ck_assert_uint_eq(result.levels, 1);
    ck_assert_uint_eq(result.round_buffer_bytes, 4 << 20);
    config.levels = 2;
    assert_near(run(&config).exposed_ns, 3 * (2 * 14 * 1000 + 1048576), 0.001);
    config.node_count = 63; /* of unequal ranks */
    ck_assert_uint_eq(run(&config).levels, 1);
}
END_TEST

START_TEST(compression_spares_the_links_and_takes_the_ranks_time)
{
    qn_cluster_config config = calm(40, 4, 400);
    config.shuffle_bytes = 4000000000u;
    config.late_share = 1;
    config.link_bytes_per_s = 1e9;
    config.packed_share = 0.5;
    assert_near(run(&config).exposed_ns, 0.375e9, 0.01);
    config.pack_bytes_per_s = 1e9; /* 100 MB a rank */
    assert_near(run(&config).exposed_ns, 0.475e9, 0.02);
}
END_TEST

/* 100 MB a rank, of which three quarters leave its node. */
START_TEST(what_a_rank_takes_to_send_is_not_hidden_by_its_tasks)
{
    qn_cluster_config config = calm(40, 4, 400);
    config.shuffle_bytes = 4000000000u;
    config.late_share = 0.2;
    config.send_bytes_per_s = 1e8;
    qn_cluster_result result = run(&config);
    assert_near(result.exposed_ns, 0.2 * 0.75e9, 0.001);
    assert_near(result.makespan_ns, 10e9 + 0.75e9, 0.001);
    config.node_count = 1;
    assert_near(run(&config).makespan_ns, 10e9, 0.001);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_run_and_another_seed_another)
{
    qn_cluster_config config = calm(100, 10, 5000);
    config.lengths = QN_CLUSTER_LOGNORMAL;
    config.spread = 0.5;
    config.receive_ns = 1000;
    qn_cluster_result first = run(&config), second = run(&config);
    ck_assert_int_eq(memcmp(&first, &second, sizeof first), 0);
    config.seed = 2;
    ck_assert(run(&config).makespan_ns != first.makespan_ns);
    config.speculate = QN_CLUSTER_SPECULATE_ON;
    for (int parts = 0; parts < 2; parts++) {
        config.makes_parts = parts;
        first = run(&config);
        second = run(&config);
        ck_assert_int_eq(memcmp(&first, &second, sizeof first), 0);
        ck_assert_uint_gt(first.asked, 0);
    }
}
END_TEST

START_TEST(the_curve_holds_all_work_and_all_messages)
{
    qn_cluster_config config = calm(100, 10, 5000);
    config.lengths = QN_CLUSTER_PARETO;
    config.spread = 1.5;
    qn_cluster_result result = run(&config);
    double busy_ns = 0;
    uint64_t messages = 0, done = 0;
    for (uint32_t i = 0; i < result.bucket_count; i++) {
        busy_ns += result.buckets[i].busy_ns;
        messages += result.buckets[i].messages;
        done += result.buckets[i].tasks_done;
    }
    assert_near(busy_ns, result.work_ns, 1e-9);
    ck_assert_uint_eq(messages, result.messages + result.orders);
    ck_assert_uint_eq(done, config.task_count);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    qn_cluster_result result;
    qn_cluster_config good = calm(4, 2, 10);
    qn_cluster_config bad[] = {good, good, good, good, good};
    const qn_cluster_epochs epochs = {is_due, note, restart, NULL};
    bad[0].rank_count = 0;
    bad[1].node_count = 5;
    bad[2].task_ns = 0;
    bad[3].lengths = QN_CLUSTER_PARETO; /* without a spread */
    bad[4].makes_parts = true;          /* which are saved by no epoch */
    bad[4].epochs = &epochs;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert(!qn_cluster_run(&bad[i], &result));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        logarithm_and_exponential_are_those_of_libm_to_the_last_digits,
        draws_have_the_mean_that_was_asked_for,
        nodes_that_have_run_before_fail_at_the_same_rate_at_any_time,
        equal_tasks_on_calm_ranks_take_the_ideal_time,
        a_rank_waits_for_its_next_order_only_where_the_master_is_too_slow,
        a_master_that_looks_seldom_takes_as_many_messages_as_a_look_allows,
        where_tasks_are_short_several_go_into_a_message_and_the_master_keeps_up,
        slow_nodes_get_fewer_tasks,
        a_file_system_that_is_too_slow_decides,
        epochs_lose_no_work_and_cost_what_they_take,
        a_job_that_fails_goes_on_from_its_epoch_and_without_one_begins_again,
        slow_nodes_do_not_decide_when_a_stage_ends_where_tasks_are_left_to_others,
        nor_where_tasks_make_parts_of_which_second_attempts_are_made,
        however_often_tasks_move_all_their_work_counts_once,
        who_is_in_one_block_for_long_gets_a_second_that_goes_on_where_it_leaves,
        tasks_that_move_survive_epochs_and_failures,
        reports_of_several_tasks_and_tasks_that_move_go_together,
        a_shuffle_behind_the_tasks_takes_the_time_of_the_links,
        what_is_sent_while_ranks_wait_for_files_is_hidden,
        two_levels_take_fewer_messages_and_more_copies,
        compression_spares_the_links_and_takes_the_ranks_time,
        what_a_rank_takes_to_send_is_not_hidden_by_its_tasks,
        the_same_seed_gives_the_same_run_and_another_seed_another,
        the_curve_holds_all_work_and_all_messages,
        what_cannot_be_is_refused,
    };
    return kit_run_tests("cluster", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
