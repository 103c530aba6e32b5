/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/record_format.h: a format whose records are more than what stands between delimiters, and how it is to be read.
 */
#ifndef QN_DATA_RECORD_FORMAT_H
#define QN_DATA_RECORD_FORMAT_H

#include <quern/formats.h>
#include <stdbool.h>

typedef enum qn_record_kind {
    QN_RECORDS_SEQUENCES,
    QN_RECORDS_ROWS,
    QN_RECORDS_FILES,
} qn_record_kind;

typedef struct qn_sequence_format {
    quern_sequence_format format;
    quern_sequence_value value;
    bool interleaved;       /* pairs */
    uint32_t piece_bases;   /* 0: whole sequences */
    uint32_t overlap_bases; /* at most half of it */
} qn_sequence_format;

typedef struct qn_row_format {
    char separator;
    bool has_quotes, has_quoted_newlines, has_header, is_ragged;
    uint32_t key_column;
    const char *key_name; /* NULL: by its number */
} qn_row_format;

typedef struct qn_record_format {
    qn_record_kind kind;
    qn_sequence_format sequences; /* SEQUENCES */
    qn_row_format rows;           /* ROWS */
} qn_record_format;

#endif
