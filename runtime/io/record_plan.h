/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/record_plan.h: which files of sequences, rows and whole files can be cut, decided by rank 0 before any reading.
 *
 * A file is cut where its readers can find records from the middle: by its form, which shows at its front (sequence_grammar.h), or, of rows
 * with quotes, by a count of these (row_grammar.h), which only plain files have. What is packed in units has its front unpacked for that; of a
 * tar each large member that is stored as it is counts for itself. What cannot be cut is one task, and if it is packed as one stream it
 * is lent in pieces.
 */
#ifndef QN_IO_RECORD_PLAN_H
#define QN_IO_RECORD_PLAN_H

#include "runtime/data/record_format.h"
#include "runtime/io/listing.h"

/* For a listing whose units were looked for: marks the files that are known to be plain and cannot be cut, and takes those units back that
 * must not be. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_record_plan(const qn_record_format *format, qn_listing *listing, qn_error *error);

#endif
