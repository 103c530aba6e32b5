/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a checkpoint says of itself, with checksums that are right, and whatever it says: refused, or read within its bounds. First byte: 0 a table of
 * pieces of any bytes; 1 the right one with bytes changed, place and byte; 2 the same, whose records are counted again; 3 parts that are finished, a line
 * each, which are then packed and understood again.
 */
#include <fcntl.h>

#include "runtime/engine/part_list.h"
#include "runtime/shuffle/pieces.h"
#include "tests/fuzz/fuzz.h"

#define BLOCK_BYTES ((size_t)4 << 10)
#define PIECE_COUNT 2
#define HEADER_WORDS                                                                                                   \
    4 /* of a table: pieces, records, step of the sample, its bytes; the sample and the pieces follow */
#define PIECE_WORDS    6 /* the third: its records */
#define TABLE_WORDS    (HEADER_WORDS + (1 + PIECE_COUNT) * PIECE_WORDS)
#define COUNTER_COUNT  2
#define PART_COUNT     1000
#define READ_BYTES_MAX ((uint64_t)4 << 20) /* of what a table of a small input can name */

static void put_piece(qn_spill *spill, const void *bytes, size_t count, uint64_t records, qn_run *run_out)
{
    qn_run_writer writer = {0};
    qn_error error = {0};
    FUZZ_CHECK(qn_run_writer_open(&writer, spill, &error) == QUERN_OK, "%s", error.text);
    for (uint64_t i = 0; i < records; i++)
        FUZZ_CHECK(qn_run_writer_put_packed(&writer, bytes, count, &error) == QUERN_OK, "%s", error.text);
    FUZZ_CHECK(qn_run_writer_close(&writer, run_out, &error) == QUERN_OK, "%s", error.text);
}

static void describe(const qn_run *run, uint64_t *words)
{
    const uint64_t said[PIECE_WORDS] = {run->offset, run->bytes,           run->row_count,
                                        run->number, run->block_bytes_max, run->unpacked_bytes_max};
    memcpy(words, said, sizeof said);
}

static void change(uint64_t *table, fuzz_input *changes)
{
    while (changes->bytes >= 2) {
        size_t at = fuzz_take(changes) % (TABLE_WORDS * sizeof *table);
        ((uint8_t *)table)[at] = fuzz_take(changes);
    }
}

static uint64_t count_records(const uint64_t *table)
{
    uint64_t count = 0;
    for (size_t i = 0; i < PIECE_COUNT; i++)
        count += table[HEADER_WORDS + (1 + i) * PIECE_WORDS + 2];
    return count;
}

/* The right pieces and, behind them, the table of this kind. */
static void write_pieces(const char *path, uint8_t kind, fuzz_input *input, qn_saved *saved)
{
    qn_spill spill;
    qn_error error = {0};
    qn_run runs[1 + PIECE_COUNT];
    uint64_t table[TABLE_WORDS] = {PIECE_COUNT, 3 * PIECE_COUNT, 1, 8};
    unlink(path);
    FUZZ_CHECK(qn_saved_open(&spill, (qn_scratch){path, NULL}, O_RDWR | O_CREAT | O_EXCL, QN_BLOCK_PACKED, BLOCK_BYTES,
                             &error) == QUERN_OK,
               "%s", error.text);
    for (size_t i = 0; i <= PIECE_COUNT; i++) {
        put_piece(&spill, "a record", 8, i == 0 ? 1 : 3, &runs[i]);
        describe(&runs[i], table + HEADER_WORDS + i * PIECE_WORDS);
    }
    change(table, kind == 0 ? &(fuzz_input){0} : input);
    if (kind == 2)
        table[1] = count_records(table);
    if (kind == 0)
        put_piece(&spill, input->data, input->bytes, input->bytes > 0, &saved->run);
    else
        put_piece(&spill, table, sizeof table, 1, &saved->run);
    saved->stamp = spill.stamp;
    saved->record_count =
        kind == 0 && input->bytes >= 16 ? *(const uint64_t *)memcpy(table, input->data + 8, 8) : table[1];
    qn_spill_fini(&spill);
}

