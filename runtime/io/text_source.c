/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/text_source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/io/segment_file.h"

#define SLACK_BYTES       (QN_SCAN_STEP_BYTES + QN_SLACK_BYTES)
#define CAPACITY_FIRST    QN_PAGE_HUGE_BYTES
#define CAPACITY_KEPT_MAX ((size_t)8 << 20) /* a buffer that a giant record made larger is given back */

quern_status qn_text_source_init(qn_text_source *source, const qn_delimiters *delimiters, bool skip_empty,
                                 quern_text_value value, uint64_t record_bytes_max, qn_error *error)
{
    QN_ASSERT(record_bytes_max < UINT64_C(1) << 31);
    *source = (qn_text_source){.delimiters = *delimiters,
                               .skip_empty = skip_empty,
                               .value = value,
                               .record_bytes_max = record_bytes_max,
                               .fd = -1};
    source->buffer = qn_pages_reserve(CAPACITY_FIRST, true);
    if (!source->buffer)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a read buffer");
    source->capacity_bytes = CAPACITY_FIRST;
    source->data = source->buffer;
    return QUERN_OK;
}

static void close_task(qn_text_source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
    free(source->segments);
    free(source->message);
    source->segments = NULL;
    source->message = NULL;
    source->segment_count = 0;
}

void qn_text_source_fini(qn_text_source *source)
{
    if (!source->buffer)
        return;
    close_task(source);
    qn_pages_unreserve(source->buffer, source->capacity_bytes);
    source->buffer = NULL;
    free(source->places);
    source->places = NULL;
}

quern_status qn_text_source_open(qn_text_source *source, const void *message, size_t bytes, const qn_text_place *place,
                                 qn_error *error)
{
    close_task(source);
    source->place = source->block_place = place ? *place : (qn_text_place){0};
    source->data_bytes = 0;
    return qn_split_decode_copy(message, bytes, &source->message, &source->segments, &source->segment_count, error);
}

/* Opens the present segment's file and sets the place to where its first record may begin: a byte before the segment,
 * which tells whether a record begins exactly there. */
static quern_status open_segment(qn_text_source *source, qn_error *error)
{
    const qn_segment *segment = &source->segments[source->place.segment];
    quern_status status = qn_segment_file_open(segment, &source->fd, error);
    if (status != QUERN_OK)
        return status;
    qn_text_place *place = &source->place;
    if (!place->started) {
        place->scan_offset = segment->begin > 0 ? segment->begin - 1 : 0;
        place->record_offset = place->scan_offset;
        /* Within a file the byte before decides; at its begin nothing is before, as if a delimiter were. */
        place->inside = segment->begin > 0;
    }
    source->data_offset = place->inside && place->started ? place->record_offset : place->scan_offset;
    source->data_bytes = 0;
    return QUERN_OK;
}

static void close_segment(qn_text_source *source)
{
    close(source->fd);
    source->fd = -1;
    source->place = (qn_text_place){.segment = source->place.segment + 1};
}

/* A buffer of another size, with the last kept_bytes of the data. */
static quern_status resize_buffer(qn_text_source *source, size_t capacity_bytes, size_t kept_bytes, qn_error *error)
{
    uint8_t *buffer = qn_pages_reserve(capacity_bytes, true);
    if (!buffer)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a record of more than %zu bytes of %s",
                            kept_bytes, source->segments[source->place.segment].path);
    uint64_t kept_offset = source->data_offset + source->data_bytes - kept_bytes;
    memcpy(qn_segment_data_at(buffer, kept_offset), source->data + source->data_bytes - kept_bytes, kept_bytes);
    qn_pages_unreserve(source->buffer, source->capacity_bytes);
    source->buffer = buffer;
    source->capacity_bytes = capacity_bytes;
    source->data = qn_segment_data_at(buffer, kept_offset);
    source->data_bytes = kept_bytes;
    source->data_offset = kept_offset;
    return QUERN_OK;
}

/* Keeps the last kept_bytes of the data at the front of the buffer. */
static void keep_data(qn_text_source *source, size_t kept_bytes)
{
    uint64_t kept_offset = source->data_offset + source->data_bytes - kept_bytes;
    uint8_t *kept = qn_segment_data_at(source->buffer, kept_offset);
    memmove(kept, source->data + source->data_bytes - kept_bytes, kept_bytes);
    source->data = kept;
    source->data_bytes = kept_bytes;
    source->data_offset = kept_offset;
}

static quern_status too_large(const qn_text_source *source, uint32_t segment, uint64_t offset, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_RECORD_TOO_LARGE, 0,
                        "the record at byte %llu of %s is longer than record-bytes, %llu", (unsigned long long)offset,
                        source->segments[segment].path, (unsigned long long)source->record_bytes_max);
}

