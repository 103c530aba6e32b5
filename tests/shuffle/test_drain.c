/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/test_drain.c: a drain gives each rank the keys of its range, once, and scattered over it.
 */
#include "runtime/shuffle/drain.h"
#include "tests/data/tablekit.h"
#include "tests/refusal.h"

#define TAKE_COUNT_MAX 600

static uint32_t words_of_user = 1;
static const uint32_t rank_counts[] = {1, 2, 3, 7, 64};
#define RANK_COUNTS (sizeof rank_counts / sizeof *rank_counts)

static qn_drain drain_of(qn_table *table, uint32_t size)
{
    qn_drain drain;
    qn_error_clear(&error);
    kit_assert_ok(qn_drain_init(&drain, size, &error), &error);
    qn_drain_start(&drain, table);
    return drain;
}

START_TEST(the_ranges_of_ranks_are_neighbours_and_cover_all_tags)
{
    static const uint32_t sizes[] = {1, 2, 3, 7, 64, 1000, 65537};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t next = 0, width = UINT64_MAX / sizes[i];
        for (uint32_t rank = 0; rank < sizes[i]; rank++) {
            uint64_t first = qn_range_first(rank, sizes[i]), last = qn_range_last(rank, sizes[i]);
            if (first != next || last - first - (width - 1) > 2)
                ck_abort_msg("rank %u of %u: %llx to %llx", rank, sizes[i], (unsigned long long)first,
                             (unsigned long long)last);
            next = last + 1;
        }
        ck_assert_uint_eq(next, 0);
    }
}
END_TEST

/* The key of a slot, with its value, is one of the set that was not seen before. */
static void see_slot(const keykit_set *set, uint8_t *seen, const qn_table_scan *scan, const uint64_t *slot,
                     uint32_t words)
{
    uint64_t wide[QN_TABLE_NARROW_WORDS];
    keykit_key wanted = {.key = scan->tiny_left ? qn_key_of_tag(slot[0]) : (qn_key){slot[0], slot[1], slot[2]}};
    const keykit_key *found = bsearch(&wanted, set->keys, set->count, sizeof *set->keys, keykit_compare);
    const uint64_t *value = qn_table_scan_value(scan, slot, wide);
    if (!found || found->count == 0 || memcmp(value, found->value, 8 * (size_t)words) != 0)
        ck_abort_msg("a slot that nobody put in, tag %016llx", (unsigned long long)slot[0]);
    if (seen[found - set->keys]++ > 0)
        ck_abort_msg("a slot was taken twice, tag %016llx", (unsigned long long)slot[0]);
}

/* Some slots for a rank, of which a few go back. 0: its range is at its end. */
static size_t take_some(qn_drain *drain, uint32_t to, const keykit_set *set, uint8_t *seen, uint64_t *state)
{
    const uint64_t *slots[TAKE_COUNT_MAX + 1];
    uint64_t first = qn_range_first(to, drain->size), last = qn_range_last(to, drain->size);
    size_t max = 1 + kit_random_below(state, TAKE_COUNT_MAX);
    size_t count = qn_drain_take(drain, to, slots, max);
    ck_assert_uint_le(count, max);
    size_t kept = count == 0 || kit_random_below(state, 3) ? count : kit_random_below(state, count);
    for (size_t i = 0; i < kept; i++) {
        if (*slots[i] < first || *slots[i] > last)
            ck_abort_msg("tag %016llx for rank %u of %u", (unsigned long long)*slots[i], to, drain->size);
        see_slot(set, seen, &drain->ranges[to].scan, slots[i], drain->table->reducer->value_words);
    }
    if (kept < count)
        qn_table_scan_return(&drain->ranges[to].scan, slots[kept]);
    return count;
}

/* All ranks in turns of chance until none has more; the share grows to the end. */
static void check_drain(qn_drain *drain, const keykit_set *set, uint64_t *state)
{
    uint8_t *seen = (uint8_t *)kit_take(set->count);
    uint32_t *open = (uint32_t *)kit_take(drain->size * sizeof *open), open_count = drain->size;
    double share = 0;
    for (uint32_t to = 0; to < drain->size; to++)
        open[to] = to;
    while (open_count > 0) {
        uint32_t at = (uint32_t)kit_random_below(state, open_count), to = open[at];
        if (take_some(drain, to, set, seen, state) == 0) {
            ck_assert_uint_eq(qn_drain_take(drain, to, (const uint64_t *[2]){NULL}, 1), 0);
            open[at] = open[--open_count];
        }
        double now = qn_drain_get_share(drain);
        if (now < share || now > 1)
            ck_abort_msg("the share went from %f to %f", share, now);
        share = now;
    }
    double window = 1 / (double)(UINT64_C(1) << drain->window_bits);
    ck_assert_msg(share >= 1 - window - 1e-9, "the share ended at %f", share);
    for (size_t i = 0; i < set->count; i++)
        if (seen[i] != (set->keys[i].count > 0))
            ck_abort_msg("key %zu of %zu went to nobody", i, set->count);
    free(open);
    free(seen);
}

