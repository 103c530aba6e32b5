/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_table_room.c: how a table grows: within its bytes, in any order of keys, and given back when cleared. Probing
 * is tried with one seed, with more at night.
 */
#include "tests/data/tablekit.h"
#include "tests/refusal.h"

#define ORDERED_COUNT     200000
#define ARENA_BYTES_FIRST (64 << 10)
#define CLEAR_COUNT_MAX   20

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

/* Inserts one after the other until it is full. Returns how many went in. */
static size_t fill_up(qn_table *table, keykit_set *set, size_t bytes_max, size_t batch)
{
    static qn_entry entries[BATCH_COUNT_MAX];
    static uint64_t numbers[BATCH_COUNT_MAX + KEYKIT_WORDS_MAX]; /* zeros, as values of a user's */
    bool by_address = table->reducer->kind == QN_REDUCER_USER;
    size_t next = 0;
    for (qn_table_result result = QN_TABLE_OK; result == QN_TABLE_OK && next < set->count;) {
        size_t done = 99999;
        size_t count = set->count - next < batch ? set->count - next : batch;
        for (size_t i = 0; i < count; i++)
            entries[i] =
                (qn_entry){set->keys[next + i].key, by_address ? (uint64_t)(uintptr_t)(numbers + i) : next + i};
        result = qn_table_insert(table, entries, count, bytes_max, &done);
        if (done > count || (result == QN_TABLE_OK) != (done == count) ||
            (result != QN_TABLE_OK && result != QN_TABLE_FULL))
            ck_abort_msg("result %d after %zu of %zu", (int)result, done, count);
        for (size_t i = 0; i < done; i++)
            keykit_combine(&set->keys[next + i], table->reducer,
                           by_address ? numbers + i : (uint64_t[KEYKIT_WORDS_MAX]){next + i});
        next += done;
    }
    return next;
}

/* Keys of a narrow range of tags, ascending, in as many streams as ranks send: as full as with keys of chance, and as fast. */
static void check_narrow(uint32_t words, size_t stream_count, size_t bytes_max)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words);
    keykit_set set = keykit_make(200000, words), narrow = {set.keys, set.count, NULL};
    for (size_t i = 0; i < set.count; i++) {
        keykit_key *narrowed = &set.keys[i];
        if (QN_TAG_IS_TINY(narrowed->key.tag)) /* whose tag is their bytes */
            narrowed->key = (qn_key){(narrowed->key.tag & ~UINT64_C(0xff)) | 9, i, 0};
        narrowed->key.tag =
            UINT64_C(0x4000000000000000) | narrowed->key.tag >> 16 << 8 | QN_TAG_CODE(narrowed->key.tag);
    }
    keykit_sort(&narrow);
    interleave_keys(&narrow, stream_count, 300);
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, bytes_max);
    for (int again = 0; again < 2; again++) {
        size_t count = fill_up(&table, &narrow, bytes_max, 500);
        size_t row_bytes = 8 * (3 + words) + KEYKIT_BYTES_MAX;
        ck_assert_msg(count == narrow.count || count > bytes_max / 4 / row_bytes, "full with %zu keys in %zu bytes",
                      count, bytes_max);
        ck_assert(table.wide.mixed);
        keykit_set in = {(keykit_key *)kit_take(count * sizeof *in.keys), count, NULL};
        memcpy(in.keys, narrow.keys, count * sizeof *in.keys);
        keykit_sort(&in);
        check_table(&table, &in);
        uint64_t key_count = qn_table_get_count(&table);
        size_t done = 0; /* what is there already finds itself in what was sorted */
        uint64_t value[KEYKIT_WORDS_MAX] = {0};
        for (size_t i = 0; i < in.count; i += 97) {
            qn_entry entry = {in.keys[i].key, (uint64_t)(uintptr_t)value};
            qn_table_insert(&table, &entry, 1, bytes_max, &done);
        }
        ck_assert_uint_eq(qn_table_get_count(&table), key_count);
        qn_table_clear(&table);
        ck_assert(!table.wide.mixed && !table.wide.sorted);
        keykit_forget(&narrow);
        free(in.keys);
    }
    qn_table_fini(&table);
    keykit_free(&set);
}

