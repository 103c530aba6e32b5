/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/job_status.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/suspension.h"
#include "runtime/base/thread.h"
#include "runtime/base/utf8.h"

#define FORM           1
#define EVERY_NS       QN_NS_PER_S
#define NAME_BYTES_MAX 256
#define ALERTS_MAX     16
#define RANKS_A_SECOND 1000 /* in ranks.json */
#define STAGES_MAX     100  /* that are over, the last ones: a loop has thousands */

static const char file_name[] = "status.json", ranks_name[] = "ranks.json", cancel_name[] = "cancel";

struct qn_job_status {
    char *directory;
    int directory_fd;
    pthread_t thread;
    bool has_thread;
    sem_t wake; /* posted: the end */
    char host[NAME_BYTES_MAX];
    time_t start_s;
    uint64_t ranks_ns; /* when ranks.json was written */

    pthread_mutex_t lock; /* of what is below, but for the two counts */
    qn_board *board;      /* borrowed; NULL: none */
    uint32_t rank_count, node_count;
    const char *state, *outcome;      /* of the job; what it will be if it is closed now */
    uint32_t run, stage_count, stage; /* from 1; 0: none */
    char *name;                       /* of the stage */
    uint64_t stage_start_ns;          /* 0: none runs */
    uint64_t bytes, bytes_before;
    uint32_t tasks;
    json_t *over; /* stages */
    json_t *alerts;
    char *failure; /* NULL: none */
    atomic_uint_fast64_t bytes_done;
    atomic_uint_fast32_t tasks_done;
};

/* ---- the file ---- */

/* A new reference, which may be NULL. */
static json_t *describe_stage(const qn_job_status *status)
{
    if (status->stage_start_ns == 0)
        return json_null();
    return json_pack("{s:I, s:s, s:f, s:I, s:I, s:I, s:I, s:I}", "number", (json_int_t)status->stage, "name",
                     status->name ? status->name : "", "seconds",
                     (double)(qn_clock_ns() - status->stage_start_ns) / 1e9, "tasks", (json_int_t)status->tasks,
                     "tasks_done", (json_int_t)atomic_load(&status->tasks_done), "bytes", (json_int_t)status->bytes,
                     "bytes_before", (json_int_t)status->bytes_before, "bytes_done",
                     (json_int_t)atomic_load(&status->bytes_done));
}

static char *describe(qn_job_status *status)
{
    pthread_mutex_lock(&status->lock);
    qn_board *board = status->board;
    pthread_mutex_unlock(&status->lock); /* the board has a lock of its own */
    json_t *figures = qn_board_describe_totals(board, qn_clock_ns());
    pthread_mutex_lock(&status->lock);
    json_t *all = json_pack(
        "{s:i, s:s, s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o?, s:O, s:O}", "quern_status", FORM, "state",
        status->state, "error", status->failure, "host", status->host, "process", (json_int_t)getpid(), "ranks",
        (json_int_t)status->rank_count, "nodes", (json_int_t)status->node_count, "started", (json_int_t)status->start_s,
        "updated", (json_int_t)time(NULL), "run", (json_int_t)status->run, "stages", (json_int_t)status->stage_count,
        "stage", describe_stage(status), "figures", figures, "stages_over", status->over, "alerts", status->alerts);
    char *text = all ? json_dumps(all, JSON_INDENT(1)) : NULL; /* of arrays that others add to under the lock */
    json_decref(all);
    pthread_mutex_unlock(&status->lock);
    return text;
}

/* The same of ranks.json; NULL, too: there is no board. */
static char *describe_ranks(qn_job_status *status)
{
    pthread_mutex_lock(&status->lock);
    qn_board *board = status->board;
    json_int_t run = status->run, stage = status->stage_start_ns > 0 ? status->stage : 0;
    pthread_mutex_unlock(&status->lock);
    json_t *all = qn_board_describe_ranks(board, qn_clock_ns());
    if (!all)
        return NULL;
    json_object_set_new(all, "quern_ranks", json_integer(FORM));
    json_object_set_new(all, "updated", json_integer((json_int_t)time(NULL)));
    json_object_set_new(all, "run", json_integer(run));
    json_object_set_new(all, "stage", stage > 0 ? json_integer(stage) : json_null());
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text;
}

