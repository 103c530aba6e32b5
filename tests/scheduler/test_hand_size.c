/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/scheduler/test_hand_size.c: how many tasks go into a message, for loads that are known. */
#include "scheduler/hand_size.h"
#include "scheduler/scheduler.h"
#include "tests/kit.h"

static const uint64_t SECOND_NS = 1000000000;

static qn_hand_size size;

/* Tasks of so long end evenly, so many a second, for two seconds, in reports a millisecond apart. */
static void go_on_with(uint64_t task_ns, uint64_t a_second, uint64_t from_ns)
{
    for (uint64_t ms = 1; ms <= 2000; ms++)
        qn_hand_size_note(&size, (uint32_t)(a_second / 1000), a_second / 1000 * task_ns,
                          from_ns + ms * SECOND_NS / 1000);
}

static void go_on(uint64_t a_second, uint64_t from_ns)
{
    go_on_with(SECOND_NS / 100, a_second, from_ns);
}

START_TEST(few_tasks_a_second_are_told_of_one_by_one)
{
    qn_hand_size_init(&size, 64, 0, 0);
    go_on(20000, 0);
    ck_assert_uint_eq(size.batch, 1);
    ck_assert_uint_eq(qn_hand_size_get(&size), QN_HAND_SIZE_LEAST);
}
END_TEST

START_TEST(the_more_tasks_a_second_the_more_in_a_message_and_fewer_again)
{
    qn_hand_size_init(&size, 64, 0, 0);
    go_on(400000, 0);
    ck_assert_uint_eq(size.batch, 8);
    ck_assert_uint_eq(qn_hand_size_get(&size), 16);
    go_on(100000, 2 * SECOND_NS);
    ck_assert_uint_eq(size.batch, 2);
    go_on(10000000, 4 * SECOND_NS);
    ck_assert_uint_eq(size.batch, 32);
    go_on(1000, 6 * SECOND_NS);
    ck_assert_uint_eq(size.batch, 1);
}
END_TEST

START_TEST(a_batch_is_of_two_seconds_of_work_at_most)
{
    qn_hand_size_init(&size, 64, 0, 0);
    go_on_with(SECOND_NS, 1000000, 0);
    ck_assert_uint_eq(size.batch, 2);
    go_on_with(3 * SECOND_NS, 1000000, 2 * SECOND_NS);
    ck_assert_uint_eq(size.batch, 1);
}
END_TEST

START_TEST(hands_are_no_deeper_than_half_of_the_tasks_of_a_rank)
{
    ck_assert_uint_eq(qn_hand_size_limit(0, 1), QN_HAND_SIZE_LEAST);
    ck_assert_uint_eq(qn_hand_size_limit(40 * 7, 7), 20);
    ck_assert_uint_eq(qn_hand_size_limit(UINT32_MAX - 1, 2), QN_SCHED_IN_HAND_MAX);
    qn_hand_size_init(&size, 20, 0, 0);
    go_on(10000000, 0);
    ck_assert_uint_eq(size.batch, 10);
    ck_assert_uint_eq(qn_hand_size_get(&size), 20);
}
END_TEST

START_TEST(a_batch_that_was_asked_for_stays)
{
    qn_hand_size_init(&size, 64, 5, 0);
    go_on(10, 0);
    ck_assert_uint_eq(size.batch, 5);
    qn_hand_size_init(&size, 6, 5, 0);
    ck_assert_uint_eq(size.batch, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        few_tasks_a_second_are_told_of_one_by_one, the_more_tasks_a_second_the_more_in_a_message_and_fewer_again,
        a_batch_is_of_two_seconds_of_work_at_most, hands_are_no_deeper_than_half_of_the_tasks_of_a_rank,
        a_batch_that_was_asked_for_stays,
    };
    return kit_run_tests("hand_size", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
