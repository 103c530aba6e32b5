/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/model_kit.h: goes through all states that the real scheduler and a model of the world around it can get into, by every
 * order of events. States that were seen are known by a digest. Included by one source of a program.
 */
#ifndef TESTS_SCHEDULER_MODEL_KIT_H
#define TESTS_SCHEDULER_MODEL_KIT_H

#include "scheduler/sched_internal.h"
#include "tests/scheduler/sched_kit.h"

#include <stdlib.h>
#include <string.h>

enum { MODEL_DEPTH_MAX = 400 };

typedef struct model {
    void *world; /* bytes of which equal ones are equal states */
    size_t world_bytes;
    uint32_t event_count;
    bool (*happen)(uint32_t event);      /* false: it cannot happen now, and nothing changed */
    bool (*is_progress)(uint32_t event); /* one that brings the stage on, and no fault */
    void (*carry_out)(void);             /* what follows at once */
    bool (*is_over)(void);
} model;

static size_t memory_bytes; /* of the machine */
static uint64_t state_count;
static uint64_t *seen;
static size_t seen_capacity;

static inline uint64_t mix(uint64_t digest, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, 8);
        digest = (digest ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        digest ^= digest >> 29;
    }
    for (size_t i = bytes & ~(size_t)7; i < bytes; i++)
        digest = (digest ^ from[i]) * UINT64_C(0x100000001B3);
    return digest ^ digest >> 32;
}

/* Figures for reports are no part of the state. */
static inline uint64_t digest_state(const model *of)
{
    qn_sched_counts counts = sched->counts;
    sched->counts =
        (qn_sched_counts){.in_hand = counts.in_hand, .done = counts.done, .ranks_alive = counts.ranks_alive};
    uint64_t digest = mix(mix(1, memory, memory_bytes), of->world, of->world_bytes);
    sched->counts = counts;
    return digest ? digest : 1;
}

static inline void put_seen(uint64_t digest)
{
    size_t at = digest & (seen_capacity - 1);
    while (seen[at] != 0)
        at = (at + 1) & (seen_capacity - 1);
    seen[at] = digest;
}

static inline void grow_seen(void)
{
    uint64_t *before = seen;
    size_t capacity = seen_capacity;
    seen_capacity = capacity ? 2 * capacity : (size_t)1 << 16;
    seen = calloc(seen_capacity, sizeof *seen);
    ck_assert_ptr_nonnull(seen);
    for (size_t i = 0; i < capacity; i++)
        if (before[i] != 0)
            put_seen(before[i]);
    free(before);
}

static inline bool is_new_state(const model *of)
{
    uint64_t digest = digest_state(of);
    if (2 * state_count >= seen_capacity)
        grow_seen();
    for (size_t at = digest & (seen_capacity - 1); seen[at] != 0; at = (at + 1) & (seen_capacity - 1))
        if (seen[at] == digest)
            return false;
    put_seen(digest);
    state_count++;
    return true;
}

static inline void tell(qn_sched_event_kind kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    if (!qn_sched_feed(sched, &(qn_sched_event){kind, rank, task, attempt}))
        ck_abort_msg("event %d of rank %u, task %u was not taken", kind, rank, task);
}

static inline void explore(const model *of, uint32_t depth)
{
    bool goes_on = false;
    if (!is_new_state(of) || of->is_over())
        return;
    ck_assert_uint_lt(depth, MODEL_DEPTH_MAX);
    uint8_t *kept = malloc(memory_bytes + of->world_bytes);
    ck_assert_ptr_nonnull(kept);
    memcpy(kept, memory, memory_bytes);
    memcpy(kept + memory_bytes, of->world, of->world_bytes);
    for (uint32_t event = 0; event < of->event_count; event++) {
        if (!of->happen(event))
            continue;
        goes_on |= of->is_progress(event);
        of->carry_out();
        explore(of, depth + 1);
        memcpy(memory, kept, memory_bytes);
        memcpy(of->world, kept + memory_bytes, of->world_bytes);
    }
    free(kept);
    if (!goes_on)
        ck_abort_msg("nothing can happen, and the stage is not over");
}

/* Room for a machine of this configuration, and no state seen. */
static inline void begin_model(const qn_sched_config *config)
{
    free_machine();
    free(seen);
    seen = NULL;
    seen_capacity = 0;
    state_count = 0;
    memory_bytes = qn_sched_bytes(config);
    memory = malloc(memory_bytes);
    ck_assert_ptr_nonnull(memory);
}

static inline void end_model(void)
{
    free(seen);
    seen = NULL;
    free_machine();
}

#endif
