/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/output_lock.h: one job at a time in an output directory, and what a killed one left told from what a live one writes.
 *
 * It is a lock_file.h. Who was taken over is kept from the directory by names: an owner makes what it commits under names that hold its token, then looks
 * whether the lock is still its own, then renames. A name that is older than
 * the take-over is gone; of one that is younger the owner does not believe that it may be used (docs/explanation/faults.md).
 */
#ifndef QN_IO_OUTPUT_LOCK_H
#define QN_IO_OUTPUT_LOCK_H

#include "runtime/base/lock_file.h"

#define QN_OUTPUT_LOCK_NAME ".quern-lock"

/* As qn_lock_file_take(). QUERN_ERROR_OUTPUT_EXISTS if another job has it, or if that cannot be known; QUERN_ERROR_OUTPUT. */
quern_status qn_output_lock_take(qn_lock_file *lock, const char *directory, bool *gone_out, qn_error *error);

#endif
