/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/sim_timeline.c: a heap by (time, order of adding).
 *
 * Each happening has four below it: with hundreds of thousands of them the time goes into cache misses, and those four, of 24 bytes each, lie
 * in two lines or three; a heap of two has twice the levels, a line or two each.
 */
#include "scheduler/sim/sim_timeline.h"

#include <stdlib.h>

enum { FAN_OUT = 4 };

_Static_assert(sizeof(qn_sim_happening) == 24, "the size that the heap was made for");

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
    if (timeline->added_count == UINT32_MAX || (timeline->count == timeline->capacity && !grow(timeline))) {
        return false;
    }
    happening.order = timeline->added_count++;
    size_t hole = timeline->count++;
    while (hole > 0 && is_before(&happening, &timeline->heap[(hole - 1) / FAN_OUT])) {
        timeline->heap[hole] = timeline->heap[(hole - 1) / FAN_OUT];
        hole = (hole - 1) / FAN_OUT;
    }
    timeline->heap[hole] = happening;
    return true;
}

static size_t first_below(const qn_sim_timeline *timeline, size_t first)
{
    size_t end = first + FAN_OUT < timeline->count ? first + FAN_OUT : timeline->count;
    size_t least = first;
    for (size_t child = first + 1; child < end; child++) {
        if (is_before(&timeline->heap[child], &timeline->heap[least])) {
            least = child;
        }
    }
    return least;
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
    for (size_t first = 1; first < timeline->count; first = FAN_OUT * hole + 1) {
        size_t child = first_below(timeline, first);
        if (!is_before(&heap[child], &moved)) {
            break;
        }
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = moved;
    return true;
}