/* Keeps the open record (from `keep_offset` on) at the front of the buffer and makes room for a chunk behind it. */
static quern_status make_room(qn_text_source *source, uint64_t keep_offset, qn_error *error)
{
    uint64_t data_end = source->data_offset + source->data_bytes;
    size_t kept_bytes = data_end > keep_offset ? data_end - keep_offset : 0;
    if (kept_bytes > source->record_bytes_max)
        return too_large(source, source->place.segment, keep_offset, error);
    if (QN_PAGE_SMALL_BYTES + kept_bytes + QN_READ_CHUNK_BYTES + SLACK_BYTES > source->capacity_bytes)
        return resize_buffer(source, 2 * source->capacity_bytes, kept_bytes, error);
    if (source->capacity_bytes > CAPACITY_KEPT_MAX && kept_bytes < CAPACITY_FIRST / 2)
        return resize_buffer(source, CAPACITY_FIRST, kept_bytes, error);
    keep_data(source, kept_bytes);
    return QUERN_OK;
}

/* Reads up to the next multiple of the chunk size behind what the buffer holds. */
static quern_status read_chunk(qn_text_source *source, qn_error *error)
{
    const qn_segment *segment = &source->segments[source->place.segment];
    quern_status status =
        make_room(source, source->place.inside ? source->place.record_offset : source->place.scan_offset, error);
    if (status != QUERN_OK)
        return status;
    uint64_t offset = source->data_offset + source->data_bytes;
    uint64_t end = (offset / QN_READ_CHUNK_BYTES + 1) * QN_READ_CHUNK_BYTES;
    if (end > segment->file_bytes)
        end = segment->file_bytes;
    status = qn_segment_file_read(segment, source->fd, source->data + source->data_bytes, offset, end, error);
    if (status == QUERN_OK)
        source->data_bytes += end - offset;
    return status;
}

/* Scans as much of the buffer as makes a block. Returns how many positions there are. */
static size_t scan_some(qn_text_source *source, size_t first)
{
    qn_text_place *place = &source->place;
    size_t positions_max =
        source->skip_empty ? 2 * QN_BATCH_COUNT_MAX - 2 * QN_SCAN_STEP_BYTES : QN_BATCH_COUNT_MAX - QN_SCAN_STEP_BYTES;
    bool inside = place->inside;
    size_t end = 0;
    size_t count =
        qn_scan(&source->delimiters, source->data, place->scan_offset - source->data_offset, source->data_bytes,
                source->skip_empty, &inside, source->positions + first, positions_max, &end);
    place->scan_offset = source->data_offset + end;
    if (source->skip_empty)
        place->inside = inside;
    return first + count;
}

/* Runs of other bytes than delimiters: positions are begin, end, begin, end … */
static size_t take_runs(qn_text_source *source, bool at_end)
{
    qn_text_place *place = &source->place;
    size_t first = 0;
    if (place->inside)
        source->positions[first++] = (uint32_t)(place->record_offset - source->data_offset);
    size_t count = scan_some(source, first);
    if (count % 2 == 1 && at_end && place->scan_offset == source->data_offset + source->data_bytes) {
        source->positions[count++] = (uint32_t)source->data_bytes;
        place->inside = false;
    }
    for (size_t i = 0; i < count / 2; i++) {
        source->keys[i] = source->data + source->positions[2 * i];
        source->key_bytes[i] = source->positions[2 * i + 1] - source->positions[2 * i];
    }
    if (count % 2 == 1)
        place->record_offset = source->data_offset + source->positions[count - 1];
    return count / 2;
}

/* What stands between delimiters, empty or not: positions are the delimiters. A record is always open, but for the end of a file. */
static size_t take_lines(qn_text_source *source, bool at_end)
{
    qn_text_place *place = &source->place;
    if (!place->inside)
        place->record_offset = place->scan_offset;
    place->inside = true;
    size_t count = scan_some(source, 0);
    uint64_t data_end = source->data_offset + source->data_bytes;
    uint32_t begin = (uint32_t)(place->record_offset - source->data_offset);
    for (size_t i = 0; i < count; i++) {
        source->keys[i] = source->data + begin;
        source->key_bytes[i] = source->positions[i] - begin;
        begin = source->positions[i] + 1;
    }
    if (at_end && place->scan_offset == data_end && begin < source->data_bytes) {
        source->keys[count] = source->data + begin;
        source->key_bytes[count++] = (uint32_t)source->data_bytes - begin;
        begin = (uint32_t)source->data_bytes;
    }
    place->record_offset = source->data_offset + begin;
    return count;
}

/* Where a segment starts inside a file: drops what belongs to the record before it. True when that is found. */
static bool skip_foreign(qn_text_source *source)
{
    qn_text_place *place = &source->place;
    uint64_t at = place->scan_offset - source->data_offset;
    while (at < source->data_bytes && !source->delimiters.is_delimiter[source->data[at]])
        at++;
    bool found = at < source->data_bytes;
    place->scan_offset = source->data_offset + at + found;
    place->record_offset = place->scan_offset;
    place->started = found;
    place->inside = !found;
    return found;
}

/* Makes sure that the place is at a record of ours. False: it is not yet, or the segment has none and is closed. */
static bool enter_records(qn_text_source *source)
{
    const qn_segment *segment = &source->segments[source->place.segment];
    bool at_end = source->data_offset + source->data_bytes == segment->file_bytes;
    bool found = source->place.started || segment->begin == 0 || skip_foreign(source);
    /* The first record of ours begins behind a delimiter: if that is not before the segment's end, there is none. */
    bool behind = source->place.scan_offset >= segment->end && !(found && source->place.inside);
    if ((!found && at_end) || behind) {
        close_segment(source);
        return false;
    }
    source->place.started = found;
    return found;
}

