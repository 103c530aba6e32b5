/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/bins.h"

#include "runtime/data/type.h"

#define TWO_63 9223372036854775808.0

bool qn_bins_take(quern_type type)
{
    return qn_type_is_number(type);
}

/* A bound between two integers is cut to the one nearer to 0, which lies below it or above. */

static bool u64_reaches(uint64_t number, double bound)
{
    if (bound <= 0)
        return true;
    if (bound >= 2 * TWO_63)
        return false;
    uint64_t cut = (uint64_t)bound;
    return (double)cut >= bound ? number >= cut : number > cut;
}

static bool i64_reaches(int64_t number, double bound)
{
    if (bound <= -TWO_63)
        return true;
    if (bound >= TWO_63)
        return false;
    int64_t cut = (int64_t)bound;
    return (double)cut >= bound ? number >= cut : number > cut;
}

/* NaN is above infinity, as in the order of values. */
static bool f64_reaches(double number, double bound)
{
    return number >= bound || number != number;
}

/* Whether the number that a value is is at the bound or above it. */
static bool reaches(quern_type type, quern_span value, double bound)
{
    switch (type) {
    case QUERN_I64:
        return i64_reaches(quern_i64(value), bound);
    case QUERN_I32:
        return i64_reaches(quern_i32(value), bound);
    case QUERN_U32:
        return u64_reaches(quern_u32(value), bound);
    case QUERN_F32:
        return f64_reaches((double)quern_f32(value), bound);
    case QUERN_F64:
        return f64_reaches(quern_f64(value), bound);
    default:
        return u64_reaches(quern_u64(value), bound);
    }
}

uint64_t qn_bins_find(const qn_bins *bins, quern_span value)
{
    size_t low = 0, high = bins->bound_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reaches(bins->type, value, bins->bounds[middle]))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
