/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_text_source.c: the records of all tasks, wherever files are cut, are those of a plain split.
 *
 * Tasks are checked in passing: blocks are not too large, a block that is begun again at its place is the same with the
 * same ones behind it, and records are where they are said to be.
 */
#include "runtime/base/pages.h"
#include "runtime/io/text_source.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <unistd.h>

#define CUT_COUNT_MAX    64
#define RECORD_BYTES_MAX ((uint64_t)1 << 30)

static kit_directory directory;
static const char *path;
static qn_error error;
static qn_text_source source, resumed;
static quern_text_value value_kind; /* of the sources that are opened */

typedef struct content {
    uint8_t *data;
    size_t bytes;
} content;

typedef struct record {
    size_t begin, bytes;
} record;

typedef struct records {
    record *items;
    size_t count, capacity;
} records;

static void records_add(records *to, size_t begin, size_t bytes)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity ? 2 * to->capacity : 1024;
        to->items = realloc(to->items, to->capacity * sizeof *to->items);
        if (!to->items)
            abort();
    }
    to->items[to->count++] = (record){begin, bytes};
}

/* The records of a file, looking at one byte after the other. */
static void model_split(const content *file, const char *delimiters, bool skip_empty, records *out)
{
    size_t begin = 0;
    out->count = 0;
    for (size_t i = 0; i <= file->bytes; i++) {
        bool at_end = i == file->bytes;
        if (!at_end && !strchr(delimiters, file->data[i]))
            continue;
        if (i > begin || (!skip_empty && !at_end))
            records_add(out, begin, i - begin);
        begin = i + 1;
    }
}

static void open_sources(const char *delimiters, bool skip_empty, uint64_t record_bytes_max)
{
    qn_delimiters set;
    ck_assert(qn_delimiters_init(&set, delimiters, strlen(delimiters)));
    qn_error_clear(&error);
    kit_assert_ok(qn_text_source_init(&source, &set, skip_empty, value_kind, record_bytes_max, &error), &error);
    kit_assert_ok(qn_text_source_init(&resumed, &set, skip_empty, value_kind, record_bytes_max, &error), &error);
}

static void close_sources(void)
{
    qn_text_source_fini(&source);
    qn_text_source_fini(&resumed);
}

static void put_segment(qn_buffer *message, uint64_t begin, uint64_t end, uint64_t file_bytes)
{
    qn_buffer_append_u64(message, begin);
    qn_buffer_append_u64(message, end);
    qn_buffer_append_u64(message, file_bytes);
    qn_buffer_append_u64(message, 0);
    qn_buffer_append_u64(message, QN_PACKING_NONE);
    qn_buffer_append_span(message, path, strlen(path) + 1);
}

static void make_task(qn_buffer *message, uint64_t begin, uint64_t end, uint64_t file_bytes)
{
    message->bytes = 0;
    qn_buffer_append_u32(message, 1);
    put_segment(message, begin, end, file_bytes);
}

/* Begins again at the place of the source's last block: the same block, and the one behind it. */
static void check_resumption(const qn_buffer *task, const qn_batch *block)
{
    qn_batch again;
    qn_text_place place = source.task.block_place;
    quern_status status = qn_task_reader_open(&resumed.task, task->data, task->bytes, &place, &error);
    if (status == QUERN_OK)
        status = qn_text_source_next(&resumed, &again, &error);
    if (status != QUERN_OK || again.block.count != block->block.count)
        ck_abort_msg("a block that was begun again is another: %s", error.text);
    size_t wrong_count = 0;
    for (size_t i = 0; i < again.block.count; i++)
        wrong_count += again.block.key_bytes[i] != block->block.key_bytes[i] ||
                       memcmp(again.block.key[i], block->block.key[i], again.block.key_bytes[i]) != 0;
    if (wrong_count > 0)
        ck_abort_msg("%zu records of a block that was begun again are others", wrong_count);
}

