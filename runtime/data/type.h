/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/type.h: what is known of the types of keys and values: sizes, what may stand where, and the one form of keys
 * that are equal.
 *
 * Keys are hashed and compared as bytes, so equal keys must have equal bytes: those of floating-point types are brought into one
 * form where records enter the engine, and are left alone from there on.
 */
#ifndef QN_DATA_TYPE_H
#define QN_DATA_TYPE_H

#include <quern/types.h>
#include <stdbool.h>

#define QN_FIELD_BYTES_MAX ((UINT32_C(1) << 31) - 1)

static inline bool qn_type_is_float(quern_type type)
{
    return type == QUERN_F32 || type == QUERN_F64;
}

static inline bool qn_type_is_number(quern_type type)
{
    return quern_number_bytes(type) > 0;
}

/* A number of 8 bytes: hashed as a word, whatever its length would say. */
static inline bool qn_type_is_word(quern_type type)
{
    return type == QUERN_I64 || type == QUERN_U64 || type == QUERN_F64;
}

/* The type of sums of such numbers; QUERN_NONE if it has none. */
static inline quern_type qn_type_of_sums(quern_type type)
{
    if (qn_type_is_float(type))
        return QUERN_F64;
    if (!qn_type_is_number(type))
        return QUERN_NONE;
    return type == QUERN_I64 || type == QUERN_I32 ? QUERN_I64 : QUERN_U64;
}

/* Whether its keys or values differ in length. */
static inline bool qn_type_varies(quern_type type)
{
    return type == QUERN_BYTES ||
           (QUERN_IS_PAIR(type) && (QUERN_PAIR_FIRST(type) == QUERN_BYTES || QUERN_PAIR_SECOND(type) == QUERN_BYTES));
}

/* Whether there is QUERN_FIXED in it, whose bytes count. */
static inline bool qn_type_has_fixed(quern_type type)
{
    return type == QUERN_FIXED ||
           (QUERN_IS_PAIR(type) && (QUERN_PAIR_FIRST(type) == QUERN_FIXED || QUERN_PAIR_SECOND(type) == QUERN_FIXED));
}

/* The bytes of a key or value; the least there can be where they vary. fixed_bytes: of what is QUERN_FIXED in it. */
uint32_t qn_type_bytes(quern_type type, uint32_t fixed_bytes);

/* Whether a schema may have it there. */
bool qn_type_may_be_key(quern_type type, uint32_t fixed_bytes);
bool qn_type_may_be_value(quern_type type, uint32_t fixed_bytes);

/* What is looked at of each record that enters the engine. */
typedef struct qn_type_shape {
    size_t bytes_min, bytes_range; /* from bytes_min to bytes_min + bytes_range */
    bool has_length;               /* a pair without a number */
    bool has_floats;               /* keys of it have to be made canonical */
} qn_type_shape;

qn_type_shape qn_type_shape_of(quern_type type, uint32_t fixed_bytes);

/* Whether so many bytes at data are a key or value of the shape. */
static inline bool qn_type_fits(const qn_type_shape *shape, const void *data, size_t bytes)
{
    if (bytes - shape->bytes_min > shape->bytes_range)
        return false;
    return !shape->has_length || quern_u32((quern_span){data, bytes}) <= bytes - sizeof(uint32_t);
}

/* Gives a key, which fits its type, the bytes that all equal ones have. For types with floating-point numbers. */
void qn_key_canonicalise(quern_type type, void *key, size_t bytes);

#endif
