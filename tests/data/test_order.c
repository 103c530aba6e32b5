/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_order.c: the order of every type against a comparison of the values themselves.
 */
#include "runtime/data/order.h"

#include <math.h>

#include "tests/kit.h"

#define SAMPLE_COUNT    100
#define FIELD_BYTES_MAX 64
#define FIXED_BYTES     11

typedef struct field {
    uint8_t data[FIELD_BYTES_MAX];
    size_t bytes;
} field;

static const quern_type simple[] = {QUERN_BYTES, QUERN_FIXED, QUERN_I64, QUERN_U64,
                                    QUERN_I32,   QUERN_U32,   QUERN_F32, QUERN_F64};
#define SIMPLE_COUNT (sizeof simple / sizeof *simple)
#define BYTES_COUNT  2 /* of them, which are no numbers */

static field make_number(quern_type type, uint64_t *state)
{
    static const uint64_t nasty64[] = {0,
                                       1,
                                       UINT64_MAX,
                                       UINT64_C(1) << 63,
                                       (UINT64_C(1) << 63) - 1,
                                       0x7ff0000000000000,
                                       0xfff0000000000000,
                                       0x7ff8000000000001,
                                       0xfff8000000000000,
                                       0x7fefffffffffffff,
                                       0x3ff0000000000000,
                                       0xbff0000000000000,
                                       0x8000000000000001,
                                       0x7ff0000000000001};
    static const uint32_t nasty32[] = {0,          1,          UINT32_MAX, 0x80000000, 0x7fffffff,
                                       0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x3f800000,
                                       0xbf800000, 0x80000001, 0x7f800001};
    bool nasty = kit_random_below(state, 2);
    uint64_t word = kit_random(state) >> kit_random_below(state, 60);
    field made = {.bytes = quern_number_bytes(type)};
    uint32_t half = nasty ? nasty32[kit_random_below(state, sizeof nasty32 / sizeof *nasty32)] : (uint32_t)word;
    if (nasty)
        word = nasty64[kit_random_below(state, sizeof nasty64 / sizeof *nasty64)];
    memcpy(made.data, made.bytes == 8 ? (const void *)&word : (const void *)&half, made.bytes);
    return made;
}

/* Few letters and NULs, so that many begin alike. */
static field make_bytes(size_t bytes, uint64_t *state)
{
    static const uint8_t letters[] = {0, 1, 'a', 0xff};
    field made = {.bytes = bytes};
    for (size_t i = 0; i < bytes; i++)
        made.data[i] = letters[i < bytes / 2 ? 2 : kit_random_below(state, 4)];
    return made;
}

static field make_simple(quern_type type, uint64_t *state)
{
    if (type == QUERN_NONE)
        return (field){.bytes = 0};
    if (type == QUERN_FIXED)
        return make_bytes(FIXED_BYTES, state);
    return type == QUERN_BYTES ? make_bytes(kit_random_below(state, 21), state) : make_number(type, state);
}

static field make_field(quern_type type, uint64_t *state)
{
    if (!QUERN_IS_PAIR(type))
        return make_simple(type, state);
    field first = make_simple(QUERN_PAIR_FIRST(type), state), second = make_simple(QUERN_PAIR_SECOND(type), state);
    field made;
    made.bytes =
        quern_pair_put(type, quern_bytes(first.data, first.bytes), quern_bytes(second.data, second.bytes), made.data)
            .bytes;
    return made;
}

/* ---- the model: no words, no prefixes ---- */

static int compare_doubles(double a, double b)
{
    if (isnan(a) || isnan(b))
        return !!isnan(a) - !!isnan(b);
    if (a == 0 && b == 0)
        return !!signbit(b) - !!signbit(a);
    return (a > b) - (a < b);
}

