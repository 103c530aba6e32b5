/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/memory_limit.h: how much memory this node lets the job use.
 *
 * The smallest of what physical memory, the cgroups above this process (v2 memory.max and memory.high, v1
 * memory.limit_in_bytes, every ancestor counted) and SLURM (SLURM_MEM_PER_NODE; SLURM_MEM_PER_CPU times
 * SLURM_CPUS_ON_NODE, in MiB) say.
 */
#ifndef QN_TOPOLOGY_MEMORY_LIMIT_H
#define QN_TOPOLOGY_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef struct qn_memory_limit {
    uint64_t bytes; /* what the whole node may use */
    const char
        *source; /* "physical memory", "cgroup v2", "cgroup v1", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"; static */
    bool is_physical; /* it is all that the machine has */
} qn_memory_limit;

/* Reads them. root is "" for this machine, or a directory holding copies of proc/ and sys/ (tests). Local; cannot
 * fail as long as /proc/meminfo can be read (QUERN_ERROR_SYSTEM otherwise). An unreadable or odd cgroup file is skipped. */
quern_status qn_memory_limit_query(const char *root, qn_memory_limit *limit_out, qn_error *error);

#endif
