/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/link_run.h: the stage in which values flow along links (quern/links.h).
 *
 * What comes in was made by ordinary stages: the vertices with their numbers (side 0), and the links by their numbers in the order of their keys
 * (runtime/data/link_key.h; side 1). Each rank has a stretch of both, which have nothing to do with each other: of the vertices
 * that it owns, those whose links it has, it does not know the names, and of those whose names it has it does not know the links.
 *
 *     leg 0 ── notes into columns ──┐
 *     leg 1 ── pages of links ──────┴── load: heads and tails, columns to owners ── steps ── values to those who have names ── store
 *
 * Two columns of all vertices are there once on each node. In each step one has what was sent, and each rank writes what its own vertices
 * send next into the other; in one collective call they then tell each other that they are through, with what failed.
 * Of a hub whose links are on several ranks, those who do not own it write the sums of their chunks into slots; the owner
 * is called for it when it has them.
 *
 * Totals are sums of sums of units, which are the same for any number of ranks, in accumulators that do not know an order.
 */
#ifndef QN_ENGINE_LINK_RUN_H
#define QN_ENGINE_LINK_RUN_H

#include "runtime/comm/shared.h"
#include "runtime/data/binned_sum.h"
#include "runtime/data/link_pages.h"
#include "runtime/data/link_sums.h"
#include "runtime/engine/stage_run.h"

#define QN_LINK_STORE_PART 4 /* of the stage's share, which the store of values has */
#define QN_LINK_BATCH_MAX  (QN_LINK_PAGE_VERTICES + QN_LINK_BLOCK_VERTICES)

/* Of a rank, told to all. */
typedef struct qn_link_stretch {
    uint64_t key_count, first_key, last_key; /* as they came */
    uint64_t head_count;                     /* of these; all of them if there is no cut */
    uint64_t vertex_count;                   /* when heads were moved: that it owns */
    uint64_t tail_hub, tail_count;           /* as in link_pages.h */
    uint64_t name_count;                     /* of vertices whose names it has */
} qn_link_stretch;

typedef struct qn_link_run {
    qn_engine *engine;
    const qn_node *node;
    const quern_vertex_program *program; /* of the node */
    qn_link_rule rule;
    uint64_t memory_bytes_max;
    uint64_t all_vertices;
    qn_shared columns;          /* two of all vertices */
    qn_shared told;             /* accumulators of totals, twice; and slots */
    qn_link_stretch *stretches; /* [size] */
    uint64_t *begins;           /* [4][size + 1]: of own vertices, of names, of totals, of slots; in bytes */
    qn_link_pages pages;
    uint64_t name_count, first_name;
    uint64_t *links; /* [pages.vertex_count] of own vertices: out of each; [own_bytes] with what is behind it: */
    double *values;  /* the same; the values */
    uint64_t own_bytes;
    bool has_far_hub; /* the first hub of the pages has chunks on ranks before */
    double *chunks;   /* [chunk_capacity]: sums of those of it that are here */
    size_t chunk_count, chunk_capacity;
    uint64_t step;
    double *come; /* [QN_LINK_BATCH_MAX], and so the columns of totals behind it */
    double *totals[QUERN_TOTAL_COUNT_MAX];
    double totals_before[QUERN_TOTAL_COUNT_MAX];
    uint64_t sums[QUERN_TOTAL_COUNT_MAX][QN_BINNED_SUM_WORDS];
    uint64_t failed_vertex; /* UINT64_MAX: none; then the reason is in failure */
    qn_error failure;
} qn_link_run;

/* A stage that ends in such a node: its legs, its steps, and its result, which is a store. Collective; the same outcome on all ranks. */
quern_status qn_link_stage_run(qn_stage_run *run, qn_result *result, const qn_memory_share *share, qn_error *error);
/* The end of its legs, as qn_chain_end_fn. */
quern_status qn_link_stage_end(void *user, const qn_batch *batch, qn_error *error);

/* QUERN_ERROR_BUDGET: the columns take so many bytes of this rank's memory. */
quern_status qn_link_too_little(const qn_link_run *run, uint64_t need_bytes, qn_error *error);

/* When all keys are there: brings them to units, and columns to owners. Collective; the same outcome on all ranks. */
quern_status qn_link_load(qn_link_run *run, qn_error *error);
/* All steps. Collective; the same outcome on all ranks. QUERN_ERROR_CALLBACK, QUERN_ERROR_CHECK, those of reading pages. */
quern_status qn_link_steps(qn_link_run *run, const qn_stage_run *stage, qn_error *error);

/* Begins of stretches. */
static inline uint64_t *qn_link_begins(const qn_link_run *run, uint32_t which)
{
    return run->begins + (size_t)which * (run->engine->comm->size + 1);
}

enum { QN_LINK_OWNERS, QN_LINK_NAMES, QN_LINK_TOTALS, QN_LINK_SLOTS, QN_LINK_BEGINS_COUNT };

/* A column of all vertices: number 0 or 1. */
static inline double *qn_link_column(const qn_link_run *run, uint64_t number)
{
    return (double *)(void *)run->columns.data + (number & 1) * run->all_vertices;
}

/* Whether callbacks keep what they promise: calls for the batch in two parts and as a whole, and compares. As qn_vertices_fn, but QUERN_ERROR_CHECK. */
int qn_link_check(qn_link_run *run, const quern_vertices *some, qn_error *error);

#endif
