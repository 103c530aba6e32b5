/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/result_feed.h"

#include <stdlib.h>
#include <string.h>

#define LONG_KEY_BYTES_MAX ((size_t)1 << 20) /* of one block, unless one key alone is longer */

quern_status qn_result_feed_open(qn_result_feed *feed, qn_shuffle *shuffle, const qn_node *reduce, qn_error *error)
{
    feed->shuffle = shuffle;
    feed->value_bytes = reduce->reducer.value_bytes;
    feed->value_words = reduce->reducer.value_words;
    qn_arena_init(&feed->long_keys, LONG_KEY_BYTES_MAX / 4);
    feed->values = malloc(8 * QN_BATCH_COUNT_MAX * (size_t)feed->value_words);
    if (!feed->values)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a result");
    return qn_shuffle_result_open(shuffle, error);
}

void qn_result_feed_close(qn_result_feed *feed)
{
    qn_arena_reset(&feed->long_keys);
    free(feed->values);
    feed->values = NULL;
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
    uint64_t *to = feed->values + at * feed->value_words;
    memcpy(to, value, 8 * (size_t)feed->value_words);
    feed->value[at] = to;
    feed->value_sizes[at] = feed->value_bytes;
    return true;
}

quern_status qn_result_feed_next(qn_result_feed *feed, qn_batch *batch_out, qn_error *error)
{
    size_t count = 0;
    uint64_t long_bytes = 0;
    bool stable = qn_merge_is_stable(&feed->shuffle->merge);
    qn_arena_rewind(&feed->long_keys);
    while (count < QN_BATCH_COUNT_MAX && long_bytes < LONG_KEY_BYTES_MAX) {
        const qn_key *key;
        const uint64_t *value;
        quern_status status = qn_shuffle_result_next(feed->shuffle, &key, &value, error);
        if (status != QUERN_OK)
            return status;
        if (!key)
            break;
        if (!keep_row(feed, count++, key, value, stable))
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read a result");
        long_bytes += !stable && QN_TAG_CODE(key->tag) == QN_TAG_LONG ? key->k1 : 0;
    }
    *batch_out = (qn_batch){.block = {.count = count,
                                      .key = feed->key,
                                      .key_bytes = feed->key_bytes,
                                      .value = feed->value,
                                      .value_bytes = feed->value_sizes}};
    return QUERN_OK;
}
