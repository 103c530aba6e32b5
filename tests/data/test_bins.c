/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_bins.c: bins of integers against comparisons in a type that holds integers and bounds exactly.
 */
#include "runtime/data/bins.h"
#include "tests/kit.h"

#include <math.h>

_Static_assert(__LDBL_MANT_DIG__ >= 64, "long double holds 64-bit integers");

#define BOUND_COUNT_MAX 40

/* Bounds near where integers end, cannot be told apart by doubles, or change their sign. */
static double odd_number(uint64_t *state)
{
    static const double places[] = {0,
                                    1,
                                    -1,
                                    4503599627370496.0,
                                    9007199254740992.0,
                                    9223372036854775808.0,
                                    -9223372036854775808.0,
                                    18446744073709551616.0};
    double number = places[kit_random_below(state, sizeof places / sizeof *places)];
    int steps = (int)kit_random_below(state, 5) - 2;
    for (int i = 0; i < abs(steps); i++)
        number = nextafter(number, steps < 0 ? -INFINITY : INFINITY);
    return kit_random_below(state, 3) == 0 ? number + ((double)kit_random_below(state, 9) - 4) / 2 : number;
}

static size_t make_bounds(double *bounds, uint64_t *state)
{
    size_t wanted = 1 + kit_random_below(state, BOUND_COUNT_MAX - 2), count = 0;
    for (size_t i = 0; i < wanted; i++) {
        double bound = odd_number(state);
        size_t at = 0;
        while (at < count && bounds[at] < bound)
            at++;
        if (at < count && bounds[at] == bound)
            continue;
        memmove(bounds + at + 1, bounds + at, (count - at) * sizeof *bounds);
        bounds[at] = bound;
        count++;
    }
    return count;
}

static void check_value(quern_type type, const double *bounds, size_t count, quern_span value, long double exact)
{
    qn_bins bins = {type, bounds, count};
    uint64_t expected = 0;
    while (expected < count && exact >= bounds[expected])
        expected++;
    ck_assert_uint_eq(qn_bins_find(&bins, value), expected);
}

/* The number's bits as integers of each type. */
static void check_integers(const double *bounds, size_t count, uint64_t number)
{
    uint32_t half = (uint32_t)number;
    check_value(QUERN_U64, bounds, count, quern_of_u64(&number), (long double)number);
    check_value(QUERN_I64, bounds, count, quern_of_u64(&number), (long double)(int64_t)number);
    check_value(QUERN_U32, bounds, count, quern_bytes(&half, sizeof half), (long double)half);
    check_value(QUERN_I32, bounds, count, quern_bytes(&half, sizeof half), (long double)(int32_t)half);
}

START_TEST(integers_are_compared_with_bounds_exactly)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t state = seed;
        double bounds[BOUND_COUNT_MAX];
        size_t count = make_bounds(bounds, &state);
        for (int i = 0; i < 30; i++) {
            double near = odd_number(&state);
            uint64_t number = kit_random(&state);
            if (near > -9.2e18 && near < 9.2e18)
                number = (uint64_t)(int64_t)near;
            else if (near > 0 && near < 1.8e19)
                number = (uint64_t)near;
            number += kit_random_below(&state, 7) - 3;
            check_integers(bounds, count, number);
        }
    }
}
END_TEST

START_TEST(infinite_bounds_hold_everything_between_them)
{
    static const double bounds[] = {-INFINITY, INFINITY};
    static const uint64_t numbers[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        check_integers(bounds, 2, numbers[i]);
}
END_TEST

START_TEST(floating_point_numbers_are_compared_as_they_are_and_nan_is_above_all)
{
    for (uint64_t seed = 1; seed <= 500; seed++) {
        uint64_t state = seed;
        double bounds[BOUND_COUNT_MAX];
        size_t count = make_bounds(bounds, &state);
        for (int i = 0; i < 30; i++) {
            double number = i == 0 ? (double)INFINITY : odd_number(&state);
            float single = (float)number;
            check_value(QUERN_F64, bounds, count, quern_bytes(&number, sizeof number), number);
            check_value(QUERN_F32, bounds, count, quern_bytes(&single, sizeof single), single);
        }
        double none = NAN;
        check_value(QUERN_F64, bounds, count, quern_bytes(&none, sizeof none), INFINITY);
    }
}
END_TEST

START_TEST(only_numbers_have_bins)
{
    ck_assert(qn_bins_take(QUERN_I64) && qn_bins_take(QUERN_U64) && qn_bins_take(QUERN_F32));
    ck_assert(!qn_bins_take(QUERN_NONE) && !qn_bins_take(QUERN_BYTES) && !qn_bins_take(QUERN_FIXED));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        integers_are_compared_with_bounds_exactly,
        infinite_bounds_hold_everything_between_them,
        floating_point_numbers_are_compared_as_they_are_and_nan_is_above_all,
        only_numbers_have_bins,
    };
    return kit_run_tests("bins", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
