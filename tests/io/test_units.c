/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_units.c: wherever a packed file is cut, its records are those of what is in it, each once, in order, with
 * the same identities; a block begun again is the same; damage and lies are errors. By default each kind of text, each packer
 * and each size of splits meets each of the other two; all three with each other at night.
 */
#include "runtime/io/record_plan.h"
#include "runtime/io/source.h"
#include "tests/kit.h"

#include <archive.h>
#include <archive_entry.h>
#include <bzlib.h>
#include <libdeflate.h>
#include <lz4frame.h>
#include <lzma.h>
#include <unistd.h>
#include <zstd.h>

#define PIECE_COUNT      60
#define RECORD_COUNT_MAX 200000
#define PACKED_MAX       ((size_t)8 << 20)

static kit_directory directory;
static qn_error error;
static qn_source source, resumed;
static uint8_t *text; /* what all files unpack to */
static size_t text_bytes;
static size_t piece_ends[PIECE_COUNT];
static uint8_t packed[PACKED_MAX];
static size_t packed_bytes;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    uint64_t state = 11;
    text_bytes = 0;
    text = kit_take((size_t)4 << 20);
    for (size_t i = 0; i < PIECE_COUNT; i++) {
        static const uint64_t sizes[] = {0, 1, 2, 30, 3000, 60000};
        size_t bytes = sizes[kit_random_below(&state, 6)];
        for (size_t n = 0; n < bytes; n++)
            text[text_bytes + n] = (uint8_t) " \nabcdefghijklm"[kit_random_below(&state, 15)];
        text_bytes += bytes;
        piece_ends[i] = text_bytes;
    }
}

static void tear_down(void)
{
    free(text);
    kit_remove_directory(&directory);
}

static void put_bgzf(const uint8_t *data, size_t bytes)
{
    uint8_t *to = packed + packed_bytes;
    static const uint8_t head[] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 6, 0, 'B', 'C', 2, 0};
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(1);
    memcpy(to, head, sizeof head);
    size_t got = libdeflate_deflate_compress(compressor, data, bytes, to + 18, 65536 - 26);
    libdeflate_free_compressor(compressor);
    ck_assert_uint_gt(got, 0);
    uint32_t all = (uint32_t)(18 + got + 8 - 1), sum = libdeflate_crc32(0, data, bytes), said = (uint32_t)bytes;
    to[16] = (uint8_t)all;
    to[17] = (uint8_t)(all >> 8);
    memcpy(to + 18 + got, &sum, 4);
    memcpy(to + 22 + got, &said, 4);
    packed_bytes += 18 + got + 8;
}

static void put_zstd(const uint8_t *data, size_t bytes, bool sized)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, sized);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    packed_bytes += ZSTD_compress2(context, packed + packed_bytes, PACKED_MAX - packed_bytes, data, bytes);
    ZSTD_freeCCtx(context);
}

static void put_zstd_sized(const uint8_t *data, size_t bytes)
{
    put_zstd(data, bytes, true);
}

static void put_zstd_unsized(const uint8_t *data, size_t bytes)
{
    static const uint8_t skipped[] = {0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3};
    memcpy(packed + packed_bytes, skipped, sizeof skipped);
    packed_bytes += sizeof skipped;
    put_zstd(data, bytes, false);
}

static void put_lz4(const uint8_t *data, size_t bytes)
{
    LZ4F_preferences_t how = {.frameInfo = {.contentChecksumFlag = 1, .blockChecksumFlag = bytes % 2}};
    how.frameInfo.contentSize = bytes % 3 == 0 ? bytes : 0;
    packed_bytes += LZ4F_compressFrame(packed + packed_bytes, PACKED_MAX - packed_bytes, data, bytes, &how);
}

static void put_bzip2(const uint8_t *data, size_t bytes)
{
    unsigned got = (unsigned)(PACKED_MAX - packed_bytes);
    ck_assert_int_eq(BZ2_bzBuffToBuffCompress((char *)packed + packed_bytes, &got, (char *)(uintptr_t)data,
                                              (unsigned)bytes, 1, 0, 0),
                     BZ_OK);
    packed_bytes += got;
}

static void put_xz(const uint8_t *data, size_t bytes)
{
    ck_assert_int_eq(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL, data, bytes, packed, &packed_bytes, PACKED_MAX),
                     LZMA_OK);
}

typedef struct packer {
    const char *name;
    void (*put)(const uint8_t *data, size_t bytes);
    qn_unit_kind kind;
    bool tells_sizes;
} packer;

