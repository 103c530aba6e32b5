/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/sim_timeline.h: what will happen in the simulated world, in order of time (a heap).
 *
 * Happenings of the same time come in the order in which they were added, so that a run is reproducible.
 */
#ifndef QN_SCHEDULER_SIM_SIM_TIMELINE_H
#define QN_SCHEDULER_SIM_SIM_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn_sim_happening {
    uint64_t time_ns;
    uint32_t order; /* set by add */
    uint32_t rank, task;
    uint16_t kind, attempt;
} qn_sim_happening;

typedef struct qn_sim_timeline {
    qn_sim_happening *heap;
    size_t count, capacity;
    uint32_t added_count; /* below UINT32_MAX, or add refuses */
} qn_sim_timeline;

/* A zeroed timeline is empty. */
void qn_sim_timeline_fini(qn_sim_timeline *timeline);

/* False if memory is short, or too much was added. */
bool qn_sim_timeline_add(qn_sim_timeline *timeline, qn_sim_happening happening);

/* False if the timeline is empty. */
bool qn_sim_timeline_next(qn_sim_timeline *timeline, qn_sim_happening *happening_out);

#endif
