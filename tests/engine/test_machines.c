/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/engine/test_machines.c: what the marks of machines say of nodes. */
#include "runtime/engine/machines.h"
#include "tests/kit.h"
#include "tests/refusal.h"

START_TEST(nodes_that_are_machines_are_alone_and_one)
{
    const uint64_t ranks[] = {7, 7, 7}, nodes[] = {5, 7, 9};
    qn_machine machine = qn_machine_judge(ranks, 3, nodes, 3, 1);
    ck_assert(machine.is_one);
    ck_assert_uint_eq(machine.node_count, 1);
}
END_TEST

START_TEST(containers_of_one_machine_share_it)
{
    const uint64_t ranks[] = {7}, nodes[] = {7, 5, 7, 7};
    for (uint32_t node = 0; node < 4; node++)
        ck_assert_uint_eq(qn_machine_judge(ranks, 1, nodes, 4, node).node_count, node == 1 ? 1 : 3);
}
END_TEST

START_TEST(a_node_of_several_machines_is_not_one)
{
    const uint64_t ranks[] = {7, 7, 8}, nodes[] = {7};
    ck_assert(!qn_machine_judge(ranks, 3, nodes, 1, 0).is_one);
    ck_assert(qn_machine_judge(ranks, 2, nodes, 1, 0).is_one);
}
END_TEST

START_TEST(where_machines_have_no_marks_MPI_is_believed)
{
    const uint64_t ranks[] = {0, 7, 0}, nodes[] = {0, 0, 7};
    qn_machine machine = qn_machine_judge(ranks, 3, nodes, 3, 0);
    ck_assert(machine.is_one);
    ck_assert_uint_eq(machine.node_count, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nodes_that_are_machines_are_alone_and_one,
        containers_of_one_machine_share_it,
        a_node_of_several_machines_is_not_one,
        where_machines_have_no_marks_MPI_is_believed,
    };
    return kit_run_tests("machines", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