/* A whole file at any time. Frees the text, and replaces its end by a line's. 0 or the system's reason. */
static int put_file(const qn_job_status *status, const char *name, char *text)
{
    char new_name[32];
    snprintf(new_name, sizeof new_name, ".%s.new", name);
    int fd = openat(status->directory_fd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    int reason = fd < 0 ? errno : 0;
    size_t length = strlen(text);
    text[length] = '\n';
    errno = 0;
    if (reason == 0 && write(fd, text, length + 1) != (ssize_t)length + 1)
        reason = errno ? errno : ENOSPC;
    free(text);
    if (fd >= 0 && close(fd) != 0 && reason == 0)
        reason = errno;
    if (reason == 0 && renameat(status->directory_fd, new_name, status->directory_fd, name) != 0)
        reason = errno;
    if (reason != 0)
        unlinkat(status->directory_fd, new_name, 0);
    return reason;
}

/* A status that cannot be written later on is no reason to end a job. */
static int write_file(qn_job_status *status)
{
    char *text = describe(status);
    return text ? put_file(status, file_name, text) : ENOMEM;
}

static void write_ranks(qn_job_status *status)
{
    char *text = describe_ranks(status);
    if (text)
        put_file(status, ranks_name, text);
    status->ranks_ns = qn_clock_ns();
}

static bool is_time_for_ranks(const qn_job_status *status)
{
    uint64_t every_ns = EVERY_NS / 2 + status->rank_count * (EVERY_NS / RANKS_A_SECOND);
    return qn_clock_ns() - status->ranks_ns >= every_ns;
}

static void look_for_cancel(const qn_job_status *status)
{
    if (!qn_suspension_is_asked() && faccessat(status->directory_fd, cancel_name, F_OK, 0) == 0)
        qn_suspension_ask();
}

static void *keep_file(void *user)
{
    qn_job_status *status = user;
    while (!qn_thread_pause(&status->wake, EVERY_NS)) {
        look_for_cancel(status);
        write_file(status);
        if (is_time_for_ranks(status))
            write_ranks(status);
    }
    return NULL;
}

/* ---- from the begin to the end ---- */

static quern_status open_directory(qn_job_status *status, const char *directory, bool is_new, qn_error *error)
{
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot make the job directory %s", directory);
    status->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (status->directory_fd < 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot open the job directory %s", directory);
    if (is_new) {
        unlinkat(status->directory_fd, cancel_name, 0);
        unlinkat(status->directory_fd, ranks_name, 0);
    }
    return QUERN_OK;
}

static quern_status begin(qn_job_status *status, qn_error *error)
{
    int reason = write_file(status);
    if (reason != 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, reason, "cannot write %s/%s", status->directory, file_name);
    reason = qn_thread_start(&status->thread, keep_file, status);
    if (reason != 0)
        return qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "no thread for the job's status");
    status->has_thread = true;
    return QUERN_OK;
}

quern_status qn_job_status_open(qn_job_status **status_out, const char *directory, const qn_comm *comm, bool is_new,
                                qn_error *error)
{
    *status_out = NULL;
    if (!directory || comm->rank != 0)
        return QUERN_OK;
    qn_job_status *status = calloc(1, sizeof *status);
    if (!status)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the job's status");
    status->directory_fd = -1;
    status->state = "starting";
    status->outcome = "done";
    status->rank_count = comm->size;
    status->node_count = comm->node_count;
    status->start_s = time(NULL);
    status->over = json_array();
    status->alerts = json_array();
    status->directory = strdup(directory);
    gethostname(status->host, sizeof status->host - 1);
    pthread_mutex_init(&status->lock, NULL);
    sem_init(&status->wake, 0, 0);
    quern_status result = status->over && status->alerts && status->directory
                              ? open_directory(status, directory, is_new, error)
                              : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the job's status");
    if (result == QUERN_OK)
        result = begin(status, error);
    if (result == QUERN_OK)
        *status_out = status;
    else
        qn_job_status_close(status, true);
    return result;
}

void qn_job_status_close(qn_job_status *status, bool has_failed)
{
    if (!status)
        return;
    if (status->has_thread) {
        sem_post(&status->wake);
        pthread_join(status->thread, NULL);
        status->state = has_failed ? "failed" : status->outcome;
        write_ranks(status);
        write_file(status);
    }
    if (status->directory_fd >= 0)
        close(status->directory_fd);
    pthread_mutex_destroy(&status->lock);
    sem_destroy(&status->wake);
    json_decref(status->over);
    json_decref(status->alerts);
    free(status->name);
    free(status->failure);
    free(status->directory);
    free(status);
}

/* ---- what is told ---- */

void qn_job_status_show(qn_job_status *status, qn_board *board)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->board = board;
    pthread_mutex_unlock(&status->lock);
}

