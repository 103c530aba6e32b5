/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_table_order.c: a table gone through: cursors in order, scans without, ranges that move away.
 */
#include "runtime/base/pages.h"
#include "tests/data/tablekit.h"

#include <sys/mman.h>

#define CURSOR_COUNT_MAX 64

static uint32_t words_of_user = 1;

typedef struct ranges {
    uint64_t first[CURSOR_COUNT_MAX], last[CURSOR_COUNT_MAX];
    size_t count;
} ranges;

/* Cuts the tags into neighbouring ranges; many cuts are exactly at keys or beside them. */
static void choose_ranges(ranges *chosen, const keykit_set *set, size_t count, uint64_t tag_last, uint64_t *state)
{
    uint64_t cuts[CURSOR_COUNT_MAX];
    for (size_t i = 0; i < count; i++) {
        uint64_t cut = set->keys[kit_random_below(state, set->count)].key.tag;
        if (kit_random_below(state, 3) == 0)
            cut = kit_random(state);
        cut += kit_random_below(state, 3) - 1;
        cuts[i] = cut < tag_last ? cut : tag_last;
        for (size_t j = i; j > 0 && cuts[j - 1] > cuts[j]; j--) {
            uint64_t moved = cuts[j];
            cuts[j] = cuts[j - 1];
            cuts[j - 1] = moved;
        }
    }
    chosen->count = 0;
    uint64_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (cuts[i] < first)
            continue;
        chosen->first[chosen->count] = first;
        chosen->last[chosen->count++] = cuts[i];
        first = cuts[i] + 1;
        if (cuts[i] == tag_last)
            return;
    }
    chosen->first[chosen->count] = first;
    chosen->last[chosen->count++] = tag_last;
}

/* All cursors at once, some steps of one and then of another, as when tables are sent to many ranks. */
static void check_cursors(qn_table *table, const keykit_set *set, const ranges *of, size_t steps_max, uint64_t *state)
{
    qn_table_cursor cursors[CURSOR_COUNT_MAX];
    keykit_check checks[CURSOR_COUNT_MAX];
    size_t open[CURSOR_COUNT_MAX];
    size_t open_count = of->count;
    size_t matched = 0;
    for (size_t i = 0; i < of->count; i++) {
        cursors[i] = qn_table_cursor_of(table, of->first[i], of->last[i]);
        checks[i] = keykit_check_from(set, table->reducer, of->first[i]);
        open[i] = i;
    }
    while (open_count > 0) {
        size_t at = kit_random_below(state, open_count);
        size_t i = open[at];
        const qn_key *key = NULL;
        const uint64_t *value = NULL;
        for (size_t steps = 1 + kit_random_below(state, steps_max); steps > 0; steps--) {
            key = qn_table_cursor_peek(&cursors[i], &value);
            if (!key)
                break;
            if (!keykit_matches(&checks[i], key, value) || key->tag < of->first[i] || key->tag > of->last[i])
                ck_abort_msg("key %zu of range %zu of %zu, tag %016llx", checks[i].matched, i, of->count,
                             (unsigned long long)key->tag);
            qn_table_cursor_step(&cursors[i]);
        }
        if (!key) {
            matched += checks[i].matched;
            open[at] = open[--open_count];
        }
    }
    ck_assert_uint_eq(matched, keykit_present_count(set, 0, UINT64_MAX));
}

START_TEST(cursors_of_neighbouring_ranges_cover_every_key_once)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint64_t state = 31;
    for (uint64_t round = 0; round < 60; round++) {
        keykit_set set = keykit_make(round % 3 ? 4000 : 50, round);
        ranges chosen;
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        feed_random(&table, &set, 2 * set.count, false);
        for (int again = 0; again < 4; again++) {
            choose_ranges(&chosen, &set, kit_random_below(&state, CURSOR_COUNT_MAX), UINT64_MAX, &state);
            check_cursors(&table, &set, &chosen, 1 + (size_t)round, &state);
        }
        feed_random(&table, &set, set.count, false); /* sorted clusters are still clusters */
        check_table(&table, &set);
        qn_table_fini(&table);
        keykit_free(&set);
    }
}
END_TEST

