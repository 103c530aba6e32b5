/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/reducer.h: how values of one key become one.
 *
 * What a table, a row or a run holds of a key is value_words words of 8 bytes. It is a value, or an accumulator: of a sum with sign, or
 * of an aggregation, into which the values of records, of any type, are accumulated as they come.
 */
#ifndef QN_DATA_REDUCER_H
#define QN_DATA_REDUCER_H

#include <quern/types.h>
#include <stdbool.h>

typedef enum qn_reducer_kind {
    QN_REDUCER_COUNT, /* counts: a plain sum that cannot overflow */
    QN_REDUCER_SUM_U64,
    QN_REDUCER_SUM_I64, /* in 128 bits, two words: only the result can be too large, whatever the order of signs */
    QN_REDUCER_MIN_U64,
    QN_REDUCER_MIN_I64,
    QN_REDUCER_MAX_U64,
    QN_REDUCER_MAX_I64,
    QN_REDUCER_USER,
    QN_REDUCER_AGGREGATE,
} qn_reducer_kind;

typedef struct qn_reducer {
    qn_reducer_kind kind;
    uint32_t value_bytes;                                               /* of the result */
    uint32_t value_words;                                               /* of what is held of a key */
    quern_type key_type;                                                /* for messages */
    int (*fn)(void *into, const void *value, void *user);               /* USER, AGGREGATE: the quern_reduce_fn */
    int (*init)(void *accumulator, void *user);                         /* AGGREGATE; NULL: zeros */
    int (*accumulate)(void *accumulator, quern_span value, void *user); /* AGGREGATE */
    void *user;
    /* AGGREGATE; what becomes of an accumulator in the end, by an operator of its own: for who compares accumulators. NULL: it stays. */
    int (*finish)(const quern_record *in, quern_record *out, void *user);
    quern_type finished_type; /* of the value, with finish */
} qn_reducer;

/* Whether values are handed over as the address of their words, not as a word. */
static inline bool qn_reducer_by_address(const qn_reducer *reducer)
{
    return reducer->kind == QN_REDUCER_USER || reducer->kind == QN_REDUCER_AGGREGATE ||
           reducer->kind == QN_REDUCER_SUM_I64;
}

/* Adds to a sum of 128 bits. */
static inline __attribute__((always_inline)) void qn_reducer_add_wide(uint64_t *into, uint64_t low, uint64_t high)
{
    uint64_t sum = into[0] + low;
    into[1] += high + (sum < low);
    into[0] = sum;
}

/* Whether what was made of a key is a value of its type: the first value_bytes are it. */
static inline __attribute__((always_inline)) bool qn_reducer_fits(const qn_reducer *reducer, const uint64_t *value)
{
    return reducer->kind != QN_REDUCER_SUM_I64 || value[1] == (uint64_t)((int64_t)value[0] >> 63);
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
    case QN_REDUCER_SUM_I64:
    case QN_REDUCER_USER:
    case QN_REDUCER_AGGREGATE:
        break;
    }
    return false;
}

/* Combines value into `into` for any reducer; both of value_words words. False: overflow, or the user's failure. */
static inline bool qn_reducer_apply(const qn_reducer *reducer, uint64_t *into, const uint64_t *value)
{
    if (reducer->kind == QN_REDUCER_SUM_I64) {
        qn_reducer_add_wide(into, value[0], value[1]);
        return true;
    }
    if (qn_reducer_by_address(reducer))
        return reducer->fn(into, value, reducer->user) == 0;
    return qn_reducer_apply_word(reducer->kind, into, *value);
}

#endif
