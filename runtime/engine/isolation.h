/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/isolation.h: a stage's chains in a process of their own (runtime/exec/apart.h), and tasks that go through it.
 */
#ifndef QN_ENGINE_ISOLATION_H
#define QN_ENGINE_ISOLATION_H

#include "runtime/engine/stage_run.h"

/* When the chains are prepared, and before they are finished; the latter where there was no begin, too. Outside of the gate. */
quern_status qn_isolation_begin(qn_stage_run *run, qn_error *error);
void qn_isolation_end(qn_stage_run *run);

/* Whether blocks of a leg's tasks go through it many at once. */
bool qn_isolation_takes_loads(const qn_stage_run *run, uint32_t leg);

/* What qn_isolation_run() did. */
typedef struct qn_load_outcome {
    uint64_t record_count; /* of the blocks that went through */
    uint32_t block_count;
    bool more;         /* there may be more blocks in the task */
    bool read_failed;  /* the failure is of the block that could not be read, not of one that was run */
    qn_text_place at;  /* of the block that failed when it was run, */
    bool must_go_back; /* behind which the source is now */
} qn_load_outcome;

/* Some blocks of an open task, outside of the gate. skip: of the first one. */
quern_status qn_isolation_run(qn_stage_run *run, uint32_t leg, qn_source *source, uint64_t skip,
                              qn_load_outcome *outcome_out, qn_error *failure);

#endif
