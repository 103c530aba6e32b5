/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/engine.h: runs a graph on the ranks of a communicator.
 */
#ifndef QN_ENGINE_ENGINE_H
#define QN_ENGINE_ENGINE_H

#include "runtime/base/log.h"
#include "runtime/base/timeline.h"
#include "runtime/comm/comm.h"
#include "runtime/engine/board.h"
#include "runtime/engine/cache.h"
#include "runtime/engine/checkpoint.h"
#include "runtime/engine/disk_watch.h"
#include "runtime/engine/failed_attempts.h"
#include "runtime/engine/job_pages.h"
#include "runtime/engine/job_status.h"
#include "runtime/engine/progress.h"
#include "runtime/engine/progress_lines.h"
#include "runtime/engine/settings.h"
#include "runtime/engine/site.h"
#include "runtime/exec/chain.h"
#include "runtime/plan/explain.h"
#include "runtime/shuffle/rounds.h"
#include "runtime/topology/topology.h"

#define QN_RECOVERY_COUNT_MAX 16 /* in the life of an engine: what kills rank after rank is not to kill them all */

struct qn_heartbeat;

/* A loss of ranks after which the others went on. */
typedef struct qn_recovered {
    qn_comm_loss loss;
    double seconds; /* from when this rank noticed until it could begin again */
    bool from_checkpoint;
} qn_recovered;

typedef struct qn_engine {
    qn_comm *comm;
    qn_settings settings;
    qn_log log;
    qn_topology *topology;
    qn_pin_place place;        /* of this rank */
    uint32_t *rank_node;       /* rank 0: [size] */
    uint64_t node_names;       /* a digest of the names of all nodes, in any order; the same on all ranks */
    uint64_t first_node_names; /* as it was before any was lost */
    uint32_t stage_number;     /* stages begun in the life of the engine */
    uint32_t run_count;        /* runs that set bad records apart */
    qn_job_status *status;     /* for others to see; NULL: not asked for, or not rank 0 */
    qn_job_pages pages;        /* the same */
    qn_disk_watch *scratch;    /* on who speaks for the node, once ranks are shown; else NULL */
    bool has_report;           /* of the last run, rank 0 wrote it */
    qn_failed_attempts failed; /* in the last run */
    qn_board *board;           /* of all ranks, while they work; NULL: nobody wants to see it, or not rank 0 */
    qn_progress progress;
    qn_progress_lines lines;                 /* which the options progress and explain ask for */
    qn_cache cache;                          /* results of earlier runs */
    qn_checkpoint checkpoint;                /* what is durable */
    qn_givens givens;                        /* by which what is durable is known to be of this work */
    uint64_t node_files[QN_STAGE_COUNT_MAX]; /* node_tasks.h; the same on all ranks */
    uint32_t node_files_run;                 /* of which run, by the checkpoint's count */
    quern_status last_run;                   /* how it ended; QUERN_ERROR_NOT_RUN: there was none */
    qn_account *account;                     /* of the last run; NULL: none, or its graph was refused */
    struct quern_counter *counters;          /* of the context; borrowed */
    qn_site site;                            /* where this rank is */
    bool heeds_signals;                      /* that ask it to end */
    bool is_watched;                         /* it tells so if it crashes */
    struct qn_heartbeat *heartbeat;          /* and somebody notices if it hangs */
    qn_recovered recovered[QN_RECOVERY_COUNT_MAX];
    uint32_t recovery_count;
    uint64_t run_ns; /* when the run began, with the attempts of which ranks were lost */
    uint64_t sent_group_bytes[QN_ROUNDS_GROUPS_MAX]; /* in this run, to each group of ranks */
    qn_timeline *_Atomic timeline;                   /* of this rank's working thread; NULL: nobody wants to see it */
    uint64_t begun_bytes;                            /* of memory, that it had before the first run */
    int64_t clock_ahead_ns; /* of rank 0's clock: what is to be added to this one's to get that one's */
    int64_t clock_error_ns; /* by which that may be wrong */
} qn_engine;

/* Takes the communicator on success; decides settings, pins. Collective; the same outcome on all ranks. */
quern_status qn_engine_create(qn_engine *engine, qn_comm *comm, const quern_options *options, qn_error *error);
/* Collective. */
void qn_engine_destroy(qn_engine *engine);

/* Fills in what is foreseen of the bytes in a plan, as far as it is quickly looked up. Local. */
void qn_engine_foresee(const qn_engine *engine, qn_account *account);
/* On rank 0 shows a plan that is not to be run: in the job directory, or to who listens. Local. QUERN_ERROR_OUTPUT. */
quern_status qn_engine_give_plan(qn_engine *engine, const char *text, qn_error *error);

/* From the next run on fn is told what happens, if this is rank 0; NULL: nobody is. Local. QUERN_ERROR_SYSTEM. */
quern_status qn_engine_listen(qn_engine *engine, quern_progress_fn fn, void *user, qn_error *error);

/* Runs everything the graph's sinks ask for, and what it wants to have cached. Collective; the same outcome on all ranks. */
quern_status qn_engine_run(qn_engine *engine, const qn_graph *graph, struct quern_counter *counters, qn_error *error);

/* All ranks say the same, and learn that they do; with an error that is set already, they learn of that. QUERN_ERROR_PLAN_MISMATCH if they do not. Collective; the
 * same outcome on all ranks. */
quern_status qn_engine_decide(qn_engine *engine, bool mine, bool *all_out, qn_error *error);

#endif
