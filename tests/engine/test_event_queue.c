/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_event_queue.c: events arrive in order and whole, a slow listener holds up nobody, and what there is no room for is counted.
 */
#include "runtime/engine/event_queue.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define SAMPLE_WAIT_US 400000

static qn_event_queue *queue;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* a listener waits for it */
static atomic_int told, samples, wrong;
static uint32_t last_run;
static quern_event last;
static char last_text[64];

static bool sample(void *user, quern_event *event_out)
{
    (void)user;
    *event_out =
        (quern_event){.kind = QUERN_EVENT_PROGRESS, .stage_name = "", .slowest_host = "", .topic = "", .text = ""};
    samples++;
    return true;
}

static void listen(const quern_event *event, void *user)
{
    pthread_mutex_t *waits_for = user;
    if (event->kind == QUERN_EVENT_PROGRESS)
        return;
    if (waits_for) {
        pthread_mutex_lock(waits_for);
        pthread_mutex_unlock(waits_for);
    }
    wrong += event->run <= last_run || event->struct_size != sizeof *event;
    last_run = event->run;
    last = *event;
    snprintf(last_text, sizeof last_text, "%s/%s/%s/%s", event->stage_name, event->slowest_host, event->topic,
             event->text);
    told++;
}

static void set_up(void)
{
    queue = qn_event_queue_create(sample, NULL);
    ck_assert_ptr_nonnull(queue);
    told = samples = wrong = 0;
    last_run = 0;
}

static void tear_down(void)
{
    qn_event_queue_destroy(queue);
}

static void start(void *user)
{
    qn_error error = {0};
    qn_event_queue_set(queue, QN_LISTENER_PROGRAM, listen, user);
    ck_assert_int_eq(qn_event_queue_start(queue, &error), QUERN_OK);
}

static void post(quern_event_kind kind, uint32_t number)
{
    char text[32]; /* is another one when the event is told */
    snprintf(text, sizeof text, "text %u", number);
    qn_event_queue_post(queue, &(quern_event){.kind = (int)kind,
                                              .run = number,
                                              .stage_name = "stage",
                                              .slowest_host = "",
                                              .topic = "topic",
                                              .text = text});
}

START_TEST(events_are_told_in_order_with_texts_of_their_own)
{
    start(NULL);
    for (uint32_t i = 1; i <= 500; i++)
        post(QUERN_EVENT_NOTE, i);
    qn_event_queue_drain(queue);
    ck_assert_int_eq(told, 500);
    ck_assert_int_eq(wrong, 0);
    ck_assert_str_eq(last_text, "stage//topic/text 500");
}
END_TEST

START_TEST(what_there_is_no_room_for_is_counted_and_the_end_is_told)
{
    start(&gate);
    pthread_mutex_lock(&gate);
    for (uint32_t i = 1; i <= 3 * QN_EVENTS_WAITING_MAX; i++)
        post(QUERN_EVENT_NOTE, i); /* nobody waits here */
    post(QUERN_EVENT_RUN_ENDED, 3 * QN_EVENTS_WAITING_MAX + 1);
    pthread_mutex_unlock(&gate);
    qn_event_queue_drain(queue);
    ck_assert_int_eq(last.kind, QUERN_EVENT_RUN_ENDED);
    ck_assert_uint_eq(last.passed_over + (uint64_t)told, 3 * QN_EVENTS_WAITING_MAX + 1);
    ck_assert_int_ge(told, QN_EVENTS_WAITING_MAX);
    ck_assert_int_le(told, QN_EVENTS_WAITING_MAX + 2);
    ck_assert_int_eq(wrong, 0);
}
END_TEST

START_TEST(without_memory_an_event_is_passed_over_and_counted)
{
    start(NULL);
    qn_event_queue_drain(queue);
    allocations_left = 0;
    post(QUERN_EVENT_NOTE, 1);
    qn_event_queue *none = qn_event_queue_create(sample, NULL);
    allocations_left = -1;
    ck_assert_ptr_null(none);
    post(QUERN_EVENT_RUN_ENDED, 2);
    qn_event_queue_drain(queue);
    ck_assert_int_eq(told, 1);
    ck_assert_uint_eq(last.passed_over, 1);
}
END_TEST

START_TEST(figures_are_asked_for_while_nothing_happens)
{
    start(NULL);
    usleep(SAMPLE_WAIT_US);
    ck_assert_int_ge(samples, 1);
    ck_assert_int_eq(told, 0);
}
END_TEST

START_TEST(who_listens_no_more_is_told_nothing)
{
    start(NULL);
    post(QUERN_EVENT_NOTE, 1);
    qn_event_queue_set(queue, QN_LISTENER_PROGRAM, NULL, NULL);
    ck_assert_int_eq(told, 1);
    ck_assert(!qn_event_queue_has(queue, QN_LISTENER_PROGRAM));
    post(QUERN_EVENT_NOTE, 2);
    qn_event_queue_drain(queue);
    ck_assert_int_eq(told, 1);
}
END_TEST

START_TEST(without_a_thread_events_go_nowhere_and_nobody_waits)
{
    qn_event_queue_set(queue, QN_LISTENER_PROGRAM, listen, NULL);
    post(QUERN_EVENT_NOTE, 1);
    qn_event_queue_drain(queue);
    ck_assert_int_eq(told, 0);
}
END_TEST

START_TEST(what_waits_at_the_end_is_told_before_it)
{
    start(NULL);
    for (uint32_t i = 1; i <= 100; i++)
        post(QUERN_EVENT_NOTE, i);
    qn_event_queue_destroy(queue);
    queue = NULL;
    ck_assert_int_eq(told, 100);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        events_are_told_in_order_with_texts_of_their_own,
        what_there_is_no_room_for_is_counted_and_the_end_is_told,
        without_memory_an_event_is_passed_over_and_counted,
        figures_are_asked_for_while_nothing_happens,
        who_listens_no_more_is_told_nothing,
        without_a_thread_events_go_nowhere_and_nobody_waits,
        what_waits_at_the_end_is_told_before_it,
    };
    return kit_run_tests("event_queue", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