static const packer packers[] = {
    {"bgzf", put_bgzf, QN_UNITS_BGZF, true},          {"zstd-sized", put_zstd_sized, QN_UNITS_ZSTD, true},
    {"zstd", put_zstd_unsized, QN_UNITS_ZSTD, false}, {"lz4", put_lz4, QN_UNITS_LZ4, false},
    {"bzip2", put_bzip2, QN_UNITS_BZIP2, false},      {"xz", put_xz, QN_UNITS_XZ, true},
};
#define PACKER_COUNT (sizeof packers / sizeof *packers)

static const char *write_packed(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", kit_path(&directory, name));
    kit_write_file(path, packed, packed_bytes);
    return path;
}

static const char *pack(const packer *by)
{
    packed_bytes = 0;
    for (size_t i = 0, begin = 0; i < PIECE_COUNT; begin = piece_ends[i++])
        by->put(text + begin, piece_ends[i] - begin);
    if (by->kind == QN_UNITS_BGZF)
        put_bgzf(text, 0);
    return write_packed(by->name);
}

static void list_file(qn_listing *listing, const char *path, uint64_t spacing, bool logical_only)
{
    kit_assert_ok(qn_listing_create(listing, &path, 1, &error), &error);
    if (spacing == 0)
        return;
    kit_assert_ok(qn_listing_examine(listing, 0, &error), &error);
    kit_assert_ok(qn_listing_find_units(listing, spacing, logical_only, false, &error), &error);
}

/* What was read: keys one behind the other with a newline behind each, and identities. */
typedef struct reading {
    qn_buffer keys;
    uint64_t *identities; /* [RECORD_COUNT_MAX] */
    size_t count;
    quern_status status;
} reading;

static void fini_reading(reading *done)
{
    qn_buffer_fini(&done->keys);
    free(done->identities);
}

static void check_resumption(const qn_buffer *task, const qn_batch *batch)
{
    qn_batch again;
    kit_assert_ok(qn_source_open(&resumed, task->data, task->bytes, qn_source_block_place(&source), &error), &error);
    kit_assert_ok(qn_source_next(&resumed, &again, &error), &error);
    size_t wrong_count = again.block.count != batch->block.count;
    for (size_t i = 0; i < batch->block.count && wrong_count == 0; i++)
        wrong_count += again.block.key_bytes[i] != batch->block.key_bytes[i] ||
                       memcmp(again.block.key[i], batch->block.key[i], again.block.key_bytes[i]) != 0;
    ck_assert_uint_eq(wrong_count, 0);
}

static void read_task(const qn_buffer *task, bool resume, reading *to)
{
    qn_batch batch = {0};
    to->status = qn_source_open(&source, task->data, task->bytes, NULL, &error);
    while (to->status == QUERN_OK) {
        to->status = qn_source_next(&source, &batch, &error);
        if (to->status != QUERN_OK || batch.block.count == 0)
            return;
        ck_assert_uint_le(to->count + batch.block.count, RECORD_COUNT_MAX);
        qn_source_identify(&source, batch.block.count, to->identities + to->count);
        to->count += batch.block.count;
        for (size_t i = 0; i < batch.block.count; i++) {
            qn_buffer_append(&to->keys, batch.block.key[i], batch.block.key_bytes[i]);
            qn_buffer_append(&to->keys, "\n", 1);
            if (source.kind == QN_SOURCE_RECORDS)
                qn_buffer_append_span(&to->keys, batch.block.value[i], batch.block.value_bytes[i]);
        }
        if (resume)
            check_resumption(task, &batch);
    }
}

static reading read_all(const qn_source_format *format, const qn_listing *listing, uint64_t split_bytes, bool resume,
                        uint32_t *task_count_out)
{
    qn_splits splits;
    qn_buffer task = {0};
    reading got = {.identities = kit_take(RECORD_COUNT_MAX * sizeof(uint64_t))};
    kit_assert_ok(qn_source_init(&source, format, 1 << 30, &error), &error);
    kit_assert_ok(qn_source_init(&resumed, format, 1 << 30, &error), &error);
    kit_assert_ok(qn_splits_create(&splits, listing, split_bytes, &error), &error);
    for (uint32_t i = 0; i < splits.count && got.status == QUERN_OK; i++) {
        task.bytes = 0;
        qn_split_encode(&splits.items[i], listing, &task);
        read_task(&task, resume, &got);
    }
    *task_count_out = splits.count;
    qn_source_fini(&source);
    qn_source_fini(&resumed);
    qn_splits_destroy(&splits);
    qn_buffer_fini(&task);
    return got;
}

