/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/decoder_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"

#define MARKS_FIRST 64

static const qn_decoder_kind *kind_of(qn_unit_kind kind)
{
    switch (kind) {
    case QN_UNITS_BGZF:
        return &qn_decoder_bgzf;
    case QN_UNITS_ZSTD:
        return &qn_decoder_zstd;
    case QN_UNITS_LZ4:
        return &qn_decoder_lz4;
    case QN_UNITS_BZIP2:
        return &qn_decoder_bzip2;
    case QN_UNITS_XZ:
        return &qn_decoder_xz;
    case QN_UNITS_NONE:
    case QN_UNITS_TAR:
    case QN_UNITS_ZIP:
        break;
    }
    QN_ASSERT(!"these units have a decoder");
    return NULL;
}

qn_decoder *qn_decoder_create(qn_unit_kind kind, int fd, const qn_border *first, uint64_t behind, uint64_t file_bytes)
{
    qn_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return NULL;
    decoder->kind = kind_of(kind);
    decoder->fd = fd;
    decoder->check = (uint32_t)first->number;
    decoder->next_offset = first->offset;
    decoder->file_bytes = file_bytes;
    decoder->part_end = behind;
    decoder->border = QN_BYTES_UNKNOWN;
    decoder->is_marked = qn_units_are_marked(kind);
    decoder->input = malloc(QN_DECODER_INPUT_BYTES);
    if (decoder->input && decoder->kind->init(decoder))
        return decoder;
    qn_decoder_destroy(decoder);
    return NULL;
}

void qn_decoder_destroy(qn_decoder *decoder)
{
    if (!decoder)
        return;
    decoder->kind->fini(decoder);
    free(decoder->marks);
    free(decoder->input);
    free(decoder);
}

bool qn_decoder_fail(qn_decoder *decoder, const char *text)
{
    if (!decoder->text[0])
        snprintf(decoder->text, sizeof decoder->text, "%s", text);
    return false;
}

