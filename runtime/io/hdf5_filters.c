/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_filters.h"

#include "runtime/io/hdf5_file.h"

#define FILTER_COUNT_MAX  32
#define FILTER_VALUES_MAX 4096
#define SZIP_VALUE_COUNT  2

static bool refuse(qn_error *error, const char *what)
{
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "write hdf5: %s", what);
    return false;
}

static bool are_well_formed(const quern_hdf5_write_options *options, qn_error *error)
{
    if (options->filter_count > FILTER_COUNT_MAX || (options->filter_count > 0 && !options->filters))
        return refuse(error, "there may be 32 filters");
    if (options->filter_count > 0 && (options->deflate_level > 0 || options->shuffle || options->fletcher32))
        return refuse(error, "with filters deflate_level, shuffle and fletcher32 must be left 0");
    for (size_t i = 0; i < options->filter_count; i++) {
        const quern_hdf5_filter *filter = &options->filters[i];
        if (filter->value_count > FILTER_VALUES_MAX || (filter->value_count > 0 && !filter->values))
            return refuse(error, "a filter may have 4096 values");
    }
    return true;
}

static const char *what_is_missing(H5Z_filter_t filter)
{
    unsigned config = 0;
    if (filter < 0 || H5Zfilter_avail(filter) <= 0)
        return "HDF5 here has it neither built in nor as a plugin (HDF5_PLUGIN_PATH)";
    if (H5Zget_filter_info(filter, &config) < 0 || !(config & H5Z_FILTER_CONFIG_ENCODE_ENABLED))
        return "HDF5 here can only read what went through it";
    return NULL;
}

quern_status qn_hdf5_filters_check(const quern_hdf5_write_options *options, qn_error *error)
{
    qn_hdf5_quiet quiet;
    if (!are_well_formed(options, error))
        return error->status;
    if (options->filter_count == 0)
        return QUERN_OK;
    quern_status status = qn_hdf5_start(error);
    qn_hdf5_quiet_begin(&quiet);
    for (size_t i = 0; i < options->filter_count && status == QUERN_OK; i++) {
        const char *missing = what_is_missing(options->filters[i].number);
        if (missing)
            status = qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                                  "write hdf5: the filter number %d cannot be applied: %s", options->filters[i].number,
                                  missing);
    }
    qn_hdf5_quiet_end(&quiet);
    return status;
}

bool qn_hdf5_filters_exist(const quern_hdf5_write_options *options)
{
    return options->deflate_level > 0 || options->shuffle || options->fletcher32 || options->filter_count > 0;
}

/* A block of pixels is no larger than the chunk, and even. */
static bool set_szip(hid_t list, const quern_hdf5_filter *filter, uint64_t chunk_elements)
{
    unsigned even = (unsigned)(chunk_elements < UINT16_MAX ? chunk_elements : UINT16_MAX) / 2 * 2;
    if (even == 0)
        return true;
    return H5Pset_szip(list, filter->values[0], filter->values[1] < even ? filter->values[1] : even) >= 0;
}

static bool set_one(hid_t list, const quern_hdf5_filter *filter, uint64_t chunk_elements)
{
    if (filter->number == H5Z_FILTER_FLETCHER32)
        return H5Pset_fletcher32(list) >= 0;
    if (filter->number == H5Z_FILTER_SZIP && filter->value_count >= SZIP_VALUE_COUNT)
        return set_szip(list, filter, chunk_elements);
    return H5Pset_filter(list, filter->number, H5Z_FLAG_OPTIONAL, filter->value_count, filter->values) >= 0;
}

bool qn_hdf5_filters_set(int64_t creation_list, const quern_hdf5_write_options *options, uint64_t chunk_elements)
{
    bool set = true;
    for (size_t i = 0; i < options->filter_count && set; i++)
        set = set_one(creation_list, &options->filters[i], chunk_elements);
    if (set && options->shuffle)
        set = H5Pset_shuffle(creation_list) >= 0;
    if (set && options->deflate_level > 0)
        set = H5Pset_deflate(creation_list, (unsigned)options->deflate_level) >= 0;
    if (set && options->fletcher32)
        set = H5Pset_fletcher32(creation_list) >= 0;
    return set;
}
