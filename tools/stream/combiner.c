/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/stream/combiner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES ((size_t)16 << 20) /* that are combined at a time, but for a record that is longer */

static int put_into_spool(void *user, const char *data, size_t bytes)
{
    return quern_stream_spool_put(user, data, bytes);
}

int quern_stream_combiner_init(quern_stream_combiner *combiner, quern_spawner *spawner, quern_stream_spool *into,
                               int timeout_ms, bool shows_stderr)
{
    combiner->buffer = malloc(BUFFER_BYTES);
    combiner->buffer_capacity = combiner->buffer ? BUFFER_BYTES : 0;
    int problem =
        quern_stream_process_init(&combiner->process, spawner, put_into_spool, into, timeout_ms, shows_stderr);
    return combiner->buffer ? problem : ENOMEM;
}

void quern_stream_combiner_fini(quern_stream_combiner *combiner)
{
    quern_stream_process_fini(&combiner->process);
    free(combiner->buffer);
    free(combiner->records);
}

void quern_stream_combiner_drop(quern_stream_combiner *combiner)
{
    quern_stream_process_drop(&combiner->process);
    combiner->buffer_bytes = 0;
}

static bool fail(quern_stream_combiner *combiner, const char *text)
{
    snprintf(combiner->why, sizeof combiner->why, "combine: %.*s", QUERN_STREAM_WHY_BYTES_MAX - 16, text);
    return false;
}

static int compare_bytes(const char *left, size_t left_bytes, const char *right, size_t right_bytes)
{
    int order = memcmp(left, right, left_bytes < right_bytes ? left_bytes : right_bytes);
    return order != 0 ? order : (left_bytes > right_bytes) - (left_bytes < right_bytes);
}

static int compare_records(const void *left, const void *right)
{
    const quern_stream_record *one = left, *other = right;
    int order = compare_bytes(one->key, one->key_bytes, other->key, other->key_bytes);
    return order != 0 ? order : compare_bytes(one->value, one->value_bytes, other->value, other->value_bytes);
}

static bool add_record(quern_stream_combiner *combiner, const quern_stream_record *record)
{
    if (combiner->record_count == combiner->record_capacity) {
        size_t capacity = combiner->record_capacity ? 2 * combiner->record_capacity : 4096;
        quern_stream_record *records = realloc(combiner->records, capacity * sizeof *records);
        if (!records)
            return false;
        combiner->records = records;
        combiner->record_capacity = capacity;
    }
    combiner->records[combiner->record_count++] = *record;
    return true;
}

/* The whole records of the buffer. *used_out: their bytes. False: no memory. */
static bool find_records(quern_stream_combiner *combiner, bool is_all, size_t *used_out)
{
    quern_stream_record record;
    size_t wanted, used = 0, more;
    combiner->record_count = 0;
    while ((more = quern_stream_read_record(combiner->format, combiner->buffer + used, combiner->buffer_bytes - used,
                                            is_all, &record, &wanted)) > 0) {
        if (!add_record(combiner, &record))
            return false;
        used += more;
    }
    *used_out = used;
    return true;
}

static bool feed_records(quern_stream_combiner *combiner)
{
    bool is_well = true;
    size_t lead = combiner->format == QUERN_STREAM_LENGTHS ? QUERN_STREAM_LENGTHS_BYTES : 0;
    for (size_t i = 0; i < combiner->record_count && is_well; i++) {
        const quern_stream_record *record = &combiner->records[i];
        is_well = quern_stream_process_put(&combiner->process, record->key - lead, record->whole_bytes) &&
                  (lead > 0 || quern_stream_process_put(&combiner->process, "\n", 1));
    }
    return is_well;
}

static bool combine(quern_stream_combiner *combiner, bool is_all)
{
    size_t used = 0;
    if (!find_records(combiner, is_all, &used))
        return fail(combiner, "no memory to sort");
    if (is_all && used < combiner->buffer_bytes)
        return fail(combiner, "what map gave ends within a record");
    if (combiner->record_count > 0) {
        qsort(combiner->records, combiner->record_count, sizeof *combiner->records, compare_records);
        if (!quern_stream_process_start(&combiner->process, combiner->command, combiner->name, combiner->variables,
                                        combiner->variable_bytes) ||
            !feed_records(combiner) || !quern_stream_process_finish(&combiner->process))
            return fail(combiner, combiner->process.why);
    }
    memmove(combiner->buffer, combiner->buffer + used, combiner->buffer_bytes - used);
    combiner->buffer_bytes -= used;
    return true;
}

/* A record is longer than the buffer. */
static bool enlarge(quern_stream_combiner *combiner)
{
    size_t capacity = 2 * combiner->buffer_capacity;
    if (combiner->buffer_capacity > combiner->record_bytes_max)
        return fail(combiner, "map gave a record that is longer than record-bytes");
    char *buffer = realloc(combiner->buffer, capacity);
    if (!buffer)
        return fail(combiner, "no memory for a record");
    combiner->buffer = buffer;
    combiner->buffer_capacity = capacity;
    return true;
}

bool quern_stream_combiner_put(quern_stream_combiner *combiner, const char *data, size_t bytes)
{
    while (bytes > 0) {
        size_t room = combiner->buffer_capacity - combiner->buffer_bytes, more = bytes < room ? bytes : room;
        memcpy(combiner->buffer + combiner->buffer_bytes, data, more);
        combiner->buffer_bytes += more;
        data += more;
        bytes -= more;
        if (combiner->buffer_bytes < combiner->buffer_capacity)
            continue;
        if (!combine(combiner, false))
            return false;
        if (combiner->buffer_bytes == combiner->buffer_capacity && !enlarge(combiner))
            return false;
    }
    return true;
}

bool quern_stream_combiner_finish(quern_stream_combiner *combiner)
{
    return combiner->buffer_bytes == 0 || combine(combiner, true);
}
