/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_table.c: the combine table against a sorted list: all kinds of keys, ranges, crowds and cursors.
 */
#include "runtime/data/table.h"
#include "tests/data/keykit.h"
#include "tests/refusal.h"

#define BATCH_COUNT_MAX  500
#define CURSOR_COUNT_MAX 64
#define BYTES_MAX        ((size_t)48 << 20) /* more than any test needs */

static qn_error error;
static uint32_t words_of_user = 1;

static void open_table(qn_table *table, const qn_reducer *reducer, uint64_t tag_first, uint64_t tag_last,
                       size_t bytes_max)
{
    qn_error_clear(&error);
    kit_assert_ok(qn_table_init(table, reducer, tag_first, tag_last, bytes_max, &error), &error);
}

/* Keys chosen by number, put in in batches: as entries, or as records of a block. */
typedef struct feeder {
    qn_table *table;
    keykit_set *set;
    bool as_block;
    uint64_t state;
    size_t count;
    qn_entry entries[BATCH_COUNT_MAX];
    uint64_t values[BATCH_COUNT_MAX][KEYKIT_WORDS_MAX];
    const void *key[BATCH_COUNT_MAX], *value[BATCH_COUNT_MAX];
    uint32_t key_bytes[BATCH_COUNT_MAX];
} feeder;

static feeder feeding;

static void begin_feeding(qn_table *table, keykit_set *set, bool as_block)
{
    memset(&feeding, 0, sizeof feeding);
    feeding.table = table;
    feeding.set = set;
    feeding.as_block = as_block;
    feeding.state = 99;
}

/* A part of the block at a time, so that parts begin anywhere. */
static void flush_block(void)
{
    quern_block block = {
        .count = feeding.count, .key = feeding.key, .key_bytes = feeding.key_bytes, .value = feeding.value};
    size_t from = 0;
    while (from < feeding.count) {
        qn_classified classified;
        size_t count = 1 + kit_random_below(&feeding.state, feeding.count - from);
        qn_table_classify(&block, QUERN_BYTES, from, count, &classified);
        ck_assert_int_eq(qn_table_make_room(feeding.table, count, count, classified.long_bytes, BYTES_MAX),
                         QN_TABLE_OK);
        ck_assert_int_eq(qn_table_insert_block(feeding.table, &block, QUERN_BYTES, &classified), QN_TABLE_OK);
        from += count;
    }
}

static void flush_entries(void)
{
    size_t done = 0;
    qn_table_result result = qn_table_insert(feeding.table, feeding.entries, feeding.count, BYTES_MAX, &done);
    if (result != QN_TABLE_OK || done != feeding.count)
        ck_abort_msg("result %d, %zu of %zu entries", (int)result, done, feeding.count);
}

static void end_feeding(void)
{
    if (feeding.as_block)
        flush_block();
    else
        flush_entries();
    feeding.count = 0;
}

static void feed(size_t number)
{
    keykit_key *chosen = &feeding.set->keys[number];
    const qn_reducer *reducer = feeding.table->reducer;
    size_t at = feeding.count++;
    uint64_t *value = feeding.values[at];
    for (uint32_t word = 0; word < reducer->value_words; word++)
        value[word] = kit_random(&feeding.state) >> 20;
    if (feeding.as_block && reducer->kind == QN_REDUCER_COUNT)
        value[0] = 1;
    feeding.entries[at] =
        (qn_entry){chosen->key, reducer->kind == QN_REDUCER_USER ? (uint64_t)(uintptr_t)value : value[0]};
    feeding.key[at] = qn_key_data(&chosen->key);
    feeding.key_bytes[at] = (uint32_t)qn_key_bytes(&chosen->key);
    feeding.value[at] = value;
    keykit_combine(chosen, reducer, value);
    if (feeding.count == BATCH_COUNT_MAX)
        end_feeding();
}

static void feed_random(qn_table *table, keykit_set *set, size_t count, bool as_block)
{
    begin_feeding(table, set, as_block);
    for (size_t i = 0; i < count; i++)
        feed(kit_random_below(&feeding.state, set->count));
    end_feeding();
}

