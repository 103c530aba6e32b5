/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks of xz: found by the index at the end of the file, unpacked by themselves. */
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/io/decoder_internal.h"
#include "runtime/io/units_internal.h"

#define INDEX_MEMORY_MAX ((uint64_t)256 << 20)
#define PIECE_BYTES      ((size_t)64 << 10)
#define STREAM_MAGIC     0xfd
#define PADDING_BYTES    4

/* Feeds the decoder of indexes, which says where it wants to read. */
static bool read_index(qn_finder *finder, lzma_stream *stream, uint8_t *piece)
{
    uint64_t offset = 0;
    for (;;) {
        if (stream->avail_in == 0 && offset < finder->file_bytes) {
            uint64_t left = finder->file_bytes - offset;
            size_t bytes = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
            if (!qn_finder_read(finder, piece, bytes, offset))
                return false;
            stream->next_in = piece;
            stream->avail_in = bytes;
            offset += bytes;
        }
        lzma_ret result = lzma_code(stream, LZMA_RUN);
        if (result == LZMA_STREAM_END)
            return true;
        if (result == LZMA_SEEK_NEEDED) {
            offset = stream->seek_pos;
            stream->avail_in = 0;
        } else if (result != LZMA_OK) {
            return false;
        }
    }
}

static void add_blocks(qn_finder *finder, const lzma_index *index)
{
    lzma_index_iter at;
    lzma_index_iter_init(&at, index);
    while (!lzma_index_iter_next(&at, LZMA_INDEX_ITER_NONEMPTY_BLOCK)) {
        qn_border border = {.offset = at.block.compressed_file_offset,
                            .logical = at.block.uncompressed_file_offset,
                            .number = at.stream.flags ? at.stream.flags->check : 0};
        if (at.block.number_in_file > 1 && !qn_finder_add(finder, &border, false))
            return;
    }
}

void qn_find_xz_blocks(qn_finder *finder)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_index *index = NULL;
    uint8_t *piece = malloc(PIECE_BYTES);
    if (piece && lzma_file_info_decoder(&stream, &index, INDEX_MEMORY_MAX, finder->file_bytes) == LZMA_OK &&
        read_index(finder, &stream, piece))
        add_blocks(finder, index);
    lzma_index_end(index, NULL);
    lzma_end(&stream);
    free(piece);
}

typedef struct xz {
    lzma_stream stream;
    lzma_block block;
    lzma_filter filters[LZMA_FILTERS_MAX + 1];
} xz;

static bool xz_init(qn_decoder *decoder)
{
    xz *state = decoder->state = calloc(1, sizeof *state);
    if (state)
        state->filters[0].id = LZMA_VLI_UNKNOWN;
    return state != NULL;
}

static void free_filters(xz *state)
{
    for (size_t i = 0; i <= LZMA_FILTERS_MAX && state->filters[i].id != LZMA_VLI_UNKNOWN; i++)
        free(state->filters[i].options);
    state->filters[0].id = LZMA_VLI_UNKNOWN;
}

static void xz_fini(qn_decoder *decoder)
{
    xz *state = decoder->state;
    if (!state)
        return;
    lzma_end(&state->stream);
    free_filters(state);
    free(state);
}

static bool fail_xz(qn_decoder *decoder, lzma_ret result)
{
    return qn_decoder_fail(decoder, result == LZMA_MEM_ERROR       ? "there is no memory"
                                    : result == LZMA_OPTIONS_ERROR ? "it uses a filter of xz that is not supported"
                                                                   : "the xz data is damaged");
}

