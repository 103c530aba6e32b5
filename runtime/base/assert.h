/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/assert.h: assertions on ourselves that stay on in release builds.
 *
 * For internal invariants only: public arguments are checked and returned as errors. A broken invariant stops the
 * process at once (a trap: no message from inside a library), since going on could write a wrong answer.
 */
#ifndef QN_BASE_ASSERT_H
#define QN_BASE_ASSERT_H

#define QN_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define QN_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define QN_ASSERT(condition)                                                                                           \
    do {                                                                                                               \
        if (QN_UNLIKELY(!(condition)))                                                                                 \
            __builtin_trap();                                                                                          \
    } while (0)

#endif
