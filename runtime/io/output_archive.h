/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/output_archive.h: what stands around the members of a tar or zip file, so that all ranks can write them.
 *
 * libarchive writes an archive from its begin to its end and by one process. But a member's bytes do not depend on where they are, and what
 * stands before and behind them is small and known when their sizes are. So each rank writes its members as files, compressed as they
 * will be, and then copies them to their places; rank 0 works out the places and writes the rest.
 *
 *     tar       header, content padded to 512 bytes, …, two blocks of zeros
 *     tar.gz    the same, each header, each padded content and the end a compressed stream of its own: such streams behind
 *               each other are one
 *     zip       local header, content (deflated without a wrapper, or stored), …, central directory
 *
 * Headers of tar are made by libarchive (ustar; with pax records from 8 GiB on), those of zip here (zip64 where a number is too large). There
 * are no times in either, so the same content gives the same file.
 */
#ifndef QN_IO_OUTPUT_ARCHIVE_H
#define QN_IO_OUTPUT_ARCHIVE_H

#include "runtime/io/output.h"

/* What an output's file name ends in. */
void qn_part_style_suffix(const qn_part_style *style, char suffix_out[16]);

/* Zeros behind a member's content. */
uint64_t qn_archive_padding(const qn_part_style *style, uint64_t content_bytes);

/* Writes all but the members of summaries [count], which are by number, and named part- and so many digits. Tells where each member is to go. */
quern_status qn_archive_write_frame(int fd, const char *path, const qn_part_style *style, int digits,
                                    const qn_part_summary *summaries, uint64_t count, uint64_t *offsets_out,
                                    uint64_t *bytes_out, qn_error *error);

#endif
