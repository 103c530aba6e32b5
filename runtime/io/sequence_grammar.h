/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/sequence_grammar.h: FASTA and FASTQ for record_source.h.
 *
 * A '>' at the begin of a line begins a record of FASTA, always. Of FASTQ with four lines each, a line that begins with '@'
 * and has a '+' two lines on is a header: in a record before it the sequence cannot be such a line, since it must not begin with '@' or '+'; the
 * third line begins with '+'; and two lines behind the qualities is a sequence. Every record of a cut file is held to that form, and a stretch
 * ends with a look at the record behind it, so that either each record is in exactly one stretch or one of the readers fails: a
 * file whose form changes further on is refused, never read wrongly.
 *
 * With lines of qualities that may begin with anything, nothing can be found in a FASTQ file of several lines. Rank 0 looks at the begin of each large
 * file and lets such a file be one task (record_plan.h).
 */
#ifndef QN_IO_SEQUENCE_GRAMMAR_H
#define QN_IO_SEQUENCE_GRAMMAR_H

#include "runtime/io/record_source.h"

extern const qn_grammar qn_sequence_grammar;

/* Whether only the front of a file shows that it can be cut, and whether one that begins so can: its records can be found from its middle. */
bool qn_sequence_needs_front(const qn_sequence_format *format);
bool qn_sequence_can_be_cut(const qn_sequence_format *format, const uint8_t *data, size_t bytes, bool at_end);
/* Whether two header lines are of mates: the same but for what follows a blank, and "/1" and "/2" in front of that. */
bool qn_sequence_are_mates(quern_span first, quern_span second);

#endif