static void feed_each(qn_table *table, keykit_set *set)
{
    begin_feeding(table, set, false);
    for (size_t i = 0; i < set->count; i++)
        feed(i);
    end_feeding();
}

/* The keys of a range, in order, are those of the set that came. */
static void check_range(qn_table *table, const keykit_set *set, uint64_t tag_first, uint64_t tag_last)
{
    qn_table_cursor cursor = qn_table_cursor_of(table, tag_first, tag_last);
    keykit_check check = keykit_check_from(set, table->reducer, tag_first);
    const uint64_t *value = NULL;
    for (const qn_key *key; (key = qn_table_cursor_peek(&cursor, &value)); qn_table_cursor_step(&cursor))
        if (!keykit_matches(&check, key, value) || key->tag < tag_first || key->tag > tag_last)
            ck_abort_msg("key %zu of the range, tag %016llx", check.matched, (unsigned long long)key->tag);
    ck_assert_uint_eq(check.matched, keykit_present_count(set, tag_first, tag_last));
    ck_assert_ptr_null(qn_table_cursor_peek(&cursor, &value));
}

static void check_table(qn_table *table, const keykit_set *set)
{
    ck_assert_uint_eq(qn_table_get_count(table), keykit_present_count(set, 0, UINT64_MAX));
    check_range(table, set, 0, UINT64_MAX);
}

START_TEST(random_keys_of_all_lengths_are_reduced_as_by_a_sorted_list)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        keykit_set set = keykit_make((size_t)1 << (2 * seed + 5), seed);
        qn_reducer reducer = keykit_reducer(seed % 2 ? QN_REDUCER_COUNT : QN_REDUCER_MIN_U64, NULL);
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, 1 << 20);
        feed_random(&table, &set, 3 * set.count, seed % 3 != 0);
        check_table(&table, &set);
        qn_table_fini(&table);
        keykit_free(&set);
    }
}
END_TEST

START_TEST(every_reducer_reduces)
{
    keykit_set set = keykit_make(3000, 8);
    for (int kind = QN_REDUCER_COUNT; kind < QN_REDUCER_USER; kind++) {
        qn_reducer reducer = keykit_reducer((qn_reducer_kind)kind, NULL);
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        feed_random(&table, &set, 10000, kind % 2);
        check_table(&table, &set);
        keykit_forget(&set);
        qn_table_fini(&table);
    }
    keykit_free(&set);
}
END_TEST

START_TEST(a_user_s_values_may_have_one_to_thirty_two_words)
{
    keykit_set set = keykit_make(6000, 9);
    for (words_of_user = 1; words_of_user <= KEYKIT_WORDS_MAX; words_of_user = words_of_user * 3 / 2 + 1) {
        qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words_of_user);
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        feed_random(&table, &set, 20000, words_of_user % 2);
        check_table(&table, &set);
        keykit_forget(&set);
        qn_table_fini(&table);
        if (words_of_user < 32 && words_of_user * 3 / 2 + 1 > 32)
            words_of_user = 21; /* 32 is next */
    }
    keykit_free(&set);
}
END_TEST

static uint64_t first_tag_of(uint64_t rank, uint64_t size)
{
    return (uint64_t)((((unsigned __int128)rank << 64) + size - 1) / size);
}

START_TEST(a_rank_s_table_takes_the_tags_of_its_range)
{
    static const uint64_t sizes[] = {1, 2, 3, 7, 64, 1000};
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set all = keykit_make(60000, 10);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t ranks[] = {0, sizes[i] / 2, sizes[i] - 1};
        for (int n = 0; n < 3; n++) {
            uint64_t first = first_tag_of(ranks[n], sizes[i]);
            uint64_t last = ranks[n] + 1 < sizes[i] ? first_tag_of(ranks[n] + 1, sizes[i]) - 1 : UINT64_MAX;
            keykit_set set = {all.keys, 0, NULL};
            while (set.keys < all.keys + all.count && set.keys->key.tag < first)
                set.keys++;
            while (set.keys + set.count < all.keys + all.count && set.keys[set.count].key.tag <= last)
                set.count++;
            qn_table table;
            open_table(&table, &reducer, first, last, 0);
            feed_random(&table, &set, 2 * set.count, false);
            check_table(&table, &set);
            check_range(&table, &set, first, last);
            ck_assert_uint_le(qn_table_get_bytes(&table), 3 * 4 * 32 * set.count + (1 << 20));
            keykit_forget(&set);
            qn_table_fini(&table);
        }
    }
    keykit_free(&all);
}
END_TEST

