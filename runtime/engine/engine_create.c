/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/crash.h"
#include "runtime/base/hash.h"
#include "runtime/base/pages.h"
#include "runtime/base/suspension.h"
#include "runtime/engine/clock_align.h"
#include "runtime/engine/engine_internal.h"
#include "runtime/engine/heartbeat.h"
#include "runtime/engine/machines.h"
#include "runtime/engine/report.h"
#include "runtime/engine/scratch_choice.h"

#define HOST_BYTES_MAX 256

/* The first rank of a node speaks for it; several nodes on one machine have one name. */
static uint64_t digest_name(const qn_comm *comm)
{
    char name[HOST_BYTES_MAX] = "";
    gethostname(name, sizeof name - 1);
    return comm->node_rank == 0 ? qn_checksum(name, strlen(name), 0) : 0;
}

quern_status qn_engine_learn_nodes(qn_engine *engine, qn_error *error)
{
    qn_comm *comm = engine->comm;
    free(engine->rank_node);
    engine->rank_node = calloc(comm->size, sizeof *engine->rank_node);
    if (!engine->rank_node)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for %u ranks", comm->size);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_gather(comm, &comm->node, sizeof comm->node, engine->rank_node, error);
    engine->node_names = digest_name(comm);
    if (status == QUERN_OK)
        status = qn_comm_reduce_sum(comm, &engine->node_names, 1, error);
    return status == QUERN_OK && engine->settings.is_seen ? qn_clock_align(engine, error) : status;
}

static quern_status place_ranks(qn_engine *engine, const char *allowed, qn_error *error)
{
    uint32_t count = engine->comm->node_size;
    const char **sets = calloc(count, sizeof *sets);
    qn_pin_place *places = calloc(count, sizeof *places);
    quern_status status = QUERN_OK;
    if (!sets || !places)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to place %u ranks", count);
    for (uint32_t i = 0; sets && i < count; i++)
        sets[i] = allowed + (size_t)i * QN_TOPOLOGY_SET_BYTES_MAX;
    if (status == QUERN_OK)
        status = qn_pin_plan(engine->topology, count, sets, places, error);
    if (status == QUERN_OK)
        engine->place = places[engine->comm->node_rank];
    if (status == QUERN_OK)
        status = qn_pin_apply(engine->topology, &engine->place, error);
    free(sets);
    free(places);
    return status;
}

/* Every rank of a node computes the same placement from what all of them may use. */
static quern_status pin(qn_engine *engine, qn_error *error)
{
    qn_comm *comm = engine->comm;
    char mine[QN_TOPOLOGY_SET_BYTES_MAX] = "";
    engine->place = (qn_pin_place){.core = UINT32_MAX, .pu = UINT32_MAX, .package = UINT32_MAX, .numa = UINT32_MAX};
    if (!engine->settings.pin)
        return QUERN_OK;
    char *all = calloc(comm->node_size, QN_TOPOLOGY_SET_BYTES_MAX);
    if (!all)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to place ranks");
    if (all && qn_topology_create(NULL, &engine->topology, error) == QUERN_OK)
        qn_topology_query_allowed(engine->topology, mine, error);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_gather_node(comm, mine, sizeof mine, all, error);
    if (status == QUERN_OK)
        place_ranks(engine, all, error);
    free(all);
    return qn_comm_agree(comm, error);
}

static void log_start(const qn_engine *engine)
{
    const qn_comm *comm = engine->comm;
    char place[QN_TOPOLOGY_PLACE_BYTES_MAX];
    qn_pin_describe(&engine->place, place);
    qn_log_line(&engine->log, "rank %u of %u on node %u of %u, %s, %llu MiB of memory (%s)", comm->rank, comm->size,
                comm->node, comm->node_count, place, (unsigned long long)(engine->settings.rank_memory_bytes >> 20),
                engine->settings.memory_source);
    if (comm->tells_losses)
        qn_log_line(&engine->log, "if ranks are lost, the job %s",
                    comm->on_loss == QN_LOSS_IS_SURVIVED ? "goes on with the others" : "ends");
    qn_log_line(&engine->log, "what other ranks send is %s", comm->trusts_network ? "trusted" : "checked");
    if (!comm->helper_allowed)
        qn_log_line(&engine->log, "MPI allows one thread only: a slow callback will stall the shuffle");
}

static quern_status check_scratch(const qn_settings *settings, qn_error *error)
{
    if (access(settings->scratch_dir, W_OK | X_OK) != 0)
        return qn_error_set(error, QUERN_ERROR_SCRATCH, errno, "cannot use the scratch directory %s",
                            settings->scratch_dir);
    return QUERN_OK;
}

