/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/faults/fault_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scheduler/sim/sim_random.h"
#include "tools/faults/fault_world.h"

#define PROGRAM_PATH "/proc/self/exe"
#define DISK_NS      100000
#define SOFTS_MAX    256
#define FLIPS_MAX    3
#define DAMAGE_MAX   64 /* files of a directory */

/* What is not durable yet: bytes of a file, or its name. */
typedef struct soft {
    char path[PATH_MAX];
    char before[PATH_MAX]; /* its name was that; "": it had none */
    bool is_name;
    uint64_t begin, end; /* bytes */
} soft;

static char watched[PATH_MAX]; /* where the process is */
static soft softs[SOFTS_MAX];
static uint32_t soft_count;

void qn_fault_disk_watch(void)
{
    if (!getcwd(watched, sizeof watched))
        abort();
}

/* Locks are left whole: a torn one is not believed, and who resumes has to remove it then (docs/output.md). */
static bool is_watched(const char *path)
{
    bool is_below = path[0] != '/' || strncmp(path, watched, strlen(watched)) == 0;
    return watched[0] && is_below && !strstr(path, "/.quern-lock") && !strstr(path, "/lock");
}

/* Of a path that may be relative, where links to open files say what is not. */
static void print_whole(const char *path, char whole[PATH_MAX])
{
    bool is_whole = path[0] == '/';
    if (snprintf(whole, PATH_MAX, "%s%s%s", is_whole ? "" : watched, is_whole ? "" : "/", path) >= PATH_MAX)
        abort();
}

/* False: it has none, or is none of ours. */
static bool find_path(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, PATH_MAX - 1);
    path[bytes > 0 ? bytes : 0] = 0;
    return bytes > 0 && is_watched(path);
}

static void drop(uint32_t index)
{
    softs[index] = softs[--soft_count];
}

static soft *add(const char *path)
{
    if (soft_count == SOFTS_MAX)
        abort(); /* a limit that no job here comes near */
    softs[soft_count] = (soft){0};
    print_whole(path, softs[soft_count].path);
    return &softs[soft_count++];
}

static void note_bytes(const char *path, uint64_t begin, uint64_t end)
{
    soft *found = NULL;
    for (uint32_t i = 0; i < soft_count && !found; i++)
        if (!softs[i].is_name && strcmp(softs[i].path, path) == 0)
            found = &softs[i];
    if (!found) {
        found = add(path);
        found->begin = begin;
    }
    found->begin = begin < found->begin ? begin : found->begin;
    found->end = end > found->end ? end : found->end;
}

static void note_synced(const char *path)
{
    size_t length = strlen(path);
    for (uint32_t i = soft_count; i-- > 0;) {
        const char *slash = strrchr(softs[i].path, '/');
        bool is_in = softs[i].is_name && slash && (size_t)(slash - softs[i].path) == length &&
                     strncmp(softs[i].path, path, length) == 0;
        if (is_in || (!softs[i].is_name && strcmp(softs[i].path, path) == 0))
            drop(i);
    }
}

/* ---- when it ends */

static void garble(const char *path, uint64_t begin, uint64_t end)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    for (int i = 0; fd >= 0 && end > begin && i < FLIPS_MAX; i++) {
        uint64_t at = begin + qn_fault_below(end - begin);
        uint8_t byte = 0;
        if (syscall(SYS_pread64, fd, &byte, 1, at) == 1) {
            byte ^= (uint8_t)(1 + qn_fault_below(255));
            syscall(SYS_pwrite64, fd, &byte, 1, at);
        }
    }
    if (fd >= 0)
        close(fd);
}

static void tear_bytes(const soft *one)
{
    struct stat about;
    if (stat(one->path, &about) != 0)
        return;
    uint64_t size = (uint64_t)about.st_size;
    if (qn_fault_below(2) == 0 && one->end >= size && size > one->begin)
        (void)!truncate(one->path, (off_t)(one->begin + qn_fault_below(size - one->begin + 1)));
    else
        garble(one->path, one->begin, one->end < size ? one->end : size);
}

/* The latest first, as names may have been moved on. */
uint32_t qn_fault_disk_tear(void)
{
    uint32_t torn = 0;
    for (uint32_t i = soft_count; i-- > 0;) {
        const soft *one = &softs[i];
        if (qn_fault_below(2) == 0)
            continue;
        qn_fault_trace("the disk forgets of %s: %s", one->path, one->is_name ? "its name" : "bytes");
        torn++;
        if (!one->is_name)
            tear_bytes(one);
        else if (one->before[0])
            (void)!syscall(SYS_rename, one->path, one->before);
        else
            syscall(SYS_unlink, one->path);
    }
    return torn;
}

/* ---- between two attempts */