START_TEST(cursors_in_a_crowd_of_equal_and_neighbouring_hashes_share_its_cluster)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint64_t state = 33;
    for (int round = 0; round < 6; round++) {
        keykit_set set =
            round % 2 ? keykit_make_equal_long(3000, UINT64_MAX / 3) : keykit_make_equal_short(3000, UINT64_MAX / 3);
        for (size_t i = 0; i < set.count; i++) /* ten neighbouring hashes */
            set.keys[i].key.tag += 256 * (i % 10);
        keykit_sort(&set);
        qn_table table;
        ranges chosen;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        feed_random(&table, &set, 2 * set.count, false);
        for (int again = 0; again < 5; again++) {
            choose_ranges(&chosen, &set, 15, UINT64_MAX, &state);
            check_cursors(&table, &set, &chosen, 300, &state);
        }
        qn_table_fini(&table);
        keykit_free(&set);
    }
}
END_TEST

/* Scans. */

#define SCAN_COUNT_MAX 700

/* Marks the key of a slot as seen once. */
static void see_slot(const keykit_set *set, uint8_t *seen, const uint64_t *slot, bool tiny, const uint64_t *value,
                     const qn_reducer *reducer)
{
    keykit_key wanted = {.key = tiny ? qn_key_of_tag(slot[0]) : (qn_key){slot[0], slot[1], slot[2]}};
    const keykit_key *found = bsearch(&wanted, set->keys, set->count, sizeof *set->keys, keykit_compare);
    if (!found || found->count == 0 || memcmp(value, found->value, 8 * (size_t)reducer->value_words) != 0)
        ck_abort_msg("a slot that nobody put in, tag %016llx", (unsigned long long)slot[0]);
    if (seen[found - set->keys]++ > 0)
        ck_abort_msg("a slot was taken twice, tag %016llx", (unsigned long long)slot[0]);
}

/* Takes a range to its end; some slots are returned and taken again. */
static size_t scan_range(qn_table *table, const keykit_set *set, uint8_t *seen, uint64_t first, uint64_t last,
                         uint64_t *state)
{
    const uint64_t *slots[SCAN_COUNT_MAX + 1];
    qn_table_scan scan = qn_table_scan_of(table, first, last);
    size_t taken = 0;
    for (;;) {
        uint64_t wide[QN_TABLE_NARROW_WORDS];
        size_t max = 1 + kit_random_below(state, SCAN_COUNT_MAX);
        size_t count = qn_table_scan_take(&scan, slots, max);
        if (count == 0)
            break;
        ck_assert_uint_le(count, max);
        size_t kept = kit_random_below(state, 3) ? count : kit_random_below(state, count);
        for (size_t i = 0; i < kept; i++) {
            if (*slots[i] < first || *slots[i] > last)
                ck_abort_msg("tag %016llx is of another range", (unsigned long long)*slots[i]);
            see_slot(set, seen, slots[i], scan.tiny_left, qn_table_scan_value(&scan, slots[i], wide), table->reducer);
        }
        if (kept < count)
            qn_table_scan_return(&scan, slots[kept]);
        taken += kept;
    }
    ck_assert_uint_eq(qn_table_scan_take(&scan, slots, 1), 0);
    return taken;
}

static void check_scans(qn_table *table, const keykit_set *set, const ranges *of, uint64_t *state)
{
    uint8_t *seen = (uint8_t *)kit_take(set->count);
    size_t taken = 0;
    for (size_t i = 0; i < of->count; i++)
        taken += scan_range(table, set, seen, of->first[i], of->last[i], state);
    ck_assert_uint_eq(taken, keykit_present_count(set, 0, UINT64_MAX));
    free(seen);
}

/* The ranges of so many ranks. */
static void rank_ranges(ranges *chosen, uint64_t size)
{
    chosen->count = size;
    for (uint64_t rank = 0; rank < size; rank++) {
        chosen->first[rank] = first_tag_of(rank, size);
        chosen->last[rank] = rank + 1 < size ? first_tag_of(rank + 1, size) - 1 : UINT64_MAX;
    }
}

static const uint64_t rank_counts[] = {1, 2, 3, 7, 64};
#define RANK_COUNTS (sizeof rank_counts / sizeof *rank_counts)

START_TEST(scans_of_neighbouring_ranges_take_every_slot_once)
{
    static const size_t counts[] = {0, 1, 50, 4000, 60000};
    uint64_t state = 51;
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
        for (words_of_user = 1; words_of_user <= 32; words_of_user = words_of_user == 1 ? 2 : words_of_user * 16) {
            qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words_of_user);
            keykit_set set = keykit_make(counts[n], n);
            ranges chosen;
            qn_table table;
            open_table(&table, &reducer, 0, UINT64_MAX, 0);
            if (words_of_user == 2)
                feed_ascending(&table, &set);
            else
                feed_each(&table, &set);
            for (size_t i = 0; i < RANK_COUNTS; i++) {
                rank_ranges(&chosen, rank_counts[i]);
                check_scans(&table, &set, &chosen, &state);
            }
            for (int again = 0; again < 4 && set.count > 0; again++) {
                choose_ranges(&chosen, &set, kit_random_below(&state, CURSOR_COUNT_MAX), UINT64_MAX, &state);
                check_scans(&table, &set, &chosen, &state);
            }
            check_table(&table, &set);
            qn_table_fini(&table);
            keykit_free(&set);
        }
    }
}
END_TEST

