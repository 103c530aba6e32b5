/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/topology/test_pin.c: plans on synthetic machines.
 */
#include "runtime/topology/topology.h"
#include "tests/kit.h"

#define RANKS_MAX 1024
#define NONE      UINT32_MAX

#ifdef __SANITIZE_ADDRESS__
#define PLAN_MS_MAX 500
#else
#define PLAN_MS_MAX 50
#endif

static qn_pin_place places[RANKS_MAX];
static qn_error error;

static qn_topology *create(const char *synthetic)
{
    qn_topology *topology = NULL;
    qn_error_clear(&error);
    kit_assert_ok(qn_topology_create(synthetic, &topology, &error), &error);
    return topology;
}

static void plan(const char *synthetic, uint32_t rank_count, const char *const *allowed)
{
    qn_topology *topology = create(synthetic);
    kit_assert_ok(qn_pin_plan(topology, rank_count, allowed, places, &error), &error);
    qn_topology_destroy(topology);
}

/* Every rank may use the same set. */
static void plan_alike(const char *synthetic, uint32_t rank_count, const char *set)
{
    const char *allowed[RANKS_MAX];
    for (uint32_t rank = 0; rank < rank_count; rank++)
        allowed[rank] = set;
    plan(synthetic, rank_count, allowed);
}

static void check_cores(uint32_t rank_count, const uint32_t *cores)
{
    for (uint32_t rank = 0; rank < rank_count; rank++)
        ck_assert_msg(places[rank].core == cores[rank], "rank %u got core %u, not %u", rank, places[rank].core,
                      cores[rank]);
}

static void check_all_alone(uint32_t rank_count)
{
    for (uint32_t rank = 0; rank < rank_count; rank++) {
        ck_assert_uint_eq(places[rank].sharers, 1);
        for (uint32_t other = 0; other < rank; other++)
            ck_assert_uint_ne(places[rank].core, places[other].core);
    }
}

static uint32_t ranks_in_package(uint32_t rank_count, uint32_t package)
{
    uint32_t count = 0;
    for (uint32_t rank = 0; rank < rank_count; rank++)
        count += places[rank].package == package;
    return count;
}

static uint32_t ranks_in_numa(uint32_t rank_count, uint32_t numa)
{
    uint32_t count = 0;
    for (uint32_t rank = 0; rank < rank_count; rank++)
        count += places[rank].numa == numa;
    return count;
}

START_TEST(two_ranks_of_two_packages_get_one_each)
{
    plan_alike("package:2 numa:2 core:32 pu:2", 2, "0-255");
    ck_assert_uint_eq(places[0].package, 0);
    ck_assert_uint_eq(places[1].package, 1);
    check_all_alone(2);
}
END_TEST

START_TEST(four_ranks_of_four_numa_nodes_get_one_each_and_neighbours_other_packages)
{
    plan_alike("package:2 numa:2 core:32 pu:2", 4, "0-255");
    for (uint32_t numa = 0; numa < 4; numa++)
        ck_assert_uint_eq(ranks_in_numa(4, numa), 1);
    for (uint32_t rank = 1; rank < 4; rank++)
        ck_assert_uint_ne(places[rank].package, places[rank - 1].package);
}
END_TEST

START_TEST(a_core_knows_its_unit_package_and_numa_node)
{
    plan_alike("package:2 numa:2 core:32 pu:2", 1, "201");
    ck_assert_uint_eq(places[0].core, 100);
    ck_assert_uint_eq(places[0].pu, 201);
    ck_assert_uint_eq(places[0].package, 1);
    ck_assert_uint_eq(places[0].numa, 3);
    ck_assert_uint_eq(places[0].sharers, 1);
}
END_TEST

START_TEST(eight_packages_are_loaded_evenly_by_any_number_of_ranks)
{
    for (uint32_t rank_count = 1; rank_count <= 64; rank_count++) {
        plan_alike("package:8 core:8 pu:1", rank_count, "0-63");
        check_all_alone(rank_count);
        for (uint32_t package = 0; package < 8; package++) {
            uint32_t count = ranks_in_package(rank_count, package);
            ck_assert_uint_ge(count, rank_count / 8);
            ck_assert_uint_le(count, (rank_count + 7) / 8);
        }
    }
}
END_TEST

