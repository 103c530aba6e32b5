/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/plan/graph.h: what the user asked for: datasets, the operators between them, and outputs.
 *
 * A node is an operator and the dataset it makes. Nodes are made once and never change; they live in the graph's arena until
 * the context ends. Outputs are asked for one run.
 */
#ifndef QN_PLAN_GRAPH_H
#define QN_PLAN_GRAPH_H

#include <quern/bad_records.h>
#include <quern/links.h>
#include <quern/operators.h>
#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"
#include "runtime/data/array_form.h"
#include "runtime/data/array_output.h"
#include "runtime/data/bins.h"
#include "runtime/data/collation.h"
#include "runtime/data/memory_arrays.h"
#include "runtime/data/record_format.h"
#include "runtime/data/record_layout.h"
#include "runtime/data/reducer.h"
#include "runtime/data/text_form.h"

typedef enum qn_node_kind {
    QN_NODE_TEXT,
    QN_NODE_FIXED,
    QN_NODE_HDF5,
    QN_NODE_SEQUENCES,
    QN_NODE_ROWS,
    QN_NODE_FILES,
    QN_NODE_MEMORY,
    QN_NODE_MAP,
    QN_NODE_FLAT_MAP,
    QN_NODE_FILTER,
    QN_NODE_MAP_BLOCK,
    QN_NODE_FLAT_MAP_BLOCK,
    QN_NODE_FILTER_BLOCK,
    QN_NODE_KEYS,
    QN_NODE_KEY_BY,
    QN_NODE_VALUE_AS_KEY,
    QN_NODE_SAMPLE,
    QN_NODE_BIN,
    QN_NODE_GROUP, /* this one and the next three read what is collated, group by group */
    QN_NODE_TOP_OF_KEY,
    QN_NODE_COGROUP,
    QN_NODE_JOIN,
    QN_NODE_UNION,
    QN_NODE_REDUCE,
    QN_NODE_COLLATE,
    QN_NODE_STORE,      /* as they come, in parts, where they are */
    QN_NODE_ZIP,        /* behind a store, as all that need places */
    QN_NODE_PREFIX_SUM, /* the same */
    QN_NODE_QUANTILES,  /* the same */
    QN_NODE_LINKS,      /* reads numbered vertices, and links in order (runtime/data/link_key.h) */
} qn_node_kind;

#define QN_DELIMITER_COUNT_MAX 16

typedef struct qn_node qn_node;

/* How many bad records of a source there may be, and what becomes of them. */
typedef struct qn_bad_limit {
    quern_bad_policy policy;
    uint64_t count_max; /* of SKIP and QUARANTINE; else 0 */
} qn_bad_limit;

typedef struct qn_text_input {
    const char **paths; /* [path_count] */
    size_t path_count;
    char delimiters[QN_DELIMITER_COUNT_MAX];
    size_t delimiter_count;
    bool skip_empty;
    bool as_stored;   /* whatever the files may be packed as */
    bool is_on_nodes; /* each node has files of its own below the paths, and all are read */
    quern_text_value value;
} qn_text_input;

/* How the two inputs of a join may come together other than by sorting: one of them, the built side, as a table on every node. */
typedef struct qn_join_choice {
    quern_join_strategy strategy;
    quern_join_outer outer;
    qn_node *stored[2]; /* of the left and the right input, where that side may be the built one; else NULL */
} qn_join_choice;

#define QN_BUILD_NONE  0
#define QN_BUILD_LEFT  1
#define QN_BUILD_RIGHT 2

/* How a collated result is ordered and divided among ranks. */
typedef struct qn_collate {
    qn_collation_kind kind;
    bool descending, values_descending;
    bool divides_keys; /* records of one key may be on several ranks; of two inputs the outer one's */
    qn_compare_fn compare_keys, compare_values;
    void *user;
} qn_collate;

#define QN_BOUND_COUNT_MAX    65536 /* of one histogram */
#define QN_SAMPLE_WHOLE       (UINT64_C(1) << 53)
#define QN_QUANTILE_COUNT_MAX 4096

typedef struct qn_quantile {
    double fraction;
    uint64_t number; /* in the user's list */
} qn_quantile;

typedef struct qn_quantiles {
    const qn_quantile *items; /* [count], by fraction and number; in the graph's arena */
    size_t count;
} qn_quantiles;

typedef struct qn_sample {
    uint64_t kept; /* of QN_SAMPLE_WHOLE equally likely outcomes */
    uint64_t seed;
} qn_sample;