/* The index of a stream, which is behind its blocks, and the stream's footer. */
static bool skip_index(qn_decoder *decoder)
{
    lzma_index *index = NULL;
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret result = lzma_index_decoder(&stream, &index, INDEX_MEMORY_MAX);
    while (result == LZMA_OK && qn_decoder_have(decoder, 1)) {
        stream.next_in = qn_decoder_next(decoder);
        stream.avail_in = qn_decoder_left(decoder);
        result = lzma_code(&stream, LZMA_RUN);
        decoder->input_at = decoder->input_bytes - stream.avail_in;
    }
    lzma_end(&stream);
    lzma_index_end(index, NULL);
    if (result != LZMA_STREAM_END)
        return fail_xz(decoder, result);
    lzma_stream_flags flags;
    if (!qn_decoder_have(decoder, LZMA_STREAM_HEADER_SIZE))
        return false;
    result = lzma_stream_footer_decode(&flags, qn_decoder_next(decoder));
    decoder->input_at += LZMA_STREAM_HEADER_SIZE;
    /* Padding may follow, and then there is another stream or nothing. */
    while (qn_decoder_get_packed(decoder) < decoder->file_bytes && qn_decoder_have(decoder, PADDING_BYTES) &&
           qn_le32(qn_decoder_next(decoder)) == 0)
        decoder->input_at += PADDING_BYTES;
    return result == LZMA_OK ? !decoder->text[0] : fail_xz(decoder, result);
}

static bool enter_stream(qn_decoder *decoder)
{
    lzma_stream_flags flags;
    if (!qn_decoder_have(decoder, LZMA_STREAM_HEADER_SIZE))
        return false;
    lzma_ret result = lzma_stream_header_decode(&flags, qn_decoder_next(decoder));
    decoder->input_at += LZMA_STREAM_HEADER_SIZE;
    decoder->check = flags.check;
    return result == LZMA_OK ? true : fail_xz(decoder, result);
}

static bool enter_block(qn_decoder *decoder)
{
    xz *state = decoder->state;
    free_filters(state);
    state->block = (lzma_block){.version = 1, .check = decoder->check, .filters = state->filters};
    state->block.header_size = lzma_block_header_size_decode(*qn_decoder_next(decoder));
    if (!qn_decoder_have(decoder, state->block.header_size))
        return false;
    lzma_ret result = lzma_block_header_decode(&state->block, NULL, qn_decoder_next(decoder));
    if (result != LZMA_OK) {
        state->filters[0].id = LZMA_VLI_UNKNOWN;
        return fail_xz(decoder, result);
    }
    if (lzma_raw_decoder_memusage(state->filters) > 2 * QN_UNPACK_WINDOW_BYTES_MAX)
        return qn_decoder_fail(decoder, "its dictionary is larger than 256 MiB: compress it again with a smaller one");
    result = lzma_block_decoder(&state->stream, &state->block);
    decoder->input_at += state->block.header_size;
    decoder->inside = result == LZMA_OK;
    return decoder->inside ? true : fail_xz(decoder, result);
}

static bool xz_enter(qn_decoder *decoder)
{
    uint8_t first = *qn_decoder_next(decoder);
    if (first == STREAM_MAGIC && qn_decoder_have(decoder, 6) &&
        memcmp(qn_decoder_next(decoder),
               "\xfd"
               "7zXZ",
               6) == 0)
        return enter_stream(decoder);
    return first == 0 ? skip_index(decoder) : enter_block(decoder);
}

static bool xz_step(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out)
{
    xz *state = decoder->state;
    state->stream.next_in = qn_decoder_next(decoder);
    state->stream.avail_in = qn_decoder_left(decoder);
    state->stream.next_out = to;
    state->stream.avail_out = bytes;
    lzma_ret result = lzma_code(&state->stream, LZMA_RUN);
    decoder->input_at = decoder->input_bytes - state->stream.avail_in;
    *got_out = bytes - state->stream.avail_out;
    decoder->inside = result != LZMA_STREAM_END;
    return result == LZMA_OK || result == LZMA_BUF_ERROR || result == LZMA_STREAM_END ? true : fail_xz(decoder, result);
}

const qn_decoder_kind qn_decoder_xz = {false, xz_init, xz_fini, xz_enter, xz_step, NULL};
