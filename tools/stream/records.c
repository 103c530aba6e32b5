/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/stream/records.h"

#include <stdint.h>
#include <string.h>

static size_t read_line(const char *data, size_t bytes, bool is_all, quern_stream_record *record)
{
    const char *end = bytes > 0 ? memchr(data, '\n', bytes) : NULL;
    if (!end && (!is_all || bytes == 0))
        return 0;
    size_t line_bytes = end ? (size_t)(end - data) : bytes;
    const char *tab = memchr(data, '\t', line_bytes);
    *record = (quern_stream_record){.key = data, .key_bytes = tab ? (size_t)(tab - data) : line_bytes};
    record->value = data + record->key_bytes;
    record->value_bytes = line_bytes - record->key_bytes;
    record->whole_bytes = line_bytes;
    return line_bytes + (end ? 1 : 0);
}

static uint32_t read_length(const char *from)
{
    const unsigned char *byte = (const unsigned char *)from;
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

static size_t read_lengths(const char *data, size_t bytes, quern_stream_record *record, size_t *wanted)
{
    *wanted = QUERN_STREAM_LENGTHS_BYTES;
    if (bytes < QUERN_STREAM_LENGTHS_BYTES)
        return 0;
    *record = (quern_stream_record){
        .key = data + QUERN_STREAM_LENGTHS_BYTES, .key_bytes = read_length(data), .value_bytes = read_length(data + 4)};
    record->value = record->key + record->key_bytes;
    record->whole_bytes = *wanted = QUERN_STREAM_LENGTHS_BYTES + record->key_bytes + record->value_bytes;
    return *wanted <= bytes ? *wanted : 0;
}

size_t quern_stream_read_record(quern_stream_format format, const char *data, size_t bytes, bool is_all,
                                quern_stream_record *record_out, size_t *wanted_out)
{
    *wanted_out = bytes + 1;
    return format == QUERN_STREAM_LINES ? read_line(data, bytes, is_all, record_out)
                                        : read_lengths(data, bytes, record_out, wanted_out);
}

static void write_length(size_t length, char *to)
{
    for (int i = 0; i < 4; i++)
        to[i] = (char)(length >> (24 - 8 * i));
}

void quern_stream_write_lengths(size_t key_bytes, size_t value_bytes, char to[QUERN_STREAM_LENGTHS_BYTES])
{
    write_length(key_bytes, to);
    write_length(value_bytes, to + 4);
}
