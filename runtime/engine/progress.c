/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/utf8.h"
#include "runtime/engine/board.h"
#include "runtime/engine/job_status.h"

#define TEXT_BYTES_MAX 512
#define NOBODY_KNOWS   (-1.0)

static double seconds_since(uint64_t begin_ns)
{
    return (double)(qn_clock_ns() - begin_ns) / 1e9;
}

static void reset_stage(quern_event *now)
{
    *now = (quern_event){.run = now->run,
                         .stage = now->stage,
                         .stage_count = now->stage_count,
                         .alert_count = now->alert_count,
                         .slowest_rank = QUERN_EVENT_NO_RANK,
                         .seconds_left = NOBODY_KNOWS,
                         .stage_name = now->stage_name,
                         .slowest_host = "",
                         .topic = "",
                         .text = ""};
}

/* ---- figures; the lock is held ---- */

static void look_at_tasks(qn_progress *progress)
{
    quern_event *now = &progress->now;
    now->bytes_done = atomic_load_explicit(&progress->bytes_done, memory_order_relaxed);
    now->bytes_all = atomic_load_explicit(&progress->bytes_all, memory_order_relaxed);
    now->tasks_done = atomic_load_explicit(&progress->tasks_done, memory_order_relaxed);
    now->tasks_all = atomic_load_explicit(&progress->tasks_all, memory_order_relaxed);
    now->seconds = seconds_since(progress->stage_ns);
    uint64_t bytes_before = atomic_load_explicit(&progress->bytes_before, memory_order_relaxed);
    now->seconds_left = NOBODY_KNOWS;
    if (now->bytes_done > bytes_before && now->bytes_done < now->bytes_all)
        now->seconds_left =
            now->seconds * (double)(now->bytes_all - now->bytes_done) / (double)(now->bytes_done - bytes_before);
}

static void look_at_ranks(qn_progress *progress, const qn_board_totals *totals)
{
    quern_event *now = &progress->now;
    now->records = totals->sum.records;
    now->records_all = totals->sum.result_records;
    if (now->tasks_all == 0 && now->records > 0 && now->records < now->records_all)
        now->seconds_left = now->seconds * (double)(now->records_all - now->records) / (double)now->records;
    now->read_bytes = totals->sum.bytes;
    now->sent_bytes = totals->sum.sent_bytes;
    now->spilled_bytes = totals->sum.spilled_bytes;
    now->slowest_rank = totals->slowest == QN_RANK_NO_TASK ? QUERN_EVENT_NO_RANK : totals->slowest;
    now->slowest_is_silent = totals->slowest_is_silent;
    snprintf(progress->host, sizeof progress->host, "%s", totals->slowest_host);
    now->slowest_host = progress->host;
}

/* By the queue's thread, with texts of its own: others begin the next stage while it tells of this one. */
static bool sample(void *user, quern_event *event_out)
{
    qn_progress *progress = user;
    qn_board_totals totals;
    pthread_mutex_lock(&progress->lock);
    bool is_there = progress->runs_stage;
    struct qn_board *board = progress->board;
    pthread_mutex_unlock(&progress->lock);
    if (!is_there)
        return false;
    qn_board_sum(board, qn_clock_ns(), &totals);
    pthread_mutex_lock(&progress->lock);
    is_there = progress->runs_stage;
    if (is_there) {
        look_at_tasks(progress);
        look_at_ranks(progress, &totals);
        memcpy(progress->told_name, progress->name, sizeof progress->name);
        memcpy(progress->told_host, progress->host, sizeof progress->host);
        *event_out = progress->now;
        event_out->kind = QUERN_EVENT_PROGRESS;
        event_out->stage_name = progress->told_name;
        event_out->slowest_host = progress->told_host;
    }
    pthread_mutex_unlock(&progress->lock);
    return is_there;
}

/* ---- from the begin to the end ---- */

quern_status qn_progress_init(qn_progress *progress, qn_error *error)
{
    progress->queue = qn_event_queue_create(sample, progress);
    if (!progress->queue)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to tell progress");
    pthread_mutex_init(&progress->lock, NULL);
    progress->now.stage_name = "";
    reset_stage(&progress->now);
    return QUERN_OK;
}

void qn_progress_fini(qn_progress *progress)
{
    if (!progress->queue)
        return;
    atomic_store(&progress->is_told, false);
    qn_event_queue_destroy(progress->queue);
    pthread_mutex_destroy(&progress->lock);
    progress->queue = NULL;
}

void qn_progress_start(qn_progress *progress, bool is_first_rank, struct qn_job_status *status, struct qn_board *board)
{
    qn_error ignored = {0};
    bool is_heard = false;
    for (int i = 0; i < QN_LISTENER_COUNT; i++)
        is_heard |= qn_event_queue_has(progress->queue, (qn_listener)i);
    pthread_mutex_lock(&progress->lock);
    progress->status = status;
    progress->board = board;
    pthread_mutex_unlock(&progress->lock);
    if (is_first_rank && is_heard)
        is_heard = qn_event_queue_start(progress->queue, &ignored) == QUERN_OK;
    atomic_store(&progress->is_told, is_first_rank && is_heard);
}

/* ---- what is told ---- */

static void post(qn_progress *progress, quern_event_kind kind, const char *topic, const char *text)
{
    pthread_mutex_lock(&progress->lock);
    if (progress->runs_stage)
        look_at_tasks(progress);
    quern_event event = progress->now;
    event.kind = (int)kind;
    event.topic = topic;
    event.text = text;
    qn_event_queue_post(progress->queue, &event); /* which copies the texts */
    pthread_mutex_unlock(&progress->lock);
}