/* Tags by hand at both ends of narrow ranges. */
START_TEST(the_narrowest_ranges_have_room)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    static const uint64_t lasts[] = {0x9, 0x109, 0xfff09, UINT64_MAX};
    for (size_t i = 0; i < sizeof lasts / sizeof *lasts; i++) {
        keykit_set set = keykit_make_equal_short(3000, lasts[i]);
        for (size_t n = 0; n < set.count; n++)
            set.keys[n].key.tag -= lasts[i] > 0x100 ? 0x100 * (n % 2) : 0;
        keykit_sort(&set);
        qn_table table;
        open_table(&table, &reducer, set.keys[0].key.tag, lasts[i], 0);
        feed_random(&table, &set, 6000, false);
        check_table(&table, &set);
        qn_table_fini(&table);
        keykit_free(&set);
    }
}
END_TEST

/* Keys of one hash crowd the last slots: the pad behind them has to be extended, more than once. */
static void check_equal_hashes(keykit_set set, uint64_t tag_first, size_t others_count)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set others = keykit_make(others_count, 12);
    qn_table table;
    /* one set of all: the others that are in the range */
    keykit_set all = {(keykit_key *)kit_take((set.count + others.count) * sizeof *all.keys), set.count, NULL};
    memcpy(all.keys, set.keys, set.count * sizeof *all.keys);
    for (size_t i = 0; i < others.count; i++)
        if (others.keys[i].key.tag >= tag_first)
            all.keys[all.count++] = others.keys[i];
    keykit_sort(&all);
    open_table(&table, &reducer, tag_first, UINT64_MAX, 0);
    feed_random(&table, &all, all.count, false);
    check_table(&table, &all);
    feed_each(&table, &all);
    feed_random(&table, &all, all.count, false);
    check_table(&table, &all);
    qn_table_clear(&table);
    keykit_forget(&all);
    check_table(&table, &all);
    feed_each(&table, &all);
    check_table(&table, &all);
    qn_table_fini(&table);
    keykit_free(&all);
    keykit_free(&others);
    keykit_free(&set);
}

START_TEST(thousands_of_keys_of_one_hash_at_the_end_of_the_range_are_kept_apart)
{
    check_equal_hashes(keykit_make_equal_short(4000, UINT64_MAX), 0, 1);
    check_equal_hashes(keykit_make_equal_long(4000, UINT64_MAX), 0, 1);
    check_equal_hashes(keykit_make_equal_short(3000, UINT64_MAX), 0, 20000);
    check_equal_hashes(keykit_make_equal_long(3000, UINT64_MAX), first_tag_of(6, 7), 20000);
}
END_TEST

START_TEST(thousands_of_keys_of_one_hash_elsewhere_are_kept_apart)
{
    check_equal_hashes(keykit_make_equal_short(3000, 0), 0, 20000);
    check_equal_hashes(keykit_make_equal_long(3000, UINT64_MAX / 2), 0, 20000);
    check_equal_hashes(keykit_make_equal_short(3000, first_tag_of(3, 7) + 256), first_tag_of(3, 7), 20000);
}
END_TEST

/* Tiny keys cannot have equal hashes, but neighbouring ones. */
START_TEST(thousands_of_tiny_keys_of_neighbouring_hashes_are_kept_apart)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    for (int end = 0; end < 2; end++) {
        keykit_set set = {(keykit_key *)kit_take(3000 * sizeof *set.keys), 3000, NULL};
        for (uint64_t i = 0; i < 3000; i++)
            set.keys[i].key = qn_key_of_tag(((end ? (UINT64_C(1) << 56) - 1 - i : i) << 8) | 8);
        keykit_sort(&set);
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, 64 << 20);
        feed_random(&table, &set, set.count, false); /* no growing is ever enough to tell them apart */
        feed_each(&table, &set);
        check_table(&table, &set);
        qn_table_fini(&table);
        keykit_free(&set);
    }
}
END_TEST

