/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/result_feed.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

#define LONG_KEY_BYTES_MAX ((size_t)1 << 20) /* of one block, unless one key alone is longer */

static quern_status open_stored(qn_result_feed *feed, const qn_store *store, qn_error *error)
{
    feed->stored = calloc(1, sizeof *feed->stored);
    if (!feed->stored)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a result");
    return qn_store_reader_open(feed->stored, store, error);
}

uint64_t qn_result_feed_begin_part(qn_result_feed *feed, size_t part, uint32_t rank)
{
    if (!feed->stored)
        return rank;
    qn_store_reader_begin(feed->stored, part);
    return feed->stored->part->number;
}

static quern_status open_reduced(qn_result_feed *feed, qn_shuffle *shuffle, const qn_reducer *reducer, bool ordered,
                                 qn_error *error)
{
    feed->home = qn_shuffle_get_home(shuffle);
    feed->reducer = reducer;
    qn_arena_init(&feed->long_keys, LONG_KEY_BYTES_MAX / 4);
    feed->values = malloc(8 * QN_BATCH_COUNT_MAX * (size_t)feed->reducer->value_words);
    if (!feed->values)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a result");
    quern_status status = qn_shuffle_finish(shuffle, error);
    if (status != QUERN_OK)
        return status;
    feed->merged = !qn_home_is_tables(feed->home, ordered);
    if (feed->merged)
        return qn_home_result_open(feed->home, error);
    for (size_t i = 0; i < QN_BATCH_COUNT_MAX; i++)
        feed->value_sizes[i] = feed->reducer->value_bytes;
    return qn_home_tables_open(feed->home, ordered, error);
}

quern_status qn_result_feed_open(qn_result_feed *feed, qn_result *result, const qn_node *source, bool ordered,
                                 qn_error *error)
{
    if (result->kind == QN_RESULT_STORED)
        return open_stored(feed, result->stored, error);
    if (result->kind == QN_RESULT_REDUCED)
        return open_reduced(feed, result->reduced, &source->reducer, ordered, error);
    feed->sorter = result->collated->sorter;
    feed->has_values = source->schema.value != QUERN_NONE;
    return qn_collator_rewind(result->collated, error);
}

quern_status qn_result_feed_open_memory(qn_result_feed *feed, const qn_node *source, bool scattered, qn_error *error)
{
    feed->memory = calloc(1, sizeof *feed->memory);
    if (!feed->memory)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read arrays in memory");
    return qn_memory_source_open(feed->memory, source->of.arrays, &source->schema, scattered, error);
}

void qn_result_feed_close(qn_result_feed *feed)
{
    if (feed->memory)
        qn_memory_source_close(feed->memory);
    free(feed->memory);
    feed->memory = NULL;
    if (feed->stored)
        qn_store_reader_close(feed->stored);
    free(feed->stored);
    feed->stored = NULL;
    qn_arena_reset(&feed->long_keys);
    free(feed->values);
    feed->values = NULL;
}

/* Makes the value of row `at` of what is held. */
static void finish_row(qn_result_feed *feed, size_t at, const uint64_t *held)
{
    feed->values[at] = qn_reducer_get_value(feed->reducer, held);
    feed->value[at] = &feed->values[at];
}

/* Copies row `at` of the block; of a long key that stays in place only the address. False: no memory. */
static bool keep_row(qn_result_feed *feed, size_t at, const qn_key *key, const uint64_t *value, bool stable)
{
    feed->key_bytes[at] = (uint32_t)qn_key_bytes(key);
    if (QN_TAG_CODE(key->tag) == QN_TAG_LONG) {
        feed->key[at] = stable ? qn_key_data(key) : qn_arena_copy(&feed->long_keys, qn_key_data(key), key->k1);
        if (!feed->key[at])
            return false;
    } else {
        feed->inline_keys[at][0] = key->k0;
        feed->inline_keys[at][1] = key->k1;
        feed->key[at] = feed->inline_keys[at];
    }
    if (feed->reducer->finish != QN_FINISH_NONE)
        finish_row(feed, at, value);
    else {
        uint64_t *to = feed->values + at * feed->reducer->value_words;
        memcpy(to, value, 8 * (size_t)feed->reducer->value_words);
        feed->value[at] = to;
    }
    feed->value_sizes[at] = feed->reducer->value_bytes;
    return true;
}

static quern_status not_a_value(const qn_result_feed *feed, const uint64_t *slot, qn_error *error)
{
    qn_key key = feed->scan.tiny_left ? qn_key_of_tag(slot[0]) : (qn_key){slot[0], slot[1], slot[2]};
    return qn_reducer_failed(feed->reducer, &key, error);
}

