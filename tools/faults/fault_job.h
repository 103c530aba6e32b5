/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_job.h: the jobs that are put to the test, and their right answers.
 *
 * A job counts the lines of a file that was made by chance, through a callback that takes time and fails now and then; and with two stages, counts once
 * more what was counted. The answer is known without it.
 */
#ifndef QN_FAULTS_FAULT_JOB_H
#define QN_FAULTS_FAULT_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/faults/fault_world.h"

typedef struct qn_fault_job {
    uint64_t seed;
    uint32_t line_count, word_count; /* different ones, at most */
    uint64_t split_bytes, every_ms, memory_bytes, task_batch;
    uint64_t callback_ns; /* of a line, at most */
    uint32_t copy_count;  /* of each line that a flat map emits; 0: there is none */
    bool has_two_stages, saves;
    bool writes_lines; /* as they come, into an output of their own */
    bool reads_both;   /* a stage that reads the counts, and then the input once more */
} qn_fault_job;

/* By chance from a seed. */
qn_fault_job qn_fault_job_draw(uint64_t seed);
/* Of the job whose directory is the present one: writes its input, and the file by which `quern run` keeps a checkpoint. False: the file system refuses. */
bool qn_fault_job_prepare(const qn_fault_job *job);
/* Plays one attempt, and ends the process: with the exit status of the job, or of the world. */
void qn_fault_job_play(const qn_fault_job *job, const qn_fault_weather *weather, qn_fault_report *report)
    __attribute__((noreturn));
/* Removes its outputs, as a person would who is told that they are in the way. */
void qn_fault_job_clear(const qn_fault_job *job);
/* What is wrong with what the job left, or NULL. Static text. */
const char *qn_fault_job_judge(const qn_fault_job *job);

#endif
