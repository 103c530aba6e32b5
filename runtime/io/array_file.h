/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/array_file.h: names and manifests of files that hold arrays: in a directory as parts are, or one at a path of its own.
 *
 * At a path of its own, the file is the sign of success: it gets its name when it is whole, never in the place of another, and the manifest
 * beside it follows. Until then all is in a directory beside it, with its lock (output.h).
 */
#ifndef QN_IO_ARRAY_FILE_H
#define QN_IO_ARRAY_FILE_H

#include "runtime/io/output.h"

/* QUERN_ERROR_OUTPUT_EXISTS: there is something at the path. */
quern_status qn_array_file_check(const char *path, qn_error *error);
/* The name of file `number` in a directory; freed by the caller. NULL: no memory. */
char *qn_array_file_path(const char *directory, uint64_t number, uint64_t count);

/* Rank 0, one file for all: makes it under its temporary path, then gives it its name: path, or NULL: in the directory. QUERN_ERROR_OUTPUT,
 * QUERN_ERROR_OUTPUT_EXISTS, QUERN_ERROR_NO_MEMORY. */
quern_status qn_array_file_begin(qn_output *output, const char *temporary_path, qn_error *error);
quern_status qn_array_file_commit(qn_output *output, const char *path, qn_error *error);
/* Rank 0: as qn_output_seal(); path: as above. */
quern_status qn_array_file_seal(qn_output *output, const char *path, const qn_part_summary *summaries, size_t count,
                                bool is_one_file, qn_error *error);

#endif
