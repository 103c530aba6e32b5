/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define PACKED_BYTES   ((size_t)256 << 10)
#define UNPACKED_BYTES ((size_t)256 << 10)
#define ONLY_GZIP      (MAX_WBITS + 16) /* in zlib's coding */

struct qn_gunzip {
    z_stream stream;
    int fd;
    bool inside; /* a member */
    bool ended;  /* the file */
    uint8_t packed[PACKED_BYTES];
    uint8_t unpacked[UNPACKED_BYTES];
};

bool qn_gunzip_is_gzip(const uint8_t *head, size_t bytes)
{
    return bytes >= 4 && head[0] == 0x1f && head[1] == 0x8b && head[2] == Z_DEFLATED && (head[3] & 0xe0) == 0;
}

qn_gunzip *qn_gunzip_create(int fd)
{
    qn_gunzip *gunzip = malloc(sizeof *gunzip);
    if (!gunzip)
        return NULL;
    memset(&gunzip->stream, 0, sizeof gunzip->stream);
    gunzip->fd = fd;
    gunzip->inside = gunzip->ended = false;
    if (inflateInit2(&gunzip->stream, ONLY_GZIP) == Z_OK)
        return gunzip;
    free(gunzip);
    return NULL;
}

void qn_gunzip_destroy(qn_gunzip *gunzip)
{
    if (!gunzip)
        return;
    inflateEnd(&gunzip->stream);
    free(gunzip);
}

static bool read_packed(qn_gunzip *gunzip, const char **text_out)
{
    ssize_t got;
    do {
        got = read(gunzip->fd, gunzip->packed, sizeof gunzip->packed);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        *text_out = strerror(errno);
    gunzip->ended = got == 0;
    gunzip->stream.next_in = gunzip->packed;
    gunzip->stream.avail_in = got > 0 ? (uInt)got : 0;
    return got >= 0;
}

/* Between members: leaves padding out. False: something else is there. */
static bool begin_member(qn_gunzip *gunzip, const char **text_out)
{
    z_stream *stream = &gunzip->stream;
    while (stream->avail_in > 0 && *stream->next_in == 0) {
        stream->next_in++;
        stream->avail_in--;
    }
    if (stream->avail_in == 0)
        return true;
    gunzip->inside = *stream->next_in == 0x1f && inflateReset(stream) == Z_OK;
    if (!gunzip->inside)
        *text_out = "there is something behind the end that is not gzip";
    return gunzip->inside;
}

static bool inflate_some(qn_gunzip *gunzip, const char **text_out)
{
    int result = inflate(&gunzip->stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END)
        gunzip->inside = false;
    if (result == Z_STREAM_END || result == Z_OK || result == Z_BUF_ERROR)
        return true;
    *text_out = gunzip->stream.msg ? gunzip->stream.msg : "zlib has no memory";
    return false;
}

ptrdiff_t qn_gunzip_next(qn_gunzip *gunzip, const void **bytes_out, const char **text_out)
{
    z_stream *stream = &gunzip->stream;
    stream->next_out = gunzip->unpacked;
    stream->avail_out = UNPACKED_BYTES;
    *bytes_out = gunzip->unpacked;
    while (stream->avail_out > 0) {
        if (stream->avail_in == 0 && !gunzip->ended && !read_packed(gunzip, text_out))
            return -1;
        if (gunzip->inside && stream->avail_in == 0) {
            *text_out = "the file ends within a gzip stream: it is truncated";
            return -1;
        }
        if (stream->avail_in == 0)
            break;
        if (!gunzip->inside && !begin_member(gunzip, text_out))
            return -1;
        if (gunzip->inside && !inflate_some(gunzip, text_out))
            return -1;
    }
    return (ptrdiff_t)(UNPACKED_BYTES - stream->avail_out);
}