/* Crowds reach far behind the places of their ranges, at the end of the array too. */
START_TEST(scans_find_what_a_crowd_pushed_behind_their_range)
{
    static const uint64_t tags[] = {UINT64_MAX, UINT64_MAX / 3, 0x900};
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint64_t state = 53;
    for (int round = 0; round < 6; round++) {
        uint64_t tag = tags[round / 2];
        keykit_set set = round % 2 ? keykit_make_equal_long(3000, tag) : keykit_make_equal_short(3000, tag);
        for (size_t i = 0; i < set.count; i++)
            set.keys[i].key.tag -= tag > 0x900 ? 256 * (i % 10) : 0;
        keykit_sort(&set);
        qn_table table;
        ranges chosen;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        feed_each(&table, &set);
        for (int again = 0; again < 10; again++) {
            choose_ranges(&chosen, &set, 15, UINT64_MAX, &state);
            check_scans(&table, &set, &chosen, &state);
        }
        qn_table_fini(&table);
        keykit_free(&set);
    }
}
END_TEST

/* A table of one rank's range, which begins and ends within the tags that are asked for. */
START_TEST(a_scan_of_all_tags_takes_what_a_rank_s_table_has)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint64_t state = 54;
    keykit_set all = keykit_make(20000, 4);
    for (uint64_t rank = 0; rank < 7; rank++) {
        uint64_t first = first_tag_of(rank, 7), last = rank == 6 ? UINT64_MAX : first_tag_of(rank + 1, 7) - 1;
        keykit_set set = {all.keys, 0, NULL};
        for (; set.keys->key.tag < first; set.keys++)
            ;
        for (; set.keys + set.count < all.keys + all.count && set.keys[set.count].key.tag <= last; set.count++)
            ;
        qn_table table;
        open_table(&table, &reducer, first, last, 0);
        feed_each(&table, &set);
        check_scans(&table, &set, &(ranges){{0}, {UINT64_MAX}, 1}, &state);
        qn_table_fini(&table);
    }
    keykit_free(&all);
}
END_TEST

START_TEST(a_scan_of_no_tags_takes_nothing)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(3000, 5);
    qn_table table;
    open_table(&table, &reducer, UINT64_MAX / 4, UINT64_MAX / 2, 0);
    keykit_set in = {set.keys + set.count / 3, set.count / 20, NULL};
    feed_each(&table, &in);
    static const uint64_t empty[][2] = {
        {0, 0}, {0, UINT64_MAX / 4 - 1}, {UINT64_MAX / 2 + 1, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, {9, 8}};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const uint64_t *slots[10];
        qn_table_scan scan = qn_table_scan_of(&table, empty[i][0], empty[i][1]);
        ck_assert_uint_eq(qn_table_scan_take(&scan, slots, 9), 0);
    }
    qn_table_fini(&table);
    keykit_free(&set);
}
END_TEST

/* Moves. */

#define LARGE_COUNT 300000

/* Pages of an array that cost memory. */
static size_t resident_bytes(const qn_slots *slots)
{
    static unsigned char present[1 << 16];
    size_t page_count = (qn_slots_get_bytes(slots) + QN_PAGE_SMALL_BYTES - 1) / QN_PAGE_SMALL_BYTES, resident = 0;
    ck_assert_uint_le(page_count, sizeof present);
    ck_assert_int_eq(mincore(slots->memory, page_count * QN_PAGE_SMALL_BYTES, present), 0);
    for (size_t i = 0; i < page_count; i++)
        resident += present[i] & 1;
    return resident * QN_PAGE_SMALL_BYTES;
}

static size_t table_resident_bytes(const qn_table *table)
{
    return resident_bytes(&table->tiny) + resident_bytes(&table->wide);
}

