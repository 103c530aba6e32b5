/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/piece.h"

#include <string.h>

qn_piece qn_piece_of(const qn_window *window, const qn_segment *segment, const qn_text_place *from, uint64_t end)
{
    return (qn_piece){.data = window->data + (from->scan_offset - window->data_offset),
                      .bytes = end - from->scan_offset,
                      .offset = from->scan_offset,
                      .member = from->member,
                      .file = segment->file,
                      .name = window->content.name,
                      .share = qn_content_get_share(&window->content)};
}

void qn_piece_encode(const qn_piece *piece, qn_buffer *message)
{
    qn_segment segment = {.path = piece->name,
                          .begin = piece->offset,
                          .end = piece->offset + piece->bytes,
                          .file_bytes = piece->offset + piece->bytes,
                          .file = piece->file,
                          .packing = QN_PACKING_INLINE,
                          .data = piece->data};
    qn_buffer_append_u32(message, 1);
    qn_segment_encode(&segment, message);
}

qn_text_place qn_piece_place(const qn_piece *piece)
{
    return (qn_text_place){.started = true, .member = piece->member, .scan_offset = piece->offset};
}
