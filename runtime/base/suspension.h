/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/suspension.h: signals that ask a job to end soon, so that it can be gone on with later.
 *
 * SIGUSR1 leaves the time to save what there is; after SIGTERM a launcher kills within some seconds. The handlers only note it: who works
 * looks now and then. Where the program has a handler of its own for one of these signals, or ignores it, that stays.
 */
#ifndef QN_BASE_SUSPENSION_H
#define QN_BASE_SUSPENSION_H

#include <stdbool.h>
#include <stdint.h>

/* In a process once at a time; the next ones only count. Local. */
void qn_suspension_watch(void);
/* What was asked for is forgotten with the last one. Handlers that others put in place meanwhile stay. */
void qn_suspension_unwatch(void);

/* As a signal does that leaves time. */
void qn_suspension_ask(void);
bool qn_suspension_is_asked(void);
/* When the process was told to end at once (qn_clock_ns()); 0: it was not. */
uint64_t qn_suspension_since_ns(void);

#endif
