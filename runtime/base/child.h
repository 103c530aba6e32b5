/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/child.h: a process of our own that runs code that may crash.
 *
 * A child is a copy of this process with one thread. It ends with this process, whatever ends that, and never runs what the program put
 * off to its end (atexit, streams with text in them): a call of exit() in it is an end like a crash. Signals that a terminal or
 * a launcher sends to all processes of a group do nothing to it, since its parent decides; other handlers are gone, but last words
 * (crash.h) are spoken. Descriptors stay open, so that code may go on reading what the program opened. Where memory runs out,
 * the system is asked to end the child first.
 *
 * Whoever forks holds all locks that the child needs, or makes sure that it needs none: other threads are gone in it, their locks are not.
 */
#ifndef QN_BASE_CHILD_H
#define QN_BASE_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/status.h"

typedef struct qn_child {
    pid_t pid;   /* 0: there is none */
    int outcome; /* when it has ended: of waitpid(), or -1 where somebody else asked first */
} qn_child;

/* Runs in the child; when it returns the child ends, and what it printed is written. */
typedef void (*qn_child_fn)(void *user);

/* QUERN_ERROR_SYSTEM. Local; from the thread that goes on living until the child has ended. */
quern_status qn_child_start(qn_child *child, qn_child_fn run, void *user, qn_error *error);
/* Whether it has ended; never waits. Then there is none any more, and outcome says how. */
bool qn_child_has_ended(qn_child *child);
/* Waits for its end until then, and ends it if it is still there. */
void qn_child_end(qn_child *child, uint64_t patience_ns);
/* Sends it a signal. */
void qn_child_signal(const qn_child *child, int number);
/* How one ended, as words: "signal 11 (Segmentation fault)". */
void qn_child_describe(const qn_child *child, char *text, size_t bytes);

#endif
