/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/order.h"

#define F32_SIGN (UINT32_C(1) << 31)

void qn_order_to_number(quern_type type, uint64_t prefix, void *data_out)
{
    uint64_t bytes = quern_number_bytes(type);
    uint32_t upper = (uint32_t)(prefix >> 32);
    if (type == QUERN_I64)
        prefix ^= QN_ORDER_SIGN;
    else if (type == QUERN_F64)
        prefix = qn_order_to_f64(prefix);
    else if (type == QUERN_I32)
        upper ^= F32_SIGN;
    else if (type == QUERN_F32)
        upper = upper & F32_SIGN ? upper & ~F32_SIGN : ~upper;
    memcpy(data_out, bytes == sizeof upper ? (const void *)&upper : (const void *)&prefix, bytes);
}

uint64_t qn_order_pair_prefix(quern_type type, const void *data, uint64_t bytes)
{
    quern_span pair = {data, bytes}, first = quern_pair_first(type, pair);
    uint64_t prefix = qn_order_prefix(QUERN_PAIR_FIRST(type), first.data, first.bytes);
    if (quern_number_bytes(QUERN_PAIR_FIRST(type)) != sizeof(uint32_t))
        return prefix;
    quern_span second = quern_pair_second(type, pair);
    return prefix | qn_order_prefix(QUERN_PAIR_SECOND(type), second.data, second.bytes) >> 32;
}

static int compare_bytes(quern_span left, quern_span right)
{
    size_t common = left.bytes < right.bytes ? left.bytes : right.bytes;
    int result = memcmp(left.data, right.data, common);
    return result != 0 ? result : (left.bytes > right.bytes) - (left.bytes < right.bytes);
}

static int compare_simple(quern_type type, quern_span left, quern_span right)
{
    if (!qn_order_prefix_decides(type))
        return compare_bytes(left, right);
    uint64_t left_prefix = qn_order_prefix(type, left.data, left.bytes);
    uint64_t right_prefix = qn_order_prefix(type, right.data, right.bytes);
    return (left_prefix > right_prefix) - (left_prefix < right_prefix);
}

int qn_order_compare(quern_type type, quern_span left, quern_span right)
{
    if (!QUERN_IS_PAIR(type))
        return compare_simple(type, left, right);
    int result = compare_simple(QUERN_PAIR_FIRST(type), quern_pair_first(type, left), quern_pair_first(type, right));
    if (result != 0)
        return result;
    return compare_simple(QUERN_PAIR_SECOND(type), quern_pair_second(type, left), quern_pair_second(type, right));
}
