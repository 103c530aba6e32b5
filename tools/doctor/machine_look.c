/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/doctor/machine_look.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/engine/settings.h"
#include "runtime/topology/memory_limit.h"

#define MIB            ((uint64_t)1 << 20)
#define GIB            ((uint64_t)1 << 30)
#define LITTLE_MEMORY  GIB         /* of a node */
#define SHM_BYTES_MIN  (256 * MIB) /* free; containers have 64 MiB by default */
#define FILE_COUNT_MIN 1024
#define SHM            "/dev/shm"
#define PAGES_PATH     "/sys/kernel/mm/transparent_hugepage/enabled"
#define CORE_PATH      "/proc/sys/kernel/core_pattern"
#define INFINIBAND     "/sys/class/infiniband"
#define LINE_BYTES     256

static double number_of(rlim_t limit)
{
    return limit == RLIM_INFINITY ? (double)UINT64_MAX : (double)limit;
}

static rlim_t soft_limit(__rlimit_resource_t which)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(which, &limit);
    return limit.rlim_cur;
}

/* The first line of a file, without its end. False: there is none. */
static bool read_line(const char *path, char line[LINE_BYTES])
{
    FILE *file = fopen(path, "re");
    bool is_there = file && fgets(line, LINE_BYTES, file);
    if (file)
        fclose(file);
    if (is_there)
        line[strcspn(line, "\n")] = 0;
    return is_there;
}

/* ---- memory ---- */

static uint64_t available_bytes(void)
{
    char line[LINE_BYTES];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1)
        ;
    if (file)
        fclose(file);
    return kib * 1024;
}

/* What a process may map, of which the library does not know: its budget is for a node. */
static bool look_at_address_space(quern_findings *all, uint64_t budget)
{
    rlim_t space = soft_limit(RLIMIT_AS), data = soft_limit(RLIMIT_DATA), least = space < data ? space : data;
    if (least == RLIM_INFINITY)
        return false;
    quern_findings_add(all, QUERN_LEVEL_WARNING, "memory",
                       "a process may map %s only (ulimit -%c), and %s are a node's budget",
                       quern_bytes_text(number_of(least)), space <= data ? 'v' : 'd', quern_bytes_text((double)budget));
    quern_findings_remedy(
        all,
        "ulimit -%c unlimited, or a budget that fits: --quern-memory of half of the limit for each rank of a "
        "node",
        space <= data ? 'v' : 'd');
    return true;
}

static void look_at_memory(quern_findings *all)
{
    qn_memory_limit limit;
    qn_error error = {0};
    uint64_t available = available_bytes();
    if (qn_memory_limit_query("", &limit, &error) != QUERN_OK) {
        quern_findings_add(all, QUERN_LEVEL_ERROR, "memory", "%s", error.text);
        quern_findings_remedy(all, "mount /proc, or set --quern-memory");
        return;
    }
    uint64_t budget = limit.bytes / 100 * QN_SETTINGS_MEMORY_PERCENT;
    if (look_at_address_space(all, budget))
        return;
    bool is_little = limit.bytes<LITTLE_MEMORY, is_taken = available> 0 && available < budget;
    quern_findings_add(all, is_little || is_taken ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "memory",
                       "%s may be used (%s), of which jobs take %s; %s are available",
                       quern_bytes_text((double)limit.bytes), limit.source, quern_bytes_text((double)budget),
                       quern_bytes_text((double)available));
    if (is_taken)
        quern_findings_remedy(all, "others use this machine's memory: --quern-memory=%" PRIu64 "M, or wait for them",
                              available / MIB / 100 * QN_SETTINGS_MEMORY_PERCENT);
    else if (is_little)
        quern_findings_remedy(all, "ask for more: --mem of sbatch, or the limit of the container");
}

/* ---- pages and shared memory ---- */

void quern_machine_judge_pages(quern_findings *all, const char *enabled)
{
    if (!enabled) {
        quern_findings_add(all, QUERN_LEVEL_NOTE, "huge-pages",
                           "the kernel does not say whether it has transparent huge pages");
        quern_findings_remedy(all, "without them, tables and sorts in memory take about twice the time");
    } else if (strstr(enabled, "[never]")) {
        quern_findings_add(all, QUERN_LEVEL_WARNING, "huge-pages", "transparent huge pages are off (%s)", enabled);
        quern_findings_remedy(all,
                              "echo madvise > " PAGES_PATH " (root): tables and sorts in memory take half of the time");
    } else
        quern_findings_add(all, QUERN_LEVEL_OK, "huge-pages", "transparent huge pages are there (%s)", enabled);
}