/* Records of the present segment, from what is in the buffer. *done_out: nothing of the segment is left. */
static size_t take_records(qn_text_source *source, bool *done_out)
{
    const qn_segment *segment = &source->segments[source->place.segment];
    qn_text_place *place = &source->place;
    bool at_end = source->data_offset + source->data_bytes == segment->file_bytes;
    size_t count = source->skip_empty ? take_runs(source, at_end) : take_lines(source, at_end);
    /* Records that begin behind the segment are somebody else's. */
    while (count > 0 &&
           source->data_offset + (uint64_t)((const uint8_t *)source->keys[count - 1] - source->data) >= segment->end)
        count--;
    uint64_t next_offset = place->inside ? place->record_offset : place->scan_offset;
    *done_out = next_offset >= segment->end || place->scan_offset == segment->file_bytes;
    return count;
}

static void give_block(qn_text_source *source, size_t count, qn_batch *batch_out)
{
    *batch_out = (qn_batch){.block = {.count = count, .key = source->keys, .key_bytes = source->key_bytes}};
    if (source->value != QUERN_TEXT_NO_VALUE) {
        batch_out->block.value = source->values;
        batch_out->block.value_bytes = source->value_bytes;
    }
}

static uint8_t *take_places(qn_text_source *source, size_t bytes)
{
    if (source->places_bytes < bytes) {
        free(source->places);
        source->places = malloc(bytes);
        source->places_bytes = source->places ? bytes : 0;
    }
    return source->places;
}

/* Where the records of a block are, as their values. */
static quern_status give_places(qn_text_source *source, size_t count, qn_error *error)
{
    const char *path = source->segments[source->block_segment].path;
    size_t path_bytes = source->value == QUERN_TEXT_OFFSET ? 0 : strlen(path);
    size_t step_bytes = (sizeof(uint64_t) + path_bytes + 7) & ~(size_t)7;
    uint8_t *places =
        source->value == QUERN_TEXT_PATH ? NULL : take_places(source, count * step_bytes + QN_SLACK_BYTES);
    if (!places && source->value != QUERN_TEXT_PATH)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the places of records of %s", path);
    for (uint32_t i = 0; i < count; i++) {
        source->values[i] = path;
        source->value_bytes[i] = (uint32_t)path_bytes;
        if (!places)
            continue;
        uint64_t offset = 0;
        qn_text_source_locate(source, i, &offset);
        source->values[i] = places + i * step_bytes;
        source->value_bytes[i] = (uint32_t)(sizeof offset + path_bytes);
        memcpy(places + i * step_bytes, &offset, sizeof offset);
        memcpy(places + i * step_bytes + sizeof offset, path, path_bytes);
    }
    return QUERN_OK;
}

/* A buffer that is no longer than a record may be holds none that is too long: the ordinary case. */
static quern_status check_lengths(const qn_text_source *source, size_t count, qn_error *error)
{
    if (QN_LIKELY(source->data_bytes <= source->record_bytes_max))
        return QUERN_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (source->key_bytes[i] > source->record_bytes_max) {
            uint64_t offset = 0;
            qn_text_source_locate(source, i, &offset);
            return too_large(source, source->block_segment, offset, error);
        }
    }
    return QUERN_OK;
}

quern_status qn_text_source_next(qn_text_source *source, qn_batch *batch_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    while (source->place.segment < source->segment_count) {
        if (source->fd < 0)
            status = open_segment(source, error);
        /* Several chunks at once where an attempt is continued within a record that began chunks ago. */
        while (status == QUERN_OK && source->place.scan_offset >= source->data_offset + source->data_bytes)
            status = read_chunk(source, error);
        if (status != QUERN_OK) {
            source->block_place = source->place; /* another attempt begins here: what came before was handed out */
            source->block_segment = source->place.segment;
            return status;
        }
        if (!enter_records(source))
            continue;
        source->block_place = source->place;
        source->block_segment = source->place.segment;
        bool done = false;
        size_t count = take_records(source, &done);
        if (done)
            close_segment(source);
        if (count > 0) {
            give_block(source, count, batch_out);
            status = check_lengths(source, count, error);
            return status == QUERN_OK && source->value != QUERN_TEXT_NO_VALUE ? give_places(source, count, error)
                                                                              : status;
        }
    }
    give_block(source, 0, batch_out);
    source->block_place = source->place;
    return QUERN_OK;
}

uint64_t qn_text_source_task_bytes(const qn_text_source *source)
{
    return qn_segments_bytes(source->segments, source->segment_count);
}

const char *qn_text_source_locate(const qn_text_source *source, uint32_t record, uint64_t *offset_out)
{
    *offset_out = source->data_offset + (uint64_t)((const uint8_t *)source->keys[record] - source->data);
    return source->segments[source->block_segment].path;
}