static quern_status fit_to_machine(qn_engine *engine, const quern_options *options, qn_error *error)
{
    qn_comm *comm = engine->comm;
    qn_machine machine;
    quern_status status = qn_machine_learn(&machine, comm, error);
    if (status != QUERN_OK)
        return status;
    if (comm->node_rank == 0 && machine.node_count > 1)
        qn_log_line(&engine->log, "node %u is on one machine with %u others, which MPI keeps apart: %s", comm->node,
                    machine.node_count - 1,
                    engine->settings.memory_is_machines ? "they divide its memory"
                                                        : "each has the memory that it is given");
    if (comm->node_rank == 0 && !machine.is_one)
        qn_log_line(&engine->log, "node %u is several machines, which MPI takes for one: nothing is shared there",
                    comm->node);
    engine->settings.shares_memory &= machine.is_one;
    qn_settings_divide_machine(&engine->settings, options, comm, machine.node_count, error);
    return qn_comm_agree(comm, error);
}

static void tell_crash(char *text, size_t bytes, void *user)
{
    const qn_engine *engine = user;
    qn_site_tell(&engine->site, engine->comm->rank, engine->comm->size, text, bytes);
}

quern_status qn_engine_open_board(qn_engine *engine, qn_error *error)
{
    const qn_comm *comm = engine->comm;
    if (comm->rank != 0 || !engine->settings.shows_ranks)
        return QUERN_OK;
    if (engine->board)
        qn_board_resize(engine->board, comm->size, comm->node_count);
    else
        qn_board_create(&engine->board, comm->size, comm->node_count, qn_engine_tell_alert, engine, error);
    qn_job_status_show(engine->status, engine->board);
    return error->status;
}

void qn_engine_start_progress(qn_engine *engine)
{
    qn_progress_start(&engine->progress, engine->comm->rank == 0, engine->status, engine->board);
}

/* Each rank says it in its log, and rank 0 of its own to whoever looks. */
static void tell_scratch(qn_engine *engine)
{
    const char *directory = engine->settings.scratch_dir;
    if (!qn_scratch_is_memory(directory))
        return;
    qn_log_line(&engine->log, "scratch: %s is memory: what is spilled there is beyond the budget", directory);
    qn_progress_say(&engine->progress,
                    "scratch: %s is memory: what is spilled there is beyond the budget; name a disk by the option "
                    "scratch",
                    directory);
}

/* The library's own lines listen, if they are asked for. */
static void listen(qn_engine *engine)
{
    const qn_settings *settings = &engine->settings;
    bool shows_plans = settings->explain != QUERN_EXPLAIN_NOT_SET && settings->explain != QUERN_EXPLAIN_OFF;
    qn_progress_lines_init(&engine->lines, settings->show_progress, shows_plans);
    if (settings->show_progress || shows_plans)
        qn_event_queue_set(engine->progress.queue, QN_LISTENER_LINES, qn_progress_lines_draw, &engine->lines);
}

quern_status qn_engine_listen(qn_engine *engine, quern_progress_fn fn, void *user, qn_error *error)
{
    qn_event_queue *queue = engine->progress.queue;
    if (fn && engine->comm->rank == 0 && qn_event_queue_start(queue, error) != QUERN_OK)
        return error->status;
    qn_event_queue_set(queue, QN_LISTENER_PROGRAM, fn, user);
    return QUERN_OK;
}

quern_status qn_engine_show_ranks(qn_engine *engine, qn_error *error)
{
    if (engine->settings.shows_ranks)
        return QUERN_OK;
    engine->settings.shows_ranks = true;
    qn_timeline *timeline = engine->timeline ? NULL : qn_timeline_create();
    if (timeline) {
        engine->timeline = timeline;
        engine->begun_bytes = qn_timeline_query_memory(timeline);
        qn_timeline_begin(timeline, engine->run_ns);
        qn_timeline_attach(timeline);
    }
    qn_engine_open_board(engine, error);
    qn_engine_start_progress(engine);
    return qn_comm_agree(engine->comm, error);
}

/* Progress is shown from now on, since it is to be seen what is reused. */
quern_status qn_engine_open_checkpoint(qn_engine *engine, qn_error *error)
{
    const qn_settings *settings = &engine->settings;
    qn_engine_start_progress(engine);
    return qn_checkpoint_open(&engine->checkpoint, engine->comm, settings, &engine->givens, &engine->log,
                              &engine->progress, error);
}

