/* SPDX-License-Identifier: BSD-3-Clause */
/* What rank 0 knows of ranks while they work: sums, silence, what is told once, and its size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/timeline.h"
#include "runtime/engine/board.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define RANKS 4
#define NODES 2

static qn_board *board;
static char told[32][600];
static size_t told_count;

static void note(void *user, const char *kind, const char *text)
{
    (void)user;
    ck_assert_uint_lt(told_count, sizeof told / sizeof *told);
    snprintf(told[told_count++], sizeof told[0], "%s: %s", kind, text);
}

static void open_board(uint32_t ranks, uint32_t nodes)
{
    qn_error error = {0};
    told_count = 0;
    ck_assert_int_eq(qn_board_create(&board, ranks, nodes, note, NULL, &error), QUERN_OK);
    qn_board_begin_run(board);
    qn_board_begin_stage(board, 1, "lines", "counts", QN_NS_PER_S);
}

static void setup(void)
{
    open_board(RANKS, NODES);
}

static void teardown(void)
{
    qn_board_destroy(board);
}

/* Of one rank, two on a node. */
static qn_shown shown_of(uint32_t rank, qn_timeline_state state, uint64_t work_ns)
{
    qn_shown shown = {.node = rank / 2, .count = 1};
    snprintf(shown.host, sizeof shown.host, "host%u", rank / 2);
    shown.ranks[0] = (qn_rank_figures){.rank = rank,
                                       .stage = 1,
                                       .state = state,
                                       .task = 7,
                                       .attempt = 1,
                                       .tasks = 2,
                                       .records = 100 - rank,
                                       .rounds = rank,
                                       .used_bytes = 10,
                                       .memory_bytes = 100,
                                       .work_ns = work_ns};
    return shown;
}

static void show(uint32_t rank, qn_timeline_state state, uint64_t work_ns, uint64_t now_ns)
{
    qn_shown shown = shown_of(rank, state, work_ns);
    qn_board_take(board, &shown, now_ns);
}

START_TEST(figures_add_up_and_the_last_of_those_that_work_is_named)
{
    qn_board_totals totals;
    for (uint32_t rank = 0; rank < RANKS; rank++)
        show(rank, rank == 3 ? QN_TIMELINE_IDLE : QN_TIMELINE_MAP, 0, 2 * QN_NS_PER_S);
    qn_board_sum(board, 2 * QN_NS_PER_S, &totals);
    ck_assert_uint_eq(totals.sum.records, 100 + 99 + 98 + 97);
    ck_assert_uint_eq(totals.sum.rounds, 3);
    ck_assert_uint_eq(totals.idle_count, 1);
    ck_assert_uint_eq(totals.silent_count, 0);
    ck_assert_uint_eq(totals.slowest, 2);
    ck_assert_str_eq(totals.slowest_host, "host1");
}
END_TEST

START_TEST(who_is_not_heard_of_is_silent_while_a_stage_runs_and_not_between_stages)
{
    qn_board_totals totals;
    for (uint32_t rank = 0; rank < RANKS; rank++)
        show(rank, QN_TIMELINE_MAP, 0, (rank == 1 ? 2 : 12) * QN_NS_PER_S);
    qn_board_sum(board, 12 * QN_NS_PER_S, &totals);
    ck_assert_uint_eq(totals.silent_count, 1);
    ck_assert(totals.slowest_is_silent && totals.slowest == 1);
    ck_assert_uint_eq(totals.sum.silent_ns, 10 * QN_NS_PER_S);
    qn_board_end_stage(board);
    qn_board_sum(board, 100 * QN_NS_PER_S, &totals);
    ck_assert_uint_eq(totals.silent_count, 0);
    qn_board_begin_stage(board, 2, "next", "end", 100 * QN_NS_PER_S);
    qn_board_sum(board, 101 * QN_NS_PER_S, &totals);
    ck_assert_uint_eq(totals.silent_count + totals.sum.records, 0);
}
END_TEST

START_TEST(a_straggler_is_told_once_when_others_have_nothing_left)
{
    uint64_t now_ns = 20 * QN_NS_PER_S;
    for (uint32_t rank = 0; rank < RANKS; rank++)
        show(rank, QN_TIMELINE_MAP, rank == 2 ? now_ns / 2 : QN_NS_PER_S, now_ns);
    qn_board_judge(board, now_ns);
    ck_assert_uint_eq(told_count, 0);
    show(0, QN_TIMELINE_IDLE, QN_NS_PER_S, now_ns);
    show(1, QN_TIMELINE_IDLE, QN_NS_PER_S, now_ns);
    for (int again = 0; again < 3; again++)
        qn_board_judge(board, now_ns);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_ptr_nonnull(strstr(told[0], "straggler: rank 2 on host1 still works in stage 1 'lines', for 10.0 s"));
}
END_TEST

