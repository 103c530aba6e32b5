/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_fixed_source.c: the records of all tasks, wherever files are cut, are those that arithmetic says.
 *
 * In passing: blocks are not too large, a block that is begun again at its place is the same, records are where they are said to
 * be, and nothing is read twice.
 */
#include "runtime/base/pages.h"
#include "runtime/io/source.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <unistd.h>

#define FILE_COUNT       3
#define RECORD_BYTES_MAX ((uint64_t)1 << 30)

static kit_directory directory;
static qn_error error;
static qn_source source, resumed;

typedef struct content {
    const char *path;
    uint8_t *data;
    size_t bytes;
} content;

static content files[FILE_COUNT];
static qn_input_file listed[FILE_COUNT];

static qn_listing make_files(const qn_record_layout *layout, uint64_t record_count_max, uint64_t *state)
{
    static char names[FILE_COUNT][300];
    qn_listing listing = {.files = listed, .file_count = FILE_COUNT};
    for (size_t i = 0; i < FILE_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%s", kit_path(&directory, i == 0 ? "a" : i == 1 ? "b" : "c"));
        uint64_t count = kit_random_below(state, record_count_max + 1);
        free(files[i].data);
        files[i] = (content){.path = names[i], .bytes = layout->header_bytes + count * layout->record_bytes};
        files[i].bytes += files[i].bytes == 0 ? layout->record_bytes : 0;
        files[i].data = kit_take(files[i].bytes);
        for (size_t at = 0; at < files[i].bytes; at++)
            files[i].data[at] = (uint8_t)kit_random(state);
        kit_write_file(names[i], files[i].data, files[i].bytes);
        listed[i] = (qn_input_file){names[i], files[i].bytes};
        listing.bytes += files[i].bytes;
    }
    return listing;
}

/* The next record that is expected, over all tasks. */
typedef struct cursor {
    size_t file;
    uint64_t offset;
} cursor;

static void check_record(const qn_record_layout *layout, const qn_batch *batch, uint32_t i, cursor *at)
{
    uint64_t offset = 0;
    while (at->file < FILE_COUNT && at->offset >= files[at->file].bytes)
        *at = (cursor){at->file + 1, layout->header_bytes};
    if (at->file == FILE_COUNT)
        ck_abort_msg("there are too many records");
    const char *path = qn_source_locate(&source, i, &offset);
    const uint8_t *record = files[at->file].data + at->offset;
    bool has_value = layout->value_type != QUERN_NONE;
    bool right = offset == at->offset && strcmp(path, files[at->file].path) == 0 &&
                 batch->block.key_bytes[i] == layout->key_bytes && (batch->block.value != NULL) == has_value &&
                 memcmp(batch->block.key[i], record + layout->key_offset, layout->key_bytes) == 0;
    if (right && has_value)
        right = batch->block.value_bytes[i] == layout->value_bytes &&
                memcmp(batch->block.value[i], record + layout->value_offset, layout->value_bytes) == 0 &&
                (layout->value_type == QUERN_BYTES || (uintptr_t)batch->block.value[i] % 8 == 0);
    if (!right)
        ck_abort_msg("a record at byte %llu of %s, not at %llu of %s, is another", (unsigned long long)offset, path,
                     (unsigned long long)at->offset, files[at->file].path);
    at->offset += layout->record_bytes;
}

static void check_resumption(const qn_buffer *task, const qn_batch *block)
{
    qn_batch again = {0};
    qn_text_place place = *qn_source_block_place(&source);
    kit_assert_ok(qn_source_open(&resumed, task->data, task->bytes, &place, &error), &error);
    kit_assert_ok(qn_source_next(&resumed, &again, &error), &error);
    ck_assert_uint_eq(again.block.count, block->block.count);
    size_t wrong_count = 0;
    for (size_t i = 0; i < again.block.count; i++)
        wrong_count += memcmp(again.block.key[i], block->block.key[i], block->block.key_bytes[i]) != 0;
    ck_assert_uint_eq(wrong_count, 0);
}

