/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/crash.h"

#define PAUSE_NS        QN_NS_PER_MS
#define OOM_SCORE_EXTRA "300" /* thousandths of the memory that the system thinks it takes beside what it does */

/* Meant for the job: the parent gets them, too. Not ignored, since programs that the child starts would ignore them as well. */
static const int passed_over[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};

static void pass_over(int number)
{
    (void)number;
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = pass_over, .sa_flags = SA_RESTART}, before;
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN && before.sa_handler != SIG_DFL)
            signal(number, SIG_DFL);
    for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++)
        sigaction(passed_over[i], &action, NULL);
    qn_crash_watch_child();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Whatever the system says: this is a wish. */
static void volunteer_for_oom(void)
{
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    (void)!write(file, OOM_SCORE_EXTRA, sizeof OOM_SCORE_EXTRA - 1);
    close(file);
}

/* First of all that was put off to the end: nothing of the rest is the child's to do. */
static void end_at_once(int code, void *user)
{
    (void)user;
    fflush(stdout);
    fflush(stderr);
    _exit(code);
}

static _Noreturn void live(pid_t parent, qn_child_fn run, void *user)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    reset_signals();
    volunteer_for_oom();
    __fpurge(stdout); /* the parent's to write */
    __fpurge(stderr);
    on_exit(end_at_once, NULL);
    run(user);
    end_at_once(0, NULL);
    _exit(0);
}

quern_status qn_child_start(qn_child *child, qn_child_fn run, void *user, qn_error *error)
{
    sigset_t all, before;
    pid_t parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of the parent's runs in the child */
    pid_t pid = fork();
    if (pid == 0)
        live(parent, run, user);
    int code = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return qn_error_set(error, QUERN_ERROR_SYSTEM, code, "cannot start a process for callbacks");
    *child = (qn_child){.pid = pid};
    return QUERN_OK;
}

bool qn_child_has_ended(qn_child *child)
{
    int outcome = 0;
    if (child->pid == 0)
        return true;
    pid_t ended = waitpid(child->pid, &outcome, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    *child = (qn_child){.outcome = ended > 0 ? outcome : -1};
    return true;
}

void qn_child_end(qn_child *child, uint64_t patience_ns)
{
    uint64_t until_ns = qn_clock_ns() + patience_ns;
    while (!qn_child_has_ended(child)) {
        if (qn_clock_ns() >= until_ns)
            qn_child_signal(child, SIGKILL);
        qn_clock_sleep(PAUSE_NS);
    }
}

void qn_child_signal(const qn_child *child, int number)
{
    if (child->pid > 0)
        kill(child->pid, number);
}

void qn_child_describe(const qn_child *child, char *text, size_t bytes)
{
    if (child->outcome == -1)
        snprintf(text, bytes, "an end that nobody saw");
    else if (WIFSIGNALED(child->outcome))
        snprintf(text, bytes, "signal %d (%s)", WTERMSIG(child->outcome), strsignal(WTERMSIG(child->outcome)));
    else
        snprintf(text, bytes, "exit status %d", WEXITSTATUS(child->outcome));
}
