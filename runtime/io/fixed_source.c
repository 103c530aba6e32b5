/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/fixed_source.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/data/type.h"
#include "runtime/io/piece.h"

/* Whether so many bytes are a header and whole records. */
static quern_status check_file(const qn_record_layout *layout, const char *name, uint64_t bytes, qn_error *error)
{
    if (bytes < layout->header_bytes)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s has %llu bytes, fewer than its header of %llu", name,
                            (unsigned long long)bytes, (unsigned long long)layout->header_bytes);
    uint64_t left = (bytes - layout->header_bytes) % layout->record_bytes;
    if (left == 0)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "%s has %llu bytes: behind a header of %llu and records of %u there is a remainder of %llu",
                        name, (unsigned long long)bytes, (unsigned long long)layout->header_bytes, layout->record_bytes,
                        (unsigned long long)left);
}

quern_status qn_fixed_check_files(const qn_record_layout *layout, const qn_listing *listing, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < listing->file_count && status == QUERN_OK; i++)
        if (listing->files[i].packing == QN_PACKING_NONE)
            status = check_file(layout, listing->files[i].path, listing->files[i].bytes, error);
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
    quern_status status =
        qn_window_init(&source->window, (size_t)source->block_count_max * layout->record_bytes, error);
    if (must_align(layout)) /* zeros stay behind values that are no whole words */
        source->aligned_values = calloc(source->block_count_max, 8 * value_words(layout));
    if (has_floats(layout))
        source->canonical_keys = malloc((size_t)source->block_count_max * layout->key_bytes + QN_SLACK_BYTES);
    if (status == QUERN_OK && (source->aligned_values || !must_align(layout)) &&
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
    *source = (qn_fixed_source){.layout = *layout};
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

static void close_task(qn_fixed_source *source)
{
    qn_content_leave(&source->window.content);
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
    qn_window_fini(&source->window);
    free(source->aligned_values);
    free(source->canonical_keys);
    *source = (qn_fixed_source){0};
}

quern_status qn_fixed_source_open(qn_fixed_source *source, const void *message, size_t bytes,
                                  const qn_text_place *place, qn_error *error)
{
    close_task(source);
    source->place = source->block_place = place ? *place : (qn_text_place){0};
    return qn_split_decode_copy(message, bytes, &source->message, &source->segments, &source->segment_count, error);
}

/* Readers that pass over bad input look at what is no whole record at the end of a content. */
static quern_status check_content(const qn_fixed_source *source, qn_error *error)
{
    const qn_content *content = &source->window.content;
    if (content->bytes == QN_BYTES_UNKNOWN || source->bad)
        return QUERN_OK;
    return check_file(&source->layout, content->name, content->bytes, error);
}

/* Where the last whole record of a content ends. */
static uint64_t whole_end(const qn_record_layout *layout, const qn_content *content)
{
    if (content->bytes == QN_BYTES_UNKNOWN)
        return QN_BYTES_UNKNOWN;
    if (content->bytes < layout->header_bytes)
        return 0;
    return content->bytes - (content->bytes - layout->header_bytes) % layout->record_bytes;
}

/* Opens the content at the place, or goes to the next segment where there is none. */
static quern_status open_content(qn_fixed_source *source, qn_error *error)
{
    qn_text_place *place = &source->place;
    qn_content *content = &source->window.content;
    bool found = false;
    quern_status status = qn_content_open(content, &source->segments[place->segment], place->member, &found, error);
    if (status == QUERN_OK && !found) {
        qn_bad_list_tell_missing(source->bad, content, place->member);
        *place = (qn_text_place){.segment = place->segment + 1};
    }
    if (status != QUERN_OK || !found)
        return status;
    if (!place->started)
        place->scan_offset = qn_record_border(&source->layout, content->begin);
    place->started = true;
    qn_window_place(&source->window, place->scan_offset);
    return check_content(source, error);
}

static void close_content(qn_fixed_source *source)
{
    source->place = qn_text_place_behind(&source->place, &source->window.content);
    qn_content_close(&source->window.content);
}

/* How many records there are before `end`, from the place on: as many as a block has at most. */
static uint32_t count_records(const qn_fixed_source *source, uint64_t end)
{
    uint64_t begin = source->place.scan_offset;
    if (begin >= end)
        return 0;
    uint64_t count = (end - begin - 1) / source->layout.record_bytes + 1;
    return count > source->block_count_max ? source->block_count_max : (uint32_t)count;
}

/* Reads to the end of a chunk behind `needed_end`, but not what is of the next task. */
static quern_status read_on(qn_fixed_source *source, uint64_t needed_end, qn_error *error)
{
    const qn_content *content = &source->window.content;
    uint64_t end = (needed_end + QN_READ_CHUNK_BYTES - 1) / QN_READ_CHUNK_BYTES * QN_READ_CHUNK_BYTES;
    if (content->end != QN_BYTES_UNKNOWN && end > qn_record_border(&source->layout, content->end))
        end = qn_record_border(&source->layout, content->end);
    quern_status status = qn_window_extend(&source->window, source->place.scan_offset, end, error);
    /* Now the length of what is unpacked may be known. */
    return status == QUERN_OK ? check_content(source, error) : status;
}

/* The records of the next block, in the window. 0: there are none left. */
static quern_status have_records(qn_fixed_source *source, uint32_t *count_out, qn_error *error)
{
    const qn_content *content = &source->window.content;
    uint64_t end = whole_end(&source->layout, content);
    *count_out = count_records(source, content->end < end ? content->end : end);
    uint64_t needed_end = source->place.scan_offset + (uint64_t)*count_out * source->layout.record_bytes;
    if (*count_out == 0 || needed_end <= qn_window_end(&source->window))
        return QUERN_OK;
    quern_status status = read_on(source, needed_end, error);
    if (status == QUERN_OK && content->bytes < needed_end)
        *count_out = count_records(source, whole_end(&source->layout, content));
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
    const uint8_t *record = source->window.data + (source->place.scan_offset - source->window.data_offset);
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

/* What is left behind the last record of a content, if that is in its stretch. */
static quern_status tell_rest(qn_fixed_source *source, qn_error *error)
{
    qn_content *content = &source->window.content;
    uint64_t from = whole_end(&source->layout, content), bytes = content->bytes - from;
    uint8_t *rest = NULL;
    size_t got = 0;
    if (!source->bad || content->bytes == QN_BYTES_UNKNOWN || from < content->begin || from >= content->end ||
        (bytes == 0 && !content->damage))
        return QUERN_OK;
    size_t kept = bytes < QN_BAD_RAW_BYTES_MAX ? (size_t)bytes : QN_BAD_RAW_BYTES_MAX;
    if (source->bad->keeps_raw && kept > 0 && !content->unpacker && !(rest = malloc(kept)))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the end of %s", content->name);
    quern_status status = rest ? qn_content_read(content, rest, from, kept, &got, error) : QUERN_OK;
    const uint8_t *data = rest;
    if (!rest && from >= source->window.data_offset && from <= qn_window_end(&source->window)) {
        data = source->window.data + (from - source->window.data_offset);
        got = (size_t)(qn_window_end(&source->window) - from);
    }
    if (status == QUERN_OK && content->damage) {
        qn_bad_list_tell_damage(source->bad, content, source->place.member, from, data, got);
    } else if (status == QUERN_OK) {
        qn_bad_list_begin(source->bad, content, source->place.member, from, "no whole record at the end of the file");
        qn_bad_list_add_raw(source->bad, data, got);
        qn_bad_list_end(source->bad, bytes);
    }
    free(rest);
    return status;
}

static bool has_bad(const qn_fixed_source *source)
{
    return source->bad && source->bad->count > 0;
}

/* Behind the last record of a content. */
static quern_status end_content(qn_fixed_source *source, qn_error *error)
{
    quern_status status = tell_rest(source, error);
    if (status == QUERN_OK)
        close_content(source);
    return status;
}

quern_status qn_fixed_source_next(qn_fixed_source *source, qn_batch *batch_out, qn_error *error)
{
    while (source->place.segment < source->segment_count) {
        uint32_t count = 0;
        bool is_open = qn_content_is_open(&source->window.content);
        quern_status status = is_open ? have_records(source, &count, error) : open_content(source, error);
        source->block_place = source->place;
        if (status == QUERN_OK && is_open && count == 0)
            status = end_content(source, error);
        if (status != QUERN_OK)
            return status;
        if (has_bad(source))
            break;
        if (count == 0)
            continue;
        give_block(source, count, batch_out);
        source->place.scan_offset += (uint64_t)count * source->layout.record_bytes;
        return QUERN_OK;
    }
    source->block_place = source->place;
    *batch_out = (qn_batch){.block = {.count = 0, .key = source->keys, .key_bytes = source->key_bytes}};
    return QUERN_OK;
}

/* Has whole records in the window, as many as there are in bytes_min: up to the border. */
static quern_status have_piece(qn_fixed_source *source, size_t bytes_min, uint64_t *border_out, qn_error *error)
{
    const qn_content *content = &source->window.content;
    uint64_t begin = source->place.scan_offset, record_bytes = source->layout.record_bytes;
    uint64_t end = begin + (bytes_min + record_bytes - 1) / record_bytes * record_bytes;
    quern_status status = qn_window_extend(&source->window, begin, end, error);
    if (status == QUERN_OK)
        status = check_content(source, error);
    uint64_t whole = whole_end(&source->layout, content), there = qn_window_end(&source->window);
    *border_out = whole < begin ? begin : whole < there ? whole : there;
    return status;
}

quern_status qn_fixed_source_next_piece(qn_fixed_source *source, size_t bytes_min, qn_piece *piece_out, qn_error *error)
{
    *piece_out = (qn_piece){0};
    while (piece_out->bytes == 0 && source->place.segment < source->segment_count) {
        bool is_open = qn_content_is_open(&source->window.content);
        uint64_t border = 0;
        quern_status status = is_open ? have_piece(source, bytes_min, &border, error) : open_content(source, error);
        source->block_place = source->place;
        if (status != QUERN_OK || has_bad(source))
            return status;
        if (!is_open)
            continue;
        *piece_out = qn_piece_of(&source->window, &source->segments[source->place.segment], &source->place, border);
        source->place.scan_offset = border;
        if (piece_out->bytes == 0)
            status = end_content(source, error);
        if (status != QUERN_OK || has_bad(source))
            return status;
    }
    return QUERN_OK;
}

uint64_t qn_fixed_source_task_bytes(const qn_fixed_source *source)
{
    return qn_segments_bytes(source->segments, source->segment_count);
}

const char *qn_fixed_source_locate(const qn_fixed_source *source, uint32_t record, uint64_t *offset_out)
{
    *offset_out = source->block_place.scan_offset + (uint64_t)record * source->layout.record_bytes;
    return source->window.content.name;
}