#define ORDERED_COUNT 200000

static double time_feeding(const keykit_key *keys, size_t count, size_t *bytes_out)
{
    static qn_entry entries[BATCH_COUNT_MAX];
    qn_reducer reducer = keykit_reducer(QN_REDUCER_COUNT, NULL);
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    double start_ms = kit_now_ms();
    for (size_t next = 0; next < count;) {
        size_t batch = count - next < BATCH_COUNT_MAX ? count - next : BATCH_COUNT_MAX;
        size_t done = 0;
        for (size_t i = 0; i < batch; i++)
            entries[i] = (qn_entry){keys[next + i].key, 1};
        if (qn_table_insert(&table, entries, batch, SIZE_MAX, &done) != QN_TABLE_OK)
            ck_abort_msg("after %zu", next);
        next += batch;
    }
    double took_ms = kit_now_ms() - start_ms;
    ck_assert_uint_eq(qn_table_get_count(&table), count);
    *bytes_out = qn_table_get_bytes(&table);
    qn_table_fini(&table);
    return took_ms;
}

static void shuffle_keys(keykit_set *set)
{
    uint64_t state = 5;
    for (size_t i = set->count; i > 1; i--) {
        size_t other = kit_random_below(&state, i);
        keykit_key moved = set->keys[i - 1];
        set->keys[i - 1] = set->keys[other];
        set->keys[other] = moved;
    }
}

/* As several sorted streams, of which a piece of each comes in turn. */
static void interleave_keys(keykit_set *set, size_t stream_count, size_t piece)
{
    keykit_key *mixed = (keykit_key *)kit_take(set->count * sizeof *mixed);
    size_t *taken = (size_t *)kit_take(stream_count * sizeof *taken);
    size_t count = 0;
    for (size_t stream = 0; count < set->count; stream = (stream + 1) % stream_count)
        for (size_t i = 0; i < piece && taken[stream] * stream_count + stream < set->count; i++)
            mixed[count++] = set->keys[taken[stream]++ * stream_count + stream];
    memcpy(set->keys, mixed, count * sizeof *mixed);
    free(taken);
    free(mixed);
}

START_TEST(keys_in_the_order_of_their_tags_are_not_dear)
{
    size_t bytes[4];
    keykit_set set = keykit_make(ORDERED_COUNT, 14);
    double ascending_ms = time_feeding(set.keys, set.count, &bytes[0]);
    interleave_keys(&set, 7, 900);
    double streams_ms = time_feeding(set.keys, set.count, &bytes[1]);
    keykit_sort(&set);
    for (size_t i = 0; i < set.count / 2; i++) {
        keykit_key moved = set.keys[i];
        set.keys[i] = set.keys[set.count - 1 - i];
        set.keys[set.count - 1 - i] = moved;
    }
    double descending_ms = time_feeding(set.keys, set.count, &bytes[2]);
    shuffle_keys(&set);
    double random_ms = time_feeding(set.keys, set.count, &bytes[3]);
    for (int i = 0; i < 3; i++)
        ck_assert_msg(bytes[i] <= 5 * bytes[3], "order %d: %zu bytes instead of %zu", i, bytes[i], bytes[3]);
    /* Quadratic would be a thousand times. */
    double limit_ms = 20 * random_ms + 50;
    ck_assert_msg(ascending_ms < limit_ms && streams_ms < limit_ms && descending_ms < limit_ms,
                  "random %.1f ms, ascending %.1f ms, streams %.1f ms, descending %.1f ms", random_ms, ascending_ms,
                  streams_ms, descending_ms);
    keykit_free(&set);
}
END_TEST

/* Keys that are there already, about one that came last: looking at the table moved slots. */
static void feed_again_about(size_t number, const keykit_set *set)
{
    size_t begin = number > 200 ? number - 200 : 0;
    for (size_t i = begin; i < set->count && i < number + 200; i++)
        if (set->keys[i].count > 0)
            feed(i);
    end_feeding();
}

