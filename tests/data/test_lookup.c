/* SPDX-License-Identifier: BSD-3-Clause */
/* A table that several built finds for each key the records that a search through all of them finds, in order of their values. */
#include "runtime/data/lookup.h"

#include "tests/kit.h"

#define RECORD_COUNT_MAX  40000
#define KEY_BYTES_MAX     40
#define BUILDER_COUNT_MAX 8

typedef struct record {
    uint8_t key[KEY_BYTES_MAX + 16]; /* 16 bytes are readable behind a key */
    uint32_t key_bytes;
    int64_t value;
} record;

static record *records;
static size_t record_count;
static uint8_t *packed;
static size_t packed_bytes;
static qn_layout layout;
static qn_lookup lookup;
static void *counts, *memory;

static void begin(quern_schema schema)
{
    layout = qn_layout_of(&schema, NULL, false);
    records = kit_take(RECORD_COUNT_MAX * sizeof *records);
    packed = kit_take(RECORD_COUNT_MAX * (sizeof(record) + 16));
    record_count = packed_bytes = 0;
}

static void end(void)
{
    free(records);
    free(packed);
    free(counts);
    free(memory);
}

static void add(const void *key, uint32_t key_bytes, int64_t value)
{
    record *new = &records[record_count++];
    ck_assert(record_count <= RECORD_COUNT_MAX);
    memset(new, 0, sizeof *new);
    memcpy(new->key, key, key_bytes);
    new->key_bytes = key_bytes;
    new->value = value;
    qn_packed as = {
        .key = new->key, .key_bytes = key_bytes, .value = (const uint8_t *)&new->value, .value_bytes = sizeof value};
    qn_packed_encode(&layout, &as, packed + packed_bytes);
    packed_bytes += qn_packed_bytes(&layout, key_bytes, sizeof value);
}

static void add_word(uint64_t key, int64_t value)
{
    add(&key, sizeof key, value);
}

/* The builders take their turns backwards, so that nothing depends on who comes first. */
static void build(uint32_t builders)
{
    uint64_t overflow[BUILDER_COUNT_MAX], overflow_count = 0, before = 0;
    lookup = qn_lookup_of(&layout, record_count, packed_bytes);
    counts = kit_take(qn_lookup_count_bytes(&lookup));
    qn_lookup_attach_counts(&lookup, packed, counts);
    for (uint32_t i = builders; i-- > 0;)
        qn_lookup_count(&lookup, qn_lookup_records_of(&lookup, i, builders));
    for (uint32_t i = 0; i < builders; i++)
        overflow_count += overflow[i] = qn_lookup_overflow(&lookup, qn_lookup_lines_of(&lookup, i, builders));
    memory = kit_take(qn_lookup_bytes(&lookup, overflow_count));
    memset(memory, 0xff, qn_lookup_bytes(&lookup, overflow_count)); /* nobody counts on zeros */
    qn_lookup_attach(&lookup, memory);
    for (uint32_t i = 0; i < builders; i++) {
        qn_lookup_place(&lookup, qn_lookup_lines_of(&lookup, i, builders), before);
        before += overflow[i];
    }
    for (uint32_t i = builders; i-- > 0;)
        qn_lookup_fill(&lookup, qn_lookup_records_of(&lookup, i, builders));
    for (uint32_t i = builders; i-- > 0;)
        qn_lookup_order(&lookup, qn_lookup_lines_of(&lookup, i, builders));
}

static int compare_values(const void *left, const void *right)
{
    int64_t one = *(const int64_t *)left, other = *(const int64_t *)right;
    return one < other ? -1 : one > other;
}

/* The values of a key by a search through all records; free() them. */
static int64_t *expected_values(const record *wanted, size_t *count_out)
{
    int64_t *values = kit_take((record_count + 1) * sizeof *values);
    *count_out = 0;
    for (size_t i = 0; i < record_count; i++)
        if (records[i].key_bytes == wanted->key_bytes && memcmp(records[i].key, wanted->key, wanted->key_bytes) == 0)
            values[(*count_out)++] = records[i].value;
    qsort(values, *count_out, sizeof *values, compare_values);
    return values;
}

