/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/source.h: the reader of a task, whatever its files hold.
 *
 * A format is a kind here, a reader of its own (text_source.h, fixed_source.h, record_source.h), and a line in each of the calls below. All
 * readers promise the same. A task is the records that begin in its stretch of the input (split.h). Blocks have 1 to
 * QN_BATCH_COUNT_MAX records and live until the next call. A block is a function of the files and of the place where it begins, so
 * that an attempt can be continued by another reader, on another rank. The choice of the format is made once for a block: it
 * costs a record nothing.
 */
#ifndef QN_IO_SOURCE_H
#define QN_IO_SOURCE_H

#include "runtime/io/fixed_source.h"
#include "runtime/io/hdf5_source.h"
#include "runtime/io/piece.h"
#include "runtime/io/record_source.h"
#include "runtime/io/text_source.h"

typedef enum qn_source_kind {
    QN_SOURCE_TEXT,
    QN_SOURCE_FIXED,
    QN_SOURCE_HDF5,
    QN_SOURCE_RECORDS,
} qn_source_kind;

typedef struct qn_source_format {
    qn_source_kind kind;
    qn_delimiters delimiters;   /* TEXT */
    bool skip_empty;            /* TEXT */
    quern_text_value value;     /* TEXT */
    qn_record_layout layout;    /* FIXED */
    const qn_array_form *array; /* HDF5; borrowed as long as the source lives */
    qn_record_format records;   /* RECORDS */
} qn_source_format;

typedef struct qn_source {
    qn_source_kind kind;
    qn_bad_list bad; /* what the last call passed over */
    union {
        qn_text_source text;
        qn_fixed_source fixed;
        qn_hdf5_source *hdf5;
        qn_record_source records;
    } of;
} qn_source;

/* Inside the gate. record_bytes_max < 2^31. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_RECORD_TOO_LARGE, QUERN_ERROR_SYSTEM. */
quern_status qn_source_init(qn_source *source, const qn_source_format *format, uint64_t record_bytes_max,
                            qn_error *error);
void qn_source_fini(qn_source *source); /* takes a zeroed one */

/* Begins a task (the bytes of qn_split_encode(), or of the format's own; copied), at its start (place NULL) or where an attempt of it failed. */
quern_status qn_source_open(qn_source *source, const void *message, size_t bytes, const qn_text_place *place,
                            qn_error *error);

/* Bad input is from now on passed over (bad_list.h), with its bytes kept or without; it comes with each block in source->bad. Not of HDF5, where
 * it stays a failure. The source stays where it is. */
void qn_source_pass_bad(qn_source *source, bool keeps_raw);

/* Damage of what is packed is passed over, too, in the attempt of the task that is opened next, or is not. */
void qn_source_forgive_damage(qn_source *source, bool forgives);

/* The next block; count 0, with nothing in source->bad, at the end of the task. */
quern_status qn_source_next(qn_source *source, qn_batch *batch_out, qn_error *error);

/* Of a task that qn_split_is_packed(): the next piece instead of the next block; of 0 bytes, with nothing in source->bad, at the end of the task. After a failure qn_source_block_place() says where to go on. */
quern_status qn_source_next_piece(qn_source *source, size_t bytes_min, qn_piece *piece_out, qn_error *error);

/* Where the last block begins; after a failure of next: where to go on. */
const qn_text_place *qn_source_block_place(const qn_source *source);

/* Where the next block, or piece, begins: another attempt that is opened there goes on behind the last one. */
const qn_text_place *qn_source_next_place(const qn_source *source);

/* Bytes of the whole task, however much of them this attempt had to read. */
uint64_t qn_source_task_bytes(const qn_source *source);

/* Of these, those in front of the last block. */
uint64_t qn_source_done_bytes(const qn_source *source);

/* File (a member of an archive with the path of that before it; with a dataset behind it) and byte of a record of the last block, or its number in
 * what qn_source_unit() says. */
const char *qn_source_locate(const qn_source *source, uint32_t record, uint64_t *offset_out);

/* The bytes of a record of the last block as they stand in the file, while that is where the block has them; NULL: they are not whole. */
const void *qn_source_raw(const qn_source *source, uint32_t record, size_t *bytes_out);

/* A record of the last block is bad after all: says so in source->bad. */
void qn_source_blame(qn_source *source, uint32_t record, const char *reason);

/* "byte", or what records are counted in. Static. */
const char *qn_source_unit(const qn_source *source);

/* For each of the first `count` records of the last block a number that is its own among all records of the source, the same wherever
 * the input is cut: made of the file's place in the listing, its member and the byte at which the record begins. */
void qn_source_identify(const qn_source *source, size_t count, uint64_t *identities_out);

#endif