/* Ascending stretches, into and behind one another, with keys that are there already; dense where the set's tags are. */
static void check_stretches(keykit_set *set, uint64_t seed, bool as_block)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint64_t state = seed;
    size_t last = 0;
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    for (int round = 0; round < 20; round++) {
        begin_feeding(&table, set, as_block);
        for (int stretch = 0; stretch < 12; stretch++) {
            size_t at = kit_random_below(&state, set->count);
            size_t step = 1 + kit_random_below(&state, 3);
            for (size_t left = kit_random_below(&state, 200); left > 0 && at < set->count; left--, at += step) {
                feed(at);
                if (kit_random_below(&state, 40) == 0)
                    feed(kit_random_below(&state, set->count));
            }
            last = at;
            if (kit_random_below(&state, 3) == 0)
                end_feeding();
        }
        end_feeding();
        if (round % 2) {
            check_table(&table, set);
            feed_again_about(last, set);
        }
    }
    qn_table_fini(&table);
    keykit_forget(set);
}

START_TEST(stretches_of_ascending_tags_are_reduced_as_by_a_sorted_list)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        keykit_set set = keykit_make(20000, seed);
        keykit_set dense = {set.keys + set.count / 3, set.count / 20, NULL};
        keykit_set equal =
            seed % 2 ? keykit_make_equal_short(700, seed << 60) : keykit_make_equal_long(700, seed << 60);
        for (size_t i = 0; i < equal.count; i++)
            equal.keys[i].key.tag += 256 * (i % 40); /* forty neighbouring hashes, several keys of each */
        keykit_sort(&equal);
        check_stretches(&set, seed, seed % 2);
        check_stretches(&dense, seed, seed % 2);
        check_stretches(&equal, seed, false); /* their tags are none of their bytes */
        keykit_free(&equal);
        keykit_free(&set);
    }
}
END_TEST

START_TEST(clearing_empties_and_gives_back_and_the_table_is_used_again)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_I64, NULL);
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, 100001);
    size_t empty_bytes = qn_table_get_bytes(&table);
    for (uint64_t round = 1; round <= 5; round++) {
        keykit_set set = keykit_make(round % 2 ? 30000 : 300, round);
        feed_random(&table, &set, 2 * set.count, false);
        check_table(&table, &set);
        qn_table_clear(&table);
        keykit_forget(&set);
        check_table(&table, &set);
        ck_assert_uint_eq(qn_table_get_bytes(&table), empty_bytes);
        keykit_free(&set);
    }
    qn_table_fini(&table);
    qn_table_fini(&table);
}
END_TEST

/* Inserts one after the other until it is full. Returns how many went in. */
static size_t fill_up(qn_table *table, keykit_set *set, size_t bytes_max, size_t batch)
{
    static qn_entry entries[BATCH_COUNT_MAX];
    size_t next = 0;
    for (qn_table_result result = QN_TABLE_OK; result == QN_TABLE_OK && next < set->count;) {
        size_t done = 99999;
        size_t count = set->count - next < batch ? set->count - next : batch;
        for (size_t i = 0; i < count; i++)
            entries[i] = (qn_entry){set->keys[next + i].key, next + i};
        result = qn_table_insert(table, entries, count, bytes_max, &done);
        if (done > count || (result == QN_TABLE_OK) != (done == count) ||
            (result != QN_TABLE_OK && result != QN_TABLE_FULL))
            ck_abort_msg("result %d after %zu of %zu", (int)result, done, count);
        for (size_t i = 0; i < done; i++)
            keykit_combine(&set->keys[next + i], table->reducer, &(uint64_t){next + i});
        next += done;
    }
    return next;
}

