/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_sorter.c: packed records come back in the order of their collation, each once, whatever the pool, the layout
 * and the disk. The model is an array of the same records under qsort() with qn_collation_compare().
 */
#include "runtime/data/sorter.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT_MAX 300

static kit_directory directory;
static qn_error error;
static qn_sorter *sorter;
static qn_collation collation;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    collation = (qn_collation){0};
}

static void tear_down(void)
{
    qn_sorter_destroy(sorter);
    sorter = NULL;
    kit_remove_directory(&directory);
}

/* Packed records, one behind the other. */
typedef struct batch {
    uint8_t *bytes;
    uint64_t used_bytes, capacity_bytes;
    qn_packed *sorted; /* the model's order */
    size_t count;
} batch;

static void batch_free(batch *records)
{
    free(records->bytes);
    free(records->sorted);
    *records = (batch){0};
}

static void batch_add(batch *records, uint64_t tag, const void *key, uint32_t key_bytes, const void *value,
                      uint32_t value_bytes, uint32_t side)
{
    qn_packed record = {tag, key, value, key_bytes, value_bytes, side};
    uint64_t bytes = qn_packed_bytes(&collation.layout, key_bytes, value_bytes);
    if (records->used_bytes + bytes > records->capacity_bytes) {
        records->capacity_bytes = 2 * (records->used_bytes + bytes);
        records->bytes = realloc(records->bytes, records->capacity_bytes);
        ck_assert_ptr_nonnull(records->bytes);
    }
    qn_packed_encode(&collation.layout, &record, records->bytes + records->used_bytes);
    records->used_bytes += bytes;
    records->count++;
}

static int compare_records(const void *a, const void *b)
{
    return qn_collation_compare(&collation, a, b);
}

/* Decodes what was added, and sorts that. */
static void batch_sort(batch *records)
{
    uint64_t at = 0;
    records->sorted = kit_take(records->count * sizeof *records->sorted);
    for (size_t i = 0; i < records->count; i++)
        at += qn_packed_decode(&collation.layout, records->bytes + at, records->used_bytes - at, &records->sorted[i]);
    ck_assert_uint_eq(at, records->used_bytes);
    qsort(records->sorted, records->count, sizeof *records->sorted, compare_records);
}

static quern_status make_sorter(uint64_t pool_bytes, size_t block_bytes)
{
    const qn_sorter_config config = {&collation, pool_bytes, block_bytes, .scratch.directory = directory.path};
    return qn_sorter_create(&sorter, &config, &error);
}

static bool is_same_record(const qn_packed *a, const qn_packed *b)
{
    return a->prefix == b->prefix && a->key_bytes == b->key_bytes && a->value_bytes == b->value_bytes &&
           a->side == b->side && memcmp(a->key, b->key, a->key_bytes) == 0 &&
           memcmp(a->value, b->value, a->value_bytes) == 0;
}

/* Reads to the end or to a failure. Aborts if a record is not the model's. */
static quern_status read_all(const batch *records, size_t max, size_t *count_out)
{
    qn_packed read[NEXT_MAX];
    quern_status status = QUERN_OK;
    for (*count_out = 0;;) {
        size_t count = 0;
        status = qn_sorter_next(sorter, read, max, &count, &error);
        if (status != QUERN_OK || count == 0)
            return status;
        if (count > max || *count_out + count > records->count)
            ck_abort_msg("too many records");
        for (size_t i = 0; i < count; i++)
            if (!is_same_record(&read[i], &records->sorted[*count_out + i]))
                ck_abort_msg("record %zu is another", *count_out + i);
        *count_out += count;
    }
}

static void check_all(const batch *records, size_t max)
{
    size_t count = 0;
    kit_assert_ok(read_all(records, max, &count), &error);
    ck_assert_uint_eq(count, records->count);
}

