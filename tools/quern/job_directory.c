/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/job_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NUMBER_BYTES 128
#define PROBE_BYTES  4096 /* a quota or a full disk is to refuse it */

static void write_number(char number[NUMBER_BYTES])
{
    const char *array = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID");
    const char *job = getenv("SLURM_JOB_ID");
    time_t now = time(NULL);
    struct tm local = {0};
    if (array && task)
        snprintf(number, NUMBER_BYTES, "%.40s_%.40s", array, task);
    else if (job)
        snprintf(number, NUMBER_BYTES, "%.80s", job);
    else
        strftime(number, NUMBER_BYTES, "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    size_t used = strlen(number);
    snprintf(number + used, NUMBER_BYTES - used, "-%ld", (long)getpid());
}

int quern_job_directory_name(const char *pattern, bool is_here, char *path)
{
    char number[NUMBER_BYTES];
    size_t used = 0;
    *path = 0;
    write_number(number);
    if (is_here && *pattern != '/') {
        if (!getcwd(path, PATH_MAX - 1))
            return errno;
        used = strlen(path);
        path[used++] = '/';
    }
    for (const char *at = pattern; *at; at++) {
        bool is_number = strncmp(at, JOB_DIRECTORY_NUMBER, strlen(JOB_DIRECTORY_NUMBER)) == 0;
        int added = is_number ? snprintf(path + used, PATH_MAX - used, "%s", number)
                              : snprintf(path + used, PATH_MAX - used, "%c", *at);
        if (added < 0 || (used += (size_t)added) >= PATH_MAX)
            return ENAMETOOLONG;
        at += is_number;
    }
    return 0;
}

static int probe_file(int directory)
{
    static const char name[] = ".quern-probe", bytes[PROBE_BYTES];
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    errno = ENOSPC; /* if less is written */
    int reason = write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes ? 0 : errno;
    if (close(fd) != 0 && reason == 0)
        reason = errno;
    unlinkat(directory, name, 0);
    return reason;
}

int quern_job_directory_probe(const char *path)
{
    bool is_made = mkdir(path, 0777) == 0;
    if (!is_made && errno != EEXIST)
        return errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int reason = fd >= 0 ? probe_file(fd) : errno;
    if (fd >= 0)
        close(fd);
    if (is_made)
        rmdir(path);
    return reason;
}
