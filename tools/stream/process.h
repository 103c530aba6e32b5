/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/stream/process.h: a command that is fed, and read while it is fed.
 *
 * Whoever writes to a command that does not read because nobody reads what it writes waits for ever. So both ways never block, and while one
 * is full the other is looked at: what the command gives goes to a sink at once, whenever it comes.
 *
 * A command may end, or close its standard input, before it has had everything, as head does: the rest is thrown away. Whether that is well
 * its exit status says.
 */
#ifndef QUERN_TOOLS_STREAM_PROCESS_H
#define QUERN_TOOLS_STREAM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/stream/spawner.h"

#define QUERN_STREAM_WHY_BYTES_MAX 900  /* of a failure's text, within the library's 1024 */
#define QUERN_STREAM_TAIL_BYTES    4096 /* of what a command wrote to its standard error, the last */

/* Takes what a command gives. 0, or errno. */
typedef int (*quern_stream_sink_fn)(void *user, const char *data, size_t bytes);

typedef struct quern_stream_process {
    quern_spawner *spawner;
    quern_stream_sink_fn sink;
    void *sink_user;
    int timeout_ms;    /* in which the command neither reads nor writes; -1: none */
    bool shows_stderr; /* what it writes to standard error goes to ours, too */
    bool is_there;
    uint64_t id;
    int in, out, err; /* ours; -1: closed */
    char *waiting;    /* for the command: [QUERN_STREAM_WAITING_BYTES] */
    size_t waiting_bytes;
    char *given; /* room to read */
    char tail[QUERN_STREAM_TAIL_BYTES];
    uint64_t tail_bytes;                  /* all that were written; the last are in the ring `tail` */
    char why[QUERN_STREAM_WHY_BYTES_MAX]; /* of the last failure */
} quern_stream_process;

/* 0, or errno: no memory. */
int quern_stream_process_init(quern_stream_process *process, quern_spawner *spawner, quern_stream_sink_fn sink,
                              void *sink_user, int timeout_ms, bool shows_stderr);
void quern_stream_process_fini(quern_stream_process *process);

/* These return false on failure; then `why` says it, and the process is gone. */

/* variables: as quern_spawner_start(). */
bool quern_stream_process_start(quern_stream_process *process, uint32_t command, const char *name,
                                const char *variables, size_t variable_bytes);
/* Copies what fits in, and feeds it when there is enough. */
bool quern_stream_process_put(quern_stream_process *process, const char *data, size_t bytes);
/* Closes its input, takes what it still gives, and waits for its end, which must be exit(0). */
bool quern_stream_process_finish(quern_stream_process *process);

/* Kills it, if it is there. */
void quern_stream_process_drop(quern_stream_process *process);

#endif
