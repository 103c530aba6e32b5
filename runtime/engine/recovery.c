/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/recovery.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/crash.h"
#include "runtime/comm/guard.h"
#include "runtime/engine/engine_internal.h"
#include "runtime/engine/heartbeat.h"

#define RECOVER_NS_MAX (60 * QN_NS_PER_S) /* for MPI to make a smaller communicator */
#define PART_NS_MAX    (5 * QN_NS_PER_S)  /* for all to hear that the job ends */
#define LINE_BYTES     512

/* What a rank brings to the conclusion; true of all if all bring it. */
enum {
    ALL_DONE = 1,
    ALL_WHOLE = 2, /* their communicator is */
    ALL_AGAIN = 4,
};

qn_recovery_mark qn_recovery_mark_here(const qn_engine *engine)
{
    return (qn_recovery_mark){
        engine->checkpoint.run, engine->checkpoint.history, engine->checkpoint.past, engine->checkpoint.past_is_unseen,
        engine->cache.first ? "results of earlier runs that ranks kept are lost with them" : NULL};
}

/* To the log of each rank, and for all to see by one of them. */
static void say(const qn_engine *engine, bool speaks, const char *line)
{
    if (speaks)
        qn_crash_say(line);
    qn_log_line(&engine->log, "%s", line + strlen("quern: "));
}

/* Nobody goes before all have heard of it: who ends is not told of as lost, and would be waited for. */
static quern_status end(qn_engine *engine, const char *why, qn_error *error)
{
    qn_guard guard = {0};
    uint32_t flags = 0;
    bool is_lost = false;
    char line[LINE_BYTES];
    qn_comm *comm = engine->comm;
    if (comm->in_host)
        return qn_error_set(error, QUERN_ERROR_MPI, 0, "a rank of the job was lost, and it cannot go on: %s", why);
    snprintf(line, sizeof line, "quern: a rank was lost, and the job ends, since it cannot go on: %s", why);
    say(engine, qn_comm_speaks_for_living(comm), line);
    qn_guard_start(&guard, comm, PART_NS_MAX, QN_COMM_EXIT_LOST, NULL);
    qn_comm_conclude(comm, &flags, &is_lost, error);
    qn_comm_end_job(comm, QN_COMM_EXIT_LOST, NULL);
}

static const char *why_not_again(const qn_engine *engine, uint32_t flags, const char *why_not)
{
    if (engine->recovery_count == QN_RECOVERY_COUNT_MAX)
        return "too many were";
    return flags & ALL_AGAIN ? NULL : why_not ? why_not : "another rank cannot";
}

qn_outcome qn_recovery_conclude(qn_engine *engine, const char *why_not, quern_status status, qn_error *error)
{
    qn_comm *comm = engine->comm;
    bool is_lost = false;
    if (!comm->tells_losses || comm->on_loss != QN_LOSS_IS_SURVIVED)
        return status == QUERN_OK ? QN_OUTCOME_DONE : QN_OUTCOME_FAILED;
    uint32_t flags =
        (status == QUERN_OK ? ALL_DONE : 0) | (qn_comm_is_broken(comm) ? 0 : ALL_WHOLE) | (why_not ? 0 : ALL_AGAIN);
    if (qn_comm_conclude(comm, &flags, &is_lost, error) != QUERN_OK)
        qn_comm_end_job(comm, QN_COMM_EXIT_LOST, error->text);
    if (flags & ALL_DONE)
        return QN_OUTCOME_DONE;
    const char *why = why_not_again(engine, flags, why_not);
    if (!is_lost && (flags & ALL_WHOLE)) {
        qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "the job failed elsewhere");
        return QN_OUTCOME_FAILED;
    }
    if (!why)
        return QN_OUTCOME_AGAIN;
    qn_error_clear(error);
    end(engine, why, error);
    return QN_OUTCOME_FAILED;
}

/* What the last attempt made and kept goes, too: other parts of it are lost. */
static void drop_all(qn_engine *engine)
{
    qn_heartbeat_stop(engine->heartbeat);
    engine->heartbeat = NULL;
    qn_cache_forget_all(&engine->cache);
    qn_checkpoint_close(&engine->checkpoint);
}

