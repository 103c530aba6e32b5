/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that only ranks of one node may run. */
#include "tests/scheduler/sched_kit.h"

/* Ranks 0 and 1 on node 0, ranks 2 and 3 on node 1. */
static const uint32_t PAIRS[] = {0, 0, 1, 1};

static void build_pairs(const uint32_t *task_node, const bool *task_stays, uint32_t task_count, uint32_t in_hand_max)
{
    qn_sched_config config = plain_config(4, task_count, in_hand_max, 3);
    config.node_count = 2;
    config.rank_node = PAIRS;
    config.task_node = task_node;
    config.task_stays = task_stays;
    build(&config);
    for (uint32_t rank = 0; rank < 4; rank++)
        ready(rank);
}

START_TEST(a_task_that_stays_waits_for_a_rank_of_its_node)
{
    const uint32_t nodes[] = {1, 1, 1, NONE};
    const bool stays[] = {true, true, true, false};
    build_pairs(nodes, stays, 4, 1);
    expect_run(0, 3, 1); /* the one that may be anywhere */
    expect_run(2, 0, 1);
    expect_run(3, 1, 1);
    expect_nothing();
    done(0, 3, 1);
    expect_nothing();
    done(3, 1, 1);
    expect_run(3, 2, 1);
    ck_assert_uint_eq(qn_sched_get_counts(sched).local_runs, 3);
    done(3, 2, 1);
    done(2, 0, 1);
    expect_finish();
}
END_TEST

START_TEST(a_rank_does_first_what_only_its_node_can)
{
    const uint32_t nodes[] = {NONE, 0, 1, 0, 1};
    const bool stays[] = {false, false, true, true, false};
    build_pairs(nodes, stays, 5, 1);
    expect_run(0, 3, 1);
    expect_run(1, 1, 1);
    expect_run(2, 2, 1);
    expect_run(3, 4, 1);
}
END_TEST

START_TEST(a_task_that_stays_is_tried_again_on_its_node_and_at_last_by_who_failed)
{
    const uint32_t nodes[] = {1};
    const bool stays[] = {true};
    build_pairs(nodes, stays, 1, 1);
    expect_run(2, 0, 1);
    failed(2, 0, 1);
    expect_run(3, 0, 2);
    failed(3, 0, 2);
    expect_run(2, 0, 3); /* it has failed on all ranks of the node */
    failed(2, 0, 3);
    expect_fail(2, 0);
}
END_TEST

START_TEST(a_node_that_is_lost_with_a_task_that_stays_fails_the_stage)
{
    const uint32_t nodes[] = {1, NONE};
    const bool stays[] = {true, false};
    build_pairs(nodes, stays, 2, 1);
    expect_run(0, 1, 1);
    expect_run(2, 0, 1);
    lost(2);
    expect_run(3, 0, 2);
    lost(3);
    expect_fail(NONE, 0);
    build_pairs(nodes, stays, 2, 1);
    expect_run(0, 1, 1);
    expect_run(2, 0, 1);
    done(2, 0, 1);
    lost(2);
    lost(3);
    done(0, 1, 1);
    expect_finish();
}
END_TEST

START_TEST(where_no_rank_ever_was_nothing_can_stay)
{
    const uint32_t nodes[] = {2};
    const bool stays[] = {true};
    qn_sched_config config = plain_config(4, 1, 1, 3);
    config.node_count = 3;
    config.rank_node = PAIRS;
    config.task_node = nodes;
    config.task_stays = stays;
    build(&config);
    expect_fail(NONE, 0);
    config.task_node = NULL;
    ck_assert_uint_eq(qn_sched_bytes(&config), 0);
}
END_TEST

START_TEST(reserves_of_what_stays_are_for_nodes_that_have_more_than_ranks)
{
    const uint32_t nodes[] = {0, 0, 0, 0, 0, 1, 1, 1};
    const bool stays[] = {true, true, true, true, true, true, true, true};
    build_pairs(nodes, stays, 8, 2);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    expect_run(2, 5, 1);
    expect_run(3, 6, 1);
    expect_run(0, 2, 1); /* 3 are pending on a node of two */
    expect_nothing();
}
END_TEST

START_TEST(a_second_of_what_stays_is_on_its_node)
{
    const uint32_t nodes[] = {1, 1};
    const bool stays[] = {true, true};
    build_pairs(nodes, stays, 2, 1);
    expect_run(2, 0, 1);
    expect_run(3, 1, 1);
    ck_assert(!qn_sched_has_taker(sched, 0));
    expect_stale(QN_SCHED_TASK_LATE, 2, 0, 1); /* ranks 0 and 1 are idle, but elsewhere */
    done(3, 1, 1);
    ck_assert(qn_sched_has_taker(sched, 0));
    ck_assert(feed(QN_SCHED_TASK_LATE, 2, 0, 1));
    expect_action(QN_SCHED_SECOND, 3, 0);
    lost(2);
    expect_action(QN_SCHED_TAKE_OVER, 3, 0);
    done(3, 0, 2);
    expect_finish();
}
END_TEST

/* ---- all small clusters ---- */

enum { RANKS = 3, TASKS = 3, NODES = 2, KINDS = 2 * NODES + 1, ATTEMPTS = 3, WALKS = 6 };

typedef struct cluster {
    uint32_t rank_node[RANKS], task_node[TASKS];
    bool stays[TASKS], is_lost[RANKS];
    uint32_t failures[TASKS], done_count[TASKS];
    bool is_paused;
    uint64_t random;
} cluster;

