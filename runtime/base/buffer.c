/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/buffer.h"

#include <stdlib.h>
#include <string.h>

void qn_buffer_fini(qn_buffer *buffer)
{
    free(buffer->data);
    *buffer = (qn_buffer){0};
}

bool qn_buffer_grow(qn_buffer *buffer, size_t bytes)
{
    if (buffer->failed)
        return false;
    if (buffer->capacity_bytes - buffer->bytes >= bytes)
        return true;
    size_t capacity_bytes = buffer->capacity_bytes ? buffer->capacity_bytes : 256;
    while (bytes <= SIZE_MAX / 4 && capacity_bytes - buffer->bytes < bytes)
        capacity_bytes *= 2;
    uint8_t *data = bytes <= SIZE_MAX / 4 ? realloc(buffer->data, capacity_bytes) : NULL;
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity_bytes = capacity_bytes;
    return true;
}

void qn_buffer_extend(qn_buffer *buffer, size_t bytes)
{
    if (qn_buffer_grow(buffer, bytes))
        buffer->bytes += bytes;
}

void qn_buffer_append_span(qn_buffer *buffer, const void *data, size_t bytes)
{
    qn_buffer_append_u64(buffer, bytes);
    qn_buffer_append(buffer, data, bytes);
}

size_t qn_buffer_begin_span(qn_buffer *buffer)
{
    qn_buffer_append_u64(buffer, 0);
    return buffer->bytes;
}

void qn_buffer_end_span(qn_buffer *buffer, size_t begun)
{
    uint64_t bytes = buffer->bytes - begun;
    if (!buffer->failed)
        memcpy(buffer->data + begun - sizeof bytes, &bytes, sizeof bytes);
}

qn_reader qn_reader_of(const void *data, size_t bytes)
{
    return (qn_reader){.next = data, .left_bytes = bytes};
}

const void *qn_reader_take(qn_reader *reader, size_t bytes)
{
    if (reader->failed || reader->left_bytes < bytes) {
        reader->failed = true;
        return NULL;
    }
    const void *data = reader->next;
    reader->next += bytes;
    reader->left_bytes -= bytes;
    return data;
}

uint32_t qn_reader_u32(qn_reader *reader)
{
    uint32_t number = 0;
    const void *data = qn_reader_take(reader, sizeof number);
    if (data)
        memcpy(&number, data, sizeof number);
    return number;
}

uint64_t qn_reader_u64(qn_reader *reader)
{
    uint64_t number = 0;
    const void *data = qn_reader_take(reader, sizeof number);
    if (data)
        memcpy(&number, data, sizeof number);
    return number;
}

const void *qn_reader_span(qn_reader *reader, size_t *bytes_out)
{
    uint64_t bytes = qn_reader_u64(reader);
    const void *data = qn_reader_take(reader, bytes);
    *bytes_out = data ? bytes : 0;
    return data;
}
