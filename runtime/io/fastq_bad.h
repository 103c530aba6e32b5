/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/fastq_bad.h: FASTQ of which bad records are passed over, for sequence_grammar.h.
 *
 * Records are four lines that are one. They are what a reader finds who begins at the file's begin: from where a record ends the next one, and
 * where that is none, the next line at which four lines are a record. Who begins elsewhere finds the same from a record on that is one for certain: a reader from the begin cannot
 * have found another over its first line, since none of the three lines before it begins four that are a record.
 */
#ifndef QN_IO_FASTQ_BAD_H
#define QN_IO_FASTQ_BAD_H

#include "runtime/io/record_source.h"

/* A record as it stands in the view. */
typedef struct qn_read_record {
    quern_span name, bases, qualities;
    size_t next;
} qn_read_record;

/* Behind empty lines. */
static inline size_t qn_view_pass_breaks(const qn_view *view, size_t at)
{
    for (; at < view->bytes; at++)
        if (view->data[at] != '\n' &&
            !(view->data[at] == '\r' && (at + 1 < view->bytes ? view->data[at + 1] == '\n' : view->at_end)))
            break;
    return at;
}

/* What is at `at`, an empty line or a record, is not seen yet. */
static inline bool qn_view_is_unseen(const qn_view *view, size_t at)
{
    return !view->at_end && (at == view->bytes || (at + 1 == view->bytes && view->data[at] == '\r'));
}

/* Nothing of more bytes than this is a record. */
static inline size_t qn_fastq_read_bytes_max(const qn_record_source *source)
{
    return 2 * source->record_bytes_max + QN_READ_CHUNK_BYTES;
}

/* Whether four lines from `at` on, a line's begin, are a record: a matter of these lines alone. QN_PASSED: not. In sequence_grammar.c. */
qn_finding qn_fastq_read_four(const qn_record_source *source, const qn_view *view, size_t at, qn_read_record *to);

/* Puts the place of a stretch at a record for certain before it, or at the file's begin where none is near. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_fastq_find_sure(qn_record_source *source, qn_error *error);
/* From there to the first record that is not before the stretch, good or bad. As `enter` and `pass` of a grammar. */
qn_finding qn_fastq_enter(qn_record_source *source, const qn_view *view);
qn_finding qn_fastq_pass(qn_record_source *source, const qn_view *view);

#endif
