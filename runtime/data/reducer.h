/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/reducer.h: how values of one key become one.
 *
 * What a table, a row or a run holds of a key is fixed-size: value_bytes, kept in value_words words of 8 bytes. It is a value, or with
 * an aggregation an accumulator, into which the values of records, of any type, are accumulated as they come.
 */
#ifndef QN_DATA_REDUCER_H
#define QN_DATA_REDUCER_H

#include <quern/types.h>
#include <stdbool.h>

typedef enum qn_reducer_kind {
    QN_REDUCER_COUNT, /* counts: a plain sum that cannot overflow */
    QN_REDUCER_SUM_U64,
    QN_REDUCER_SUM_I64,
    QN_REDUCER_MIN_U64,
    QN_REDUCER_MIN_I64,
    QN_REDUCER_MAX_U64,
    QN_REDUCER_MAX_I64,
    QN_REDUCER_USER,
    QN_REDUCER_AGGREGATE,
} qn_reducer_kind;

typedef struct qn_reducer {
    qn_reducer_kind kind;
    uint32_t value_bytes;
    uint32_t value_words;
    quern_type key_type;                                                /* for messages */
    int (*fn)(void *into, const void *value, void *user);               /* USER, AGGREGATE: the quern_reduce_fn */
    int (*init)(void *accumulator, void *user);                         /* AGGREGATE; NULL: zeros */
    int (*accumulate)(void *accumulator, quern_span value, void *user); /* AGGREGATE */
    void *user;
} qn_reducer;

/* Whether values are handed over as the address of their words, not as a word. */
static inline bool qn_reducer_by_address(const qn_reducer *reducer)
{
    return reducer->kind == QN_REDUCER_USER || reducer->kind == QN_REDUCER_AGGREGATE;
}

/* Combines value into `into`, for values of one word. False: overflow. */
static inline __attribute__((always_inline)) bool qn_reducer_apply_word(qn_reducer_kind kind, uint64_t *into,
                                                                        uint64_t value)
{
    switch (kind) {
    case QN_REDUCER_COUNT:
        *into += value;
        return true;
    case QN_REDUCER_SUM_U64:
        return !__builtin_add_overflow(*into, value, into);
    case QN_REDUCER_SUM_I64:
        return !__builtin_add_overflow((int64_t)*into, (int64_t)value, (int64_t *)into);
    case QN_REDUCER_MIN_U64:
        *into = value < *into ? value : *into;
        return true;
    case QN_REDUCER_MIN_I64:
        *into = (int64_t)value < (int64_t)*into ? value : *into;
        return true;
    case QN_REDUCER_MAX_U64:
        *into = value > *into ? value : *into;
        return true;
    case QN_REDUCER_MAX_I64:
        *into = (int64_t)value > (int64_t)*into ? value : *into;
        return true;
    case QN_REDUCER_USER:
    case QN_REDUCER_AGGREGATE:
        break;
    }
    return false;
}

/* Combines value into `into` for any reducer; both of value_words words. False: overflow, or the user's failure. */
static inline bool qn_reducer_apply(const qn_reducer *reducer, uint64_t *into, const uint64_t *value)
{
    if (qn_reducer_by_address(reducer))
        return reducer->fn(into, value, reducer->user) == 0;
    return qn_reducer_apply_word(reducer->kind, into, *value);
}

#endif
