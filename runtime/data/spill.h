/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/spill.h: sorted runs on disk, for what does not fit the memory budget.
 *
 * All runs of a rank and stage lie one behind the other in one file that has no name, so nothing is left behind however the
 * process ends. A run is blocks (row.h) of rows in the order (tag, bytes), or, where value_words is QN_BLOCK_PACKED, of packed
 * records in an order of their owner's; every block is verified when it is read. A run begins at a multiple of QN_SPILL_ALIGN_BYTES
 * and a block at one of 8, zeros in between; a block is compressed where that pays (compress.h).
 *
 * With a key (cipher.h) what lies in the file is envelopes, and a block with its header is what is in one of them. An envelope opens at the place
 * of the file, and in the run, for which it was sealed, and nowhere else; what does not open is damaged.
 *
 * The disk is written and read in pieces of many blocks (spill_io.h), since a small transfer costs as much as one of 256 KiB. What
 * that takes is counted in block_bytes, of which the budget has so many for a merge: a writer takes
 * QN_SPILL_WRITER_BLOCKS of them, 4 MiB at most, and a reader one, or the memory that it is given. Blocks are made so small
 * that one of them, and what it was before it was compressed, fit into block_bytes together. A record too large for that takes
 * its own size more, in the writer and in a reader that has come to it; block_bytes below 8 KiB are for tests, and take 8 KiB.
 */
#ifndef QN_DATA_SPILL_H
#define QN_DATA_SPILL_H

#include "runtime/base/cipher.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/transfers.h"
#include "runtime/data/compress.h"
#include "runtime/data/row.h"

#define QN_SPILL_ALIGN_BYTES      UINT64_C(4096)
#define QN_SPILL_WRITER_BLOCKS    16
#define QN_SPILL_CACHED_BYTES_MAX (UINT64_C(128) << 20)

/* Where what does not fit memory is written. */
typedef struct qn_scratch {
    const char *directory;   /* borrowed, and this */
    const qn_cipher *cipher; /* NULL: as it is */
} qn_scratch;

#define QN_ENVELOPE_MAGIC UINT32_C(0x31454251) /* "QBE1" */

typedef struct qn_envelope {
    uint32_t magic;
    uint32_t reserved; /* 0 */
    uint64_t bytes;    /* of the block, after this */
    qn_seal seal;
} qn_envelope;
static_assert(sizeof(qn_envelope) == 56, "it is part of the format of saved files");

typedef struct qn_run {
    uint64_t offset; /* in the file */
    uint64_t bytes;  /* of its blocks there */
    uint64_t row_count;
    uint64_t number;             /* of runs that were begun in the file before */
    uint32_t level;              /* 0: written from memory; else one more than what it was merged from */
    uint64_t block_bytes_max;    /* of its largest block in the file */
    uint64_t unpacked_bytes_max; /* of what its compressed blocks become; 0: there are none */
    bool is_cached;              /* in the page cache, if that keeps it */
} qn_run;

typedef struct qn_spill {
    const char *directory;   /* borrowed */
    const qn_cipher *cipher; /* borrowed, or NULL */
    qn_stamp stamp;          /* of the file, if it is encrypted: its owner knows it, and it is not in the file */
    bool is_named;           /* the file is a checkpoint's, and directory is its path; its owner opened it */
    int fd;                  /* -1 until the first run */
    int direct_fd; /* the same file past the page cache; -1 until the first run that is to be there, or where it cannot be */
    qn_direct direct;        /* of direct_fd */
    qn_transfers *transfers; /* of direct_fd; NULL until there is one, and where there is no thread */
    char *left_directory;    /* owned; to be removed with the file; NULL: none */
    uint64_t end;            /* of the file */
    uint64_t begun_count;    /* runs, also those that were abandoned */
    uint32_t value_words;
    size_t block_bytes;  /* the measure of memory, above */
    size_t target_bytes; /* of a block before it is compressed, header included */
    uint64_t
        cached_bytes_max; /* of the file: runs that begin behind it pass by the page cache; may be set before the first run */
    qn_compressor compressor; /* its compression may be set before the first run */
    /* For the report: in the file, what that was before it was compressed, rows. */
    uint64_t written_bytes, raw_bytes, written_rows, read_rows;
} qn_spill;

