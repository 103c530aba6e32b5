/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/spill.h: sorted runs on disk, for what does not fit the memory budget.
 *
 * All runs of a rank and stage lie one behind the other in one file that has no name, so nothing is left behind however the
 * process ends. A run is blocks (row.h) of rows in the order (tag, bytes), or, where value_words is QN_BLOCK_PACKED, of packed
 * records in an order of their owner's; every block is verified when it is read.
 */
#ifndef QN_DATA_SPILL_H
#define QN_DATA_SPILL_H

#include "runtime/base/status.h"
#include "runtime/data/row.h"

typedef struct qn_run {
    uint64_t offset; /* in the file */
    uint64_t bytes;
    uint64_t row_count;
    uint32_t level;           /* 0: written from memory; else one more than what it was merged from */
    uint64_t block_bytes_max; /* of its largest block: what a reader needs */
} qn_run;

typedef struct qn_spill {
    const char *directory; /* borrowed */
    int fd;                /* -1 until the first run */
    uint64_t end;          /* of the file */
    uint32_t value_words;
    size_t block_bytes;                              /* target size of a block */
    uint64_t written_bytes, written_rows, read_rows; /* for the report */
} qn_spill;

void qn_spill_init(qn_spill *spill, const char *directory, uint32_t value_words, size_t block_bytes);
void qn_spill_fini(qn_spill *spill);

/* Writes one run: open, put rows in order, close. */
typedef struct qn_run_writer {
    qn_spill *spill;
    qn_run run;
    uint8_t *block; /* a header and rows */
    size_t capacity_bytes;
    size_t used_bytes; /* rows in the open block */
    uint32_t row_count;
} qn_run_writer;

quern_status qn_run_writer_open(qn_run_writer *writer, qn_spill *spill, qn_error *error);
quern_status qn_run_writer_put(qn_run_writer *writer, const qn_key *key, const uint64_t *value, qn_error *error);
/* The same with a packed record. */
quern_status qn_run_writer_put_packed(qn_run_writer *writer, const void *record, uint64_t bytes, qn_error *error);
/* Gives the finished run. The writer is closed in any case. */
quern_status qn_run_writer_close(qn_run_writer *writer, qn_run *run_out, qn_error *error);
/* Ends a writer without a run. Takes a closed or zeroed one. */
void qn_run_writer_abandon(qn_run_writer *writer);

/* Reads one run. */
typedef struct qn_run_reader {
    qn_spill *spill;
    qn_run run;
    uint64_t next_offset;
    uint8_t *block;
    uint64_t left_bytes; /* rows not read in the block */
    const uint64_t *next_row;
    qn_key key; /* the present row; borrows the block */
    const uint64_t *value;
} qn_run_reader;

quern_status qn_run_reader_open(qn_run_reader *reader, qn_spill *spill, const qn_run *run, qn_error *error);
/* Moves to the next row; *more_out false at the end. QUERN_ERROR_CORRUPT: the block is not what was written. */
quern_status qn_run_reader_next(qn_run_reader *reader, bool *more_out, qn_error *error);
/* Moves to the next block, of packed records: they live until the next call; *bytes_out 0 at the end. Errors as above. */
quern_status qn_run_reader_next_block(qn_run_reader *reader, const uint8_t **records_out, uint64_t *bytes_out,
                                      qn_error *error);
void qn_run_reader_close(qn_run_reader *reader); /* takes a zeroed one */

/* Gives the disk space of a run back. */
void qn_spill_drop(qn_spill *spill, const qn_run *run);

#endif
