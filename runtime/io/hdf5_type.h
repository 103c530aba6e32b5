/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/hdf5_type.h: what elements of a dataset become in memory, or why they cannot. */
#ifndef QN_IO_HDF5_TYPE_H
#define QN_IO_HDF5_TYPE_H

#include "runtime/io/hdf5_file.h"

/* Sets memory_type, element_bytes, is_variable and padding. type: of the dataset in the file. While quiet. QUERN_ERROR_INPUT naming both paths. */
quern_status qn_hdf5_type_choose(qn_hdf5_dataset *dataset, hid_t type, const char *file, const char *path,
                                 const qn_array_form *form, qn_error *error);

/* HDF5's own for a number. */
hid_t qn_hdf5_type_of(quern_type type);

#endif
