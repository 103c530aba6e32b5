/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_stragglers.c: who is asked to leave a task, and what is begun a second time, in stages that are told event by event; and with the
 * real scheduler, which knows who may take what.
 */
#include "scheduler/stragglers.h"
#include "tests/kit.h"

#define MS UINT64_C(1000000)

enum { HAND_MAX = 8 };

static qn_stragglers stragglers;
static void *stragglers_memory;
static uint64_t now_ns;
static qn_sched *sched; /* of ranks that all may take all, unless a test makes another one */
static void *sched_memory;

static void build(const qn_sched_config *config)
{
    free(sched_memory);
    sched_memory = kit_take(qn_sched_bytes(config));
    sched = qn_sched_init(sched_memory, config);
    ck_assert_ptr_nonnull(sched);
    for (uint32_t rank = 0; rank < config->rank_count; rank++)
        ck_assert(qn_sched_feed(sched, &(qn_sched_event){.kind = QN_SCHED_RANK_READY, .rank = rank}));
}

static void build_for_all(void)
{
    static const uint32_t nodes[8] = {0};
    build(&(qn_sched_config){.rank_count = 8,
                             .node_count = 1,
                             .task_count = 20,
                             .in_hand_max = 2,
                             .attempt_count_max = 4,
                             .rank_node = nodes});
}

static void begin(uint32_t ranks, bool makes_parts, bool may_second)
{
    qn_straggler_config config = {
        .rank_count = ranks, .hand_max = HAND_MAX, .makes_parts = makes_parts, .may_second = may_second};
    free(stragglers_memory);
    stragglers_memory = kit_take(qn_stragglers_bytes(&config));
    qn_stragglers_init(&stragglers, stragglers_memory, &config);
    now_ns = 1000 * MS;
    build_for_all();
}

static void give(uint32_t rank, uint32_t task, uint64_t bytes)
{
    qn_stragglers_give(&stragglers, rank, task, bytes, false, now_ns);
}

static void end(uint32_t rank, uint32_t task)
{
    qn_stragglers_take(&stragglers, rank, task, 0, now_ns);
}

static void expect(qn_straggler_advice advice, uint32_t rank, uint32_t task)
{
    uint32_t rank_found = 0, task_found = 0;
    ck_assert_int_eq(qn_stragglers_next(&stragglers, sched, now_ns, &rank_found, &task_found), advice);
    if (advice == QN_STRAGGLER_NONE)
        return;
    ck_assert_uint_eq(rank_found, rank);
    ck_assert_uint_eq(task_found, task);
}

static void expect_nothing(void)
{
    expect(QN_STRAGGLER_NONE, 0, 0);
}

/* Each rank does a task of 1000 bytes: rank 0 in slow_ms, the others in 100 ms; then rank 0 gets task 10, and the others nothing. */
static void reach_the_end(uint32_t ranks, uint64_t slow_ms)
{
    uint64_t start_ns = now_ns;
    for (uint32_t rank = 0; rank < ranks; rank++)
        give(rank, rank, 1000);
    now_ns = start_ns + 100 * MS;
    for (uint32_t rank = 1; rank < ranks; rank++)
        end(rank, rank);
    now_ns = start_ns + slow_ms * MS;
    end(0, 0);
    give(0, 10, 1000);
}

START_TEST(nobody_is_asked_while_all_have_work)
{
    begin(2, false, true);
    reach_the_end(2, 400);
    give(1, 11, 1000);
    now_ns += 300 * MS;
    expect_nothing();
}
END_TEST

START_TEST(a_rank_as_fast_as_the_others_is_not_asked)
{
    begin(3, false, true);
    reach_the_end(3, 100);
    for (int i = 0; i < 20; i++, now_ns += 10 * MS)
        expect_nothing();
}
END_TEST

START_TEST(a_slow_rank_is_asked_once_and_after_a_while_its_task_is_begun_a_second_time)
{
    begin(3, false, true);
    reach_the_end(3, 1000);
    expect(QN_STRAGGLER_ASK, 0, 10);
    expect_nothing();
    now_ns += 60 * MS;
    expect_nothing();
    now_ns += 60 * MS;
    expect(QN_STRAGGLER_SECOND, 0, 10);
    qn_stragglers_begin_second(&stragglers, 1, 0, 10);
    now_ns += 500 * MS;
    expect_nothing();
    qn_stragglers_end_second(&stragglers, 1);
    now_ns += 500 * MS;
    expect(QN_STRAGGLER_SECOND, 0, 10);
}
END_TEST

