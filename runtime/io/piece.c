/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/piece.h"

#include <string.h>

qn_piece qn_piece_of(const qn_task_reader *task, const qn_text_place *from, uint64_t end)
{
    const qn_window *window = &task->window;
    return (qn_piece){.data = window->data + (from->scan_offset - window->data_offset),
                      .bytes = end - from->scan_offset,
                      .offset = from->scan_offset,
                      .place = *from,
                      .file = task->segments[from->segment].file,
                      .entry = qn_content_place_of(&window->content, from->scan_offset).entry,
                      .name = window->content.name,
                      .content = &window->content,
                      .told = &task->told,
                      .share = qn_content_get_share(&window->content)};
}

void qn_piece_encode(const qn_piece *piece, qn_buffer *message)
{
    qn_buffer marks = {0};
    qn_content_append_marks(piece->content, piece->offset, piece->offset + piece->bytes, &marks);
    qn_segment segment = {.path = piece->name,
                          .begin = piece->offset,
                          .end = piece->offset + piece->bytes,
                          .file_bytes = piece->offset + piece->bytes,
                          .file = piece->file,
                          .packing = QN_PACKING_INLINE,
                          .data = piece->data,
                          .entry = piece->entry,
                          .marks = marks.data,
                          .marks_bytes = marks.bytes,
                          .told = piece->told->data,
                          .told_bytes = piece->told->bytes};
    qn_buffer_append_u32(message, 1);
    qn_segment_encode(&segment, message);
    message->failed |= marks.failed;
    qn_buffer_fini(&marks);
}

qn_text_place qn_piece_place(const qn_piece *piece)
{
    qn_text_place place = piece->place;
    place.segment = 0;
    place.started = true;
    return place;
}
