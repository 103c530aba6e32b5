/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_text.h: the words of the inputs, which are made by chance, and read again without a file where the answer is worked out.
 */
#ifndef QN_FAULTS_FAULT_TEXT_H
#define QN_FAULTS_FAULT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/faults/fault_job.h"

#define QN_FAULT_LINE_BYTES_MAX 64
#define QN_FAULT_WORDS_MAX      8192

/* A line of an input, from its first one on. */
typedef struct qn_fault_text {
    const qn_fault_job *job;
    uint64_t random;
    uint32_t left_count;
    uint32_t word;
    uint64_t at; /* byte */
    const char *line;
    size_t bytes;
} qn_fault_text;

/* is_other: the second input. */
qn_fault_text qn_fault_text_begin(const qn_fault_job *job, bool is_other);
/* False: there is none left. */
bool qn_fault_text_next(qn_fault_text *text);

/* A line without its end; lives as long as the process. */
const char *qn_fault_text_of(uint32_t word, size_t *bytes_out);
uint32_t qn_fault_text_parse(const void *line, size_t bytes);
/* In decimal; returns what follows. */
char *qn_fault_text_put(char *at, uint64_t number);
/* An order of words that is not that of bytes: the shorter one first. */
int qn_fault_text_compare(const void *left, size_t left_bytes, const void *right, size_t right_bytes);

/* Of the job whose directory is the present one: writes its inputs, and the file by which `quern run` keeps a checkpoint. False: the file system refuses. */
bool qn_fault_text_prepare(const qn_fault_job *job);

#endif