START_TEST(a_full_table_says_so_keeps_what_it_has_and_goes_on_when_cleared)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(30000, 21);
    shuffle_keys(&set);
    for (size_t bytes_max = 0; bytes_max < (4 << 20); bytes_max = bytes_max * 2 + 150001) {
        for (size_t batch = 1; batch <= BATCH_COUNT_MAX; batch += 99) {
            keykit_set order = set;
            qn_table table;
            open_table(&table, &reducer, 0, UINT64_MAX, bytes_max);
            size_t clear_count = 0;
            for (size_t next = 0; next < set.count; clear_count++) {
                order.keys = set.keys + next;
                order.count = set.count - next < 20000 ? set.count - next : 20000;
                size_t count = fill_up(&table, &order, bytes_max, batch);
                ck_assert_uint_gt(count, 0);
                keykit_set in = {(keykit_key *)kit_take(count * sizeof *in.keys), count, NULL};
                memcpy(in.keys, order.keys, count * sizeof *in.keys);
                keykit_sort(&in);
                check_table(&table, &in);
                free(in.keys);
                qn_table_clear(&table);
                next += count;
                if (clear_count > 3)
                    break;
            }
            keykit_forget(&set);
            qn_table_fini(&table);
        }
    }
    keykit_free(&set);
}
END_TEST

START_TEST(a_table_stays_within_its_bytes_and_uses_a_good_part_of_them)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(160000, 22);
    shuffle_keys(&set);
    for (size_t bytes_max = 1 << 20; bytes_max <= (8 << 20); bytes_max += 777777) {
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, bytes_max);
        size_t count = fill_up(&table, &set, bytes_max, 100);
        ck_assert_uint_lt(count, set.count);
        ck_assert_msg(qn_table_get_bytes(&table) <= bytes_max, "%zu bytes of %zu", qn_table_get_bytes(&table),
                      bytes_max);
        ck_assert_msg(count * 40 >= bytes_max / 5, "full with %zu keys in %zu bytes", count, bytes_max);
        keykit_forget(&set);
        qn_table_fini(&table);
    }
    keykit_free(&set);
}
END_TEST

START_TEST(an_empty_table_takes_a_key_of_any_size_and_is_full_then)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint8_t *giant = kit_take((3 << 20) + 100);
    for (size_t bytes = 17; bytes < 3 << 20; bytes = bytes * 5 + 3) {
        qn_table table;
        size_t done = 0;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        qn_entry entries[] = {{qn_key_of(giant, (uint32_t)bytes), 5}, {qn_key_of(giant + 7, (uint32_t)bytes + 1), 6}};
        ck_assert_int_eq(qn_table_insert(&table, entries, 2, 0, &done), QN_TABLE_FULL);
        ck_assert_uint_eq(done, 1);
        qn_table_cursor cursor = qn_table_cursor_of(&table, 0, UINT64_MAX);
        const uint64_t *value = NULL;
        const qn_key *key = qn_table_cursor_peek(&cursor, &value);
        ck_assert_int_eq(qn_key_compare(key, &entries[0].key), 0);
        ck_assert_uint_eq(*value, 5);
        qn_table_fini(&table);
    }
    free(giant);
}
END_TEST

START_TEST(a_short_key_goes_in_though_the_long_one_behind_it_does_not_fit)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    uint8_t *giant = kit_take((1 << 20) + 100);
    qn_table table;
    size_t done = 99;
    open_table(&table, &reducer, 0, UINT64_MAX, 1 << 20);
    char text[3][16 + QN_SLACK_BYTES] = {"sixteen letters!", "sixteen of them!", "tiny"};
    qn_entry entries[] = {{qn_key_of(text[0], 16), 1},
                          {qn_key_of(text[1], 16), 2},
                          {qn_key_of(text[2], 4), 3},
                          {qn_key_of(giant, 1 << 20), 4}};
    ck_assert_int_eq(qn_table_insert(&table, entries, 1, 1 << 20, &done), QN_TABLE_OK);
    ck_assert_int_eq(qn_table_insert(&table, entries + 1, 3, 1 << 20, &done), QN_TABLE_FULL);
    ck_assert_uint_eq(done, 2);
    ck_assert_uint_eq(qn_table_get_count(&table), 3);
    qn_table_fini(&table);
    free(giant);
}
END_TEST

/* Cursors. */

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

/* Failures. */

