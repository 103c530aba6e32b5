/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/hdf5_filters.h: what the chunks of a dataset that is written go through. */
#ifndef QN_IO_HDF5_FILTERS_H
#define QN_IO_HDF5_FILTERS_H

#include <quern/hdf5.h>
#include <stdbool.h>

#include "runtime/base/status.h"

/* Whether filters are asked for as they may be, and HDF5, with the plugins that it finds, applies all of them. QUERN_ERROR_INVALID_ARGUMENT names one that
 * it does not. */
quern_status qn_hdf5_filters_check(const quern_hdf5_write_options *options, qn_error *error);

/* Whether chunks are anything but what is in memory. */
bool qn_hdf5_filters_exist(const quern_hdf5_write_options *options);

/* Asks for them in a list (a hid_t) that a dataset of chunks of so many elements is created with. While quiet. False: HDF5 says why. */
bool qn_hdf5_filters_set(int64_t creation_list, const quern_hdf5_write_options *options, uint64_t chunk_elements);

#endif