/* Sorts the batch in a sorter of its own and compares. */
static qn_sorter_stats check_sort(const batch *records, uint64_t pool_bytes, size_t block_bytes)
{
    kit_assert_ok(make_sorter(pool_bytes, block_bytes), &error);
    kit_assert_ok(qn_sorter_append_all(sorter, records->bytes, records->used_bytes, &error), &error);
    kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
    check_all(records, NEXT_MAX);
    kit_assert_ok(qn_sorter_rewind(sorter, &error), &error);
    check_all(records, 7);
    qn_sorter_stats stats = qn_sorter_get_stats(sorter);
    ck_assert_uint_eq(stats.record_count, records->count);
    ck_assert_uint_eq(stats.record_bytes, records->used_bytes);
    ck_assert_int_eq(qn_sorter_is_stable(sorter), stats.spill_runs == 0);
    ck_assert_int_eq(stats.spilled_bytes == 0, stats.spill_runs == 0);
    qn_sorter_destroy(sorter);
    sorter = NULL;
    return stats;
}

/* Shrinks a sorter that read some, and compares. */
static void check_shrunk(const batch *records, uint64_t pool_bytes, size_t block_bytes)
{
    qn_packed read[NEXT_MAX];
    size_t count;
    kit_assert_ok(make_sorter(pool_bytes, block_bytes), &error);
    kit_assert_ok(qn_sorter_append_all(sorter, records->bytes, records->used_bytes, &error), &error);
    kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
    kit_assert_ok(qn_sorter_next(sorter, read, NEXT_MAX, &count, &error), &error);
    uint64_t before = qn_sorter_get_memory_bytes(sorter);
    for (int times = 0; times < 2; times++) {
        kit_assert_ok(qn_sorter_shrink(sorter, &error), &error);
        ck_assert_int_eq(qn_sorter_is_stable(sorter), records->count == 0);
        kit_assert_ok(qn_sorter_rewind(sorter, &error), &error);
        check_all(records, NEXT_MAX);
        kit_assert_ok(qn_sorter_rewind(sorter, &error), &error);
        check_all(records, 7);
    }
    if (before > pool_bytes / 2 && pool_bytes > 64 * block_bytes)
        ck_assert_uint_lt(qn_sorter_get_memory_bytes(sorter), before);
    qn_sorter_destroy(sorter);
    sorter = NULL;
}

/* How the user compares in these tests: by length, longest first. */
static int compare_lengths(quern_span left, quern_span right, void *user)
{
    if (user != &collation)
        ck_abort_msg("another user's data");
    return (left.bytes < right.bytes) - (left.bytes > right.bytes);
}

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)kit_random_below(state, bound);
}

/* Bytes of a kind: random, of few letters, or with a long common beginning. */
static uint32_t make_bytes(uint64_t *state, uint32_t kind, uint32_t fixed_bytes, bool varies, uint8_t *to)
{
    static const uint8_t letters[] = {0, 'a', 0xff};
    uint32_t bytes = varies ? random_below(state, kind == 2 ? 120 : 20) : fixed_bytes;
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = kind == 0   ? (uint8_t)kit_random(state)
                : kind == 1 ? letters[random_below(state, 3)]
                            : (uint8_t)(i < bytes - bytes / 16 ? 'x' : 'x' + random_below(state, 2));
    return bytes;
}

static batch make_batch(size_t count, uint64_t seed)
{
    const qn_layout *layout = &collation.layout;
    uint64_t state = seed;
    batch records = {0};
    uint32_t key_kind = random_below(&state, 3), value_kind = random_below(&state, 3);
    for (size_t i = 0; i < count; i++) {
        uint8_t key[256], value[256];
        uint32_t key_bytes = make_bytes(&state, key_kind, layout->key_bytes, layout->key_varies, key);
        uint32_t value_bytes = make_bytes(&state, value_kind, layout->value_bytes, layout->value_varies, value);
        uint64_t tag = kit_random(&state) >> (key_kind == 1 ? 62 : 8) << 8 | QN_TAG_LONG; /* any key may have it */
        batch_add(&records, tag, key, key_bytes, value, value_bytes, layout->has_side ? random_below(&state, 2) : 0);
    }
    batch_sort(&records);
    return records;
}

