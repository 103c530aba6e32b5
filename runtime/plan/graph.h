/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/plan/graph.h: what the user asked for: datasets, the operators between them, and outputs.
 *
 * A node is an operator and the dataset it makes. Nodes are made once and never change; they live in the graph's arena until
 * the context ends. Outputs are asked for one run.
 */
#ifndef QN_PLAN_GRAPH_H
#define QN_PLAN_GRAPH_H

#include <quern/operators.h>
#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"
#include "runtime/data/reducer.h"

typedef enum qn_node_kind {
    QN_NODE_TEXT,
    QN_NODE_MAP,
    QN_NODE_FLAT_MAP,
    QN_NODE_FILTER,
    QN_NODE_MAP_BLOCK,
    QN_NODE_FLAT_MAP_BLOCK,
    QN_NODE_FILTER_BLOCK,
    QN_NODE_KEYS,
    QN_NODE_UNION,
    QN_NODE_REDUCE,
    QN_NODE_STORE,      /* as they come, in parts, where they are */
    QN_NODE_ZIP,        /* behind a store, as all that need places */
    QN_NODE_PREFIX_SUM, /* the same */
} qn_node_kind;

#define QN_DELIMITER_COUNT_MAX 16

typedef struct qn_text_input {
    const char **paths; /* [path_count] */
    size_t path_count;
    char delimiters[QN_DELIMITER_COUNT_MAX];
    size_t delimiter_count;
    bool skip_empty;
} qn_text_input;

typedef struct qn_node qn_node;
struct qn_node {
    qn_node_kind kind;
    uint32_t number;      /* in the order of making, from 0: the same on all ranks */
    const char *name;     /* of the user's, or the operator's */
    const qn_node *input; /* NULL for sources */
    const qn_node *other; /* the second input, of a union */
    quern_schema schema;  /* of the dataset */
    union {
        quern_map_fn map;
        quern_flat_map_fn flat_map;
        quern_filter_fn filter;
        quern_flat_map_block_fn flat_map_block;
        quern_filter_block_fn filter_block;
        quern_zip_fn zip; /* NULL: the index becomes the value */
    } fn;
    void *user;
    qn_reducer reducer; /* QN_NODE_REDUCE */
    qn_text_input text; /* QN_NODE_TEXT */
    bool is_cached;     /* of a node that makes a result: it is to outlive its run */
    bool is_made;       /* … and does: the engine has it. The two change between runs, alike on all ranks */
    qn_node *next_cached;
};

typedef enum qn_sink_kind {
    QN_SINK_TEXT,
    QN_SINK_TOP_K,
    QN_SINK_COLLECT,
} qn_sink_kind;

#define QN_SINK_KIND_COUNT 3

typedef struct qn_sink qn_sink;
struct qn_sink {
    qn_sink_kind kind;
    const qn_node *input;
    const char *directory;       /* TEXT */
    uint64_t k;                  /* TOP_K */
    quern_collect_to collect_to; /* COLLECT */
    quern_each_fn each;
    void *user;
    qn_sink *next; /* in the order of asking */
};

typedef struct qn_graph {
    qn_arena arena;
    uint32_t node_count;
    qn_sink *sinks;
    qn_node *cached;       /* all that are */
    const qn_node *wanted; /* a cached node to be made in the next run, read by an output or not; NULL: none */
    uint64_t digest;       /* of everything asked for: differs if two ranks build different graphs */
} qn_graph;

/* Whether a stage ends in the node: what it makes is kept, and read by later stages. */
static inline bool qn_node_makes_result(const qn_node *node)
{
    return node->kind == QN_NODE_REDUCE || node->kind == QN_NODE_STORE;
}

/* Whether a leg of a stage can begin with the node. */
static inline bool qn_node_is_source(const qn_node *node)
{
    return node->kind == QN_NODE_TEXT || qn_node_makes_result(node);
}

/* Whether the operator has to know how many records, or what sum of them, there are before a part of its input. */
static inline bool qn_node_needs_places(const qn_node *node)
{
    return node->kind == QN_NODE_ZIP || node->kind == QN_NODE_PREFIX_SUM;
}

/* "map", and so on: a node's name unless the user gave one. Static. */
const char *qn_node_kind_name(qn_node_kind kind);

void qn_graph_init(qn_graph *graph);
void qn_graph_fini(qn_graph *graph);

/* A node with the fields of `draft`, numbered and named by its operator; NULL (error set) if it does not fit its input. */
qn_node *qn_graph_add_node(qn_graph *graph, const qn_node *draft, qn_error *error);
/* A text source: copies. options: of this version's size; NULL is all defaults. */
qn_node *qn_graph_add_text(qn_graph *graph, const char *const *paths, size_t path_count,
                           const quern_text_options *options, qn_error *error);
/* A reduction by a built-in (fn NULL) or the user's fn. */
qn_node *qn_graph_add_reduce(qn_graph *graph, const qn_node *input, quern_reduction reduction,
                             int (*fn)(void *into, const void *value, void *user), void *user, qn_error *error);
/* An aggregation, not finished: values are its accumulators. aggregation: of this version's size, but for finish. */
qn_node *qn_graph_add_aggregate(qn_graph *graph, const qn_node *input, const quern_aggregation *aggregation, void *user,
                                qn_error *error);
/* The records of both inputs, which are of one schema. */
qn_node *qn_graph_add_union(qn_graph *graph, const qn_node *input, const qn_node *other, qn_error *error);
/* A node whose result can be cached: the input itself if it is a reduction or a store, else a store of it. */
qn_node *qn_graph_add_store(qn_graph *graph, qn_node *input, qn_error *error);
/* Each record with its place in the order of the input, or with the sum of the values up to it; stores the input if needed. fn NULL: the
 * index becomes the value. */
qn_node *qn_graph_add_zip(qn_graph *graph, qn_node *input, const quern_schema *schema, quern_zip_fn fn, void *user,
                          qn_error *error);
qn_node *qn_graph_add_prefix_sum(qn_graph *graph, qn_node *input, qn_error *error);
/* The result of a node is to outlive its run from now on, or no longer. */
void qn_graph_cache(qn_graph *graph, qn_node *node);
void qn_graph_uncache(qn_graph *graph, qn_node *node);
quern_status qn_graph_add_sink(qn_graph *graph, const qn_sink *draft, qn_error *error);
/* A counter belongs to what must be the same on all ranks. */
void qn_graph_note_counter(qn_graph *graph, const char *name);
/* Something else that must be the same on all ranks. */
void qn_graph_note(qn_graph *graph, const char *text);
/* After a run: what was asked for is done. */
void qn_graph_forget_sinks(qn_graph *graph);

#endif
