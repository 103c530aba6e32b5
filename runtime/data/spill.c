/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/spill.h"

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/pages.h"
#include "runtime/base/timeline.h"
#include "runtime/data/spill_io.h"

#define HEADER_BYTES     sizeof(qn_block_header)
#define WRITER_BYTES_MAX ((size_t)4 << 20) /* larger transfers are no faster */
#define WRITER_BYTES_MIN ((size_t)16 << 10)
#define BEHIND_BYTES_MIN ((size_t)256 << 10) /* of a piece that is written while the next one is filled */
#define PACKS_BYTES_MIN  ((size_t)32 << 10)  /* with smaller block_bytes there is no room to compress */

/* In the file, and in a piece, a block is followed by zeros up to the next multiple of 8. */
static uint64_t padded(uint64_t bytes)
{
    return (bytes + 7) & ~UINT64_C(7);
}

static bool packs(const qn_spill *spill)
{
    return spill->block_bytes >= PACKS_BYTES_MIN;
}

static size_t envelope_bytes(const qn_spill *spill)
{
    return spill->cipher ? sizeof(qn_envelope) : 0;
}

/* Before a block's rows. */
static size_t lead_bytes(const qn_spill *spill)
{
    return envelope_bytes(spill) + HEADER_BYTES;
}

/* A reader holds a block from the page of the file in which it begins, and what a compressed one becomes. */
static size_t choose_target(size_t block_bytes)
{
    size_t page_bytes = QN_SPILL_ALIGN_BYTES;
    if (block_bytes >= PACKS_BYTES_MIN)
        return (block_bytes - page_bytes) / 2 & ~(page_bytes - 1);
    return block_bytes >= 2 * page_bytes ? block_bytes - page_bytes : block_bytes;
}

void qn_spill_init(qn_spill *spill, qn_scratch scratch, uint32_t value_words, size_t block_bytes)
{
    QN_ASSERT(block_bytes >= HEADER_BYTES);
    *spill = (qn_spill){.directory = scratch.directory,
                        .cipher = scratch.cipher,
                        .fd = -1,
                        .direct_fd = -1,
                        .value_words = value_words,
                        .block_bytes = block_bytes};
    if (spill->cipher)
        spill->stamp = qn_cipher_make_stamp();
    spill->target_bytes = choose_target(block_bytes);
    spill->cached_bytes_max = QN_SPILL_CACHED_BYTES_MAX;
}

void qn_spill_fini(qn_spill *spill)
{
    qn_spill_close_file(spill);
}

static size_t choose_writer_bytes(const qn_spill *spill)
{
    size_t bytes = QN_SPILL_WRITER_BLOCKS * spill->block_bytes;
    if (bytes > WRITER_BYTES_MAX && spill->block_bytes <= WRITER_BYTES_MAX / 2)
        bytes = WRITER_BYTES_MAX;
    return bytes > WRITER_BYTES_MIN ? qn_spill_align(bytes) : WRITER_BYTES_MIN;
}

/* Divides memory into what is packed, and a piece, or two of them. */
static void divide_memory(qn_run_writer *writer, uint8_t *memory, size_t memory_bytes, bool writes_behind)
{
    size_t packed_bytes = packs(writer->spill) ? writer->spill->target_bytes : 0;
    size_t left_bytes = memory_bytes - packed_bytes, half_bytes = left_bytes / 2 & ~(QN_SPILL_ALIGN_BYTES - 1);
    writes_behind = writes_behind && half_bytes >= BEHIND_BYTES_MIN && half_bytes >= writer->spill->target_bytes * 2;
    writer->memory = memory;
    writer->memory_bytes = memory_bytes;
    writer->packed = packed_bytes > 0 ? memory : NULL;
    writer->piece = memory + packed_bytes;
    writer->piece_bytes = writes_behind ? half_bytes : left_bytes;
    writer->written = writes_behind ? writer->piece + half_bytes : NULL;
}

/* Reserves memory, and takes the closed blocks of the old piece along, if there is one. */
static quern_status take_memory(qn_run_writer *writer, size_t memory_bytes, bool writes_behind, qn_error *error)
{
    uint8_t *memory = qn_pages_reserve(memory_bytes, true), *old = writer->memory, *piece = writer->piece;
    size_t old_bytes = writer->memory_bytes;
    if (!memory)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to spill: %zu bytes", memory_bytes);
    divide_memory(writer, memory, memory_bytes, writes_behind);
    if (writer->block_at > 0)
        memcpy(writer->piece, piece, writer->block_at);
    qn_pages_unreserve(old, old_bytes);
    return QUERN_OK;
}

