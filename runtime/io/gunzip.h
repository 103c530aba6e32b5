/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/gunzip.h: gzip for libarchive, whose own filter does not look at the checksums.
 *
 * All members of the file, one behind the other; zeros behind the last one are padding, anything else an error.
 */
#ifndef QN_IO_GUNZIP_H
#define QN_IO_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn_gunzip qn_gunzip;

/* Whether a file that begins so is of gzip. */
bool qn_gunzip_is_gzip(const uint8_t *head, size_t bytes);

/* Reads fd, which is borrowed, from its position on. NULL: no memory. */
qn_gunzip *qn_gunzip_create(int fd);
struct qn_inflater;
/* The same by a decoder of the caller's (inflate.h). */
qn_gunzip *qn_gunzip_create_with(int fd, const struct qn_inflater *inflater);
void qn_gunzip_destroy(qn_gunzip *gunzip); /* takes NULL */

/* Lends the next unpacked bytes, until the next call; 0 at the end; below 0 on failure: *text_out is then why. */
ptrdiff_t qn_gunzip_next(qn_gunzip *gunzip, const void **bytes_out, const char **text_out);

#endif
