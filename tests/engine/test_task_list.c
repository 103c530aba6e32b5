/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_task_list.c: in which order tasks are handed out: each once, scattered over the bytes or shuffled by a seed.
 */
#include "runtime/engine/task_list.h"
#include "tests/kit.h"
#include "tests/refusal.h"

static kit_directory directory;
static qn_graph graph;
static qn_error error;
static qn_stages stages;
static qn_task_list list;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_graph_init(&graph);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    qn_task_list_destroy(&list);
    qn_graph_fini(&graph);
    kit_remove_directory(&directory);
}

static qn_node *read_file(const char *name, size_t bytes)
{
    const char *path = kit_path(&directory, name);
    FILE *file = fopen(path, "w");
    for (size_t i = 0; i < bytes; i++)
        fputc(i % 10 == 9 ? '\n' : 'x', file);
    ck_assert_int_eq(fclose(file), 0);
    return qn_graph_add_text(&graph, &path, 1, NULL, &error);
}

/* A stage of two legs, and its tasks. */
static void make_list(size_t large_bytes, size_t small_bytes, uint64_t split_bytes, qn_task_turns turns, uint64_t seed)
{
    qn_task_list_destroy(&list);
    const qn_node *both =
        qn_graph_add_union(&graph, read_file("large", large_bytes), read_file("small", small_bytes), &error);
    qn_sink sink = {.kind = QN_SINK_TEXT, .input = both, .directory = "out"};
    ck_assert_msg(both != NULL, "%s", error.text);
    qn_graph_forget_sinks(&graph);
    kit_assert_ok(qn_graph_add_sink(&graph, &sink, &error), &error);
    kit_assert_ok(qn_stages_create(&stages, &graph, &error), &error);
    const qn_task_cut cut = {
        .split_bytes = split_bytes, .record_bytes_max = 1 << 20, .worker_count = 2, .turns = turns, .seed = seed};
    kit_assert_ok(qn_task_list_create(&list, &stages.items[0], &cut, &error), &error);
}

static void check_each_comes_once(void)
{
    bool *seen = kit_take(list.count);
    memset(seen, 0, list.count);
    for (uint32_t turn = 0; turn < list.count; turn++) {
        uint32_t task = qn_task_list_at(&list, turn);
        ck_assert(task < list.count && !seen[task]);
        seen[task] = true;
    }
    free(seen);
}

/* How many tasks come at a place below that of the one before. */
static uint32_t count_turns_back(void)
{
    uint32_t count = 0;
    for (uint32_t turn = 1; turn < list.count; turn++)
        count += qn_task_list_at(&list, turn) < qn_task_list_at(&list, turn - 1);
    return count;
}

START_TEST(each_task_comes_once_in_any_order)
{
    for (size_t bytes = 1; bytes < 300000; bytes = bytes * 3 + 1)
        for (int turns = QN_TASKS_IN_ORDER; turns <= QN_TASKS_SHUFFLED; turns++) {
            make_list(bytes, bytes / 7, 4096, (qn_task_turns)turns, bytes);
            check_each_comes_once();
            ck_assert(turns != QN_TASKS_IN_ORDER || count_turns_back() == 0);
        }
}
END_TEST

/* The small one was the second of three once, and so a half of what two ranks had held when they sampled. */
START_TEST(a_small_input_comes_behind_the_large_one_where_tasks_are_scattered)
{
    make_list(400000, 3000, 200000, QN_TASKS_SCATTERED, 0);
    ck_assert_uint_eq(list.count, 3);
    ck_assert_uint_eq(qn_task_list_at(&list, 0), 0);
    ck_assert_uint_eq(qn_task_list_at(&list, 1), 1);
    ck_assert_uint_eq(qn_task_list_at(&list, 2), 2);
}
END_TEST

START_TEST(the_first_tasks_are_from_all_over_the_input_where_tasks_are_scattered)
{
    make_list(1 << 20, 1, 4096, QN_TASKS_SCATTERED, 0);
    for (uint32_t count = 4; count <= 64; count *= 4) {
        uint32_t found = 0;
        for (uint32_t part = 0; part < count; part++)
            for (uint32_t turn = 0; turn < count; turn++)
                if (qn_task_list_at(&list, turn) * count / list.count == part) {
                    found++;
                    break;
                }
        ck_assert_uint_ge(found, count - 1);
    }
}
END_TEST

START_TEST(a_seed_shuffles_tasks_alike_and_another_one_otherwise)
{
    uint32_t first[300], same_count = 0;
    make_list(1 << 20, 1, 4096, QN_TASKS_SHUFFLED, 1);
    ck_assert(list.count > 100 && list.count <= 300);
    ck_assert_uint_gt(count_turns_back(), list.count / 4);
    for (uint32_t turn = 0; turn < list.count; turn++)
        first[turn] = qn_task_list_at(&list, turn);
    make_list(1 << 20, 1, 4096, QN_TASKS_SHUFFLED, 1);
    for (uint32_t turn = 0; turn < list.count; turn++)
        ck_assert_uint_eq(first[turn], qn_task_list_at(&list, turn));
    make_list(1 << 20, 1, 4096, QN_TASKS_SHUFFLED, 2);
    for (uint32_t turn = 0; turn < list.count; turn++)
        same_count += first[turn] == qn_task_list_at(&list, turn);
    ck_assert_uint_lt(same_count, list.count / 4);
}
END_TEST

START_TEST(in_check_mode_an_input_is_cut_elsewhere_unless_the_size_is_given)
{
    make_list(8 << 20, 1, 0, QN_TASKS_IN_ORDER, 0);
    uint32_t count = list.count;
    make_list(8 << 20, 1, 0, QN_TASKS_SHUFFLED, 0);
    ck_assert_uint_gt(list.count, count);
    make_list(8 << 20, 1, 1 << 20, QN_TASKS_SHUFFLED, 0);
    count = list.count;
    make_list(8 << 20, 1, 1 << 20, QN_TASKS_IN_ORDER, 0);
    ck_assert_uint_eq(list.count, count);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_task_comes_once_in_any_order,
        a_small_input_comes_behind_the_large_one_where_tasks_are_scattered,
        the_first_tasks_are_from_all_over_the_input_where_tasks_are_scattered,
        a_seed_shuffles_tasks_alike_and_another_one_otherwise,
        in_check_mode_an_input_is_cut_elsewhere_unless_the_size_is_given,
    };
    return kit_run_tests("task_list", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
