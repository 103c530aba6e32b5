/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/store.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"

#define HUGE_FROM_BYTES     (64 * QN_PAGE_HUGE_BYTES) /* below, a huge page touched for a few records costs too much */
#define PART_CAPACITY_FIRST 16
#define PACKED_BYTES_FIRST  4096
#define TAIL_BYTES          ((size_t)64 << 10)

static uint64_t reserved_bytes(const qn_store *store)
{
    return store->config.pool_bytes + QN_SLACK_BYTES;
}

quern_status qn_store_init(qn_store *store, const qn_store_config *config, qn_error *error)
{
    *store = (qn_store){.config = *config, .layout = qn_layout_of(&config->schema, NULL, false)};
    qn_spill_init(&store->spill, config->scratch, QN_BLOCK_PACKED, config->block_bytes);
    store->memory = qn_pages_reserve(reserved_bytes(store), config->pool_bytes >= HUGE_FROM_BYTES);
    if (store->memory)
        return QUERN_OK;
    qn_spill_fini(&store->spill);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no address space to keep %llu MiB of records",
                        (unsigned long long)(config->pool_bytes >> 20));
}

void qn_store_fini(qn_store *store)
{
    if (!store->memory)
        return;
    qn_store_drop_part(store);
    qn_spill_fini(&store->spill);
    qn_pages_unreserve(store->memory, reserved_bytes(store));
    free(store->parts);
    free(store->packed);
    *store = (qn_store){0};
}

uint64_t qn_store_get_memory_bytes(const qn_store *store)
{
    return store->used_bytes + store->part_capacity * sizeof *store->parts + store->packed_bytes;
}

static void note_memory(qn_store *store)
{
    uint64_t bytes = qn_store_get_memory_bytes(store);
    if (bytes > store->memory_bytes_peak)
        store->memory_bytes_peak = bytes;
}

/* ---- parts ---- */

quern_status qn_store_begin_part(qn_store *store, uint64_t number, qn_error *error)
{
    QN_ASSERT(!store->part_open && !store->finished);
    if (store->part_count == store->part_capacity) {
        size_t capacity = store->part_capacity ? 2 * store->part_capacity : PART_CAPACITY_FIRST;
        qn_store_part *parts = realloc(store->parts, capacity * sizeof *parts);
        if (!parts)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a part of stored records");
        store->parts = parts;
        store->part_capacity = capacity;
    }
    store->parts[store->part_count++] = (qn_store_part){.number = number, .memory_offset = store->used_bytes};
    store->part_open = true;
    store->open_bytes = 0;
    return QUERN_OK;
}

quern_status qn_store_end_part(qn_store *store, qn_error *error)
{
    QN_ASSERT(store->part_open);
    qn_store_part *part = &store->parts[store->part_count - 1];
    note_memory(store);
    if (store->writing) {
        store->writing = false;
        quern_status status = qn_run_writer_close(&store->writer, &part->runs[part->run_count], error);
        if (status != QUERN_OK)
            return status;
        part->run_count++;
        store->spill_runs++;
    }
    store->part_open = false;
    store->record_count += part->record_count;
    store->record_bytes += store->open_bytes;
    return QUERN_OK;
}

void qn_store_drop_part(qn_store *store)
{
    if (!store->part_open)
        return;
    if (store->writing)
        qn_run_writer_abandon(&store->writer);
    store->writing = false;
    store->used_bytes = store->parts[--store->part_count].memory_offset;
    store->part_open = false;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = ((const qn_store_part *)a)->number, right = ((const qn_store_part *)b)->number;
    return left < right ? -1 : left > right;
}

void qn_store_finish(qn_store *store)
{
    QN_ASSERT(!store->part_open);
    store->finished = true;
    free(store->packed);
    store->packed = NULL;
    store->packed_bytes = 0;
    if (store->part_count > 0)
        qsort(store->parts, store->part_count, sizeof *store->parts, compare_numbers);
    for (size_t i = 1; i < store->part_count; i++)
        QN_ASSERT(store->parts[i - 1].number < store->parts[i].number); /* each task once */
}

/* ---- writing ---- */

/* Where a record of so many bytes goes in memory; NULL: to disk, as does what comes behind it in its part. */
static uint8_t *take_room(qn_store *store, uint64_t bytes)
{
    uint64_t taken_bytes = qn_store_get_memory_bytes(store);
    if (store->writing || taken_bytes >= store->config.pool_bytes || bytes > store->config.pool_bytes - taken_bytes)
        return NULL;
    uint8_t *room = store->memory + store->used_bytes;
    store->used_bytes += bytes;
    return room;
}

