/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/run_view.h: what rank 0 shows of a run beside its figures: what each rank did when, its memory, and who sent how much to whom.
 *
 * All of it has a bound for each rank, however long the run was: the page and the trace are made of it. Ranks are taken together to at most
 * QN_ROUNDS_GROUPS_MAX groups where bytes between pairs are counted.
 */
#ifndef QN_ENGINE_RUN_VIEW_H
#define QN_ENGINE_RUN_VIEW_H

#include <jansson.h>

#include "runtime/engine/engine.h"
#include "runtime/shuffle/rounds.h"

#define QN_VIEW_COLUMNS        512
#define QN_VIEW_MEMORY_COLUMNS 64

typedef struct qn_rank_view {
    char letters[QN_VIEW_COLUMNS]; /* of states (timeline.h), over the time of the run by rank 0's clock */
    uint64_t ns[QN_TIMELINE_STATE_COUNT];
    uint64_t memory_bytes[QN_VIEW_MEMORY_COLUMNS];
    uint64_t clock_error_ns;
    uint64_t scratch_bytes, scratch_free_bytes; /* of the file system; 0: not known */
} qn_rank_view;

typedef struct qn_run_view {
    qn_rank_view *ranks; /* [size] on rank 0; NULL: nobody wants to see it */
    uint64_t begin_ns, end_ns;
    uint32_t group_count;
    uint64_t *bytes; /* [group_count * group_count]: from, to */
} qn_run_view;

/* Collective; the same outcome on all ranks. Where nobody wants to see it, nothing is gathered. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_MPI. */
quern_status qn_run_view_gather(qn_run_view *view, qn_engine *engine, qn_error *error);
void qn_run_view_fini(qn_run_view *view); /* takes a zeroed one */

/* Into the report's object, and into that of a rank. Nothing is set of a view that was not gathered. */
void qn_run_view_describe(const qn_run_view *view, json_t *report);
void qn_run_view_describe_rank(const qn_run_view *view, uint32_t rank, json_t *object);

#endif
