/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/deflater.h: bytes deflated without a wrapper, as members of a zip are, by zlib. The same bytes give the same stream.
 */
#ifndef QN_IO_DEFLATER_H
#define QN_IO_DEFLATER_H

#include "runtime/io/packer.h"

typedef struct qn_deflater qn_deflater;

/* As those of packer.h. */
quern_status qn_deflater_create(qn_deflater **deflater_out, int level, qn_packer_fn fn, void *user, qn_error *error);
quern_status qn_deflater_write(qn_deflater *deflater, const void *data, size_t bytes, qn_error *error);
quern_status qn_deflater_end(qn_deflater *deflater, qn_error *error);
void qn_deflater_destroy(qn_deflater *deflater); /* takes NULL */

#endif
