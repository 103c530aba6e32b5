/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/split.h"

#include <stdlib.h>
#include <string.h>

#define SPLIT_BYTES_MIN   ((uint64_t)1 << 20)
#define SPLIT_BYTES_MAX   ((uint64_t)64 << 20)
#define SPLIT_ALIGN_BYTES ((uint64_t)256 << 10)
#define SPLITS_PER_WORKER 64
#define QUOTED_BIT        (UINT32_C(1) << 31)                       /* beside the packing */
#define SEGMENT_BYTES_MIN (5 * sizeof(uint64_t) + sizeof(uint32_t)) /* of one in a message */

uint64_t qn_splits_choose_bytes(uint64_t input_bytes, uint32_t worker_count)
{
    uint64_t bytes = input_bytes / ((uint64_t)worker_count * SPLITS_PER_WORKER);
    bytes = (bytes + SPLIT_ALIGN_BYTES - 1) & ~(SPLIT_ALIGN_BYTES - 1);
    if (bytes < SPLIT_BYTES_MIN)
        return SPLIT_BYTES_MIN;
    return bytes > SPLIT_BYTES_MAX ? SPLIT_BYTES_MAX : bytes;
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
            bool cuttable = listing->files[file].packing == QN_PACKING_NONE && !listing->files[file].is_whole;
            if (segments == 0)
                open = (qn_split){.file = file, .offset = offset};
            uint64_t left = listing->files[file].bytes - offset;
            uint64_t room = split_bytes > cost ? split_bytes - cost : 1;
            uint64_t taken = left < room || !cuttable ? left : room;
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

void qn_segment_encode(const qn_segment *segment, qn_buffer *message)
{
    qn_buffer_append_u64(message, segment->begin);
    qn_buffer_append_u64(message, segment->end);
    qn_buffer_append_u64(message, segment->file_bytes);
    qn_buffer_append_u64(message, segment->file);
    qn_buffer_append_u32(message, segment->packing | (segment->begins_quoted ? QUOTED_BIT : 0));
    qn_buffer_append_span(message, segment->path, strlen(segment->path) + 1);
    if (segment->packing == QN_PACKING_INLINE)
        qn_buffer_append_span(message, segment->data, segment->end - segment->begin);
}

void qn_split_encode(const qn_split *split, const qn_listing *listing, qn_buffer *message)
{
    qn_buffer_append_u32(message, (uint32_t)(split->end_file - split->file + 1));
    for (size_t file = split->file; file <= split->end_file; file++) {
        const qn_input_file *input = &listing->files[file];
        qn_segment segment = {.path = input->path,
                              .begin = file == split->file ? split->offset : 0,
                              .end = file == split->end_file ? split->end_offset : input->bytes,
                              .file_bytes = input->bytes,
                              .file = file,
                              .packing = input->packing,
                              .begins_quoted = file == split->file && split->begins_quoted};
        qn_segment_encode(&segment, message);
    }
}

static quern_status bad_message(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a task message is too short");
}

static void decode_segment(qn_reader *message, qn_segment *segment)
{
    size_t path_bytes = 0, data_bytes = 0;
    segment->begin = qn_reader_u64(message);
    segment->end = qn_reader_u64(message);
    segment->file_bytes = qn_reader_u64(message);
    segment->file = qn_reader_u64(message);
    uint32_t packing = qn_reader_u32(message);
    segment->packing = (qn_packing)(packing & ~QUOTED_BIT);
    segment->begins_quoted = (packing & QUOTED_BIT) != 0;
    segment->path = qn_reader_span(message, &path_bytes);
    if (path_bytes == 0 || segment->path[path_bytes - 1] != 0)
        message->failed = true;
    if (segment->packing != QN_PACKING_INLINE)
        return;
    segment->data = qn_reader_span(message, &data_bytes);
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

uint64_t qn_segments_bytes(const qn_segment *segments, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += segments[i].end - segments[i].begin;
    return bytes;
}
