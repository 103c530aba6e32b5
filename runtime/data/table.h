/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/table.h: the combine table: one value per key, in memory, in the order of the hash.
 *
 * Intuition. A slot's place is the key's tag scaled to the table's size, so the table is nearly sorted by tag at all
 * times. That one property pays four times: growing is one backward sweep in place (no second table, no re-hash, no
 * random access); a partition is a range of slots; a spilled run or an output needs no sort beyond
 * neighbours; and tables of other ranks arrive in the order in which this one lies in memory.
 *
 * Model. Open addressing, linear probing without wrap-around: slot_count slots, then a pad that the last clusters may run
 * into, then one slot that always stays empty. A slot is a qn_key and the value's words; keys of up to 16 bytes are whole in it,
 * longer ones in an arena of the table. Nothing is ever deleted, except everything at once.
 *
 * Invariants. Between a key's place and its slot there is no empty slot. Keys in different clusters (maximal
 * runs of full slots) are ordered by tag as the clusters are.
 *
 * Inserting in tag order into a table that is too small for what comes crowds one region: linear probing would go
 * quadratic. So long probes (QN_TABLE_PROBE_MAX) make the table grow early.
 *
 * Rejected: radix-partitioned sub-tables (no gain at a million keys and more, measured), a cache in front of it for
 * frequent keys (no gain), chaining (a miss more per key).
 */
#ifndef QN_DATA_TABLE_H
#define QN_DATA_TABLE_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/data/reducer.h"

#define QN_TABLE_PROBE_MAX 256

/* A record on its way into a table. value: the word itself; for a user's reducer the address of its words. */
typedef struct qn_entry {
    qn_key key;
    uint64_t value;
} qn_entry;

typedef struct qn_table {
    uint8_t *slots;
    uint64_t slot_count;  /* without the pad */
    uint64_t pad_count;   /* slots behind them, for the last clusters; the last one stays empty */
    uint64_t scale;       /* place = high word of (tag - tag_first) * scale */
    uint64_t tag_first;   /* the range of tags that may come: tag_first … tag_last */
    uint64_t tag_last;
    uint64_t used_count;  /* keys */
    uint64_t grow_at;     /* used_count at which it grows */
    uint32_t stride;      /* bytes of a slot */
    bool crowded;         /* a probe was too long */
    size_t reserved_bytes;
    qn_arena long_keys;
    const qn_reducer *reducer;
    qn_key failed_key;    /* after QN_TABLE_FAILED; borrows the entry */
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

/* Before `coming` more keys: grows the table if it is full or crowded. QN_TABLE_FULL if that needs more than bytes_max in
 * all, the bytes of long keys not counted. */
qn_table_result qn_table_make_room(qn_table *table, size_t coming, size_t bytes_max);

/* Combines entries into the table, in order, growing it up to bytes_max in all. *done_out: how many went in (all,
 * unless the result is not QN_TABLE_OK; the failed one is not in). */
qn_table_result qn_table_insert(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                                size_t *done_out);

/* Empties it and gives its memory back. */
void qn_table_clear(qn_table *table);

/* Memory that it costs now. */
static inline size_t qn_table_get_bytes(const qn_table *table)
{
    return (table->slot_count + table->pad_count) * table->stride + table->long_keys.held_bytes;
}

/* Bytes of the smallest table. */
size_t qn_table_bytes_min(const qn_reducer *reducer);

static inline const uint64_t *qn_slot_value(const qn_key *slot)
{
    return (const uint64_t *)(slot + 1);
}

/* Goes through the keys of the tags [tag_first, tag_last] in the order (tag, bytes). */
typedef struct qn_table_cursor {
    qn_table *table;
    uint64_t next;        /* slot */
    uint64_t cluster_end; /* slots before it are sorted */
    uint64_t tag_first, tag_last;
    uint64_t released;    /* slots before it gave their memory back */
} qn_table_cursor;

qn_table_cursor qn_table_cursor_of(qn_table *table, uint64_t tag_first, uint64_t tag_last);
/* The next key, its value behind it (qn_slot_value); NULL at the end. It stays in place until the table is changed. */
const qn_key *qn_table_cursor_peek(qn_table_cursor *cursor);
void qn_table_cursor_step(qn_table_cursor *cursor);
/* Gives the memory of what was passed back: the table is then good for nothing but further cursors ahead, clear and fini. */
void qn_table_cursor_release(qn_table_cursor *cursor);

#endif