START_TEST(a_narrow_range_of_ascending_tags_fills_a_table_as_any_keys_do)
{
    check_narrow(1, 1, (size_t)1 << 20);
    check_narrow(1, 3, (size_t)4 << 20);
    check_narrow(2, 7, (size_t)8 << 20);
    check_narrow(1, 64, BYTES_MAX);
    check_narrow(32, 2, (size_t)16 << 20);
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

#define CARRIES_BYTES_FIRST ((size_t)96 << 10)

/* How many keys of the set, from one on, a table takes whose sums are all beyond 64 bits. */
static size_t fill_with_carries(qn_table *table, const keykit_set *set, size_t from, size_t bytes_max)
{
    static const uint64_t beyond[] = {3, 1};
    qn_table_result result = QN_TABLE_OK;
    size_t next = from;
    for (size_t done = 0; result == QN_TABLE_OK && next < set->count; next += done) {
        qn_entry entry = {set->keys[next].key, (uint64_t)(uintptr_t)beyond};
        result = qn_table_insert(table, &entry, 1, bytes_max, &done);
        ck_assert(result == QN_TABLE_OK || result == QN_TABLE_FULL);
        ck_assert_uint_le(qn_table_get_bytes(table), bytes_max + CARRIES_BYTES_FIRST);
    }
    return next;
}

START_TEST(a_table_is_full_in_time_where_all_sums_are_beyond_64_bits)
{
    size_t bytes_max = (size_t)1 << 20;
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_I64, NULL);
    keykit_set set = keykit_make(30000, 26);
    shuffle_keys(&set);
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, bytes_max);
    for (size_t from = 0, next; from < set.count; from = next) {
        const uint64_t *value = NULL;
        size_t count = 0;
        next = fill_with_carries(&table, &set, from, bytes_max);
        ck_assert(next == set.count || next - from > 2000);
        qn_table_cursor cursor = qn_table_cursor_of(&table, 0, UINT64_MAX);
        for (; qn_table_cursor_peek(&cursor, &value); qn_table_cursor_step(&cursor), count++)
            if (value[0] != 3 || value[1] != 1)
                ck_abort_msg("a sum of %llx and %llx", (unsigned long long)value[0], (unsigned long long)value[1]);
        ck_assert_uint_eq(count, next - from);
        qn_table_clear(&table);
    }
    qn_table_fini(&table);
    keykit_free(&set);
}
END_TEST

/* Random keys one group after the other, with expectations that are as often wrong; the bytes after each group. */
static size_t fill_closely(qn_table *table, const keykit_set *set, size_t from, size_t bytes_max, uint64_t *state)
{
    static qn_entry entries[BATCH_COUNT_MAX];
    static uint64_t value[KEYKIT_WORDS_MAX];
    size_t empty_bytes = qn_table_get_bytes(table), next = from;
    bool by_address = table->reducer->kind == QN_REDUCER_USER;
    for (qn_table_result result = QN_TABLE_OK; result == QN_TABLE_OK && next < set->count;) {
        size_t done = 0, count = 1 + kit_random_below(state, BATCH_COUNT_MAX);
        count = count < set->count - next ? count : set->count - next;
        for (size_t i = 0; i < count; i++)
            entries[i] = (qn_entry){set->keys[next + i].key, by_address ? (uint64_t)(uintptr_t)value : 1};
        qn_table_expect(table, 100 + (uint32_t)kit_random_below(state, 800));
        result = qn_table_insert(table, entries, count, bytes_max, &done);
        ck_assert(result == QN_TABLE_OK || result == QN_TABLE_FULL);
        next += done;
        /* An empty table takes the first long keys in any case. */
        size_t least = empty_bytes + ARENA_BYTES_FIRST, most = bytes_max > least ? bytes_max : least;
        if (qn_table_get_bytes(table) > most || qn_table_get_count(table) != next - from)
            ck_abort_msg("%zu bytes of %zu, with %zu keys of %zu", qn_table_get_bytes(table), most,
                         (size_t)qn_table_get_count(table), next - from);
    }
    return next;
}

