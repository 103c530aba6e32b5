/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/archive_end.h: where an archive ends, and that nothing is lost behind that.
 *
 * A tar ends in two blocks of zeros, and is filled with more of them. libarchive stops there by itself, so that what `cat a.tar b.tar` puts behind
 * would never be read. Here zeros are passed over, as by tar --ignore-zeros: another tar behind them is read on, and whatever else is there
 * is a header that makes no sense. What comes last has to be a block of zeros, one at least, and may be less than a whole one more.
 *
 * A cpio ends in an entry of its own, behind which libarchive never looks: nothing but zeros may be there.
 */
#ifndef QN_IO_ARCHIVE_END_H
#define QN_IO_ARCHIVE_END_H

#include <archive.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What libarchive reads: bytes of a file, or pieces that are handed to it, of which note is taken. */
typedef struct qn_archive_input {
    int fd;              /* borrowed; -1: pieces */
    uint64_t begin, end; /* in the file; of pieces from 0 to those that were handed over */
    uint64_t zero_bytes; /* of pieces: that all of them together end in, so far */
    bool is_over;        /* of pieces: that was all */
} qn_archive_input;

/* Another piece; of 0 bytes: there is none left. */
void qn_archive_input_note(qn_archive_input *input, const uint8_t *piece, size_t bytes);

/* Tars, one behind the other, with zeros between. */
void qn_archive_support_tar(struct archive *archive);

/* Whether a tar has its end where archive_read_next_header() came to `result` (not good), and nothing is behind. Where libarchive unpacks the file
 * itself less is known: that there are zeros. */
bool qn_archive_is_tar_end(struct archive *archive, const qn_archive_input *input, int result);
/* Of a tar, whether that result (not good) came of there being no bytes left. */
bool qn_archive_is_used_up(struct archive *archive, const qn_archive_input *input, int result);
/* Of a tar, whether that result says that what is next is not a header; *offset_out is where, in what libarchive reads. */
bool qn_archive_is_no_header(struct archive *archive, const qn_archive_input *input, int result, uint64_t *offset_out);

/* Whether there are only zeros behind what was read. Of pieces all have to be noted. */
bool qn_archive_has_only_zeros_left(struct archive *archive, const qn_archive_input *input);

#endif
