/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/spill.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"

#define HEADER_BYTES sizeof(qn_block_header)

void qn_spill_init(qn_spill *spill, const char *directory, uint32_t value_words, size_t block_bytes)
{
    QN_ASSERT(block_bytes >= HEADER_BYTES);
    *spill = (qn_spill){.directory = directory, .fd = -1, .value_words = value_words, .block_bytes = block_bytes};
}

void qn_spill_fini(qn_spill *spill)
{
    if (spill->fd >= 0)
        close(spill->fd);
    spill->fd = -1;
}

quern_status qn_run_writer_open(qn_run_writer *writer, qn_spill *spill, qn_error *error)
{
    if (spill->fd < 0) {
        quern_status status = qn_file_open_scratch(spill->directory, &spill->fd, error);
        if (status != QUERN_OK)
            return status;
    }
    uint8_t *block = malloc(spill->block_bytes);
    if (!block)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a spill block");
    *writer = (qn_run_writer){
        .spill = spill, .run = {.offset = spill->end}, .block = block, .capacity_bytes = spill->block_bytes};
    return QUERN_OK;
}

static quern_status write_block(qn_run_writer *writer, qn_error *error)
{
    qn_spill *spill = writer->spill;
    uint64_t bytes = HEADER_BYTES + writer->used_bytes;
    qn_block_seal((qn_block_header *)writer->block, 0, writer->row_count, spill->value_words, writer->used_bytes, 0);
    quern_status status = qn_file_write_at(spill->fd, writer->block, bytes, writer->run.offset + writer->run.bytes,
                                           spill->directory, QUERN_ERROR_SCRATCH, error);
    if (status != QUERN_OK)
        return status;
    writer->run.bytes += bytes;
    writer->run.row_count += writer->row_count;
    if (bytes > writer->run.block_bytes_max)
        writer->run.block_bytes_max = bytes;
    writer->used_bytes = 0;
    writer->row_count = 0;
    return QUERN_OK;
}

/* Makes an empty block hold a row of any size. */
static quern_status widen_block(qn_run_writer *writer, uint64_t row_bytes, qn_error *error)
{
    if (writer->capacity_bytes >= HEADER_BYTES + row_bytes)
        return QUERN_OK;
    uint8_t *block = realloc(writer->block, HEADER_BYTES + row_bytes);
    if (!block)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to spill a record of %llu bytes",
                            (unsigned long long)row_bytes);
    writer->block = block;
    writer->capacity_bytes = HEADER_BYTES + row_bytes;
    return QUERN_OK;
}

/* Room for a row at the end of the open block, behind a block that is full. */
static quern_status make_room(qn_run_writer *writer, uint64_t row_bytes, uint8_t **to_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (writer->row_count > 0 && HEADER_BYTES + writer->used_bytes + row_bytes > writer->spill->block_bytes)
        status = write_block(writer, error);
    if (status == QUERN_OK)
        status = widen_block(writer, row_bytes, error);
    if (status != QUERN_OK)
        return status;
    *to_out = writer->block + HEADER_BYTES + writer->used_bytes;
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

quern_status qn_run_writer_close(qn_run_writer *writer, qn_run *run_out, qn_error *error)
{
    quern_status status = writer->row_count > 0 ? write_block(writer, error) : QUERN_OK;
    if (status == QUERN_OK) {
        *run_out = writer->run;
        writer->spill->end = writer->run.offset + writer->run.bytes;
        writer->spill->written_bytes += writer->run.bytes;
        writer->spill->written_rows += writer->run.row_count;
    }
    qn_run_writer_abandon(writer);
    return status;
}

void qn_run_writer_abandon(qn_run_writer *writer)
{
    free(writer->block);
    *writer = (qn_run_writer){0};
}

quern_status qn_run_reader_open(qn_run_reader *reader, qn_spill *spill, const qn_run *run, qn_error *error)
{
    uint8_t *block = malloc(run->block_bytes_max);
    if (!block)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a spilled run");
    *reader = (qn_run_reader){.spill = spill, .run = *run, .next_offset = run->offset, .block = block};
    return QUERN_OK;
}

void qn_run_reader_close(qn_run_reader *reader)
{
    free(reader->block);
    *reader = (qn_run_reader){0};
}

static quern_status corrupt_run(const qn_run_reader *reader, const char *what, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a spill file in %s is damaged at byte %llu: %s",
                        reader->spill->directory, (unsigned long long)reader->next_offset, what);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Reads the next block from where *got_bytes are there already up to `to_bytes` of it. */
static quern_status read_on(qn_run_reader *reader, uint64_t *got_bytes, uint64_t to_bytes, qn_error *error)
{
    size_t more_bytes = 0;
    quern_status status = qn_file_read_at(reader->spill->fd, reader->block + *got_bytes, to_bytes - *got_bytes,
                                          reader->next_offset + *got_bytes, reader->spill->directory,
                                          QUERN_ERROR_SCRATCH, &more_bytes, error);
    *got_bytes += more_bytes;
    return status;
}

/* Most blocks are of the usual size: only a giant one is read in two steps. */
static quern_status read_block(qn_run_reader *reader, qn_error *error)
{
    qn_spill *spill = reader->spill;
    uint64_t left_bytes = reader->run.offset + reader->run.bytes - reader->next_offset;
    uint64_t largest_bytes = min_u64(left_bytes, reader->run.block_bytes_max);
    uint64_t got_bytes = 0;
    quern_status status = read_on(reader, &got_bytes, min_u64(largest_bytes, spill->block_bytes), error);
    if (status != QUERN_OK)
        return status;
    const qn_block_header *header = (const qn_block_header *)reader->block;
    if (got_bytes < HEADER_BYTES || header->payload_bytes > largest_bytes - HEADER_BYTES)
        return corrupt_run(reader, "it is truncated", error);
    uint64_t block_bytes = HEADER_BYTES + header->payload_bytes;
    if (block_bytes > got_bytes)
        status = read_on(reader, &got_bytes, block_bytes, error);
    if (status != QUERN_OK)
        return status;
    if (block_bytes > got_bytes)
        return corrupt_run(reader, "it is truncated", error);
    if (!qn_block_verify(header, block_bytes, spill->value_words))
        return corrupt_run(reader, "wrong checksum", error);
    reader->next_offset += block_bytes;
    reader->next_row = (const uint64_t *)(header + 1);
    reader->left_bytes = header->payload_bytes;
    return QUERN_OK;
}

quern_status qn_run_reader_next(qn_run_reader *reader, bool *more_out, qn_error *error)
{
    if (reader->left_bytes == 0) {
        if (reader->next_offset == reader->run.offset + reader->run.bytes) {
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
    quern_status status = QUERN_OK;
    *bytes_out = 0;
    if (reader->next_offset == reader->run.offset + reader->run.bytes)
        return QUERN_OK;
    status = read_block(reader, error);
    if (status != QUERN_OK)
        return status;
    *records_out = (const uint8_t *)reader->next_row;
    *bytes_out = reader->left_bytes;
    reader->left_bytes = 0;
    return QUERN_OK;
}

void qn_spill_drop(qn_spill *spill, const qn_run *run)
{
    /* Where the file system cannot, the space comes back when the file is closed. */
    (void)!fallocate(spill->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)run->offset, (off_t)run->bytes);
}
