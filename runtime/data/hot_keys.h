/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/hot_keys.h: which keys are the most frequent, by a sample of records and few counters.
 *
 * Of each block one record is looked at (which one changes from block to block), and counted in one of a few counters; a key that has none takes over the
 * smallest one, and its count (Space-Saving: a key with more than 1/64 of the sample is never lost, and no count is too
 * small). Good enough to name what skews a job; free beside the work on a block.
 */
#ifndef QN_DATA_HOT_KEYS_H
#define QN_DATA_HOT_KEYS_H

#include <stdbool.h>

#include "runtime/base/hash.h"
#include "runtime/data/batch.h"
#include "runtime/data/key_text.h"

#define QN_HOT_COUNTERS   64 /* of a rank */
#define QN_HOT_KEYS_SHOWN 5

typedef struct qn_hot_key {
    uint64_t tag;   /* tells keys apart; 0: none */
    uint64_t count; /* in the sample; at most `error` too large */
    uint64_t error;
    char text[QN_KEY_TEXT_BYTES_MAX + 8]; /* as qn_key_describe() */
} qn_hot_key;

typedef struct qn_hot_keys {
    quern_type key_type;
    uint64_t sample_count;
    uint64_t turn;
    qn_hot_key keys[QN_HOT_COUNTERS];
} qn_hot_keys;

void qn_hot_keys_note_one(qn_hot_keys *hot, const void *key, uint32_t bytes, uint64_t weight, uint64_t error);

/* Looks at one record of a block. */
static inline void qn_hot_keys_note(qn_hot_keys *hot, const qn_batch *batch)
{
    if (batch->block.count == 0)
        return;
    hot->turn = hot->turn * UINT64_C(6364136223846793005) + 1;
    size_t at = (size_t)((hot->turn >> 33) % batch->block.count);
    hot->sample_count++;
    qn_hot_keys_note_one(hot, batch->block.key[at], batch->block.key_bytes[at], 1, 0);
}

/* Adds the counts of another rank's. */
void qn_hot_keys_merge(qn_hot_keys *into, const qn_hot_keys *from);

/* The most frequent keys with counts that are certain to be at least `least`, most frequent first; returns how many, up to QN_HOT_KEYS_SHOWN. */
size_t qn_hot_keys_rank(qn_hot_keys *hot, uint64_t least, const qn_hot_key *hottest_out[QN_HOT_KEYS_SHOWN]);

#endif
