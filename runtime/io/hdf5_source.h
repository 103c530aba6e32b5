/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/hdf5_source.h: a task's boxes of datasets as blocks of records.
 *
 * A box (hdf5_grid.h) is read in pieces, one call to HDF5 each, and a piece is handed out in blocks, whose values point into it.
 * Of a place (qn_text_place) `segment` is the stretch of a dataset, `member` the box, and scan_offset the record in it. How large
 * pieces are comes with the task, so a block is the same wherever it is read.
 *
 * File and dataset stay open for the next task. A dataset that has another shape than when it was listed is an error.
 *
 * QUERN_ERROR_INPUT is for a file that cannot be read, and is tried again elsewhere like all such.
 */
#ifndef QN_IO_HDF5_SOURCE_H
#define QN_IO_HDF5_SOURCE_H

#include "runtime/data/array_form.h"
#include "runtime/data/batch.h"
#include "runtime/io/text_source.h"

typedef struct qn_hdf5_source qn_hdf5_source;

/* Inside the gate. form is borrowed until fini. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_SYSTEM. */
quern_status qn_hdf5_source_create(qn_hdf5_source **source_out, const qn_array_form *form, uint64_t record_bytes_max,
                                   qn_error *error);
void qn_hdf5_source_fini(qn_hdf5_source *source); /* takes NULL */

/* As those of text_source.h; the message is that of hdf5_listing.h. */
quern_status qn_hdf5_source_open(qn_hdf5_source *source, const void *message, size_t bytes, const qn_text_place *place,
                                 qn_error *error);
quern_status qn_hdf5_source_next(qn_hdf5_source *source, qn_batch *batch_out, qn_error *error);
const qn_text_place *qn_hdf5_source_block_place(const qn_hdf5_source *source);
const qn_text_place *qn_hdf5_source_next_place(const qn_hdf5_source *source);
uint64_t qn_hdf5_source_task_bytes(const qn_hdf5_source *source);
/* File and dataset as one text, and the record's QUERN_HDF5_INDEX. */
const char *qn_hdf5_source_locate(const qn_hdf5_source *source, uint32_t record, uint64_t *index_out);
quern_hdf5_record qn_hdf5_source_record(const qn_hdf5_source *source);
/* The place of its dataset among all of the input. */
uint64_t qn_hdf5_source_number(const qn_hdf5_source *source);

#endif