static quern_status open_run(qn_store *store, qn_error *error)
{
    if (store->writing)
        return QUERN_OK;
    quern_status status = qn_run_writer_open(&store->writer, &store->spill, error);
    store->writing = status == QUERN_OK;
    return status;
}

static quern_status put_to_run(qn_store *store, const qn_packed *record, uint64_t bytes, qn_error *error)
{
    if (bytes > store->packed_bytes) {
        uint64_t room_bytes = bytes > PACKED_BYTES_FIRST ? bytes : PACKED_BYTES_FIRST;
        uint8_t *packed = realloc(store->packed, room_bytes);
        if (!packed)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to spill a record of %llu bytes",
                                (unsigned long long)bytes);
        store->packed = packed;
        store->packed_bytes = room_bytes;
    }
    qn_packed_encode(&store->layout, record, store->packed);
    quern_status status = open_run(store, error);
    return status == QUERN_OK ? qn_run_writer_put_packed(&store->writer, store->packed, bytes, error) : status;
}

quern_status qn_store_put(qn_store *store, const qn_batch *batch, qn_error *error)
{
    QN_ASSERT(store->part_open);
    qn_store_part *part = &store->parts[store->part_count - 1];
    quern_type type = store->layout.value_types[0];
    bool has_value = type != QUERN_NONE, sums = qn_type_is_number(type);
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        qn_packed record = {
            .key = batch->block.key[i], .key_bytes = batch->block.key_bytes[i], .value = (const uint8_t *)""};
        if (has_value) {
            record.value = batch->block.value[i];
            record.value_bytes = batch->block.value_bytes[i];
        }
        uint64_t bytes = qn_packed_bytes(&store->layout, record.key_bytes, record.value_bytes);
        uint8_t *room = take_room(store, bytes);
        if (QN_LIKELY(room))
            qn_packed_encode(&store->layout, &record, room);
        else
            status = put_to_run(store, &record, bytes, error);
        if (sums) /* more than there can be in a sum: who adds them again is told so */
            qn_running_sum_add(&part->sum, type, record.value);
        part->record_count++;
        store->open_bytes += bytes;
    }
    part->memory_bytes = store->used_bytes - part->memory_offset;
    return status;
}

/* ---- shrinking ---- */

/* Writes what a part has in memory as a run. */
static quern_status write_memory(qn_store *store, const qn_store_part *part, qn_run *run_out, qn_error *error)
{
    const uint8_t *at = store->memory + part->memory_offset;
    uint64_t left_bytes = part->memory_bytes;
    qn_run_writer writer = {0};
    quern_status status = qn_run_writer_open(&writer, &store->spill, error);
    while (status == QUERN_OK && left_bytes > 0) {
        qn_packed record;
        uint64_t bytes = qn_packed_decode(&store->layout, at, left_bytes, &record);
        QN_ASSERT(bytes > 0);
        status = qn_run_writer_put_packed(&writer, at, bytes, error);
        at += bytes;
        left_bytes -= bytes;
    }
    if (status == QUERN_OK)
        return qn_run_writer_close(&writer, run_out, error);
    qn_run_writer_abandon(&writer);
    return status;
}

static quern_status move_to_disk(qn_store *store, qn_store_part *part, qn_error *error)
{
    qn_run run = {0};
    QN_ASSERT(part->run_count < QN_STORE_PART_RUNS_MAX);
    quern_status status = write_memory(store, part, &run, error);
    if (status != QUERN_OK)
        return status;
    part->runs[1] = part->runs[0]; /* it is behind what was in memory */
    part->runs[0] = run;
    part->run_count++;
    part->memory_bytes = 0;
    store->spill_runs++;
    return QUERN_OK;
}

quern_status qn_store_shrink(qn_store *store, uint64_t bytes_max, qn_error *error)
{
    QN_ASSERT(store->finished);
    uint64_t left_bytes = 0, table_bytes = qn_store_get_memory_bytes(store) - store->used_bytes;
    quern_status status = QUERN_OK;
    bytes_max = bytes_max > table_bytes ? bytes_max - table_bytes : 0;
    if (store->used_bytes <= bytes_max)
        return QUERN_OK;
    for (size_t i = 0; i < store->part_count; i++) {
        qn_store_part *part = &store->parts[i];
        uint64_t end = part->memory_offset + part->memory_bytes;
        if (end > bytes_max && part->memory_bytes > 0 && status == QUERN_OK)
            status = move_to_disk(store, part, error);
        if (part->memory_bytes > 0 && end > left_bytes)
            left_bytes = end;
    }
    qn_pages_release(store->memory + left_bytes, store->used_bytes - left_bytes);
    store->used_bytes = left_bytes;
    return status;
}

/* ---- reading ---- */

