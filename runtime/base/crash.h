/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/crash.h: last words of a process that a signal ends: what it worked on, and where.
 *
 * After SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGABRT, once in a process: the signal, what the watcher tells, and the calls that led
 * there go to standard error; then whoever handled the signal before does (not MPI's library: runtime/comm/launch.c), and the process ends as it
 * would have. The process is broken by then, and what is told may crash again, or hang: the first ends the last words, the second
 * is ended after some seconds.
 */
#ifndef QN_BASE_CRASH_H
#define QN_BASE_CRASH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Writes text with a NUL, at most `bytes`. */
typedef void (*qn_crash_tell_fn)(char *text, size_t bytes, void *user);

/* False: the process is watched already. Local; the calling thread's stack may overflow and it is told nevertheless. */
bool qn_crash_watch(qn_crash_tell_fn tell, void *user);
/* Only of who began it. Handlers that others put in place meanwhile stay. */
void qn_crash_unwatch(void);
/* In a child of a process that is watched: so is the child, but nobody else handles its signals. Where none is, they end the child. */
void qn_crash_watch_child(void);
/* A line of the watcher's about a process that ended, or does not go on; where this process is not watched, nothing. */
void qn_crash_say(const char *line);

/* Ends the process with this exit status because a thread of it does not go on: where the process is watched, with last words that are of
 * that thread, and the calls in which it is stuck. Does not return. */
void qn_crash_end(pthread_t stuck, int status);
/* The same without last words: it is another process that does not go on. */
void qn_crash_end_now(int status);

/* The same, however those two do it. */
_Noreturn void qn_crash_exit(int status);
/* From now on those two end it by SIGKILL: where the launcher lets the others live, they are told of signals only. */
void qn_crash_end_by_signal(void);

#endif
