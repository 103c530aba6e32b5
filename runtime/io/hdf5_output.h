/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/hdf5_output.h: a file with one dataset that rows are written into, by one rank or by all.
 *
 *     create (one rank) ── prepare ── open ── reserve (one rank), write … ── close
 *
 * A rank that fails in the midst of a collective call of HDF5 leaves the others waiting. So everything that can be known before is done
 * by one rank alone, whose failure the others can be told: groups, types, attributes and, where chunks are not compressed,
 * their places; and the disk's room for what comes next. What is left to the collective calls is rows, and the index of
 * compressed chunks.
 *
 * Rows are written by whole chunks, each once and by one rank, so that no chunk is read, unpacked and packed again.
 */
#ifndef QN_IO_HDF5_OUTPUT_H
#define QN_IO_HDF5_OUTPUT_H

#include "runtime/base/status.h"
#include "runtime/data/array_output.h"

typedef struct qn_hdf5_output qn_hdf5_output;

/* Whether several ranks can write one file. */
bool qn_hdf5_output_is_parallel(void);

/* Makes the file, or overwrites it, with the dataset of so many rows, and sees that the disk has room for it. Local. QUERN_ERROR_OUTPUT,
 * QUERN_ERROR_INPUT (the model), QUERN_ERROR_NO_MEMORY. */
quern_status qn_hdf5_output_create(const char *path, const qn_array_output *form, uint64_t row_count, qn_error *error);

/* Gets ready to open what create made. rows_max: of one write. path and form are borrowed until close. Local. QUERN_ERROR_OUTPUT,
 * QUERN_ERROR_NO_MEMORY. */
quern_status qn_hdf5_output_prepare(qn_hdf5_output **output_out, const char *path, const qn_array_output *form,
                                    uint64_t rows_max, qn_error *error);
/* Makes an access list of HDF5 (a hid_t) one of several ranks. False: it cannot. */
typedef bool (*qn_hdf5_share_fn)(void *user, int64_t access_list);

/* share: of the ranks that then call this, write and close together; NULL: this rank is alone. QUERN_ERROR_OUTPUT. */
quern_status qn_hdf5_output_open(qn_hdf5_output *output, qn_hdf5_share_fn share, void *user, qn_error *error);
/* Sees that the disk has room for so many rows more. Local, by one of the ranks. QUERN_ERROR_OUTPUT. */
quern_status qn_hdf5_output_reserve(qn_hdf5_output *output, uint64_t row_count, qn_error *error);
/* Where the rows of the next write belong. */
void *qn_hdf5_output_get_room(qn_hdf5_output *output);
/* Writes the room's rows as [first, first + count): whole chunks but at the dataset's end, or some of a chunk behind those before where rows have strings of
 * any length; or none. QUERN_ERROR_OUTPUT. */
quern_status qn_hdf5_output_write(qn_hdf5_output *output, uint64_t first, uint64_t count, qn_error *error);
/* Frees it, and closes what open opened, on failure too. Takes NULL. QUERN_ERROR_OUTPUT. */
quern_status qn_hdf5_output_close(qn_hdf5_output *output, qn_error *error);

/* Bytes of memory that each row of rows_max takes. */
uint64_t qn_hdf5_output_row_cost(const qn_array_output *form);

#endif
