/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/order.h"

static int compare_bytes(quern_span left, quern_span right)
{
    size_t common = left.bytes < right.bytes ? left.bytes : right.bytes;
    int result = memcmp(left.data, right.data, common);
    return result != 0 ? result : (left.bytes > right.bytes) - (left.bytes < right.bytes);
}

int qn_order_compare(quern_type type, quern_span left, quern_span right)
{
    if (!qn_order_prefix_decides(type))
        return compare_bytes(left, right);
    uint64_t left_prefix = qn_order_prefix(type, left.data, left.bytes);
    uint64_t right_prefix = qn_order_prefix(type, right.data, right.bytes);
    return (left_prefix > right_prefix) - (left_prefix < right_prefix);
}