START_TEST(where_no_second_may_be_made_it_is_only_asked)
{
    begin(2, false, false);
    reach_the_end(2, 1000);
    expect(QN_STRAGGLER_ASK, 0, 10);
    now_ns += 5000 * MS;
    expect_nothing();
}
END_TEST

START_TEST(a_part_is_begun_a_second_time_if_there_is_time_to_make_all_of_it)
{
    begin(3, true, true);
    reach_the_end(3, 400);
    now_ns += 250 * MS; /* 150 ms are left, and others take 100 */
    expect_nothing();
    begin(3, true, true);
    reach_the_end(3, 1000);
    expect(QN_STRAGGLER_SECOND, 0, 10);
}
END_TEST

START_TEST(a_task_that_is_overdue_is_foreseen_to_take_as_long_again)
{
    begin(3, false, true);
    reach_the_end(3, 100);
    now_ns += 150 * MS;
    expect_nothing();
    now_ns += 250 * MS;
    expect(QN_STRAGGLER_ASK, 0, 10);
}
END_TEST

START_TEST(what_is_not_begun_is_asked_for_first_and_at_once)
{
    begin(3, false, true);
    reach_the_end(3, 100);
    give(0, 11, 1000);
    expect(QN_STRAGGLER_ASK, 0, 11);
    expect_nothing();
    end(0, 11);
    give(1, 11, 1000);
    ck_assert_uint_eq(stragglers.ranks[0].done_bytes, 1000); /* it had not worked on that */
}
END_TEST

START_TEST(of_many_ranks_a_look_asks_as_many_as_it_can_note_and_the_next_one_the_rest)
{
    enum { BUSY = 100, OFFSET = 1000 };
    static const uint32_t nodes[2 * BUSY] = {0};
    begin(2 * BUSY, false, true);
    build(&(qn_sched_config){.rank_count = 2 * BUSY,
                             .node_count = 1,
                             .task_count = 2 * OFFSET,
                             .in_hand_max = 2,
                             .attempt_count_max = 4,
                             .rank_node = nodes});
    for (uint32_t rank = 0; rank < BUSY; rank++) {
        give(rank, rank, 1000);
        give(rank, OFFSET + rank, 1000);
    }
    for (uint32_t rank = 0; rank < QN_STRAGGLER_FINDINGS_MAX; rank++)
        expect(QN_STRAGGLER_ASK, rank, OFFSET + rank);
    expect_nothing();
    now_ns += 10 * MS;
    for (uint32_t rank = QN_STRAGGLER_FINDINGS_MAX; rank < BUSY; rank++)
        expect(QN_STRAGGLER_ASK, rank, OFFSET + rank);
    expect_nothing();
}
END_TEST

/* Rank r takes r ms for what others do in one: what is worth most comes first. */
START_TEST(of_very_many_ranks_a_look_asks_a_share_the_slowest_first)
{
    enum { RANKS = 4000, SLOW = 1500, SHARE = RANKS / QN_STRAGGLER_FINDING_OF_RANKS };
    static const uint32_t nodes[RANKS] = {0};
    begin(RANKS, false, true);
    build(&(qn_sched_config){.rank_count = RANKS,
                             .node_count = 1,
                             .task_count = 2 * RANKS,
                             .in_hand_max = 2,
                             .attempt_count_max = 4,
                             .rank_node = nodes});
    uint64_t start_ns = now_ns;
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        now_ns = start_ns;
        give(rank, rank, 1000);
        now_ns += (rank < SLOW ? 500 + rank : 1) * MS;
        end(rank, rank);
    }
    for (uint32_t rank = 0; rank < SLOW; rank++)
        give(rank, RANKS + rank, 1000);
    for (uint32_t i = 0; i < SHARE; i++)
        expect(QN_STRAGGLER_ASK, SLOW - 1 - i, RANKS + SLOW - 1 - i);
    expect_nothing();
}
END_TEST

START_TEST(no_more_are_asked_than_have_nothing_to_do)
{
    begin(4, false, true);
    reach_the_end(2, 1000);
    give(1, 11, 1000);
    give(2, 12, 1000);
    give(0, 13, 1000);
    give(1, 14, 1000);
    expect(QN_STRAGGLER_ASK, 0, 13);
    expect_nothing();
}
END_TEST

START_TEST(what_cannot_be_left_once_begun_is_not_asked_for)
{
    begin(2, false, true);
    reach_the_end(2, 1000);
    end(0, 10);
    qn_stragglers_give(&stragglers, 0, 12, 1000, true, now_ns);
    expect_nothing();
}
END_TEST