/* Reads behind what is left of the input, which goes to the front. */
static bool refill(qn_decoder *decoder)
{
    size_t left = qn_decoder_left(decoder);
    uint64_t coming = decoder->file_bytes > decoder->next_offset ? decoder->file_bytes - decoder->next_offset : 0;
    size_t room = QN_DECODER_INPUT_BYTES - left;
    ssize_t got;
    memmove(decoder->input, qn_decoder_next(decoder), left);
    decoder->input_at = 0;
    decoder->input_bytes = left;
    do {
        got = pread(decoder->fd, decoder->input + left, coming < room ? (size_t)coming : room,
                    (off_t)decoder->next_offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return qn_decoder_fail(decoder, strerror(errno));
    decoder->next_offset += (uint64_t)got;
    decoder->input_bytes += (size_t)got;
    return true;
}

bool qn_decoder_have(qn_decoder *decoder, size_t bytes)
{
    QN_ASSERT(bytes <= QN_DECODER_INPUT_BYTES);
    while (qn_decoder_left(decoder) < bytes) {
        size_t left = qn_decoder_left(decoder);
        if (!refill(decoder))
            return false;
        if (qn_decoder_left(decoder) == left)
            return qn_decoder_fail(decoder, "the file ends within a compressed unit: it is truncated");
    }
    return true;
}

uint64_t qn_decoder_get_packed(const qn_decoder *decoder)
{
    return decoder->next_offset - qn_decoder_left(decoder);
}

bool qn_decoder_skip(qn_decoder *decoder, uint64_t bytes)
{
    size_t left = qn_decoder_left(decoder);
    if (bytes <= left) {
        decoder->input_at += (size_t)bytes;
        return true;
    }
    bytes -= left;
    decoder->input_at = decoder->input_bytes;
    if (bytes > decoder->file_bytes - decoder->next_offset)
        return qn_decoder_fail(decoder, "the file ends within a frame: it is truncated");
    decoder->next_offset += bytes;
    return true;
}

/* A unit begins, where the last one of no bytes may have begun too. */
static bool mark(qn_decoder *decoder, uint64_t offset)
{
    if (!decoder->is_marked)
        return true;
    if (decoder->mark_count == decoder->mark_capacity) {
        size_t capacity = decoder->mark_capacity ? 2 * decoder->mark_capacity : MARKS_FIRST;
        qn_mark *marks = realloc(decoder->marks, capacity * sizeof *marks);
        if (!marks)
            return qn_decoder_fail(decoder, "there is no memory");
        decoder->marks = marks;
        decoder->mark_capacity = capacity;
    }
    bool is_empty = decoder->mark_count > 0 && decoder->marks[decoder->mark_count - 1].unpacked == decoder->unpacked;
    decoder->mark_count -= is_empty;
    decoder->marks[decoder->mark_count++] = (qn_mark){offset, decoder->unpacked};
    return true;
}

/* What was read of this unit with the one before it is read again with this one. */
void qn_decoder_reread_unit(qn_decoder *decoder)
{
    if (!decoder->is_apart)
        return;
    decoder->next_offset = decoder->unit.offset;
    decoder->input_at = decoder->input_bytes = 0;
}

static void begin_unit(qn_decoder *decoder, uint64_t at)
{
    decoder->unit = (qn_mark){at, decoder->unpacked};
    if (!decoder->kind->gives_whole)
        qn_decoder_reread_unit(decoder);
}

/* Between units: looks whether this is the border, and goes on to the next unit. *ended_out: there is none. */
static bool go_on(qn_decoder *decoder, bool *ended_out)
{
    uint64_t at = qn_decoder_get_packed(decoder);
    if (at == decoder->part_end && at < decoder->file_bytes)
        decoder->border = decoder->unpacked;
    if (at > decoder->part_end && decoder->border == QN_BYTES_UNKNOWN)
        return qn_decoder_fail(decoder, "a compressed unit does not end where the file's headers say: it is damaged");
    *ended_out = at >= decoder->file_bytes;
    if (*ended_out)
        return !decoder->kind->end || decoder->kind->end(decoder);
    begin_unit(decoder, at);
    if (!qn_decoder_have(decoder, 1) || !decoder->kind->enter(decoder))
        return false;
    return !decoder->inside || mark(decoder, at);
}

static bool unpack_some(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out)
{
    if (qn_decoder_left(decoder) == 0 && !decoder->may_have_more && !refill(decoder))
        return false;
    size_t left = qn_decoder_left(decoder);
    if (!decoder->kind->step(decoder, to, bytes, got_out))
        return false;
    decoder->may_have_more = *got_out == bytes;
    decoder->unpacked += *got_out;
    if (*got_out == 0 && decoder->inside && qn_decoder_left(decoder) == left)
        return qn_decoder_have(decoder, left + 1);
    return true;
}

ptrdiff_t qn_decoder_read(qn_decoder *decoder, void *to, size_t bytes, const char **text_out)
{
    size_t got = 0;
    bool is_good = !decoder->text[0], ended = false;
    while (is_good && got < bytes && !ended && !(decoder->is_apart && got > 0 && !decoder->inside)) {
        size_t more = 0;
        if (decoder->inside)
            is_good = unpack_some(decoder, (uint8_t *)to + got, bytes - got, &more);
        else
            is_good = go_on(decoder, &ended);
        got += more;
    }
    *text_out = decoder->text;
    decoder->given_bytes = got;
    return is_good ? (ptrdiff_t)got : -1;
}

void qn_decoder_take_apart(qn_decoder *decoder)
{
    decoder->is_apart = true;
}

qn_mark qn_decoder_get_unit(const qn_decoder *decoder)
{
    return decoder->unit;
}

size_t qn_decoder_get_given(const qn_decoder *decoder)
{
    return decoder->given_bytes;
}

uint64_t qn_decoder_get_border(const qn_decoder *decoder)
{
    return decoder->border;
}

qn_mark qn_decoder_mark_of(const qn_decoder *decoder, uint64_t unpacked)
{
    size_t low = 0, high = decoder->mark_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (decoder->marks[middle].unpacked <= unpacked)
            low = middle;
        else
            high = middle;
    }
    return decoder->mark_count > 0 ? decoder->marks[low] : (qn_mark){0, 0};
}

const qn_mark *qn_decoder_marks(const qn_decoder *decoder, size_t *count_out)
{
    *count_out = decoder->mark_count;
    return decoder->marks;
}

void qn_decoder_forget(qn_decoder *decoder, uint64_t unpacked)
{
    if (decoder->mark_count < decoder->mark_capacity || decoder->mark_count < MARKS_FIRST)
        return;
    size_t kept = 0;
    while (kept + 1 < decoder->mark_count && decoder->marks[kept + 1].unpacked <= unpacked)
        kept++;
    memmove(decoder->marks, decoder->marks + kept, (decoder->mark_count - kept) * sizeof *decoder->marks);
    decoder->mark_count -= kept;
}
