/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/stream/stage.h: a command as an operator of Quern's (quern_flat_map_stretch()).
 *
 * One process works on one stretch: of a mapper a task of the input, or a piece of it; of a reducer all that its rank has. So an exit status
 * is one of an attempt, and what a process gave before it failed reaches nobody. A process for each rank would save a start for each task, a
 * millisecond and what an interpreter takes, but a crash would cost all that the rank had done.
 *
 * What a process gives waits in a spool until it has ended well; mappers' goes through the combiner before, if there is one. A stretch
 * without records starts none.
 */
#ifndef QUERN_TOOLS_STREAM_STAGE_H
#define QUERN_TOOLS_STREAM_STAGE_H

#include <quern/dataset.h>

#include "tools/stream/combiner.h"

#define QUERN_STREAM_PATH_BYTES_MAX 4096

typedef struct quern_stream_config {
    quern_spawner *spawner;
    quern_stream_format format;
    const char *scratch;
    size_t record_bytes_max;
    int timeout_ms; /* -1: none */
    bool shows_stderr;
    bool is_per_file; /* a mapper never sees two files */
} quern_stream_config;

typedef struct quern_stream_stage {
    const quern_stream_config *config;
    const char *name; /* "map" or "reduce" */
    const char *program;
    uint32_t command;
    bool takes_pairs; /* else lines of files, with their places */
    bool gives_pairs; /* else records as they are to be written */
    quern_stretch stretch;
    bool runs;
    quern_stream_process process;
    quern_stream_spool spool;
    quern_stream_combiner *combiner; /* NULL: none */
    char variables[QUERN_SPAWNER_BYTES_MAX];
    size_t variable_bytes;
    char combiner_variables[QUERN_SPAWNER_BYTES_MAX];
    char path[QUERN_STREAM_PATH_BYTES_MAX]; /* where the process's input begins, unless it is pairs */
    uint64_t offset;
    char *window; /* on the spool */
    size_t window_capacity;
} quern_stream_stage;

/* What names it, and what it takes and gives, is set before. combiner: prepared by this, borrowed; NULL: none. 0, or errno. */
int quern_stream_stage_init(quern_stream_stage *stage, const quern_stream_config *config,
                            quern_stream_combiner *combiner);
void quern_stream_stage_fini(quern_stream_stage *stage); /* and its combiner's */

/* The callbacks, whose user is a stage. */
extern const quern_stretch_operator quern_stream_stage_operator;

#endif