/* A job that goes on from a checkpoint is the same one. */
static void remove_older_report(const qn_engine *engine)
{
    if (engine->status && !engine->settings.only_explains && engine->checkpoint.attempt <= 1)
        qn_job_pages_remove(engine->settings.job_dir);
}

/* Once the directory is this job's. */
static void tell_no_start(qn_engine *engine, const qn_error *error)
{
    if (!engine->status)
        return;
    qn_job_status_end_run(engine->status, error);
    qn_report_write_failure(engine, error);
}

quern_status qn_engine_create(qn_engine *engine, qn_comm *comm, const quern_options *options, qn_error *error)
{
    *engine = (qn_engine){.comm = comm, .log.fd = -1, .last_run = QUERN_ERROR_NOT_RUN};
    if (qn_progress_init(&engine->progress, error) == QUERN_OK &&
        qn_settings_resolve(&engine->settings, options, comm, error) == QUERN_OK &&
        check_scratch(&engine->settings, error) == QUERN_OK)
        qn_job_status_open(&engine->status, engine->settings.job_dir, comm, true, error);
    quern_status status = qn_comm_agree(comm, error); /* the directory is there from now on */
    if (status == QUERN_OK)
        qn_log_open(&engine->log, engine->settings.log_path, comm->rank, error);
    status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = fit_to_machine(engine, options, error);
    if (status == QUERN_OK)
        status = qn_settings_unify(&engine->settings, comm, error);
    if (status == QUERN_OK)
        status = qn_engine_learn_nodes(engine, error);
    engine->first_node_names = engine->node_names;
    if (status == QUERN_OK)
        status = pin(engine, error);
    if (status == QUERN_OK) {
        listen(engine);
        qn_engine_open_board(engine, error);
        status = qn_comm_agree(comm, error);
    }
    if (status == QUERN_OK)
        status = qn_engine_open_checkpoint(engine, error);
    if (status == QUERN_OK)
        tell_scratch(engine);
    if (status == QUERN_OK)
        remove_older_report(engine);
    if (status == QUERN_OK && (engine->settings.is_seen || engine->settings.shows_ranks))
        engine->timeline = qn_timeline_create(); /* without memory for it this rank's line is empty */
    if (status == QUERN_OK)
        status = qn_heartbeat_start(&engine->heartbeat, engine, error);
    if (status != QUERN_OK) {
        tell_no_start(engine, error);
        engine->comm = NULL; /* still the caller's */
        qn_engine_destroy(engine);
        return status;
    }
    engine->begun_bytes = qn_timeline_query_memory(engine->timeline);
    comm->on_loss = engine->settings.recovers ? QN_LOSS_IS_SURVIVED : comm->in_host ? QN_LOSS_FAILS : QN_LOSS_ENDS_JOB;
    if (engine->settings.isolate)
        qn_pages_keep_from_children();
    /* Inside a host application signals are its own. */
    engine->heeds_signals = !comm->in_host && (engine->checkpoint.directory || engine->settings.job_dir);
    if (engine->heeds_signals)
        qn_suspension_watch();
    engine->is_watched = engine->settings.tells_crash && qn_crash_watch(tell_crash, engine);
    log_start(engine);
    return QUERN_OK;
}

void qn_engine_destroy(qn_engine *engine)
{
    if (engine->comm)
        engine->comm->on_loss = QN_LOSS_FAILS; /* what there was to do is done */
    qn_heartbeat_stop(engine->heartbeat);
    if (engine->is_watched)
        qn_crash_unwatch();
    if (engine->topology) {
        qn_pin_restore(engine->topology);
        qn_topology_destroy(engine->topology);
    }
    qn_cache_fini(&engine->cache);
    if (engine->heeds_signals)
        qn_suspension_unwatch();
    qn_checkpoint_end(&engine->checkpoint, engine->last_run);
    qn_givens_fini(&engine->givens);
    qn_job_pages_fini(&engine->pages, engine->settings.job_dir, &engine->log);
    qn_job_status_close(engine->status, !engine->comm);
    qn_progress_fini(&engine->progress);
    qn_board_destroy(engine->board);
    qn_disk_watch_stop(engine->scratch);
    free(engine->rank_node);
    free(engine->account);
    qn_timeline_destroy(engine->timeline);
    qn_settings_fini(&engine->settings);
    qn_log_close(&engine->log);
    qn_comm_destroy(engine->comm);
    *engine = (qn_engine){.log.fd = -1};
}
