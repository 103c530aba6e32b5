/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/deflater.h"

#include <stdlib.h>
#include <zlib.h>

#define PACKED_BYTES   ((size_t)64 << 10)
#define WITHOUT_FRAME  (-MAX_WBITS) /* in zlib's coding */
#define MEMORY_LEVEL   8
#define WRITE_ONCE_MAX ((size_t)1 << 30)

struct qn_deflater {
    z_stream stream;
    qn_packer_fn fn;
    void *user;
    uint8_t packed[PACKED_BYTES];
};

quern_status qn_deflater_create(qn_deflater **deflater_out, int level, qn_packer_fn fn, void *user, qn_error *error)
{
    qn_deflater *deflater = calloc(1, sizeof *deflater);
    if (!deflater)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to compress the output");
    int result = deflateInit2(&deflater->stream, level == 0 ? Z_DEFAULT_COMPRESSION : level, Z_DEFLATED, WITHOUT_FRAME,
                              MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (result == Z_OK) {
        deflater->fn = fn;
        deflater->user = user;
        *deflater_out = deflater;
        return QUERN_OK;
    }
    free(deflater);
    if (result == Z_MEM_ERROR)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to compress the output");
    return qn_error_set(error, QUERN_ERROR_OUTPUT, 0, "cannot compress the output: there is no level %d", level);
}

/* Until zlib has taken all of the input, and with Z_FINISH given all that it has. */
static quern_status run(qn_deflater *deflater, int flush, qn_error *error)
{
    z_stream *stream = &deflater->stream;
    quern_status status = QUERN_OK;
    do {
        stream->next_out = deflater->packed;
        stream->avail_out = PACKED_BYTES;
        deflate(stream, flush); /* has room, so it cannot fail */
        size_t bytes = PACKED_BYTES - stream->avail_out;
        if (bytes > 0)
            status = deflater->fn(deflater->user, deflater->packed, bytes, error);
    } while (status == QUERN_OK && stream->avail_out == 0);
    return status;
}

quern_status qn_deflater_write(qn_deflater *deflater, const void *data, size_t bytes, qn_error *error)
{
    const uint8_t *from = data;
    quern_status status = QUERN_OK;
    while (bytes > 0 && status == QUERN_OK) {
        size_t now = bytes < WRITE_ONCE_MAX ? bytes : WRITE_ONCE_MAX;
        deflater->stream.next_in = (Bytef *)(uintptr_t)from;
        deflater->stream.avail_in = (uInt)now;
        status = run(deflater, Z_NO_FLUSH, error);
        from += now;
        bytes -= now;
    }
    return status;
}

quern_status qn_deflater_end(qn_deflater *deflater, qn_error *error)
{
    deflater->stream.avail_in = 0;
    return run(deflater, Z_FINISH, error);
}

void qn_deflater_destroy(qn_deflater *deflater)
{
    if (!deflater)
        return;
    deflateEnd(&deflater->stream);
    free(deflater);
}
