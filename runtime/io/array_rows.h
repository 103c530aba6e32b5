/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/array_rows.h: records as rows of one length, on their way to an array.
 *
 * Which row of the array a record is, is known only when all are there. So they wait in parts in the output directory, where every rank can
 * read them: the file system brings each row from the rank that made it to the rank that writes it.
 *
 * Rejected: sending rows between ranks (more memory, more rounds, and one-file outputs copy their parts already); keeping them in memory (a
 * second budget beside that of the reductions, for what the page cache does by itself).
 */
#ifndef QN_IO_ARRAY_ROWS_H
#define QN_IO_ARRAY_ROWS_H

#include "runtime/data/array_output.h"
#include "runtime/io/output.h"

/* Appends the records' rows. QUERN_ERROR_OUTPUT: a record that makes no row, or as qn_part_write(). */
quern_status qn_array_rows_put(qn_part *part, const qn_array_output *form, const quern_block *block, qn_error *error);

/* The rows of all parts, one part behind the other. */
typedef struct qn_array_rows {
    const char *directory, *token;
    uint64_t row_bytes;
    uint64_t *first_rows; /* [part_count + 1] */
    uint64_t part_count;
    uint64_t open_part; /* where fd >= 0 */
    int fd;
} qn_array_rows;

/* records: [part_count], of each part, which are all in the directory and as long. directory and token (of the lock): borrowed until fini. QUERN_ERROR_NO_MEMORY. */
quern_status qn_array_rows_init(qn_array_rows *rows, const char *directory, const char *token,
                                const qn_part_summary *parts, uint64_t part_count, uint64_t row_bytes, qn_error *error);
void qn_array_rows_fini(qn_array_rows *rows); /* takes a zeroed one */
uint64_t qn_array_rows_get_count(const qn_array_rows *rows);
/* The last part that begins at the row or before it, and so holds it; and its path, freed by the caller, or NULL: no memory. */
uint64_t qn_array_rows_find_part(const qn_array_rows *rows, uint64_t row);
char *qn_array_rows_part_path(const qn_array_rows *rows, uint64_t part);
/* Reads rows [first, first + count), which there are. QUERN_ERROR_OUTPUT. */
quern_status qn_array_rows_read(qn_array_rows *rows, uint64_t first, uint64_t count, void *data_out, qn_error *error);

#endif