static void check_overflow(qn_reducer_kind kind, uint64_t before, uint64_t more, uint32_t key_bytes)
{
    qn_reducer reducer = keykit_reducer(kind, NULL);
    uint8_t data[KEYKIT_DATA_BYTES] = "the key whose sum exceeds 64 bits";
    uint8_t other[KEYKIT_DATA_BYTES] = "other";
    qn_table table;
    size_t done = 99;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    qn_key key = qn_key_of(data, key_bytes);
    qn_entry entries[] = {{qn_key_of(other, 5), 1}, {key, before}, {key, more}, {qn_key_of(other, 4), 1}};
    ck_assert_int_eq(qn_table_insert(&table, entries, 4, SIZE_MAX, &done), QN_TABLE_FAILED);
    ck_assert_uint_le(done, 2);
    ck_assert_int_eq(qn_key_compare(&table.failed_key, &key), 0);
    ck_assert_mem_eq(qn_key_data(&table.failed_key), data, key_bytes);
    qn_table_clear(&table);
    ck_assert_int_eq(qn_table_insert(&table, entries, 2, SIZE_MAX, &done), QN_TABLE_OK);
    qn_table_fini(&table);
}

START_TEST(a_sum_beyond_its_type_fails_and_names_its_key)
{
    static const uint32_t lengths[] = {0, 3, 7, 8, 12, 16, 17, 33};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_overflow(QN_REDUCER_SUM_U64, UINT64_MAX, 1, lengths[i]);
        check_overflow(QN_REDUCER_SUM_I64, INT64_MAX, 1, lengths[i]);
        check_overflow(QN_REDUCER_SUM_I64, (uint64_t)INT64_MIN, UINT64_MAX, lengths[i]);
    }
}
END_TEST

START_TEST(extreme_values_that_fit_are_reduced)
{
    static const struct {
        qn_reducer_kind kind;
        uint64_t a, b, expected;
    } known[] = {
        {QN_REDUCER_SUM_U64, UINT64_MAX - 1, 1, UINT64_MAX},
        {QN_REDUCER_SUM_I64, INT64_MAX, UINT64_MAX, INT64_MAX - 1},
        {QN_REDUCER_SUM_I64, (uint64_t)INT64_MIN, INT64_MAX, UINT64_MAX},
        {QN_REDUCER_MIN_U64, UINT64_MAX, 0, 0},
        {QN_REDUCER_MIN_I64, UINT64_MAX, 0, UINT64_MAX},
        {QN_REDUCER_MAX_U64, UINT64_MAX, 0, UINT64_MAX},
        {QN_REDUCER_MAX_I64, UINT64_MAX, 0, 0},
        {QN_REDUCER_MIN_I64, (uint64_t)INT64_MIN, INT64_MAX, (uint64_t)INT64_MIN},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        qn_reducer reducer = keykit_reducer(known[i].kind, NULL);
        qn_table table;
        size_t done = 0;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        qn_key key = qn_key_of("k\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 1);
        qn_entry entries[] = {{key, known[i].a}, {key, known[i].b}};
        ck_assert_int_eq(qn_table_insert(&table, entries, 2, SIZE_MAX, &done), QN_TABLE_OK);
        qn_table_cursor cursor = qn_table_cursor_of(&table, 0, UINT64_MAX);
        const uint64_t *value = NULL;
        ck_assert_ptr_nonnull(qn_table_cursor_peek(&cursor, &value));
        ck_assert_uint_eq(*value, known[i].expected);
        qn_table_fini(&table);
    }
}
END_TEST

static int fail_on_seven(void *into, const void *value, void *user)
{
    (void)into;
    (void)user;
    return *(const uint64_t *)value == 7;
}

START_TEST(a_user_s_failure_is_one_and_names_its_key)
{
    qn_reducer reducer = {.kind = QN_REDUCER_USER, .value_bytes = 8, .value_words = 1, .fn = fail_on_seven};
    uint64_t values[] = {7, 8, 7};
    uint8_t data[KEYKIT_DATA_BYTES] = "some key";
    qn_table table;
    size_t done = 0;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    qn_entry entries[3];
    for (int i = 0; i < 3; i++)
        entries[i] = (qn_entry){qn_key_of(data, 8), (uint64_t)(uintptr_t)&values[i]};
    ck_assert_int_eq(qn_table_insert(&table, entries, 2, SIZE_MAX, &done), QN_TABLE_OK);
    ck_assert_int_eq(qn_table_insert(&table, entries + 2, 1, SIZE_MAX, &done), QN_TABLE_FAILED);
    ck_assert_int_eq(qn_key_compare(&table.failed_key, &entries[2].key), 0);
    qn_table_fini(&table);
}
END_TEST

START_TEST(refused_memory_creates_no_table)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    for (int left = 0;; left++) {
        qn_table table;
        qn_error_clear(&error);
        allocations_left = left;
        quern_status status = qn_table_init(&table, &reducer, 0, UINT64_MAX, 1 << 20, &error);
        allocations_left = -1;
        if (status == QUERN_OK) {
            ck_assert_int_ge(left, 1);
            qn_table_fini(&table);
            break;
        }
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        ck_assert_uint_ne(strlen(error.text), 0);
    }
}
END_TEST