static qn_source_format lines_or_words(bool words)
{
    qn_source_format format = {.kind = QN_SOURCE_TEXT, .skip_empty = words};
    ck_assert(qn_delimiters_init(&format.delimiters, words ? " \n" : "\n", words ? 2 : 1));
    return format;
}

static reading read_file(const qn_source_format *format, const char *path, uint64_t spacing, uint64_t split_bytes,
                         bool resume, uint32_t *task_count_out)
{
    qn_listing listing;
    list_file(&listing, path, spacing, format->kind == QN_SOURCE_FIXED);
    if (format->kind == QN_SOURCE_RECORDS)
        kit_assert_ok(qn_record_plan(&format->records, &listing, &error), &error);
    reading got = read_all(format, &listing, split_bytes, resume, task_count_out);
    qn_listing_destroy(&listing);
    return got;
}

static void check_same_keys(const reading *expected, const reading *got, const char *name)
{
    ck_assert_msg(got->status == QUERN_OK, "%s: %s", name, error.text);
    ck_assert_msg(got->count == expected->count && got->keys.bytes == expected->keys.bytes &&
                      memcmp(got->keys.data, expected->keys.data, expected->keys.bytes) == 0,
                  "%s: other records: %zu, not %zu", name, got->count, expected->count);
}

START_TEST(records_and_identities_are_the_same_wherever_a_packed_file_is_cut)
{
    uint32_t tasks;
    for (int words = 0; words < 2; words++) {
        qn_source_format format = lines_or_words(words);
        const char *plain = kit_path(&directory, "plain");
        kit_write_file(plain, text, text_bytes);
        reading expected = read_file(&format, plain, 0, UINT64_MAX, false, &tasks);
        for (size_t i = 0; i < PACKER_COUNT; i++) {
            const char *path = pack(&packers[i]);
            reading whole = read_file(&format, path, 0, UINT64_MAX, false, &tasks);
            check_same_keys(&expected, &whole, packers[i].name);
            size_t number = (size_t)words + i;
            for (uint64_t split_bytes = 1; split_bytes < packed_bytes; split_bytes = split_bytes * 16 + 3) {
                if (!kit_is_chosen(number++, 2))
                    continue;
                reading got = read_file(&format, path, split_bytes, split_bytes, split_bytes > 1000, &tasks);
                ck_assert_msg(split_bytes > 1 || tasks > 15, "%s: %u tasks", packers[i].name, tasks);
                check_same_keys(&expected, &got, packers[i].name);
                ck_assert_msg(memcmp(got.identities, whole.identities, got.count * sizeof(uint64_t)) == 0, "%s",
                              packers[i].name);
                fini_reading(&got);
            }
            fini_reading(&whole);
        }
        fini_reading(&expected);
    }
}
END_TEST

/* ---- sequences and rows, in files whose units end anywhere in them */

typedef enum form {
    FORM_FASTQ,
    FORM_FASTQ_PAIRS, /* these and the next two cannot be cut */
    FORM_FASTQ_OF_LINES,
    FORM_ROWS_WITH_BREAKS,
    FORM_FASTA,
    FORM_FASTA_PIECES,
    FORM_ROWS,
    FORM_ROWS_WITH_HEADER,
    FORM_COUNT,
} form;

static bool is_uncut(form of)
{
    return of == FORM_FASTQ_PAIRS || of == FORM_FASTQ_OF_LINES || of == FORM_ROWS_WITH_BREAKS;
}

static qn_source_format format_of(form of)
{
    qn_source_format format = {.kind = QN_SOURCE_RECORDS};
    bool is_rows = of == FORM_ROWS || of == FORM_ROWS_WITH_HEADER || of == FORM_ROWS_WITH_BREAKS;
    format.records.kind = is_rows ? QN_RECORDS_ROWS : QN_RECORDS_SEQUENCES;
    format.records.sequences.interleaved = of == FORM_FASTQ_PAIRS;
    format.records.sequences.piece_bases = of == FORM_FASTA_PIECES ? 100 : 0;
    format.records.sequences.overlap_bases = of == FORM_FASTA_PIECES ? 20 : 0;
    format.records.rows = (qn_row_format){.separator = ',',
                                          .has_quotes = true,
                                          .has_quoted_newlines = of == FORM_ROWS_WITH_BREAKS,
                                          .has_header = of == FORM_ROWS_WITH_HEADER,
                                          .key_name = of == FORM_ROWS_WITH_HEADER ? "key" : NULL};
    return format;
}

