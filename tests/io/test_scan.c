/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_scan.c: the wide and the narrow scan against looking at every byte.
 */
#include "runtime/io/scan.h"
#include "tests/kit.h"

#include <sys/mman.h>
#include <unistd.h>

#define BYTES_MAX     700
#define POSITIONS_MAX (BYTES_MAX + 4 * QN_SCAN_SLACK_POSITIONS)

typedef struct scanned {
    uint32_t positions[POSITIONS_MAX];
    size_t count;
    size_t bytes;
    bool inside;
} scanned;

static bool is_in(const char *set, size_t count, uint8_t byte)
{
    return memchr(set, byte, count) != NULL;
}

/* What the header promises, for a scan of all bytes. */
static void model_scan(const char *set, size_t set_count, const uint8_t *data, size_t bytes, bool toggles, bool inside,
                       scanned *out)
{
    out->count = 0;
    out->bytes = bytes;
    for (size_t i = 0; i < bytes; i++) {
        bool delimiter = is_in(set, set_count, data[i]);
        if (toggles ? delimiter == inside : delimiter)
            out->positions[out->count++] = (uint32_t)i;
        inside = !delimiter;
    }
    out->inside = inside;
}

static bool same_scan(const scanned *a, const scanned *b, bool toggles)
{
    return a->count == b->count && a->bytes == b->bytes && (!toggles || a->inside == b->inside) &&
           memcmp(a->positions, b->positions, a->count * sizeof *a->positions) == 0;
}

static void scan_with(qn_delimiters *delimiters, bool wide, const uint8_t *data, size_t bytes, bool toggles,
                      bool inside, size_t positions_max, scanned *out)
{
    delimiters->wide = wide;
    out->inside = inside;
    out->count = qn_scan(delimiters, data, 0, bytes, toggles, &out->inside, out->positions, positions_max, &out->bytes);
}

static const char *const sets[] = {"\n", " \t\n\v\f\r", ",", "\x7f", "abcdefghijklmnop", " 0@P`p\x01\x11"};
#define SET_COUNT (sizeof sets / sizeof *sets)

static void fill(uint8_t *data, size_t bytes, const char *set, uint64_t density, uint64_t *state)
{
    size_t set_count = strlen(set);
    for (size_t i = 0; i < bytes; i++)
        data[i] = kit_random_below(state, 100) < density ? (uint8_t)set[kit_random_below(state, set_count)]
                                                         : (uint8_t)kit_random(state);
}

static bool this_machine_is_wide(void)
{
    qn_delimiters delimiters;
    return qn_delimiters_init(&delimiters, "\n", 1) && delimiters.wide;
}

START_TEST(wide_and_narrow_find_what_looking_at_every_byte_finds)
{
    static uint8_t memory[64 + BYTES_MAX + QN_SCAN_STEP_BYTES];
    static scanned expected, got;
    uint64_t state = 1;
    bool machine_is_wide = this_machine_is_wide();
    for (int round = 0; round < 60000; round++) {
        const char *set = sets[kit_random_below(&state, SET_COUNT)];
        qn_delimiters delimiters;
        ck_assert(round % 1000 != 0 || qn_delimiters_init(&delimiters, set, strlen(set)));
        qn_delimiters_init(&delimiters, set, strlen(set));
        uint8_t *data = memory + kit_random_below(&state, 64);
        size_t bytes = kit_random_below(&state, round % 4 ? 150 : BYTES_MAX);
        fill(data, bytes + QN_SCAN_STEP_BYTES, set, kit_random_below(&state, 4) * 33, &state);
        bool toggles = kit_random_below(&state, 2), inside = kit_random_below(&state, 2);
        model_scan(set, strlen(set), data, bytes, toggles, inside, &expected);
        for (int wide = 0; wide <= (int)machine_is_wide; wide++) {
            scan_with(&delimiters, wide, data, bytes, toggles, inside, BYTES_MAX, &got);
            if (bytes > 0 && !same_scan(&got, &expected, toggles))
                ck_abort_msg("round %d wide %d bytes %d", round, wide, (int)bytes);
        }
    }
}
END_TEST

START_TEST(every_byte_is_told_from_every_delimiter)
{
    uint8_t data[256 + QN_SCAN_STEP_BYTES] = {0};
    static scanned got;
    for (int byte = 0; byte < 256; byte++)
        data[byte] = (uint8_t)byte;
    for (int delimiter = 0; delimiter < 256; delimiter++) {
        qn_delimiters delimiters;
        char set = (char)delimiter;
        ck_assert(qn_delimiters_init(&delimiters, &set, 1) == (delimiter < 128));
        for (int wide = 0; wide <= (int)(delimiter < 128 && this_machine_is_wide()); wide++) {
            scan_with(&delimiters, wide, data, 256, false, false, BYTES_MAX, &got);
            ck_assert_uint_eq(got.count, 1);
            ck_assert_uint_eq(got.positions[0], (uint32_t)delimiter);
        }
    }
}
END_TEST

