/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_buffer.c: what is appended is read back, and no message can make the reader read past its end.
 */
#include "runtime/base/buffer.h"
#include "tests/kit.h"
#include "tests/refusal.h"

START_TEST(what_is_appended_is_read_back)
{
    qn_buffer buffer = {0};
    uint64_t state = 1;
    static uint8_t bytes[5000];
    for (int i = 0; i < 500; i++) {
        size_t length = kit_random_below(&state, i % 50 == 0 ? sizeof bytes : 40);
        memset(bytes, i, sizeof bytes);
        qn_buffer_append_u32(&buffer, (uint32_t)i * 77);
        qn_buffer_append_u64(&buffer, (uint64_t)i << 40);
        qn_buffer_append_span(&buffer, bytes, length);
        qn_buffer_append(&buffer, bytes, 3);
    }
    ck_assert(!buffer.failed);
    qn_reader reader = qn_reader_of(buffer.data, buffer.bytes);
    state = 1;
    for (int i = 0; i < 500; i++) {
        size_t length = kit_random_below(&state, i % 50 == 0 ? sizeof bytes : 40);
        size_t got = 99999;
        memset(bytes, i, sizeof bytes);
        ck_assert_uint_eq(qn_reader_u32(&reader), (uint32_t)i * 77);
        ck_assert_uint_eq(qn_reader_u64(&reader), (uint64_t)i << 40);
        const void *span = qn_reader_span(&reader, &got);
        ck_assert_uint_eq(got, length);
        ck_assert_mem_eq(span, bytes, length);
        ck_assert_mem_eq(qn_reader_take(&reader, 3), bytes, 3);
    }
    ck_assert(!reader.failed);
    ck_assert_uint_eq(reader.left_bytes, 0);
    qn_buffer_fini(&buffer);
    qn_buffer_fini(&buffer);
}
END_TEST

START_TEST(a_message_cut_anywhere_fails_and_reads_as_zero_from_there)
{
    qn_buffer whole = {0};
    qn_buffer_append_u32(&whole, UINT32_MAX);
    qn_buffer_append_u64(&whole, UINT64_MAX);
    qn_buffer_append_span(&whole, "spanned", 7);
    for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
        uint8_t *cut = malloc(bytes > 0 ? bytes : 1);
        memcpy(cut, whole.data, bytes);
        qn_reader reader = qn_reader_of(cut, bytes);
        size_t got = 99;
        ck_assert_uint_eq(qn_reader_u32(&reader), bytes >= 4 ? UINT32_MAX : 0);
        ck_assert_uint_eq(qn_reader_u64(&reader), bytes >= 12 ? UINT64_MAX : 0);
        ck_assert_ptr_null(qn_reader_span(&reader, &got));
        ck_assert_uint_eq(got, 0);
        ck_assert(reader.failed);
        ck_assert_uint_eq(qn_reader_u32(&reader), 0);
        ck_assert_ptr_null(qn_reader_take(&reader, 0));
        free(cut);
    }
    qn_buffer_fini(&whole);
}
END_TEST

START_TEST(lying_lengths_are_refused)
{
    static const uint64_t lies[] = {9, 10, 1000, UINT32_MAX, (uint64_t)1 << 63, UINT64_MAX - 8, UINT64_MAX};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        qn_buffer buffer = {0};
        size_t got = 99;
        qn_buffer_append_u64(&buffer, lies[i]);
        qn_buffer_append(&buffer, "12345678", 8);
        qn_reader reader = qn_reader_of(buffer.data, buffer.bytes);
        ck_assert_ptr_null(qn_reader_span(&reader, &got));
        ck_assert_uint_eq(got, 0);
        ck_assert(reader.failed);
        qn_buffer_fini(&buffer);
    }
}
END_TEST

START_TEST(random_bytes_never_make_the_reader_leave_them)
{
    uint64_t state = 3;
    for (int round = 0; round < 20000; round++) {
        size_t bytes = kit_random_below(&state, 64);
        uint8_t *data = malloc(bytes > 0 ? bytes : 1);
        for (size_t i = 0; i < bytes; i++)
            data[i] = kit_random_below(&state, 3) == 0 ? (uint8_t)kit_random(&state) : 0;
        qn_reader reader = qn_reader_of(data, bytes);
        for (int step = 0; step < 8; step++) {
            size_t got = 0;
            const uint8_t *span = NULL;
            switch (kit_random_below(&state, 3)) {
            case 0:
                qn_reader_u32(&reader);
                break;
            case 1:
                qn_reader_u64(&reader);
                break;
            default:
                span = qn_reader_span(&reader, &got);
            }
            ck_assert(!span || (span >= data && span + got <= data + bytes));
            ck_assert_uint_le(reader.left_bytes, bytes);
        }
        free(data);
    }
}
END_TEST

START_TEST(nothing_is_appended_without_harm_from_nowhere)
{
    qn_buffer buffer = {0};
    qn_buffer_append(&buffer, NULL, 0);
    ck_assert_uint_eq(buffer.bytes, 0);
    qn_buffer_append_span(&buffer, NULL, 0);
    ck_assert_uint_eq(buffer.bytes, 8);
    ck_assert(!buffer.failed);
    qn_buffer_fini(&buffer);
}
END_TEST

START_TEST(a_refusal_of_memory_is_remembered_and_what_was_there_stays)
{
    qn_buffer buffer = {0};
    static char big[1000];
    qn_buffer_append(&buffer, "first", 5);
    allocations_left = 0;
    qn_buffer_append(&buffer, big, sizeof big);
    allocations_left = -1;
    ck_assert(buffer.failed);
    qn_buffer_append(&buffer, "x", 1);
    ck_assert_uint_eq(buffer.bytes, 5);
    ck_assert_mem_eq(buffer.data, "first", 5);
    qn_buffer_fini(&buffer);
    ck_assert(!buffer.failed);
}
END_TEST

START_TEST(impossible_sizes_are_a_refusal_of_memory)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 5, SIZE_MAX / 2 + 1, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        qn_buffer buffer = {0};
        qn_buffer_append(&buffer, "first", 5);
        /* Never read: the memory for it cannot be had. A loop without end is what is looked for. */
        qn_buffer_append(&buffer, "", sizes[i]);
        ck_assert(buffer.failed);
        ck_assert_uint_eq(buffer.bytes, 5);
        qn_buffer_fini(&buffer);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_appended_is_read_back,
        a_message_cut_anywhere_fails_and_reads_as_zero_from_there,
        lying_lengths_are_refused,
        random_bytes_never_make_the_reader_leave_them,
        nothing_is_appended_without_harm_from_nowhere,
        a_refusal_of_memory_is_remembered_and_what_was_there_stays,
        impossible_sizes_are_a_refusal_of_memory,
    };
    return kit_run_tests("buffer", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
