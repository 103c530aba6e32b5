/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/memory_limit.c: the smallest of all that is said about memory.
 *
 * Physical memory must be known; every other voice is optional and can only lower the limit. So whatever is absent,
 * unlimited, zero or not understood is passed over: it must never stop a job.
 *
 * A cgroup's path (/proc/self/cgroup) counts from the root of the hierarchy, but a container may mount only a part of
 * it; /proc/self/mountinfo says which part is mounted where. Every directory from our cgroup up to the mount
 * is read, because a limit binds all that is below it.
 */
#include "runtime/topology/memory_limit.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES_MAX 64

/* One way in which the kernel keeps cgroups, and how to recognise it. */
typedef struct cgroup_kind {
    const char *source;
    const char *file_system;
    const char *controller; /* among those of the hierarchy; "" for v2, which has one for all */
    const char *files[2];
    const char *usual_mounts[2]; /* where mountinfo cannot be read */
} cgroup_kind;

static const cgroup_kind cgroup_kinds[] = {
    {"cgroup v2", "cgroup2", "", {"memory.max", "memory.high"}, {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}},
    {"cgroup v1", "cgroup", "memory", {"memory.limit_in_bytes", NULL}, {"/sys/fs/cgroup/memory", NULL}},
};

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

static bool read_number(const char *path, uint64_t *value_out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char text[NUMBER_BYTES_MAX];
    size_t length = fread(text, 1, sizeof text - 1, file);
    bool whole = feof(file) && !ferror(file);
    fclose(file);
    text[length] = 0;
    return whole && strlen(text) == length && parse_number(text, value_out);
}

static FILE *open_below(const char *root, const char *path)
{
    char full[PATH_MAX];
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof full) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return fopen(full, "re");
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
    FILE *file = open_below(root, "/proc/meminfo");
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

/* Whether the word is among those of a list with commas. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *item = list; item; item = strchr(item, ',')) {
        item += *item == ',';
        if (strncmp(item, word, length) == 0 && (item[length] == 0 || item[length] == ','))
            return true;
    }
    return false;
}

/* Lines are "number:controllers:path"; v2's is "0::path". */
static bool parse_cgroup_line(char *line, const cgroup_kind *kind, char path_out[PATH_MAX])
{
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return false;
    *path++ = 0;
    controllers++;
    bool ours = *kind->controller ? list_has(controllers, kind->controller) : *controllers == 0;
    if (!ours || *path != '/' || strlen(path) >= PATH_MAX)
        return false;
    strcpy(path_out, path);
    return true;
}

static bool find_cgroup_path(const char *root, const cgroup_kind *kind, char path_out[PATH_MAX])
{
    FILE *file = open_below(root, "/proc/self/cgroup");
    if (!file)
        return false;
    char *line = NULL;
    size_t line_bytes = 0;
    bool found = false;
    while (!found && getline(&line, &line_bytes, file) > 0)
        found = parse_cgroup_line(line, kind, path_out);
    free(line);
    fclose(file);
    return found;
}

/* Reads the limits of one cgroup and of all above it, up to the mount. `path` is cut on the way. */
static void read_cgroups(const char *root, const cgroup_kind *kind, const char *mount, char *path,
                         qn_memory_limit *limit)
{
    for (;;) {
        for (size_t i = 0; i < 2 && kind->files[i]; i++) {
            char full[2 * PATH_MAX];
            uint64_t bytes;
            int length = snprintf(full, sizeof full, "%s%s%s/%s", root, mount, path, kind->files[i]);
            if (length > 0 && (size_t)length < sizeof full && read_number(full, &bytes))
                lower_limit(limit, bytes, kind->source);
        }
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

/* The part of the cgroup's path below the mount, or NULL if the mount shows another part of the hierarchy. */
static const char *path_below_mount(const char *path, const char *mount_root)
{
    size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
    if (strstr(path, "/..") || strcmp(path, "/") == 0)
        return ""; /* a cgroup namespace hides where we are: only the top is surely above us */
    if (strncmp(path, mount_root, length) != 0 || (path[length] != '/' && path[length] != 0))
        return NULL;
    return path + length;
}

typedef struct mount_line {
    char *root;
    char *point;
    char *file_system;
    char *options; /* of the file system */
} mount_line;

/* "31 24 0:26 ROOT POINT rw,relatime shared:9 - FILESYSTEM SOURCE OPTIONS"; the number of fields before
 * the dash varies. Escaped blanks (\040) stay escaped: such a mount is not found, hence passed over. */
static bool parse_mount_line(char *line, mount_line *mount_out)
{
    char *rest = NULL;
    char *fields[5];
    for (size_t i = 0; i < 5; i++)
        if (!(fields[i] = strtok_r(i == 0 ? line : NULL, " \n", &rest)))
            return false;
    char *field;
    while ((field = strtok_r(NULL, " \n", &rest)) && strcmp(field, "-") != 0)
        ;
    char *file_system = strtok_r(NULL, " \n", &rest);
    char *device = strtok_r(NULL, " \n", &rest);
    char *options = strtok_r(NULL, " \n", &rest);
    if (!field || !file_system || !device || !options)
        return false;
    *mount_out = (mount_line){fields[3], fields[4], file_system, options};
    return true;
}

static bool is_mount_of(const mount_line *mount, const cgroup_kind *kind)
{
    if (strcmp(mount->file_system, kind->file_system) != 0)
        return false;
    return *kind->controller == 0 || list_has(mount->options, kind->controller);
}

static bool read_mounted(const char *root, const cgroup_kind *kind, const char *path, qn_memory_limit *limit)
{
    FILE *file = open_below(root, "/proc/self/mountinfo");
    if (!file)
        return false;
    char *line = NULL;
    size_t line_bytes = 0;
    mount_line mount;
    bool found = false;
    while (getline(&line, &line_bytes, file) > 0) {
        if (!parse_mount_line(line, &mount) || !is_mount_of(&mount, kind))
            continue;
        const char *below = path_below_mount(path, mount.root);
        if (!below)
            continue;
        char cut[PATH_MAX];
        strcpy(cut, below);
        read_cgroups(root, kind, mount.point, cut, limit);
        found = true;
    }
    free(line);
    fclose(file);
    return found;
}

static void read_kind(const char *root, const cgroup_kind *kind, qn_memory_limit *limit)
{
    char path[PATH_MAX];
    if (!find_cgroup_path(root, kind, path) || read_mounted(root, kind, path, limit))
        return;
    for (size_t i = 0; i < 2 && kind->usual_mounts[i]; i++) {
        char cut[PATH_MAX];
        strcpy(cut, path_below_mount(path, "/"));
        read_cgroups(root, kind, kind->usual_mounts[i], cut, limit);
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
    for (size_t i = 0; i < sizeof cgroup_kinds / sizeof *cgroup_kinds; i++)
        read_kind(root, &cgroup_kinds[i], &limit);
    read_slurm(&limit);
    *limit_out = limit;
    return QUERN_OK;
}