START_TEST(memory_refused_while_growing_is_a_result_and_the_table_can_be_ended)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(20000, 40);
    static qn_entry entries[20000];
    for (size_t i = 0; i < set.count; i++)
        entries[i] = (qn_entry){set.keys[i * 7919 % set.count].key, 1};
    int failure_count = 0;
    for (;; failure_count++) {
        qn_table table;
        size_t done = 0;
        open_table(&table, &reducer, 0, UINT64_MAX, 0);
        allocations_left = failure_count;
        qn_table_result result = qn_table_insert(&table, entries, set.count, SIZE_MAX, &done);
        allocations_left = -1;
        qn_table_fini(&table);
        if (result == QN_TABLE_OK)
            break;
        ck_assert_int_eq(result, QN_TABLE_NO_MEMORY);
    }
    ck_assert_int_ge(failure_count, 5);
    keykit_free(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table");
    TCase *tests = tcase_create("table");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, random_keys_of_all_lengths_are_reduced_as_by_a_sorted_list);
    tcase_add_test(tests, every_reducer_reduces);
    tcase_add_test(tests, a_user_s_values_may_have_one_to_thirty_two_words);
    tcase_add_test(tests, a_rank_s_table_takes_the_tags_of_its_range);
    tcase_add_test(tests, the_narrowest_ranges_have_room);
    tcase_add_test(tests, thousands_of_keys_of_one_hash_at_the_end_of_the_range_are_kept_apart);
    tcase_add_test(tests, thousands_of_keys_of_one_hash_elsewhere_are_kept_apart);
    tcase_add_test(tests, thousands_of_tiny_keys_of_neighbouring_hashes_are_kept_apart);
    tcase_add_test(tests, keys_in_the_order_of_their_tags_are_not_dear);
    tcase_add_test(tests, stretches_of_ascending_tags_are_reduced_as_by_a_sorted_list);
    tcase_add_test(tests, clearing_empties_and_gives_back_and_the_table_is_used_again);
    tcase_add_test(tests, a_full_table_says_so_keeps_what_it_has_and_goes_on_when_cleared);
    tcase_add_test(tests, a_table_stays_within_its_bytes_and_uses_a_good_part_of_them);
    tcase_add_test(tests, an_empty_table_takes_a_key_of_any_size_and_is_full_then);
    tcase_add_test(tests, a_short_key_goes_in_though_the_long_one_behind_it_does_not_fit);
    tcase_add_test(tests, cursors_of_neighbouring_ranges_cover_every_key_once);
    tcase_add_test(tests, cursors_in_a_crowd_of_equal_and_neighbouring_hashes_share_its_cluster);
    tcase_add_test(tests, a_sum_beyond_its_type_fails_and_names_its_key);
    tcase_add_test(tests, extreme_values_that_fit_are_reduced);
    tcase_add_test(tests, a_user_s_failure_is_one_and_names_its_key);
    tcase_add_test(tests, refused_memory_creates_no_table);
    tcase_add_test(tests, memory_refused_while_growing_is_a_result_and_the_table_can_be_ended);
    suite_add_tcase(suite, tests);
    return kit_run(suite);
}
