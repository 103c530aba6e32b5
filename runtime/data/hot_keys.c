/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/hot_keys.h"

/* The counter of a tag, or else the one to give up. */
static qn_hot_key *find(qn_hot_keys *hot, uint64_t tag)
{
    qn_hot_key *smallest = &hot->keys[0];
    for (size_t i = 0; i < QN_HOT_COUNTERS; i++) {
        if (hot->keys[i].tag == tag)
            return &hot->keys[i];
        if (hot->keys[i].count < smallest->count)
            smallest = &hot->keys[i];
    }
    return smallest;
}

/* Takes the counter over from what was there: it may have been this key all the time. */
static qn_hot_key *count(qn_hot_keys *hot, uint64_t tag, uint64_t weight, uint64_t error, bool *new_out)
{
    qn_hot_key *key = find(hot, tag);
    *new_out = key->tag != tag;
    if (*new_out) {
        key->tag = tag;
        key->error = key->count;
    }
    key->count += weight;
    key->error += error;
    return key;
}

void qn_hot_keys_note_one(qn_hot_keys *hot, const void *data, uint32_t bytes, uint64_t weight, uint64_t error)
{
    bool is_new;
    qn_hot_key *key = count(hot, qn_key_of(data, bytes).tag, weight, error, &is_new);
    if (is_new)
        qn_key_describe(hot->key_type, data, bytes, key->text);
}

void qn_hot_keys_merge(qn_hot_keys *into, const qn_hot_keys *from)
{
    into->sample_count += from->sample_count;
    for (size_t i = 0; i < QN_HOT_COUNTERS; i++) {
        bool is_new;
        const qn_hot_key *theirs = &from->keys[i];
        if (theirs->tag == 0)
            continue;
        qn_hot_key *key = count(into, theirs->tag, theirs->count, theirs->error, &is_new);
        if (is_new)
            memcpy(key->text, theirs->text, sizeof key->text);
    }
}

size_t qn_hot_keys_rank(qn_hot_keys *hot, uint64_t least, const qn_hot_key *hottest_out[QN_HOT_KEYS_SHOWN])
{
    size_t filled = 0;
    for (size_t i = 0; i < QN_HOT_COUNTERS; i++) {
        const qn_hot_key *key = &hot->keys[i];
        if (key->tag == 0 || key->count - key->error < least)
            continue;
        size_t at = filled < QN_HOT_KEYS_SHOWN ? filled++ : QN_HOT_KEYS_SHOWN;
        for (; at > 0 && hottest_out[at - 1]->count < key->count; at--)
            if (at < QN_HOT_KEYS_SHOWN)
                hottest_out[at] = hottest_out[at - 1];
        if (at < QN_HOT_KEYS_SHOWN)
            hottest_out[at] = key;
    }
    return filled;
}
