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
#include "runtime/io/scan.h"
#include "runtime/io/task_reader.h"

#define QN_TEXT_CHUNK_BYTES QN_READ_CHUNK_BYTES

typedef struct qn_text_source {
    qn_delimiters delimiters;
    bool skip_empty;
    quern_text_value value;
    uint64_t record_bytes_max;
    qn_task_reader task;
    uint32_t positions[2 * QN_BATCH_COUNT_MAX + 2 * QN_SCAN_SLACK_POSITIONS];
    const void *keys[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *values[QN_BATCH_COUNT_MAX]; /* paths, or in `places` */
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
    uint8_t *places; /* [places_bytes]: offsets, or offsets and paths; NULL while none were asked for */
    size_t places_bytes;
} qn_text_source;

/* record_bytes_max < 2^31. QUERN_ERROR_NO_MEMORY. */
quern_status qn_text_source_init(qn_text_source *source, const qn_delimiters *delimiters, bool skip_empty,
                                 quern_text_value value, uint64_t record_bytes_max, qn_error *error);
void qn_text_source_fini(qn_text_source *source); /* takes a zeroed one */

/* Of the task that qn_task_reader_open() began: the next block; count 0 at the end of the task, or where the list of bad input got something
 * (bad_list.h). The keys live until the next call. */
quern_status qn_text_source_next(qn_text_source *source, qn_batch *batch_out, qn_error *error);

/* For qn_task_reader_next_piece(), instead of next. */
extern const qn_task_format qn_text_task_format;

/* File and byte of a record of the last block. */
const char *qn_text_source_locate(const qn_text_source *source, uint32_t record, uint64_t *offset_out);

#endif
