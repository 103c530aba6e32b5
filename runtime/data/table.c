/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/table.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"

#define GROUP_COUNT 64       /* entries whose slots are fetched before the first of them is looked at */
#define SLOT_COUNT_FIRST 2048 /* the smallest table */
#define PAD_COUNT_FIRST 1024
#define SORT_BY_INSERTION_MAX 48
#define HUGE_BYTES_MIN (8 * QN_PAGE_HUGE_BYTES) /* below that budget, whole huge pages would be too coarse */
#define RELEASE_BYTES ((uint64_t)4 << 20)

static uint64_t high_word(uint64_t a, uint64_t b)
{
    return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

static inline __attribute__((always_inline)) uint64_t place_of(const qn_table *table, uint64_t tag)
{
    return high_word(tag - table->tag_first, table->scale);
}

static void set_size(qn_table *table, uint64_t slot_count)
{
    uint64_t last = table->tag_last - table->tag_first;
    table->slot_count = slot_count;
    table->scale = last == UINT64_MAX ? slot_count : (uint64_t)(((unsigned __int128)slot_count << 64) / ((unsigned __int128)last + 1));
    table->pad_count = table->pad_count > PAD_COUNT_FIRST ? table->pad_count : PAD_COUNT_FIRST;
    table->grow_at = slot_count - slot_count / 4;
    table->crowded = false;
}

size_t qn_table_bytes_min(const qn_reducer *reducer)
{
    return (SLOT_COUNT_FIRST + PAD_COUNT_FIRST) * (sizeof(qn_key) + 8 * (size_t)reducer->value_words);
}

quern_status qn_table_init(qn_table *table, const qn_reducer *reducer, uint64_t tag_first, uint64_t tag_last,
                           size_t bytes_max, qn_error *error)
{
    size_t stride = sizeof(qn_key) + 8 * (size_t)reducer->value_words;
    size_t reserved_bytes = bytes_max > qn_table_bytes_min(reducer) ? bytes_max : qn_table_bytes_min(reducer);
    uint8_t *slots = qn_pages_reserve(reserved_bytes, reserved_bytes >= HUGE_BYTES_MIN);
    if (!slots)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "cannot reserve %zu bytes of address space for a table",
                            reserved_bytes);
    *table = (qn_table){
        .slots = slots,
        .tag_first = tag_first,
        .tag_last = tag_last,
        .stride = (uint32_t)stride,
        .reserved_bytes = reserved_bytes,
        .reducer = reducer,
    };
    set_size(table, SLOT_COUNT_FIRST);
    qn_arena_init(&table->long_keys, 0);
    return QUERN_OK;
}

void qn_table_fini(qn_table *table)
{
    qn_pages_unreserve(table->slots, table->reserved_bytes);
    qn_arena_reset(&table->long_keys);
    *table = (qn_table){0};
}

void qn_table_clear(qn_table *table)
{
    qn_pages_release(table->slots, table->reserved_bytes);
    qn_arena_reset(&table->long_keys);
    table->used_count = 0;
    set_size(table, SLOT_COUNT_FIRST);
}

static qn_key *slot_at(const qn_table *table, uint64_t index)
{
    return (qn_key *)(table->slots + index * table->stride);
}

static uint64_t slots_in_all(const qn_table *table)
{
    return table->slot_count + table->pad_count;
}

/* Makes the reservation hold so many slots. */
static bool reserve_slots(qn_table *table, uint64_t count)
{
    size_t bytes = count * table->stride;
    if (bytes <= table->reserved_bytes)
        return true;
    uint8_t *slots = qn_pages_reserve(bytes, true);
    if (!slots)
        return false;
    memcpy(slots, table->slots, slots_in_all(table) * table->stride);
    qn_pages_unreserve(table->slots, table->reserved_bytes);
    table->slots = slots;
    table->reserved_bytes = bytes;
    return true;
}

/* Room behind the last cluster. Needed only when a thousand keys crowd the last places: equal hashes. */
static bool extend_pad(qn_table *table)
{
    if (!reserve_slots(table, slots_in_all(table) + table->pad_count))
        return false;
    table->pad_count *= 2;
    return true;
}

