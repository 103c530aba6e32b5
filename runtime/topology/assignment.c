/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/assignment.c: ranks to cores by successive shortest augmenting paths.
 *
 * Intuition. Ranks are seated one after the other. A new rank takes a core of its set, or pushes a rank off one, which
 * takes another core of its own set, and so on: an augmenting path, which ends where the load grows by one.
 * Besides, a path may go through a group of the tree: the group's load stays, one core in it gains a rank, another
 * loses one. Of all paths the cheapest is taken. The costs are convex (squares), so seating each rank at the
 * least cost keeps the whole at the least cost: this is min-cost flow, and its first term alone is bipartite matching.
 *
 * Model. Nodes are numbered as in the tree, ranks after them. Adding a rank to a node of load n costs
 * weight * (2n + 1), taking one off pays weight * (2n - 1); changing seats costs nothing. Some steps have
 * negative cost, cycles never have, so labels are corrected until nothing improves (Bellman, Ford).
 *
 * Rejected: plain matching, then moves that even out the groups. A move that helps may need another first
 * that does not, so it ends in local optima.
 *
 * Invariants: after each rank the assignment is the best for those seated so far; ties go to the path
 * found first, hence to no push and to the lower core.
 */
#include "runtime/topology/assignment.h"
#include "runtime/base/assert.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define UNREACHED INT64_MAX

typedef struct search {
    const qn_assignment_tree *tree;
    const uint64_t *may_use;
    uint32_t word_count;
    uint32_t *cores;                                 /* [ranks]: the assignment so far */
    uint32_t *twins;                                 /* [ranks]: the first rank of the same set */
    int64_t *expanded;                               /* [ranks]: by twin, the least distance it was expanded from */
    uint32_t *loads;                                 /* [nodes] */
    int64_t *distances;                              /* [nodes] */
    uint32_t *via;                                   /* [nodes]: the node or rank before it on the path */
    uint64_t *positive;                              /* bits: cores whose distance is above 0 */
    int64_t weights[QN_ASSIGNMENT_PRIORITY_MAX + 1]; /* by priority */
} search;

static const uint64_t *set_of(const search *s, uint32_t rank)
{
    return s->may_use + (size_t)rank * s->word_count;
}

/* All that lower priorities can change along two paths stays below one unit of the higher. */
static void set_weights(search *s, uint32_t rank_count)
{
    int64_t ratio = 4 * (int64_t)rank_count + 2 * (int64_t)s->tree->node_count + 1;
    s->weights[0] = 1;
    for (int priority = 1; priority <= QN_ASSIGNMENT_PRIORITY_MAX; priority++)
        s->weights[priority] = s->weights[priority - 1] * ratio;
}

/* Ranks of one set reach the same cores: a search needs to expand one of them only. */
static void find_twins(search *s, uint32_t rank_count)
{
    size_t set_bytes = s->word_count * sizeof(uint64_t);
    for (uint32_t rank = 0; rank < rank_count; rank++) {
        uint32_t twin =
            rank > 0 && memcmp(set_of(s, rank), set_of(s, rank - 1), set_bytes) == 0 ? s->twins[rank - 1] : 0;
        while (memcmp(set_of(s, rank), set_of(s, twin), set_bytes) != 0)
            twin++;
        s->twins[rank] = twin;
    }
}

static void search_fini(search *s)
{
    free(s->cores);
    free(s->twins);
    free(s->expanded);
    free(s->loads);
    free(s->distances);
    free(s->via);
    free(s->positive);
}

static bool search_init(search *s, const qn_assignment_tree *tree, uint32_t rank_count, const uint64_t *may_use)
{
    uint32_t word_count = qn_assignment_word_count(tree->core_count);
    *s = (search){.tree = tree, .may_use = may_use, .word_count = word_count};
    s->cores = calloc(rank_count, sizeof *s->cores);
    s->twins = calloc(rank_count, sizeof *s->twins);
    s->expanded = calloc(rank_count, sizeof *s->expanded);
    s->loads = calloc(tree->node_count, sizeof *s->loads);
    s->distances = calloc(tree->node_count, sizeof *s->distances);
    s->via = calloc(tree->node_count, sizeof *s->via);
    s->positive = calloc(word_count, sizeof *s->positive);
    if (!s->cores || !s->twins || !s->expanded || !s->loads || !s->distances || !s->via || !s->positive) {
        search_fini(s);
        return false;
    }
    set_weights(s, rank_count);
    find_twins(s, rank_count);
    return true;
}

static bool relax(search *s, uint32_t node, int64_t distance, uint32_t via)
{
    if (distance >= s->distances[node])
        return false;
    s->distances[node] = distance;
    s->via[node] = via;
    if (node < s->tree->core_count && distance <= 0)
        s->positive[node / 64] &= ~(UINT64_C(1) << (node % 64));
    return true;
}