static void put_letters(const char *letters, size_t count, uint64_t *state)
{
    for (size_t of = strlen(letters); count > 0; count--)
        text[text_bytes++] = (uint8_t)letters[kit_random_below(state, of)];
}

static void put_text(const char *what)
{
    memcpy(text + text_bytes, what, strlen(what));
    text_bytes += strlen(what);
}

static void put_record(form of, size_t number, uint64_t *state)
{
    char name[32];
    size_t count = kit_random_below(state, 120);
    snprintf(name, sizeof name, "%zu", of == FORM_FASTQ_PAIRS ? number / 2 : number);
    bool is_rows = format_of(of).records.kind == QN_RECORDS_ROWS,
         is_fasta = of == FORM_FASTA || of == FORM_FASTA_PIECES;
    put_text(is_rows ? "\"" : is_fasta ? ">" : "@");
    put_text(name);
    if (is_rows) {
        put_letters(of == FORM_ROWS_WITH_BREAKS ? "ab,\n" : "ab,", count, state);
        put_text("\",x\n");
        return;
    }
    put_text("\n");
    put_letters("ACGT", is_fasta ? 10 * count : count, state);
    put_text(of == FORM_FASTQ_OF_LINES ? "\nACGT\n" : "\n");
    if (is_fasta)
        return;
    put_text("+\n");
    put_letters("@+>I", count, state);
    put_text(of == FORM_FASTQ_OF_LINES ? "\n@@++\n" : "\n");
}

static void make_text(form of, uint64_t seed)
{
    uint64_t state = seed;
    text_bytes = 0;
    if (of == FORM_ROWS_WITH_HEADER)
        put_text("other,key\n");
    for (size_t i = 0; i < 250; i++)
        put_record(of, i, &state);
    for (size_t i = 0; i < PIECE_COUNT; i++)
        piece_ends[i] = i + 1 == PIECE_COUNT
                            ? text_bytes
                            : kit_random_below(&state, 2 + text_bytes / PIECE_COUNT) + text_bytes * i / PIECE_COUNT;
}

START_TEST(sequences_and_rows_are_the_same_wherever_a_packed_file_is_cut)
{
    uint32_t tasks;
    for (form of = 0; of < FORM_COUNT; of++) {
        qn_source_format format = format_of(of);
        make_text(of, 1 + (uint64_t)of);
        const char *plain = kit_path(&directory, "plain");
        kit_write_file(plain, text, text_bytes);
        reading expected = read_file(&format, plain, 0, UINT64_MAX, false, &tasks);
        ck_assert_msg(expected.status == QUERN_OK && expected.count >= 250, "%s", error.text);
        for (size_t i = 0; i < PACKER_COUNT; i++) {
            const char *path = pack(&packers[i]);
            reading whole = read_file(&format, path, 0, UINT64_MAX, false, &tasks);
            check_same_keys(&expected, &whole, packers[i].name);
            size_t number = (size_t)of + i;
            for (uint64_t split_bytes = 1; split_bytes < packed_bytes; split_bytes = split_bytes * 60 + 3) {
                if (!kit_is_chosen(number++, 3))
                    continue;
                reading got = read_file(&format, path, split_bytes, split_bytes, split_bytes > 20, &tasks);
                ck_assert_msg(is_uncut(of) ? tasks == 1 : split_bytes > 1 || tasks > 15, "%s: %u tasks",
                              packers[i].name, tasks);
                check_same_keys(&expected, &got, packers[i].name);
                ck_assert_msg(memcmp(got.identities, whole.identities, got.count * sizeof(uint64_t)) == 0, "%s",
                              packers[i].name);
                fini_reading(&got);
            }
            fini_reading(&whole);
        }
        fini_reading(&expected);
    }
}
END_TEST

START_TEST(records_of_one_length_are_cut_where_sizes_are_told_and_read_as_one_elsewhere)
{
    qn_source_format format = {.kind = QN_SOURCE_FIXED, .layout = {.record_bytes = 7, .key_bytes = 7}};
    uint32_t tasks;
    size_t cut = text_bytes % 7;
    piece_ends[PIECE_COUNT - 1] = text_bytes -= cut;
    for (size_t i = 0; i + 1 < PIECE_COUNT; i++)
        piece_ends[i] = piece_ends[i] < text_bytes ? piece_ends[i] : text_bytes;
    const char *plain = kit_path(&directory, "plain");
    kit_write_file(plain, text, text_bytes);
    reading expected = read_file(&format, plain, 0, UINT64_MAX, false, &tasks);
    for (size_t i = 0; i < PACKER_COUNT; i++) {
        const char *path = pack(&packers[i]);
        reading got = read_file(&format, path, 1, 1, true, &tasks);
        check_same_keys(&expected, &got, packers[i].name);
        ck_assert_msg((tasks > 15) == packers[i].tells_sizes, "%s: %u tasks", packers[i].name, tasks);
        fini_reading(&got);
    }
    fini_reading(&expected);
}
END_TEST

