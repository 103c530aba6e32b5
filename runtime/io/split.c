/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/split.h"

#include <stdlib.h>
#include <string.h>

#define SPLIT_BYTES_MIN   ((uint64_t)1 << 20)
#define SPLIT_BYTES_MAX   ((uint64_t)64 << 20)
#define SPLIT_ALIGN_BYTES ((uint64_t)256 << 10)
#define SPLITS_PER_WORKER 64
#define QUOTED_BIT        (UINT32_C(1) << 31) /* beside the packing */
#define ROW_STATE_SHIFT   24                  /* the same */
#define ROW_STATE_MASK    (UINT32_C(7) << ROW_STATE_SHIFT)
#define SEGMENT_BYTES_MIN (5 * sizeof(uint64_t) + sizeof(uint32_t)) /* of one in a message */

uint64_t qn_splits_choose_bytes(uint64_t input_bytes, uint32_t worker_count)
{
    uint64_t bytes = input_bytes / ((uint64_t)worker_count * SPLITS_PER_WORKER);
    bytes = (bytes + SPLIT_ALIGN_BYTES - 1) & ~(SPLIT_ALIGN_BYTES - 1);
    if (bytes < SPLIT_BYTES_MIN)
        return SPLIT_BYTES_MIN;
    return bytes > SPLIT_BYTES_MAX ? SPLIT_BYTES_MAX : bytes;
}

static bool has_part(qn_packing packing)
{
    return packing == QN_PACKING_UNITS || packing == QN_PACKING_MEMBERS;
}

quern_status qn_splits_add(qn_splits *splits, const qn_split *split, qn_error *error)
{
    if (splits->count == splits->capacity) {
        uint32_t capacity = splits->capacity ? 2 * splits->capacity : 256;
        if (capacity > UINT32_C(1) << 31)
            return qn_error_set(error, QUERN_ERROR_INPUT, 0, "the input gives too many tasks: raise split-bytes");
        qn_split *items = realloc(splits->items, capacity * sizeof *items);
        if (!items)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the tasks");
        splits->items = items;
        splits->capacity = capacity;
    }
    splits->items[splits->count++] = *split;
    return QUERN_OK;
}

/* How many bytes of a file a split of so much room gets. */
static uint64_t take(const qn_input_file *file, uint64_t offset, uint64_t room)
{
    uint64_t left = file->bytes - offset;
    if (has_part(file->packing))
        return qn_units_cut(&file->units, offset, room) - offset;
    bool is_cuttable = file->packing == QN_PACKING_NONE && !file->is_whole;
    return left < room || !is_cuttable ? left : room;
}

/* Goes through the files taking from each what the open split still has room for. */
quern_status qn_splits_create(qn_splits *splits, const qn_listing *listing, uint64_t split_bytes, qn_error *error)
{
    qn_split open = {0};
    uint64_t cost = 0;
    size_t segments = 0;
    quern_status status = QUERN_OK;
    *splits = (qn_splits){0};
    for (size_t file = 0; file < listing->file_count && status == QUERN_OK; file++) {
        uint64_t offset = 0;
        bool is_alone = listing->files[file].packing == QN_PACKING_STREAM; /* it may be lent in pieces */
        if (is_alone && segments > 0) {
            status = qn_splits_add(splits, &open, error);
            cost = segments = 0;
        }
        while (offset < listing->files[file].bytes && status == QUERN_OK) {
            if (segments == 0)
                open = (qn_split){.file = file, .offset = offset};
            uint64_t room = split_bytes > cost ? split_bytes - cost : 1;
            uint64_t taken = take(&listing->files[file], offset, room);
            offset += taken;
            open.bytes += taken;
            open.end_file = file;
            open.end_offset = offset;
            cost += taken + QN_SPLIT_FILE_COST_BYTES * (offset == listing->files[file].bytes);
            segments++;
            if (cost >= split_bytes || segments == QN_SPLIT_SEGMENTS_MAX || is_alone) {
                status = qn_splits_add(splits, &open, error);
                cost = segments = 0;
            }
        }
    }
    if (segments > 0 && status == QUERN_OK)
        status = qn_splits_add(splits, &open, error);
    if (status != QUERN_OK)
        qn_splits_destroy(splits);
    return status;
}

