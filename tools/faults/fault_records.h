/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_records.h: records in an array, and plain loops that do with them what the library's operators do. Without memory they end the process.
 */
#ifndef QN_FAULTS_FAULT_RECORDS_H
#define QN_FAULTS_FAULT_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/faults/fault_job.h"

typedef struct qn_fault_record {
    uint32_t word;
    uint64_t value;
} qn_fault_record;

typedef struct qn_fault_records {
    qn_fault_record *items; /* [count]; owned */
    size_t count, room;
} qn_fault_records;

void qn_fault_records_free(qn_fault_records *records);

/* Words of an input and the bytes at which they are, with the job's copies. */
qn_fault_records qn_fault_records_read(const qn_fault_job *job, bool is_other);
/* What the job begins with. */
qn_fault_records qn_fault_records_source(const qn_fault_job *job);

/* One record for each word: how many there were, or the sum of their values. */
void qn_fault_records_reduce(qn_fault_records *records, bool counts);
/* By their words' bytes, or as qn_fault_text_compare() says; of one word by value. */
void qn_fault_records_sort(qn_fault_records *records, bool compares, bool descends, bool values_descend);
/* The first ones by value, the largest first; of equal values by word. */
void qn_fault_records_top(qn_fault_records *records, size_t count);
/* A turn of a loop. base: what QN_FAULT_TURN_JOIN reads, once each word. */
void qn_fault_records_turn(qn_fault_records *state, const qn_fault_job *job, uint32_t turn,
                           const qn_fault_records *base);

/* What the last run makes of the last state and of the input. */
void qn_fault_records_end(qn_fault_records *state, const qn_fault_job *job, const qn_fault_records *input);
/* Instead of the input: each word that a link begins or ends at, and what it has after as many steps as the job has turns. */
qn_fault_records qn_fault_records_flow(const qn_fault_job *job);

/* Of sorted ones: where those of the same word, from `begin` on, end; of another word, those behind `begin`; and the first word of both. */
size_t qn_fault_records_same(const qn_fault_records *records, size_t begin);
size_t qn_fault_records_same_as(const qn_fault_records *records, size_t begin, uint32_t word);
uint32_t qn_fault_records_first(const qn_fault_records *left, size_t i, const qn_fault_records *right, size_t j);

/* What the library's callbacks do, too. */
uint64_t qn_fault_records_mapped(uint64_t value, uint32_t turn);
uint64_t qn_fault_records_bounded(uint64_t value);
/* The end of a link from the word at that byte. */
uint32_t qn_fault_records_target(const qn_fault_job *job, uint32_t word, uint64_t at);
uint32_t qn_fault_records_neighbour(const qn_fault_job *job, uint32_t word, uint32_t turn);

#endif
