/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/io/hdf5_type.h"

#define METADATA_BYTES_MAX ((size_t)2 << 20) /* of a file's cache of them, which otherwise grows to 32 MiB */

void qn_hdf5_quiet_begin(qn_hdf5_quiet *quiet)
{
    H5Eget_auto2(H5E_DEFAULT, &quiet->report, &quiet->user);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void qn_hdf5_quiet_end(const qn_hdf5_quiet *quiet)
{
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, quiet->report, quiet->user);
}

quern_status qn_hdf5_start(qn_error *error)
{
    return H5open() >= 0 ? QUERN_OK : qn_error_set(error, QUERN_ERROR_SYSTEM, 0, "the HDF5 library cannot be used");
}

/* The innermost one: the others say the same of what called it. */
static herr_t take_reason(unsigned number, const H5E_error2_t *entry, void *user)
{
    char *reason = user;
    if (number == 0 && entry->desc)
        snprintf(reason, QN_ERROR_TEXT_BYTES_MAX, "%s", entry->desc);
    return 0;
}

quern_status qn_hdf5_failed(qn_error *error, quern_status status, const char *format, ...)
{
    char what[QN_ERROR_TEXT_BYTES_MAX], reason[QN_ERROR_TEXT_BYTES_MAX] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, reason);
    return qn_error_set(error, status, 0, "%s%s%s", what, *reason ? ": " : "", reason);
}

hid_t qn_hdf5_access_create(void)
{
    H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_sec2(access);
    H5Pset_file_locking(access, true, true); /* where a file system has no locks, it is read without */
    if (H5Pget_mdc_config(access, &cache) >= 0) {
        cache.set_initial_size = true;
        cache.initial_size = cache.min_size = METADATA_BYTES_MAX / 2;
        cache.max_size = METADATA_BYTES_MAX;
        H5Pset_mdc_config(access, &cache);
    }
    return access;
}

quern_status qn_hdf5_file_open(const char *path, hid_t *file_out, qn_error *error)
{
    if (access(path, R_OK) != 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", path);
    hid_t access = qn_hdf5_access_create();
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
    quern_status status =
        file >= 0 ? QUERN_OK : qn_hdf5_failed(error, QUERN_ERROR_INPUT, "cannot open %s as HDF5", path);
    H5Pclose(access);
    if (status == QUERN_OK)
        *file_out = file;
    return status;
}

static herr_t refuse_link(const char *from_file, const char *from_group, const char *to_file, const char *to_path,
                          unsigned *flags, hid_t access, void *user)
{
    qn_hdf5_links *links = user;
    (void)from_file, (void)from_group, (void)to_file, (void)to_path, (void)flags, (void)access;
    links->refused = true;
    return -1;
}

quern_status qn_hdf5_links_open(qn_hdf5_links *links, bool external, qn_error *error)
{
    *links = (qn_hdf5_links){.list = H5Pcreate(H5P_DATASET_ACCESS)};
    if (links->list < 0 || H5Pset_chunk_cache(links->list, 0, 0, 0) < 0 ||
        (!external && H5Pset_elink_cb(links->list, refuse_link, links) < 0))
        return qn_hdf5_failed(error, QUERN_ERROR_NO_MEMORY, "cannot prepare HDF5");
    return QUERN_OK;
}

void qn_hdf5_links_close(qn_hdf5_links *links)
{
    H5Pclose(links->list);
    links->list = QN_HDF5_NONE;
}

quern_status qn_hdf5_links_failed(const qn_hdf5_links *links, const char *file, const char *path, qn_error *error)
{
    if (links->refused)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                            "%s: %s is in another file, by an external link: set external to follow it", file, path);
    return qn_hdf5_failed(error, QUERN_ERROR_INPUT, "%s: cannot open %s", file, path);
}

static quern_status learn_shape(qn_hdf5_dataset *dataset, const char *file, const char *path, qn_error *error)
{
    hsize_t dims[QN_HDF5_RANK_MAX];
    dataset->space = H5Dget_space(dataset->id);
    int rank = H5Sget_simple_extent_ndims(dataset->space);
    if (rank == 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s: dataset %s is %s, which has no records", file, path,
                            H5Sget_simple_extent_type(dataset->space) == H5S_NULL ? "null" : "scalar");
    if (rank < 0 || rank > QN_HDF5_RANK_MAX || H5Sget_simple_extent_dims(dataset->space, dims, NULL) < 0)
        return qn_hdf5_failed(error, QUERN_ERROR_INPUT, "%s: dataset %s has no known shape", file, path);
    dataset->rank = (uint32_t)rank;
    for (int d = 0; d < rank; d++)
        dataset->dims[d] = dims[d];
    return QUERN_OK;
}

static void learn_chunks(qn_hdf5_dataset *dataset, hid_t list, hid_t type)
{
    hsize_t chunk[QN_HDF5_RANK_MAX];
    uint64_t bytes = H5Tget_size(type);
    dataset->is_chunked = H5Pget_chunk(list, (int)dataset->rank, chunk) == (int)dataset->rank;
    for (uint32_t d = 0; d < dataset->rank && dataset->is_chunked; d++) {
        dataset->chunk[d] = chunk[d];
        bytes *= chunk[d];
    }
    dataset->chunk_bytes = dataset->is_chunked && H5Pget_nfilters(list) > 0 ? bytes : 0;
}

