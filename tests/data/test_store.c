/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_store.c: what is kept in parts comes back part by part, wherever its records lie.
 */
#include "runtime/data/store.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 4096
#define BATCH_COUNT 37

static kit_directory directory;
static qn_error error;
static qn_store store;

static const quern_schema bytes_bytes = {QUERN_BYTES, QUERN_BYTES, 0};
static const quern_schema bytes_none = {QUERN_BYTES, QUERN_NONE, 0};
static const quern_schema u64_i64 = {QUERN_U64, QUERN_I64, 0};
static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema i64_fixed = {QUERN_I64, QUERN_FIXED, 21};

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    qn_store_fini(&store);
    qn_store_fini(&store);
    kit_remove_directory(&directory);
}

static void open_store(const quern_schema *schema, uint64_t pool_bytes)
{
    qn_store_config config = {*schema, pool_bytes, BLOCK_BYTES, .scratch.directory = directory.path};
    kit_assert_ok(qn_store_init(&store, &config, &error), &error);
}

/* ---- records that follow from their part and their place in it ---- */

typedef struct made_record {
    uint8_t key[64 + QN_SLACK_BYTES], value[64 + QN_SLACK_BYTES];
    uint32_t key_bytes, value_bytes;
} made_record;

static void fill(uint8_t *to, uint32_t bytes, uint64_t *state)
{
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)kit_random(state);
}

static made_record make_record(uint64_t part, uint64_t index)
{
    uint64_t state = part * 1000003 + index;
    made_record record = {.key_bytes = 8, .value_bytes = qn_schema_value_bytes(&store.config.schema)};
    if (store.config.schema.key == QUERN_BYTES)
        record.key_bytes = (uint32_t)kit_random_below(&state, 64);
    if (store.config.schema.value == QUERN_BYTES)
        record.value_bytes = (uint32_t)kit_random_below(&state, 64);
    fill(record.key, record.key_bytes, &state);
    fill(record.value, record.value_bytes, &state);
    return record;
}

static quern_status put_records(uint64_t part, uint64_t from, uint64_t to)
{
    made_record records[BATCH_COUNT];
    const void *key[BATCH_COUNT], *value[BATCH_COUNT];
    uint32_t key_bytes[BATCH_COUNT], value_bytes[BATCH_COUNT];
    bool has_value = store.config.schema.value != QUERN_NONE;
    quern_status status = QUERN_OK;
    while (from < to && status == QUERN_OK) {
        size_t count = 0;
        for (; count < BATCH_COUNT && from < to; count++, from++) {
            records[count] = make_record(part, from);
            key[count] = records[count].key;
            key_bytes[count] = records[count].key_bytes;
            value[count] = records[count].value;
            value_bytes[count] = records[count].value_bytes;
        }
        qn_batch batch = {.block = {count, key, key_bytes, has_value ? value : NULL, has_value ? value_bytes : NULL}};
        status = qn_store_put(&store, &batch, &error);
    }
    return status;
}

static void add_part(uint64_t number, uint64_t count)
{
    kit_assert_ok(qn_store_begin_part(&store, number, &error), &error);
    kit_assert_ok(put_records(number, 0, count), &error);
    kit_assert_ok(qn_store_end_part(&store, &error), &error);
}

/* One that is dropped after so many records, as an attempt that failed. */
static void fail_part(uint64_t number, uint64_t count)
{
    kit_assert_ok(qn_store_begin_part(&store, number, &error), &error);
    kit_assert_ok(put_records(number + 77, 0, count), &error);
    qn_store_drop_part(&store);
}

static bool is_record(const qn_batch *batch, size_t at, const made_record *expected)
{
    quern_record record = qn_batch_record(batch, at);
    uint8_t slack[QN_SLACK_BYTES];
    memcpy(slack, (const uint8_t *)record.key.data + record.key.bytes, sizeof slack); /* must be readable */
    return record.key.bytes == expected->key_bytes && memcmp(record.key.data, expected->key, record.key.bytes) == 0 &&
           record.value.bytes == expected->value_bytes &&
           memcmp(record.value.data, expected->value, record.value.bytes) == 0;
}

static quern_status read_part(qn_store_reader *reader, size_t part, uint64_t *count_out)
{
    qn_batch batch = {0};
    quern_status status;
    *count_out = 0;
    qn_store_reader_begin(reader, part);
    while ((status = qn_store_reader_next(reader, &batch, &error)) == QUERN_OK && batch.block.count > 0) {
        ck_assert_uint_le(batch.block.count, QN_BATCH_COUNT_MAX);
        ck_assert(!batch.block.value == (store.config.schema.value == QUERN_NONE));
        for (size_t i = 0; i < batch.block.count; i++) {
            made_record expected = make_record(store.parts[part].number, (*count_out)++);
            if (!is_record(&batch, i, &expected))
                ck_abort_msg("record %zu of part %zu is another", (size_t)*count_out - 1, part);
        }
    }
    return status;
}

