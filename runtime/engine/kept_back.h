/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/kept_back.h: records of a leg that do not go to the chain's end yet, and what was counted for them.
 *
 * Of attempts of which it is not known whether they count (second_run.h), and of pieces of a packed file whose turn in the order of the input has
 * not come (lend_run.h). While it lasts, the chain ends in a log, which is bounded; what was counted can be taken back to any point
 * between two steps at which it was noted.
 */
#ifndef QN_ENGINE_KEPT_BACK_H
#define QN_ENGINE_KEPT_BACK_H

#include "runtime/engine/stage_run.h"
#include "runtime/exec/record_log.h"

typedef struct qn_kept_back {
    qn_chain *chain;
    qn_chain_end_fn end; /* of the chain otherwise */
    void *end_user;
    qn_record_log log;
    bool is_full; /* a step failed for want of room */
} qn_kept_back;

/* From now on records of the leg stay in the log, until they are more than so many bytes: then a step fails. */
void qn_kept_back_begin(qn_kept_back *kept, qn_stage_run *run, uint32_t leg, uint64_t bytes_max);
/* Those that come now go where they should. The log stays. */
void qn_kept_back_end(qn_kept_back *kept);
void qn_kept_back_fini(qn_kept_back *kept); /* takes a zeroed one */

/* Sends the records of a log to the end, from the one of that number on: outside of the gate, as ends of chains are called. */
quern_status qn_kept_back_deliver(qn_stage_run *run, uint32_t leg, qn_record_log *log, size_t from, qn_error *failure);

/* What was counted in a leg up to now, its chain's tally and the records of its source: [qn_leg_tally_count()]. Between steps. */
size_t qn_leg_tally_count(const qn_stage_run *run, uint32_t leg);
void qn_leg_tally(const qn_stage_run *run, uint32_t leg, uint64_t *tally_out);
/* What was counted between the two does not count. */
void qn_leg_take_back(qn_stage_run *run, uint32_t leg, const uint64_t *from, const uint64_t *to);

#endif
