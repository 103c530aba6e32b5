/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/text_source.h: a task's text as blocks of records.
 *
 * A content (content.h) is read in chunks that end at multiples of QN_TEXT_CHUNK_BYTES. The records of a chunk are handed out in
 * blocks; keys point into the window. The part of a record at the end of a chunk stays there and the next chunk is
 * read behind it, so a record may be as long as record_bytes_max.
 *
 * A block is a function of the content and of the place where it begins (qn_text_place), and of nothing else; so an attempt that failed in
 * a block is continued elsewhere by an attempt that sees exactly the same block first.
 */
#ifndef QN_IO_TEXT_SOURCE_H
#define QN_IO_TEXT_SOURCE_H

#include <quern/dataset.h>

#include "runtime/data/batch.h"
#include "runtime/io/bad_list.h"
#include "runtime/io/scan.h"
#include "runtime/io/window.h"

#define QN_TEXT_CHUNK_BYTES QN_READ_CHUNK_BYTES

/* Where a block begins. */
typedef struct qn_text_place {
    uint32_t segment;
    bool started;           /* false: at the segment's begin, where a record may have begun before */
    bool inside;            /* a record is open */
    uint64_t member;        /* of the segment: which of its contents */
    uint64_t scan_offset;   /* in the content: what is not scanned yet */
    uint64_t record_offset; /* of the open record */
} qn_text_place;

/* The begin of what comes behind a content that is still open. */
static inline qn_text_place qn_text_place_behind(const qn_text_place *place, const qn_content *content)
{
    bool is_member = qn_content_is_member(content);
    return (qn_text_place){.segment = place->segment + !is_member, .member = is_member ? place->member + 1 : 0};
}

typedef struct qn_text_source {
    qn_delimiters delimiters;
    bool skip_empty;
    quern_text_value value;
    uint64_t record_bytes_max;
    qn_segment *segments;
    uint32_t segment_count;
    uint8_t *message;    /* that the segments' paths live in */
    qn_window window;    /* on the present content */
    qn_text_place place; /* of the next block */
    qn_text_place block_place;
    uint32_t positions[2 * QN_BATCH_COUNT_MAX + 2 * QN_SCAN_SLACK_POSITIONS];
    const void *keys[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *values[QN_BATCH_COUNT_MAX]; /* paths, or in `places` */
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
    uint8_t *places; /* [places_bytes]: offsets, or offsets and paths; NULL while none were asked for */
    size_t places_bytes;
    qn_bad_list *bad; /* borrowed; NULL: bad input is a failure */
} qn_text_source;

/* record_bytes_max < 2^31. QUERN_ERROR_NO_MEMORY. */
quern_status qn_text_source_init(qn_text_source *source, const qn_delimiters *delimiters, bool skip_empty,
                                 quern_text_value value, uint64_t record_bytes_max, qn_error *error);
void qn_text_source_fini(qn_text_source *source); /* takes a zeroed one */

/* Begins a task (the bytes of qn_split_encode(); copied), at its start (place NULL) or where an attempt of it failed. */
quern_status qn_text_source_open(qn_text_source *source, const void *message, size_t bytes, const qn_text_place *place,
                                 qn_error *error);

/* The next block; count 0 at the end of the task, or where the list of bad input got something (bad_list.h). The keys live until the next call. */
quern_status qn_text_source_next(qn_text_source *source, qn_batch *batch_out, qn_error *error);

struct qn_piece;
/* Instead of next: whole records of about bytes_min bytes, or of one record if that is longer. Only of a task whose segments are read whole. */
quern_status qn_text_source_next_piece(qn_text_source *source, size_t bytes_min, struct qn_piece *piece_out,
                                       qn_error *error);

/* Bytes of the whole task, however much of them this attempt had to read. */
uint64_t qn_text_source_task_bytes(const qn_text_source *source);

/* File and byte of a record of the last block. */
const char *qn_text_source_locate(const qn_text_source *source, uint32_t record, uint64_t *offset_out);

#endif
