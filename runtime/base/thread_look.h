/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/base/thread_look.h: what the kernel says of a thread, of this process or another one of this machine. */
#ifndef QN_BASE_THREAD_LOOK_H
#define QN_BASE_THREAD_LOOK_H

#include <stddef.h>
#include <sys/types.h>

/* 'R' runs, 'S' sleeps, 'D' waits for a disk or a file system, 'T' stopped, 't' held by a debugger, 'Z' ended; 0: there is none. */
char qn_thread_look_state(pid_t process, pid_t thread);

/* The same in words, with where in the kernel it waits and, for a thread of this process, in which call on which file, as far as the
 * kernel tells. Writes text with a NUL, at most `bytes`. */
void qn_thread_look_describe(pid_t process, pid_t thread, char *text, size_t bytes);

#endif
