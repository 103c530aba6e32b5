/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/sched_kit.h: a scheduler told event by event, and what it is to answer. All events go through feed()
 * and all actions through expect_…(), which audit the machine with qn_sched_check() each time. Included by one
 * source of a program.
 */
#ifndef TESTS_SCHEDULER_SCHED_KIT_H
#define TESTS_SCHEDULER_SCHED_KIT_H

#include "scheduler/scheduler.h"
#include "tests/kit.h"

enum { RANKS_MAX = 64, TASKS_MAX = 256 };

static const uint32_t NONE = QN_SCHED_NONE;
static const uint32_t ONE_NODE[RANKS_MAX];

static void *memory;
static qn_sched *sched;

static inline void free_machine(void)
{
    free(memory);
    memory = NULL;
    sched = NULL;
}

static inline void build(const qn_sched_config *config)
{
    size_t bytes = qn_sched_bytes(config);
    ck_assert_uint_gt(bytes, 0);
    free_machine();
    memory = malloc(bytes);
    ck_assert_ptr_nonnull(memory);
    sched = qn_sched_init(memory, config);
    ck_assert_ptr_nonnull(sched);
    ck_assert_ptr_null(qn_sched_check(sched));
}

/* One node, no hints. */
static inline qn_sched_config plain_config(uint32_t rank_count, uint32_t task_count, uint32_t in_hand_max,
                                           uint32_t attempts)
{
    return (qn_sched_config){
        .rank_count = rank_count,
        .node_count = 1,
        .task_count = task_count,
        .in_hand_max = in_hand_max,
        .attempt_count_max = attempts,
        .rank_node = ONE_NODE,
    };
}

static inline void build_plain(uint32_t rank_count, uint32_t task_count, uint32_t in_hand_max, uint32_t attempts)
{
    qn_sched_config config = plain_config(rank_count, task_count, in_hand_max, attempts);
    build(&config);
}

static inline void check_machine(void)
{
    const char *broken = qn_sched_check(sched);
    ck_assert_msg(broken == NULL, "%s", broken);
}

static inline bool feed(qn_sched_event_kind kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    bool accepted = qn_sched_feed(sched, &(qn_sched_event){kind, rank, task, attempt});
    check_machine();
    return accepted;
}

static inline void ready(uint32_t rank)
{
    ck_assert(feed(QN_SCHED_RANK_READY, rank, 0, 0));
}

static inline void lost(uint32_t rank)
{
    ck_assert(feed(QN_SCHED_RANK_LOST, rank, 0, 0));
}

static inline void done(uint32_t rank, uint32_t task, uint32_t attempt)
{
    ck_assert(feed(QN_SCHED_TASK_DONE, rank, task, attempt));
}

static inline void failed(uint32_t rank, uint32_t task, uint32_t attempt)
{
    ck_assert(feed(QN_SCHED_TASK_FAILED, rank, task, attempt));
}

static inline qn_sched_action expect_action(qn_sched_action_kind kind, uint32_t rank, uint32_t task)
{
    qn_sched_action action;
    ck_assert(qn_sched_next(sched, &action));
    check_machine();
    ck_assert_uint_eq(action.kind, kind);
    ck_assert_uint_eq(action.rank, rank);
    ck_assert_uint_eq(action.task, task);
    return action;
}

static inline void expect_run(uint32_t rank, uint32_t task, uint32_t attempt)
{
    ck_assert_uint_eq(expect_action(QN_SCHED_RUN, rank, task).attempt, attempt);
}

static inline void expect_nothing(void)
{
    qn_sched_action action = {.task = 12345};
    ck_assert(!qn_sched_next(sched, &action));
    ck_assert_uint_eq(action.task, 12345);
    check_machine();
}

static inline void expect_finish(void)
{
    expect_action(QN_SCHED_FINISH, NONE, NONE);
    expect_nothing();
}

static inline void expect_fail(uint32_t rank, uint32_t task)
{
    expect_action(QN_SCHED_FAIL, rank, task);
    expect_nothing();
}

static inline void expect_stale(qn_sched_event_kind kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    uint64_t stale_count = qn_sched_get_counts(sched).stale_events;
    qn_sched_counts before = qn_sched_get_counts(sched);
    ck_assert(!feed(kind, rank, task, attempt));
    qn_sched_counts after = qn_sched_get_counts(sched);
    ck_assert_uint_eq(after.stale_events, stale_count + 1);
    ck_assert_uint_eq(after.pending, before.pending);
    ck_assert_uint_eq(after.in_hand, before.in_hand);
    ck_assert_uint_eq(after.done, before.done);
    ck_assert_uint_eq(after.ranks_alive, before.ranks_alive);
}

#endif
