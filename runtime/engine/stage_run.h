/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/stage_run.h: one stage on one rank, from its first record to its last round.
 *
 * A stage reads tasks that the master hands out, or this rank's part of an earlier result; sends each block through the chain; and
 * puts what comes out into its shuffle or its sink.
 */
#ifndef QN_ENGINE_STAGE_RUN_H
#define QN_ENGINE_STAGE_RUN_H

#include "runtime/engine/agent.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/sink.h"

/* Figures of one stage on one rank: X(field, what it means). All uint64_t; the report shows each. */
#define QN_STAGE_FIGURES(X)                                                                                            \
    X(tasks, "tasks finished here")                                                                                    \
    X(attempts, "attempts begun here")                                                                                 \
    X(attempts_failed, "of these, failed")                                                                             \
    X(input_bytes, "bytes of the tasks finished here")                                                                 \
    X(source_records, "records that the source gave")                                                                  \
    X(end_records, "records that arrived at the stage's end")                                                          \
    X(merged_records, "records combined into others")                                                                  \
    X(shuffle_rounds, "rounds of collectives")                                                                         \
    X(sent_records, "records sent to other ranks")                                                                     \
    X(sent_bytes, "bytes sent, headers included")                                                                      \
    X(received_records, "records received")                                                                            \
    X(received_bytes, "bytes received")                                                                                \
    X(spill_runs, "runs spilled from memory")                                                                          \
    X(spilled_bytes, "bytes written to scratch, merged runs included")                                                 \
    X(table_bytes_peak, "the most that the tables took")                                                               \
    X(work_ns, "time in reading, operators and combining")                                                             \
    X(wait_ns, "time with nothing to do, or waiting for room")                                                         \
    X(shuffle_ns, "time in rounds: packing, exchanging, combining what arrived, spilling it")                          \
    X(exchange_ns, "of this, time in the collectives themselves")                                                      \
    X(helper_turns, "times that the helper thread stepped in for a slow callback")

typedef struct qn_stage_figures {
#define QN_FIGURE_FIELD(field, meaning) uint64_t field;
    QN_STAGE_FIGURES(QN_FIGURE_FIELD)
#undef QN_FIGURE_FIELD
} qn_stage_figures;

#define QN_STAGE_FIGURE_COUNT (sizeof(qn_stage_figures) / sizeof(uint64_t))

typedef struct qn_stage_run {
    qn_engine *engine;
    const qn_stage *stage;
    qn_shuffle *from; /* the result that is read; NULL for a source */
    qn_shuffle *into; /* one of the two is not NULL */
    qn_sink_writer *writer;
    qn_master master; /* rank 0 */
    qn_agent agent;
    qn_chain chain;
    qn_stage_figures figures;
    qn_edge_stats edges[QN_CHAIN_COUNT_MAX]; /* of this rank, when it is over */
} qn_stage_run;

/* Collective; the same outcome on all ranks. The run keeps figures and edges. */
quern_status qn_stage_run_all(qn_stage_run *run, qn_error *error);

#endif
