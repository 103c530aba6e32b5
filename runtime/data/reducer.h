/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/reducer.h: how values of one key become one.
 *
 * What a table, a row or a run holds of a key is value_words words of 8 bytes. It is a value, or an accumulator: of a sum or a mean
 * that needs more than a word, or of an aggregation, into which the values of records, of any type, are accumulated as they come.
 *
 *     values of records ── load ──► words ── add ──► what is held ── merge ──► what is held ── finish ──► value
 *
 * Values that are not a word of 8 bytes, or that are compared as other words, are loaded first: 4-byte numbers are widened, and for
 * minimum and maximum a floating-point number becomes the word that orders as it does, NaN the one that is never chosen. What is held
 * becomes a value when a result is read.
 */
#ifndef QN_DATA_REDUCER_H
#define QN_DATA_REDUCER_H

#include <quern/dataset.h>
#include <stdbool.h>

#include "runtime/base/status.h"
#include "runtime/data/binned_sum.h"

typedef enum qn_reducer_kind {
    QN_REDUCER_COUNT, /* counts: a plain sum that cannot overflow */
    QN_REDUCER_SUM_U64,
    QN_REDUCER_MIN_U64,
    QN_REDUCER_MIN_I64,
    QN_REDUCER_MAX_U64,
    QN_REDUCER_MAX_I64,
    QN_REDUCER_PLAIN_F64, /* additions of doubles as they come */
    QN_REDUCER_SUM_I64,   /* in 128 bits, two words: only the result can be too large, whatever the order of signs */
    QN_REDUCER_MEAN_I64,  /* the same, and the number of values */
    QN_REDUCER_MEAN_U64,
    QN_REDUCER_BINNED, /* sum or mean of doubles: binned_sum.h */
    QN_REDUCER_USER,
    QN_REDUCER_AGGREGATE,
} qn_reducer_kind;

/* How what is held becomes the value. */
typedef enum qn_reducer_finish {
    QN_FINISH_NONE, /* its first value_bytes are the value */
    QN_FINISH_SUM,  /* of BINNED */
    QN_FINISH_MEAN,
    QN_FINISH_ORDERED_F64, /* the word of qn_order_of_f64() */
    QN_FINISH_ORDERED_F32,
} qn_reducer_finish;

typedef struct qn_reducer {
    qn_reducer_kind kind;
    qn_reducer_finish finish;
    quern_type load;      /* the type of values that have to be loaded; QUERN_NONE: they are words */
    bool load_ordered;    /* of floating-point values: the words that order as they do, */
    uint64_t nan_word;    /* but for NaN */
    uint32_t value_bytes; /* of the result */
    uint32_t value_words; /* of what is held of a key */
    quern_type key_type;  /* for messages */
    int (*fn)(void *into, const void *value, void *user);               /* USER, AGGREGATE: the quern_reduce_fn */
    int (*init)(void *accumulator, void *user);                         /* AGGREGATE; NULL: zeros */
    int (*accumulate)(void *accumulator, quern_span value, void *user); /* AGGREGATE */
    void *user;
    /* AGGREGATE; what becomes of an accumulator in the end, by an operator of its own: for who compares accumulators. NULL: it stays. */
    int (*finish_fn)(const quern_record *in, quern_record *out, void *user);
    quern_type finished_type; /* of the value, with finish_fn */
} qn_reducer;

/* Words of 8 bytes that a kind holds of a key; of the user's as many as the value needs, here 1. */
uint32_t qn_reducer_words(qn_reducer_kind kind);

/* Makes the reducer for values of a type, but for key_type, and tells the type of the result. QUERN_ERROR_INVALID_PLAN: there is none. */
bool qn_reducer_choose(qn_reducer *reducer, quern_reduction reduction, quern_type type, quern_type *result_out,
                       qn_error *error);
/* The same by a callback of the user's: values of one size, which stay what they are. */
bool qn_reducer_choose_user(qn_reducer *reducer, const quern_schema *schema, quern_reduce_fn fn, void *user,
                            qn_error *error);
/* An aggregation of records of the schema, copied, of this version's size. QUERN_ERROR_INVALID_ARGUMENT. */
bool qn_reducer_choose_aggregation(qn_reducer *reducer, const quern_schema *schema,
                                   const quern_aggregation *aggregation, void *user, qn_error *error);

/* Whether it is one of ours that holds several words. */
static inline __attribute__((always_inline)) bool qn_reducer_is_wide(qn_reducer_kind kind)
{
    return kind >= QN_REDUCER_SUM_I64 && kind <= QN_REDUCER_BINNED;
}

