/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/types.h: what a record is, and what callbacks are handed.
 *
 * A dataset is a sequence of records; a record is a key and a value, each of a type that is fixed for
 * the dataset (its schema). Bytes have any length and any content, NUL included; numbers are 4 or 8 bytes in
 * the machine's order; fixed ones are structs of the user's of one size; a pair, of keys only, is two of these others.
 *
 *     quern_record record = {quern_text("pressure"), quern_of_u64(&(uint64_t){42})};
 *     uint64_t value = quern_u64(record.value);
 *     assert(value == 42 && record.key.bytes == 8);
 *     const quern_type day_and_station = QUERN_PAIR(QUERN_I32, QUERN_BYTES);
 *     char room[64];
 *     record.key = quern_pair_put(day_and_station, quern_of_i32(&(int32_t){7}), quern_text("Uppsala"), room);
 *     assert(record.key.bytes == 11 && quern_pair_second(day_and_station, record.key).bytes == 7);
 *
 * Which keys are equal: those whose bytes are, but that -0.0 is 0.0 and every NaN is the same one, also in pairs: a
 * floating-point key that is -0.0 or any NaN becomes 0.0 or the positive quiet NaN without payload when it is emitted. Values stay as they
 * are. Of structs all bytes count, padding too.
 *
 * Caveats: spans borrow; each function or callback says until when. Memory behind a span need not be aligned:
 * read numbers through quern_u64() and its like. Floating-point numbers are those of IEEE 754.
 */
#ifndef QUERN_TYPES_H
#define QUERN_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quern_type {
    QUERN_NONE = 0,            /* no bytes at all (values only) */
    QUERN_BYTES = 1,           /* any number of any bytes */
    QUERN_I64 = 2,             /* int64_t */
    QUERN_U64 = 3,             /* uint64_t */
    QUERN_FIXED = 4,           /* a struct of value_bytes or key_bytes bytes: compared as bytes, if at all */
    QUERN_I32 = 5,             /* int32_t */
    QUERN_U32 = 6,             /* uint32_t */
    QUERN_F32 = 7,             /* float */
    QUERN_F64 = 8,             /* double */
    QUERN_PAIR_BASE = 1 << 16, /* no type; see QUERN_PAIR() */
} quern_type;

/*
 * The type of keys that are two in one; each is QUERN_BYTES, QUERN_FIXED or a number, so pairs are not made of pairs. A pair's bytes are
 * those of the first and then those of the second, without padding: numbers 4 or 8 bytes, in the machine's order; of the others
 * all that the number leaves. If neither is a number, 4 bytes come before them, the length of the first as a uint32_t.
 * quern_pair_put() writes pairs, quern_pair_first() and quern_pair_second() read them.
 */
#define QUERN_PAIR(first, second) ((quern_type)((int)QUERN_PAIR_BASE | (int)(first) << 8 | (int)(second)))
#define QUERN_IS_PAIR(type)       (((int)(type) & (int)QUERN_PAIR_BASE) != 0)
#define QUERN_PAIR_FIRST(type)    ((quern_type)((int)(type) >> 8 & 0xff))
#define QUERN_PAIR_SECOND(type)   ((quern_type)((int)(type)&0xff))

/* The types of a dataset's records. value_bytes and key_bytes count only for QUERN_FIXED: 1 … QUERN_FIXED_BYTES_MAX; of a pair they are
 * those of its struct, of both if it has two. */
typedef struct quern_schema {
    quern_type key;
    quern_type value;
    uint32_t value_bytes;
    uint32_t key_bytes;
} quern_schema;

#define QUERN_FIXED_BYTES_MAX 256

/* Some bytes of somebody else. data is not NULL even when bytes is 0. */
typedef struct quern_span {
    const void *data;
    size_t bytes;
} quern_span;

typedef struct quern_record {
    quern_span key;
    quern_span value; /* bytes is 0 for QUERN_NONE, 4 or 8 for numbers, value_bytes for QUERN_FIXED */
} quern_record;

/* A block of records, as arrays: shapes are all [count]. value is NULL for QUERN_NONE. The memory lives
 * until the callback that it was handed to returns. */
typedef struct quern_block {
    size_t count;
    const void *const *key;
    const uint32_t *key_bytes;
    const void *const *value;
    const uint32_t *value_bytes;
} quern_block;

/* Where a callback puts records; see quern_emit() in quern/dataset.h. */
typedef struct quern_emitter quern_emitter;

static inline uint64_t quern_u64(quern_span span)
{
    uint64_t number = 0;
    memcpy(&number, span.data, sizeof number);
    return number;
}

static inline int64_t quern_i64(quern_span span)
{
    int64_t number = 0;
    memcpy(&number, span.data, sizeof number);
    return number;
}

