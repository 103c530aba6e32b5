/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/io/hdf5_filters.h"
#include "runtime/io/hdf5_model.h"
#include "runtime/io/hdf5_writer.h"

#define SLACK_BYTES       ((uint64_t)1 << 20) /* what HDF5 writes of its own beside chunks */
#define STAT_BLOCK_BYTES  512                 /* in which stat() counts */
#define CHUNK_SLACK_BYTES ((uint64_t)1 << 10) /* and for each of them */

struct qn_hdf5_output {
    const qn_array_output *form;
    const char *path;
    hid_t stored_type, memory_type; /* of elements */
    hid_t file, dataset, space, transfer;
    uint64_t row_elements;
    uint64_t rows_max;
    bool is_converted;
    bool is_alone; /* at its file, that is: no other rank writes it */
    void *room;
    void *background; /* what HDF5 converts beside; NULL: nothing is converted */
    int reserved_fd;  /* open where room was reserved beyond the file's end */
};

static bool is_filtered(const qn_array_output *form)
{
    return qn_hdf5_filters_exist(&form->options);
}

static uint64_t row_elements_of(const qn_array_output *form)
{
    return form->row_bytes / form->element_bytes;
}

bool qn_hdf5_output_is_parallel(void)
{
#ifdef H5_HAVE_PARALLEL
    return true;
#else
    return false;
#endif
}

/* A converted element may be larger, and is converted beside another. HDF5 keeps a filtered chunk, and what becomes of it, until all of a write are done. */
uint64_t qn_hdf5_output_row_cost(const qn_array_output *form)
{
    uint64_t copies = (form->options.like_type ? 4U : 1U) + (is_filtered(form) ? 2U : 0U);
    return copies * form->row_bytes;
}

/* Of a file system that sets nothing aside: there is room now, whoever else takes some. */
static bool has_room(int fd, uint64_t bytes)
{
    struct statvfs about;
    bool can = fstatvfs(fd, &about) != 0 || about.f_blocks == 0 || (uint64_t)about.f_bavail * about.f_frsize >= bytes;
    errno = can ? errno : ENOSPC;
    return can;
}

/* new_bytes: of these, that have no place on the disk yet. Where a file system cannot say it beforehand, the write will. */
static quern_status reserve(int fd, int mode, uint64_t offset, uint64_t bytes, uint64_t new_bytes, const char *path,
                            qn_error *error)
{
    int code = 0;
    if (bytes == 0)
        return QUERN_OK;
    do {
        code = fallocate(fd, mode, (off_t)offset, (off_t)bytes);
    } while (code != 0 && errno == EINTR);
    bool is_full = code != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG);
    if (code != 0 && !is_full)
        is_full = !has_room(fd, new_bytes);
    return is_full ? qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot write %s", path) : QUERN_OK;
}

/* Whether what HDF5 has written so far, to a file of one rank, arrived. */
static quern_status check_written(hid_t file, const char *path, qn_error *error)
{
    int reason = qn_hdf5_writer_reason(file);
    return reason == 0 ? QUERN_OK : qn_error_set(error, QUERN_ERROR_OUTPUT, reason, "cannot write %s", path);
}

/* The same of all that it was given. */
static quern_status flush(hid_t file, const char *path, qn_error *error)
{
    if (H5Fflush(file, H5F_SCOPE_LOCAL) < 0)
        return qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot write %s", path);
    return check_written(file, path, error);
}

/* ---- the file, by one rank ---- */

static hid_t create_space(const qn_array_output *form, uint64_t row_count)
{
    hsize_t dims[QN_HDF5_RANK_MAX] = {row_count};
    for (uint32_t d = 0; d < form->options.row_rank; d++)
        dims[1 + d] = form->options.row_dims[d];
    return H5Screate_simple((int)form->options.row_rank + 1, dims, NULL);
}

/* Returns its elements. */
static uint64_t put_chunk(const qn_array_output *form, uint64_t row_count, hsize_t *chunk_out)
{
    uint64_t elements = chunk_out[0] = form->chunk_rows < row_count ? form->chunk_rows : row_count;
    for (uint32_t d = 0; d < form->options.row_rank; d++)
        elements *= chunk_out[1 + d] = form->options.chunk_dims[d];
    return elements;
}

