/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/output_lock.h: one job at a time in an output directory, and what a killed one left told from what a live one writes.
 *
 * Intuition. Rank 0 of a job makes the file QN_OUTPUT_LOCK_NAME in the directory before anything else, writes into it which
 * machine and process it is, and holds flock() on it until it removes it. Making it is exclusive on every file system. The
 * lock ends with the process, however it ends, so a file that is there and not locked is of a job that was killed.
 *
 * But many shared file systems keep locks to each machine, by default or by the options of a mount, without a word. So a lock that
 * could be taken says something only about jobs on the same machine since it was started (the kernel's boot_id). From elsewhere the
 * file is watched (runtime/base/beat.h): its owner lives if it still writes there. If it does not for QN_BEATS_MISSED_MAX beats, the lock is taken over.
 *
 * That owner may only have been stopped. It is fenced: who takes over puts a file of his own in the place of the lock, and only then removes what
 * there is. An owner makes what it commits under names that hold its token, then looks whether the lock is still its own, then renames. A name that is older than
 * the take-over is gone; of one that is younger the owner does not believe that it may be used (docs/explanation/faults.md).
 *
 * Rejected: asking whether the process is alive (containers do not see each other's processes); writing into the lock that is
 * taken over (a beat that its stopped owner was about to write would make it the owner again).
 */
#ifndef QN_IO_OUTPUT_LOCK_H
#define QN_IO_OUTPUT_LOCK_H

#include <stdbool.h>

#include "runtime/base/beat.h"
#include "runtime/base/status.h"

#define QN_OUTPUT_LOCK_NAME        ".quern-lock"
#define QN_OUTPUT_OWNER_TEXT_BYTES 112

typedef struct qn_output_lock {
    char *path; /* NULL: not taken */
    int fd;
    bool named;                               /* the file is still there and ours */
    bool was_left;                            /* a job that was killed had it */
    char left_by[QN_OUTPUT_OWNER_TEXT_BYTES]; /* whom, if it was on another machine, which was watched; else "" */
    char token[QN_BEAT_TOKEN_BYTES];
    qn_beat *beat; /* owned */
} qn_output_lock;

/* Takes it, a killed job's too; may watch for QN_BEATS_MISSED_MAX beats and one more. *gone_out: the directory or the lock went away meanwhile, try again; the
 * status is then QUERN_OK, and the lock not taken. QUERN_ERROR_OUTPUT_EXISTS if another job has it, or if that cannot be known;
 * QUERN_ERROR_OUTPUT, QUERN_ERROR_SYSTEM, QUERN_ERROR_NO_MEMORY. */
quern_status qn_output_lock_take(qn_output_lock *lock, const char *directory, bool *gone_out, qn_error *error);
/* Whether it is still ours: nobody took it over. One that is not taken is not. */
bool qn_output_lock_is_held(const qn_output_lock *lock);
/* Ends the lock, and removes the file if it is still there and ours. Takes one that was not taken. */
void qn_output_lock_drop(qn_output_lock *lock);

#endif
