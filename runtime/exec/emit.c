/* SPDX-License-Identifier: BSD-3-Clause */
/* What callbacks emit, and how they say that they fail. */
#include <quern/columns.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/exec/chain_internal.h"

#define FIELD_ALIGN 8

/* Room for a record's fields behind each other, aligned and with slack. NULL: the job is ending. */
static uint8_t *make_room(quern_emitter *out, size_t key_bytes, size_t value_bytes)
{
    size_t bytes = key_bytes + value_bytes + 3 * FIELD_ALIGN;
    bool full = out->count == QN_BATCH_COUNT_MAX || bytes + QN_SLACK_BYTES > out->capacity_bytes - out->used_bytes;
    if (QN_UNLIKELY(full) && qn_emitter_flush(out) != QUERN_OK)
        return NULL;
    if (QN_UNLIKELY(bytes + QN_SLACK_BYTES > out->capacity_bytes)) {
        uint8_t *buffer = malloc(bytes + QN_SLACK_BYTES); /* there is nothing in the old one */
        if (!buffer) {
            out->failed = true;
            qn_error_set(out->chain->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an emitted record of %zu bytes",
                         bytes);
            return NULL;
        }
        if (!out->is_lent)
            free(out->buffer);
        out->is_lent = false;
        out->buffer = buffer;
        out->capacity_bytes = bytes + QN_SLACK_BYTES;
    }
    return out->buffer + out->used_bytes;
}

static size_t aligned(size_t bytes)
{
    return (bytes + FIELD_ALIGN - 1) & ~(size_t)(FIELD_ALIGN - 1);
}

static int refuse(quern_emitter *out, size_t key_bytes, size_t value_bytes)
{
    out->failed = true;
    out->chain->failed_origin = out->origin;
    qn_error_set(out->chain->error, QUERN_ERROR_CALLBACK, 0,
                 "'%s' gave a record that does not fit its schema: key of %zu bytes, value of %zu bytes",
                 out->owner->node->name, key_bytes, value_bytes);
    return 1;
}

int quern_fail(quern_emitter *out, size_t record, const char *text)
{
    if (out->failed)
        return 1;
    bool known = out->batch && record < out->batch->block.count;
    out->failed = true;
    out->chain->failed_origin = known ? qn_batch_origin(out->batch, record) : out->origin;
    qn_error_set(out->chain->error, QUERN_ERROR_CALLBACK, 0, "'%s': %s", out->owner->node->name,
                 text ? text : "failed");
    return 1;
}

/* No second attempt: it would be as long again. */
static int refuse_size(quern_emitter *out, size_t bytes)
{
    out->failed = true;
    qn_error_set(out->chain->error, QUERN_ERROR_RECORD_TOO_LARGE, 0,
                 "'%s' gave a record of %zu bytes, longer than record-bytes, %llu", out->owner->node->name, bytes,
                 (unsigned long long)out->chain->record_bytes_max);
    return 1;
}

/* Copies from `piece` to twice as many bytes, as two pieces that overlap. */
static inline __attribute__((always_inline)) void copy_twice(uint8_t *to, const void *from, size_t bytes, size_t piece)
{
    uint64_t first, last;
    memcpy(&first, from, piece);
    memcpy(&last, (const uint8_t *)from + bytes - piece, piece);
    memcpy(to, &first, piece);
    memcpy(to + bytes - piece, &last, piece);
}

/* Most fields are short; a call for each would be most of what it costs to emit one. */
static inline void copy_field(uint8_t *to, const void *from, size_t bytes)
{
    if (bytes >= 8 && bytes <= 16)
        copy_twice(to, from, bytes, 8);
    else if (bytes >= 4 && bytes < 8)
        copy_twice(to, from, bytes, 4);
    else
        memcpy(to, from, bytes);
}

/* Begins a record with its key, which is copied; value_bytes will be copied behind it. NULL: the job is ending. */
static inline uint8_t *put_key(quern_emitter *out, quern_span key, size_t value_bytes)
{
    uint8_t *to = make_room(out, key.bytes, value_bytes);
    if (QN_UNLIKELY(!to))
        return NULL;
    size_t at = out->count++;
    copy_field(to, key.data, key.bytes);
    if (QN_UNLIKELY(out->owner->key_shape.has_floats))
        qn_key_canonicalise(out->owner->node->schema.key, to, key.bytes);
    out->key[at] = to;
    out->key_bytes[at] = (uint32_t)key.bytes;
    out->origins[at] = out->origin;
    out->used_bytes += aligned(key.bytes);
    return to + aligned(key.bytes);
}

int quern_emit(quern_emitter *out, quern_span key, quern_span value)
{
    const quern_schema *schema = &out->owner->node->schema;
    if (QN_UNLIKELY(out->failed))
        return 1;
    if (QN_UNLIKELY(out->is_watched) && !qn_emitter_watch(out, key, value))
        return 0;
    size_t value_bytes = schema->value == QUERN_NONE ? 0 : value.bytes;
    const struct qn_operator *op = out->owner;
    if (QN_UNLIKELY(!qn_type_fits(&op->key_shape, key.data, key.bytes) ||
                    !qn_type_fits(&op->value_shape, value.data, value_bytes)))
        return refuse(out, key.bytes, value.bytes);
    if (QN_UNLIKELY(key.bytes + value_bytes > out->chain->record_bytes_max))
        return refuse_size(out, key.bytes + value_bytes);
    uint8_t *to = put_key(out, key, value_bytes);
    if (QN_UNLIKELY(!to))
        return 1;
    out->value[out->count - 1] = to;
    out->value_bytes[out->count - 1] = (uint32_t)value_bytes;
    if (value_bytes > 0) {
        memset(to + aligned(value_bytes) - FIELD_ALIGN, 0, FIELD_ALIGN);
        copy_field(to, value.data, value_bytes);
    }
    out->used_bytes += aligned(value_bytes);
    return 0;
}

int quern_emit_block(quern_emitter *out, const quern_block *records)
{
    for (size_t i = 0; i < records->count; i++) {
        quern_span value =
            records->value ? quern_bytes(records->value[i], records->value_bytes[i]) : quern_bytes("", 0);
        int code = quern_emit(out, quern_bytes(records->key[i], records->key_bytes[i]), value);
        if (QN_UNLIKELY(code != 0))
            return code;
    }
    return 0;
}

void qn_emitter_put_under_key(quern_emitter *out, const quern_record *in, bool has_value, quern_span key)
{
    quern_span value = has_value ? in->value : in->key;
    const struct qn_operator *op = out->owner;
    /* Values of numbers are aligned, keys may not be. */
    if (!has_value && op->node->schema.value != QUERN_BYTES)
        quern_emit(out, key, value);
    else if (QN_UNLIKELY(!qn_type_fits(&op->key_shape, key.data, key.bytes)))
        refuse(out, key.bytes, value.bytes);
    else if (QN_UNLIKELY(key.bytes + value.bytes > out->chain->record_bytes_max))
        refuse_size(out, key.bytes + value.bytes);
    else if (QN_LIKELY(put_key(out, key, 0) != NULL)) {
        out->value[out->count - 1] = value.data;
        out->value_bytes[out->count - 1] = (uint32_t)value.bytes;
    }
}
