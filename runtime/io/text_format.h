/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/text_format.h: records as lines of text. */
#ifndef QN_IO_TEXT_FORMAT_H
#define QN_IO_TEXT_FORMAT_H

#include "runtime/data/batch.h"
#include "runtime/io/output.h"

/* Writes the record as key<TAB>value<NEWLINE> (no tab for QUERN_NONE): bytes as they are, and keys of QUERN_FIXED; numbers
 * as qn_number_describe() does; pairs as two fields with a tab between them. */
quern_status qn_text_put(qn_part *part, const quern_schema *schema, const quern_record *record, qn_error *error);

/* Writes a key or a value that is no pair, and behind it the byte `last`. */
quern_status qn_text_put_simple(qn_part *part, quern_type type, quern_span field, char last, qn_error *error);

#endif