START_TEST(a_flipped_bit_anywhere_is_an_error_or_changes_nothing)
{
    uint64_t state = 8;
    uint32_t tasks;
    const unsigned flip_count = kit_is_slow() ? 60 : 20;
    qn_source_format format = lines_or_words(false);
    const char *plain = kit_path(&directory, "plain");
    kit_write_file(plain, text, text_bytes);
    reading expected = read_file(&format, plain, 0, UINT64_MAX, false, &tasks);
    for (size_t i = 0; i < PACKER_COUNT; i++) {
        pack(&packers[i]);
        size_t error_count = 0;
        for (unsigned n = 0; n < flip_count; n++) {
            size_t at = 20 + kit_random_below(&state, packed_bytes - 20);
            packed[at] ^= (uint8_t)(1u << n % 8);
            const char *path = write_packed("flipped");
            qn_error_clear(&error);
            reading got = read_file(&format, path, 1 + n * 100, 1 + n * 100, false, &tasks);
            error_count += got.status != QUERN_OK;
            if (got.status == QUERN_OK)
                check_same_keys(&expected, &got, packers[i].name);
            else
                ck_assert_ptr_nonnull(strstr(error.text, path));
            fini_reading(&got);
            packed[at] ^= (uint8_t)(1u << n % 8);
        }
        ck_assert_msg(error_count > flip_count / 2, "%s: %zu errors", packers[i].name, error_count);
    }
    fini_reading(&expected);
}
END_TEST

/* What was passed over: places, reasons and bytes, one behind the other. */
static void note_bad(qn_buffer *to)
{
    char line[64];
    for (size_t i = 0; i < source.bad.count; i++) {
        const qn_bad_item *item = &source.bad.items[i];
        int bytes = snprintf(line, sizeof line, "%llu,%llu,%llu:", (unsigned long long)item->place.unit,
                             (unsigned long long)item->place.offset, (unsigned long long)item->bytes);
        qn_buffer_append(to, line, (size_t)bytes);
        qn_buffer_append(to, item->texts.data, item->texts.bytes);
        qn_buffer_append(to, "\n", 1);
    }
}

/* All records of a damaged file, and behind them what is bad. */
static qn_buffer read_damaged(const qn_source_format *format, uint64_t record_bytes_max, const char *path,
                              uint64_t split_bytes, size_t *bad_count_out)
{
    qn_listing listing;
    qn_splits splits;
    qn_batch batch;
    qn_buffer task = {0}, records = {0}, bad = {0};
    bool needs_offsets = format->kind == QN_SOURCE_FIXED || format->value == QUERN_TEXT_OFFSET;
    list_file(&listing, path, split_bytes == UINT64_MAX ? 0 : split_bytes, needs_offsets);
    kit_assert_ok(qn_source_init(&source, format, record_bytes_max, &error), &error);
    qn_source_pass_bad(&source, true);
    qn_source_forgive_damage(&source, true);
    kit_assert_ok(qn_splits_create(&splits, &listing, split_bytes, &error), &error);
    *bad_count_out = 0;
    for (uint32_t i = 0; i < splits.count; i++) {
        task.bytes = 0;
        qn_split_encode(&splits.items[i], &listing, &task);
        kit_assert_ok(qn_source_open(&source, task.data, task.bytes, NULL, &error), &error);
        for (batch.block.count = 1; batch.block.count > 0 || source.bad.count > 0;) {
            kit_assert_ok(qn_source_next(&source, &batch, &error), &error);
            for (size_t n = 0; n < batch.block.count; n++)
                qn_buffer_append_span(&records, batch.block.key[n], batch.block.key_bytes[n]);
            *bad_count_out += source.bad.count;
            note_bad(&bad);
        }
    }
    qn_buffer_append(&records, bad.data, bad.bytes);
    qn_source_fini(&source);
    qn_splits_destroy(&splits);
    qn_listing_destroy(&listing);
    qn_buffer_fini(&task);
    qn_buffer_fini(&bad);
    return records;
}

