/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/cores.h: cores of this machine, and what is left of them for a job. */
#ifndef QUERN_TOOLS_CORES_H
#define QUERN_TOOLS_CORES_H

#include <stdint.h>

typedef struct quern_cores {
    long all;       /* that there are; 0: it cannot be found out */
    long allowed;   /* of which a binding or a container leaves something; the same */
    uint64_t quota; /* as runtime/topology/cpu_quota.h says */
    long usable;    /* as many of those allowed as have enough to do with the time that the cgroup allows */
} quern_cores;

quern_cores quern_cores_count(void);

#endif
