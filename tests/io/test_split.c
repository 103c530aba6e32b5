/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_split.c: splits cover every byte of the input once, are about equal, and survive their encoding.
 */
#include "runtime/io/split.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define FILE_COUNT_MAX 10000

static qn_input_file files[FILE_COUNT_MAX];
static qn_error error;

static qn_listing make_listing(size_t file_count, uint64_t bytes_max, uint64_t *state)
{
    qn_listing listing = {.files = files, .file_count = file_count};
    for (size_t i = 0; i < file_count; i++) {
        static char names[FILE_COUNT_MAX][24];
        snprintf(names[i], sizeof names[i], "f%zu", i);
        files[i] = (qn_input_file){names[i], 1 + kit_random_below(state, bytes_max)};
        listing.bytes += files[i].bytes;
    }
    return listing;
}

/* Follows the splits through the files, as tasks would see them. */
static void check_cover(const qn_splits *splits, const qn_listing *listing)
{
    qn_buffer message = {0};
    size_t file = 0;
    uint64_t offset = 0, wrong_count = 0;
    for (uint32_t i = 0; i < splits->count; i++) {
        qn_segment *segments = NULL;
        uint32_t count = 0;
        uint64_t bytes = 0;
        message.bytes = 0;
        qn_split_encode(&splits->items[i], listing, &message);
        qn_reader reader = qn_reader_of(message.data, message.bytes);
        if (qn_split_decode(&reader, &segments, &count, &error) != QUERN_OK || reader.left_bytes > 0)
            ck_abort_msg("split %u: %s", i, error.text);
        for (uint32_t n = 0; n < count; n++) {
            const qn_segment *segment = &segments[n];
            wrong_count += file >= listing->file_count || strcmp(segment->path, listing->files[file].path) != 0 ||
                           segment->begin != offset || segment->file != file || segment->end <= segment->begin ||
                           segment->file_bytes != listing->files[file].bytes || segment->end > segment->file_bytes;
            bytes += segment->end - segment->begin;
            offset = segment->end;
            if (offset == segment->file_bytes) {
                file++;
                offset = 0;
            }
        }
        wrong_count += bytes != splits->items[i].bytes || count > QN_SPLIT_SEGMENTS_MAX || count == 0;
        free(segments);
    }
    ck_assert_uint_eq(wrong_count, 0);
    ck_assert_uint_eq(file, listing->file_count);
    ck_assert_uint_eq(offset, 0);
    qn_buffer_fini(&message);
}

START_TEST(splits_cover_every_byte_once_in_order)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t state = seed;
        qn_listing listing =
            make_listing(1 + kit_random_below(&state, 50), UINT64_C(1) << kit_random_below(&state, 24), &state);
        qn_splits splits;
        uint64_t split_bytes = 1 + listing.bytes / (1 + kit_random_below(&state, 3000));
        kit_assert_ok(qn_splits_create(&splits, &listing, split_bytes, &error), &error);
        check_cover(&splits, &listing);
        qn_splits_destroy(&splits);
    }
}
END_TEST

START_TEST(no_split_is_larger_than_asked_for)
{
    uint64_t state = 9;
    qn_listing listing = make_listing(40, 1 << 20, &state);
    for (uint64_t split_bytes = 1000; split_bytes < (32 << 20); split_bytes *= 3) {
        qn_splits splits;
        kit_assert_ok(qn_splits_create(&splits, &listing, split_bytes, &error), &error);
        for (uint32_t i = 0; i < splits.count; i++)
            ck_assert_uint_le(splits.items[i].bytes, split_bytes);
        ck_assert_uint_ge(splits.count, listing.bytes / split_bytes);
        ck_assert_uint_le(splits.count, (listing.bytes + 40 * QN_SPLIT_FILE_COST_BYTES) / split_bytes + 41);
        qn_splits_destroy(&splits);
    }
}
END_TEST

START_TEST(splits_of_one_byte_are_one_task_a_byte)
{
    uint64_t state = 9;
    qn_listing listing = make_listing(3, 500, &state);
    qn_splits splits;
    kit_assert_ok(qn_splits_create(&splits, &listing, 1, &error), &error);
    ck_assert_uint_eq(splits.count, listing.bytes);
    check_cover(&splits, &listing);
    qn_splits_destroy(&splits);
}
END_TEST

START_TEST(small_files_share_a_task_but_not_too_many_of_them)
{
    uint64_t state = 9;
    qn_listing listing = make_listing(FILE_COUNT_MAX, 100, &state);
    qn_splits splits;
    kit_assert_ok(qn_splits_create(&splits, &listing, (uint64_t)1 << 20, &error), &error);
    ck_assert_uint_ge(splits.count, FILE_COUNT_MAX * QN_SPLIT_FILE_COST_BYTES >> 20);
    ck_assert_uint_le(splits.count, (FILE_COUNT_MAX * QN_SPLIT_FILE_COST_BYTES >> 20) + 10);
    check_cover(&splits, &listing);
    qn_splits_destroy(&splits);
    kit_assert_ok(qn_splits_create(&splits, &listing, UINT64_MAX, &error), &error);
    ck_assert_uint_eq(splits.count, (FILE_COUNT_MAX + QN_SPLIT_SEGMENTS_MAX - 1) / QN_SPLIT_SEGMENTS_MAX);
    check_cover(&splits, &listing);
    qn_splits_destroy(&splits);
}
END_TEST

