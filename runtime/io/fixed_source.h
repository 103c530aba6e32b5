/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/fixed_source.h: a task's records of one length as blocks of records.
 *
 * Nothing has to be looked for: where a record begins is a matter of arithmetic. So a task's records are those that begin in its
 * stretch, and a task reads from the first of them to the end of the last one, not a byte twice. Keys and values point into
 * the window; values whose type wants them aligned, where the file does not have them so, are copied to where they are, and so
 * are keys of floating-point numbers, whose bytes may have to change.
 *
 * A block is a function of the file and of the place where it begins: as many records as fit a chunk of reading, at most
 * QN_BATCH_COUNT_MAX, at least one. Of a place only segment, member, started and scan_offset are used.
 */
#ifndef QN_IO_FIXED_SOURCE_H
#define QN_IO_FIXED_SOURCE_H

#include "runtime/data/record_layout.h"
#include "runtime/io/text_source.h"

typedef struct qn_fixed_source {
    qn_record_layout layout;
    uint32_t block_count_max; /* records of a block */
    qn_segment *segments;
    uint32_t segment_count;
    uint8_t *message;    /* that the segments' paths live in */
    qn_window window;    /* on the present content */
    qn_text_place place; /* of the next block */
    qn_text_place block_place;
    uint8_t *canonical_keys;  /* [block_count_max][key_bytes] and slack; NULL: keys are referred to */
    uint64_t *aligned_values; /* [block_count_max][words of a value]; NULL: values are referred to */
    const void *keys[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *values[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
    qn_bad_list *bad; /* borrowed; NULL: bad input is a failure */
} qn_fixed_source;

/* Whether every file that is to be taken as it is is a header and whole records: QUERN_ERROR_INPUT names the first that is not. Others are
 * looked at as they are read. */
quern_status qn_fixed_check_files(const qn_record_layout *layout, const qn_listing *listing, qn_error *error);

/* QUERN_ERROR_RECORD_TOO_LARGE, QUERN_ERROR_NO_MEMORY. */
quern_status qn_fixed_source_init(qn_fixed_source *source, const qn_record_layout *layout, uint64_t record_bytes_max,
                                  qn_error *error);
void qn_fixed_source_fini(qn_fixed_source *source); /* takes a zeroed one */

/* As those of text_source.h. */
quern_status qn_fixed_source_open(qn_fixed_source *source, const void *message, size_t bytes,
                                  const qn_text_place *place, qn_error *error);
quern_status qn_fixed_source_next(qn_fixed_source *source, qn_batch *batch_out, qn_error *error);
quern_status qn_fixed_source_next_piece(qn_fixed_source *source, size_t bytes_min, struct qn_piece *piece_out,
                                        qn_error *error);
uint64_t qn_fixed_source_task_bytes(const qn_fixed_source *source);
const char *qn_fixed_source_locate(const qn_fixed_source *source, uint32_t record, uint64_t *offset_out);

#endif