/* A record has its path, its byte, or both, as its value. */
static bool value_is_place(const quern_record *given, uint64_t begin)
{
    quern_span value = given->value;
    switch (value_kind) {
    case QUERN_TEXT_NO_VALUE:
        return value.bytes == 0;
    case QUERN_TEXT_OFFSET:
        return value.bytes == 8 && quern_u64(value) == begin && (uintptr_t)value.data % 8 == 0;
    case QUERN_TEXT_PLACE:
        if (value.bytes < 8 || quern_place_offset(value) != begin)
            return false;
        value = quern_place_path(value);
        break;
    case QUERN_TEXT_PATH:
        break;
    }
    return value.bytes == strlen(path) && memcmp(value.data, path, value.bytes) == 0;
}

/* Runs one task of the present file and appends its records. resume_every 0: never. */
static void run_task(const qn_buffer *task, const content *file, records *out, size_t resume_every)
{
    size_t block_count = 0;
    if (qn_task_reader_open(&source.task, task->data, task->bytes, NULL, &error) != QUERN_OK)
        ck_abort_msg("%s", error.text);
    for (qn_batch batch;; block_count++) {
        quern_status status = qn_text_source_next(&source, &batch, &error);
        if (status != QUERN_OK || batch.block.count > QN_BATCH_COUNT_MAX)
            ck_abort_msg("%s, a block of %zu", error.text, batch.block.count);
        if (batch.block.count == 0)
            break;
        for (size_t i = 0; i < batch.block.count; i++) {
            uint64_t begin = 0;
            const char *of = qn_text_source_locate(&source, (uint32_t)i, &begin);
            uint32_t bytes = batch.block.key_bytes[i];
            if (strcmp(of, path) != 0 || begin + bytes > file->bytes ||
                memcmp(batch.block.key[i], file->data + begin, bytes) != 0)
                ck_abort_msg("record %zu of block %zu is not at %llu", i, block_count, (unsigned long long)begin);
            quern_record given = qn_batch_record(&batch, i);
            if (!value_is_place(&given, begin))
                ck_abort_msg("the value of record %zu of block %zu is not its place", i, block_count);
            records_add(out, begin, bytes);
        }
        if (resume_every > 0 && block_count % resume_every == 0)
            check_resumption(task, &batch);
    }
    qn_batch beyond;
    quern_status status = qn_text_source_next(&source, &beyond, &error);
    if (status != QUERN_OK || beyond.block.count != 0)
        ck_abort_msg("a task that was over went on");
}

static bool same_records(const records *a, const records *b)
{
    return a->count == b->count && memcmp(a->items, b->items, a->count * sizeof *a->items) == 0;
}

/* All tasks of the file cut at `cuts`, against the plain split. */
static void check_cuts(const content *file, const uint64_t *cuts, size_t cut_count, const records *expected,
                       size_t resume_every)
{
    static records got;
    qn_buffer task = {0};
    uint64_t begin = 0;
    got.count = 0;
    for (size_t i = 0; i <= cut_count; i++) {
        uint64_t end = i < cut_count ? cuts[i] : file->bytes;
        if (end > begin) {
            make_task(&task, begin, end, file->bytes);
            run_task(&task, file, &got, resume_every);
        }
        begin = end;
    }
    qn_buffer_fini(&task);
    if (same_records(&got, expected))
        return;
    char text[400] = "";
    for (size_t i = 0; i < cut_count && i < 8; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), " %llu", (unsigned long long)cuts[i]);
    ck_abort_msg("%zu records instead of %zu, of '%.*s' (%zu bytes) cut at%s, skip_empty %d", got.count,
                 expected->count, file->bytes < 64 ? (int)file->bytes : 0, file->data, file->bytes, text,
                 (int)source.skip_empty);
}