void qn_job_status_set_ranks(qn_job_status *status, const qn_comm *comm)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->rank_count = comm->size;
    status->node_count = comm->node_count;
    pthread_mutex_unlock(&status->lock);
}

void qn_job_status_begin_run(qn_job_status *status, uint32_t stage_count)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->state = "running";
    status->run++;
    status->stage_count = stage_count;
    status->stage = 0;
    json_array_clear(status->over);
    json_array_clear(status->alerts);
    free(status->failure);
    status->failure = NULL;
    pthread_mutex_unlock(&status->lock);
}

void qn_job_status_end_run(qn_job_status *status, const qn_error *outcome)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->outcome = outcome->status == QUERN_OK                ? "done"
                      : outcome->status == QUERN_ERROR_SUSPENDED ? "suspended"
                                                                 : "failed";
    status->stage_start_ns = 0;
    free(status->failure);
    status->failure = outcome->status != QUERN_OK ? qn_utf8_repair(outcome->text) : NULL;
    pthread_mutex_unlock(&status->lock);
}

void qn_job_status_begin_stage(qn_job_status *status, const char *name)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->stage++;
    free(status->name);
    status->name = qn_utf8_repair(name);
    status->stage_start_ns = qn_clock_ns();
    status->tasks = 0;
    status->bytes = status->bytes_before = 0;
    atomic_store(&status->tasks_done, 0);
    atomic_store(&status->bytes_done, 0);
    pthread_mutex_unlock(&status->lock);
}

void qn_job_status_end_stage(qn_job_status *status, uint64_t bytes, double seconds)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->stage_start_ns = 0;
    if (json_array_size(status->over) == STAGES_MAX)
        json_array_remove(status->over, 0);
    json_array_append_new(status->over,
                          json_pack("{s:I, s:s, s:f, s:I}", "number", (json_int_t)status->stage, "name",
                                    status->name ? status->name : "", "seconds", seconds, "bytes", (json_int_t)bytes));
    pthread_mutex_unlock(&status->lock);
}

void qn_job_status_set_size(qn_job_status *status, uint32_t tasks, uint64_t bytes, uint64_t bytes_before)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    status->tasks = tasks;
    status->bytes = bytes;
    status->bytes_before = bytes_before;
    pthread_mutex_unlock(&status->lock);
}

json_t *qn_job_status_copy_alerts(qn_job_status *status)
{
    if (!status)
        return json_array();
    pthread_mutex_lock(&status->lock);
    json_t *copy = json_deep_copy(status->alerts);
    pthread_mutex_unlock(&status->lock);
    return copy;
}

void qn_job_status_set_alerts(qn_job_status *status, const json_t *alerts)
{
    if (!status)
        return;
    pthread_mutex_lock(&status->lock);
    json_array_clear(status->alerts);
    for (size_t i = 0; i < json_array_size(alerts) && i < ALERTS_MAX; i++)
        json_array_append_new(status->alerts, json_deep_copy(json_array_get(alerts, i)));
    pthread_mutex_unlock(&status->lock);
}

static bool has_alert(const qn_job_status *status, const json_t *alert)
{
    for (size_t i = 0; i < json_array_size(status->alerts); i++)
        if (json_equal(json_array_get(status->alerts, i), alert))
            return true;
    return false;
}

void qn_job_status_alert(qn_job_status *status, const char *kind, const char *text)
{
    char *repaired = status ? qn_utf8_repair(text) : NULL;
    json_t *alert = repaired ? json_pack("{s:s, s:s}", "kind", kind, "text", repaired) : NULL;
    free(repaired);
    if (!alert)
        return;
    pthread_mutex_lock(&status->lock);
    if (json_array_size(status->alerts) < ALERTS_MAX && !has_alert(status, alert))
        json_array_append(status->alerts, alert);
    pthread_mutex_unlock(&status->lock);
    json_decref(alert);
}

void qn_job_status_update(qn_job_status *status, uint32_t tasks_done, uint64_t bytes_done)
{
    if (!status)
        return;
    atomic_store_explicit(&status->tasks_done, tasks_done, memory_order_relaxed);
    atomic_store_explicit(&status->bytes_done, bytes_done, memory_order_relaxed);
}
