/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern cat of blocks: saved files of checkpoints, as a journal says that they were written, and files that no journal names.
 *
 * The former are read as jobs read them (pieces.h, spill.h). Of the latter only the blocks are known: they are looked for one behind the other, each
 * checked before anything in it is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/data/key_text.h"
#include "runtime/data/spill.h"
#include "runtime/data/type.h"
#include "runtime/shuffle/pieces.h"
#include "tools/quern/cat.h"
#include "tools/quern/commands.h"

#define READ_BLOCK_BYTES ((size_t)256 << 10)
#define LZ4_FACTOR_MAX   255 /* nothing becomes larger than so many times its bytes */
#define BYTES_SHOWN      64  /* of packed records that cannot be told apart */

/* ---- records ---- */

static void put_typed(quern_type type, const void *data, uint64_t bytes)
{
    char number[QN_NUMBER_TEXT_BYTES_MAX];
    if (qn_type_is_number(type) && bytes == qn_type_bytes(type, 0)) {
        qn_number_describe(type, data, number);
        fputs(number, stdout);
    } else {
        quern_cat_put(data, bytes);
    }
}

/* An accumulator is words; of one word it is a number, mostly. */
static void put_words(const uint64_t *words, uint32_t count, quern_type type)
{
    bool is_signed = type == QUERN_I64 || type == QUERN_I32;
    if (count == 1 && is_signed)
        printf("\t%" PRId64, (int64_t)words[0]);
    else if (count == 1 && !qn_type_is_float(type))
        printf("\t%" PRIu64, words[0]);
    else
        for (uint32_t i = 0; i < count; i++)
            printf("%c%016" PRIx64, i == 0 ? '\t' : ' ', words[i]);
}

static void put_row(const qn_key *key, const uint64_t *value, uint32_t value_words, const qn_layout *layout)
{
    fputs("  ", stdout);
    put_typed(layout->key_type, qn_key_data(key), qn_key_bytes(key));
    put_words(value, value_words, layout->value_types[0]);
    putchar('\n');
}

static void put_packed(const qn_packed *record, const qn_layout *layout)
{
    quern_type value_type = layout->value_types[record->side != 0];
    fputs(layout->has_side ? record->side == 0 ? "  left " : "  right " : "  ", stdout);
    put_typed(layout->key_type, record->key, record->key_bytes);
    if (value_type != QUERN_NONE) {
        putchar('\t');
        put_typed(value_type, record->value, record->value_bytes);
    }
    putchar('\n');
}

/* Shows up to *left records of packed ones; false: one does not fit. */
static bool put_packed_block(const uint8_t *records, uint64_t bytes, const qn_layout *layout, uint64_t *left)
{
    qn_packed record;
    for (uint64_t at = 0, step; at<bytes && * left> 0; at += step, --*left) {
        step = qn_packed_decode(layout, records + at, bytes - at, &record);
        if (step == 0)
            return false;
        put_packed(&record, layout);
    }
    return true;
}

/* ---- as a journal says ---- */

static quern_cat_outcome show_run(const quern_cat *how, const char *path, const qn_saved *saved)
{
    qn_spill spill;
    qn_run_reader reader = {0};
    qn_error error = {0};
    uint64_t count = 0;
    bool more = true;
    quern_status status = qn_saved_open_written(&spill, path, saved, how->cipher, READ_BLOCK_BYTES, &error);
    if (status == QUERN_OK)
        status = qn_saved_check_length(&spill, &saved->run, path, &error);
    if (status == QUERN_OK)
        status = qn_run_reader_open(&reader, &spill, &saved->run, &error);
    while (status == QUERN_OK) {
        status = qn_run_reader_next(&reader, &more, &error);
        if (status != QUERN_OK || !more)
            break;
        if (count++ < how->record_count_max)
            put_row(&reader.key, reader.value, saved->value_words, &saved->layout);
    }
    qn_run_reader_close(&reader);
    qn_spill_fini(&spill);
    if (status != QUERN_OK)
        return quern_cat_tell_damage("behind %" PRIu64 " records: %s", count, error.text);
    if (count != saved->run.row_count)
        return quern_cat_tell_damage("%" PRIu64 " records, not %" PRIu64, count, saved->run.row_count);
    printf("  %" PRIu64 " records, checksums right\n", count);
    return QUERN_CAT_WHOLE;
}

