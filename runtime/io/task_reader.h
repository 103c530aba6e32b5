/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/task_reader.h: what readers of all formats of bytes share: a task's segments, the content that is open, the place in it.
 *
 * A format's source (text_source.h, fixed_source.h, record_source.h) has one and knows what records are; what it does to open a content and to
 * find where records end it hands in. Nothing here is called for each record.
 */
#ifndef QN_IO_TASK_READER_H
#define QN_IO_TASK_READER_H

#include "runtime/io/bad_list.h"
#include "runtime/io/window.h"

/* Where a block begins. */
typedef struct qn_text_place {
    uint32_t segment;
    bool started;           /* false: at the segment's begin, where a record may have begun before */
    bool inside;            /* a record is open */
    uint64_t member;        /* of the segment: which of its contents */
    uint64_t scan_offset;   /* in the content: what is not scanned yet */
    uint64_t record_offset; /* of the open record */
} qn_text_place;

typedef struct qn_task_reader {
    qn_segment *segments;
    uint32_t segment_count;
    uint64_t bytes;      /* of them all */
    uint8_t *message;    /* that the segments' paths live in */
    qn_window window;    /* on the present content */
    qn_text_place place; /* of the next block */
    qn_text_place block_place;
    qn_buffer told;   /* with a piece */
    qn_bad_list *bad; /* borrowed; NULL: bad input is a failure */
} qn_task_reader;

/* Without a task. kept_bytes_max: of the window. QUERN_ERROR_NO_MEMORY. */
quern_status qn_task_reader_init(qn_task_reader *task, size_t kept_bytes_max, qn_error *error);
void qn_task_reader_fini(qn_task_reader *task); /* takes a zeroed one */

/* Begins a task (the bytes of qn_split_encode(); copied), at its start (place NULL) or where an attempt of it failed. */
quern_status qn_task_reader_open(qn_task_reader *task, const void *message, size_t bytes, const qn_text_place *place,
                                 qn_error *error);

/* Whether the call that goes on passed over something. */
static inline bool qn_task_reader_has_bad(const qn_task_reader *task)
{
    return task->bad && task->bad->count > 0;
}

/* What a format hands in; `source` is its own. */
typedef struct qn_task_format {
    /* A content was opened: puts the place at its first record, if it does not stand at one, and the window there. */
    quern_status (*enter)(void *source, qn_error *error);
    /* Has whole records in the window, from the place on and of about bytes_min bytes, tells where they end and moves the place behind them.
     * A failure leaves the place where it was. Where something bad was passed over there are no records, and the place is behind that. */
    quern_status (*next_piece)(void *source, size_t bytes_min, uint64_t *end_out, qn_error *error);
    /* NULL: who reads a piece needs to know nothing. Appends what is to be known where the place is. */
    void (*tell)(const void *source, qn_buffer *to);
    /* All pieces of the content were made: says in the list of bad input what is left behind them. NULL: nothing ever is. */
    quern_status (*tell_rest)(void *source, qn_error *error);
} qn_task_format;

/* Opens the content at the place; where there is none, or none that can be opened, which the list of bad input then says, the place goes to the
 * next segment. QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_task_reader_open_content(qn_task_reader *task, const qn_task_format *format, void *source,
                                         qn_error *error);
/* The place goes to what comes behind the content. */
void qn_task_reader_close_content(qn_task_reader *task);

/* Where a byte of the open content is, for messages: the offset in what is returned, until the next call. */
const char *qn_task_reader_locate(const qn_task_reader *task, uint64_t *offset);
/* QUERN_ERROR_RECORD_TOO_LARGE: of the record at a byte of the content. */
quern_status qn_task_reader_too_large(const qn_task_reader *task, uint64_t offset, uint64_t record_bytes_max,
                                      qn_error *error);

/* Bytes of the whole task, however much of them this attempt had to read. */
uint64_t qn_task_reader_bytes(const qn_task_reader *task);
/* Of these, those in front of the last block. */
uint64_t qn_task_reader_done_bytes(const qn_task_reader *task);

struct qn_piece;
/* The next piece, of whole records of about bytes_min bytes, or of one record if that is longer; of 0 bytes at the end, or where
 * the list of bad input got something. Only of a task whose segments are read whole. */
quern_status qn_task_reader_next_piece(qn_task_reader *task, const qn_task_format *format, void *source,
                                       size_t bytes_min, struct qn_piece *piece_out, qn_error *error);

#endif
