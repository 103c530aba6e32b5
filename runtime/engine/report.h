/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/report.h: what a run did, as JSON, and the check that no record was lost.
 *
 * Figures of every rank are gathered on rank 0 after each stage. The balance of records is verified on all ranks.
 */
#ifndef QN_ENGINE_REPORT_H
#define QN_ENGINE_REPORT_H

#include <stdio.h>

#include "runtime/engine/stage_run.h"

#define QN_EDGE_COUNT_MAX (QN_STEP_COUNT_MAX + 1)

/* Sums over all ranks of what passed one operator. */
typedef struct qn_report_edge {
    char name[64];
    qn_edge_stats stats;
    qn_foreseen
        foreseen; /* bytes, before the run; of a source that it reads, else that come out, or arrive at the end */
} qn_report_edge;

/* What leads to a stage's end: where it comes from, and its edges. */
typedef struct qn_report_leg {
    uint32_t parent; /* among the run's stages; QN_STAGE_NONE: files or memory */
    uint32_t first_edge, operator_count;
    char input[128]; /* of files, the first path, and how many more; empty: memory */
} qn_report_leg;

typedef struct qn_report_stage {
    const char *name;
    const char *end_name;
    quern_status status; /* the run's failure, if it happened here */
    double seconds;
    double start_seconds; /* from the begin of the run */
    uint32_t index;       /* among the run's stages */
    uint32_t leg_count;
    qn_report_leg legs[QN_LEG_COUNT_MAX];
    qn_one_reader one_reader; /* on rank 0 */
    uint32_t edge_count;
    qn_report_edge edges[QN_EDGE_COUNT_MAX];
    qn_stage_figures *ranks;                        /* [size] on rank 0 */
    qn_hot_keys hot_keys;                           /* of all ranks, on rank 0 */
    uint64_t read_bytes, sent_bytes, spilled_bytes; /* over all ranks, on every rank */
    uint64_t leg_bytes[QN_LEG_COUNT_MAX];           /* the same: read by each leg */
    qn_bad_log *bad;                                /* [bad_count] on rank 0: of legs that pass over bad records */
    uint32_t bad_count;
} qn_report_stage;

typedef struct qn_report {
    qn_report_stage *stages; /* [stage_count] */
    uint32_t stage_count;
    uint64_t start_ns;
    const char *path; /* rank 0: where to write it; NULL: nowhere; borrowed */
    FILE *file; /* open from the begin on, so that a job does not work for hours for a report that cannot be written */
    bool created_file; /* it was not there before, and nothing is written yet */
} qn_report;

/* path: of the file, on rank 0; NULL where none is wanted; borrowed until fini. What the file holds stays until
 * qn_report_write(). QUERN_ERROR_OUTPUT if it cannot be written, QUERN_ERROR_NO_MEMORY. */
quern_status qn_report_init(qn_report *report, uint32_t stage_count_max, const char *path, qn_error *error);
/* Takes a zeroed one. A file that was made for a report that was not written is removed. */
void qn_report_fini(qn_report *report);

/* Collective: sums and gathers one stage that ended with `outcome` on all ranks. Of a stage that succeeded it checks that the records balance: QUERN_ERROR_IMBALANCE. */
quern_status qn_report_add_stage(qn_report *report, const qn_stage_run *run, quern_status outcome, double seconds,
                                 qn_error *error);

/* Collective, if somebody is to see the job, which all ranks know: writes the JSON on rank 0, if its file is open, over what the file holds.
 * outcome: of the run. A report that cannot be written is a failure only if the run was none. */
quern_status qn_report_write(qn_report *report, qn_engine *engine, const qn_error *outcome, qn_error *error);
/* The report of a run that failed before its ranks could make one, or of a job that came to no run: what rank 0 knows alone. Local; elsewhere nothing happens.
 * What cannot be written is left. */
void qn_report_write_failure(qn_engine *engine, const qn_error *outcome);

#endif
