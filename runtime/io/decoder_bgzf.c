/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks of BGZF, each unpacked as a whole by libdeflate, and what else may stand among them in a file that gunzip reads:
 * other members of gzip, which zlib unpacks, and zeros. So a file is the same whether it was cut or not: borders are found up to the first
 * thing that is no block, and who reads from there on reads all the rest.
 *
 * A file of BGZF ends in an empty block. One that was cut between blocks does not, and nothing else tells.
 */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "runtime/io/decoder_internal.h"

#define UNPACKED_MAX ((size_t)64 << 10)
#define ONLY_GZIP    (MAX_WBITS + 16) /* in zlib's coding */

typedef struct bgzf {
    struct libdeflate_decompressor *decompressor;
    uint32_t block_bytes; /* 0: inside of another member, which the stream is of */
    bool is_unpacked;
    bool lacks_end; /* the last thing was a block that is not empty */
    bool has_stream;
    z_stream stream;
    size_t given, unpacked; /* of the block, in `bytes` */
    uint8_t bytes[UNPACKED_MAX];
} bgzf;

static bool bgzf_init(qn_decoder *decoder)
{
    bgzf *state = decoder->state = calloc(1, sizeof *state);
    if (!state)
        return false;
    state->decompressor = libdeflate_alloc_decompressor();
    return state->decompressor != NULL;
}

static void bgzf_fini(qn_decoder *decoder)
{
    bgzf *state = decoder->state;
    if (state && state->decompressor)
        libdeflate_free_decompressor(state->decompressor);
    if (state && state->has_stream)
        inflateEnd(&state->stream);
    free(state);
}

static bool skip_zeros(qn_decoder *decoder)
{
    const uint8_t *next = qn_decoder_next(decoder);
    size_t left = qn_decoder_left(decoder), count = 0;
    while (count < left && next[count] == 0)
        count++;
    return qn_decoder_skip(decoder, count);
}

static bool enter_member(qn_decoder *decoder, bgzf *state)
{
    if (*qn_decoder_next(decoder) != 0x1f)
        return qn_decoder_fail(decoder, "there is something behind the end that is not gzip");
    qn_decoder_reread_unit(decoder);
    decoder->inside =
        state->has_stream ? inflateReset(&state->stream) == Z_OK : inflateInit2(&state->stream, ONLY_GZIP) == Z_OK;
    state->has_stream |= decoder->inside;
    state->lacks_end = false;
    return decoder->inside ? true : qn_decoder_fail(decoder, "there is no memory");
}

static bool bgzf_enter(qn_decoder *decoder)
{
    bgzf *state = decoder->state;
    if (*qn_decoder_next(decoder) == 0)
        return skip_zeros(decoder);
    if (!qn_decoder_have(decoder, QN_BGZF_HEAD_BYTES))
        return false;
    state->block_bytes = qn_bgzf_block_bytes(qn_decoder_next(decoder));
    if (state->block_bytes == 0)
        return enter_member(decoder, state);
    state->is_unpacked = false;
    decoder->inside = qn_decoder_have(decoder, state->block_bytes);
    return decoder->inside;
}

static bool unpack_block(qn_decoder *decoder, uint8_t *to, size_t *got_out)
{
    bgzf *state = decoder->state;
    size_t used = 0;
    enum libdeflate_result result = libdeflate_gzip_decompress_ex(state->decompressor, qn_decoder_next(decoder),
                                                                  state->block_bytes, to, UNPACKED_MAX, &used, got_out);
    if (result != LIBDEFLATE_SUCCESS || used != state->block_bytes) {
        *got_out = 0; /* what has a wrong checksum was unpacked */
        return qn_decoder_fail(decoder, "a block of BGZF is damaged: its data, length or checksum is wrong");
    }
    state->lacks_end = *got_out > 0;
    return qn_decoder_skip(decoder, used);
}

static bool inflate_some(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out)
{
    z_stream *stream = &((bgzf *)decoder->state)->stream;
    size_t left = qn_decoder_left(decoder);
    unsigned wanted = bytes < UINT32_MAX ? (unsigned)bytes : UINT32_MAX;
    stream->next_in = decoder->input + decoder->input_at;
    stream->avail_in = (unsigned)left;
    stream->next_out = to;
    stream->avail_out = wanted;
    int result = inflate(stream, Z_NO_FLUSH);
    decoder->input_at += left - stream->avail_in;
    *got_out = wanted - stream->avail_out;
    decoder->inside = result != Z_STREAM_END;
    if (result == Z_STREAM_END || result == Z_OK || result == Z_BUF_ERROR)
        return true;
    return qn_decoder_fail(decoder, stream->msg ? stream->msg : "zlib has no memory");
}

/* A block goes straight to where it is wanted, if the whole of it may. */
static bool bgzf_step(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out)
{
    bgzf *state = decoder->state;
    if (state->block_bytes == 0)
        return inflate_some(decoder, to, bytes, got_out);
    if (!state->is_unpacked && bytes >= UNPACKED_MAX) {
        decoder->inside = false;
        return unpack_block(decoder, to, got_out);
    }
    if (!state->is_unpacked && !unpack_block(decoder, state->bytes, &state->unpacked))
        return false;
    if (!state->is_unpacked)
        state->given = 0;
    state->is_unpacked = true;
    size_t left = state->unpacked - state->given;
    *got_out = left < bytes ? left : bytes;
    memcpy(to, state->bytes + state->given, *got_out);
    state->given += *got_out;
    decoder->inside = state->given < state->unpacked;
    return true;
}

static bool bgzf_end(qn_decoder *decoder)
{
    const bgzf *state = decoder->state;
    return !state->lacks_end ||
           qn_decoder_fail(decoder, "the empty block that ends BGZF is missing: it is truncated. If nothing is "
                                    "missing, add it (bgzip </dev/null >>FILE), or let it pass as a bad record");
}

const qn_decoder_kind qn_decoder_bgzf = {true, bgzf_init, bgzf_fini, bgzf_enter, bgzf_step, bgzf_end};
