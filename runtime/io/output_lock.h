/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/output_lock.h: one job at a time in an output directory, and what a killed one left told from what a live one writes.
 *
 * Intuition. Rank 0 of a job makes the file QN_OUTPUT_LOCK_NAME in the directory before anything else, writes into it which
 * machine and process it is, and holds flock() on it until it removes it. Making it is exclusive on every file system. The
 * lock ends with the process, however it ends, so a file that is there and not locked is of a job that was killed.
 *
 * But many shared file systems keep locks to each machine, by default or by the options of a mount, without a word. So a lock that
 * could be taken says something only about jobs on the same machine since it was started (the kernel's boot_id); a file from
 * elsewhere is respected whether it is locked or not. The price: what a job that was killed on another machine left has to be
 * removed by hand.
 *
 * Rejected: asking whether the process is alive (containers do not see each other's processes); a file that must be
 * touched now and then (a master that is stopped for a while would lose its directory while its ranks write on).
 */
#ifndef QN_IO_OUTPUT_LOCK_H
#define QN_IO_OUTPUT_LOCK_H

#include <stdbool.h>

#include "runtime/base/status.h"

#define QN_OUTPUT_LOCK_NAME ".quern-lock"

typedef struct qn_output_lock {
    char *path; /* NULL: not taken */
    int fd;
    bool named;    /* the file is still there and ours */
    bool was_left; /* a job that was killed had it */
} qn_output_lock;

/* Takes it, a killed job's too. *gone_out: the directory or the lock went away meanwhile, try again; the status is then
 * QUERN_OK, and the lock not taken. QUERN_ERROR_OUTPUT_EXISTS if another job has it, or if that cannot be known;
 * QUERN_ERROR_OUTPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_output_lock_take(qn_output_lock *lock, const char *directory, bool *gone_out, qn_error *error);
/* Removes the file; the lock itself stays until it is dropped. Takes one that was not taken. */
void qn_output_lock_remove(qn_output_lock *lock);
/* Removes the file if it is still there, and ends the lock. Takes one that was not taken. */
void qn_output_lock_drop(qn_output_lock *lock);

#endif
