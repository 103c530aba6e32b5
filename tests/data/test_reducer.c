/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_reducer.c: built-in reductions of every type of number against plain loops over the values, through a table.
 */
#include "runtime/data/reducer.h"

#include <math.h>

#include "runtime/data/batch.h"
#include "runtime/data/table.h"
#include "tests/kit.h"

#define VALUE_COUNT 60
#define BYTES_MAX   ((size_t)64 << 20)

typedef union number {
    int32_t i32;
    uint32_t u32;
    float f32;
    int64_t i64;
    uint64_t u64;
    double f64;
    uint8_t bytes[8];
} number;

static const quern_type types[] = {QUERN_I32, QUERN_U32, QUERN_F32, QUERN_I64, QUERN_U64, QUERN_F64};
#define TYPE_COUNT (sizeof types / sizeof *types)

static bool is_float(quern_type type)
{
    return type == QUERN_F32 || type == QUERN_F64;
}

static long double real_of(quern_type type, number value)
{
    switch (type) {
    case QUERN_I32:
        return value.i32;
    case QUERN_U32:
        return value.u32;
    case QUERN_F32:
        return (long double)value.f32;
    case QUERN_I64:
        return value.i64;
    case QUERN_U64:
        return value.u64;
    default:
        return (long double)value.f64;
    }
}

/* Behind a value of 4 bytes lies something else. */
static number make_value(quern_type type, uint64_t *state)
{
    static const double reals[] = {0.0, -0.0, NAN, INFINITY, -INFINITY, 1.5, -1.5, 1e30, -1e-30};
    number value = {.u64 = kit_random(state)};
    uint64_t chosen = kit_random_below(state, 18);
    if (type == QUERN_F64)
        value.f64 = chosen < 9 ? reals[chosen] : (double)(int64_t)value.u64 / 256;
    else if (type == QUERN_F32)
        value.f32 = chosen < 9 ? (float)reals[chosen] : (float)(int32_t)value.u32 / 256;
    else if (type == QUERN_I64)
        value.i64 >>= chosen;
    else if (type == QUERN_U64)
        value.u64 >>= 8 + chosen; /* their sum has to fit */
    return value;
}

/* What the reducer makes of the values of one key that come in two blocks, of two tables, one of which is merged into the other. */
static number reduce(const qn_reducer *reducer, const number *values, size_t count)
{
    static qn_classified classified;
    qn_error error = {0};
    qn_table tables[2];
    uint64_t key_words[2 + 2] = {77, 0, 0, 0};
    const void *key[VALUE_COUNT], *value[VALUE_COUNT];
    for (size_t i = 0; i < count; i++) {
        key[i] = key_words;
        value[i] = &values[i];
    }
    for (int t = 0; t < 2; t++) {
        size_t from = t ? count / 2 : 0, end = t ? count : count / 2;
        quern_block block = {.count = count, .key = key, .value = value};
        kit_assert_ok(qn_table_init(&tables[t], reducer, 0, UINT64_MAX, BYTES_MAX, &error), &error);
        qn_table_classify(&block, QUERN_I64, from, end - from, &classified);
        ck_assert_int_eq(qn_table_make_room(&tables[t], 0, count, 0, BYTES_MAX), QN_TABLE_OK);
        ck_assert_int_eq(qn_table_insert_block(&tables[t], &block, QUERN_I64, &classified), QN_TABLE_OK);
    }
    const uint64_t *held = NULL;
    qn_table_cursor cursor = qn_table_cursor_of(&tables[0], 0, UINT64_MAX);
    const qn_key *found = qn_table_cursor_peek(&cursor, &held);
    if (found) {
        size_t done = 0;
        qn_entry entry = {*found, qn_reducer_by_address(reducer) ? (uint64_t)(uintptr_t)held : *held};
        ck_assert_int_eq(qn_table_insert(&tables[1], &entry, 1, BYTES_MAX, &done), QN_TABLE_OK);
    }
    cursor = qn_table_cursor_of(&tables[1], 0, UINT64_MAX);
    ck_assert_ptr_nonnull(qn_table_cursor_peek(&cursor, &held));
    number result = {.u64 = reducer->finish == QN_FINISH_NONE ? held[0] : qn_reducer_get_value(reducer, held)};
    qn_table_fini(&tables[0]);
    qn_table_fini(&tables[1]);
    return result;
}

