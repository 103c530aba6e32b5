/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/fixed_source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/data/type.h"
#include "runtime/io/segment_file.h"

static quern_status check_file(const qn_record_layout *layout, const qn_input_file *file, qn_error *error)
{
    if (file->bytes < layout->header_bytes)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s has %llu bytes, fewer than its header of %llu", file->path,
                            (unsigned long long)file->bytes, (unsigned long long)layout->header_bytes);
    uint64_t left = (file->bytes - layout->header_bytes) % layout->record_bytes;
    if (left == 0)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "%s has %llu bytes: behind a header of %llu and records of %u there is a remainder of %llu",
                        file->path, (unsigned long long)file->bytes, (unsigned long long)layout->header_bytes,
                        layout->record_bytes, (unsigned long long)left);
}

quern_status qn_fixed_check_files(const qn_record_layout *layout, const qn_listing *listing, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < listing->file_count && status == QUERN_OK; i++)
        status = check_file(layout, &listing->files[i], error);
    return status;
}

/* Numbers and structs are handed on as whole words at aligned addresses. */
static bool must_align(const qn_record_layout *layout)
{
    if (layout->value_type == QUERN_NONE || layout->value_type == QUERN_BYTES)
        return false;
    return layout->record_bytes % 8 != 0 || (layout->header_bytes + layout->value_offset) % 8 != 0 ||
           layout->value_bytes % 8 != 0;
}

static size_t value_words(const qn_record_layout *layout)
{
    return (layout->value_bytes + 7) / 8;
}

static bool has_floats(const qn_record_layout *layout)
{
    return qn_type_shape_of(layout->key_type, layout->key_bytes).has_floats;
}

static quern_status take_memory(qn_fixed_source *source, qn_error *error)
{
    const qn_record_layout *layout = &source->layout;
    size_t block_bytes = (size_t)source->block_count_max * layout->record_bytes;
    size_t capacity = QN_PAGE_SMALL_BYTES + block_bytes + QN_READ_CHUNK_BYTES + QN_SLACK_BYTES;
    capacity = (capacity + QN_PAGE_SMALL_BYTES - 1) & ~(QN_PAGE_SMALL_BYTES - 1);
    source->buffer = qn_pages_reserve(capacity, true);
    source->capacity_bytes = capacity;
    if (must_align(layout)) /* zeros stay behind values that are no whole words */
        source->aligned_values = calloc(source->block_count_max, 8 * value_words(layout));
    if (has_floats(layout))
        source->canonical_keys = malloc((size_t)source->block_count_max * layout->key_bytes + QN_SLACK_BYTES);
    if (source->buffer && (source->aligned_values || !must_align(layout)) &&
        (source->canonical_keys || !has_floats(layout)))
        return QUERN_OK;
    qn_fixed_source_fini(source);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a read buffer");
}

quern_status qn_fixed_source_init(qn_fixed_source *source, const qn_record_layout *layout, uint64_t record_bytes_max,
                                  qn_error *error)
{
    QN_ASSERT(layout->record_bytes > 0 && record_bytes_max < UINT64_C(1) << 31);
    uint64_t fields_bytes = (uint64_t)layout->key_bytes + layout->value_bytes;
    uint64_t longest = fields_bytes > layout->record_bytes ? fields_bytes : layout->record_bytes;
    *source = (qn_fixed_source){.layout = *layout, .fd = -1};
    if (longest > record_bytes_max)
        return qn_error_set(error, QUERN_ERROR_RECORD_TOO_LARGE, 0,
                            "records of %llu bytes are longer than record-bytes, %llu", (unsigned long long)longest,
                            (unsigned long long)record_bytes_max);
    size_t fitting = QN_READ_CHUNK_BYTES / layout->record_bytes;
    source->block_count_max = fitting == 0 ? 1 : fitting > QN_BATCH_COUNT_MAX ? QN_BATCH_COUNT_MAX : (uint32_t)fitting;
    for (uint32_t i = 0; i < QN_BATCH_COUNT_MAX; i++) {
        source->key_bytes[i] = layout->key_bytes;
        source->value_bytes[i] = layout->value_bytes;
    }
    return take_memory(source, error);
}

static void close_file(qn_fixed_source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
    source->data_bytes = 0;
    source->data_offset = 0;
}

static void close_task(qn_fixed_source *source)
{
    close_file(source);
    free(source->segments);
    free(source->message);
    source->segments = NULL;
    source->message = NULL;
    source->segment_count = 0;
}

void qn_fixed_source_fini(qn_fixed_source *source)
{
    if (source->layout.record_bytes == 0)
        return;
    close_task(source);
    qn_pages_unreserve(source->buffer, source->capacity_bytes);
    free(source->aligned_values);
    free(source->canonical_keys);
    *source = (qn_fixed_source){.fd = -1};
}

quern_status qn_fixed_source_open(qn_fixed_source *source, const void *message, size_t bytes,
                                  const qn_text_place *place, qn_error *error)
{
    close_task(source);
    source->place = source->block_place = place ? *place : (qn_text_place){0};
    return qn_split_decode_copy(message, bytes, &source->message, &source->segments, &source->segment_count, error);
}