/* Puts a slot's content in the first empty slot from its place on. False: no memory. */
static bool put_slot(qn_table *table, const qn_key *content)
{
    uint64_t index = place_of(table, content->tag);
    while (slot_at(table, index)->tag != 0)
        index++;
    if (index == slots_in_all(table) - 1 && !extend_pad(table))
        return false;
    memcpy(slot_at(table, index), content, table->stride);
    return true;
}

/* Slots that cannot move yet because their new place is not behind all unmoved ones: the first few of a table. */
typedef struct stash {
    uint8_t *slots;
    size_t count, capacity;
} stash;

static bool stash_put(stash *held, const qn_key *content, size_t stride)
{
    if (held->count == held->capacity) {
        size_t capacity = held->capacity ? 2 * held->capacity : PAD_COUNT_FIRST;
        uint8_t *slots = realloc(held->slots, capacity * stride);
        if (!slots)
            return false;
        held->slots = slots;
        held->capacity = capacity;
    }
    memcpy(held->slots + held->count++ * stride, content, stride);
    return true;
}

/* Enlarges the table in place. Places only move up, so going from the last slot to the first, each slot moves into
 * space behind all unmoved ones. False: no memory; the table's content is then lost, and with it the job. */
static bool grow_to(qn_table *table, uint64_t slot_count)
{
    uint64_t index = slots_in_all(table);
    if (!reserve_slots(table, slot_count + table->pad_count))
        return false;
    set_size(table, slot_count);
    stash held = {0};
    union {
        qn_key key;
        uint8_t bytes[sizeof(qn_key) + QUERN_FIXED_BYTES_MAX];
    } content;
    bool complete = true;
    while (complete && index-- > 0) {
        qn_key *slot = slot_at(table, index);
        if (slot->tag == 0)
            continue;
        memcpy(&content, slot, table->stride);
        slot->tag = 0;
        complete = place_of(table, content.key.tag) > index ? put_slot(table, &content.key)
                                                            : stash_put(&held, &content.key, table->stride);
    }
    for (size_t i = 0; complete && i < held.count; i++)
        complete = put_slot(table, (const qn_key *)(held.slots + i * table->stride));
    free(held.slots);
    return complete;
}

qn_table_result qn_table_make_room(qn_table *table, size_t coming, size_t bytes_max)
{
    bool sparse = table->used_count < table->slot_count / 8; /* then the crowd is one of equal hashes: no use */
    if (QN_LIKELY(table->used_count + coming <= table->grow_at && (!table->crowded || sparse)))
        return QN_TABLE_OK;
    uint64_t slot_count = table->slot_count + table->slot_count / 2;
    if (slot_count * table->stride < 2 * QN_PAGE_HUGE_BYTES)
        slot_count = 2 * table->slot_count;
    while (slot_count - slot_count / 4 < table->used_count + coming)
        slot_count *= 2;
    if ((slot_count + table->pad_count) * table->stride + table->long_keys.held_bytes > bytes_max)
        return QN_TABLE_FULL;
    return grow_to(table, slot_count) ? QN_TABLE_OK : QN_TABLE_NO_MEMORY;
}

static inline __attribute__((always_inline)) bool same_key(const qn_key *slot, const qn_key *key)
{
    if (slot->tag != key->tag)
        return false;
    if (QN_LIKELY(QN_TAG_CODE(key->tag) != QN_TAG_LONG))
        return (slot->k0 == key->k0) & (slot->k1 == key->k1);
    return slot->k1 == key->k1 &&
           memcmp((const void *)(uintptr_t)slot->k0, (const void *)(uintptr_t)key->k0, key->k1) == 0;
}

