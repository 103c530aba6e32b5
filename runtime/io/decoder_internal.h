/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/decoder_internal.h: a decoder, and what a kind of units brings to it. */
#ifndef QN_IO_DECODER_INTERNAL_H
#define QN_IO_DECODER_INTERNAL_H

#include "runtime/io/decoder.h"

#define QN_DECODER_INPUT_BYTES ((size_t)256 << 10)

typedef struct qn_decoder_kind {
    bool gives_whole;                  /* all of a unit, or nothing, of no more input than there is room for */
    bool (*init)(qn_decoder *decoder); /* false: no memory; fini is called */
    void (*fini)(qn_decoder *decoder);
    /* Between units, at least one byte is there: leaves out something, or is inside of a unit then. */
    bool (*enter)(qn_decoder *decoder);
    /* Unpacks some, and is outside at the unit's end. */
    bool (*step)(qn_decoder *decoder, uint8_t *to, size_t bytes, size_t *got_out);
    /* At the end of the file: whether that is a good one. NULL: any is, between units. */
    bool (*end)(qn_decoder *decoder);
} qn_decoder_kind;

struct qn_decoder {
    const qn_decoder_kind *kind;
    void *state; /* the kind's */
    int fd;
    bool inside;        /* a unit */
    bool may_have_more; /* inside: the kind may have something to hand out without more input */
    bool is_marked;
    bool is_apart;  /* see qn_decoder_take_apart() */
    qn_mark unit;   /* the last that was begun */
    uint32_t check; /* XZ: the kind of checksums */
    uint64_t next_offset, file_bytes;
    uint64_t part_end, border;
    uint64_t unpacked;
    uint8_t *input; /* [QN_DECODER_INPUT_BYTES] */
    size_t input_at, input_bytes;
    qn_mark *marks;
    size_t mark_count, mark_capacity;
    size_t given_bytes; /* by the last read */
    char text[200];     /* of a failure */
};

extern const qn_decoder_kind qn_decoder_bgzf, qn_decoder_zstd, qn_decoder_lz4, qn_decoder_bzip2, qn_decoder_xz;

/* Makes so many bytes be there, at most QN_DECODER_INPUT_BYTES; false: there are fewer, a failure. */
bool qn_decoder_have(qn_decoder *decoder, size_t bytes);
bool qn_decoder_skip(qn_decoder *decoder, uint64_t bytes);
/* In enter, of a kind that gives units as a whole, of one that is given in steps all the same: see qn_decoder_take_apart(). */
void qn_decoder_reread_unit(qn_decoder *decoder);
/* Records a failure; false. */
bool qn_decoder_fail(qn_decoder *decoder, const char *text);

static inline const uint8_t *qn_decoder_next(const qn_decoder *decoder)
{
    return decoder->input + decoder->input_at;
}

static inline size_t qn_decoder_left(const qn_decoder *decoder)
{
    return decoder->input_bytes - decoder->input_at;
}

#endif
