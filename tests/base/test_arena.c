/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_arena.c: pieces do not overlap, are aligned and have slack; and the pages that they come from.
 */
#include "runtime/base/arena.h"
#include "runtime/base/pages.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define PIECE_COUNT 4000

typedef struct piece {
    uint8_t *memory;
    size_t bytes;
    uint8_t mark;
} piece;

static void take_marked(qn_arena *arena, piece *taken, size_t bytes, uint8_t mark)
{
    *taken = (piece){qn_arena_take(arena, bytes), bytes, mark};
    ck_assert(taken->memory && (uintptr_t)taken->memory % 8 == 0);
    memset(taken->memory, mark, bytes + QN_SLACK_BYTES);
}

static void check_marks(const piece *pieces, size_t count)
{
    size_t wrong_count = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t at = 0; at < pieces[i].bytes; at++)
            wrong_count += pieces[i].memory[at] != pieces[i].mark;
    ck_assert_uint_eq(wrong_count, 0);
}

START_TEST(pieces_of_all_sizes_are_aligned_have_slack_and_do_not_overlap)
{
    static piece pieces[PIECE_COUNT];
    for (size_t chunk_bytes_max = 0; chunk_bytes_max <= 65536; chunk_bytes_max = chunk_bytes_max * 2 + 64) {
        qn_arena arena;
        uint64_t state = chunk_bytes_max + 1;
        size_t taken_bytes = 0;
        qn_arena_init(&arena, chunk_bytes_max);
        ck_assert_uint_eq(arena.held_bytes, 0);
        for (size_t i = 0; i < PIECE_COUNT; i++) {
            size_t bytes = kit_random_below(&state, kit_random_below(&state, 100) == 0 ? 40000 : 200);
            take_marked(&arena, &pieces[i], bytes, (uint8_t)i);
            taken_bytes += bytes;
        }
        check_marks(pieces, PIECE_COUNT);
        ck_assert_uint_ge(arena.held_bytes, taken_bytes);
        qn_arena_reset(&arena);
        ck_assert_uint_eq(arena.held_bytes, 0);
        take_marked(&arena, &pieces[0], 100, 7);
        qn_arena_reset(&arena);
    }
}
END_TEST

START_TEST(packed_pieces_lie_between_others_and_disturb_nobody)
{
    static piece pieces[PIECE_COUNT];
    static uint8_t source[300];
    qn_arena arena;
    uint64_t state = 5;
    qn_arena_init(&arena, 4096);
    for (size_t i = 0; i < PIECE_COUNT; i++) {
        size_t bytes = kit_random_below(&state, sizeof source);
        if (i % 3 == 0) {
            take_marked(&arena, &pieces[i], bytes, (uint8_t)i);
            continue;
        }
        memset(source, (int)(i & 0xff), sizeof source);
        pieces[i] = (piece){qn_arena_take_packed(&arena, bytes), bytes, (uint8_t)i};
        ck_assert_ptr_nonnull(pieces[i].memory);
        memcpy(pieces[i].memory, source, bytes);
    }
    check_marks(pieces, PIECE_COUNT);
    qn_arena_reset(&arena);
}
END_TEST

START_TEST(a_small_arena_costs_little_and_a_large_one_not_much_more_than_its_pieces)
{
    qn_arena arena;
    qn_arena_init(&arena, 0);
    ck_assert_ptr_nonnull(qn_arena_take(&arena, 100));
    ck_assert_uint_le(arena.held_bytes, 64 << 10);
    for (int i = 0; i < 20000; i++)
        ck_assert_ptr_nonnull(qn_arena_take(&arena, 1000));
    ck_assert_uint_le(arena.held_bytes, ((size_t)20000 * 1024) + ((size_t)3 << 20));
    qn_arena_reset(&arena);
}
END_TEST

