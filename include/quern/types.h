/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/types.h: what a record is, and what callbacks are handed.
 *
 * A dataset is a sequence of records; a record is a key and a value, each of a type that is fixed for
 * the dataset (its schema). Bytes have any length and any content, NUL included; integers are 8 bytes in
 * the machine's order; fixed values are structs of the user's of one size.
 *
 *     quern_record record = {quern_text("pressure"), quern_of_u64(&(uint64_t){42})};
 *     uint64_t value = quern_u64(record.value);
 *     assert(value == 42 && record.key.bytes == 8);
 *
 * Caveats: spans borrow; each function or callback says until when. Memory behind a span need not be aligned:
 * read integers through quern_u64() and quern_i64().
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
    QUERN_NONE = 0,  /* no bytes at all (values only) */
    QUERN_BYTES = 1, /* any number of any bytes */
    QUERN_I64 = 2,   /* int64_t */
    QUERN_U64 = 3,   /* uint64_t */
    QUERN_FIXED = 4, /* a struct of value_bytes bytes (values only): never hashed or compared by Quern */
} quern_type;

/* The types of a dataset's records. value_bytes counts only for QUERN_FIXED: 1 … QUERN_FIXED_BYTES_MAX. */
typedef struct quern_schema {
    quern_type key;
    quern_type value;
    uint32_t value_bytes;
} quern_schema;

#define QUERN_FIXED_BYTES_MAX 256

/* Some bytes of somebody else. data is not NULL even when bytes is 0. */
typedef struct quern_span {
    const void *data;
    size_t bytes;
} quern_span;

typedef struct quern_record {
    quern_span key;
    quern_span value; /* bytes is 0 for QUERN_NONE, 8 for integers, value_bytes for QUERN_FIXED */
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

#ifdef __cplusplus
}
#endif
#endif