START_TEST(no_files_are_no_tasks)
{
    qn_listing listing = {0};
    qn_splits splits = {(qn_split *)1, 1, 1};
    kit_assert_ok(qn_splits_create(&splits, &listing, 100, &error), &error);
    ck_assert_uint_eq(splits.count, 0);
    qn_splits_destroy(&splits);
}
END_TEST

START_TEST(chosen_sizes_are_within_bounds_and_give_each_worker_some_tasks)
{
    for (uint32_t workers = 1; workers < 5000; workers = workers * 3 + 1) {
        uint64_t before = 0;
        for (uint64_t bytes = 1; bytes < UINT64_C(1) << 50; bytes *= 7) {
            uint64_t chosen = qn_splits_choose_bytes(bytes, workers);
            ck_assert_uint_ge(chosen, UINT64_C(1) << 20);
            ck_assert(chosen <= UINT64_C(64) << 20 || bytes / chosen > 1000000);
            ck_assert_uint_le(bytes / chosen, 1 << 20);
            ck_assert_uint_ge(chosen, before);
            before = chosen;
        }
    }
    ck_assert_uint_eq(qn_splits_choose_bytes(0, 4), UINT64_C(1) << 20);
}
END_TEST

START_TEST(many_workers_have_fewer_tasks_each_but_eight)
{
    const uint64_t share = UINT64_C(1) << 30;
    const uint32_t workers[] = {1, 16384, 32768, 131072, 1310720};
    const uint64_t tasks[] = {64, 64, 32, 8, 8};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++)
        ck_assert_uint_eq(share / qn_splits_choose_bytes(workers[i] * share, workers[i]), tasks[i]);
}
END_TEST

START_TEST(a_message_cut_anywhere_or_with_a_lying_count_is_refused_at_once)
{
    uint64_t state = 4;
    qn_listing listing = make_listing(5, 1000, &state);
    qn_split split = {.file = 1, .offset = 1, .end_file = 4, .end_offset = files[4].bytes};
    qn_buffer message = {0};
    qn_split_encode(&split, &listing, &message);
    qn_segment *segments = NULL;
    uint32_t count = 77;
    for (size_t bytes = 0; bytes < message.bytes; bytes++) {
        uint8_t *cut = malloc(bytes > 0 ? bytes : 1);
        memcpy(cut, message.data, bytes);
        qn_reader reader = qn_reader_of(cut, bytes);
        qn_error_clear(&error);
        ck_assert_int_eq(qn_split_decode(&reader, &segments, &count, &error), QUERN_ERROR_INTERNAL);
        free(cut);
    }
    double start_ms = kit_now_ms();
    for (uint32_t lie = 5; lie > 4; lie = lie * 3) {
        memcpy(message.data, &lie, sizeof lie);
        qn_reader reader = qn_reader_of(message.data, message.bytes);
        qn_error_clear(&error);
        ck_assert_int_eq(qn_split_decode(&reader, &segments, &count, &error), QUERN_ERROR_INTERNAL);
        if (lie > UINT32_MAX / 3)
            break;
    }
    ck_assert_double_lt(kit_now_ms() - start_ms, 500);
    ck_assert_ptr_null(segments);
    ck_assert_uint_eq(count, 77);
    qn_buffer_fini(&message);
}
END_TEST

START_TEST(a_path_that_does_not_end_is_refused)
{
    qn_buffer message = {0};
    qn_buffer_append_u32(&message, 1);
    for (uint64_t number = 0; number < 4; number++)
        qn_buffer_append_u64(&message, number);
    qn_buffer_append_u64(&message, QN_PACKING_NONE);
    size_t before = message.bytes;
    for (int empty = 0; empty < 2; empty++) {
        qn_segment *segments = NULL;
        uint32_t count = 0;
        message.bytes = before;
        qn_buffer_append_span(&message, "path", empty ? 0 : 4);
        qn_reader reader = qn_reader_of(message.data, message.bytes);
        qn_error_clear(&error);
        ck_assert_int_eq(qn_split_decode(&reader, &segments, &count, &error), QUERN_ERROR_INTERNAL);
    }
    qn_buffer_fini(&message);
}
END_TEST

START_TEST(refused_memory_is_an_error_and_nothing_leaks)
{
    uint64_t state = 4;
    qn_listing listing = make_listing(5, 1000, &state);
    for (int left = 0;; left++) {
        qn_splits splits;
        qn_error_clear(&error);
        allocations_left = left;
        quern_status status = qn_splits_create(&splits, &listing, 1, &error);
        allocations_left = -1;
        qn_splits_destroy(&splits);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        splits_cover_every_byte_once_in_order,
        no_split_is_larger_than_asked_for,
        splits_of_one_byte_are_one_task_a_byte,
        small_files_share_a_task_but_not_too_many_of_them,
        no_files_are_no_tasks,
        chosen_sizes_are_within_bounds_and_give_each_worker_some_tasks,
        many_workers_have_fewer_tasks_each_but_eight,
        a_message_cut_anywhere_or_with_a_lying_count_is_refused_at_once,
        a_path_that_does_not_end_is_refused,
        refused_memory_is_an_error_and_nothing_leaks,
    };
    return kit_run_tests("split", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
