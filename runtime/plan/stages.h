/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/plan/stages.h: the graph cut at its shuffles into stages, in the order in which they run.
 *
 * A stage ends in a result (a reduction, say) or an output. What leads there is one or more legs: a leg reads a source or the
 * result of an earlier stage and sends the records through a chain of operators. There is more than one leg where datasets
 * were united or joined; all run within the stage, behind each other in the order of the graph, and records of each reach the same end. Stages
 * that end in the same result are one stage; it is read as often as needed and freed after its last reader, unless it is cached for
 * later runs. A result that is kept from an earlier run is a stage without legs.
 *
 * Where one side of a join or cogroup is kept in order, by an earlier run or a stage of this one, only the other side has legs.
 *
 * Everything that records pass is a step with a number: of each leg its source and its operators, and last of all the end.
 *
 *     leg 0:  source 0 ── operator 1 ── operator 2 ──┐
 *     leg 1:  source 3 ── operator 4 ────────────────┴── end 5
 */
#ifndef QN_PLAN_STAGES_H
#define QN_PLAN_STAGES_H

#include "runtime/plan/graph.h"

#define QN_STAGE_COUNT_MAX 64
#define QN_CHAIN_COUNT_MAX 64  /* operators of one leg */
#define QN_LEG_COUNT_MAX   32  /* of one stage */
#define QN_STEP_COUNT_MAX  128 /* sources and operators of one stage */
#define QN_STAGE_NONE      UINT32_MAX

typedef struct qn_leg {
    uint32_t parent; /* the stage whose result is read, or QN_STAGE_NONE: then the source is one */
    uint32_t first_step;
    uint32_t operator_count; /* they are the steps behind the source */
    uint32_t side;           /* which input of the stage's result its records are */
} qn_leg;

typedef struct qn_stage {
    qn_leg legs[QN_LEG_COUNT_MAX];
    uint32_t leg_count;
    const qn_node *steps[QN_STEP_COUNT_MAX]; /* [step_count]; a source is a node that reads, or whose result is read */
    uint32_t step_count;                     /* also the number of the end's step */
    const qn_node *result;                   /* one of the two */
    const qn_sink *sink;
    quern_schema schema;  /* of the records that arrive there, on side 0 */
    uint32_t last_reader; /* of the result */
    uint32_t kept;        /* the stage whose result is one side of this one's, in order; or QN_STAGE_NONE */
    uint32_t kept_side;   /* which of its inputs that is */
    uint32_t
        outer_side; /* the input of its result that is streamed past the other one, where it is collated to be joined */
    bool is_left_out; /* it does not run: a broadcast join took its place (join_choice.h) */
    bool is_made;     /* it has no legs and does not run: its result is kept from an earlier run */
} qn_stage;

typedef struct qn_stages {
    qn_stage items[QN_STAGE_COUNT_MAX];
    uint32_t count;
    /* Results that exist at the same time, at most: what the memory is shared among. Those of earlier runs are apart. */
    uint32_t live_max;
    uint32_t store_live_max;  /* of stores only */
    uint32_t moving_live_max; /* of all others, which need more than they keep */
    bool keeps_nothing;       /* in order, since that would be too many stages */
} qn_stages;

static inline const qn_node *qn_leg_source(const qn_stage *stage, uint32_t leg)
{
    return stage->steps[stage->legs[leg].first_step];
}

/* Whether the leg reads files, which the master lists and cuts into tasks; else what it reads is on the ranks already: a result, or their
 * arrays in memory. */
static inline bool qn_leg_has_tasks(const qn_stage *stage, uint32_t leg)
{
    return stage->legs[leg].parent == QN_STAGE_NONE && qn_leg_source(stage, leg)->kind != QN_NODE_MEMORY;
}

/* Each key once: then none of them is hot. */
bool qn_node_has_unique_keys(const qn_node *node);

/* The leg that a step belongs to; leg_count for the end. */
uint32_t qn_stage_leg_of(const qn_stage *stage, uint32_t step);

/* A dataset behind unions is fed by several sources, in each stage by that many legs: which of them this leg is for the dataset of a step
 * that it passes. The same in every stage in which the dataset is worked out. */
uint32_t qn_stage_way_of(const qn_stage *stage, uint32_t leg, uint32_t step);

/* The stage that makes a result; QN_STAGE_NONE. */
uint32_t qn_stages_find(const qn_stages *stages, const qn_node *result);

/* Whether the step is a join that looks its records up in a table; else what it reads is collated. */
bool qn_stage_looks_up(const qn_stage *stage, uint32_t step);

/* Whether the stage reads the result of another. */
bool qn_stage_reads(const qn_stage *stage, uint32_t parent);

/* After a run that succeeded: what it sorted of cached datasets, only to join it, will be sorted again by others like it. Gives those datasets
 * a sorted form, which the next such run makes. QUERN_ERROR_NO_MEMORY. */
quern_status qn_stages_learn(const qn_stages *stages, qn_graph *graph, qn_error *error);

/* Cuts everything that the sinks ask for. QUERN_ERROR_INVALID_PLAN beyond the limits above. */
quern_status qn_stages_create(qn_stages *stages, const qn_graph *graph, qn_error *error);

#endif
