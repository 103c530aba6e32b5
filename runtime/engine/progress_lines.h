/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/progress_lines.h: lines on standard error about how far a job is, for the person who asked for them.
 *
 * A client of the public events (quern/events.h), as one of a program's would be. On a terminal a line for each stage, which is rewritten while the
 * stage runs and stays as it was at its end; elsewhere a line every half a minute and at each stage's end, so that a log stays readable. Whatever is in
 * names, no control characters go out.
 */
#ifndef QN_ENGINE_PROGRESS_LINES_H
#define QN_ENGINE_PROGRESS_LINES_H

#include <quern/events.h>
#include <stdbool.h>

typedef struct qn_progress_lines {
    bool shows_lines; /* else plans only */
    bool shows_plans;
    bool terminal;
    bool line_open; /* a line stands on the terminal without its end */
    uint64_t every_ns, next_ns;
    uint32_t retry_count; /* of the run, so far */
} qn_progress_lines;

void qn_progress_lines_init(qn_progress_lines *lines, bool shows_lines, bool shows_plans);
/* A quern_progress_fn: user is the qn_progress_lines. */
void qn_progress_lines_draw(const quern_event *event, void *user);

#endif
