/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/order.h: the order of keys and values by their types.
 *
 * Integers and numbers are in the order of their values, bytes and fixed bytes in that of memcmp(), a prefix first. Each type
 * also gives a word, its prefix, whose order as an unsigned number never contradicts the type's: sorting moves words, and
 * looks at the rest only where two of them are equal.
 */
#ifndef QN_DATA_ORDER_H
#define QN_DATA_ORDER_H

#include <quern/types.h>
#include <stdbool.h>

/* The prefix of a key or value. Needs no slack behind the bytes. */
static inline uint64_t qn_order_prefix(quern_type type, const void *data, uint64_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, data, bytes < sizeof word ? bytes : sizeof word);
    if (type == QUERN_I64)
        return word ^ UINT64_C(1) << 63;
    return type == QUERN_U64 ? word : __builtin_bswap64(word);
}

/* Whether values with equal prefixes are equal. */
static inline bool qn_order_prefix_decides(quern_type type)
{
    return type == QUERN_I64 || type == QUERN_U64 || type == QUERN_NONE;
}

/* Below 0, 0 or above, as for qsort(). */
int qn_order_compare(quern_type type, quern_span left, quern_span right);

#endif