void qn_progress_tell(qn_progress *progress, quern_event_kind kind, const char *text)
{
    if (atomic_load_explicit(&progress->is_told, memory_order_relaxed))
        post(progress, kind, "", text);
}

void qn_progress_alert(qn_progress *progress, const char *kind, const char *text)
{
    pthread_mutex_lock(&progress->lock);
    struct qn_job_status *status = progress->status;
    progress->now.alert_count++;
    pthread_mutex_unlock(&progress->lock);
    qn_job_status_alert(status, kind, text);
    if (atomic_load_explicit(&progress->is_told, memory_order_relaxed))
        post(progress, QUERN_EVENT_ALERT, kind, text);
}

void qn_progress_say(qn_progress *progress, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    if (!atomic_load_explicit(&progress->is_told, memory_order_relaxed))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    post(progress, QUERN_EVENT_NOTE, "", text);
}

void qn_progress_open_run(qn_progress *progress)
{
    pthread_mutex_lock(&progress->lock);
    progress->run_ns = qn_clock_ns();
    progress->run_bytes = 0;
    progress->now.run++;
    pthread_mutex_unlock(&progress->lock);
}

void qn_progress_begin_run(qn_progress *progress, uint32_t stage_count)
{
    pthread_mutex_lock(&progress->lock);
    progress->now.stage = 0;
    progress->now.stage_count = stage_count;
    progress->now.stage_name = "";
    progress->now.alert_count = 0;
    reset_stage(&progress->now);
    pthread_mutex_unlock(&progress->lock);
    qn_progress_tell(progress, QUERN_EVENT_RUN_BEGUN, "");
}

void qn_progress_end_run(qn_progress *progress, quern_status status, const char *text)
{
    if (!atomic_load_explicit(&progress->is_told, memory_order_relaxed))
        return;
    pthread_mutex_lock(&progress->lock);
    progress->runs_stage = false;
    quern_event event = progress->now;
    event.kind = QUERN_EVENT_RUN_ENDED;
    event.status = (int)status;
    event.text = text;
    event.read_bytes = progress->run_bytes;
    event.seconds = seconds_since(progress->run_ns);
    event.seconds_left = NOBODY_KNOWS;
    qn_event_queue_post(progress->queue, &event);
    pthread_mutex_unlock(&progress->lock);
}

void qn_progress_drain(qn_progress *progress)
{
    qn_event_queue_drain(progress->queue);
}

void qn_progress_begin_stage(qn_progress *progress, uint32_t number, uint32_t count, const char *name)
{
    pthread_mutex_lock(&progress->lock);
    quern_event *now = &progress->now;
    now->stage = number;
    now->stage_count = count > number ? count : number; /* some are left out, and do not count */
    snprintf(progress->name, sizeof progress->name, "%s", name);
    qn_utf8_cut(progress->name, sizeof progress->name - 2);
    now->stage_name = progress->name;
    reset_stage(now);
    atomic_store(&progress->bytes_done, 0);
    atomic_store(&progress->bytes_before, 0);
    atomic_store(&progress->bytes_all, 0);
    atomic_store(&progress->tasks_done, 0);
    atomic_store(&progress->tasks_all, 0);
    progress->stage_ns = qn_clock_ns();
    progress->runs_stage = true;
    pthread_mutex_unlock(&progress->lock);
    qn_progress_tell(progress, QUERN_EVENT_STAGE_BEGUN, "");
}

void qn_progress_rest(qn_progress *progress)
{
    pthread_mutex_lock(&progress->lock);
    progress->runs_stage = false;
    pthread_mutex_unlock(&progress->lock);
}

void qn_progress_end_stage(qn_progress *progress, const qn_progress_sums *sums)
{
    pthread_mutex_lock(&progress->lock);
    quern_event *now = &progress->now;
    reset_stage(now);
    progress->runs_stage = false;
    now->tasks_done = now->tasks_all = sums->tasks;
    now->bytes_done = now->bytes_all = sums->tasks > 0 ? sums->read_bytes : 0;
    now->records = sums->records;
    now->read_bytes = sums->read_bytes;
    now->sent_bytes = sums->sent_bytes;
    now->spilled_bytes = sums->spilled_bytes;
    now->seconds = sums->seconds;
    now->seconds_left = 0;
    now->slowest_rank = sums->busiest;
    now->slowest_to_mean = sums->to_mean;
    pthread_mutex_unlock(&progress->lock);
    qn_progress_tell(progress, QUERN_EVENT_STAGE_ENDED, "");
}

void qn_progress_update(qn_progress *progress, const qn_progress_tasks *tasks)
{
    qn_job_status_update(progress->status, tasks->tasks_done, tasks->bytes_done);
    atomic_store_explicit(&progress->bytes_before, tasks->bytes_before, memory_order_relaxed);
    atomic_store_explicit(&progress->bytes_done, tasks->bytes_done, memory_order_relaxed);
    atomic_store_explicit(&progress->bytes_all, tasks->bytes_all, memory_order_relaxed);
    atomic_store_explicit(&progress->tasks_done, tasks->tasks_done, memory_order_relaxed);
    atomic_store_explicit(&progress->tasks_all, tasks->tasks_all, memory_order_relaxed);
}

const char *qn_progress_bytes(uint64_t bytes)
{
    static _Thread_local char texts[4][24];
    static _Thread_local unsigned turn;
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    char *text = texts[turn++ % 4];
    double number = (double)bytes;
    unsigned unit = 0;
    for (; number >= 1000 && unit < 5; unit++)
        number /= 1000;
    snprintf(text, sizeof texts[0], number < 10 && unit > 0 ? "%.2f %s" : "%.0f %s", number, units[unit]);
    return text;
}