static qn_source_format damaged_format(unsigned number)
{
    qn_source_format format = lines_or_words(number % 2 == 0);
    if (number % 4 == 1)
        format.value = QUERN_TEXT_OFFSET;
    if (number % 4 == 3)
        format = (qn_source_format){
            .kind = QN_SOURCE_FIXED,
            .layout = {.record_bytes = 7, .key_type = QUERN_FIXED, .key_bytes = 7, .value_type = QUERN_NONE}};
    return format;
}

static void check_damaged(const char *name, unsigned round, size_t *bad_count_out)
{
    qn_source_format format = damaged_format(round);
    uint64_t record_bytes_max = round % 5 == 0 ? 40 : 1 << 20;
    size_t again_count;
    const char *path = write_packed("damaged");
    qn_buffer once = read_damaged(&format, record_bytes_max, path, UINT64_MAX, bad_count_out);
    for (uint64_t split_bytes = 1; split_bytes < packed_bytes; split_bytes = 1 + split_bytes * 300) {
        qn_buffer again = read_damaged(&format, record_bytes_max, path, split_bytes, &again_count);
        ck_assert_msg(again.bytes == once.bytes && memcmp(again.data, once.data, once.bytes) == 0,
                      "%s, round %u, splits of %llu: %zu bad, not %zu", name, round, (unsigned long long)split_bytes,
                      again_count, *bad_count_out);
        qn_buffer_fini(&again);
    }
    qn_buffer_fini(&once);
}

START_TEST(what_is_lost_by_damage_is_the_same_wherever_a_packed_file_is_cut)
{
    uint64_t state = 21;
    const unsigned round_count = kit_is_slow() ? 200 : 10;
    uint8_t *sound = kit_take(PACKED_MAX);
    for (size_t i = 0; i < PACKER_COUNT; i++) {
        size_t most = 0, bad_count;
        pack(&packers[i]);
        memcpy(sound, packed, packed_bytes);
        for (unsigned round = 0; round < round_count; round++) {
            memcpy(packed, sound, packed_bytes);
            for (uint64_t flips = 1 + kit_random_below(&state, 3); flips > 0; flips--)
                packed[20 + kit_random_below(&state, packed_bytes - 20)] ^= (uint8_t)(1u << round % 8);
            check_damaged(packers[i].name, round, &bad_count);
            most = round % 5 > 0 && bad_count > most ? bad_count : most;
        }
        ck_assert_msg(most > 1, "%s: at most %zu damaged places", packers[i].name, most);
    }
    free(sound);
}
END_TEST

START_TEST(a_truncated_file_is_an_error)
{
    uint32_t tasks;
    qn_source_format format = lines_or_words(false);
    for (size_t i = 0; i < PACKER_COUNT; i++) {
        pack(&packers[i]);
        packed_bytes -= packed_bytes / 3;
        const char *path = write_packed("truncated");
        for (uint64_t split_bytes = 1; split_bytes < packed_bytes; split_bytes *= 300) {
            qn_error_clear(&error);
            reading got = read_file(&format, path, split_bytes, split_bytes, false, &tasks);
            /* What ends with a whole unit is whole. */
            ck_assert_msg(got.status == QUERN_ERROR_INPUT, "%s", packers[i].name);
            fini_reading(&got);
        }
    }
}
END_TEST

/* Members of the pieces, some of them in directories; format by libarchive's code. */
static const char *pack_members(const char *name, int format, const char *options)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", kit_path(&directory, name));
    struct archive *archive = archive_write_new();
    ck_assert_int_eq(archive_write_set_format(archive, format), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_set_options(archive, options), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_open_filename(archive, path), ARCHIVE_OK);
    for (size_t i = 0, begin = 0; i < PIECE_COUNT; begin = piece_ends[i++]) {
        struct archive_entry *entry = archive_entry_new();
        char member[300];
        snprintf(member, sizeof member, "%s/%0*zu", i % 3 ? "d\xc3\xa9" : "e",
                 i % 7 > 0                            ? 3
                 : format == ARCHIVE_FORMAT_TAR_USTAR ? 90
                                                      : 180,
                 i);
        archive_entry_set_pathname(entry, member);
        archive_entry_set_filetype(entry, i % 11 == 5 ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        size_t bytes = i % 11 == 5 ? 0 : piece_ends[i] - begin;
        archive_entry_set_size(entry, (la_int64_t)bytes);
        ck_assert_int_ge(archive_write_header(archive, entry), ARCHIVE_WARN);
        if (bytes > 0)
            ck_assert_int_eq(archive_write_data(archive, text + begin, bytes), (la_ssize_t)bytes);
        archive_entry_free(entry);
    }
    ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
    return path;
}

