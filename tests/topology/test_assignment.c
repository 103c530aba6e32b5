/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/topology/test_assignment.c: the solver against trying everything, on small random trees and sets.
 */
#include "runtime/topology/assignment.h"
#include "tests/kit.h"

#include <stdbool.h>

#define CORES_MAX 6
#define RANKS_MAX 6
#define NODES_MAX (3 * CORES_MAX + 1)

typedef struct instance {
    uint32_t parents[NODES_MAX];
    uint8_t priorities[NODES_MAX];
    qn_assignment_tree tree;
    uint32_t rank_count;
    uint64_t may_use[RANKS_MAX];
} instance;

typedef struct cost {
    uint32_t by_priority[QN_ASSIGNMENT_PRIORITY_MAX + 1];
} cost;

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33) % bound;
}

static void make_instance(uint64_t seed, instance *made)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15);
    memset(made, 0, sizeof *made);
    uint32_t cores = 1 + random_below(&state, CORES_MAX);
    uint32_t inner = 1 + random_below(&state, 3);
    uint32_t outer = 1 + random_below(&state, 2);
    for (uint32_t core = 0; core < cores; core++) {
        made->parents[core] = cores + random_below(&state, inner);
        made->priorities[core] = 2;
    }
    for (uint32_t node = cores; node < cores + inner; node++)
        made->parents[node] = cores + inner + random_below(&state, outer);
    for (uint32_t node = cores + inner; node < cores + inner + outer; node++) {
        made->parents[node] = cores + inner + outer;
        made->priorities[node] = 1;
    }
    made->tree = (qn_assignment_tree){cores, cores + inner + outer + 1, made->parents, made->priorities};
    made->rank_count = 1 + random_below(&state, RANKS_MAX);
    for (uint32_t rank = 0; rank < made->rank_count; rank++)
        made->may_use[rank] = 1 + random_below(&state, (1U << cores) - 1);
}

static cost cost_of(const instance *of, const uint32_t *cores)
{
    uint32_t loads[NODES_MAX] = {0};
    for (uint32_t rank = 0; rank < of->rank_count; rank++)
        for (uint32_t node = cores[rank]; node != of->tree.node_count - 1; node = of->parents[node])
            loads[node]++;
    cost sum = {{0}};
    for (uint32_t node = 0; node + 1 < of->tree.node_count; node++)
        sum.by_priority[of->priorities[node]] += loads[node] * loads[node];
    return sum;
}

static bool is_less(const cost *a, const cost *b)
{
    for (int priority = QN_ASSIGNMENT_PRIORITY_MAX; priority >= 0; priority--)
        if (a->by_priority[priority] != b->by_priority[priority])
            return a->by_priority[priority] < b->by_priority[priority];
    return false;
}

static void try_everything(const instance *of, uint32_t rank, uint32_t *cores, cost *best)
{
    if (rank == of->rank_count) {
        cost found = cost_of(of, cores);
        if (is_less(&found, best))
            *best = found;
        return;
    }
    for (cores[rank] = 0; cores[rank] < of->tree.core_count; cores[rank]++)
        if (of->may_use[rank] >> cores[rank] & 1)
            try_everything(of, rank + 1, cores, best);
}

START_TEST(no_other_assignment_is_better_on_any_of_3000_small_machines)
{
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        instance made;
        make_instance(seed, &made);
        uint32_t cores[RANKS_MAX];
        uint32_t loads[CORES_MAX];
        ck_assert_int_eq(qn_assignment_solve(&made.tree, made.rank_count, made.may_use, cores, loads, NULL), QUERN_OK);
        for (uint32_t rank = 0; rank < made.rank_count; rank++)
            ck_assert_msg(made.may_use[rank] >> cores[rank] & 1, "seed %d", (int)seed);
        cost ours = cost_of(&made, cores);
        cost best = {{UINT32_MAX, UINT32_MAX, UINT32_MAX}};
        uint32_t scratch[RANKS_MAX];
        try_everything(&made, 0, scratch, &best);
        ck_assert_msg(!is_less(&best, &ours), "seed %d", (int)seed);
    }
}
END_TEST

START_TEST(loads_count_the_ranks_of_each_core)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        instance made;
        make_instance(seed, &made);
        uint32_t cores[RANKS_MAX];
        uint32_t loads[CORES_MAX];
        ck_assert_int_eq(qn_assignment_solve(&made.tree, made.rank_count, made.may_use, cores, loads, NULL), QUERN_OK);
        for (uint32_t core = 0; core < made.tree.core_count; core++) {
            uint32_t counted = 0;
            for (uint32_t rank = 0; rank < made.rank_count; rank++)
                counted += cores[rank] == core;
            ck_assert_uint_eq(counted, loads[core]);
        }
    }
}
END_TEST

START_TEST(a_rank_with_an_empty_set_gets_no_core_and_disturbs_nobody)
{
    instance made;
    make_instance(1, &made);
    made.rank_count = 3;
    made.may_use[0] = made.may_use[2] = 1;
    made.may_use[1] = 0;
    uint32_t cores[3];
    uint32_t loads[CORES_MAX];
    ck_assert_int_eq(qn_assignment_solve(&made.tree, 3, made.may_use, cores, loads, NULL), QUERN_OK);
    ck_assert_uint_eq(cores[0], 0);
    ck_assert_uint_eq(cores[1], QN_ASSIGNMENT_NONE);
    ck_assert_uint_eq(cores[2], 0);
    ck_assert_uint_eq(loads[0], 2);
}
END_TEST

START_TEST(no_ranks_load_no_core)
{
    instance made;
    make_instance(1, &made);
    uint32_t loads[CORES_MAX] = {7};
    ck_assert_int_eq(qn_assignment_solve(&made.tree, 0, NULL, NULL, loads, NULL), QUERN_OK);
    ck_assert_uint_eq(loads[0], 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        no_other_assignment_is_better_on_any_of_3000_small_machines,
        loads_count_the_ranks_of_each_core,
        a_rank_with_an_empty_set_gets_no_core_and_disturbs_nobody,
        no_ranks_load_no_core,
    };
    return kit_run_tests("assignment", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
