/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/topology/test_topology.c: reading machines, and real bindings on this one.
 */
#include "runtime/topology/topology.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>

#define NONE UINT32_MAX

static qn_error error;

static qn_topology *create(const char *synthetic)
{
    qn_topology *topology = NULL;
    qn_error_clear(&error);
    kit_assert_ok(qn_topology_create(synthetic, &topology, &error), &error);
    return topology;
}

START_TEST(refused_memory_is_an_error_that_creates_nothing)
{
    int failure_count = 0;
    for (;; failure_count++) {
        qn_topology *topology = NULL;
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_topology_create("package:2 core:4 pu:2", &topology, &error);
        allocations_left = -1;
        if (status == QUERN_OK) {
            qn_topology_destroy(topology);
            break;
        }
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        ck_assert_ptr_null(topology);
    }
    ck_assert_int_ge(failure_count, 3);
}
END_TEST

START_TEST(refused_memory_is_an_error_that_places_nobody)
{
    const char *allowed[] = {"0-15", "0-1"};
    qn_topology *topology = create("package:2 core:4 pu:2");
    int failure_count = 0;
    for (;; failure_count++) {
        qn_pin_place places[2] = {{.core = 77}, {.core = 77}};
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_pin_plan(topology, 2, allowed, places, &error);
        allocations_left = -1;
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        ck_assert_uint_eq(places[0].core, 77);
        ck_assert_uint_eq(places[1].core, 77);
    }
    ck_assert_int_ge(failure_count, 10);
    qn_topology_destroy(topology);
}
END_TEST

START_TEST(a_bad_synthetic_string_is_an_error_and_gives_nothing)
{
    qn_topology *topology = NULL;
    qn_error_clear(&error);
    ck_assert_int_eq(qn_topology_create("nonsense:x", &topology, &error), QUERN_ERROR_TOPOLOGY);
    ck_assert_ptr_null(topology);
    ck_assert_ptr_nonnull(strstr(error.text, "nonsense:x"));
    qn_topology_destroy(NULL);
}
END_TEST

START_TEST(a_synthetic_machine_allows_all_and_binds_nothing)
{
    cpu_set_t before;
    cpu_set_t after;
    char text[QN_TOPOLOGY_SET_BYTES_MAX];
    qn_topology *topology = create("package:2 core:4 pu:2");
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    ck_assert_int_eq(qn_topology_query_allowed(topology, text, &error), QUERN_OK);
    ck_assert_str_eq(text, "0-15");
    ck_assert_int_eq(qn_pin_apply(topology, &(qn_pin_place){.core = 7, .pu = 14}, &error), QUERN_OK);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
    qn_pin_restore(topology);
    qn_topology_destroy(topology);
}
END_TEST

/* A machine of bare units whose OS indices are `step` apart. */
static qn_topology *create_scattered(int unit_count, int step)
{
    static char synthetic[32768];
    size_t length = (size_t)snprintf(synthetic, sizeof synthetic, "core:%d pu:1(indexes=0", unit_count);
    for (int pu = 1; pu < unit_count; pu++)
        length += (size_t)snprintf(synthetic + length, sizeof synthetic - length, ",%d", step * pu);
    snprintf(synthetic + length, sizeof synthetic - length, ")");
    return create(synthetic);
}

START_TEST(a_scattered_set_of_thousands_of_units_fits_and_is_read_back)
{
    char text[QN_TOPOLOGY_SET_BYTES_MAX];
    static const struct {
        int unit_count, step;
    } machines[] = {{700, 2}, {2046, 4}, {1400, 5}};
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        qn_topology *topology = create_scattered(machines[i].unit_count, machines[i].step);
        ck_assert_msg(qn_topology_query_allowed(topology, text, &error) == QUERN_OK, "%s", error.text);
        ck_assert_int_eq(text[0], 'x');
        const char *allowed[] = {text, "0", text};
        qn_pin_place places[3];
        ck_assert_msg(qn_pin_plan(topology, 3, allowed, places, &error) == QUERN_OK, "%s", error.text);
        ck_assert_uint_eq(places[1].core, 0);
        for (int rank = 0; rank < 3; rank++) {
            ck_assert_uint_eq(places[rank].sharers, 1);
            ck_assert_uint_eq(places[rank].pu, places[rank].core * (uint32_t)machines[i].step);
        }
        qn_topology_destroy(topology);
    }
}
END_TEST

START_TEST(a_set_that_does_not_fit_as_text_is_an_error)
{
    char text[QN_TOPOLOGY_SET_BYTES_MAX] = "untouched";
    qn_topology *topology = create_scattered(700, 13);
    ck_assert_int_eq(qn_topology_query_allowed(topology, text, &error), QUERN_ERROR_TOPOLOGY);
    ck_assert_str_eq(text, "untouched");
    qn_topology_destroy(topology);
}
END_TEST

