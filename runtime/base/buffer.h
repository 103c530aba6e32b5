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

typedef struct qn_buffer {
    uint8_t *data;
    size_t bytes;
    size_t capacity_bytes;
    bool failed;
} qn_buffer;

void qn_buffer_fini(qn_buffer *buffer); /* takes a zeroed one */
void qn_buffer_append(qn_buffer *buffer, const void *data, size_t bytes);
/* As many bytes more, whose content is left open. */
void qn_buffer_extend(qn_buffer *buffer, size_t bytes);
void qn_buffer_append_u32(qn_buffer *buffer, uint32_t number);
void qn_buffer_append_u64(qn_buffer *buffer, uint64_t number);
/* Length and bytes. */
void qn_buffer_append_span(qn_buffer *buffer, const void *data, size_t bytes);

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