/* Filters can be plugins, which HDF5 loads when they are asked for. */
static quern_status check_filters(hid_t list, const char *file, const char *path, qn_error *error)
{
    for (int i = 0; i < H5Pget_nfilters(list); i++) {
        char name[80] = "";
        unsigned flags, config;
        size_t count = 0;
        H5Z_filter_t filter = H5Pget_filter2(list, (unsigned)i, &flags, &count, NULL, sizeof name, name, &config);
        if (filter < 0 || H5Zfilter_avail(filter) <= 0)
            return qn_error_set(
                error, QUERN_ERROR_INPUT, 0,
                "%s: dataset %s needs the filter '%s' (number %d), which this HDF5 lacks: install it as a "
                "plugin (HDF5_PLUGIN_PATH), or store the dataset without it (h5repack)",
                file, path, name, filter);
    }
    return QUERN_OK;
}

static quern_status learn_layout(qn_hdf5_dataset *dataset, hid_t type, const char *file, const char *path,
                                 bool external, qn_error *error)
{
    hid_t list = H5Dget_create_plist(dataset->id);
    H5D_layout_t layout = H5Pget_layout(list);
    dataset->stored_bytes = (uint32_t)H5Tget_size(type);
    const char *elsewhere = layout == H5D_VIRTUAL             ? "is virtual"
                            : H5Pget_external_count(list) > 0 ? "has external storage"
                                                              : NULL;
    quern_status status = QUERN_OK;
    if (layout < 0)
        status = qn_hdf5_failed(error, QUERN_ERROR_INPUT, "%s: dataset %s has no known layout", file, path);
    else if (elsewhere && !external)
        status = qn_error_set(error, QUERN_ERROR_INPUT, 0,
                              "%s: dataset %s %s, so it may be in other files: set external to follow it", file, path,
                              elsewhere);
    else if (layout == H5D_CONTIGUOUS) {
        haddr_t address = H5Dget_offset(dataset->id);
        dataset->address = address == HADDR_UNDEF ? 0 : address;
    } else if (layout == H5D_CHUNKED) {
        learn_chunks(dataset, list, type);
        status = check_filters(list, file, path, error);
    }
    H5Pclose(list);
    return status;
}

/* Reading is by whole chunks, so a cache only costs; but with one for a single unpacked chunk its memory is used again for the next. Without it
 * every chunk's pages are new, which takes as long as unpacking. */
static quern_status keep_a_chunk(qn_hdf5_dataset *dataset, hid_t file, const char *path, const qn_hdf5_links *links)
{
    if (dataset->chunk_bytes == 0)
        return QUERN_OK;
    H5Dclose(dataset->id);
    H5Pset_chunk_cache(links->list, 1, dataset->chunk_bytes, 1);
    dataset->id = H5Dopen2(file, path, links->list);
    return dataset->id >= 0 ? QUERN_OK : QUERN_ERROR_INPUT;
}

quern_status qn_hdf5_dataset_open(qn_hdf5_dataset *dataset, hid_t file, const char *file_path, const char *path,
                                  const qn_array_form *form, qn_error *error)
{
    qn_hdf5_links links;
    *dataset = (qn_hdf5_dataset){.id = QN_HDF5_NONE, .space = QN_HDF5_NONE, .memory_type = QN_HDF5_NONE};
    quern_status status = qn_hdf5_links_open(&links, form->options.external, error);
    if (status == QUERN_OK && (dataset->id = H5Dopen2(file, path, links.list)) < 0)
        status = qn_hdf5_links_failed(&links, file_path, path, error);
    hid_t type = status == QUERN_OK ? H5Dget_type(dataset->id) : QN_HDF5_NONE;
    if (status == QUERN_OK)
        status = learn_shape(dataset, file_path, path, error);
    if (status == QUERN_OK)
        status = learn_layout(dataset, type, file_path, path, form->options.external, error);
    if (status == QUERN_OK && keep_a_chunk(dataset, file, path, &links) != QUERN_OK)
        status = qn_hdf5_links_failed(&links, file_path, path, error);
    if (status == QUERN_OK)
        status = qn_hdf5_type_choose(dataset, type, file_path, path, form, error);
    if (status == QUERN_OK && dataset->memory_type < 0)
        status = qn_hdf5_failed(error, QUERN_ERROR_NO_MEMORY, "%s: dataset %s", file_path, path);
    H5Tclose(type);
    qn_hdf5_links_close(&links);
    if (status != QUERN_OK)
        qn_hdf5_dataset_close(dataset);
    return status;
}

static void close_id(hid_t *id, herr_t (*close_fn)(hid_t))
{
    if (*id >= 0)
        close_fn(*id);
    *id = QN_HDF5_NONE;
}

void qn_hdf5_dataset_close(qn_hdf5_dataset *dataset)
{
    close_id(&dataset->memory_type, H5Tclose);
    close_id(&dataset->space, H5Sclose);
    close_id(&dataset->id, H5Dclose);
}
