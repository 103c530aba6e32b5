/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/array_varying.h: records with strings of any length, on their way to an array.
 *
 * As array_rows.h, but rows are as long as their strings: in the parts what varies stands with its length before it, and a part is read from
 * its begin to its end. Whoever begins elsewhere passes over what is before, once.
 *
 * An element in memory, as HDF5 takes it, has pointers to strings that end with NUL. So no string may hold one.
 */
#ifndef QN_IO_ARRAY_VARYING_H
#define QN_IO_ARRAY_VARYING_H

#include <stdio.h>

#include "runtime/base/buffer.h"
#include "runtime/io/array_rows.h"

/* Appends a key or a value that varies. QUERN_ERROR_OUTPUT: its bytes are not those of its fields, or as qn_part_write(). */
quern_status qn_array_varying_put(qn_part *part, const qn_array_output *form, const qn_array_span *span,
                                  const char *what, const void *data, size_t bytes, qn_error *error);

typedef struct qn_array_varying {
    const qn_array_rows *rows; /* borrowed: names and counts of parts */
    const qn_array_output *form;
    FILE *part; /* NULL: none is open */
    uint64_t open_part;
    uint64_t next; /* the row behind the last that was read */
    qn_buffer row; /* the last one: its key, then its value */
    size_t key_bytes;
    bool is_ahead; /* that row was not taken yet */
    char *strings; /* [strings_capacity] */
    size_t strings_bytes, strings_capacity;
} qn_array_varying;

/* rows and form are borrowed until fini. */
void qn_array_varying_init(qn_array_varying *varying, const qn_array_rows *rows, const qn_array_output *form);
void qn_array_varying_fini(qn_array_varying *varying); /* takes a zeroed one */

/* Elements of rows [first, first + count_max), or of fewer, at least of one, if their strings are many bytes: how many. The strings live until the
 * next call. QUERN_ERROR_OUTPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_array_varying_read(qn_array_varying *varying, uint64_t first, uint64_t count_max, void *elements_out,
                                   uint64_t *count_out, qn_error *error);

#endif
