/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/binned_sum.h"

#include <math.h>

#include "runtime/base/assert.h"

#define DIGIT_BITS    26
#define DIGIT_MASK    ((UINT64_C(1) << DIGIT_BITS) - 1)
#define LOW_BITS      (3 * DIGIT_BITS) /* below the highest column */
#define TOP_BITS_MAX  (128 - LOW_BITS)
#define COUNT_MASK    ((UINT64_C(1) << 38) - 1)
#define SEEN_NAN      (UINT64_C(1) << 40)
#define SEEN_PLUS     (UINT64_C(1) << 41)
#define SEEN_MINUS    (UINT64_C(1) << 42)
#define SEEN_MASK     (SEEN_NAN | SEEN_PLUS | SEEN_MINUS)
#define PLACE_SHIFT   48
#define MANTISSA_BITS 52
#define MANTISSA_MASK ((UINT64_C(1) << MANTISSA_BITS) - 1)
#define EXPONENT_MAX  0x7ff
#define UNIT_EXPONENT (-1074)

typedef unsigned __int128 wide;

/* Moves the columns down to those of a higher place. */
static void raise_place(uint64_t *sum, uint64_t by)
{
    for (uint64_t i = 0; i < QN_BINNED_SUM_COLUMNS; i++)
        sum[1 + i] = i + by < QN_BINNED_SUM_COLUMNS ? sum[1 + i + by] : 0;
    sum[0] += by << PLACE_SHIFT;
}

static bool count_more(uint64_t *sum, uint64_t count)
{
    if (QN_UNLIKELY((sum[0] & COUNT_MASK) + count > QN_BINNED_SUM_COUNT_MAX))
        return false;
    sum[0] += count;
    return true;
}

/* Adds the digits to the columns from `first` on, which may be below the lowest. */
static void add_digits(uint64_t *columns, int64_t first, const uint64_t digits[3])
{
    for (int64_t i = first < 0 ? -first : 0; i < 3; i++)
        columns[first + i] += digits[i];
}

bool qn_binned_sum_add(uint64_t *into, uint64_t bits)
{
    uint64_t exponent = bits >> MANTISSA_BITS & EXPONENT_MAX, mantissa = bits & MANTISSA_MASK;
    if (QN_UNLIKELY(!count_more(into, 1)))
        return false;
    if (QN_UNLIKELY(exponent == EXPONENT_MAX)) {
        into[0] |= mantissa ? SEEN_NAN : bits >> 63 ? SEEN_MINUS : SEEN_PLUS;
        return true;
    }
    uint64_t normal = exponent != 0, minus = -(bits >> 63);
    uint64_t shift = exponent - normal;
    mantissa |= normal << MANTISSA_BITS;
    uint64_t place = shift / DIGIT_BITS, at = into[0] >> PLACE_SHIFT;
    wide shifted = (wide)mantissa << shift % DIGIT_BITS;
    uint64_t low = (uint64_t)shifted, digits[3];
    digits[0] = ((low & DIGIT_MASK) ^ minus) - minus;
    digits[1] = ((low >> DIGIT_BITS & DIGIT_MASK) ^ minus) - minus;
    digits[2] = ((uint64_t)(shifted >> 2 * DIGIT_BITS) ^ minus) - minus;
    if (place == at) {
        into[2] += digits[0];
        into[3] += digits[1];
        into[4] += digits[2];
        return true;
    }
    if (place > at) {
        raise_place(into, place - at);
        at = place;
    }
    add_digits(into + 1, 1 - (int64_t)(at - place), digits);
    return true;
}

bool qn_binned_sum_merge(uint64_t *into, const uint64_t *from)
{
    uint64_t place = from[0] >> PLACE_SHIFT, at = into[0] >> PLACE_SHIFT;
    if (QN_UNLIKELY(!count_more(into, from[0] & COUNT_MASK)))
        return false;
    into[0] |= from[0] & SEEN_MASK;
    if (place > at) {
        raise_place(into, place - at);
        at = place;
    }
    for (uint64_t i = at - place; i < QN_BINNED_SUM_COLUMNS; i++)
        into[1 + i - (at - place)] += from[1 + i];
    return true;
}

/* A sum as number * 2^exponent with its sign. If bits were cut off, the number has all of its 64, and the lowest tells whether those were
 * zeros: that rounds as they would. */
typedef struct scaled {
    uint64_t number;
    int exponent;
    bool minus;
} scaled;

/* Shortens a number to 64 bits. lost: it was longer already, and what was cut off was not zero. */
static void shorten(wide number, bool lost, scaled *into)
{
    uint64_t upper = (uint64_t)(number >> 64);
    int bits = upper ? 64 - __builtin_clzll(upper) : 0;
    wide rest = number & (((wide)1 << bits) - 1);
    into->number = (uint64_t)(number >> bits) | (lost || rest != 0);
    into->exponent += bits;
}

/* The columns with carries: `top` counts 2^LOW_BITS, and the rest is in *low_out, not negative. */
static __int128 carry(const uint64_t *columns, wide *low_out)
{
    __int128 column = (int64_t)columns[0];
    wide low = 0;
    for (int i = 1; i < QN_BINNED_SUM_COLUMNS; i++) {
        low |= ((wide)column & DIGIT_MASK) << DIGIT_BITS * (i - 1);
        column = (int64_t)columns[i] + (column >> DIGIT_BITS);
    }
    *low_out = low;
    return column;
}

static scaled scale(const uint64_t *sum)
{
    wide low;
    __int128 top = carry(sum + 1, &low);
    scaled result = {.minus = top < 0};
    result.exponent = ((int)(sum[0] >> PLACE_SHIFT) - 1) * DIGIT_BITS + UNIT_EXPONENT;
    if (result.minus) {
        top = -top - (low != 0);
        low = low ? ((wide)1 << LOW_BITS) - low : 0;
    }
    if (top >> TOP_BITS_MAX == 0) {
        shorten((wide)top << LOW_BITS | low, false, &result);
        return result;
    }
    /* Without the lowest digit all of it fits 128 bits, and many more are left than are rounded to. */
    result.exponent += DIGIT_BITS;
    shorten((wide)top << (LOW_BITS - DIGIT_BITS) | low >> DIGIT_BITS, (low & DIGIT_MASK) != 0, &result);
    return result;
}

static bool is_special(const uint64_t *sum, double *result_out)
{
    if ((sum[0] & SEEN_MASK) == 0)
        return false;
    bool undefined = (sum[0] & SEEN_NAN) || (sum[0] & (SEEN_PLUS | SEEN_MINUS)) == (SEEN_PLUS | SEEN_MINUS);
    *result_out = undefined ? (double)NAN : sum[0] & SEEN_PLUS ? (double)INFINITY : -(double)INFINITY;
    return true;
}

/* A result below the normal doubles is a multiple of their unit, as all values are, so it is rounded once there too. */
double qn_binned_sum_get(const uint64_t *sum)
{
    double special;
    if (is_special(sum, &special))
        return special;
    scaled result = scale(sum);
    double size = ldexp((double)result.number, result.exponent);
    return result.minus ? -size : size;
}

double qn_binned_sum_get_mean(const uint64_t *sum)
{
    double special;
    uint64_t count = sum[0] & COUNT_MASK;
    if (count == 0)
        return (double)NAN;
    if (is_special(sum, &special))
        return special;
    scaled result = scale(sum);
    double size = ldexp((double)result.number / (double)count, result.exponent);
    return result.minus ? -size : size;
}
