/* SPDX-License-Identifier: BSD-3-Clause */
/* The rank's side of spawner.h. */
#include "tools/stream/spawner.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/stream/spawner_protocol.h"

int quern_spawner_create(quern_spawner *spawner, char **const *commands, size_t command_count)
{
    int ends[2];
    *spawner = (quern_spawner){.socket = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        quern_spawner_serve(ends[1], commands, command_count);
        _exit(0);
    }
    int problem = pid < 0 ? errno : 0;
    close(ends[1]);
    if (problem != 0) {
        close(ends[0]);
        return problem;
    }
    spawner->socket = ends[0];
    return 0;
}

void quern_spawner_destroy(quern_spawner *spawner)
{
    char nothing;
    if (spawner->socket < 0)
        return;
    /* When its end is closed, it has killed and reaped everything. */
    shutdown(spawner->socket, SHUT_WR);
    while (recv(spawner->socket, &nothing, sizeof nothing, 0) > 0 || errno == EINTR)
        errno = 0;
    close(spawner->socket);
    spawner->socket = -1;
}

static quern_spawned *find(quern_spawner *spawner, uint64_t id)
{
    for (size_t i = 0; i < QUERN_SPAWNER_LIVE_MAX; i++)
        if (spawner->live[i].id == id)
            return &spawner->live[i];
    return NULL;
}

static int send_message(const quern_spawner *spawner, quern_spawner_message *message, const char *variables,
                        const int *fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } room;
    struct iovec pieces[] = {{message, sizeof *message}, {(void *)(uintptr_t)variables, message->variable_bytes}};
    struct msghdr header = {.msg_iov = pieces, .msg_iovlen = message->variable_bytes > 0 ? 2 : 1};
    memset(&room, 0, sizeof room);
    if (fds) {
        header.msg_control = room.bytes;
        header.msg_controllen = sizeof room.bytes;
        struct cmsghdr *control = CMSG_FIRSTHDR(&header);
        *control =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(3 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(control), fds, 3 * sizeof(int));
    }
    for (;;) {
        if (sendmsg(spawner->socket, &header, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return errno;
    }
}

/* The next message, within so long; what is told of an end is kept. */
static int take_message(quern_spawner *spawner, int timeout_ms, quern_spawner_message *message_out)
{
    struct pollfd end = {.fd = spawner->socket, .events = POLLIN};
    int ready = poll(&end, 1, timeout_ms);
    if (ready <= 0)
        return ready < 0 ? errno : ETIMEDOUT;
    ssize_t got = recv(spawner->socket, message_out, sizeof *message_out, 0);
    if (got != sizeof *message_out)
        return got < 0 ? errno : EPIPE;
    quern_spawned *one = message_out->kind == QUERN_SPAWNER_ENDED ? find(spawner, message_out->id) : NULL;
    if (one) {
        one->has_ended = true;
        one->outcome = message_out->number;
    }
    return 0;
}

int quern_spawner_start(quern_spawner *spawner, uint32_t command, const char *variables, size_t variable_bytes,
                        const int fds[3], uint64_t *id_out)
{
    quern_spawned *free_one = find(spawner, 0);
    quern_spawner_message message = {.kind = QUERN_SPAWNER_START,
                                     .command = command,
                                     .id = ++spawner->last_id,
                                     .variable_bytes = (uint32_t)variable_bytes};
    if (!free_one || variable_bytes > QUERN_SPAWNER_BYTES_MAX)
        return E2BIG;
    const uint64_t id = message.id;
    int problem = send_message(spawner, &message, variables, fds);
    if (problem != 0)
        return problem;
    *free_one = (quern_spawned){.id = id};
    do {
        problem = take_message(spawner, -1, &message);
    } while (problem == EINTR || (problem == 0 && (message.kind != QUERN_SPAWNER_STARTED || message.id != id)));
    problem = problem == 0 ? message.number : problem;
    if (problem != 0)
        free_one->id = 0;
    else
        *id_out = id;
    return problem;
}

int quern_spawner_wait(quern_spawner *spawner, uint64_t id, int timeout_ms, int *outcome_out)
{
    quern_spawner_message message;
    quern_spawned *one = find(spawner, id);
    if (!one)
        return ESRCH;
    while (!one->has_ended) {
        int problem = take_message(spawner, timeout_ms, &message);
        if (problem != 0 && problem != EINTR)
            return problem;
    }
    *outcome_out = one->outcome;
    one->id = 0;
    return 0;
}

void quern_spawner_kill(quern_spawner *spawner, uint64_t id)
{
    quern_spawner_message message = {.kind = QUERN_SPAWNER_KILL, .id = id};
    send_message(spawner, &message, NULL, NULL);
}
