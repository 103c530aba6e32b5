/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/array_form.h: what is wanted of the arrays of a source: which ones, as what records.
 */
#ifndef QN_DATA_ARRAY_FORM_H
#define QN_DATA_ARRAY_FORM_H

#include <quern/hdf5.h>
#include <stdbool.h>

typedef struct qn_array_form {
    quern_hdf5_options options; /* its texts and fields are the graph's; type is never 0 unless there are fields */
    uint32_t element_bytes;     /* in memory; 0 for strings. With fields that vary: as HDF5 gives it, with pointers */
    bool varies;                /* a field is a string as long as it is */
} qn_array_form;

static inline bool qn_array_field_varies(const quern_hdf5_field *field)
{
    return field->type == QUERN_BYTES && field->count == QUERN_HDF5_VARIABLE;
}

/* Elements are strings. */
static inline int qn_array_form_has_strings(const qn_array_form *form)
{
    return form->options.field_count == 0 && form->options.type == QUERN_BYTES;
}

#endif