struct qn_node {
    qn_node_kind kind;
    uint32_t number;      /* in the order of making, from 0: the same on all ranks */
    const char *name;     /* of the user's, or the operator's */
    const qn_node *input; /* NULL for sources */
    const qn_node *other; /* the second input: of a union, a join, a cogroup */
    quern_schema schema;  /* of the dataset */
    union {
        quern_map_fn map;
        quern_flat_map_fn flat_map;
        quern_filter_fn filter;
        quern_flat_map_block_fn flat_map_block;
        quern_filter_block_fn filter_block;
        quern_group_fn group;
        quern_cogroup_fn cogroup;
        quern_join_fn join;
        quern_key_fn key;
        quern_zip_fn zip; /* NULL: the index becomes the value */
    } fn;
    void *user;
    qn_reducer reducer; /* QN_NODE_REDUCE */
    qn_text_input text; /* QN_NODE_TEXT; other sources: the paths alone */
    qn_bad_limit bad;   /* of sources, as asked for; changes until a run */
    union {
        qn_collate collate;         /* QN_NODE_COLLATE */
        quern_join_type join_type;  /* QN_NODE_JOIN */
        uint64_t k;                 /* QN_NODE_TOP_OF_KEY */
        qn_record_layout layout;    /* QN_NODE_FIXED */
        const qn_array_form *array; /* QN_NODE_HDF5; in the graph's arena */
        qn_record_format records;   /* QN_NODE_SEQUENCES, ROWS, FILES */
        qn_memory_arrays *arrays;   /* QN_NODE_MEMORY; in the graph's arena. They change between runs */
        qn_sample sample;           /* QN_NODE_SAMPLE */
        qn_bins bins;               /* QN_NODE_BIN */
        qn_quantiles quantiles;     /* QN_NODE_QUANTILES */
        /* QN_NODE_FLAT_MAP_BLOCK, whose callback is `take`; in the graph's arena. NULL: it knows blocks alone */
        const quern_stretch_operator *stretch;
        const quern_vertex_program *program; /* QN_NODE_LINKS; in the graph's arena */
    } of;
    qn_join_choice join; /* QN_NODE_COLLATE, of a join */
    qn_node *next_join;
    int build; /* … the side of which a table is to be tried: QN_BUILD_…; chosen before each run, alike on all ranks */
    uint32_t outer_side;  /* … if it is sorted, which input is streamed past the other one: chosen at the same time */
    bool is_cached;       /* of a node that makes a result: it is to outlive its run */
    bool is_made;         /* … and does: the engine has it. The two change between runs, alike on all ranks */
    uint64_t made_digest; /* of all that went into what the engine has; 0: not known. The checkpoint's, on rank 0 */
    qn_node *next_cached;
    bool
        is_weighed; /* it was a part of a joined side while it was cached, and was then taken for so many bytes: it stays so */
    uint64_t weight_bytes;
    /* Of a cached node that a run sorted to join it, and that is still there: its sorted form, a collated node of its own, which the next
     * join makes and keeps. NULL: not yet. */
    qn_node *sorted;
    /* Of the sorted form, when it was made: */
    bool has_hot_key; /* one key has so much that a join had better divide it */
    bool is_uneven;   /* its cuts would give other records to few ranks: it is not kept */
};

typedef enum qn_sink_kind {
    QN_SINK_TEXT,
    QN_SINK_FIXED,
    QN_SINK_TOP_K,
    QN_SINK_COLLECT,
    QN_SINK_HDF5,
} qn_sink_kind;

#define QN_SINK_KIND_COUNT 5

typedef struct qn_sink qn_sink;
struct qn_sink {
    qn_sink_kind kind;
    const qn_node *input;
    const char *directory; /* of part files; NULL for the others */
    const char *path;      /* HDF5, of one file that is not in the directory, which is then to be removed; else NULL */
    qn_text_form text;     /* TEXT */
    quern_compression compression;
    int level;
    bool one_file;
    quern_archive archive;        /* then one_file, too */
    const qn_array_output *array; /* HDF5; in the graph's arena */
    uint64_t k;                   /* TOP_K */
    quern_collect_to collect_to;  /* COLLECT */
    quern_each_fn each;
    void *user;
    qn_sink *next; /* in the order of asking */
};

/* Whether it writes part files. */
static inline bool qn_sink_is_of_files(const qn_sink *sink)
{
    return sink->kind == QN_SINK_TEXT || sink->kind == QN_SINK_FIXED || sink->kind == QN_SINK_HDF5;
}

