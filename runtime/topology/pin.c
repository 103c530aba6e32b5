/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/pin.c: which core each rank of the node gets.
 *
 * Turns the machine into the tree and the texts into the sets that assignment.c decides on, and its answer into
 * places. The tree is core, then (package, NUMA node) pair, then package, then machine. Cores count most (nobody
 * shares without need), packages next, pairs last. Where one NUMA node spans several packages the NUMA nodes are
 * the outer groups instead: the coarser is spread over first.
 *
 * Nothing here asks the operating system: the same texts give the same plan on every rank.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/topology/assignment.h"
#include "runtime/topology/topology_internal.h"

enum { PRIORITY_INNER, PRIORITY_OUTER, PRIORITY_CORE };

typedef struct planner {
    const qn_topology *topology;
    const char *const *allowed;
    uint32_t rank_count;
    uint32_t word_count;
    qn_assignment_tree tree;
    uint32_t *parents;   /* of the tree */
    uint8_t *priorities; /* of the tree */
    uint64_t *keys;      /* [2][core_count]: what tells inner and outer groups apart */
    uint64_t *may_use;   /* [rank_count][word_count] */
    uint32_t *cores;     /* [rank_count] */
    uint32_t *loads;     /* [core_count] */
} planner;

/* The index of the key among the keys so far, at the end if it is new. Groups are few. */
static uint32_t intern(uint64_t *keys, uint32_t *count, uint64_t key)
{
    uint32_t index = 0;
    while (index < *count && keys[index] != key)
        index++;
    if (index == *count)
        keys[(*count)++] = key;
    return index;
}

static bool numa_spans_packages(const planner *p)
{
    uint32_t package_count = 0;
    uint32_t numa_count = 0;
    for (uint32_t core = 0; core < p->topology->core_count; core++) {
        intern(p->keys, &package_count, p->topology->cores[core].package);
        intern(p->keys + p->topology->core_count, &numa_count, p->topology->cores[core].numa);
    }
    return numa_count < package_count;
}

/* Nodes are numbered cores, inner groups, outer groups, root. Outer numbers are known only after the inner are
 * counted, hence two passes. */
static void build_tree(planner *p)
{
    uint32_t core_count = p->topology->core_count;
    bool outer_is_numa = numa_spans_packages(p);
    uint32_t inner_count = 0;
    uint32_t outer_count = 0;
    uint64_t *outer_keys = p->keys + core_count;
    for (uint32_t core = 0; core < core_count; core++) {
        const qn_topology_core *place = &p->topology->cores[core];
        uint64_t pair = (uint64_t)place->package << 32 | place->numa;
        p->parents[core] = core_count + intern(p->keys, &inner_count, pair);
        p->priorities[core] = PRIORITY_CORE;
    }
    for (uint32_t inner = 0; inner < inner_count; inner++) {
        uint64_t pair = p->keys[inner];
        uint64_t key = outer_is_numa ? (uint32_t)pair : pair >> 32;
        p->parents[core_count + inner] = core_count + inner_count + intern(outer_keys, &outer_count, key);
        p->priorities[core_count + inner] = PRIORITY_INNER;
    }
    uint32_t root = core_count + inner_count + outer_count;
    for (uint32_t node = core_count + inner_count; node < root; node++) {
        p->parents[node] = root;
        p->priorities[node] = PRIORITY_OUTER;
    }
    p->tree = (qn_assignment_tree){core_count, root + 1, p->parents, p->priorities};
}

/* A decimal number; too large ones stand for "beyond every machine". */
static bool parse_index(const char **text, uint32_t *index_out)
{
    const char *c = *text;
    uint64_t value = 0;
    for (; *c >= '0' && *c <= '9'; c++)
        if (value <= UINT32_MAX)
            value = value * 10 + (uint64_t)(*c - '0');
    if (c == *text)
        return false;
    *text = c;
    *index_out = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
    return true;
}

/* "3", "3-5", or "3-" for hwloc's endless set. */
static bool parse_range(const char **text, uint32_t *first_out, uint32_t *last_out)
{
    if (!parse_index(text, first_out))
        return false;
    *last_out = *first_out;
    if (**text != '-')
        return true;
    (*text)++;
    if (**text == 0)
        *last_out = UINT32_MAX;
    else if (!parse_index(text, last_out))
        return false;
    return *last_out >= *first_out;
}

typedef void visit_fn(uint32_t pu, uint32_t core, void *user);

/* Digits of 4 units each. */
static bool visit_digits(const qn_topology *topology, const char *text, visit_fn *visit, void *user)
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t first = 0; *text; text++, first += 4) {
        const char *digit = strchr(digits, *text);
        if (!digit)
            return false;
        for (uint32_t pu = first; pu < first + 4 && pu < topology->pu_index_end; pu++)
            if ((digit - digits) >> (pu - first) & 1 && topology->core_of_pu[pu] != QN_TOPOLOGY_NONE)
                visit(pu, topology->core_of_pu[pu], user);
    }
    return true;
}

