/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_merge.c: many runs and tables against a sorted list.
 */
#include "runtime/data/merge.h"
#include "tests/data/keykit.h"
#include "tests/data/spillkit.h"
#include "tests/refusal.h"

#include <unistd.h>

static kit_directory directory;
static qn_error error;
static qn_spill spill;
static qn_merge merge;
static uint32_t words_of_user = 1;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    memset(&merge, 0, sizeof merge);
}

static void tear_down(void)
{
    qn_merge_close(&merge);
    qn_spill_fini(&spill);
    kit_remove_directory(&directory);
}

/* One value for each of about `percent` of the keys, as a run, and into the model. */
static qn_run spill_some(keykit_set *set, const qn_reducer *reducer, uint64_t percent, uint64_t *state)
{
    qn_run_writer writer;
    qn_run run = {0};
    kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
    for (size_t i = 0; i < set->count; i++) {
        uint64_t value[KEYKIT_WORDS_MAX];
        if (kit_random_below(state, 100) >= percent)
            continue;
        for (uint32_t word = 0; word < reducer->value_words; word++)
            value[word] = kit_random(state) >> 20;
        keykit_settle(reducer, value);
        keykit_combine(&set->keys[i], reducer, value);
        if (qn_run_writer_put(&writer, &set->keys[i].key, value, &error) != QUERN_OK)
            ck_abort_msg("%s", error.text);
    }
    kit_assert_ok(qn_run_writer_close(&writer, &run, &error), &error);
    return run;
}

static void put_some(qn_table *table, keykit_set *set, uint64_t percent, uint64_t *state)
{
    kit_assert_ok(qn_table_init(table, table->reducer, 0, UINT64_MAX, 0, &error), &error);
    for (size_t i = 0; i < set->count; i++) {
        uint64_t value[KEYKIT_WORDS_MAX];
        size_t done = 0;
        if (kit_random_below(state, 100) >= percent)
            continue;
        for (uint32_t word = 0; word < table->reducer->value_words; word++)
            value[word] = kit_random(state) >> 20;
        keykit_settle(table->reducer, value);
        keykit_combine(&set->keys[i], table->reducer, value);
        qn_entry entry = {set->keys[i].key, keykit_entry_value(table->reducer, value)};
        if (qn_table_insert(table, &entry, 1, SIZE_MAX, &done) != QN_TABLE_OK)
            ck_abort_msg("key %zu", i);
    }
}

static quern_status open_merge(const qn_reducer *reducer, const qn_run *runs, uint32_t run_count, qn_table *table)
{
    return qn_merge_open(&merge, reducer, &spill, runs, run_count, table, NULL, &error);
}

/* The merge gives the set's present keys with their values, to the end and not further. */
static void check_merge(const keykit_set *set, const qn_reducer *reducer)
{
    keykit_check check = keykit_check_from(set, reducer, 0);
    const qn_key *key = NULL;
    const uint64_t *value = NULL;
    for (;;) {
        if (qn_merge_next(&merge, &key, &value, &error) != QUERN_OK)
            ck_abort_msg("%s", error.text);
        if (!key)
            break;
        if ((uintptr_t)value % 8 != 0 || !keykit_matches(&check, key, value))
            ck_abort_msg("key %zu, tag %016llx", check.matched, (unsigned long long)key->tag);
    }
    ck_assert_uint_eq(check.matched, keykit_present_count(set, 0, UINT64_MAX));
    for (int i = 0; i < 3; i++) {
        kit_assert_ok(qn_merge_next(&merge, &key, &value, &error), &error);
        ck_assert_ptr_null(key);
    }
    uint64_t value_count = 0;
    for (size_t i = 0; i < set->count; i++)
        value_count += set->keys[i].count;
    ck_assert_uint_eq(merge.merged_count, value_count - check.matched);
}

