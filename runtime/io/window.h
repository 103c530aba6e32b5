/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/window.h: the part of a content that is in memory: readers look at it and move it forward.
 *
 * data[0 … data_bytes) are the bytes of the content from data_offset on, with QN_WINDOW_SLACK_BYTES readable behind them. Moving on keeps what
 * the reader still needs and reads behind that. What is in the window is a function of the content and of the calls, so a reader that
 * begins again at the same place sees the same.
 */
#ifndef QN_IO_WINDOW_H
#define QN_IO_WINDOW_H

#include "runtime/data/batch.h"
#include "runtime/io/content.h"
#include "runtime/io/scan.h"

#define QN_READ_CHUNK_BYTES   ((size_t)256 << 10) /* contents are read up to multiples of it */
#define QN_WINDOW_SLACK_BYTES (QN_SCAN_STEP_BYTES + QN_SLACK_BYTES)

typedef struct qn_window {
    qn_content content;
    uint8_t *buffer; /* [capacity_bytes], aligned to a page */
    size_t capacity_bytes, capacity_first;
    uint8_t *data; /* in the buffer: as far behind a page's begin as its place in the file is (copies are fast so) */
    size_t data_bytes;
    uint64_t data_offset; /* of data[0] in the content */
} qn_window;

/* Memory for about kept_bytes_max and a chunk; it grows where more is kept. QUERN_ERROR_NO_MEMORY. */
quern_status qn_window_init(qn_window *window, size_t kept_bytes_max, qn_error *error);
void qn_window_fini(qn_window *window); /* takes a zeroed one */

/* An empty window at `offset` of the open content. */
static inline void qn_window_place(qn_window *window, uint64_t offset)
{
    window->data_offset = offset;
    window->data_bytes = 0;
}

static inline uint64_t qn_window_end(const qn_window *window)
{
    return window->data_offset + window->data_bytes;
}

/* Nothing comes behind the window. */
static inline bool qn_window_is_last(const qn_window *window)
{
    return qn_window_end(window) >= window->content.bytes;
}

/* Drops what is before `kept` (a byte of the window, or the one behind it) and reads up to the byte `end` of the content, or to the end of that.
 * QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_window_extend(qn_window *window, uint64_t kept, uint64_t end, qn_error *error);

/* The same up to the next multiple of the chunk size. */
static inline quern_status qn_window_advance(qn_window *window, uint64_t kept, qn_error *error)
{
    return qn_window_extend(window, kept, (qn_window_end(window) / QN_READ_CHUNK_BYTES + 1) * QN_READ_CHUNK_BYTES,
                            error);
}

#endif