START_TEST(memory_near_the_budget_is_told_once_a_run_of_the_node_that_it_is)
{
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        qn_shown shown = shown_of(rank, QN_TIMELINE_MAP, 0);
        shown.ranks[0].used_bytes = rank < 2 ? 100 : 90;
        shown.ranks[0].memory_bytes = rank < 2 ? 120 : 100;
        qn_board_take(board, &shown, 2 * QN_NS_PER_S);
    }
    qn_board_judge(board, 2 * QN_NS_PER_S);
    qn_board_begin_stage(board, 2, "more", "counts", 3 * QN_NS_PER_S);
    qn_board_judge(board, 3 * QN_NS_PER_S);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_ptr_nonnull(strstr(told[0], "memory: the ranks on host1 use"));
}
END_TEST

START_TEST(memory_is_that_of_all_ranks_of_the_node_wherever_they_stand)
{
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        qn_shown shown = shown_of(rank, QN_TIMELINE_MAP, 0);
        shown.node = rank % 2;
        snprintf(shown.host, sizeof shown.host, "host%u", rank % 2);
        shown.ranks[0].used_bytes = (rank == 0 || rank % 2 == 1 ? 95 : 10) * 1000000;
        shown.ranks[0].memory_bytes = 100000000;
        qn_board_take(board, &shown, 2 * QN_NS_PER_S);
    }
    qn_board_judge(board, 2 * QN_NS_PER_S);
    qn_board_judge(board, 2 * QN_NS_PER_S);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_str_eq(told[0], "memory: the ranks on host1 use 190 MB of memory, and the budget of the node is 200 MB");
}
END_TEST

static void show_scratch(void)
{
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        qn_shown shown = shown_of(rank, QN_TIMELINE_MAP, 0);
        shown.scratch_bytes = 1000000;
        shown.scratch_free_bytes = rank < 2 ? 51000 : 49000;
        qn_board_take(board, &shown, 2 * QN_NS_PER_S);
    }
}

START_TEST(a_disk_that_is_nearly_full_is_told_once_a_run_of_each_node)
{
    show_scratch();
    for (int again = 0; again < 3; again++)
        qn_board_judge(board, 2 * QN_NS_PER_S);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_str_eq(told[0], "disk: the scratch file system of host1 came to be 95 % full, 49 kB were left");
    qn_board_begin_run(board);
    qn_board_begin_stage(board, 1, "lines", "counts", 3 * QN_NS_PER_S);
    qn_board_judge(board, 3 * QN_NS_PER_S);
    ck_assert_uint_eq(told_count, 1);
    show_scratch();
    qn_board_judge(board, 3 * QN_NS_PER_S);
    ck_assert_uint_eq(told_count, 2);
}
END_TEST

static void show_keys(uint64_t sample_count, uint64_t first, uint64_t second)
{
    qn_shown shown = shown_of(0, QN_TIMELINE_MAP, 0);
    shown.keys =
        (qn_shown_keys){.sample_count = sample_count,
                        .keys = {{.tag = 1, .count = first, .text = "the"}, {.tag = 2, .count = second, .text = "of"}}};
    qn_board_take(board, &shown, 2 * QN_NS_PER_S);
    qn_board_judge(board, 2 * QN_NS_PER_S);
}

START_TEST(each_hot_key_is_told_once_a_stage_when_the_sample_is_large_enough)
{
    show_keys(90, 80, 0);
    ck_assert_uint_eq(told_count, 0);
    show_keys(1000, 200, 99);
    show_keys(2000, 400, 90);
    ck_assert_uint_eq(told_count, 1);
    ck_assert_str_eq(told[0],
                     "hot key: key 'the' holds about 20 % of the records that arrive at 'counts' in stage 1 so far");
    show_keys(2000, 400, 300);
    ck_assert_uint_eq(told_count, 2);
    qn_board_begin_stage(board, 2, "more", "counts", 3 * QN_NS_PER_S);
    qn_board_judge(board, 3 * QN_NS_PER_S);
    ck_assert_uint_eq(told_count, 2);
    show_keys(1000, 200, 10);
    ck_assert_uint_eq(told_count, 3);
}
END_TEST

