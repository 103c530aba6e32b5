/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/aside.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define TABLE_BYTES_MIN   ((uint64_t)32 << 20) /* a table of as many bytes is in no cache that is a rank's own */
#define WINDOW_PART       128                  /* records of a window: of table_bytes_min, one for so many bytes */
#define MERGED_PERCENT    50                   /* combining pays from there on */
#define ASIDE_WINDOWS_MIN 64                   /* before it is looked at again */

void qn_aside_watch_init(qn_aside_watch *watch, uint64_t table_bytes_min)
{
    uint64_t bytes = table_bytes_min > 0 ? table_bytes_min : TABLE_BYTES_MIN;
    *watch = (qn_aside_watch){.table_bytes_min = bytes, .window_count = bytes / WINDOW_PART};
    watch->aside_count_max = ASIDE_WINDOWS_MIN * watch->window_count;
}

bool qn_aside_see(qn_aside_watch *watch, uint64_t count, uint64_t merged_count, uint64_t table_bytes)
{
    watch->seen_count += count;
    watch->merged_count += merged_count;
    if (QN_LIKELY(watch->seen_count < watch->window_count))
        return false;
    watch->is_aside =
        table_bytes >= watch->table_bytes_min && watch->merged_count * 100 < watch->seen_count * MERGED_PERCENT;
    watch->seen_count = watch->merged_count = 0;
    return watch->is_aside;
}

void qn_aside_count(qn_aside_watch *watch, uint64_t count)
{
    watch->aside_count += count;
    if (QN_LIKELY(watch->aside_count < watch->aside_count_max))
        return;
    watch->aside_count = 0;
    watch->aside_count_max *= 2;
    watch->is_aside = false;
}

/* ---- on their way ---- */

quern_status qn_router_init(qn_router *router, const qn_comm *comm, qn_rounds *rounds, qn_error *error)
{
    *router = (qn_router){.rank = comm->rank, .size = comm->size, .rounds = rounds};
    router->chunks = calloc(comm->size, sizeof *router->chunks);
    return router->chunks ? QUERN_OK : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the shuffle");
}

void qn_router_fini(qn_router *router)
{
    free(router->chunks);
    *router = (qn_router){0};
}

static void open_chunks(qn_router *router)
{
    for (uint32_t to = 0; to < router->size; to++)
        router->chunks[to] = qn_rounds_open_packed_chunk(router->rounds, to);
    router->open = true;
}

bool qn_router_is_half_full(qn_router *router)
{
    if (!router->rounds || !router->open)
        return false;
    router->looked_at = router->looked_at + 1 < router->size ? router->looked_at + 1 : 0;
    const qn_rounds_chunk *chunk = &router->chunks[router->looked_at];
    return chunk->row_count > 0 && chunk->left_bytes < router->rounds->exchanges[0].stride / 2;
}

void qn_router_close(qn_router *router)
{
    for (uint32_t to = 0; router->open && to < router->size; to++)
        qn_rounds_close_chunk(router->rounds, to, &router->chunks[to]);
    router->open = false;
}

static inline uint32_t owner_of(const qn_router *router, uint64_t tag)
{
    return (uint32_t)(((unsigned __int128)tag * router->size) >> 64);
}

static inline __attribute__((always_inline)) bool put_record(qn_rounds_chunk *chunk, const qn_layout *layout,
                                                             const quern_block *block, size_t i, bool is_pair)
{
    if (is_pair) {
        if (QN_UNLIKELY(chunk->left_bytes < 16))
            return false;
        memcpy(chunk->next, block->key[i], 8);
        memcpy(chunk->next + 8, block->value[i], 8);
        chunk->next += 16;
        chunk->left_bytes -= 16;
    } else {
        qn_packed record = qn_packed_of(layout, block, i);
        uint64_t bytes = qn_packed_bytes(layout, record.key_bytes, record.value_bytes);
        if (QN_UNLIKELY(chunk->left_bytes < bytes))
            return false;
        qn_packed_encode(layout, &record, chunk->next);
        chunk->next += bytes;
        chunk->left_bytes -= bytes;
    }
    chunk->row_count++;
    return true;
}

/* Puts records of other ranks into their chunks. Returns how many had room. */
static size_t put_others(qn_router *router, const qn_piles *piles, const quern_block *block, const uint16_t *index,
                         size_t count, const uint64_t *tags, size_t from)
{
    for (size_t n = 0; n < count; n++) {
        qn_rounds_chunk *chunk = &router->chunks[owner_of(router, tags[index[n] - from])];
        bool done = piles->is_pair ? put_record(chunk, &piles->layout, block, index[n], true)
                                   : put_record(chunk, &piles->layout, block, index[n], false);
        if (QN_UNLIKELY(!done))
            return n;
    }
    return count;
}

quern_status qn_router_send(qn_router *router, qn_piles *piles, const quern_block *block, size_t from, size_t count,
                            const uint64_t *tags, size_t *done_out, qn_error *error)
{
    uint16_t own[QN_SLOTS_COMING_MAX + 1], others[QN_SLOTS_COMING_MAX + 1];
    size_t own_count = 0, other_count = 0, end = from + count;
    QN_ASSERT(count <= QN_SLOTS_COMING_MAX);
    if (router->rounds && !router->open)
        open_chunks(router);
    /* Whose a record is nobody can predict: it is written down for both. */
    for (size_t n = 0; n < count; n++) {
        bool is_own = owner_of(router, tags[n]) == router->rank;
        own[own_count] = others[other_count] = (uint16_t)(from + n);
        own_count += is_own;
        other_count += !is_own;
    }
    size_t put_count = put_others(router, piles, block, others, other_count, tags, from);
    if (put_count < other_count) {
        end = others[put_count];
        while (own_count > 0 && own[own_count - 1] > end)
            own_count--;
    }
    *done_out = end - from;
    if (!qn_piles_add(piles, block, own, own_count, tags, from))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the records of a reduction");
    return QUERN_OK;
}
