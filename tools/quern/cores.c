/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/cores.h"

#include <hwloc.h>

#include "runtime/topology/cpu_quota.h"

/* Machines that do not tell of cores have processing units. */
static void count_in(hwloc_topology_t topology, hwloc_bitmap_t allowed, quern_cores *cores)
{
    if (hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_PROCESS) != 0)
        hwloc_bitmap_copy(allowed, hwloc_topology_get_allowed_cpuset(topology));
    cores->all = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    for (long i = 0; i < cores->all; i++)
        cores->allowed +=
            hwloc_bitmap_intersects(hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, (unsigned)i)->cpuset, allowed);
    if (cores->all > 0)
        return;
    cores->all = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    cores->allowed = hwloc_bitmap_weight(allowed);
}

quern_cores quern_cores_count(void)
{
    quern_cores cores = {.quota = qn_cpu_quota_query("")};
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
    if (allowed && hwloc_topology_init(&topology) == 0) {
        hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
        if (hwloc_topology_load(topology) == 0)
            count_in(topology, allowed, &cores);
        hwloc_topology_destroy(topology);
    }
    hwloc_bitmap_free(allowed);
    cores.usable = cores.allowed;
    if (cores.quota < (uint64_t)cores.allowed * 1000)
        cores.usable = (long)(cores.quota + 999) / 1000;
    return cores;
}
