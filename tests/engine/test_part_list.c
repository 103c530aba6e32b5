/* SPDX-License-Identifier: BSD-3-Clause */
/* test_part_list.c: what is said of finished parts comes back as it was, or not at all. */
#include "runtime/engine/part_list.h"

#include "tests/kit.h"
#include "tests/refusal.h"

static qn_error error;

static void set_up(void)
{
    qn_error_clear(&error);
}

static void add(qn_part_list *list, uint64_t number, int64_t counted)
{
    int64_t both[] = {counted, -counted};
    qn_part_summary part = {number, UINT64_C(1) << 50, 7 * number, UINT64_MAX - number, 11, UINT32_MAX, 0};
    kit_assert_ok(qn_part_list_add(list, &part, both, &error), &error);
}

static void check_same(const qn_part_list *left, const qn_part_list *right)
{
    ck_assert_uint_eq(left->count, right->count);
    for (size_t i = 0; i < left->count; i++) {
        ck_assert_mem_eq(&left->items[i], &right->items[i], sizeof left->items[i]);
        ck_assert_mem_eq(left->counted + 2 * i, right->counted + 2 * i, 2 * sizeof *left->counted);
    }
}

START_TEST(a_packed_list_is_the_same_list_sorted_and_of_each_number_the_last)
{
    qn_part_list list = {.counter_count = 2}, sorted = {.counter_count = 2}, parsed = {.counter_count = 2};
    for (uint64_t i = 0; i < 300; i++)
        add(&list, i * 7919 % 300, INT64_MIN / 2 + (int64_t)i);
    add(&list, 5, 77);
    json_t *packed = qn_part_list_pack(&list);
    ck_assert(qn_part_list_parse(&parsed, packed, 300));
    for (uint64_t number = 0; number < 300; number++)
        for (uint64_t i = 0; i < 300; i++)
            if (i * 7919 % 300 == number)
                add(&sorted, number, number == 5 ? 77 : INT64_MIN / 2 + (int64_t)i);
    check_same(&parsed, &sorted);
    qn_part_list_sort(&list);
    check_same(&list, &sorted);
    json_decref(packed);
    qn_part_list_fini(&list);
    qn_part_list_fini(&sorted);
    qn_part_list_fini(&parsed);
}
END_TEST

START_TEST(a_list_that_no_job_has_packed_is_none)
{
    static const char *const texts[] = {"",
                                        "1",
                                        "1 2 3 4 5",
                                        "1 2 3 4 5 6 7",
                                        "1 2 3 4 5 6 7 8 9",
                                        "1 2 3 4 5 6 7 x",
                                        "x 2 3 4 5 6 7 8",
                                        "10 2 3 4 5 6 7 8"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        qn_part_list list = {.counter_count = 2};
        json_t *packed = json_pack("[s, s]", "1 2 3 4 5 6 7 8", texts[i]);
        ck_assert_msg(!qn_part_list_parse(&list, packed, 10), "%s", texts[i]);
        ck_assert_uint_eq(list.count, 0);
        json_decref(packed);
    }
    qn_part_list list = {.counter_count = 2};
    ck_assert(!qn_part_list_parse(&list, NULL, 10));
    qn_part_list_fini(&list);
}
END_TEST

START_TEST(a_message_says_of_a_part_what_was_counted_in_making_it)
{
    qn_part_list list = {.counter_count = 2};
    qn_buffer message = {0};
    int64_t counted[] = {-5, 6};
    qn_part_summary part = {3, 4, 5, 6, 7, 8, 0};
    qn_part_list_encode(&message, &part, counted, 2);
    kit_assert_ok(qn_part_list_decode(&list, message.data, message.bytes, &error), &error);
    ck_assert_mem_eq(&list.items[0], &part, sizeof part);
    ck_assert_mem_eq(list.counted, counted, sizeof counted);
    ck_assert_int_eq(qn_part_list_decode(&list, message.data, message.bytes - 1, &error), QUERN_ERROR_INTERNAL);
    ck_assert_int_eq(qn_part_list_decode(&list, NULL, 0, &error), QUERN_ERROR_INTERNAL);
    ck_assert_uint_eq(list.count, 1);
    qn_buffer_fini(&message);
    qn_part_list_fini(&list);
}
END_TEST

START_TEST(those_that_are_bad_are_dropped_with_what_was_counted)
{
    qn_part_list list = {.counter_count = 2}, kept = {.counter_count = 2};
    uint64_t bad[] = {1, 0, 0, 3, 0, 1};
    for (uint64_t i = 0; i < 6; i++) {
        add(&list, i, (int64_t)i);
        if (!bad[i])
            add(&kept, i, (int64_t)i);
    }
    qn_part_list_drop(&list, bad);
    check_same(&list, &kept);
    qn_part_list_fini(&list);
    qn_part_list_fini(&kept);
}
END_TEST

START_TEST(refused_memory_gives_a_whole_list_or_none)
{
    qn_part_list list = {.counter_count = 2};
    for (uint64_t i = 0; i < 100; i++)
        add(&list, 99 - i, (int64_t)i);
    json_t *packed = qn_part_list_pack(&list);
    bool is_right = false;
    for (int allowed = 0; !is_right; allowed++) {
        qn_part_list parsed = {.counter_count = 2};
        allocations_left = allowed;
        is_right = qn_part_list_parse(&parsed, packed, 100) && parsed.count > 0;
        allocations_left = -1;
        ck_assert_uint_eq(parsed.count, is_right ? 100 : 0);
        qn_part_list_fini(&parsed);
    }
    json_decref(packed);
    qn_part_list_fini(&list);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_packed_list_is_the_same_list_sorted_and_of_each_number_the_last,
        a_list_that_no_job_has_packed_is_none,
        a_message_says_of_a_part_what_was_counted_in_making_it,
        those_that_are_bad_are_dropped_with_what_was_counted,
        refused_memory_gives_a_whole_list_or_none,
    };
    return kit_run_tests("part list", tests, sizeof tests / sizeof *tests, set_up, NULL);
}
