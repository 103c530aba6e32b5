/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/csv_field.h: one field of a row of RFC 4180.
 */
#ifndef QN_DATA_CSV_FIELD_H
#define QN_DATA_CSV_FIELD_H

#include <stdbool.h>
#include <stddef.h>

typedef enum qn_csv_end {
    QN_CSV_SEPARATOR,
    QN_CSV_NEWLINE,
    QN_CSV_END,  /* of the data */
    QN_CSV_MORE, /* the field is not whole, or not known to be */
    QN_CSV_BAD, /* a quote where none can be, or something else behind a closing one; or at_end and the quotes are not closed */
} qn_csv_end;

typedef struct qn_csv_field {
    const char *data; /* within quotes, if it has any */
    size_t bytes;
    bool is_doubled; /* there are doubled quotes in it */
    size_t end;      /* of the whole field, quotes included */
    size_t next;     /* behind the separator or the line break */
} qn_csv_field;

/* The field that begins at data[at]; at_end: nothing comes behind data[0 … bytes). At QN_CSV_BAD field_out->end is the byte. */
qn_csv_end qn_csv_field_at(const char *data, size_t bytes, size_t at, bool at_end, char separator, bool has_quotes,
                           qn_csv_field *field_out);

/* Writes the field without its doubled quotes; returns the bytes. */
size_t qn_csv_unquote(const qn_csv_field *field, char *to);

#endif