static void merge_random(keykit_set *set, qn_reducer *reducer, uint32_t run_count, bool with_table, uint64_t percent,
                         uint64_t seed)
{
    static qn_run runs[QN_MERGE_FAN_IN_MAX];
    qn_table table = {.reducer = reducer};
    uint64_t state = seed;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, reducer->value_words, 1 << (7 + seed % 8));
    for (uint32_t i = 0; i < run_count; i++)
        runs[i] = spill_some(set, reducer, percent, &state);
    if (with_table)
        put_some(&table, set, percent, &state);
    for (int again = 0; again < 2; again++) { /* reading changes nothing */
        kit_assert_ok(open_merge(reducer, runs, run_count, with_table ? &table : NULL), &error);
        check_merge(set, reducer);
        qn_merge_close(&merge);
        qn_merge_close(&merge);
    }
    if (with_table)
        qn_table_fini(&table);
    qn_spill_fini(&spill);
    keykit_forget(set);
}

START_TEST(any_number_of_runs_and_tables_merges_to_what_a_sorted_list_gives)
{
    for (uint32_t run_count = 0; run_count <= QN_MERGE_FAN_IN_MAX; run_count += run_count < 6 ? 1 : 29) {
        for (int with_table = 0; with_table <= 1; with_table++) {
            keykit_set set = keykit_make(600, run_count + 1);
            qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
            for (uint64_t percent = 0; percent <= 100; percent += 25)
                merge_random(&set, &reducer, run_count, with_table, percent, run_count + percent);
            keykit_free(&set);
        }
    }
}
END_TEST

START_TEST(every_reducer_merges)
{
    keykit_set set = keykit_make(300, 3);
    for (int kind = QN_REDUCER_COUNT; kind < QN_REDUCER_USER; kind++) {
        qn_reducer reducer = keykit_reducer((qn_reducer_kind)kind, NULL);
        merge_random(&set, &reducer, 7, true, 60, 4);
    }
    for (words_of_user = 1; words_of_user <= KEYKIT_WORDS_MAX; words_of_user = words_of_user * 2) {
        qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words_of_user);
        merge_random(&set, &reducer, 7, true, 60, 4);
    }
    keykit_free(&set);
}
END_TEST

START_TEST(keys_of_one_hash_are_told_apart_and_equal_ones_joined)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set shorts = keykit_make_equal_short(500, UINT64_MAX / 7);
    keykit_set longs = keykit_make_equal_long(500, UINT64_MAX / 7);
    merge_random(&shorts, &reducer, 20, true, 70, 5);
    merge_random(&longs, &reducer, 20, true, 70, 5);
    keykit_free(&shorts);
    keykit_free(&longs);
}
END_TEST

START_TEST(one_key_in_all_runs_and_tables_is_reduced_to_one)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_COUNT, NULL);
    for (size_t count = 1; count <= 3; count++) {
        keykit_set set = keykit_make_equal_long(count, 0);
        merge_random(&set, &reducer, QN_MERGE_FAN_IN_MAX, true, 100, 6);
        keykit_free(&set);
    }
}
END_TEST

START_TEST(merged_runs_merge_again)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(3000, 7);
    qn_run runs[9], level[3];
    uint64_t state = 7;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 1024);
    for (int i = 0; i < 9; i++)
        runs[i] = spill_some(&set, &reducer, 30, &state);
    for (int i = 0; i < 3; i++) {
        qn_run_writer writer;
        const qn_key *key = NULL;
        const uint64_t *value = NULL;
        kit_assert_ok(open_merge(&reducer, runs + 3 * i, 3, NULL), &error);
        kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
        while (qn_merge_next(&merge, &key, &value, &error) == QUERN_OK && key)
            if (qn_run_writer_put(&writer, key, value, &error) != QUERN_OK)
                ck_abort_msg("%s", error.text);
        kit_assert_ok(qn_run_writer_close(&writer, &level[i], &error), &error);
        qn_merge_close(&merge);
        for (int n = 0; n < 3; n++)
            qn_spill_drop(&spill, &runs[3 * i + n]);
    }
    kit_assert_ok(open_merge(&reducer, level, 3, NULL), &error);
    keykit_check check = keykit_check_from(&set, &reducer, 0);
    const qn_key *key = NULL;
    const uint64_t *value = NULL;
    while (qn_merge_next(&merge, &key, &value, &error) == QUERN_OK && key)
        if (!keykit_matches(&check, key, value))
            ck_abort_msg("key %zu", check.matched);
    ck_assert_uint_eq(check.matched, keykit_present_count(&set, 0, UINT64_MAX));
    keykit_free(&set);
}
END_TEST