void qn_spill_init(qn_spill *spill, qn_scratch scratch, uint32_t value_words, size_t block_bytes);
void qn_spill_fini(qn_spill *spill);

/* Writes one run: open, put rows in order, close. */
typedef struct qn_run_writer {
    qn_spill *spill;
    qn_run run; /* bytes: in the file already */
    uint8_t *memory;
    size_t memory_bytes;
    uint8_t *packed; /* where a block is compressed */
    uint8_t *piece;  /* what is to be written next: closed blocks and the open one */
    size_t piece_bytes;
    uint8_t *written;   /* a piece as large, which is written meanwhile; NULL: each is waited for */
    qn_transfer behind; /* of it */
    size_t block_at;    /* the open block, in the piece */
    size_t used_bytes;  /* rows in the open block */
    uint32_t row_count;
    uint64_t raw_bytes; /* of closed blocks */
} qn_run_writer;

/* QUERN_ERROR_SCRATCH, here and below: the disk is full or fails; the text says where, and what to do. QUERN_ERROR_NO_MEMORY. */
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
    qn_spill *spill; /* NULL: not open */
    qn_run run;
    uint64_t next_offset;
    uint8_t *unpacked; /* where a block becomes what it was */
    uint8_t *piece;    /* what was read last */
    size_t piece_bytes;
    size_t filled_bytes;   /* of the piece */
    uint64_t piece_offset; /* where that lies in the file */
    uint8_t *memory;       /* for both, where it is not the caller's */
    size_t memory_bytes;
    uint8_t *wide_piece; /* the piece, since a block came that was too large for the other */
    uint8_t *present;    /* what the piece was read into, */
    uint8_t *coming;     /* and what the next one is read into meanwhile; NULL: it is read when it is needed */
    qn_transfer ahead;   /* of it */
    uint64_t left_bytes; /* rows not read in the block */
    const uint64_t *next_row;
    qn_key key; /* the present row; borrows the block */
    const uint64_t *value;
} qn_run_reader;

/* Takes memory of its own: QUERN_ERROR_NO_MEMORY. Reads nothing yet. */
quern_status qn_run_reader_open(qn_run_reader *reader, qn_spill *spill, const qn_run *run, qn_error *error);
/* Reads ahead as far as it can in `bytes` of memory, which it borrows until it is closed: aligned to QN_SPILL_ALIGN_BYTES, best of
 * qn_pages_reserve(). Memory too small for a block is not used. */
quern_status qn_run_reader_open_in(qn_run_reader *reader, qn_spill *spill, const qn_run *run, void *memory,
                                   size_t bytes, qn_error *error);
/* The same, with a part of the memory into which it reads what comes next while it is read; from now on. Runs in the page cache, runs with
 * records larger than a block, and readers with little memory are read as above. */
quern_status qn_run_reader_open_ahead(qn_run_reader *reader, qn_spill *spill, const qn_run *run, void *memory,
                                      size_t bytes, qn_error *error);
/* Moves to the next row; *more_out false at the end. QUERN_ERROR_CORRUPT: the block is not what was written. */
quern_status qn_run_reader_next(qn_run_reader *reader, bool *more_out, qn_error *error);
/* Moves to the next block, of packed records: they live until the next call; *bytes_out 0 at the end. Errors as above. */
quern_status qn_run_reader_next_block(qn_run_reader *reader, const uint8_t **records_out, uint64_t *bytes_out,
                                      qn_error *error);
void qn_run_reader_close(qn_run_reader *reader); /* takes a zeroed one */

/* Gives the disk space of a run back. */
void qn_spill_drop(qn_spill *spill, const qn_run *run);

#endif
