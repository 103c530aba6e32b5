/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/row_grammar.h: rows of RFC 4180 for record_source.h.
 *
 * A line break ends a row if the number of quotes before it in the file is even. Nobody knows that number in the middle of a file, so it is
 * counted before a stage (runtime/engine/quotes.h) and comes with the segment; from there on a reader counts itself. Each row is
 * held to the RFC: in the first one of a file that breaks it the number is still right, so whoever reads that row refuses it.
 *
 * Where bad rows are passed over, what is counted is a machine's states (row_states.h). A bad row ends at the first line break behind what is bad
 * in it, and in a file whose fields hold no line breaks at its first one. The first row, by which others are judged, must not be bad.
 */
#ifndef QN_IO_ROW_GRAMMAR_H
#define QN_IO_ROW_GRAMMAR_H

#include "runtime/io/record_source.h"
#include "runtime/io/row_states.h"

extern const qn_grammar qn_row_grammar;

/* How many quotes there are in data[0 … bytes). */
uint64_t qn_quotes_count(const uint8_t *data, size_t bytes);

#endif
