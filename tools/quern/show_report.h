/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/show_report.h: reports of jobs, and the page of one that could not write it. */
#ifndef QUERN_TOOLS_SHOW_REPORT_H
#define QUERN_TOOLS_SHOW_REPORT_H

#include <jansson.h>

/* The report of a job, by its directory or its number in SLURM, or in a file. The caller releases it; NULL: there is none, which was said. */
json_t *quern_report_load(const char *name);

/* A job that has this directory is over: if it was killed in a run, its page says how far it was; else the page is that of its last run. */
void quern_report_killed(const char *directory);

#endif
