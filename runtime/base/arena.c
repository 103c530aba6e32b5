/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "runtime/base/pages.h"

#define CHUNK_BYTES_FIRST ((size_t)16 << 10)

void qn_arena_init(qn_arena *arena, size_t chunk_bytes_max)
{
    *arena = (qn_arena){.chunk_bytes_max = chunk_bytes_max ? chunk_bytes_max : QN_PAGE_HUGE_BYTES};
}

void qn_arena_reset(qn_arena *arena)
{
    while (arena->chunk) {
        struct qn_arena_chunk *older = arena->chunk->older;
        qn_pages_unreserve(arena->chunk, arena->chunk->bytes);
        arena->chunk = older;
    }
    arena->used_bytes = 0;
    arena->held_bytes = 0;
}

void qn_arena_rewind(qn_arena *arena)
{
    struct qn_arena_chunk *kept = arena->chunk;
    if (!kept)
        return;
    arena->chunk = kept->older;
    qn_arena_reset(arena);
    kept->older = NULL;
    arena->chunk = kept;
    arena->used_bytes = sizeof *kept;
    arena->held_bytes = kept->bytes;
}

static size_t next_chunk_bytes(const qn_arena *arena, size_t piece_bytes)
{
    size_t bytes = arena->chunk ? arena->held_bytes : CHUNK_BYTES_FIRST;
    if (bytes > arena->chunk_bytes_max)
        bytes = arena->chunk_bytes_max;
    if (bytes < piece_bytes + sizeof(struct qn_arena_chunk))
        bytes = piece_bytes + sizeof(struct qn_arena_chunk);
    return bytes;
}

size_t qn_arena_growth(const qn_arena *arena, size_t bytes)
{
    if (bytes == 0 || (arena->chunk && arena->chunk->bytes - arena->used_bytes >= bytes))
        return 0;
    return next_chunk_bytes(arena, bytes);
}

static int add_chunk(qn_arena *arena, size_t piece_bytes)
{
    size_t bytes = next_chunk_bytes(arena, piece_bytes);
    struct qn_arena_chunk *chunk = qn_pages_reserve(bytes, true);
    if (!chunk)
        return -1;
    qn_pages_give_to_children(chunk, bytes); /* plans are in arenas */
    chunk->older = arena->chunk;
    chunk->bytes = bytes;
    arena->chunk = chunk;
    arena->used_bytes = sizeof *chunk;
    arena->held_bytes += bytes;
    return 0;
}

void *qn_arena_take_packed_slowly(qn_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2 || add_chunk(arena, bytes) != 0)
        return NULL;
    return qn_arena_take_packed(arena, bytes);
}

void *qn_arena_take(qn_arena *arena, size_t bytes)
{
    size_t piece_bytes = (bytes + QN_SLACK_BYTES + 7) & ~(size_t)7;
    if (piece_bytes < bytes)
        return NULL;
    arena->used_bytes = (arena->used_bytes + 7) & ~(size_t)7; /* behind packed pieces */
    return qn_arena_take_packed(arena, piece_bytes);
}

void *qn_arena_copy(qn_arena *arena, const void *data, size_t bytes)
{
    void *copy = qn_arena_take(arena, bytes);
    if (copy)
        memcpy(copy, data, bytes);
    return copy;
}

char *qn_arena_text(qn_arena *arena, const char *text)
{
    return qn_arena_copy(arena, text, strlen(text) + 1);
}
