/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/event_queue.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/thread.h"

#define SAMPLE_NS (200 * QN_NS_PER_MS)

/* With its texts behind it. */
typedef struct waiting_event {
    struct waiting_event *next;
    quern_event event;
    char texts[];
} waiting_event;

typedef struct listening {
    quern_progress_fn fn; /* NULL: nobody */
    void *user;
} listening;

struct qn_event_queue {
    qn_event_sample_fn sample;
    void *user;
    pthread_t thread;
    bool runs; /* by the thread that owns the queue */

    pthread_mutex_t lock; /* of what is below */
    pthread_cond_t changed;
    listening listeners[QN_LISTENER_COUNT];
    waiting_event *first, **end;
    size_t count;    /* that wait, */
    bool is_telling; /* and one is being told */
    bool takes;      /* somebody will tell */
    bool is_ending;
    uint64_t passed_over;
};

qn_event_queue *qn_event_queue_create(qn_event_sample_fn sample, void *user)
{
    pthread_condattr_t how;
    qn_event_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->sample = sample;
    queue->user = user;
    queue->end = &queue->first;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &how);
    pthread_condattr_destroy(&how);
    return queue;
}

/* ---- the thread; the lock is held but while somebody is told ---- */

static void tell(qn_event_queue *queue, quern_event *event)
{
    listening listeners[QN_LISTENER_COUNT];
    memcpy(listeners, queue->listeners, sizeof listeners);
    event->struct_size = sizeof *event;
    event->passed_over = queue->passed_over;
    queue->is_telling = true;
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < QN_LISTENER_COUNT; i++)
        if (listeners[i].fn)
            listeners[i].fn(event, listeners[i].user);
    pthread_mutex_lock(&queue->lock);
    queue->is_telling = false;
}

static void tell_first(qn_event_queue *queue)
{
    waiting_event *first = queue->first;
    queue->first = first->next;
    if (!queue->first)
        queue->end = &queue->first;
    queue->count--;
    tell(queue, &first->event);
    free(first);
}

static void tell_figures(qn_event_queue *queue)
{
    quern_event event = {0};
    pthread_mutex_unlock(&queue->lock);
    bool is_there = queue->sample(queue->user, &event);
    pthread_mutex_lock(&queue->lock);
    if (is_there && !queue->first) /* what waits is newer: the stage may have ended meanwhile */
        tell(queue, &event);
}

/* False: something came before that. */
static bool wait_until(qn_event_queue *queue, uint64_t until_ns)
{
    struct timespec until = {(time_t)(until_ns / QN_NS_PER_S), (long)(until_ns % QN_NS_PER_S)};
    while (!queue->first && !queue->is_ending)
        if (pthread_cond_timedwait(&queue->changed, &queue->lock, &until) == ETIMEDOUT)
            return true;
    return false;
}

static void *bring(void *user)
{
    qn_event_queue *queue = user;
    uint64_t next_ns = qn_clock_ns() + SAMPLE_NS;
    pthread_mutex_lock(&queue->lock);
    while (queue->first || !queue->is_ending) {
        if (queue->first)
            tell_first(queue);
        else if (wait_until(queue, next_ns))
            tell_figures(queue);
        if (qn_clock_ns() >= next_ns)
            next_ns = qn_clock_ns() + SAMPLE_NS;
        if (!queue->first)
            pthread_cond_broadcast(&queue->changed); /* for who drains */
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

/* ---- who tells ---- */

quern_status qn_event_queue_start(qn_event_queue *queue, qn_error *error)
{
    if (queue->runs)
        return QUERN_OK;
    int reason = qn_thread_start(&queue->thread, bring, queue);
    queue->runs = queue->takes = reason == 0;
    return queue->runs ? QUERN_OK : qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "no thread to tell progress");
}

static char *put_text(char **to, const char *text)
{
    char *here = *to;
    size_t bytes = strlen(text) + 1;
    memcpy(here, text, bytes);
    *to += bytes;
    return here;
}

/* NULL: no memory. */
static waiting_event *copy(const quern_event *event)
{
    size_t bytes = strlen(event->stage_name) + strlen(event->slowest_host) + strlen(event->topic) + strlen(event->text);
    waiting_event *made = malloc(sizeof *made + bytes + 4);
    if (!made)
        return NULL;
    char *to = made->texts;
    made->next = NULL;
    made->event = *event;
    made->event.stage_name = put_text(&to, event->stage_name);
    made->event.slowest_host = put_text(&to, event->slowest_host);
    made->event.topic = put_text(&to, event->topic);
    made->event.text = put_text(&to, event->text);
    return made;
}

void qn_event_queue_post(qn_event_queue *queue, const quern_event *event)
{
    waiting_event *made = copy(event);
    pthread_mutex_lock(&queue->lock);
    bool is_last = event->kind == QUERN_EVENT_RUN_ENDED || event->kind == QUERN_EVENT_PLAN; /* of which a run has one */
    bool has_room = queue->takes && (is_last || queue->count < QN_EVENTS_WAITING_MAX);
    if (made && has_room) {
        *queue->end = made;
        queue->end = &made->next;
        queue->count++;
        made = NULL;
        pthread_cond_broadcast(&queue->changed);
    } else if (queue->takes) {
        queue->passed_over++;
    }
    pthread_mutex_unlock(&queue->lock);
    free(made);
}

static void wait_for_end(qn_event_queue *queue)
{
    while (queue->takes && (queue->first || queue->is_telling))
        pthread_cond_wait(&queue->changed, &queue->lock);
}

void qn_event_queue_drain(qn_event_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    wait_for_end(queue);
    pthread_mutex_unlock(&queue->lock);
}

void qn_event_queue_set(qn_event_queue *queue, qn_listener listener, quern_progress_fn fn, void *user)
{
    pthread_mutex_lock(&queue->lock);
    wait_for_end(queue);
    queue->listeners[listener] = (listening){fn, user};
    pthread_mutex_unlock(&queue->lock);
}

bool qn_event_queue_has(const qn_event_queue *queue, qn_listener listener)
{
    return queue->listeners[listener].fn != NULL;
}

void qn_event_queue_destroy(qn_event_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->is_ending = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    if (queue->runs)
        pthread_join(queue->thread, NULL);
    QN_ASSERT(!queue->first);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}
