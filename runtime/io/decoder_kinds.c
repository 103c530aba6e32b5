/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/decoder_internal.h"

#include <assert.h>
#include <bzlib.h>
#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define ZSTD_WINDOW_LOG_MAX 27 /* QN_UNPACK_WINDOW_BYTES_MAX */
#define ZSTD_TOO_LARGE      "Frame requires too much memory for decoding"

static_assert((uint64_t)1 << ZSTD_WINDOW_LOG_MAX == QN_UNPACK_WINDOW_BYTES_MAX, "the limit is one");

/* ---------------------------------------------------------------- frames */

/* True: left out, or inside. */
static bool enter_frame(qn_decoder *decoder, uint32_t magic)
{
    if (!qn_decoder_have(decoder, 4))
        return false;
    const uint8_t *next = qn_decoder_next(decoder);
    if (qn_is_skippable_frame(next))
        return qn_decoder_have(decoder, 8) &&
               qn_decoder_skip(decoder, 8 + (uint64_t)qn_le32(qn_decoder_next(decoder) + 4));
    decoder->inside = qn_le32(next) == magic;
    return decoder->inside ? true : qn_decoder_fail(decoder, "there is something behind a frame that is none");
}

static bool zstd_init(qn_decoder *decoder)
{
    ZSTD_DStream *stream = decoder->state = ZSTD_createDStream();
    return stream && !ZSTD_isError(ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
}

static void zstd_fini(qn_decoder *decoder)
{
    ZSTD_freeDStream(decoder->state);
}

static bool zstd_enter(qn_decoder *decoder)
{
    return enter_frame(decoder, ZSTD_MAGICNUMBER);
}

static bool zstd_step(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out)
{
    ZSTD_inBuffer in = {qn_decoder_next(decoder), qn_decoder_left(decoder), 0};
    ZSTD_outBuffer out = {to, bytes, 0};
    size_t result = ZSTD_decompressStream(decoder->state, &out, &in);
    if (ZSTD_isError(result)) {
        const char *text = ZSTD_getErrorName(result);
        bool is_too_large = strcmp(text, ZSTD_TOO_LARGE) == 0;
        return qn_decoder_fail(decoder, is_too_large ? "its window is larger than 128 MiB (--long=27): unpack it with "
                                                       "zstd --memory, or compress it again"
                                                     : text);
    }
    decoder->input_at += in.pos;
    *got_out = out.pos;
    decoder->inside = result != 0;
    return true;
}

const qn_decoder_kind qn_decoder_zstd = {false, zstd_init, zstd_fini, zstd_enter, zstd_step, NULL};

static bool lz4_init(qn_decoder *decoder)
{
    LZ4F_dctx *context = NULL;
    bool is_good = !LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION));
    decoder->state = context;
    return is_good;
}

static void lz4_fini(qn_decoder *decoder)
{
    LZ4F_freeDecompressionContext(decoder->state);
}

static bool lz4_enter(qn_decoder *decoder)
{
    return enter_frame(decoder, 0x184d2204);
}

static bool lz4_step(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out)
{
    size_t used = qn_decoder_left(decoder), got = bytes;
    size_t result = LZ4F_decompress(decoder->state, to, &got, qn_decoder_next(decoder), &used, NULL);
    if (LZ4F_isError(result))
        return qn_decoder_fail(decoder, LZ4F_getErrorName(result));
    decoder->input_at += used;
    *got_out = got;
    decoder->inside = result != 0;
    return true;
}

const qn_decoder_kind qn_decoder_lz4 = {false, lz4_init, lz4_fini, lz4_enter, lz4_step, NULL};

/* ---------------------------------------------------------------- streams of bzip2 */

static bool bzip2_init(qn_decoder *decoder)
{
    decoder->state = calloc(1, sizeof(bz_stream));
    return decoder->state != NULL;
}

static void bzip2_fini(qn_decoder *decoder)
{
    if (decoder->state && decoder->inside)
        BZ2_bzDecompressEnd(decoder->state);
    free(decoder->state);
}

static bool bzip2_enter(qn_decoder *decoder)
{
    if (!qn_decoder_have(decoder, 4))
        return false;
    if (memcmp(qn_decoder_next(decoder), "BZh", 3) != 0)
        return qn_decoder_fail(decoder, "there is something behind a stream that is not bzip2");
    *(bz_stream *)decoder->state = (bz_stream){0};
    decoder->inside = BZ2_bzDecompressInit(decoder->state, 0, 0) == BZ_OK;
    return decoder->inside ? true : qn_decoder_fail(decoder, "there is no memory");
}

static bool bzip2_step(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out)
{
    bz_stream *stream = decoder->state;
    size_t left = qn_decoder_left(decoder);
    unsigned wanted = bytes < UINT32_MAX ? (unsigned)bytes : UINT32_MAX;
    stream->next_in = (char *)decoder->input + decoder->input_at;
    stream->avail_in = (unsigned)left;
    stream->next_out = (char *)to;
    stream->avail_out = wanted;
    int result = BZ2_bzDecompress(stream);
    decoder->input_at += left - stream->avail_in;
    *got_out = wanted - stream->avail_out;
    if (result == BZ_OK)
        return true;
    decoder->inside = false;
    BZ2_bzDecompressEnd(stream);
    return result == BZ_STREAM_END
               ? true
               : qn_decoder_fail(decoder, result == BZ_MEM_ERROR ? "there is no memory"
                                                                 : "a stream of bzip2 is damaged: its data or its "
                                                                   "checksum is wrong");
}

const qn_decoder_kind qn_decoder_bzip2 = {false, bzip2_init, bzip2_fini, bzip2_enter, bzip2_step, NULL};
