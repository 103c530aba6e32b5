/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_roll.c: who is silent, who says so, and when it ends the job.
 */
#include "runtime/engine/roll.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define COUNT 3
#define S     UINT64_C(1000000000)

static const qn_roll_bounds bounds = {.warning_ns = 60 * S, .timeout_ns = 600 * S, .jump_ns = 5 * S};
static qn_roll roll;
static qn_roll_sign signs[COUNT];
static uint64_t now_ns;
static qn_error error;

static void begin_with(const qn_roll_bounds *with)
{
    now_ns = 1000 * S;
    kit_assert_ok(qn_roll_init(&roll, COUNT, with, now_ns, &error), &error);
    for (uint32_t i = 0; i < COUNT; i++)
        signs[i] = (qn_roll_sign){0, QN_ROLL_WORKS, 0};
}

static void set_up(void)
{
    begin_with(&bounds);
}

static void tear_down(void)
{
    qn_roll_fini(&roll);
}

/* Looks once a second; the members of `still` do not beat. Those that are to be told are told; the number of the last verdict of `member`s. */
static uint32_t look(uint64_t seconds, uint32_t still, uint32_t member, qn_roll_verdict wanted)
{
    uint32_t found = 0;
    for (uint64_t i = 0; i < seconds; i++) {
        now_ns += S;
        ck_assert(!qn_roll_begin(&roll, now_ns));
        for (uint32_t m = 0; m < COUNT; m++) {
            signs[m].beat += !(still >> m & 1);
            qn_roll_judge(&roll, m, &signs[m]);
            if (roll.entries[m].verdict == QN_ROLL_SILENT)
                ck_assert(m == member);
        }
        found += roll.entries[member].verdict == wanted;
        if (roll.entries[member].verdict == QN_ROLL_SILENT)
            qn_roll_note_told(&roll, member);
    }
    return found;
}

START_TEST(who_beats_and_works_is_never_told_of)
{
    ck_assert_uint_eq(look(5000, 0, 1, QN_ROLL_FINE), 5000);
    signs[1] = (qn_roll_sign){signs[1].beat, QN_ROLL_WAITS, 5000 * S};
    ck_assert_uint_eq(look(5000, 0, 1, QN_ROLL_FINE), 5000);
    signs[1] = (qn_roll_sign){signs[1].beat, QN_ROLL_AWAY, 0};
    ck_assert_uint_eq(look(5000, 0, 1, QN_ROLL_FINE), 5000);
}
END_TEST

START_TEST(a_member_without_beats_is_told_at_doubling_silences_and_then_ends_the_job)
{
    ck_assert_uint_eq(look(59, 2, 1, QN_ROLL_FINE), 59);
    ck_assert_uint_eq(look(1, 2, 1, QN_ROLL_SILENT), 1);
    ck_assert(roll.entries[1].misses_beats && roll.entries[1].silent_ns == 60 * S);
    ck_assert_uint_eq(look(539, 2, 1, QN_ROLL_SILENT), 3); /* at 120, 240 and 480 */
    ck_assert_uint_eq(look(1, 2, 1, QN_ROLL_OVERDUE), 1);
}
END_TEST

START_TEST(a_member_that_beats_again_is_back_once)
{
    look(100, 2, 1, QN_ROLL_SILENT);
    ck_assert_uint_eq(look(1, 0, 1, QN_ROLL_BACK), 1);
    ck_assert_uint_eq(look(59, 2, 1, QN_ROLL_FINE), 59);
    ck_assert_uint_eq(look(1, 2, 1, QN_ROLL_SILENT), 1);
}
END_TEST

START_TEST(the_first_whose_beats_come_acts_for_all)
{
    look(59, 1, 0, QN_ROLL_FINE);
    ck_assert(qn_roll_leads(&roll, 0) && !qn_roll_leads(&roll, 1));
    look(1, 1, 0, QN_ROLL_SILENT);
    ck_assert(qn_roll_leads(&roll, 1) && !qn_roll_leads(&roll, 2));
    signs[1].kind = QN_ROLL_ABSENT;
    look(1, 3, 0, QN_ROLL_SILENT);
    ck_assert(qn_roll_leads(&roll, 2));
}
END_TEST