static void set_up(void)
{
    static char text[128];
    kit_make_directory(&directory);
    snprintf(text, sizeof text, "%s/file", directory.path);
    path = text;
    qn_error_clear(&error);
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

/* All texts of three letters up to six bytes long, cut at every one and every two places. */
#ifdef __SANITIZE_ADDRESS__
#define SMALL_BYTES_MAX 5 /* a third of the time */
#else
#define SMALL_BYTES_MAX 6
#endif

static void check_small_files(bool skip_empty)
{
    static records expected;
    open_sources(" \n", skip_empty, RECORD_BYTES_MAX);
    for (size_t bytes = 1; bytes <= SMALL_BYTES_MAX; bytes++) {
        size_t file_count = 1;
        for (size_t i = 0; i < bytes; i++)
            file_count *= 3;
        for (size_t number = 0; number < file_count; number++) {
            uint8_t data[8];
            content file = {data, bytes};
            for (size_t i = 0, rest = number; i < bytes; i++, rest /= 3)
                data[i] = (uint8_t) "a \n"[rest % 3];
            kit_write_file(path, data, bytes);
            model_split(&file, " \n", skip_empty, &expected);
            check_cuts(&file, NULL, 0, &expected, 1);
            for (uint64_t first = 1; first < bytes; first++)
                for (uint64_t second = first; second < bytes; second++)
                    check_cuts(&file, (uint64_t[]){first, second}, 2, &expected, bytes == 4);
        }
    }
    close_sources();
}

START_TEST(small_files_cut_anywhere_give_their_runs)
{
    check_small_files(true);
}
END_TEST

START_TEST(small_files_cut_anywhere_give_their_lines)
{
    check_small_files(false);
}
END_TEST

typedef void (*fill_fn)(content *file, uint64_t *state);

static void fill_words(content *file, uint64_t *state)
{
    for (size_t at = 0; at < file->bytes; at++)
        file->data[at] = kit_random_below(state, 6) == 0 ? (uint8_t) " \n"[kit_random_below(state, 2)] : 'w';
}

static void fill_single_letters(content *file, uint64_t *state)
{
    (void)state;
    for (size_t at = 0; at < file->bytes; at++)
        file->data[at] = at % 2 ? 'x' : '\n';
}

static void fill_delimiters(content *file, uint64_t *state)
{
    memset(file->data, '\n', file->bytes);
    for (int i = 0; i < 5; i++)
        file->data[kit_random_below(state, file->bytes)] = 'd';
}

static void fill_one_record(content *file, uint64_t *state)
{
    (void)state;
    memset(file->data, 'o', file->bytes);
}

/* Records of several chunks, and delimiters just about the chunks' borders. */
static void fill_giants(content *file, uint64_t *state)
{
    memset(file->data, 'g', file->bytes);
    for (size_t border = QN_TEXT_CHUNK_BYTES; border + 4 < file->bytes; border += QN_TEXT_CHUNK_BYTES)
        for (int i = 0; i < 3; i++)
            if (kit_random_below(state, 3) == 0)
                file->data[border - 3 + kit_random_below(state, 6)] = (uint8_t) "\n "[kit_random_below(state, 2)];
    for (int i = 0; i < 4; i++)
        file->data[kit_random_below(state, file->bytes)] = '\n';
    size_t words = kit_random_below(state, file->bytes - 5000);
    for (size_t at = words; at < words + 5000; at++)
        file->data[at] = at % 7 ? 'w' : ' ';
}

static size_t choose_cuts(uint64_t *cuts, const content *file, uint64_t *state)
{
    size_t count = kit_random_below(state, 7);
    for (size_t i = 0; i < count; i++) {
        uint64_t cut = kit_random_below(state, file->bytes);
        if (kit_random_below(state, 2)) /* at a border of chunks or close to it */
            cut = (cut / QN_TEXT_CHUNK_BYTES) * QN_TEXT_CHUNK_BYTES + kit_random_below(state, 5) - 2;
        cuts[i] = cut < file->bytes ? cut : 1;
    }
    for (size_t i = 1; i < count; i++) /* ascending */
        for (size_t j = i; j > 0 && cuts[j - 1] > cuts[j]; j--) {
            uint64_t moved = cuts[j];
            cuts[j] = cuts[j - 1];
            cuts[j - 1] = moved;
        }
    return count;
}

static void check_large_files(fill_fn fill, size_t bytes_max, int file_count, int cut_count, size_t resume_every)
{
    static records expected;
    uint64_t state = 7;
    content file = {kit_take(bytes_max), 0};
    for (int number = 0; number < file_count; number++) {
        file.bytes = bytes_max - kit_random_below(&state, QN_TEXT_CHUNK_BYTES) * (number > 0);
        fill(&file, &state);
        kit_write_file(path, file.data, file.bytes);
        for (int mode = 0; mode < 2; mode++) {
            open_sources(" \n", mode == 0, RECORD_BYTES_MAX);
            model_split(&file, " \n", mode == 0, &expected);
            for (int i = 0; i < (int)kit_rounds((uint64_t)cut_count); i++) {
                uint64_t cuts[8];
                size_t count = i == 0 ? 0 : choose_cuts(cuts, &file, &state);
                check_cuts(&file, cuts, count, &expected, i == 0 ? resume_every : 0);
            }
            close_sources();
        }
    }
    free(file.data);
}

START_TEST(files_of_many_chunks_cut_anywhere_give_their_records)
{
    check_large_files(fill_words, 4 * QN_TEXT_CHUNK_BYTES, 2, 6, 50);
    check_large_files(fill_single_letters, 2 * QN_TEXT_CHUNK_BYTES, 2, 4, 50);
    check_large_files(fill_delimiters, 2 * QN_TEXT_CHUNK_BYTES, 2, 6, 50);
}
END_TEST

START_TEST(records_of_many_chunks_are_whole_wherever_files_are_cut)
{
    check_large_files(fill_giants, 6 * QN_TEXT_CHUNK_BYTES, 12, 12, 1);
    check_large_files(fill_one_record, 5 * QN_TEXT_CHUNK_BYTES, 2, 6, 1);
    check_large_files(fill_giants, 20 * QN_TEXT_CHUNK_BYTES, 1, 3, 1);
}
END_TEST

START_TEST(a_buffer_that_a_giant_record_made_large_shrinks_and_goes_on)
{
    static records expected;
    content file = {kit_take((size_t)24 << 20), (size_t)24 << 20};
    memset(file.data, 'g', file.bytes);
    for (size_t at = (size_t)20 << 20; at < file.bytes; at += 10)
        file.data[at] = '\n';
    kit_write_file(path, file.data, file.bytes);
    model_split(&file, "\n", true, &expected);
    open_sources("\n", true, RECORD_BYTES_MAX);
    check_cuts(&file, NULL, 0, &expected, 10000);
    ck_assert_uint_le(source.task.window.capacity_bytes, (size_t)4 << 20);
    close_sources();
    free(file.data);
}
END_TEST

/* As far behind a page's begin as in the file, within the buffer, with room for the scan. */
static void check_data(const qn_text_source *of)
{
    size_t behind = (size_t)(of->task.window.data - of->task.window.buffer);
    ck_assert_uint_eq((uintptr_t)of->task.window.buffer % QN_PAGE_SMALL_BYTES, 0);
    ck_assert_uint_eq(behind % QN_PAGE_SMALL_BYTES, of->task.window.data_offset % QN_PAGE_SMALL_BYTES);
    ck_assert_uint_le(behind + of->task.window.data_bytes + QN_SCAN_STEP_BYTES + QN_SLACK_BYTES,
                      of->task.window.capacity_bytes);
}

/* A record of so many bytes is open at the end of the first chunk, and goes on behind it; the segment begins at `begin`. */
static void check_kept(content *file, size_t kept, size_t behind, uint64_t begin)
{
    static records expected, got;
    size_t at = QN_TEXT_CHUNK_BYTES - kept;
    memset(file->data, 'w', file->bytes);
    for (size_t i = 5; i < file->bytes; i += 7)
        file->data[i] = i < at || i > QN_TEXT_CHUNK_BYTES + behind ? '\n' : 'k';
    if (at > 0)
        file->data[at - 1] = '\n';
    if (QN_TEXT_CHUNK_BYTES + behind < file->bytes)
        file->data[QN_TEXT_CHUNK_BYTES + behind] = '\n';
    kit_write_file(path, file->data, file->bytes);
    qn_buffer task = {0};
    make_task(&task, begin, file->bytes, file->bytes);
    model_split(file, "\n", true, &expected);
    size_t foreign = 0;
    while (foreign < expected.count && expected.items[foreign].begin < begin)
        foreign++;
    got.count = 0;
    qn_batch batch, again;
    kit_assert_ok(qn_task_reader_open(&source.task, task.data, task.bytes, NULL, &error), &error);
    for (;;) {
        kit_assert_ok(qn_text_source_next(&source, &batch, &error), &error);
        if (batch.block.count == 0)
            break;
        check_data(&source);
        for (size_t i = 0; i < batch.block.count; i++)
            records_add(&got,
                        source.task.window.data_offset +
                            (size_t)((const uint8_t *)batch.block.key[i] - source.task.window.data),
                        batch.block.key_bytes[i]);
        bool is_kept = batch.block.key_bytes[0] >= kept + behind || batch.block.count < 100;
        if (!is_kept)
            continue;
        qn_text_place place = source.task.block_place; /* inside the record, if it was kept */
        kit_assert_ok(qn_task_reader_open(&resumed.task, task.data, task.bytes, &place, &error), &error);
        kit_assert_ok(qn_text_source_next(&resumed, &again, &error), &error);
        check_data(&resumed);
        ck_assert_uint_eq(again.block.count, batch.block.count);
        ck_assert_uint_eq(again.block.key_bytes[0], batch.block.key_bytes[0]);
        if (memcmp(again.block.key[0], batch.block.key[0], again.block.key_bytes[0]) != 0)
            ck_abort_msg("a record of which %zu bytes were kept is another when it is begun again", kept);
    }
    records own = {expected.items + foreign, expected.count - foreign, 0};
    if (!same_records(&got, &own))
        ck_abort_msg("%zu bytes kept, %zu behind, from %llu: %zu records instead of %zu", kept, behind,
                     (unsigned long long)begin, got.count, own.count);
    for (size_t i = 0; i < got.count; i++) /* what they were made of is still what the file has */
        ck_assert_uint_le(got.items[i].begin + got.items[i].bytes, file->bytes);
    qn_buffer_fini(&task);
}

START_TEST(what_is_kept_of_a_record_may_have_any_length_and_begin_anywhere)
{
    content file = {kit_take(QN_TEXT_CHUNK_BYTES + 40000), QN_TEXT_CHUNK_BYTES + 40000};
    uint64_t state = 91;
    open_sources("\n", true, RECORD_BYTES_MAX);
    for (size_t kept = 0; kept <= 130; kept += kept < 20 ? 1 : 7)
        check_kept(&file, kept, kit_random_below(&state, 100), kept % 3 * kit_random_below(&state, 10000));
    for (size_t about = QN_PAGE_SMALL_BYTES; about <= 8 * QN_PAGE_SMALL_BYTES; about *= 2)
        for (size_t kept = about - 1; kept <= about + 1; kept++)
            check_kept(&file, kept, kit_random_below(&state, 2 * QN_PAGE_SMALL_BYTES), kept % 2 * 4097);
    for (int round = 0; round < 15; round++)
        check_kept(&file, kit_random_below(&state, QN_TEXT_CHUNK_BYTES), kit_random_below(&state, 30000),
                   kit_random_below(&state, 3 * QN_PAGE_SMALL_BYTES));
    check_kept(&file, QN_TEXT_CHUNK_BYTES, 20000, 0);
    check_kept(&file, QN_TEXT_CHUNK_BYTES - 1, 40000, 0);
    close_sources();
    free(file.data);
}
END_TEST

/* Buffers grow and shrink on the way; data stays as far behind a page's begin as it is in the file. */
START_TEST(giant_records_lie_in_their_buffer_as_in_the_file)
{
    content file = {kit_take((size_t)10 << 20), (size_t)10 << 20};
    uint64_t state = 92;
    for (int round = 0; round < 3; round++) {
        memset(file.data, 'g', file.bytes);
        for (size_t at = kit_random_below(&state, 5000); at < file.bytes; at += 1 + kit_random_below(&state, 5 << 20))
            file.data[at] = '\n';
        for (size_t at = (size_t)9 << 20; at < file.bytes; at += 100)
            file.data[at] = '\n';
        kit_write_file(path, file.data, file.bytes);
        open_sources("\n", true, RECORD_BYTES_MAX);
        qn_buffer task = {0};
        uint64_t begin = kit_random_below(&state, 10000);
        make_task(&task, begin, file.bytes, file.bytes);
        kit_assert_ok(qn_task_reader_open(&source.task, task.data, task.bytes, NULL, &error), &error);
        for (qn_batch batch;;) {
            kit_assert_ok(qn_text_source_next(&source, &batch, &error), &error);
            if (batch.block.count == 0)
                break;
            check_data(&source);
            for (size_t i = 0; i < batch.block.count; i++) {
                uint64_t offset = source.task.window.data_offset +
                                  (size_t)((const uint8_t *)batch.block.key[i] - source.task.window.data);
                if (memcmp(file.data + offset, batch.block.key[i], batch.block.key_bytes[i]) != 0)
                    ck_abort_msg("the record at %llu is another", (unsigned long long)offset);
            }
            check_resumption(&task, &batch);
            check_data(&resumed);
        }
        close_sources();
        qn_buffer_fini(&task);
    }
    free(file.data);
}
END_TEST

START_TEST(every_block_of_a_file_can_be_begun_again)
{
    static records expected;
    uint64_t state = 77;
    content file = {kit_take(700000), 700000};
    fill_words(&file, &state);
    memset(file.data + 200000, 'g', 150000);
    kit_write_file(path, file.data, file.bytes);
    for (int mode = 0; mode < 2; mode++) {
        open_sources(" \n", mode == 0, RECORD_BYTES_MAX);
        model_split(&file, " \n", mode == 0, &expected);
        check_cuts(&file, (uint64_t[]){100, 262143, 262144, 300001, 524289}, 5, &expected, 1);
        close_sources();
    }
    free(file.data);
}
END_TEST

START_TEST(what_follows_a_block_that_is_begun_again_is_the_same_to_the_end)
{
    uint64_t state = 78;
    content file = {kit_take(100000), 100000};
    fill_words(&file, &state);
    kit_write_file(path, file.data, file.bytes);
    qn_buffer task = {0};
    make_task(&task, 1000, file.bytes, file.bytes);
    open_sources(" \n", true, RECORD_BYTES_MAX);
    kit_assert_ok(qn_task_reader_open(&source.task, task.data, task.bytes, NULL, &error), &error);
    qn_batch block, again;
    for (int i = 0; i < 5; i++)
        kit_assert_ok(qn_text_source_next(&source, &block, &error), &error);
    qn_text_place place = source.task.block_place;
    kit_assert_ok(qn_task_reader_open(&resumed.task, task.data, task.bytes, &place, &error), &error);
    int block_count = 0;
    do {
        kit_assert_ok(qn_text_source_next(&resumed, &again, &error), &error);
        ck_assert_uint_eq(again.block.count, block.block.count);
        for (size_t i = 0; i < again.block.count; i++)
            if (again.block.key_bytes[i] != block.block.key_bytes[i])
                ck_abort_msg("record %zu of block %d", i, block_count);
        block_count++;
        kit_assert_ok(qn_text_source_next(&source, &block, &error), &error);
    } while (again.block.count > 0);
    ck_assert_int_gt(block_count, 20);
    close_sources();
    qn_buffer_fini(&task);
    free(file.data);
}
END_TEST

/* Segments of several files behind each other in one task. */
START_TEST(a_task_of_many_segments_gives_the_records_of_each_with_any_value)
{
    static records expected, got;
    content file = {(uint8_t *)"one two\nthree four five\n\nsix", 28};
    kit_write_file(path, file.data, file.bytes);
    for (int mode = 0; mode < 8; mode++) {
        records once = {0};
        value_kind = (quern_text_value)(mode / 2);
        bool skip_empty = mode % 2 == 0;
        model_split(&file, " \n", skip_empty, &once);
        expected.count = got.count = 0;
        qn_buffer task = {0};
        qn_buffer_append_u32(&task, 3 * 28);
        for (int round = 0; round < 3; round++) {
            for (uint64_t at = 0; at < 28; at++)
                put_segment(&task, at, at + 1, 28);
            for (size_t i = 0; i < once.count; i++)
                records_add(&expected, once.items[i].begin, once.items[i].bytes);
        }
        open_sources(" \n", skip_empty, RECORD_BYTES_MAX);
        run_task(&task, &file, &got, 1);
        ck_assert(same_records(&got, &expected));
        close_sources();
        qn_buffer_fini(&task);
        free(once.items);
    }
    value_kind = QUERN_TEXT_NO_VALUE;
}
END_TEST

START_TEST(a_source_takes_one_task_after_another_finished_or_not)
{
    static records expected, got;
    uint64_t state = 3;
    content file = {kit_take(300000), 300000};
    fill_words(&file, &state);
    kit_write_file(path, file.data, file.bytes);
    open_sources(" \n", true, RECORD_BYTES_MAX);
    model_split(&file, " \n", true, &expected);
    qn_buffer task = {0};
    make_task(&task, 0, file.bytes, file.bytes);
    for (int round = 0; round < 5; round++) {
        qn_batch batch;
        kit_assert_ok(qn_task_reader_open(&source.task, task.data, task.bytes, NULL, &error), &error);
        for (int i = 0; i < round * 20; i++)
            kit_assert_ok(qn_text_source_next(&source, &batch, &error), &error);
    }
    got.count = 0;
    run_task(&task, &file, &got, 0);
    ck_assert(same_records(&got, &expected));
    close_sources();
    qn_buffer_fini(&task);
    free(file.data);
}
END_TEST

static quern_status run_to_the_end(const qn_buffer *task)
{
    qn_batch batch = {0};
    quern_status status = qn_task_reader_open(&source.task, task->data, task->bytes, NULL, &error);
    do {
        if (status == QUERN_OK)
            status = qn_text_source_next(&source, &batch, &error);
    } while (status == QUERN_OK && batch.block.count > 0);
    return status;
}

START_TEST(a_file_shorter_than_listed_or_gone_is_an_error_that_names_it)
{
    qn_buffer task = {0};
    open_sources(" ", true, RECORD_BYTES_MAX);
    kit_write_file(path, "a b c d", 7);
    for (uint64_t listed_bytes = 8; listed_bytes < 1000000; listed_bytes *= 3) {
        for (int from_end = 0; from_end < 2; from_end++) {
            qn_error_clear(&error);
            make_task(&task, from_end ? listed_bytes - 1 : 0, listed_bytes, listed_bytes);
            ck_assert_int_eq(run_to_the_end(&task), QUERN_ERROR_INPUT);
            ck_assert_ptr_nonnull(strstr(error.text, path));
        }
    }
    unlink(path);
    qn_error_clear(&error);
    ck_assert_int_eq(run_to_the_end(&task), QUERN_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(error.text, path));
    close_sources();
    qn_buffer_fini(&task);
}
END_TEST

START_TEST(what_was_appended_after_the_listing_is_not_read)
{
    static records expected, got;
    content file = {(uint8_t *)"one two three", 13};
    qn_buffer task = {0};
    kit_write_file(path, file.data, file.bytes);
    for (uint64_t listed_bytes = 1; listed_bytes <= 13; listed_bytes++) {
        content listed = {file.data, listed_bytes};
        open_sources(" ", true, RECORD_BYTES_MAX);
        model_split(&listed, " ", true, &expected);
        make_task(&task, 0, listed_bytes, listed_bytes);
        got.count = 0;
        run_task(&task, &listed, &got, 1);
        ck_assert(same_records(&got, &expected));
        close_sources();
    }
    qn_buffer_fini(&task);
}
END_TEST

START_TEST(an_attempt_after_a_failed_read_begins_where_the_failure_was)
{
    static records expected;
    uint64_t state = 5;
    content file = {kit_take(600000), 600000};
    fill_words(&file, &state);
    kit_write_file(path, file.data, 500000);
    model_split(&file, " \n", true, &expected);
    open_sources(" \n", true, RECORD_BYTES_MAX);
    qn_buffer task = {0};
    qn_batch batch = {0};
    size_t count = 0;
    make_task(&task, 0, file.bytes, file.bytes);
    quern_status status = qn_task_reader_open(&source.task, task.data, task.bytes, NULL, &error);
    for (; (status = qn_text_source_next(&source, &batch, &error)) == QUERN_OK; count += batch.block.count)
        ck_assert_uint_gt(batch.block.count, 0);
    ck_assert_int_eq(status, QUERN_ERROR_INPUT);
    kit_write_file(path, file.data, file.bytes);
    qn_error_clear(&error);
    kit_assert_ok(qn_task_reader_open(&resumed.task, task.data, task.bytes, &source.task.block_place, &error), &error);
    do {
        kit_assert_ok(qn_text_source_next(&resumed, &batch, &error), &error);
        count += batch.block.count;
    } while (batch.block.count > 0);
    ck_assert_uint_eq(count, expected.count);
    close_sources();
    qn_buffer_fini(&task);
    free(file.data);
}
END_TEST

/* The limit is looked at between chunks: a record may exceed it by what is left of one. */
START_TEST(records_beyond_the_limit_are_refused_and_records_within_pass)
{
    static const uint64_t limits[] = {1, 1000, 300000, 1000000};
    uint8_t *data = kit_take((size_t)3 << 20);
    qn_buffer task = {0};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        for (uint64_t over = 0; over < 2; over++) {
            for (int mode = 0; mode < 2; mode++) {
                uint64_t begin = 4711;
                uint64_t bytes = over ? limits[i] + 2 * QN_TEXT_CHUNK_BYTES : limits[i];
                memset(data, '\n', (size_t)3 << 20);
                memset(data + begin, 'r', bytes);
                kit_write_file(path, data, begin + bytes + 100);
                open_sources("\n", mode == 0, limits[i]);
                make_task(&task, 0, begin + bytes + 100, begin + bytes + 100);
                quern_status status = run_to_the_end(&task);
                ck_assert_int_eq(status, over ? QUERN_ERROR_RECORD_TOO_LARGE : QUERN_OK);
                ck_assert(!over || (strstr(error.text, path) && strstr(error.text, "byte 4711")));
                close_sources();
            }
        }
    }
    qn_buffer_fini(&task);
    free(data);
}
END_TEST