/* Fills an empty slot. */
static qn_table_result fill_slot(qn_table *table, qn_key *slot, const qn_entry *entry, size_t bytes_max)
{
    const uint64_t *value =
        table->reducer->kind == QN_REDUCER_USER ? (const uint64_t *)(uintptr_t)entry->value : &entry->value;
    uint64_t k0 = entry->key.k0;
    if (QN_TAG_CODE(entry->key.tag) == QN_TAG_LONG) {
        if (table->used_count > 0 && qn_table_get_bytes(table) + entry->key.k1 > bytes_max)
            return QN_TABLE_FULL;
        void *copy = qn_arena_copy(&table->long_keys, (const void *)(uintptr_t)k0, entry->key.k1);
        if (!copy)
            return QN_TABLE_NO_MEMORY;
        k0 = (uint64_t)(uintptr_t)copy;
    }
    uint64_t index = (uint64_t)((uint8_t *)slot - table->slots) / table->stride;
    if (index - place_of(table, entry->key.tag) > QN_TABLE_PROBE_MAX)
        table->crowded = true;
    if (index == slots_in_all(table) - 1) {
        if (!extend_pad(table))
            return QN_TABLE_NO_MEMORY;
        slot = slot_at(table, index);
    }
    slot->k0 = k0;
    slot->k1 = entry->key.k1;
    memcpy(slot + 1, value, 8 * (size_t)table->reducer->value_words);
    slot->tag = entry->key.tag;
    table->used_count++;
    return QN_TABLE_OK;
}

/* Combines up to GROUP_COUNT entries: first all places are computed and fetched, then looked at. The kind and the stride are
 * constants where this is inlined for one-word values. */
static inline __attribute__((always_inline)) qn_table_result insert_group(qn_table *table, const qn_entry *entries,
                                                                          size_t count, size_t bytes_max,
                                                                          qn_reducer_kind kind, size_t stride,
                                                                          size_t *done_out)
{
    uint64_t offsets[GROUP_COUNT];
    for (size_t i = 0; i < count; i++) {
        offsets[i] = place_of(table, entries[i].key.tag) * stride;
        __builtin_prefetch(table->slots + offsets[i], 1);
    }
    for (size_t i = 0; i < count; i++) {
        const qn_entry *entry = &entries[i];
        qn_key *slot = (qn_key *)(table->slots + offsets[i]);
        while (slot->tag != 0 && !same_key(slot, &entry->key))
            slot = (qn_key *)((uint8_t *)slot + stride);
        qn_table_result result = QN_TABLE_OK;
        if (QN_UNLIKELY(slot->tag == 0))
            result = fill_slot(table, slot, entry, bytes_max);
        else if (kind == QN_REDUCER_USER)
            result = qn_reducer_apply(table->reducer, (uint64_t *)(slot + 1), (const uint64_t *)(uintptr_t)entry->value)
                         ? QN_TABLE_OK
                         : QN_TABLE_FAILED;
        else if (QN_UNLIKELY(!qn_reducer_apply_word(kind, (uint64_t *)(slot + 1), entry->value)))
            result = QN_TABLE_FAILED;
        if (QN_UNLIKELY(result != QN_TABLE_OK)) {
            *done_out += i;
            table->failed_key = entry->key;
            return result;
        }
    }
    *done_out += count;
    return QN_TABLE_OK;
}

#define WORD_STRIDE (sizeof(qn_key) + 8)

static qn_table_result insert_counts(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                                     size_t *done_out)
{
    return insert_group(table, entries, count, bytes_max, QN_REDUCER_COUNT, WORD_STRIDE, done_out);
}

static qn_table_result insert_words(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                                    size_t *done_out)
{
    return insert_group(table, entries, count, bytes_max, table->reducer->kind, WORD_STRIDE, done_out);
}

static qn_table_result insert_user(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                                   size_t *done_out)
{
    return insert_group(table, entries, count, bytes_max, QN_REDUCER_USER, table->stride, done_out);
}

