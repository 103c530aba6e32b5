/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/scan.h"

#include <string.h>

#include "runtime/base/assert.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

bool qn_delimiters_init(qn_delimiters *delimiters, const char *set, size_t count)
{
    bool is_ascii = true;
    *delimiters = (qn_delimiters){.has_only = true};
    for (uint8_t low = 0; low < 16; low++)
        delimiters->only[low] = low ^ 1;
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)set[i];
        delimiters->is_delimiter[byte] = 1;
        is_ascii &= byte < 0x80;
        delimiters->high[byte >> 4] = (uint8_t)(1u << (byte >> 4 & 7)); /* ASCII: eight rows, a bit each */
        delimiters->low[byte & 15] |= (uint8_t)(1u << (byte >> 4 & 7));
        uint8_t other = delimiters->only[byte & 15];
        delimiters->has_only &= other == byte || (other & 15) != (byte & 15);
        delimiters->only[byte & 15] = byte;
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    delimiters->wide = is_ascii && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
#endif
    return is_ascii;
}

typedef uint64_t (*first_bit_fn)(uint64_t bits); /* of 0: anything */

#define POSITIONS_AT_ONCE 12 /* enough for 64 bytes of most texts */

/* Writes the positions of the set bits, some garbage behind them: fixed-length stores beat a loop that ends unpredictably. */
static inline __attribute__((always_inline)) size_t put_positions(first_bit_fn first_bit, uint64_t bits, uint32_t base,
                                                                  uint32_t *to)
{
    size_t count = (size_t)__builtin_popcountll(bits), done = 0;
    do {
#pragma GCC unroll 12
        for (size_t i = 0; i < POSITIONS_AT_ONCE; i++) {
            to[done + i] = base + (uint32_t)first_bit(bits);
            bits &= bits - 1;
            __asm__ volatile("" ::: "memory"); /* or compilers gather the positions in vectors, which is slower */
        }
        done += POSITIONS_AT_ONCE;
    } while (QN_UNLIKELY(done < count));
    return count;
}

/* From the mask of delimiters in a step to the bits that matter. */
static inline __attribute__((always_inline)) uint64_t bits_of(uint64_t mask, bool toggles, uint64_t *outside)
{
    if (!toggles)
        return mask;
    uint64_t bits = mask ^ ((mask << 1) | *outside);
    *outside = mask >> 63;
    return bits;
}

typedef uint64_t (*mask_fn)(const qn_delimiters *delimiters, const uint8_t *data);

static inline __attribute__((always_inline)) size_t
scan_with(mask_fn mask_of, first_bit_fn first_bit, const qn_delimiters *delimiters, const uint8_t *data, size_t from,
          size_t bytes, bool toggles, bool *inside, uint32_t *positions, size_t positions_max, size_t *end_out)
{
    uint64_t outside = !*inside;
    size_t count = 0, at = from;
    for (; at + QN_SCAN_STEP_BYTES <= bytes && count < positions_max; at += QN_SCAN_STEP_BYTES)
        count += put_positions(first_bit, bits_of(mask_of(delimiters, data + at), toggles, &outside), (uint32_t)at,
                               positions + count);
    if (at < bytes && count < positions_max) {
        uint64_t valid = (UINT64_C(1) << (bytes - at)) - 1;
        uint64_t mask = mask_of(delimiters, data + at);
        count += put_positions(first_bit, bits_of(mask, toggles, &outside) & valid, (uint32_t)at, positions + count);
        outside = (mask >> (bytes - at - 1)) & 1;
        at = bytes;
    }
    *inside = !outside;
    *end_out = at;
    return count;
}

static inline uint64_t first_bit_narrow(uint64_t bits)
{
    return (uint64_t)__builtin_ctzll(bits | (UINT64_C(1) << 63));
}

static inline uint64_t mask_narrow(const qn_delimiters *delimiters, const uint8_t *data)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < QN_SCAN_STEP_BYTES; i++)
        mask |= (uint64_t)delimiters->is_delimiter[data[i]] << i;
    return mask;
}

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2,bmi,popcnt")))

WIDE static inline uint64_t first_bit_wide(uint64_t bits)
{
    return _tzcnt_u64(bits);
}

WIDE static inline uint32_t mask_half(const qn_delimiters *delimiters, const uint8_t *data)
{
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)delimiters->low));
    __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)delimiters->high));
    __m256i nibble = _mm256_set1_epi8(15);
    __m256i bytes = _mm256_loadu_si256((const __m256i *)data);
    __m256i from_low = _mm256_shuffle_epi8(low, _mm256_and_si256(bytes, nibble));
    __m256i from_high = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
    __m256i other = _mm256_cmpeq_epi8(_mm256_and_si256(from_low, from_high), _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(other);
}

WIDE static inline uint64_t mask_wide(const qn_delimiters *delimiters, const uint8_t *data)
{
    return mask_half(delimiters, data) | (uint64_t)mask_half(delimiters, data + 32) << 32;
}

WIDE static inline uint64_t mask_only(const qn_delimiters *delimiters, const uint8_t *data)
{
    __m256i only = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)delimiters->only));
    __m256i first = _mm256_loadu_si256((const __m256i *)data),
            second = _mm256_loadu_si256((const __m256i *)(data + 32));
    /* Of a byte from 0x80 on the shuffle makes 0, which is not that byte. */
    __m256i in_first = _mm256_cmpeq_epi8(first, _mm256_shuffle_epi8(only, first));
    __m256i in_second = _mm256_cmpeq_epi8(second, _mm256_shuffle_epi8(only, second));
    return (uint32_t)_mm256_movemask_epi8(in_first) | (uint64_t)(uint32_t)_mm256_movemask_epi8(in_second) << 32;
}

#define DEFINE_SCAN(name, mask_of, toggles)                                                                            \
    WIDE static size_t name(const qn_delimiters *delimiters, const uint8_t *data, size_t from, size_t bytes,           \
                            bool *inside, uint32_t *positions, size_t positions_max, size_t *end_out)                  \
    {                                                                                                                  \
        return scan_with(mask_of, first_bit_wide, delimiters, data, from, bytes, toggles, inside, positions,           \
                         positions_max, end_out);                                                                      \
    }
typedef size_t (*scan_fn)(const qn_delimiters *delimiters, const uint8_t *data, size_t from, size_t bytes, bool *inside,
                          uint32_t *positions, size_t positions_max, size_t *end_out);
DEFINE_SCAN(scan_edges_only, mask_only, true)
DEFINE_SCAN(scan_edges_wide, mask_wide, true)
DEFINE_SCAN(scan_only, mask_only, false)
DEFINE_SCAN(scan_wide, mask_wide, false)
#endif

size_t qn_scan(const qn_delimiters *delimiters, const uint8_t *data, size_t from, size_t bytes, bool toggles,
               bool *inside, uint32_t *positions_out, size_t positions_max, size_t *end_out)
{
#if defined(__x86_64__)
    if (delimiters->wide) {
        scan_fn scan = toggles ? (delimiters->has_only ? scan_edges_only : scan_edges_wide)
                               : (delimiters->has_only ? scan_only : scan_wide);
        return scan(delimiters, data, from, bytes, inside, positions_out, positions_max, end_out);
    }
#endif
    return scan_with(mask_narrow, first_bit_narrow, delimiters, data, from, bytes, toggles, inside, positions_out,
                     positions_max, end_out);
}
