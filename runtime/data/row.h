/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/row.h: one record as bytes, and blocks of them: the one format of messages and spilled runs.
 *
 * A row is a sequence of 8-byte words: tag, value (value_words), and the key as far as the tag is not the key already: nothing of
 * a tiny one; a short one as its 1 or 2 zero-filled words; a long one as its length and then its bytes, zero-filled to a whole
 * word. A block is a header and rows. A row that does not fit a block of its reader's size travels in fragments: blocks
 * that hold a piece of it each, in order.
 *
 * Blocks are exchanged between ranks of one job on machines of one kind, so numbers are in the machine's order.
 */
#ifndef QN_DATA_ROW_H
#define QN_DATA_ROW_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/types.h>

#include "runtime/base/hash.h"

#define QN_BLOCK_MAGIC    UINT32_C(0x314b4251) /* "QBK1" */
#define QN_BLOCK_FRAGMENT UINT32_C(1)          /* flags: the payload is a piece of one row */
#define QN_BLOCK_LZ4      UINT32_C(2)          /* flags: the payload is rows in LZ4's block format */
#define QN_BLOCK_PACKED   UINT32_MAX           /* value_words: the rows are packed records (packed.h), not aligned */

typedef struct qn_block_header {
    uint32_t magic;
    uint32_t flags;
    uint32_t row_count; /* 0 for a fragment, or the bytes of one that LZ4 made smaller */
    uint32_t value_words;
    uint64_t payload_bytes; /* after the header */
    uint64_t row_bytes;     /* of the whole row, for a fragment; else of all rows, for what LZ4 made smaller; else 0 */
    uint64_t checksum;      /* of the payload, seeded with the fields above */
} qn_block_header;
static_assert(sizeof(qn_block_header) == 40, "the header is part of the spill format");

static inline uint64_t qn_row_bytes(const qn_key *key, uint32_t value_words)
{
    uint64_t key_words = QN_TAG_IS_TINY(key->tag) ? 0 : (qn_key_bytes(key) + 7) / 8;
    if (QN_TAG_CODE(key->tag) == QN_TAG_LONG)
        key_words++;
    return 8 * (1 + value_words + key_words);
}

/* The smallest row, for bounds on counts. */
static inline uint64_t qn_row_bytes_min(uint32_t value_words)
{
    return 8 * (1 + (uint64_t)value_words);
}

/* Writes the row of qn_row_bytes() bytes at `to` (8-byte aligned). */
static inline __attribute__((always_inline)) void qn_row_encode(const qn_key *key, const uint64_t *value,
                                                                uint32_t value_words, uint64_t *to)
{
    to[0] = key->tag;
    for (uint32_t word = 0; word < value_words; word++)
        to[1 + word] = value[word];
    uint64_t *key_words = to + 1 + value_words;
    uint64_t code = QN_TAG_CODE(key->tag);
    if (QN_TAG_IS_TINY(key->tag))
        return;
    if (code != QN_TAG_LONG) {
        key_words[0] = key->k0;
        if (code > 9)
            key_words[1] = key->k1;
        return;
    }
    key_words[0] = key->k1;
    key_words[(key->k1 + 7) / 8] = 0; /* zero-fills the last word */
    qn_copy_long(key_words + 1, (const void *)(uintptr_t)key->k0, key->k1);
}

/* Reads a row of at most `bytes` bytes: the key borrows the row, *value_out points into it. Returns the row's bytes; 0 if it does not fit:
 * lengths in it are not trusted. */
static inline uint64_t qn_row_decode(const uint64_t *row, uint64_t bytes, uint32_t value_words, qn_key *key_out,
                                     const uint64_t **value_out)
{
    uint64_t fixed_bytes = qn_row_bytes_min(value_words);
    if (bytes < fixed_bytes)
        return 0;
    key_out->tag = row[0];
    *value_out = row + 1;
    const uint64_t *key_words = row + 1 + value_words;
    uint64_t code = QN_TAG_CODE(row[0]);
    if (code <= QN_KEY_TINY_BYTES + 1) {
        *key_out = qn_key_of_tag(row[0]);
        return code == 0 ? 0 : fixed_bytes;
    }
    if (code != QN_TAG_LONG) {
        uint64_t row_bytes = fixed_bytes + (code > 9 ? 16 : 8);
        if (code > QN_KEY_SHORT_BYTES + 1 || row_bytes > bytes)
            return 0;
        key_out->k0 = key_words[0];
        key_out->k1 = code > 9 ? key_words[1] : 0;
        return row_bytes;
    }
    if (bytes < fixed_bytes + 8 || key_words[0] > bytes - fixed_bytes - 8 || key_words[0] <= QN_KEY_SHORT_BYTES)
        return 0;
    key_out->k0 = (uint64_t)(uintptr_t)(key_words + 1);
    key_out->k1 = key_words[0];
    uint64_t row_bytes = fixed_bytes + 8 + ((key_words[0] + 7) & ~UINT64_C(7));
    return row_bytes <= bytes ? row_bytes : 0;
}

/* Fills the header in front of its payload, all but the checksum. */
void qn_block_fill(qn_block_header *header, uint32_t flags, uint32_t row_count, uint32_t value_words,
                   uint64_t payload_bytes, uint64_t row_bytes);
/* The same with it. */
void qn_block_seal(qn_block_header *header, uint32_t flags, uint32_t row_count, uint32_t value_words,
                   uint64_t payload_bytes, uint64_t row_bytes);

/* Whether `bytes` at header may be a whole block with these value_words; of its payload this says nothing. */
bool qn_block_fits(const qn_block_header *header, uint64_t bytes, uint32_t value_words);
/* Whether it is one, and with the right checksum. */
bool qn_block_verify(const qn_block_header *header, uint64_t bytes, uint32_t value_words);

/* The checksum of a block that belongs to one place only, by a number that says which; 0: to none. */
uint64_t qn_block_sum(const qn_block_header *header, uint64_t place);

#endif