void qn_splits_destroy(qn_splits *splits)
{
    free(splits->items);
    *splits = (qn_splits){0};
}

static void encode_border(qn_buffer *message, const qn_border *border)
{
    const char *member = border->member ? border->member : "";
    qn_buffer_append_u64(message, border->offset);
    qn_buffer_append_u64(message, border->logical);
    qn_buffer_append_u64(message, border->number);
    qn_buffer_append_u64(message, border->directory);
    qn_buffer_append_u64(message, border->data_begin);
    qn_buffer_append_u64(message, border->data_bytes);
    qn_buffer_append_u32(message, border->member != NULL);
    qn_buffer_append_span(message, member, strlen(member) + 1);
}

void qn_segment_encode(const qn_segment *segment, qn_buffer *message)
{
    qn_buffer_append_u64(message, segment->begin);
    qn_buffer_append_u64(message, segment->end);
    qn_buffer_append_u64(message, segment->file_bytes);
    qn_buffer_append_u64(message, segment->file);
    qn_buffer_append_u32(message, segment->packing | (segment->begins_quoted ? QUOTED_BIT : 0) |
                                      (uint32_t)segment->row_state << ROW_STATE_SHIFT);
    qn_buffer_append_span(message, segment->path, strlen(segment->path) + 1);
    if (segment->packing == QN_PACKING_INLINE) {
        qn_buffer_append_span(message, segment->data, segment->end - segment->begin);
        qn_buffer_append_u64(message, segment->entry);
        qn_buffer_append_span(message, segment->marks, segment->marks_bytes);
        qn_buffer_append_span(message, segment->told, segment->told_bytes);
    }
    if (!has_part(segment->packing))
        return;
    qn_buffer_append_u32(message, segment->part.kind);
    encode_border(message, &segment->part.first);
    encode_border(message, &segment->part.behind);
}

/* The part of [offset, end) of a file of units that is read in one go: a stored member is one by itself. */
static uint64_t next_part(const qn_units *units, uint64_t offset, uint64_t end, qn_unit_part *part_out)
{
    size_t first = qn_units_at(units, offset), behind = first + 1;
    while (!units->borders[first].member && behind < units->count && units->borders[behind].offset < end &&
           !units->borders[behind].member)
        behind++;
    *part_out = (qn_unit_part){units->kind, units->borders[first], units->borders[behind]};
    return units->borders[behind].offset < end ? units->borders[behind].offset : end;
}

/* Appends the segments of one file; how many. */
static uint32_t encode_file(qn_buffer *message, const qn_listing *listing, qn_segment segment)
{
    const qn_input_file *input = &listing->files[segment.file];
    uint32_t count = 0;
    uint64_t end = segment.end;
    segment.file += listing->first_file;
    segment.file_bytes = input->bytes;
    segment.packing = input->packing;
    do {
        if (has_part(input->packing))
            segment.end = next_part(&input->units, segment.begin, end, &segment.part);
        qn_segment_encode(&segment, message);
        segment.begin = segment.end;
        count++;
    } while (segment.end < end);
    return count;
}

void qn_split_encode(const qn_split *split, const qn_listing *listing, qn_buffer *message)
{
    size_t count_at = message->bytes;
    uint32_t count = 0;
    qn_buffer_append_u32(message, 0);
    for (size_t file = split->file; file <= split->end_file; file++) {
        const qn_input_file *input = &listing->files[file];
        qn_segment segment = {.path = input->path,
                              .begin = file == split->file ? split->offset : 0,
                              .end = file == split->end_file ? split->end_offset : input->bytes,
                              .file = file,
                              .begins_quoted = file == split->file && split->begins_quoted,
                              .row_state = file == split->file ? split->row_state : 0};
        count += encode_file(message, listing, segment);
    }
    if (!message->failed)
        memcpy(message->data + count_at, &count, sizeof count);
}