START_TEST(members_are_the_same_wherever_an_archive_is_cut)
{
    const struct {
        const char *name, *options;
        int format;
    } archives[] = {{"ustar", "", ARCHIVE_FORMAT_TAR_USTAR},
                    {"pax", "", ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE},
                    {"gnu", "", ARCHIVE_FORMAT_TAR_GNUTAR},
                    {"zip", "zip:compression=deflate", ARCHIVE_FORMAT_ZIP},
                    {"stored", "zip:compression=store", ARCHIVE_FORMAT_ZIP},
                    {"zip64", "zip:zip64", ARCHIVE_FORMAT_ZIP}};
    for (size_t i = 0; i < sizeof archives / sizeof *archives; i++) {
        uint32_t tasks;
        qn_source_format format = lines_or_words(false);
        format.value = QUERN_TEXT_PLACE;
        const char *path = pack_members(archives[i].name, archives[i].format, archives[i].options);
        reading whole = read_file(&format, path, 0, UINT64_MAX, false, &tasks);
        ck_assert_msg(whole.status == QUERN_OK && whole.count > 1000, "%s: %s", archives[i].name, error.text);
        size_t number = i;
        for (uint64_t split_bytes = 1; split_bytes < text_bytes; split_bytes = split_bytes * 5 + 1) {
            if (!kit_is_chosen(number++, 2))
                continue;
            reading got = read_file(&format, path, split_bytes + 40, split_bytes + 40, split_bytes > 100, &tasks);
            ck_assert_msg(split_bytes > 1 || tasks > 20, "%s: %u tasks", archives[i].name, tasks);
            check_same_keys(&whole, &got, archives[i].name);
            ck_assert_msg(memcmp(got.identities, whole.identities, got.count * sizeof(uint64_t)) == 0, "%s",
                          archives[i].name);
            fini_reading(&got);
        }
        fini_reading(&whole);
    }
}
END_TEST

START_TEST(a_damaged_header_in_a_tar_is_an_error_and_loses_no_member)
{
    uint32_t tasks;
    qn_source_format format = lines_or_words(false);
    size_t bytes = 0, header_count = 0;
    const char *path = pack_members("damaged", ARCHIVE_FORMAT_TAR_USTAR, "");
    char *made = kit_read_file(path, &bytes);
    for (size_t at = 512; at + 512 <= bytes && header_count < 12; at += 512) {
        if (memcmp(made + at + 257, "ustar", 5) != 0)
            continue;
        header_count++;
        made[at + 100] ^= 1;
        kit_write_file(path, made, bytes);
        for (uint64_t split_bytes = 1; split_bytes < bytes; split_bytes *= 300) {
            reading got = read_file(&format, path, split_bytes, split_bytes, false, &tasks);
            ck_assert_msg(got.status == QUERN_ERROR_INPUT, "the header at %zu, splits of %llu", at,
                          (unsigned long long)split_bytes);
            fini_reading(&got);
        }
        made[at + 100] ^= 1;
    }
    ck_assert_uint_eq(header_count, 12);
    free(made);
}
END_TEST

/* What has no end of its format, though no unit is cut: an error, or one bad record, wherever it is cut. */
static void check_lacks_end(const char *path)
{
    qn_source_format format = lines_or_words(false);
    size_t once_count, again_count;
    qn_buffer once = read_damaged(&format, 1 << 20, path, UINT64_MAX, &once_count);
    ck_assert_uint_eq(once_count, 1);
    for (uint64_t split_bytes = 200; split_bytes < 1000000; split_bytes *= 60) {
        uint32_t tasks;
        qn_error_clear(&error);
        reading got = read_file(&format, path, split_bytes, split_bytes, false, &tasks);
        ck_assert_msg(got.status == QUERN_ERROR_INPUT && strstr(error.text, "truncated"), "%s: %s", path, error.text);
        ck_assert_msg(split_bytes > 200 || tasks > 2, "%s: %u tasks", path, tasks);
        fini_reading(&got);
        qn_error_clear(&error);
        qn_buffer again = read_damaged(&format, 1 << 20, path, split_bytes, &again_count);
        ck_assert_msg(again.bytes == once.bytes && memcmp(again.data, once.data, once.bytes) == 0,
                      "%s, splits of %llu: %zu bad", path, (unsigned long long)split_bytes, again_count);
        qn_buffer_fini(&again);
    }
    qn_buffer_fini(&once);
}

