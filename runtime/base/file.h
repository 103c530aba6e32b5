/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/base/file.h: whole reads and writes, directories, and durable renames, with errors that name the file. */
#ifndef QN_BASE_FILE_H
#define QN_BASE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* Whether an open file is read and written past the page cache. A zeroed one is of a file that was opened as usual. */
typedef struct qn_direct {
    atomic_bool is_on;      /* these may change while a thread transfers, which finds out what the file system does */
    atomic_bool is_refused; /* by the file system, which is not asked again */
} qn_direct;

/* From now on, if the file system can. What is transferred then has to be whole pages, in memory and in the file. */
void qn_file_set_direct(int fd, qn_direct *direct, bool on);
typedef enum qn_way {
    QN_WAY_READ,
    QN_WAY_WRITE,
} qn_way;

/* Reads or writes until it is done, the file ends, or the system refuses; *done_out: bytes so far. Returns 0 or the errno; a
 * disk that takes nothing more is ENOSPC. direct: NULL where the file is as usual. Sets no error, and so may be called by any thread. */
int qn_file_move(int fd, qn_direct *direct, qn_way way, void *data, size_t bytes, uint64_t offset, size_t *done_out);

/* Reads up to `bytes` at `offset`, fewer only at the end of the file. Interruptions are retried. `path` is for messages.
 * `failure` is the status to give (INPUT, SCRATCH). */
quern_status qn_file_read_at(int fd, void *data, size_t bytes, uint64_t offset, const char *path, quern_status failure,
                             size_t *bytes_out, qn_error *error);
/* Writes all of it. `failure` is the status to give (OUTPUT, SCRATCH). */
quern_status qn_file_write_at(int fd, const void *data, size_t bytes, uint64_t offset, const char *path,
                              quern_status failure, qn_error *error);
/* The same, of a file that may be direct. */
quern_status qn_file_write_direct(int fd, qn_direct *direct, const void *data, size_t bytes, uint64_t offset,
                                  const char *path, quern_status failure, qn_error *error);
/* Creates `path` (which must not exist) with the content, synced to disk. */
quern_status qn_file_create(const char *path, const void *data, size_t bytes, qn_error *error);
/* fsync of a directory, so that names in it are durable. File systems that cannot do it are accepted. */
quern_status qn_file_sync_directory(const char *path, qn_error *error);
/* An open file in `directory` that has no name any more, 0600; *fd_out is the caller's to close. Where the file system cannot do
 * without a name, the file lies in a directory of its own, 0700, which outlives its removal on some (NFS): *left_out is then that
 * directory's path, to be given to qn_file_remove_scratch() once the file is closed; else NULL. */
quern_status qn_file_open_scratch(const char *directory, int *fd_out, char **left_out, qn_error *error);
/* Removes what qn_file_open_scratch() had to leave, and frees it. Takes NULL. */
void qn_file_remove_scratch(char *left);

#endif
