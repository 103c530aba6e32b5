/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/sim_random.h: the only source of chance in the simulator (splitmix64).
 *
 * Integers only: libm differs between machines, and a seed must mean the same run everywhere.
 */
#ifndef QN_SCHEDULER_SIM_SIM_RANDOM_H
#define QN_SCHEDULER_SIM_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t qn_sim_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static inline uint64_t qn_sim_draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return qn_sim_mix(*state);
}

/* 0 … bound - 1; 0 for bound 0. The bias of the modulo does not matter here. */
static inline uint64_t qn_sim_below(uint64_t *state, uint64_t bound)
{
    uint64_t drawn = qn_sim_draw(state);
    return bound == 0 ? 0 : drawn % bound;
}

static inline bool qn_sim_chance(uint64_t *state, uint32_t permille)
{
    return qn_sim_below(state, 1000) < permille;
}

#endif
