/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/record_log.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"

#define BYTES_FIRST ((size_t)256 << 10)
#define WORD_BYTES  8
#define ENTRY_FIRST 4096

void qn_record_log_fini(qn_record_log *log)
{
    free(log->bytes);
    free(log->records);
    *log = (qn_record_log){.bytes_max = log->bytes_max};
}

static size_t whole_words(size_t bytes)
{
    return (bytes + WORD_BYTES - 1) & ~(size_t)(WORD_BYTES - 1);
}

static bool fits(const qn_record_log *log, uint64_t bytes, size_t count)
{
    return log->used_bytes + bytes + QN_SLACK_BYTES + (log->count + count) * sizeof *log->records <= log->bytes_max;
}

static bool make_room(qn_record_log *log, uint64_t bytes, size_t count)
{
    uint64_t needed = log->used_bytes + bytes + QN_SLACK_BYTES;
    if (needed > log->capacity_bytes) {
        size_t capacity = log->capacity_bytes ? log->capacity_bytes : BYTES_FIRST;
        while (capacity < needed)
            capacity *= 2;
        uint8_t *larger = realloc(log->bytes, capacity);
        if (!larger)
            return false;
        log->bytes = larger;
        log->capacity_bytes = capacity;
    }
    if (log->count + count > log->capacity) {
        size_t capacity = 2 * (log->count + count) > ENTRY_FIRST ? 2 * (log->count + count) : ENTRY_FIRST;
        qn_logged_record *more = realloc(log->records, capacity * sizeof *more);
        if (!more)
            return false;
        log->records = more;
        log->capacity = capacity;
    }
    return true;
}

/* At a word, filled up with zeros. */
static size_t put_field(qn_record_log *log, size_t at, quern_span field)
{
    size_t end = at + whole_words(field.bytes);
    if (field.bytes > 0) {
        memset(log->bytes + end - WORD_BYTES, 0, WORD_BYTES);
        memcpy(log->bytes + at, field.data, field.bytes);
    }
    return end;
}

static void add_record(qn_record_log *log, quern_record record, uint32_t origin)
{
    size_t end = put_field(log, put_field(log, log->used_bytes, record.key), record.value);
    log->records[log->count++] =
        (qn_logged_record){log->used_bytes, (uint32_t)record.key.bytes, (uint32_t)record.value.bytes, origin};
    log->used_bytes = end;
}

bool qn_record_log_add(qn_record_log *log, const qn_batch *batch)
{
    size_t count = batch->block.count;
    uint64_t bytes = qn_batch_bytes(batch) + 2 * count * WORD_BYTES;
    if (!fits(log, bytes, count) || !make_room(log, bytes, count))
        return false;
    log->has_values = batch->block.value != NULL;
    for (size_t i = 0; i < count; i++)
        add_record(log, qn_batch_record(batch, i), qn_batch_origin(batch, i));
    return true;
}

void qn_record_log_cut(qn_record_log *log, size_t count)
{
    if (count < log->count)
        log->used_bytes = log->records[count].at;
    log->count = count < log->count ? count : log->count;
}

size_t qn_record_log_give(qn_record_log *log, size_t from, qn_batch *batch_out)
{
    qn_logged_room *room = &log->room;
    size_t count = log->count - from < QN_BATCH_COUNT_MAX ? log->count - from : QN_BATCH_COUNT_MAX;
    for (size_t i = 0; i < count; i++) {
        const qn_logged_record *record = &log->records[from + i];
        room->key[i] = log->bytes + record->at;
        room->key_bytes[i] = record->key_bytes;
        room->value[i] = log->bytes + record->at + whole_words(record->key_bytes);
        room->value_bytes[i] = record->value_bytes;
        room->origin[i] = record->origin;
    }
    *batch_out =
        (qn_batch){.block = {.count = count, .key = room->key, .key_bytes = room->key_bytes}, .origin = room->origin};
    if (log->has_values) {
        batch_out->block.value = room->value;
        batch_out->block.value_bytes = room->value_bytes;
    }
    return count;
}

void qn_record_log_encode(const qn_record_log *log, qn_buffer *into)
{
    qn_buffer_append_u64(into, log->count);
    qn_buffer_append_u32(into, log->has_values);
    for (size_t i = 0; i < log->count; i++) {
        const uint32_t lengths[] = {log->records[i].key_bytes, log->records[i].value_bytes};
        qn_buffer_append(into, lengths, sizeof lengths);
    }
    qn_buffer_append_span(into, log->bytes, log->used_bytes);
}

bool qn_record_log_decode(qn_record_log *log, qn_reader *from)
{
    uint64_t count = qn_reader_u64(from), all_bytes = 0;
    size_t bytes = 0;
    log->count = log->used_bytes = 0;
    log->has_values = qn_reader_u32(from);
    const uint8_t *lengths = count <= from->left_bytes ? qn_reader_take(from, count * 2 * sizeof(uint32_t)) : NULL;
    const void *fields = qn_reader_span(from, &bytes);
    if (from->failed || !lengths || !make_room(log, bytes, count))
        return false;
    for (size_t i = 0; i < count; i++, lengths += 2 * sizeof(uint32_t)) {
        qn_logged_record *record = &log->records[i];
        *record = (qn_logged_record){.at = all_bytes};
        memcpy(&record->key_bytes, lengths, sizeof record->key_bytes);
        memcpy(&record->value_bytes, lengths + sizeof record->key_bytes, sizeof record->value_bytes);
        all_bytes += whole_words(record->key_bytes) + whole_words(record->value_bytes);
    }
    if (all_bytes != bytes)
        return false;
    if (bytes > 0)
        memcpy(log->bytes, fields, bytes);
    log->count = count;
    log->used_bytes = bytes;
    return true;
}
