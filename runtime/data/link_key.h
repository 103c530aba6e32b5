/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/link_key.h: a link between two vertices as one number, and where a sequence of such numbers may be cut.
 *
 * Vertices have numbers. A link's key has its target in the highest bits, then whether that is a hub (very many links come to it), then its source; so in
 * the order of the keys all links to a vertex follow each other, in the order of their sources. Behind them comes the vertex itself, as a
 * link from QN_LINK_NO_SOURCE: who has it owns the vertex.
 *
 * Links are divided among ranks in this order. What is added together must not depend on where: so they are cut between units only. A unit
 * is the vertices of an aligned block that follow each other and are no hubs; or of a hub the links from an aligned
 * range of sources, whose sum is then a partial sum of fixed extent. One link may be there millions of times: its copies, which all are on one
 * rank, are cut by their number.
 */
#ifndef QN_DATA_LINK_KEY_H
#define QN_DATA_LINK_KEY_H

#include <stdbool.h>
#include <stdint.h>

#define QN_LINK_NO_SOURCE      UINT32_MAX
#define QN_LINK_VERTEX_MAX     (UINT32_MAX >> 1) /* vertices have numbers below it */
#define QN_LINK_HUB_LINKS      UINT64_C(1024)    /* so many come to a hub, or more */
#define QN_LINK_BLOCK_VERTICES 32
/* A unit of a hub has at most 2^this sources, */
#define QN_LINK_CHUNK_BITS_MAX 12
/* and few enough for 2^this units, since each link may be there many times, */
#define QN_LINK_CHUNKS_MIN_BITS 8
/* and of each of them at most so many copies that follow each other. */
#define QN_LINK_COPIES_MAX 16384

/* What is known of a vertex before it has a number. */
typedef struct qn_vertex_ends {
    uint64_t out, in;     /* links */
    double value;         /* if it has one, */
    uint64_t value_count; /* 1; else 0 */
} qn_vertex_ends;

/* And then. */
typedef struct qn_vertex_note {
    uint64_t out;
    double value;
    uint32_t number;
    uint32_t is_hub;
} qn_vertex_note;

static inline uint64_t qn_link_key(uint32_t target, bool is_hub, uint32_t source)
{
    return (uint64_t)target << 33 | (uint64_t)is_hub << 32 | source;
}

static inline uint32_t qn_link_target(uint64_t key)
{
    return (uint32_t)(key >> 33);
}

static inline bool qn_link_is_to_hub(uint64_t key)
{
    return key >> 32 & 1;
}

static inline uint32_t qn_link_source(uint64_t key)
{
    return (uint32_t)key;
}

/* How many sources a unit of a hub has, as a power of two, where there are so many vertices. */
static inline uint32_t qn_link_chunk_bits(uint64_t vertex_count)
{
    uint32_t bits = 0;
    while (bits < QN_LINK_CHUNK_BITS_MAX && vertex_count >> (QN_LINK_CHUNKS_MIN_BITS + bits) > 1)
        bits++;
    return bits;
}

/* Of a source, or of NO_SOURCE, which is alone in its chunk. */
static inline uint32_t qn_link_chunk(uint32_t source, uint32_t chunk_bits)
{
    return source >> chunk_bits;
}

/* Whether a unit ends before one more copy of a link, of which there were so many since its unit began, or the link itself. */
static inline bool qn_link_is_cut_in_copies(uint64_t key, uint64_t copy_count)
{
    return qn_link_is_to_hub(key) && copy_count % QN_LINK_COPIES_MAX == 0;
}

/* Whether a unit ends between two keys that follow each other, if they are not the same. */
static inline bool qn_link_is_cut(uint64_t before, uint64_t key, uint32_t chunk_bits)
{
    if (before >> 33 == key >> 33)
        return qn_link_is_to_hub(key) &&
               qn_link_chunk((uint32_t)before, chunk_bits) != qn_link_chunk((uint32_t)key, chunk_bits);
    bool is_hub = qn_link_is_to_hub(before) || qn_link_is_to_hub(key);
    return is_hub || qn_link_target(before) / QN_LINK_BLOCK_VERTICES != qn_link_target(key) / QN_LINK_BLOCK_VERTICES;
}

#endif
