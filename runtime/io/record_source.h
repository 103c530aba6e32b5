/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/record_source.h: a task's records of a format in which each record begins where the one before it ends.
 *
 * The frame is here and the formats are grammars (sequence_grammar.h, row_grammar.h, file_grammar.h): where a cut stretch's first record begins,
 * what the record at a place is, and how much of the content has to be seen to say so. The frame shows a grammar a view: the
 * bytes from the place on up to the end of that place's chunk of reading, and more only while there is no whole record in them.
 * So a block is a function of the content and of the place where it begins, whatever came before it in the window.
 *
 * Bad input, where it is passed over (bad_list.h): a record that is bad is the first of its block, so the block before it ends there, and the call that
 * finds it gives nothing else. Where it ends the grammar says, and sees it chunk by chunk.
 *
 * A view grows by a quarter at least: a record is looked at a few times, however long it is, and memory is a quarter more.
 */
#ifndef QN_IO_RECORD_SOURCE_H
#define QN_IO_RECORD_SOURCE_H

#include <string.h>

#include "runtime/data/batch.h"
#include "runtime/data/record_format.h"
#include "runtime/io/task_reader.h"

typedef enum qn_sequence_kind {
    QN_SEQUENCES_UNKNOWN,
    QN_SEQUENCES_FASTA,
    QN_SEQUENCES_FASTQ,
} qn_sequence_kind;

/* What grammars know of the present content. */
typedef struct qn_grammar_state {
    qn_sequence_kind sequences;
    char *header; /* of the sequence that is given in pieces; with QN_SLACK_BYTES behind it */
    size_t header_bytes, header_capacity;
    uint32_t column_count, key_column; /* of rows: as the first one has them */
    uint64_t first_offset;             /* of the first row; UINT64_MAX: not known yet */
    bool is_quoted;                    /* within quotes, on the way to the first row */
    uint8_t row_state;                 /* the same where bad rows are passed over: see row_grammar.h */
    uint8_t passing;                   /* how far behind something bad: the grammar's own; 0: not */
    uint64_t bases_end;                /* of the last piece of a sequence that goes on behind it */
} qn_grammar_state;

/* What a grammar is shown: bytes of the content from the place on. */
typedef struct qn_view {
    const uint8_t *data; /* [bytes], and QN_WINDOW_SLACK_BYTES readable behind them */
    size_t bytes;
    uint64_t offset; /* of data[0] */
    bool at_end;     /* nothing comes behind them */
} qn_view;

typedef enum qn_finding {
    QN_FOUND,  /* records were added, or a first record found; the place has moved on */
    QN_PASSED, /* the place has moved on over something that is no record */
    QN_MORE,   /* the view has to be longer: never said of one at the end */
    QN_FULL,   /* what comes here must begin a block of its own */
    QN_END,    /* nothing is left in the content; in enter: no record begins here */
    QN_FAILED, /* the error is set */
} qn_finding;

typedef struct qn_record_source qn_record_source;

typedef struct qn_grammar {
    /* A content was opened, its place is in source->task.place, nothing of it is in the window. May be NULL. */
    quern_status (*open)(qn_record_source *source, qn_error *error);
    /* Appends what a reader that begins at the place has to know of what came before, and takes it from there, instead of open, for a content that
     * is a piece (piece.h). NULL: nothing. */
    void (*tell)(const qn_record_source *source, qn_buffer *to);
    quern_status (*hear)(qn_record_source *source, qn_reader *told, qn_error *error);
    /* Finds the first record that begins at content.begin or behind. The view begins a byte before, or where an earlier call said QN_PASSED.
     * Not called where begin is 0. NULL: contents are never cut. */
    qn_finding (*enter)(qn_record_source *source, const qn_view *view, qn_error *error);
    /* Adds the record (or two) at the place and moves the place behind it. */
    qn_finding (*next)(qn_record_source *source, const qn_view *view, qn_error *error);
    /* Behind the last record of a stretch that ends within the content: QN_FOUND if the reader of the next one will find the record at the place.
     * NULL: it will. */
    qn_finding (*follow)(qn_record_source *source, const qn_view *view, qn_error *error);
    /* The record at the place is bad: moves the place behind it (QN_FOUND), or as far as is seen of it (QN_PASSED, QN_MORE); the same call again sees the
     * rest. state.passing is 0 at first. Never QN_MORE of a view at the end. */
    qn_finding (*pass)(qn_record_source *source, const qn_view *view);
    /* Frees what it has in source->state. May be NULL. */
    void (*fini)(qn_record_source *source);
} qn_grammar;

struct qn_record_source {
    const qn_grammar *grammar;
    qn_record_format format; /* borrows its texts */
    uint64_t record_bytes_max;
    qn_task_reader task;
    bool has_values;
    uint32_t count; /* of the block */
    const void *keys[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *values[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
    uint64_t offsets[QN_BATCH_COUNT_MAX];
    uint64_t ends[QN_BATCH_COUNT_MAX]; /* known where bad input is passed over */
    uint8_t *joined; /* [joined_capacity]: what stands in pieces in the view, put together for a block */
    size_t joined_capacity, joined_bytes;
    qn_grammar_state state; /* of the grammar, of the present content */
    const char *bad_reason; /* of the last failure, if it is the input's; static */
};

/* format: its texts are borrowed. record_bytes_max < 2^31. QUERN_ERROR_NO_MEMORY. */
quern_status qn_record_source_init(qn_record_source *source, const qn_record_format *format, uint64_t record_bytes_max,
                                   qn_error *error);
void qn_record_source_fini(qn_record_source *source); /* takes a zeroed one */

/* As those of text_source.h. count 0 also where the list of bad input got something. */
quern_status qn_record_source_next(qn_record_source *source, qn_batch *batch_out, qn_error *error);
extern const qn_task_format qn_record_task_format;
const char *qn_record_source_locate(const qn_record_source *source, uint32_t record, uint64_t *offset_out);

/* The last place in data[0 … bytes) at which a record begins or ends for certain, data[0] being one at which a record of the open content begins:
 * what is before it can be handed to another reader. 0: none but that. For a source that is not in the middle of a block. */
size_t qn_record_source_cut(qn_record_source *source, const uint8_t *data, size_t bytes);

/* For grammars. Adds a record to the block; its bytes live as long as the window and `joined` stay. Records of more than record_bytes_max: QN_FAILED. */
qn_finding qn_record_add(qn_record_source *source, quern_span key, quern_span value, uint64_t offset, qn_error *error);
/* Room in `joined` for the rest of this block: twice the view, whatever is taken of it in turn. NULL: no memory, and the error is set. */
uint8_t *qn_record_room(qn_record_source *source, const qn_view *view, qn_error *error);
/* QUERN_ERROR_INPUT: byte and name of the content, and what is wrong (static). */
qn_finding qn_record_fail(qn_record_source *source, uint64_t offset, qn_error *error, const char *what);

/* A line: up to its '\n', or to the end of the content; a '\r' at its end is no part of it. */
typedef struct qn_line {
    size_t begin, end, next;
} qn_line;

/* The line at `at` of the view. False: it is not all there. */
static inline bool qn_view_line(const qn_view *view, size_t at, qn_line *line_out)
{
    const uint8_t *found = at < view->bytes ? memchr(view->data + at, '\n', view->bytes - at) : NULL;
    if (!found && !view->at_end)
        return false;
    size_t end = found ? (size_t)(found - view->data) : view->bytes;
    line_out->begin = at;
    line_out->next = end + (found != NULL);
    line_out->end = end > at && view->data[end - 1] == '\r' ? end - 1 : end;
    return true;
}

#endif
