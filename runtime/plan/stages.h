/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/plan/stages.h: the graph cut at its shuffles into stages, in the order in which they run.
 *
 * A stage reads a source or the result of an earlier stage, sends the records through a chain of operators, and ends in a reduction or
 * an output. Stages that end in the same reduction are one stage; its result is read as often as needed and freed after its
 * last reader.
 */
#ifndef QN_PLAN_STAGES_H
#define QN_PLAN_STAGES_H

#include "runtime/plan/graph.h"

#define QN_STAGE_COUNT_MAX 64
#define QN_CHAIN_COUNT_MAX 64 /* operators of one stage */
#define QN_STAGE_NONE      UINT32_MAX

typedef struct qn_stage {
    const qn_node *source;                        /* a source, or the reduction whose result is read */
    uint32_t parent;                              /* the stage that makes that result, or QN_STAGE_NONE */
    const qn_node *operators[QN_CHAIN_COUNT_MAX]; /* [operator_count], in the order of work */
    uint32_t operator_count;
    const qn_node *reduce; /* one of the two */
    const qn_sink *sink;
    quern_schema schema;  /* of the records that arrive there */
    uint32_t last_reader; /* of the reduction's result */
} qn_stage;

typedef struct qn_stages {
    qn_stage items[QN_STAGE_COUNT_MAX];
    uint32_t count;
    uint32_t live_max; /* results that exist at the same time, at most: what the memory is shared among */
} qn_stages;

/* Cuts everything that the sinks ask for. QUERN_ERROR_INVALID_PLAN beyond the limits above. */
quern_status qn_stages_create(qn_stages *stages, const qn_graph *graph, qn_error *error);

#endif