static quern_cat_outcome show_pieces(const quern_cat *how, const char *path, const qn_saved *saved)
{
    qn_pieces_reader reader = {0};
    qn_error error = {0};
    const uint8_t *records = NULL;
    uint64_t left = how->record_count_max, bytes = 0, all_bytes = 0;
    bool fits = true;
    quern_status status = qn_pieces_reader_open(&reader, path, saved, how->cipher, READ_BLOCK_BYTES, &error);
    if (status == QUERN_OK)
        qn_pieces_reader_begin(&reader, 0, 1);
    while (status == QUERN_OK) {
        status = qn_pieces_reader_next(&reader, &records, &bytes, &error);
        if (status != QUERN_OK || bytes == 0)
            break;
        all_bytes += bytes;
        if (fits && saved->layout.key_type != QUERN_NONE)
            fits = put_packed_block(records, bytes, &saved->layout, &left);
    }
    qn_pieces_reader_close(&reader);
    if (status != QUERN_OK || !fits)
        return quern_cat_tell_damage("behind %" PRIu64 " bytes of records: %s", all_bytes,
                                     fits ? error.text : "a record does not fit its block");
    printf("  %" PRIu64 " records of %" PRIu64 " bytes, checksums right\n", saved->record_count, all_bytes);
    return QUERN_CAT_WHOLE;
}

quern_cat_outcome quern_cat_saved(const quern_cat *how, const char *path, const qn_saved *saved)
{
    bool is_packed = saved->value_words == QN_BLOCK_PACKED;
    quern_cat_put_text(path);
    printf(": saved file of %s, of rank %u of %u\n", is_packed ? "an order" : "a reduction", saved->rank, saved->size);
    return is_packed ? show_pieces(how, path, saved) : show_run(how, path, saved);
}

/* ---- blocks as they lie ---- */

typedef struct block_walk {
    const quern_cat *how;
    const char *path;
    int fd;
    uint64_t bytes, at; /* of the file; of the next block */
    uint64_t block_count, row_count, packed_bytes, shown, run_count;
    uint8_t *block, *unpacked; /* room, owned */
    uint64_t block_room, unpacked_room;
} block_walk;

/* False: no memory, which was said. */
static bool make_room(uint8_t **room, uint64_t *has, uint64_t bytes)
{
    if (bytes <= *has)
        return true;
    free(*room);
    *has = bytes;
    *room = malloc(bytes + QN_SLACK_BYTES);
    if (!*room)
        *has = 0;
    return *room || quern_command_fail(ENOMEM, "cannot read a block of %" PRIu64 " bytes", bytes) == 0;
}

static bool read_at(block_walk *walk, void *to, uint64_t bytes, uint64_t at)
{
    qn_error ignored = {0};
    size_t got = 0;
    return qn_file_read_at(walk->fd, to, bytes, at, walk->path, QUERN_ERROR_INPUT, &got, &ignored) == QUERN_OK &&
           got == bytes;
}

static bool is_zero(const uint8_t *from, uint64_t bytes)
{
    while (bytes > 0 && *from == 0)
        from++, bytes--;
    return bytes == 0;
}

/* Whether there are zeros up to the next multiple of QN_SPILL_ALIGN_BYTES, where a run begins, or the file ends. */
static bool is_end_of_run(block_walk *walk, uint64_t *next_out)
{
    uint8_t rest[QN_SPILL_ALIGN_BYTES];
    uint64_t next = (walk->at + QN_SPILL_ALIGN_BYTES) & ~(QN_SPILL_ALIGN_BYTES - 1);
    uint64_t bytes = next < walk->bytes ? next - walk->at : walk->bytes - walk->at;
    *next_out = walk->at + bytes;
    return bytes > 0 && read_at(walk, rest, bytes, walk->at) && is_zero(rest, bytes);
}

/* Checks the block there; NULL: it is damaged, which *why_out says; or there is no memory, and *why_out is NULL. */
static const qn_block_header *load_block(block_walk *walk, const char **why_out)
{
    qn_block_header header;
    *why_out = "it is cut short";
    if (walk->bytes - walk->at < sizeof header || !read_at(walk, &header, sizeof header, walk->at))
        return NULL;
    *why_out = "no block begins there";
    if (header.magic == QN_ENVELOPE_MAGIC)
        *why_out = "it is encrypted, and what is needed to open it is in the journal that named it";
    if (header.magic != QN_BLOCK_MAGIC)
        return NULL;
    *why_out = "it is cut short, or its length is wrong";
    if (header.payload_bytes > walk->bytes - walk->at - sizeof header)
        return NULL;
    uint64_t bytes = sizeof header + header.payload_bytes;
    *why_out = NULL;
    if (!make_room(&walk->block, &walk->block_room, bytes))
        return NULL;
    *why_out = "it cannot be read";
    if (!read_at(walk, walk->block, bytes, walk->at))
        return NULL;
    const qn_block_header *block = (const qn_block_header *)(void *)walk->block;
    *why_out = block->checksum == 0 ? "it has no checksum" : "wrong checksum";
    return qn_block_verify(block, bytes, header.value_words) ? block : NULL;
}

