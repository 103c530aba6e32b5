/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/packed.h: a whole record as bytes: what is exchanged, spilled and stored where values are not combined.
 *
 * A packed record is, one behind the other and not aligned: its tag (8 bytes, if the layout has one), the lengths of its key and its
 * value (4 bytes each, of those that vary), its side (1 byte, if there are two inputs), key and value. So the same
 * bytes are what is emitted, sent, sorted, spilled and read; a record of fixed sizes carries nothing but itself.
 *
 * Packed records are exchanged between ranks of one job on machines of one kind, so numbers are in the machine's order.
 */
#ifndef QN_DATA_PACKED_H
#define QN_DATA_PACKED_H

#include <quern/types.h>
#include <stdbool.h>

#include "runtime/data/order.h"

typedef struct qn_layout {
    quern_type key_type;
    quern_type value_types[2]; /* of each side */
    uint32_t key_bytes;        /* where they do not vary */
    uint32_t value_bytes;      /* the same */
    bool key_varies, value_varies;
    bool has_tag;        /* the hash of the key, by which it is partitioned and sorted */
    bool has_side;       /* which of two inputs it is from */
    uint32_t head_bytes; /* before the key */
} qn_layout;

typedef struct qn_packed {
    uint64_t prefix; /* the tag; or the prefix of the key by its type */
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint32_t side;
} qn_packed;

/* For records of a schema; with `other`, of two sides whose keys are of the same type. */
qn_layout qn_layout_of(const quern_schema *schema, const quern_schema *other, bool has_tag);

static inline uint64_t qn_packed_bytes(const qn_layout *layout, uint64_t key_bytes, uint64_t value_bytes)
{
    return layout->head_bytes + key_bytes + value_bytes;
}

/* Writes qn_packed_bytes() bytes. */
static inline void qn_packed_encode(const qn_layout *layout, const qn_packed *record, uint8_t *to)
{
    if (layout->has_tag) {
        memcpy(to, &record->prefix, sizeof record->prefix);
        to += sizeof record->prefix;
    }
    if (layout->key_varies) {
        memcpy(to, &record->key_bytes, sizeof record->key_bytes);
        to += sizeof record->key_bytes;
    }
    if (layout->value_varies) {
        memcpy(to, &record->value_bytes, sizeof record->value_bytes);
        to += sizeof record->value_bytes;
    }
    if (layout->has_side)
        *to++ = (uint8_t)record->side;
    memcpy(to, record->key, record->key_bytes);
    memcpy(to + record->key_bytes, record->value, record->value_bytes);
}

/* Record `i` of a block, to be packed without a tag; it borrows the block. Of a layout without values they are left out. */
static inline qn_packed qn_packed_of(const qn_layout *layout, const quern_block *block, size_t i)
{
    qn_packed record = {.key = block->key[i], .key_bytes = block->key_bytes[i], .value = (const uint8_t *)""};
    if (layout->value_bytes > 0 || layout->value_varies) {
        record.value = block->value[i];
        record.value_bytes = block->value_bytes[i];
    }
    return record;
}

/* Reads a record of at most `bytes` bytes; *record_out borrows it. Returns its bytes; 0 if it does not fit: lengths in it are not
 * trusted. */
static inline uint64_t qn_packed_decode(const qn_layout *layout, const uint8_t *from, uint64_t bytes,
                                        qn_packed *record_out)
{
    const uint8_t *at = from;
    qn_packed record = {.key_bytes = layout->key_bytes, .value_bytes = layout->value_bytes};
    if (bytes < layout->head_bytes)
        return 0;
    if (layout->has_tag) {
        memcpy(&record.prefix, at, sizeof record.prefix);
        at += sizeof record.prefix;
    }
    if (layout->key_varies) {
        memcpy(&record.key_bytes, at, sizeof record.key_bytes);
        at += sizeof record.key_bytes;
    }
    if (layout->value_varies) {
        memcpy(&record.value_bytes, at, sizeof record.value_bytes);
        at += sizeof record.value_bytes;
    }
    if (layout->has_side)
        record.side = *at++;
    uint64_t all_bytes = qn_packed_bytes(layout, record.key_bytes, record.value_bytes);
    if (all_bytes > bytes)
        return 0;
    record.key = at;
    record.value = at + record.key_bytes;
    if (!layout->has_tag)
        record.prefix = qn_order_prefix(layout->key_type, record.key, record.key_bytes);
    *record_out = record;
    return all_bytes;
}

#endif
