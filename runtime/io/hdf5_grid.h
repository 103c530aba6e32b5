/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/hdf5_grid.h: an array cut into boxes along its chunks, and a box into pieces that are read at once. Arithmetic, without HDF5.
 *
 * A box is what a task is counted in: chunks, so that none is read twice. Of rows it is a band, as wide as the array. Boxes are
 * numbered in C order. The records of a box are numbered in C order too; a piece is a stretch of them, as many as bytes allow.
 */
#ifndef QN_IO_HDF5_GRID_H
#define QN_IO_HDF5_GRID_H

#include <quern/hdf5.h>
#include <stdbool.h>

#define QN_HDF5_RANK_MAX        32
#define QN_HDF5_BOX_BYTES       ((uint64_t)256 << 10) /* small chunks are taken together up to that */
#define QN_HDF5_CHUNK_BYTES     ((uint64_t)1 << 20)   /* records of CHUNKS where there are no chunks */
#define QN_HDF5_PIECE_BYTES_MIN QN_HDF5_BOX_BYTES

typedef struct qn_hdf5_grid {
    quern_hdf5_record record;
    uint32_t rank;     /* 1 … QN_HDF5_RANK_MAX */
    uint32_t cut_rank; /* dimensions of that many are cut: of rows the first */
    uint64_t dims[QN_HDF5_RANK_MAX];
    uint64_t box[QN_HDF5_RANK_MAX];
    uint64_t box_count;
    uint64_t unit_bytes; /* in memory: of a row, else of an element */
} qn_hdf5_grid;

/* A part of the array. */
typedef struct qn_hdf5_box {
    uint64_t start[QN_HDF5_RANK_MAX], count[QN_HDF5_RANK_MAX];
    uint64_t record_count;
} qn_hdf5_box;

/* Some records of a box. */
typedef struct qn_hdf5_piece {
    uint64_t start[QN_HDF5_RANK_MAX], count[QN_HDF5_RANK_MAX]; /* in the array */
    uint64_t first_record, record_count;                       /* of the box */
} qn_hdf5_piece;

/* Cuts an array of such dims (each below 2^63; any may be 0). chunk: NULL if it is not stored in chunks. element_bytes: in memory. False: it has
 * more than 2^63 bytes. */
bool qn_hdf5_grid_init(qn_hdf5_grid *grid, quern_hdf5_record record, uint32_t rank, const uint64_t *dims,
                       const uint64_t *chunk, uint32_t element_bytes);

/* Cuts it into other boxes, which are of a grid of the same array. */
void qn_hdf5_grid_set_boxes(qn_hdf5_grid *grid, const uint64_t *box);
/* Elements of the whole array. */
uint64_t qn_hdf5_grid_elements(const qn_hdf5_grid *grid);
/* Bytes of a box in memory, where it is not clipped. */
uint64_t qn_hdf5_grid_box_bytes(const qn_hdf5_grid *grid);
/* Box number `index`. */
void qn_hdf5_grid_box(const qn_hdf5_grid *grid, uint64_t index, qn_hdf5_box *box_out);
/* The piece that holds a record of the box: of bytes_max at most, unless it is one record. */
void qn_hdf5_grid_piece(const qn_hdf5_grid *grid, const qn_hdf5_box *box, uint64_t bytes_max, uint64_t record,
                        qn_hdf5_piece *piece_out);
/* Bytes of a record of the box. */
uint64_t qn_hdf5_grid_record_bytes(const qn_hdf5_grid *grid, const qn_hdf5_box *box);
/* Where records [first, first + count) of the box begin in the array, as QUERN_HDF5_INDEX says. */
void qn_hdf5_grid_indices(const qn_hdf5_grid *grid, const qn_hdf5_box *box, uint64_t first, uint32_t count,
                          uint64_t *indices_out);
/* Where a record of the box begins, in each dimension. */
void qn_hdf5_grid_start(const qn_hdf5_grid *grid, const qn_hdf5_box *box, uint64_t record, uint64_t *start_out);

#endif