/* Node 0 has ranks 0 and 1 and its two tasks, node 1 rank 2 and nothing to do. */
static void begin_with_tasks_that_stay(bool makes_parts)
{
    static const uint32_t nodes[] = {0, 0, 1}, task_nodes[] = {0, 0};
    static const bool stays[] = {true, true};
    qn_sched_action action;
    begin(3, makes_parts, true);
    build(&(qn_sched_config){.rank_count = 3,
                             .node_count = 2,
                             .task_count = 2,
                             .in_hand_max = 1,
                             .attempt_count_max = 4,
                             .rank_node = nodes,
                             .task_node = task_nodes,
                             .task_stays = stays});
    while (qn_sched_next(sched, &action))
        give(action.rank, action.task, 1000);
    ck_assert_uint_eq(stragglers.ranks[0].held[0].task, 0);
    ck_assert_uint_eq(stragglers.ranks[1].held[0].task, 1);
    for (uint32_t rank = 1; rank < 3; rank++) { /* before */
        stragglers.ranks[rank].done_bytes = 1000;
        stragglers.ranks[rank].busy_ns = 100 * MS;
    }
    stragglers.done_bytes = 2000;
    stragglers.busy_ns = 200 * MS;
}

static void end_of_rank_1(void)
{
    ck_assert(qn_sched_feed(sched, &(qn_sched_event){QN_SCHED_TASK_DONE, 1, 1, 1}));
    end(1, 1);
}

START_TEST(who_nobody_could_help_is_asked_when_somebody_can)
{
    begin_with_tasks_that_stay(false);
    now_ns += 1000 * MS;
    for (int i = 0; i < 10; i++, now_ns += 10 * MS)
        expect_nothing(); /* rank 2 is elsewhere */
    end_of_rank_1();
    now_ns += 200 * MS;
    expect(QN_STRAGGLER_ASK, 0, 0);
    expect_nothing();
}
END_TEST

START_TEST(a_second_attempt_that_could_not_be_begun_is_thought_of_again)
{
    begin_with_tasks_that_stay(true);
    now_ns += 1000 * MS;
    for (int i = 0; i < 2; i++) {
        uint32_t rank = 9, task = 9;
        /* The holders of both are overdue. */
        ck_assert_int_eq(qn_stragglers_next(&stragglers, sched, now_ns, &rank, &task), QN_STRAGGLER_SECOND);
        ck_assert(!qn_sched_feed(sched, &(qn_sched_event){QN_SCHED_TASK_LATE, rank, task, 1}));
        qn_stragglers_refuse_second(&stragglers, rank, task, now_ns);
    }
    expect_nothing();
    end_of_rank_1();
    now_ns += 50 * MS;
    expect_nothing();
    now_ns += 100 * MS;
    expect(QN_STRAGGLER_SECOND, 0, 0);
    ck_assert(qn_sched_feed(sched, &(qn_sched_event){QN_SCHED_TASK_LATE, 0, 0, 1}));
}
END_TEST

START_TEST(without_a_start_all_calls_do_nothing)
{
    stragglers = (qn_stragglers){0};
    give(0, 0, 10);
    end(0, 0);
    qn_stragglers_begin_second(&stragglers, 0, 1, 0);
    qn_stragglers_end_second(&stragglers, 0);
    qn_stragglers_refuse_second(&stragglers, 0, 0, now_ns);
    expect_nothing();
}
END_TEST

static void tear_down(void)
{
    free(stragglers_memory);
    free(sched_memory);
    stragglers_memory = sched_memory = NULL;
}

int main(void)
{
    const TTest *const tests[] = {
        nobody_is_asked_while_all_have_work,
        a_rank_as_fast_as_the_others_is_not_asked,
        a_slow_rank_is_asked_once_and_after_a_while_its_task_is_begun_a_second_time,
        where_no_second_may_be_made_it_is_only_asked,
        a_part_is_begun_a_second_time_if_there_is_time_to_make_all_of_it,
        a_task_that_is_overdue_is_foreseen_to_take_as_long_again,
        what_is_not_begun_is_asked_for_first_and_at_once,
        of_many_ranks_a_look_asks_as_many_as_it_can_note_and_the_next_one_the_rest,
        of_very_many_ranks_a_look_asks_a_share_the_slowest_first,
        no_more_are_asked_than_have_nothing_to_do,
        what_cannot_be_left_once_begun_is_not_asked_for,
        who_nobody_could_help_is_asked_when_somebody_can,
        a_second_attempt_that_could_not_be_begun_is_thought_of_again,
        without_a_start_all_calls_do_nothing,
    };
    return kit_run_tests("stragglers", tests, sizeof tests / sizeof *tests, NULL, tear_down);
}
