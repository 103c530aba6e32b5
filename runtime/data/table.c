/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/table.h"

#include "runtime/base/assert.h"

#define GROUP_COUNT 64 /* entries that are admitted and combined together */

quern_status qn_table_init(qn_table *table, const qn_reducer *reducer, uint64_t tag_first, uint64_t tag_last,
                           size_t bytes_max, qn_error *error)
{
    *table = (qn_table){.reducer = reducer};
    qn_arena_init(&table->long_keys, 0);
    if (qn_slots_init(&table->tiny, 0, reducer->value_words, tag_first, tag_last, bytes_max) &&
        qn_slots_init(&table->wide, 2, reducer->value_words, tag_first, tag_last, bytes_max))
        return QUERN_OK;
    qn_table_fini(table);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "cannot reserve %zu bytes of address space for a table",
                        bytes_max);
}

void qn_table_fini(qn_table *table)
{
    qn_slots_fini(&table->tiny);
    qn_slots_fini(&table->wide);
    qn_arena_reset(&table->long_keys);
    *table = (qn_table){0};
}

void qn_table_clear(qn_table *table)
{
    qn_slots_clear(&table->tiny);
    qn_slots_clear(&table->wide);
    qn_arena_reset(&table->long_keys);
}

static qn_table_result result_of(qn_slots_result result)
{
    return result == QN_SLOTS_OK ? QN_TABLE_OK : result == QN_SLOTS_FULL ? QN_TABLE_FULL : QN_TABLE_NO_MEMORY;
}

/* Room in one of the arrays, within what the rest of the table leaves of bytes_max. */
static inline qn_table_result make_room_in(qn_table *table, qn_slots *slots, size_t coming, size_t bytes_max)
{
    size_t rest_bytes = qn_table_get_bytes(table) - qn_slots_get_bytes(slots);
    return result_of(qn_slots_make_room(slots, coming, bytes_max > rest_bytes ? bytes_max - rest_bytes : 0));
}

qn_table_result qn_table_make_room(qn_table *table, size_t tiny_coming, size_t wide_coming, size_t bytes_max)
{
    qn_table_result result = make_room_in(table, &table->tiny, tiny_coming, bytes_max);
    return result == QN_TABLE_OK ? make_room_in(table, &table->wide, wide_coming, bytes_max) : result;
}

static inline __attribute__((always_inline)) uint64_t *place_in(const qn_slots *slots, uint64_t tag, size_t stride)
{
    return (uint64_t *)(slots->memory + qn_slots_place(slots, tag) * stride);
}

static inline __attribute__((always_inline)) uint64_t *next_slot(const uint64_t *slot, size_t stride)
{
    return (uint64_t *)((uint8_t *)(uintptr_t)slot + stride);
}

/* The slot with this tag, probing from its place, or the empty one where it belongs. Most keys are in the first slot or
 * the second: which of them is decided without a branch. */
static inline __attribute__((always_inline)) uint64_t *find_tag(qn_slots *slots, uint64_t tag, size_t stride)
{
    uint64_t *place = place_in(slots, tag, stride);
    uint64_t *slot = place + (*place != tag) * (stride / 8);
    if (QN_LIKELY(*slot == tag))
        return slot;
    return *place == 0 ? place : *slot == 0 ? slot : qn_slots_probe(slots, tag);
}

static inline __attribute__((always_inline)) bool same_rest(const qn_key *slot, const qn_key *key, bool is_long)
{
    if (!is_long)
        return (slot->k0 == key->k0) & (slot->k1 == key->k1);
    return slot->k1 == key->k1 &&
           memcmp((const void *)(uintptr_t)slot->k0, (const void *)(uintptr_t)key->k0, key->k1) == 0;
}

/* The same for keys that are more than their tag. */
static inline __attribute__((always_inline)) uint64_t *find_key(qn_slots *slots, const qn_key *key, size_t stride,
                                                                bool is_long)
{
    uint64_t *slot = find_tag(slots, key->tag, stride);
    while (QN_UNLIKELY(*slot != 0 && !(*slot == key->tag && same_rest((const qn_key *)slot, key, is_long))))
        slot = next_slot(slot, stride); /* another key of the same hash */
    return slot;
}

static const uint64_t *value_of(const qn_table *table, const qn_entry *entry)
{
    return table->reducer->kind == QN_REDUCER_USER ? (const uint64_t *)(uintptr_t)entry->value : &entry->value;
}

