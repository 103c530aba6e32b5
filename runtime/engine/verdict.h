/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/verdict.h: what a report says in words: what bounded the run, what to change, and what somebody should look at.
 *
 * Made of the report's figures alone, so that it can be made again from a file, by the command `quern report` too. Knows neither MPI nor clocks.
 */
#ifndef QN_ENGINE_VERDICT_H
#define QN_ENGINE_VERDICT_H

#include <jansson.h>

/* Sets `alerts` and `verdict` of a report, in the place of those that are there, but for silent ranks and disks that were full for a while, which figures do not show. Fields that are missing, or of another type, count as 0 or empty: the
 * file may be anybody's. */
void qn_verdict_set(json_t *report);

#endif
