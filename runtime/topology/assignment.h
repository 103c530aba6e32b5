/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/assignment.h: the best core for every rank, as a pure function of a tree and of sets.
 *
 * The cores are the leaves of a tree of groups (core, NUMA node, package, machine). The load of a node is the number
 * of ranks below it. The best assignment has the smallest sum of squared loads over the cores; among those, the
 * smallest over the next important groups; and so on. The first term holds a maximum matching and the
 * most even sharing, the later terms the spreading.
 */
#ifndef QN_TOPOLOGY_ASSIGNMENT_H
#define QN_TOPOLOGY_ASSIGNMENT_H

#include <stdint.h>

#include "runtime/base/status.h"

#define QN_ASSIGNMENT_NONE           UINT32_MAX
#define QN_ASSIGNMENT_RANK_COUNT_MAX 65536 /* with as many nodes, costs stay far below 2^63 */
#define QN_ASSIGNMENT_NODE_COUNT_MAX 262144
#define QN_ASSIGNMENT_PRIORITY_MAX   2

typedef struct qn_assignment_tree {
    uint32_t core_count;     /* nodes 0 .. core_count - 1 are the cores, at least one */
    uint32_t node_count;     /* the last node is the root */
    const uint32_t *parents; /* [node_count]; greater than the child; unused for the root */
    const uint8_t
        *priorities; /* [node_count], 0 .. QN_ASSIGNMENT_PRIORITY_MAX, highest counts first; unused for the root */
} qn_assignment_tree;

static inline uint32_t qn_assignment_word_count(uint32_t core_count)
{
    return (core_count + 63) / 64;
}

/* Gives every rank a core of its set, or QN_ASSIGNMENT_NONE where the set is empty. Local, any thread, deterministic.
 * may_use: [rank_count][qn_assignment_word_count] bits, one per core. cores_out: [rank_count].
 * loads_out: [core_count], ranks per core. QUERN_ERROR_NO_MEMORY is the only failure. */
quern_status qn_assignment_solve(const qn_assignment_tree *tree, uint32_t rank_count, const uint64_t *may_use,
                                 uint32_t *cores_out, uint32_t *loads_out, qn_error *error);

#endif
