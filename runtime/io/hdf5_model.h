/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/io/hdf5_model.h: the types of a dataset that is written, and what is taken from another one. While quiet. */
#ifndef QN_IO_HDF5_MODEL_H
#define QN_IO_HDF5_MODEL_H

#include "runtime/data/array_output.h"
#include "runtime/io/hdf5_file.h"

/* The dataset that a new one is to be like. Closed: both QN_HDF5_NONE. */
typedef struct qn_hdf5_model {
    hid_t file, dataset;
} qn_hdf5_model;

/* Opens the form's, if it has one. QUERN_ERROR_INPUT. */
quern_status qn_hdf5_model_open(qn_hdf5_model *model, const qn_array_output *form, qn_error *error);
void qn_hdf5_model_close(qn_hdf5_model *model);

/* The type of an element in memory: as the form says; of a kind with `stored`, to which it is to be converted, or by itself where that is
 * QN_HDF5_NONE. where: names the dataset in messages. QN_HDF5_NONE: QUERN_ERROR_INPUT. */
hid_t qn_hdf5_element_type(const qn_array_output *form, hid_t stored, const char *where, qn_error *error);

/* Gives a dataset the model's attributes, and the form's own. QUERN_ERROR_INPUT, QUERN_ERROR_OUTPUT. */
quern_status qn_hdf5_put_attributes(hid_t dataset, const qn_hdf5_model *model, const qn_array_output *form,
                                    qn_error *error);

#endif
