/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/topology_internal.h: what topology.c and pin.c share. Nobody outside the room includes it.
 *
 * hwloc's tree is read once into two flat tables, so that planning never walks hwloc objects. A "core" here is
 * hwloc's core, or a processing unit that belongs to none (machines, mostly virtual, that do not tell).
 * The tables hold the whole machine, also what the cgroup forbids: ranks of one node in different cgroups
 * must still number the cores alike, or their plans would differ. What is forbidden is missing from the allowed sets.
 */
#ifndef QN_TOPOLOGY_INTERNAL_H
#define QN_TOPOLOGY_INTERNAL_H

#include <hwloc.h>
#include <pthread.h>
#include <stdint.h>

#include "runtime/topology/topology.h"

#define QN_TOPOLOGY_NONE UINT32_MAX

typedef struct qn_topology_core {
    uint32_t package; /* logical indices, or QN_TOPOLOGY_NONE */
    uint32_t numa;
} qn_topology_core;

struct qn_topology {
    hwloc_topology_t machine;
    uint32_t core_count;
    uint32_t pu_count;
    uint32_t pu_index_end;      /* one more than the highest OS index of a processing unit */
    qn_topology_core *cores;    /* [core_count], in logical order */
    uint32_t *core_of_pu;       /* [pu_index_end], by OS index; QN_TOPOLOGY_NONE where there is no such unit */
    hwloc_bitmap_t old_binding; /* NULL while nothing is bound */
    pthread_t bound_thread;     /* whose binding that was; only with old_binding */
};

#endif
