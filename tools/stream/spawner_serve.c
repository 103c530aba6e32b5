/* SPDX-License-Identifier: BSD-3-Clause */
/* The spawner's side of spawner.h: a loop around a socket and the news of children. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/stream/spawner_protocol.h"

#define SOCKET_FD 3 /* once the rank's files are closed */

typedef struct child {
    uint64_t id;
    pid_t pid; /* 0: this one is free */
} child;

typedef struct serving {
    int signals;
    char **const *commands;
    size_t command_count;
    child children[QUERN_SPAWNER_LIVE_MAX];
} serving;

/* A request, and what came with it. */
typedef struct request {
    quern_spawner_message message;
    char variables[QUERN_SPAWNER_BYTES_MAX];
    int fds[3]; /* -1: there are none */
} request;

extern char **environ;

/* With nothing of the rank's open, no pipe of a launcher's stays open because of us. */
static void leave_rank(int *socket)
{
    int nowhere = open("/dev/null", O_RDWR);
    setsid();
    for (int fd = 0; fd < SOCKET_FD; fd++)
        dup2(nowhere, fd);
    dup3(*socket, SOCKET_FD, O_CLOEXEC);
    syscall(SYS_close_range, SOCKET_FD + 1, ~0U, 0);
    *socket = SOCKET_FD;
    prctl(PR_SET_NAME, "quern-spawner");
}

/* What a launcher gives its ranks would make a rank of a command that knows MPI, too. */
static bool is_of_launcher(const char *variable)
{
    static const char *const begins[] = {"PMIX_",        "PMI_", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_", "OMPI_MCA_orte",
                                         "OMPI_MCA_ess", "PRTE_"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(variable, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static void forget_launcher(void)
{
    char **to = environ;
    for (char **from = environ; from && *from; from++)
        if (!is_of_launcher(*from))
            *to++ = *from;
    if (to)
        *to = NULL;
}

static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child; told: where errno goes. */
static void become_command(const serving *all, const request *wanted, int told)
{
    char **words = all->commands[wanted->message.command];
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    reset_signals();
    for (int i = 0; i < 3; i++)
        dup2(wanted->fds[i], i);
    for (const char *at = wanted->variables, *end = at + wanted->message.variable_bytes; at < end; at += strlen(at) + 1)
        putenv((char *)(uintptr_t)at);
    execvp(words[0], words);
    int problem = errno;
    (void)!write(told, &problem, sizeof problem);
    _exit(127);
}

static int start(const serving *all, const request *wanted, pid_t *pid_out)
{
    int told[2], problem = 0;
    if (pipe2(told, O_CLOEXEC) != 0)
        return errno;
    pid_t pid = fork();
    if (pid == 0)
        become_command(all, wanted, told[1]);
    problem = pid < 0 ? errno : 0;
    close(told[1]);
    if (pid > 0) {
        setpgid(pid, pid); /* whoever comes first */
        while (read(told[0], &problem, sizeof problem) < 0 && errno == EINTR)
            continue;
    }
    close(told[0]);
    if (pid > 0 && problem != 0)
        waitpid(pid, NULL, 0);
    *pid_out = pid;
    return problem;
}

static void tell(quern_spawner_kind kind, uint64_t id, int number)
{
    quern_spawner_message message = {.kind = kind, .id = id, .number = number};
    while (send(SOCKET_FD, &message, sizeof message, MSG_NOSIGNAL) < 0 && errno == EINTR)
        continue;
}

static void do_start(serving *all, const request *wanted)
{
    child *room = all->children;
    while (room < all->children + QUERN_SPAWNER_LIVE_MAX && room->pid != 0)
        room++;
    bool is_sound = room < all->children + QUERN_SPAWNER_LIVE_MAX && wanted->fds[2] >= 0 &&
                    wanted->message.command < all->command_count;
    child begun = {.id = wanted->message.id};
    int problem = is_sound ? start(all, wanted, &begun.pid) : EINVAL;
    if (problem == 0)
        *room = begun;
    tell(QUERN_SPAWNER_STARTED, begun.id, problem);
}

/* False: nobody is there any more. */
static bool take_request(request *wanted)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } room;
    struct iovec pieces[] = {{&wanted->message, sizeof wanted->message}, {wanted->variables, sizeof wanted->variables}};
    struct msghdr header = {
        .msg_iov = pieces, .msg_iovlen = 2, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    ssize_t got;
    do {
        got = recvmsg(SOCKET_FD, &header, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    const struct cmsghdr *control = got > 0 ? CMSG_FIRSTHDR(&header) : NULL;
    wanted->fds[0] = wanted->fds[1] = wanted->fds[2] = -1;
    if (control && control->cmsg_type == SCM_RIGHTS && control->cmsg_len == CMSG_LEN(sizeof wanted->fds))
        memcpy(wanted->fds, CMSG_DATA(control), sizeof wanted->fds);
    return got >= (ssize_t)sizeof wanted->message;
}

static void do_request(serving *all, const request *wanted)
{
    if (wanted->message.kind == QUERN_SPAWNER_START)
        do_start(all, wanted);
    for (size_t i = 0; i < QUERN_SPAWNER_LIVE_MAX && wanted->message.kind == QUERN_SPAWNER_KILL; i++)
        if (all->children[i].pid != 0 && all->children[i].id == wanted->message.id)
            kill(-all->children[i].pid, SIGKILL);
    for (int i = 0; i < 3; i++)
        if (wanted->fds[i] >= 0)
            close(wanted->fds[i]);
}

/* The leader is reaped last, so that its group's number is nobody else's before the group is killed. */
static void reap(serving *all)
{
    for (size_t i = 0; i < QUERN_SPAWNER_LIVE_MAX; i++) {
        child *one = &all->children[i];
        siginfo_t about = {0};
        int outcome = 0;
        if (one->pid == 0 || waitid(P_PID, (id_t)one->pid, &about, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            about.si_pid == 0)
            continue;
        kill(-one->pid, SIGKILL);
        waitpid(one->pid, &outcome, 0);
        tell(QUERN_SPAWNER_ENDED, one->id, outcome);
        one->pid = 0;
    }
}

static void end_all(const serving *all)
{
    for (size_t i = 0; i < QUERN_SPAWNER_LIVE_MAX; i++)
        if (all->children[i].pid != 0)
            kill(-all->children[i].pid, SIGKILL);
    while (wait(NULL) > 0)
        continue;
}

void quern_spawner_serve(int socket, char **const *commands, size_t command_count)
{
    static serving all;
    static request wanted;
    struct signalfd_siginfo news;
    sigset_t every;
    sigfillset(&every);
    sigprocmask(SIG_SETMASK, &every, NULL);
    signal(SIGCHLD, SIG_DFL); /* an ignored one would reap for us */
    leave_rank(&socket);
    forget_launcher();
    all = (serving){.commands = commands, .command_count = command_count};
    sigemptyset(&every);
    sigaddset(&every, SIGCHLD);
    all.signals = signalfd(-1, &every, SFD_CLOEXEC | SFD_NONBLOCK);
    struct pollfd ends[] = {{.fd = SOCKET_FD, .events = POLLIN}, {.fd = all.signals, .events = POLLIN}};
    for (;;) {
        if (poll(ends, 2, -1) < 0 && errno != EINTR)
            break;
        if (ends[1].revents && read(all.signals, &news, sizeof news) > 0)
            reap(&all);
        if (!ends[0].revents)
            continue;
        if (!take_request(&wanted))
            break;
        do_request(&all, &wanted);
    }
    end_all(&all);
}
