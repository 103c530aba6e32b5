/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern cancel: ends a job. One that runs is asked by a file in its directory, so that it can save what it has; who does not answer in
 * time is ended by SLURM, where that is its master.
 */
#include <errno.h>
#include <fcntl.h>
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

enum { WAIT = QUERN_COMMAND_KEY, NOW };

static const struct argp_option options[] = {
    {"wait", WAIT, "SECONDS", 0, "For how long a job may save what it has, and end (60)"},
    {"now", NOW, NULL, 0, "Does not wait"},
    {0},
};

static bool take(void *seconds, int key, const char *word)
{
    *(long *)seconds = key == NOW ? 0 : quern_command_read_number(word, 0, WAIT_SECONDS_MAX);
    return *(long *)seconds >= 0;
}

static int run(int argc, char **argv)
{
    long seconds = WAIT_SECONDS;
    int status = 0;
    for (int i = quern_command_parse(&quern_command_cancel, argc, argv, take, &seconds); i < argc; i++)
        status |= cancel(argv[i], seconds);
    return status;
}

const quern_command quern_command_cancel = {
    .name = "cancel",
    .operands = "JOB...",
    .what = "ends jobs, and lets them save what they have",
    .about = "JOB is a job directory, or the number of a job of SLURM. A job that runs finds the file `cancel` in its "
             "directory within a "
             "second or two, and ends as after SIGUSR1: with a checkpoint once that is saved, with status 75. One of "
             "SLURM that has "
             "not ended in time is ended by scancel, and is not queued again.",
    .options = options,
    .examples = "  quern cancel 1234\n"
                "  quern cancel --wait 600 quern-1234\n",
    .see = "quern-status(1), quern-submit(1), scancel(1)",
    .run = run,
};
