/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/collatekit.h: random records of many shapes, packed, for the tests of what routes and sorts them.
 */
#ifndef TESTS_SHUFFLE_COLLATEKIT_H
#define TESTS_SHUFFLE_COLLATEKIT_H

#include "runtime/base/hash.h"
#include "runtime/data/collation.h"
#include "runtime/shuffle/splitters.h"
#include "tests/kit.h"

#define KIT_KEY_BYTES_MAX 4096

/* How records look. */
typedef struct kit_shape {
    qn_collation_kind kind;
    quern_type key_type; /* QUERN_BYTES or QUERN_U64, as the value's */
    quern_type value_type;
    bool sides;
    bool descending, values_descending;
    uint64_t key_count;       /* different ones */
    uint64_t value_count;     /* the same of one key */
    uint32_t hot_percent;     /* of the records have key 0 */
    uint32_t inner_percent;   /* with sides */
    uint32_t pad_bytes;       /* of values that are bytes, in front: they are alike so far */
    uint32_t key_pad_bytes;   /* the same of keys */
    uint32_t giant_per_mille; /* records whose value has giant_bytes more */
    uint32_t giant_bytes;
} kit_shape;

/* Records one behind the other, as they are packed. */
typedef struct kit_packed {
    uint8_t *bytes;
    uint64_t used_bytes, capacity_bytes;
    qn_packed *items; /* [count], after kit_unpack() */
    size_t count;
} kit_packed;

/* By length, then nothing: much is equal. */
static inline int kit_compare_lengths(quern_span left, quern_span right, void *user)
{
    (void)user;
    return (left.bytes > right.bytes) - (left.bytes < right.bytes);
}

static inline qn_collation kit_collation_of(const kit_shape *shape)
{
    quern_schema schema = {.key = shape->key_type, .value = shape->value_type};
    qn_collation collation = {
        .kind = shape->kind,
        .layout = qn_layout_of(&schema, shape->sides ? &schema : NULL, shape->kind == QN_COLLATE_BY_HASH),
        .descending = shape->descending,
        .values_descending = shape->values_descending,
    };
    if (shape->kind == QN_COLLATE_BY_USER)
        collation.compare_keys = kit_compare_lengths;
    return collation;
}

static inline uint8_t *kit_grow(kit_packed *to, uint64_t bytes)
{
    if (to->used_bytes + bytes + QN_SLACK_BYTES > to->capacity_bytes) {
        to->capacity_bytes = 2 * (to->used_bytes + bytes) + 4096;
        to->bytes = realloc(to->bytes, to->capacity_bytes);
        if (!to->bytes)
            ck_abort_msg("no memory for the test's records");
    }
    return to->bytes + to->used_bytes;
}

/* Appends one record; key and value are their numbers, as texts or as they are. */
static inline void kit_pack(kit_packed *to, const kit_shape *shape, const qn_layout *layout, uint64_t key,
                            uint64_t value, uint32_t side, uint32_t pad_bytes)
{
    char key_text[KIT_KEY_BYTES_MAX], value_text[64];
    memset(key_text, 'k', shape->key_pad_bytes);
    int key_bytes = (int)shape->key_pad_bytes;
    key_bytes += snprintf(key_text + key_bytes, 64, "%.*s%llu", (int)(key % 23), "kkkkkkkkkkkkkkkkkkkkkkkk",
                          (unsigned long long)key);
    int value_bytes = snprintf(value_text, sizeof value_text, "%llu", (unsigned long long)value);
    uint32_t all_bytes = pad_bytes + (uint32_t)value_bytes;
    uint8_t *padded = kit_take(all_bytes);
    memset(padded, 'p', pad_bytes);
    memcpy(padded + pad_bytes, value_text, (size_t)value_bytes);
    qn_packed record = {.key = (const uint8_t *)key_text, .key_bytes = (uint32_t)key_bytes, .side = side};
    record.value = padded;
    record.value_bytes = all_bytes;
    if (shape->key_type == QUERN_U64) {
        record.key = (const uint8_t *)&key;
        record.key_bytes = sizeof key;
    }
    if (shape->value_type == QUERN_U64) {
        record.value = (const uint8_t *)&value;
        record.value_bytes = sizeof value;
    } else if (shape->value_type == QUERN_NONE)
        record.value_bytes = 0;
    char slack[KIT_KEY_BYTES_MAX + QN_SLACK_BYTES];
    memset(slack, 0, sizeof slack);
    memcpy(slack, record.key, record.key_bytes);
    record.prefix = layout->has_tag ? qn_key_of(slack, record.key_bytes).tag
                                    : qn_order_prefix(layout->key_type, record.key, record.key_bytes);
    uint64_t bytes = qn_packed_bytes(layout, record.key_bytes, record.value_bytes);
    qn_packed_encode(layout, &record, kit_grow(to, bytes));
    to->used_bytes += bytes;
    to->count++;
    free(padded);
}

/* Appends a record of the shape. */
static inline void kit_pack_random(kit_packed *to, const kit_shape *shape, const qn_layout *layout, uint64_t *state)
{
    uint64_t key = kit_random_below(state, 100) < shape->hot_percent ? 0 : kit_random_below(state, shape->key_count);
    bool inner = !shape->sides || kit_random_below(state, 100) < shape->inner_percent;
    bool giant = kit_random_below(state, 1000) < shape->giant_per_mille;
    kit_pack(to, shape, layout, key, kit_random_below(state, shape->value_count), inner ? QN_SIDE_INNER : QN_SIDE_OUTER,
             shape->pad_bytes + (giant ? shape->giant_bytes : 0));
}

/* Finds the records in the bytes, which must not move any more. */
static inline void kit_unpack(kit_packed *of, const qn_layout *layout)
{
    uint64_t at = 0;
    free(of->items);
    of->items = kit_take(of->count * sizeof *of->items);
    for (size_t i = 0; i < of->count; i++)
        at += qn_packed_decode(layout, of->bytes + at, of->used_bytes - at, &of->items[i]);
    ck_assert_uint_eq(at, of->used_bytes);
}

static inline void kit_free_packed(kit_packed *of)
{
    free(of->bytes);
    free(of->items);
    *of = (kit_packed){0};
}

static inline int kit_compare_packed(const void *left, const void *right, void *collation)
{
    return qn_collation_compare(collation, left, right);
}

static inline void kit_sort_packed(kit_packed *of, qn_collation *collation)
{
    kit_unpack(of, &collation->layout);
    if (of->count > 0)
        qsort_r(of->items, of->count, sizeof *of->items, kit_compare_packed, collation);
}

static inline bool kit_is_same_record(const qn_packed *a, const qn_packed *b)
{
    return a->prefix == b->prefix && a->key_bytes == b->key_bytes && a->value_bytes == b->value_bytes &&
           a->side == b->side && memcmp(a->key, b->key, a->key_bytes) == 0 &&
           memcmp(a->value, b->value, a->value_bytes) == 0;
}

#endif
