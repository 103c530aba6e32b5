/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/decoder.h: the units of a compressed file (units.h) unpacked one after the other, from any border on, to the end of the file.
 *
 * Tells where in what it unpacked the border was at which its part ends; that it was there, exactly, is what makes
 * borders that were found by hops the truth. Checksums are verified. Of kinds whose places are told by unit it keeps marks: where units
 * begin.
 */
#ifndef QN_IO_DECODER_H
#define QN_IO_DECODER_H

#include "runtime/io/units.h"

#define QN_UNPACK_WINDOW_BYTES_MAX ((uint64_t)128 << 20) /* that a file may ask its reader to keep */

typedef struct qn_mark {
    uint64_t offset;   /* in the file, of a unit */
    uint64_t unpacked; /* of its first byte, from the begin of the part */
} qn_mark;

typedef struct qn_decoder qn_decoder;

/* From the border on; the part's end is border `behind`, the file's end file_bytes. NULL: no memory. fd is borrowed; its position neither matters
 * nor changes. */
qn_decoder *qn_decoder_create(qn_unit_kind kind, int fd, const qn_border *first, uint64_t behind, uint64_t file_bytes);
void qn_decoder_destroy(qn_decoder *decoder); /* takes NULL */

/* From now on each unit is unpacked by itself: its input is read from its begin on, and a read ends where a unit does. So what comes of a damaged
 * unit, if it is read in steps of one size, is a matter of its bytes alone, wherever reading began. */
void qn_decoder_take_apart(qn_decoder *decoder);

/* The next bytes; fewer only at the end of the file, and where units are taken apart at the end of one: 0 is the end of the file. Less than
 * 0: a failure, which *text_out tells until the decoder goes. */
ptrdiff_t qn_decoder_read(qn_decoder *decoder, void *to, size_t bytes, const char **text_out);

/* How many bytes the last read gave; also if it failed. */
size_t qn_decoder_get_given(const qn_decoder *decoder);

/* How many bytes came before the border at the part's end; QN_BYTES_UNKNOWN: that was not reached, or is the file's end. */
uint64_t qn_decoder_get_border(const qn_decoder *decoder);
/* How much of the file was unpacked. */
uint64_t qn_decoder_get_packed(const qn_decoder *decoder);

/* The unit that it is in, or of which it cannot make sense. */
qn_mark qn_decoder_get_unit(const qn_decoder *decoder);

/* The unit that a byte is in; all that are kept, in order. Those before `unpacked` can be forgotten. */
qn_mark qn_decoder_mark_of(const qn_decoder *decoder, uint64_t unpacked);
const qn_mark *qn_decoder_marks(const qn_decoder *decoder, size_t *count_out);
void qn_decoder_forget(qn_decoder *decoder, uint64_t unpacked);

#endif
