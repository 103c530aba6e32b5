/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading runs: pieces of the file as large as the memory allows, blocks in them verified and read where they lie, or, if
 * they are compressed, made what they were beside the piece. */
#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/data/spill.h"
#include "runtime/data/spill_io.h"

#define HEADER_BYTES sizeof(qn_block_header)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The least that a piece may be: the usual block, from the page in which it begins. */
static size_t piece_bytes_min(const qn_run_reader *reader)
{
    uint64_t block_bytes = min_u64(reader->run.block_bytes_max, reader->spill->target_bytes);
    return qn_spill_align(block_bytes + QN_SPILL_ALIGN_BYTES - 8);
}

quern_status qn_run_reader_open_in(qn_run_reader *reader, qn_spill *spill, const qn_run *run, void *memory,
                                   size_t bytes, qn_error *error)
{
    QN_ASSERT((uintptr_t)memory % QN_SPILL_ALIGN_BYTES == 0);
    *reader = (qn_run_reader){.spill = spill, .run = *run, .next_offset = run->offset, .piece_offset = run->offset};
    size_t unpacked_bytes = qn_spill_align(run->unpacked_bytes_max);
    size_t least_bytes = piece_bytes_min(reader);
    bool is_enough = bytes >= unpacked_bytes + least_bytes;
    if (!is_enough) {
        reader->memory_bytes = unpacked_bytes + least_bytes;
        memory = reader->memory = qn_pages_reserve(reader->memory_bytes, true);
    }
    if (!memory) {
        *reader = (qn_run_reader){0};
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a spilled run");
    }
    reader->unpacked = memory;
    reader->piece = reader->unpacked + unpacked_bytes;
    reader->piece_bytes = is_enough ? (bytes - unpacked_bytes) & ~(QN_SPILL_ALIGN_BYTES - 1) : least_bytes;
    return QUERN_OK;
}

static uint64_t run_end(const qn_run_reader *reader)
{
    return reader->run.offset + reader->run.bytes;
}

/* Begins to read what comes at `offset`; nothing behind the run's end. */
static void begin_ahead(qn_run_reader *reader, uint64_t offset)
{
    uint64_t end = qn_spill_align(run_end(reader));
    uint64_t bytes = offset < end ? min_u64(reader->piece_bytes, end - offset) : 0;
    reader->ahead = (qn_transfer){.way = QN_WAY_READ, .data = reader->coming, .bytes = bytes, .offset = offset};
    if (bytes > 0)
        qn_spill_start(reader->spill, reader->run.is_cached, &reader->ahead);
}

/* Before each of the two pieces is room for what is left of the other when it is read: less than a block. */
quern_status qn_run_reader_open_ahead(qn_run_reader *reader, qn_spill *spill, const qn_run *run, void *memory,
                                      size_t bytes, qn_error *error)
{
    quern_status status = qn_run_reader_open_in(reader, spill, run, memory, bytes, error);
    size_t room_bytes = qn_spill_align(run->block_bytes_max);
    bool is_usual = status == QUERN_OK && !run->is_cached && run->block_bytes_max <= spill->target_bytes;
    if (!is_usual || reader->piece_bytes / 2 < 2 * room_bytes + QN_SPILL_ALIGN_BYTES)
        return status;
    size_t half_bytes = reader->piece_bytes / 2 & ~(QN_SPILL_ALIGN_BYTES - 1);
    reader->coming = reader->piece + room_bytes;
    reader->present = reader->coming + half_bytes;
    reader->piece_bytes = half_bytes - room_bytes;
    begin_ahead(reader, run->offset);
    return QUERN_OK;
}

quern_status qn_run_reader_open(qn_run_reader *reader, qn_spill *spill, const qn_run *run, qn_error *error)
{
    return qn_run_reader_open_in(reader, spill, run, NULL, 0, error);
}

void qn_run_reader_close(qn_run_reader *reader)
{
    if (reader->coming)
        qn_spill_cancel(reader->spill, &reader->ahead);
    qn_pages_unreserve(reader->memory, reader->memory_bytes);
    qn_pages_unreserve(reader->wide_piece, reader->piece_bytes);
    *reader = (qn_run_reader){0};
}

static quern_status corrupt_run(const qn_run_reader *reader, const char *what, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a spill file in %s is damaged at byte %llu: %s",
                        reader->spill->directory, (unsigned long long)reader->next_offset, what);
}