/* What the header says of merges without runs. */
START_TEST(long_keys_of_a_stable_merge_stay_where_they_are)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(3000, 9);
    uint64_t state = 9;
    qn_table table = {.reducer = &reducer};
    const uint8_t **data = (const uint8_t **)kit_take(set.count * sizeof *data);
    size_t count = 0, wrong_count = 0;
    put_some(&table, &set, 100, &state);
    kit_assert_ok(open_merge(&reducer, NULL, 0, &table), &error);
    ck_assert(qn_merge_is_stable(&merge));
    const qn_key *key = NULL;
    const uint64_t *value = NULL;
    while (qn_merge_next(&merge, &key, &value, &error) == QUERN_OK && key)
        data[count++] = qn_key_data(key);
    ck_assert_uint_eq(count, set.count);
    for (size_t i = 0; i < count; i++)
        wrong_count += QN_TAG_CODE(set.keys[i].key.tag) == QN_TAG_LONG &&
                       memcmp(data[i], qn_key_data(&set.keys[i].key), qn_key_bytes(&set.keys[i].key)) != 0;
    ck_assert_msg(wrong_count == 0, "%zu of %zu keys", wrong_count, count);
    qn_merge_close(&merge);
    qn_table_fini(&table);
    free(data);
    keykit_free(&set);
}
END_TEST

static qn_run spill_one(const char *text, uint64_t value)
{
    char data[KEYKIT_DATA_BYTES] = "";
    qn_run_writer writer;
    qn_run run = {0};
    strcpy(data, text);
    qn_key key = qn_key_of(data, (uint32_t)strlen(data));
    kit_assert_ok(qn_run_writer_open(&writer, &spill, &error), &error);
    kit_assert_ok(qn_run_writer_put(&writer, &key, &value, &error), &error);
    kit_assert_ok(qn_run_writer_close(&writer, &run, &error), &error);
    return run;
}

START_TEST(a_sum_beyond_its_type_is_an_error_that_names_the_key)
{
    static const char *const texts[] = {"key", "longer key..", "a key of more than sixteen bytes"};
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 4096);
    for (int i = 0; i < 3; i++) {
        qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
        qn_run runs[] = {spill_one(texts[i], UINT64_MAX), spill_one(texts[i], 0), spill_one(texts[i], 1)};
        const qn_key *key = NULL;
        const uint64_t *value = NULL;
        qn_error_clear(&error);
        kit_assert_ok(open_merge(&reducer, runs, 3, NULL), &error);
        ck_assert_int_eq(qn_merge_next(&merge, &key, &value, &error), QUERN_ERROR_OVERFLOW);
        ck_assert_msg(strstr(error.text, texts[i]) != NULL, "%s", error.text);
        qn_merge_close(&merge);
    }
}
END_TEST

static int fail_always(void *into, const void *value, void *user)
{
    (void)into;
    (void)value;
    (void)user;
    return 1;
}

START_TEST(a_user_s_failure_is_a_callback_s_and_odd_keys_are_shown_readably)
{
    qn_reducer reducer = {.kind = QN_REDUCER_USER, .value_bytes = 8, .value_words = 1, .fn = fail_always};
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 4096);
    qn_run runs[] = {spill_one("odd\n\x1b\xff"
                               "key",
                               1),
                     spill_one("odd\n\x1b\xff"
                               "key",
                               1)};
    const qn_key *key = NULL;
    const uint64_t *value = NULL;
    kit_assert_ok(open_merge(&reducer, runs, 2, NULL), &error);
    ck_assert_int_eq(qn_merge_next(&merge, &key, &value, &error), QUERN_ERROR_CALLBACK);
    ck_assert_msg(strstr(error.text, "\"odd???key\" (9 bytes)") != NULL, "%s", error.text);
}
END_TEST

