/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/stage_run.h: one stage on one rank, from its first record to its last round.
 *
 * A rank reads its parts of the earlier results that legs of the stage read, or its arrays in memory, leg after leg; then the tasks that the master hands out,
 * each of one leg; sends each block through the leg's chain; and puts what comes out into the stage's result or sink.
 */
#ifndef QN_ENGINE_STAGE_RUN_H
#define QN_ENGINE_STAGE_RUN_H

#include "runtime/base/clock.h"
#include "runtime/base/timeline.h"
#include "runtime/data/hot_keys.h"
#include "runtime/engine/agent.h"
#include "runtime/engine/bad_log.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/identities.h"
#include "runtime/engine/rank_shows.h"
#include "runtime/engine/sink.h"
#include "runtime/engine/watchdog.h"
#include "runtime/io/source.h"

/* Figures of one stage on one rank: X(field, what it means). All uint64_t; the report shows each. */
#define QN_STAGE_FIGURES(X)                                                                                            \
    X(tasks, "tasks finished here")                                                                                    \
    X(local_tasks, "of these, of files that only this node has")                                                       \
    X(attempts, "attempts begun here")                                                                                 \
    X(attempts_failed, "of these, failed")                                                                             \
    X(second_attempts, "second attempts begun here, of tasks that other ranks had in hand")                            \
    X(second_attempts_won, "of these, that took over and counted; the others were dropped")                            \
    X(tasks_left, "tasks, or the rest of them, left to other ranks that had nothing to do")                            \
    X(input_bytes, "bytes of the tasks finished here")                                                                 \
    X(source_records, "records that the source gave")                                                                  \
    X(cached_records, "of these, kept from an earlier run")                                                            \
    X(end_records, "records that arrived at the stage's end")                                                          \
    X(owned_records, "records that this rank's part of the result is made of: the load")                               \
    X(merged_records, "records combined into others")                                                                  \
    X(shuffle_rounds, "rounds of collectives")                                                                         \
    X(sent_records, "records sent to other ranks")                                                                     \
    X(sent_bytes, "bytes sent, headers included")                                                                      \
    X(sent_plain_bytes, "the same before what goes to other nodes was compressed")                                     \
    X(received_records, "records received")                                                                            \
    X(received_bytes, "bytes received")                                                                                \
    X(spill_runs, "runs spilled from memory")                                                                          \
    X(spilled_bytes, "bytes written to scratch, merged runs included")                                                 \
    X(table_bytes_peak, "the most that the tables took")                                                               \
    X(broadcast_bytes, "bytes of the tables of broadcast joins: this rank's part of the node's")                       \
    X(work_ns, "time in reading, operators and combining")                                                             \
    X(wait_ns, "time with nothing to do, or waiting for room")                                                         \
    X(shuffle_ns, "time in rounds: packing, exchanging, combining what arrived, spilling it")                          \
    X(exchange_ns, "of this, time in the collectives themselves")                                                      \
    X(compress_ns, "of shuffle_ns, time in compressing what goes to other nodes, and unpacking what comes")            \
    X(helper_turns, "times that the helper thread stepped in for a slow callback")

typedef struct qn_stage_figures {
#define QN_FIGURE_FIELD(field, meaning) uint64_t field;
    QN_STAGE_FIGURES(QN_FIGURE_FIELD)
#undef QN_FIGURE_FIELD
} qn_stage_figures;

#define QN_STAGE_FIGURE_COUNT (sizeof(qn_stage_figures) / sizeof(uint64_t))

/* Those of the rounds of a shuffle, when it is over. */
void qn_stage_figures_take_rounds(qn_stage_figures *figures, const qn_rounds *rounds);

typedef struct qn_stage_run qn_stage_run;

/* Parts that an earlier attempt at the job finished, as its journal says; on other ranks than 0 empty at first. */
typedef struct qn_kept_output {
    qn_part_list list;
    uint64_t part_count; /* of the whole output */
    bool is_settled;     /* a stage took them up or removed them */
} qn_kept_output;

/* Where the chain of a leg ends. */
typedef struct qn_leg_end {
    qn_stage_run *run;
    uint32_t leg;
} qn_leg_end;

struct qn_link_run;