static void describe(const qn_comm_loss *loss, char *text, size_t bytes)
{
    size_t used = 0;
    for (uint32_t i = 0; i < loss->lost_count && i < QN_COMM_LOST_NAMED_MAX && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%u", i > 0 ? ", " : "", loss->lost[i]);
    if (loss->lost_count > QN_COMM_LOST_NAMED_MAX && used < bytes)
        snprintf(text + used, bytes - used, " and others");
}

static void tell(qn_engine *engine, const qn_recovered *recovered)
{
    char names[LINE_BYTES / 2], line[LINE_BYTES];
    const qn_comm *comm = engine->comm;
    describe(&recovered->loss, names, sizeof names);
    snprintf(line, sizeof line, "quern: rank%s %s lost: the other %u go on after %.3f s, %s",
             recovered->loss.lost_count > 1 ? "s" : "", names, comm->size, recovered->seconds,
             recovered->from_checkpoint ? "from the checkpoint"
                                        : "with the run from its begin, since no checkpoint is kept");
    say(engine, comm->rank == 0, line);
    qn_progress_tell(&engine->progress, QUERN_EVENT_LOSS, line + strlen("quern: "));
    qn_log_line(&engine->log, "this rank, which was %u at first, is rank %u of %u now", comm->first_rank, comm->rank,
                comm->size);
}

/* Messages of a stage carry its number, and ranks may have been in different ones. */
static quern_status unify_numbers(qn_engine *engine, qn_error *error)
{
    uint64_t numbers[] = {engine->stage_number, engine->run_count};
    quern_status status = qn_comm_reduce_max(engine->comm, numbers, 2, error);
    engine->stage_number = (uint32_t)numbers[0];
    engine->run_count = (uint32_t)numbers[1];
    return status;
}

/* By another rank 0, perhaps. That the file cannot be written is no reason to end. */
static void tell_status(qn_engine *engine)
{
    qn_error ignored = {0};
    if (engine->status)
        qn_job_status_set_ranks(engine->status, engine->comm);
    else
        qn_job_status_open(&engine->status, engine->settings.job_dir, engine->comm, false, &ignored);
    qn_engine_open_board(engine, &ignored);
}

static quern_status set_up_again(qn_engine *engine, qn_recovery_mark mark, qn_error *error)
{
    quern_status status = unify_numbers(engine, error);
    if (status == QUERN_OK)
        status = qn_engine_learn_nodes(engine, error);
    engine->settings.resumes = engine->settings.checkpoint_dir != NULL;
    tell_status(engine);
    if (status == QUERN_OK)
        status = qn_engine_open_checkpoint(engine, error);
    engine->checkpoint.run = mark.run;
    engine->checkpoint.history = mark.history;
    engine->checkpoint.past = mark.past;
    engine->checkpoint.past_is_unseen = mark.past_is_unseen;
    if (status == QUERN_OK)
        status = qn_heartbeat_start(&engine->heartbeat, engine, error);
    return status;
}

static quern_status shrink(qn_engine *engine, qn_comm_loss *loss, qn_error *error)
{
    qn_guard guard;
    qn_guard_start(&guard, engine->comm, RECOVER_NS_MAX, QN_COMM_EXIT_HUNG,
                   "MPI does not make a communicator of the ranks that are left");
    quern_status status = qn_comm_recover(engine->comm, loss, error);
    qn_guard_stop(&guard);
    return status;
}

static void note(qn_engine *engine, const qn_comm_loss *loss, uint64_t start_ns)
{
    qn_recovered *recovered = &engine->recovered[engine->recovery_count++];
    *recovered = (qn_recovered){.loss = *loss,
                                .seconds = (double)(qn_clock_ns() - start_ns) / 1e9,
                                .from_checkpoint = engine->settings.checkpoint_dir != NULL};
    tell(engine, recovered);
}

quern_status qn_recovery_go_on(qn_engine *engine, qn_recovery_mark mark, qn_error *error)
{
    for (;;) {
        if (engine->recovery_count == QN_RECOVERY_COUNT_MAX)
            return end(engine, "too many were", &(qn_error){0});
        qn_comm_loss loss;
        uint64_t start_ns = qn_comm_is_broken(engine->comm) ? engine->comm->broken_ns : qn_clock_ns();
        drop_all(engine);
        quern_status status = shrink(engine, &loss, error);
        if (status != QUERN_OK)
            qn_comm_end_job(engine->comm, QN_COMM_EXIT_LOST, error->text);
        status = set_up_again(engine, mark, error);
        qn_outcome outcome = qn_recovery_conclude(
            engine, status == QUERN_OK || qn_comm_is_broken(engine->comm) ? NULL : error->text, status, error);
        if (outcome == QN_OUTCOME_DONE) {
            note(engine, &loss, start_ns);
            return QUERN_OK;
        }
        if (outcome == QN_OUTCOME_FAILED)
            return end(engine, error->text, &(qn_error){0});
        note(engine, &loss, start_ns);
        qn_error_clear(error);
    }
}