/* A collation of any kind. */
static void make_collation(uint64_t seed)
{
    static const quern_type types[] = {QUERN_BYTES, QUERN_I64, QUERN_U64, QUERN_FIXED, QUERN_NONE};
    uint64_t state = seed;
    quern_schema schema = {.key = types[random_below(&state, 3)], .value = types[random_below(&state, 5)]};
    schema.value_bytes = schema.value == QUERN_FIXED ? 1 + random_below(&state, 40) : 0;
    collation = (qn_collation){.kind = (qn_collation_kind)random_below(&state, 3)};
    bool has_side = random_below(&state, 2);
    collation.layout = qn_layout_of(&schema, has_side ? &schema : NULL, collation.kind == QN_COLLATE_BY_HASH);
    collation.descending = collation.kind != QN_COLLATE_BY_HASH && random_below(&state, 2);
    collation.values_descending = random_below(&state, 2);
    collation.compare_keys = collation.kind == QN_COLLATE_BY_USER ? compare_lengths : NULL;
    collation.compare_values = random_below(&state, 3) == 0 ? compare_lengths : NULL;
    collation.user = &collation;
}

START_TEST(records_of_any_layout_and_collation_come_back_in_order_from_memory)
{
    for (uint64_t seed = 0; seed < 64; seed++) {
        make_collation(seed);
        batch records = make_batch(seed % 10 == 0 ? 5000 : 300, seed);
        qn_sorter_stats stats = check_sort(&records, 2 << 20, 4096);
        ck_assert_uint_eq(stats.spill_runs, 0);
        batch_free(&records);
    }
}
END_TEST

START_TEST(records_of_any_layout_and_collation_come_back_in_order_from_runs)
{
    for (uint64_t seed = 0; seed < 64; seed++) {
        make_collation(seed);
        batch records = make_batch(1000, seed);
        qn_sorter_stats stats = check_sort(&records, 3000 + 150 * (seed % 40), 256 << seed % 5);
        ck_assert_uint_ge(stats.spill_runs, 2);
        batch_free(&records);
    }
}
END_TEST

START_TEST(what_was_sorted_is_the_same_when_it_is_written_to_disk_afterwards)
{
    for (uint64_t seed = 0; seed < 48; seed++) {
        make_collation(seed);
        batch records = make_batch(seed % 16 == 0 ? 0 : 1000, seed);
        check_shrunk(&records, seed % 3 ? 2 << 20 : 3000 + 150 * (seed % 40), 256 << seed % 5);
        batch_free(&records);
    }
}
END_TEST

/* Keys of bytes and values of bytes, by key. */
static void make_plain_collation(void)
{
    const quern_schema schema = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    collation = (qn_collation){.kind = QN_COLLATE_BY_KEY, .layout = qn_layout_of(&schema, false, false)};
}

/* All NaN are equal as numbers, but their bytes come out, so they have an order too. */
START_TEST(values_that_are_nan_of_many_kinds_come_in_one_order)
{
    static const quern_type types[] = {QUERN_F64, QUERN_F32};
    for (int i = 0; i < 4; i++) {
        const quern_schema schema = {QUERN_U64, types[i % 2], 0};
        batch records = {0};
        collation = (qn_collation){QN_COLLATE_BY_KEY, qn_layout_of(&schema, NULL, false), .values_descending = i / 2};
        for (uint64_t number = 0; number < 3000; number++) {
            uint64_t payload = number * 37 % 1024, sign = number & 1;
            const uint64_t wide = number % 3 ? sign << 63 | QN_ORDER_NAN | payload : number << 50;
            const uint32_t narrow = (uint32_t)(number % 3 ? sign << 31 | 0x7fc00000 | payload : number << 19);
            const uint64_t key = number % 2;
            bool is_wide = schema.value == QUERN_F64;
            batch_add(&records, qn_order_prefix(QUERN_U64, &key, 8), &key, 8, is_wide ? (const void *)&wide : &narrow,
                      is_wide ? 8 : 4, 0);
        }
        batch_sort(&records);
        check_sort(&records, 1 << 20, 4096);
        check_sort(&records, 8192, 1024);
        batch_free(&records);
    }
}
END_TEST

START_TEST(nothing_comes_back_from_nothing)
{
    make_plain_collation();
    batch records = {0};
    batch_sort(&records);
    qn_sorter_stats stats = check_sort(&records, 1 << 20, 4096);
    ck_assert_uint_eq(stats.memory_bytes_peak, 0);
    batch_free(&records);
}
END_TEST

