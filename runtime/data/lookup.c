/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/lookup.h"

#include "runtime/base/assert.h"

#define SLOT_BITS_MIN    1
#define SLOT_BITS_MAX    32
#define FEW_ENTRIES      8  /* are looked at one by one */
#define INSERT_COUNT_MAX 12 /* are ordered by insertion */
#define START_ALIGN      16

qn_lookup qn_lookup_of(const qn_layout *layout, uint64_t record_count, uint64_t packed_bytes)
{
    qn_lookup lookup = {.layout = *layout,
                        .is_compact = !layout->key_varies && !layout->value_varies && layout->key_bytes <= 8 &&
                                      layout->value_bytes <= 8,
                        .slot_bits = SLOT_BITS_MIN,
                        .record_count = record_count,
                        .packed_bytes = packed_bytes};
    QN_ASSERT(!layout->has_tag && !layout->has_side);
    while (lookup.slot_bits < SLOT_BITS_MAX && UINT64_C(2) << lookup.slot_bits <= record_count)
        lookup.slot_bits++;
    return lookup;
}

static uint64_t slot_count(const qn_lookup *lookup)
{
    return UINT64_C(1) << lookup->slot_bits;
}

static uint64_t starts_bytes(const qn_lookup *lookup)
{
    uint64_t bytes = (slot_count(lookup) + 2) * sizeof *lookup->starts;
    return (bytes + START_ALIGN - 1) & ~(uint64_t)(START_ALIGN - 1);
}

uint64_t qn_lookup_bytes(const qn_lookup *lookup)
{
    return starts_bytes(lookup) + lookup->record_count * sizeof *lookup->entries;
}

void qn_lookup_attach(qn_lookup *lookup, const uint8_t *packed, void *memory)
{
    QN_ASSERT(lookup->record_count <= QN_LOOKUP_RECORD_COUNT_MAX);
    lookup->packed = packed;
    lookup->starts = memory;
    lookup->entries = (qn_lookup_entry *)(void *)((uint8_t *)memory + starts_bytes(lookup));
}

qn_lookup_part qn_lookup_part_of(const qn_lookup *lookup, uint32_t number, uint32_t count)
{
    unsigned __int128 slots = slot_count(lookup);
    return (qn_lookup_part){(uint64_t)(slots * number / count), (uint64_t)(slots * (number + 1) / count)};
}

/* ---- building ---- */

/* The records one behind the other. */
typedef struct walk {
    uint64_t at, left_count;
    qn_packed record;
    uint64_t place; /* of the record */
} walk;

static inline bool step(const qn_lookup *lookup, walk *on)
{
    if (on->left_count == 0)
        return false;
    if (lookup->is_compact) { /* most tables, and nothing to decode */
        on->record.key = lookup->packed + on->at;
        on->record.value = on->record.key + lookup->layout.key_bytes;
        on->record.key_bytes = lookup->layout.key_bytes;
        on->record.value_bytes = lookup->layout.value_bytes;
        on->at += lookup->layout.key_bytes + lookup->layout.value_bytes;
        on->left_count--;
        return true;
    }
    uint64_t bytes =
        qn_packed_decode(&lookup->layout, lookup->packed + on->at, lookup->packed_bytes - on->at, &on->record);
    on->place = on->at;
    on->at += bytes;
    on->left_count--;
    return on->record.key != NULL;
}

static bool is_in(qn_lookup_part part, uint64_t slot)
{
    return slot - part.slot_begin < part.slot_end - part.slot_begin;
}

/* The counter of a slot is two places behind its start: so in the end its neighbour's start is its own end. */
uint64_t qn_lookup_count(qn_lookup *lookup, qn_lookup_part part)
{
    walk on = {.left_count = lookup->record_count};
    uint64_t count = 0;
    while (step(lookup, &on)) {
        uint64_t slot = qn_lookup_slot(lookup, qn_lookup_hash(lookup, on.record.key, on.record.key_bytes));
        if (is_in(part, slot)) {
            lookup->starts[slot + 2]++;
            count++;
        }
    }
    return count;
}

void qn_lookup_place(qn_lookup *lookup, qn_lookup_part part, uint64_t before)
{
    uint32_t sum = (uint32_t)before;
    for (uint64_t slot = part.slot_begin; slot < part.slot_end; slot++)
        lookup->starts[slot + 2] = sum += lookup->starts[slot + 2];
}

static qn_lookup_entry entry_of(const qn_lookup *lookup, const walk *on, uint64_t hash)
{
    if (!lookup->is_compact)
        return (qn_lookup_entry){hash, on->place};
    return (qn_lookup_entry){qn_lookup_word(on->record.key, on->record.key_bytes),
                             lookup->layout.value_bytes > 0 ? qn_lookup_word(on->record.value, on->record.value_bytes)
                                                            : 0};
}

void qn_lookup_fill(qn_lookup *lookup, qn_lookup_part part)
{
    walk on = {.left_count = lookup->record_count};
    while (step(lookup, &on)) {
        uint64_t hash = qn_lookup_hash(lookup, on.record.key, on.record.key_bytes);
        uint64_t slot = qn_lookup_slot(lookup, hash);
        if (is_in(part, slot))
            lookup->entries[lookup->starts[slot + 1]++] = entry_of(lookup, &on, hash);
    }
}

/* ---- order ---- */

static qn_packed record_of(const qn_lookup *lookup, const qn_lookup_entry *entry)
{
    qn_packed record = {0};
    qn_packed_decode(&lookup->layout, lookup->packed + entry->place, lookup->packed_bytes - entry->place, &record);
    return record;
}

