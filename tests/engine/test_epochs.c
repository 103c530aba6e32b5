/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_epochs.c: when saving is due, when it pays, and when a job is to end.
 */
#include "runtime/base/clock.h"
#include "runtime/base/suspension.h"
#include "runtime/engine/epochs.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <signal.h>
#include <unistd.h>

#define S     QN_NS_PER_S
#define DAY   (86400 * S)
#define MIB   ((uint64_t)1 << 20)
#define BEGAN (1000 * S)
#define NEVER UINT64_MAX

static qn_epochs epochs;

static void set_up(void)
{
    epochs = (qn_epochs){.failure_ns = 30 * DAY, .deadline_ns = NEVER, .last_ns = BEGAN};
}

static bool is_due_after(double seconds, uint64_t bytes)
{
    return qn_epochs_is_due(&epochs, BEGAN + (uint64_t)(seconds * 1e9), bytes);
}

static bool pays_after(double seconds, uint64_t bytes)
{
    return qn_epochs_pays(&epochs, BEGAN + (uint64_t)(seconds * 1e9), bytes);
}

START_TEST(the_interval_is_that_of_young_and_daly)
{
    qn_epochs_note(&epochs, BEGAN - 2 * S, BEGAN, 100 * MIB); /* two seconds: sqrt(2 * 2 s * 30 d) - 2 s */
    ck_assert(!is_due_after(3217, 100 * MIB));
    ck_assert(is_due_after(3219, 100 * MIB));
    epochs.failure_ns = DAY / 24; /* sqrt(2 * 2 * 3600) - 2 = 118 */
    ck_assert(!is_due_after(117, 100 * MIB));
    ck_assert(is_due_after(119, 100 * MIB));
}
END_TEST

START_TEST(saving_takes_a_twentieth_of_the_time_at_most)
{
    epochs.failure_ns = S;
    qn_epochs_note(&epochs, BEGAN - 2 * S, BEGAN, 100 * MIB);
    ck_assert(!is_due_after(39.9, 100 * MIB));
    ck_assert(is_due_after(40.1, 100 * MIB));
    ck_assert(!pays_after(39.9, 100 * MIB));
    ck_assert(pays_after(40.1, 100 * MIB));
    ck_assert(!pays_after(40.1, 200 * MIB)); /* twice as much takes twice as long */
    ck_assert(pays_after(80.1, 200 * MIB));
    ck_assert(pays_after(40.1, 1)); /* less does not take less: there is the syncing */
    ck_assert(!pays_after(39.9, 1));
}
END_TEST

START_TEST(before_the_first_the_cost_is_foreseen_by_the_bytes)
{
    ck_assert_uint_lt(qn_epochs_foresee_cost_ns(&epochs, 0), S / 10);
    ck_assert_uint_gt(qn_epochs_foresee_cost_ns(&epochs, 0), 0);
    uint64_t cost_ns = qn_epochs_foresee_cost_ns(&epochs, 2000 * MIB);
    ck_assert(cost_ns > 9 * S && cost_ns < 11 * S);
    ck_assert(!pays_after(1, 200 * MIB));
    ck_assert(pays_after(30, 200 * MIB));
}
END_TEST

/* What a small epoch takes is no measure of a large one: it was, and then none was cut for an hour. */
START_TEST(a_small_epoch_says_little_of_a_large_one)
{
    qn_epochs_note(&epochs, BEGAN - S / 10, BEGAN, 10000);
    uint64_t cost_ns = qn_epochs_foresee_cost_ns(&epochs, 1000 * MIB);
    ck_assert_msg(cost_ns > 5 * S && cost_ns < 11 * S, "%g s", (double)cost_ns / 1e9);
    ck_assert_uint_eq(qn_epochs_foresee_cost_ns(&epochs, 5000), S / 10);
}
END_TEST

START_TEST(a_large_epoch_says_what_more_bytes_take)
{
    qn_epochs_note(&epochs, BEGAN - 20 * S, BEGAN, 400 * MIB);
    uint64_t cost_ns = qn_epochs_foresee_cost_ns(&epochs, 800 * MIB);
    ck_assert_msg(cost_ns > 38 * S && cost_ns < 41 * S, "%g s", (double)cost_ns / 1e9);
}
END_TEST

START_TEST(what_the_user_says_holds)
{
    epochs.every_ns = 5 * S;
    qn_epochs_note(&epochs, BEGAN - 60 * S, BEGAN, 1);
    ck_assert(!is_due_after(4.9, 1));
    ck_assert(is_due_after(5, 1));
    ck_assert(pays_after(0, 1));
}
END_TEST

