/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/keykit.h: sets of different keys of all kinds, and a plain model of what a reduction makes of them.
 */
#ifndef TESTS_DATA_KEYKIT_H
#define TESTS_DATA_KEYKIT_H

#include "runtime/data/reducer.h"
#include "runtime/data/row.h"
#include "tests/kit.h"

#define KEYKIT_BYTES_MAX  40
#define KEYKIT_DATA_BYTES (KEYKIT_BYTES_MAX + QN_SLACK_BYTES)
#define KEYKIT_WORDS_MAX  (QUERN_FIXED_BYTES_MAX / 8)

/* A key, and what came for it. */
typedef struct keykit_key {
    qn_key key;
    uint64_t count; /* values; 0: it is not to be there */
    uint64_t value[KEYKIT_WORDS_MAX];
} keykit_key;

typedef struct keykit_set {
    keykit_key *keys; /* in the order (tag, bytes), all different */
    size_t count;
    uint8_t *data; /* of the keys */
} keykit_set;

static inline int keykit_compare(const void *a, const void *b)
{
    return qn_key_compare(&((const keykit_key *)a)->key, &((const keykit_key *)b)->key);
}

static inline void keykit_sort(keykit_set *set)
{
    size_t kept = 0;
    qsort(set->keys, set->count, sizeof *set->keys, keykit_compare);
    for (size_t i = 0; i < set->count; i++)
        if (kept == 0 || keykit_compare(&set->keys[kept - 1], &set->keys[i]) != 0)
            set->keys[kept++] = set->keys[i];
    set->count = kept;
}

/* Keys of 0 … KEYKIT_BYTES_MAX bytes, many of them alike: few letters, NULs, common beginnings. */
static inline keykit_set keykit_make(size_t count, uint64_t seed)
{
    static const uint8_t letters[] = {0, 'a', 0xff, 'b'};
    uint64_t state = seed;
    keykit_set set = {(keykit_key *)kit_take(count * sizeof *set.keys), count,
                      (uint8_t *)kit_take(count * KEYKIT_DATA_BYTES)};
    for (size_t i = 0; i < count; i++) {
        uint8_t *data = set.data + i * KEYKIT_DATA_BYTES;
        uint32_t bytes = (uint32_t)kit_random_below(&state, KEYKIT_BYTES_MAX + 1);
        bool alike = kit_random_below(&state, 2);
        for (uint32_t at = 0; at < KEYKIT_DATA_BYTES; at++)
            data[at] = alike || at < 3 ? letters[kit_random_below(&state, 4)] : (uint8_t)kit_random(&state);
        set.keys[i].key = qn_key_of(data, bytes);
    }
    keykit_sort(&set);
    return set;
}

/* Keys of 8 bytes of one hash: nothing but their bytes tells them apart. */
static inline keykit_set keykit_make_equal_short(size_t count, uint64_t tag)
{
    keykit_set set = {(keykit_key *)kit_take(count * sizeof *set.keys), count, NULL};
    for (size_t i = 0; i < count; i++)
        set.keys[i].key = (qn_key){(tag & ~UINT64_C(0xff)) | 9, __builtin_bswap64(i), 0};
    keykit_sort(&set);
    return set;
}

/* The same of long keys of several lengths. */
static inline keykit_set keykit_make_equal_long(size_t count, uint64_t tag)
{
    keykit_set set = {(keykit_key *)kit_take(count * sizeof *set.keys), count,
                      (uint8_t *)kit_take(count * KEYKIT_DATA_BYTES)};
    for (size_t i = 0; i < count; i++) {
        uint8_t *data = set.data + i * KEYKIT_DATA_BYTES;
        snprintf((char *)data, KEYKIT_DATA_BYTES, "a common beginning %zu", i / 2);
        uint64_t bytes = 25 + i % 2; /* of two keys each, one is the other and a NUL */
        set.keys[i].key = (qn_key){tag | QN_TAG_LONG, (uint64_t)(uintptr_t)data, bytes};
    }
    keykit_sort(&set);
    return set;
}

