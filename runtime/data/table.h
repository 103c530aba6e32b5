/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/table.h: the combine table: one value per key, in memory, in the order of the hash.
 *
 * Two arrays of slots (slots.h): one for tiny keys, whose tag is the key and whose slot is that small, and one for all
 * others. Most words of a text are tiny and few of them are distinct, so their slots stay in the caches. The bytes of long
 * keys lie in an arena.
 *
 * Signed sums are of 128 bits, but hardly one of them needs more than 64: slots hold the lower word, as a signed number. What a sum is
 * beyond that, in units of 2^64, is its carry; keys that ever had one have it in an array of slots of its own. So a slot is smaller by
 * a third or a fifth, and every sum is exact still, whatever the order of its values. Carries count as bytes of the table; only the
 * first one takes its 96 KiB before room is made for more.
 *
 * Rejected: one array for all keys (a third slower on text, measured), radix-partitioned sub-tables (no gain at a million
 * keys and more), a cache in front of it for frequent keys (no gain), chaining (a miss more per key).
 */
#ifndef QN_DATA_TABLE_H
#define QN_DATA_TABLE_H

#include "runtime/base/arena.h"
#include "runtime/base/assert.h"
#include "runtime/data/reducer.h"
#include "runtime/data/slots.h"

/* A key with a value (or accumulator) on its way into a table. value: the word itself, or the address of its words (qn_reducer_by_address). */
typedef struct qn_entry {
    qn_key key; /* of a tiny one only the tag is looked at */
    uint64_t value;
} qn_entry;

/* Records of a block by the class of their keys: what is alike goes in loops without surprises. */
typedef enum qn_key_class {
    QN_CLASS_TINY,
    QN_CLASS_SHORT,
    QN_CLASS_LONG,
    QN_CLASS_COUNT,
} qn_key_class;

typedef struct qn_classified {
    size_t count[QN_CLASS_COUNT];
    uint64_t long_bytes;                                     /* of the long keys */
    uint16_t index[QN_CLASS_COUNT][QN_SLOTS_COMING_MAX + 1]; /* in the block */
} qn_classified;

typedef struct qn_table {
    qn_slots tiny, wide;
    qn_slots
        carries; /* of narrow sums: tag, k0, k1 as in the key's slot (of a tiny one zeros), carry. Without memory before the first */
    qn_arena long_keys;
    const qn_reducer *reducer;
    qn_key failed_key; /* after QN_TABLE_FAILED; borrows the entry */
} qn_table;

typedef enum qn_table_result {
    QN_TABLE_OK,
    QN_TABLE_FULL,      /* it would need more than bytes_max */
    QN_TABLE_FAILED,    /* the reducer failed on failed_key */
    QN_TABLE_NO_MEMORY, /* the system refused */
} qn_table_result;

/* An empty table for tags of [tag_first, tag_last], which may grow to bytes_max. The reducer is borrowed until fini. */
quern_status qn_table_init(qn_table *table, const qn_reducer *reducer, uint64_t tag_first, uint64_t tag_last,
                           size_t bytes_max, qn_error *error);
void qn_table_fini(qn_table *table); /* takes a zeroed one */

/* Keys in it. */
static inline uint64_t qn_table_get_count(const qn_table *table)
{
    return table->tiny.used_count + table->wide.used_count;
}

/* Memory that it costs now. */
static inline size_t qn_table_get_bytes(const qn_table *table)
{
    return qn_slots_get_bytes(&table->tiny) + qn_slots_get_bytes(&table->wide) + qn_slots_get_bytes(&table->carries) +
           table->long_keys.held_bytes;
}

/* Before so many more tiny and other keys, QN_SLOTS_COMING_MAX of each at most, and so many bytes of long ones: grows the table if it
 * is full or crowded. QN_TABLE_FULL if that needs more than bytes_max in all; an empty table takes long keys of any size. */
qn_table_result qn_table_make_room(qn_table *table, size_t tiny_coming, size_t wide_coming, uint64_t long_bytes,
                                   size_t bytes_max);

/* Whether so many bytes of long keys fit as well. */
static inline bool qn_table_fits(const qn_table *table, uint64_t long_bytes, size_t bytes_max)
{
    return long_bytes == 0 || qn_table_get_bytes(table) + qn_arena_growth(&table->long_keys, long_bytes) <= bytes_max;
}

/* Sorts the records [from, from + count) of a block, QN_SLOTS_COMING_MAX at most, by class. Numbers of 8 bytes are short keys; all others are of the class of their length. */
void qn_table_classify(const quern_block *block, quern_type key_type, size_t from, size_t count, qn_classified *out);

/* Combines these records into the table, for which room was made. Not QN_TABLE_FULL; after a failure the table is good for nothing. */
qn_table_result qn_table_insert_block(qn_table *table, const quern_block *block, quern_type key_type,
                                      const qn_classified *classified);

/* Combines entries into the table, growing it up to bytes_max in all. *done_out: how many of the first went in: all, unless the result
 * is not QN_TABLE_OK. After QN_TABLE_FAILED some of those behind them may be in: the table is then good for nothing. */
qn_table_result qn_table_insert(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                                size_t *done_out);

/* Empties it but keeps most of its memory, for keys with tags of another range. */
void qn_table_restart(qn_table *table, uint64_t tag_first, uint64_t tag_last);