START_TEST(a_table_is_never_beyond_its_bytes_and_never_refuses_for_good)
{
    uint64_t state = 81;
    keykit_set set = keykit_make(60000, 25);
    shuffle_keys(&set);
    for (uint32_t words = 1; words <= 32; words = words == 1 ? 2 : words * 16) {
        qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words);
        for (size_t bytes_max = 1; bytes_max < (3 << 20); bytes_max += kit_random_below(&state, 300000)) {
            qn_table table;
            open_table(&table, &reducer, 0, UINT64_MAX, bytes_max);
            size_t empty_bytes = qn_table_get_bytes(&table) + ARENA_BYTES_FIRST;
            size_t row_bytes = 8 * (3 + words) + KEYKIT_BYTES_MAX;
            size_t least = bytes_max > empty_bytes ? bytes_max / 8 / row_bytes : 1;
            size_t clears_left = CLEAR_COUNT_MAX;
            for (size_t next = 0, before = 0; next < set.count && clears_left > 0; before = next, clears_left--) {
                next = fill_closely(&table, &set, before, bytes_max, &state);
                if (next < set.count && next - before < least)
                    ck_abort_msg("full with %zu keys in %zu bytes", next - before, bytes_max);
                ck_assert_uint_gt(next, before);
                qn_table_clear(&table);
            }
            qn_table_fini(&table);
        }
    }
    keykit_free(&set);
}
END_TEST

/* Every class in great numbers, at the end of the range and all over it, while the table grows. */
START_TEST(crowds_at_the_last_slot_are_whole_after_each_growth)
{
    for (uint32_t words = 1; words <= 32; words = words == 1 ? 2 : words * 16) {
        for (int longs = 0; longs < 2; longs++) {
            qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words);
            keykit_set crowd =
                longs ? keykit_make_equal_long(2500, UINT64_MAX) : keykit_make_equal_short(2500, UINT64_MAX);
            keykit_set others = keykit_make(20000, words);
            keykit_set all = {(keykit_key *)kit_take((2500 + others.count) * sizeof *all.keys), 2500 + others.count,
                              NULL};
            memcpy(all.keys, crowd.keys, 2500 * sizeof *all.keys);
            memcpy(all.keys + 2500, others.keys, others.count * sizeof *all.keys);
            qn_table table;
            open_table(&table, &reducer, 0, UINT64_MAX, 0);
            begin_feeding(&table, &all, false); /* the crowd first, then mixed, then the others */
            for (size_t n = 0; n < all.count; n++) {
                feed(n);
                if (n % 3000 == 2999) {
                    uint64_t slot_count = table.wide.slot_count;
                    end_feeding();
                    feed(kit_random_below(&feeding.state, 2500));
                    ck_assert_uint_ge(table.wide.slot_count, slot_count);
                }
            }
            end_feeding();
            keykit_sort(&all);
            check_table(&table, &all);
            qn_table_fini(&table);
            keykit_free(&all);
            keykit_free(&others);
            keykit_free(&crowd);
        }
    }
}
END_TEST

static size_t feed_and_count_growths(qn_table *table, keykit_set *set, size_t from, size_t to)
{
    size_t growths = 0;
    uint64_t slot_count = table->wide.slot_count;
    begin_feeding(table, set, false);
    for (size_t n = from; n < to; n++) {
        feed(n);
        if (table->wide.slot_count != slot_count)
            growths++;
        slot_count = table->wide.slot_count;
    }
    end_feeding();
    return growths;
}

START_TEST(a_table_grows_at_once_to_what_is_expected_and_not_for_what_is_not)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(200000, 83);
    shuffle_keys(&set);
    size_t eighth = set.count / 8, growths[3];
    for (int foreseen = 0; foreseen < 2; foreseen++) {
        qn_table table;
        open_table(&table, &reducer, 0, UINT64_MAX, BYTES_MAX);
        feed_and_count_growths(&table, &set, 0, eighth);
        qn_table_expect(&table, foreseen ? 800 : 100);
        growths[foreseen] = feed_and_count_growths(&table, &set, eighth, set.count);
        qn_table_fini(&table);
    }
    ck_assert_uint_le(growths[1], 1);
    ck_assert_uint_gt(growths[0], growths[1]);
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, BYTES_MAX);
    for (size_t n = 0; table.wide.used_count + 2 * QN_SLOTS_COMING_MAX < table.wide.slot_count / 2 || n < 20000; n++)
        feed_and_count_growths(&table, &set, n, n + 1);
    qn_table_expect(&table, 105); /* a little more: somewhat fuller is better than moving everything */
    size_t more = table.wide.slot_count / 20;
    growths[2] = feed_and_count_growths(&table, &set, set.count - more, set.count);
    ck_assert_uint_eq(growths[2], 0);
    qn_table_fini(&table);
    keykit_free(&set);
}
END_TEST