static quern_status bad_message(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a task message is too short");
}

static void decode_border(qn_reader *message, qn_border *border)
{
    size_t member_bytes = 0;
    border->offset = qn_reader_u64(message);
    border->logical = qn_reader_u64(message);
    border->number = qn_reader_u64(message);
    border->directory = qn_reader_u64(message);
    border->data_begin = qn_reader_u64(message);
    border->data_bytes = qn_reader_u64(message);
    bool has_member = qn_reader_u32(message) != 0;
    const char *member = qn_reader_span(message, &member_bytes);
    if (member_bytes == 0 || member[member_bytes - 1] != 0)
        message->failed = true;
    border->member = has_member ? member : NULL;
}

static void decode_part(qn_reader *message, qn_unit_part *part)
{
    part->kind = (qn_unit_kind)qn_reader_u32(message);
    decode_border(message, &part->first);
    decode_border(message, &part->behind);
}

static void decode_segment(qn_reader *message, qn_segment *segment)
{
    size_t path_bytes = 0, data_bytes = 0;
    segment->begin = qn_reader_u64(message);
    segment->end = qn_reader_u64(message);
    segment->file_bytes = qn_reader_u64(message);
    segment->file = qn_reader_u64(message);
    uint32_t packing = qn_reader_u32(message);
    segment->packing = (qn_packing)(packing & ~(QUOTED_BIT | ROW_STATE_MASK));
    segment->begins_quoted = (packing & QUOTED_BIT) != 0;
    segment->row_state = (uint8_t)((packing & ROW_STATE_MASK) >> ROW_STATE_SHIFT);
    segment->path = qn_reader_span(message, &path_bytes);
    if (path_bytes == 0 || segment->path[path_bytes - 1] != 0)
        message->failed = true;
    if (has_part(segment->packing))
        decode_part(message, &segment->part);
    if (segment->packing != QN_PACKING_INLINE)
        return;
    segment->data = qn_reader_span(message, &data_bytes);
    segment->entry = qn_reader_u64(message);
    segment->marks = qn_reader_span(message, &segment->marks_bytes);
    segment->told = qn_reader_span(message, &segment->told_bytes);
    if (segment->begin > segment->end || data_bytes != segment->end - segment->begin)
        message->failed = true;
}

quern_status qn_split_decode(qn_reader *message, qn_segment **segments_out, uint32_t *count_out, qn_error *error)
{
    uint32_t count = qn_reader_u32(message);
    if (message->failed || count > message->left_bytes / SEGMENT_BYTES_MIN)
        return bad_message(error);
    qn_segment *segments = calloc(count > 0 ? count : 1, sizeof *segments);
    if (!segments)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a task of %u files", count);
    for (uint32_t i = 0; i < count; i++)
        decode_segment(message, &segments[i]);
    if (message->failed) {
        free(segments);
        return bad_message(error);
    }
    *segments_out = segments;
    *count_out = count;
    return QUERN_OK;
}

quern_status qn_split_decode_copy(const void *message, size_t bytes, uint8_t **copy_out, qn_segment **segments_out,
                                  uint32_t *count_out, qn_error *error)
{
    uint8_t *copy = malloc(bytes + QN_SLACK_BYTES); /* its paths may become values of records */
    if (!copy)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a task");
    memcpy(copy, message, bytes);
    qn_reader reader = qn_reader_of(copy, bytes);
    quern_status status = qn_split_decode(&reader, segments_out, count_out, error);
    if (status == QUERN_OK)
        *copy_out = copy;
    else
        free(copy);
    return status;
}

bool qn_split_is_packed(const void *message, size_t bytes)
{
    qn_reader reader = qn_reader_of(message, bytes);
    qn_segment segment = {0};
    if (qn_reader_u32(&reader) != 1)
        return false;
    decode_segment(&reader, &segment);
    return !reader.failed && segment.packing == QN_PACKING_STREAM;
}

uint64_t qn_segments_count(qn_segment *segments, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        segments[i].before_bytes = bytes;
        bytes += segments[i].end - segments[i].begin;
    }
    return bytes;
}
