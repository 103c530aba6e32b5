/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/hash.h: the hash of a key, made once and carried through combining, partitioning, wire, spill and merge.
 *
 * A key becomes a tag: its hash, with a length code in the lowest byte.
 *  - Tiny keys, up to 7 bytes: code 1 … 8. The hash is a permutation of the 56 bits of the key, so that the tag alone is the key.
 *  - Short keys, 8 to 16 bytes: code 9 … 17. The key itself is two words, k0 and k1, zero-filled.
 *  - Long keys: code 0xff. The bytes live elsewhere: k0 is their address, k1 their number.
 * A tag is never 0, which is the empty slot. The order (tag, bytes) is a total order of keys and the same on every rank:
 * partitions, runs and outputs use it. The hash must be the same on all machines of a job, so it uses no
 * instructions that some lack. Changing it changes the order of outputs.
 */
#ifndef QN_BASE_HASH_H
#define QN_BASE_HASH_H

#include <stdint.h>
#include <string.h>

#include "runtime/base/arena.h"

#define QN_KEY_TINY_BYTES   7
#define QN_KEY_SHORT_BYTES  16
#define QN_KEY_PIECES_BYTES 64
#define QN_TAG_LONG         UINT64_C(0xff)
#define QN_TAG_CODE(tag)    ((tag)&UINT64_C(0xff))
#define QN_TAG_IS_TINY(tag) (QN_TAG_CODE(tag) <= QN_KEY_TINY_BYTES + 1)

typedef struct qn_key {
    uint64_t tag;
    uint64_t k0; /* the first 8 bytes; of a long key: the address of all its bytes */
    uint64_t k1; /* the next 8 bytes; of a long key: its length in bytes */
} qn_key;

#define QN_HASH_56_BITS        ((UINT64_C(1) << 56) - 1)
#define QN_HASH_TINY_1         UINT64_C(0xd6e8feb86659fd93)
#define QN_HASH_TINY_2         UINT64_C(0x9e3779b97f4a7c15)
#define QN_HASH_TINY_1_INVERSE UINT64_C(0xcfee444d8b59a89b) /* modulo 2^64, and so modulo 2^56 */
#define QN_HASH_TINY_2_INVERSE UINT64_C(0xf1de83e19937733d)

/* A permutation of 56 bits: odd factors and a shift by half the width can be undone. */
static inline uint64_t qn_hash_tiny(uint64_t word)
{
    word = (word * QN_HASH_TINY_1) & QN_HASH_56_BITS;
    word ^= word >> 28;
    return (word * QN_HASH_TINY_2) & QN_HASH_56_BITS;
}

static inline uint64_t qn_unhash_tiny(uint64_t hash)
{
    hash = (hash * QN_HASH_TINY_2_INVERSE) & QN_HASH_56_BITS;
    hash ^= hash >> 28;
    return (hash * QN_HASH_TINY_1_INVERSE) & QN_HASH_56_BITS;
}

static inline uint64_t qn_hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Hash of 8 to 16 bytes given as zero-filled words and their length. */
static inline uint64_t qn_hash_short(uint64_t k0, uint64_t k1, uint64_t bytes)
{
    uint64_t mixed = qn_hash_fold(k0 ^ UINT64_C(0x9e3779b97f4a7c15), k1 ^ UINT64_C(0xd6e8feb86659fd93) ^ bytes);
    /* A fold with a 0 loses the other word, so both come in once more. */
    return qn_hash_fold(mixed ^ UINT64_C(0xa0761d6478bd642f) ^ (k0 << 32 | k0 >> 32),
                        k1 ^ UINT64_C(0xe7037ed1a0b428db));
}

/* Hash of more than QN_KEY_PIECES_BYTES bytes. */
uint64_t qn_hash_very_long(const void *data, uint64_t bytes);