/* Calls visit for the units of the set that this machine has, in the order of the text. hwloc's own parser
 * accepts too much ("-5", "0x3") and allocates what the text asks for. An empty text is the empty set. */
static bool visit_set(const qn_topology *topology, const char *text, visit_fn *visit, void *user)
{
    if (text[0] == 'x' && text[1] != 0)
        return visit_digits(topology, text + 1, visit, user);
    while (*text) {
        uint32_t first;
        uint32_t last;
        if (!parse_range(&text, &first, &last))
            return false;
        for (uint32_t pu = first; pu <= last && pu < topology->pu_index_end; pu++)
            if (topology->core_of_pu[pu] != QN_TOPOLOGY_NONE)
                visit(pu, topology->core_of_pu[pu], user);
        if (*text == 0)
            break;
        if (*text++ != ',' || *text == 0)
            return false;
    }
    return true;
}

static void mark_core(uint32_t pu, uint32_t core, void *user)
{
    (void)pu;
    uint64_t *bits = user;
    bits[core / 64] |= UINT64_C(1) << (core % 64);
}

static quern_status read_sets(planner *p, qn_error *error)
{
    for (uint32_t rank = 0; rank < p->rank_count; rank++)
        if (!visit_set(p->topology, p->allowed[rank], mark_core, p->may_use + (size_t)rank * p->word_count))
            return qn_error_set(error, QUERN_ERROR_TOPOLOGY, 0,
                                "local rank %" PRIu32 " sent \"%.100s\", which is no set of processing units", rank,
                                p->allowed[rank]);
    return QUERN_OK;
}

static void lower_pu(uint32_t pu, uint32_t core, void *user)
{
    qn_pin_place *place = user;
    if (core == place->core && pu < place->pu)
        place->pu = pu;
}

static void write_place(const planner *p, uint32_t rank, qn_pin_place *place_out)
{
    uint32_t core = p->cores[rank];
    *place_out = (qn_pin_place){QN_TOPOLOGY_NONE, QN_TOPOLOGY_NONE, QN_TOPOLOGY_NONE, QN_TOPOLOGY_NONE, 0};
    if (core == QN_ASSIGNMENT_NONE)
        return;
    place_out->core = core;
    place_out->package = p->topology->cores[core].package;
    place_out->numa = p->topology->cores[core].numa;
    place_out->sharers = p->loads[core];
    visit_set(p->topology, p->allowed[rank], lower_pu, place_out);
}

static bool planner_allocate(planner *p)
{
    uint32_t core_count = p->topology->core_count;
    size_t node_count_max = 3 * (size_t)core_count + 1; /* no more groups of a kind than cores */
    p->parents = calloc(node_count_max, sizeof *p->parents);
    p->priorities = calloc(node_count_max, sizeof *p->priorities);
    p->keys = calloc(2 * (size_t)core_count, sizeof *p->keys);
    p->may_use = calloc((size_t)p->rank_count * p->word_count, sizeof *p->may_use);
    p->cores = calloc(p->rank_count, sizeof *p->cores);
    p->loads = calloc(core_count, sizeof *p->loads);
    return p->parents && p->priorities && p->keys && p->may_use && p->cores && p->loads;
}

static void planner_free(planner *p)
{
    free(p->parents);
    free(p->priorities);
    free(p->keys);
    free(p->may_use);
    free(p->cores);
    free(p->loads);
}

static quern_status plan(planner *p, qn_error *error)
{
    if (!planner_allocate(p))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to place %" PRIu32 " ranks", p->rank_count);
    quern_status status = read_sets(p, error);
    if (status != QUERN_OK)
        return status;
    build_tree(p);
    return qn_assignment_solve(&p->tree, p->rank_count, p->may_use, p->cores, p->loads, error);
}

quern_status qn_pin_plan(const qn_topology *topology, uint32_t rank_count, const char *const *allowed,
                         qn_pin_place *places_out, qn_error *error)
{
    if (rank_count == 0)
        return QUERN_OK;
    if (rank_count > QN_ASSIGNMENT_RANK_COUNT_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "%" PRIu32 " ranks on one node are more than %d",
                            rank_count, QN_ASSIGNMENT_RANK_COUNT_MAX);
    planner p = {.topology = topology,
                 .allowed = allowed,
                 .rank_count = rank_count,
                 .word_count = qn_assignment_word_count(topology->core_count)};
    quern_status status = plan(&p, error);
    if (status == QUERN_OK)
        for (uint32_t rank = 0; rank < rank_count; rank++)
            write_place(&p, rank, &places_out[rank]);
    planner_free(&p);
    return status;
}
