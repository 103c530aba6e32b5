/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_timeline.c: what a timeline says of states is what was, however long it took.
 */
#include "runtime/base/timeline.h"

#include <pthread.h>

#include "runtime/base/clock.h"
#include "tests/kit.h"

#define COUNT 64

static qn_timeline *begun(uint64_t now_ns)
{
    qn_timeline *timeline = qn_timeline_create();
    ck_assert_ptr_nonnull(timeline);
    qn_timeline_begin(timeline, now_ns);
    return timeline;
}

START_TEST(times_in_states_are_exact_however_many_and_long_they_are)
{
    uint64_t seed = 7, now_ns = 12345, expected[QN_TIMELINE_STATE_COUNT] = {0}, sums[QN_TIMELINE_STATE_COUNT];
    qn_timeline *timeline = begun(now_ns);
    qn_timeline_state state = QN_TIMELINE_OTHER;
    for (int i = 0; i < 100000; i++) {
        /* from nanoseconds to hours */
        uint64_t duration_ns = kit_random_below(&seed, UINT64_C(1) << kit_random_below(&seed, 43));
        expected[state] += duration_ns;
        now_ns += duration_ns;
        state = (qn_timeline_state)kit_random_below(&seed, QN_TIMELINE_STATE_COUNT);
        qn_timeline_note(timeline, state, now_ns);
    }
    qn_timeline_sum(timeline, sums);
    ck_assert_mem_eq(sums, expected, sizeof sums);
    qn_timeline_destroy(timeline);
}
END_TEST

START_TEST(each_part_of_the_drawing_has_the_state_that_took_most_of_it)
{
    char letters[COUNT + 1] = "";
    qn_timeline *timeline = begun(1000);
    qn_timeline_note(timeline, QN_TIMELINE_MAP, 1000);
    qn_timeline_note(timeline, QN_TIMELINE_WAIT, 1000 + 16 * QN_NS_PER_S);
    qn_timeline_note(timeline, QN_TIMELINE_SHUFFLE, 1000 + 48 * QN_NS_PER_S);
    qn_timeline_note(timeline, QN_TIMELINE_OTHER, 1000 + 64 * QN_NS_PER_S);
    qn_timeline_draw(timeline, 1000, 1000 + 64 * QN_NS_PER_S, COUNT, letters);
    ck_assert_str_eq(letters, "mmmmmmmmmmmmmmmmwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwssssssssssssssss");
    qn_timeline_destroy(timeline);
}
END_TEST

START_TEST(what_is_before_the_begin_and_behind_the_end_is_blank)
{
    char letters[COUNT + 1] = "";
    uint64_t begin_ns = 1000 * QN_NS_PER_S;
    qn_timeline *timeline = begun(begin_ns);
    qn_timeline_note(timeline, QN_TIMELINE_MAP, begin_ns);
    qn_timeline_note(timeline, QN_TIMELINE_OTHER, begin_ns + 32 * QN_NS_PER_S);
    qn_timeline_draw(timeline, begin_ns - 16 * QN_NS_PER_S, begin_ns + 48 * QN_NS_PER_S, COUNT, letters);
    ck_assert_str_eq(letters, "                mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm                ");
    qn_timeline_draw(timeline, 0, 1, COUNT, letters);
    ck_assert_uint_eq(strspn(letters, " "), COUNT);
    qn_timeline_draw(timeline, begin_ns, begin_ns, COUNT, letters);
    ck_assert_uint_eq(strspn(letters, " "), COUNT);
    qn_timeline_draw(NULL, 0, 64, COUNT, letters);
    ck_assert_uint_eq(strspn(letters, " "), COUNT);
    qn_timeline_destroy(timeline);
}
END_TEST