static void check_drains(uint32_t words, size_t count, bool ascending)
{
    words_of_user = words;
    qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words_of_user);
    keykit_set set = keykit_make(count, words + count);
    uint64_t state = words;
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    if (ascending)
        feed_ascending(&table, &set);
    else
        feed_each(&table, &set);
    for (size_t i = 0; i < RANK_COUNTS; i++) {
        qn_drain drain = drain_of(&table, rank_counts[i]);
        check_drain(&drain, &set, &state);
        qn_drain_start(&drain, &table); /* again */
        check_drain(&drain, &set, &state);
        qn_drain_fini(&drain);
    }
    qn_table_fini(&table);
    keykit_free(&set);
}

START_TEST(every_key_goes_to_its_rank_once)
{
    static const size_t counts[] = {0, 1, 2, 60, 5000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        check_drains(1, counts[i], false);
        check_drains(2, counts[i], true);
        check_drains(32, counts[i], i % 2);
    }
    check_drains(1, 300000, false);
    check_drains(1, 300000, true);
    check_drains(32, 30000, false);
}
END_TEST

/* Crowds lie far behind their windows, and among the keys of other windows and ranks. */
START_TEST(a_crowd_goes_to_its_rank_once)
{
    static const uint64_t tags[] = {UINT64_MAX, UINT64_MAX / 2, UINT64_MAX / 7 * 3};
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint64_t state = 5;
    for (int round = 0; round < 6; round++) {
        uint64_t tag = tags[round / 2];
        keykit_set set = round % 2 ? keykit_make_equal_long(3000, tag) : keykit_make_equal_short(3000, tag);
        for (size_t i = 0; i < set.count; i++)
            set.keys[i].key.tag -= 256 * (i % 300) * (UINT64_C(1) << (8 * (i % 5)));
        keykit_sort(&set);
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        feed_each(&table, &set);
        for (size_t i = 0; i < RANK_COUNTS; i++) {
            qn_drain drain = drain_of(&table, rank_counts[i]);
            check_drain(&drain, &set, &state);
            qn_drain_fini(&drain);
        }
        qn_table_fini(&table);
        keykit_free(&set);
    }
}
END_TEST

#define PART_COUNT 16

/* Whatever part of a range was taken, it is as much of its front as of its end. */
START_TEST(keys_go_out_scattered_over_the_range)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(200000, 7);
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    feed_each(&table, &set);
    for (uint32_t size = 1; size <= 3; size++) {
        qn_drain drain = drain_of(&table, size);
        const uint64_t *slots[TAKE_COUNT_MAX + 1];
        uint64_t first = qn_range_first(size - 1, size), part = (qn_range_last(size - 1, size) - first) / PART_COUNT;
        size_t taken[PART_COUNT + 1] = {0}, all = 0;
        while (all < set.count / size / 3) {
            size_t count = qn_drain_take(&drain, size - 1, slots, TAKE_COUNT_MAX);
            ck_assert_uint_gt(count, 0);
            for (size_t i = 0; i < count; i++)
                taken[(*slots[i] - first) / part]++;
            all += count;
        }
        for (size_t i = 0; i < PART_COUNT; i++)
            if (taken[i] * PART_COUNT < all / 2 || taken[i] * PART_COUNT > all * 2)
                ck_abort_msg("%zu of %zu keys are of part %zu", taken[i], all, i);
        qn_drain_fini(&drain);
    }
    qn_table_fini(&table);
    keykit_free(&set);
}
END_TEST

START_TEST(a_range_that_is_skipped_counts_as_done)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(50000, 8);
    const uint64_t *slots[TAKE_COUNT_MAX + 1];
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    feed_each(&table, &set);
    qn_drain drain = drain_of(&table, 4);
    ck_assert(qn_drain_get_share(&drain) == 0);
    for (uint32_t to = 0; to < 4; to++) {
        qn_drain_skip(&drain, to);
        ck_assert(qn_drain_get_share(&drain) == (to + 1) / 4.0);
    }
    qn_drain_start(&drain, &table);
    ck_assert(qn_drain_get_share(&drain) == 0);
    ck_assert_uint_gt(qn_drain_take(&drain, 3, slots, TAKE_COUNT_MAX), 0);
    qn_drain_fini(&drain);
    qn_drain_fini(&drain);
    qn_table_fini(&table);
    keykit_free(&set);
}
END_TEST

START_TEST(refused_memory_makes_no_drain)
{
    qn_drain drain;
    qn_error_clear(&error);
    allocations_left = 0;
    quern_status status = qn_drain_init(&drain, 7, &error);
    allocations_left = -1;
    ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    qn_drain_fini(&drain);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_ranges_of_ranks_are_neighbours_and_cover_all_tags,
        every_key_goes_to_its_rank_once,
        a_crowd_goes_to_its_rank_once,
        keys_go_out_scattered_over_the_range,
        a_range_that_is_skipped_counts_as_done,
        refused_memory_makes_no_drain,
    };
    return kit_run_tests("drain", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
