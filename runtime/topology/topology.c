/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/topology.c: reads the machine through hwloc and binds the calling thread.
 *
 * Only what placing needs is loaded: packages, cores, processing units, NUMA nodes and the groups that hold them.
 * Devices and caches would make every rank of a node wait for what it never asks.
 *
 * Invariants: the tables never change after create; old_binding is set exactly while a thread is bound by
 * qn_pin_apply, and always holds what that thread had before the first of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/topology/topology_internal.h"

static int configure(hwloc_topology_t machine)
{
    if (hwloc_topology_set_all_types_filter(machine, HWLOC_TYPE_FILTER_KEEP_NONE) != 0)
        return -1;
    if (hwloc_topology_set_type_filter(machine, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL) != 0)
        return -1;
    if (hwloc_topology_set_type_filter(machine, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL) != 0)
        return -1;
    /* Without groups, NUMA nodes inside a package (or without one) would all seem to hold the whole of it. */
    if (hwloc_topology_set_type_filter(machine, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE) != 0)
        return -1;
    return hwloc_topology_set_flags(machine, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
}

static quern_status load(qn_topology *topology, const char *synthetic, qn_error *error)
{
    if (hwloc_topology_init(&topology->machine) != 0) {
        topology->machine = NULL;
        return qn_error_set(error, QUERN_ERROR_TOPOLOGY, errno, "hwloc cannot be initialised");
    }
    if (synthetic && hwloc_topology_set_synthetic(topology->machine, synthetic) != 0)
        return qn_error_set(error, QUERN_ERROR_TOPOLOGY, errno, "hwloc cannot read the synthetic topology \"%s\"",
                            synthetic);
    if (configure(topology->machine) != 0 || hwloc_topology_load(topology->machine) != 0)
        return qn_error_set(error, QUERN_ERROR_TOPOLOGY, errno, "hwloc cannot read the machine's topology");
    return QUERN_OK;
}

static quern_status allocate_tables(qn_topology *topology, qn_error *error)
{
    int pu_count = hwloc_get_nbobjs_by_type(topology->machine, HWLOC_OBJ_PU);
    int pu_last = hwloc_bitmap_last(hwloc_topology_get_topology_cpuset(topology->machine));
    if (pu_count <= 0 || pu_last < 0)
        return qn_error_set(error, QUERN_ERROR_TOPOLOGY, 0, "hwloc found no processing unit");
    topology->pu_count = (uint32_t)pu_count;
    topology->pu_index_end = (uint32_t)pu_last + 1;
    topology->cores = calloc(topology->pu_count, sizeof *topology->cores); /* never more cores than units */
    topology->core_of_pu = malloc(topology->pu_index_end * sizeof *topology->core_of_pu);
    if (!topology->cores || !topology->core_of_pu)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the tables of %d processing units",
                            pu_count);
    for (uint32_t pu = 0; pu < topology->pu_index_end; pu++)
        topology->core_of_pu[pu] = QN_TOPOLOGY_NONE;
    return QUERN_OK;
}

static qn_topology_core describe_core(hwloc_topology_t machine, hwloc_obj_t core)
{
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(machine, HWLOC_OBJ_PACKAGE, core);
    qn_topology_core description = {.package = package ? package->logical_index : QN_TOPOLOGY_NONE,
                                    .numa = QN_TOPOLOGY_NONE};
    /* The first that holds the core: fast memory beside the ordinary comes later. */
    for (hwloc_obj_t node = NULL; (node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node));)
        if (hwloc_bitmap_intersects(node->cpuset, core->cpuset)) {
            description.numa = node->logical_index;
            break;
        }
    return description;
}

/* Units come in logical order, so those of one core follow each other and cores get hwloc's logical indices. */
static void fill_tables(qn_topology *topology)
{
    hwloc_obj_t previous = NULL;
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(topology->machine, HWLOC_OBJ_PU, pu));) {
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology->machine, HWLOC_OBJ_CORE, pu);
        if (!core)
            core = pu;
        if (core != previous)
            topology->cores[topology->core_count++] = describe_core(topology->machine, core);
        topology->core_of_pu[pu->os_index] = topology->core_count - 1;
        previous = core;
    }
}