/* The plan of this machine for one rank that may use all it has now. */
static qn_topology *plan_here(qn_pin_place *place)
{
    char text[QN_TOPOLOGY_SET_BYTES_MAX];
    qn_topology *topology = create(NULL);
    ck_assert_int_eq(qn_topology_query_allowed(topology, text, &error), QUERN_OK);
    const char *allowed[] = {text};
    ck_assert_int_eq(qn_pin_plan(topology, 1, allowed, place, &error), QUERN_OK);
    return topology;
}

START_TEST(binding_leaves_one_core_and_restoring_brings_all_back)
{
    cpu_set_t before;
    cpu_set_t bound;
    cpu_set_t after;
    qn_pin_place place;
    qn_topology *topology = plan_here(&place);
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    kit_assert_ok(qn_pin_apply(topology, &place, &error), &error);
    ck_assert_int_eq(sched_getaffinity(0, sizeof bound, &bound), 0);
    ck_assert(CPU_ISSET(place.pu, &bound));
    if (qn_topology_core_count(topology) > 1 && CPU_COUNT(&before) == (int)qn_topology_pu_count(topology))
        ck_assert_int_lt(CPU_COUNT(&bound), CPU_COUNT(&before));
    qn_pin_restore(topology);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
    qn_pin_restore(topology);
    qn_topology_destroy(topology);
}
END_TEST

START_TEST(the_allowed_set_shrinks_with_the_binding_of_the_thread)
{
    char text[QN_TOPOLOGY_SET_BYTES_MAX];
    char expected[16];
    qn_pin_place place;
    qn_topology *topology = plan_here(&place);
    cpu_set_t before;
    cpu_set_t one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET(place.pu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_int_eq(qn_topology_query_allowed(topology, text, &error), QUERN_OK);
    snprintf(expected, sizeof expected, "%" PRIu32, place.pu);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
    qn_topology_destroy(topology);
}
END_TEST

START_TEST(binding_again_chooses_from_what_was_there_before_the_first)
{
    cpu_set_t before;
    cpu_set_t after;
    char text[QN_TOPOLOGY_SET_BYTES_MAX];
    qn_pin_place pair[2];
    qn_topology *topology = create(NULL);
    ck_assert_int_eq(qn_topology_query_allowed(topology, text, &error), QUERN_OK);
    const char *allowed[] = {text, text};
    ck_assert_int_eq(qn_pin_plan(topology, 2, allowed, pair, &error), QUERN_OK);
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    ck_assert_int_eq(qn_pin_apply(topology, &pair[0], &error), QUERN_OK);
    ck_assert_int_eq(qn_pin_apply(topology, &pair[1], &error), QUERN_OK);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_ISSET(pair[1].pu, &after));
    qn_pin_restore(topology);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
    qn_topology_destroy(topology);
}
END_TEST

START_TEST(a_place_that_cannot_be_taken_binds_nothing)
{
    cpu_set_t before;
    cpu_set_t after;
    qn_topology *topology = create(NULL);
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    qn_error_clear(&error);
    qn_pin_place beyond = {.core = qn_topology_core_count(topology)};
    ck_assert_int_eq(qn_pin_apply(topology, &beyond, &error), QUERN_ERROR_INVALID_ARGUMENT);
    qn_error_clear(&error);
    ck_assert_int_eq(qn_pin_apply(topology, &(qn_pin_place){.core = NONE}, &error), QUERN_OK);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
    qn_topology_destroy(topology);
}
END_TEST

START_TEST(a_core_outside_of_the_binding_is_refused_and_the_binding_stays)
{
    cpu_set_t at_start;
    cpu_set_t before;
    cpu_set_t after;
    qn_pin_place pair[2];
    const char *allowed[] = {"0-", "0-"};
    qn_topology *topology = create(NULL);
    ck_assert_int_eq(qn_pin_plan(topology, 2, allowed, pair, &error), QUERN_OK);
    ck_assert_int_eq(sched_getaffinity(0, sizeof at_start, &at_start), 0);
    CPU_ZERO(&before);
    CPU_SET(pair[0].pu, &before);
    if (pair[0].core != pair[1].core && sched_setaffinity(0, sizeof before, &before) == 0) {
        qn_error_clear(&error);
        ck_assert_int_eq(qn_pin_apply(topology, &pair[1], &error), QUERN_ERROR_TOPOLOGY);
        ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
        ck_assert(CPU_EQUAL(&before, &after));
        ck_assert_int_eq(sched_setaffinity(0, sizeof at_start, &at_start), 0);
    }
    qn_topology_destroy(topology);
}
END_TEST

