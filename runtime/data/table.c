/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/table.h"

#include "runtime/base/assert.h"

quern_status qn_table_init(qn_table *table, const qn_reducer *reducer, uint64_t tag_first, uint64_t tag_last,
                           size_t bytes_max, qn_error *error)
{
    *table = (qn_table){.reducer = reducer};
    qn_arena_init(&table->long_keys, 0);
    if (qn_slots_init(&table->tiny, 0, qn_reducer_slot_words(reducer), tag_first, tag_last, bytes_max) &&
        qn_slots_init(&table->wide, 2, qn_reducer_slot_words(reducer), tag_first, tag_last, bytes_max))
        return QUERN_OK;
    qn_table_fini(table);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "cannot reserve %zu bytes of address space for a table",
                        bytes_max);
}

void qn_table_fini(qn_table *table)
{
    qn_slots_fini(&table->tiny);
    qn_slots_fini(&table->wide);
    qn_slots_fini(&table->carries);
    qn_arena_reset(&table->long_keys);
    *table = (qn_table){0};
}

void qn_table_clear_slots(qn_table *table)
{
    qn_slots_clear(&table->tiny);
    qn_slots_clear(&table->wide);
    qn_slots_fini(&table->carries);
}

void qn_table_clear(qn_table *table)
{
    qn_table_clear_slots(table);
    qn_arena_reset(&table->long_keys);
}

void qn_table_restart(qn_table *table, uint64_t tag_first, uint64_t tag_last)
{
    qn_slots_restart(&table->tiny, tag_first, tag_last);
    qn_slots_restart(&table->wide, tag_first, tag_last);
    qn_slots_fini(&table->carries);
    qn_arena_rewind(&table->long_keys);
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

qn_table_result qn_table_make_room(qn_table *table, size_t tiny_coming, size_t wide_coming, uint64_t long_bytes,
                                   size_t bytes_max)
{
    qn_table_result result = make_room_in(table, &table->tiny, tiny_coming, bytes_max);
    if (result == QN_TABLE_OK)
        result = make_room_in(table, &table->wide, wide_coming, bytes_max);
    if (QN_UNLIKELY(table->carries.used_count > 0) && result == QN_TABLE_OK)
        result = make_room_in(table, &table->carries, tiny_coming + wide_coming, bytes_max);
    if (result == QN_TABLE_OK && !qn_table_fits(table, long_bytes, bytes_max) && qn_table_get_count(table) > 0)
        return QN_TABLE_FULL;
    return result;
}

/* ---- carries ---- */

/* The carry of a slot's key, or the empty slot where it belongs. */
static uint64_t *find_carry(qn_table *table, const uint64_t *slot, bool tiny)
{
    uint64_t k0 = tiny ? 0 : slot[1], k1 = tiny ? 0 : slot[2];
    uint64_t *carry = (uint64_t *)(uintptr_t)qn_slots_find(&table->carries, slot[0]);
    while (carry[0] != 0 && (carry[0] != slot[0] || carry[1] != k0 || carry[2] != k1))
        carry += table->carries.stride / sizeof *carry;
    return carry;
}

uint64_t qn_table_find_carry(qn_table *table, const uint64_t *slot, bool tiny)
{
    return find_carry(table, slot, tiny)[3];
}

static bool open_carries(qn_table *table, uint64_t tag_first, uint64_t tag_last)
{
    return table->carries.memory || qn_slots_init(&table->carries, 2, 1, tag_first, tag_last, 0);
}

bool qn_table_add_carry(qn_table *table, const uint64_t *slot, bool tiny, uint64_t amount)
{
    if (!open_carries(table, table->wide.tag_first, table->wide.tag_last) ||
        qn_slots_make_room(&table->carries, 1, SIZE_MAX) != QN_SLOTS_OK)
        return false;
    uint64_t *carry = find_carry(table, slot, tiny);
    if (carry[0] == 0) {
        carry[0] = slot[0];
        carry[1] = tiny ? 0 : slot[1];
        carry[2] = tiny ? 0 : slot[2];
        table->carries.used_count++;
    }
    carry[3] += amount;
    return true;
}

/* Room for as many carries as there are of these tags. */
static qn_table_result make_room_for_carries(qn_table *to, qn_table *from, uint64_t tag_first, uint64_t tag_last,
                                             size_t bytes_max)
{
    if (from->carries.used_count == 0)
        return QN_TABLE_OK;
    uint64_t count = qn_slots_count_range(&from->carries, tag_first, tag_last);
    if (!open_carries(to, to->wide.tag_first, to->wide.tag_last))
        return QN_TABLE_NO_MEMORY;
    return make_room_in(to, &to->carries, count, bytes_max);
}

qn_table_result qn_table_move(qn_table *to, qn_table *from, uint64_t tag_first, uint64_t tag_last, size_t bytes_max)
{
    QN_ASSERT(qn_table_get_count(to) == 0);
    uint64_t tiny = qn_slots_count_range(&from->tiny, tag_first, tag_last);
    uint64_t wide = qn_slots_count_range(&from->wide, tag_first, tag_last);
    /* Half as much again for what may come: it would be dear to grow at once. */
    qn_table_result result = qn_table_make_room(to, tiny + tiny / 2, wide + wide / 2, 0, bytes_max);
    if (result == QN_TABLE_FULL)
        result = qn_table_make_room(to, tiny, wide, 0, bytes_max);
    if (result == QN_TABLE_OK)
        result = make_room_for_carries(to, from, tag_first, tag_last, bytes_max);
    if (result != QN_TABLE_OK)
        return result;
    bool complete = qn_slots_move(&to->tiny, &from->tiny, tag_first, tag_last) &&
                    qn_slots_move(&to->wide, &from->wide, tag_first, tag_last) &&
                    (!to->carries.memory || qn_slots_move(&to->carries, &from->carries, tag_first, tag_last));
    return complete ? QN_TABLE_OK : QN_TABLE_NO_MEMORY;
}

qn_table_cursor qn_table_cursor_of(qn_table *table, uint64_t tag_first, uint64_t tag_last)
{
    return (qn_table_cursor){
        .table = table,
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
    *value_out = qn_table_get_value(cursor->table, cursor->slot, cursor->slot_is_tiny, cursor->narrow);
    return cursor->slot_is_tiny ? &cursor->tiny_key : (const qn_key *)cursor->slot;
}

void qn_table_cursor_step(qn_table_cursor *cursor)
{
    qn_slots_cursor_step(cursor->slot_is_tiny ? &cursor->tiny : &cursor->wide);
    cursor->slot = NULL;
}