/* Makes the piece larger; its first `skip_bytes` are not needed any more. */
static quern_status widen_piece(qn_run_reader *reader, uint64_t skip_bytes, uint64_t piece_bytes, qn_error *error)
{
    uint8_t *piece = qn_pages_reserve(piece_bytes, true);
    if (!piece)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a spilled record of %llu bytes",
                            (unsigned long long)piece_bytes);
    memcpy(piece, reader->piece + skip_bytes, reader->filled_bytes - skip_bytes);
    qn_pages_unreserve(reader->wide_piece, reader->piece_bytes);
    reader->piece = reader->wide_piece = piece;
    reader->piece_bytes = piece_bytes;
    return QUERN_OK;
}

/* Moves what is left from the next block's page on to the front of a piece that can hold `bytes` of that block. */
static quern_status move_piece(qn_run_reader *reader, uint64_t bytes, qn_error *error)
{
    uint64_t from_offset = reader->next_offset & ~(QN_SPILL_ALIGN_BYTES - 1);
    uint64_t skip_bytes = min_u64(from_offset - reader->piece_offset, reader->filled_bytes);
    uint64_t need_bytes = qn_spill_align(reader->next_offset - from_offset + bytes);
    quern_status status = QUERN_OK;
    if (need_bytes > reader->piece_bytes)
        status = widen_piece(reader, skip_bytes, need_bytes, error);
    else
        memmove(reader->piece, reader->piece + skip_bytes, reader->filled_bytes - skip_bytes);
    if (status != QUERN_OK)
        return status;
    reader->filled_bytes -= skip_bytes;
    reader->piece_offset = from_offset;
    return QUERN_OK;
}

/* Reads on behind what is left, which `bytes` of the next block do not fit. */
static quern_status read_on(qn_run_reader *reader, uint64_t bytes, qn_error *error)
{
    quern_status status = move_piece(reader, bytes, error);
    if (status != QUERN_OK)
        return status;
    uint64_t more_bytes = 0;
    uint64_t at_offset = reader->piece_offset + reader->filled_bytes;
    uint64_t want_bytes =
        min_u64(reader->piece_bytes - reader->filled_bytes, qn_spill_align(run_end(reader)) - at_offset);
    status = qn_spill_read(reader->spill, reader->run.is_cached, reader->piece + reader->filled_bytes, want_bytes,
                           at_offset, &more_bytes, error);
    reader->filled_bytes += more_bytes;
    return status;
}

/* The same with what came meanwhile: what is left is copied to the room before it, so that the block is in one piece. */
static quern_status take_coming(qn_run_reader *reader, qn_error *error)
{
    uint64_t left_bytes = reader->piece_offset + reader->filled_bytes - reader->next_offset;
    const uint8_t *left = reader->piece + reader->filled_bytes - left_bytes;
    const qn_transfer *came = &reader->ahead;
    quern_status status = qn_spill_wait(reader->spill, reader->run.is_cached, &reader->ahead, error);
    if (status != QUERN_OK || came->bytes == 0)
        return status;
    uint8_t *next = reader->present;
    reader->present = reader->coming;
    reader->coming = next;
    reader->piece = reader->present - left_bytes;
    memcpy(reader->piece, left, left_bytes);
    reader->piece_offset = came->offset - left_bytes;
    reader->filled_bytes = left_bytes + came->done_bytes;
    begin_ahead(reader, came->done_bytes == came->bytes ? came->offset + came->bytes : UINT64_MAX);
    return QUERN_OK;
}

/* Has `bytes` of the next block in the piece, and as much behind them as fits. *block_out NULL: the file ends before. */
static quern_status hold(qn_run_reader *reader, uint64_t bytes, uint8_t **block_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    *block_out = NULL;
    if (reader->piece_offset + reader->filled_bytes < reader->next_offset + bytes)
        status = reader->coming ? take_coming(reader, error) : read_on(reader, bytes, error);
    if (status != QUERN_OK)
        return status;
    if (reader->piece_offset + reader->filled_bytes >= reader->next_offset + bytes)
        *block_out = reader->piece + (reader->next_offset - reader->piece_offset);
    return QUERN_OK;
}

static bool is_zero(const uint8_t *from, uint64_t bytes)
{
    while (bytes > 0 && *from == 0)
        from++, bytes--;
    return bytes == 0;
}

/* Rows where they lie, or unpacked. */
static quern_status take_rows(qn_run_reader *reader, const qn_block_header *block, qn_error *error)
{
    reader->next_row = (const uint64_t *)(block + 1);
    reader->left_bytes = block->payload_bytes;
    if (!(block->flags & QN_BLOCK_LZ4))
        return QUERN_OK;
    reader->left_bytes = 0;
    if (block->row_bytes > reader->run.unpacked_bytes_max ||
        !qn_decompress(block + 1, block->payload_bytes, reader->unpacked, block->row_bytes))
        return corrupt_run(reader, "it does not decompress", error);
    reader->next_row = (const uint64_t *)reader->unpacked;
    reader->left_bytes = block->row_bytes;
    return QUERN_OK;
}