START_TEST(a_clock_that_goes_back_changes_the_state_and_no_time)
{
    uint64_t sums[QN_TIMELINE_STATE_COUNT];
    qn_timeline *timeline = begun(5000);
    qn_timeline_note(timeline, QN_TIMELINE_MAP, 6000);
    qn_timeline_note(timeline, QN_TIMELINE_SPILL, 100);
    qn_timeline_note(timeline, QN_TIMELINE_OTHER, 7000);
    qn_timeline_sum(timeline, sums);
    ck_assert_uint_eq(sums[QN_TIMELINE_OTHER], 1000);
    ck_assert_uint_eq(sums[QN_TIMELINE_MAP], 0);
    ck_assert_uint_eq(sums[QN_TIMELINE_SPILL], 1000);
    qn_timeline_destroy(timeline);
}
END_TEST

START_TEST(memory_is_at_its_most_in_each_part_and_stays_where_nobody_looked)
{
    uint64_t bytes[4];
    qn_timeline *timeline = begun(0);
    qn_timeline_note_memory(timeline, 100);
    qn_timeline_note(timeline, QN_TIMELINE_MAP, QN_NS_PER_S / 2);
    qn_timeline_note_memory(timeline, 300);
    qn_timeline_note(timeline, QN_TIMELINE_MAP, 3 * QN_NS_PER_S + QN_NS_PER_S / 2);
    qn_timeline_note_memory(timeline, 200);
    qn_timeline_note(timeline, QN_TIMELINE_MAP, 4 * QN_NS_PER_S);
    qn_timeline_draw_memory(timeline, 0, 4 * QN_NS_PER_S, 4, bytes);
    ck_assert_uint_eq(bytes[0], 300);
    ck_assert_uint_eq(bytes[1], 300);
    ck_assert_uint_eq(bytes[2], 300);
    ck_assert_uint_eq(bytes[3], 200);
    qn_timeline_destroy(timeline);
}
END_TEST

static void *enter_elsewhere(void *user)
{
    (void)user;
    ck_assert_int_eq(qn_timeline_enter(QN_TIMELINE_SPILL), QN_TIMELINE_OTHER);
    return NULL;
}

START_TEST(only_the_thread_whose_it_is_writes_it)
{
    uint64_t sums[QN_TIMELINE_STATE_COUNT], bytes;
    pthread_t thread;
    uint64_t begin_ns = qn_clock_ns();
    qn_timeline *timeline = begun(begin_ns);
    ck_assert_int_eq(qn_timeline_enter(QN_TIMELINE_MAP), QN_TIMELINE_OTHER);
    qn_timeline_attach(timeline);
    ck_assert_int_eq(qn_timeline_enter(QN_TIMELINE_MAP), QN_TIMELINE_OTHER);
    ck_assert_int_eq(pthread_create(&thread, NULL, enter_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    qn_clock_sleep(2 * QN_NS_PER_MS);
    ck_assert_int_eq(qn_timeline_enter(QN_TIMELINE_WAIT), QN_TIMELINE_MAP);
    qn_timeline_attach(NULL);
    ck_assert_int_eq(qn_timeline_enter(QN_TIMELINE_SPILL), QN_TIMELINE_OTHER);
    qn_timeline_sum(timeline, sums);
    ck_assert_uint_ge(sums[QN_TIMELINE_MAP], 2 * QN_NS_PER_MS);
    ck_assert_uint_eq(sums[QN_TIMELINE_SPILL], 0);
    qn_timeline_draw_memory(timeline, begin_ns, qn_clock_ns(), 1, &bytes);
    ck_assert_uint_gt(bytes, 100000); /* it looked at this process */
    qn_timeline_destroy(timeline);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timeline");
    TCase *cases = tcase_create("timeline");
    tcase_add_test(cases, times_in_states_are_exact_however_many_and_long_they_are);
    tcase_add_test(cases, each_part_of_the_drawing_has_the_state_that_took_most_of_it);
    tcase_add_test(cases, what_is_before_the_begin_and_behind_the_end_is_blank);
    tcase_add_test(cases, a_clock_that_goes_back_changes_the_state_and_no_time);
    tcase_add_test(cases, memory_is_at_its_most_in_each_part_and_stays_where_nobody_looked);
    tcase_add_test(cases, only_the_thread_whose_it_is_writes_it);
    suite_add_tcase(suite, cases);
    return kit_run(suite);
}