START_TEST(a_tar_cut_between_members_is_truncated)
{
    const int formats[] = {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE};
    for (size_t i = 0; i < 2; i++) {
        qn_listing listing;
        size_t bytes;
        const char *path = pack_members("whole.tar", formats[i], "");
        char *whole = kit_read_file(path, &bytes);
        list_file(&listing, path, 1, false);
        const qn_units *units = &listing.files[0].units;
        for (size_t cut = 12 + i; cut < units->count; cut += units->count - 20) {
            const char *cut_path = kit_path(&directory, "cut.tar");
            kit_write_file(cut_path, whole, units->borders[cut].offset);
            check_lacks_end(cut_path);
        }
        qn_listing_destroy(&listing);
        free(whole);
    }
}
END_TEST

START_TEST(a_file_of_bgzf_cut_between_blocks_is_truncated)
{
    for (size_t cut = 20; cut < PIECE_COUNT; cut += 27) {
        packed_bytes = 0;
        for (size_t i = 0, begin = 0; i <= cut; begin = piece_ends[i++])
            put_bgzf(text + begin, piece_ends[i] - begin);
        put_bgzf(text, 1);
        check_lacks_end(write_packed("cut"));
    }
}
END_TEST

static void put_gzip(const uint8_t *data, size_t bytes)
{
    struct libdeflate_compressor *by = libdeflate_alloc_compressor(1);
    packed_bytes += libdeflate_gzip_compress(by, data, bytes, packed + packed_bytes, PACKED_MAX - packed_bytes);
    libdeflate_free_compressor(by);
}

START_TEST(members_of_gzip_and_zeros_behind_blocks_are_read_wherever_a_file_is_cut)
{
    uint32_t tasks;
    size_t bad_count;
    qn_source_format format = lines_or_words(false);
    const char *plain = kit_path(&directory, "plain");
    kit_write_file(plain, text, text_bytes);
    reading expected = read_file(&format, plain, 0, UINT64_MAX, false, &tasks);
    packed_bytes = 0;
    for (size_t i = 0, begin = 0; i < PIECE_COUNT; begin = piece_ends[i++])
        (i % 20 > 15 ? put_gzip : put_bgzf)(text + begin, piece_ends[i] - begin);
    put_bgzf(text, 0);
    memset(packed + packed_bytes, 0, 100);
    packed_bytes += 100;
    const char *path = write_packed("mixed");
    for (uint64_t split_bytes = 1; split_bytes < packed_bytes; split_bytes *= 30) {
        reading got = read_file(&format, path, split_bytes, split_bytes, true, &tasks);
        ck_assert_msg(split_bytes > 1 || tasks > 5, "%u tasks", tasks);
        check_same_keys(&expected, &got, "mixed");
        fini_reading(&got);
    }
    for (unsigned round = 0; round < 8; round++) {
        size_t at = packed_bytes * (round + 1) / 9;
        packed[at] ^= 0x10;
        check_damaged("mixed", 2 * round, &bad_count);
        packed[at] ^= 0x10;
    }
    fini_reading(&expected);
}
END_TEST

START_TEST(a_frame_that_lies_about_its_length_is_an_error)
{
    uint32_t tasks;
    qn_source_format format = lines_or_words(false);
    packed_bytes = 0;
    size_t begins[3];
    for (size_t i = 0; i < 3; i++) {
        begins[i] = packed_bytes;
        put_zstd(text, 50000 - i, true);
    }
    packed[begins[1] + 5]--; /* the low byte of the length: one byte more than it says */
    const char *path = write_packed("lie");
    reading got = read_file(&format, path, 1, 1, false, &tasks);
    ck_assert_uint_eq(tasks, 3);
    ck_assert_int_eq(got.status, QUERN_ERROR_INPUT);
    fini_reading(&got);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        records_and_identities_are_the_same_wherever_a_packed_file_is_cut,
        sequences_and_rows_are_the_same_wherever_a_packed_file_is_cut,
        records_of_one_length_are_cut_where_sizes_are_told_and_read_as_one_elsewhere,
        a_flipped_bit_anywhere_is_an_error_or_changes_nothing,
        what_is_lost_by_damage_is_the_same_wherever_a_packed_file_is_cut,
        a_truncated_file_is_an_error,
        members_are_the_same_wherever_an_archive_is_cut,
        a_damaged_header_in_a_tar_is_an_error_and_loses_no_member,
        a_tar_cut_between_members_is_truncated,
        a_file_of_bgzf_cut_between_blocks_is_truncated,
        members_of_gzip_and_zeros_behind_blocks_are_read_wherever_a_file_is_cut,
        a_frame_that_lies_about_its_length_is_an_error,
    };
    return kit_run_tests("units", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
