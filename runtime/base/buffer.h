/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/buffer.h: bytes that grow at the end, and a cursor that reads them back without trusting them.
 *
 * For control messages and small files. Appending remembers a refusal of memory (failed), so that a writer checks once.
 */
#ifndef QN_BASE_BUFFER_H
#define QN_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct qn_buffer {
    uint8_t *data;
    size_t bytes;
    size_t capacity_bytes;
    bool failed;
} qn_buffer;

void qn_buffer_fini(qn_buffer *buffer); /* takes a zeroed one */
/* Makes room for as many bytes more; false: refused, now or before. */
bool qn_buffer_grow(qn_buffer *buffer, size_t bytes);

/* The master writes messages for all ranks with this: inline, so that what is short and of known length is a move. */
static inline void qn_buffer_append(qn_buffer *buffer, const void *data, size_t bytes)
{
    if (bytes == 0 ||
        ((buffer->failed || buffer->capacity_bytes - buffer->bytes < bytes) && !qn_buffer_grow(buffer, bytes)))
        return;
    memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
}

static inline void qn_buffer_append_u32(qn_buffer *buffer, uint32_t number)
{
    qn_buffer_append(buffer, &number, sizeof number);
}

static inline void qn_buffer_append_u64(qn_buffer *buffer, uint64_t number)
{
    qn_buffer_append(buffer, &number, sizeof number);
}

/* As many bytes more, whose content is left open. */
void qn_buffer_extend(qn_buffer *buffer, size_t bytes);
/* Length and bytes. */
void qn_buffer_append_span(qn_buffer *buffer, const void *data, size_t bytes);
/* The same of what is written in between: begin gives what end takes. */
size_t qn_buffer_begin_span(qn_buffer *buffer);
void qn_buffer_end_span(qn_buffer *buffer, size_t begun);

typedef struct qn_reader {
    const uint8_t *next;
    size_t left_bytes;
    bool failed; /* more was asked than there was: everything read since is zero */
} qn_reader;

qn_reader qn_reader_of(const void *data, size_t bytes);
uint32_t qn_reader_u32(qn_reader *reader);
uint64_t qn_reader_u64(qn_reader *reader);
/* The bytes of qn_buffer_append_span(), in place; NULL if there are too few. */
const void *qn_reader_span(qn_reader *reader, size_t *bytes_out);
/* `bytes` raw bytes in place; NULL if there are too few. */
const void *qn_reader_take(qn_reader *reader, size_t bytes);

#endif