START_TEST(a_job_ends_when_an_epoch_just_fits_before_its_deadline)
{
    epochs.deadline_ns = BEGAN + 100 * S;
    qn_epochs_note(&epochs, BEGAN - 3 * S, BEGAN, 10 * MIB);
    ck_assert(!qn_epochs_must_end(&epochs, BEGAN + 90 * S, 10 * MIB));
    ck_assert(!qn_epochs_must_end(&epochs, BEGAN + 93 * S, 10 * MIB));
    ck_assert(qn_epochs_must_end(&epochs, BEGAN + 94 * S, 10 * MIB));
    ck_assert(qn_epochs_must_end(&epochs, BEGAN, 10 * MIB)); /* it stays so */
    ck_assert(qn_epochs_may_save(&epochs, BEGAN + 94 * S, 10 * MIB));
    ck_assert(!qn_epochs_may_save(&epochs, BEGAN + 98 * S, 10 * MIB));
}
END_TEST

START_TEST(before_a_deadline_there_is_time_to_leave_what_is_in_hand)
{
    epochs.deadline_ns = BEGAN + 100 * S;
    qn_epochs_begin_step(&epochs, BEGAN);
    ck_assert(!qn_epochs_must_end(&epochs, BEGAN + 45 * S, 0)); /* it may take as long again */
    qn_epochs_end_step(&epochs, BEGAN + 10 * S);
    qn_epochs_begin_step(&epochs, BEGAN + 10 * S);
    qn_epochs_end_step(&epochs, BEGAN + 11 * S);
    ck_assert(!qn_epochs_must_end(&epochs, BEGAN + 89 * S, 0));
    qn_epochs shorter = epochs, present = epochs;
    qn_epochs_begin_step(&present, BEGAN + 40 * S);
    ck_assert(qn_epochs_must_end(&present, BEGAN + 70 * S, 0));
    qn_epochs_forget_steps(&shorter);
    ck_assert(!qn_epochs_must_end(&shorter, BEGAN + 99 * S, 0));
    ck_assert(qn_epochs_must_end(&epochs, BEGAN + 90 * S, 0));
    ck_assert(qn_epochs_may_save(&epochs, BEGAN + 99 * S, 0));
}
END_TEST

START_TEST(signals_are_noted_and_handlers_of_others_stay)
{
    struct sigaction mine = {.sa_handler = SIG_IGN}, now;
    ck_assert_int_eq(sigaction(SIGTERM, &mine, NULL), 0);
    qn_suspension_watch();
    qn_suspension_watch();
    ck_assert_int_eq(kill(getpid(), SIGTERM), 0); /* ignored */
    ck_assert(!qn_suspension_is_asked());
    ck_assert(!qn_epochs_must_end(&epochs, BEGAN, 0));
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    ck_assert(qn_suspension_is_asked());
    ck_assert_uint_eq(qn_suspension_since_ns(), 0);
    ck_assert(qn_epochs_must_end(&epochs, BEGAN, 0));
    ck_assert(qn_epochs_may_save(&epochs, BEGAN, 1000 * MIB));
    qn_suspension_unwatch();
    ck_assert(qn_suspension_is_asked());
    qn_suspension_unwatch();
    ck_assert(!qn_suspension_is_asked());
    ck_assert_int_eq(sigaction(SIGTERM, NULL, &now), 0);
    ck_assert(now.sa_handler == SIG_IGN);
    ck_assert_int_eq(sigaction(SIGUSR1, NULL, &now), 0);
    ck_assert(now.sa_handler == SIG_DFL);
    mine.sa_handler = SIG_DFL;
    sigaction(SIGTERM, &mine, NULL);
}
END_TEST

START_TEST(after_term_only_what_fits_into_a_second_is_saved)
{
    signal(SIGTERM, SIG_DFL); /* it is the test runner's */
    qn_suspension_watch();
    ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
    uint64_t at_ns = qn_suspension_since_ns();
    ck_assert_uint_gt(at_ns, 0);
    ck_assert(qn_epochs_must_end(&epochs, at_ns, MIB));
    ck_assert(qn_epochs_may_save(&epochs, at_ns, MIB));
    ck_assert(!qn_epochs_may_save(&epochs, at_ns, 1000 * MIB));
    ck_assert(!qn_epochs_may_save(&epochs, at_ns + S, MIB));
    qn_suspension_unwatch();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_interval_is_that_of_young_and_daly,
        saving_takes_a_twentieth_of_the_time_at_most,
        before_the_first_the_cost_is_foreseen_by_the_bytes,
        a_small_epoch_says_little_of_a_large_one,
        a_large_epoch_says_what_more_bytes_take,
        what_the_user_says_holds,
        a_job_ends_when_an_epoch_just_fits_before_its_deadline,
        before_a_deadline_there_is_time_to_leave_what_is_in_hand,
        signals_are_noted_and_handlers_of_others_stay,
        after_term_only_what_fits_into_a_second_is_saved,
    };
    return kit_run_tests("epochs", tests, sizeof tests / sizeof *tests, set_up, NULL);
}
