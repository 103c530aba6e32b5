/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/checkpoint_lock.h"

#define TAKE_COUNT_MAX 100 /* while others take and drop it */

static quern_status refuse(const char *directory, const qn_lock_owner *owner, qn_error *error)
{
    if (owner->is_alive)
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0,
                            "a job that is running has the checkpoint of %s (process %ld on %s)", directory, owner->pid,
                            owner->host);
    return qn_error_set(
        error, QUERN_ERROR_CHECKPOINT, 0,
        "a job has the checkpoint of %s, or was killed (process %ld on %s): see that it has ended, then "
        "remove %s/" QN_CHECKPOINT_LOCK_NAME,
        directory, owner->pid, owner->host[0] ? owner->host : "a machine that is not known", directory);
}

quern_status qn_checkpoint_lock_take(qn_lock_file *lock, const char *directory, qn_error *error)
{
    static const qn_lock_kind kind = {
        .name = QN_CHECKPOINT_LOCK_NAME, .mode = 0600, .failed = QUERN_ERROR_CHECKPOINT, .refuse = refuse};
    for (int i = 0; i < TAKE_COUNT_MAX; i++) {
        bool gone = false;
        quern_status status = qn_lock_file_take(lock, directory, &kind, &gone, error);
        if (status != QUERN_OK || !gone)
            return status;
    }
    return qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0, "other jobs begin and end with the checkpoint of %s",
                        directory);
}
