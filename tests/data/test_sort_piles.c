/* SPDX-License-Identifier: BSD-3-Clause */
/* Records sorted by way of piles come in the order in which plain sorting puts them. */
#include "runtime/data/sort_piles.h"

#include "runtime/base/hash.h"
#include "tests/kit.h"
#include "tests/refusal.h"

static qn_collation collation;
static uint8_t *from, *to;
static qn_sort_entry *entries, *plain, *scratch;
static uint64_t bytes;
static size_t count;

static void open_memory(size_t count_max, size_t bytes_max)
{
    from = malloc(bytes_max + 128);
    to = malloc(bytes_max + 128);
    entries = malloc(count_max * sizeof *entries);
    plain = malloc(count_max * sizeof *plain);
    scratch = malloc(count_max * sizeof *scratch);
    bytes = count = 0;
}

static void close_memory(void)
{
    free(from);
    free(to);
    free(entries);
    free(plain);
    free(scratch);
}

static void add_record(const void *key, uint32_t key_bytes, const void *value, uint32_t value_bytes, uint32_t side)
{
    qn_packed record = {.key = key, .key_bytes = key_bytes, .value = value, .value_bytes = value_bytes, .side = side};
    record.prefix = collation.layout.has_tag ? qn_key_of(key, key_bytes).tag
                                             : qn_order_prefix(collation.layout.key_type, key, key_bytes);
    qn_packed_encode(&collation.layout, &record, from + bytes);
    entries[count] = plain[count] = (qn_sort_entry){qn_collation_prefix(&collation, &record), bytes};
    bytes += qn_packed_bytes(&collation.layout, key_bytes, value_bytes);
    count++;
}

static uint64_t record_bytes(const uint8_t *record)
{
    qn_packed decoded;
    return qn_sort_decode(&collation.layout, record, &decoded);
}

static void check_both_ways(void)
{
    ck_assert(qn_sort_piles(&collation, from, bytes, to, entries, scratch, count));
    qn_sort_entries(&collation, from, plain, scratch, count);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *got = to + entries[i].place, *expected = from + plain[i].place;
        if (record_bytes(got) != record_bytes(expected) || memcmp(got, expected, record_bytes(expected)) != 0)
            ck_abort_msg("record %zu is another", i);
    }
}

/* Pairs of numbers of two sides; the fewer distinct keys, the larger the groups. */
static void check_numbers(qn_collation_kind kind, size_t record_count, uint64_t key_count, bool descending)
{
    const quern_schema schema = {.key = QUERN_I64, .value = QUERN_I64};
    uint64_t state = key_count;
    collation = (qn_collation){.kind = kind, .descending = descending};
    collation.layout = qn_layout_of(&schema, &schema, kind == QN_COLLATE_BY_HASH);
    open_memory(record_count, record_count * 40);
    for (size_t i = 0; i < record_count; i++) {
        uint64_t key[3] = {kit_random_below(&state, key_count) - key_count / 2}, value = kit_random(&state);
        add_record(key, 8, &value, 8, (uint32_t)(value & 1));
    }
    check_both_ways();
    close_memory();
}

START_TEST(numbers_come_in_order_whatever_the_size_of_groups)
{
    static const uint64_t key_counts[] = {1, 2, 30, 1000, 100000, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof key_counts / sizeof *key_counts; i++) {
        check_numbers(QN_COLLATE_BY_HASH, 30000, key_counts[i], false);
        check_numbers(QN_COLLATE_BY_KEY, 30000, key_counts[i], i % 2);
    }
}
END_TEST

START_TEST(one_record_and_two_come_in_order)
{
    for (size_t few = 1; few < 4; few++)
        check_numbers(QN_COLLATE_BY_KEY, few, 100, true);
}
END_TEST

/* More than one pile's worth, so that stages are written while they fill. */
START_TEST(records_of_any_length_come_in_order)
{
    const quern_schema schema = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    static uint8_t key[128 + 16], value[2000];
    uint64_t state = 5;
    collation = (qn_collation){.kind = QN_COLLATE_BY_KEY, .layout = qn_layout_of(&schema, NULL, false)};
    open_memory(60000, (size_t)60000 * 256);
    for (size_t i = 0; i < 60000; i++) {
        uint32_t key_bytes = (uint32_t)kit_random_below(&state, 12);
        uint32_t value_bytes = (uint32_t)kit_random_below(&state, i % 100 == 0 ? sizeof value : 40);
        for (uint32_t k = 0; k < key_bytes; k++)
            key[k] = (uint8_t)kit_random_below(&state, 4);
        memset(value, (int)kit_random_below(&state, 256), value_bytes);
        add_record(key, key_bytes, value, value_bytes, 0);
    }
    check_both_ways();
    close_memory();
}
END_TEST

START_TEST(refused_memory_changes_nothing)
{
    const quern_schema schema = {.key = QUERN_U64, .value = QUERN_NONE};
    collation = (qn_collation){.kind = QN_COLLATE_BY_KEY, .layout = qn_layout_of(&schema, NULL, false)};
    open_memory(100, 8000);
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t key[3] = {i * 7919 % 100};
        add_record(key, 8, "", 0, 0);
    }
    for (int left = 0; left < 2; left++) {
        allocations_left = left;
        bool sorted = qn_sort_piles(&collation, from, bytes, to, entries, scratch, count);
        allocations_left = -1;
        ck_assert(!sorted);
        ck_assert_int_eq(memcmp(entries, plain, count * sizeof *entries), 0);
    }
    check_both_ways();
    close_memory();
}
END_TEST

START_TEST(it_pays_for_many_small_records_only)
{
    ck_assert(!qn_sort_piles_pay(0, 0));
    ck_assert(!qn_sort_piles_pay(1000, 100));
    ck_assert(qn_sort_piles_pay((uint64_t)1 << 30, 1 << 26));
    ck_assert(!qn_sort_piles_pay((uint64_t)1 << 30, 1 << 22));
}
END_TEST

static void nothing(void) {}

int main(void)
{
    const TTest *const tests[] = {
        numbers_come_in_order_whatever_the_size_of_groups,
        one_record_and_two_come_in_order,
        records_of_any_length_come_in_order,
        refused_memory_changes_nothing,
        it_pays_for_many_small_records_only,
    };
    return kit_run_tests("sort_piles", tests, sizeof tests / sizeof *tests, nothing, nothing);
}