/* Whether a table holds the lowest word of what is held only, and the rest, of the few keys that have one, apart: table.h. */
static inline __attribute__((always_inline)) bool qn_reducer_is_narrow(qn_reducer_kind kind)
{
    return kind == QN_REDUCER_SUM_I64;
}

/* Words of a key in the slots of a table. */
static inline __attribute__((always_inline)) uint32_t qn_reducer_slot_words(const qn_reducer *reducer)
{
    return qn_reducer_is_narrow(reducer->kind) ? 1 : reducer->value_words;
}

/* Whether values are handed over as the address of their words, not as a word. */
static inline bool qn_reducer_by_address(const qn_reducer *reducer)
{
    return reducer->kind >= QN_REDUCER_SUM_I64;
}

/* Adds to a sum of 128 bits. */
static inline __attribute__((always_inline)) void qn_reducer_add_wide(uint64_t *into, uint64_t low, uint64_t high)
{
    uint64_t sum = into[0] + low;
    into[1] += high + (sum < low);
    into[0] = sum;
}

/* Adds to a sum of 128 bits and to the number of its values behind it. */
void qn_reducer_add_counted(uint64_t *into, uint64_t low, uint64_t high, uint64_t count);

/* Whether what was made of a key is a value of its type: the first value_bytes are it. */
static inline __attribute__((always_inline)) bool qn_reducer_fits(const qn_reducer *reducer, const uint64_t *value)
{
    return reducer->kind != QN_REDUCER_SUM_I64 || value[1] == (uint64_t)((int64_t)value[0] >> 63);
}

/* Adds the value of a record to several words, which are zeros at first. False: too many. */
static inline __attribute__((always_inline)) bool qn_reducer_add(qn_reducer_kind kind, uint64_t *into, uint64_t value)
{
    if (kind == QN_REDUCER_BINNED)
        return qn_binned_sum_add(into, value);
    uint64_t high = kind == QN_REDUCER_MEAN_U64 ? 0 : (uint64_t)((int64_t)value >> 63);
    if (kind == QN_REDUCER_SUM_I64)
        qn_reducer_add_wide(into, value, high);
    else
        qn_reducer_add_counted(into, value, high, 1);
    return true;
}

/* Merges several words into others. False: too many. */
static inline __attribute__((always_inline)) bool qn_reducer_merge(qn_reducer_kind kind, uint64_t *into,
                                                                   const uint64_t *from)
{
    if (kind == QN_REDUCER_BINNED)
        return qn_binned_sum_merge(into, from);
    if (kind == QN_REDUCER_SUM_I64)
        qn_reducer_add_wide(into, from[0], from[1]);
    else
        qn_reducer_add_counted(into, from[0], from[1], from[2]);
    return true;
}

/* Sum of two doubles, given and returned as their bits. */
static inline uint64_t qn_reducer_add_plain(uint64_t left, uint64_t right)
{
    double a, b;
    memcpy(&a, &left, sizeof a);
    memcpy(&b, &right, sizeof b);
    a += b;
    memcpy(&left, &a, sizeof left);
    return left;
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
    case QN_REDUCER_PLAIN_F64:
        *into = qn_reducer_add_plain(*into, value);
        return true;
    case QN_REDUCER_SUM_I64:
    case QN_REDUCER_MEAN_I64:
    case QN_REDUCER_MEAN_U64:
    case QN_REDUCER_BINNED:
    case QN_REDUCER_USER:
    case QN_REDUCER_AGGREGATE:
        break;
    }
    return false;
}

/* Combines value into `into` for any reducer; both of value_words words. False: overflow, or the user's failure. */
static inline bool qn_reducer_apply(const qn_reducer *reducer, uint64_t *into, const uint64_t *value)
{
    if (qn_reducer_is_wide(reducer->kind))
        return qn_reducer_merge(reducer->kind, into, value);
    if (qn_reducer_by_address(reducer))
        return reducer->fn(into, value, reducer->user) == 0;
    return qn_reducer_apply_word(reducer->kind, into, *value);
}

/* The word of a value of the reducer's load type, whose bytes are at data. */
uint64_t qn_reducer_load(const qn_reducer *reducer, const void *data);

/* The value that is made of what is held, as a word whose first value_bytes are it. finish is not QN_FINISH_NONE. */
uint64_t qn_reducer_get_value(const qn_reducer *reducer, const uint64_t *held);

#endif