struct qn_stage_run {
    qn_engine *engine;
    const qn_stages *stages; /* of the run, and the one that this is */
    uint32_t index;
    const qn_stage *stage;
    bool restores;          /* an earlier attempt at the job has saved some of the collated result */
    bool keeps;             /* and the ranks rest before anything else comes, to go on with its files */
    bool is_restored;       /* or all of it: nothing is run */
    bool goes_on;           /* after an epoch of that attempt, which was through with what legs read of results */
    const int64_t *counted; /* what counters had before; borrowed */
    qn_result *from[QN_LEG_COUNT_MAX]; /* the results that legs read; NULL for those that are sources */
    const struct qn_lookup *lookups[QN_STEP_COUNT_MAX]; /* of the steps that are broadcast joins; borrowed */
    struct qn_link_run *links;                          /* one of the four is not NULL; borrowed */
    qn_result *into;                                    /* this one exchanges records */
    qn_result *stored;
    qn_sink_writer *writer;
    qn_kept_output *kept;                      /* of the output; NULL: none; borrowed */
    const qn_sink_writer *writers;             /* [stages->count] of the run; borrowed */
    bool notes_parts;                          /* those that are made are told to the master */
    qn_part_notes notes;                       /* rank 0 */
    uint64_t first_part[QN_LEG_COUNT_MAX + 1]; /* of the output, that each leg makes; the last one: how many in all */
    qn_place
        *places[QN_LEG_COUNT_MAX]; /* of the parts of the stored result that a leg reads, if it needs them; owned */
    qn_far_tasks far;              /* rank 0: of files that nodes have for themselves; owned */
    qn_master master;              /* rank 0 */
    uint64_t delivered_before;     /* its, when the stage is over */
    qn_one_reader one_reader;      /* the same */
    qn_agent agent;
    qn_rank_shows shows;
    struct qn_task_runner *tasks;         /* what this rank has of tasks between rests; NULL: nothing yet; owned */
    qn_chain chains[QN_LEG_COUNT_MAX];    /* of the operators of each leg, but for one that reads groups */
    qn_chain groupings[QN_LEG_COUNT_MAX]; /* of that one; its end is the chain of the others */
    struct qn_apart *apart;               /* the process that they run in, if the user asked for one; else NULL */
    qn_watchdog watchdog;
    qn_leg_end ends[QN_LEG_COUNT_MAX];
    uint64_t first_element
        [QN_LEG_COUNT_MAX];   /* of a leg that reads memory, and needs it: how many elements lower ranks have */
    qn_identities identities; /* of the block that is being worked on, in legs with a sample */
    qn_stage_figures figures;
    bool is_second;                            /* a second attempt is being worked on: nothing of it counts yet */
    uint64_t source_bytes[QN_LEG_COUNT_MAX];   /* read by each leg: of files, or keys and values of a result */
    uint64_t source_records[QN_LEG_COUNT_MAX]; /* of figures.source_records, those of each leg */
    uint64_t result_records;                   /* that legs have to read here of results and arrays, about */
    uint64_t
        beside_records[QN_LEG_COUNT_MAX]; /* of source_records, those of a side that an earlier run kept in order */
    qn_hot_keys hot_keys;                 /* of what arrived at the end */
    qn_quarantine *quarantine;            /* of the run; borrowed */
    uint32_t number;                      /* of the stage in the report */
    qn_bad_log bad[QN_LEG_COUNT_MAX];     /* of legs that read sources */
    qn_edge_stats edges[QN_STEP_COUNT_MAX + 1]; /* of this rank and of every step, when it is over */
};

/* What the parts of a stage_run share, inside the gate. A place to wait: progress, and if there was none, sleep. as: WAIT or IDLE. */
void qn_stage_run_wait(qn_stage_run *run, qn_backoff *backoff, qn_timeline_state as);
/* Whether an attempt's records are a part, which is dropped as a whole; and such a part, number `place` of its leg. is_second: another rank
 * has one of that number, too, until this one is adopted. */
bool qn_stage_makes_parts(const qn_stage_run *run);
/* Why an attempt of this rank failed that is made again here, without rank 0. at: what it was an attempt at. */
void qn_stage_log_attempt(const qn_stage_run *run, const char *at, uint32_t attempt, const char *why);
quern_status qn_stage_begin_part(qn_stage_run *run, uint32_t leg, uint64_t place, bool is_second, qn_error *error);
quern_status qn_stage_adopt_part(qn_stage_run *run, qn_error *error);
quern_status qn_stage_end_part(qn_stage_run *run, qn_error *error);
void qn_stage_drop_part(qn_stage_run *run);
/* What there may be of bad records in a leg. */
const qn_bad_limit *qn_stage_bad_limit(const qn_stage_run *run, uint32_t leg);

/* Collective; the same outcome on all ranks. The run keeps figures and edges. */
quern_status qn_stage_run_all(qn_stage_run *run, qn_error *error);
/* The same with a stage of which all is saved, of a collated result. It keeps nothing. */
quern_status qn_stage_restore_all(qn_stage_run *run, qn_error *error);

#endif
