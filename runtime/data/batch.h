/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/batch.h: a block of records on its way through a task, as the public quern_block plus where each
 * record came from.
 *
 * Arrays are [count]. Key bytes may be read 16 at a time past their end (QN_SLACK_BYTES); the maker of a batch
 * guarantees it.
 */
#ifndef QN_DATA_BATCH_H
#define QN_DATA_BATCH_H

#include "runtime/data/type.h"

#define QN_BATCH_COUNT_MAX 512

typedef struct qn_batch {
    quern_block block;
    const uint32_t *origin; /* index of the source record in the source's block; NULL: the identity */
    const uint64_t
        *identity; /* of a source's block, if its leg has a sample in it, else NULL: of each record a number of its
                                 own, the same wherever the input is cut and the work is done */
} qn_batch;

static inline uint32_t qn_batch_origin(const qn_batch *batch, size_t index)
{
    return batch->origin ? batch->origin[index] : (uint32_t)index;
}

static inline quern_record qn_batch_record(const qn_batch *batch, size_t index)
{
    quern_record record = {
        .key = {batch->block.key[index], batch->block.key_bytes[index]},
        .value = {"", 0},
    };
    if (batch->block.value)
        record.value = (quern_span){batch->block.value[index], batch->block.value_bytes[index]};
    return record;
}

/* Of its keys and values. */
static inline uint64_t qn_batch_bytes(const qn_batch *batch)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < batch->block.count; i++)
        bytes += batch->block.key_bytes[i] + (batch->block.value ? batch->block.value_bytes[i] : 0u);
    return bytes;
}

/* Records [from, from + count) of it. Where there is no origin, they are numbered from 0 again. */
static inline qn_batch qn_batch_slice(const qn_batch *batch, size_t from, size_t count)
{
    qn_batch slice = *batch;
    slice.block.count = count;
    slice.block.key += from;
    slice.block.key_bytes += from;
    if (slice.block.value) {
        slice.block.value += from;
        slice.block.value_bytes += from;
    }
    if (slice.origin)
        slice.origin += from;
    return slice;
}

/* Bytes of a type's values where they do not vary; 0 for QUERN_NONE and QUERN_BYTES. */
static inline uint32_t qn_schema_value_bytes(const quern_schema *schema)
{
    return qn_type_bytes(schema->value, schema->value_bytes);
}

/* Bytes of a type's keys; the least of them where they vary. */
static inline uint32_t qn_schema_key_bytes(const quern_schema *schema)
{
    return qn_type_bytes(schema->key, schema->key_bytes);
}

#endif
