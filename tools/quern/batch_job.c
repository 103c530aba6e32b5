/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/batch_job.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/quern/commands.h"

#define JSON_BYTES_MAX (64 << 20) /* ten thousand ranks take one */

extern char **environ;

/* A file without a name: the command may take as long as it likes to read it. */
static int open_input(const char *input)
{
    FILE *file = input ? tmpfile() : fopen("/dev/null", "re");
    if (!file)
        return -1;
    bool is_whole = !input || (fputs(input, file) >= 0 && fflush(file) == 0);
    int fd = is_whole ? dup(fileno(file)) : -1;
    fclose(file);
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static char *read_whole(int fd)
{
    char *text = NULL;
    size_t size = 0;
    char piece[4096];
    FILE *to = open_memstream(&text, &size);
    for (ssize_t bytes; to && (bytes = read(fd, piece, sizeof piece)) != 0;)
        if (bytes > 0)
            fwrite(piece, 1, (size_t)bytes, to);
        else if (errno != EINTR)
            break;
    if (to)
        fclose(to);
    return text;
}

static int start(const char *const *command, int input, int output, bool is_quiet, pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (is_quiet)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int reason = posix_spawnp(pid_out, command[0], &actions, NULL, (char *const *)command, environ);
    posix_spawn_file_actions_destroy(&actions);
    return reason;
}

int quern_batch_call(const char *const *command, const char *input, bool is_quiet, char **output_out)
{
    int ends[2], outcome = 0;
    pid_t pid;
    *output_out = NULL;
    int fd = open_input(input);
    if (fd < 0 || pipe2(ends, O_CLOEXEC) != 0) {
        if (fd >= 0)
            close(fd);
        quern_command_fail(errno, "cannot run %s", command[0]);
        return QUERN_COMMAND_NOT_FOUND;
    }
    int reason = start(command, fd, ends[1], is_quiet, &pid);
    close(fd);
    close(ends[1]);
    if (reason == 0) {
        *output_out = read_whole(ends[0]);
        while (waitpid(pid, &outcome, 0) < 0 && errno == EINTR)
            ;
    } else if (!is_quiet)
        quern_command_fail(reason, "cannot run %s", command[0]);
    close(ends[0]);
    return reason != 0 ? QUERN_COMMAND_NOT_FOUND : WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 128 + WTERMSIG(outcome);
}

static bool is_number(const char *name)
{
    return isdigit((unsigned char)*name) && name[strspn(name, "0123456789_")] == 0;
}

/* "STATE|DIRECTORY|COMMENT" of a job that SLURM knows still. */
static void ask_slurm(quern_batch_job *job)
{
    const char *command[] = {"squeue", "--noheader", "--states=all", "--format=%T|%Z|%k", "--jobs", job->number, NULL};
    char *text = NULL;
    int status = quern_batch_call(command, NULL, true, &text);
    char *rest = text, *state = status == 0 && text ? strsep(&rest, "|") : NULL;
    char *work = rest ? strsep(&rest, "|") : NULL, *comment = rest ? strsep(&rest, "\n") : NULL;
    if (state && *state)
        snprintf(job->state, sizeof job->state, "%s", state);
    if (comment && strncmp(comment, BATCH_COMMENT, strlen(BATCH_COMMENT)) == 0) {
        const char *name = comment + strlen(BATCH_COMMENT);
        snprintf(job->directory, sizeof job->directory, "%s%s%s", *name == '/' ? "" : work, *name == '/' ? "" : "/",
                 name);
    }
    free(text);
}

/* In names of directories as in those of SLURM's logs. */
static void put_number(quern_batch_job *job)
{
    char *mark = strstr(job->directory, "%j");
    char rest[PATH_MAX];
    if (!mark)
        return;
    snprintf(rest, sizeof rest, "%s", mark + strlen("%j"));
    snprintf(mark, sizeof job->directory - (size_t)(mark - job->directory), "%s%s", job->number, rest);
}

int quern_batch_find(const char *name, quern_batch_job *job)
{
    struct stat about;
    *job = (quern_batch_job){0};
    if (stat(name, &about) == 0 && S_ISDIR(about.st_mode)) {
        snprintf(job->directory, sizeof job->directory, "%s", name);
        return 0;
    }
    if (!is_number(name) || strlen(name) >= sizeof job->number)
        return quern_command_fail(0, "%s is neither the directory nor the number of a job", name);
    snprintf(job->number, sizeof job->number, "%s", name);
    ask_slurm(job);
    if (!*job->directory)
        snprintf(job->directory, sizeof job->directory, "quern-%%j");
    put_number(job);
    if (!*job->state && access(job->directory, F_OK) != 0)
        return quern_command_fail(0, "no job %s: SLURM does not know it, and there is no %s here", name,
                                  job->directory);
    return 0;
}

/* Whoever may write the directory may put there what they like: a pipe, say, or a file without end. */
json_t *quern_batch_read_json(const quern_batch_job *job, const char *name)
{
    char path[PATH_MAX + 32];
    struct stat about;
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", job->directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return NULL;
    bool is_fit = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= JSON_BYTES_MAX;
    json_t *all = is_fit ? json_loadfd(fd, JSON_REJECT_DUPLICATES, &error) : NULL;
    close(fd);
    if (json_is_object(all))
        return all;
    json_decref(all);
    return NULL;
}

json_t *quern_batch_read_status(const quern_batch_job *job)
{
    return quern_batch_read_json(job, "status.json");
}