START_TEST(an_observer_that_was_suspended_counts_anew)
{
    look(590, 2, 1, QN_ROLL_SILENT);
    now_ns += 5 * S;
    ck_assert(qn_roll_begin(&roll, now_ns));
    qn_roll_judge(&roll, 1, &signs[1]);
    ck_assert_int_eq(roll.entries[1].verdict, QN_ROLL_FINE);
    ck_assert_uint_eq(look(59, 2, 1, QN_ROLL_FINE), 59);
    ck_assert_uint_eq(look(540, 2, 1, QN_ROLL_SILENT), 4);
    ck_assert_uint_eq(look(1, 2, 1, QN_ROLL_OVERDUE), 1);
}
END_TEST

START_TEST(who_is_not_there_or_has_its_reasons_is_not_silent)
{
    signs[2].kind = QN_ROLL_ABSENT;
    ck_assert_uint_eq(look(5000, 4, 2, QN_ROLL_FINE), 5000);
    signs[2].kind = QN_ROLL_WORKS;
    look(80, 4, 2, QN_ROLL_SILENT);
    qn_roll_excuse(&roll, 2);
    ck_assert_uint_eq(look(59, 4, 2, QN_ROLL_FINE), 59);
}
END_TEST

START_TEST(a_member_that_is_stuck_is_silent_by_its_own_clock)
{
    signs[1] = (qn_roll_sign){signs[1].beat, QN_ROLL_STUCK, 59 * S};
    ck_assert_uint_eq(look(1000, 0, 1, QN_ROLL_FINE), 1000);
    signs[1].quiet_ns = 61 * S;
    ck_assert_uint_eq(look(10, 0, 1, QN_ROLL_SILENT), 1);
    ck_assert(!roll.entries[1].misses_beats);
    signs[1].quiet_ns = 600 * S;
    ck_assert_uint_eq(look(1, 0, 1, QN_ROLL_OVERDUE), 1);
}
END_TEST

START_TEST(a_callback_that_sleeps_ends_the_job_only_where_the_user_said_so)
{
    signs[1] = (qn_roll_sign){signs[1].beat, QN_ROLL_SLEEPS, 5000 * S};
    ck_assert_uint_eq(look(10, 0, 1, QN_ROLL_SILENT), 1);
    ck_assert_uint_eq(look(10, 2, 1, QN_ROLL_OVERDUE), 0);
    qn_roll_fini(&roll);
    qn_roll_bounds with = bounds;
    with.ends_in_callback = true;
    begin_with(&with);
    signs[1] = (qn_roll_sign){signs[1].beat, QN_ROLL_SLEEPS, 600 * S};
    ck_assert_uint_eq(look(1, 0, 1, QN_ROLL_OVERDUE), 1);
}
END_TEST

START_TEST(callbacks_that_compute_are_told_of_less_and_less_and_end_nothing)
{
    uint32_t told = 0;
    for (int record = 0; record < 100; record++) {
        signs[1] = (qn_roll_sign){signs[1].beat, QN_ROLL_COMPUTES, 0};
        for (int i = 0; i < 300; i++, signs[1].quiet_ns += S)
            told += look(1, 0, 1, QN_ROLL_SILENT);
    }
    ck_assert_uint_eq(told, 3); /* at 60, 120 and 240, of the first record */
    signs[1].quiet_ns = 100000 * S;
    ck_assert_uint_eq(look(1, 0, 1, QN_ROLL_SILENT), 1);
    ck_assert_uint_eq(look(100, 0, 1, QN_ROLL_FINE), 100);
}
END_TEST

START_TEST(without_a_bound_nothing_ends)
{
    qn_roll_fini(&roll);
    begin_with(&(qn_roll_bounds){.warning_ns = 60 * S, .jump_ns = 5 * S, .ends_in_callback = true});
    ck_assert_uint_eq(look(100000, 2, 1, QN_ROLL_OVERDUE), 0);
}
END_TEST

START_TEST(without_memory_there_is_no_roll)
{
    qn_roll none;
    allocations_left = 0;
    quern_status status = qn_roll_init(&none, COUNT, &bounds, now_ns, &error);
    allocations_left = -1;
    ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    qn_roll_fini(&none);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        who_beats_and_works_is_never_told_of,
        a_member_without_beats_is_told_at_doubling_silences_and_then_ends_the_job,
        a_member_that_beats_again_is_back_once,
        the_first_whose_beats_come_acts_for_all,
        an_observer_that_was_suspended_counts_anew,
        who_is_not_there_or_has_its_reasons_is_not_silent,
        a_member_that_is_stuck_is_silent_by_its_own_clock,
        a_callback_that_sleeps_ends_the_job_only_where_the_user_said_so,
        callbacks_that_compute_are_told_of_less_and_less_and_end_nothing,
        without_a_bound_nothing_ends,
        without_memory_there_is_no_roll,
    };
    return kit_run_tests("roll", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