static int compare_texts(quern_span a, quern_span b)
{
    const uint8_t *left = a.data, *right = b.data;
    for (size_t i = 0; i < a.bytes && i < b.bytes; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int naive_simple(quern_type type, quern_span a, quern_span b)
{
    __int128 left = 0, right = 0;
    switch (type) {
    case QUERN_F64:
        return compare_doubles(quern_f64(a), quern_f64(b));
    case QUERN_F32:
        return compare_doubles((double)quern_f32(a), (double)quern_f32(b));
    case QUERN_I64:
        left = quern_i64(a), right = quern_i64(b);
        break;
    case QUERN_U64:
        left = quern_u64(a), right = quern_u64(b);
        break;
    case QUERN_I32:
        left = quern_i32(a), right = quern_i32(b);
        break;
    case QUERN_U32:
        left = quern_u32(a), right = quern_u32(b);
        break;
    default:
        return compare_texts(a, b);
    }
    return (left > right) - (left < right);
}

static int naive_compare(quern_type type, quern_span a, quern_span b)
{
    if (!QUERN_IS_PAIR(type))
        return naive_simple(type, a, b);
    int first = naive_simple(QUERN_PAIR_FIRST(type), quern_pair_first(type, a), quern_pair_first(type, b));
    return first ? first
                 : naive_simple(QUERN_PAIR_SECOND(type), quern_pair_second(type, a), quern_pair_second(type, b));
}

static int sign_of(int number)
{
    return (number > 0) - (number < 0);
}

/* The prefix is read from a place without slack and of any alignment. */
static uint64_t prefix_of(quern_type type, const field *from)
{
    uint8_t *alone = malloc(from->bytes + 1);
    ck_assert_ptr_nonnull(alone);
    memcpy(alone + 1, from->data, from->bytes);
    uint64_t prefix = qn_order_prefix(type, alone + 1, from->bytes);
    free(alone);
    return prefix;
}

static void check_type(quern_type type, uint64_t seed)
{
    static field samples[SAMPLE_COUNT];
    uint64_t state = seed, prefix[SAMPLE_COUNT];
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        samples[i] = make_field(type, &state);
        prefix[i] = prefix_of(type, &samples[i]);
    }
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        for (size_t j = 0; j < SAMPLE_COUNT; j++) {
            quern_span left = {samples[i].data, samples[i].bytes}, right = {samples[j].data, samples[j].bytes};
            int expected = naive_compare(type, left, right);
            if (sign_of(qn_order_compare(type, left, right)) != expected)
                ck_abort_msg("type %x: %zu, %zu", type, i, j);
            int by_prefix = (prefix[i] > prefix[j]) - (prefix[i] < prefix[j]);
            if (by_prefix != expected && (by_prefix != 0 || qn_order_prefix_decides(type)))
                ck_abort_msg("type %x: prefixes of %zu, %zu", type, i, j);
        }
}

START_TEST(every_type_is_in_its_order_and_prefixes_agree)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        check_type(QUERN_NONE, seed);
        for (size_t first = 0; first < SIMPLE_COUNT; first++) {
            check_type(simple[first], seed);
            for (size_t second = 0; second < SIMPLE_COUNT; second++)
                check_type(QUERN_PAIR(simple[first], simple[second]), seed);
        }
    }
}
END_TEST

START_TEST(a_number_comes_back_from_its_prefix)
{
    uint64_t state = 7;
    for (int i = 0; i < 20000; i++) {
        quern_type type = simple[BYTES_COUNT + kit_random_below(&state, SIMPLE_COUNT - BYTES_COUNT)];
        field number = make_number(type, &state), back = {.bytes = number.bytes};
        qn_order_to_number(type, qn_order_prefix(type, number.data, number.bytes), back.data);
        quern_span span = {number.data, number.bytes}, again = {back.data, back.bytes};
        if (type == QUERN_F64 && isnan(quern_f64(span)))
            ck_assert_uint_eq(quern_u64(again), 0x7ff8000000000000);
        else if (type == QUERN_F32 && isnan(quern_f32(span)))
            ck_assert_uint_eq(quern_u32(again), 0x7fc00000);
        else
            ck_assert_mem_eq(back.data, number.data, number.bytes);
    }
}
END_TEST

/* Keys are equal if no order tells them apart, but that zeros are equal too: then their bytes are, in canonical form. */
START_TEST(canonical_keys_have_equal_bytes_if_and_only_if_they_are_equal)
{
    uint64_t state = 8;
    for (size_t first = 0; first < SIMPLE_COUNT; first++)
        for (size_t second = 0; second <= SIMPLE_COUNT; second++) {
            quern_type type = second == SIMPLE_COUNT ? simple[first] : QUERN_PAIR(simple[first], simple[second]);
            bool two = QUERN_IS_PAIR(type) && simple[first] == QUERN_FIXED && simple[second] == QUERN_FIXED;
            qn_type_shape shape = qn_type_shape_of(type, (two ? 2 : 1) * FIXED_BYTES);
            for (int i = 0; i < 2000; i++) {
                field left = make_field(type, &state), right = make_field(type, &state), was = left;
                if (!qn_type_fits(&shape, left.data, left.bytes))
                    ck_abort_msg("type %x does not fit", type);
                if (shape.has_floats) {
                    qn_key_canonicalise(type, left.data, left.bytes);
                    qn_key_canonicalise(type, right.data, right.bytes);
                }
                quern_span a = {left.data, left.bytes}, b = {right.data, right.bytes};
                bool same = left.bytes == right.bytes && memcmp(left.data, right.data, left.bytes) == 0;
                if (same != (naive_compare(type, a, b) == 0))
                    ck_abort_msg("type %x: equal keys and equal bytes differ", type);
                if (!shape.has_floats && memcmp(left.data, was.data, was.bytes) != 0)
                    ck_abort_msg("type %x was changed", type);
            }
        }
    double minus = -0.0, odd_nan;
    memcpy(&odd_nan, &(uint64_t){0xfff0000000000007}, 8);
    qn_key_canonicalise(QUERN_F64, &minus, 8);
    ck_assert(!signbit(minus));
    qn_key_canonicalise(QUERN_F64, &odd_nan, 8);
    ck_assert_uint_eq(quern_u64(quern_bytes(&odd_nan, 8)), 0x7ff8000000000000);
}
END_TEST

