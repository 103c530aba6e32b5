/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/event_queue.h: events on their way to those who listen, and the thread that brings them there.
 *
 * Whoever has something to tell holds locks, the gate mostly, and is in a hurry; who listens may do what it wants, and take long. So events are
 * copied into a queue, and a thread of its own calls the listeners without any lock. The queue is bounded: what comes while it is full is counted and
 * passed over. Between events the thread asks for figures, as often as it is to; those are never queued, so they are never old.
 *
 * Rejected: calling listeners from the helper thread (it holds the gate, and there is none with one rank); from the working thread (no figures while a
 * callback runs, and a slow listener would slow the job).
 */
#ifndef QN_ENGINE_EVENT_QUEUE_H
#define QN_ENGINE_EVENT_QUEUE_H

#include <quern/events.h>
#include <stdbool.h>

#include "runtime/base/status.h"

#define QN_EVENTS_WAITING_MAX 1024

typedef struct qn_event_queue qn_event_queue;

typedef enum qn_listener {
    QN_LISTENER_LINES,   /* the library's own (progress_lines.h) */
    QN_LISTENER_PROGRAM, /* quern_on_progress() */
    QN_LISTENER_COUNT,
} qn_listener;

/* Fills in figures. False: there are none now. By the thread, without a lock. */
typedef bool (*qn_event_sample_fn)(void *user, quern_event *event_out);

/* Has no thread yet. NULL: no memory. */
qn_event_queue *qn_event_queue_create(qn_event_sample_fn sample, void *user);
/* What waits is told before. Takes NULL. */
void qn_event_queue_destroy(qn_event_queue *queue);

/* fn NULL: it listens no more. What waits is told before. */
void qn_event_queue_set(qn_event_queue *queue, qn_listener listener, quern_progress_fn fn, void *user);
bool qn_event_queue_has(const qn_event_queue *queue, qn_listener listener);

/* Starts the thread, if it does not run. QUERN_ERROR_SYSTEM. */
quern_status qn_event_queue_start(qn_event_queue *queue, qn_error *error);
/* Copies. By any thread but the queue's; with no thread started nothing happens. Whoever posts does not wait. */
void qn_event_queue_post(qn_event_queue *queue, const quern_event *event);
/* Returns when everything that was posted was told. */
void qn_event_queue_drain(qn_event_queue *queue);

#endif