/* Without rows there are no chunks: a dataset of a fixed size has none that is larger than itself. */
static hid_t create_layout(const qn_array_output *form, uint64_t row_count)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[QN_HDF5_RANK_MAX], elements = put_chunk(form, row_count, chunk);
    H5Pset_obj_track_times(list, false); /* the same records give the same bytes at any time */
    if (row_count == 0)
        return list;
    H5Pset_chunk(list, (int)form->options.row_rank + 1, chunk);
    H5Pset_fill_time(list, form->varies ? H5D_FILL_TIME_IFSET : H5D_FILL_TIME_NEVER);
    H5Pset_alloc_time(list, form->varies || is_filtered(form) ? H5D_ALLOC_TIME_INCR : H5D_ALLOC_TIME_EARLY);
    if (qn_hdf5_filters_set(list, &form->options, elements))
        return list;
    H5Pclose(list);
    return QN_HDF5_NONE;
}

static hid_t create_dataset(hid_t file, const qn_array_output *form, hid_t type, uint64_t row_count)
{
    hid_t space = create_space(form, row_count), layout = create_layout(form, row_count);
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_char_encoding(links, H5T_CSET_UTF8);
    hid_t dataset =
        layout >= 0 ? H5Dcreate2(file, form->options.dataset, type, space, links, layout, H5P_DEFAULT) : QN_HDF5_NONE;
    H5Pclose(links);
    if (layout >= 0)
        H5Pclose(layout);
    H5Sclose(space);
    return dataset;
}

static bool select_rows(const qn_array_output *form, hid_t space, uint64_t first, uint64_t count)
{
    hsize_t start[QN_HDF5_RANK_MAX] = {first}, counts[QN_HDF5_RANK_MAX] = {count};
    if (count == 0)
        return H5Sselect_none(space) >= 0;
    for (uint32_t d = 0; d < form->options.row_rank; d++)
        counts[1 + d] = form->options.row_dims[d];
    return H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, counts, NULL) >= 0;
}

/* Steps from chunk to chunk in C order. False: that was the last one. */
static bool next_chunk(const qn_array_output *form, uint64_t row_count, const hsize_t *chunk, hsize_t *start)
{
    for (uint32_t d = form->options.row_rank + 1; d-- > 0; start[d] = 0) {
        start[d] += chunk[d];
        if (start[d] < (d > 0 ? form->options.row_dims[d - 1] : row_count))
            return true;
    }
    return false;
}

/* Less of the chunk belongs to the dataset than there is of it. */
static bool is_clipped(const qn_array_output *form, uint64_t row_count, const hsize_t *chunk, const hsize_t *start)
{
    bool is = chunk[0] > row_count - start[0];
    for (uint32_t d = 0; d < form->options.row_rank; d++)
        is |= chunk[1 + d] > form->options.row_dims[d] - start[1 + d];
    return is;
}

/* A chunk at the dataset's edges, as HDF5 stores it: it will read it before it writes it. */
typedef struct edge {
    void *stored; /* NULL: none was begun yet */
    size_t bytes;
    uint32_t mask; /* of filters that it did not go through */
} edge;

/* Writes one of zeros. */
static bool write_edge(hid_t dataset, const qn_array_output *form, hid_t type, const hsize_t *chunk,
                       const hsize_t *start)
{
    hsize_t dims[QN_HDF5_RANK_MAX], elements = 1;
    hid_t space = H5Dget_space(dataset);
    H5Sget_simple_extent_dims(space, dims, NULL);
    for (uint32_t d = 0; d <= form->options.row_rank; d++) {
        dims[d] = chunk[d] < dims[d] - start[d] ? chunk[d] : dims[d] - start[d];
        elements *= dims[d];
    }
    hid_t memory = H5Screate_simple((int)form->options.row_rank + 1, dims, NULL);
    void *empty = calloc(elements, H5Tget_size(type));
    bool written = empty && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, dims, NULL) >= 0 &&
                   H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, empty) >= 0;
    free(empty);
    H5Sclose(memory);
    H5Sclose(space);
    return written;
}

static bool read_edge(hid_t dataset, const hsize_t *start, edge *of)
{
    hsize_t bytes = 0;
    if (H5Dflush(dataset) < 0 || H5Dget_chunk_storage_size(dataset, start, &bytes) < 0 || bytes == 0)
        return false;
    of->bytes = (size_t)bytes;
    of->stored = malloc(of->bytes);
    return of->stored && H5Dread_chunk(dataset, H5P_DEFAULT, start, &of->mask, of->stored) >= 0;
}

/* The first is packed; all others are the same. */
static bool begin_edge(hid_t dataset, const qn_array_output *form, hid_t type, const hsize_t *chunk,
                       const hsize_t *start, edge *of)
{
    if (of->stored)
        return H5Dwrite_chunk(dataset, H5P_DEFAULT, of->mask, start, of->bytes, of->stored) >= 0;
    return write_edge(dataset, form, type, chunk, start) && read_edge(dataset, start, of);
}

