/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/output_lock.h"

static quern_status refuse(const char *directory, const qn_lock_owner *owner, qn_error *error)
{
    if (owner->is_alive)
        return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                            "the output directory %s is being written by another job (process %ld on %s): name another",
                            directory, owner->pid, owner->host);
    return qn_error_set(error, QUERN_ERROR_OUTPUT_EXISTS, 0,
                        "the output directory %s is being written by another job, or was left by one that was killed "
                        "(process %ld on %s): see that it has ended, then remove the directory, or name another",
                        directory, owner->pid, owner->host[0] ? owner->host : "a machine that is not known");
}

quern_status qn_output_lock_take(qn_lock_file *lock, const char *directory, bool *gone_out, qn_error *error)
{
    static const qn_lock_kind kind = {
        .name = QN_OUTPUT_LOCK_NAME, .mode = 0666, .failed = QUERN_ERROR_OUTPUT, .refuse = refuse};
    return qn_lock_file_take(lock, directory, &kind, gone_out, error);
}
