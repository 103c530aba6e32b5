/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/stream/spawner.h: a process that starts others for a rank.
 *
 * A rank of MPI had better not fork: what the network has registered and what is resident is copied or shared with the child. So the
 * spawner is forked before MPI begins, when a rank is a small process with one thread. The rank sends it the number of a command, variables
 * and the ends of pipes; it answers with what became of the start, and later of the end.
 *
 *     rank ── START id, command, variables, [stdin, stdout, stderr] ──► spawner ── fork, exec ──► command
 *     rank ◄────────── STARTED id, errno … ENDED id, wait status ────── spawner
 *
 * Each command leads a process group of its own. When it has ended, the rest of its group is killed, so a pipe that a forgotten child holds
 * open keeps nobody waiting. When the rank ends, however it does, the spawner's socket is closed, and it kills all groups and ends. It has a
 * session of its own, and passes over signals for an end, since a launcher that ends ranks must not end it before it has cleaned up.
 */
#ifndef QUERN_TOOLS_STREAM_SPAWNER_H
#define QUERN_TOOLS_STREAM_SPAWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUERN_SPAWNER_LIVE_MAX  4                  /* commands at a time */
#define QUERN_SPAWNER_BYTES_MAX ((size_t)32 << 10) /* of variables */

typedef struct quern_spawned {
    uint64_t id; /* 0: this one is free */
    bool has_ended;
    int outcome; /* as of waitpid() */
} quern_spawned;

typedef struct quern_spawner {
    int socket;
    uint64_t last_id;
    quern_spawned live[QUERN_SPAWNER_LIVE_MAX];
} quern_spawner;

/* Forks it. commands: [command_count], words of each up to a NULL, borrowed until return. Before MPI and before threads. 0, or errno. */
int quern_spawner_create(quern_spawner *spawner, char **const *commands, size_t command_count);
/* It ends what it started, and itself. */
void quern_spawner_destroy(quern_spawner *spawner);

/* Starts a command with these as its standard input, output and error, which stay the caller's to close. variables: NAME=value, a NUL behind each,
 * besides those of the rank. 0, or errno: of what exec says, too. */
int quern_spawner_start(quern_spawner *spawner, uint32_t command, const char *variables, size_t variable_bytes,
                        const int fds[3], uint64_t *id_out);
/* Whether a command has ended; waits for it at most so long. *outcome_out is set once, then the id is gone. 0, or errno: ETIMEDOUT. */
int quern_spawner_wait(quern_spawner *spawner, uint64_t id, int timeout_ms, int *outcome_out);
/* Kills a command and its group. */
void quern_spawner_kill(quern_spawner *spawner, uint64_t id);

#endif