typedef struct qn_graph {
    qn_arena arena;
    qn_arena sink_arena; /* of the outputs of one run: a program that runs for long asks for many */
    uint32_t node_count;
    qn_sink *sinks;
    qn_node *cached;        /* all that are */
    bool reads_memory;      /* of its ranks: some source does */
    qn_node *joins;         /* what is collated for joins */
    const qn_node *wanted;  /* a cached node to be made in the next run, read by an output or not; NULL: none */
    const char *node_local; /* paths, divided by colons, below which inputs are on nodes; borrowed; NULL: none */
    uint64_t digest;        /* of everything asked for: differs if two ranks build different graphs */
} qn_graph;

/* Whether a stage ends in the node: what it makes is kept, and read by later stages. */
static inline bool qn_node_makes_result(const qn_node *node)
{
    return node->kind == QN_NODE_REDUCE || node->kind == QN_NODE_COLLATE || node->kind == QN_NODE_STORE ||
           node->kind == QN_NODE_LINKS;
}

/* Whether the node collates two inputs for a join. */
static inline bool qn_node_is_joined(const qn_node *node)
{
    return node->kind == QN_NODE_COLLATE && node->other && node->of.collate.divides_keys;
}

/* Whether the node reads a collated result group by group: it is then the first operator of its leg. */
static inline bool qn_node_is_grouping(const qn_node *node)
{
    return node->kind >= QN_NODE_GROUP && node->kind <= QN_NODE_JOIN;
}

/* Whether a leg of a stage can begin with the node. */
static inline bool qn_node_is_source(const qn_node *node)
{
    return node->kind <= QN_NODE_MEMORY || qn_node_makes_result(node);
}

/* Whether the operator has to know how many records, or what sum of them, there are before a part of its input. */
static inline bool qn_node_needs_places(const qn_node *node)
{
    return node->kind == QN_NODE_ZIP || node->kind == QN_NODE_PREFIX_SUM || node->kind == QN_NODE_QUANTILES;
}

