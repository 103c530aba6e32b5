/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/hash.h: the hash of a key, made once and carried through combining, partitioning, wire, spill and merge.
 *
 * A key becomes three words. k0 and k1 are its first 16 bytes, zero-filled. The tag is the hash with its lowest byte
 * replaced by a length code: length + 1 for keys of up to 16 bytes, which are then whole in (tag, k0, k1); 0xff for longer
 * ones, whose bytes live elsewhere. So a tag is never 0 (the empty slot), equal short keys are equal words, and the
 * order (tag, bytes) is a total order of keys that is the same on every rank: partitions, runs and outputs use it.
 * The hash must be the same on all machines of a job, so no instructions that some lack. Changing it changes the order of outputs.
 */
#ifndef QN_BASE_HASH_H
#define QN_BASE_HASH_H

#include <stdint.h>
#include <string.h>

#include "runtime/base/arena.h"

#define QN_KEY_INLINE_BYTES 16
#define QN_TAG_LONG UINT64_C(0xff)
#define QN_TAG_CODE(tag) ((tag) & UINT64_C(0xff))

typedef struct qn_key {
    uint64_t tag;
    uint64_t k0; /* the first 8 bytes; of a long key: the address of all its bytes */
    uint64_t k1; /* the next 8 bytes; of a long key: its length in bytes */
} qn_key;

static inline uint64_t qn_hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Hash of up to 16 bytes given as zero-filled words and their length. */
static inline uint64_t qn_hash_words(uint64_t k0, uint64_t k1, uint64_t bytes)
{
    uint64_t mixed = qn_hash_fold(k0 ^ UINT64_C(0x9e3779b97f4a7c15), k1 ^ UINT64_C(0xd6e8feb86659fd93) ^ bytes);
    return qn_hash_fold(mixed ^ UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db));
}

/* Hash of more than 16 bytes. */
uint64_t qn_hash_bytes(const void *data, uint64_t bytes);

/* Loads 16 bytes of which the first `bytes` (0 … 16) count; QN_SLACK_BYTES after the key must be readable. */
static inline void qn_key_load(const void *data, uint32_t bytes, uint64_t *k0_out, uint64_t *k1_out)
{
    uint64_t words[2];
    memcpy(words, data, sizeof words);
    uint32_t low_bits = bytes * 8;
    /* masks without branches: a shift by 64 is avoided by shifting twice */
    uint64_t mask0 = bytes >= 8 ? ~UINT64_C(0) : ((UINT64_C(1) << (low_bits & 63)) - 1);
    uint64_t mask1 = bytes >= 16 ? ~UINT64_C(0) : bytes <= 8 ? 0 : ((UINT64_C(1) << ((low_bits - 64) & 63)) - 1);
    *k0_out = words[0] & mask0;
    *k1_out = words[1] & mask1;
}

/* The key of these bytes. A long key borrows `data`. */
static inline qn_key qn_key_of(const void *data, uint32_t bytes)
{
    qn_key key;
    if (__builtin_expect(bytes <= QN_KEY_INLINE_BYTES, 1)) {
        qn_key_load(data, bytes, &key.k0, &key.k1);
        key.tag = (qn_hash_words(key.k0, key.k1, bytes) & ~UINT64_C(0xff)) | (bytes + 1);
    } else {
        key.tag = qn_hash_bytes(data, bytes) | QN_TAG_LONG;
        key.k0 = (uint64_t)(uintptr_t)data;
        key.k1 = bytes;
    }
    return key;
}

static inline uint64_t qn_key_bytes(const qn_key *key)
{
    return QN_TAG_CODE(key->tag) == QN_TAG_LONG ? key->k1 : QN_TAG_CODE(key->tag) - 1;
}

static inline const void *qn_key_data(const qn_key *key)
{
    return QN_TAG_CODE(key->tag) == QN_TAG_LONG ? (const void *)(uintptr_t)key->k0 : (const void *)&key->k0;
}

/* Order by bytes, a prefix first. For keys of any length. */
int qn_key_compare_bytes(const qn_key *a, const qn_key *b);

/* The order of runs and outputs: tag, then bytes. */
static inline int qn_key_compare(const qn_key *a, const qn_key *b)
{
    if (a->tag != b->tag)
        return a->tag < b->tag ? -1 : 1;
    return qn_key_compare_bytes(a, b);
}

/* `bytes` of checksum-worthy data to a 64-bit checksum (XXH3). */
uint64_t qn_checksum(const void *data, uint64_t bytes, uint64_t seed);

#endif
