/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/link_sums.h: what comes to vertices by their links: loops over columns.
 *
 * The order of additions is a function of the links of a vertex, or of a chunk of a hub's, alone: every other one into one of two sums, which are
 * added in the end. One sum would wait for itself; and where vertices have few links more sums are no gain.
 */
#ifndef QN_DATA_LINK_SUMS_H
#define QN_DATA_LINK_SUMS_H

#include <quern/links.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn_link_rule {
    quern_reduction combine; /* SUM, MIN or MAX */
    quern_weight weight;
} qn_link_rule;

/* Where nothing came. */
double qn_link_nothing(quern_reduction combine);
double qn_link_combine(quern_reduction combine, double left, double right);

/* counts[vertex_count]: links of each vertex, whose sources follow each other. sent: of all vertices; weights: of the links, or NULL without. */
void qn_link_sums(const qn_link_rule *rule, const double *sent, const uint32_t *counts, size_t vertex_count,
                  const uint32_t *sources, const double *weights, double *come_out);

#endif
