/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_job.h: the jobs that are put to the test, and how they are played.
 *
 * A job reads lines of a file that was made by chance, through a callback that takes time and fails now and then. What it does with them
 * (fault_graph.h) is of one of some kinds; what has to come of it is known without it (fault_answer.h).
 */
#ifndef QN_FAULTS_FAULT_JOB_H
#define QN_FAULTS_FAULT_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/faults/fault_world.h"

#define QN_FAULT_TURNS_MAX     5
#define QN_FAULT_PAD_BYTES_MAX 4000

typedef enum qn_fault_kind {
    QN_FAULT_COUNTS, /* reductions, and text as it comes */
    QN_FAULT_SORT,
    QN_FAULT_GROUP, /* and the largest values of each key */
    QN_FAULT_JOIN,  /* of two inputs, also cogroups */
    QN_FAULT_LOOP,  /* several runs, of which each keeps what the next one reads */
    QN_FAULT_STORE, /* what numbers, sums or chooses among all records */
    QN_FAULT_KIND_COUNT,
} qn_fault_kind;

extern const char *const qn_fault_kind_names[QN_FAULT_KIND_COUNT];

/* What jobs other than those of counts begin with: words and the bytes of the input at which they are, how often each word is there, or both. */
typedef enum qn_fault_source {
    QN_FAULT_RECORDS,
    QN_FAULT_REDUCED,
    QN_FAULT_BOTH,
    QN_FAULT_SOURCE_COUNT,
} qn_fault_source;

typedef enum qn_fault_group_way {
    QN_FAULT_GROUP_WHOLE, /* all values, twice */
    QN_FAULT_GROUP_BEGIN, /* some of the first ones */
    QN_FAULT_GROUP_EACH,  /* a record for each value */
    QN_FAULT_GROUP_TOP,
    QN_FAULT_GROUP_WAY_COUNT,
} qn_fault_group_way;

typedef enum qn_fault_turn_way {
    QN_FAULT_TURN_MAP,
    QN_FAULT_TURN_SPREAD, /* each word gives to another one, and what comes is summed */
    QN_FAULT_TURN_JOIN,   /* with the counts, which are kept */
    QN_FAULT_TURN_SORT,
    QN_FAULT_TURN_GROUP,
    QN_FAULT_TURN_WAY_COUNT,
} qn_fault_turn_way;

/* What the last run of a loop makes of the last state, and (but for the first way) of the input, which is read once more. */
typedef enum qn_fault_end_way {
    QN_FAULT_END_AS_IT_IS,
    QN_FAULT_END_REDUCED,
    QN_FAULT_END_SORTED,
    QN_FAULT_END_JOINED,
    QN_FAULT_END_WAY_COUNT,
} qn_fault_end_way;

/* What a run of a loop gives, as bits. */
enum { QN_FAULT_GIVES_FILES = 1, QN_FAULT_GIVES_RECORDS = 2 };

typedef enum qn_fault_store_way {
    QN_FAULT_STORE_DISTINCT,
    QN_FAULT_STORE_INDEX,
    QN_FAULT_STORE_SUMS,
    QN_FAULT_STORE_QUANTILES,
    QN_FAULT_STORE_TOP,
    QN_FAULT_STORE_WAY_COUNT,
} qn_fault_store_way;

typedef struct qn_fault_job {
    uint64_t seed;
    qn_fault_kind kind;
    uint32_t line_count, word_count; /* different ones, at most */
    uint64_t split_bytes, every_ms, memory_bytes, task_batch;
    uint64_t callback_ns; /* of a line, at most */
    uint32_t copy_count;  /* of each line that a flat map emits; 0: there is none */
    bool has_two_stages;  /* what comes of the first one is counted by key */
    bool saves;
    bool writes_lines; /* counts: as they come, into an output of their own */
    bool reads_both;   /* counts: a stage that reads the counts, and then the input once more */
    qn_fault_source source;
    uint32_t other_count; /* lines of the second input */
    uint32_t pad_bytes;   /* of each value, so that records do not fit the memory; 0: values are numbers */
    bool descends, compares, has_whole_keys;
    qn_fault_group_way group_way;
    uint32_t some_count; /* first values, or largest ones */
    bool cogroups, is_other_reduced;
    int join_type, join_strategy, join_outer; /* of quern/operators.h */
    bool flows;                               /* instead of runs, steps along links (quern/links.h) */
    bool iterates;                            /* by the library's own loop */
    uint32_t turn_count;
    qn_fault_turn_way turn_ways[QN_FAULT_TURNS_MAX];
    uint32_t gives[QN_FAULT_TURNS_MAX];
    qn_fault_end_way end_way;
    qn_fault_store_way store_way;
} qn_fault_job;

/* By chance from a seed; kind: QN_FAULT_KIND_COUNT leaves that to chance, too. */
qn_fault_job qn_fault_job_draw(uint64_t seed, qn_fault_kind kind);
/* Plays one attempt, and ends the process: with the exit status of the job, or of the world. */
void qn_fault_job_play(const qn_fault_job *job, const qn_fault_weather *weather, qn_fault_report *report)
    __attribute__((noreturn));
/* What callbacks do besides: takes time, and fails now and then. */
int qn_fault_job_work(void);

#endif