START_TEST(one_record_comes_back_from_a_pool_that_has_room_for_just_it_and_from_none)
{
    make_plain_collation();
    batch records = {0};
    batch_add(&records, 0, "key", 3, "", 0, 0);
    batch_sort(&records);
    qn_sorter_stats stats = check_sort(&records, 11 + 32, 4096);
    ck_assert_uint_eq(stats.spill_runs, 0);
    ck_assert_uint_eq(stats.memory_bytes_peak, 11 + 32);
    for (uint64_t pool_bytes = 0; pool_bytes < 11 + 32; pool_bytes++)
        ck_assert_uint_eq(check_sort(&records, pool_bytes, 4096).spill_runs, 1);
    batch_free(&records);
}
END_TEST

START_TEST(records_larger_than_the_pool_come_back_among_the_others)
{
    make_plain_collation();
    uint8_t *giant = kit_take(100000);
    memset(giant, 'm', 100000);
    batch records = make_batch(500, 1);
    free(records.sorted);
    for (uint32_t i = 0; i < 40; i++) {
        batch_add(&records, 0, giant, 1 + i % 3 * 30000, giant, 1 + (i + 1) % 3 * 40000, 0);
        batch_add(&records, 0, &i, 4, "v", 1, 0);
    }
    batch_sort(&records);
    qn_sorter_stats stats = check_sort(&records, 2000, 256);
    ck_assert_uint_ge(stats.spill_runs, 40);
    check_sort(&records, 150000, 4096);
    batch_free(&records);
    free(giant);
}
END_TEST

/* Each level is written once, and there are no more than the logarithm of the runs to the number that is merged at once. */
START_TEST(a_small_pool_makes_many_runs_and_few_levels)
{
    const quern_schema schema = {.key = QUERN_U64, .value = QUERN_U64};
    collation = (qn_collation){.kind = QN_COLLATE_BY_KEY, .layout = qn_layout_of(&schema, false, false)};
    batch records = make_batch(20000, 1);
    qn_sorter_stats wide = check_sort(&records, 6000, 64);
    ck_assert_uint_ge(wide.spill_runs, 150);
    ck_assert_uint_le(wide.spilled_bytes, 4 * 3 * wide.record_bytes); /* headers of blocks are as much again */
    ck_assert_uint_le(wide.memory_bytes_peak, 6000);
    qn_sorter_stats narrow = check_sort(&records, 200, 1000);
    ck_assert_uint_ge(narrow.spill_runs, 3000);
    uint64_t padding_bytes = 2 * 4096 * narrow.spill_runs; /* behind each run, and those of the next level */
    ck_assert_uint_le(narrow.spilled_bytes, 18 * 4 * narrow.record_bytes + padding_bytes);
    batch_free(&records);
}
END_TEST

START_TEST(what_passes_by_the_page_cache_is_merged_in_the_memory_of_the_pool)
{
    make_plain_collation();
    batch records = make_batch(100000, 2);
    for (uint64_t pool_bytes = 2 << 20; pool_bytes < 5 << 20; pool_bytes += 777777) {
        const qn_sorter_config config = {&collation, pool_bytes, 8192, {directory.path}, 1};
        kit_assert_ok(qn_sorter_create(&sorter, &config, &error), &error);
        kit_assert_ok(qn_sorter_append_all(sorter, records.bytes, records.used_bytes, &error), &error);
        kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
        uint64_t before = qn_sorter_get_memory_bytes(sorter);
        check_all(&records, 7);
        ck_assert_uint_le(qn_sorter_get_memory_bytes(sorter), before);
        kit_assert_ok(qn_sorter_rewind(sorter, &error), &error); /* destroyed with reads under way */
        ck_assert_uint_le(qn_sorter_get_stats(sorter).memory_bytes_peak, pool_bytes);
        qn_sorter_destroy(sorter);
        sorter = NULL;
    }
    batch_free(&records);
}
END_TEST

