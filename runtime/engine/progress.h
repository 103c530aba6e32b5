/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/progress.h: lines on standard error about how far a job is, for the person who asked for them.
 *
 * On a terminal one line that is rewritten; elsewhere a line now and then, so that a log stays readable.
 */
#ifndef QN_ENGINE_PROGRESS_H
#define QN_ENGINE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct qn_job_status;

typedef struct qn_progress {
    struct qn_job_status *status; /* is told too; borrowed; NULL: none */
    bool shown;                   /* somebody wants it, and this is rank 0 */
    bool terminal;
    bool line_open; /* a line stands on the terminal without its end */
    uint64_t start_ns, next_ns;
    uint64_t every_ns;
} qn_progress;

void qn_progress_start(qn_progress *progress, bool shown, struct qn_job_status *status);
/* A line of its own. */
void qn_progress_say(qn_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Lines of their own, asked for or not; the text ends with the end of one. */
void qn_progress_show(qn_progress *progress, const char *text);
/* How far a stage is; says it only when it is time to. */
void qn_progress_update(qn_progress *progress, const char *stage, uint64_t bytes_done, uint64_t bytes_all,
                        uint32_t tasks_done, uint32_t tasks_all);
/* "1.25 GB" in decimal units; the text is one of four static ones in turn. */
const char *qn_progress_bytes(uint64_t bytes);

#endif
