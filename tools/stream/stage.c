/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/stream/stage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES ((size_t)1 << 20)
#define SHOWN_PATH   160 /* bytes of a path's end, in a failure's text */

/* ---- begin and end of a stage ---- */

/* What a process gives. */
static int take_given(void *user, const char *data, size_t bytes)
{
    quern_stream_stage *stage = user;
    if (!stage->combiner)
        return quern_stream_spool_put(&stage->spool, data, bytes);
    return quern_stream_combiner_put(stage->combiner, data, bytes) ? 0 : ECANCELED;
}

int quern_stream_stage_init(quern_stream_stage *stage, const quern_stream_config *config,
                            quern_stream_combiner *combiner)
{
    stage->config = config;
    stage->combiner = combiner;
    stage->window_capacity = WINDOW_BYTES;
    stage->window = malloc(WINDOW_BYTES);
    int problem = quern_stream_spool_init(&stage->spool, config->scratch);
    int process = quern_stream_process_init(&stage->process, config->spawner, take_given, stage, config->timeout_ms,
                                            config->shows_stderr);
    if (combiner) {
        combiner->format = config->format;
        combiner->record_bytes_max = config->record_bytes_max;
        int combining = quern_stream_combiner_init(combiner, config->spawner, &stage->spool, config->timeout_ms,
                                                   config->shows_stderr);
        problem = problem != 0 ? problem : combining;
    }
    problem = problem != 0 ? problem : process;
    return stage->window ? problem : ENOMEM;
}

void quern_stream_stage_fini(quern_stream_stage *stage)
{
    quern_stream_process_fini(&stage->process);
    if (stage->combiner)
        quern_stream_combiner_fini(stage->combiner);
    quern_stream_spool_fini(&stage->spool);
    free(stage->window);
}

/* ---- what a process is told ---- */

