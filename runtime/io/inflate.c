/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/inflate.h"

#include <stdlib.h>
#include <zlib.h>

#ifdef QN_HAS_ISAL
#include <isa-l/igzip_lib.h>
#endif

/* ---- zlib */

#define ONLY_GZIP (MAX_WBITS + 16) /* in zlib's coding */

static void *zlib_create(void)
{
    z_stream *stream = calloc(1, sizeof *stream);
    if (stream && inflateInit2(stream, ONLY_GZIP) == Z_OK)
        return stream;
    free(stream);
    return NULL;
}

static void zlib_destroy(void *state)
{
    inflateEnd(state);
    free(state);
}

static void zlib_begin(void *state)
{
    inflateReset(state);
}

static qn_inflate_outcome zlib_step(void *state, qn_inflate_io *io, const char **text_out)
{
    z_stream *stream = state;
    stream->next_in = io->in;
    stream->avail_in = (uInt)io->in_bytes;
    stream->next_out = io->out;
    stream->avail_out = (uInt)io->out_bytes;
    int result = inflate(stream, Z_NO_FLUSH);
    *io = (qn_inflate_io){
        .in = stream->next_in, .out = stream->next_out, .in_bytes = stream->avail_in, .out_bytes = stream->avail_out};
    if (result == Z_STREAM_END)
        return QN_INFLATE_END;
    if (result == Z_OK || result == Z_BUF_ERROR)
        return QN_INFLATE_MORE;
    *text_out = stream->msg ? stream->msg : "zlib has no memory";
    return QN_INFLATE_FAILED;
}

static const qn_inflater by_zlib = {"zlib", zlib_create, zlib_destroy, zlib_begin, zlib_step};

/* ---- ISA-L */

#ifdef QN_HAS_ISAL

#define RESERVED_FLAGS 0xe0

typedef struct isal_state {
    struct inflate_state inflate;
    struct isal_gzip_header header;
    int is_in_header;
} isal_state;

static void *isal_create(void)
{
    return calloc(1, sizeof(isal_state));
}

static void isal_begin(void *user)
{
    isal_state *state = user;
    isal_inflate_init(&state->inflate);
    isal_gzip_header_init(&state->header); /* without places for its fields, which are passed over */
    state->is_in_header = 1;
}

static const char *text_of(int code)
{
    switch (code) {
    case ISAL_INVALID_BLOCK:
        return "invalid block type";
    case ISAL_INVALID_SYMBOL:
        return "invalid code";
    case ISAL_INVALID_LOOKBACK:
        return "invalid distance too far back";
    case ISAL_UNSUPPORTED_METHOD:
        return "unknown compression method";
    case ISAL_INCORRECT_CHECKSUM:
        return "incorrect data check";
    default:
        return "incorrect header check";
    }
}

/* Behind the end there may be bytes of what follows in its bits. */
static void give_back(struct inflate_state *inflate)
{
    for (; inflate->read_in_length >= 8; inflate->read_in_length -= 8) {
        *--inflate->next_in = (uint8_t)(inflate->read_in >> (inflate->read_in_length - 8));
        inflate->avail_in++;
    }
}

static qn_inflate_outcome isal_step(void *user, qn_inflate_io *io, const char **text_out)
{
    isal_state *state = user;
    struct inflate_state *inflate = &state->inflate;
    int code = ISAL_DECOMP_OK;
    inflate->next_in = io->in;
    inflate->avail_in = (uint32_t)io->in_bytes;
    inflate->next_out = io->out;
    inflate->avail_out = (uint32_t)io->out_bytes;
    if (state->is_in_header) {
        code = isal_read_gzip_header(inflate, &state->header);
        state->is_in_header = code != ISAL_DECOMP_OK;
        if (code == ISAL_DECOMP_OK && (state->header.flags & RESERVED_FLAGS))
            code = ISAL_INVALID_WRAPPER;
        inflate->crc_flag = ISAL_GZIP_NO_HDR_VER;
    }
    if (code == ISAL_DECOMP_OK)
        code = isal_inflate(inflate);
    int is_end = code == ISAL_DECOMP_OK && inflate->block_state == ISAL_BLOCK_FINISH;
    if (is_end)
        give_back(inflate);
    *io = (qn_inflate_io){.in = inflate->next_in,
                          .out = inflate->next_out,
                          .in_bytes = inflate->avail_in,
                          .out_bytes = inflate->avail_out};
    if (code >= 0)
        return is_end ? QN_INFLATE_END : QN_INFLATE_MORE;
    *text_out = text_of(code);
    return QN_INFLATE_FAILED;
}

static const qn_inflater by_isal = {"ISA-L", isal_create, free, isal_begin, isal_step};

#endif

const qn_inflater *const qn_inflaters[] = {
#ifdef QN_HAS_ISAL
    &by_isal,
#endif
    &by_zlib,
    NULL,
};