START_TEST(numa_nodes_without_packages_are_spread_over)
{
    plan_alike("numa:4 core:4 pu:1", 4, "0-15");
    for (uint32_t numa = 0; numa < 4; numa++)
        ck_assert_uint_eq(ranks_in_numa(4, numa), 1);
    ck_assert_uint_eq(places[0].package, NONE);
}
END_TEST

START_TEST(packages_without_numa_nodes_of_their_own_are_spread_over)
{
    plan_alike("numa:1 package:4 core:2 pu:1", 4, "0-7");
    for (uint32_t package = 0; package < 4; package++)
        ck_assert_uint_eq(ranks_in_package(4, package), 1);
    ck_assert_uint_eq(places[3].numa, 0);
}
END_TEST

START_TEST(numa_nodes_that_span_packages_are_spread_over_first)
{
    plan_alike("numa:2 package:2 core:4 pu:1", 2, "0-15");
    ck_assert_uint_eq(places[0].numa, 0);
    ck_assert_uint_eq(places[1].numa, 1);
    plan_alike("numa:2 package:2 core:4 pu:1", 4, "0-15");
    for (uint32_t package = 0; package < 4; package++)
        ck_assert_uint_eq(ranks_in_package(4, package), 1);
}
END_TEST

START_TEST(a_machine_of_bare_units_has_a_core_for_each)
{
    qn_topology *topology = create("pu:4");
    ck_assert_uint_eq(qn_topology_core_count(topology), 4);
    ck_assert_uint_eq(qn_topology_pu_count(topology), 4);
    qn_topology_destroy(topology);
    plan_alike("pu:4", 4, "0-3");
    check_all_alone(4);
    ck_assert_uint_eq(places[2].pu, 2);
    ck_assert_uint_eq(places[0].package, NONE);
}
END_TEST

START_TEST(siblings_are_used_only_when_cores_run_out)
{
    plan_alike("package:1 core:4 pu:2", 4, "0-7");
    check_all_alone(4);
    plan_alike("package:1 core:4 pu:2", 8, "0-7");
    for (uint32_t rank = 0; rank < 8; rank++)
        ck_assert_uint_eq(places[rank].sharers, 2);
}
END_TEST

START_TEST(the_unit_is_the_lowest_that_the_rank_itself_may_use)
{
    const char *allowed[] = {"1", "0-1", "3,2"};
    plan("core:2 pu:2", 3, allowed);
    ck_assert_uint_eq(places[0].pu, 1);
    ck_assert_uint_eq(places[1].pu, 0);
    ck_assert_uint_eq(places[2].pu, 2);
}
END_TEST

/* First come, first served would give rank 0 the core 0 that rank 1 needs. */
START_TEST(a_rank_gives_way_to_one_that_has_no_other_core)
{
    const char *allowed[] = {"0-1", "0"};
    plan("package:1 core:2 pu:1", 2, allowed);
    check_cores(2, (const uint32_t[]){1, 0});
}
END_TEST

START_TEST(a_chain_of_overlapping_sets_is_matched_to_the_end)
{
    const char *allowed[] = {"0-1", "1-2", "2-3", "3-4", "4-5", "0"};
    plan("package:1 core:6 pu:1", 6, allowed);
    check_all_alone(6);
    check_cores(6, (const uint32_t[]){1, 2, 3, 4, 5, 0});
}
END_TEST

START_TEST(a_rank_moves_to_another_package_when_its_neighbour_cannot)
{
    const char *allowed[] = {"0-7", "0-3"};
    plan("package:2 core:4 pu:1", 2, allowed);
    ck_assert_uint_eq(places[0].package, 1);
    ck_assert_uint_eq(places[1].package, 0);
}
END_TEST

START_TEST(more_ranks_than_cores_share_evenly)
{
    plan_alike("package:2 core:2 pu:1", 10, "0-3");
    uint32_t loads[4] = {0};
    for (uint32_t rank = 0; rank < 10; rank++)
        loads[places[rank].core]++;
    for (uint32_t rank = 0; rank < 10; rank++)
        ck_assert_uint_eq(places[rank].sharers, loads[places[rank].core]);
    for (uint32_t core = 0; core < 4; core++)
        ck_assert_msg(loads[core] == 2 || loads[core] == 3, "core %u has %u", core, loads[core]);
    ck_assert_uint_eq(ranks_in_package(10, 0), 5);
}
END_TEST

