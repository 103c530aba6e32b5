/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/fixed_source.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/data/type.h"

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
        qn_task_reader_init(&source->task, (size_t)source->block_count_max * layout->record_bytes, error);
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
    quern_status status = take_memory(source, error);
    source->task.window.content.resumes = QN_RESUMES_WHERE_TOLD;
    return status;
}

void qn_fixed_source_fini(qn_fixed_source *source)
{
    if (source->layout.record_bytes == 0)
        return;
    qn_task_reader_fini(&source->task);
    free(source->aligned_values);
    free(source->canonical_keys);
    *source = (qn_fixed_source){0};
}

/* Readers that pass over bad input look at what is no whole record at the end of a content. */
static quern_status check_content(const qn_fixed_source *source, qn_error *error)
{
    const qn_content *content = &source->task.window.content;
    if (content->bytes == QN_BYTES_UNKNOWN || source->task.bad)
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

static quern_status enter_content(void *user, qn_error *error)
{
    qn_fixed_source *source = user;
    qn_text_place *place = &source->task.place;
    const qn_content *content = &source->task.window.content;
    if (!place->started)
        place->scan_offset = qn_record_border(&source->layout, content->begin);
    place->started = true;
    qn_window_place(&source->task.window, place->scan_offset);
    return check_content(source, error);
}

/* How many records there are before `end`, from the place on: as many as a block has at most. */
static uint32_t count_records(const qn_fixed_source *source, uint64_t end)
{
    uint64_t begin = source->task.place.scan_offset;
    if (begin >= end)
        return 0;
    uint64_t count = (end - begin - 1) / source->layout.record_bytes + 1;
    return count > source->block_count_max ? source->block_count_max : (uint32_t)count;
}

/* Reads to the end of a chunk behind `needed_end`, but not what is of the next task. */
static quern_status read_on(qn_fixed_source *source, uint64_t needed_end, qn_error *error)
{
    const qn_content *content = &source->task.window.content;
    uint64_t end = (needed_end + QN_READ_CHUNK_BYTES - 1) / QN_READ_CHUNK_BYTES * QN_READ_CHUNK_BYTES;
    if (content->end != QN_BYTES_UNKNOWN && end > qn_record_border(&source->layout, content->end))
        end = qn_record_border(&source->layout, content->end);
    quern_status status = qn_window_extend(&source->task.window, source->task.place.scan_offset, end, error);
    /* Now the length of what is unpacked may be known. */
    return status == QUERN_OK ? check_content(source, error) : status;
}

/* The records of the next block, in the window. 0: there are none left. */
static quern_status have_records(qn_fixed_source *source, uint32_t *count_out, qn_error *error)
{
    const qn_content *content = &source->task.window.content;
    uint64_t end = whole_end(&source->layout, content);
    *count_out = count_records(source, content->end < end ? content->end : end);
    uint64_t needed_end = source->task.place.scan_offset + (uint64_t)*count_out * source->layout.record_bytes;
    if (*count_out == 0 || needed_end <= qn_window_end(&source->task.window))
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
    const uint8_t *record =
        source->task.window.data + (source->task.place.scan_offset - source->task.window.data_offset);
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
static quern_status tell_rest(void *user, qn_error *error)
{
    qn_fixed_source *source = user;
    qn_content *content = &source->task.window.content;
    uint64_t from = whole_end(&source->layout, content), bytes = content->bytes - from;
    uint8_t *rest = NULL;
    size_t got = 0;
    if (!source->task.bad || content->bytes == QN_BYTES_UNKNOWN || from < content->begin || from >= content->end ||
        (bytes == 0 && !content->damage))
        return QUERN_OK;
    size_t kept = bytes < QN_BAD_RAW_BYTES_MAX ? (size_t)bytes : QN_BAD_RAW_BYTES_MAX;
    if (source->task.bad->keeps_raw && kept > 0 && !content->unpacker && !(rest = malloc(kept)))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the end of %s", content->name);
    quern_status status = rest ? qn_content_read(content, rest, from, kept, &got, error) : QUERN_OK;
    const uint8_t *data = rest;
    if (!rest && from >= source->task.window.data_offset && from <= qn_window_end(&source->task.window)) {
        data = source->task.window.data + (from - source->task.window.data_offset);
        got = (size_t)(qn_window_end(&source->task.window) - from);
    }
    if (status == QUERN_OK && content->damage) {
        qn_bad_list_tell_damage(source->task.bad, content, from, data, got);
    } else if (status == QUERN_OK) {
        qn_bad_list_begin(source->task.bad, content, from, "no whole record at the end of the file");
        qn_bad_list_add_raw(source->task.bad, data, got);
        qn_bad_list_end(source->task.bad, bytes);
    }
    free(rest);
    return status;
}

/* Behind the last record of a content. */
static quern_status end_content(qn_fixed_source *source, qn_error *error)
{
    quern_status status = tell_rest(source, error);
    if (status == QUERN_OK)
        qn_task_reader_close_content(&source->task);
    return status;
}

quern_status qn_fixed_source_next(qn_fixed_source *source, qn_batch *batch_out, qn_error *error)
{
    while (source->task.place.segment < source->task.segment_count) {
        uint32_t count = 0;
        bool is_open = qn_content_is_open(&source->task.window.content);
        quern_status status = is_open
                                  ? have_records(source, &count, error)
                                  : qn_task_reader_open_content(&source->task, &qn_fixed_task_format, source, error);
        source->task.block_place = source->task.place;
        if (status == QUERN_OK && is_open && count == 0)
            status = end_content(source, error);
        if (status != QUERN_OK)
            return status;
        if (qn_task_reader_has_bad(&source->task))
            break;
        if (count == 0)
            continue;
        give_block(source, count, batch_out);
        source->task.place.scan_offset += (uint64_t)count * source->layout.record_bytes;
        return QUERN_OK;
    }
    source->task.block_place = source->task.place;
    *batch_out = (qn_batch){.block = {.count = 0, .key = source->keys, .key_bytes = source->key_bytes}};
    return QUERN_OK;
}

/* Has whole records in the window, as many as there are in bytes_min: and no more. */
static quern_status next_piece(void *user, size_t bytes_min, uint64_t *end_out, qn_error *error)
{
    qn_fixed_source *source = user;
    const qn_content *content = &source->task.window.content;
    uint64_t begin = source->task.place.scan_offset, record_bytes = source->layout.record_bytes;
    uint64_t end = begin + (bytes_min + record_bytes - 1) / record_bytes * record_bytes;
    quern_status status = qn_window_extend(&source->task.window, begin, end, error);
    if (status == QUERN_OK)
        status = check_content(source, error);
    uint64_t whole = whole_end(&source->layout, content), there = qn_window_end(&source->task.window);
    *end_out = whole < begin ? begin : whole < there ? whole : there;
    if (status == QUERN_OK)
        source->task.place.scan_offset = *end_out;
    return status;
}

const qn_task_format qn_fixed_task_format = {.enter = enter_content, .next_piece = next_piece, .tell_rest = tell_rest};

const char *qn_fixed_source_locate(const qn_fixed_source *source, uint32_t record, uint64_t *offset_out)
{
    *offset_out = source->task.block_place.scan_offset + (uint64_t)record * source->layout.record_bytes;
    return source->task.window.content.name;
}