static quern_status read_all(qn_pieces_reader *reader)
{
    const uint8_t *records = NULL;
    uint64_t bytes = 0, all = 0, sum = 0;
    qn_error error = {0};
    quern_status status;
    do {
        status = qn_pieces_reader_next(reader, &records, &bytes, &error);
        for (uint64_t i = 0; status == QUERN_OK && i < bytes; i++)
            sum += records[i]; /* each of them is there */
        all += bytes;
        FUZZ_CHECK(all <= READ_BYTES_MAX, "%llu bytes of records", (unsigned long long)all);
    } while (status == QUERN_OK && bytes > 0);
    FUZZ_CHECK(status == QUERN_OK || status == QUERN_ERROR_CORRUPT, "status %d: %s", status, error.text);
    FUZZ_CHECK(sum <= 255 * all, "bytes that are none");
    return status;
}

static void read_pieces(const char *path, const qn_saved *saved, bool is_right)
{
    qn_pieces_reader reader = {0};
    qn_error error = {0};
    quern_status status = qn_pieces_reader_open(&reader, path, saved, NULL, BLOCK_BYTES, &error);
    FUZZ_CHECK(status == QUERN_OK || status == QUERN_ERROR_CORRUPT, "status %d: %s", status, error.text);
    FUZZ_CHECK(status == QUERN_OK || !is_right, "refused: %s", error.text);
    if (status != QUERN_OK)
        return;
    qn_pieces_reader_begin_sample(&reader);
    status = read_all(&reader);
    for (uint32_t part = 0; part < 3; part++) {
        qn_pieces_reader_begin(&reader, part, 3);
        status = status == QUERN_OK ? read_all(&reader) : status;
    }
    FUZZ_CHECK(status == QUERN_OK || !is_right, "not read");
    qn_pieces_reader_close(&reader);
}

static void try_pieces(uint8_t kind, fuzz_input *input)
{
    char path[100];
    qn_saved saved = {.size = 1, .value_words = QN_BLOCK_PACKED};
    bool is_right = kind != 0 && input->bytes < 2;
    snprintf(path, sizeof path, "%s/fuzz-saved-%d", fuzz_directory(), (int)getpid());
    write_pieces(path, kind, input, &saved);
    read_pieces(path, &saved, is_right);
    unlink(path);
}

/* ---- parts that are finished */

static json_t *lines_of(const fuzz_input *input)
{
    json_t *lines = json_array();
    const char *at = (const char *)input->data, *end = at + input->bytes;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        json_array_append_new(lines, json_stringn_nocheck(at, (size_t)(stop - at)));
        at = stop + 1;
    }
    return lines;
}

static void try_parts(const fuzz_input *input)
{
    qn_part_list list = {.counter_count = COUNTER_COUNT}, again = {.counter_count = COUNTER_COUNT};
    json_t *lines = lines_of(input);
    bool is_list = qn_part_list_parse(&list, lines, PART_COUNT);
    FUZZ_CHECK(is_list || list.count == 0, "%zu parts of what is no list", list.count);
    FUZZ_CHECK(list.count <= json_array_size(lines), "%zu parts", list.count);
    for (size_t i = 0; i < list.count; i++)
        FUZZ_CHECK(list.items[i].number < PART_COUNT && (i == 0 || list.items[i - 1].number < list.items[i].number),
                   "number %llu", (unsigned long long)list.items[i].number);
    json_t *packed = qn_part_list_pack(&list);
    FUZZ_CHECK(packed && qn_part_list_parse(&again, packed, PART_COUNT) && again.count == list.count, "not again");
    for (size_t i = 0; i < list.count * COUNTER_COUNT; i++)
        FUZZ_CHECK(again.counted[i] == list.counted[i], "counted %lld", (long long)again.counted[i]);
    json_decref(packed);
    json_decref(lines);
    qn_part_list_fini(&list);
    qn_part_list_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_input input = {data, bytes};
    uint8_t kind = fuzz_take(&input) % 4;
    if (kind == 3)
        try_parts(&input);
    else
        try_pieces(kind, &input);
    return 0;
}
