/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/checkpoint.h: what is durable of a job, so that the next attempt at it need not begin at the begin.
 *
 * Intuition. A directory that all ranks see holds files of results, and a journal (journal.h) that says what they are. When a stage that ends in a
 * reduction, or in records in an order, is over, each rank writes its part of the result to a file of its own and syncs it; then rank 0 adds a line to the journal. What
 * has no line does not count, so a job may die at any moment. The next attempt makes the same calls; of each run
 * it looks which stages have a line, whether that is of the same work (digest), and whether its files are whole (saved.h);
 * those are read instead of run, and stages that only they would have read are not run either.
 *
 * Within a stage that reads files, the same is done now and then (epochs.h): all ranks leave their tasks where they
 * are, the rounds go on until every record that was emitted is at its home, and what is there is saved with the list of tasks that are
 * done, and the places where others go on. One line says all of it. So each record of a task is in what was saved, or comes behind the place
 * where the task goes on: never both, never neither.
 *
 * What a digest is of: the program's file and Quern's version; what the job was given besides (givens.h); the graph of the run and of all runs before; the
 * paths, sizes and times of change of the files
 * that the stage and those before it read, of those that each node has for itself as their nodes tell. What an earlier run kept has the digest that it
 * had there, for a run that gives files and nothing else: what is saved of others stays until the job ends, and loops would fill the disk.
 * Where something else goes in that cannot be looked at (arrays in memory, what loops keep), or where more than the result came of the stage (bad records), it is not saved.
 *
 * A run whose lines say that it is done, and that gave files and nothing else, is not run again, if it is of the same work, read nothing but files that are as
 * they were, and its outputs are: their manifests, and the sizes of their parts. A job may also die when its outputs are
 * there and that line is not: so before each of them gets its _SUCCESS, a line says which manifest it has. If there is such
 * a line for each, with the manifest that is there, and _SUCCESS, the run is done. If it has to be run again all the same, since more came of it, what it
 * read changed, or not all outputs are there, those that are there are known to be its own, and are given again; but not if it was of other work.
 *
 * What is behind a digest of inputs, or of what was given, is in a line of its own, once: so that it can be said what changed.
 *
 * A job that is over may still be killed before its processes have ended. Whoever would start it again then (tools/quern/run.c) makes a
 * file `keep` in the directory, and removes all of it himself. Into that file the job writes the name of the status of its last run when it ends, since launchers
 * say that all is well of jobs that they have ended.
 *
 * A checkpoint that cannot be written does not end the job: it goes on without, and says so.
 */
#ifndef QN_ENGINE_CHECKPOINT_H
#define QN_ENGINE_CHECKPOINT_H

#include "runtime/base/log.h"
#include "runtime/comm/comm.h"
#include "runtime/engine/checkpoint_lock.h"
#include "runtime/engine/epochs.h"
#include "runtime/engine/givens.h"
#include "runtime/engine/journal.h"
#include "runtime/engine/master.h"
#include "runtime/engine/part_list.h"
#include "runtime/engine/progress.h"
#include "runtime/engine/saved_lines.h"
#include "runtime/engine/settings.h"
#include "runtime/exec/chain.h"
#include "runtime/plan/stages.h"
#include "runtime/shuffle/result.h"