/* Empties it and gives its memory back. */
void qn_table_clear(qn_table *table);

/* How many keys it will hold in the end, in percent of those of now: grows to a size for these, or not at all. */
static inline void qn_table_expect(qn_table *table, uint32_t percent)
{
    table->tiny.expected_percent = table->wide.expected_percent = percent;
}

/* Gives back the memory of its keys, but for the bytes of long ones, which others may refer to. */
void qn_table_clear_slots(qn_table *table);

/* Moves what has a tag of [tag_first, tag_last] into an empty table. The bytes of long keys stay where they are, in `from`, which has to
 * outlive them; what it then holds of these tags is undefined. QN_TABLE_FULL, and nothing is moved, if it does not fit bytes_max. */
qn_table_result qn_table_move(qn_table *to, qn_table *from, uint64_t tag_first, uint64_t tag_last, size_t bytes_max);

/* Adds to the carry of a key's slot. False: no memory. */
bool qn_table_add_carry(qn_table *table, const uint64_t *slot, bool tiny, uint64_t amount);

/* The carry of a key's slot, in a table that has some. */
uint64_t qn_table_find_carry(qn_table *table, const uint64_t *slot, bool tiny);

static inline uint64_t qn_table_get_carry(qn_table *table, const uint64_t *slot, bool tiny)
{
    return QN_LIKELY(table->carries.used_count == 0) ? 0 : qn_table_find_carry(table, slot, tiny);
}

/* The value_words words of a key's slot: in place, or in wide_out. */
static inline __attribute__((always_inline)) const uint64_t *qn_table_get_value(qn_table *table, const uint64_t *slot,
                                                                                bool tiny, uint64_t *wide_out)
{
    const uint64_t *value = slot + (tiny ? 1 : 3);
    if (!qn_reducer_is_narrow(table->reducer->kind))
        return value;
    wide_out[0] = *value;
    wide_out[1] = (uint64_t)((int64_t)*value >> 63) + qn_table_get_carry(table, slot, tiny);
    return wide_out;
}

#define QN_TABLE_NARROW_WORDS 2 /* of wide_out */

/* Goes through the keys of the tags [tag_first, tag_last] in no order: tiny ones first. */
typedef struct qn_table_scan {
    qn_table *table;
    qn_slots_scan tiny, wide;
    bool tiny_left; /* the present slots are tiny */
} qn_table_scan;

static inline qn_table_scan qn_table_scan_of(qn_table *table, uint64_t tag_first, uint64_t tag_last)
{
    return (qn_table_scan){table, qn_slots_scan_of(&table->tiny, tag_first, tag_last),
                           qn_slots_scan_of(&table->wide, tag_first, tag_last), true};
}

/* The next slots, all tiny (tag, value) or all wide (tag, k0, k1, value), as scan->tiny_left then says, of narrow sums their lower word. Up to `max`, with room for one more;
 * 0 at the end. */
static inline size_t qn_table_scan_take(qn_table_scan *scan, const uint64_t **slots_out, size_t max)
{
    if (scan->tiny_left) {
        size_t count = qn_slots_scan_take(&scan->tiny, slots_out, max);
        if (count > 0)
            return count;
        scan->tiny_left = false;
    }
    return qn_slots_scan_take(&scan->wide, slots_out, max);
}

/* Goes back to a slot that was taken last: it will be taken again. */
static inline void qn_table_scan_return(qn_table_scan *scan, const uint64_t *slot)
{
    *(scan->tiny_left ? &scan->tiny.next : &scan->wide.next) = (const uint8_t *)slot;
}

/* The value_words words of a slot that was taken: in place, or in wide_out. */
static inline const uint64_t *qn_table_scan_value(const qn_table_scan *scan, const uint64_t *slot, uint64_t *wide_out)
{
    return qn_table_get_value(scan->table, slot, scan->tiny_left, wide_out);
}

/* Fetches the bytes of a long key, both lines if it lies across two. */
static inline __attribute__((always_inline)) void qn_key_fetch(uint64_t address, uint64_t bytes)
{
    __builtin_prefetch((const void *)(uintptr_t)address);
    __builtin_prefetch((const void *)(uintptr_t)(address + bytes - 1));
}

/* Goes through the keys of the tags [tag_first, tag_last] in the order (tag, bytes). */
typedef struct qn_table_cursor {
    qn_table *table;
    qn_slots_cursor tiny, wide;
    uint64_t narrow[QN_TABLE_NARROW_WORDS]; /* the value of a narrow sum as it is given */
    qn_key tiny_key;                        /* a tiny key as it is given */
    const uint64_t *slot;                   /* the present one; NULL: to be found */
    bool slot_is_tiny;
} qn_table_cursor;

qn_table_cursor qn_table_cursor_of(qn_table *table, uint64_t tag_first, uint64_t tag_last);
/* The next key and its value; NULL at the end. The value stays in place until the table is changed; so does the key if it is not
 * tiny; a tiny one, and the value of a narrow sum, until the next step is looked at. */
const qn_key *qn_table_cursor_peek(qn_table_cursor *cursor, const uint64_t **value_out);
void qn_table_cursor_step(qn_table_cursor *cursor);
#endif
