/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/split.h"

#include <stdlib.h>
#include <string.h>

#define SPLIT_BYTES_MIN   ((uint64_t)1 << 20)
#define SPLIT_BYTES_MAX   ((uint64_t)64 << 20)
#define SPLIT_ALIGN_BYTES ((uint64_t)256 << 10)
#define SPLITS_PER_WORKER 64
#define SPLITS_IN_ALL     ((uint64_t)1 << 20) /* each takes the master some 0.7 µs and 100 bytes */
#define SPLITS_LEAST      8 /* for a worker, however many there are: so that the last ones end together */
#define QUOTED_BIT        (UINT64_C(1) << 31) /* beside the packing */
#define ROW_STATE_SHIFT   24                  /* the same */
#define ROW_STATE_MASK    (UINT64_C(7) << ROW_STATE_SHIFT)

/* How a segment begins in a message; the path is behind it. */
typedef struct segment_head {
    uint64_t begin, end, file_bytes, file;
    uint64_t kind; /* the packing, QUOTED_BIT, the state of rows */
    uint64_t path_bytes;
} segment_head;

uint64_t qn_splits_choose_bytes(uint64_t input_bytes, uint32_t worker_count)
{
    uint64_t least = (uint64_t)worker_count * SPLITS_LEAST, count_max = least > SPLITS_IN_ALL ? least : SPLITS_IN_ALL;
    uint64_t bytes = input_bytes / ((uint64_t)worker_count * SPLITS_PER_WORKER);
    if (bytes < SPLIT_BYTES_MIN)
        bytes = SPLIT_BYTES_MIN;
    if (bytes > SPLIT_BYTES_MAX)
        bytes = SPLIT_BYTES_MAX;
    if (bytes < input_bytes / count_max)
        bytes = input_bytes / count_max;
    return (bytes + SPLIT_ALIGN_BYTES - 1) & ~(SPLIT_ALIGN_BYTES - 1);
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

static uint64_t pack_kind(qn_packing packing, bool begins_quoted, uint8_t row_state)
{
    return packing | (begins_quoted ? QUOTED_BIT : 0) | (uint64_t)row_state << ROW_STATE_SHIFT;
}

static void unpack_head(qn_segment *segment, const segment_head *head)
{
    segment->begin = head->begin;
    segment->end = head->end;
    segment->file_bytes = head->file_bytes;
    segment->file = head->file;
    segment->packing = (qn_packing)(head->kind & ~(QUOTED_BIT | ROW_STATE_MASK));
    segment->begins_quoted = (head->kind & QUOTED_BIT) != 0;
    segment->row_state = (uint8_t)((head->kind & ROW_STATE_MASK) >> ROW_STATE_SHIFT);
}

static void encode_head(qn_buffer *message, segment_head head, const char *path)
{
    head.path_bytes = strlen(path) + 1;
    qn_buffer_append(message, &head, sizeof head);
    qn_buffer_append(message, path, head.path_bytes);
}

void qn_segment_encode(const qn_segment *segment, qn_buffer *message)
{
    const segment_head head = {.begin = segment->begin,
                               .end = segment->end,
                               .file_bytes = segment->file_bytes,
                               .file = segment->file,
                               .kind = pack_kind(segment->packing, segment->begins_quoted, segment->row_state)};
    encode_head(message, head, segment->path);
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

/* Appends the parts of [head->begin, head->end) of a file of units; how many. */
static uint32_t encode_parts(qn_buffer *message, const qn_input_file *input, const segment_head *head)
{
    uint32_t count = 0;
    qn_segment segment = {.path = input->path};
    unpack_head(&segment, head);
    do {
        segment.end = next_part(&input->units, segment.begin, head->end, &segment.part);
        qn_segment_encode(&segment, message);
        segment.begin = segment.end;
        count++;
    } while (segment.end < head->end);
    return count;
}

void qn_split_encode(const qn_split *split, const qn_listing *listing, qn_buffer *message)
{
    size_t count_at = message->bytes;
    uint32_t count = 0;
    qn_buffer_append_u32(message, 0);
    for (size_t file = split->file; file <= split->end_file; file++) {
        const qn_input_file *input = &listing->files[file];
        bool is_first = file == split->file;
        const segment_head head = {
            .begin = is_first ? split->offset : 0,
            .end = file == split->end_file ? split->end_offset : input->bytes,
            .file_bytes = input->bytes,
            .file = file + listing->first_file,
            .kind = pack_kind(input->packing, is_first && split->begins_quoted, is_first ? split->row_state : 0)};
        if (has_part(input->packing)) {
            count += encode_parts(message, input, &head);
        } else {
            encode_head(message, head, input->path);
            count++;
        }
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
    size_t data_bytes = 0;
    segment_head head = {0};
    const void *fields = qn_reader_take(message, sizeof head);
    if (fields)
        memcpy(&head, fields, sizeof head);
    unpack_head(segment, &head);
    segment->path = qn_reader_take(message, head.path_bytes);
    if (!segment->path || head.path_bytes == 0 || segment->path[head.path_bytes - 1] != 0)
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
    if (message->failed || count > message->left_bytes / sizeof(segment_head))
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
