/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_table.c: the combine table against a sorted list: all kinds of keys, values and ranges, crowds, failures.
 */
#include "tests/data/tablekit.h"
#include "tests/refusal.h"

static uint32_t words_of_user = 1;

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

/* Who finds an empty table full would make it empty for ever. */
START_TEST(an_empty_table_takes_a_batch_however_little_memory_it_has)
{
    for (uint32_t words = 1; words <= KEYKIT_WORDS_MAX; words++)
        for (size_t bytes_max = 0; bytes_max <= (size_t)1 << 20; bytes_max += (size_t)1 << 17) {
            qn_reducer reducer = keykit_reducer(QN_REDUCER_USER, &words);
            qn_table table;
            open_table(&table, &reducer, 0, UINT64_MAX, bytes_max);
            ck_assert_int_eq(qn_table_make_room(&table, 0, QN_SLOTS_COMING_MAX, 0, bytes_max), QN_TABLE_OK);
            ck_assert_int_eq(qn_table_make_room(&table, QN_SLOTS_COMING_MAX, 0, 0, bytes_max), QN_TABLE_OK);
            qn_table_fini(&table);
        }
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

/* Blocks. */

static qn_classified classified;

static qn_key_class class_of_bytes(uint32_t bytes)
{
    return bytes <= QN_KEY_TINY_BYTES ? QN_CLASS_TINY : bytes <= QN_KEY_SHORT_BYTES ? QN_CLASS_SHORT : QN_CLASS_LONG;
}

/* Every record of the part is in its class once, ascending. */
static void check_classes(const uint32_t *key_bytes, size_t from, size_t count)
{
    size_t next[QN_CLASS_COUNT] = {0};
    uint64_t long_bytes = 0;
    for (size_t i = from; i < from + count; i++) {
        qn_key_class class = class_of_bytes(key_bytes[i]);
        if (next[class] >= classified.count[class] || classified.index[class][next[class]] != i)
            ck_abort_msg("record %zu of [%zu, %zu) is not the next of its class", i, from, from + count);
        next[class]++;
        long_bytes += class == QN_CLASS_LONG ? key_bytes[i] : 0;
    }
    for (int class = 0; class < QN_CLASS_COUNT; class ++)
        ck_assert_uint_eq(next[class], classified.count[class]);
    ck_assert_uint_eq(classified.long_bytes, long_bytes);
}

START_TEST(any_part_of_a_block_is_sorted_by_class)
{
    static const uint32_t edges[] = {0, 7, 8, 16, 17, 64, 65, 100000};
    static uint32_t key_bytes[3 * QN_SLOTS_COMING_MAX];
    quern_block block = {.count = 3 * QN_SLOTS_COMING_MAX, .key_bytes = key_bytes};
    uint64_t state = 61;
    for (int round = 0; round < 3000; round++) {
        size_t edge_count = 1 + kit_random_below(&state, 8);
        for (size_t i = 0; i < block.count; i++)
            key_bytes[i] = edges[kit_random_below(&state, edge_count)];
        size_t count = round % 8 ? kit_random_below(&state, QN_SLOTS_COMING_MAX + 1) : QN_SLOTS_COMING_MAX;
        size_t from = round % 5 ? kit_random_below(&state, block.count - count + 1) : 0;
        memset(&classified, 0xee, sizeof classified);
        qn_table_classify(&block, QUERN_BYTES, from, count, &classified);
        check_classes(key_bytes, from, count);
        qn_table_classify(&block, QUERN_U64, from, count, &classified);
        ck_assert(classified.count[QN_CLASS_TINY] == 0 && classified.count[QN_CLASS_LONG] == 0);
        ck_assert(classified.count[QN_CLASS_SHORT] == count && classified.long_bytes == 0);
        for (size_t i = 0; i < count; i++)
            if (classified.index[QN_CLASS_SHORT][i] != from + i)
                ck_abort_msg("number %zu of [%zu, %zu)", i, from, from + count);
    }
}
END_TEST

#define NUMBER_COUNT 1500

/* Numbers as keys, in blocks of which a part goes in at a time, reduced as by an array. */
static void check_numbers(qn_reducer_kind kind, uint64_t number_max, uint64_t factor)
{
    static uint64_t numbers[NUMBER_COUNT], values[NUMBER_COUNT][32];
    static const void *key[NUMBER_COUNT], *value[NUMBER_COUNT];
    qn_reducer reducer = keykit_reducer(kind, &words_of_user);
    keykit_set set = {(keykit_key *)kit_take(number_max * sizeof *set.keys), number_max, NULL};
    for (uint64_t n = 0; n < number_max; n++) {
        uint8_t data[8 + QN_SLACK_BYTES] = {0};
        memcpy(data, &(uint64_t){n * factor}, 8);
        set.keys[n].key = qn_key_of(data, 8);
    }
    uint64_t state = number_max;
    qn_table table;
    open_table(&table, &reducer, 0, UINT64_MAX, 0);
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < NUMBER_COUNT; i++) {
            size_t n = kit_random_below(&state, number_max);
            numbers[i] = n * factor;
            for (uint32_t word = 0; word < reducer.value_words; word++)
                values[i][word] = kit_random(&state) >> 20;
            key[i] = &numbers[i];
            value[i] = values[i];
            keykit_combine_record(&set.keys[n], &reducer, values[i]);
        }
        quern_block block = {.count = NUMBER_COUNT, .key = key, .value = value};
        for (size_t from = 0, count; from < NUMBER_COUNT; from += count) {
            size_t left = NUMBER_COUNT - from;
            count = 1 + kit_random_below(&state, left < QN_SLOTS_COMING_MAX ? left : QN_SLOTS_COMING_MAX);
            qn_table_classify(&block, QUERN_U64, from, count, &classified);
            ck_assert_int_eq(qn_table_make_room(&table, 0, count, 0, BYTES_MAX), QN_TABLE_OK);
            ck_assert_int_eq(qn_table_insert_block(&table, &block, QUERN_U64, &classified), QN_TABLE_OK);
        }
    }
    keykit_sort(&set);
    check_table(&table, &set);
    qn_table_fini(&table);
    keykit_free(&set);
}