static inline int32_t quern_i32(quern_span span)
{
    int32_t number = 0;
    memcpy(&number, span.data, sizeof number);
    return number;
}

static inline uint32_t quern_u32(quern_span span)
{
    uint32_t number = 0;
    memcpy(&number, span.data, sizeof number);
    return number;
}

static inline float quern_f32(quern_span span)
{
    float number = 0;
    memcpy(&number, span.data, sizeof number);
    return number;
}

static inline double quern_f64(quern_span span)
{
    double number = 0;
    memcpy(&number, span.data, sizeof number);
    return number;
}

static inline quern_span quern_bytes(const void *data, size_t bytes)
{
    quern_span span = {data, bytes};
    return span;
}

static inline quern_span quern_text(const char *text)
{
    return quern_bytes(text, strlen(text));
}

/* Of a value that is a place (QUERN_TEXT_PLACE): the byte of the file at which the record begins. */
static inline uint64_t quern_place_offset(quern_span place)
{
    return quern_u64(place);
}

/* The same: the path of the file, without a NUL behind it. */
static inline quern_span quern_place_path(quern_span place)
{
    return quern_bytes((const char *)place.data + sizeof(uint64_t), place.bytes - sizeof(uint64_t));
}

static inline quern_span quern_of_u64(const uint64_t *number)
{
    return quern_bytes(number, sizeof *number);
}

static inline quern_span quern_of_i64(const int64_t *number)
{
    return quern_bytes(number, sizeof *number);
}

static inline quern_span quern_of_i32(const int32_t *number)
{
    return quern_bytes(number, sizeof *number);
}

static inline quern_span quern_of_u32(const uint32_t *number)
{
    return quern_bytes(number, sizeof *number);
}

static inline quern_span quern_of_f32(const float *number)
{
    return quern_bytes(number, sizeof *number);
}

static inline quern_span quern_of_f64(const double *number)
{
    return quern_bytes(number, sizeof *number);
}

/* The bytes of a number of the type: 4 or 8; 0 for types that are no numbers. */
static inline size_t quern_number_bytes(quern_type type)
{
    if (type == QUERN_I32 || type == QUERN_U32 || type == QUERN_F32)
        return 4;
    return type == QUERN_I64 || type == QUERN_U64 || type == QUERN_F64 ? 8 : 0;
}

/* Not 0 if the length of the first comes before a pair: if neither is a number. */
static inline int quern_pair_has_length(quern_type pair)
{
    return quern_number_bytes(QUERN_PAIR_FIRST(pair)) == 0 && quern_number_bytes(QUERN_PAIR_SECOND(pair)) == 0;
}

/* The bytes of the pair of these two. */
static inline size_t quern_pair_bytes(quern_type pair, quern_span first, quern_span second)
{
    size_t length_bytes = quern_pair_has_length(pair) ? sizeof(uint32_t) : 0;
    return length_bytes + first.bytes + second.bytes;
}

/* Writes the pair of these two to `room`, which has quern_pair_bytes() bytes and need not be aligned. Both are of the pair's types, and
 * of less than 2^31 bytes. Returns a span of room. */
static inline quern_span quern_pair_put(quern_type pair, quern_span first, quern_span second, void *room)
{
    size_t bytes = quern_pair_bytes(pair, first, second);
    uint32_t length = (uint32_t)first.bytes;
    char *to = (char *)room;
    if (quern_pair_has_length(pair)) {
        memcpy(to, &length, sizeof length);
        to += sizeof length;
    }
    memcpy(to, first.data, first.bytes);
    memcpy(to + first.bytes, second.data, second.bytes);
    return quern_bytes(room, bytes);
}

/* The first of a pair, as a span of the pair's bytes. The pair is one of its type. */
static inline quern_span quern_pair_first(quern_type pair, quern_span span)
{
    const char *from = (const char *)span.data;
    size_t first_bytes = quern_number_bytes(QUERN_PAIR_FIRST(pair));
    if (first_bytes > 0)
        return quern_bytes(from, first_bytes);
    size_t second_bytes = quern_number_bytes(QUERN_PAIR_SECOND(pair));
    if (second_bytes > 0)
        return quern_bytes(from, span.bytes - second_bytes);
    return quern_bytes(from + sizeof(uint32_t), quern_u32(span));
}

/* The second of a pair. */
static inline quern_span quern_pair_second(quern_type pair, quern_span span)
{
    quern_span first = quern_pair_first(pair, span);
    const char *from = (const char *)first.data + first.bytes;
    return quern_bytes(from, span.bytes - (size_t)(from - (const char *)span.data));
}

#ifdef __cplusplus
}
#endif
#endif
