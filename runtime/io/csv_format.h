/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/csv_format.h: records as rows of CSV (RFC 4180) or TSV.
 *
 * Of CSV a field is in quotes where it holds the separator, a quote or a line break, or begins as a byte order mark does, which readers would take
 * for one; of TSV such bytes are escaped. A row of one field without bytes is "" in CSV: an empty line is no row to readers.
 */
#ifndef QN_IO_CSV_FORMAT_H
#define QN_IO_CSV_FORMAT_H

#include "runtime/data/text_form.h"
#include "runtime/io/output.h"

/* Writes the names as the first row of a file; nothing where there are none. It does not count as a record. */
quern_status qn_csv_put_header(qn_part *part, const qn_text_form *form, qn_error *error);

/* Writes a record: key and value, a pair as two fields; or the fields of the value. QUERN_ERROR_OUTPUT: the value is no row; or as qn_part_write(). */
quern_status qn_csv_put(qn_part *part, const qn_text_form *form, const quern_schema *schema, const quern_record *record,
                        qn_error *error);

#endif
