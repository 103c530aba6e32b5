/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/units.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "runtime/io/units_internal.h"

#define ZSTD_MAGIC             UINT32_C(0xfd2fb528)
#define LZ4_MAGIC              UINT32_C(0x184d2204)
#define FRAME_HEAD_MAX         18
#define BGZF_ISIZE_BYTES       4
#define BZIP2_MAGIC            "\x31\x41\x59\x26\x53\x59" /* of a block; before it "BZh" and a digit */
#define BZIP2_MAGIC_BYTES      6
#define BZIP2_LEAD_BYTES       4
#define BZIP2_PIECE_BYTES      ((size_t)256 << 10)
#define BZIP2_SEARCH_BYTES_MAX ((uint64_t)64 << 20)
#define BZIP2_FIRST_SEARCH_MAX ((uint64_t)16 << 20) /* a file without a second stream there has one */

bool qn_finder_read(qn_finder *finder, void *to, size_t bytes, uint64_t offset)
{
    size_t got = 0;
    if (finder->status != QUERN_OK || offset > finder->file_bytes || bytes > finder->file_bytes - offset)
        return false;
    finder->status =
        qn_file_read_at(finder->fd, to, bytes, offset, finder->path, QUERN_ERROR_INPUT, &got, finder->error);
    return finder->status == QUERN_OK && got == bytes;
}

/* Of the one border that is looked for. */
static bool add_next(qn_finder *finder, const qn_border *border)
{
    if (border->offset < finder->next_offset)
        return true;
    finder->from = *border;
    finder->units->count = 1;
    return false;
}

