/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_grid.h"

#include "runtime/base/assert.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* As many of the last dimensions as fit, whole; of the one before them what then fits; of all others one. */
static void fill_from_last(const uint64_t *dims, uint32_t rank, uint64_t unit_bytes, uint64_t bytes_max,
                           uint64_t *count_out)
{
    uint64_t room = bytes_max / unit_bytes;
    for (uint32_t d = rank; d-- > 0;) {
        count_out[d] = room > 1 ? least(dims[d], room) : 1;
        room = count_out[d] == dims[d] ? room / count_out[d] : 1;
    }
}

/* Neighbours of a small chunk, along the last dimensions first. */
static void join_chunks(qn_hdf5_grid *grid)
{
    uint64_t bytes = qn_hdf5_grid_box_bytes(grid);
    for (uint32_t d = grid->cut_rank; d-- > 0;) {
        uint64_t chunks = (grid->dims[d] + grid->box[d] - 1) / grid->box[d];
        uint64_t joined = least(chunks, QN_HDF5_BOX_BYTES / bytes);
        if (joined > 1)
            grid->box[d] *= joined;
        bytes *= joined > 1 ? joined : 1;
        if (joined < chunks)
            return;
    }
}

static void choose_boxes(qn_hdf5_grid *grid, const uint64_t *chunk)
{
    uint64_t bytes_max = grid->record == QUERN_HDF5_CHUNKS ? QN_HDF5_CHUNK_BYTES : QN_HDF5_BOX_BYTES;
    if (!chunk) {
        fill_from_last(grid->dims, grid->cut_rank, grid->unit_bytes, bytes_max, grid->box);
        return;
    }
    for (uint32_t d = 0; d < grid->cut_rank; d++)
        grid->box[d] = least(chunk[d], grid->dims[d]);
    if (grid->record != QUERN_HDF5_CHUNKS)
        join_chunks(grid);
}

static void count_boxes(qn_hdf5_grid *grid)
{
    grid->box_count = 1;
    for (uint32_t d = 0; d < grid->cut_rank; d++)
        grid->box_count *= (grid->dims[d] - 1) / grid->box[d] + 1;
}

bool qn_hdf5_grid_init(qn_hdf5_grid *grid, quern_hdf5_record record, uint32_t rank, const uint64_t *dims,
                       const uint64_t *chunk, uint32_t element_bytes)
{
    QN_ASSERT(rank > 0 && rank <= QN_HDF5_RANK_MAX && element_bytes > 0);
    uint64_t bytes = element_bytes;
    *grid = (qn_hdf5_grid){
        .record = record, .rank = rank, .cut_rank = record == QUERN_HDF5_ROWS ? 1 : rank, .unit_bytes = element_bytes};
    for (uint32_t d = 0; d < rank; d++) {
        grid->dims[d] = grid->box[d] = dims[d];
        if (dims[d] == 0)
            return true; /* no boxes */
    }
    for (uint32_t d = rank; d-- > 0;) {
        if (bytes > INT64_MAX / dims[d])
            return false;
        grid->unit_bytes = d + 1 == grid->cut_rank ? bytes : grid->unit_bytes;
        bytes *= dims[d];
    }
    choose_boxes(grid, chunk);
    count_boxes(grid);
    return true;
}

void qn_hdf5_grid_set_boxes(qn_hdf5_grid *grid, const uint64_t *box)
{
    for (uint32_t d = 0; d < grid->cut_rank; d++)
        grid->box[d] = box[d];
    count_boxes(grid);
}

uint64_t qn_hdf5_grid_elements(const qn_hdf5_grid *grid)
{
    uint64_t count = grid->box_count > 0;
    for (uint32_t d = 0; d < grid->rank && count > 0; d++)
        count *= grid->dims[d];
    return count;
}

uint64_t qn_hdf5_grid_box_bytes(const qn_hdf5_grid *grid)
{
    uint64_t bytes = grid->unit_bytes;
    for (uint32_t d = 0; d < grid->cut_rank; d++)
        bytes *= least(grid->box[d], grid->dims[d]);
    return bytes;
}