typedef struct qn_checkpoint {
    const char *directory; /* borrowed; NULL: none, and all calls do nothing */
    qn_comm *comm;         /* borrowed, and these */
    const qn_settings *settings;
    const qn_log *log;
    qn_progress *progress;
    uint32_t attempt;     /* at the job, from 1 */
    uint32_t run;         /* the present one, from 1 */
    uint64_t history;     /* digest of all before */
    bool save_failed;     /* nothing is saved any more */
    uint64_t reusable;    /* stages of the run whose results are there, as bits */
    uint64_t begun;       /* others, of which there is an epoch */
    uint64_t noted;       /* others, that write, and of whose parts some are finished */
    qn_saved_file *files; /* [file_count] of both; owned */
    size_t file_count;
    json_t *
        carried; /* files of earlier attempts that are as good as ours in lines of that stage; NULL: none; rank 0, owned */
    uint32_t carried_stage;
    uint64_t certain;                     /* stages of the run that have a digest, as bits */
    uint64_t digests[QN_STAGE_COUNT_MAX]; /* rank 0 */
    const uint64_t *node_files;           /* of the run, by stage; borrowed */
    qn_givens *givens;                    /* borrowed */
    uint64_t given;                       /* their digest at the begin of the run */
    uint64_t past;                        /* digest of what all runs before, and this one, read */
    bool past_is_unseen;                  /* and not all of that was files */
    char *path;                           /* rank 0, and what follows; owned */
    json_t *told;                         /* by digest, lines that say what is behind it */
    json_t *stage_inputs;                 /* [stages of the run] digests of all files that it comes from */
    json_t *run_inputs;                   /* of all of them */
    bool run_is_seen;                     /* they are all that the run reads */
    uint64_t (*inputs)[QN_LEG_COUNT_MAX]; /* by stage: of the files that a leg reads; 0: none, or not known */
    uint64_t shared_given;                /* the others know of it */
    char reason[QN_ERROR_TEXT_BYTES_MAX]; /* for which something is not reused */
    qn_lock_file lock;
    qn_journal journal;
    json_t *stages, *epochs, *runs; /* lines of earlier attempts, and of this one: the last of each stage or run */
    json_t *parts;                  /* of each stage one line: what earlier attempts finished */
    json_t *outputs;                /* lines of commits */
    char *quarantine;  /* the directory of bad records that the job has, as the last line of one says; NULL: none */
    json_t *unwritten; /* lines of stages that were not worth saving, written with the next one that is */
    uint64_t program;
    uint32_t save_count; /* in this attempt */
    qn_epochs when;
} qn_checkpoint;

/* Opens what the settings name, and takes its lock. Collective. QUERN_ERROR_CHECKPOINT: another job has it, or it holds what an earlier one left
 * and the settings do not say that it is to be gone on with. givens: borrowed; made here if there are none yet. */
quern_status qn_checkpoint_open(qn_checkpoint *checkpoint, qn_comm *comm, const qn_settings *settings,
                                qn_givens *givens, const qn_log *log, qn_progress *progress, qn_error *error);
/* The job ends, how its last run did (QUERN_ERROR_NOT_RUN: there was none): if well it needs nothing of it any more. Local. Takes a zeroed one. */
void qn_checkpoint_end(qn_checkpoint *checkpoint, quern_status last_run);
/* It stays as it is, for the next attempt. The same. */
void qn_checkpoint_close(qn_checkpoint *checkpoint);

/* Begins a run: finds what can be reused of it. node_files: a digest for each stage (node_tasks.h); borrowed until the next run. *is_done_out:
 * all. Collective. QUERN_ERROR_CHECKPOINT, QUERN_ERROR_INPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_checkpoint_begin_run(qn_checkpoint *checkpoint, const qn_graph *graph, const qn_stages *stages,
                                     const uint64_t *node_files, struct quern_counter *counters, bool *is_done_out,
                                     qn_error *error);
/* Whether an earlier attempt at the job, or this one, set bad records apart in a directory; NULL: no. Rank 0; false on others. */
bool qn_checkpoint_has_quarantine(const qn_checkpoint *checkpoint, const char *directory);
/* The job sets them apart there: the next attempt is to know. Rank 0; nothing on others. */
void qn_checkpoint_note_quarantine(qn_checkpoint *checkpoint, const char *directory);
/* Stages whose results nobody reads, since what would read them is reused: as bits. The same on all ranks. */
uint64_t qn_checkpoint_unneeded(const qn_checkpoint *checkpoint, const qn_stages *stages);
/* Of all that goes into the result of a stage of the run; 0: not known. Rank 0. */
uint64_t qn_checkpoint_digest_of(const qn_checkpoint *checkpoint, uint32_t stage);
/* One of them is passed over: adds what it counted. Local. */
void qn_checkpoint_skip(const qn_checkpoint *checkpoint, uint32_t stage, struct quern_counter *counters);
static inline bool qn_checkpoint_has(const qn_checkpoint *checkpoint, uint32_t stage)
{
    return checkpoint->reusable >> stage & 1;
}
static inline bool qn_checkpoint_has_begun(const qn_checkpoint *checkpoint, uint32_t stage)
{
    return checkpoint->begun >> stage & 1;
}

/* Fills the new result of a stage that can be reused, if it is a reduction's, and adds what the stage counted. Of a collated one after it was
 * restored (stage_restore.h). Collective. */
quern_status qn_checkpoint_restore(qn_checkpoint *checkpoint, uint32_t stage, qn_result *result,
                                   struct quern_counter *counters, qn_error *error);