quern_status qn_store_reader_open(qn_store_reader *reader, const qn_store *store, qn_error *error)
{
    QN_ASSERT(store->finished);
    memset(reader, 0, sizeof *reader);
    reader->store = store;
    qn_arena_init(&reader->tails, TAIL_BYTES);
    size_t words = (store->layout.value_bytes + 7) / 8;
    if (words > 0 && !(reader->aligned = calloc(QN_BATCH_COUNT_MAX, 8 * words)))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read stored records");
    return QUERN_OK;
}

void qn_store_reader_close(qn_store_reader *reader)
{
    qn_run_reader_close(&reader->run);
    if (reader->store)
        qn_arena_reset(&reader->tails);
    free(reader->aligned);
    reader->store = NULL;
    reader->aligned = NULL;
}

void qn_store_reader_begin(qn_store_reader *reader, size_t part)
{
    const qn_store *store = reader->store;
    QN_ASSERT(part < store->part_count);
    qn_run_reader_close(&reader->run);
    reader->part = &store->parts[part];
    reader->next = store->memory + reader->part->memory_offset;
    reader->left_bytes = reader->part->memory_bytes;
    reader->slack_end = store->memory + reserved_bytes(store);
    reader->run_next = 0;
}

/* Moves to the next block of the part's runs; left_bytes 0 at the end of the part. */
static quern_status next_block(qn_store_reader *reader, qn_error *error)
{
    const qn_store_part *part = reader->part;
    quern_status status = QUERN_OK;
    while (status == QUERN_OK && reader->left_bytes == 0) {
        if (reader->run.spill)
            status = qn_run_reader_next_block(&reader->run, &reader->next, &reader->left_bytes, error);
        if (status != QUERN_OK || reader->left_bytes > 0)
            break;
        if (reader->run_next == part->run_count)
            return QUERN_OK;
        qn_run_reader_close(&reader->run);
        qn_spill *spill = (qn_spill *)&reader->store->spill; /* which counts what is read, and nothing else */
        status = qn_run_reader_open(&reader->run, spill, &part->runs[reader->run_next++], error);
    }
    reader->slack_end = reader->next + reader->left_bytes;
    return status;
}

/* The key with slack behind it. NULL: no memory. */
static const void *key_with_slack(qn_store_reader *reader, const qn_packed *record)
{
    if (QN_LIKELY((size_t)(reader->slack_end - record->key) >= (size_t)record->key_bytes + QN_SLACK_BYTES))
        return record->key;
    return qn_arena_copy(&reader->tails, record->key, record->key_bytes);
}

static const void *value_aligned(qn_store_reader *reader, size_t at, const qn_packed *record)
{
    size_t bytes = (reader->store->layout.value_bytes + 7) & ~(size_t)7;
    if (bytes == 0)
        return record->value;
    return memcpy(reader->aligned + at * bytes, record->value, record->value_bytes);
}

static quern_status take_record(qn_store_reader *reader, size_t at, qn_error *error)
{
    qn_packed record;
    uint64_t bytes = qn_packed_decode(&reader->store->layout, reader->next, reader->left_bytes, &record);
    if (QN_UNLIKELY(bytes == 0))
        return qn_error_set(error, QUERN_ERROR_CORRUPT, 0,
                            "a spill file in %s is damaged: a record does not fit its block",
                            reader->store->config.scratch.directory);
    reader->key[at] = key_with_slack(reader, &record);
    if (QN_UNLIKELY(!reader->key[at]))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a stored key of %u bytes",
                            record.key_bytes);
    reader->key_bytes[at] = record.key_bytes;
    reader->value[at] = value_aligned(reader, at, &record);
    reader->value_bytes[at] = record.value_bytes;
    reader->next += bytes;
    reader->left_bytes -= bytes;
    return QUERN_OK;
}

quern_status qn_store_reader_next(qn_store_reader *reader, qn_batch *batch_out, qn_error *error)
{
    bool has_value = reader->store->layout.value_types[0] != QUERN_NONE;
    size_t count = 0;
    qn_arena_rewind(&reader->tails);
    quern_status status = reader->left_bytes == 0 ? next_block(reader, error) : QUERN_OK;
    while (status == QUERN_OK && count < QN_BATCH_COUNT_MAX && reader->left_bytes > 0)
        status = take_record(reader, count++, error);
    if (status != QUERN_OK)
        return status;
    *batch_out = (qn_batch){.block = {.count = count,
                                      .key = reader->key,
                                      .key_bytes = reader->key_bytes,
                                      .value = has_value ? reader->value : NULL,
                                      .value_bytes = has_value ? reader->value_bytes : NULL}};
    return QUERN_OK;
}