START_TEST(all_pairs_of_delimiters_are_told_from_all_other_bytes)
{
    uint8_t data[256 + QN_SCAN_STEP_BYTES] = {0};
    static scanned expected, got;
    bool machine_is_wide = this_machine_is_wide();
    for (int byte = 0; byte < 256; byte++)
        data[byte] = (uint8_t)byte;
    for (int pair = 0; pair < 128 * 128; pair++) {
        char set[2] = {(char)(pair % 128), (char)(pair / 128)};
        qn_delimiters delimiters;
        qn_delimiters_init(&delimiters, set, 2);
        model_scan(set, 2, data, 256, false, false, &expected);
        scan_with(&delimiters, machine_is_wide, data, 256, false, false, BYTES_MAX, &got);
        if (!same_scan(&got, &expected, false))
            ck_abort_msg("pair %d", pair);
    }
}
END_TEST

/* The ways of making masks: by single bytes, by two tables, by one where the set allows it. */
typedef enum way { NARROW, WIDE, ONLY, WAY_COUNT } way;

static bool way_is_possible(const qn_delimiters *delimiters, way by)
{
    return by == NARROW || (delimiters->wide && (by == WIDE || delimiters->has_only));
}

static void scan_by(qn_delimiters delimiters, way by, const uint8_t *data, size_t from, size_t bytes, bool toggles,
                    bool inside, scanned *out)
{
    delimiters.wide = by != NARROW;
    delimiters.has_only = by == ONLY;
    out->inside = inside;
    out->count = qn_scan(&delimiters, data, from, bytes, toggles, &out->inside, out->positions, BYTES_MAX, &out->bytes);
}

/* All that is found lies `from` further on than in a scan of what begins there. */
static void check_ways(const char *set, size_t set_count, const uint8_t *data, size_t from, size_t bytes, bool toggles,
                       bool inside)
{
    static scanned expected, got;
    qn_delimiters delimiters;
    ck_assert(qn_delimiters_init(&delimiters, set, set_count));
    model_scan(set, set_count, data + from, bytes - from, toggles, inside, &expected);
    expected.bytes = bytes;
    for (size_t i = 0; i < expected.count; i++)
        expected.positions[i] += (uint32_t)from;
    for (way by = NARROW; by < WAY_COUNT; by++) {
        if (!way_is_possible(&delimiters, by))
            continue;
        scan_by(delimiters, by, data, from, bytes, toggles, inside, &got);
        if (!same_scan(&got, &expected, toggles))
            ck_abort_msg("way %d, set of %zu from %d, from %zu to %zu: %zu positions instead of %zu", (int)by,
                         set_count, set[0], from, bytes, got.count, expected.count);
    }
}

static void check_has_only(const char *set, size_t count)
{
    qn_delimiters delimiters;
    bool shared = false;
    ck_assert(qn_delimiters_init(&delimiters, set, count));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            shared |= set[i] != set[j] && (set[i] & 15) == (set[j] & 15);
    ck_assert_int_eq(delimiters.has_only, !shared);
}

START_TEST(every_way_tells_every_pair_from_all_other_bytes)
{
    uint8_t data[3 + 256 + QN_SCAN_STEP_BYTES] = {0};
    for (int byte = 0; byte < 256; byte++)
        data[3 + byte] = (uint8_t)byte;
    for (int pair = 0; pair < 128 * 128; pair++) {
        char set[2] = {(char)(pair % 128), (char)(pair / 128)};
        check_has_only(set, 2);
        check_ways(set, 2, data, (size_t)pair % 4, 3 + 256, pair % 3 == 0, pair % 5 == 0);
    }
}
END_TEST

/* Up to 20 delimiters, NUL and such of equal halves among them, scanned from anywhere. */
START_TEST(every_way_finds_the_same_from_anywhere)
{
    static uint8_t data[BYTES_MAX + QN_SCAN_STEP_BYTES];
    uint64_t state = 9;
    for (int round = 0; round < 40000; round++) {
        char set[20];
        size_t set_count = 1 + kit_random_below(&state, round % 2 ? 3 : 20);
        uint64_t low = kit_random_below(&state, 16);
        for (size_t i = 0; i < set_count; i++) {
            uint64_t byte = kit_random_below(&state, 128);
            set[i] = (char)(kit_random_below(&state, 4) ? byte : (byte & 0x70) | low);
        }
        if (kit_random_below(&state, 2))
            set[0] = 0;
        check_has_only(set, set_count);
        uint64_t density = kit_random_below(&state, 4) * 33;
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = kit_random_below(&state, 100) < density ? (uint8_t)set[kit_random_below(&state, set_count)]
                                                              : (uint8_t)kit_random(&state);
        size_t bytes = 1 + kit_random_below(&state, round % 4 ? 150 : BYTES_MAX),
               from = kit_random_below(&state, bytes);
        check_ways(set, set_count, data, from, bytes, kit_random_below(&state, 2), kit_random_below(&state, 2));
    }
}
END_TEST