/* Moves one range away: it is in the other table, and all other ranges are whole. */
static void check_move(qn_table *from, const keykit_set *set, const ranges *of, size_t moving, uint64_t *state)
{
    uint64_t first = of->first[moving], last = of->last[moving];
    qn_table to;
    open_table(&to, from->reducer, first, last, BYTES_MAX);
    ck_assert_int_eq(qn_table_move(&to, from, first, last, SIZE_MAX), QN_TABLE_OK);
    ck_assert_uint_eq(qn_table_get_count(&to), keykit_present_count(set, first, last));
    ck_assert_uint_eq(to.long_keys.held_bytes, 0);
    uint8_t *seen = (uint8_t *)kit_take(set->count);
    for (size_t i = 0; i < of->count; i++)
        if (i != moving)
            scan_range(from, set, seen, of->first[i], of->last[i], state);
    scan_range(&to, set, seen, first, last, state);
    for (size_t i = 0; i < set->count; i++)
        if (seen[i] != (set->keys[i].count > 0))
            ck_abort_msg("key %zu of %zu is in no table", i, set->count);
    free(seen);
    check_range(&to, set, first, last);
    qn_table_clear_slots(from);
    check_range(&to, set, first, last); /* the bytes of long keys are still there */
    qn_table_fini(&to);
    qn_table_clear(from);
}

static void check_moves_of(const qn_reducer *reducer, size_t count, uint64_t size, uint64_t rank_step)
{
    keykit_set set = keykit_make(count, reducer->value_words + size);
    uint64_t state = reducer->value_words;
    ranges chosen;
    qn_table table;
    open_table(&table, reducer, 0, UINT64_MAX, 0);
    rank_ranges(&chosen, size);
    for (uint64_t rank = 0; rank < size; rank += rank_step) {
        if (rank % 2)
            feed_ascending(&table, &set);
        else
            feed_each(&table, &set);
        check_move(&table, &set, &chosen, rank, &state);
        keykit_forget(&set);
    }
    qn_table_fini(&table);
    keykit_free(&set);
}

static void check_moves(uint32_t words, size_t count, uint64_t size, uint64_t rank_step)
{
    words_of_user = words;
    qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words_of_user);
    check_moves_of(&reducer, count, size, rank_step);
}

/* Nearly all keys in the one small range that moves: it has room for them, not for an even share. */
START_TEST(a_range_that_holds_nearly_all_keys_moves_into_a_table_that_is_not_full)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint64_t first = first_tag_of(5, 64), last = first_tag_of(6, 64) - 1;
    keykit_set set = keykit_make_equal_short(9000, first);
    qn_table from, to;
    for (size_t i = 0; i < set.count; i++)
        set.keys[i].key.tag += (i / 2 + 1) * ((last - first) / 6000 & ~UINT64_C(255));
    keykit_sort(&set);
    open_table(&from, &reducer, 0, UINT64_MAX, 0);
    open_table(&to, &reducer, first, last, 0);
    feed_each(&from, &set);
    ck_assert_int_eq(qn_table_move(&to, &from, first, last, BYTES_MAX), QN_TABLE_OK);
    ck_assert_uint_le(to.wide.used_count, to.wide.slot_count * 3 / 4);
    check_range(&to, &set, first, last);
    qn_table_fini(&to);
    qn_table_fini(&from);
    keykit_free(&set);
}
END_TEST

START_TEST(a_range_that_moves_is_whole_and_so_are_the_others)
{
    static const size_t counts[] = {0, 1, 3, 700, 20000};
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
        for (size_t i = 0; i < RANK_COUNTS; i++) {
            check_moves(1, counts[n], rank_counts[i], 1 + rank_counts[i] / 8);
            check_moves(2, counts[n], rank_counts[i], 1 + rank_counts[i] / 3);
            check_moves(32, counts[n], rank_counts[i], 1 + rank_counts[i] / 3);
        }
}
END_TEST

/* Random sums of 128 bits: nearly all of them have a carry. */
START_TEST(sums_beyond_64_bits_move_whole)
{
    static const size_t counts[] = {1, 700, 20000};
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_I64, NULL);
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
        for (size_t i = 0; i < RANK_COUNTS; i++)
            check_moves_of(&reducer, counts[n], rank_counts[i], 1 + rank_counts[i] / 3);
}
END_TEST

START_TEST(memory_given_back_while_a_range_moves_is_missed_by_none)
{
    check_moves(1, LARGE_COUNT, 1, 1);
    check_moves(1, LARGE_COUNT, 3, 1);
    check_moves(2, LARGE_COUNT, 7, 3);
    check_moves(32, 60000, 2, 1);
    check_moves(32, 60000, 64, 40);
}
END_TEST