START_TEST(a_memory_that_is_nearly_full_becomes_a_run_early_and_another_does_not)
{
    make_plain_collation();
    batch records = make_batch(3000, 2);
    const uint64_t full_bytes = records.used_bytes + 3000 * 32; /* with two entries a record */
    kit_assert_ok(make_sorter(2 * full_bytes, 4096), &error);
    kit_assert_ok(qn_sorter_append_all(sorter, records.bytes, records.used_bytes, &error), &error);
    kit_assert_ok(qn_sorter_spill_early(sorter, &error), &error);
    ck_assert_uint_eq(qn_sorter_get_stats(sorter).spill_runs, 0);
    qn_sorter_destroy(sorter);
    kit_assert_ok(make_sorter(full_bytes / 5 * 6, 4096), &error);
    kit_assert_ok(qn_sorter_append_all(sorter, records.bytes, records.used_bytes, &error), &error);
    kit_assert_ok(qn_sorter_spill_early(sorter, &error), &error);
    kit_assert_ok(qn_sorter_spill_early(sorter, &error), &error); /* of what is empty */
    ck_assert_uint_eq(qn_sorter_get_stats(sorter).spill_runs, 1);
    kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
    check_all(&records, NEXT_MAX);
    batch_free(&records);
}
END_TEST

START_TEST(orders_that_make_sorts_slow_do_not)
{
    enum { COUNT = 100000 };
    const quern_schema schema = {.key = QUERN_U64, .value = QUERN_U64};
    collation = (qn_collation){.kind = QN_COLLATE_BY_KEY, .layout = qn_layout_of(&schema, false, false)};
    for (uint32_t kind = 0; kind < 6; kind++) {
        batch records = {0};
        uint64_t state = kind;
        for (uint64_t i = 0; i < COUNT; i++) {
            const uint64_t keys[] = {i, COUNT - i, 7, i & 1, i % 2 ? i : UINT64_MAX - i, UINT64_MAX >> i % 64};
            uint64_t value = kind == 2 ? 7 : kit_random(&state);
            batch_add(&records, 0, &keys[kind], 8, &value, 8, 0);
        }
        batch_sort(&records);
        check_sort(&records, 8 << 20, 4096);
        check_sort(&records, 2 << 20, 4096);
        batch_free(&records);
    }
}
END_TEST

START_TEST(keys_that_begin_with_each_other_and_end_in_zeros_are_told_apart)
{
    static const uint8_t zeros[3000];
    for (uint32_t kind = 0; kind < 4; kind++) {
        make_plain_collation();
        collation.descending = kind & 1;
        collation.values_descending = kind & 2;
        batch records = {0};
        uint64_t state = kind;
        for (uint32_t i = 0; i < 1500; i++) {
            uint32_t length = random_below(&state, 3000);
            batch_add(&records, 0, zeros, length, zeros, i % 50, 0);
            batch_add(&records, 0, zeros, 100, zeros, length, 0);
        }
        batch_sort(&records);
        check_sort(&records, 12 << 20, 4096);
        batch_free(&records);
    }
}
END_TEST

static uint64_t compare_count;

static int compare_and_count(quern_span left, quern_span right, void *user)
{
    (void)user;
    compare_count++;
    size_t common = left.bytes < right.bytes ? left.bytes : right.bytes;
    return memcmp(left.data, right.data, common);
}

static void check_compare_count(const batch *records, uint64_t count_max)
{
    kit_assert_ok(make_sorter(1 << 20, 4096), &error);
    kit_assert_ok(qn_sorter_append_all(sorter, records->bytes, records->used_bytes, &error), &error);
    compare_count = 0;
    kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
    ck_assert_uint_le(compare_count, count_max);
    check_all(records, NEXT_MAX);
    qn_sorter_destroy(sorter);
    sorter = NULL;
}

START_TEST(sorted_records_are_compared_once_and_others_as_often_as_a_merge_sort_does)
{
    enum { COUNT = 8192, LOG = 13 };
    for (uint32_t kind = 0; kind < 3; kind++) {
        make_plain_collation();
        collation.kind = QN_COLLATE_BY_USER;
        collation.compare_keys = compare_and_count;
        batch records = {0};
        uint64_t state = 1;
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t number = kind == 0 ? i : kind == 1 ? COUNT - i : random_below(&state, 1000000);
            char key[16];
            uint32_t key_bytes = (uint32_t)snprintf(key, sizeof key, "%08u", number);
            batch_add(&records, 0, key, key_bytes, "", 0, 0);
        }
        batch_sort(&records);
        check_compare_count(&records, kind == 0 ? COUNT - 1 : COUNT * (LOG + 2));
        batch_free(&records);
    }
}
END_TEST

static int compare_at_random(quern_span left, quern_span right, void *user)
{
    (void)left;
    (void)right;
    return (int)random_below(user, 3) - 1;
}