quern_status qn_topology_create(const char *synthetic, qn_topology **topology_out, qn_error *error)
{
    qn_topology *topology = calloc(1, sizeof *topology);
    if (!topology)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the topology");
    quern_status status = load(topology, synthetic, error);
    if (status == QUERN_OK)
        status = allocate_tables(topology, error);
    if (status != QUERN_OK) {
        qn_topology_destroy(topology);
        return status;
    }
    fill_tables(topology);
    *topology_out = topology;
    return QUERN_OK;
}

void qn_topology_destroy(qn_topology *topology)
{
    if (!topology)
        return;
    if (topology->machine)
        hwloc_topology_destroy(topology->machine);
    hwloc_bitmap_free(topology->old_binding);
    free(topology->cores);
    free(topology->core_of_pu);
    free(topology);
}

uint32_t qn_topology_core_count(const qn_topology *topology)
{
    return topology->core_count;
}

uint32_t qn_topology_pu_count(const qn_topology *topology)
{
    return topology->pu_count;
}

/* Bindings do not shrink hwloc's allowed set. The thread's own binding says all: on Linux that of the process
 * is the union over its threads. */
static quern_status get_thread_binding(const qn_topology *topology, hwloc_bitmap_t *binding_out, qn_error *error)
{
    hwloc_bitmap_t binding = hwloc_bitmap_alloc();
    if (!binding)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a set of processing units");
    if (hwloc_get_cpubind(topology->machine, binding, HWLOC_CPUBIND_THREAD) != 0) {
        quern_status status = qn_error_set(error, QUERN_ERROR_TOPOLOGY, errno, "the thread's binding cannot be asked");
        hwloc_bitmap_free(binding);
        return status;
    }
    *binding_out = binding;
    return QUERN_OK;
}

/* The set as digits of 4 units each. -1: it does not fit. */
static int print_digits(hwloc_const_bitmap_t set, char text[QN_TOPOLOGY_SET_BYTES_MAX])
{
    int last = hwloc_bitmap_last(set);
    int length = last / 4 + 2;
    if (last < 0 || length >= QN_TOPOLOGY_SET_BYTES_MAX)
        return -1;
    text[0] = 'x';
    for (int digit = 0; digit <= last / 4; digit++) {
        unsigned units = 0;
        for (unsigned i = 0; i < 4; i++)
            units |= (unsigned)hwloc_bitmap_isset(set, 4 * (unsigned)digit + i) << i;
        text[1 + digit] = "0123456789abcdef"[units];
    }
    text[length] = 0;
    return length;
}

static int print_set(hwloc_const_bitmap_t set, char text[QN_TOPOLOGY_SET_BYTES_MAX])
{
    int length = hwloc_bitmap_list_snprintf(text, QN_TOPOLOGY_SET_BYTES_MAX, set);
    return length < QN_TOPOLOGY_SET_BYTES_MAX ? length : print_digits(set, text);
}

quern_status qn_topology_query_allowed(const qn_topology *topology, char text_out[QN_TOPOLOGY_SET_BYTES_MAX],
                                       qn_error *error)
{
    hwloc_bitmap_t set = NULL;
    quern_status status = get_thread_binding(topology, &set, error);
    if (status != QUERN_OK)
        return status;
    char text[QN_TOPOLOGY_SET_BYTES_MAX];
    int length = -1;
    if (hwloc_bitmap_and(set, set, hwloc_topology_get_allowed_cpuset(topology->machine)) == 0)
        length = print_set(set, text);
    hwloc_bitmap_free(set);
    if (length < 0)
        return qn_error_set(error, QUERN_ERROR_TOPOLOGY, 0,
                            "the set of allowed processing units does not fit %zu bytes as text", sizeof text);
    for (int i = 0; i <= length; i++)
        text_out[i] = text[i];
    return QUERN_OK;
}

