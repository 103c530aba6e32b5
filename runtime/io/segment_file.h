/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/segment_file.h: the file of a segment, opened and read; failures name it.
 */
#ifndef QN_IO_SEGMENT_FILE_H
#define QN_IO_SEGMENT_FILE_H

#include "runtime/base/pages.h"
#include "runtime/io/split.h"

#define QN_READ_CHUNK_BYTES ((size_t)256 << 10) /* files are read up to multiples of it */

/* Where in a buffer of pages the data of this place in the file goes: the kernel copies from pages of the file much faster if
 * source and target are equally far behind a page's begin. */
static inline uint8_t *qn_segment_data_at(uint8_t *buffer, uint64_t offset)
{
    return buffer + offset % QN_PAGE_SMALL_BYTES;
}

/* *fd_out is closed by the caller. QUERN_ERROR_INPUT. */
quern_status qn_segment_file_open(const qn_segment *segment, int *fd_out, qn_error *error);

/* Reads the bytes [offset, end) of the file. QUERN_ERROR_INPUT, also if the file has become shorter. */
quern_status qn_segment_file_read(const qn_segment *segment, int fd, void *to, uint64_t offset, uint64_t end,
                                  qn_error *error);

#endif
