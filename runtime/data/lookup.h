/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/lookup.h: records by their key, to be read only: the table of a broadcast join.
 *
 * Intuition. Records are put in the order of slots, a slot being the upper bits of the key's hash, and `starts` says where each slot begins.
 * There are about as many slots as records, so that a key is found with two touches of memory, both of which can be asked for
 * early. Within a slot, records are in the order of key and value: the records of a key stand one behind the other, and a key with half
 * of all records makes a long stretch, not a long search for others: long slots are searched by halves.
 *
 * Where key and value have at most 8 bytes each, an entry is the record itself; else the key's tag, and the place of the
 * packed record among those that the table was made of.
 *
 * The memory is the caller's, and may be shared by several who build the table together. Each has a stretch of the slots, and
 * looks at all records, but works on its own:
 *
 *     count ── (exchange counts) ── place ── (all) ── fill ── (all) ── order ── (all) ── find
 */
#ifndef QN_DATA_LOOKUP_H
#define QN_DATA_LOOKUP_H

#include "runtime/base/hash.h"
#include "runtime/data/packed.h"

#define QN_LOOKUP_RECORD_COUNT_MAX ((UINT64_C(1) << 32) - 2) /* places are 32 bits */

typedef struct qn_lookup_entry {
    uint64_t word;  /* the key, zero-filled; else its tag */
    uint64_t place; /* the value, zero-filled; else where the packed record begins */
} qn_lookup_entry;

typedef struct qn_lookup {
    qn_layout layout;
    bool is_compact;
    uint32_t slot_bits;
    uint64_t record_count;
    uint64_t packed_bytes;
    const uint8_t *packed; /* not needed after the table is built if it is compact */
    uint32_t *starts;      /* [slots + 2]: of each slot, and the end of the last */
    qn_lookup_entry *entries;
} qn_lookup;

/* For so many packed records of a layout without tag and side; no memory yet. */
qn_lookup qn_lookup_of(const qn_layout *layout, uint64_t record_count, uint64_t packed_bytes);
/* What the table takes, beside the packed records. */
uint64_t qn_lookup_bytes(const qn_lookup *lookup);
/* The packed records (with 16 bytes readable behind them), and zeroed memory of qn_lookup_bytes(), aligned to 16 bytes. */
void qn_lookup_attach(qn_lookup *lookup, const uint8_t *packed, void *memory);

/* A stretch of the slots. */
typedef struct qn_lookup_part {
    uint64_t slot_begin, slot_end;
} qn_lookup_part;

qn_lookup_part qn_lookup_part_of(const qn_lookup *lookup, uint32_t number, uint32_t count);
/* The records of each slot of the part; returns how many in all. Packed records that do not fit `packed_bytes` are not there: at most
 * record_count are looked at. */
uint64_t qn_lookup_count(qn_lookup *lookup, qn_lookup_part part);
/* before: the records of all parts before it. */
void qn_lookup_place(qn_lookup *lookup, qn_lookup_part part, uint64_t before);
void qn_lookup_fill(qn_lookup *lookup, qn_lookup_part part);
void qn_lookup_order(qn_lookup *lookup, qn_lookup_part part);

static inline uint64_t qn_lookup_word(const void *key, uint32_t bytes)
{
    uint64_t word = qn_load_word(key);
    return bytes == sizeof word ? word : word & ((UINT64_C(1) << (8 * bytes)) - 1);
}

/* Of a key with 16 bytes readable behind it. */
static inline uint64_t qn_lookup_hash(const qn_lookup *lookup, const void *key, uint32_t bytes)
{
    if (lookup->is_compact)
        return qn_hash_fold(qn_lookup_word(key, bytes) ^ UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db));
    return qn_key_of(key, bytes).tag;
}

static inline uint64_t qn_lookup_slot(const qn_lookup *lookup, uint64_t hash)
{
    return hash >> (64 - lookup->slot_bits);
}

/* Asks for the memory that finding a key will touch: first the one, then, when that came, the other. */
static inline void qn_lookup_ask_for_start(const qn_lookup *lookup, uint64_t hash)
{
    __builtin_prefetch(&lookup->starts[qn_lookup_slot(lookup, hash)]);
}

static inline void qn_lookup_ask_for_entry(const qn_lookup *lookup, uint64_t hash)
{
    __builtin_prefetch(&lookup->entries[lookup->starts[qn_lookup_slot(lookup, hash)]]);
}

/* The first of the entries of a key, which are *count_out (0: there is no such key), in the order of their values. hash: of that key. */
const qn_lookup_entry *qn_lookup_find(const qn_lookup *lookup, uint64_t hash, const void *key, uint32_t bytes,
                                      uint64_t *count_out);

/* The value of an entry; borrowed from the table, not aligned unless it is compact. */
static inline quern_span qn_lookup_value(const qn_lookup *lookup, const qn_lookup_entry *entry)
{
    qn_packed record = {0};
    if (lookup->is_compact)
        return (quern_span){&entry->place, lookup->layout.value_bytes};
    qn_packed_decode(&lookup->layout, lookup->packed + entry->place, lookup->packed_bytes - entry->place, &record);
    return (quern_span){record.value, record.value_bytes};
}

#endif
