/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/fixed_format.h: records as their bytes, with nothing between them. */
#ifndef QN_IO_FIXED_FORMAT_H
#define QN_IO_FIXED_FORMAT_H

#include "runtime/data/batch.h"
#include "runtime/io/output.h"

/* Writes key and value of every record as they are in memory. */
quern_status qn_fixed_put(qn_part *part, const quern_block *block, qn_error *error);

#endif
