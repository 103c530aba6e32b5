/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/stream/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITING_BYTES ((size_t)256 << 10)
#define GIVEN_BYTES   ((size_t)256 << 10)
#define PIPE_BYTES    (1 << 20) /* as many as the system lets us have without privileges */
#define SHOWN_BYTES   600       /* of the tail, in a failure's text */
#define SIGNAL_NAMES  32
#define KILL_WAIT_MS  5000

int quern_stream_process_init(quern_stream_process *process, quern_spawner *spawner, quern_stream_sink_fn sink,
                              void *sink_user, int timeout_ms, bool shows_stderr)
{
    *process = (quern_stream_process){.spawner = spawner,
                                      .sink = sink,
                                      .sink_user = sink_user,
                                      .timeout_ms = timeout_ms,
                                      .shows_stderr = shows_stderr,
                                      .in = -1,
                                      .out = -1,
                                      .err = -1,
                                      .waiting = malloc(WAITING_BYTES),
                                      .given = malloc(GIVEN_BYTES)};
    return process->waiting && process->given ? 0 : ENOMEM;
}

void quern_stream_process_fini(quern_stream_process *process)
{
    quern_stream_process_drop(process);
    free(process->waiting);
    free(process->given);
}

static void close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

void quern_stream_process_drop(quern_stream_process *process)
{
    int outcome;
    close_end(&process->in);
    close_end(&process->out);
    close_end(&process->err);
    if (process->is_there) {
        quern_spawner_kill(process->spawner, process->id);
        quern_spawner_wait(process->spawner, process->id, KILL_WAIT_MS, &outcome);
    }
    process->is_there = false;
    process->waiting_bytes = 0;
}

/* ---- why it failed ---- */

/* A byte as it is shown: what is not to be printed is escaped, bytes from 0x80 on too, since text may be cut anywhere. */
static size_t escape(unsigned char byte, char to[5])
{
    if (byte == '\n' || byte == '\t' || byte == '\\')
        return (size_t)snprintf(to, 5, "\\%c", byte == '\n' ? 'n' : byte == '\t' ? 't' : '\\');
    return (size_t)snprintf(to, 5, byte < 0x20 || byte >= 0x7f ? "\\x%02x" : "%c", byte);
}

static unsigned char tail_at(const quern_stream_process *process, uint64_t at)
{
    return (unsigned char)process->tail[at % QUERN_STREAM_TAIL_BYTES];
}

/* The end of standard error, in one line, without the last line's end: as much as there is room for. */
static void put_tail(const quern_stream_process *process, char *to, size_t room)
{
    char one[5];
    uint64_t end = process->tail_bytes, begin, used = 0;
    if (end > 0 && tail_at(process, end - 1) == '\n')
        end--;
    for (begin = end; begin > 0 && end - begin < QUERN_STREAM_TAIL_BYTES - 1; begin--) {
        size_t bytes = escape(tail_at(process, begin - 1), one);
        if (used + bytes + 1 > room)
            break;
        used += bytes;
    }
    for (*to = 0; begin < end; begin++)
        to += escape(tail_at(process, begin), to);
}

