/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_binned_sum.c: sums of doubles against one integer that is wide enough for all of them.
 */
#include "runtime/data/binned_sum.h"

#include <float.h>
#include <math.h>

#include "tests/kit.h"

#define COUNT_MAX 300
#define TREE_MAX  12

/* ---- the model: an integer in units of 2^-1074, in two's complement ---- */

#define WIDE_WORDS 36 /* 2304 bits: the largest double times 2^100, and a sign */

typedef struct wide_integer {
    uint64_t word[WIDE_WORDS];
} wide_integer;

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void wide_negate(wide_integer *wide)
{
    uint64_t carry = 1;
    for (int i = 0; i < WIDE_WORDS; i++) {
        wide->word[i] = ~wide->word[i] + carry;
        carry = carry && wide->word[i] == 0;
    }
}

static void wide_add(wide_integer *wide, double number)
{
    int exponent;
    double fraction = frexp(fabs(number), &exponent);
    wide_integer more = {{0}};
    int shift = exponent - 53 + 1074; /* below 0 for denormal numbers, whose lowest bits are zeros then */
    uint64_t mantissa = (uint64_t)ldexp(fraction, 53);
    if (shift < 0) {
        mantissa >>= -shift;
        shift = 0;
    }
    more.word[shift / 64] = mantissa << shift % 64;
    if (shift % 64)
        more.word[shift / 64 + 1] = mantissa >> (64 - shift % 64);
    if (signbit(number))
        wide_negate(&more);
    unsigned __int128 carry = 0;
    for (int i = 0; i < WIDE_WORDS; i++) {
        carry += (unsigned __int128)wide->word[i] + more.word[i];
        wide->word[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static int wide_bit(const wide_integer *wide, int bit)
{
    return bit >= 0 && wide->word[bit / 64] >> bit % 64 & 1;
}

/* The nearest double, ties to even, bit by bit. */
static double wide_round(wide_integer wide)
{
    bool minus = wide.word[WIDE_WORDS - 1] >> 63;
    if (minus)
        wide_negate(&wide);
    int top = 64 * WIDE_WORDS - 1;
    while (top >= 0 && !wide_bit(&wide, top))
        top--;
    int last = top > 52 ? top - 52 : 0;
    uint64_t mantissa = 0;
    for (int bit = top; bit >= last; bit--)
        mantissa = mantissa << 1 | (uint64_t)wide_bit(&wide, bit);
    bool rest = false;
    for (int bit = last - 2; bit >= 0; bit--)
        rest |= wide_bit(&wide, bit);
    mantissa += wide_bit(&wide, last - 1) && (rest || mantissa % 2);
    double size = ldexp((double)mantissa, last - 1074);
    return minus ? -size : size;
}

static double exact_sum(const double *numbers, size_t count, double without)
{
    wide_integer wide = {{0}};
    for (size_t i = 0; i < count; i++)
        wide_add(&wide, numbers[i]);
    wide_add(&wide, -without);
    return wide_round(wide);
}

/* ---- numbers that are hard to add ---- */

static double random_double(uint64_t *state, int exponent_from, int exponent_to)
{
    uint64_t mantissa = kit_random(state) >> (12 + kit_random_below(state, 4) * 13);
    uint64_t exponent = (uint64_t)exponent_from + kit_random_below(state, (uint64_t)(exponent_to - exponent_from + 1));
    return double_of(kit_random(state) << 63 | exponent << 52 | mantissa);
}

static size_t make_nasty(double *numbers, uint64_t *state)
{
    static const double picked[] = {0.0,     -0.0,      1e300,   -1e300,   1.0,          -1.0,
                                    DBL_MAX, -DBL_MAX,  DBL_MIN, -DBL_MIN, DBL_TRUE_MIN, -DBL_TRUE_MIN,
                                    0x1p52,  0x1.8p-26, 1e-300,  0x1p971};
    size_t count = 1 + kit_random_below(state, COUNT_MAX);
    int kind = (int)kit_random_below(state, 5);
    int near = (int)kit_random_below(state, 2000);
    for (size_t i = 0; i < count; i++) {
        if (kind == 0)
            numbers[i] = picked[kit_random_below(state, sizeof picked / sizeof *picked)];
        else if (kind == 1)
            numbers[i] = random_double(state, 0, 2046);
        else if (kind == 2)
            numbers[i] = random_double(state, near, near + 46);
        else if (kind == 3)
            numbers[i] = random_double(state, 0, 3);
        else /* pairs that cancel, among others */
            numbers[i] = i % 2 ? -numbers[i - 1] : random_double(state, near, near + (int)kit_random_below(state, 40));
    }
    if (kind == 4 && count > 2)
        numbers[count / 2] = random_double(state, near > 90 ? near - 90 : 0, near);
    return count;
}

static void shuffle(double *numbers, size_t count, uint64_t *state)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = kit_random_below(state, i);
        double moved = numbers[i - 1];
        numbers[i - 1] = numbers[other];
        numbers[other] = moved;
    }
}

/* Asserting each of millions would take most of the time. */
static void add_one(uint64_t *into, double number)
{
    if (!qn_binned_sum_add(into, bits_of(number)))
        ck_abort();
}

static void merge_one(uint64_t *into, const uint64_t *from)
{
    if (!qn_binned_sum_merge(into, from))
        ck_abort();
}

/* Adds in some order to some accumulators, which are merged now and then. */
static void add_in_any_way(const double *numbers, size_t count, uint64_t *state, uint64_t *sum_out)
{
    uint64_t part[TREE_MAX][QN_BINNED_SUM_WORDS] = {{0}};
    double order[COUNT_MAX];
    uint64_t part_count = 1 + kit_random_below(state, TREE_MAX);
    memcpy(order, numbers, count * sizeof *order);
    shuffle(order, count, state);
    for (size_t i = 0; i < count; i++) {
        uint64_t from = kit_random_below(state, part_count), into = kit_random_below(state, part_count);
        add_one(part[into], order[i]);
        if (from == into || kit_random_below(state, 8))
            continue;
        merge_one(part[into], part[from]);
        memset(part[from], 0, sizeof part[from]);
    }
    memset(sum_out, 0, sizeof part[0]);
    for (uint64_t i = 0; i < part_count; i++)
        merge_one(sum_out, part[i]);
}

static void add_all(const double *numbers, size_t count, uint64_t *sum_out)
{
    memset(sum_out, 0, 8 * QN_BINNED_SUM_WORDS);
    for (size_t i = 0; i < count; i++)
        add_one(sum_out, numbers[i]);
}

START_TEST(a_sum_has_the_same_bits_in_any_order_and_grouping)
{
    uint64_t state = 1, expected[QN_BINNED_SUM_WORDS], sum[QN_BINNED_SUM_WORDS];
    double numbers[COUNT_MAX];
    for (int round = 0; round < 3000; round++) {
        size_t count = make_nasty(numbers, &state);
        if (round % 4 == 3) {
            static const double special[] = {NAN, INFINITY, -INFINITY};
            numbers[kit_random_below(&state, count)] = special[kit_random_below(&state, 3)];
            numbers[kit_random_below(&state, count)] = special[kit_random_below(&state, 3)];
        }
        add_all(numbers, count, expected);
        for (int way = 0; way < 6; way++) {
            add_in_any_way(numbers, count, &state, sum);
            ck_assert_mem_eq(sum, expected, sizeof sum);
            ck_assert_uint_eq(bits_of(qn_binned_sum_get(sum)), bits_of(qn_binned_sum_get(expected)));
        }
    }
}
END_TEST

START_TEST(the_error_stays_within_its_bound)
{
    uint64_t state = 2, sum[QN_BINNED_SUM_WORDS];
    double numbers[COUNT_MAX];
    for (int round = 0; round < 6000; round++) {
        size_t count = make_nasty(numbers, &state);
        double largest = 0;
        for (size_t i = 0; i < count; i++)
            largest = fabs(numbers[i]) > largest ? fabs(numbers[i]) : largest;
        add_all(numbers, count, sum);
        double result = qn_binned_sum_get(sum);
        if (isinf(result)) {
            ck_assert(fabs(exact_sum(numbers, count, 0)) == INFINITY);
            continue;
        }
        double half_unit = (nextafter(fabs(result), INFINITY) - fabs(result)) / 2;
        double error = fabs(exact_sum(numbers, count, result));
        ck_assert_msg(error <= half_unit || error - half_unit <= (double)count * ldexp(largest, -78),
                      "round %d: error %g, result %.17g, largest %g", round, error, result, largest);
    }
}
END_TEST

START_TEST(values_of_about_one_size_give_the_exact_sum_rounded_once)
{
    uint64_t state = 3, sum[QN_BINNED_SUM_WORDS];
    double numbers[COUNT_MAX];
    for (int round = 0; round < 6000; round++) {
        size_t count = 1 + kit_random_below(&state, COUNT_MAX);
        int exponent = (int)kit_random_below(&state, 2021);
        for (size_t i = 0; i < count; i++)
            numbers[i] = random_double(&state, exponent, exponent + 25);
        add_all(numbers, count, sum);
        double expected = exact_sum(numbers, count, 0);
        ck_assert_uint_eq(bits_of(qn_binned_sum_get(sum)), bits_of(expected == 0 ? 0.0 : expected));
    }
}
END_TEST

static double sum_of(const double *numbers, size_t count)
{
    uint64_t sum[QN_BINNED_SUM_WORDS];
    add_all(numbers, count, sum);
    return qn_binned_sum_get(sum);
}

static double mean_of(const double *numbers, size_t count)
{
    uint64_t sum[QN_BINNED_SUM_WORDS];
    add_all(numbers, count, sum);
    return qn_binned_sum_get_mean(sum);
}

START_TEST(infinities_nan_zeros_and_ways_beyond_the_largest_double)
{
    ck_assert_uint_eq(bits_of(sum_of(NULL, 0)), 0);
    ck_assert_uint_eq(bits_of(sum_of((double[]){-0.0, -0.0}, 2)), 0);
    ck_assert(isnan(sum_of((double[]){1, NAN, INFINITY}, 3)));
    ck_assert(isnan(sum_of((double[]){INFINITY, 1, -INFINITY}, 3)));
    ck_assert(sum_of((double[]){INFINITY, -DBL_MAX, 1}, 3) == INFINITY);
    ck_assert(sum_of((double[]){1, -INFINITY, -INFINITY}, 3) == -INFINITY);
    ck_assert(sum_of((double[]){DBL_MAX, DBL_MAX}, 2) == INFINITY);
    ck_assert(sum_of((double[]){-DBL_MAX, -0x1p970}, 2) == -INFINITY);
    ck_assert(sum_of((double[]){DBL_MAX, 0x1p969}, 2) == DBL_MAX);
    ck_assert(sum_of((double[]){DBL_MAX, DBL_MAX, -DBL_MAX}, 3) == DBL_MAX);
    ck_assert(sum_of((double[]){DBL_TRUE_MIN, DBL_TRUE_MIN, -DBL_MIN}, 3) == 2 * DBL_TRUE_MIN - DBL_MIN);
    ck_assert(sum_of((double[]){1, 0x1p-53}, 2) == 1);
    ck_assert(sum_of((double[]){1, 0x1p-53, 0x1p-70}, 3) == 1 + 0x1p-52);
}
END_TEST

START_TEST(a_mean_is_the_sum_by_the_number_even_if_no_double_holds_the_sum)
{
    ck_assert(isnan(mean_of(NULL, 0)));
    ck_assert(mean_of((double[]){1, 2, 4}, 3) == 7.0 / 3);
    ck_assert(mean_of((double[]){DBL_MAX, DBL_MAX, DBL_MAX}, 3) == DBL_MAX);
    ck_assert(mean_of((double[]){-DBL_MAX, -DBL_MAX}, 2) == -DBL_MAX);
    ck_assert(mean_of((double[]){INFINITY, 5}, 2) == INFINITY);
    ck_assert(isnan(mean_of((double[]){NAN, 5}, 2)));
}
END_TEST

START_TEST(too_many_values_are_refused_by_adding_and_by_merging)
{
    uint64_t sum[QN_BINNED_SUM_WORDS] = {0}, one[QN_BINNED_SUM_WORDS] = {0}, twice[QN_BINNED_SUM_WORDS];
    ck_assert(qn_binned_sum_add(one, bits_of(-0x1.fffffffffffffp5)));
    /* as many as there may be, by doubling: every column holds what it has to */
    memcpy(sum, one, sizeof sum);
    for (int i = 0; i < 37; i++) {
        memcpy(twice, sum, sizeof twice);
        ck_assert(qn_binned_sum_merge(sum, twice));
    }
    ck_assert(qn_binned_sum_get(sum) == -0x1.fffffffffffffp42);
    ck_assert(qn_binned_sum_get_mean(sum) == -0x1.fffffffffffffp5);
    ck_assert(!qn_binned_sum_add(sum, bits_of(1)));
    ck_assert(!qn_binned_sum_add(sum, bits_of(NAN)));
    ck_assert(!qn_binned_sum_merge(sum, one));
    ck_assert(!qn_binned_sum_merge(one, sum));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_sum_has_the_same_bits_in_any_order_and_grouping,
                                  the_error_stays_within_its_bound,
                                  values_of_about_one_size_give_the_exact_sum_rounded_once,
                                  infinities_nan_zeros_and_ways_beyond_the_largest_double,
                                  a_mean_is_the_sum_by_the_number_even_if_no_double_holds_the_sum,
                                  too_many_values_are_refused_by_adding_and_by_merging};
    return kit_run_tests("binned_sum", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
