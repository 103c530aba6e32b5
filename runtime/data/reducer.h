/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/reducer.h: how two values of one key become one.
 *
 * Values are fixed-size: value_bytes, kept in value_words words of 8 bytes.
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
} qn_reducer_kind;

typedef struct qn_reducer {
    qn_reducer_kind kind;
    uint32_t value_bytes;
    uint32_t value_words;
    quern_type key_type;                                  /* for messages */
    int (*fn)(void *into, const void *value, void *user); /* USER only: the quern_reduce_fn */
    void *user;
} qn_reducer;

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
        break;
    }
    return false;
}

/* Combines value into `into` for any reducer; both of value_words words. False: overflow, or the user's failure. */
static inline bool qn_reducer_apply(const qn_reducer *reducer, uint64_t *into, const uint64_t *value)
{
    if (reducer->kind == QN_REDUCER_USER)
        return reducer->fn(into, value, reducer->user) == 0;
    return qn_reducer_apply_word(reducer->kind, into, *value);
}

#endif
