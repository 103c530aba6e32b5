/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/sim.h: a cluster in one thread, from one seed, around the real scheduler.
 *
 * Intuition. The scheduler is pure, so nothing has to be faked inside it: the simulator plays the world
 * (messages that take time, tasks of uneven length, ranks that are slow, broken or die, reports that come
 * twice or too late) and an oracle, written without looking at the scheduler's data, judges every step.
 *
 * The same configuration gives the same run, bit for bit: qn_sim_result.trace_hash covers each event fed
 * and each action taken with its simulated time. A failing seed is therefore a complete bug report.
 *
 * Limits. No network contention and no master latency: the master acts in zero time. Memory is about
 * 100 bytes a task and 200 bytes a rank, from malloc.
 */
#ifndef QN_SCHEDULER_SIM_SIM_H
#define QN_SCHEDULER_SIM_SIM_H

#include "scheduler/scheduler.h"

/* 0 means "none" in each field from hinted_permille on. */
typedef struct qn_sim_config {
    uint64_t seed;
    uint32_t rank_count, node_count, task_count, in_hand_max, attempt_count_max; /* as in qn_sched_config */
    uint64_t task_ns;        /* > 0; tasks take at least this on a healthy rank, typically up to twice as long */
    uint64_t latency_ns_max; /* > 0; of one message; messages overtake each other */

    uint32_t hinted_permille;  /* tasks with a hint */
    uint32_t tail_octaves_max; /* task length doubles again with probability 0.35, this often at most */
    uint32_t slow_permille;    /* ranks that are slow */
    uint32_t slow_factor;      /* how many times */
    uint32_t fail_permille;    /* attempts that fail by chance */
    uint32_t broken_count;    /* the first so many ranks fail every attempt, a hundred times faster than it would run */
    uint32_t poison_count;    /* tasks that always fail */
    uint32_t lost_permille;   /* ranks that are lost; every second one is only believed lost and keeps reporting */
    uint64_t lost_within_ns;  /* when */
    uint32_t repeat_permille; /* messages to the master that arrive a second time, often much later */
    uint32_t stray_permille;  /* events after which one follows that cannot be */
    uint32_t check_period_events; /* qn_sched_check after each so many events; 0: only at the end */
} qn_sim_config;

typedef struct qn_sim_result {
    const char *broken; /* the first rule broken, static text; NULL: none */
    bool finished;      /* the stage finished; else it failed */
    uint64_t trace_hash;
    uint64_t event_count; /* fed to the scheduler */
    uint64_t makespan_ns; /* until the verdict */
    uint64_t ideal_ns;    /* all work done (failed attempts included) spread evenly, or the longest attempt */
    uint64_t bound_ns;    /* proven for any work-conserving schedule of this run; makespan above it is `broken` */
    qn_sched_counts counts;
} qn_sim_result;

/* Runs one stage to its end. False if the configuration is invalid or memory is short: result untouched. */
bool qn_sim_run(const qn_sim_config *config, qn_sim_result *result_out);

#endif