static void run_task(const qn_record_layout *layout, const qn_buffer *task, cursor *at, bool resume)
{
    qn_batch batch;
    kit_assert_ok(qn_source_open(&source, task->data, task->bytes, NULL, &error), &error);
    for (;;) {
        kit_assert_ok(qn_source_next(&source, &batch, &error), &error);
        ck_assert_uint_le(batch.block.count, QN_BATCH_COUNT_MAX);
        if (batch.block.count == 0)
            return;
        for (uint32_t i = 0; i < batch.block.count; i++)
            check_record(layout, &batch, i, at);
        if (resume)
            check_resumption(task, &batch);
    }
}

static void check_layout(const qn_record_layout *layout, uint64_t record_count_max, uint64_t split_count, bool resume,
                         uint64_t *state)
{
    qn_listing listing = make_files(layout, record_count_max, state);
    qn_source_format format = {.kind = QN_SOURCE_FIXED, .layout = *layout};
    qn_splits splits;
    qn_buffer task = {0};
    cursor at = {0, layout->header_bytes};
    qn_error_clear(&error);
    kit_assert_ok(qn_fixed_check_files(layout, &listing, &error), &error);
    kit_assert_ok(qn_source_init(&source, &format, RECORD_BYTES_MAX, &error), &error);
    kit_assert_ok(qn_source_init(&resumed, &format, RECORD_BYTES_MAX, &error), &error);
    kit_assert_ok(qn_splits_create(&splits, &listing, 1 + listing.bytes / split_count, &error), &error);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < splits.count; i++) {
        task.bytes = 0;
        qn_split_encode(&splits.items[i], &listing, &task);
        run_task(layout, &task, &at, resume);
        bytes += qn_source_task_bytes(&source);
    }
    while (at.file < FILE_COUNT && at.offset >= files[at.file].bytes)
        at = (cursor){at.file + 1, layout->header_bytes};
    ck_assert_uint_eq(at.file, FILE_COUNT);
    ck_assert_uint_eq(bytes, listing.bytes);
    qn_buffer_fini(&task);
    qn_splits_destroy(&splits);
    qn_source_fini(&source);
    qn_source_fini(&resumed);
}

static qn_record_layout random_layout(uint32_t record_bytes_max, uint64_t *state)
{
    qn_record_layout layout = {.record_bytes = 1 + (uint32_t)kit_random_below(state, record_bytes_max)};
    layout.header_bytes = kit_random_below(state, 3) * kit_random_below(state, 100);
    layout.key_offset = (uint32_t)kit_random_below(state, layout.record_bytes);
    layout.key_bytes = 1 + (uint32_t)kit_random_below(state, layout.record_bytes - layout.key_offset);
    layout.value_offset = (uint32_t)kit_random_below(state, layout.record_bytes);
    layout.value_bytes = 1 + (uint32_t)kit_random_below(state, layout.record_bytes - layout.value_offset);
    if (kit_random_below(state, 3) == 0)
        layout.value_bytes = layout.value_offset = 0;
    layout.value_type = layout.value_bytes == 0 ? QUERN_NONE : QUERN_BYTES;
    if (layout.value_bytes > 0 && layout.value_bytes <= QUERN_FIXED_BYTES_MAX && kit_random_below(state, 2) == 0)
        layout.value_type = QUERN_FIXED;
    return layout;
}

START_TEST(records_of_all_tasks_are_those_of_the_files_wherever_these_are_cut)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        uint64_t state = seed;
        qn_record_layout layout = random_layout(seed % 3 == 0 ? 5 : 150, &state);
        check_layout(&layout, 1 + kit_random_below(&state, 3000), 1 + kit_random_below(&state, 40), true, &state);
    }
}
END_TEST

START_TEST(records_may_be_as_long_as_many_chunks_of_reading_or_straddle_their_borders)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        uint64_t state = seed;
        qn_record_layout layout = random_layout(seed % 2 == 0 ? 900000 : 5000, &state);
        check_layout(&layout, 4 + 2000000 / layout.record_bytes, 1 + kit_random_below(&state, 9), true, &state);
    }
}
END_TEST

START_TEST(splits_smaller_than_a_record_give_each_record_once)
{
    uint64_t state = 3;
    qn_record_layout layout = {.header_bytes = 5, .record_bytes = 17, .key_bytes = 17};
    check_layout(&layout, 20, 1000, true, &state);
}
END_TEST