typedef struct other_thread {
    pthread_barrier_t barrier; /* passed twice: "I run", "main has bound itself" */
    qn_topology *topology;
    const qn_pin_place *place;
    cpu_set_t before;
    cpu_set_t after;
    quern_status status;
} other_thread;

static void *run_other_thread(void *argument)
{
    other_thread *other = argument;
    sched_getaffinity(0, sizeof other->before, &other->before);
    pthread_barrier_wait(&other->barrier);
    pthread_barrier_wait(&other->barrier);
    other->status = qn_pin_apply(other->topology, other->place, NULL);
    qn_pin_restore(other->topology);
    sched_getaffinity(0, sizeof other->after, &other->after);
    return NULL;
}

START_TEST(binding_touches_only_the_calling_thread)
{
    cpu_set_t before;
    cpu_set_t bound;
    cpu_set_t still_bound;
    cpu_set_t after;
    qn_pin_place place;
    other_thread other = {.topology = plan_here(&place), .place = &place};
    pthread_t thread;
    sched_getaffinity(0, sizeof before, &before);
    pthread_barrier_init(&other.barrier, NULL, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_other_thread, &other), 0);
    pthread_barrier_wait(&other.barrier);
    ck_assert_int_eq(qn_pin_apply(other.topology, &place, &error), QUERN_OK);
    sched_getaffinity(0, sizeof bound, &bound);
    pthread_barrier_wait(&other.barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&other.barrier);
    ck_assert(CPU_EQUAL(&other.before, &other.after));
    ck_assert_int_eq(other.status, QUERN_ERROR_INVALID_ARGUMENT);
    sched_getaffinity(0, sizeof still_bound, &still_bound);
    ck_assert(CPU_EQUAL(&bound, &still_bound));
    qn_pin_restore(other.topology);
    sched_getaffinity(0, sizeof after, &after);
    ck_assert(CPU_EQUAL(&before, &after));
    qn_topology_destroy(other.topology);
}
END_TEST

START_TEST(this_machine_is_read_quickly)
{
    double best = 1e9;
    for (int repeat = 0; repeat < 5; repeat++) {
        double start = kit_now_ms();
        qn_topology *topology = create(NULL);
        double took = kit_now_ms() - start;
        ck_assert_uint_ge(qn_topology_core_count(topology), 1);
        ck_assert_uint_ge(qn_topology_pu_count(topology), qn_topology_core_count(topology));
        qn_topology_destroy(topology);
        best = took < best ? took : best;
    }
    ck_assert_double_lt(best, 100); /* about 3 on two cores; only to notice what is far off */
}
END_TEST

START_TEST(a_place_is_described_in_words)
{
    char text[QN_TOPOLOGY_PLACE_BYTES_MAX];
    qn_pin_describe(&(qn_pin_place){.core = 3, .pu = 6, .package = 0, .numa = 0, .sharers = 1}, text);
    ck_assert_str_eq(text, "core 3, PU 6, package 0, NUMA 0");
    qn_pin_describe(&(qn_pin_place){.core = 3, .pu = 6, .package = NONE, .numa = NONE}, text);
    ck_assert_str_eq(text, "core 3, PU 6");
    qn_pin_describe(&(qn_pin_place){.core = NONE}, text);
    ck_assert_str_eq(text, "not pinned");
    uint32_t large = NONE - 1;
    qn_pin_describe(&(qn_pin_place){.core = large, .pu = large, .package = large, .numa = large}, text);
    ck_assert_str_eq(text, "core 4294967294, PU 4294967294, package 4294967294, NUMA 4294967294");
}
END_TEST

int main(void)
{
    /* A fake machine from the environment would make the tests of the real one vacuous. */
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_THISSYSTEM");
    const TTest *const tests[] = {
        refused_memory_is_an_error_that_creates_nothing,
        refused_memory_is_an_error_that_places_nobody,
        a_bad_synthetic_string_is_an_error_and_gives_nothing,
        a_synthetic_machine_allows_all_and_binds_nothing,
        a_scattered_set_of_thousands_of_units_fits_and_is_read_back,
        a_set_that_does_not_fit_as_text_is_an_error,
        binding_leaves_one_core_and_restoring_brings_all_back,
        the_allowed_set_shrinks_with_the_binding_of_the_thread,
        binding_again_chooses_from_what_was_there_before_the_first,
        a_place_that_cannot_be_taken_binds_nothing,
        a_core_outside_of_the_binding_is_refused_and_the_binding_stays,
        binding_touches_only_the_calling_thread,
        this_machine_is_read_quickly,
        a_place_is_described_in_words,
    };
    return kit_run_tests("topology", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
