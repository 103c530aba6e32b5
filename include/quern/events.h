/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/events.h: what a job does while it works, told to a function of the program's.
 *
 *     extern void draw_bar(const quern_event *event, void *user); // looks at event->kind, tasks_done, tasks_all
 *     quern_status status = quern_on_progress(context, draw_bar, stderr);
 *     if (status == QUERN_OK)
 *         status = quern_run(context); // rank 0 calls draw_bar meanwhile
 *
 * When it is called. On rank 0 alone, at once when something happens, and five times a second while a stage runs (QUERN_EVENT_PROGRESS). Events
 * come one at a time, in the order in which they happened. The last one of each run is QUERN_EVENT_RUN_ENDED, or with the option explain the plan
 * behind it, and quern_run() does not return before that was told. Figures of other ranks are a second old, more with thousands of ranks.
 *
 * From where. From a thread of the library's own, which holds no lock and takes no signals, while the thread that called quern_run() works on: what
 * both touch needs a lock, or atomics. A function that takes long costs the job nothing until the run ends: figures in between are then passed
 * over, and of other events those beyond 1,024 that wait (passed_over counts them).
 *
 * What it may not do: call the library with the context or anything of it, jump out (longjmp, exceptions), or call MPI unless that was
 * initialised with MPI_THREAD_MULTIPLE.
 *
 * What it costs. Without a function (and without the options progress and job) nothing is gathered. With one each rank gathers its figures once a second.
 */
#ifndef QUERN_EVENTS_H
#define QUERN_EVENTS_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quern_event_kind {
    QUERN_EVENT_RUN_BEGUN =
        1, /* stage_count is known; some stages may be left out. After a loss of ranks it comes again, of the same run */
    QUERN_EVENT_STAGE_BEGUN = 2, /* stage and stage_name are, too */
    QUERN_EVENT_PROGRESS = 3,    /* figures of the stage so far */
    QUERN_EVENT_STAGE_ENDED = 4, /* figures of all of it; a stage that failed does not end but with its run */
    QUERN_EVENT_RETRY = 5,       /* an attempt failed, and there will be another; text says where and why */
    QUERN_EVENT_LOSS = 6,        /* ranks were lost, and the others go on; text says which */
    QUERN_EVENT_CHECKPOINT = 7,  /* something was saved; text says what */
    QUERN_EVENT_ALERT = 8,       /* something that somebody should look at; topic is its kind, as in the report */
    QUERN_EVENT_NOTE = 9,        /* what is good to know: a line of text */
    QUERN_EVENT_PLAN = 10,       /* with the option explain: the plan, with figures; lines of text */
    QUERN_EVENT_RUN_ENDED = 11,  /* status says how, text why it failed; read_bytes and seconds are the run's */
} quern_event_kind;

#define QUERN_EVENT_NO_RANK UINT32_MAX

/* All of it lives until the function returns. Texts are never NULL; they are the user's and the system's words, in which any bytes may be. */
typedef struct quern_event {
    size_t struct_size; /* of the library's */
    int kind;           /* quern_event_kind; pass over kinds that you do not know */
    int status;         /* quern_status: of QUERN_EVENT_RUN_ENDED; else QUERN_OK */
    uint32_t run;       /* of the context, from 1; 0 before the first */
    uint32_t stage;     /* of the run, from 1: the one that runs, or the last one; 0 before the first */
    uint32_t stage_count;
    uint32_t
        slowest_rank; /* who of those that work has read the fewest records, or is silent; when the stage has ended, who worked longest.
                             * QUERN_EVENT_NO_RANK: none */
    int slowest_is_silent;  /* it has given no sign of life for 5 seconds */
    double slowest_to_mean; /* when the stage has ended: its work by the mean of all ranks; else 0 */
    double seconds;         /* since the stage began; of QUERN_EVENT_RUN_ENDED, since the run began */
    double seconds_left;    /* of the stage, by the input, or the records, that are left; negative: nobody knows */
    uint64_t tasks_done, tasks_all; /* tasks_all 0: the stage reads an earlier result */
    uint64_t bytes_done, bytes_all; /* of input: in tasks that are done, and in all */
    uint64_t records, read_bytes;   /* by all ranks so far, in tasks that are not done, too */
    uint64_t sent_bytes;            /* to other ranks, by the shuffle */
    uint64_t spilled_bytes;         /* to scratch */
    uint64_t alert_count;           /* in the run so far */
    uint64_t passed_over;   /* events that were not told since the context began, as the function took too long */
    const char *stage_name; /* of its source */
    const char *slowest_host;
    const char *topic, *text;
    uint64_t
        records_all; /* that all ranks read of earlier results and arrays in this stage, about; 0: nobody knows yet. seconds_left goes by them
                           * where there are no tasks */
} quern_event;

typedef void (*quern_progress_fn)(const quern_event *event, void *user);

/* Has fn called with what happens from now on, in the place of any function before; NULL: none. Local, from the thread that calls quern_run(), between
 * runs; only rank 0's is called, so that other ranks need not ask. Where ranks may be lost and the others go on (option recover), the next
 * rank 0's is called from then on, if it has one. user is borrowed until the context ends or another function takes its place. NULL instead of a context
 * gives the status of the quern_context_create() that failed. QUERN_ERROR_INVALID_ARGUMENT: within a run. QUERN_ERROR_SYSTEM: no thread can be started.
 * Since 0.1. Read next: docs/howto/see-a-job.md. */
QUERN_API quern_status quern_on_progress(quern_context *context, quern_progress_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
