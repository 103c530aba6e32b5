/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/cpu_quota.h: how much processor time the cgroups above this process allow (v2 cpu.max, v1 cpu.cfs_quota_us; the least of all
 * ancestors). Whoever uses more is stopped until the next period: ranks then wait for each other although their cores are free.
 */
#ifndef QN_TOPOLOGY_CPU_QUOTA_H
#define QN_TOPOLOGY_CPU_QUOTA_H

#include <stdint.h>

#define QN_CPU_QUOTA_NONE UINT64_MAX

/* In thousandths of a processor; QN_CPU_QUOTA_NONE: as much as there is. root as in memory_limit.h. Local; what is odd or cannot be read
 * does not count. */
uint64_t qn_cpu_quota_query(const char *root);

#endif
