/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/saved.h: a rank's part of a reduction's result in a file of its own, from which any number of ranks can have it again.
 *
 * The file is one run (spill.h): blocks of rows with checksums, the same bytes as in messages and, encrypted where those are, in scratch. It is of the ranges of hashes of the rank that wrote
 * it; ranks that are fewer or more have other ranges, and each takes from the files that may hold keys of its own what is in its range.
 */
#ifndef QN_SHUFFLE_SAVED_H
#define QN_SHUFFLE_SAVED_H

#include "runtime/data/packed.h"
#include "runtime/shuffle/shuffle.h"

typedef struct qn_saved {
    uint32_t rank, size;  /* that wrote it, and how many there were */
    uint32_t value_words; /* QN_BLOCK_PACKED: the file is pieces (pieces.h) */
    qn_stamp stamp;       /* of the file, if it is encrypted */
    qn_run run;           /* of the rows; of pieces, their table */
    uint64_t record_count;
    qn_layout
        layout; /* of packed records; of rows, of what was reduced: for who looks at them. No key_type: not known */
} qn_saved;

/* A spill file with a name, file.directory. QUERN_ERROR_CHECKPOINT. */
quern_status qn_saved_open(qn_spill *spill, qn_scratch file, int flags, uint32_t value_words, size_t block_bytes,
                           qn_error *error);
/* One that was written, to be read. Errors as above. */
quern_status qn_saved_open_written(qn_spill *spill, const char *path, const qn_saved *saved, const qn_cipher *cipher,
                                   size_t block_bytes, qn_error *error);
/* Whether the file is so long. QUERN_ERROR_CORRUPT, QUERN_ERROR_CHECKPOINT. */
quern_status qn_saved_check_length(const qn_spill *spill, const qn_run *run, const char *path, qn_error *error);
/* Whether it may be one: lengths are of a file that anybody may have written, and none may be such that what is reckoned with it
 * overflows, or that blocks are not where words begin. */
bool qn_saved_is_run(const qn_run *run);

/* Writes what the rank has of a result that is over to a new file, 0600, and syncs it. Errors as writing a run has them, and
 * QUERN_ERROR_CHECKPOINT if the file cannot be made. */
quern_status qn_saved_write(qn_shuffle *shuffle, const char *path, qn_saved *saved_out, qn_error *error);
/* Whether the file is what was written, with this key or, NULL, none. Reads all of it. QUERN_ERROR_CORRUPT, QUERN_ERROR_CHECKPOINT if it cannot be
 * read. */
quern_status qn_saved_verify(const char *path, const qn_saved *saved, const qn_cipher *cipher, qn_error *error);
/* Puts what of it is this rank's into a result that nothing was inserted into. After the last file: qn_shuffle_end_restored(). */
quern_status qn_saved_restore(qn_shuffle *shuffle, const char *path, const qn_saved *saved, qn_error *error);

#endif