/* The next slots of the tables that the result is. */
static quern_status take_slots(qn_result_feed *feed, const uint64_t **slots, size_t *count_out, qn_error *error)
{
    for (;;) {
        qn_table *table = NULL;
        *count_out = feed->scan.wide.stride > 0 ? qn_table_scan_take(&feed->scan, slots, QN_BATCH_COUNT_MAX) : 0;
        if (*count_out > 0)
            return QUERN_OK;
        quern_status status = qn_home_tables_next(feed->home, &table, error);
        if (status != QUERN_OK || !table)
            return status;
        feed->scan = qn_table_scan_of(table, 0, UINT64_MAX);
    }
}

/* As many rows as fit a block, as they lie in a table. */
static quern_status take_from_tables(qn_result_feed *feed, size_t *count_out, qn_error *error)
{
    const uint64_t *slots[QN_BATCH_COUNT_MAX + 1];
    size_t count = 0;
    quern_status status = take_slots(feed, slots, &count, error);
    if (status != QUERN_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        uint64_t code = QN_TAG_CODE(slots[i][0]);
        const uint64_t *value = slots[i] + (feed->scan.tiny_left ? 1 : 3); /* the lower word of a narrow sum */
        if (QN_UNLIKELY(qn_table_get_carry(feed->scan.table, slots[i], feed->scan.tiny_left) != 0))
            return not_a_value(feed, slots[i], error);
        feed->value[i] = value;
        if (feed->reducer->finish != QN_FINISH_NONE)
            finish_row(feed, i, value);
        if (feed->scan.tiny_left) {
            feed->inline_keys[i][0] = qn_unhash_tiny(slots[i][0] >> 8);
            feed->key[i] = feed->inline_keys[i];
            feed->key_bytes[i] = (uint32_t)(code - 1);
        } else {
            bool is_long = code == QN_TAG_LONG;
            feed->key[i] = is_long ? (const void *)(uintptr_t)slots[i][1] : slots[i] + 1;
            feed->key_bytes[i] = (uint32_t)(is_long ? slots[i][2] : code - 1);
        }
    }
    *count_out = count;
    return QUERN_OK;
}

static quern_status take_from_merge(qn_result_feed *feed, size_t *count_out, qn_error *error)
{
    size_t count = 0;
    uint64_t long_bytes = 0;
    bool stable = qn_merge_is_stable(&feed->home->merge);
    qn_arena_rewind(&feed->long_keys);
    while (count < QN_BATCH_COUNT_MAX && long_bytes < LONG_KEY_BYTES_MAX) {
        const qn_key *key;
        const uint64_t *value;
        quern_status status = qn_home_result_next(feed->home, &key, &value, error);
        if (status != QUERN_OK)
            return status;
        if (!key)
            break;
        if (QN_UNLIKELY(!qn_reducer_fits(feed->reducer, value)))
            return qn_reducer_failed(feed->reducer, key, error);
        if (!keep_row(feed, count++, key, value, stable))
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a result");
        long_bytes += !stable && QN_TAG_CODE(key->tag) == QN_TAG_LONG ? key->k1 : 0;
    }
    *count_out = count;
    return QUERN_OK;
}

static quern_status take_from_sorter(qn_result_feed *feed, size_t *count_out, qn_error *error)
{
    qn_packed records[QN_BATCH_COUNT_MAX];
    quern_status status = qn_sorter_next(feed->sorter, records, QN_BATCH_COUNT_MAX, count_out, error);
    for (size_t i = 0; status == QUERN_OK && i < *count_out; i++) {
        feed->key[i] = records[i].key;
        feed->key_bytes[i] = records[i].key_bytes;
        feed->value[i] = records[i].value;
        feed->value_sizes[i] = records[i].value_bytes;
    }
    return status;
}

static quern_status take(qn_result_feed *feed, size_t *count_out, qn_error *error)
{
    if (feed->sorter)
        return take_from_sorter(feed, count_out, error);
    return feed->merged ? take_from_merge(feed, count_out, error) : take_from_tables(feed, count_out, error);
}

quern_status qn_result_feed_next(qn_result_feed *feed, qn_batch *batch_out, qn_error *error)
{
    if (feed->stored)
        return qn_store_reader_next(feed->stored, batch_out, error);
    if (feed->memory) {
        qn_memory_source_next(feed->memory, batch_out);
        return QUERN_OK;
    }
    size_t count = 0;
    quern_status status = take(feed, &count, error);
    if (status != QUERN_OK)
        return status;
    *batch_out = (qn_batch){.block = {.count = count,
                                      .key = feed->key,
                                      .key_bytes = feed->key_bytes,
                                      .value = feed->value,
                                      .value_bytes = feed->value_sizes}};
    if (feed->sorter && !feed->has_values)
        batch_out->block.value = NULL;
    return QUERN_OK;
}
