/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/hdf5_listing.h: the datasets that an input of HDF5 files is made of, cut into tasks, and a task as a message.
 *
 * On rank 0. Every file is opened once, and every dataset looked at, so that what is missing or of another type shows before any work. Tasks are
 * stretches of boxes (hdf5_grid.h) of the datasets one behind the other; small datasets share a task. In a qn_split `file` is then
 * a dataset and an offset a number of boxes.
 */
#ifndef QN_IO_HDF5_LISTING_H
#define QN_IO_HDF5_LISTING_H

#include "runtime/base/arena.h"
#include "runtime/base/buffer.h"
#include "runtime/base/status.h"
#include "runtime/data/array_form.h"
#include "runtime/io/hdf5_grid.h"
#include "runtime/io/split.h"

#define QN_HDF5_PIECE_BYTES_MAX ((uint64_t)64 << 20)

typedef struct qn_hdf5_input {
    const char *file, *path;    /* in the listing's arena, as all here */
    const uint64_t *dims, *box; /* [rank] */
    uint32_t rank;
    uint32_t element_bytes; /* in memory */
    uint64_t box_count, box_bytes;
    uint64_t bytes;
} qn_hdf5_input;

typedef struct qn_hdf5_listing {
    qn_arena texts;
    qn_hdf5_input *items; /* [count], those without elements left out */
    size_t count, capacity;
    size_t file_count;
    uint64_t bytes;
    quern_hdf5_record record;
    uint64_t piece_bytes_max;
} qn_hdf5_listing;

/* Lists what the paths and the form say. QUERN_ERROR_INPUT, QUERN_ERROR_RECORD_TOO_LARGE, QUERN_ERROR_NO_MEMORY. Local. */
quern_status qn_hdf5_listing_create(qn_hdf5_listing *listing, const char *const *paths, size_t path_count,
                                    const qn_array_form *form, uint64_t record_bytes_max, qn_error *error);
void qn_hdf5_listing_destroy(qn_hdf5_listing *listing); /* takes a zeroed one */

/* As qn_splits_create(). */
quern_status qn_hdf5_splits_create(qn_splits *splits, const qn_hdf5_listing *listing, uint64_t split_bytes,
                                   qn_error *error);

/* Some boxes of one dataset. */
typedef struct qn_hdf5_segment {
    const char *file, *path; /* borrow the message */
    uint64_t begin, end;     /* boxes */
    uint64_t number;         /* of the dataset in the listing */
    uint64_t bytes;
    uint64_t piece_bytes_max;
    uint32_t element_bytes;
    qn_hdf5_grid grid;
} qn_hdf5_segment;

/* As qn_split_encode() and qn_split_decode_copy(). */
void qn_hdf5_split_encode(const qn_split *split, const qn_hdf5_listing *listing, qn_buffer *message);
quern_status qn_hdf5_split_decode(const void *message, size_t bytes, uint8_t **copy_out, qn_hdf5_segment **segments_out,
                                  uint32_t *count_out, qn_error *error);

#endif