/* Reads to the end; the sum over all records of their values' hash. */
static uint64_t sum_of_all(size_t *count_out)
{
    qn_packed read[NEXT_MAX];
    uint64_t sum = 0;
    *count_out = 0;
    for (size_t count = 1; count > 0; *count_out += count) {
        if (qn_sorter_next(sorter, read, NEXT_MAX, &count, &error) != QUERN_OK)
            ck_abort_msg("%s", error.text);
        for (size_t i = 0; i < count; i++)
            sum += qn_order_prefix(QUERN_BYTES, read[i].value, read[i].value_bytes) * (read[i].key_bytes + 1);
    }
    return sum;
}

START_TEST(a_comparison_that_contradicts_itself_loses_no_record)
{
    uint64_t state = 1;
    make_plain_collation();
    batch records = make_batch(5000, 1);
    uint64_t sum = 0;
    for (size_t i = 0; i < records.count; i++)
        sum += qn_order_prefix(QUERN_BYTES, records.sorted[i].value, records.sorted[i].value_bytes) *
               (records.sorted[i].key_bytes + 1);
    collation.kind = QN_COLLATE_BY_USER;
    collation.compare_keys = compare_at_random;
    collation.user = &state;
    for (uint64_t pool_bytes = 2000; pool_bytes < 8 << 20; pool_bytes *= 64) {
        size_t count = 0;
        kit_assert_ok(make_sorter(pool_bytes, 256), &error);
        kit_assert_ok(qn_sorter_append_all(sorter, records.bytes, records.used_bytes, &error), &error);
        kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
        ck_assert_uint_eq(sum_of_all(&count), sum);
        ck_assert_uint_eq(count, records.count);
        qn_sorter_destroy(sorter);
        sorter = NULL;
    }
    batch_free(&records);
}
END_TEST

START_TEST(what_is_in_memory_stays_where_it_is_until_destroy)
{
    make_plain_collation();
    batch records = make_batch(3000, 2);
    qn_packed *read = kit_take((records.count + 1) * sizeof *read);
    kit_assert_ok(make_sorter(1 << 20, 4096), &error);
    kit_assert_ok(qn_sorter_append_all(sorter, records.bytes, records.used_bytes, &error), &error);
    kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
    ck_assert(qn_sorter_is_stable(sorter));
    size_t all = 0;
    for (size_t count = 1; count > 0; all += count)
        kit_assert_ok(qn_sorter_next(sorter, read + all, 17, &count, &error), &error);
    ck_assert_uint_eq(all, records.count);
    for (size_t i = 0; i < all; i++)
        if (!is_same_record(&read[i], &records.sorted[i]))
            ck_abort_msg("record %zu is another", i);
    batch_free(&records);
    free(read);
}
END_TEST

START_TEST(a_reading_may_be_started_again_anywhere_and_ended_anywhere)
{
    make_plain_collation();
    batch records = make_batch(3000, 2);
    for (uint64_t pool_bytes = 5000; pool_bytes <= 5000000; pool_bytes *= 1000) {
        kit_assert_ok(make_sorter(pool_bytes, 256), &error);
        for (uint64_t at = 0, bytes; at < records.used_bytes; at += bytes) {
            qn_packed record;
            bytes = qn_packed_decode(&collation.layout, records.bytes + at, records.used_bytes - at, &record);
            if (qn_sorter_append(sorter, &record, records.bytes + at, bytes, &error) != QUERN_OK)
                ck_abort_msg("%s", error.text);
        }
        kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
        for (size_t reads = 0; reads < 1000; reads += 111) {
            qn_packed read[11];
            size_t count = 0;
            kit_assert_ok(qn_sorter_rewind(sorter, &error), &error);
            for (size_t i = 0; i < reads; i++)
                kit_assert_ok(qn_sorter_next(sorter, read, 1 + i % 11, &count, &error), &error);
        }
        kit_assert_ok(qn_sorter_rewind(sorter, &error), &error);
        check_all(&records, 11);
        kit_assert_ok(qn_sorter_rewind(sorter, &error), &error);
        qn_sorter_destroy(sorter);
        sorter = NULL;
    }
    batch_free(&records);
}
END_TEST