static uint32_t draw(cluster *all, uint32_t bound)
{
    return (uint32_t)kit_random_below(&all->random, bound);
}

/* Number `which` of all. */
static void build_cluster(cluster *all, uint32_t which, uint32_t in_hand_max, uint64_t seed)
{
    *all = (cluster){.random = seed + (uint64_t)which * 1000};
    for (uint32_t rank = 0; rank < RANKS; rank++, which /= NODES)
        all->rank_node[rank] = which % NODES;
    for (uint32_t task = 0; task < TASKS; task++, which /= KINDS) {
        uint32_t kind = which % KINDS;
        all->task_node[task] = kind == 0 ? NONE : (kind - 1) / 2;
        all->stays[task] = kind > 0 && kind % 2 == 0;
    }
    qn_sched_config config = plain_config(RANKS, TASKS, in_hand_max, ATTEMPTS);
    config.node_count = NODES;
    config.rank_node = all->rank_node;
    config.task_node = all->task_node;
    config.task_stays = all->stays;
    build(&config);
    for (uint32_t rank = 0; rank < RANKS; rank++)
        ready(rank);
}

static bool has_place(const cluster *all, uint32_t task)
{
    for (uint32_t rank = 0; rank < RANKS; rank++)
        if (!all->is_lost[rank] && (!all->stays[task] || all->rank_node[rank] == all->task_node[task]))
            return true;
    return false;
}

static bool may_fail(const cluster *all)
{
    for (uint32_t task = 0; task < TASKS; task++)
        if (all->failures[task] == ATTEMPTS || (all->done_count[task] == 0 && !has_place(all, task)))
            return true;
    return false;
}

/* False: it is over. */
static bool take_all_actions(const cluster *all)
{
    qn_sched_action action;
    while (qn_sched_next(sched, &action)) {
        check_machine();
        if (action.kind == QN_SCHED_FINISH)
            return false;
        if (action.kind == QN_SCHED_FAIL) {
            ck_assert(may_fail(all));
            return false;
        }
        if (action.kind != QN_SCHED_DROP) {
            ck_assert(!all->is_lost[action.rank]);
            ck_assert(!all->stays[action.task] || all->rank_node[action.rank] == all->task_node[action.task]);
        }
    }
    return true;
}

static void end_one(cluster *all, uint32_t task, uint32_t rank, uint32_t attempt)
{
    switch (draw(all, 5)) {
    case 0:
        all->failures[task] = attempt;
        failed(rank, task, attempt);
        break;
    case 1:
        feed(QN_SCHED_TASK_GIVEN_BACK, rank, task, attempt);
        break;
    case 2:
        feed(QN_SCHED_TASK_LATE, rank, task, attempt);
        break;
    default:
        all->done_count[task]++;
        done(rank, task, attempt);
    }
}

static void lose(cluster *all, uint32_t rank)
{
    uint32_t attempt = 0;
    if (all->is_lost[rank])
        return;
    for (uint32_t task = 0; task < TASKS; task++)
        if (qn_sched_get_holder(sched, task, &attempt) == rank)
            all->failures[task] = attempt;
    all->is_lost[rank] = true;
    lost(rank);
}

static void walk(cluster *all)
{
    while (take_all_actions(all)) {
        uint32_t attempt = 0, held_count = 0, first = draw(all, TASKS);
        for (uint32_t i = 0; i < TASKS; i++)
            held_count += qn_sched_get_holder(sched, i, &attempt) != NONE;
        ck_assert(held_count > 0 || all->is_paused); /* else it waits for ever */
        for (uint32_t i = 0; i < TASKS; i++) {
            uint32_t task = (first + i) % TASKS, rank = qn_sched_get_holder(sched, task, &attempt);
            if (rank != NONE) {
                end_one(all, task, rank, attempt);
                break;
            }
        }
        if (draw(all, 12) == 0)
            lose(all, draw(all, RANKS));
        if (all->is_paused || draw(all, 10) == 0) {
            all->is_paused = !all->is_paused;
            feed(all->is_paused ? QN_SCHED_PAUSE : QN_SCHED_RESUME, 0, 0, 0);
        }
    }
    for (uint32_t task = 0; task < TASKS; task++)
        ck_assert_uint_le(all->done_count[task], 1);
}

START_TEST(in_all_small_clusters_what_stays_is_run_there_once_or_the_stage_fails_for_a_cause)
{
    uint32_t count = 1;
    for (uint32_t rank = 0; rank < RANKS; rank++)
        count *= NODES;
    for (uint32_t task = 0; task < TASKS; task++)
        count *= KINDS;
    for (uint32_t which = 0; which < count; which++)
        for (uint32_t in_hand_max = 1; in_hand_max <= 2; in_hand_max++)
            for (uint64_t seed = 1; seed <= WALKS; seed++) {
                cluster all;
                build_cluster(&all, which, in_hand_max, seed);
                walk(&all);
            }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_task_that_stays_waits_for_a_rank_of_its_node,
        a_rank_does_first_what_only_its_node_can,
        a_task_that_stays_is_tried_again_on_its_node_and_at_last_by_who_failed,
        a_node_that_is_lost_with_a_task_that_stays_fails_the_stage,
        where_no_rank_ever_was_nothing_can_stay,
        reserves_of_what_stays_are_for_nodes_that_have_more_than_ranks,
        a_second_of_what_stays_is_on_its_node,
        in_all_small_clusters_what_stays_is_run_there_once_or_the_stage_fails_for_a_cause,
    };
    return kit_run_tests("stay", tests, sizeof tests / sizeof *tests, NULL, free_machine);
}
