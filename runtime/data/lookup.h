/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/lookup.h: records by their key, to be read only: the table of a broadcast join.
 *
 * Intuition. The table is made of lines of the cache, each with room for a few records whose keys hash there: a key is found with one touch
 * of memory, and that of many keys is waited for together. Where more records hash to a line than it has room for, all of them are in the
 * overflow, and the line says where. Within a line or its overflow, records are in the order of key and value: the records of a key stand one behind
 * the other, and a key with half of all records makes a long stretch that is searched by halves, not a long search for others.
 *
 * Room that is not used has a word that belongs to another line, so that it equals no key that is looked for here, and an overflow has
 * another one.
 *
 * Where key and value have at most 8 bytes each, an entry is the record itself; else the key's tag, and the place of the
 * packed record among those that the table was made of.
 *
 * The memory is the caller's, and may be shared by several who build the table together. Each counts and fills in a stretch of the
 * records, with counters that all have in common, and places and orders a stretch of the lines; who came first into a line is
 * forgotten when it is ordered:
 *
 *     count ── (all) ── overflow ── (exchange) ── place ── (all) ── fill ── (all) ── order ── (all) ── find
 */
#ifndef QN_DATA_LOOKUP_H
#define QN_DATA_LOOKUP_H

#include "runtime/base/hash.h"
#include "runtime/data/packed.h"

#define QN_LOOKUP_RECORD_COUNT_MAX ((UINT64_C(1) << 31) - 1) /* counts are 31 bits and a flag */
#define QN_LOOKUP_LINE_COUNT       4                         /* entries of a line */

typedef struct qn_lookup_entry {
    uint64_t word;  /* the key, zero-filled; else its tag */
    uint64_t place; /* the value, zero-filled; else where the packed record begins */
} qn_lookup_entry;

typedef struct qn_lookup_line {
    qn_lookup_entry entries[QN_LOOKUP_LINE_COUNT];
} qn_lookup_line;

/* A word that belongs to the line. */
typedef struct qn_lookup_mark {
    uint64_t word, line;
} qn_lookup_mark;

typedef struct qn_lookup {
    qn_layout layout;
    bool is_compact;
    uint64_t record_count;
    uint64_t packed_bytes;
    uint64_t line_count;
    qn_lookup_mark marks[3];   /* of three lines */
    const uint8_t *packed;     /* not needed after the table is built if it is compact */
    uint32_t *counts;          /* [line_count]; not needed after the table is built */
    qn_lookup_line *lines;     /* [line_count] */
    qn_lookup_entry *overflow; /* behind the lines */
} qn_lookup;

/* For so many packed records of a layout without tag and side; no memory yet. */
qn_lookup qn_lookup_of(const qn_layout *layout, uint64_t record_count, uint64_t packed_bytes);

uint64_t qn_lookup_count_bytes(const qn_lookup *lookup);
/* What the table takes, beside the packed records. */
uint64_t qn_lookup_bytes(const qn_lookup *lookup, uint64_t overflow_count);

/* The packed records (with 16 bytes readable behind them), and zeroed memory of qn_lookup_count_bytes(). */
void qn_lookup_attach_counts(qn_lookup *lookup, const uint8_t *packed, void *counts);
/* Memory of qn_lookup_bytes(), at the begin of a line. */
void qn_lookup_attach(qn_lookup *lookup, void *memory);

/* What one of several builders works on: a stretch of the records, by number, or of the lines. */
typedef struct qn_lookup_part {
    uint64_t begin, end;
} qn_lookup_part;

qn_lookup_part qn_lookup_records_of(const qn_lookup *lookup, uint32_t number, uint32_t count);
qn_lookup_part qn_lookup_lines_of(const qn_lookup *lookup, uint32_t number, uint32_t count);

/* Packed records that do not fit `packed_bytes` are not there: at most record_count are looked at. */
void qn_lookup_count(qn_lookup *lookup, qn_lookup_part records);
/* The records of these lines that have no room there. */
uint64_t qn_lookup_overflow(const qn_lookup *lookup, qn_lookup_part lines);
/* before: the overflow of all lines before these. */
void qn_lookup_place(qn_lookup *lookup, qn_lookup_part lines, uint64_t before);
void qn_lookup_fill(qn_lookup *lookup, qn_lookup_part records);
void qn_lookup_order(qn_lookup *lookup, qn_lookup_part lines);

static inline uint64_t qn_lookup_word(const void *key, uint32_t bytes)
{
    uint64_t word = qn_load_word(key);
    return bytes == sizeof word ? word : word & ((UINT64_C(1) << (8 * bytes)) - 1);
}

/* The word of a key with 16 bytes readable behind it. */
static inline uint64_t qn_lookup_word_of(const qn_lookup *lookup, const void *key, uint32_t bytes)
{
    return lookup->is_compact ? qn_lookup_word(key, bytes) : qn_key_of(key, bytes).tag;
}

/* A tag is a hash already. */
static inline uint64_t qn_lookup_line_of(const qn_lookup *lookup, uint64_t word)
{
    uint64_t hash =
        lookup->is_compact ? qn_hash_fold(word ^ UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db)) : word;
    return (uint64_t)((unsigned __int128)hash * lookup->line_count >> 64);
}

#define QN_LOOKUP_FIND_COUNT_MAX 64 /* as much as memory can bring at once */

typedef struct qn_lookup_match {
    const qn_lookup_entry *entries; /* [count], in the order of their values */
    uint64_t count;                 /* 0: there is no such key */
} qn_lookup_match;

/* Finds up to QN_LOOKUP_FIND_COUNT_MAX keys together. Keys with 16 bytes readable behind them. */
void qn_lookup_find(const qn_lookup *lookup, const void *const *keys, const uint32_t *key_bytes, size_t count,
                    qn_lookup_match *matches_out);

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
