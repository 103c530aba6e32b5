/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/rank_shows.h: how figures of all ranks come to rank 0 while a stage runs.
 *
 * When a rank makes progress, and a second has passed, it writes its figures into the node's memory. The first rank of the node reads those of
 * all its ranks then and sends them to rank 0, QN_SHOWN_RANKS_MAX a message: nobody waits, and nobody answers. How long a rank has been
 * silent, who is stopped too, the first rank sees by the beats (heartbeat.h). Where ranks have no memory in common each sends its own, and
 * the more rarely the more there are. Nobody does anything where nobody wants to see it.
 *
 * Rejected: a message of each rank (rank 0 would take ten thousand a second for nothing); sums along a tree (which rank is slow is what one wants
 * to know); MPI in the thread of the beats (it is not allowed everywhere).
 */
#ifndef QN_ENGINE_RANK_SHOWS_H
#define QN_ENGINE_RANK_SHOWS_H

#include <stdbool.h>

#include "runtime/base/timeline.h"

struct qn_stage_run;

/* What the timeline had when the stage began; it may rest in between. */
typedef struct qn_rank_shows {
    bool has_begun;
    uint64_t counted_records; /* when it was shown last */
    uint64_t begin_ns[QN_TIMELINE_STATE_COUNT];
} qn_rank_shows;

/* Of a run whose agent has started, or has started again after a rest: from now on, if it is wanted. */
void qn_rank_shows_start(struct qn_stage_run *run);

#endif