static void put_variable(char *to, size_t *used, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void put_variable(char *to, size_t *used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(to + *used, QUERN_SPAWNER_BYTES_MAX - *used, format, arguments);
    va_end(arguments);
    *used += (size_t)bytes + 1; /* paths are much shorter than the room */
}

static size_t put_variables(const quern_stream_stage *stage, const char *name, char *to)
{
    size_t used = 0;
    put_variable(to, &used, "QUERN_STREAM_STAGE=%s", name);
    put_variable(to, &used, "QUERN_STREAM_TASK=%" PRIu32, stage->stretch.task);
    put_variable(to, &used, "QUERN_STREAM_ATTEMPT=%" PRIu32, stage->stretch.attempt);
    put_variable(to, &used, "QUERN_STREAM_FORMAT=%s",
                 stage->config->format == QUERN_STREAM_LINES ? "lines" : "lengths");
    if (stage->takes_pairs)
        return used;
    put_variable(to, &used, "QUERN_STREAM_INPUT_FILE=%s", stage->path);
    put_variable(to, &used, "QUERN_STREAM_INPUT_OFFSET=%" PRIu64, stage->offset);
    return used;
}

static void note_place(quern_stream_stage *stage, quern_span place)
{
    quern_span path = quern_place_path(place);
    size_t bytes = path.bytes < sizeof stage->path ? path.bytes : sizeof stage->path - 1;
    memcpy(stage->path, path.data, bytes);
    stage->path[bytes] = 0;
    stage->offset = quern_place_offset(place);
}

static bool is_other_file(const quern_stream_stage *stage, quern_span place)
{
    quern_span path = quern_place_path(place);
    return strlen(stage->path) != path.bytes || memcmp(stage->path, path.data, path.bytes) != 0;
}

/* ---- records to it ---- */

static int fail(const quern_stream_stage *stage, quern_emitter *out, size_t record)
{
    char text[QUERN_STREAM_WHY_BYTES_MAX + SHOWN_PATH + 80];
    const char *path = stage->path;
    size_t bytes = strlen(path);
    bool by_combiner = stage->combiner && stage->combiner->why[0];
    const char *why = by_combiner ? stage->combiner->why : stage->process.why;
    if (bytes > SHOWN_PATH)
        path += bytes - SHOWN_PATH;
    if (stage->takes_pairs)
        snprintf(text, sizeof text, "%s", why);
    else
        snprintf(text, sizeof text, "from byte %" PRIu64 " of %s%.*s on: %s", stage->offset,
                 path > stage->path ? "..." : "", SHOWN_PATH, path, why);
    return quern_fail(out, record, text);
}

static bool start(quern_stream_stage *stage)
{
    stage->variable_bytes = put_variables(stage, stage->name, stage->variables);
    if (stage->combiner) {
        stage->combiner->variables = stage->combiner_variables;
        stage->combiner->variable_bytes = put_variables(stage, "combine", stage->combiner_variables);
    }
    stage->runs = quern_stream_process_start(&stage->process, stage->command, stage->program, stage->variables,
                                             stage->variable_bytes);
    return stage->runs;
}

static bool finish(quern_stream_stage *stage)
{
    if (!stage->runs)
        return true;
    stage->runs = false;
    return quern_stream_process_finish(&stage->process) &&
           (!stage->combiner || quern_stream_combiner_finish(stage->combiner));
}

static bool put_pair(quern_stream_stage *stage, quern_span key, quern_span value)
{
    quern_stream_process *process = &stage->process;
    char lengths[QUERN_STREAM_LENGTHS_BYTES];
    bool has_lengths = stage->config->format == QUERN_STREAM_LENGTHS;
    if (has_lengths)
        quern_stream_write_lengths(key.bytes, value.bytes, lengths);
    return (!has_lengths || quern_stream_process_put(process, lengths, sizeof lengths)) &&
           quern_stream_process_put(process, key.data, key.bytes) &&
           quern_stream_process_put(process, value.data, value.bytes) &&
           (has_lengths || quern_stream_process_put(process, "\n", 1));
}

/* A line of a file is a value without a key, where there are two fields. */
static bool put_record(quern_stream_stage *stage, quern_span key, quern_span value)
{
    if (stage->takes_pairs)
        return (stage->runs || start(stage)) && put_pair(stage, key, value);
    if (stage->runs && stage->config->is_per_file && is_other_file(stage, value) && !finish(stage))
        return false;
    if (!stage->runs) {
        note_place(stage, value);
        if (!start(stage))
            return false;
    }
    return put_pair(stage, quern_bytes("", 0), key);
}

/* ---- the callbacks ---- */

static int begin_stretch(const quern_stretch *stretch, quern_emitter *out, void *user)
{
    quern_stream_stage *stage = user;
    (void)out;
    stage->stretch = *stretch;
    stage->runs = false;
    stage->path[0] = 0;
    stage->process.why[0] = 0;
    if (stage->combiner)
        stage->combiner->why[0] = 0;
    quern_stream_spool_clear(&stage->spool);
    return 0;
}

static int take_block(const quern_block *in, quern_emitter *out, void *user)
{
    quern_stream_stage *stage = user;
    for (size_t i = 0; i < in->count; i++)
        if (!put_record(stage, quern_bytes(in->key[i], in->key_bytes[i]),
                        quern_bytes(in->value[i], in->value_bytes[i])))
            return fail(stage, out, i);
    return 0;
}

static int emit(const quern_stream_stage *stage, const quern_stream_record *record, quern_emitter *out)
{
    size_t lead = stage->config->format == QUERN_STREAM_LENGTHS ? QUERN_STREAM_LENGTHS_BYTES : 0;
    if (stage->gives_pairs)
        return quern_emit(out, quern_bytes(record->key, record->key_bytes),
                          quern_bytes(record->value, record->value_bytes));
    return quern_emit(out, quern_bytes(record->key - lead, record->whole_bytes), quern_bytes("", 0));
}

/* The whole records of the window; *left_out: bytes behind them. */
static int emit_window(const quern_stream_stage *stage, size_t bytes, bool is_all, quern_emitter *out, size_t *left_out,
                       size_t *wanted_out)
{
    quern_stream_record record;
    size_t used = 0, more;
    while ((more = quern_stream_read_record(stage->config->format, stage->window + used, bytes - used, is_all, &record,
                                            wanted_out)) > 0) {
        used += more;
        if (emit(stage, &record, out) != 0)
            return 1;
    }
    memmove(stage->window, stage->window + used, bytes - used);
    *left_out = bytes - used;
    return 0;
}

/* For a record of at least so many bytes. */
static bool enlarge_window(quern_stream_stage *stage, size_t wanted)
{
    size_t capacity = stage->window_capacity;
    if (wanted > stage->config->record_bytes_max + QUERN_STREAM_LENGTHS_BYTES) {
        snprintf(stage->process.why, sizeof stage->process.why,
                 "it gave a record of at least %zu bytes, longer than record-bytes", wanted);
        return false;
    }
    while (capacity < wanted)
        capacity *= 2;
    char *window = realloc(stage->window, capacity);
    if (!window) {
        snprintf(stage->process.why, sizeof stage->process.why, "no memory for a record of %zu bytes", wanted);
        return false;
    }
    stage->window = window;
    stage->window_capacity = capacity;
    return true;
}

static int emit_spool(quern_stream_stage *stage, quern_emitter *out)
{
    size_t held = 0, wanted = 0;
    for (;;) {
        size_t got = 0;
        int problem = quern_stream_spool_take(&stage->spool, stage->window + held, stage->window_capacity - held, &got);
        if (problem != 0) {
            snprintf(stage->process.why, sizeof stage->process.why, "cannot read what it gave: %s", strerror(problem));
            return fail(stage, out, 0);
        }
        held += got;
        if (emit_window(stage, held, got == 0, out, &held, &wanted) != 0)
            return 1;
        if (got == 0)
            break;
        if (held == stage->window_capacity && !enlarge_window(stage, wanted))
            return fail(stage, out, 0);
    }
    if (held == 0)
        return 0;
    snprintf(stage->process.why, sizeof stage->process.why, "what it gave ends within a record");
    return fail(stage, out, 0);
}

/* A record that was long has had its room. */
static void shrink_window(quern_stream_stage *stage)
{
    char *window = stage->window_capacity > WINDOW_BYTES ? realloc(stage->window, WINDOW_BYTES) : NULL;
    if (!window)
        return;
    stage->window = window;
    stage->window_capacity = WINDOW_BYTES;
}

static int end_stretch(quern_emitter *out, void *user)
{
    quern_stream_stage *stage = user;
    int failed = finish(stage) ? emit_spool(stage, out) : fail(stage, out, 0);
    if (failed && stage->combiner)
        quern_stream_combiner_drop(stage->combiner);
    quern_stream_spool_clear(&stage->spool);
    shrink_window(stage);
    return failed;
}

static void drop_stretch(void *user)
{
    quern_stream_stage *stage = user;
    stage->runs = false;
    quern_stream_process_drop(&stage->process);
    if (stage->combiner)
        quern_stream_combiner_drop(stage->combiner);
    quern_stream_spool_clear(&stage->spool);
}

const quern_stretch_operator quern_stream_stage_operator = {
    .struct_size = sizeof(quern_stretch_operator),
    .begin = begin_stretch,
    .take = take_block,
    .end = end_stretch,
    .drop = drop_stretch,
};