/* How many records the next block has: of the present segment, from the place on. */
static uint32_t count_records(const qn_fixed_source *source, const qn_segment *segment)
{
    uint64_t begin = source->place.scan_offset;
    if (begin >= segment->end)
        return 0;
    uint64_t count = (segment->end - begin + source->layout.record_bytes - 1) / source->layout.record_bytes;
    return count > source->block_count_max ? source->block_count_max : (uint32_t)count;
}

/* Keeps what is there from the place on at the front of the buffer, and reads to the end of a chunk behind `needed_end`. */
static quern_status read_on(qn_fixed_source *source, const qn_segment *segment, uint64_t needed_end, qn_error *error)
{
    uint64_t begin = source->place.scan_offset, data_end = source->data_offset + source->data_bytes;
    uint64_t end = (needed_end + QN_READ_CHUNK_BYTES - 1) / QN_READ_CHUNK_BYTES * QN_READ_CHUNK_BYTES;
    uint64_t last_end = qn_record_border(&source->layout, segment->end);
    bool kept = source->data_bytes > 0 && begin >= source->data_offset && begin < data_end;
    size_t kept_bytes = kept ? data_end - begin : 0;
    uint8_t *to = qn_segment_data_at(source->buffer, begin);
    if (kept)
        memmove(to, source->data + (begin - source->data_offset), kept_bytes);
    source->data = to;
    source->data_offset = begin;
    source->data_bytes = kept_bytes;
    if (end > last_end)
        end = last_end;
    QN_ASSERT(to + (end - begin) + QN_SLACK_BYTES <= source->buffer + source->capacity_bytes);
    quern_status status = qn_segment_file_read(segment, source->fd, to + kept_bytes, begin + kept_bytes, end, error);
    if (status == QUERN_OK)
        source->data_bytes = end - begin;
    return status;
}

static quern_status have_records(qn_fixed_source *source, const qn_segment *segment, uint32_t count, qn_error *error)
{
    uint64_t needed_end = source->place.scan_offset + (uint64_t)count * source->layout.record_bytes;
    quern_status status = source->fd < 0 ? qn_segment_file_open(segment, &source->fd, error) : QUERN_OK;
    if (status == QUERN_OK && needed_end > source->data_offset + source->data_bytes)
        status = read_on(source, segment, needed_end, error);
    return status;
}

static void align_values(qn_fixed_source *source, uint32_t count)
{
    size_t words = value_words(&source->layout);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *to = source->aligned_values + i * words;
        memcpy(to, source->values[i], source->layout.value_bytes);
        source->values[i] = to;
    }
}

static void canonicalise_keys(qn_fixed_source *source, uint32_t count)
{
    uint8_t *to = source->canonical_keys;
    for (uint32_t i = 0; i < count; i++, to += source->layout.key_bytes) {
        memcpy(to, source->keys[i], source->layout.key_bytes);
        qn_key_canonicalise(source->layout.key_type, to, source->layout.key_bytes);
        source->keys[i] = to;
    }
}

static void give_block(qn_fixed_source *source, uint32_t count, qn_batch *batch_out)
{
    const qn_record_layout *layout = &source->layout;
    const uint8_t *record = source->data + (source->place.scan_offset - source->data_offset);
    bool has_value = layout->value_type != QUERN_NONE;
    for (uint32_t i = 0; i < count; i++, record += layout->record_bytes) {
        source->keys[i] = record + layout->key_offset;
        source->values[i] = record + layout->value_offset;
    }
    if (source->aligned_values)
        align_values(source, count);
    if (source->canonical_keys)
        canonicalise_keys(source, count);
    *batch_out = (qn_batch){.block = {.count = count,
                                      .key = source->keys,
                                      .key_bytes = source->key_bytes,
                                      .value = has_value ? source->values : NULL,
                                      .value_bytes = has_value ? source->value_bytes : NULL}};
}

quern_status qn_fixed_source_next(qn_fixed_source *source, qn_batch *batch_out, qn_error *error)
{
    while (source->place.segment < source->segment_count) {
        const qn_segment *segment = &source->segments[source->place.segment];
        if (!source->place.started)
            source->place.scan_offset = qn_record_border(&source->layout, segment->begin);
        source->place.started = true;
        uint32_t count = count_records(source, segment);
        if (count == 0) {
            close_file(source);
            source->place = (qn_text_place){.segment = source->place.segment + 1};
            continue;
        }
        source->block_place = source->place;
        quern_status status = have_records(source, segment, count, error);
        if (status != QUERN_OK)
            return status;
        give_block(source, count, batch_out);
        source->place.scan_offset += (uint64_t)count * source->layout.record_bytes;
        return QUERN_OK;
    }
    source->block_place = source->place;
    *batch_out = (qn_batch){.block = {.count = 0, .key = source->keys, .key_bytes = source->key_bytes}};
    return QUERN_OK;
}

uint64_t qn_fixed_source_task_bytes(const qn_fixed_source *source)
{
    return qn_segments_bytes(source->segments, source->segment_count);
}

const char *qn_fixed_source_locate(const qn_fixed_source *source, uint32_t record, uint64_t *offset_out)
{
    *offset_out = source->block_place.scan_offset + (uint64_t)record * source->layout.record_bytes;
    return source->segments[source->block_place.segment].path;
}