/* Its rows as they were before they were compressed; NULL as above. */
static const uint8_t *unpack(block_walk *walk, const qn_block_header *block, uint64_t *bytes_out, const char **why_out)
{
    *bytes_out = block->payload_bytes;
    *why_out = NULL;
    if (!(block->flags & QN_BLOCK_LZ4))
        return (const uint8_t *)(block + 1);
    *bytes_out = block->row_bytes;
    *why_out = "it does not decompress";
    if (block->row_bytes / LZ4_FACTOR_MAX > block->payload_bytes || block->row_bytes > INT32_MAX)
        return NULL;
    *why_out = NULL;
    if (!make_room(&walk->unpacked, &walk->unpacked_room, block->row_bytes))
        return NULL;
    *why_out = "it does not decompress";
    return qn_decompress(block + 1, block->payload_bytes, walk->unpacked, block->row_bytes) ? walk->unpacked : NULL;
}

static bool put_rows(block_walk *walk, const uint8_t *rows, uint64_t bytes, uint32_t value_words)
{
    static const qn_layout of_bytes = {.key_type = QUERN_BYTES};
    const uint64_t *row = (const uint64_t *)(const void *)rows;
    qn_key key;
    const uint64_t *value = NULL;
    while (bytes > 0) {
        uint64_t row_bytes = qn_row_decode(row, bytes, value_words, &key, &value);
        if (row_bytes == 0)
            return false;
        if (walk->shown < walk->how->record_count_max) {
            put_row(&key, value, value_words, &of_bytes);
            walk->shown++;
        }
        walk->row_count++;
        row += row_bytes / 8;
        bytes -= row_bytes;
    }
    return true;
}

/* NULL: all right. */
static const char *show_block(block_walk *walk, const qn_block_header *block)
{
    const char *why = NULL;
    uint64_t bytes = 0;
    if (block->flags & QN_BLOCK_FRAGMENT)
        return NULL; /* a piece of a record that is larger than a block */
    const uint8_t *rows = unpack(walk, block, &bytes, &why);
    if (!rows)
        return why ? why : "there is no memory for it";
    if (block->value_words != QN_BLOCK_PACKED)
        return put_rows(walk, rows, bytes, block->value_words) ? NULL : "a record does not fit its block";
    walk->packed_bytes += bytes;
    walk->row_count += block->row_count;
    if (walk->shown < walk->how->record_count_max) {
        walk->shown += block->row_count;
        printf("  %u packed records in %" PRIu64 " bytes: ", block->row_count, bytes);
        quern_cat_put(rows, bytes < BYTES_SHOWN ? bytes : BYTES_SHOWN);
        puts(bytes > BYTES_SHOWN ? " ..." : "");
    }
    return NULL;
}

static quern_cat_outcome walk_blocks(block_walk *walk)
{
    bool begins_run = true;
    while (walk->at < walk->bytes) {
        const char *why = NULL;
        uint64_t next = 0;
        if (!begins_run && is_end_of_run(walk, &next)) {
            walk->at = next;
            begins_run = true;
            continue;
        }
        const qn_block_header *block = load_block(walk, &why);
        if (!block && !why)
            return QUERN_CAT_UNREAD;
        if (block)
            why = show_block(walk, block);
        if (why)
            return quern_cat_tell_damage("block %" PRIu64 ", at byte %" PRIu64 ": %s", walk->block_count + 1, walk->at,
                                         why);
        walk->run_count += begins_run;
        walk->block_count++;
        begins_run = false;
        walk->at += (sizeof *block + block->payload_bytes + 7) & ~UINT64_C(7);
    }
    return QUERN_CAT_WHOLE;
}

quern_cat_outcome quern_cat_blocks(const quern_cat *how, const char *path)
{
    struct stat about;
    block_walk walk = {.how = how, .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (walk.fd < 0 || fstat(walk.fd, &about) != 0) {
        quern_command_fail(errno, "cannot read %s", path);
        if (walk.fd >= 0)
            close(walk.fd);
        return QUERN_CAT_UNREAD;
    }
    walk.bytes = (uint64_t)about.st_size;
    quern_cat_put_text(path);
    printf(": blocks, %" PRIu64 " bytes, which no journal beside it names\n", walk.bytes);
    quern_cat_outcome outcome = walk_blocks(&walk);
    if (outcome != QUERN_CAT_UNREAD)
        printf("  %" PRIu64 " records in %" PRIu64 " blocks in %" PRIu64 " runs%s\n", walk.row_count, walk.block_count,
               walk.run_count, outcome == QUERN_CAT_WHOLE ? ", checksums right" : " before that");
    free(walk.block);
    free(walk.unpacked);
    close(walk.fd);
    return outcome;
}
