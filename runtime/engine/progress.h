/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/progress.h: what rank 0 tells of a job while it works, as events (quern/events.h).
 *
 * Here stands how far the stage is; what happens goes into a queue, from which a thread brings it to those who listen (event_queue.h): the
 * library's own lines (progress_lines.h), which the option progress asks for, and a function of the program's. Where nobody listens, and on other
 * ranks, nothing happens.
 */
#ifndef QN_ENGINE_PROGRESS_H
#define QN_ENGINE_PROGRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/engine/event_queue.h"

struct qn_job_status;
struct qn_board;

#define QN_PROGRESS_NAME_BYTES 64
#define QN_PROGRESS_HOST_BYTES 64

typedef struct qn_progress {
    qn_event_queue *queue;
    atomic_bool is_told; /* somebody listens, and this is rank 0 */
    uint64_t run_ns;     /* when the run began */
    uint64_t run_bytes;  /* that it read, once it succeeded */
    atomic_uint_fast64_t bytes_done, bytes_before, bytes_all;
    atomic_uint_fast32_t tasks_done, tasks_all;
    pthread_mutex_t lock;         /* of what is below */
    struct qn_job_status *status; /* is told too; borrowed; NULL: none */
    struct qn_board *board;       /* of all ranks; the same */
    bool runs_stage;
    uint64_t stage_ns;
    quern_event now; /* figures, with which every event begins; its texts are the two below, or none */
    char name[QN_PROGRESS_NAME_BYTES];
    char host[QN_PROGRESS_HOST_BYTES];
    char told_name[QN_PROGRESS_NAME_BYTES], told_host[QN_PROGRESS_HOST_BYTES]; /* the queue's thread's */
} qn_progress;

/* What a stage came to. */
typedef struct qn_progress_sums {
    uint64_t tasks, records, read_bytes, sent_bytes, spilled_bytes;
    uint32_t busiest; /* the rank that worked longest, */
    double to_mean;   /* so many times the mean */
    double seconds;
} qn_progress_sums;

/* How far a stage is. What an earlier attempt at the job did says nothing of how quick this one is. */
typedef struct qn_progress_tasks {
    uint64_t bytes_done, bytes_before, bytes_all; /* before: of those done, by an earlier attempt */
    uint32_t tasks_done, tasks_all;               /* all 0: it reads earlier results */
} qn_progress_tasks;

/* Of zeroed memory that stays where it is. QUERN_ERROR_NO_MEMORY. */
quern_status qn_progress_init(qn_progress *progress, qn_error *error);
/* Everything is told before. Takes zeroed memory. */
void qn_progress_fini(qn_progress *progress);
/* To those who listen by now, if this is rank 0. Without a thread for it nobody is told, which is no reason to end a job. */
void qn_progress_start(qn_progress *progress, bool is_first_rank, struct qn_job_status *status, struct qn_board *board);

/* A run, with all attempts at it; then each attempt. */
void qn_progress_open_run(qn_progress *progress);
void qn_progress_begin_run(qn_progress *progress, uint32_t stage_count);
/* text: why it failed. */
void qn_progress_end_run(qn_progress *progress, quern_status status, const char *text);
/* Returns when whoever listens was told everything. */
void qn_progress_drain(qn_progress *progress);

/* number: from 1. Copies, as all below. */
void qn_progress_begin_stage(qn_progress *progress, uint32_t number, uint32_t count, const char *name);
/* It works no more, whether it succeeded or not. */
void qn_progress_rest(qn_progress *progress);
void qn_progress_end_stage(qn_progress *progress, const qn_progress_sums *sums);
/* How far the stage is. */
void qn_progress_update(qn_progress *progress, const qn_progress_tasks *tasks);

/* By any thread. */
void qn_progress_tell(qn_progress *progress, quern_event_kind kind, const char *text);
/* What somebody should look at; in the status, too. */
void qn_progress_alert(qn_progress *progress, const char *kind, const char *text);
/* What is good to know. */
void qn_progress_say(qn_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "1.25 GB" in decimal units; the text is one of four static ones of the thread, in turn. */
const char *qn_progress_bytes(uint64_t bytes);

#endif