static void check_match(const record *wanted, qn_lookup_match match)
{
    size_t count = 0;
    int64_t *values = expected_values(wanted, &count);
    ck_assert_uint_eq(match.count, count);
    for (size_t i = 0; i < count; i++) {
        int64_t value = 0;
        quern_span span = qn_lookup_value(&lookup, &match.entries[i]);
        ck_assert_uint_eq(span.bytes, sizeof value);
        memcpy(&value, span.data, sizeof value);
        ck_assert_int_eq(value, values[i]);
    }
    free(values);
}

/* Looks for up to QN_LOOKUP_FIND_COUNT_MAX keys at once. */
static void check_found(const record *wanted, size_t count)
{
    const void *keys[QN_LOOKUP_FIND_COUNT_MAX];
    uint32_t key_bytes[QN_LOOKUP_FIND_COUNT_MAX];
    qn_lookup_match matches[QN_LOOKUP_FIND_COUNT_MAX];
    for (size_t i = 0; i < count; i++) {
        keys[i] = wanted[i].key;
        key_bytes[i] = wanted[i].key_bytes;
    }
    qn_lookup_find(&lookup, keys, key_bytes, count, matches);
    for (size_t i = 0; i < count; i++)
        check_match(&wanted[i], matches[i]);
}

static const quern_schema words = {.key = QUERN_I64, .value = QUERN_I64};
static const quern_schema texts = {.key = QUERN_BYTES, .value = QUERN_I64};

START_TEST(finds_each_key_and_no_other)
{
    for (uint32_t builders = 1; builders <= BUILDER_COUNT_MAX; builders++) {
        uint64_t seed = builders;
        record wanted[50];
        begin(words);
        for (int i = 0; i < 5000; i++)
            add_word(kit_random_below(&seed, 4000), (int64_t)kit_random(&seed));
        build(builders);
        for (int i = 0; i < 50; i++) {
            wanted[i] = records[kit_random_below(&seed, record_count)];
            if (i % 2)
                memcpy(wanted[i].key, &(uint64_t){kit_random_below(&seed, 8000)}, 8);
        }
        check_found(wanted, 50);
        end();
    }
}
END_TEST

/* Also those whose words stand for unused room and for an overflow elsewhere. */
START_TEST(finds_the_words_that_are_marks)
{
    begin(words);
    for (uint64_t i = 0; i < 200; i += 2)
        add_word(i, (int64_t)i);
    build(3);
    record wanted[64] = {0};
    for (uint64_t i = 0; i < 64; i++) {
        memcpy(wanted[i].key, &i, sizeof i);
        wanted[i].key_bytes = sizeof i;
    }
    check_found(wanted, 64);
    end();
}
END_TEST

START_TEST(a_key_of_half_of_all_is_whole)
{
    uint64_t seed = 3;
    begin(words);
    for (int i = 0; i < 20000; i++)
        add_word(i % 2 ? 42 : kit_random_below(&seed, 1000), (int64_t)kit_random_below(&seed, 100) - 50);
    build(4);
    record wanted[3] = {records[1], records[0], records[2]};
    check_found(wanted, 3);
    end();
}
END_TEST

START_TEST(finds_texts_of_any_length)
{
    uint64_t seed = 11;
    begin(texts);
    for (int i = 0; i < 3000; i++) {
        uint8_t key[KEY_BYTES_MAX];
        uint32_t bytes = (uint32_t)kit_random_below(&seed, KEY_BYTES_MAX);
        memset(key, 'a' + (int)kit_random_below(&seed, 3), bytes);
        add(key, bytes, (int64_t)kit_random(&seed));
    }
    build(2);
    record wanted[60];
    for (int i = 0; i < 60; i++) {
        wanted[i] = records[kit_random_below(&seed, record_count)];
        if (i % 3 == 0)
            wanted[i].key[0] = 'x';
    }
    check_found(wanted, 60);
    end();
}
END_TEST

START_TEST(an_empty_table_finds_nothing)
{
    record wanted[2] = {{.key_bytes = 8}, {.key = "12345678", .key_bytes = 8}};
    begin(words);
    build(2);
    check_found(wanted, 2);
    end();
}
END_TEST

static void nothing(void) {}

int main(void)
{
    const TTest *const tests[] = {
        finds_each_key_and_no_other, finds_the_words_that_are_marks, a_key_of_half_of_all_is_whole,
        finds_texts_of_any_length,   an_empty_table_finds_nothing,
    };
    return kit_run_tests("lookup", tests, sizeof tests / sizeof *tests, nothing, nothing);
}
