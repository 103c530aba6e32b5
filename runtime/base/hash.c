/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t qn_hash_very_long(const void *data, uint64_t bytes)
{
    return XXH3_64bits(data, bytes);
}

uint64_t qn_checksum(const void *data, uint64_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

int qn_key_compare_bytes(const qn_key *a, const qn_key *b)
{
    uint64_t a_bytes = qn_key_bytes(a);
    uint64_t b_bytes = qn_key_bytes(b);
    int order = memcmp(qn_key_data(a), qn_key_data(b), a_bytes < b_bytes ? a_bytes : b_bytes);
    if (order != 0)
        return order;
    return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}