static void check_parts(const uint64_t *numbers, const uint64_t *counts, size_t part_count)
{
    qn_store_reader reader = {0};
    ck_assert_uint_eq(store.part_count, part_count);
    kit_assert_ok(qn_store_reader_open(&reader, &store, &error), &error);
    for (size_t i = 0; i < 2 * part_count; i++) { /* all twice, and each of them after any other */
        size_t part = (i * 7) % part_count;
        uint64_t count = 0;
        ck_assert_uint_eq(store.parts[part].number, numbers[part]);
        ck_assert_uint_eq(store.parts[part].record_count, counts[part]);
        kit_assert_ok(read_part(&reader, part, &count), &error);
        ck_assert_uint_eq(count, counts[part]);
    }
    qn_store_reader_close(&reader);
    qn_store_reader_close(&reader);
}

/* ---- tests ---- */

static const uint64_t some_numbers[] = {0, 2, 3, 10, 11, 500, 501};
static const uint64_t some_counts[] = {700, 0, 1, 3000, 0, 513, 40};
#define SOME_COUNT (sizeof some_numbers / sizeof *some_numbers)

static void add_some(bool with_failures)
{
    for (size_t i = 0; i < SOME_COUNT; i++) {
        size_t at = (i * 4 + 2) % SOME_COUNT; /* not in order */
        if (with_failures)
            fail_part(some_numbers[at], some_counts[(at + 3) % SOME_COUNT]);
        add_part(some_numbers[at], some_counts[at]);
    }
    qn_store_finish(&store);
}

static uint64_t count_some(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SOME_COUNT; i++)
        sum += some_counts[i];
    return sum;
}

START_TEST(parts_come_back_in_the_order_of_their_numbers_whatever_fits_into_memory)
{
    static const uint64_t pools[] = {1 << 24, 100000, 40000, 3000, 0};
    static const quern_schema *const schemas[] = {&bytes_bytes, &bytes_none, &u64_i64, &bytes_u64, &i64_fixed};
    for (size_t s = 0; s < sizeof schemas / sizeof *schemas; s++) {
        for (size_t p = 0; p < sizeof pools / sizeof *pools; p++) {
            open_store(schemas[s], pools[p]);
            add_some(false);
            ck_assert_uint_eq(store.record_count, count_some());
            ck_assert_uint_le(store.used_bytes, pools[p]);
            if (p == 0)
                ck_assert_uint_eq(store.spill_runs, 0);
            if (pools[p] <= 40000)
                ck_assert_uint_ge(store.spill_runs, 1);
            check_parts(some_numbers, some_counts, SOME_COUNT);
            qn_store_fini(&store);
        }
    }
}
END_TEST

START_TEST(a_dropped_part_leaves_nothing_behind_in_memory_or_on_disk)
{
    static const uint64_t pools[] = {1 << 24, 40000, 0};
    for (size_t p = 0; p < sizeof pools / sizeof *pools; p++) {
        open_store(&bytes_bytes, pools[p]);
        add_some(false);
        uint64_t used = store.used_bytes, written = store.spill.end;
        qn_store_fini(&store);
        open_store(&bytes_bytes, pools[p]);
        add_some(true);
        /* Of a pool that is full, the table of parts takes more, if it had to grow for a part that was dropped. */
        uint64_t table_bytes = pools[p] == 40000 ? 32 * sizeof(qn_store_part) : 0;
        ck_assert_uint_le(store.used_bytes, used);
        ck_assert_uint_ge(store.used_bytes + table_bytes, used);
        ck_assert_uint_ge(store.spill.end, written);
        ck_assert_uint_le(store.spill.end, written + table_bytes);
        ck_assert_uint_eq(store.record_count, count_some());
        check_parts(some_numbers, some_counts, SOME_COUNT);
        qn_store_fini(&store);
    }
}
END_TEST

START_TEST(an_empty_store_has_no_parts)
{
    qn_store_reader reader = {0};
    open_store(&bytes_bytes, 1000);
    fail_part(3, 100);
    qn_store_drop_part(&store);
    qn_store_finish(&store);
    ck_assert_uint_eq(store.part_count, 0);
    ck_assert_uint_eq(store.used_bytes, 0);
    kit_assert_ok(qn_store_reader_open(&reader, &store, &error), &error);
    qn_store_reader_close(&reader);
}
END_TEST

