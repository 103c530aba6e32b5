/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/checkpoint_lock.h: one job at a time in a checkpoint, wherever it runs.
 *
 * It is a lock_file.h. Who was taken over, and only stopped, is kept from the checkpoint so: it asks whether the lock is its own before it makes anything
 * durable and before it removes anything; and who took over goes on with a copy of the journal (qn_journal_renew), so that a line that was on its way
 * is written into a file that has no name any more. Files of results have the number of the attempt in their names, and those that a line names are
 * only added to. What remains is a file that is removed between such a question and its answer; whoever needs it finds it missing, and its stage is
 * done again, or the job fails.
 */
#ifndef QN_ENGINE_CHECKPOINT_LOCK_H
#define QN_ENGINE_CHECKPOINT_LOCK_H

#include "runtime/base/lock_file.h"

#define QN_CHECKPOINT_LOCK_NAME "lock"

/* Takes that of a directory, which is there; as qn_lock_file_take(). QUERN_ERROR_CHECKPOINT: a job that lives has it, or may, or it cannot be made. */
quern_status qn_checkpoint_lock_take(qn_lock_file *lock, const char *directory, qn_error *error);

#endif