/* A file of a collated result, or one of part_count parts of it, that this rank is to restore. */
typedef struct qn_share {
    const qn_saved_file *file; /* borrowed until the next run */
    uint32_t part, part_count;
} qn_share;
/* This rank's share of a stage's files from the *next-th file on; moves *next. Each part is one rank's. False: there is no more. */
bool qn_checkpoint_next_share(const qn_checkpoint *checkpoint, uint32_t stage, size_t *next, qn_share *share_out);
/* What is to be saved of a stage. */
typedef struct qn_checkpoint_stage {
    const qn_stages *stages;
    uint32_t index;
    qn_result *result;
    struct quern_counter *counters;
    const int64_t *counted; /* [counters] what each had before the stage */
} qn_checkpoint_stage;

/* Saves the result of a stage that is over, if it can be and is worth it. Collective; fails only where the ranks cannot talk. */
quern_status qn_checkpoint_save(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error);

/* Whether epochs can be cut within a stage. The same on all ranks. */
bool qn_checkpoint_can_cut(const qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t stage);
/* Cuts one in a stage that rests. master: rank 0's. *ends_out, on all ranks: the job is to end. Collective; fails as
 * save. */
quern_status qn_checkpoint_cut(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_master *master,
                               bool *ends_out, qn_error *error);
/* Whether files that an earlier attempt saved of a collated result may go on to be its files. The same on all ranks. */
bool qn_checkpoint_can_keep(const qn_checkpoint *checkpoint, uint32_t stage);
/* Lets them, in a stage that rests when all is restored and nothing else is there. Collective; fails as save. */
quern_status qn_checkpoint_keep(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error);
/* The tasks of a stage that has begun; false: they cannot be known. Rank 0. */
bool qn_checkpoint_get_tasks(const qn_checkpoint *checkpoint, uint32_t stage, qn_task_state *state_out);
/* Fills the result of that stage with what the epoch has, if it is a reduction's, and adds what was counted. Collective. */
quern_status qn_checkpoint_take_up(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error);
/* Parts of an output are noted while they are made, without any rest: a part is durable and stays as it is when its task is done, so a line says which are. */
typedef struct qn_part_notes {
    qn_checkpoint *checkpoint; /* borrowed, as the directory */
    uint32_t stage;
    const char *directory; /* of the output */
    size_t taken_up;       /* of the parts that are to be noted, those of earlier attempts */
    bool has_begun;        /* this attempt has a line */
    bool has_failed;       /* nothing more is noted */
    qn_epochs when;
} qn_part_notes;

/* Whether parts of a stage's output can be noted. The same on all ranks. */
bool qn_checkpoint_can_note_parts(const qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t stage);
/* Whether an earlier attempt noted some. The same on all ranks. */
static inline bool qn_checkpoint_has_parts(const qn_checkpoint *checkpoint, uint32_t stage)
{
    return checkpoint->noted >> stage & 1;
}
/* These; list: new, with its counter_count. *count_out: parts of the whole output. False: they cannot be known. Rank 0. */
bool qn_checkpoint_get_parts(const qn_checkpoint *checkpoint, uint32_t stage, qn_part_list *list, uint64_t *count_out);
/* The tasks of that stage, of which those are done that made the parts of the list. False: they cannot be known. Rank 0. */
bool qn_checkpoint_get_made(const qn_checkpoint *checkpoint, uint32_t stage, const qn_part_list *list,
                            qn_task_state *state_out);
/* Notes what the master has of parts; a failure is said, and the last one. Rank 0. */
void qn_checkpoint_note_parts(qn_part_notes *notes, qn_master *master);
/* The same when it is due; a qn_master_note_fn of qn_part_notes. */
void qn_checkpoint_watch_parts(void *notes, qn_master *master, bool ends);
/* The outputs of a run are about to get their names. Collective; fails as save. */
quern_status qn_checkpoint_begin_commit(qn_checkpoint *checkpoint, const qn_graph *graph,
                                        struct quern_counter *counters, qn_error *error);
/* An output is whole but for its _SUCCESS; a qn_announce_fn of a qn_checkpoint. Rank 0. */
void qn_checkpoint_announce(const char *directory, void *checkpoint);
/* A run succeeded and its outputs are there: what was saved of it goes. Collective; fails as save. */
quern_status qn_checkpoint_end_run(qn_checkpoint *checkpoint, const qn_graph *graph, struct quern_counter *counters,
                                   qn_error *error);

#endif
