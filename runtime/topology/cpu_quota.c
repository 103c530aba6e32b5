/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/topology/cpu_quota.h"

#include <inttypes.h>

#include "runtime/topology/cgroup.h"

/* Both in microseconds; no kernel takes a quota or a period of more than these. */
#define QUOTA_MAX  ((uint64_t)1 << 44)
#define PERIOD_MAX UINT64_C(1000000)

/* "150000 100000" of v2, "max 100000" without a limit; v1 has two files, and -1 without one. */
static bool read_quota(const char *directory, bool is_v2, uint64_t *quota_out, uint64_t *period_out)
{
    char quota[QN_CGROUP_TEXT_BYTES_MAX], period[QN_CGROUP_TEXT_BYTES_MAX];
    if (is_v2)
        return qn_cgroup_read_text(directory, "/cpu.max", quota) && quota[0] >= '0' && quota[0] <= '9' &&
               sscanf(quota, "%" SCNu64 " %" SCNu64, quota_out, period_out) == 2;
    return qn_cgroup_read_text(directory, "/cpu.cfs_quota_us", quota) && quota[0] >= '0' && quota[0] <= '9' &&
           qn_cgroup_read_text(directory, "/cpu.cfs_period_us", period) && period[0] >= '0' && period[0] <= '9' &&
           sscanf(quota, "%" SCNu64, quota_out) == 1 && sscanf(period, "%" SCNu64, period_out) == 1;
}

static void lower_quota(void *user, const char *directory, bool is_v2)
{
    uint64_t *least = user, quota, period;
    if (!read_quota(directory, is_v2, &quota, &period) || quota == 0 || quota > QUOTA_MAX || period == 0 ||
        period > PERIOD_MAX)
        return;
    uint64_t allowed = quota * 1000 / period;
    if (allowed < *least)
        *least = allowed > 0 ? allowed : 1;
}

uint64_t qn_cpu_quota_query(const char *root)
{
    uint64_t least = QN_CPU_QUOTA_NONE;
    qn_cgroup_visit(root, "cpu", lower_quota, &least);
    return least;
}
