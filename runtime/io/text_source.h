/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/text_source.h: a task's text as blocks of records.
 *
 * A file is read in chunks that end at multiples of QN_TEXT_CHUNK_BYTES. The records of a chunk are handed out in
 * blocks; keys point into the buffer. The part of a record at the end of a chunk stays in the buffer and the next chunk is
 * read behind it, so a record may be as long as record_bytes_max.
 *
 * A block is a function of the file and of the place where it begins (qn_text_place), and of nothing else; so an attempt that failed in
 * a block is continued elsewhere by an attempt that sees exactly the same block first.
 */
#ifndef QN_IO_TEXT_SOURCE_H
#define QN_IO_TEXT_SOURCE_H

#include <quern/dataset.h>

#include "runtime/data/batch.h"
#include "runtime/io/scan.h"
#include "runtime/io/segment_file.h"
#include "runtime/io/split.h"

#define QN_TEXT_CHUNK_BYTES QN_READ_CHUNK_BYTES

/* Where a block begins. */
typedef struct qn_text_place {
    uint32_t segment;
    bool started;           /* false: at the segment's begin, where a record may have begun before */
    bool inside;            /* a record is open */
    uint64_t scan_offset;   /* in the file: what is not scanned yet */
    uint64_t record_offset; /* of the open record */
} qn_text_place;

typedef struct qn_text_source {
    qn_delimiters delimiters;
    bool skip_empty;
    quern_text_value value;
    uint64_t record_bytes_max;
    qn_segment *segments;
    uint32_t segment_count;
    uint8_t *message; /* that the segments' paths live in */
    int fd;           /* of the present segment's file, or -1 */
    uint8_t *buffer;  /* [capacity_bytes], aligned to a page */
    size_t capacity_bytes;
    uint8_t *data; /* in the buffer: as far behind a page's begin as its place in the file is (copies are fast so) */
    size_t data_bytes;
    uint64_t data_offset; /* of data[0] in the file */
    qn_text_place place;  /* of the next block */
    qn_text_place block_place;
    uint32_t block_segment;
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

/* Begins a task (the bytes of qn_split_encode(); copied), at its start (place NULL) or where an attempt of it failed. */
quern_status qn_text_source_open(qn_text_source *source, const void *message, size_t bytes, const qn_text_place *place,
                                 qn_error *error);

/* The next block; count 0 at the end of the task. The keys live until the next call. */
quern_status qn_text_source_next(qn_text_source *source, qn_batch *batch_out, qn_error *error);

/* Bytes of the whole task, however much of them this attempt had to read. */
uint64_t qn_text_source_task_bytes(const qn_text_source *source);

/* File and byte of a record of the last block. */
const char *qn_text_source_locate(const qn_text_source *source, uint32_t record, uint64_t *offset_out);

#endif