/* From a rank to every core of its set. */
static bool expand_rank(search *s, uint32_t rank, int64_t distance)
{
    bool improved = false;
    s->expanded[s->twins[rank]] = distance;
    for (uint32_t word = 0; word < s->word_count; word++) {
        uint64_t bits = set_of(s, rank)[word];
        if (distance >= 0)
            bits &= s->positive[word];
        for (; bits; bits &= bits - 1) {
            uint32_t core = word * 64 + (uint32_t)__builtin_ctzll(bits);
            improved |= relax(s, core, distance, s->tree->node_count + rank);
        }
    }
    return improved;
}

/* From every core that was reached to the ranks on it, and on to where they could go instead. */
static bool expand_seated(search *s, uint32_t seated_count)
{
    bool improved = false;
    for (uint32_t rank = 0; rank < seated_count; rank++) {
        uint32_t core = s->cores[rank];
        if (core == QN_ASSIGNMENT_NONE)
            continue;
        int64_t distance = s->distances[core];
        if (distance < s->expanded[s->twins[rank]])
            improved |= expand_rank(s, rank, distance);
    }
    return improved;
}

/* From children to parents, one more rank below each; parents have higher numbers, so one pass reaches the root. */
static bool climb(search *s)
{
    bool improved = false;
    for (uint32_t node = 0; node + 1 < s->tree->node_count; node++) {
        if (s->distances[node] == UNREACHED)
            continue;
        int64_t cost = s->weights[s->tree->priorities[node]] * (2 * (int64_t)s->loads[node] + 1);
        improved |= relax(s, s->tree->parents[node], s->distances[node] + cost, node);
    }
    return improved;
}

/* From parents to children that give a rank away. The root is where paths end, so none goes down from there. */
static bool descend(search *s)
{
    bool improved = false;
    uint32_t root = s->tree->node_count - 1;
    for (uint32_t node = root; node-- > 0;) {
        uint32_t parent = s->tree->parents[node];
        if (parent == root || s->loads[node] == 0 || s->distances[parent] == UNREACHED)
            continue;
        int64_t cost = s->weights[s->tree->priorities[node]] * (1 - 2 * (int64_t)s->loads[node]);
        improved |= relax(s, node, s->distances[parent] + cost, parent);
    }
    return improved;
}

static void find_path(search *s, uint32_t rank)
{
    for (uint32_t node = 0; node < s->tree->node_count; node++)
        s->distances[node] = UNREACHED;
    for (uint32_t twin = 0; twin <= rank; twin++)
        s->expanded[twin] = UNREACHED;
    memset(s->positive, 0xff, s->word_count * sizeof *s->positive);
    expand_rank(s, rank, 0);
    /* Without negative cycles each round fixes one more step of some shortest path. */
    uint64_t rounds_left = 2 * ((uint64_t)s->tree->node_count + rank) + 2;
    bool improved;
    do {
        QN_ASSERT(rounds_left > 0);
        rounds_left--;
        while (expand_seated(s, rank))
            ;
        improved = climb(s);
        improved |= descend(s);
    } while (improved);
}

/* Walks back from the root to the new rank, moving everyone on the way. */
static void take_path(search *s, uint32_t rank)
{
    uint32_t node = s->tree->node_count - 1;
    for (;;) {
        uint32_t via = s->via[node];
        if (via >= s->tree->node_count) {
            uint32_t mover = via - s->tree->node_count;
            uint32_t left = s->cores[mover];
            s->cores[mover] = node;
            if (mover == rank)
                return;
            node = left;
            continue;
        }
        if (s->tree->parents[via] == node)
            s->loads[via]++;
        else
            s->loads[node]--;
        node = via;
    }
}

quern_status qn_assignment_solve(const qn_assignment_tree *tree, uint32_t rank_count, const uint64_t *may_use,
                                 uint32_t *cores_out, uint32_t *loads_out, qn_error *error)
{
    QN_ASSERT(tree->core_count > 0 && tree->node_count > tree->core_count);
    QN_ASSERT(rank_count <= QN_ASSIGNMENT_RANK_COUNT_MAX && tree->node_count <= QN_ASSIGNMENT_NODE_COUNT_MAX);
    if (rank_count == 0) {
        memset(loads_out, 0, tree->core_count * sizeof *loads_out);
        return QUERN_OK;
    }
    search s;
    if (!search_init(&s, tree, rank_count, may_use))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to place %u ranks", rank_count);
    for (uint32_t rank = 0; rank < rank_count; rank++) {
        find_path(&s, rank);
        if (s.distances[tree->node_count - 1] == UNREACHED)
            s.cores[rank] = QN_ASSIGNMENT_NONE; /* an empty set reaches nothing; any other reaches the root */
        else
            take_path(&s, rank);
    }
    memcpy(cores_out, s.cores, rank_count * sizeof *cores_out);
    memcpy(loads_out, s.loads, tree->core_count * sizeof *loads_out);
    search_fini(&s);
    return QUERN_OK;
}
