/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/file_sum.h: the checksum of what somebody else wrote, for the manifest. */
#ifndef QN_IO_FILE_SUM_H
#define QN_IO_FILE_SUM_H

#include <stdint.h>

#include "runtime/base/status.h"

/* Bytes of a file. QUERN_ERROR_OUTPUT. */
quern_status qn_file_get_bytes(const char *path, uint64_t *bytes_out, qn_error *error);
/* Syncs the file, and sums up bytes [offset, offset + bytes) of it, as qn_part_summary says. QUERN_ERROR_OUTPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_file_sync_and_sum(const char *path, uint64_t offset, uint64_t bytes, uint64_t *checksum_out,
                                  qn_error *error);

#endif
