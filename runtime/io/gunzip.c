/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/io/inflate.h"

#define PACKED_BYTES   ((size_t)256 << 10)
#define UNPACKED_BYTES ((size_t)256 << 10)
#define DEFLATED       8 /* the method */

struct qn_gunzip {
    const qn_inflater *inflater;
    void *state; /* its */
    qn_inflate_io io;
    int fd;
    bool inside; /* a member */
    bool ended;  /* the file */
    uint8_t packed[QN_INFLATE_BACK_BYTES + PACKED_BYTES];
    uint8_t unpacked[UNPACKED_BYTES];
};

bool qn_gunzip_is_gzip(const uint8_t *head, size_t bytes)
{
    return bytes >= 4 && head[0] == 0x1f && head[1] == 0x8b && head[2] == DEFLATED && (head[3] & 0xe0) == 0;
}

qn_gunzip *qn_gunzip_create_with(int fd, const qn_inflater *inflater)
{
    qn_gunzip *gunzip = malloc(sizeof *gunzip);
    void *state = gunzip ? inflater->create() : NULL;
    if (!state) {
        free(gunzip);
        return NULL;
    }
    gunzip->inflater = inflater;
    gunzip->state = state;
    gunzip->io = (qn_inflate_io){.in = gunzip->packed + QN_INFLATE_BACK_BYTES};
    gunzip->fd = fd;
    gunzip->inside = gunzip->ended = false;
    return gunzip;
}

qn_gunzip *qn_gunzip_create(int fd)
{
    return qn_gunzip_create_with(fd, qn_inflaters[0]);
}

void qn_gunzip_destroy(qn_gunzip *gunzip)
{
    if (!gunzip)
        return;
    gunzip->inflater->destroy(gunzip->state);
    free(gunzip);
}

static bool read_packed(qn_gunzip *gunzip, const char **text_out)
{
    ssize_t got;
    uint8_t *into = gunzip->packed + QN_INFLATE_BACK_BYTES;
    do {
        got = read(gunzip->fd, into, PACKED_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        *text_out = strerror(errno);
    gunzip->ended = got == 0;
    gunzip->io.in = into;
    gunzip->io.in_bytes = got > 0 ? (size_t)got : 0;
    return got >= 0;
}

/* Between members: leaves padding out. False: something else is there. */
static bool begin_member(qn_gunzip *gunzip, const char **text_out)
{
    qn_inflate_io *io = &gunzip->io;
    while (io->in_bytes > 0 && *io->in == 0) {
        io->in++;
        io->in_bytes--;
    }
    if (io->in_bytes == 0)
        return true;
    gunzip->inside = *io->in == 0x1f;
    if (gunzip->inside)
        gunzip->inflater->begin(gunzip->state);
    else
        *text_out = "there is something behind the end that is not gzip";
    return gunzip->inside;
}

/* A decoder may have something to give still when all of the file was read. */
static bool inflate_some(qn_gunzip *gunzip, const char **text_out)
{
    size_t in_before = gunzip->io.in_bytes, out_before = gunzip->io.out_bytes;
    qn_inflate_outcome outcome = gunzip->inflater->step(gunzip->state, &gunzip->io, text_out);
    gunzip->inside = outcome != QN_INFLATE_END;
    bool has_moved = gunzip->io.in_bytes != in_before || gunzip->io.out_bytes != out_before;
    if (outcome != QN_INFLATE_MORE || has_moved || (in_before == 0 && !gunzip->ended))
        return outcome != QN_INFLATE_FAILED;
    *text_out =
        gunzip->ended ? "the file ends within a gzip stream: it is truncated" : "a gzip stream that does not go on";
    return false;
}

ptrdiff_t qn_gunzip_next(qn_gunzip *gunzip, const void **bytes_out, const char **text_out)
{
    qn_inflate_io *io = &gunzip->io;
    io->out = gunzip->unpacked;
    io->out_bytes = UNPACKED_BYTES;
    *bytes_out = gunzip->unpacked;
    while (io->out_bytes > 0) {
        if (io->in_bytes == 0 && !gunzip->ended && !read_packed(gunzip, text_out))
            return -1;
        if (!gunzip->inside && !begin_member(gunzip, text_out))
            return -1;
        if (!gunzip->inside && gunzip->ended)
            break;
        if (gunzip->inside && !inflate_some(gunzip, text_out))
            return -1;
    }
    return (ptrdiff_t)(UNPACKED_BYTES - io->out_bytes);
}