static bool fail(quern_stream_process *process, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(quern_stream_process *process, const char *format, ...)
{
    char tail[SHOWN_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(process->why, sizeof process->why, format, arguments);
    va_end(arguments);
    size_t used = strlen(process->why);
    put_tail(process, tail, sizeof tail);
    if (process->tail_bytes > 0)
        snprintf(process->why + used, sizeof process->why - used, "; its standard error ends with \"%s\"", tail);
    quern_stream_process_drop(process);
    return false;
}

/* ---- both ways ---- */

static void keep_tail(quern_stream_process *process, const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        process->tail[process->tail_bytes++ % QUERN_STREAM_TAIL_BYTES] = data[i];
    if (process->shows_stderr)
        (void)!write(STDERR_FILENO, data, bytes);
}

/* What there is now of one of its outputs. *moved: there was something, or an end. False: the sink failed. */
static bool drain(quern_stream_process *process, int *from, bool *moved)
{
    ssize_t got = *from >= 0 ? read(*from, process->given, GIVEN_BYTES) : -1;
    if (*from < 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    *moved = true;
    if (got <= 0) {
        close_end(from);
        return true;
    }
    if (from == &process->err) {
        keep_tail(process, process->given, (size_t)got);
        return true;
    }
    int problem = process->sink(process->sink_user, process->given, (size_t)got);
    return problem == 0 || fail(process, "cannot keep what it gives: %s", strerror(problem));
}

/* Waits until one of the ways goes on, or, with nothing to write, somebody ended. False: it took too long, or the sink failed. */
static bool wait_for_way(quern_stream_process *process, bool wants_in)
{
    bool moved = false;
    struct pollfd ends[] = {
        {.fd = process->out, .events = POLLIN},
        {.fd = process->err, .events = POLLIN},
        {.fd = wants_in ? process->in : process->spawner->socket, .events = wants_in ? POLLOUT : POLLIN},
    };
    int ready = poll(ends, 3, process->timeout_ms);
    if (ready < 0 && errno != EINTR)
        return fail(process, "cannot wait for it: %s", strerror(errno));
    if (ready == 0)
        return fail(process, "it neither read nor wrote for %d s (--timeout) and was killed",
                    process->timeout_ms / 1000);
    return (!ends[0].revents || drain(process, &process->out, &moved)) &&
           (!ends[1].revents || drain(process, &process->err, &moved));
}

/* What is in the pipes of one that has ended. Somebody who left its group may have them open, and is not waited for. */
static bool take_rest(quern_stream_process *process)
{
    bool moved = true;
    while (moved) {
        moved = false;
        if (!drain(process, &process->out, &moved) || !drain(process, &process->err, &moved))
            return false;
    }
    return true;
}

static bool feed(quern_stream_process *process, const char *data, size_t bytes)
{
    while (bytes > 0 && process->in >= 0) {
        ssize_t taken = write(process->in, data, bytes);
        if (taken > 0) {
            data += taken;
            bytes -= (size_t)taken;
        } else if (errno == EPIPE)
            close_end(&process->in);
        else if (errno != EAGAIN && errno != EINTR)
            return fail(process, "cannot write to it: %s", strerror(errno));
        if (bytes > 0 && process->in >= 0 && !wait_for_way(process, true))
            return false;
    }
    return true;
}

bool quern_stream_process_put(quern_stream_process *process, const char *data, size_t bytes)
{
    if (process->waiting_bytes + bytes > WAITING_BYTES) {
        size_t before = process->waiting_bytes;
        process->waiting_bytes = 0;
        if (!feed(process, process->waiting, before))
            return false;
        if (bytes > WAITING_BYTES)
            return feed(process, data, bytes);
    }
    memcpy(process->waiting + process->waiting_bytes, data, bytes);
    process->waiting_bytes += bytes;
    return true;
}

/* ---- begin and end ---- */

static bool make_pipe(int *ours, int *theirs, bool we_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *ours = ends[we_write ? 1 : 0];
    *theirs = ends[we_write ? 0 : 1];
    fcntl(*ours, F_SETFL, O_NONBLOCK | (we_write ? O_WRONLY : O_RDONLY));
    fcntl(*ours, F_SETPIPE_SZ, PIPE_BYTES);
    return true;
}

bool quern_stream_process_start(quern_stream_process *process, uint32_t command, const char *name,
                                const char *variables, size_t variable_bytes)
{
    int theirs[3] = {-1, -1, -1}, problem = 0;
    process->tail_bytes = 0;
    process->waiting_bytes = 0;
    bool complete = make_pipe(&process->in, &theirs[0], true) && make_pipe(&process->out, &theirs[1], false) &&
                    make_pipe(&process->err, &theirs[2], false);
    if (!complete)
        problem = errno;
    else
        problem = quern_spawner_start(process->spawner, command, variables, variable_bytes, theirs, &process->id);
    for (int i = 0; i < 3; i++)
        close_end(&theirs[i]);
    process->is_there = problem == 0;
    return problem == 0 || fail(process, "cannot start '%s': %s", name, strerror(problem));
}

static bool judge(quern_stream_process *process, int outcome)
{
    if (WIFSIGNALED(outcome))
        return fail(process, "signal %d (%s) ended it", WTERMSIG(outcome), strsignal(WTERMSIG(outcome)));
    return WEXITSTATUS(outcome) == 0 || fail(process, "it ended with exit status %d", WEXITSTATUS(outcome));
}

bool quern_stream_process_finish(quern_stream_process *process)
{
    int outcome = 0;
    size_t before = process->waiting_bytes;
    process->waiting_bytes = 0;
    if (!feed(process, process->waiting, before))
        return false;
    close_end(&process->in);
    int problem;
    while ((problem = quern_spawner_wait(process->spawner, process->id, 0, &outcome)) == ETIMEDOUT)
        if (!wait_for_way(process, false))
            return false;
    process->is_there = false;
    if (problem != 0)
        return fail(process, "the process that starts commands is gone: %s", strerror(problem));
    if (!take_rest(process))
        return false;
    bool is_well = judge(process, outcome);
    quern_stream_process_drop(process);
    return is_well;
}
