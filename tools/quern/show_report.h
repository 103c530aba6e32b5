/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/show_report.h: the page of a job that could not write one. */
#ifndef QUERN_TOOLS_SHOW_REPORT_H
#define QUERN_TOOLS_SHOW_REPORT_H

/* A job that has this directory is over: if it did not come to its end, its page says how far it was. */
void quern_report_killed(const char *directory);

#endif
