/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/tablekit.h: tables fed with the keys of a set, and their content against what the set then holds.
 */
#ifndef TESTS_DATA_TABLEKIT_H
#define TESTS_DATA_TABLEKIT_H

#include "runtime/data/table.h"
#include "tests/data/keykit.h"

#define BATCH_COUNT_MAX 500
#define BYTES_MAX       ((size_t)48 << 20) /* more than any test needs */

static qn_error error;

static inline void open_table(qn_table *table, const qn_reducer *reducer, uint64_t tag_first, uint64_t tag_last,
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

static inline void begin_feeding(qn_table *table, keykit_set *set, bool as_block)
{
    memset(&feeding, 0, sizeof feeding);
    feeding.table = table;
    feeding.set = set;
    feeding.as_block = as_block;
    feeding.state = 99;
}

/* A part of the block at a time, so that parts begin anywhere. */
static inline void flush_block(void)
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

static inline void flush_entries(void)
{
    size_t done = 0;
    qn_table_result result = qn_table_insert(feeding.table, feeding.entries, feeding.count, BYTES_MAX, &done);
    if (result != QN_TABLE_OK || done != feeding.count)
        ck_abort_msg("result %d, %zu of %zu entries", (int)result, done, feeding.count);
}

static inline void end_feeding(void)
{
    if (feeding.as_block)
        flush_block();
    else
        flush_entries();
    feeding.count = 0;
}

static inline void feed(size_t number)
{
    keykit_key *chosen = &feeding.set->keys[number];
    const qn_reducer *reducer = feeding.table->reducer;
    size_t at = feeding.count++;
    uint64_t *value = feeding.values[at];
    for (uint32_t word = 0; word < reducer->value_words; word++)
        value[word] =
            reducer->kind == QN_REDUCER_SUM_I64 ? kit_random(&feeding.state) : kit_random(&feeding.state) >> 20;
    keykit_settle(reducer, value);
    feeding.entries[at] = (qn_entry){chosen->key, keykit_entry_value(reducer, value)};
    feeding.key[at] = qn_key_data(&chosen->key);
    feeding.key_bytes[at] = (uint32_t)qn_key_bytes(&chosen->key);
    feeding.value[at] = value;
    if (feeding.as_block)
        keykit_combine_record(chosen, reducer, value);
    else
        keykit_combine(chosen, reducer, value);
    if (feeding.count == BATCH_COUNT_MAX)
        end_feeding();
}

static inline void feed_random(qn_table *table, keykit_set *set, size_t count, bool as_block)
{
    begin_feeding(table, set, as_block);
    for (size_t i = 0; i < count; i++)
        feed(kit_random_below(&feeding.state, set->count));
    end_feeding();
}

/* In the order of the tags, which mixes a table. */
static inline void feed_ascending(qn_table *table, keykit_set *set)
{
    begin_feeding(table, set, false);
    for (size_t i = 0; i < set->count; i++)
        feed(i);
    end_feeding();
}

#define SCATTER 1000003 /* a prime beyond all counts */

static inline void feed_each(qn_table *table, keykit_set *set)
{
    begin_feeding(table, set, false);
    for (size_t i = 0; i < set->count; i++)
        feed(i * SCATTER % set->count);
    end_feeding();
}

/* The keys of a range, in order, are those of the set that came. */
static inline void check_range(qn_table *table, const keykit_set *set, uint64_t tag_first, uint64_t tag_last)
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

static inline void check_table(qn_table *table, const keykit_set *set)
{
    ck_assert_uint_eq(qn_table_get_count(table), keykit_present_count(set, 0, UINT64_MAX));
    check_range(table, set, 0, UINT64_MAX);
}

static inline uint64_t first_tag_of(uint64_t rank, uint64_t size)
{
    return (uint64_t)((((unsigned __int128)rank << 64) + size - 1) / size);
}

static inline void shuffle_keys(keykit_set *set)
{
    uint64_t state = 5;
    for (size_t i = set->count; i > 1; i--) {
        size_t other = kit_random_below(&state, i);
        keykit_key moved = set->keys[i - 1];
        set->keys[i - 1] = set->keys[other];
        set->keys[other] = moved;
    }
}

#endif