/* A scan that is stopped goes on where it stopped, with what it left in `inside`. */
static void scan_in_pieces(qn_delimiters *delimiters, const uint8_t *data, size_t bytes, bool toggles,
                           size_t positions_max, uint64_t *state, scanned *out)
{
    *out = (scanned){0};
    while (out->bytes < bytes) {
        static scanned piece;
        size_t ahead = bytes - out->bytes;
        if (kit_random_below(state, 2))
            ahead = 1 + kit_random_below(state, ahead);
        scan_with(delimiters, delimiters->wide, data + out->bytes, ahead, toggles, out->inside, positions_max, &piece);
        ck_assert(piece.count < positions_max + QN_SCAN_SLACK_POSITIONS);
        ck_assert(piece.bytes == ahead || (piece.count >= positions_max && piece.bytes % QN_SCAN_STEP_BYTES == 0));
        for (size_t i = 0; i < piece.count; i++)
            out->positions[out->count++] = (uint32_t)out->bytes + piece.positions[i];
        out->bytes += piece.bytes;
        out->inside = piece.inside;
    }
}

START_TEST(a_scan_in_pieces_finds_what_a_whole_one_finds)
{
    static uint8_t data[BYTES_MAX + QN_SCAN_STEP_BYTES];
    static scanned expected, got;
    uint64_t state = 2;
    bool machine_is_wide = this_machine_is_wide();
    for (int round = 0; round < 3000; round++) {
        const char *set = sets[kit_random_below(&state, SET_COUNT)];
        qn_delimiters delimiters;
        qn_delimiters_init(&delimiters, set, strlen(set));
        delimiters.wide = machine_is_wide && round % 2;
        size_t bytes = 1 + kit_random_below(&state, BYTES_MAX);
        fill(data, sizeof data, set, kit_random_below(&state, 4) * 33, &state);
        bool toggles = kit_random_below(&state, 2);
        model_scan(set, strlen(set), data, bytes, toggles, false, &expected);
        scan_in_pieces(&delimiters, data, bytes, toggles, 1 + kit_random_below(&state, 200), &state, &got);
        if (!same_scan(&got, &expected, toggles))
            ck_abort_msg("round %d", round);
    }
}
END_TEST

/* The slacks of the header are enough: a page that may not be touched lies behind them. */
START_TEST(a_scan_stays_within_the_slacks)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *mapped = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(mapped, MAP_FAILED);
    ck_assert_int_eq(mprotect(mapped + page, page, PROT_NONE), 0);
    ck_assert_int_eq(mprotect(mapped + 3 * page, page, PROT_NONE), 0);
    memset(mapped, '\n', page);
    for (size_t positions_max = 1; positions_max < 200; positions_max += 3) {
        uint32_t *positions = (uint32_t *)(mapped + 3 * page) - (positions_max + 2 * QN_SCAN_SLACK_POSITIONS);
        for (size_t bytes = 1; bytes < 400; bytes++) {
            uint8_t *data = mapped + page - QN_SCAN_STEP_BYTES - bytes;
            qn_delimiters delimiters;
            qn_delimiters_init(&delimiters, "\n", 1);
            for (int narrow = 0; narrow < 2; narrow++) {
                size_t scanned_bytes = 0;
                bool inside = true;
                delimiters.wide = delimiters.wide && !narrow;
                qn_scan(&delimiters, data, 0, bytes, false, &inside, positions, positions_max, &scanned_bytes);
            }
        }
    }
    munmap(mapped, 4 * page);
}
END_TEST

START_TEST(a_scan_of_nothing_changes_nothing)
{
    qn_delimiters delimiters;
    uint8_t data[QN_SCAN_STEP_BYTES] = "\n\n\n";
    uint32_t positions[1 + 2 * QN_SCAN_SLACK_POSITIONS];
    qn_delimiters_init(&delimiters, "\n", 1);
    for (int before = 0; before < 2; before++) {
        bool inside = before != 0;
        size_t scanned_bytes = 99;
        ck_assert_uint_eq(qn_scan(&delimiters, data, 0, 0, true, &inside, positions, 1, &scanned_bytes), 0);
        ck_assert_uint_eq(scanned_bytes, 0);
        ck_assert_int_eq(inside, before);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        wide_and_narrow_find_what_looking_at_every_byte_finds,
        every_byte_is_told_from_every_delimiter,
        all_pairs_of_delimiters_are_told_from_all_other_bytes,
        every_way_tells_every_pair_from_all_other_bytes,
        every_way_finds_the_same_from_anywhere,
        a_scan_in_pieces_finds_what_a_whole_one_finds,
        a_scan_stays_within_the_slacks,
        a_scan_of_nothing_changes_nothing,
    };
    return kit_run_tests("scan", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
