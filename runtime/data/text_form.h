/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/data/text_form.h: how records become lines of text. */
#ifndef QN_DATA_TEXT_FORM_H
#define QN_DATA_TEXT_FORM_H

#include <quern/dataset.h>
#include <stdbool.h>

/* Where the form is QUERN_FORM_TEXT all else is 0. */
typedef struct qn_text_form {
    quern_form form;
    char separator;           /* of fields */
    bool is_row;              /* the value has the fields */
    char row_separator;       /* of them in it */
    bool row_has_quotes;      /* they may be quoted there */
    const char *const *names; /* [name_count]: the header of files; the graph's */
    size_t name_count;
} qn_text_form;

/* An ASCII byte that is neither a quote nor part of a line break. */
static inline bool qn_may_separate(char separator)
{
    return (unsigned char)separator < 128 && separator != 0 && separator != '"' && separator != '\n' &&
           separator != '\r';
}

#endif
