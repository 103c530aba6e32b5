/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/array_output.h: what records become when they are written as an array: rows of one length, and how the array lies
 * in its file.
 */
#ifndef QN_DATA_ARRAY_OUTPUT_H
#define QN_DATA_ARRAY_OUTPUT_H

#include <quern/hdf5.h>
#include <stdbool.h>

#include "runtime/data/array_form.h"

/* What a key or a value takes of a row. */
typedef struct qn_array_span {
    uint32_t bytes;                    /* 0: it is not written. Of strings of any length: of pointers to them */
    bool pads;                         /* shorter ones are filled with NUL */
    bool varies;                       /* it has strings of any length */
    uint32_t first_field, field_count; /* 0: it is an element, or a row of them */
} qn_array_span;

typedef struct qn_array_output {
    quern_hdf5_write_options
        options; /* its texts, fields and numbers are the graph's; type is never 0 unless there are fields */
    qn_array_span key, value;
    uint32_t element_bytes;
    uint64_t row_bytes;  /* of key and value */
    uint64_t chunk_rows; /* not more than 2^32 - 1 */
    uint64_t row_chunks; /* chunks that a row lies in; options.chunk_dims is set if there are row_dims */
    bool varies;         /* elements have strings of any length */
    bool is_single;      /* HDF5 has one rank write a file */
} qn_array_output;

#endif