START_TEST(numbers_as_keys_are_reduced_as_by_a_sorted_list)
{
    for (words_of_user = 1; words_of_user <= 32; words_of_user = words_of_user == 1 ? 2 : words_of_user * 16)
        for (int kind = QN_REDUCER_COUNT; kind <= QN_REDUCER_USER; kind++) {
            check_numbers((qn_reducer_kind)kind, 1, 0);
            check_numbers((qn_reducer_kind)kind, 100, 1);
            check_numbers((qn_reducer_kind)kind, 7000, UINT64_C(0x0123456789abcdef));
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
    }
}
END_TEST

/* Values in this order, some of them in tables that are reduced into one. fits: whether the sum is one of 64 bits. */
static void check_signed_sum(const int64_t *values, size_t count, bool fits, int64_t expected)
{
    qn_reducer reducer = keykit_reducer(QN_REDUCER_SUM_I64, NULL);
    const char *keys[] = {"k\0\0\0\0\0\0\0", "between seven and 17", "a key of more than sixteen bytes"};
    for (int n = 0; n < 3; n++)
        for (size_t cut = 0; cut <= count; cut++) {
            qn_table tables[2];
            uint64_t sum[2] = {0};
            for (int half = 0; half < 2; half++) {
                open_table(&tables[half], &reducer, 0, UINT64_MAX, 0);
                for (size_t i = half ? cut : 0; i < (half ? count : cut); i++) {
                    quern_block block = {.count = 1,
                                         .key = (const void *[]){keys[n]},
                                         .key_bytes = (uint32_t[]){n == 0   ? 1
                                                                   : n == 1 ? 12
                                                                            : 32},
                                         .value = (const void *[]){&values[i]},
                                         .value_bytes = (uint32_t[]){8}};
                    qn_table_classify(&block, QUERN_BYTES, 0, 1, &classified);
                    ck_assert_int_eq(qn_table_make_room(&tables[half], 1, 1, 32, BYTES_MAX), QN_TABLE_OK);
                    ck_assert_int_eq(qn_table_insert_block(&tables[half], &block, QUERN_BYTES, &classified),
                                     QN_TABLE_OK);
                }
                qn_table_cursor cursor = qn_table_cursor_of(&tables[half], 0, UINT64_MAX);
                const uint64_t *value = NULL;
                if (qn_table_cursor_peek(&cursor, &value))
                    ck_assert(qn_reducer_apply(&reducer, sum, value));
                qn_table_fini(&tables[half]);
            }
            ck_assert_int_eq(qn_reducer_fits(&reducer, sum), fits);
            ck_assert(!fits || (int64_t)sum[0] == expected);
        }
}

START_TEST(a_signed_sum_fits_or_not_in_whatever_order_its_values_come)
{
    check_signed_sum((int64_t[]){INT64_MAX, 1, -1}, 3, true, INT64_MAX);
    check_signed_sum((int64_t[]){INT64_MIN, -1, 1}, 3, true, INT64_MIN);
    check_signed_sum((int64_t[]){INT64_MAX, INT64_MAX, INT64_MIN, INT64_MIN, 2}, 5, true, 0);
    check_signed_sum((int64_t[]){INT64_MAX, 1}, 2, false, 0);
    check_signed_sum((int64_t[]){INT64_MIN, INT64_MIN, INT64_MAX}, 3, false, 0);
    check_signed_sum((int64_t[]){-1, 0}, 2, true, -1);
}
END_TEST

START_TEST(extreme_values_that_fit_are_reduced)
{
    static const struct {
        qn_reducer_kind kind;
        uint64_t a, b, expected;
    } known[] = {
        {QN_REDUCER_SUM_U64, UINT64_MAX - 1, 1, UINT64_MAX},
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

int main(void)
{
    const TTest *const tests[] = {
        random_keys_of_all_lengths_are_reduced_as_by_a_sorted_list,
        every_reducer_reduces,
        a_user_s_values_may_have_one_to_thirty_two_words,
        a_rank_s_table_takes_the_tags_of_its_range,
        the_narrowest_ranges_have_room,
        an_empty_table_takes_a_batch_however_little_memory_it_has,
        thousands_of_keys_of_one_hash_at_the_end_of_the_range_are_kept_apart,
        thousands_of_keys_of_one_hash_elsewhere_are_kept_apart,
        thousands_of_tiny_keys_of_neighbouring_hashes_are_kept_apart,
        any_part_of_a_block_is_sorted_by_class,
        numbers_as_keys_are_reduced_as_by_a_sorted_list,
        a_sum_beyond_its_type_fails_and_names_its_key,
        a_signed_sum_fits_or_not_in_whatever_order_its_values_come,
        extreme_values_that_fit_are_reduced,
        a_user_s_failure_is_one_and_names_its_key,
        refused_memory_creates_no_table,
    };
    return kit_run_tests("table", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
