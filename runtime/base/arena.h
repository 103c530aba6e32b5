/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/arena.h: memory that is given out piece by piece and taken back all at once.
 *
 * Chunks grow with what was asked, so that a small job stays small. Every piece is aligned to 8 bytes and followed by
 * QN_SLACK_BYTES readable bytes, since key bytes are loaded 16 at a time (packed pieces are neither).
 */
#ifndef QN_BASE_ARENA_H
#define QN_BASE_ARENA_H

#include <stddef.h>

#define QN_SLACK_BYTES 16

struct qn_arena_chunk {
    struct qn_arena_chunk *older;
    size_t bytes; /* of the whole chunk */
    unsigned char memory[];
};

typedef struct qn_arena {
    struct qn_arena_chunk *chunk; /* newest first */
    size_t used_bytes;            /* in the newest chunk */
    size_t held_bytes;            /* of all chunks: what the arena costs */
    size_t chunk_bytes_max;
} qn_arena;

/* chunk_bytes_max: the size that chunks grow to; 0 is 2 MiB. Allocates nothing. */
void qn_arena_init(qn_arena *arena, size_t chunk_bytes_max);
/* Gives everything back. The arena can be used again. */
void qn_arena_reset(qn_arena *arena);
/* Takes everything back but keeps the newest chunk for what comes next. */
void qn_arena_rewind(qn_arena *arena);
/* `bytes` of memory until the reset; NULL if the system refuses. */
void *qn_arena_take(qn_arena *arena, size_t bytes);
/* A copy of the bytes; NULL if the system refuses. */
void *qn_arena_copy(qn_arena *arena, const void *data, size_t bytes);
/* The same as qn_arena_take(), but neither aligned nor followed by slack: for many short pieces. */
void *qn_arena_take_packed_slowly(qn_arena *arena, size_t bytes);
static inline void *qn_arena_take_packed(qn_arena *arena, size_t bytes)
{
    if (__builtin_expect(!arena->chunk || bytes > arena->chunk->bytes - arena->used_bytes, 0))
        return qn_arena_take_packed_slowly(arena, bytes);
    void *piece = (unsigned char *)arena->chunk + arena->used_bytes;
    arena->used_bytes += bytes;
    return piece;
}
/* By how much held_bytes would grow for so many packed bytes, in one piece or in many small ones. */
size_t qn_arena_growth(const qn_arena *arena, size_t bytes);
/* A copy of a text with its NUL. */
char *qn_arena_text(qn_arena *arena, const char *text);

#endif
