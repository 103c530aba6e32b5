/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/output.h: an output directory that is whole or absent.
 *
 * Every part is written under a temporary name in the directory and synced. When all ranks have done that and agree that the job
 * succeeded, each renames its parts, rank 0 writes the manifest, and last of all _SUCCESS. Whoever
 * finds no _SUCCESS has no output. A failed job removes what it wrote, and the directory if it made it.
 */
#ifndef QN_IO_OUTPUT_H
#define QN_IO_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buffer.h"
#include "runtime/base/status.h"

/* Rank 0: checks that the directory is absent or empty and creates it. *created_out: it was absent.
 * QUERN_ERROR_OUTPUT_EXISTS, QUERN_ERROR_OUTPUT. */
quern_status qn_output_prepare(const char *directory, bool *created_out, qn_error *error);
/* Rank 0, after a failure: takes _SUCCESS and the manifest back if they were written already. */
void qn_output_unseal(const char *directory);
/* Rank 0, after a failure, when all parts are removed: removes the directory if the job created it. */
void qn_output_withdraw(const char *directory, bool created);

/* What the manifest says of a part. */
typedef struct qn_part_summary {
    uint64_t number;
    uint64_t bytes;
    uint64_t records;
    uint64_t checksum; /* XXH3, 64 bits, seed 0 */
} qn_part_summary;

/* One part being written. */
typedef struct qn_part {
    char *temporary_path;
    char *path;
    int fd;
    uint8_t *buffer;
    size_t used_bytes;
    void *checksum; /* XXH3 state */
    qn_part_summary summary;
} qn_part;

/* Opens part `number` of part_count. The directory is borrowed during the call. */
quern_status qn_part_open(qn_part *part, const char *directory, uint64_t number, uint64_t part_count, qn_error *error);
quern_status qn_part_write(qn_part *part, const void *data, size_t bytes, qn_error *error);
/* Flushes and syncs; the part then waits under its temporary name. */
quern_status qn_part_finish(qn_part *part, qn_error *error);
/* Gives it its name. */
quern_status qn_part_commit(qn_part *part, qn_error *error);
/* Removes the file, under whichever name, unless kept; frees everything. Takes a zeroed one. */
void qn_part_close(qn_part *part, bool keep);

/* Rank 0, when all parts have their names: manifest, then _SUCCESS, all durable. summaries: [count] by number. */
quern_status qn_output_seal(const char *directory, const qn_part_summary *summaries, size_t count, qn_error *error);

#endif
