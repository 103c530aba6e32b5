/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/sevenzip.h: what a 7-Zip archive will make libarchive allocate, found by its header before libarchive sees the file.
 *
 * The header is at the end of the file, and most often packed itself. It says of each folder (members that are packed together) by what it is packed and with
 * which dictionary, and how many folders, streams and members there are. libarchive allocates all of that: dictionaries of up to 4 GiB, some 100 bytes of a
 * member that is 1 bit in the header, and of BCJ2 whole streams.
 *
 * So the header is gone through here, unpacked as a stream, in the order and by the rules of libarchive, but strictly: what is not known is refused, since libarchive may
 * take it for something. Declared sizes count, and not what could be filled of them: how much a folder unpacks to is the archive's word, too. What is kept
 * of it is at most a quarter of what is allowed.
 */
#ifndef QN_IO_SEVENZIP_H
#define QN_IO_SEVENZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#define QN_SEVENZIP_MEMORY_MAX ((uint64_t)256 << 20) /* of the decoders of a folder; of the table of members */

/* Whether a file that begins so is of 7-Zip. */
bool qn_sevenzip_is_archive(const uint8_t *head, size_t bytes);

/* QUERN_ERROR_INPUT: it wants more memory than that, and the text says what for and how much, or its header makes no sense. QUERN_ERROR_NO_MEMORY. */
quern_status qn_sevenzip_check(int fd, const char *path, uint64_t file_bytes, qn_error *error);

#endif