/* Of compressed chunks each gets a few bytes, and so its place in the index. For where one has no place yet when all ranks open the dataset, HDF5
 * gives it one by writing it, in collective calls; and when they write, it (1.10) takes chunks without a place for one and the same. */
static bool begin_chunks(hid_t dataset, const qn_array_output *form, hid_t type, uint64_t row_count)
{
    static const uint64_t nothing = 0;
    hsize_t start[QN_HDF5_RANK_MAX] = {0}, chunk[QN_HDF5_RANK_MAX];
    edge clipped = {0};
    bool begun = true;
    if (!is_filtered(form) || row_count == 0 || form->varies)
        return true;
    put_chunk(form, row_count, chunk);
    do {
        begun = is_clipped(form, row_count, chunk, start)
                    ? begin_edge(dataset, form, type, chunk, start, &clipped)
                    : H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, start, sizeof nothing, &nothing) >= 0;
    } while (begun && next_chunk(form, row_count, chunk, start));
    free(clipped.stored);
    return begun;
}

static quern_status fill_file(hid_t file, const char *path, const qn_array_output *form, uint64_t row_count,
                              const qn_hdf5_model *model, qn_error *error)
{
    hid_t stored = form->options.like_type ? H5Dget_type(model->dataset) : QN_HDF5_NONE;
    hid_t memory = qn_hdf5_element_type(form, stored, form->options.like_dataset, error);
    hid_t type = QN_HDF5_NONE, dataset = QN_HDF5_NONE;
    quern_status status = memory >= 0 ? QUERN_OK : error->status;
    if (status == QUERN_OK) {
        type = H5Tcopy(stored >= 0 ? stored : memory); /* a copy of a named type has no name */
        dataset = create_dataset(file, form, type, row_count);
        if (dataset < 0 || !begin_chunks(dataset, form, type, row_count))
            status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "%s: cannot make the dataset %s", path,
                                    form->options.dataset);
    }
    if (status == QUERN_OK)
        status = qn_hdf5_put_attributes(dataset, model, form, error);
    if (dataset >= 0 && H5Dclose(dataset) < 0 && status == QUERN_OK)
        status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot write %s", path);
    if (type >= 0)
        H5Tclose(type);
    if (memory >= 0)
        H5Tclose(memory);
    if (stored >= 0)
        H5Tclose(stored);
    return status;
}

static quern_status create_file(const char *path, const qn_array_output *form, uint64_t row_count,
                                const qn_hdf5_model *model, qn_error *error)
{
    hid_t access = qn_hdf5_access_create(), file = QN_HDF5_NONE;
    if (qn_hdf5_writer_use(access))
        file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    if (file < 0)
        return qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot create %s", path);
    quern_status status = fill_file(file, path, form, row_count, model, error);
    if (status == QUERN_OK)
        status = flush(file, path, error);
    if (H5Fclose(file) < 0 && status == QUERN_OK)
        status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot write %s", path);
    return status;
}

/* Of chunks that are not compressed all have their place by now. */
static quern_status reserve_file(const char *path, qn_error *error)
{
    struct stat about = {0};
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot write %s", path);
        if (fd >= 0)
            close(fd);
        return QUERN_ERROR_OUTPUT;
    }
    uint64_t bytes = (uint64_t)about.st_size, placed_bytes = (uint64_t)about.st_blocks * STAT_BLOCK_BYTES;
    uint64_t new_bytes = bytes > placed_bytes ? bytes - placed_bytes : 0;
    quern_status status = reserve(fd, 0, 0, bytes, new_bytes, path, error);
    close(fd);
    return status;
}

quern_status qn_hdf5_output_create(const char *path, const qn_array_output *form, uint64_t row_count, qn_error *error)
{
    qn_hdf5_quiet quiet;
    qn_hdf5_model model;
    quern_status status = qn_hdf5_start(error);
    if (status != QUERN_OK)
        return status;
    qn_hdf5_quiet_begin(&quiet);
    status = qn_hdf5_model_open(&model, form, error);
    if (status == QUERN_OK)
        status = create_file(path, form, row_count, &model, error);
    qn_hdf5_model_close(&model);
    qn_hdf5_quiet_end(&quiet);
    return status == QUERN_OK ? reserve_file(path, error) : status;
}

/* ---- rows, by all ---- */

