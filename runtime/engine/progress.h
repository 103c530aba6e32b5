/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/progress.h: lines on standard error about how far a job is, for the person who asked for them.
 *
 * On a terminal a line for each stage, which is rewritten while the stage runs and stays as it was at its end; elsewhere a line every half a
 * minute and at each stage's end, so that a log stays readable. Whatever is in names, no control characters go out.
 */
#ifndef QN_ENGINE_PROGRESS_H
#define QN_ENGINE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct qn_job_status;
struct qn_board;

#define QN_PROGRESS_NAME_BYTES 64

typedef struct qn_progress {
    struct qn_job_status *status; /* is told too; borrowed; NULL: none */
    struct qn_board *board;       /* of all ranks; the same */
    bool shown;                   /* somebody wants it, and this is rank 0 */
    bool terminal;
    bool line_open;             /* a line stands on the terminal without its end */
    uint64_t start_ns, next_ns; /* of the stage; of the next line */
    uint64_t every_ns;
    uint32_t stage, stage_count; /* from 1 */
    char name[QN_PROGRESS_NAME_BYTES];
} qn_progress;

/* What a stage came to. */
typedef struct qn_progress_sums {
    uint64_t tasks, records, read_bytes, sent_bytes, spilled_bytes;
    uint32_t busiest; /* the rank that worked longest, */
    double to_mean;   /* so many times the mean */
    double seconds;
} qn_progress_sums;

void qn_progress_start(qn_progress *progress, bool shown, struct qn_job_status *status, struct qn_board *board);
/* number: from 1. Copies. */
void qn_progress_begin_stage(qn_progress *progress, uint32_t number, uint32_t count, const char *name);
void qn_progress_end_stage(qn_progress *progress, const qn_progress_sums *sums);
/* A line of its own. */
void qn_progress_say(qn_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Lines of their own, asked for or not; the text ends with the end of one. */
void qn_progress_show(qn_progress *progress, const char *text);
/* How far the stage is; says it only when it is time to. tasks_all 0: it reads earlier results. */
void qn_progress_update(qn_progress *progress, uint64_t bytes_done, uint64_t bytes_all, uint32_t tasks_done,
                        uint32_t tasks_all);
/* "1.25 GB" in decimal units; the text is one of four static ones in turn. */
const char *qn_progress_bytes(uint64_t bytes);

#endif
