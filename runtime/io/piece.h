/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/piece.h: a piece of a content in memory, of whole records, for somebody else to read.
 *
 * What only one reader can unpack, others can still work on: it hands out pieces (qn_source_next_piece()), each of which is a task with its bytes
 * in the message. Who reads that sees the records at the same places of the same file. What a format learns at the begin of a file (which
 * columns there are, of which sequence these bases are) comes with each piece.
 */
#ifndef QN_IO_PIECE_H
#define QN_IO_PIECE_H

#include "runtime/io/task_reader.h"

typedef struct qn_piece {
    const uint8_t *data; /* borrowed from the reader until its next call */
    size_t bytes;        /* 0: there are no more */
    uint64_t offset;     /* of data[0] in the content */
    qn_text_place place; /* of the first record */
    uint64_t file;
    uint64_t entry;            /* of an archive */
    const char *name;          /* of the content, until the reader's next call */
    const qn_content *content; /* that it is of, likewise */
    const qn_buffer *told;     /* what its reader has to know, likewise */
    double share;              /* of the file that was read by then, from 0 to 1 */
} qn_piece;

/* The piece of the task's window from a place up to `end`. */
qn_piece qn_piece_of(const qn_task_reader *task, const qn_text_place *from, uint64_t end);

/* Appends it as a task. */
void qn_piece_encode(const qn_piece *piece, qn_buffer *message);
/* Where an attempt of that task begins. */
qn_text_place qn_piece_place(const qn_piece *piece);

#endif
