/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/epochs.h: when what there is of a job is made durable, and when it is to end though it is not over.
 *
 * Intuition. Saving costs time, and so does working again what was not saved. Where failures come at random, M apart on average, and
 * saving takes C, the loss is least if one saves every sqrt(2 C M) (Young 1974; Daly 2006 for its correction by C). M is a node's divided by
 * the number of nodes. However often things fail, saving is to take a twentieth of the time at most: so never sooner than 20 C after the last
 * time. The end of a stage is a good moment, since nothing has to be stopped for it: there only the second rule holds. Where the user says how
 * often, that is done, and at the end of every stage.
 *
 * C is what it took last; before, what the bytes that there are would take at SAVE_BYTES_PER_S, and a little for syncing. Bytes that were not
 * there last time cost what those then did. But a small epoch says little of bytes, since it would have taken most of its time without any: so it is
 * mixed with what is assumed, as if that had been seen on TELLING_BYTES more. If too much were foreseen, no epoch would be cut for hours; if too
 * little is, the next one is a lesson.
 *
 * A job is to end when a signal says so, or when the end of its time comes so near that an epoch just fits, and before it what the ranks have in hand:
 * a task can be left between steps only, blocks of records, and one may take long if callbacks do. So the longest that this rank saw in the stage is kept free too, or
 * what the present one takes already; other ranks' may be longer. Rank 0 decides all of this. It knows no
 * MPI and no files.
 */
#ifndef QN_ENGINE_EPOCHS_H
#define QN_ENGINE_EPOCHS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct qn_epochs {
    uint64_t every_ns;      /* asked for; 0: by the rules above */
    uint64_t failure_ns;    /* M of the job */
    uint64_t deadline_ns;   /* UINT64_MAX: none */
    uint64_t last_ns;       /* when the last one was cut, or the job began */
    uint64_t cost_ns;       /* of the last one; 0: there was none */
    uint64_t cost_bytes;    /* that it was of */
    uint64_t terminated_ns; /* when the job was told to end within a second; 0: it was not */
    uint64_t step_ns;       /* the longest step of the stage; 0: there was none */
    uint64_t step_since_ns; /* the present one's begin; 0: there is none */
    bool is_to_end;         /* once it is, it stays so */
} qn_epochs;

/* What saving so many bytes on this rank, about as many as on others, would cost. */
uint64_t qn_epochs_foresee_cost_ns(const qn_epochs *epochs, uint64_t bytes);
/* Within a stage. */
bool qn_epochs_is_due(const qn_epochs *epochs, uint64_t now_ns, uint64_t bytes);
/* At the end of one. */
bool qn_epochs_pays(const qn_epochs *epochs, uint64_t now_ns, uint64_t bytes);
/* Begun at start_ns, over now. */
void qn_epochs_note(qn_epochs *epochs, uint64_t start_ns, uint64_t now_ns, uint64_t bytes);

/* A step of a task begins, and ends. */
static inline void qn_epochs_begin_step(qn_epochs *epochs, uint64_t now_ns)
{
    epochs->step_since_ns = now_ns;
}
void qn_epochs_end_step(qn_epochs *epochs, uint64_t now_ns);
/* The stage is over, and the next one's steps are others. */
void qn_epochs_forget_steps(qn_epochs *epochs);

/* Whether the job is to end now; looks at the clock and keeps the answer. */
bool qn_epochs_must_end(qn_epochs *epochs, uint64_t now_ns, uint64_t bytes);
/* Whether there is time to save before. */
bool qn_epochs_may_save(const qn_epochs *epochs, uint64_t now_ns, uint64_t bytes);

#endif
