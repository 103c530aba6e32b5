/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/helpers.h: which ranks without tasks help which ranks whose task only one can read. The master's part of lending
 * (loans.h).
 *
 * A rank that holds nothing, while no task is pending, is told to a rank that reads a packed file: to the one with the fewest helpers. That
 * rank lends to it by itself. When its last packed task is over, its helpers are free again. A helper may get a task of its own at
 * any time; it then works on what comes first.
 */
#ifndef QN_ENGINE_HELPERS_H
#define QN_ENGINE_HELPERS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

#define QN_HELPERS_MAX 16 /* of one rank: unpacking is never so much faster than working */

typedef struct qn_rank_hands {
    uint32_t tasks;  /* in hand */
    uint32_t packed; /* of these, packed files */
    uint32_t helper_count;
    uint32_t helps; /* whom; UINT32_MAX: nobody */
} qn_rank_hands;

typedef struct qn_helpers {
    qn_rank_hands *ranks; /* [rank_count]; NULL: no task of the stage is packed */
    uint32_t rank_count;
    uint32_t packed; /* tasks in all hands */
    bool changed;    /* since helpers were looked for last */
} qn_helpers;

/* For a stage with packed tasks. QUERN_ERROR_NO_MEMORY. */
quern_status qn_helpers_init(qn_helpers *helpers, uint32_t rank_count, qn_error *error);
void qn_helpers_fini(qn_helpers *helpers); /* takes a zeroed one */

/* A task was given to a rank, or came back from it, done or failed. */
void qn_helpers_give(qn_helpers *helpers, uint32_t rank, bool is_packed);
void qn_helpers_take_back(qn_helpers *helpers, uint32_t rank, bool is_packed);

/* No task is pending: the next rank that is to help, and whom. False: none. */
bool qn_helpers_next(qn_helpers *helpers, uint32_t *helper_out, uint32_t *lender_out);

#endif
