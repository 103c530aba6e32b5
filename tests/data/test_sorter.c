/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_sorter.c: packed records come back in the order of their collation, each once, whatever the pool, the layout
 * and the disk. The model is an array of the same records under qsort() with qn_collation_compare().
 */
#include "runtime/data/sorter.h"
#include "tests/kit.h"
#include "tests/refusal.h"

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
    const qn_sorter_config config = {&collation, pool_bytes, block_bytes, directory.path};
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

/* How the user compares in these tests: by length, longest first. */
static int compare_lengths(quern_span left, quern_span right, void *user)
{
    ck_assert_ptr_eq(user, &collation);
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
    static const quern_type types[] = {QUERN_BYTES, QUERN_I64, QUERN_U64, QUERN_FIXED};
    const qn_layout *layout = &collation.layout;
    uint64_t state = seed;
    batch records = {0};
    uint32_t key_kind = random_below(&state, 3), value_kind = random_below(&state, 3);
    (void)types;
    for (size_t i = 0; i < count; i++) {
        uint8_t key[256], value[256];
        uint32_t key_bytes = make_bytes(&state, key_kind, layout->key_bytes, layout->key_varies, key);
        uint32_t value_bytes = make_bytes(&state, value_kind, layout->value_bytes, layout->value_varies, value);
        uint64_t tag = kit_random(&state) >> (key_kind == 1 ? 62 : 0);
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
    collation.descending = collation.kind == QN_COLLATE_BY_KEY && random_below(&state, 2);
    collation.values_descending = random_below(&state, 2);
    collation.compare_keys = collation.kind == QN_COLLATE_BY_USER ? compare_lengths : NULL;
    collation.compare_values = random_below(&state, 3) == 0 ? compare_lengths : NULL;
    collation.user = &collation;
}

START_TEST(records_of_any_layout_and_collation_come_back_in_order_from_memory)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        make_collation(seed);
        batch records = make_batch(seed % 10 == 0 ? 20000 : 300, seed);
        qn_sorter_stats stats = check_sort(&records, 8 << 20, 4096);
        ck_assert_uint_eq(stats.spill_runs, 0);
        batch_free(&records);
    }
}
END_TEST

START_TEST(records_of_any_layout_and_collation_come_back_in_order_from_runs)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        make_collation(seed);
        batch records = make_batch(3000, seed);
        qn_sorter_stats stats = check_sort(&records, 6000 + 300 * (seed % 40), 256 << seed % 5);
        ck_assert_uint_ge(stats.spill_runs, 2);
        batch_free(&records);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        records_of_any_layout_and_collation_come_back_in_order_from_memory,
        records_of_any_layout_and_collation_come_back_in_order_from_runs,
    };
    return kit_run_tests("sorter", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
