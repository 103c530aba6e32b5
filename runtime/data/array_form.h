/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/array_form.h: what is wanted of the arrays of a source: which ones, as what records.
 */
#ifndef QN_DATA_ARRAY_FORM_H
#define QN_DATA_ARRAY_FORM_H

#include <quern/hdf5.h>

typedef struct qn_array_form {
    quern_hdf5_options options; /* its texts and fields are the graph's; type is never 0 unless there are fields */
    uint32_t element_bytes;     /* in memory; 0 for strings */
} qn_array_form;

/* Elements are strings. */
static inline int qn_array_form_has_strings(const qn_array_form *form)
{
    return form->options.field_count == 0 && form->options.type == QUERN_BYTES;
}

#endif
