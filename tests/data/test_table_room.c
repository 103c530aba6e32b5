/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_table_room.c: how a table grows: within its bytes, in any order of keys, and given back when cleared.
 */
#include "tests/data/tablekit.h"
#include "tests/refusal.h"

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
        stretches_of_ascending_tags_are_reduced_as_by_a_sorted_list,
        clearing_empties_and_gives_back_and_the_table_is_used_again,
        a_full_table_says_so_keeps_what_it_has_and_goes_on_when_cleared,
        a_table_stays_within_its_bytes_and_uses_a_good_part_of_them,
        an_empty_table_takes_a_key_of_any_size_and_is_full_then,
        a_short_key_goes_in_though_the_long_one_behind_it_does_not_fit,
        memory_refused_while_growing_is_a_result_and_the_table_can_be_ended,
    };
    return kit_run_tests("table_room", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
