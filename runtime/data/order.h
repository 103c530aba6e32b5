/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/order.h: the order of keys and values by their types.
 *
 * Numbers are in the order of their values, bytes and fixed bytes in that of memcmp(), a prefix first; pairs by their first, then
 * by their second. Of floating-point numbers, -0.0 comes before 0.0, which are values of their own here (keys have no -0.0), and all NaN
 * are equal and come last, after infinity. Each type also gives a word, its prefix, whose order as an unsigned number
 * never contradicts the type's: sorting moves words, and looks at the rest only where two of them are equal.
 */
#ifndef QN_DATA_ORDER_H
#define QN_DATA_ORDER_H

#include "runtime/data/type.h"

#define QN_ORDER_SIGN     (UINT64_C(1) << 63)
#define QN_ORDER_INFINITY UINT64_C(0x7ff0000000000000)
#define QN_ORDER_NAN      UINT64_C(0x7ff8000000000000)

/* A word that orders as the double with these bits does. */
static inline uint64_t qn_order_of_f64(uint64_t bits)
{
    if ((bits & ~QN_ORDER_SIGN) > QN_ORDER_INFINITY)
        bits = QN_ORDER_NAN;
    return bits & QN_ORDER_SIGN ? ~bits : bits | QN_ORDER_SIGN;
}

/* The bits of the double that has this word. */
static inline uint64_t qn_order_to_f64(uint64_t word)
{
    return word & QN_ORDER_SIGN ? word & ~QN_ORDER_SIGN : ~word;
}

/* The same for a float; the lower half is 0. */
static inline uint64_t qn_order_of_f32(uint32_t bits)
{
    if ((bits & 0x7fffffff) > 0x7f800000)
        bits = 0x7fc00000;
    return (uint64_t)(bits >> 31 ? ~bits : bits | UINT32_C(1) << 31) << 32;
}

/* The prefix of a number. */
static inline uint64_t qn_order_of_number(quern_type type, const void *data)
{
    quern_span span = {data, 0};
    switch (type) {
    case QUERN_I64:
        return quern_u64(span) ^ QN_ORDER_SIGN;
    case QUERN_I32:
        return (uint64_t)quern_u32(span) << 32 ^ QN_ORDER_SIGN;
    case QUERN_U32:
        return (uint64_t)quern_u32(span) << 32;
    case QUERN_F64:
        return qn_order_of_f64(quern_u64(span));
    case QUERN_F32:
        return qn_order_of_f32(quern_u32(span));
    default:
        return quern_u64(span);
    }
}

/* Writes the number that has this prefix; NaN is the positive one without payload. */
void qn_order_to_number(quern_type type, uint64_t prefix, void *data_out);

/* The prefix of a pair: of the first alone if it takes the word, else of both. */
uint64_t qn_order_pair_prefix(quern_type type, const void *data, uint64_t bytes);

/* The prefix of a key or value. Needs no slack behind the bytes. */
static inline uint64_t qn_order_prefix(quern_type type, const void *data, uint64_t bytes)
{
    if (qn_type_is_number(type))
        return qn_order_of_number(type, data);
    if (QUERN_IS_PAIR(type))
        return qn_order_pair_prefix(type, data, bytes);
    uint64_t word = 0;
    memcpy(&word, data, bytes < sizeof word ? bytes : sizeof word);
    return __builtin_bswap64(word);
}

static inline bool qn_order_is_nan(quern_type type, const void *data)
{
    quern_span span = {data, 0};
    if (type == QUERN_F64)
        return (quern_u64(span) & ~QN_ORDER_SIGN) > QN_ORDER_INFINITY;
    return type == QUERN_F32 && (quern_u32(span) & 0x7fffffff) > 0x7f800000;
}

/* Whether values with equal prefixes are equal. */
static inline bool qn_order_prefix_decides(quern_type type)
{
    return type == QUERN_NONE || qn_type_is_number(type);
}

/* Below 0, 0 or above, as for qsort(). */
int qn_order_compare(quern_type type, quern_span left, quern_span right);

#endif
