/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_answer.h: the right answers, worked out by plain loops over the words, and whether the outputs are these.
 *
 * Of each line a digest is taken. Where an operator promises an order the lines have to come in it, part by part; else their sum is compared.
 */
#ifndef QN_FAULTS_FAULT_ANSWER_H
#define QN_FAULTS_FAULT_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "tools/faults/fault_job.h"

typedef struct qn_fault_answer {
    uint64_t sum, ordered, line_count;
} qn_fault_answer;

void qn_fault_answer_add(qn_fault_answer *answer, const char *line, size_t bytes);
/* Works out all answers of a job. The rest is about the job that was last prepared. */
void qn_fault_answer_prepare(const qn_fault_job *job);
/* What each rank collects of a turn, in any order. */
const qn_fault_answer *qn_fault_answer_of_turn(uint32_t turn);
/* What the first rank is handed as the largest values, in order. */
const qn_fault_answer *qn_fault_answer_of_top(void);
/* In the job's directory, which is the present one: what is wrong with what it left, or NULL. Static text. */
const char *qn_fault_answer_judge(void);
/* Removes its outputs, as a person would who is told that they are in the way. */
void qn_fault_answer_clear(void);

/* Of values in their order, from 0 on. */
uint64_t qn_fault_answer_fold(uint64_t digest, uint64_t value);

#endif