/* What the file says of its elements, which is all that a rank needs to get ready by itself. */
static quern_status learn_types(qn_hdf5_output *output, qn_error *error)
{
    hid_t file = QN_HDF5_NONE;
    const qn_array_output *form = output->form;
    quern_status status = qn_hdf5_file_open(output->path, &file, error);
    if (status != QUERN_OK)
        return status;
    hid_t dataset = H5Dopen2(file, form->options.dataset, H5P_DEFAULT);
    output->stored_type = dataset >= 0 ? H5Dget_type(dataset) : QN_HDF5_NONE;
    if (output->stored_type < 0)
        status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot read %s again", output->path);
    else
        output->memory_type = qn_hdf5_element_type(form, form->options.like_type ? output->stored_type : QN_HDF5_NONE,
                                                   output->path, error);
    if (dataset >= 0)
        H5Dclose(dataset);
    H5Fclose(file);
    if (status == QUERN_OK && output->memory_type < 0)
        status = error->status;
    if (status == QUERN_OK)
        output->is_converted = H5Tequal(output->memory_type, output->stored_type) <= 0;
    return status;
}

static quern_status take_room(qn_hdf5_output *output, qn_error *error)
{
    uint64_t stored_bytes = output->row_elements * H5Tget_size(output->stored_type);
    uint64_t row_bytes = stored_bytes > output->form->row_bytes ? stored_bytes : output->form->row_bytes;
    output->transfer = H5Pcreate(H5P_DATASET_XFER);
    output->room = aligned_alloc(QN_PAGE_SMALL_BYTES,
                                 (output->rows_max * row_bytes / QN_PAGE_SMALL_BYTES + 1) * QN_PAGE_SMALL_BYTES);
    if (output->is_converted)
        output->background = calloc(output->rows_max, row_bytes);
    if (!output->room || (output->is_converted && !output->background) || output->transfer < 0)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to write %s", output->path);
    return QUERN_OK;
}

quern_status qn_hdf5_output_prepare(qn_hdf5_output **output_out, const char *path, const qn_array_output *form,
                                    uint64_t rows_max, qn_error *error)
{
    qn_hdf5_quiet quiet;
    qn_hdf5_output *output = calloc(1, sizeof *output);
    if (!output)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to write %s", path);
    *output = (qn_hdf5_output){.form = form,
                               .path = path,
                               .stored_type = QN_HDF5_NONE,
                               .memory_type = QN_HDF5_NONE,
                               .file = QN_HDF5_NONE,
                               .dataset = QN_HDF5_NONE,
                               .space = QN_HDF5_NONE,
                               .transfer = QN_HDF5_NONE,
                               .row_elements = row_elements_of(form),
                               .rows_max = rows_max,
                               .reserved_fd = -1};
    quern_status status = qn_hdf5_start(error);
    qn_hdf5_quiet_begin(&quiet);
    if (status == QUERN_OK)
        status = learn_types(output, error);
    if (status == QUERN_OK)
        status = take_room(output, error);
    qn_hdf5_quiet_end(&quiet);
    if (status == QUERN_OK) {
        *output_out = output;
        return QUERN_OK;
    }
    qn_error ignored = {0};
    qn_hdf5_output_close(output, &ignored);
    return status;
}

/* Not H5FD_MPIO_INDIVIDUAL_IO, though no bytes have to be brought together: chunk by chunk it took 1.4 times as long. */
static bool write_together(qn_hdf5_output *output)
{
#ifdef H5_HAVE_PARALLEL
    return H5Pset_dxpl_mpio(output->transfer, H5FD_MPIO_COLLECTIVE) >= 0;
#else
    (void)output;
    return false;
#endif
}

/* As they are in memory. */
static uint64_t chunk_bytes_of(const qn_hdf5_output *output)
{
    hsize_t chunk[QN_HDF5_RANK_MAX];
    return put_chunk(output->form, output->form->chunk_rows, chunk) * H5Tget_size(output->stored_type);
}

/* All writing is of whole chunks, so a cache only costs; but the memory of one compressed chunk is used again for the next, where no other rank has
 * a say in when it is written. */
static hid_t dataset_access(const qn_hdf5_output *output)
{
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    bool keeps = output->is_alone && (is_filtered(output->form) || output->form->varies);
    H5Pset_chunk_cache(access, keeps, keeps ? chunk_bytes_of(output) : 0, keeps);
    return access;
}

