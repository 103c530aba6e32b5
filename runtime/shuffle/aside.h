/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/aside.h: when records step aside of the table in which they would be combined, and how they go then.
 *
 * A rank watches how many of the records that it puts into its table end in others. Once the table is larger than the caches and few
 * do, looking there costs more than it saves: from then on records go, as they came, to the open chunk of their owner, or straight
 * into the own piles (record_piles.h). What is emitted later may be otherwise, so after a while it looks again, and if few merge
 * still, waits twice as long.
 *
 *     insert ──┬─ many merge ──► table
 *              └─ few ──┬──► chunk of the owner ──► its piles
 *                       └──► own piles
 */
#ifndef QN_SHUFFLE_ASIDE_H
#define QN_SHUFFLE_ASIDE_H

#include "runtime/data/batch.h"
#include "runtime/data/record_piles.h"
#include "runtime/shuffle/rounds.h"

typedef struct qn_aside_watch {
    uint64_t table_bytes_min;              /* of keys and values, from which on it is judged */
    uint64_t window_count;                 /* records that are judged together */
    uint64_t seen_count, merged_count;     /* in the present window */
    uint64_t aside_count, aside_count_max; /* records that stepped aside, and how many may before it looks again */
    bool is_aside;
} qn_aside_watch;

/* table_bytes_min: 0: chosen. */
void qn_aside_watch_init(qn_aside_watch *watch, uint64_t table_bytes_min);
/* So many records came into a table that now holds table_bytes of keys and values, and so many of them ended in others. Steps aside if
 * few did: true then. */
bool qn_aside_see(qn_aside_watch *watch, uint64_t count, uint64_t merged_count, uint64_t table_bytes);
/* So many records stepped aside; ends that if it is time to look again. */
void qn_aside_count(qn_aside_watch *watch, uint64_t count);

/* Records on their way to the chunks of their owners. */
typedef struct qn_router {
    uint32_t rank, size;
    qn_rounds *rounds;       /* NULL on one rank */
    qn_rounds_chunk *chunks; /* [size]; of the next round, while they are open */
    bool open;
    uint32_t looked_at;
} qn_router;

quern_status qn_router_init(qn_router *router, const qn_comm *comm, qn_rounds *rounds, qn_error *error);
void qn_router_fini(qn_router *router); /* takes a zeroed one */

/* Sends records [from, from + count) of a block, QN_SLOTS_COMING_MAX at most, all of which piles take; those of the own range into the piles. *done_out:
 * how many of the first went; fewer than all if the chunk of the next one has no room now. QUERN_ERROR_NO_MEMORY. */
quern_status qn_router_send(qn_router *router, qn_piles *piles, const quern_block *block, size_t from, size_t count,
                            const uint64_t *tags, size_t *done_out, qn_error *error);
/* Whether a chunk, another one each time, has less than half of its room. */
bool qn_router_is_half_full(qn_router *router);
/* Before anyone else puts something into the chunks, and before a round starts. */
void qn_router_close(qn_router *router);

#endif