START_TEST(values_are_referred_to_where_the_file_has_them_aligned)
{
    uint64_t state = 8;
    qn_record_layout aligned = {.record_bytes = 16, .key_bytes = 8, .value_offset = 8, .value_bytes = 8};
    aligned.value_type = QUERN_U64;
    qn_record_layout shifted = aligned;
    shifted.header_bytes = 4;
    qn_fixed_source reader;
    kit_assert_ok(qn_fixed_source_init(&reader, &aligned, RECORD_BYTES_MAX, &error), &error);
    ck_assert_ptr_null(reader.aligned_values);
    qn_fixed_source_fini(&reader);
    kit_assert_ok(qn_fixed_source_init(&reader, &shifted, RECORD_BYTES_MAX, &error), &error);
    ck_assert_ptr_nonnull(reader.aligned_values);
    qn_fixed_source_fini(&reader);
    check_layout(&aligned, 2000, 5, true, &state);
    check_layout(&shifted, 2000, 5, true, &state);
}
END_TEST

START_TEST(a_file_that_is_not_whole_records_is_refused_with_its_size_and_remainder)
{
    qn_record_layout layout = {.header_bytes = 10, .record_bytes = 16, .key_bytes = 16};
    qn_input_file bad[] = {{"good", 10 + 160}, {"empty of records", 10}, {"the/bad one", 10 + 160 + 7}};
    qn_listing listing = {.files = bad, .file_count = 2};
    qn_error_clear(&error);
    kit_assert_ok(qn_fixed_check_files(&layout, &listing, &error), &error);
    listing.file_count = 3;
    ck_assert_int_eq(qn_fixed_check_files(&layout, &listing, &error), QUERN_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "the/bad one has 177 bytes"));
    ck_assert_ptr_nonnull(strstr(error.text, "remainder of 7"));
    qn_error_clear(&error);
    bad[0].bytes = 9;
    ck_assert_int_eq(qn_fixed_check_files(&layout, &listing, &error), QUERN_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "good has 9 bytes"));
}
END_TEST

START_TEST(a_file_that_becomes_shorter_fails_where_the_next_attempt_is_to_go_on)
{
    uint64_t state = 5;
    qn_record_layout layout = {.record_bytes = 100, .key_bytes = 100};
    qn_source_format format = {.kind = QN_SOURCE_FIXED, .layout = layout};
    qn_listing listing = make_files(&layout, 0, &state);
    qn_batch batch;
    qn_buffer task = {0};
    files[0].bytes = 1000000;
    free(files[0].data);
    files[0].data = calloc(1, files[0].bytes);
    kit_write_file(files[0].path, files[0].data, files[0].bytes);
    listed[0].bytes = files[0].bytes;
    qn_split split = {.end_file = 0, .end_offset = files[0].bytes};
    qn_split_encode(&split, &listing, &task);
    ck_assert_int_eq(truncate(files[0].path, 600000), 0);
    qn_error_clear(&error);
    kit_assert_ok(qn_source_init(&source, &format, RECORD_BYTES_MAX, &error), &error);
    kit_assert_ok(qn_source_open(&source, task.data, task.bytes, NULL, &error), &error);
    quern_status status = QUERN_OK;
    uint64_t count = 0;
    while (status == QUERN_OK) {
        status = qn_source_next(&source, &batch, &error);
        count += status == QUERN_OK ? batch.block.count : 0;
    }
    ck_assert_int_eq(status, QUERN_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "ends at byte 600000"));
    ck_assert_uint_eq(qn_source_block_place(&source)->scan_offset, count * 100);
    qn_source_fini(&source);
    qn_buffer_fini(&task);
}
END_TEST

START_TEST(a_record_longer_than_allowed_is_refused_at_once)
{
    qn_record_layout layout = {.record_bytes = 1001, .key_bytes = 8};
    qn_source_format format = {.kind = QN_SOURCE_FIXED, .layout = layout};
    qn_error_clear(&error);
    ck_assert_int_eq(qn_source_init(&source, &format, 1000, &error), QUERN_ERROR_RECORD_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(error.text, "1001"));
    qn_error_clear(&error);
    kit_assert_ok(qn_source_init(&source, &format, 1001, &error), &error);
    qn_source_fini(&source);
}
END_TEST

