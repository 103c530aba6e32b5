/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/stage_parts.h: parts of an output that earlier attempts at the job finished, in a stage that goes on with them; and what a rank tells of
 * those that it makes.
 *
 * The directory was taken over with them (qn_output_prepare), so they have temporary names of this attempt. Each is read by one rank before
 * anything relies on it: its task counts as done only if size and checksum are those that the journal says. It is that rank's part then, as if it had
 * made it, and is committed or removed with its others.
 */
#ifndef QN_ENGINE_STAGE_PARTS_H
#define QN_ENGINE_STAGE_PARTS_H

#include "runtime/engine/stage_run.h"

/* Compares run->kept with what is there, and drops from it what is not as it was. Collective; all ranks have the same list then. */
quern_status qn_stage_verify_parts(qn_stage_run *run, qn_error *error);
/* Whether all outputs of the run are still this job's; a qn_master_check_fn of a qn_stage_run. Rank 0. */
quern_status qn_stage_check_outputs(void *run, qn_error *error);
/* goes_on: the tasks are those that made them; else they are removed. Collective. */
quern_status qn_stage_take_up_parts(qn_stage_run *run, bool goes_on, qn_error *error);
/* The part that was finished last, as a message says it; empty: nothing is to be said of it. Freed by the caller. QUERN_ERROR_NO_MEMORY. */
quern_status qn_stage_describe_part(const qn_stage_run *run, qn_buffer *part_out, qn_error *error);

#endif