START_TEST(types_stand_only_where_they_may)
{
    quern_type pair = QUERN_PAIR(QUERN_I64, QUERN_F64);
    ck_assert(qn_type_may_be_key(pair, 0) && !qn_type_may_be_value(pair, 0));
    ck_assert(!qn_type_may_be_key(QUERN_NONE, 0) && qn_type_may_be_value(QUERN_NONE, 0));
    ck_assert(qn_type_may_be_key(QUERN_FIXED, 1) && qn_type_may_be_key(QUERN_FIXED, QUERN_FIXED_BYTES_MAX));
    ck_assert(!qn_type_may_be_key(QUERN_FIXED, 0) && !qn_type_may_be_key(QUERN_FIXED, QUERN_FIXED_BYTES_MAX + 1));
    ck_assert(qn_type_may_be_key(QUERN_PAIR(QUERN_FIXED, QUERN_I64), 4));
    ck_assert(!qn_type_may_be_key(QUERN_PAIR(QUERN_FIXED, QUERN_I64), 0));
    ck_assert(!qn_type_may_be_key(QUERN_PAIR(QUERN_BYTES, QUERN_FIXED), QUERN_FIXED_BYTES_MAX + 1));
    ck_assert(qn_type_may_be_key(QUERN_PAIR(QUERN_FIXED, QUERN_FIXED), QUERN_FIXED_BYTES_MAX));
    ck_assert(!qn_type_may_be_key(QUERN_PAIR(QUERN_FIXED, QUERN_FIXED), 1)); /* of both */
    ck_assert(!qn_type_may_be_key(QUERN_PAIR(QUERN_I64, QUERN_NONE), 4));
    ck_assert(!qn_type_may_be_key(QUERN_PAIR(pair, QUERN_I64), 0));
    ck_assert(!qn_type_may_be_key((quern_type)9, 0) && !qn_type_may_be_value((quern_type)-1, 0));
    ck_assert(!qn_type_may_be_key((quern_type)(pair | 1 << 20), 0) && !qn_type_may_be_key(QUERN_PAIR_BASE, 0));
}
END_TEST

START_TEST(a_key_of_the_wrong_length_does_not_fit)
{
    uint8_t data[16] = {3};
    qn_type_shape shape = qn_type_shape_of(QUERN_PAIR(QUERN_BYTES, QUERN_BYTES), 0);
    for (size_t bytes = 0; bytes < 16; bytes++)
        ck_assert_int_eq(qn_type_fits(&shape, data, bytes), bytes >= 7);
    shape = qn_type_shape_of(QUERN_PAIR(QUERN_FIXED, QUERN_BYTES), 5);
    for (size_t bytes = 0; bytes < 16; bytes++)
        ck_assert_int_eq(qn_type_fits(&shape, data, bytes), bytes >= 9);
    shape = qn_type_shape_of(QUERN_PAIR(QUERN_FIXED, QUERN_I32), 5);
    for (size_t bytes = 0; bytes < 16; bytes++)
        ck_assert_int_eq(qn_type_fits(&shape, data, bytes), bytes == 9);
    shape = qn_type_shape_of(QUERN_PAIR(QUERN_BYTES, QUERN_F32), 0);
    for (size_t bytes = 0; bytes < 16; bytes++)
        ck_assert_int_eq(qn_type_fits(&shape, data, bytes), bytes >= 4);
    ck_assert(!qn_type_fits(&shape, data, QN_FIELD_BYTES_MAX + (size_t)1));
    shape = qn_type_shape_of(QUERN_PAIR(QUERN_I32, QUERN_U64), 0);
    for (size_t bytes = 0; bytes < 16; bytes++)
        ck_assert_int_eq(qn_type_fits(&shape, data, bytes), bytes == 12);
    shape = qn_type_shape_of(QUERN_FIXED, 5);
    for (size_t bytes = 0; bytes < 16; bytes++)
        ck_assert_int_eq(qn_type_fits(&shape, data, bytes), bytes == 5);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_type_is_in_its_order_and_prefixes_agree, a_number_comes_back_from_its_prefix,
                                  canonical_keys_have_equal_bytes_if_and_only_if_they_are_equal,
                                  types_stand_only_where_they_may, a_key_of_the_wrong_length_does_not_fit};
    return kit_run_tests("order", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
