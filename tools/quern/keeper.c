/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/keeper.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/quern/commands.h"
#include "tools/quern/peers.h"

#define LOOK_SECONDS  1    /* between looks at how the command is */
#define SWEEP_SECONDS 0.01 /* between rounds of killing */
#define STAT_BYTES    512

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Its parent, or 0; its state as a letter. A name may hold anything, so the last parenthesis counts. */
static pid_t look_at_process(const char *name, char *state_out)
{
    char path[64], text[STAT_BYTES + 1];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", name);
    FILE *file = fopen(path, "re");
    size_t bytes = file ? fread(text, 1, STAT_BYTES, file) : 0;
    if (file)
        fclose(file);
    text[bytes] = 0;
    const char *end = strrchr(text, ')');
    return end && sscanf(end + 1, " %c %d", state_out, &parent) == 2 ? parent : 0;
}

typedef void (*child_fn)(quern_keeper *keeper, pid_t pid, char state, size_t *count);

static size_t for_each_child(quern_keeper *keeper, pid_t parent, child_fn call)
{
    DIR *processes = opendir("/proc");
    size_t count = 0;
    char state = 0;
    for (struct dirent *entry; processes && (entry = readdir(processes));)
        if (isdigit((unsigned char)entry->d_name[0]) && look_at_process(entry->d_name, &state) == parent)
            call(keeper, (pid_t)strtol(entry->d_name, NULL, 10), state, &count);
    if (processes)
        closedir(processes);
    return count;
}

static bool is_stranger(const quern_keeper *keeper, pid_t pid)
{
    for (size_t i = 0; i < keeper->stranger_count; i++)
        if (keeper->strangers[i] == pid)
            return true;
    return false;
}

static void note_stranger(quern_keeper *keeper, pid_t pid, char state, size_t *count)
{
    (void)state;
    pid_t *grown = realloc(keeper->strangers, (keeper->stranger_count + 1) * sizeof *grown);
    if (!grown) {
        ++*count;
        return;
    }
    keeper->strangers = grown;
    grown[keeper->stranger_count++] = pid;
}

static void count_living(quern_keeper *keeper, pid_t pid, char state, size_t *count)
{
    (void)keeper, (void)pid;
    *count += state != 'Z' && state != 'X';
}

static void count_dead(quern_keeper *keeper, pid_t pid, char state, size_t *count)
{
    (void)keeper, (void)pid;
    *count += state == 'Z' || state == 'X';
}

static void count_left(quern_keeper *keeper, pid_t pid, char state, size_t *count)
{
    (void)state;
    *count += !is_stranger(keeper, pid);
}

static void kill_left(quern_keeper *keeper, pid_t pid, char state, size_t *count)
{
    (void)state;
    if (is_stranger(keeper, pid))
        return;
    kill(pid, SIGKILL);
    ++*count;
}

int quern_keeper_init(quern_keeper *keeper, bool is_local)
{
    *keeper = (quern_keeper){.is_local = is_local};
    sigemptyset(&keeper->awaited);
    sigaddset(&keeper->awaited, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(&keeper->awaited, passed_on[i]);
    signal(SIGCHLD, SIG_DFL); /* who ignores it gets no outcomes */
    sigprocmask(SIG_BLOCK, &keeper->awaited, &keeper->before);
    if (for_each_child(keeper, getpid(), note_stranger) > 0)
        return quern_command_fail(ENOMEM, "cannot run a job");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return quern_command_fail(errno, "cannot run a job so that nothing is left of it");
    return 0;
}

void quern_keeper_fini(quern_keeper *keeper)
{
    free(keeper->strangers);
    keeper->strangers = NULL;
}

/* In a group of its own: what a terminal sends comes once, by us. It ends if we do. The news ends without a byte when it has become the command. */
static _Noreturn void become(const quern_keeper *keeper, pid_t parent, char *const *command, int news)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    sigprocmask(SIG_SETMASK, &keeper->before, NULL);
    execvp(command[0], command);
    quern_command_fail(errno, "cannot run %s", command[0]);
    dprintf(news, "!");
    _exit(QUERN_COMMAND_NOT_FOUND);
}

/* The status that says so may also be the command's own. */
static bool is_no_command(int news)
{
    char byte;
    ssize_t bytes;
    do
        bytes = read(news, &byte, 1);
    while (bytes < 0 && errno == EINTR);
    return bytes > 0;
}

static void reap(quern_keeper *keeper)
{
    int outcome = 0;
    for (pid_t pid; (pid = waitpid(-1, &outcome, WNOHANG)) > 0;) {
        if (pid == keeper->pid) {
            keeper->pid = 0;
            keeper->outcome = outcome;
        }
        for (size_t i = 0; i < keeper->stranger_count; i++)
            if (keeper->strangers[i] == pid)
                keeper->strangers[i] = keeper->strangers[--keeper->stranger_count];
    }
}

