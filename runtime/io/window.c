/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/window.h"

#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"

#define CAPACITY_KEPT_MAX ((size_t)8 << 20) /* a buffer that a giant record made larger is given back */

/* A buffer has room for so much that is kept and comes. */
static size_t room_for(uint64_t bytes)
{
    return QN_PAGE_SMALL_BYTES + bytes + QN_WINDOW_SLACK_BYTES;
}

quern_status qn_window_init(qn_window *window, size_t kept_bytes_max, qn_error *error)
{
    size_t capacity = QN_PAGE_HUGE_BYTES;
    while (capacity < room_for(kept_bytes_max + QN_READ_CHUNK_BYTES))
        capacity *= 2;
    *window = (qn_window){.capacity_bytes = capacity, .capacity_first = capacity};
    qn_content_init(&window->content);
    window->buffer = qn_pages_reserve(capacity, true);
    if (!window->buffer)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a read buffer");
    window->data = window->buffer;
    return QUERN_OK;
}

void qn_window_fini(qn_window *window)
{
    if (!window->buffer)
        return;
    qn_content_fini(&window->content);
    qn_pages_unreserve(window->buffer, window->capacity_bytes);
    window->buffer = NULL;
}

/* Where the data of this place in the file goes: the kernel copies from pages of the file much faster if source and target
 * are equally far behind a page's begin. */
static uint8_t *data_at(uint8_t *buffer, uint64_t offset)
{
    return buffer + offset % QN_PAGE_SMALL_BYTES;
}

/* The last kept_bytes of the data, at the front of this buffer. */
static void keep_in(qn_window *window, uint8_t *buffer, size_t kept_bytes)
{
    uint64_t kept_offset = qn_window_end(window) - kept_bytes;
    uint8_t *to = data_at(buffer, kept_offset);
    memmove(to, window->data + window->data_bytes - kept_bytes, kept_bytes);
    window->data = to;
    window->data_bytes = kept_bytes;
    window->data_offset = kept_offset;
}

static quern_status move_to(qn_window *window, size_t capacity_bytes, size_t kept_bytes, qn_error *error)
{
    uint8_t *buffer = qn_pages_reserve(capacity_bytes, true);
    if (!buffer)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a record of more than %zu bytes of %s",
                            kept_bytes, window->content.name);
    keep_in(window, buffer, kept_bytes);
    qn_pages_unreserve(window->buffer, window->capacity_bytes);
    window->buffer = buffer;
    window->capacity_bytes = capacity_bytes;
    return QUERN_OK;
}

/* Keeps so much, and has room for `coming` bytes behind it. */
static quern_status make_room(qn_window *window, size_t kept_bytes, size_t coming_bytes, qn_error *error)
{
    size_t needed = room_for(kept_bytes + coming_bytes), capacity = window->capacity_bytes;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > CAPACITY_KEPT_MAX && capacity > window->capacity_first && 2 * needed < window->capacity_first)
        capacity = window->capacity_first;
    if (capacity != window->capacity_bytes)
        return move_to(window, capacity, kept_bytes, error);
    keep_in(window, window->buffer, kept_bytes);
    return QUERN_OK;
}

quern_status qn_window_extend(qn_window *window, uint64_t kept, uint64_t end, qn_error *error)
{
    uint64_t data_end = qn_window_end(window);
    size_t kept_bytes = data_end > kept ? data_end - kept : 0;
    if (end > window->content.bytes)
        end = window->content.bytes;
    size_t coming_bytes = end > data_end ? end - data_end : 0, got = 0;
    QN_ASSERT(kept_bytes <= window->data_bytes);
    qn_content_forget(&window->content, kept < data_end ? kept : data_end);
    quern_status status = make_room(window, kept_bytes, coming_bytes, error);
    if (status == QUERN_OK)
        status =
            qn_content_read(&window->content, window->data + window->data_bytes, data_end, coming_bytes, &got, error);
    window->data_bytes += got;
    return status;
}
