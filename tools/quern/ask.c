/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/quern/commands.h"

#define LOOK_NS      10000000L
#define SIGNALLED    128
#define KILL_SECONDS 5 /* for what was killed to be gone */

static volatile sig_atomic_t signal_came;

typedef struct asking {
    char *const *words; /* NULL: a function */
    quern_ask_fn function;
    const void *user;
    const char *what;
    pid_t pid;
    int fds[2]; /* what is written to standard output and error */
    double seconds, seconds_to_end;
    quern_answer *answer;
} asking;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static _Noreturn void become(const asking *all, pid_t parent)
{
    int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setpgid(0, 0);
    signal(SIGTERM, SIG_DFL); /* by which it is to end, whatever we do about it */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || nowhere < 0)
        _exit(QUERN_COMMAND_NOT_FOUND);
    dup2(nowhere, STDIN_FILENO);
    dup2(all->fds[0], STDOUT_FILENO);
    dup2(all->fds[1], STDERR_FILENO);
    if (all->words)
        execvp(all->words[0], all->words);
    else
        all->function(all->user);
    fflush(stdout);
    _exit(all->words ? QUERN_COMMAND_NOT_FOUND : 0);
}

static bool has_ended(asking *all)
{
    int outcome = 0;
    if (waitpid(all->pid, &outcome, WNOHANG) != all->pid)
        return false;
    all->answer->status = WIFEXITED(outcome) ? WEXITSTATUS(outcome) : SIGNALLED + WTERMSIG(outcome);
    return true;
}

static bool writes_too_much(const asking *all)
{
    struct stat about;
    for (int i = 0; i < 2; i++)
        if (fstat(all->fds[i], &about) == 0 && about.st_size > (off_t)ASK_BYTES_MAX)
            return true;
    return false;
}

/* Whether it ended by itself in so many seconds. */
static bool wait_for(asking *all, double seconds)
{
    bool is_ended = all->answer->was_late; /* then it may have written what it likes */
    for (double begin = now(); !has_ended(all);) {
        if (now() - begin > seconds || (!is_ended && (signal_came != 0 || writes_too_much(all))))
            return false;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return true;
}

static void wait_or_end(asking *all)
{
    if (wait_for(all, all->seconds))
        return;
    all->answer->was_late = true;
    kill(-all->pid, SIGTERM);
    kill(all->pid, SIGTERM); /* it may have no group yet */
    if (wait_for(all, all->seconds_to_end))
        return;
    kill(-all->pid, SIGKILL);
    kill(all->pid, SIGKILL);
    if (!wait_for(all, KILL_SECONDS))
        all->answer->status = SIGNALLED + SIGKILL;
}

/* NULL: no memory. */
static char *read_all(int fd, size_t *bytes_out)
{
    struct stat about = {0};
    fstat(fd, &about);
    size_t bytes = (size_t)about.st_size < ASK_BYTES_MAX ? (size_t)about.st_size : ASK_BYTES_MAX;
    char *text = malloc(bytes + 1);
    ssize_t got = text ? pread(fd, text, bytes, 0) : -1;
    if (!text)
        return NULL;
    *bytes_out = got > 0 ? (size_t)got : 0;
    text[*bytes_out] = 0;
    return text;
}

static int run(asking *all)
{
    size_t error_bytes = 0;
    pid_t parent = getpid();
    if (signal_came != 0)
        return 1;
    fflush(stdout); /* it would be written twice */
    all->pid = fork();
    if (all->pid == 0)
        become(all, parent);
    if (all->pid < 0)
        return quern_command_fail(errno, "cannot start %s", all->what);
    wait_or_end(all);
    all->answer->words = read_all(all->fds[0], &all->answer->words_bytes);
    all->answer->errors = read_all(all->fds[1], &error_bytes);
    if (all->answer->words && all->answer->errors)
        return 0;
    quern_answer_fini(all->answer);
    return quern_command_fail(ENOMEM, "cannot read what %s says", all->what);
}

static int ask(asking *all)
{
    int failed = 1;
    *all->answer = (quern_answer){0};
    all->fds[0] = memfd_create("answer", MFD_CLOEXEC);
    all->fds[1] = memfd_create("errors", MFD_CLOEXEC);
    if (all->fds[0] < 0 || all->fds[1] < 0)
        quern_command_fail(errno, "cannot ask %s", all->what);
    else {
        fcntl(all->fds[0], F_SETFL, O_APPEND);
        fcntl(all->fds[1], F_SETFL, O_APPEND);
        failed = run(all);
    }
    for (int i = 0; i < 2; i++)
        if (all->fds[i] >= 0)
            close(all->fds[i]);
    return failed;
}

int quern_ask(char *const *words, double seconds, double seconds_to_end, quern_answer *answer)
{
    asking all = {
        .words = words, .what = words[0], .seconds = seconds, .seconds_to_end = seconds_to_end, .answer = answer};
    return ask(&all);
}

int quern_ask_function(quern_ask_fn function, const void *user, const char *what, double seconds, quern_answer *answer)
{
    asking all = {.function = function, .user = user, .what = what, .seconds = seconds, .answer = answer};
    return ask(&all);
}

static void note_signal(int number)
{
    signal_came = number;
}

void quern_ask_heed_signals(void)
{
    const struct sigaction action = {.sa_handler = note_signal};
    const int heeded[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof heeded / sizeof *heeded; i++)
        sigaction(heeded[i], &action, NULL);
}

int quern_ask_signal(void)
{
    return signal_came;
}

void quern_answer_fini(quern_answer *answer)
{
    free(answer->words);
    free(answer->errors);
    *answer = (quern_answer){0};
}
