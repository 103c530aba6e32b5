/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/recovery.h: the ranks that are left go on when others died, without the launcher starting anything again.
 *
 * Intuition. A job that died can be gone on with from its checkpoint by any number of ranks. So there is nothing to repair: everybody drops the run that
 * it was in, as if it had failed, and those who live begin it once more, among themselves, as a job that goes on. What was saved is not done
 * again; without a checkpoint all of the run is. Rank 0 is the lowest that lives, so the death of the master is nothing special.
 *
 * Dropping needs no talk: once a rank was lost all calls fail at once (comm.h). Then everybody comes to qn_recovery_conclude(), which is the one place where
 * it is decided, by all alike, whether what they did together was done, failed, or is to be done again. That a run was done is
 * decided there too, so no rank is out of it with the answer while another one does it again.
 *
 * Not begun again, but ended as the launcher would have done, so that whoever restarts jobs does: what needs something that only the dead had (arrays in memory, results of earlier runs:
 * to make them again, callbacks would have to be as they were then), or may have shown something of itself already (records that were handed to the program, an HDF5 file of all ranks, quarantine).
 *
 * Rejected: mending a run that goes on (a second protocol, of which only one in a hundred runs would be the test); spare ranks.
 */
#ifndef QN_ENGINE_RECOVERY_H
#define QN_ENGINE_RECOVERY_H

#include "runtime/engine/engine.h"

typedef enum qn_outcome {
    QN_OUTCOME_DONE,
    QN_OUTCOME_FAILED,
    QN_OUTCOME_AGAIN, /* after qn_recovery_go_on() */
} qn_outcome;

/* Where the job was before what is concluded began: that is what is done again. */
typedef struct qn_recovery_mark {
    uint32_t run;
    uint64_t history, past;
    bool past_is_unseen;
    const char *why_not; /* NULL, or why it could not be done again; static */
} qn_recovery_mark;

qn_recovery_mark qn_recovery_mark_here(const qn_engine *engine);

/* How what all ranks did together ended, with `status` here. why_not: NULL, or why it cannot be done again; static. Collective; the same on all ranks; where a
 * rank was lost and it cannot go on, it does not return, but inside a host application fails. */
qn_outcome qn_recovery_conclude(qn_engine *engine, const char *why_not, quern_status status, qn_error *error);
/* Makes a smaller job of those who live. Everything that was made in the communicator is gone by then, but for what the engine itself has. Collective; does
 * not return if it cannot, but inside a host application fails. */
quern_status qn_recovery_go_on(qn_engine *engine, qn_recovery_mark mark, qn_error *error);

#endif