START_TEST(what_is_out_of_bounds_is_passed_over)
{
    qn_board_totals totals;
    qn_shown shown = shown_of(0, QN_TIMELINE_MAP, 0);
    memset(shown.host, 'x', sizeof shown.host);
    for (size_t i = 0; i < QN_SHOWN_KEYS_MAX; i++)
        memset(&shown.keys.keys[i], 0xff, sizeof shown.keys.keys[i]);
    shown.ranks[0].rank = RANKS;
    shown.count = UINT32_MAX;
    qn_board_take(board, &shown, 2 * QN_NS_PER_S);
    shown.node = NODES;
    qn_board_take(board, &shown, 2 * QN_NS_PER_S);
    qn_board_sum(board, 2 * QN_NS_PER_S, &totals);
    qn_board_judge(board, 2 * QN_NS_PER_S);
    json_t *described = qn_board_describe_totals(board, 2 * QN_NS_PER_S);
    ck_assert_ptr_nonnull(described);
    json_decref(described);
}
END_TEST

START_TEST(without_a_board_nothing_happens)
{
    qn_board_totals totals;
    qn_shown shown = {0};
    qn_board_resize(NULL, 1, 1);
    qn_board_begin_run(NULL);
    qn_board_begin_stage(NULL, 1, "", "", 0);
    qn_board_take(NULL, &shown, 0);
    qn_board_judge(NULL, 0);
    qn_board_end_stage(NULL);
    qn_board_sum(NULL, 0, &totals);
    ck_assert_uint_eq(totals.rank_count, 0);
    ck_assert_ptr_null(qn_board_describe_totals(NULL, 0));
    ck_assert_ptr_null(qn_board_describe_ranks(NULL, 0));
}
END_TEST

START_TEST(ten_thousand_ranks_take_a_megabyte_or_two)
{
    qn_board_destroy(board);
    open_board(10000, 5000);
    for (uint32_t rank = 0; rank < 10000; rank++) {
        qn_shown shown = shown_of(rank, QN_TIMELINE_SHUFFLE, UINT64_C(1) << 40);
        shown.ranks[0].records = shown.ranks[0].bytes = shown.ranks[0].sent_bytes = UINT64_C(1) << 40;
        qn_board_take(board, &shown, QN_NS_PER_S);
    }
    json_t *described = qn_board_describe_ranks(board, QN_NS_PER_S);
    char *text = json_dumps(described, JSON_COMPACT);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_lt(strlen(text), 2000000);
    ck_assert_uint_eq(json_array_size(json_object_get(described, "ranks")), 10000);
    ck_assert_uint_eq(json_array_size(json_object_get(described, "hosts")), 5000);
    json_t *row = json_array_get(json_object_get(described, "ranks"), 9999);
    ck_assert_uint_eq(json_array_size(row), json_array_size(json_object_get(described, "columns")));
    ck_assert_str_eq(json_string_value(json_array_get(row, 1)), "shuffle");
    free(text);
    json_decref(described);
    qn_board_resize(board, 3, 1); /* ranks were lost */
    described = qn_board_describe_ranks(board, QN_NS_PER_S);
    ck_assert_uint_eq(json_array_size(json_object_get(described, "ranks")), 3);
    json_decref(described);
}
END_TEST

START_TEST(without_memory_there_is_no_board_and_what_there_was_shows_nothing)
{
    qn_error error = {0};
    qn_board *none = NULL;
    qn_board_totals totals;
    for (int allowed = 0; allowed < 3; allowed++) {
        allocations_left = allowed;
        quern_status status = qn_board_create(&none, RANKS, NODES, note, NULL, &error);
        allocations_left = -1;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        ck_assert_ptr_null(none);
        qn_error_clear(&error);
    }
    allocations_left = 0;
    qn_board_resize(board, RANKS, NODES);
    allocations_left = -1;
    show(0, QN_TIMELINE_MAP, 0, QN_NS_PER_S);
    qn_board_judge(board, QN_NS_PER_S);
    qn_board_sum(board, QN_NS_PER_S, &totals);
    ck_assert_uint_eq(totals.rank_count, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        figures_add_up_and_the_last_of_those_that_work_is_named,
        who_is_not_heard_of_is_silent_while_a_stage_runs_and_not_between_stages,
        a_straggler_is_told_once_when_others_have_nothing_left,
        memory_near_the_budget_is_told_once_a_run_of_the_node_that_it_is,
        memory_is_that_of_all_ranks_of_the_node_wherever_they_stand,
        a_disk_that_is_nearly_full_is_told_once_a_run_of_each_node,
        each_hot_key_is_told_once_a_stage_when_the_sample_is_large_enough,
        what_is_out_of_bounds_is_passed_over,
        without_a_board_nothing_happens,
        ten_thousand_ranks_take_a_megabyte_or_two,
        without_memory_there_is_no_board_and_what_there_was_shows_nothing,
    };
    return kit_run_tests("board", tests, sizeof tests / sizeof *tests, setup, teardown);
}