qn_table_result qn_table_insert(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                                size_t *done_out)
{
    qn_table_result result = QN_TABLE_OK;
    size_t done = 0;
    while (done < count && result == QN_TABLE_OK) {
        size_t group = count - done < GROUP_COUNT ? count - done : GROUP_COUNT;
        result = qn_table_make_room(table, group, bytes_max);
        if (result != QN_TABLE_OK)
            break;
        if (table->reducer->kind == QN_REDUCER_COUNT)
            result = insert_counts(table, entries + done, group, bytes_max, &done);
        else if (table->reducer->kind == QN_REDUCER_USER)
            result = insert_user(table, entries + done, group, bytes_max, &done);
        else
            result = insert_words(table, entries + done, group, bytes_max, &done);
    }
    *done_out = done;
    return result;
}

qn_table_cursor qn_table_cursor_of(qn_table *table, uint64_t tag_first, uint64_t tag_last)
{
    uint64_t first = place_of(table, tag_first);
    /* A cluster that began before the first place may hold keys of ours: start at its begin, so that sorting it is whole. */
    while (first > 0 && slot_at(table, first - 1)->tag != 0)
        first--;
    /* The neighbour below needs that cluster until it is done: release nothing of it. */
    uint64_t shared_end = first;
    while (slot_at(table, shared_end)->tag != 0)
        shared_end++;
    return (qn_table_cursor){
        .table = table,
        .next = first,
        .cluster_end = first,
        .tag_first = tag_first,
        .tag_last = tag_last,
        .released = shared_end,
    };
}

static int compare_slots(const void *a, const void *b)
{
    return qn_key_compare(a, b);
}

/* Sorts the slots [begin, end) by tag and bytes. Sorted order is a valid order of a cluster. */
static void sort_cluster(qn_table *table, uint64_t begin, uint64_t end)
{
    if (end - begin > SORT_BY_INSERTION_MAX) {
        qsort(slot_at(table, begin), end - begin, table->stride, compare_slots);
        return;
    }
    union {
        qn_key key;
        uint8_t bytes[sizeof(qn_key) + QUERN_FIXED_BYTES_MAX];
    } moving;
    for (uint64_t i = begin + 1; i < end; i++) {
        if (qn_key_compare(slot_at(table, i - 1), slot_at(table, i)) <= 0)
            continue;
        uint64_t to = i;
        memcpy(&moving, slot_at(table, i), table->stride);
        for (; to > begin && qn_key_compare(slot_at(table, to - 1), &moving.key) > 0; to--)
            memcpy(slot_at(table, to), slot_at(table, to - 1), table->stride);
        memcpy(slot_at(table, to), &moving, table->stride);
    }
}

/* Moves to the next cluster and sorts it. False at the end of the table. */
static bool enter_cluster(qn_table_cursor *cursor)
{
    uint64_t end = slots_in_all(cursor->table);
    uint64_t index = cursor->next;
    while (index < end && slot_at(cursor->table, index)->tag == 0)
        index++;
    cursor->next = index;
    while (index < end && slot_at(cursor->table, index)->tag != 0)
        index++;
    cursor->cluster_end = index;
    sort_cluster(cursor->table, cursor->next, index);
    return cursor->next < index;
}

const qn_key *qn_table_cursor_peek(qn_table_cursor *cursor)
{
    for (;;) {
        if (cursor->next == cursor->cluster_end && !enter_cluster(cursor))
            return NULL;
        const qn_key *slot = slot_at(cursor->table, cursor->next);
        if (slot->tag > cursor->tag_last)
            return NULL;
        if (slot->tag >= cursor->tag_first)
            return slot;
        cursor->next++;
    }
}

void qn_table_cursor_step(qn_table_cursor *cursor)
{
    cursor->next++;
}

void qn_table_cursor_release(qn_table_cursor *cursor)
{
    uint64_t stride = cursor->table->stride;
    if (cursor->next < cursor->released || (cursor->next - cursor->released) * stride < RELEASE_BYTES)
        return;
    uint64_t begin = (cursor->released * stride + QN_PAGE_HUGE_BYTES - 1) & ~(QN_PAGE_HUGE_BYTES - 1);
    uint64_t end = cursor->next * stride & ~(QN_PAGE_HUGE_BYTES - 1);
    if (begin < end)
        qn_pages_release(cursor->table->slots + begin, end - begin);
    cursor->released = cursor->next;
}
