/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/pieces.h: the records of a rank's part of a collated result in a file with a name, to which only what came since is added.
 *
 * Intuition. A file is runs (spill.h) of packed records, each record once, in no order. A commit writes what is to be known of all
 * of them behind: a sample, and a table of the runs with the sample. Who knows where the table is has the file as it was then, however much was
 * written behind it. So saving a sort again and again writes each of its records once.
 *
 *     piece piece sample table | piece sample table | piece …
 *
 * The sample is one record of so many, all over the file: ranks that are fewer or more divide the order by it, and each record then
 * goes where it belongs as if it had just been emitted.
 *
 * What cannot be written fails the next commit, and nothing before: what is saved on the way must not end a job.
 */
#ifndef QN_SHUFFLE_PIECES_H
#define QN_SHUFFLE_PIECES_H

#include "runtime/data/collation.h"
#include "runtime/shuffle/saved.h"

typedef struct qn_pieces qn_pieces;

typedef struct qn_pieces_config {
    const qn_collation *collation; /* borrowed until destroy */
    const char *path;              /* of a new file, 0600 */
    const qn_cipher *cipher;       /* borrowed; NULL: none */
    size_t block_bytes;
} qn_pieces_config;

/* QUERN_ERROR_CHECKPOINT: the file cannot be made. QUERN_ERROR_NO_MEMORY. */
quern_status qn_pieces_create(qn_pieces **pieces_out, const qn_pieces_config *config, qn_error *error);
void qn_pieces_destroy(qn_pieces *pieces); /* takes NULL; the file stays */

/* Adds a packed record to the open piece; ends that, and gives back what writing it took. */
void qn_pieces_put(qn_pieces *pieces, const qn_packed *record, const void *packed, uint64_t bytes);
void qn_pieces_end(qn_pieces *pieces);
/* What was put so far is of the commits before, and not of the next one. */
void qn_pieces_forget(qn_pieces *pieces);
/* All that was put is durable, as *saved_out says. The one before is not needed any more when the next one is made. The first error since create. */
quern_status qn_pieces_commit(qn_pieces *pieces, qn_saved *saved_out, qn_error *error);

/* Reads what was committed. */
typedef struct qn_pieces_reader {
    qn_spill spill;
    struct qn_pieces_table *table; /* owned */
    const char *path;              /* borrowed */
    qn_run_reader run;
    uint64_t next, step; /* of the table's runs */
} qn_pieces_reader;

/* QUERN_ERROR_CHECKPOINT, QUERN_ERROR_CORRUPT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_pieces_reader_open(qn_pieces_reader *reader, const char *path, const qn_saved *saved,
                                   const qn_cipher *cipher, size_t block_bytes, qn_error *error);
void qn_pieces_reader_close(qn_pieces_reader *reader); /* takes a zeroed one */
/* One record of so many is in the sample, and how many bytes it has. */
uint64_t qn_pieces_reader_get_sample_step(const qn_pieces_reader *reader);
uint64_t qn_pieces_reader_get_sample_bytes(const qn_pieces_reader *reader);
/* Goes to the sample; or to the records, or one of `part_count` parts of them, alike in size as far as pieces are. */
void qn_pieces_reader_begin_sample(qn_pieces_reader *reader);
void qn_pieces_reader_begin(qn_pieces_reader *reader, uint32_t part, uint32_t part_count);
/* The next packed records there, which live until the next call; *bytes_out 0 at the end. Errors as above. */
quern_status qn_pieces_reader_next(qn_pieces_reader *reader, const uint8_t **records_out, uint64_t *bytes_out,
                                   qn_error *error);

/* Whether the file is what was committed, as qn_saved_verify(). */
quern_status qn_pieces_verify(const char *path, const qn_saved *saved, const qn_cipher *cipher, qn_error *error);

#endif