static void look_at_pages(quern_findings *all)
{
    char line[LINE_BYTES];
    quern_machine_judge_pages(all, read_line(PAGES_PATH, line) ? line : NULL);
}

static void look_at_shm(quern_findings *all)
{
    struct statvfs about;
    if (statvfs(SHM, &about) != 0 || access(SHM, W_OK | X_OK) != 0) {
        quern_findings_add(all, QUERN_LEVEL_WARNING, "shm", "%s cannot be used: %s", SHM, strerror(errno));
        quern_findings_remedy(all, "ranks of a node talk through it: mount -t tmpfs -o mode=1777 none " SHM
                                   ", or set OMPI_MCA_btl_vader_backing_directory (Open MPI 5: btl_sm)");
        return;
    }
    double all_bytes = (double)about.f_blocks * (double)about.f_frsize,
           free_bytes = (double)about.f_bavail * (double)about.f_frsize;
    bool is_small = free_bytes < (double)SHM_BYTES_MIN;
    quern_findings_add(all, is_small ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "shm", "%s has %s free of %s", SHM,
                       quern_bytes_text(free_bytes), quern_bytes_text(all_bytes));
    if (is_small)
        quern_findings_remedy(all, "a job's ranks take some MiB each there: remove what is left (quern clean), "
                                   "mount -o remount,size=2G " SHM ", or --shm-size=2g of docker");
}

/* ---- limits of a process ---- */

static void look_at_files(quern_findings *all)
{
    rlim_t files = soft_limit(RLIMIT_NOFILE);
    bool is_low = files < FILE_COUNT_MIN;
    quern_findings_add(all, is_low ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "open-files",
                       "a process may have %.0f files open", number_of(files));
    if (is_low)
        quern_findings_remedy(all, "ulimit -n %d: MPI needs one or more for each rank that it talks to",
                              4 * FILE_COUNT_MIN);
}

/* Only networks that read and write memory by themselves need it. */
static void look_at_locked(quern_findings *all)
{
    rlim_t locked = soft_limit(RLIMIT_MEMLOCK);
    bool has_network = access(INFINIBAND, F_OK) == 0;
    if (locked == RLIM_INFINITY)
        quern_findings_add(all, QUERN_LEVEL_OK, "locked-memory", "as much memory as wanted may be locked");
    else {
        quern_findings_add(all, has_network ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "locked-memory",
                           "%s may be locked; %s", quern_bytes_text(number_of(locked)),
                           has_network ? "there is InfiniBand, which needs more"
                                       : "there is no InfiniBand that needs more");
        if (has_network)
            quern_findings_remedy(
                all, "ulimit -l unlimited: in /etc/security/limits.conf, or PropagateResourceLimits of SLURM");
    }
}

static void look_at_cores(quern_findings *all)
{
    char pattern[LINE_BYTES];
    rlim_t size = soft_limit(RLIMIT_CORE);
    if (!read_line(CORE_PATH, pattern))
        return;
    if (size == 0 && *pattern != '|')
        quern_findings_add(all, QUERN_LEVEL_OK, "core-files", "a crash leaves none (ulimit -c 0; core_pattern %s)",
                           pattern);
    else if (*pattern == '|')
        quern_findings_add(all, QUERN_LEVEL_OK, "core-files", "a crash gives them to a program (core_pattern %s)",
                           pattern);
    else {
        quern_findings_add(all, QUERN_LEVEL_NOTE, "core-files",
                           "each rank that crashes leaves one (core_pattern %s), as large as its memory", pattern);
        quern_findings_remedy(all, "ulimit -c 0, unless they are wanted: a crash says what it worked on without them");
    }
}

void quern_machine_look(quern_findings *all)
{
    look_at_memory(all);
    look_at_pages(all);
    look_at_shm(all);
    look_at_files(all);
    look_at_locked(all);
    look_at_cores(all);
}
