/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/inflate.h: decoders of one member of gzip, header and checksums included, fed piece by piece.
 *
 * ISA-L is two to three times as fast as zlib, and there on x86 and ARM; what it is built without takes zlib.
 */
#ifndef QN_IO_INFLATE_H
#define QN_IO_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#define QN_INFLATE_BACK_BYTES                                                                                          \
    8 /* so many before what it is fed are its own, since it may give back what it took of earlier pieces */

typedef enum qn_inflate_outcome {
    QN_INFLATE_MORE,   /* it wants more input, or room for output */
    QN_INFLATE_END,    /* of the member; in is behind it */
    QN_INFLATE_FAILED, /* it is damaged */
} qn_inflate_outcome;

/* Where it reads and writes; moved on by what it did. */
typedef struct qn_inflate_io {
    uint8_t *in, *out;
    size_t in_bytes, out_bytes;
} qn_inflate_io;

typedef struct qn_inflater {
    const char *name;
    void *(*create)(void); /* NULL: no memory */
    void (*destroy)(void *state);
    void (*begin)(void *state); /* a member */
    /* *text_out: why it failed, static. */
    qn_inflate_outcome (*step)(void *state, qn_inflate_io *io, const char **text_out);
} qn_inflater;

/* The fastest first; NULL behind the last. */
extern const qn_inflater *const qn_inflaters[];

#endif