/* Whether `a` is to be chosen before b by a minimum, or a maximum: NaN last, -0.0 below 0.0. */
static bool is_better(quern_type type, number a, number b, bool least)
{
    long double left = real_of(type, a), right = real_of(type, b);
    if (isnan(left) || isnan(right))
        return !isnan(left);
    if (left == right && is_float(type))
        return least ? signbit(left) && !signbit(right) : !signbit(left) && signbit(right);
    return least ? left < right : left > right;
}

static qn_reducer choose(quern_reduction reduction, quern_type type, quern_type expected)
{
    qn_reducer reducer = {0};
    quern_type result = QUERN_NONE;
    qn_error error = {0};
    ck_assert(qn_reducer_choose(&reducer, reduction, type, &result, &error));
    ck_assert_int_eq(result, expected);
    ck_assert_uint_eq(reducer.value_bytes, quern_number_bytes(expected));
    return reducer;
}

START_TEST(extremes_of_every_type_are_those_of_a_loop)
{
    uint64_t state = 1;
    for (int round = 0; round < 1200; round++) {
        quern_type type = types[(size_t)round % TYPE_COUNT];
        bool least = round / (int)TYPE_COUNT % 2;
        number values[VALUE_COUNT];
        size_t count = 1 + kit_random_below(&state, round % 5 ? 4 : VALUE_COUNT), best = 0;
        for (size_t i = 0; i < count; i++) {
            values[i] = make_value(type, &state);
            if (is_better(type, values[i], values[best], least))
                best = i;
        }
        qn_reducer reducer = choose(least ? QUERN_MIN : QUERN_MAX, type, type);
        number result = reduce(&reducer, values, count);
        if (isnan(real_of(type, values[best])))
            ck_assert(type == QUERN_F32 ? result.u64 == 0x7fc00000 : result.u64 == 0x7ff8000000000000);
        else
            ck_assert_mem_eq(result.bytes, values[best].bytes, quern_number_bytes(type));
    }
}
END_TEST

START_TEST(sums_and_means_of_integers_are_those_of_a_wider_loop)
{
    uint64_t state = 2;
    for (int round = 0; round < 800; round++) {
        quern_type type = types[(size_t)round % TYPE_COUNT];
        if (is_float(type))
            continue;
        bool is_signed = type == QUERN_I32 || type == QUERN_I64;
        number values[VALUE_COUNT];
        size_t count = 1 + kit_random_below(&state, VALUE_COUNT);
        __int128 sum = 0;
        for (size_t i = 0; i < count; i++) {
            values[i] = make_value(type, &state);
            sum += (__int128)real_of(type, values[i]); /* its 64 bits hold them all */
        }
        qn_reducer reducer = choose(QUERN_SUM, type, is_signed ? QUERN_I64 : QUERN_U64);
        ck_assert_uint_eq(reduce(&reducer, values, count).u64, (uint64_t)sum);
        reducer = choose(QUERN_MEAN, type, QUERN_F64);
        ck_assert(reduce(&reducer, values, count).f64 == (double)sum / (double)count);
    }
}
END_TEST

START_TEST(a_mean_of_integers_needs_no_sum_that_fits_their_type)
{
    number values[VALUE_COUNT];
    for (size_t i = 0; i < VALUE_COUNT; i++)
        values[i].u64 = UINT64_MAX;
    qn_reducer reducer = choose(QUERN_MEAN, QUERN_U64, QUERN_F64);
    ck_assert(reduce(&reducer, values, VALUE_COUNT).f64 == 0x1p64);
    reducer = choose(QUERN_MEAN, QUERN_I64, QUERN_F64);
    ck_assert(reduce(&reducer, values, VALUE_COUNT).f64 == -1);
    for (size_t i = 0; i < VALUE_COUNT; i++)
        values[i].i64 = INT64_MIN;
    ck_assert(reduce(&reducer, values, VALUE_COUNT).f64 == -0x1p63);
}
END_TEST