quern_status qn_run_writer_open(qn_run_writer *writer, qn_spill *spill, qn_error *error)
{
    quern_status status = qn_spill_open_file(spill, error);
    if (status != QUERN_OK)
        return status;
    *writer = (qn_run_writer){.spill = spill, .run = {.offset = spill->end, .number = spill->begun_count++}};
    writer->run.is_cached = spill->end < spill->cached_bytes_max;
    return take_memory(writer, choose_writer_bytes(spill), !writer->run.is_cached, error);
}

/* Waits for the piece that is written. */
static quern_status end_piece(qn_run_writer *writer, qn_error *error)
{
    qn_transfer *transfer = &writer->behind;
    uint64_t bytes = transfer->bytes;
    if (bytes == 0)
        return QUERN_OK;
    quern_status status = qn_spill_wait(writer->spill, writer->run.is_cached, transfer, error);
    if (status == QUERN_OK)
        qn_compressor_note_disk(&writer->spill->compressor, bytes, transfer->duration_ns);
    *transfer = (qn_transfer){0};
    return status;
}

/* Begins to write the piece's first bytes. */
static void begin_piece(qn_run_writer *writer, uint64_t bytes)
{
    uint64_t offset = writer->run.offset + writer->run.bytes;
    writer->behind = (qn_transfer){.way = QN_WAY_WRITE, .data = writer->piece, .bytes = bytes, .offset = offset};
    qn_spill_start(writer->spill, writer->run.is_cached, &writer->behind);
}

/* Writes the closed blocks, and keeps those of them that do not fill a page. */
static quern_status write_blocks(qn_run_writer *writer, qn_error *error)
{
    uint64_t bytes = writer->block_at & ~(QN_SPILL_ALIGN_BYTES - 1);
    if (bytes == 0)
        return QUERN_OK;
    uint8_t *full = writer->piece;
    quern_status status = end_piece(writer, error);
    if (status != QUERN_OK)
        return status;
    begin_piece(writer, bytes);
    if (writer->written) {
        writer->piece = writer->written;
        writer->written = full;
    } else {
        status = end_piece(writer, error);
    }
    memcpy(writer->piece, full + bytes, writer->block_at - bytes);
    writer->run.bytes += bytes;
    writer->block_at -= bytes;
    return status;
}

static quern_status write_piece(qn_run_writer *writer, qn_error *error)
{
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_SPILL);
    quern_status status = write_blocks(writer, error);
    qn_timeline_enter(before);
    return status;
}

/* Compresses the open block in place if that pays; returns what its rows take then. */
static size_t compress_block(qn_run_writer *writer)
{
    qn_compressor *compressor = &writer->spill->compressor;
    size_t raw_bytes = writer->used_bytes;
    size_t before_bytes = lead_bytes(writer->spill);
    if (!writer->packed || before_bytes + raw_bytes > writer->spill->target_bytes || !qn_compressor_wants(compressor))
        return raw_bytes;
    uint8_t *rows = writer->piece + writer->block_at + before_bytes;
    uint64_t begin_ns = qn_clock_ns();
    size_t packed_bytes = qn_compress(rows, raw_bytes, writer->packed, raw_bytes);
    if (!qn_compressor_judge(compressor, raw_bytes, packed_bytes, qn_clock_ns() - begin_ns))
        return raw_bytes;
    memcpy(rows, writer->packed, packed_bytes);
    if (raw_bytes > writer->run.unpacked_bytes_max)
        writer->run.unpacked_bytes_max = raw_bytes;
    return packed_bytes;
}

/* Around a block of so many bytes, which lies behind it. */
static void seal_envelope(const qn_run_writer *writer, qn_envelope *envelope, uint64_t bytes)
{
    uint64_t offset = writer->run.offset + writer->run.bytes + writer->block_at;
    *envelope = (qn_envelope){.magic = QN_ENVELOPE_MAGIC, .bytes = bytes};
    qn_envelope_about about = qn_spill_envelope_about(writer->spill, &writer->run, offset, envelope);
    qn_cipher_seal(writer->spill->cipher, &about, sizeof about, envelope + 1, bytes, &envelope->seal);
}