void qn_hdf5_grid_box(const qn_hdf5_grid *grid, uint64_t index, qn_hdf5_box *box_out)
{
    QN_ASSERT(index < grid->box_count);
    uint64_t units = 1;
    for (uint32_t d = grid->rank; d-- > grid->cut_rank;) {
        box_out->start[d] = 0;
        box_out->count[d] = grid->dims[d];
    }
    for (uint32_t d = grid->cut_rank; d-- > 0;) {
        uint64_t along = (grid->dims[d] - 1) / grid->box[d] + 1;
        box_out->start[d] = index % along * grid->box[d];
        box_out->count[d] = least(grid->box[d], grid->dims[d] - box_out->start[d]);
        index /= along;
        units *= box_out->count[d];
    }
    box_out->record_count = grid->record == QUERN_HDF5_CHUNKS ? 1 : units;
}

uint64_t qn_hdf5_grid_record_bytes(const qn_hdf5_grid *grid, const qn_hdf5_box *box)
{
    uint64_t bytes = grid->unit_bytes;
    for (uint32_t d = 0; d < grid->cut_rank && grid->record == QUERN_HDF5_CHUNKS; d++)
        bytes *= box->count[d];
    return bytes;
}

void qn_hdf5_grid_start(const qn_hdf5_grid *grid, const qn_hdf5_box *box, uint64_t record, uint64_t *start_out)
{
    QN_ASSERT(record < box->record_count);
    for (uint32_t d = 0; d < grid->rank; d++)
        start_out[d] = box->start[d];
    if (grid->record == QUERN_HDF5_CHUNKS)
        return;
    for (uint32_t d = grid->cut_rank; d-- > 0;) {
        start_out[d] += record % box->count[d];
        record /= box->count[d];
    }
}

/* Pieces have one index in each dimension before one, a stretch of that, and all of those behind it. */
void qn_hdf5_grid_piece(const qn_hdf5_grid *grid, const qn_hdf5_box *box, uint64_t bytes_max, uint64_t record,
                        qn_hdf5_piece *piece_out)
{
    *piece_out = (qn_hdf5_piece){.record_count = box->record_count};
    for (uint32_t d = 0; d < grid->rank; d++) {
        piece_out->start[d] = box->start[d];
        piece_out->count[d] = box->count[d];
    }
    if (grid->record == QUERN_HDF5_CHUNKS)
        return;
    uint64_t count[QN_HDF5_RANK_MAX], inner = 1, rest = record;
    fill_from_last(box->count, grid->cut_rank, grid->unit_bytes, bytes_max, count);
    piece_out->first_record = 0;
    for (uint32_t d = grid->cut_rank; d-- > 0; inner *= box->count[d]) {
        uint64_t at = rest % box->count[d] / count[d] * count[d];
        rest /= box->count[d];
        piece_out->start[d] += at;
        piece_out->count[d] = least(count[d], box->count[d] - at);
        piece_out->first_record += at * inner;
    }
    piece_out->record_count = 1;
    for (uint32_t d = 0; d < grid->cut_rank; d++)
        piece_out->record_count *= piece_out->count[d];
}

void qn_hdf5_grid_indices(const qn_hdf5_grid *grid, const qn_hdf5_box *box, uint64_t first, uint32_t count,
                          uint64_t *indices_out)
{
    uint32_t last = grid->cut_rank - 1;
    uint64_t start[QN_HDF5_RANK_MAX];
    for (uint32_t done = 0; done < count;) {
        uint64_t index = 0;
        qn_hdf5_grid_start(grid, box, first + done, start);
        for (uint32_t d = 0; d < grid->cut_rank; d++)
            index = index * grid->dims[d] + start[d];
        uint64_t run = least(box->start[last] + box->count[last] - start[last], count - done);
        for (uint64_t i = 0; i < run; i++)
            indices_out[done + i] = index + i;
        done += (uint32_t)run;
    }
}