/* Leaves of *set only the units of the core that hwloc allows. */
static int cut_to_core(const qn_topology *topology, uint32_t core, hwloc_bitmap_t set)
{
    for (uint32_t pu = 0; pu < topology->pu_index_end; pu++)
        if (topology->core_of_pu[pu] != core && hwloc_bitmap_clr(set, pu) != 0)
            return -1;
    return hwloc_bitmap_and(set, set, hwloc_topology_get_allowed_cpuset(topology->machine));
}

static quern_status bind_thread(const qn_topology *topology, const qn_pin_place *place, hwloc_const_bitmap_t may_use,
                                qn_error *error)
{
    hwloc_bitmap_t target = hwloc_bitmap_dup(may_use);
    if (!target || cut_to_core(topology, place->core, target) != 0) {
        hwloc_bitmap_free(target);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a set of processing units");
    }
    quern_status status = QUERN_OK;
    if (hwloc_bitmap_iszero(target))
        status = qn_error_set(error, QUERN_ERROR_TOPOLOGY, 0, "this thread may use no processing unit of core %" PRIu32,
                              place->core);
    else if (hwloc_set_cpubind(topology->machine, target, HWLOC_CPUBIND_THREAD) != 0)
        status = qn_error_set(error, QUERN_ERROR_SYSTEM, errno, "cannot bind to core %" PRIu32, place->core);
    hwloc_bitmap_free(target);
    return status;
}

/* A second apply chooses from what the thread had before the first, not from the one core it is bound to. */
quern_status qn_pin_apply(qn_topology *topology, const qn_pin_place *place, qn_error *error)
{
    if (place->core == QN_TOPOLOGY_NONE)
        return QUERN_OK;
    if (place->core >= topology->core_count)
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "there is no core %" PRIu32 " among %" PRIu32,
                            place->core, topology->core_count);
    if (!hwloc_topology_is_thissystem(topology->machine))
        return QUERN_OK;
    if (topology->old_binding) {
        if (!pthread_equal(topology->bound_thread, pthread_self()))
            return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "another thread is bound by this topology");
        return bind_thread(topology, place, topology->old_binding, error);
    }
    hwloc_bitmap_t before = NULL;
    quern_status status = get_thread_binding(topology, &before, error);
    if (status != QUERN_OK)
        return status;
    status = bind_thread(topology, place, before, error);
    if (status != QUERN_OK) {
        hwloc_bitmap_free(before);
        return status;
    }
    topology->old_binding = before;
    topology->bound_thread = pthread_self();
    return QUERN_OK;
}

void qn_pin_restore(qn_topology *topology)
{
    if (!topology->old_binding || !pthread_equal(topology->bound_thread, pthread_self()))
        return;
    (void)hwloc_set_cpubind(topology->machine, topology->old_binding, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(topology->old_binding);
    topology->old_binding = NULL;
}

/* Appends at *length; what does not fit is cut, as the header promises. */
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t *length, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(text + *length, QN_TOPOLOGY_PLACE_BYTES_MAX - *length, format, arguments);
    va_end(arguments);
    if (added > 0)
        *length += (size_t)added;
    if (*length >= QN_TOPOLOGY_PLACE_BYTES_MAX)
        *length = QN_TOPOLOGY_PLACE_BYTES_MAX - 1;
}

void qn_pin_describe(const qn_pin_place *place, char text_out[QN_TOPOLOGY_PLACE_BYTES_MAX])
{
    size_t length = 0;
    if (place->core == QN_TOPOLOGY_NONE) {
        append(text_out, &length, "not pinned");
        return;
    }
    append(text_out, &length, "core %" PRIu32 ", PU %" PRIu32, place->core, place->pu);
    if (place->package != QN_TOPOLOGY_NONE)
        append(text_out, &length, ", package %" PRIu32, place->package);
    if (place->numa != QN_TOPOLOGY_NONE)
        append(text_out, &length, ", NUMA %" PRIu32, place->numa);
}