static bool damage_file(const char *path, uint64_t *random)
{
    struct stat about;
    if (stat(path, &about) != 0 || about.st_size == 0)
        return false;
    uint64_t size = (uint64_t)about.st_size, at = qn_sim_below(random, size);
    if (qn_sim_chance(random, 300))
        return truncate(path, (off_t)at) == 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;
    bool is_done = fd >= 0 && syscall(SYS_pread64, fd, &byte, 1, at) == 1;
    byte ^= (uint8_t)(1u << qn_sim_below(random, 8));
    is_done = is_done && syscall(SYS_pwrite64, fd, &byte, 1, at) == 1;
    if (fd >= 0)
        close(fd);
    return is_done;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

bool qn_fault_disk_damage(const char *directory, uint64_t *random)
{
    static char names[DAMAGE_MAX][NAME_MAX + 1];
    size_t count = 0;
    char path[PATH_MAX];
    DIR *open = opendir(directory);
    if (!open)
        return false;
    for (struct dirent *entry; (entry = readdir(open)) && count < DAMAGE_MAX;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lock") != 0)
            snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
    closedir(open);
    if (count == 0)
        return false;
    qsort(names, count, sizeof names[0], compare_names);
    snprintf(path, sizeof path, "%s/%s", directory, names[qn_sim_below(random, count)]);
    return damage_file(path, random);
}

/* ---- calls */

/* Whether the rank is to die in the midst of the call; it may have died before it. */
static bool begin_call(const char *what, const char *path)
{
    qn_fault_at(QN_FAULT_DISK);
    qn_fault_trace("%s %s", what, path);
    qn_fault_pass(1 + qn_fault_below(DISK_NS));
    return qn_fault_is_last(QN_FAULT_DISK);
}

static void end_call(void)
{
    qn_fault_at(QN_FAULT_DISK);
}

ssize_t __real_pwrite64(int fd, const void *data, size_t bytes, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off_t at)
{
    char path[PATH_MAX];
    if (!find_path(fd, path))
        return __real_pwrite64(fd, data, bytes, at);
    bool dies = begin_call("writes", path);
    size_t part = dies ? (size_t)qn_fault_below(bytes + 1) : bytes;
    ssize_t put = __real_pwrite64(fd, data, part, at);
    if (put > 0)
        note_bytes(path, (uint64_t)at, (uint64_t)at + (uint64_t)put);
    if (dies)
        qn_fault_die();
    end_call();
    return put;
}

ssize_t __real_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
    char path[PATH_MAX];
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0 || !find_path(fd, path))
        return __real_write(fd, data, bytes);
    bool dies = begin_call("writes", path);
    size_t part = dies ? (size_t)qn_fault_below(bytes + 1) : bytes;
    ssize_t put = __real_write(fd, data, part);
    if (put > 0)
        note_bytes(path, (uint64_t)at, (uint64_t)at + (uint64_t)put);
    if (dies)
        qn_fault_die();
    end_call();
    return put;
}

static int sync_file(int fd)
{
    char path[PATH_MAX];
    if (!find_path(fd, path))
        return 0;
    if (begin_call("syncs", path))
        qn_fault_die();
    note_synced(path);
    end_call();
    return 0;
}

/* What is torn and what is not is decided above: nothing has to wait for a disk. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return sync_file(fd);
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    return sync_file(fd);
}

static void note_renamed(const char *from, const char *to, bool is_new)
{
    char before[PATH_MAX];
    print_whole(from, before);
    for (uint32_t i = 0; i < soft_count; i++)
        if (!softs[i].is_name && strcmp(softs[i].path, before) == 0)
            print_whole(to, softs[i].path);
    if (!is_new)
        return;
    soft *name = add(to);
    name->is_name = true;
    print_whole(from, name->before);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    struct stat about;
    if (!is_watched(to))
        return __real_rename(from, to);
    bool is_new = lstat(to, &about) != 0;
    if (begin_call("renames to", to))
        qn_fault_die();
    int status = __real_rename(from, to);
    if (status == 0)
        note_renamed(from, to, is_new);
    end_call();
    return status;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    if (!is_watched(path))
        return __real_unlink(path);
    if (begin_call("removes", path))
        qn_fault_die();
    int status = __real_unlink(path);
    end_call();
    return status;
}

/* The program's digest is part of a checkpoint: always the same one, so that a seed means the same in another build. */
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    struct stat about;
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (qn_fault_get_weather() && strcmp(path, PROGRAM_PATH) == 0)
        path = "/dev/null";
    bool makes = (flags & O_CREAT) && is_watched(path) && lstat(path, &about) != 0;
    if (makes && begin_call("makes", path))
        qn_fault_die();
    int fd = __real_open64(path, flags, mode);
    if (makes && fd >= 0) {
        add(path)->is_name = true;
        end_call();
    }
    return fd;
}

/* Reading takes its time. */
ssize_t __real_pread64(int fd, void *data, size_t bytes, off_t at);
ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off_t at);
ssize_t __wrap_pread64(int fd, void *data, size_t bytes, off_t at)
{
    if (qn_fault_get_weather())
        qn_fault_pass(1 + qn_fault_below(DISK_NS));
    return __real_pread64(fd, data, bytes, at);
}
