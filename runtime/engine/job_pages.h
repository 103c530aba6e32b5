/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/job_pages.h: a report as files for people and for other programs: a page, a trace, and metrics.
 *
 * All three are made of the report's JSON alone. So the library writes them when a run ends, without anything but itself, also where it failed, and the
 * command `quern report` makes them again, of any report. What draws is in the page (report_page.html), which the library only fills in: a browser
 * has what it takes to draw, and the library stays small.
 *
 * Files are written under another name and renamed, so that whoever looks sees whole ones. Rank 0 only; knows no MPI.
 */
#ifndef QN_ENGINE_JOB_PAGES_H
#define QN_ENGINE_JOB_PAGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "runtime/base/log.h"

#define QN_PAGE_RANKS_MAX   1024   /* are shown; of more, as many evenly over all */
#define QN_TRACE_EVENTS_MAX 200000 /* about; of more ranks each has fewer */

/* Writes report.html, trace.json and metrics.prom into the directory. A file that cannot be written is said in the log, and the one that was there stays;
 * false: there was one, and errno says why the last one could not be written. */
bool qn_job_pages_write(const char *directory, const json_t *report, const qn_log *log);

/* Removes these files and report.json, of a job before in that directory: nobody is to take them for this one's. What is not a plain file stays. */
void qn_job_pages_remove(const char *directory);

/* The same for a program that has run after run: at most once a second. */
typedef struct qn_job_pages {
    json_t *pending; /* of the last run, not shown yet; owned; NULL: none */
    uint64_t shown_ns;
} qn_job_pages;

/* has_failed: it is shown at once. */
void qn_job_pages_update(qn_job_pages *pages, const char *directory, json_t *report, bool has_failed,
                         const qn_log *log);
/* Shows what is pending, and forgets it. Takes a zeroed one. */
void qn_job_pages_fini(qn_job_pages *pages, const char *directory, const qn_log *log);

/* One each; false: the stream has an error, or there was no memory. Hostile reports make odd pages, and no others. */
bool qn_page_write(FILE *to, const json_t *report);
bool qn_trace_write(FILE *to, const json_t *report);
bool qn_metrics_write(FILE *to, const json_t *report);

#endif
