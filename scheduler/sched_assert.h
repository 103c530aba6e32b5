/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sched_assert.h: an assertion that stays in release builds.
 *
 * <assert.h> is stripped by NDEBUG and prints through the C library; the scheduler may do neither. A
 * broken invariant here means that a task could be lost or run twice, so the process stops on the spot.
 */
#ifndef QN_SCHEDULER_SCHED_ASSERT_H
#define QN_SCHEDULER_SCHED_ASSERT_H

#define QN_SCHED_ASSERT(condition)                                                                                     \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0)) {                                                                       \
            __builtin_trap();                                                                                          \
        }                                                                                                              \
    } while (0)

#endif
