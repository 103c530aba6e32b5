/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/thread_look.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE_BYTES     512
#define ARGUMENT_COUNT 2

/* Calls in which a file system lets one wait, and which argument is the file. */
static const struct {
    long number;
    const char *name;
    int descriptor, path; /* argument, from 0; -1: none */
} file_calls[] = {
    {SYS_read, "read", 0, -1},       {SYS_pread64, "pread", 0, -1},       {SYS_readv, "readv", 0, -1},
    {SYS_write, "write", 0, -1},     {SYS_pwrite64, "pwrite", 0, -1},     {SYS_writev, "writev", 0, -1},
    {SYS_fsync, "fsync", 0, -1},     {SYS_fdatasync, "fdatasync", 0, -1}, {SYS_ftruncate, "ftruncate", 0, -1},
    {SYS_close, "close", 0, -1},     {SYS_fallocate, "fallocate", 0, -1}, {SYS_getdents64, "getdents", 0, -1},
    {SYS_openat, "open", -1, 1},     {SYS_unlinkat, "unlink", -1, 1},     {SYS_mkdirat, "mkdir", -1, 1},
    {SYS_fcntl, "fcntl", 0, -1},     {SYS_fstat, "fstat", 0, -1},         {SYS_pwritev, "pwritev", 0, -1},
    {SYS_preadv, "preadv", 0, -1},
#ifdef SYS_open
    {SYS_open, "open", -1, 0},       {SYS_unlink, "unlink", -1, 0},       {SYS_stat, "stat", -1, 0},
    {SYS_mkdir, "mkdir", -1, 0},     {SYS_rename, "rename", -1, 0},
#endif
    {SYS_renameat, "rename", -1, 1},
};

/* The first line of a file in /proc; "": there is none. */
static void read_line(pid_t process, pid_t thread, const char *name, char line[LINE_BYTES])
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)process, (int)thread, name);
    line[0] = '\0';
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    ssize_t bytes = read(file, line, LINE_BYTES - 1);
    close(file);
    line[bytes > 0 ? bytes : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

char qn_thread_look_state(pid_t process, pid_t thread)
{
    char line[LINE_BYTES];
    read_line(process, thread, "stat", line);
    const char *name_end = strrchr(line, ')'); /* a name may hold anything */
    return name_end && name_end[1] == ' ' ? name_end[2] : '\0';
}

static const char *words_of(char state)
{
    switch (state) {
    case '\0':
        return "gone";
    case 'R':
        return "running";
    case 'D':
        return "waiting for a disk or a file system";
    case 'T':
        return "stopped";
    case 't':
        return "held by a debugger";
    case 'Z':
    case 'X':
        return "ended";
    default:
        return "asleep";
    }
}

static void name_descriptor(long descriptor, char *text, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%ld", descriptor);
    ssize_t used = readlink(path, text, bytes - 1);
    text[used > 0 ? used : 0] = '\0';
}

/* Not followed but asked for: the thread may have gone on, and the text with it. */
static void name_path(unsigned long address, char *text, size_t bytes)
{
    struct iovec to = {text, bytes - 1}, from = {(void *)address, bytes - 1};
    ssize_t used = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    text[used > 0 ? used : 0] = '\0';
}

static void describe_call(pid_t thread, char *text, size_t bytes)
{
    char line[LINE_BYTES], file[PATH_MAX / 16] = "", *next = line;
    unsigned long arguments[ARGUMENT_COUNT];
    read_line(getpid(), thread, "syscall", line);
    long number = strtol(line, &next, 10);
    if (next == line)
        return;
    for (int i = 0; i < ARGUMENT_COUNT; i++)
        arguments[i] = strtoul(next, &next, 16);
    for (size_t i = 0; i < sizeof file_calls / sizeof *file_calls; i++) {
        if (file_calls[i].number != number)
            continue;
        if (file_calls[i].descriptor >= 0)
            name_descriptor((long)arguments[file_calls[i].descriptor], file, sizeof file);
        else
            name_path(arguments[file_calls[i].path], file, sizeof file);
        snprintf(text, bytes, ", %s of %s", file_calls[i].name, *file ? file : "a file");
        return;
    }
}

void qn_thread_look_describe(pid_t process, pid_t thread, char *text, size_t bytes)
{
    char where[LINE_BYTES], call[LINE_BYTES] = "";
    char state = qn_thread_look_state(process, thread);
    read_line(process, thread, "wchan", where);
    if (process == getpid())
        describe_call(thread, call, sizeof call);
    snprintf(text, bytes, "%s", words_of(state));
    if (state != '\0')
        snprintf(text + strlen(text), bytes - strlen(text), " (%c%s%s%s)", state,
                 strcmp(where, "0") != 0 && *where ? ", in " : "", strcmp(where, "0") != 0 ? where : "", call);
}
