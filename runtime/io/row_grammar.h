/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/row_grammar.h: rows of RFC 4180 for record_source.h.
 *
 * A line break ends a row if the number of quotes before it in the file is even. Nobody knows that number in the middle of a file, so it is
 * counted before a stage (runtime/engine/quotes.h) and comes with the segment; from there on a reader counts itself. Each row is
 * held to the RFC: in the first one of a file that breaks it the number is still right, so whoever reads that row refuses it.
 */
#ifndef QN_IO_ROW_GRAMMAR_H
#define QN_IO_ROW_GRAMMAR_H

#include "runtime/io/record_source.h"

extern const qn_grammar qn_row_grammar;

/* How many quotes there are in data[0 … bytes). */
uint64_t qn_quotes_count(const uint8_t *data, size_t bytes);

#endif