static inline void keykit_free(keykit_set *set)
{
    free(set->keys);
    free(set->data);
    *set = (keykit_set){0};
}

static inline void keykit_forget(keykit_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        set->keys[i].count = 0;
}

/* What the reducer makes of one more value. */
static inline void keykit_combine(keykit_key *into, const qn_reducer *reducer, const uint64_t *value)
{
    if (into->count++ == 0)
        memcpy(into->value, value, 8 * (size_t)reducer->value_words);
    else if (!qn_reducer_apply(reducer, into->value, value))
        abort();
}

/* A value of the reducer as an entry holds it. */
static inline uint64_t keykit_entry_value(const qn_reducer *reducer, const uint64_t *value)
{
    return qn_reducer_by_address(reducer) ? (uint64_t)(uintptr_t)value : *value;
}

/* Makes random words some that the reducer may hold: of a binned sum, few values at any place. */
static inline void keykit_settle(const qn_reducer *reducer, uint64_t *value)
{
    if (reducer->kind == QN_REDUCER_BINNED)
        value[0] = (value[0] & 0xfff) | (value[0] >> 12) % 60 << 48;
}

/* What the reducer makes of one more record, whose value is given. */
static inline void keykit_combine_record(keykit_key *into, const qn_reducer *reducer, const uint64_t *value)
{
    uint64_t held[KEYKIT_WORDS_MAX] = {0};
    if (reducer->kind == QN_REDUCER_COUNT)
        held[0] = 1;
    else if (qn_reducer_is_wide(reducer->kind))
        ck_assert(qn_reducer_add(reducer->kind, held, value[0]));
    else
        memcpy(held, value, 8 * (size_t)reducer->value_words);
    keykit_combine(into, reducer, held);
}

static inline size_t keykit_present_count(const keykit_set *set, uint64_t tag_first, uint64_t tag_last)
{
    size_t present = 0;
    for (size_t i = 0; i < set->count; i++)
        present += set->keys[i].count > 0 && set->keys[i].key.tag >= tag_first && set->keys[i].key.tag <= tag_last;
    return present;
}

/* Checks keys as they come, in order, against a set. */
typedef struct keykit_check {
    const keykit_set *set;
    const qn_reducer *reducer;
    size_t next;
    size_t matched;
} keykit_check;

static inline keykit_check keykit_check_from(const keykit_set *set, const qn_reducer *reducer, uint64_t tag_first)
{
    keykit_check check = {set, reducer, 0, 0};
    while (check.next < set->count && set->keys[check.next].key.tag < tag_first)
        check.next++;
    return check;
}

/* Whether this is the next key that is present, with its value. */
static inline bool keykit_matches(keykit_check *check, const qn_key *key, const uint64_t *value)
{
    const keykit_set *set = check->set;
    while (check->next < set->count && set->keys[check->next].count == 0)
        check->next++;
    if (check->next == set->count)
        return false;
    const keykit_key *expected = &set->keys[check->next++];
    check->matched++;
    return qn_key_compare(key, &expected->key) == 0 &&
           memcmp(value, expected->value, 8 * (size_t)check->reducer->value_words) == 0;
}

/* Reducers. The user's takes sums and largest of the words in turn. */

static inline int keykit_add(void *into, const void *value, void *user)
{
    uint32_t words = *(const uint32_t *)user;
    uint64_t *sums = (uint64_t *)into;
    for (uint32_t word = 0; word < words; word++) {
        uint64_t more = ((const uint64_t *)value)[word];
        sums[word] = word % 2 == 0 ? sums[word] + more : sums[word] > more ? sums[word] : more;
    }
    return 0;
}

static inline qn_reducer keykit_reducer(qn_reducer_kind kind, uint32_t *words)
{
    qn_reducer reducer = {.kind = kind, .value_bytes = 8, .value_words = qn_reducer_words(kind)};
    if (kind == QN_REDUCER_USER)
        reducer = (qn_reducer){
            .kind = kind, .value_bytes = 8 * *words, .value_words = *words, .fn = keykit_add, .user = words};
    return reducer;
}

#endif
