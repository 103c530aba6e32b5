/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/stream.h: writes past the caches, of what is not read soon: a line is not read before it is written, and what is in the
 * caches stays there.
 */
#ifndef QN_BASE_STREAM_H
#define QN_BASE_STREAM_H

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define QN_STREAM_LINE_BYTES 64

/* Writes two words at once: what is streamed right behind waits if it reads more than was written in one go. */
static inline __attribute__((always_inline)) void qn_stream_put(void *to, uint64_t first, uint64_t second)
{
    typedef uint64_t pair __attribute__((vector_size(16)));
    pair words = {first, second};
    memcpy(to, &words, sizeof words);
}

/* Copies QN_STREAM_LINE_BYTES; both are aligned to 16. */
static inline __attribute__((always_inline)) void qn_stream_line(void *to, const void *from)
{
#if defined(__x86_64__)
    for (int i = 0; i < QN_STREAM_LINE_BYTES / 16; i++)
        _mm_stream_si128((__m128i *)to + i, ((const __m128i *)from)[i]);
#else
    memcpy(to, from, QN_STREAM_LINE_BYTES);
#endif
}

/* Before another thread reads what was streamed. */
static inline void qn_stream_end(void)
{
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

#endif