quern_status qn_hdf5_output_open(qn_hdf5_output *output, qn_hdf5_share_fn share, void *user, qn_error *error)
{
    qn_hdf5_quiet quiet;
    quern_status status = QUERN_OK;
    qn_hdf5_quiet_begin(&quiet);
    output->is_alone = !share;
    hid_t access = qn_hdf5_access_create(), of_dataset = dataset_access(output);
    if (output->is_alone ? qn_hdf5_writer_use(access) : share(user, access) && write_together(output))
        output->file = H5Fopen(output->path, H5F_ACC_RDWR, access);
    if (output->file >= 0)
        output->dataset = H5Dopen2(output->file, output->form->options.dataset, of_dataset);
    if (output->dataset >= 0)
        output->space = H5Dget_space(output->dataset);
    if (output->space < 0)
        status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot open %s to write it", output->path);
    H5Pclose(of_dataset);
    H5Pclose(access);
    qn_hdf5_quiet_end(&quiet);
    return status;
}

quern_status qn_hdf5_output_reserve(qn_hdf5_output *output, uint64_t row_count, qn_error *error)
{
    struct stat about;
    if (!is_filtered(output->form) || row_count == 0 || output->form->varies)
        return QUERN_OK;
    if (output->reserved_fd < 0)
        output->reserved_fd = open(output->path, O_WRONLY | O_CLOEXEC);
    if (output->reserved_fd < 0 || fstat(output->reserved_fd, &about) != 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot write %s", output->path);
    uint64_t each = chunk_bytes_of(output), chunks = output->form->row_chunks;
    uint64_t bytes = row_count * (each / output->form->chunk_rows) * chunks + SLACK_BYTES +
                     (row_count / output->form->chunk_rows + 1) * chunks * CHUNK_SLACK_BYTES;
    return reserve(output->reserved_fd, FALLOC_FL_KEEP_SIZE, (uint64_t)about.st_size, bytes, bytes, output->path,
                   error);
}

void *qn_hdf5_output_get_room(qn_hdf5_output *output)
{
    return output->room;
}

/* By ourselves: HDF5 cannot convert in collective calls, and would make them single ones. */
static bool convert(qn_hdf5_output *output, uint64_t count)
{
    return !output->is_converted || count == 0 || output->form->varies ||
           H5Tconvert(output->memory_type, output->stored_type, count * output->row_elements, output->room,
                      output->background, H5P_DEFAULT) >= 0;
}

quern_status qn_hdf5_output_write(qn_hdf5_output *output, uint64_t first, uint64_t count, qn_error *error)
{
    qn_hdf5_quiet quiet;
    quern_status status = QUERN_OK;
    QN_ASSERT(count <= output->rows_max);
    qn_hdf5_quiet_begin(&quiet);
    hid_t memory = create_space(output->form, count > 0 ? count : 1);
    bool converted = convert(output, count); /* a rank that could not takes part all the same */
    uint64_t taken = converted ? count : 0;
    bool selected = select_rows(output->form, output->space, first, taken);
    if (taken == 0)
        selected &= H5Sselect_none(memory) >= 0;
    hid_t type =
        output->form->varies ? output->memory_type : output->stored_type; /* strings HDF5 itself puts elsewhere */
    if (H5Dwrite(output->dataset, type, memory, output->space, output->transfer, output->room) < 0 || !selected ||
        !converted)
        status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot write %s", output->path);
    if (status == QUERN_OK && output->is_alone)
        status = check_written(output->file, output->path, error);
    H5Sclose(memory);
    qn_hdf5_quiet_end(&quiet);
    return status;
}

/* What was reserved beyond the file's end is given back. */
static void give_back(qn_hdf5_output *output)
{
    struct stat about;
    if (output->reserved_fd < 0)
        return;
    if (fstat(output->reserved_fd, &about) == 0 && ftruncate(output->reserved_fd, about.st_size) != 0)
        errno = 0; /* it stays taken: no reason to fail */
    close(output->reserved_fd);
}

static bool close_id(hid_t id, herr_t (*close_fn)(hid_t))
{
    return id < 0 || close_fn(id) >= 0;
}

quern_status qn_hdf5_output_close(qn_hdf5_output *output, qn_error *error)
{
    qn_hdf5_quiet quiet;
    quern_status status = QUERN_OK;
    if (!output)
        return QUERN_OK;
    qn_hdf5_quiet_begin(&quiet);
    if (output->is_alone && output->file >= 0)
        status = flush(output->file, output->path, error);
    bool closed = close_id(output->transfer, H5Pclose);
    closed &= close_id(output->space, H5Sclose);
    closed &= close_id(output->memory_type, H5Tclose);
    closed &= close_id(output->stored_type, H5Tclose);
    closed &= close_id(output->dataset, H5Dclose);
    closed &= close_id(output->file, H5Fclose);
    if (!closed && status == QUERN_OK)
        status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot write %s", output->path);
    qn_hdf5_quiet_end(&quiet);
    give_back(output);
    free(output->background);
    free(output->room);
    free(output);
    return status;
}