/* Whether it gives what it gives at the end of a stretch. */
static inline bool qn_node_has_stretches(const qn_node *node)
{
    return node->kind == QN_NODE_FLAT_MAP_BLOCK && node->of.stretch;
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
/* A source of records of one length: copies. options: of this version's size. */
qn_node *qn_graph_add_fixed(qn_graph *graph, const char *const *paths, size_t path_count,
                            const quern_fixed_options *options, qn_error *error);
/* A source of datasets of HDF5 files: copies. options: of this version's size. */
qn_node *qn_graph_add_hdf5(qn_graph *graph, const char *const *paths, size_t path_count,
                           const quern_hdf5_options *options, qn_error *error);
/* A source of sequences: copies. options: of this version's size; NULL is all defaults. */
qn_node *qn_graph_add_sequences(qn_graph *graph, const char *const *paths, size_t path_count,
                                const quern_sequence_options *options, qn_error *error);
/* A source of rows: the same. */
qn_node *qn_graph_add_rows(qn_graph *graph, const char *const *paths, size_t path_count,
                           const quern_csv_options *options, qn_error *error);
/* A source of whole files: the same. */
qn_node *qn_graph_add_files(qn_graph *graph, const char *const *paths, size_t path_count,
                            const quern_file_options *options, qn_error *error);
/* A source of arrays of this rank, which are copied, not what they point to. */
qn_node *qn_graph_add_memory(qn_graph *graph, const quern_schema *schema, const quern_memory_array *arrays,
                             size_t array_count, qn_error *error);
/* Other arrays for such a node. A failure leaves the old ones. */
quern_status qn_graph_renew_memory(qn_graph *graph, const qn_node *node, const quern_memory_array *arrays,
                                   size_t array_count, qn_error *error);
/* Any number of records from stretches: copies. callbacks: of this version's size. */
qn_node *qn_graph_add_stretch(qn_graph *graph, const qn_node *input, quern_schema schema,
                              const quern_stretch_operator *callbacks, void *user, qn_error *error);
/* The records that a share of all outcomes keeps: fraction is 0 to 1. */
qn_node *qn_graph_add_sample(qn_graph *graph, const qn_node *input, double fraction, uint64_t seed, qn_error *error);
/* Each value's bin as a key without a value: copies. */
qn_node *qn_graph_add_bin(qn_graph *graph, const qn_node *input, const double *bounds, size_t bound_count,
                          qn_error *error);
/* A reduction by a built-in. */
qn_node *qn_graph_add_reduce(qn_graph *graph, const qn_node *input, quern_reduction reduction, qn_error *error);
/* One by callbacks of the user's. schema: of what it makes; of an aggregation, of its accumulators. */
qn_node *qn_graph_add_reduce_with(qn_graph *graph, const qn_node *input, const qn_reducer *reducer,
                                  const quern_schema *schema, qn_error *error);
/* The records of both inputs, which are of one schema. */
qn_node *qn_graph_add_union(qn_graph *graph, const qn_node *input, const qn_node *other, qn_error *error);
/* Of records in order, those at some fractions of their number: the key, and the number of the fraction. */
qn_node *qn_graph_add_quantiles(qn_graph *graph, qn_node *sorted, const double *fractions, size_t count,
                                qn_error *error);
/* All records in an order; with `other` (NULL: none) those of two inputs, whose keys are of one type. */
qn_node *qn_graph_add_collate(qn_graph *graph, const qn_node *input, const qn_node *other, const qn_collate *collate,
                              qn_error *error);
/* The records of two inputs for a join: in an order, or, where the type and the strategy allow, one of them as a table.
 * QUERN_ERROR_INVALID_PLAN also for a strategy that the type does not allow. */
qn_node *qn_graph_add_join_input(qn_graph *graph, const qn_node *left, const qn_node *right, quern_join_type type,
                                 quern_join_strategy strategy, quern_join_outer outer, qn_error *error);
/* A node whose result can be cached: the input itself if it is a reduction or a store, else a store of it. */
qn_node *qn_graph_add_store(qn_graph *graph, qn_node *input, qn_error *error);
/* Each record with its place in the order of the input, or with the sum of the values up to it; stores the input if needed. fn NULL: the
 * index becomes the value. */
qn_node *qn_graph_add_zip(qn_graph *graph, qn_node *input, const quern_schema *schema, quern_zip_fn fn, void *user,
                          qn_error *error);
qn_node *qn_graph_add_prefix_sum(qn_graph *graph, qn_node *input, qn_error *error);
/* Whether a program can be run; and with these datasets (initial NULL: there is none): then *vertex_out has the type of vertices as that of its keys.
 * QUERN_ERROR_INVALID_ARGUMENT, QUERN_ERROR_INVALID_PLAN. */
bool qn_graph_check_vertex_program(const quern_vertex_program *program, qn_error *error);
bool qn_graph_check_links(const qn_node *links, const qn_node *initial, const quern_vertex_program *program,
                          quern_schema *vertex_out, qn_error *error);
/* Values of vertices, of notes on them and of the keys of links in order (runtime/data/link_key.h): copies the program. */
qn_node *qn_graph_add_links(qn_graph *graph, const qn_node *numbered, const qn_node *sorted,
                            const quern_vertex_program *program, void *user, qn_error *error);
/* The result of a node is to outlive its run from now on, or no longer. */
void qn_graph_cache(qn_graph *graph, qn_node *node);
void qn_graph_uncache(qn_graph *graph, qn_node *node);
/* A cached node's sorted form is worth keeping: gives it one, unless it has it. */
quern_status qn_graph_want_sorted(qn_graph *graph, qn_node *node, qn_error *error);
quern_status qn_graph_add_sink(qn_graph *graph, const qn_sink *draft, qn_error *error);
/* A sink that writes HDF5: copies. options: of this version's size, their filters checked (runtime/io/hdf5_filters.h). QUERN_ERROR_INVALID_ARGUMENT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_graph_add_hdf5_sink(qn_graph *graph, const qn_node *input, const char *path,
                                    const quern_hdf5_write_options *options, qn_error *error);
/* Copies the paths of a source. */
bool qn_graph_copy_paths(qn_graph *graph, const char *const *paths, size_t path_count, qn_text_input *into,
                         qn_error *error);
/* What a node is made with belongs to what must be the same on all ranks. */
void qn_graph_note_bytes(qn_graph *graph, const void *data, size_t bytes);
/* A counter belongs to what must be the same on all ranks. */
void qn_graph_note_counter(qn_graph *graph, const char *name);
/* Something else that must be the same on all ranks. */
void qn_graph_note(qn_graph *graph, const char *text);
/* After a run: what was asked for is done. */
void qn_graph_forget_sinks(qn_graph *graph);

#endif
