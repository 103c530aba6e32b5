/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern cancel: ends a job. One that runs is asked by a file in its directory, so that it can save what it has; who does not answer in
 * time is ended by SLURM, where that is its master.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/quern/batch_job.h"
#include "tools/quern/commands.h"

#define WAIT_SECONDS     60
#define WAIT_SECONDS_MAX 86400
#define LOOK_NS          200000000

static bool is_alive(const quern_batch_job *job)
{
    json_t *status = quern_batch_read_status(job);
    const char *state = json_string_value(json_object_get(status, "state"));
    bool lives = state && (strcmp(state, "running") == 0 || strcmp(state, "starting") == 0);
    json_decref(status);
    return lives;
}

/* The file stays where there is a batch script, which looks at it; the job's next start removes it. */
static int ask(const quern_batch_job *job)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/cancel", job->directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return quern_command_fail(errno, "cannot make %s", path);
    close(fd);
    return 0;
}

/* Whether it ended. */
static bool await_end(const quern_batch_job *job, long seconds)
{
    for (time_t end = time(NULL) + seconds; is_alive(job); nanosleep(&(struct timespec){0, LOOK_NS}, NULL))
        if (time(NULL) >= end)
            return false;
    return true;
}

static int end_by_slurm(const quern_batch_job *job)
{
    const char *command[] = {"scancel", job->number, NULL};
    char *text = NULL;
    int status = quern_batch_call(command, NULL, false, &text);
    free(text);
    return status == 0 ? 0 : 1;
}

static int cancel(const char *name, long seconds)
{
    quern_batch_job job;
    if (quern_batch_find(name, &job) != 0)
        return 1;
    bool is_waiting = strcmp(job.state, "PENDING") == 0, has_ended = is_waiting || !is_alive(&job);
    if (!has_ended && seconds > 0) {
        if (ask(&job) != 0)
            return 1;
        has_ended = await_end(&job, seconds);
    }
    if (*job.number)
        return end_by_slurm(&job);
    if (!has_ended)
        return quern_command_fail(0, "%s has not ended within %ld s", name, seconds);
    return 0;
}

int quern_command_cancel(int argc, char **argv)
{
    static const struct option names[] = {{"wait", required_argument, NULL, 'w'}, {"now", no_argument, NULL, 'n'}, {0}};
    long seconds = WAIT_SECONDS;
    int status = 0;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 'n')
            seconds = 0;
        else if (option == 'w')
            seconds = quern_command_read_number(optarg, 0, WAIT_SECONDS_MAX);
        else
            return QUERN_COMMAND_MISUSED;
    }
    if (optind == argc || seconds < 0)
        return QUERN_COMMAND_MISUSED;
    for (int i = optind; i < argc; i++)
        status |= cancel(argv[i], seconds);
    return status;
}
