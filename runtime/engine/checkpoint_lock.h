/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/checkpoint_lock.h: one job at a time in a checkpoint, wherever it runs.
 *
 * Intuition. Rank 0 holds flock() on a file, which ends with the process; that is enough on one machine, and on file systems that know locks of
 * other machines. Many do not, and a job that goes on from a checkpoint often runs elsewhere, because a node died. So the file
 * also has a beat (runtime/base/beat.h). Whoever finds the file of another machine, not
 * locked, watches it: if the number grows, that job lives; if not, it is dead, and the lock is taken over.
 *
 * A holder that was stopped for longer than others watch may find the file to be somebody else's. It asks (qn_checkpoint_lock_is_held) before
 * it makes anything durable. Between asking and writing there is a gap of microseconds; a job that is stopped just there, and taken over,
 * could add a line to a journal that is not its own any more. Journals name the attempt in every line, and a reader drops lines of an
 * attempt that is not the last that began.
 */
#ifndef QN_ENGINE_CHECKPOINT_LOCK_H
#define QN_ENGINE_CHECKPOINT_LOCK_H

#include <stdbool.h>

#include "runtime/base/beat.h"
#include "runtime/base/status.h"

typedef struct qn_checkpoint_lock {
    char *path; /* owned; NULL: not taken */
    int fd;
    qn_beat beat;
} qn_checkpoint_lock;

/* Takes the lock at `path`, waiting QN_BEATS_MISSED_MAX beats where it is another machine's. QUERN_ERROR_CHECKPOINT: a job that lives has it,
 * or it cannot be made; QUERN_ERROR_NO_MEMORY, QUERN_ERROR_SYSTEM. */
quern_status qn_checkpoint_lock_take(qn_checkpoint_lock *lock, const char *path, qn_error *error);
/* Whether the file still says so. */
bool qn_checkpoint_lock_is_held(const qn_checkpoint_lock *lock);
/* Removes the file if it is ours, and ends the lock. Takes one that was not taken. */
void qn_checkpoint_lock_drop(qn_checkpoint_lock *lock);

#endif