/* Fills the empty slot that a key's probing ended at. */
static qn_table_result fill_slot(qn_table *table, qn_slots *slots, uint64_t *slot, const qn_entry *entry)
{
    uint64_t k0 = entry->key.k0;
    if (QN_TAG_CODE(entry->key.tag) == QN_TAG_LONG) {
        void *copy = qn_arena_pack(&table->long_keys, (const void *)(uintptr_t)k0, entry->key.k1);
        if (!copy)
            return QN_TABLE_NO_MEMORY;
        k0 = (uint64_t)(uintptr_t)copy;
    }
    slot = qn_slots_claim(slots, slot, entry->key.tag);
    if (!slot)
        return QN_TABLE_NO_MEMORY;
    slot[0] = entry->key.tag;
    if (slots->key_words > 0) {
        slot[1] = k0;
        slot[2] = entry->key.k1;
    }
    memcpy(slot + 1 + slots->key_words, value_of(table, entry), 8 * (size_t)table->reducer->value_words);
    return QN_TABLE_OK;
}

static inline __attribute__((always_inline)) qn_table_result combine(qn_table *table, uint64_t *into,
                                                                     const qn_entry *entry, qn_reducer_kind kind)
{
    bool combined = kind == QN_REDUCER_USER
                        ? qn_reducer_apply(table->reducer, into, (const uint64_t *)(uintptr_t)entry->value)
                        : qn_reducer_apply_word(kind, into, entry->value);
    if (QN_LIKELY(combined))
        return QN_TABLE_OK;
    table->failed_key = QN_TAG_IS_TINY(entry->key.tag) ? qn_key_of_tag(entry->key.tag) : entry->key;
    return QN_TABLE_FAILED;
}

/* One entry of a class that is a constant where this is inlined, like kind and strides. */
static inline __attribute__((always_inline)) qn_table_result
insert_one(qn_table *table, qn_entry_class class, const qn_entry *entry, qn_reducer_kind kind, uint32_t value_words)
{
    bool tiny = class == QN_ENTRY_TINY;
    size_t stride = 8 * ((tiny ? 1 : 3) + (size_t)value_words);
    qn_slots *slots = tiny ? &table->tiny : &table->wide;
    uint64_t *slot =
        tiny ? find_tag(slots, entry->key.tag, stride) : find_key(slots, &entry->key, stride, class == QN_ENTRY_LONG);
    if (QN_UNLIKELY(*slot == 0))
        return fill_slot(table, slots, slot, entry);
    return combine(table, slot + (tiny ? 1 : 3), entry, kind);
}

/* Fetches the bytes of a long key's probable twin. An empty slot has none, and its 0 fetches nothing. */
static inline __attribute__((always_inline)) void fetch_twin(qn_slots *slots, uint64_t tag, size_t stride)
{
    __builtin_prefetch((const void *)(uintptr_t)find_tag(slots, tag, stride)[1]);
}

/* Entries of one class. Long keys may miss the cache twice each, in slot and bytes: all bytes are fetched before the first are
 * compared. */
static inline __attribute__((always_inline)) qn_table_result insert_class(qn_table *table, qn_entry_class class,
                                                                          const qn_entry *entries, size_t count,
                                                                          qn_reducer_kind kind, uint32_t value_words)
{
    qn_table_result result = QN_TABLE_OK;
    if (class == QN_ENTRY_LONG)
        for (size_t i = 0; i < count; i++)
            fetch_twin(&table->wide, entries[i].key.tag, 8 * (3 + (size_t)value_words));
    for (size_t i = 0; i < count && QN_LIKELY(result == QN_TABLE_OK); i++)
        result = insert_one(table, class, &entries[i], kind, value_words);
    return result;
}

static inline __attribute__((always_inline)) qn_table_result
insert_mixed(qn_table *table, const qn_entry *entries, size_t count, qn_reducer_kind kind, uint32_t value_words)
{
    qn_table_result result = QN_TABLE_OK;
    for (size_t i = 0; i < count && QN_LIKELY(result == QN_TABLE_OK); i++) {
        uint64_t code = QN_TAG_CODE(entries[i].key.tag);
        if (code <= QN_KEY_TINY_BYTES + 1)
            result = insert_one(table, QN_ENTRY_TINY, &entries[i], kind, value_words);
        else if (code != QN_TAG_LONG)
            result = insert_one(table, QN_ENTRY_SHORT, &entries[i], kind, value_words);
        else
            result = insert_one(table, QN_ENTRY_LONG, &entries[i], kind, value_words);
    }
    return result;
}

static inline __attribute__((always_inline)) qn_table_result insert_group(qn_table *table, qn_entry_class class,
                                                                          const qn_entry *entries, size_t count,
                                                                          qn_reducer_kind kind, uint32_t value_words)
{
    switch (class) {
    case QN_ENTRY_TINY:
        return insert_class(table, QN_ENTRY_TINY, entries, count, kind, value_words);
    case QN_ENTRY_SHORT:
        return insert_class(table, QN_ENTRY_SHORT, entries, count, kind, value_words);
    case QN_ENTRY_LONG:
        return insert_class(table, QN_ENTRY_LONG, entries, count, kind, value_words);
    case QN_ENTRY_ANY:
        break;
    }
    return insert_mixed(table, entries, count, kind, value_words);
}

