/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/link_pages.h: one rank's links as numbers, in pages that are gone over again and again, out of core.
 *
 * Keys (link_key.h) come in ascending order. They become pages of some ten thousand links: how many links come to each of the page's vertices, and the
 * sources of all these one behind the other. Pages are in memory as far as that goes, the rest in a run in scratch, which is read
 * each time; a page has whole units, so it can be worked on by itself.
 *
 * Whoever has the begin of a sequence does not know whether its first unit began on the rank before. So keys up to the first cut are held back as
 * the head, until ranks have told each other what they have.
 *
 *     put … ── look at the head ── settle_head ── put the heads of those who come next ── finish ── readers
 */
#ifndef QN_DATA_LINK_PAGES_H
#define QN_DATA_LINK_PAGES_H

#include "runtime/data/link_key.h"
#include "runtime/data/spill.h"

#define QN_LINK_PAGE_LINKS    16384 /* a page ends with the unit that comes to so many */
#define QN_LINK_PAGE_VERTICES 4096  /* the same */

/* What a page begins with. Behind it: counts [vertex_count] of vertices that are no hubs, sources [link_count], and, 8-byte aligned, weights
 * [link_count], if there are any. */
typedef struct qn_link_page {
    uint64_t bytes;        /* of the page, a multiple of 8 */
    uint32_t first;        /* vertex, or the hub */
    uint32_t vertex_count; /* of a hub: 1 in its last page, else 0 */
    uint32_t link_count;
    uint32_t is_hub;
} qn_link_page;
static_assert(sizeof(qn_link_page) == 24, "pages go to disk as they are");

typedef struct qn_link_pages_config {
    bool has_weights;
    uint32_t chunk_bits;
    uint64_t memory_bytes_max; /* of pages */
    size_t block_bytes;        /* of runs */
    qn_scratch scratch;        /* borrowed until fini */
} qn_link_pages_config;

/* Keys that are held back, and their weights if there are any. */
typedef struct qn_link_keys {
    uint64_t *keys;
    double *weights;
    size_t count, capacity;
} qn_link_keys;

/* The page that is being made. */
typedef struct qn_link_page_draft {
    qn_link_page page;
    uint32_t *counts, *sources;
    double *weights;
    size_t count_capacity, source_capacity, weight_capacity;
    uint32_t open_links;  /* of the vertex that has not come yet */
    uint64_t last;        /* key, */
    uint64_t copy_count;  /* and how many of it have come */
    uint64_t chunk_count; /* of the hub that has not come yet */
    bool is_open;
    bool is_of_head;
} qn_link_page_draft;

typedef struct qn_link_pages {
    qn_link_pages_config config;
    uint8_t *memory; /* [config.memory_bytes_max] reserved */
    uint64_t used_bytes;
    uint8_t *head_pages; /* the head's, which come first and are made last */
    uint64_t head_bytes, head_capacity;
    qn_link_keys head;
    bool has_cut;                 /* the head is complete */
    uint64_t key_count;           /* that were put by now */
    uint64_t first_key, last_key; /* of these */
    uint64_t copy_count;          /* of the head's last key */
    bool has_head_of_hub;         /* the head was kept: a chunk of hub … */
    uint32_t head_hub;
    qn_link_page_draft draft;
    uint64_t link_count, vertex_count, page_count;
    uint32_t first_vertex; /* of vertex_count that follow each other */
    uint32_t tail_hub;     /* the hub in which the pages end, without it itself, */
    uint64_t tail_count;   /* and how many chunks of it they have; 0: none */
    qn_spill spill;
    qn_run_writer writer;
    bool writing;
    qn_run run;
    bool has_run;
    uint8_t *largest; /* [largest_bytes]: where a page of the run is aligned */
    uint64_t largest_bytes;
} qn_link_pages;

/* QUERN_ERROR_NO_MEMORY, here and below. */
quern_status qn_link_pages_init(qn_link_pages *pages, const qn_link_pages_config *config, qn_error *error);
void qn_link_pages_fini(qn_link_pages *pages); /* takes a zeroed one */

/* Keys in ascending order, behind those before; weights: NULL without. QUERN_ERROR_SCRATCH. */
quern_status qn_link_pages_put(qn_link_pages *pages, uint64_t key, double weight, qn_error *error);
/* All own keys are there. keeps: the head begins a unit, and is this rank's; else it is somebody else's, and is dropped. QUERN_ERROR_SCRATCH. */
quern_status qn_link_pages_settle_head(qn_link_pages *pages, bool keeps, qn_error *error);
/* No more keys. QUERN_ERROR_SCRATCH. */
quern_status qn_link_pages_finish(qn_link_pages *pages, qn_error *error);

/* Goes over the pages, from the first to the last; one at a time. */
typedef struct qn_link_reader {
    qn_link_pages *pages;
    const uint8_t *at, *end; /* in memory */
    int stretch;             /* which of the stretches of memory: 0 the head's, 1 the other; 2: the run */
    qn_run_reader run;
} qn_link_reader;

void qn_link_reader_open(qn_link_reader *reader, qn_link_pages *pages);
/* *page_out lives until the next call; NULL at the end. QUERN_ERROR_CORRUPT, QUERN_ERROR_SCRATCH. */
quern_status qn_link_reader_next(qn_link_reader *reader, const qn_link_page **page_out, qn_error *error);
void qn_link_reader_close(qn_link_reader *reader); /* takes a zeroed one */

/* What a page has behind its begin. */
static inline const uint32_t *qn_link_page_counts(const qn_link_page *page)
{
    return (const uint32_t *)(page + 1);
}

static inline const uint32_t *qn_link_page_sources(const qn_link_page *page)
{
    return qn_link_page_counts(page) + (page->is_hub ? 0 : page->vertex_count);
}

static inline const double *qn_link_page_weights(const qn_link_page *page)
{
    const uint8_t *end = (const uint8_t *)page + page->bytes;
    return (const double *)end - page->link_count;
}

#endif
