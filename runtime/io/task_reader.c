/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/task_reader.h"

#include <stdlib.h>

#include "runtime/io/piece.h"

quern_status qn_task_reader_init(qn_task_reader *task, size_t kept_bytes_max, qn_error *error)
{
    *task = (qn_task_reader){0};
    return qn_window_init(&task->window, kept_bytes_max, error);
}

static void close_task(qn_task_reader *task)
{
    qn_content_leave(&task->window.content);
    free(task->segments);
    free(task->message);
    task->segments = NULL;
    task->message = NULL;
    task->segment_count = 0;
}

void qn_task_reader_fini(qn_task_reader *task)
{
    if (!task->window.buffer)
        return;
    close_task(task);
    qn_window_fini(&task->window);
    qn_buffer_fini(&task->told);
}

quern_status qn_task_reader_open(qn_task_reader *task, const void *message, size_t bytes, const qn_text_place *place,
                                 qn_error *error)
{
    close_task(task);
    task->place = task->block_place = place ? *place : (qn_text_place){0};
    task->bytes = 0;
    quern_status status =
        qn_split_decode_copy(message, bytes, &task->message, &task->segments, &task->segment_count, error);
    if (status == QUERN_OK)
        task->bytes = qn_segments_count(task->segments, task->segment_count);
    return status;
}

quern_status qn_task_reader_open_content(qn_task_reader *task, const qn_task_format *format, void *source,
                                         qn_error *error)
{
    qn_text_place *place = &task->place;
    bool found = false;
    quern_status status =
        qn_content_open(&task->window.content, &task->segments[place->segment], place->member, &found, error);
    if (status != QUERN_OK || found)
        return status == QUERN_OK ? format->enter(source, error) : status;
    qn_bad_list_tell_missing(task->bad, &task->window.content);
    *place = (qn_text_place){.segment = place->segment + 1};
    return QUERN_OK;
}

void qn_task_reader_close_content(qn_task_reader *task)
{
    qn_content *content = &task->window.content;
    uint64_t next = qn_content_next_member(content);
    task->place = (qn_text_place){.segment = task->place.segment + (next == 0), .member = next};
    qn_content_close(content);
}

const char *qn_task_reader_locate(const qn_task_reader *task, uint64_t *offset)
{
    const qn_content *content = &task->window.content;
    qn_content_place place = qn_content_place_of(content, *offset);
    *offset = place.offset;
    return qn_content_name_of((qn_content *)content, &place); /* whose text it keeps */
}

quern_status qn_task_reader_too_large(const qn_task_reader *task, uint64_t offset, uint64_t record_bytes_max,
                                      qn_error *error)
{
    const char *name = qn_task_reader_locate(task, &offset);
    return qn_error_set(error, QUERN_ERROR_RECORD_TOO_LARGE, 0,
                        "the record at byte %llu of %s is longer than record-bytes, %llu", (unsigned long long)offset,
                        name, (unsigned long long)record_bytes_max);
}

uint64_t qn_task_reader_bytes(const qn_task_reader *task)
{
    return task->bytes;
}

uint64_t qn_task_reader_done_bytes(const qn_task_reader *task)
{
    const qn_text_place *place = &task->block_place;
    if (place->segment == task->segment_count)
        return task->bytes;
    const qn_segment *segment = &task->segments[place->segment];
    if (!place->started || place->scan_offset <= segment->begin)
        return segment->before_bytes;
    uint64_t done = place->scan_offset - segment->begin; /* of what is unpacked there may be more */
    uint64_t all = segment->end - segment->begin;
    return segment->before_bytes + (done < all ? done : all);
}

/* Behind the last piece of the content. */
static quern_status end_content(qn_task_reader *task, const qn_task_format *format, void *source, qn_error *error)
{
    quern_status status = task->bad && format->tell_rest ? format->tell_rest(source, error) : QUERN_OK;
    if (status == QUERN_OK)
        qn_task_reader_close_content(task);
    return status;
}

/* Of the open content; of 0 bytes if nothing is left of that, or something was passed over. */
static quern_status take_piece(qn_task_reader *task, const qn_task_format *format, void *source, size_t bytes_min,
                               qn_piece *piece_out, qn_error *error)
{
    const qn_text_place from = task->place;
    const qn_window *window = &task->window;
    uint64_t end = 0;
    task->told.bytes = 0;
    if (format->tell)
        format->tell(source, &task->told);
    if (task->told.failed)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a piece of %s", window->content.name);
    quern_status status = format->next_piece(source, bytes_min, &end, error);
    if (status != QUERN_OK || qn_task_reader_has_bad(task))
        return status;
    *piece_out = qn_piece_of(task, &from, end);
    task->place.started = true;
    bool is_behind = piece_out->bytes == 0 || task->place.scan_offset == qn_window_end(window);
    return qn_window_is_last(window) && is_behind ? end_content(task, format, source, error) : QUERN_OK;
}

quern_status qn_task_reader_next_piece(qn_task_reader *task, const qn_task_format *format, void *source,
                                       size_t bytes_min, qn_piece *piece_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    *piece_out = (qn_piece){0};
    while (status == QUERN_OK && piece_out->bytes == 0 && !qn_task_reader_has_bad(task) &&
           task->place.segment < task->segment_count) {
        task->block_place = task->place;
        if (qn_content_is_open(&task->window.content))
            status = take_piece(task, format, source, bytes_min, piece_out, error);
        else
            status = qn_task_reader_open_content(task, format, source, error);
    }
    return status;
}