START_TEST(rewinding_keeps_one_chunk_and_gives_the_rest_back)
{
    qn_arena arena;
    piece taken;
    qn_arena_init(&arena, 4096);
    qn_arena_rewind(&arena);
    ck_assert_uint_eq(arena.held_bytes, 0);
    for (int i = 0; i < 100; i++)
        take_marked(&arena, &taken, 1000, 1);
    size_t before = arena.held_bytes;
    qn_arena_rewind(&arena);
    ck_assert_uint_gt(arena.held_bytes, 0);
    ck_assert_uint_lt(arena.held_bytes, before / 4);
    for (int i = 0; i < 100; i++)
        take_marked(&arena, &taken, 1000, 2);
    check_marks(&taken, 1);
    ck_assert_uint_le(arena.held_bytes, before + 4096);
    qn_arena_reset(&arena);
}
END_TEST

START_TEST(copies_and_texts_are_the_same_bytes_elsewhere)
{
    qn_arena arena;
    qn_arena_init(&arena, 0);
    const char bytes[] = "a\0b";
    char *copy = qn_arena_copy(&arena, bytes, sizeof bytes);
    ck_assert_mem_eq(copy, bytes, sizeof bytes);
    ck_assert_ptr_ne(copy, bytes);
    ck_assert_str_eq(qn_arena_text(&arena, "text"), "text");
    ck_assert_str_eq(qn_arena_text(&arena, ""), "");
    qn_arena_reset(&arena);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    qn_arena arena;
    qn_arena_init(&arena, 0);
    for (size_t below = 0; below < 200; below++)
        ck_assert_ptr_null(qn_arena_take(&arena, SIZE_MAX - below));
    for (size_t below = 0; below < 5 * QN_PAGE_HUGE_BYTES; below += 4093) {
        ck_assert_ptr_null(qn_arena_take(&arena, SIZE_MAX - below));
        ck_assert_ptr_null(qn_pages_reserve(SIZE_MAX - below, false));
    }
    ck_assert_ptr_nonnull(qn_arena_take(&arena, 100));
    qn_arena_reset(&arena);
}
END_TEST

START_TEST(a_refusal_leaves_the_arena_as_it_was)
{
    qn_arena arena;
    piece taken;
    qn_arena_init(&arena, 4096);
    take_marked(&arena, &taken, 100, 3);
    size_t held_bytes = arena.held_bytes;
    allocations_left = 0;
    void *large = qn_arena_take(&arena, 1 << 20);
    void *huge = qn_arena_copy(&arena, &taken, (size_t)1 << 40);
    allocations_left = -1;
    ck_assert_ptr_null(large);
    ck_assert_ptr_null(huge);
    ck_assert_uint_eq(arena.held_bytes, held_bytes);
    check_marks(&taken, 1);
    take_marked(&arena, &taken, 1 << 20, 4);
    qn_arena_reset(&arena);
}
END_TEST

START_TEST(reserved_pages_are_zero_and_zero_again_after_a_release)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 100001, 2 << 20, (2 << 20) + 1, (6 << 20) + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t bytes = sizes[i];
        uint8_t *memory = qn_pages_reserve(bytes, i % 2 == 0);
        ck_assert_ptr_nonnull(memory);
        ck_assert_uint_eq((uintptr_t)memory % QN_PAGE_HUGE_BYTES, 0);
        size_t wrong_count = 0;
        for (size_t at = 0; at < bytes; at++)
            wrong_count += memory[at] != 0;
        memset(memory, 0xaa, bytes);
        size_t begin = bytes / 3;
        size_t end = bytes - bytes / 5;
        qn_pages_release(memory + begin, end - begin);
        for (size_t at = 0; at < bytes; at++) {
            size_t page = at / 4096 * 4096;
            bool inner = page >= begin && page + 4096 <= end;
            wrong_count += memory[at] != (inner ? 0 : 0xaa);
        }
        ck_assert_uint_eq(wrong_count, 0);
        qn_pages_unreserve(memory, bytes);
    }
    qn_pages_unreserve(NULL, 100);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        pieces_of_all_sizes_are_aligned_have_slack_and_do_not_overlap,
        packed_pieces_lie_between_others_and_disturb_nobody,
        a_small_arena_costs_little_and_a_large_one_not_much_more_than_its_pieces,
        rewinding_keeps_one_chunk_and_gives_the_rest_back,
        copies_and_texts_are_the_same_bytes_elsewhere,
        impossible_sizes_are_refused,
        a_refusal_leaves_the_arena_as_it_was,
        reserved_pages_are_zero_and_zero_again_after_a_release,
    };
    return kit_run_tests("arena", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
