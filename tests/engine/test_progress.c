/* SPDX-License-Identifier: BSD-3-Clause */
/* How long a stage will still take, by what was done of it, and by whom. */
#include <unistd.h>

#include "runtime/engine/progress.h"
#include "tests/kit.h"
#include "tests/refusal.h"

static qn_progress progress;
static quern_event last;

static void listen(const quern_event *event, void *user)
{
    (void)user;
    if (event->kind == QUERN_EVENT_NOTE)
        last = *event;
}

static void set_up(void)
{
    qn_error error = {0};
    progress = (qn_progress){0};
    kit_assert_ok(qn_progress_init(&progress, &error), &error);
    qn_event_queue_set(progress.queue, QN_LISTENER_LINES, listen, NULL);
    qn_progress_start(&progress, true, NULL, NULL);
    qn_progress_open_run(&progress);
    qn_progress_begin_run(&progress, 2);
    qn_progress_begin_stage(&progress, 1, 2, "lines");
    usleep(20000);
}

static void tear_down(void)
{
    qn_progress_fini(&progress);
}

/* What is told of a stage of 1000 bytes. */
static const quern_event *tell(uint64_t done, uint64_t before)
{
    qn_progress_update(&progress, &(qn_progress_tasks){.bytes_done = done, .bytes_before = before, .bytes_all = 1000});
    qn_progress_say(&progress, "so far");
    qn_progress_drain(&progress);
    return &last;
}

static void check_ratio(const quern_event *event, double ratio)
{
    ck_assert_double_gt(event->seconds, 0);
    ck_assert_double_eq_tol(event->seconds_left / event->seconds, ratio, 1e-9 * ratio);
}

START_TEST(the_time_that_is_left_is_as_the_time_so_far)
{
    check_ratio(tell(200, 0), 4);
    check_ratio(tell(999, 0), 1.0 / 999);
}
END_TEST

START_TEST(what_an_earlier_attempt_did_took_none_of_this_ones_time)
{
    check_ratio(tell(910, 900), 9);
    ck_assert_uint_eq(last.bytes_done, 910);
}
END_TEST

START_TEST(before_the_first_task_is_done_and_after_the_last_nobody_knows)
{
    ck_assert_double_lt(tell(0, 0)->seconds_left, 0);
    ck_assert_double_lt(tell(900, 900)->seconds_left, 0);
    ck_assert_double_lt(tell(1000, 900)->seconds_left, 0);
    tell(910, 900);
    qn_progress_begin_stage(&progress, 2, 2, "next");
    check_ratio(tell(500, 0), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_time_that_is_left_is_as_the_time_so_far,
        what_an_earlier_attempt_did_took_none_of_this_ones_time,
        before_the_first_task_is_done_and_after_the_last_nobody_knows,
    };
    return kit_run_tests("progress", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
