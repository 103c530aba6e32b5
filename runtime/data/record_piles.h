/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/record_piles.h: records of which few have a key in common, put off until they can be combined in the caches.
 *
 * Intuition. A look at a table that is larger than the caches costs a miss. That pays where it ends in one record less; where nearly all
 * keys are new, it is a miss for each record, and again whenever the table grows. So such records are only dealt, as they came, into piles
 * by the leading bits of their tags: streams of writes. Later one pile after the other is combined in a table that fits the caches.
 * Piles are in the order of their tags, and so is what each becomes: all together are in the order (tag, bytes), as a table is.
 *
 *     add ──► line of a pile ──► its blocks ──► table of a pile ──► in order, pile after pile
 *                                                    ▲
 *                                   another table ───┘ what has the tags of the pile
 *
 * Pairs of words, which fill lines exactly, have shorter lines, and these are written past the caches.
 *
 * Model. A pile has a line, where records wait until they are worth a write, and a chain of blocks. Lines of all piles stay in the
 * caches. Blocks come from one reservation; those of a dropped pile are used again, and their pages given back.
 * Records are packed (packed.h) without tag: hashing anew costs less than carrying the hash.
 *
 * Rejected: combined rows in piles (an accumulator is up to five words, where the value is one); a chain of blocks that is sorted (no
 * cheaper than combining, and needs to be combined still).
 */
#ifndef QN_DATA_RECORD_PILES_H
#define QN_DATA_RECORD_PILES_H

#include "runtime/data/packed.h"
#include "runtime/data/table.h"

#define QN_PILES_RECORD_BYTES_MAX 128 /* packed; who has larger ones combines them at once */

typedef struct qn_pile {
    uint32_t last_block; /* UINT32_MAX: none */
    uint32_t used_bytes; /* in it */
    uint64_t bytes;      /* in all, but for the line */
} qn_pile;

typedef struct qn_piles {
    const qn_reducer *reducer;
    qn_layout layout;
    bool is_pair; /* a record is two words and nothing else */
    uint64_t tag_first, tag_last;
    uint64_t scale; /* pile = high word of (tag - tag_first) * scale */
    uint32_t count;
    uint32_t block_bytes;
    qn_pile *piles; /* [count] */
    uint32_t line_size;
    uint8_t *lines;       /* [count] of line_size */
    uint8_t *line_bytes;  /* [count] used of each */
    uint8_t *memory;      /* blocks */
    uint32_t *previous;   /* of each block, in its chain; [block_count_max] */
    uint32_t *block_used; /* bytes of each that is not the last of its pile; [block_count_max] */
    uint32_t block_count, block_count_max, free_block;
    uint64_t used_block_count;
    uint64_t record_count;
    uint64_t *aligned; /* values of the user's reductions, which have to be aligned */
} qn_piles;

/* The layout of records in piles: values that the reducer does not look at are left out. */
qn_layout qn_piles_layout(const qn_reducer *reducer, const quern_schema *schema);

static inline bool qn_piles_takes(const qn_layout *layout, uint64_t key_bytes, uint64_t value_bytes)
{
    return qn_packed_bytes(layout, key_bytes, layout->value_bytes + (layout->value_varies ? value_bytes : 0)) <=
           QN_PILES_RECORD_BYTES_MAX;
}

/* Empty ones for tags of [tag_first, tag_last], which get no larger than pool_bytes. The reducer is borrowed until fini.
 * QUERN_ERROR_NO_MEMORY. */
quern_status qn_piles_init(qn_piles *piles, const qn_reducer *reducer, const quern_schema *schema, uint64_t tag_first,
                           uint64_t tag_last, uint64_t pool_bytes, qn_error *error);
void qn_piles_fini(qn_piles *piles); /* takes a zeroed one */

/* Memory that they take now. */
uint64_t qn_piles_get_bytes(const qn_piles *piles);

static inline uint32_t qn_pile_of(const qn_piles *piles, uint64_t tag)
{
    return (uint32_t)(((unsigned __int128)(tag - piles->tag_first) * piles->scale) >> 64);
}

/* The tags of the records [from, from + count) of a block, sorted by class as qn_table_classify() does; tags[i - from] of record i. */
void qn_piles_hash(quern_type key_type, const quern_block *block, const qn_classified *classified, size_t from,
                   uint64_t *tags);

/* Adds records of a block that it takes, whose numbers are index[0 … count) and whose tags tags[number - from]. False: no memory. */
bool qn_piles_add(qn_piles *piles, const quern_block *block, const uint16_t *index, size_t count, const uint64_t *tags,
                  size_t from);
/* Adds packed records. QUERN_ERROR_CORRUPT: they are none; QUERN_ERROR_NO_MEMORY. */
quern_status qn_piles_add_packed(qn_piles *piles, const uint8_t *records, uint64_t bytes, uint64_t record_count,
                                 qn_error *error);

/* Goes through the records of a pile. */
typedef struct qn_piles_scan {
    const qn_piles *piles;
    const qn_pile *pile;
    uint32_t block;
    const uint8_t *next, *end;
    const void *key[QN_SLOTS_COMING_MAX], *value[QN_SLOTS_COMING_MAX];
    uint32_t key_bytes[QN_SLOTS_COMING_MAX], value_bytes[QN_SLOTS_COMING_MAX];
} qn_piles_scan;

/* Of a pile to which nothing is added meanwhile. */
void qn_piles_scan_begin(qn_piles_scan *scan, qn_piles *piles, uint32_t pile);
/* Its next records, QN_SLOTS_COMING_MAX at most; none at the end. They live until the next call. */
quern_block qn_piles_scan_take(qn_piles_scan *scan);

/* Drops the records of a pile, so many of them, or of all. */
void qn_piles_drop(qn_piles *piles, uint32_t pile, uint64_t record_count);
void qn_piles_clear(qn_piles *piles);

/* Combines one pile after the other, each with what another table has of its tags. */
typedef struct qn_piles_reader {
    qn_piles *piles; /* borrowed; NULL: not open */
    qn_table *other; /* borrowed */
    qn_table table;  /* of the present pile */
    uint32_t next;
    uint64_t row_count;    /* that the present table has from the other one */
    uint64_t merged_count; /* records and rows combined into others */
} qn_piles_reader;

/* bytes_max: of the table of one pile. QUERN_ERROR_NO_MEMORY. */
quern_status qn_piles_reader_open(qn_piles_reader *reader, qn_piles *piles, qn_table *other, uint64_t bytes_max,
                                  qn_error *error);
/* The table of the next pile, good until the next call; *table_out NULL at the end. QUERN_ERROR_NO_MEMORY; a reducer's failure. */
quern_status qn_piles_reader_next(qn_piles_reader *reader, qn_table **table_out, qn_error *error);
void qn_piles_reader_close(qn_piles_reader *reader); /* takes a zeroed one */

#endif