START_TEST(a_message_cut_anywhere_is_an_error)
{
    qn_buffer task = {0};
    kit_write_file(path, "a b", 3);
    make_task(&task, 0, 3, 3);
    open_sources(" ", true, RECORD_BYTES_MAX);
    for (size_t bytes = 0; bytes < task.bytes; bytes++) {
        qn_error_clear(&error);
        ck_assert_int_eq(qn_task_reader_open(&source.task, task.data, bytes, NULL, &error), QUERN_ERROR_INTERNAL);
    }
    close_sources();
    close_sources();
    qn_buffer_fini(&task);
}
END_TEST

START_TEST(refused_memory_is_an_error_and_nothing_leaks)
{
    qn_delimiters set;
    qn_buffer task = {0};
    int failure_count = 0;
    uint8_t *data = kit_take((size_t)5 << 20);
    memset(data, 'g', (size_t)5 << 20);
    kit_write_file(path, data, (size_t)5 << 20);
    make_task(&task, 0, (size_t)5 << 20, (size_t)5 << 20);
    qn_delimiters_init(&set, "\n", 1);
    for (;; failure_count++) {
        memset(&source, 0, sizeof source);
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_text_source_init(&source, &set, true, QUERN_TEXT_PLACE, RECORD_BYTES_MAX, &error);
        if (status == QUERN_OK)
            status = run_to_the_end(&task);
        allocations_left = -1;
        qn_text_source_fini(&source);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        ck_assert_uint_ne(strlen(error.text), 0);
    }
    ck_assert_int_ge(failure_count, 4);
    qn_buffer_fini(&task);
    free(data);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        small_files_cut_anywhere_give_their_runs,
        small_files_cut_anywhere_give_their_lines,
        files_of_many_chunks_cut_anywhere_give_their_records,
        records_of_many_chunks_are_whole_wherever_files_are_cut,
        a_buffer_that_a_giant_record_made_large_shrinks_and_goes_on,
        what_is_kept_of_a_record_may_have_any_length_and_begin_anywhere,
        giant_records_lie_in_their_buffer_as_in_the_file,
        every_block_of_a_file_can_be_begun_again,
        what_follows_a_block_that_is_begun_again_is_the_same_to_the_end,
        a_task_of_many_segments_gives_the_records_of_each_with_any_value,
        a_source_takes_one_task_after_another_finished_or_not,
        a_file_shorter_than_listed_or_gone_is_an_error_that_names_it,
        what_was_appended_after_the_listing_is_not_read,
        an_attempt_after_a_failed_read_begins_where_the_failure_was,
        records_beyond_the_limit_are_refused_and_records_within_pass,
        a_message_cut_anywhere_is_an_error,
        refused_memory_is_an_error_and_nothing_leaks,
    };
    return kit_run_tests("text_source", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