/* What is before the bytes of which it says how many there are. */
static uint64_t lead_bytes(const qn_run_reader *reader)
{
    return reader->spill->cipher ? sizeof(qn_envelope) : HEADER_BYTES;
}

static uint64_t bytes_behind(const qn_run_reader *reader, const uint8_t *lead)
{
    return reader->spill->cipher ? ((const qn_envelope *)lead)->bytes : ((const qn_block_header *)lead)->payload_bytes;
}

/* The block in an envelope; NULL: it does not open here. */
static const qn_block_header *open_envelope(const qn_run_reader *reader, qn_envelope *envelope)
{
    qn_envelope_about about = qn_spill_envelope_about(reader->spill, &reader->run, reader->next_offset, envelope);
    if (envelope->magic != QN_ENVELOPE_MAGIC || envelope->reserved != 0 ||
        !qn_cipher_open(reader->spill->cipher, &about, sizeof about, envelope + 1, envelope->bytes, &envelope->seal))
        return NULL;
    return (const qn_block_header *)(envelope + 1);
}

/* Rows of what lies at next_offset, of which so many bytes are here. */
static quern_status open_block(qn_run_reader *reader, uint8_t *lead, uint64_t bytes, qn_error *error)
{
    const qn_block_header *block = (const qn_block_header *)lead;
    if (reader->spill->cipher) {
        block = open_envelope(reader, (qn_envelope *)lead);
        bytes -= sizeof(qn_envelope);
    }
    if (!block)
        return corrupt_run(reader, "it does not open with this key", error);
    if (!qn_block_verify(block, bytes, reader->spill->value_words))
        return corrupt_run(reader, "wrong checksum", error);
    return take_rows(reader, block, error);
}

static quern_status read_block(qn_run_reader *reader, qn_error *error)
{
    uint64_t largest_bytes = min_u64(run_end(reader) - reader->next_offset, reader->run.block_bytes_max);
    uint64_t before_bytes = lead_bytes(reader);
    uint8_t *lead = NULL;
    quern_status status = hold(reader, min_u64(before_bytes, largest_bytes), &lead, error);
    if (status != QUERN_OK)
        return status;
    if (!lead || largest_bytes < before_bytes || bytes_behind(reader, lead) > largest_bytes - before_bytes)
        return corrupt_run(reader, "it is truncated", error);
    uint64_t used_bytes = before_bytes + bytes_behind(reader, lead);
    uint64_t block_bytes = (used_bytes + 7) & ~UINT64_C(7);
    status = hold(reader, block_bytes, &lead, error);
    if (status != QUERN_OK)
        return status;
    if (!lead)
        return corrupt_run(reader, "it is truncated", error);
    if (!is_zero(lead + used_bytes, block_bytes - used_bytes))
        return corrupt_run(reader, "wrong checksum", error);
    status = open_block(reader, lead, used_bytes, error);
    if (status == QUERN_OK)
        reader->next_offset += block_bytes;
    return status;
}

quern_status qn_run_reader_next(qn_run_reader *reader, bool *more_out, qn_error *error)
{
    if (reader->left_bytes == 0) {
        if (reader->next_offset == run_end(reader)) {
            *more_out = false;
            return QUERN_OK;
        }
        quern_status status = read_block(reader, error);
        if (status != QUERN_OK)
            return status;
    }
    uint64_t row_bytes =
        qn_row_decode(reader->next_row, reader->left_bytes, reader->spill->value_words, &reader->key, &reader->value);
    if (row_bytes == 0)
        return corrupt_run(reader, "a record does not fit its block", error);
    reader->next_row += row_bytes / 8;
    reader->left_bytes -= row_bytes;
    reader->spill->read_rows++;
    *more_out = true;
    return QUERN_OK;
}

quern_status qn_run_reader_next_block(qn_run_reader *reader, const uint8_t **records_out, uint64_t *bytes_out,
                                      qn_error *error)
{
    *bytes_out = 0;
    if (reader->next_offset == run_end(reader))
        return QUERN_OK;
    quern_status status = read_block(reader, error);
    if (status != QUERN_OK)
        return status;
    *records_out = (const uint8_t *)reader->next_row;
    *bytes_out = reader->left_bytes;
    reader->left_bytes = 0;
    return QUERN_OK;
}
