/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/allocation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define ANSWER_BYTES_MAX 64
#define NAME_BYTES_MAX   64
#define PATIENCE_NS      (5 * QN_NS_PER_S) /* a controller that is down lets its commands wait for minutes */

extern char **environ;

/* Descriptors of the command. */
enum { INPUT, OUTPUT, MESSAGES };

static int start_squeue(const char *job, int output, pid_t *pid_out)
{
    const char *command[] = {"squeue", "--noheader", "--format=%e", "--jobs", job, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, INPUT, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, OUTPUT);
    posix_spawn_file_actions_addopen(&actions, MESSAGES, "/dev/null", O_WRONLY, 0);
    int reason = posix_spawnp(pid_out, command[0], &actions, NULL, (char *const *)command, environ);
    posix_spawn_file_actions_destroy(&actions);
    return reason;
}

/* Until the other end is closed, the text is full, or it takes too long. */
static void read_answer(int fd, char text[static ANSWER_BYTES_MAX])
{
    size_t bytes = 0;
    uint64_t end_ns = qn_clock_ns() + PATIENCE_NS;
    for (uint64_t now_ns; (now_ns = qn_clock_ns()) < end_ns && bytes < ANSWER_BYTES_MAX - 1;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, (int)((end_ns - now_ns) / QN_NS_PER_MS) + 1) <= 0)
            continue;
        ssize_t got = read(fd, text + bytes, ANSWER_BYTES_MAX - 1 - bytes);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        bytes += got > 0 ? (size_t)got : 0;
    }
    text[bytes] = 0;
}

/* Seconds since 1970; 0: it does not say. */
static long long ask_end(const char *job)
{
    char text[ANSWER_BYTES_MAX] = "";
    struct tm date = {.tm_isdst = -1};
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return 0;
    int reason = start_squeue(job, ends[1], &pid);
    close(ends[1]);
    if (reason == 0) {
        read_answer(ends[0], text);
        kill(pid, SIGKILL); /* it has ended, or takes too long */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    return strptime(text, "%Y-%m-%dT%H:%M:%S", &date) ? (long long)mktime(&date) : 0;
}

/* What squeue is to be asked for. The last task of an array to begin has the number of the array as its own, by which all tasks are listed that wait
 * or run. */
static bool name_job(char name[static NAME_BYTES_MAX])
{
    const char *job = getenv("SLURM_JOB_ID"), *array = getenv("SLURM_ARRAY_JOB_ID"),
               *task = getenv("SLURM_ARRAY_TASK_ID");
    int bytes = array && task ? snprintf(name, NAME_BYTES_MAX, "%s_%s", array, task)
                              : snprintf(name, NAME_BYTES_MAX, "%s", job ? job : "");
    return job && bytes > 0 && bytes < NAME_BYTES_MAX;
}

uint64_t qn_allocation_left_ns(bool may_ask)
{
    char job[NAME_BYTES_MAX];
    const char *end = getenv("SLURM_JOB_END_TIME");
    long long end_s = end ? strtoll(end, NULL, 10) : may_ask && name_job(job) ? ask_end(job) : 0;
    long long now_s = (long long)time(NULL);
    if (end_s <= 0)
        return 0;
    return end_s > now_s ? (uint64_t)(end_s - now_s) * QN_NS_PER_S : 1;
}
