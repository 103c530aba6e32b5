/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/stream/combiner.h: what a mapper gives, sorted and sent through the combiner buffer by buffer.
 *
 * A combiner sees some of the lines of a key, sorted, and each once; of one key it may run any number of times. Sorting is by key and
 * then by value, as for reducers.
 */
#ifndef QUERN_TOOLS_STREAM_COMBINER_H
#define QUERN_TOOLS_STREAM_COMBINER_H

#include "tools/stream/process.h"
#include "tools/stream/records.h"
#include "tools/stream/spool.h"

typedef struct quern_stream_combiner {
    quern_stream_format format;
    quern_stream_process process;
    uint32_t command;
    const char *name;
    const char *variables; /* borrowed; set before the first buffer of a stretch */
    size_t variable_bytes;
    size_t record_bytes_max;
    char *buffer;
    size_t buffer_bytes, buffer_capacity;
    quern_stream_record *records;
    size_t record_count, record_capacity;
    char why[QUERN_STREAM_WHY_BYTES_MAX]; /* of the last failure */
} quern_stream_combiner;

/* What combiners give goes to the spool. 0, or errno. */
int quern_stream_combiner_init(quern_stream_combiner *combiner, quern_spawner *spawner, quern_stream_spool *into,
                               int timeout_ms, bool shows_stderr);
void quern_stream_combiner_fini(quern_stream_combiner *combiner);

/* False on failure: then `why` says it. */
bool quern_stream_combiner_put(quern_stream_combiner *combiner, const char *data, size_t bytes);
/* What is left. The buffer is empty then. */
bool quern_stream_combiner_finish(quern_stream_combiner *combiner);
void quern_stream_combiner_drop(quern_stream_combiner *combiner);

#endif
