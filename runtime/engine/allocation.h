/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/allocation.h: what a batch system says of the job that we are in.
 *
 * Newer versions of SLURM tell the end of a job in SLURM_JOB_END_TIME; older ones are asked, by one call of squeue.
 */
#ifndef QN_ENGINE_ALLOCATION_H
#define QN_ENGINE_ALLOCATION_H

#include <stdbool.h>
#include <stdint.h>

/* Until the end of the batch job, at least 1; 0: there is none, or nobody knows. may_ask: by a command, which may take seconds. */
uint64_t qn_allocation_left_ns(bool may_ask);

#endif
