/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/lock_file.h: one job at a time in a directory, wherever it runs, and late ones kept from what is not theirs any more.
 *
 * Intuition. A job makes a file in the directory before anything else, writes into it which machine and process it is, and holds flock() on
 * it until it removes it. Making it is exclusive on every file system. The
 * lock ends with the process, however it ends, so a file that is there and not locked is of a job that was killed.
 *
 * But many shared file systems keep locks to each machine, by default or by the options of a mount, without a word, and some have none. So a lock that
 * could be taken says something only about jobs on the same machine since it was started (the kernel's boot_id). From elsewhere, and where
 * there are no locks, the file is watched (runtime/base/beat.h): its owner lives if it still writes there. If it does not for QN_BEATS_MISSED_MAX
 * beats, the lock is taken over.
 *
 * That owner may only have been stopped. It is fenced: who takes over puts a file of his own in the place of the lock, and only then touches what
 * there is. An owner looks whether the lock is still its own before it does what only the owner may; what it can be kept from by names, or by files that
 * were replaced, its users see to (docs/explanation/faults.md).
 *
 * Rejected: asking whether the process is alive (containers do not see each other's processes); writing into the lock that is
 * taken over (a beat that its stopped owner was about to write would make it the owner again).
 */
#ifndef QN_BASE_LOCK_FILE_H
#define QN_BASE_LOCK_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "runtime/base/beat.h"
#include "runtime/base/status.h"

#define QN_LOCK_OWNER_TEXT_BYTES 112

/* Who has a lock that is refused. */
typedef struct qn_lock_owner {
    long pid;                      /* negative: not known */
    char host[QN_BEAT_HOST_BYTES]; /* "": not known */
    bool is_alive;                 /* surely; else it may have been killed */
} qn_lock_owner;

/* What the locks of one kind have in common. */
typedef struct qn_lock_kind {
    const char *name; /* of the file; name.TOKEN is one that is about to become it */
    mode_t mode;
    quern_status failed; /* where the file cannot be made or read */
    /* Says whose it is. */
    quern_status (*refuse)(const char *directory, const qn_lock_owner *owner, qn_error *error);
} qn_lock_kind;

typedef struct qn_lock_file {
    char *path; /* NULL: not taken */
    int fd;
    bool named;                             /* the file is still there and ours */
    bool was_left;                          /* a job that was killed had it */
    char left_by[QN_LOCK_OWNER_TEXT_BYTES]; /* whom, if it had to be watched, so that it may still live; else "" */
    char token[QN_BEAT_TOKEN_BYTES];        /* this job's */
    qn_beat *beat;                          /* owned */
} qn_lock_file;

/* Takes it, a killed job's too; may watch for QN_BEATS_MISSED_MAX beats and one more. *gone_out: the directory or the lock went away meanwhile, try again; the
 * status is then QUERN_OK, and the lock not taken. As the kind says if another job has it, or if that cannot be known, and if it cannot be made;
 * QUERN_ERROR_SYSTEM, QUERN_ERROR_NO_MEMORY. kind: borrowed during the call. */
quern_status qn_lock_file_take(qn_lock_file *lock, const char *directory, const qn_lock_kind *kind, bool *gone_out,
                               qn_error *error);
/* Whether it is still ours: nobody took it over. One that is not taken is not. */
bool qn_lock_file_is_held(const qn_lock_file *lock);
/* Ends the lock, and removes the file if it is still there and ours. Takes one that was not taken. */
void qn_lock_file_drop(qn_lock_file *lock);

#endif