START_TEST(the_sum_of_a_part_has_more_bits_than_its_values_and_their_sign)
{
    uint64_t values[] = {UINT64_MAX, UINT64_MAX, 5}, sum = 0;
    const void *value[] = {&values[0], &values[1], &values[2]};
    uint8_t keys[8 + QN_SLACK_BYTES] = {0};
    const void *key[] = {keys, keys, keys};
    const uint32_t bytes[] = {8, 8, 8};
    qn_batch batch = {.block = {3, key, bytes, value, bytes}};
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        open_store(is_signed ? &u64_i64 : &bytes_u64, is_signed ? 1000000 : 0);
        kit_assert_ok(qn_store_begin_part(&store, 0, &error), &error);
        kit_assert_ok(qn_store_put(&store, &batch, &error), &error);
        kit_assert_ok(qn_store_end_part(&store, &error), &error);
        qn_running_sum *of = &store.parts[0].sum;
        ck_assert(qn_running_sum_get(of, is_signed ? QUERN_I64 : QUERN_U64, &sum) == is_signed);
        if (is_signed)
            ck_assert_uint_eq(sum, 3);
        else
            ck_assert_mem_eq(of->words, (&(__int128){2 * (__int128)UINT64_MAX + 5}), sizeof(__int128));
        qn_store_fini(&store);
    }
}
END_TEST

START_TEST(records_larger_than_the_pool_and_the_blocks_come_back)
{
    size_t giant_bytes = 3 << 20;
    uint8_t *giant = kit_take(giant_bytes + QN_SLACK_BYTES), small[8 + QN_SLACK_BYTES] = "abcdefgh";
    const void *key[] = {small, giant, small, giant}, *value[] = {giant, small, small, giant};
    const uint32_t key_bytes[] = {8, (uint32_t)giant_bytes, 1, (uint32_t)giant_bytes};
    const uint32_t value_bytes[] = {(uint32_t)giant_bytes, 0, 3, (uint32_t)giant_bytes};
    uint64_t state = 1, seen = 0;
    fill(giant, (uint32_t)giant_bytes, &state);
    qn_batch batch = {.block = {4, key, key_bytes, value, value_bytes}}, got = {0};
    qn_store_reader reader = {0};
    open_store(&bytes_bytes, 10000);
    kit_assert_ok(qn_store_begin_part(&store, 0, &error), &error);
    kit_assert_ok(qn_store_put(&store, &batch, &error), &error);
    kit_assert_ok(qn_store_end_part(&store, &error), &error);
    qn_store_finish(&store);
    kit_assert_ok(qn_store_reader_open(&reader, &store, &error), &error);
    qn_store_reader_begin(&reader, 0);
    for (;;) {
        kit_assert_ok(qn_store_reader_next(&reader, &got, &error), &error);
        if (got.block.count == 0)
            break;
        for (size_t i = 0; i < got.block.count; i++, seen++) {
            ck_assert_uint_eq(got.block.key_bytes[i], key_bytes[seen]);
            ck_assert_uint_eq(got.block.value_bytes[i], value_bytes[seen]);
            ck_assert(memcmp(got.block.key[i], key[seen], key_bytes[seen]) == 0);
            ck_assert(memcmp(got.block.value[i], value[seen], value_bytes[seen]) == 0);
        }
    }
    ck_assert_uint_eq(seen, 4);
    qn_store_reader_close(&reader);
    free(giant);
}
END_TEST

START_TEST(a_store_that_shrinks_has_the_same_records_and_less_in_memory)
{
    static const uint64_t pools[] = {1 << 24, 100000};
    for (size_t p = 0; p < sizeof pools / sizeof *pools; p++) {
        open_store(&bytes_bytes, pools[p]);
        add_some(false);
        for (uint64_t limit = store.used_bytes; limit > 0; limit = limit / 3) {
            kit_assert_ok(qn_store_shrink(&store, limit, &error), &error);
            ck_assert_uint_le(store.used_bytes, limit);
            ck_assert(store.used_bytes == 0 || qn_store_get_memory_bytes(&store) <= limit);
            check_parts(some_numbers, some_counts, SOME_COUNT);
        }
        kit_assert_ok(qn_store_shrink(&store, 0, &error), &error);
        ck_assert_uint_eq(store.used_bytes, 0);
        check_parts(some_numbers, some_counts, SOME_COUNT);
        qn_store_fini(&store);
    }
}
END_TEST

