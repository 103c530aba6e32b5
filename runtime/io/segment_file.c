/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/segment_file.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/base/file.h"

quern_status qn_segment_file_open(const qn_segment *segment, int *fd_out, qn_error *error)
{
    int fd = open(segment->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", segment->path);
    *fd_out = fd;
    return QUERN_OK;
}

quern_status qn_segment_file_read(const qn_segment *segment, int fd, void *to, uint64_t offset, uint64_t end,
                                  qn_error *error)
{
    size_t got_bytes = 0;
    quern_status status =
        qn_file_read_at(fd, to, end - offset, offset, segment->path, QUERN_ERROR_INPUT, &got_bytes, error);
    if (status == QUERN_OK && got_bytes < end - offset)
        status = qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s ends at byte %llu; it had %llu bytes when the job began",
                              segment->path, (unsigned long long)(offset + got_bytes),
                              (unsigned long long)segment->file_bytes);
    return status;
}