START_TEST(failures_name_long_keys_by_their_beginning)
{
    uint8_t data[1000];
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    memset(data, 'k', sizeof data);
    qn_key key = qn_key_of(data, 900);
    ck_assert_int_eq(qn_reducer_failed(&reducer, &key, &error), QUERN_ERROR_OVERFLOW);
    ck_assert_ptr_nonnull(strstr(error.text, "kkk\" (900 bytes)"));
    ck_assert_uint_lt(strlen(error.text), 200);
}
END_TEST

#define RUN_COUNT 5

static void spill_runs(keykit_set *set, const qn_reducer *reducer, qn_run *runs_out)
{
    uint64_t state = 10;
    qn_spill_init(&spill, (qn_scratch){.directory = directory.path}, 1, 512);
    for (int i = 0; i < RUN_COUNT; i++)
        runs_out[i] = spill_some(set, reducer, 50, &state);
}

/* And not between two. */
static bool lies_in_a_run(const qn_run *runs, uint64_t at)
{
    for (int i = 0; i < RUN_COUNT; i++)
        if (at >= runs[i].offset && at < runs[i].offset + runs[i].bytes)
            return true;
    return false;
}

START_TEST(damage_to_any_run_ends_the_merge_before_a_wrong_row)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(400, 10);
    qn_run runs[RUN_COUNT];
    spill_runs(&set, &reducer, runs);
    for (uint64_t at = 3; at < spill.end; at += 97) {
        uint8_t byte = 0;
        if (!lies_in_a_run(runs, at))
            continue;
        spillkit_read(&spill, &byte, 1, at);
        byte ^= 0x20;
        spillkit_write(&spill, &byte, 1, at);
        keykit_check check = keykit_check_from(&set, &reducer, 0);
        const qn_key *key = NULL;
        const uint64_t *value = NULL;
        qn_error_clear(&error);
        quern_status status = open_merge(&reducer, runs, RUN_COUNT, NULL);
        while (status == QUERN_OK && (status = qn_merge_next(&merge, &key, &value, &error)) == QUERN_OK && key)
            if (!keykit_matches(&check, key, value))
                ck_abort_msg("key %zu, damage at %d", check.matched, (int)at);
        ck_assert_int_eq(status, QUERN_ERROR_CORRUPT);
        qn_merge_close(&merge);
        byte ^= 0x20;
        spillkit_write(&spill, &byte, 1, at);
    }
    kit_assert_ok(open_merge(&reducer, runs, RUN_COUNT, NULL), &error);
    check_merge(&set, &reducer);
    keykit_free(&set);
}
END_TEST

START_TEST(refused_memory_opens_no_merge_and_nothing_leaks)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_U64, NULL);
    keykit_set set = keykit_make(400, 10);
    qn_run runs[RUN_COUNT];
    spill_runs(&set, &reducer, runs);
    int failure_count = 0;
    for (;; failure_count++) {
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = open_merge(&reducer, runs, RUN_COUNT, NULL);
        allocations_left = -1;
        qn_merge_close(&merge);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    }
    ck_assert_int_eq(failure_count, 1 + RUN_COUNT); /* the merge, and a reader each, since blocks are so small */
    keykit_free(&set);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        any_number_of_runs_and_tables_merges_to_what_a_sorted_list_gives,
        every_reducer_merges,
        keys_of_one_hash_are_told_apart_and_equal_ones_joined,
        one_key_in_all_runs_and_tables_is_reduced_to_one,
        merged_runs_merge_again,
        long_keys_of_a_stable_merge_stay_where_they_are,
        a_sum_beyond_its_type_is_an_error_that_names_the_key,
        a_user_s_failure_is_a_callback_s_and_odd_keys_are_shown_readably,
        failures_name_long_keys_by_their_beginning,
        damage_to_any_run_ends_the_merge_before_a_wrong_row,
        refused_memory_opens_no_merge_and_nothing_leaks,
    };
    return kit_run_tests("merge", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
