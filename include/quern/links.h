/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/links.h: values of vertices that flow along links, step after step: page rank, shortest paths, labels.
 *
 * A program is handed vertices by the column, some thousand at a time. In each step it is told what came to each of them by its links, makes
 * its new value of that, and says what goes along each of its links in the next step. So the time of a step is that of loops over arrays.
 *
 *     // For each i of some->count: value[i] = min(value[i], come[i]), send[i] = value[i].
 *     extern int take_nearer(const quern_vertices *some, void *user);
 *     quern_schema lengths = {QUERN_PAIR(QUERN_U64, QUERN_U64), QUERN_F64, 0, 0}, at_begin = {QUERN_U64, QUERN_F64, 0, 0};
 *     quern_dataset *roads = quern_read_memory(context, lengths, NULL, 0), *begin = quern_read_memory(context, at_begin, NULL, 0);
 *     quern_vertex_program nearest = {.struct_size = sizeof nearest, .combine = QUERN_MIN, .weight = QUERN_WEIGHT_ADD};
 *     nearest.step = take_nearer;
 *     nearest.value = 1e300; // of vertices that `begin` has not: far away
 *     nearest.step_count_max = 100;
 *     quern_dataset *distances = quern_iterate_links(roads, begin, &nearest, NULL);
 *     quern_write_text(distances, "distances");
 *
 * Order, and why results do not depend on the number of ranks. Vertices have numbers, by falling number of links out of them, then by a hash,
 * which the links alone decide. What comes to a vertex is combined in the order of its sources' numbers, that of vertices with very many links
 * by pieces of fixed size. So sums of doubles have the same bits for any number of ranks and any schedule. They are plain sums, each
 * rounded as it is added, and not those of QUERN_SUM.
 *
 * Limits. At most 2^31 - 2 vertices. Links are of any number: they are kept as numbers, 4 bytes each and 8 more with a weight, and what
 * does not fit the memory is in scratch and read in each step; the copies of one link, from and to the same vertices, are one rank's. Columns of vertices are in memory: 16 bytes a vertex once on each node, and 16
 * on one rank. Read next: docs/howto/graphs.md.
 */
#ifndef QUERN_LINKS_H
#define QUERN_LINKS_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUERN_TOTAL_COUNT_MAX 8

/* Some vertices in a step: columns are [count]. Which vertices come together, and in what order they are called for, has no meaning. */
typedef struct quern_vertices {
    size_t count;
    uint64_t step;         /* 0: nothing has come yet */
    uint64_t vertex_count; /* of all */
    uint64_t first;        /* the number of the first one, below vertex_count; the others follow */
    const uint64_t *links; /* out of each */
    const double
        *come; /* to each by its links, combined; where nothing came: 0 for sums, INFINITY for MIN, -INFINITY for MAX */
    double *value;         /* of each, kept from step to step; to be changed */
    double *send;          /* along each link of a vertex, in the next step; to be set for each vertex in each step */
    double *const *totals; /* [total_count][count]: what each vertex adds to the totals of this step; preset 0 */
    const double *totals_before; /* [total_count]: sums over all vertices of what the step before set; 0 in step 0 */
    size_t *failed;              /* the callback may say on which of them it failed; preset 0 */
} quern_vertices;

/* Returns 0, or anything else for failure: quern_fail_because() gives the reason. It handles each vertex for itself, reads nothing of the others, and
 * gives the same for the same. There is no second attempt: the message names operator, step and vertex. */
typedef int (*quern_vertices_fn)(const quern_vertices *some, void *user);

/* After each step, on every rank: sets *stop_out (preset 0) to 1 to end after it. By what it is given, and by what all ranks have alike. Returns 0, or
 * anything else for failure. */
typedef int (*quern_totals_fn)(uint64_t step, const double *totals, int *stop_out, void *user);

/* What a link's weight does to what is sent along it. */
typedef enum quern_weight {
    QUERN_WEIGHT_NONE = 0, /* nothing: links have none */
    QUERN_WEIGHT_ADD = 1,
    QUERN_WEIGHT_MULTIPLY = 2,
} quern_weight;

/* How to iterate. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_vertex_program {
    size_t struct_size; /* sizeof(quern_vertex_program); 0 is refused */
    quern_reduction
        combine; /* of what comes to a vertex: QUERN_SUM, QUERN_MIN or QUERN_MAX; the last two pass over NaN */
    quern_weight weight;
    int both_ways;           /* not 0: each link is there in the other direction, too */
    uint32_t total_count;    /* 0 … QUERN_TOTAL_COUNT_MAX */
    double value;            /* of each vertex before step 0 */
    uint64_t step_count_max; /* how often links are followed: step 0 is made before the first time, in any case */
    quern_vertices_fn step;
    quern_totals_fn until; /* NULL: all steps are made */
} quern_vertex_program;

/*
 * Records of each vertex and its value after the last step (QUERN_F64). links: records with the source as key and the target as value, both of
 * one type; or, for weights and otherwise, with the pair of both as key and as value the weight (QUERN_F64) or nothing. Each record is a
 * link: one that is there twice counts twice, one from a vertex to itself as others. A vertex is what a link begins or ends at, or
 * what `initial` has: records of vertices and their values before step 0 (QUERN_F64), of several of one vertex the least; NULL: none.
 * Keys are equal as quern/types.h says.
 *
 * Records come in the order of the numbers that vertices have. Totals are the sums, over all vertices, that QUERN_SUM gives of what blocks of
 * vertices add. The callbacks run within quern_run(), in this process even with the option isolate, on all ranks at the same time; with the option check batches
 * are called for twice and in parts. A rank that fails, or is lost, ends the stage as in others; a checkpoint has the links in order, and
 * steps are made anew from there.
 *
 * Local; lazy. Copies the program; user is borrowed until quern_run() returns. QUERN_ERROR_INVALID_PLAN: types of links or initial. QUERN_ERROR_INVALID_ARGUMENT:
 * struct_size, no step, another combine or weight, or too many totals. From quern_run(): QUERN_ERROR_BUDGET: the columns of vertices do not
 * fit, and it says what they need: raise memory or use more nodes. QUERN_ERROR_CALLBACK. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_iterate_links(quern_dataset *links, quern_dataset *initial,
                                             const quern_vertex_program *program, void *user);

#ifdef __cplusplus
}
#endif
#endif