static bool same_double(double a, double b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

START_TEST(sums_of_floats_are_exact_where_they_fit_and_plain_ones_are_added_as_they_come)
{
    uint64_t state = 3;
    for (int round = 0; round < 800; round++) {
        quern_type type = round % 2 ? QUERN_F32 : QUERN_F64;
        number values[VALUE_COUNT];
        size_t count = 1 + kit_random_below(&state, VALUE_COUNT);
        int64_t exact = 0;
        for (size_t i = 0; i < count; i++) {
            int32_t value = (int32_t)kit_random(&state) >> 8; /* whole numbers, so that every order gives the same */
            exact += value;
            values[i].u64 = kit_random(&state);
            if (type == QUERN_F32)
                values[i].f32 = (float)value;
            else
                values[i].f64 = value;
        }
        qn_reducer sum = choose(QUERN_SUM, type, QUERN_F64), plain = choose(QUERN_SUM_PLAIN, type, QUERN_F64);
        qn_reducer mean = choose(QUERN_MEAN, type, QUERN_F64);
        ck_assert(same_double(reduce(&sum, values, count).f64, (double)exact));
        ck_assert(same_double(reduce(&plain, values, count).f64, (double)exact));
        ck_assert(same_double(reduce(&mean, values, count).f64, (double)exact / (double)count));
    }
    number cancelling[] = {{.f64 = 1e16}, {.f64 = 1}, {.f64 = -1e16}, {.f64 = 1}};
    qn_reducer sum = choose(QUERN_SUM, QUERN_F64, QUERN_F64), plain = choose(QUERN_SUM_PLAIN, QUERN_F64, QUERN_F64);
    ck_assert(reduce(&sum, cancelling, 4).f64 == 2);
    ck_assert(reduce(&plain, cancelling, 4).f64 != 2);
}
END_TEST

START_TEST(what_has_no_reduction_is_refused_and_left_alone)
{
    const quern_type others[] = {QUERN_NONE, QUERN_BYTES, QUERN_FIXED, QUERN_PAIR(QUERN_I64, QUERN_I64)};
    qn_reducer reducer = {.kind = QN_REDUCER_USER, .value_bytes = 99};
    quern_type result = QUERN_FIXED;
    qn_error error = {0};
    for (int i = 0; i < 4; i++)
        for (int reduction = QUERN_SUM; reduction <= QUERN_MEAN; reduction++)
            ck_assert(!qn_reducer_choose(&reducer, (quern_reduction)reduction, others[i], &result, &error));
    for (size_t i = 0; i < TYPE_COUNT; i++)
        ck_assert_int_eq(
            qn_reducer_choose(&(qn_reducer){0}, QUERN_SUM_PLAIN, types[i], &(quern_type){QUERN_NONE}, &error),
            is_float(types[i]));
    ck_assert(!qn_reducer_choose(&reducer, (quern_reduction)0, QUERN_I64, &result, &error));
    ck_assert(!qn_reducer_choose(&reducer, (quern_reduction)7, QUERN_I64, &result, &error));
    ck_assert(reducer.kind == QN_REDUCER_USER && reducer.value_bytes == 99 && result == QUERN_FIXED);
    for (int i = 0; i < 4; i++)
        choose(QUERN_COUNT, others[i], QUERN_U64);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {extremes_of_every_type_are_those_of_a_loop,
                                  sums_and_means_of_integers_are_those_of_a_wider_loop,
                                  a_mean_of_integers_needs_no_sum_that_fits_their_type,
                                  sums_of_floats_are_exact_where_they_fit_and_plain_ones_are_added_as_they_come,
                                  what_has_no_reduction_is_refused_and_left_alone};
    return kit_run_tests("reducer", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