START_TEST(bytes_that_end_within_a_record_are_refused)
{
    make_plain_collation();
    batch records = {0};
    batch_add(&records, 0, "abc", 3, "defg", 4, 0);
    batch_add(&records, 0, "abc", 3, "defg", 4, 0);
    for (uint64_t bytes = 16; bytes < records.used_bytes; bytes++) {
        kit_assert_ok(make_sorter(1 << 20, 4096), &error);
        qn_error_clear(&error);
        ck_assert_int_eq(qn_sorter_append_all(sorter, records.bytes, bytes, &error), QUERN_ERROR_CORRUPT);
        qn_sorter_destroy(sorter);
    }
    sorter = NULL;
    batch_free(&records);
}
END_TEST

static void append_copies(const qn_packed *record, size_t count)
{
    uint8_t packed[2000];
    qn_packed_encode(&collation.layout, record, packed);
    uint64_t bytes = qn_packed_bytes(&collation.layout, record->key_bytes, record->value_bytes);
    for (size_t i = 0; i < count; i++)
        if (qn_sorter_append(sorter, record, packed, bytes, &error) != QUERN_OK)
            ck_abort_msg("%s", error.text);
}

static uint64_t resident_bytes_peak(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

START_TEST(large_records_and_small_ones_in_turn_take_no_more_memory_than_the_pool)
{
    enum { POOL_BYTES = 64 << 20, BLOCK_BYTES = 1 << 20 };
    static uint8_t key[1500];
    make_plain_collation();
    uint64_t before = resident_bytes_peak();
    kit_assert_ok(make_sorter(POOL_BYTES, BLOCK_BYTES), &error);
    for (uint32_t turn = 0; turn < 2; turn++) {
        append_copies(&(qn_packed){.key = key, .value = key, .key_bytes = sizeof key}, 50000);
        append_copies(&(qn_packed){.key = key, .value = key}, 2000000);
    }
    kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
    size_t count = 0;
    sum_of_all(&count);
    ck_assert_uint_eq(count, 2 * 2050000);
    ck_assert_uint_le(qn_sorter_get_stats(sorter).memory_bytes_peak, POOL_BYTES);
    ck_assert_uint_le(resident_bytes_peak() - before, POOL_BYTES + 12 * BLOCK_BYTES);
}
END_TEST

/* Opens the scratch file, which has no name, once more. */
static int open_scratch(void)
{
    for (int fd = 3; fd < 100; fd++) {
        char link[64], target[256];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(link, target, sizeof target - 1);
        target[bytes > 0 ? bytes : 0] = 0;
        if (strncmp(target, directory.path, strlen(directory.path)) == 0)
            return open(link, O_RDWR);
    }
    return -1;
}

static batch finish_with_runs(void)
{
    make_plain_collation();
    batch records = make_batch(3000, 2);
    kit_assert_ok(make_sorter(20000, 512), &error);
    kit_assert_ok(qn_sorter_append_all(sorter, records.bytes, records.used_bytes, &error), &error);
    kit_assert_ok(qn_sorter_finish(sorter, &error), &error);
    ck_assert(!qn_sorter_is_stable(sorter));
    return records;
}

static quern_status read_again(const batch *records)
{
    size_t count = 0;
    qn_error_clear(&error);
    quern_status status = qn_sorter_rewind(sorter, &error);
    return status == QUERN_OK ? read_all(records, NEXT_MAX, &count) : status;
}

START_TEST(a_changed_byte_of_a_run_is_noticed_and_what_is_whole_can_be_read_again)
{
    batch records = finish_with_runs();
    struct stat file;
    int fd = open_scratch();
    ck_assert_int_ge(fd, 0);
    fstat(fd, &file);
    int changed_count = 0;
    for (off_t at = 1; at < file.st_size; at += file.st_size / 1499) {
        uint8_t byte = 0;
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        if (byte == 0)
            continue; /* it may be of a run that was merged, or behind one */
        changed_count++;
        byte ^= 4;
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        quern_status status = read_again(&records);
        ck_assert_msg(status == QUERN_ERROR_CORRUPT, "byte %ld: status %d", (long)at, (int)status);
        byte ^= 4;
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    }
    ck_assert_int_ge(changed_count, 20);
    ck_assert_int_eq(read_again(&records), QUERN_OK);
    close(fd);
    batch_free(&records);
}
END_TEST

#define PADDING_BYTES_MAX 4096 /* behind the last run */

START_TEST(a_cut_scratch_file_is_noticed)
{
    batch records = finish_with_runs();
    struct stat file;
    int fd = open_scratch();
    ck_assert_int_ge(fd, 0);
    fstat(fd, &file);
    for (off_t end = file.st_size - PADDING_BYTES_MAX; end >= 0; end -= file.st_size / 7) {
        ck_assert_int_eq(ftruncate(fd, end), 0);
        ck_assert_int_eq(read_again(&records), QUERN_ERROR_CORRUPT);
    }
    close(fd);
    batch_free(&records);
}
END_TEST

static quern_status sort_all(const batch *records)
{
    qn_packed read[NEXT_MAX];
    size_t count = 1;
    quern_status status = make_sorter(10000, 512);
    if (status == QUERN_OK)
        status = qn_sorter_append_all(sorter, records->bytes, records->used_bytes, &error);
    if (status == QUERN_OK)
        status = qn_sorter_finish(sorter, &error);
    if (status == QUERN_OK)
        status = qn_sorter_rewind(sorter, &error);
    while (status == QUERN_OK && count > 0)
        status = qn_sorter_next(sorter, read, NEXT_MAX, &count, &error);
    return status;
}

START_TEST(a_full_disk_is_an_error_that_names_the_directory)
{
    make_plain_collation();
    batch records = make_batch(8000, 2);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t bytes = 0; bytes < records.used_bytes / 2; bytes += records.used_bytes / 20) {
        qn_error_clear(&error);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, before.rlim_max});
        quern_status status = sort_all(&records);
        setrlimit(RLIMIT_FSIZE, &before);
        ck_assert_int_eq(status, QUERN_ERROR_SCRATCH);
        ck_assert_ptr_nonnull(strstr(error.text, directory.path));
        qn_sorter_destroy(sorter);
        sorter = NULL;
    }
    batch_free(&records);
}
END_TEST