static quern_status close_block(qn_run_writer *writer, qn_error *error)
{
    qn_spill *spill = writer->spill;
    size_t raw_bytes = writer->used_bytes, before_bytes = lead_bytes(spill);
    size_t payload_bytes = compress_block(writer);
    bool is_packed = payload_bytes < raw_bytes;
    uint8_t *block = writer->piece + writer->block_at;
    qn_block_seal((qn_block_header *)(block + envelope_bytes(spill)), is_packed ? QN_BLOCK_LZ4 : 0, writer->row_count,
                  spill->value_words, payload_bytes, is_packed ? raw_bytes : 0);
    if (spill->cipher)
        seal_envelope(writer, (qn_envelope *)block, HEADER_BYTES + payload_bytes);
    uint64_t block_bytes = padded(before_bytes + payload_bytes);
    memset(block + before_bytes + payload_bytes, 0, block_bytes - before_bytes - payload_bytes);
    if (block_bytes > writer->run.block_bytes_max)
        writer->run.block_bytes_max = block_bytes;
    writer->run.row_count += writer->row_count;
    writer->raw_bytes += before_bytes + raw_bytes;
    writer->block_at += block_bytes;
    writer->used_bytes = 0;
    writer->row_count = 0;
    bool has_room = writer->block_at + padded(spill->target_bytes) <= writer->piece_bytes;
    return has_room ? QUERN_OK : write_piece(writer, error);
}

/* Makes an empty block hold a row of any size. */
static quern_status widen_block(qn_run_writer *writer, uint64_t row_bytes, qn_error *error)
{
    uint64_t block_bytes = padded(lead_bytes(writer->spill) + row_bytes);
    if (writer->block_at + writer->used_bytes + block_bytes <= writer->piece_bytes)
        return QUERN_OK;
    QN_ASSERT(writer->used_bytes == 0);
    quern_status status = write_piece(writer, error);
    if (status != QUERN_OK || writer->block_at + block_bytes <= writer->piece_bytes)
        return status;
    status = end_piece(writer, error);
    if (status != QUERN_OK)
        return status;
    size_t other_bytes = (size_t)(writer->piece - writer->memory) + QN_SPILL_ALIGN_BYTES;
    return take_memory(writer, qn_spill_align(block_bytes + other_bytes + writer->spill->target_bytes), false, error);
}

/* Room for a row at the end of the open block, behind a block that is full. */
static quern_status make_room(qn_run_writer *writer, uint64_t row_bytes, uint8_t **to_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    size_t before_bytes = lead_bytes(writer->spill);
    if (writer->row_count > 0 && before_bytes + writer->used_bytes + row_bytes > writer->spill->target_bytes)
        status = close_block(writer, error);
    if (status == QUERN_OK && writer->row_count == 0)
        status = widen_block(writer, row_bytes, error);
    if (status != QUERN_OK)
        return status;
    *to_out = writer->piece + writer->block_at + before_bytes + writer->used_bytes;
    writer->used_bytes += row_bytes;
    writer->row_count++;
    return QUERN_OK;
}

quern_status qn_run_writer_put(qn_run_writer *writer, const qn_key *key, const uint64_t *value, qn_error *error)
{
    uint32_t value_words = writer->spill->value_words;
    uint8_t *to = NULL;
    quern_status status = make_room(writer, qn_row_bytes(key, value_words), &to, error);
    if (status == QUERN_OK)
        qn_row_encode(key, value, value_words, (uint64_t *)to);
    return status;
}

quern_status qn_run_writer_put_packed(qn_run_writer *writer, const void *record, uint64_t bytes, qn_error *error)
{
    QN_ASSERT(writer->spill->value_words == QN_BLOCK_PACKED);
    uint8_t *to = NULL;
    quern_status status = make_room(writer, bytes, &to, error);
    if (status == QUERN_OK)
        memcpy(to, record, bytes);
    return status;
}

/* The rest of the run, with zeros to the next page, and whatever is still being written. */
static quern_status write_rest(qn_run_writer *writer, qn_error *error)
{
    uint64_t bytes = qn_spill_align(writer->block_at);
    memset(writer->piece + writer->block_at, 0, bytes - writer->block_at);
    quern_status status = end_piece(writer, error);
    if (status != QUERN_OK || bytes == 0)
        return status;
    begin_piece(writer, bytes);
    return end_piece(writer, error);
}

quern_status qn_run_writer_close(qn_run_writer *writer, qn_run *run_out, qn_error *error)
{
    qn_spill *spill = writer->spill;
    quern_status status = writer->row_count > 0 ? close_block(writer, error) : QUERN_OK;
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_SPILL);
    if (status == QUERN_OK)
        status = write_rest(writer, error);
    qn_timeline_enter(before);
    if (status == QUERN_OK) {
        writer->run.bytes += writer->block_at;
        *run_out = writer->run;
        spill->end += qn_spill_align(writer->run.bytes);
        spill->written_bytes += qn_spill_align(writer->run.bytes);
        spill->raw_bytes += writer->raw_bytes;
        spill->written_rows += writer->run.row_count;
    }
    qn_run_writer_abandon(writer);
    return status;
}

void qn_run_writer_abandon(qn_run_writer *writer)
{
    if (writer->spill)
        qn_spill_cancel(writer->spill, &writer->behind);
    qn_pages_unreserve(writer->memory, writer->memory_bytes);
    *writer = (qn_run_writer){0};
}