START_TEST(ranks_held_to_one_core_share_it_and_others_stay_away)
{
    const char *allowed[] = {"0-3", "0", "0-3", "0", "0-3"};
    plan("package:1 core:4 pu:1", 5, allowed);
    ck_assert_uint_eq(places[1].core, 0);
    ck_assert_uint_eq(places[3].core, 0);
    ck_assert_uint_eq(places[1].sharers, 2);
    for (uint32_t rank = 0; rank < 5; rank += 2) {
        ck_assert_uint_ne(places[rank].core, 0);
        ck_assert_uint_eq(places[rank].sharers, 1);
    }
}
END_TEST

START_TEST(ranks_that_can_go_elsewhere_leave_crowded_cores)
{
    const char *allowed[] = {"0-1", "0-1", "0-1", "0-1", "0", "0"};
    plan("package:1 core:2 pu:1", 6, allowed);
    for (uint32_t rank = 0; rank < 6; rank++)
        ck_assert_uint_eq(places[rank].sharers, 3);
}
END_TEST

START_TEST(ranks_bound_one_by_one_by_the_launcher_stay_there)
{
    const char *allowed[] = {"6", "4", "2", "0"};
    plan("package:2 core:2 pu:2", 4, allowed);
    check_cores(4, (const uint32_t[]){3, 2, 1, 0});
}
END_TEST

START_TEST(a_rank_without_units_is_not_pinned)
{
    const char *allowed[] = {"", "0-3", "900-901"};
    plan("package:1 core:4 pu:1", 3, allowed);
    ck_assert_uint_eq(places[0].core, NONE);
    ck_assert_uint_eq(places[0].pu, NONE);
    ck_assert_uint_eq(places[0].sharers, 0);
    ck_assert_uint_eq(places[1].core, 0);
    ck_assert_uint_eq(places[2].core, NONE);
}
END_TEST

START_TEST(an_endless_set_is_the_rest_of_the_machine)
{
    const char *allowed[] = {"2-", "0-4000000000", "0-99999999999999999999999"};
    plan("package:1 core:4 pu:1", 3, allowed);
    check_cores(3, (const uint32_t[]){2, 0, 1});
}
END_TEST

START_TEST(no_rank_needs_no_plan)
{
    plan_alike("package:1 core:4 pu:1", 0, "");
}
END_TEST

START_TEST(a_set_that_cannot_be_read_is_named_with_its_rank_and_places_nobody)
{
    static const char *const bad[] = {"x",     "0-3,", ",0", "0,,1", "3-1", "-5",   "1--2", "0x3", "1 ",   " 1", "1-x",
                                      "1-2-3", "-",    ",",  "1;2",  "1\n", "\xff", "xg",   "x1 ", "x1,2", "xF"};
    qn_topology *topology = create("package:1 core:4 pu:1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *allowed[] = {"0-3", bad[i]};
        qn_pin_place untouched[2] = {{.core = 77}, {.core = 77}};
        qn_error_clear(&error);
        ck_assert_msg(qn_pin_plan(topology, 2, allowed, untouched, &error) == QUERN_ERROR_TOPOLOGY, "\"%s\"", bad[i]);
        ck_assert_ptr_nonnull(strstr(error.text, "local rank 1"));
        ck_assert_uint_eq(untouched[0].core, 77);
        ck_assert_uint_eq(untouched[1].core, 77);
    }
    qn_topology_destroy(topology);
}
END_TEST

START_TEST(too_many_ranks_for_a_node_are_refused)
{
    qn_topology *topology = create("package:1 core:4 pu:1");
    qn_error_clear(&error);
    ck_assert_int_eq(qn_pin_plan(topology, 65537, NULL, NULL, &error), QUERN_ERROR_INVALID_ARGUMENT);
    qn_topology_destroy(topology);
}
END_TEST

START_TEST(every_rank_computes_the_same_plan)
{
    const char *allowed[] = {"0-63", "8-15", "0,9,17", "", "40-100", "0-255", "8", "8"};
    plan("package:2 numa:2 core:32 pu:2", 8, allowed);
    qn_pin_place first[8];
    memcpy(first, places, sizeof first);
    plan("package:2 numa:2 core:32 pu:2", 8, allowed);
    ck_assert_mem_eq(first, places, sizeof first);
}
END_TEST