bool qn_finder_add(qn_finder *finder, const qn_border *border, bool wanted)
{
    qn_units *units = finder->units;
    if (finder->next_offset > 0)
        return add_next(finder, border);
    const qn_border *last = units->count > 0 ? &units->borders[units->count - 1] : NULL;
    if (last && !wanted && border->offset - last->offset < finder->spacing)
        return true;
    /* A part that unpacks to nothing would say nothing about the truth of its borders. */
    if (last && border->logical != QN_BYTES_UNKNOWN && border->logical == last->logical)
        return true;
    if (last && finder->logical_only && border->logical == QN_BYTES_UNKNOWN)
        return true;
    if (units->count + 2 > units->capacity) {
        size_t capacity = units->capacity ? 2 * units->capacity : 16;
        qn_border *borders = realloc(units->borders, capacity * sizeof *borders);
        if (borders)
            memset(borders + units->count, 0, (capacity - units->count) * sizeof *borders);
        if (!borders) {
            finder->status =
                qn_error_set(finder->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the parts of %s", finder->path);
            return false;
        }
        units->borders = borders;
        units->capacity = capacity;
    }
    units->borders[units->count++] = *border;
    return true;
}

uint32_t qn_bgzf_block_bytes(const uint8_t head[QN_BGZF_HEAD_BYTES])
{
    static const uint8_t begin[] = {0x1f, 0x8b, 8, 4};
    static const uint8_t field[] = {6, 0, 'B', 'C', 2, 0};
    if (memcmp(head, begin, sizeof begin) != 0 || memcmp(head + 10, field, sizeof field) != 0)
        return 0;
    uint32_t bytes = (uint32_t)(head[16] | head[17] << 8) + 1;
    return bytes > QN_BGZF_HEAD_BYTES + 8 ? bytes : 0;
}

/* The length of what a block holds stands at its end, so one read brings it and the next header. */
static void find_bgzf_blocks(qn_finder *finder)
{
    uint8_t bytes[BGZF_ISIZE_BYTES + QN_BGZF_HEAD_BYTES];
    const uint64_t first = finder->from.offset;
    uint64_t offset = first, logical = finder->from.logical;
    while (offset < finder->file_bytes) {
        bool is_first = offset == first;
        if (!qn_finder_read(finder, bytes + (is_first ? BGZF_ISIZE_BYTES : 0),
                            is_first ? QN_BGZF_HEAD_BYTES : sizeof bytes, is_first ? first : offset - BGZF_ISIZE_BYTES))
            return;
        logical += is_first ? 0 : qn_le32(bytes);
        uint32_t block_bytes = qn_bgzf_block_bytes(bytes + BGZF_ISIZE_BYTES);
        if (block_bytes == 0)
            return;
        if (!is_first && !qn_finder_add(finder, &(qn_border){.offset = offset, .logical = logical}, false))
            return;
        offset += block_bytes;
    }
}

bool qn_is_skippable_frame(const uint8_t head[4])
{
    return (head[0] & 0xf0) == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18;
}

/* What a frame's header says. */
typedef struct frame_head {
    uint32_t head_bytes;
    uint32_t sum_bytes, block_sum_bytes; /* of checksums, behind all and behind each block */
    uint64_t content_bytes;              /* QN_BYTES_UNKNOWN */
} frame_head;

static bool read_zstd_head(qn_finder *finder, uint64_t offset, frame_head *frame_out)
{
    static const uint8_t id_bytes[] = {0, 1, 2, 4}, size_bytes[] = {0, 2, 4, 8};
    uint8_t head[FRAME_HEAD_MAX] = {0};
    if (!qn_finder_read(finder, head, 5, offset) || qn_le32(head) != ZSTD_MAGIC)
        return false;
    bool is_single = head[4] & 0x20;
    uint32_t size = size_bytes[head[4] >> 6];
    size += size == 0 && is_single;
    uint32_t before = (is_single ? 5u : 6u) + id_bytes[head[4] & 3];
    *frame_out = (frame_head){before + size, head[4] & 4 ? 4 : 0, 0, QN_BYTES_UNKNOWN};
    uint8_t said[8] = {0};
    if (size > 0 && !qn_finder_read(finder, said, size, offset + before))
        return false;
    if (size > 0)
        frame_out->content_bytes = qn_le64(said) + (size == 2 ? 256 : 0);
    return true;
}

static bool read_lz4_head(qn_finder *finder, uint64_t offset, frame_head *frame_out)
{
    uint8_t head[FRAME_HEAD_MAX] = {0};
    if (!qn_finder_read(finder, head, 6, offset) || qn_le32(head) != LZ4_MAGIC)
        return false;
    bool has_size = head[4] & 8, has_id = head[4] & 1;
    *frame_out = (frame_head){7 + (has_size ? 8u : 0u) + (has_id ? 4u : 0u), head[4] & 4 ? 4 : 0, head[4] & 16 ? 4 : 0,
                              QN_BYTES_UNKNOWN};
    if (has_size && !qn_finder_read(finder, head + 6, 8, offset + 6))
        return false;
    if (has_size)
        frame_out->content_bytes = qn_le64(head + 6);
    return true;
}

/* From block to block to the end of a frame. */
static bool hop_zstd_blocks(qn_finder *finder, const frame_head *frame, uint64_t *offset)
{
    uint8_t head[3];
    bool is_last = false;
    for (*offset += frame->head_bytes; !is_last;) {
        if (!qn_finder_read(finder, head, sizeof head, *offset))
            return false;
        uint32_t kind = head[0] >> 1 & 3, size = (uint32_t)(head[0] | head[1] << 8 | head[2] << 16) >> 3;
        is_last = head[0] & 1;
        if (kind == 3)
            return false;
        *offset += sizeof head + (kind == 1 ? 1 : size);
    }
    *offset += frame->sum_bytes;
    return true;
}

static bool hop_lz4_blocks(qn_finder *finder, const frame_head *frame, uint64_t *offset)
{
    uint8_t head[4];
    for (*offset += frame->head_bytes;;) {
        if (!qn_finder_read(finder, head, sizeof head, *offset))
            return false;
        uint32_t size = qn_le32(head) & 0x7fffffff;
        *offset += sizeof head;
        if (qn_le32(head) == 0)
            break;
        *offset += size + frame->block_sum_bytes;
    }
    *offset += frame->sum_bytes;
    return true;
}

static bool hop_skippable(qn_finder *finder, uint64_t *offset)
{
    uint8_t head[8];
    if (!qn_finder_read(finder, head, sizeof head, *offset) || !qn_is_skippable_frame(head))
        return false;
    *offset += sizeof head + qn_le32(head + 4);
    return true;
}

static void find_frames(qn_finder *finder)
{
    bool is_zstd = finder->units->kind == QN_UNITS_ZSTD;
    const uint64_t first = finder->from.offset;
    uint64_t offset = first, logical = finder->from.logical;
    while (offset < finder->file_bytes) {
        frame_head frame;
        if (hop_skippable(finder, &offset))
            continue;
        if (!(is_zstd ? read_zstd_head : read_lz4_head)(finder, offset, &frame))
            return;
        if (offset > first && !qn_finder_add(finder, &(qn_border){.offset = offset, .logical = logical}, false))
            return;
        if (!(is_zstd ? hop_zstd_blocks : hop_lz4_blocks)(finder, &frame, &offset))
            return;
        bool is_known = logical != QN_BYTES_UNKNOWN && frame.content_bytes < QN_BYTES_UNKNOWN - logical;
        logical = is_known ? logical + frame.content_bytes : QN_BYTES_UNKNOWN;
    }
}

/* The first place where a stream of bzip2 begins within bytes[0, count); count: nowhere. bzip2 stores nothing as it is, so that what looks like a
 * begin is one. */
static size_t find_stream(const uint8_t *bytes, size_t count)
{
    const uint8_t *at = bytes;
    while ((at = memmem(at, count - (size_t)(at - bytes), BZIP2_MAGIC, BZIP2_MAGIC_BYTES)) != NULL) {
        if (at - bytes >= BZIP2_LEAD_BYTES && memcmp(at - BZIP2_LEAD_BYTES, "BZh", 3) == 0 && at[-1] >= '1' &&
            at[-1] <= '9')
            return (size_t)(at - bytes) - BZIP2_LEAD_BYTES;
        at++;
    }
    return count;
}

/* From *offset on; false: there is none within so many bytes. */
static bool search_stream(qn_finder *finder, uint8_t *piece, uint64_t *offset, uint64_t bytes_max)
{
    for (uint64_t end = *offset + bytes_max; *offset < end && *offset < finder->file_bytes;) {
        uint64_t left = finder->file_bytes - *offset;
        size_t bytes = left < BZIP2_PIECE_BYTES ? (size_t)left : BZIP2_PIECE_BYTES;
        if (!qn_finder_read(finder, piece, bytes, *offset))
            return false;
        size_t at = find_stream(piece, bytes);
        *offset += at;
        if (at < bytes)
            return true;
        if (left > bytes) /* one may begin in this piece and go on in the next */
            *offset -= BZIP2_LEAD_BYTES + BZIP2_MAGIC_BYTES - 1;
    }
    return false;
}

static void find_bzip2_streams(qn_finder *finder)
{
    bool is_one = finder->next_offset > 0;
    uint64_t bytes_max = is_one ? finder->file_bytes : BZIP2_FIRST_SEARCH_MAX;
    uint8_t *piece = malloc(BZIP2_PIECE_BYTES);
    if (!piece) {
        finder->status =
            qn_error_set(finder->error, QUERN_ERROR_NO_MEMORY, 0, "no memory to look into %s", finder->path);
        return;
    }
    for (uint64_t offset = is_one ? finder->next_offset : finder->spacing;
         search_stream(finder, piece, &offset, bytes_max); offset += finder->spacing) {
        if (!qn_finder_add(finder, &(qn_border){.offset = offset, .logical = QN_BYTES_UNKNOWN}, false))
            break;
        bytes_max = BZIP2_SEARCH_BYTES_MAX;
    }
    free(piece);
}

static void find_all(qn_finder *finder)
{
    switch (finder->units->kind) {
    case QN_UNITS_NONE:
        return;
    case QN_UNITS_BGZF:
        find_bgzf_blocks(finder);
        return;
    case QN_UNITS_ZSTD:
    case QN_UNITS_LZ4:
        find_frames(finder);
        return;
    case QN_UNITS_BZIP2:
        if (!finder->logical_only)
            find_bzip2_streams(finder);
        return;
    case QN_UNITS_XZ:
        qn_find_xz_blocks(finder);
        return;
    case QN_UNITS_TAR:
        qn_find_tar_members(finder);
        return;
    case QN_UNITS_ZIP:
        qn_find_zip_members(finder);
        return;
    }
}

quern_status qn_units_find(qn_units *units, qn_unit_kind kind, int fd, const char *path, uint64_t file_bytes,
                           uint64_t spacing, bool logical_only, qn_arena *names, qn_error *error)
{
    QN_ASSERT(spacing > 0);
    *units = (qn_units){.kind = kind};
    qn_finder finder = {.units = units,
                        .names = names,
                        .fd = fd,
                        .path = path,
                        .file_bytes = file_bytes,
                        .spacing = spacing,
                        .logical_only = logical_only && !qn_units_are_members(kind),
                        .error = error};
    if (qn_finder_add(&finder, &(qn_border){.offset = 0}, true))
        find_all(&finder);
    if (finder.status != QUERN_OK) {
        qn_units_destroy(units);
        return finder.status;
    }
    /* What it says besides is the finder's. */
    units->borders[units->count].offset = file_bytes;
    units->borders[units->count].logical = QN_BYTES_UNKNOWN;
    return QUERN_OK;
}

quern_status qn_units_next(qn_unit_kind kind, int fd, const char *path, uint64_t file_bytes, const qn_border *from,
                           uint64_t offset, qn_border *border_out, bool *found_out, qn_error *error)
{
    QN_ASSERT(offset > 0 && !qn_units_are_members(kind));
    qn_units units = {.kind = kind};
    qn_finder finder = {.units = &units,
                        .fd = fd,
                        .path = path,
                        .file_bytes = file_bytes,
                        .from = *from,
                        .next_offset = offset,
                        .error = error};
    find_all(&finder);
    *found_out = finder.status == QUERN_OK && units.count > 0;
    if (*found_out)
        *border_out = finder.from;
    return finder.status;
}

void qn_units_destroy(qn_units *units)
{
    free(units->borders);
    *units = (qn_units){0};
}

size_t qn_units_at(const qn_units *units, uint64_t offset)
{
    size_t low = 0, high = units->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (units->borders[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t qn_units_cut(const qn_units *units, uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset;
    for (size_t i = qn_units_at(units, offset); i < units->count && end - offset < bytes; i++) {
        uint64_t piece_end = units->borders[i + 1].offset;
        bool is_cut = units->borders[i].member && piece_end - offset > bytes;
        end = is_cut ? offset + bytes : piece_end;
    }
    return end;
}