/* The identities of all records of a file cut at some sizes of split. */
static size_t identify_all(const qn_source_format *format, const qn_listing *listing, uint64_t split_bytes,
                           uint64_t *identities_out)
{
    qn_splits splits;
    qn_buffer task = {0};
    size_t count = 0;
    kit_assert_ok(qn_source_init(&source, format, RECORD_BYTES_MAX, &error), &error);
    kit_assert_ok(qn_splits_create(&splits, listing, split_bytes, &error), &error);
    for (uint32_t i = 0; i < splits.count; i++) {
        qn_batch batch = {0};
        task.bytes = 0;
        qn_split_encode(&splits.items[i], listing, &task);
        kit_assert_ok(qn_source_open(&source, task.data, task.bytes, NULL, &error), &error);
        do {
            kit_assert_ok(qn_source_next(&source, &batch, &error), &error);
            qn_source_identify(&source, batch.block.count, identities_out + count);
            count += batch.block.count;
        } while (batch.block.count > 0);
    }
    qn_source_fini(&source);
    qn_splits_destroy(&splits);
    qn_buffer_fini(&task);
    return count;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

START_TEST(identities_are_the_records_own_and_do_not_depend_on_the_splits)
{
    static uint64_t first[200000], other[200000];
    uint64_t state = 6;
    qn_source_format formats[] = {{.kind = QN_SOURCE_FIXED, .layout = {.record_bytes = 3, .key_bytes = 3}},
                                  {.kind = QN_SOURCE_TEXT},
                                  {.kind = QN_SOURCE_TEXT, .skip_empty = true}};
    qn_listing listing = make_files(&formats[0].layout, 8000, &state);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        ck_assert(qn_delimiters_init(&formats[i].delimiters, "\n abc", 5));
        size_t count = identify_all(&formats[i], &listing, listing.bytes, first);
        ck_assert_uint_gt(count, 200);
        for (uint64_t split_bytes = 7; split_bytes < listing.bytes; split_bytes *= 11) {
            ck_assert_uint_eq(identify_all(&formats[i], &listing, split_bytes, other), count);
            ck_assert(memcmp(first, other, count * sizeof *first) == 0);
        }
        size_t same_count = 0;
        qsort(first, count, sizeof *first, compare_numbers);
        for (size_t n = 1; n < count; n++)
            same_count += first[n] == first[n - 1];
        ck_assert_uint_eq(same_count, 0);
    }
}
END_TEST

START_TEST(refused_memory_is_an_error_and_nothing_leaks)
{
    uint64_t state = 4;
    qn_record_layout layout = {.record_bytes = 12, .key_bytes = 4, .value_offset = 4, .value_bytes = 8};
    layout.value_type = QUERN_U64;
    qn_source_format format = {.kind = QN_SOURCE_FIXED, .layout = layout};
    qn_listing listing = make_files(&layout, 100, &state);
    qn_split split = {.end_file = 0, .end_offset = listed[0].bytes};
    qn_buffer task = {0};
    qn_split_encode(&split, &listing, &task);
    int left = 0;
    for (;; left++) {
        qn_batch batch;
        qn_error_clear(&error);
        allocations_left = left;
        quern_status status = qn_source_init(&source, &format, RECORD_BYTES_MAX, &error);
        if (status == QUERN_OK)
            status = qn_source_open(&source, task.data, task.bytes, NULL, &error);
        if (status == QUERN_OK)
            status = qn_source_next(&source, &batch, &error);
        allocations_left = -1;
        qn_source_fini(&source);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    }
    ck_assert_int_ge(left, 4);
    qn_buffer_fini(&task);
}
END_TEST

static void set_up(void)
{
    kit_make_directory(&directory);
}

static void tear_down(void)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        free(files[i].data);
        files[i].data = NULL;
    }
    kit_remove_directory(&directory);
}

int main(void)
{
    const TTest *const tests[] = {
        records_of_all_tasks_are_those_of_the_files_wherever_these_are_cut,
        records_may_be_as_long_as_many_chunks_of_reading_or_straddle_their_borders,
        splits_smaller_than_a_record_give_each_record_once,
        values_are_referred_to_where_the_file_has_them_aligned,
        a_file_that_is_not_whole_records_is_refused_with_its_size_and_remainder,
        a_file_that_becomes_shorter_fails_where_the_next_attempt_is_to_go_on,
        a_record_longer_than_allowed_is_refused_at_once,
        identities_are_the_records_own_and_do_not_depend_on_the_splits,
        refused_memory_is_an_error_and_nothing_leaks,
    };
    return kit_run_tests("fixed_source", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