static void stop_one(quern_keeper *keeper, pid_t pid, char state, size_t *count)
{
    (void)count;
    if (is_stranger(keeper, pid) || state == 'Z' || state == 'X')
        return;
    kill(pid, SIGSTOP); /* first, so that it does not see its children stop */
    for_each_child(keeper, pid, stop_one);
}

static void wake_one(quern_keeper *keeper, pid_t pid, char state, size_t *count)
{
    (void)state, (void)count;
    if (is_stranger(keeper, pid))
        return;
    for_each_child(keeper, pid, wake_one);
    kill(pid, SIGCONT);
}

/* As a shell expects of us. Where there is none to wake us, the kernel does not stop us, and all goes on at once. */
static void stop_with_command(quern_keeper *keeper)
{
    double began = now();
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    for_each_child(keeper, getpid(), stop_one);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL); /* here we stand still */
    sigprocmask(SIG_BLOCK, &stop, NULL);
    for_each_child(keeper, getpid(), wake_one);
    keeper->lonely_since = 0;
    if (keeper->ending_since > 0)
        keeper->ending_since += now() - began;
}

static void pass_on(quern_keeper *keeper, int number)
{
    if (number == SIGTSTP) {
        stop_with_command(keeper);
        return;
    }
    bool asks_to_end = number != SIGUSR1 && number != SIGUSR2;
    keeper->signal_passed = number;
    if (asks_to_end && keeper->ending_since <= 0)
        keeper->ending_since = now();
    if (keeper->pid > 0)
        kill(keeper->pid, number == SIGHUP || number == SIGQUIT ? SIGTERM : number); /* launchers do not know these */
}

void quern_keeper_pause(quern_keeper *keeper, double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int number = sigtimedwait(&keeper->awaited, NULL, &time);
    if (number > 0 && number != SIGCHLD)
        pass_on(keeper, number);
    reap(keeper);
}

static bool is_stopped(pid_t pid)
{
    char name[32], state = 0;
    snprintf(name, sizeof name, "%ld", (long)pid);
    return look_at_process(name, &state) > 0 && (state == 'T' || state == 't');
}

/* Whether the command stays without there being anything for it to wait for. One that somebody stopped is no business of ours. */
static bool is_stuck(quern_keeper *keeper)
{
    size_t dead = for_each_child(keeper, keeper->pid, count_dead);
    size_t living = for_each_child(keeper, keeper->pid, count_living);
    keeper->had_children |= living > 0;
    bool is_lonely = dead > 0 || (living == 0 && keeper->had_children && keeper->is_local);
    if (!is_lonely || is_stopped(keeper->pid))
        keeper->lonely_since = 0;
    else if (keeper->lonely_since <= 0)
        keeper->lonely_since = now();
    return (keeper->lonely_since > 0 && now() - keeper->lonely_since > KEEPER_DEAD_SECONDS) ||
           (keeper->ending_since > 0 && now() - keeper->ending_since > KEEPER_ENDING_SECONDS);
}

static void wait_for_command(quern_keeper *keeper)
{
    while (keeper->pid > 0) {
        quern_keeper_pause(keeper, LOOK_SECONDS);
        if (keeper->look)
            keeper->look(keeper->user);
        if (keeper->pid == 0)
            continue;
        keeper->was_stuck |= is_stuck(keeper);
        keeper->was_lost |= keeper->has_peers && quern_peers_are_lost(keeper->pid);
        if (keeper->was_stuck || keeper->was_lost)
            kill(keeper->pid, SIGKILL);
    }
}

/* Children of what is killed become ours and are killed in their turn. */
static int end_rest(quern_keeper *keeper)
{
    double began = now(), patience = WIFEXITED(keeper->outcome) ? KEEPER_GRACE_SECONDS : 0;
    size_t left;
    while ((left = for_each_child(keeper, getpid(), count_left)) > 0) {
        if (now() - began >= patience)
            for_each_child(keeper, getpid(), kill_left);
        if (now() - began > patience + KEEPER_KILL_SECONDS)
            return quern_command_fail(0, "%zu processes of the job do not end although they were killed", left);
        quern_keeper_pause(keeper, SWEEP_SECONDS);
    }
    return 0;
}

int quern_keeper_run(quern_keeper *keeper, char *const *command)
{
    pid_t parent = getpid();
    int news[2];
    if (pipe2(news, O_CLOEXEC) != 0)
        return quern_command_fail(errno, "cannot start %s", command[0]);
    keeper->was_stuck = keeper->was_lost = keeper->had_children = false;
    keeper->lonely_since = 0;
    keeper->pid = fork();
    if (keeper->pid == 0)
        become(keeper, parent, command, news[1]);
    close(news[1]);
    keeper->was_no_command = keeper->pid > 0 && is_no_command(news[0]);
    close(news[0]);
    if (keeper->pid < 0) {
        keeper->pid = 0;
        return quern_command_fail(errno, "cannot start %s", command[0]);
    }
    wait_for_command(keeper);
    return end_rest(keeper);
}
