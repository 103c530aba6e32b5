/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/record_layout.h: where key and value are in records of one length.
 */
#ifndef QN_DATA_RECORD_LAYOUT_H
#define QN_DATA_RECORD_LAYOUT_H

#include <quern/types.h>

typedef struct qn_record_layout {
    uint64_t header_bytes; /* before the first record of a file */
    uint32_t record_bytes;
    uint32_t key_offset, key_bytes;     /* within the record, */
    uint32_t value_offset, value_bytes; /* as this; the two may overlap */
    quern_type key_type;
    quern_type value_type; /* QUERN_NONE: there is no value */
} qn_record_layout;

/* The first place from `offset` on at which a record begins. */
static inline uint64_t qn_record_border(const qn_record_layout *layout, uint64_t offset)
{
    if (offset <= layout->header_bytes)
        return layout->header_bytes;
    uint64_t behind = (offset - layout->header_bytes) % layout->record_bytes;
    return behind == 0 ? offset : offset - behind + layout->record_bytes;
}

#endif