static inline uint64_t qn_load_word(const void *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

/*
 * Long keys of up to QN_KEY_PIECES_BYTES are hashed and compared as four pieces of 16 bytes, which overlap more the shorter the key
 * is: no branch depends on the length, which nobody can predict. Where the second and the third piece begin; the fourth one ends
 * with the key.
 */
static inline __attribute__((always_inline)) uint64_t qn_piece_begin(uint64_t piece, uint64_t bytes)
{
    return 16 * piece < bytes - 16 ? 16 * piece : bytes - 16;
}

/* Hash of 17 to QN_KEY_PIECES_BYTES bytes. */
static inline __attribute__((always_inline)) uint64_t qn_hash_pieces(const void *data, uint64_t bytes)
{
    const char *a = data, *b = a + qn_piece_begin(1, bytes), *c = a + qn_piece_begin(2, bytes), *d = a + bytes - 16;
    uint64_t front = qn_hash_fold(qn_load_word(a) ^ UINT64_C(0x9e3779b97f4a7c15), qn_load_word(a + 8) ^ bytes) +
                     qn_hash_fold(qn_load_word(b) ^ UINT64_C(0xd6e8feb86659fd93),
                                  qn_load_word(b + 8) ^ UINT64_C(0xa0761d6478bd642f));
    uint64_t back = qn_hash_fold(qn_load_word(c) ^ UINT64_C(0xe7037ed1a0b428db),
                                 qn_load_word(c + 8) ^ UINT64_C(0x8ebc6af09c88c6e3)) +
                    qn_hash_fold(qn_load_word(d) ^ UINT64_C(0x589965cc75374cc3),
                                 qn_load_word(d + 8) ^ UINT64_C(0x1d8e4e27c47d124f));
    return qn_hash_fold(front ^ UINT64_C(0xeb44accab455d165), back ^ bytes);
}

/* Hash of more than 16 bytes. */
static inline __attribute__((always_inline)) uint64_t qn_hash_long(const void *data, uint64_t bytes)
{
    return __builtin_expect(bytes <= QN_KEY_PIECES_BYTES, 1) ? qn_hash_pieces(data, bytes)
                                                             : qn_hash_very_long(data, bytes);
}

/* Whether the same number of bytes, more than 16, is equal. */
static inline __attribute__((always_inline)) int qn_same_long(const void *left, const void *right, uint64_t bytes)
{
    if (__builtin_expect(bytes > QN_KEY_PIECES_BYTES, 0))
        return memcmp(left, right, bytes) == 0;
    const char *a = left, *b = right;
    uint64_t begins[4] = {0, qn_piece_begin(1, bytes), qn_piece_begin(2, bytes), bytes - 16};
    uint64_t differ = 0;
    for (int i = 0; i < 4; i++)
        differ |= (qn_load_word(a + begins[i]) ^ qn_load_word(b + begins[i])) |
                  (qn_load_word(a + begins[i] + 8) ^ qn_load_word(b + begins[i] + 8));
    return differ == 0;
}

/* Copies more than 16 bytes, and nothing behind them. */
static inline __attribute__((always_inline)) void qn_copy_long(void *to, const void *from, uint64_t bytes)
{
    if (__builtin_expect(bytes > QN_KEY_PIECES_BYTES, 0)) {
        memcpy(to, from, bytes);
        return;
    }
    const char *source = from;
    char *target = to;
    uint64_t begins[4] = {0, qn_piece_begin(1, bytes), qn_piece_begin(2, bytes), bytes - 16};
    for (int i = 0; i < 4; i++)
        memcpy(target + begins[i], source + begins[i], 16);
}

/* The tag of up to 7 bytes; QN_SLACK_BYTES after them must be readable. */
static inline __attribute__((always_inline)) uint64_t qn_tag_of_tiny(const void *data, uint32_t bytes)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return qn_hash_tiny(word & ((UINT64_C(1) << (8 * bytes)) - 1)) << 8 | (bytes + 1);
}

/* The key of 8 to 16 bytes, read as two words that overlap. */
static inline __attribute__((always_inline)) qn_key qn_key_of_short(const void *data, uint32_t bytes)
{
    qn_key key;
    uint64_t last;
    memcpy(&key.k0, data, sizeof key.k0);
    memcpy(&last, (const char *)data + bytes - sizeof last, sizeof last);
    /* The upper 8 - (16 - bytes) bytes of `last` are new; shifting twice avoids a shift by 64. */
    uint32_t known_bits = 8 * (QN_KEY_SHORT_BYTES - bytes);
    key.k1 = (last >> (known_bits / 2)) >> (known_bits - known_bits / 2);
    key.tag = (qn_hash_short(key.k0, key.k1, bytes) & ~UINT64_C(0xff)) | (bytes + 1);
    return key;
}

/* The key of more than 16 bytes. Borrows them. */
static inline __attribute__((always_inline)) qn_key qn_key_of_long(const void *data, uint32_t bytes)
{
    return (qn_key){qn_hash_long(data, bytes) | QN_TAG_LONG, (uint64_t)(uintptr_t)data, bytes};
}

/* The key that a tiny tag is. */
static inline qn_key qn_key_of_tag(uint64_t tag)
{
    return (qn_key){tag, qn_unhash_tiny(tag >> 8), 0};
}

/* The key of these bytes. A long key borrows them. */
static inline qn_key qn_key_of(const void *data, uint32_t bytes)
{
    if (bytes <= QN_KEY_TINY_BYTES)
        return qn_key_of_tag(qn_tag_of_tiny(data, bytes));
    return bytes <= QN_KEY_SHORT_BYTES ? qn_key_of_short(data, bytes) : qn_key_of_long(data, bytes);
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
