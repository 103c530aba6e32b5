/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/running_sum.h"

static __int128 integer_in(const qn_running_sum *sum)
{
    __int128 integer;
    memcpy(&integer, sum->words, sizeof integer);
    return integer;
}

static void add_integer(qn_running_sum *into, __int128 integer)
{
    integer += integer_in(into);
    memcpy(into->words, &integer, sizeof integer);
}

bool qn_running_sum_add(qn_running_sum *into, quern_type type, const void *number)
{
    quern_span span = {number, quern_number_bytes(type)};
    double real = 0;
    uint64_t bits;
    switch (type) {
    case QUERN_I64:
        add_integer(into, quern_i64(span));
        return true;
    case QUERN_I32:
        add_integer(into, quern_i32(span));
        return true;
    case QUERN_U32:
        add_integer(into, quern_u32(span));
        return true;
    case QUERN_F32:
        real = (double)quern_f32(span);
        break;
    case QUERN_F64:
        real = quern_f64(span);
        break;
    default:
        add_integer(into, quern_u64(span));
        return true;
    }
    memcpy(&bits, &real, sizeof bits);
    return qn_binned_sum_add(into->words, bits);
}

bool qn_running_sum_merge(qn_running_sum *into, quern_type type, const qn_running_sum *from)
{
    if (qn_type_is_float(type))
        return qn_binned_sum_merge(into->words, from->words);
    add_integer(into, integer_in(from));
    return true;
}

bool qn_running_sum_get(const qn_running_sum *sum, quern_type type, uint64_t *word_out)
{
    if (qn_type_is_float(type)) {
        double real = qn_binned_sum_get(sum->words);
        memcpy(word_out, &real, sizeof real);
        return true;
    }
    __int128 integer = integer_in(sum);
    *word_out = (uint64_t)integer;
    return qn_type_of_sums(type) == QUERN_I64 ? integer == (int64_t)integer : integer >> 64 == 0;
}
