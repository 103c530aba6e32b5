/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/memory_limit.c: the smallest of all that is said about memory.
 *
 * Physical memory must be known; every other voice is optional and can only lower the limit. So whatever is absent,
 * unlimited, zero or not understood is passed over: it must never stop a job.
 */
#include "runtime/topology/memory_limit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/topology/cgroup.h"

static void lower_limit(qn_memory_limit *limit, uint64_t bytes, const char *source)
{
    if (bytes > 0 && bytes < limit->bytes)
        *limit = (qn_memory_limit){.bytes = bytes, .source = source};
}

/* A decimal number and nothing else but white space at the end. */
static bool parse_number(const char *text, uint64_t *value_out)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end[strspn(end, " \t\r\n")] != 0)
        return false;
    *value_out = value;
    return true;
}

/* "MemTotal:  24684092 kB" */
static bool parse_memory_total(const char *line, uint64_t *bytes_out)
{
    uint64_t kib;
    char unit[3];
    if (sscanf(line, "MemTotal: %" SCNu64 " %2s", &kib, unit) != 2 || strcmp(unit, "kB") != 0)
        return false;
    if (kib == 0 || kib > UINT64_MAX / 1024)
        return false;
    *bytes_out = kib * 1024;
    return true;
}

static quern_status read_physical(const char *root, uint64_t *bytes_out, qn_error *error)
{
    FILE *file = qn_cgroup_open_below(root, "/proc/meminfo");
    if (!file)
        return qn_error_set(error, QUERN_ERROR_SYSTEM, errno, "cannot read %s/proc/meminfo", root);
    char *line = NULL;
    size_t line_bytes = 0;
    bool found = false;
    while (!found && getline(&line, &line_bytes, file) > 0)
        found = parse_memory_total(line, bytes_out);
    free(line);
    fclose(file);
    if (!found)
        return qn_error_set(error, QUERN_ERROR_SYSTEM, 0, "%s/proc/meminfo does not tell MemTotal", root);
    return QUERN_OK;
}

static void read_cgroup(void *user, const char *directory, bool is_v2)
{
    static const char *const files[2][2] = {{"/memory.limit_in_bytes", NULL}, {"/memory.max", "/memory.high"}};
    for (size_t i = 0; i < 2 && files[is_v2][i]; i++) {
        char text[QN_CGROUP_TEXT_BYTES_MAX];
        uint64_t bytes;
        if (qn_cgroup_read_text(directory, files[is_v2][i], text) && parse_number(text, &bytes))
            lower_limit(user, bytes, is_v2 ? "cgroup v2" : "cgroup v1");
    }
}

static bool read_variable(const char *name, uint64_t *value_out)
{
    const char *text = getenv(name);
    return text && parse_number(text, value_out);
}

static void read_slurm(qn_memory_limit *limit)
{
    const uint64_t mib = 1024 * 1024;
    uint64_t per_node;
    uint64_t per_cpu;
    uint64_t cpus;
    if (read_variable("SLURM_MEM_PER_NODE", &per_node) && per_node <= UINT64_MAX / mib)
        lower_limit(limit, per_node * mib, "SLURM_MEM_PER_NODE");
    uint64_t product;
    if (read_variable("SLURM_MEM_PER_CPU", &per_cpu) && read_variable("SLURM_CPUS_ON_NODE", &cpus) &&
        !__builtin_mul_overflow(per_cpu, cpus, &product) && product <= UINT64_MAX / mib)
        lower_limit(limit, product * mib, "SLURM_MEM_PER_CPU");
}

quern_status qn_memory_limit_query(const char *root, qn_memory_limit *limit_out, qn_error *error)
{
    qn_memory_limit limit = {.source = "physical memory", .is_physical = true};
    quern_status status = read_physical(root, &limit.bytes, error);
    if (status != QUERN_OK)
        return status;
    qn_cgroup_visit(root, "memory", read_cgroup, &limit);
    read_slurm(&limit);
    *limit_out = limit;
    return QUERN_OK;
}
