/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/packer.h: bytes compressed on their way to a file, by libarchive. The same bytes give the same file.
 */
#ifndef QN_IO_PACKER_H
#define QN_IO_PACKER_H

#include <quern/dataset.h>

#include "runtime/base/status.h"

typedef struct qn_packer qn_packer;

/* Takes what comes out. Below QUERN_OK nothing: the failure is passed on. */
typedef quern_status (*qn_packer_fn)(void *user, const void *data, size_t bytes, qn_error *error);

/* What a compressed file's name ends in: "" for none. Static; NULL: there is no such compression. */
const char *qn_compression_suffix(quern_compression compression);

/* level 0: the compression's own default. fn and user are borrowed until destroy. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_INVALID_ARGUMENT: level. */
quern_status qn_packer_create(qn_packer **packer_out, quern_compression compression, int level, qn_packer_fn fn,
                              void *user, qn_error *error);
quern_status qn_packer_write(qn_packer *packer, const void *data, size_t bytes, qn_error *error);
/* All is given out. Once; then only destroy. */
quern_status qn_packer_end(qn_packer *packer, qn_error *error);
void qn_packer_destroy(qn_packer *packer); /* takes NULL; without end what was not given out is lost */

#endif
