/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/stream/spawner_protocol.h: what a rank and its spawner tell each other (spawner.h). */
#ifndef QUERN_TOOLS_STREAM_SPAWNER_PROTOCOL_H
#define QUERN_TOOLS_STREAM_SPAWNER_PROTOCOL_H

#include "tools/stream/spawner.h"

typedef enum quern_spawner_kind {
    QUERN_SPAWNER_START = 1,
    QUERN_SPAWNER_KILL,
    QUERN_SPAWNER_STARTED, /* number: errno */
    QUERN_SPAWNER_ENDED,   /* number: as of waitpid() */
} quern_spawner_kind;

/* One packet; of START variables are behind it, and three descriptors beside it. */
typedef struct quern_spawner_message {
    uint32_t kind;
    uint32_t command;
    uint64_t id;
    int32_t number;
    uint32_t variable_bytes;
} quern_spawner_message;

/* The spawner's life; ends when nobody has the other end of the socket. */
void quern_spawner_serve(int socket, char **const *commands, size_t command_count);

#endif
