/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/sample_bytes.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define KEY_BYTES_MIN   1024 /* of a key, and of a value if there is room, however much they differ */
#define VALUE_BYTES_MIN 64   /* of a value, though there is little room */
#define COUNT_GOOD      256  /* samples that have room where records differ early */
#define COUNT_FEW       64   /* the same where they differ late */
#define COMPARED_COUNT  256
#define ALIKE_PART      16 /* of the compared ones, one in so many may be alike for longer */
#define MARGIN_BYTES    64

static bool may_cut_value(const qn_collation *collation, uint32_t side)
{
    return collation->layout.value_varies && collation->layout.value_types[side] == QUERN_BYTES &&
           !collation->compare_values;
}

static bool may_cut_key(const qn_collation *collation)
{
    return collation->layout.key_varies && collation->layout.key_type == QUERN_BYTES &&
           collation->kind == QN_COLLATE_BY_KEY;
}

qn_packed qn_sample_cut_short(const qn_collation *collation, qn_packed record, qn_sample_bytes limits)
{
    if (may_cut_value(collation, record.side) && record.value_bytes > limits.value_max)
        record.value_bytes = limits.value_max;
    if (may_cut_key(collation) && record.key_bytes > limits.key_max)
        record.key_bytes = limits.key_max;
    return record;
}

static int compare(const void *left, const void *right, void *collation)
{
    return qn_collation_compare(collation, left, right);
}

/* Bytes at the begin that are the same; 0 if all are: nothing tells those apart. */
static uint32_t count_alike(const uint8_t *left, uint32_t left_bytes, const uint8_t *right, uint32_t right_bytes)
{
    uint32_t count = 0, most = left_bytes < right_bytes ? left_bytes : right_bytes;
    while (count < most && left[count] == right[count])
        count++;
    return count == left_bytes && count == right_bytes ? 0 : count;
}

static int compare_counts(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* What nearly all have in common with the one before, and some more. */
static uint64_t enough_for(uint32_t *alike, size_t count)
{
    if (count == 0)
        return 0;
    qsort(alike, count, sizeof *alike, compare_counts);
    return (uint64_t)alike[count - 1 - count / ALIKE_PART] + MARGIN_BYTES;
}

/* Some of the records, evenly: how many. */
static size_t choose_some(const qn_collation *collation, const uint8_t *packed, uint64_t bytes, uint64_t count,
                          qn_packed *some)
{
    uint64_t step = 1 + count / COMPARED_COUNT, number = 0;
    size_t chosen = 0;
    for (uint64_t at = 0; at < bytes; number++) {
        qn_packed record;
        uint64_t record_bytes = qn_packed_decode(&collation->layout, packed + at, bytes - at, &record);
        QN_ASSERT(record_bytes > 0);
        at += record_bytes;
        if (number % step == 0 && chosen < COMPARED_COUNT)
            some[chosen++] = record;
    }
    return chosen;
}

static uint32_t within(uint64_t wanted, uint64_t least, uint64_t most)
{
    uint64_t bytes = wanted > most ? most : wanted;
    bytes = bytes < least ? least : bytes;
    return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

qn_sample_bytes qn_sample_bytes_choose(const qn_collation *collation, const uint8_t *packed, uint64_t bytes,
                                       uint64_t count, uint64_t room_bytes)
{
    qn_packed some[COMPARED_COUNT];
    uint32_t keys[COMPARED_COUNT], values[COMPARED_COUNT];
    size_t key_count = 0, value_count = 0, chosen = 0;
    qn_sample_bytes limits = {KEY_BYTES_MIN, within(room_bytes / COUNT_GOOD, VALUE_BYTES_MIN, KEY_BYTES_MIN)};
    if (!may_cut_key(collation) && !may_cut_value(collation, 0) && !may_cut_value(collation, 1))
        return limits;
    chosen = choose_some(collation, packed, bytes, count, some);
    qsort_r(some, chosen, sizeof *some, compare, (void *)(uintptr_t)collation);
    for (size_t i = 1; i < chosen; i++) {
        const qn_packed *a = &some[i - 1], *b = &some[i];
        if (qn_collation_compare_keys(collation, a, b) != 0)
            keys[key_count++] = count_alike(a->key, a->key_bytes, b->key, b->key_bytes);
        else if (a->side == b->side)
            values[value_count++] = count_alike(a->value, a->value_bytes, b->value, b->value_bytes);
    }
    limits.key_max = within(enough_for(keys, key_count), limits.key_max, room_bytes / COUNT_FEW);
    limits.value_max = within(enough_for(values, value_count), limits.value_max, room_bytes / COUNT_FEW);
    return limits;
}
