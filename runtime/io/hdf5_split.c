/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of hdf5_listing.h that needs no HDF5: tasks and their messages. */
#include <stdlib.h>
#include <string.h>

#include "runtime/io/hdf5_listing.h"

#define DATASET_COST_BYTES ((uint64_t)64 << 10)                          /* opening one is worth reading that much */
#define SEGMENT_BYTES_MIN  (5 * sizeof(uint64_t) + 5 * sizeof(uint32_t)) /* of one in a message */

/* Bytes of so many first boxes, as if all were of one size. */
static uint64_t bytes_before(const qn_hdf5_input *input, uint64_t boxes)
{
    return (uint64_t)((unsigned __int128)input->bytes * boxes / input->box_count);
}

quern_status qn_hdf5_splits_create(qn_splits *splits, const qn_hdf5_listing *listing, uint64_t split_bytes,
                                   qn_error *error)
{
    qn_split open = {0};
    uint64_t cost = 0;
    size_t segments = 0;
    quern_status status = QUERN_OK;
    *splits = (qn_splits){0};
    for (size_t i = 0; i < listing->count && status == QUERN_OK; i++) {
        const qn_hdf5_input *input = &listing->items[i];
        for (uint64_t at = 0; at < input->box_count && status == QUERN_OK;) {
            if (segments++ == 0)
                open = (qn_split){.file = i, .offset = at};
            uint64_t room = split_bytes > cost ? (split_bytes - cost) / input->box_bytes : 0;
            uint64_t taken = room == 0 ? 1 : room < input->box_count - at ? room : input->box_count - at;
            at += taken;
            open.end_file = i;
            open.end_offset = at;
            open.bytes += bytes_before(input, at) - bytes_before(input, at - taken);
            cost += taken * input->box_bytes + DATASET_COST_BYTES * (at == input->box_count);
            if (cost + input->box_bytes <= split_bytes && segments < QN_SPLIT_SEGMENTS_MAX)
                continue;
            status = qn_splits_add(splits, &open, error);
            cost = segments = 0;
        }
    }
    if (segments > 0 && status == QUERN_OK)
        status = qn_splits_add(splits, &open, error);
    if (status != QUERN_OK)
        qn_splits_destroy(splits);
    return status;
}

static void encode_segment(const qn_hdf5_listing *listing, size_t number, uint64_t begin, uint64_t end,
                           qn_buffer *message)
{
    const qn_hdf5_input *input = &listing->items[number];
    qn_buffer_append_u64(message, begin);
    qn_buffer_append_u64(message, end);
    qn_buffer_append_u64(message, number);
    qn_buffer_append_u64(message, bytes_before(input, end) - bytes_before(input, begin));
    qn_buffer_append_u64(message, listing->piece_bytes_max);
    qn_buffer_append_u32(message, listing->record);
    qn_buffer_append_u32(message, input->element_bytes);
    qn_buffer_append_u32(message, input->rank);
    for (uint32_t d = 0; d < input->rank; d++) {
        qn_buffer_append_u64(message, input->dims[d]);
        qn_buffer_append_u64(message, input->box[d]);
    }
    qn_buffer_append_span(message, input->file, strlen(input->file) + 1);
    qn_buffer_append_span(message, input->path, strlen(input->path) + 1);
}

void qn_hdf5_split_encode(const qn_split *split, const qn_hdf5_listing *listing, qn_buffer *message)
{
    qn_buffer_append_u32(message, (uint32_t)(split->end_file - split->file + 1));
    for (size_t i = split->file; i <= split->end_file; i++)
        encode_segment(listing, i, i == split->file ? split->offset : 0,
                       i == split->end_file ? split->end_offset : listing->items[i].box_count, message);
}

static const char *decode_text(qn_reader *message)
{
    size_t bytes = 0;
    const char *text = qn_reader_span(message, &bytes);
    if (bytes == 0 || text[bytes - 1] != 0)
        message->failed = true;
    return text;
}

static void decode_grid(qn_reader *message, qn_hdf5_segment *segment)
{
    uint64_t dims[QN_HDF5_RANK_MAX], box[QN_HDF5_RANK_MAX];
    quern_hdf5_record record = (quern_hdf5_record)qn_reader_u32(message);
    segment->element_bytes = qn_reader_u32(message);
    uint32_t rank = qn_reader_u32(message);
    bool is_sound = rank > 0 && rank <= QN_HDF5_RANK_MAX && segment->element_bytes > 0;
    for (uint32_t d = 0; d < rank && is_sound; d++) {
        dims[d] = qn_reader_u64(message);
        box[d] = qn_reader_u64(message);
        is_sound = dims[d] > 0 && box[d] > 0;
    }
    if (!is_sound || !qn_hdf5_grid_init(&segment->grid, record, rank, dims, NULL, segment->element_bytes)) {
        message->failed = true;
        return;
    }
    qn_hdf5_grid_set_boxes(&segment->grid, box);
}

static void decode_segment(qn_reader *message, qn_hdf5_segment *segment)
{
    segment->begin = qn_reader_u64(message);
    segment->end = qn_reader_u64(message);
    segment->number = qn_reader_u64(message);
    segment->bytes = qn_reader_u64(message);
    segment->piece_bytes_max = qn_reader_u64(message);
    decode_grid(message, segment);
    segment->file = decode_text(message);
    segment->path = decode_text(message);
    if (segment->end > segment->grid.box_count || segment->begin > segment->end)
        message->failed = true;
}

static quern_status bad_message(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a task message of datasets is too short");
}

quern_status qn_hdf5_split_decode(const void *message, size_t bytes, uint8_t **copy_out, qn_hdf5_segment **segments_out,
                                  uint32_t *count_out, qn_error *error)
{
    qn_reader reader = qn_reader_of(message, bytes);
    uint32_t count = qn_reader_u32(&reader);
    if (reader.failed || count > reader.left_bytes / SEGMENT_BYTES_MIN)
        return bad_message(error);
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
    qn_hdf5_segment *segments = calloc(count > 0 ? count : 1, sizeof *segments);
    if (!copy || !segments) {
        free(copy);
        free(segments);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a task of %u datasets", count);
    }
    memcpy(copy, message, bytes);
    reader = qn_reader_of(copy, bytes);
    qn_reader_u32(&reader);
    for (uint32_t i = 0; i < count && !reader.failed; i++)
        decode_segment(&reader, &segments[i]);
    if (reader.failed) {
        free(copy);
        free(segments);
        return bad_message(error);
    }
    *copy_out = copy;
    *segments_out = segments;
    *count_out = count;
    return QUERN_OK;
}
