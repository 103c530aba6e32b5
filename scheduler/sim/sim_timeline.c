/* SPDX-License-Identifier: BSD-3-Clause */
/* scheduler/sim/sim_timeline.c: a binary heap by (time, order of adding). */
#include "scheduler/sim/sim_timeline.h"

#include <stdlib.h>

void qn_sim_timeline_fini(qn_sim_timeline *timeline)
{
    free(timeline->heap);
    *timeline = (qn_sim_timeline){0};
}

static bool is_before(const qn_sim_happening *a, const qn_sim_happening *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->order < b->order;
}

static bool grow(qn_sim_timeline *timeline)
{
    size_t capacity = timeline->capacity == 0 ? 1024 : 2 * timeline->capacity;
    qn_sim_happening *heap = realloc(timeline->heap, capacity * sizeof *heap);
    if (heap == NULL) {
        return false;
    }
    timeline->heap = heap;
    timeline->capacity = capacity;
    return true;
}

bool qn_sim_timeline_add(qn_sim_timeline *timeline, qn_sim_happening happening)
{
    if (timeline->count == timeline->capacity && !grow(timeline)) {
        return false;
    }
    happening.order = timeline->added_count++;
    size_t hole = timeline->count++;
    while (hole > 0 && is_before(&happening, &timeline->heap[(hole - 1) / 2])) {
        timeline->heap[hole] = timeline->heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    timeline->heap[hole] = happening;
    return true;
}

bool qn_sim_timeline_next(qn_sim_timeline *timeline, qn_sim_happening *happening_out)
{
    if (timeline->count == 0) {
        return false;
    }
    qn_sim_happening *heap = timeline->heap;
    *happening_out = heap[0];
    qn_sim_happening moved = heap[--timeline->count];
    size_t hole = 0;
    for (size_t child = 1; child < timeline->count; child = 2 * hole + 1) {
        child += child + 1 < timeline->count && is_before(&heap[child + 1], &heap[child]);
        if (!is_before(&heap[child], &moved)) {
            break;
        }
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = moved;
    return true;
}