START_TEST(a_changed_byte_on_disk_is_noticed_and_names_the_scratch_directory)
{
    qn_store_reader reader = {0};
    uint64_t count = 0;
    uint8_t byte = 0;
    open_store(&bytes_bytes, 0);
    add_part(0, 300);
    qn_store_finish(&store);
    off_t at = (off_t)(store.parts[0].runs[0].offset + sizeof(qn_block_header) + 50);
    ck_assert_int_eq(pread(store.spill.fd, &byte, 1, at), 1);
    byte ^= 4;
    ck_assert_int_eq(pwrite(store.spill.fd, &byte, 1, at), 1);
    kit_assert_ok(qn_store_reader_open(&reader, &store, &error), &error);
    ck_assert_int_eq(read_part(&reader, 0, &count), QUERN_ERROR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(error.text, directory.path));
    byte ^= 4;
    ck_assert_int_eq(pwrite(store.spill.fd, &byte, 1, at), 1);
    qn_error_clear(&error);
    kit_assert_ok(read_part(&reader, 0, &count), &error); /* the reader is as good as before */
    ck_assert_uint_eq(count, 300);
    qn_store_reader_close(&reader);
}
END_TEST

START_TEST(a_cut_file_is_noticed)
{
    qn_store_reader reader = {0};
    uint64_t count = 0;
    open_store(&bytes_bytes, 0);
    add_part(0, 3000);
    qn_store_finish(&store);
    ck_assert_int_eq(ftruncate(store.spill.fd, (off_t)(store.parts[0].runs[0].bytes / 2)), 0);
    kit_assert_ok(qn_store_reader_open(&reader, &store, &error), &error);
    ck_assert_int_ne(read_part(&reader, 0, &count), QUERN_OK);
    ck_assert_ptr_nonnull(strstr(error.text, directory.path));
    qn_store_reader_close(&reader);
}
END_TEST

START_TEST(a_scratch_directory_that_is_not_there_is_told_and_the_part_can_be_dropped)
{
    qn_store_config config = {bytes_bytes, 2000, BLOCK_BYTES, .scratch.directory = "/not/there"};
    kit_assert_ok(qn_store_init(&store, &config, &error), &error);
    kit_assert_ok(qn_store_begin_part(&store, 5, &error), &error);
    ck_assert_int_eq(put_records(5, 0, 1000), QUERN_ERROR_SCRATCH);
    ck_assert_ptr_nonnull(strstr(error.text, "/not/there"));
    qn_store_drop_part(&store);
    qn_store_finish(&store);
    ck_assert_uint_eq(store.part_count, 0);
}
END_TEST

/* All steps of a small life, without Check, which needs memory too. False: memory was refused on the way. */
static bool live(void)
{
    qn_store_config config = {bytes_u64, 3000, BLOCK_BYTES, .scratch.directory = directory.path};
    qn_store_reader reader = {0};
    quern_status status = qn_store_init(&store, &config, &error);
    for (uint64_t part = 0; part < 40 && status == QUERN_OK; part++) {
        status = qn_store_begin_part(&store, part, &error);
        if (status == QUERN_OK)
            status = put_records(part, 0, 50);
        if (status == QUERN_OK)
            status = qn_store_end_part(&store, &error);
        if (status != QUERN_OK)
            qn_store_drop_part(&store);
    }
    if (status == QUERN_OK) {
        qn_store_finish(&store);
        status = qn_store_shrink(&store, 100, &error);
    }
    if (status == QUERN_OK)
        status = qn_store_reader_open(&reader, &store, &error);
    for (size_t part = 0; part < 40 && status == QUERN_OK; part++) {
        qn_batch batch = {.block.count = 1};
        qn_store_reader_begin(&reader, part);
        while (status == QUERN_OK && batch.block.count > 0)
            status = qn_store_reader_next(&reader, &batch, &error);
    }
    qn_store_reader_close(&reader);
    qn_store_fini(&store);
    if (status != QUERN_OK && status != QUERN_ERROR_NO_MEMORY)
        abort();
    return status == QUERN_OK;
}

START_TEST(refused_memory_is_told_and_nothing_leaks)
{
    for (int allowed = 0;; allowed++) {
        qn_error_clear(&error);
        allocations_left = allowed;
        bool lived = live();
        allocations_left = -1;
        if (lived)
            break;
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        parts_come_back_in_the_order_of_their_numbers_whatever_fits_into_memory,
        a_dropped_part_leaves_nothing_behind_in_memory_or_on_disk,
        an_empty_store_has_no_parts,
        the_sum_of_a_part_has_more_bits_than_its_values_and_their_sign,
        records_larger_than_the_pool_and_the_blocks_come_back,
        a_store_that_shrinks_has_the_same_records_and_less_in_memory,
        a_changed_byte_on_disk_is_noticed_and_names_the_scratch_directory,
        a_cut_file_is_noticed,
        a_scratch_directory_that_is_not_there_is_told_and_the_part_can_be_dropped,
        refused_memory_is_told_and_nothing_leaks,
    };
    return kit_run_tests("store", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