START_TEST(refused_memory_is_an_error_and_nothing_leaks)
{
    make_plain_collation();
    batch records = make_batch(2000, 2);
    quern_status status = QUERN_ERROR_NO_MEMORY;
    int failure_count = 0;
    for (; status != QUERN_OK; failure_count++) {
        qn_error_clear(&error);
        sorter = NULL;
        allocations_left = failure_count;
        status = sort_all(&records);
        allocations_left = -1;
        qn_sorter_destroy(sorter);
        ck_assert(status == QUERN_OK || status == QUERN_ERROR_NO_MEMORY);
    }
    sorter = NULL;
    ck_assert_int_ge(failure_count, 15);
    batch_free(&records);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        records_of_any_layout_and_collation_come_back_in_order_from_memory,
        records_of_any_layout_and_collation_come_back_in_order_from_runs,
        values_that_are_nan_of_many_kinds_come_in_one_order,
        what_was_sorted_is_the_same_when_it_is_written_to_disk_afterwards,
        nothing_comes_back_from_nothing,
        one_record_comes_back_from_a_pool_that_has_room_for_just_it_and_from_none,
        records_larger_than_the_pool_come_back_among_the_others,
        a_small_pool_makes_many_runs_and_few_levels,
        what_passes_by_the_page_cache_is_merged_in_the_memory_of_the_pool,
        a_memory_that_is_nearly_full_becomes_a_run_early_and_another_does_not,
        orders_that_make_sorts_slow_do_not,
        keys_that_begin_with_each_other_and_end_in_zeros_are_told_apart,
        sorted_records_are_compared_once_and_others_as_often_as_a_merge_sort_does,
        a_comparison_that_contradicts_itself_loses_no_record,
        what_is_in_memory_stays_where_it_is_until_destroy,
        a_reading_may_be_started_again_anywhere_and_ended_anywhere,
        bytes_that_end_within_a_record_are_refused,
        large_records_and_small_ones_in_turn_take_no_more_memory_than_the_pool,
        a_changed_byte_of_a_run_is_noticed_and_what_is_whole_can_be_read_again,
        a_cut_scratch_file_is_noticed,
        a_full_disk_is_an_error_that_names_the_directory,
        refused_memory_is_an_error_and_nothing_leaks,
    };
    return kit_run_tests("sorter", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
