/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define TEXT_BYTES   1024
#define CALLS_MAX    64
#define STACK_BYTES  ((size_t)64 << 10) /* for when the thread's own is full */
#define SECONDS_MAX  5                  /* for the last words */
#define SIGNAL_COUNT (sizeof watched / sizeof *watched)

static const int watched[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/* A handler has nothing but what is global. */
static struct {
    atomic_bool is_on, has_begun;
    qn_crash_tell_fn tell;
    void *user;
    int end_status; /* 0: the signal's */
    bool ends_by_signal;
    struct sigaction before[sizeof watched / sizeof *watched];
    stack_t stack_before;
    uint8_t stack[STACK_BYTES];
} watch;

static _Noreturn void end_process(int status)
{
    if (watch.ends_by_signal)
        kill(getpid(), SIGKILL);
    _exit(status);
}

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

/* Whoever takes longer is ended by SIGALRM. */
static void limit_time(void)
{
    sigset_t alarms;
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(SECONDS_MAX);
}

/* The calls are those of who handled the signal before, if anybody did. */
static void say_calls(bool is_handled)
{
    void *calls[CALLS_MAX];
    if (is_handled)
        return;
    int count = backtrace(calls, CALLS_MAX);
    backtrace_symbols_fd(calls, count, STDERR_FILENO);
}

static const struct sigaction *handled_before(int number)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        if (watched[i] == number)
            return &watch.before[i];
    return NULL;
}

static void handle(int number, siginfo_t *about, void *context)
{
    (void)context;
    const struct sigaction *before = handled_before(number);
    if (!atomic_exchange(&watch.has_begun, true)) {
        char text[TEXT_BYTES] = "";
        bool has_address = number != SIGABRT && about->si_code > 0;
        limit_time();
        snprintf(text, sizeof text, "quern: signal %d (%s)", number, strsignal(number));
        if (has_address)
            snprintf(text + strlen(text), sizeof text - strlen(text), " at address %p", about->si_addr);
        snprintf(text + strlen(text), sizeof text - strlen(text), "\n");
        say(text); /* before anything that may fail */
        text[0] = '\0';
        watch.tell(text, sizeof text, watch.user);
        say(text);
        say_calls(before->sa_handler != SIG_DFL);
    }
    if (watch.end_status != 0)
        end_process(watch.end_status);
    /* For whoever was there before: what the processor refused is tried again when this returns, what was sent is sent again. */
    sigaction(number, before, NULL);
    if (about->si_code <= 0)
        raise(number);
}

static void handle_all(bool keep_before)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaction(watched[i], &action, keep_before ? &watch.before[i] : NULL);
}

bool qn_crash_watch(qn_crash_tell_fn tell, void *user)
{
    void *calls[1];
    const stack_t stack = {.ss_sp = watch.stack, .ss_size = sizeof watch.stack};
    if (atomic_exchange(&watch.is_on, true))
        return false;
    backtrace(calls, 1); /* now it may allocate memory */
    watch.tell = tell;
    watch.user = user;
    sigaltstack(&stack, &watch.stack_before);
    handle_all(true);
    return true;
}

void qn_crash_watch_child(void)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        signal(watched[i], SIG_DFL);
    if (!atomic_load(&watch.is_on))
        return;
    memset(watch.before, 0, sizeof watch.before); /* SIG_DFL */
    handle_all(false);
}

void qn_crash_say(const char *line)
{
    if (!atomic_load(&watch.is_on))
        return;
    struct iovec parts[] = {{(void *)line, strlen(line)}, {(void *)"\n", 1}};
    (void)!writev(STDERR_FILENO, parts, 2);
}

void qn_crash_end(pthread_t stuck, int status)
{
    if (atomic_load(&watch.is_on)) {
        watch.end_status = status;
        pthread_kill(stuck, SIGABRT);
        qn_clock_sleep(SECONDS_MAX * QN_NS_PER_S);
    }
    end_process(status);
}

void qn_crash_end_now(int status)
{
    end_process(status);
}

_Noreturn void qn_crash_exit(int status)
{
    _exit(status);
}

void qn_crash_end_by_signal(void)
{
    watch.ends_by_signal = true;
}

void qn_crash_unwatch(void)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        struct sigaction now;
        if (sigaction(watched[i], NULL, &now) == 0 && now.sa_sigaction == handle)
            sigaction(watched[i], &watch.before[i], NULL);
    }
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == watch.stack)
        sigaltstack(&watch.stack_before, NULL);
    atomic_store(&watch.is_on, false);
}