/* Probing, against a set of tags that is known. */

#define PROBED_COUNT 6000

static void put_tag(qn_slots *slots, uint64_t tag)
{
    ck_assert_int_eq(qn_slots_make_room(slots, 1, BYTES_MAX), QN_SLOTS_OK);
    uint64_t *slot = qn_slots_probe(slots, tag);
    if (*slot != 0)
        ck_abort_msg("tag %llx is there before it came", (unsigned long long)tag);
    slot[0] = slot[1] = tag;
    slots->used_count++;
}

static void check_probe(qn_slots *slots, uint64_t tag, bool present)
{
    uint64_t *slot = qn_slots_probe(slots, tag);
    if (*slot != (present ? tag : 0) || (present && slot[1] != tag))
        ck_abort_msg("tag %llx is %s", (unsigned long long)tag, present ? "lost" : "there though it never came");
}

/* Streams of ascending tags within a narrow range; odd tags never come. */
static void check_probing(size_t stream_count, size_t piece_max, uint64_t base, uint64_t step, uint64_t seed)
{
    static uint64_t came[PROBED_COUNT];
    size_t count = 0, taken[8] = {0};
    uint64_t state = seed;
    qn_slots slots;
    ck_assert(qn_slots_init(&slots, 0, 1, 0, UINT64_MAX, BYTES_MAX));
    while (count < PROBED_COUNT) {
        size_t stream = kit_random_below(&state, stream_count);
        for (size_t left = 1 + kit_random_below(&state, piece_max); left > 0 && count < PROBED_COUNT; left--) {
            came[count] = base + step * (stream + stream_count * taken[stream]++);
            put_tag(&slots, came[count++]);
        }
        for (int i = 0; i < 20; i++) {
            uint64_t tag = came[kit_random_below(&state, count)];
            check_probe(&slots, tag, true);
            check_probe(&slots, tag + 1, false);
        }
        if (kit_random_below(&state, 50) == 0) { /* sorting moves slots */
            qn_slots_cursor cursor = qn_slots_cursor_of(&slots, 0, UINT64_MAX);
            for (size_t steps = kit_random_below(&state, 400); steps > 0 && qn_slots_cursor_peek(&cursor); steps--)
                qn_slots_cursor_step(&cursor);
            ck_assert_int_eq(qn_slots_make_room(&slots, 0, BYTES_MAX), QN_SLOTS_OK);
        }
    }
    for (size_t i = 0; i < count; i++)
        check_probe(&slots, came[i], true);
    qn_slots_fini(&slots);
}

START_TEST(a_probe_finds_every_tag_of_a_crowd_and_no_other)
{
    for (uint64_t seed = 1; seed <= (kit_is_slow() ? 3 : 1); seed++) {
        check_probing(1, 400, 2, 2, seed);
        check_probing(2, 700, 2, 4096, seed);
        check_probing(7, 300, UINT64_MAX / 3 * 2, 2, seed);
        check_probing(7, 3, UINT64_MAX / 3 * 2, UINT64_C(1) << 40, seed);
        check_probing(3, 900, UINT64_MAX - 8 * PROBED_COUNT, 2, seed);
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
    const TTest *const tests[] = {
        keys_in_the_order_of_their_tags_are_not_dear,
        a_narrow_range_of_ascending_tags_fills_a_table_as_any_keys_do,
        stretches_of_ascending_tags_are_reduced_as_by_a_sorted_list,
        clearing_empties_and_gives_back_and_the_table_is_used_again,
        a_full_table_says_so_keeps_what_it_has_and_goes_on_when_cleared,
        a_table_stays_within_its_bytes_and_uses_a_good_part_of_them,
        an_empty_table_takes_a_key_of_any_size_and_is_full_then,
        a_short_key_goes_in_though_the_long_one_behind_it_does_not_fit,
        a_table_is_full_in_time_where_all_sums_are_beyond_64_bits,
        a_table_is_never_beyond_its_bytes_and_never_refuses_for_good,
        crowds_at_the_last_slot_are_whole_after_each_growth,
        a_table_grows_at_once_to_what_is_expected_and_not_for_what_is_not,
        a_probe_finds_every_tag_of_a_crowd_and_no_other,
        memory_refused_while_growing_is_a_result_and_the_table_can_be_ended,
    };
    return kit_run_tests("table_room", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
