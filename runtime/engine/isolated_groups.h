/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/isolated_groups.h: the groups of a leg, whose callback runs in a process of its own that reads the result itself (turns in
 * runtime/exec/apart.h).
 */
#ifndef QN_ENGINE_ISOLATED_GROUPS_H
#define QN_ENGINE_ISOLATED_GROUPS_H

#include "runtime/engine/stage_run.h"
#include "runtime/exec/grouper.h"

/* Whether the groups of a leg are read so. */
bool qn_groups_are_isolated(const qn_stage_run *run, uint32_t leg);

/* All groups, outside the gate. config: as for a grouper in the rank, collators sorted. A group on which the process ended attempt_count_max times
 * fails the stage, and is named. */
quern_status qn_isolated_groups_run(qn_stage_run *run, uint32_t leg, const qn_grouper_config *config,
                                    qn_group_reads *reads_out, qn_error *error);

#endif
