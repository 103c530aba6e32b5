/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/plan/explain.h: a plan, and what became of it, as text: lines for people, or a graph for Graphviz.
 *
 * An account is the stages and, once they ran, their figures, which whoever ran them notes. The text is made of the account
 * alone: the same account gives the same text.
 *
 * Names and paths may be any bytes. They are shown in double quotes, with \" and \\ for these two and \xNN for each byte
 * that is a control character or not valid UTF-8, so that a text is valid UTF-8 without control characters but for the
 * ends of its lines. In the graph these shown forms are quoted once more, by the rules of dot.
 */
#ifndef QN_PLAN_EXPLAIN_H
#define QN_PLAN_EXPLAIN_H

#include <quern/options.h>

#include "runtime/plan/join_choice.h"

#define QN_EXPLAIN_PATH_COUNT_MAX 3 /* of a source are shown; of the others the number */

typedef enum qn_foreseen_kind {
    QN_FORESEEN_NOT,
    QN_FORESEEN_ABOUT,
    QN_FORESEEN_AT_MOST,
} qn_foreseen_kind;

/* Bytes, before they are counted. */
typedef struct qn_foreseen {
    qn_foreseen_kind kind;
    uint64_t bytes;
} qn_foreseen;

/* Sums over all ranks of what passed a source, an operator or an end. */
typedef struct qn_step_facts {
    uint64_t records_in, records_out, records_dropped;
} qn_step_facts;

typedef struct qn_stage_facts {
    qn_foreseen reads[QN_LEG_COUNT_MAX]; /* before it runs: by the legs' sources */
    qn_foreseen
        gives[QN_STEP_COUNT_MAX + 1]; /* the same: behind each source and operator, and what arrives at the end */
    qn_foreseen kept;                 /* of a result that is kept: what it takes, on all ranks, where that is known */
    bool ran;                         /* the rest is known */
    uint64_t leg_bytes[QN_LEG_COUNT_MAX]; /* read by each leg: of files, or of a result's keys and values */
    quern_status status;
    uint64_t elapsed_ms;                            /* on this rank */
    uint64_t read_bytes, sent_bytes, spilled_bytes; /* of all ranks */
    qn_step_facts steps[QN_STEP_COUNT_MAX + 1];
} qn_stage_facts;

typedef struct qn_account {
    qn_stages stages;
    bool ran;
    quern_status status; /* of the run */
    qn_stage_facts facts[QN_STAGE_COUNT_MAX];
} qn_account;

/* The account of what the graph's sinks ask for, of which nothing ran. Chooses how joins are to be made (join_choice.h); the order of
 * what it asks for is the same wherever the answers are. The caller frees it. Errors of qn_stages_create(), and
 * QUERN_ERROR_NO_MEMORY. The graph must live as long. */
quern_status qn_account_create(const qn_graph *graph, const qn_known_sizes *sizes, qn_account **account_out,
                               qn_error *error);

/* What is foreseen of a stage's source or operator, by its step, or of what arrives at its end. A source's is what it reads, which may be
 * known where what it gives is not. */
qn_foreseen qn_account_size_at(const qn_account *account, uint32_t stage, uint32_t step);

/* The text, ending in NUL; the caller frees it. form: TEXT or DOT. QUERN_ERROR_NO_MEMORY. */
quern_status qn_account_explain(const qn_account *account, quern_explain_form form, char **text_out, qn_error *error);

#endif