START_TEST(a_range_that_moves_gives_most_of_its_memory_back)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(LARGE_COUNT, 71);
    for (uint64_t size = 1; size <= 4; size++) {
        qn_table from, to;
        uint64_t last = size == 1 ? UINT64_MAX : first_tag_of(1, size) - 1;
        open_table(&from, &reducer, 0, UINT64_MAX, 0);
        feed_each(&from, &set);
        check_range(&from, &set, 0, UINT64_MAX); /* reading costs pages too */
        ck_assert(!from.wide.mixed && !from.tiny.mixed);
        size_t before = table_resident_bytes(&from);
        open_table(&to, &reducer, 0, last, BYTES_MAX);
        ck_assert_int_eq(qn_table_move(&to, &from, 0, last, SIZE_MAX), QN_TABLE_OK);
        size_t after = table_resident_bytes(&from), granularity = 4 * QN_PAGE_HUGE_BYTES;
        ck_assert_msg(after <= before - before / size + granularity, "%zu of %zu bytes are left, of %d ranks", after,
                      before, (int)size);
        qn_table_fini(&to);
        qn_table_fini(&from);
        keykit_forget(&set);
    }
    keykit_free(&set);
}
END_TEST

#define CROWD_KEYS_PER_TAG 4
#define CROWD_TAG_LAST     (UINT64_C(256) * 13850) /* a hair less than four slots for each tag */
#define CROWD_COUNT        39600

/* One cluster of some megabytes, of which a range in the middle moves. */
START_TEST(a_range_that_moves_out_of_a_large_crowd_leaves_its_neighbours_whole)
{
    words_of_user = 32;
    qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words_of_user);
    keykit_set set = keykit_make_equal_short(CROWD_COUNT, 0);
    uint64_t state = 3;
    for (size_t i = 0; i < set.count; i++)
        set.keys[i].key.tag += 256 * (i / CROWD_KEYS_PER_TAG);
    keykit_sort(&set);
    for (int round = 0; round < 4; round++) {
        ranges chosen;
        qn_table table;
        open_table(&table, &reducer, 0, CROWD_TAG_LAST, 0);
        feed_each(&table, &set);
        choose_ranges(&chosen, &set, round % 2 ? 3 : 20, CROWD_TAG_LAST, &state);
        check_move(&table, &set, &chosen, kit_random_below(&state, chosen.count), &state);
        qn_table_fini(&table);
        keykit_forget(&set);
    }
    keykit_free(&set);
}
END_TEST

START_TEST(a_range_that_does_not_fit_stays_where_it_is)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(50000, 73);
    qn_table from;
    open_table(&from, &reducer, 0, UINT64_MAX, 0);
    feed_each(&from, &set);
    bool fitted = false;
    for (size_t bytes_max = 0; !fitted; bytes_max += 300001) {
        qn_table to;
        open_table(&to, &reducer, 0, UINT64_MAX / 2, bytes_max);
        size_t empty_bytes = qn_table_get_bytes(&to);
        qn_table_result result = qn_table_move(&to, &from, 0, UINT64_MAX / 2, bytes_max);
        ck_assert(result == QN_TABLE_OK || result == QN_TABLE_FULL);
        fitted = result == QN_TABLE_OK;
        ck_assert_uint_le(qn_table_get_bytes(&to), bytes_max > empty_bytes ? bytes_max : empty_bytes);
        if (fitted)
            check_range(&to, &set, 0, UINT64_MAX / 2);
        else {
            ck_assert_uint_eq(qn_table_get_count(&to), 0);
            check_range(&from, &set, 0, UINT64_MAX);
        }
        qn_table_fini(&to);
    }
    qn_table_fini(&from);
    keykit_free(&set);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_range_that_holds_nearly_all_keys_moves_into_a_table_that_is_not_full,
        cursors_of_neighbouring_ranges_cover_every_key_once,
        cursors_in_a_crowd_of_equal_and_neighbouring_hashes_share_its_cluster,
        scans_of_neighbouring_ranges_take_every_slot_once,
        scans_find_what_a_crowd_pushed_behind_their_range,
        a_scan_of_all_tags_takes_what_a_rank_s_table_has,
        a_scan_of_no_tags_takes_nothing,
        a_range_that_moves_is_whole_and_so_are_the_others,
        sums_beyond_64_bits_move_whole,
        memory_given_back_while_a_range_moves_is_missed_by_none,
        a_range_that_moves_gives_most_of_its_memory_back,
        a_range_that_moves_out_of_a_large_crowd_leaves_its_neighbours_whole,
        a_range_that_does_not_fit_stays_where_it_is,
    };
    return kit_run_tests("table_order", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
