/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/stream/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int quern_stream_spool_init(quern_stream_spool *spool, const char *directory)
{
    *spool = (quern_stream_spool){.directory = directory, .fd = -1, .memory = malloc(QUERN_STREAM_SPOOL_BYTES)};
    return spool->memory ? 0 : ENOMEM;
}

void quern_stream_spool_fini(quern_stream_spool *spool)
{
    if (spool->fd >= 0)
        close(spool->fd);
    free(spool->memory);
}

static int open_unnamed(const char *directory)
{
    char path[4096];
    int fd = open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    snprintf(path, sizeof path, "%s/quern-stream.XXXXXX", directory);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static int write_all(quern_stream_spool *spool, const char *data, size_t bytes)
{
    if (spool->fd < 0 && (spool->fd = open_unnamed(spool->directory)) < 0)
        return errno;
    while (bytes > 0) {
        ssize_t put = pwrite(spool->fd, data, bytes, (off_t)spool->file_bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : ENOSPC;
        data += put;
        bytes -= (size_t)put;
        spool->file_bytes += (uint64_t)put;
    }
    return 0;
}

int quern_stream_spool_put(quern_stream_spool *spool, const char *data, size_t bytes)
{
    if (spool->memory_bytes + bytes > QUERN_STREAM_SPOOL_BYTES) {
        int problem = write_all(spool, spool->memory, spool->memory_bytes);
        if (problem != 0)
            return problem;
        spool->memory_bytes = 0;
        if (bytes > QUERN_STREAM_SPOOL_BYTES)
            return write_all(spool, data, bytes);
    }
    memcpy(spool->memory + spool->memory_bytes, data, bytes);
    spool->memory_bytes += bytes;
    return 0;
}

int quern_stream_spool_take(quern_stream_spool *spool, char *to, size_t bytes_max, size_t *got_out)
{
    uint64_t at = spool->given_bytes, end = spool->file_bytes + spool->memory_bytes;
    size_t bytes = end - at < bytes_max ? (size_t)(end - at) : bytes_max;
    if (at < spool->file_bytes) {
        bytes = spool->file_bytes - at < bytes ? (size_t)(spool->file_bytes - at) : bytes;
        ssize_t got = pread(spool->fd, to, bytes, (off_t)at);
        if (got <= 0)
            return got < 0 ? errno : EIO;
        bytes = (size_t)got;
    } else
        memcpy(to, spool->memory + (at - spool->file_bytes), bytes);
    spool->given_bytes += bytes;
    *got_out = bytes;
    return 0;
}

/* A large file is given back: the next stretch may need none. */
void quern_stream_spool_clear(quern_stream_spool *spool)
{
    if (spool->fd >= 0)
        close(spool->fd);
    spool->fd = -1;
    spool->memory_bytes = 0;
    spool->file_bytes = spool->given_bytes = 0;
}