static qn_table_result insert_counts(qn_table *table, qn_entry_class class, const qn_entry *entries, size_t count)
{
    return insert_group(table, class, entries, count, QN_REDUCER_COUNT, 1);
}

static qn_table_result insert_words(qn_table *table, qn_entry_class class, const qn_entry *entries, size_t count)
{
    return insert_group(table, class, entries, count, table->reducer->kind, 1);
}

static qn_table_result insert_user(qn_table *table, qn_entry_class class, const qn_entry *entries, size_t count)
{
    return insert_group(table, class, entries, count, QN_REDUCER_USER, table->reducer->value_words);
}

static size_t long_bytes_of(const qn_entry *entries, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += QN_TAG_CODE(entries[i].key.tag) == QN_TAG_LONG ? entries[i].key.k1 : 0;
    return bytes;
}

/* How many of the next entries are surely within bytes_max, growing the table if need be. 0: none. */
static size_t admit(qn_table *table, qn_entry_class class, const qn_entry *entries, size_t count, size_t bytes_max,
                    qn_table_result *result_out)
{
    size_t group = count < GROUP_COUNT ? count : GROUP_COUNT;
    if (class == QN_ENTRY_TINY)
        *result_out = make_room_in(table, &table->tiny, group, bytes_max);
    else if (class == QN_ENTRY_ANY)
        *result_out = qn_table_make_room(table, group, group, bytes_max);
    else
        *result_out = make_room_in(table, &table->wide, group, bytes_max);
    if (*result_out != QN_TABLE_OK)
        return 0;
    if (class == QN_ENTRY_TINY || class == QN_ENTRY_SHORT)
        return group;
    size_t held_bytes = qn_table_get_bytes(table);
    if (QN_LIKELY(held_bytes + qn_arena_growth(&table->long_keys, long_bytes_of(entries, group)) <= bytes_max))
        return group;
    if (held_bytes + qn_arena_growth(&table->long_keys, long_bytes_of(entries, 1)) <= bytes_max ||
        qn_table_get_count(table) == 0)
        return 1;
    *result_out = QN_TABLE_FULL;
    return 0;
}

qn_table_result qn_table_insert(qn_table *table, qn_entry_class class, const qn_entry *entries, size_t count,
                                size_t bytes_max, size_t *done_out)
{
    qn_table_result result = QN_TABLE_OK;
    size_t done = 0;
    while (done < count) {
        size_t group = admit(table, class, entries + done, count - done, bytes_max, &result);
        if (group == 0)
            break;
        if (table->reducer->kind == QN_REDUCER_COUNT)
            result = insert_counts(table, class, entries + done, group);
        else if (table->reducer->kind == QN_REDUCER_USER)
            result = insert_user(table, class, entries + done, group);
        else
            result = insert_words(table, class, entries + done, group);
        if (result != QN_TABLE_OK)
            break;
        done += group;
    }
    *done_out = done;
    return result;
}

qn_table_cursor qn_table_cursor_of(qn_table *table, uint64_t tag_first, uint64_t tag_last)
{
    return (qn_table_cursor){
        .tiny = qn_slots_cursor_of(&table->tiny, tag_first, tag_last),
        .wide = qn_slots_cursor_of(&table->wide, tag_first, tag_last),
    };
}

const qn_key *qn_table_cursor_peek(qn_table_cursor *cursor, const uint64_t **value_out)
{
    if (!cursor->slot) {
        const uint64_t *tiny = qn_slots_cursor_peek(&cursor->tiny);
        const uint64_t *wide = qn_slots_cursor_peek(&cursor->wide);
        if (!tiny && !wide)
            return NULL;
        cursor->slot_is_tiny = !wide || (tiny && *tiny < *wide);
        cursor->slot = cursor->slot_is_tiny ? tiny : wide;
        if (cursor->slot_is_tiny)
            cursor->tiny_key = qn_key_of_tag(*tiny);
    }
    *value_out = cursor->slot + (cursor->slot_is_tiny ? 1 : 3);
    return cursor->slot_is_tiny ? &cursor->tiny_key : (const qn_key *)cursor->slot;
}

void qn_table_cursor_step(qn_table_cursor *cursor)
{
    qn_slots_cursor_step(cursor->slot_is_tiny ? &cursor->tiny : &cursor->wide);
    cursor->slot = NULL;
}

void qn_table_cursor_release(qn_table_cursor *cursor)
{
    qn_slots_cursor_release(&cursor->tiny);
    qn_slots_cursor_release(&cursor->wide);
}
