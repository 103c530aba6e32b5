/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/type.h"

#define F32_NAN UINT32_C(0x7fc00000)
#define F64_NAN UINT64_C(0x7ff8000000000000)

uint32_t qn_type_bytes(quern_type type, uint32_t fixed_bytes)
{
    if (!QUERN_IS_PAIR(type))
        return type == QUERN_FIXED ? fixed_bytes : (uint32_t)quern_number_bytes(type);
    quern_type first = QUERN_PAIR_FIRST(type), second = QUERN_PAIR_SECOND(type);
    uint32_t length_bytes = quern_pair_has_length(type) ? (uint32_t)sizeof(uint32_t) : 0;
    uint32_t numbers_bytes = (uint32_t)(quern_number_bytes(first) + quern_number_bytes(second));
    return length_bytes + numbers_bytes + (qn_type_has_fixed(type) ? fixed_bytes : 0);
}

/* Two structs have a byte each at least. */
static bool is_simple(quern_type type, uint32_t fixed_bytes, uint32_t fixed_bytes_min)
{
    if (type == QUERN_FIXED)
        return fixed_bytes >= fixed_bytes_min && fixed_bytes <= QUERN_FIXED_BYTES_MAX;
    return type == QUERN_BYTES || qn_type_is_number(type);
}

bool qn_type_may_be_key(quern_type type, uint32_t fixed_bytes)
{
    quern_type first = QUERN_PAIR_FIRST(type), second = QUERN_PAIR_SECOND(type);
    uint32_t fixed_bytes_min = first == QUERN_FIXED && second == QUERN_FIXED ? 2 : 1;
    if (!QUERN_IS_PAIR(type))
        return is_simple(type, fixed_bytes, 1);
    return type == QUERN_PAIR(first, second) && is_simple(first, fixed_bytes, fixed_bytes_min) &&
           is_simple(second, fixed_bytes, fixed_bytes_min);
}

bool qn_type_may_be_value(quern_type type, uint32_t fixed_bytes)
{
    return type == QUERN_NONE || is_simple(type, fixed_bytes, 1);
}

qn_type_shape qn_type_shape_of(quern_type type, uint32_t fixed_bytes)
{
    qn_type_shape shape = {.bytes_min = qn_type_bytes(type, fixed_bytes)};
    shape.bytes_range = qn_type_varies(type) ? QN_FIELD_BYTES_MAX - shape.bytes_min : 0;
    shape.has_length = QUERN_IS_PAIR(type) && quern_pair_has_length(type);
    shape.has_floats = qn_type_is_float(type) || (QUERN_IS_PAIR(type) && (qn_type_is_float(QUERN_PAIR_FIRST(type)) ||
                                                                          qn_type_is_float(QUERN_PAIR_SECOND(type))));
    return shape;
}

static void canonicalise_number(quern_type type, char *at)
{
    quern_span span = {at, quern_number_bytes(type)};
    if (type == QUERN_F32) {
        float number = quern_f32(span);
        uint32_t bits = number == 0 ? 0 : number != number ? F32_NAN : quern_u32(span);
        memcpy(at, &bits, sizeof bits);
    } else if (type == QUERN_F64) {
        double number = quern_f64(span);
        uint64_t bits = number == 0 ? 0 : number != number ? F64_NAN : quern_u64(span);
        memcpy(at, &bits, sizeof bits);
    }
}

void qn_key_canonicalise(quern_type type, void *key, size_t bytes)
{
    if (!QUERN_IS_PAIR(type)) {
        canonicalise_number(type, key);
        return;
    }
    quern_type second = QUERN_PAIR_SECOND(type);
    canonicalise_number(QUERN_PAIR_FIRST(type), key);
    canonicalise_number(second, (char *)key + bytes - quern_number_bytes(second));
}