/* What is equal by its type need not be the same bytes. */
static int compare_values(quern_type type, quern_span left, quern_span right)
{
    int result = type == QUERN_NONE ? 0 : qn_order_compare(type, left, right);
    return result != 0 ? result : qn_order_compare(QUERN_BYTES, left, right);
}

static int compare_compact(const qn_lookup *lookup, const qn_lookup_entry *left, const qn_lookup_entry *right)
{
    if (left->word != right->word)
        return left->word < right->word ? -1 : 1;
    if (left->place == right->place)
        return 0;
    uint32_t bytes = lookup->layout.value_bytes;
    return compare_values(lookup->layout.value_types[0], (quern_span){&left->place, bytes},
                          (quern_span){&right->place, bytes});
}

static int compare_entries(const qn_lookup *lookup, const qn_lookup_entry *left, const qn_lookup_entry *right)
{
    if (lookup->is_compact)
        return compare_compact(lookup, left, right);
    if (left->word != right->word)
        return left->word < right->word ? -1 : 1;
    qn_packed one = record_of(lookup, left), other = record_of(lookup, right);
    int result =
        qn_order_compare(QUERN_BYTES, (quern_span){one.key, one.key_bytes}, (quern_span){other.key, other.key_bytes});
    if (result != 0)
        return result;
    return compare_values(lookup->layout.value_types[0], (quern_span){one.value, one.value_bytes},
                          (quern_span){other.value, other.value_bytes});
}

static void insert_in_order(const qn_lookup *lookup, qn_lookup_entry *entries, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++) {
        qn_lookup_entry entry = entries[i];
        uint64_t at = i;
        for (; at > 0 && compare_entries(lookup, &entries[at - 1], &entry) > 0; at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static void swap(qn_lookup_entry *left, qn_lookup_entry *right)
{
    qn_lookup_entry moved = *left;
    *left = *right;
    *right = moved;
}

/* Any of the entries, by a repeatable chance, so that no input is the bad one. */
static qn_lookup_entry choose_pivot(const qn_lookup_entry *entries, uint64_t count)
{
    return entries[qn_hash_fold(count ^ entries->place, QN_HASH_TINY_1) % count];
}

/* In place, since nobody counts more memory: what is less than the pivot, equal to it, and more. The shorter part first, so the recursion
 * is at most 32 deep. */
static void sort_entries(const qn_lookup *lookup, qn_lookup_entry *entries, uint64_t count)
{
    while (count > INSERT_COUNT_MAX) {
        qn_lookup_entry pivot = choose_pivot(entries, count);
        uint64_t less = 0, at = 0, more = count;
        while (at < more) {
            int result = compare_entries(lookup, &entries[at], &pivot);
            if (result < 0)
                swap(&entries[less++], &entries[at++]);
            else if (result > 0)
                swap(&entries[at], &entries[--more]);
            else
                at++;
        }
        bool first_is_shorter = less < count - more;
        if (first_is_shorter)
            sort_entries(lookup, entries, less);
        else
            sort_entries(lookup, entries + more, count - more);
        entries += first_is_shorter ? more : 0;
        count = first_is_shorter ? count - more : less;
    }
    insert_in_order(lookup, entries, count);
}

void qn_lookup_order(qn_lookup *lookup, qn_lookup_part part)
{
    for (uint64_t slot = part.slot_begin; slot < part.slot_end; slot++) {
        uint64_t begin = lookup->starts[slot], count = lookup->starts[slot + 1] - begin;
        if (count > 1)
            sort_entries(lookup, lookup->entries + begin, count);
    }
}

/* ---- finding ---- */

/* A key that is looked for. */
typedef struct wanted {
    uint64_t word;
    const void *key;
    uint32_t bytes;
} wanted;

/* Below 0, 0 or above, as the key of the entry comes before, is, or comes after the one that is looked for. */
static inline int compare_with(const qn_lookup *lookup, const qn_lookup_entry *entry, const wanted *key)
{
    if (entry->word != key->word)
        return entry->word < key->word ? -1 : 1;
    if (lookup->is_compact || QN_TAG_IS_TINY(key->word))
        return 0; /* the word is the key */
    qn_packed record = record_of(lookup, entry);
    return qn_order_compare(QUERN_BYTES, (quern_span){record.key, record.key_bytes},
                            (quern_span){key->key, key->bytes});
}

/* The first entry in [begin, end) whose key is not before the wanted one (past: is behind it). */
static uint64_t search(const qn_lookup *lookup, uint64_t begin, uint64_t end, const wanted *key, bool past)
{
    while (begin < end) {
        uint64_t middle = begin + (end - begin) / 2;
        int result = compare_with(lookup, &lookup->entries[middle], key);
        if (result < 0 || (past && result == 0))
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

const qn_lookup_entry *qn_lookup_find(const qn_lookup *lookup, uint64_t hash, const void *key, uint32_t bytes,
                                      uint64_t *count_out)
{
    uint64_t slot = qn_lookup_slot(lookup, hash);
    uint64_t begin = lookup->starts[slot], end = lookup->starts[slot + 1];
    wanted looked_for = {lookup->is_compact ? qn_lookup_word(key, bytes) : hash, key, bytes};
    if (QN_UNLIKELY(end - begin > FEW_ENTRIES)) {
        begin = search(lookup, begin, end, &looked_for, false);
        end = search(lookup, begin, end, &looked_for, true);
    } else {
        while (begin < end && compare_with(lookup, &lookup->entries[begin], &looked_for) != 0)
            begin++;
        uint64_t next = begin;
        while (next < end && compare_with(lookup, &lookup->entries[next], &looked_for) == 0)
            next++;
        end = next;
    }
    *count_out = end - begin;
    return &lookup->entries[begin];
}