static double plan_time_ms(const char *synthetic, uint32_t rank_count, char (*texts)[QN_TOPOLOGY_SET_BYTES_MAX])
{
    const char *allowed[RANKS_MAX];
    for (uint32_t rank = 0; rank < rank_count; rank++)
        allowed[rank] = texts[rank];
    qn_topology *topology = create(synthetic);
    double start = kit_now_ms();
    ck_assert_int_eq(qn_pin_plan(topology, rank_count, allowed, places, &error), QUERN_OK);
    double took = kit_now_ms() - start;
    qn_topology_destroy(topology);
    return took;
}

/* 256 ranks, 256 cores: alike, each its own, a chain whose last rank pushes all the others, and random sets. */
static void write_texts(int shape, char (*texts)[QN_TOPOLOGY_SET_BYTES_MAX])
{
    uint64_t state = 42;
    for (int rank = 0; rank < 256; rank++) {
        char *text = texts[rank];
        if (shape == 0)
            snprintf(text, QN_TOPOLOGY_SET_BYTES_MAX, "0-255");
        else if (shape == 1)
            snprintf(text, QN_TOPOLOGY_SET_BYTES_MAX, "%d", 255 - rank);
        else if (shape == 2)
            snprintf(text, QN_TOPOLOGY_SET_BYTES_MAX, rank == 255 ? "0" : "%d-%d", rank, rank + 1);
        for (int used = 0, pu = 0; shape == 3 && pu < 256 && used < 1000; pu++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            if (state >> 63)
                used += snprintf(text + used, 12, "%s%d", used ? "," : "", pu);
        }
    }
}

START_TEST(planning_256_ranks_on_256_cores_takes_less_than_50_ms)
{
    static char texts[256][QN_TOPOLOGY_SET_BYTES_MAX];
    write_texts(_i, texts);
    double best = 1e9;
    for (int repeat = 0; repeat < 3; repeat++) {
        double took = plan_time_ms("package:8 numa:2 core:16 pu:1", 256, texts);
        best = took < best ? took : best;
    }
    check_all_alone(256);
    ck_assert_double_lt(best, PLAN_MS_MAX);
}
END_TEST

static TCase *plan_tests(void)
{
    TCase *tests = tcase_create("plan");
    tcase_set_timeout(tests, KIT_TEST_SECONDS_MAX);
    tcase_add_test(tests, two_ranks_of_two_packages_get_one_each);
    tcase_add_test(tests, four_ranks_of_four_numa_nodes_get_one_each_and_neighbours_other_packages);
    tcase_add_test(tests, a_core_knows_its_unit_package_and_numa_node);
    tcase_add_test(tests, eight_packages_are_loaded_evenly_by_any_number_of_ranks);
    tcase_add_test(tests, numa_nodes_without_packages_are_spread_over);
    tcase_add_test(tests, packages_without_numa_nodes_of_their_own_are_spread_over);
    tcase_add_test(tests, numa_nodes_that_span_packages_are_spread_over_first);
    tcase_add_test(tests, a_machine_of_bare_units_has_a_core_for_each);
    tcase_add_test(tests, siblings_are_used_only_when_cores_run_out);
    tcase_add_test(tests, the_unit_is_the_lowest_that_the_rank_itself_may_use);
    tcase_add_test(tests, a_rank_gives_way_to_one_that_has_no_other_core);
    tcase_add_test(tests, a_chain_of_overlapping_sets_is_matched_to_the_end);
    tcase_add_test(tests, a_rank_moves_to_another_package_when_its_neighbour_cannot);
    tcase_add_test(tests, more_ranks_than_cores_share_evenly);
    tcase_add_test(tests, ranks_held_to_one_core_share_it_and_others_stay_away);
    tcase_add_test(tests, ranks_that_can_go_elsewhere_leave_crowded_cores);
    tcase_add_test(tests, ranks_bound_one_by_one_by_the_launcher_stay_there);
    tcase_add_test(tests, a_rank_without_units_is_not_pinned);
    tcase_add_test(tests, an_endless_set_is_the_rest_of_the_machine);
    tcase_add_test(tests, no_rank_needs_no_plan);
    tcase_add_test(tests, a_set_that_cannot_be_read_is_named_with_its_rank_and_places_nobody);
    tcase_add_test(tests, too_many_ranks_for_a_node_are_refused);
    tcase_add_test(tests, every_rank_computes_the_same_plan);
    tcase_add_loop_test(tests, planning_256_ranks_on_256_cores_takes_less_than_50_ms, 0, 4);
    return tests;
}

int main(void)
{
    Suite *suite = suite_create("pin");
    suite_add_tcase(suite, plan_tests());
    return kit_run(suite);
}
