/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/stage_run.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/engine/heartbeat.h"
#include "runtime/engine/isolation.h"
#include "runtime/engine/link_run.h"
#include "runtime/engine/memory_leg.h"
#include "runtime/engine/node_tasks.h"
#include "runtime/engine/quotes.h"
#include "runtime/engine/result_legs.h"
#include "runtime/engine/stage_parts.h"
#include "runtime/engine/stage_places.h"
#include "runtime/engine/stage_restore.h"
#include "runtime/engine/task_run.h"

#define ATTEMPTS_LOGGED_MAX 1000 /* of a rank that failed in a stage, and were made again by it */

/* A place to wait: progress; and if that had nothing to do, sleep, a little more each time. */
void qn_stage_run_wait(qn_stage_run *run, qn_backoff *backoff, qn_timeline_state as)
{
    qn_timeline_state before = qn_timeline_enter(as);
    uint64_t start_ns = qn_clock_ns();
    uint64_t activity = run->agent.activity;
    qn_agent_progress(&run->agent);
    if (run->agent.activity == activity)
        qn_backoff_wait(backoff);
    else
        qn_backoff_reset(backoff);
    run->engine->comm->waits += run->agent.activity == activity;
    run->figures.wait_ns += qn_clock_ns() - start_ns;
    qn_timeline_enter(before);
}

static quern_status stopped(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "the job failed elsewhere");
}

/* The end of a chain in a stage with a result: inside the gate, waiting for room as needed. */
static quern_status end_in_result(void *user, const qn_batch *batch, qn_error *error)
{
    const qn_leg_end *end = user;
    qn_stage_run *run = end->run;
    size_t next = 0;
    qn_backoff backoff = {0};
    qn_hot_keys_note(&run->hot_keys, batch);
    qn_agent_enter(&run->agent);
    quern_status status = QUERN_OK;
    qn_agent_progress_if_due(&run->agent); /* a callback may emit for long */
    while (!run->agent.aborted) {
        status = qn_result_insert(run->into, batch, run->stage->legs[end->leg].side, &next, error);
        if (status != QUERN_OK || next == batch->block.count)
            break;
        qn_stage_run_wait(run, &backoff, QN_TIMELINE_WAIT);
    }
    if (run->agent.aborted)
        status = stopped(error);
    qn_agent_leave(&run->agent);
    return status;
}

/* Outside of the gate: nobody else touches a store, and spilling may take long. */
static quern_status end_in_store(void *user, const qn_batch *batch, qn_error *error)
{
    const qn_leg_end *end = user;
    return qn_store_put(end->run->stored->stored, batch, error);
}

static quern_status end_in_sink(void *user, const qn_batch *batch, qn_error *error)
{
    const qn_leg_end *end = user;
    return qn_sink_writer_put(end->run->writer, batch, error);
}

/* For good, or for now. */
static quern_status end_inserts(qn_stage_run *run)
{
    return run->agent.rests ? qn_result_rest(run->into, run->agent.has_rounds, &run->agent.error)
                            : qn_result_end(run->into, &run->agent.error);
}

/* Until every rank is through. A rank whose MPI is broken cannot take part any more. */
static void finish_rounds(qn_stage_run *run)
{
    qn_backoff backoff = {0};
    while (!run->agent.ended && run->agent.error.status != QUERN_ERROR_MPI)
        qn_stage_run_wait(run, &backoff, QN_TIMELINE_IDLE);
    if (!run->into)
        return;
    bool has_rounds = !run->agent.rests || run->agent.has_rounds; /* else there are none, whatever went wrong here */
    if ((!run->agent.aborted || !has_rounds) && end_inserts(run) != QUERN_OK)
        qn_agent_break(&run->agent, &run->agent.error);
    if (!qn_result_is_over(run->into))
        qn_result_announce(run->into, UINT64_MAX);
    qn_backoff_reset(&backoff);
    while (!qn_result_is_over(run->into) && run->agent.error.status != QUERN_ERROR_MPI)
        qn_stage_run_wait(run, &backoff, QN_TIMELINE_WAIT);
}

static bool is_from_earlier_run(const qn_stage_run *run, uint32_t leg)
{
    return run->from[leg] && qn_leg_source(run->stage, leg)->is_made;
}

static void keep_edges(qn_stage_run *run)
{
    const qn_stage *stage = run->stage;
    for (uint32_t i = 0; i < stage->leg_count; i++) {
        const qn_leg *leg = &stage->legs[i];
        uint64_t read = run->source_records[i];
        run->figures.source_records += read;
        run->figures.cached_records += is_from_earlier_run(run, i) ? read : run->beside_records[i];
        run->figures.end_records += run->chains[i].end_records;
        run->edges[leg->first_step] = (qn_edge_stats){read, read, 0};
        uint32_t grouping = qn_leg_has_groups(stage, i);
        if (grouping)
            run->edges[leg->first_step + 1] = qn_chain_edge(&run->groupings[i], 0);
        for (uint32_t op = grouping; op < leg->operator_count; op++)
            run->edges[leg->first_step + 1 + op] = qn_chain_edge(&run->chains[i], op - grouping);
    }
    run->edges[stage->step_count] = (qn_edge_stats){.records_in = run->figures.end_records};
}

/* After a failure the last part may be open. */
static void finish_store(qn_stage_run *run)
{
    if (!run->stored)
        return;
    qn_store_drop_part(run->stored->stored);
    qn_store_finish(run->stored->stored);
    run->stored->part_count = run->first_part[run->stage->leg_count];
}

static void keep_figures(qn_stage_run *run)
{
    qn_stage_figures *figures = &run->figures;
    keep_edges(run);
    const qn_result *result = run->into ? run->into : run->stored;
    if (!result)
        return;
    qn_result_stats stats = qn_result_get_stats(result);
    figures->spill_runs = stats.spill_runs;
    figures->spilled_bytes = stats.spilled_bytes;
    figures->table_bytes_peak = stats.memory_bytes_peak;
    if (!run->into)
        return;
    figures->owned_records = stats.records_owned;
    figures->merged_records = stats.merged;
    const qn_rounds *rounds = qn_result_get_rounds(run->into);
    qn_stage_figures_take_rounds(figures, rounds);
    for (uint32_t group = 0; group < QN_ROUNDS_GROUPS_MAX; group++)
        run->engine->sent_group_bytes[group] += rounds->sent_group_bytes[group];
}

static uint64_t count_parts(const qn_stage_run *run, uint32_t leg)
{
    if (!qn_leg_has_tasks(run->stage, leg))
        return run->from[leg] ? qn_result_get_part_count(run->from[leg], run->engine->comm->size)
                              : run->engine->comm->size;
    return run->master.tasks.legs ? qn_task_leg_count(&run->master.tasks.legs[leg]) : 0;
}

/* Every rank learns where in the output the parts of a leg begin: only the master knows how many tasks there are. */
static quern_status number_parts(qn_stage_run *run, qn_error *error)
{
    const qn_stage *stage = run->stage;
    uint64_t next = 0;
    for (uint32_t leg = 0; leg <= stage->leg_count; leg++) {
        run->first_part[leg] = next;
        if (leg == stage->leg_count)
            break;
        next += count_parts(run, leg);
    }
    return qn_comm_broadcast(run->engine->comm, run->first_part, (stage->leg_count + 1) * sizeof *run->first_part, 0,
                             error);
}

static void prepare_samples(qn_stage_run *run, uint32_t leg, uint32_t first_step)
{
    for (uint32_t i = 0; i < run->chains[leg].sampled_count; i++)
        qn_chain_set_way(&run->chains[leg], i, qn_stage_way_of(run->stage, leg, first_step + i));
}

static void lend_lookups(qn_stage_run *run, uint32_t leg, uint32_t first_step)
{
    for (uint32_t i = 0; i < run->chains[leg].operator_count; i++)
        if (run->lookups[first_step + i])
            qn_chain_set_lookup(&run->chains[leg], i, run->lookups[first_step + i],
                                run->stage->steps[first_step + i]->input->build);
}

/* The result's, as the user knows it: what is gathered for groups is made by an operator that the user did not name. */
static const char *name_of_result(const qn_stage_run *run)
{
    const qn_stages *all = &run->engine->account->stages;
    const qn_node *result = run->stage->result;
    for (uint32_t i = 0; result && i < all->count; i++)
        for (uint32_t leg = 0; leg < all->items[i].leg_count; leg++)
            if (qn_leg_has_groups(&all->items[i], leg) && qn_leg_source(&all->items[i], leg) == result)
                return all->items[i].steps[all->items[i].legs[leg].first_step + 1]->name;
    return result ? result->name : NULL;
}

static quern_status check_callbacks(qn_stage_run *run, uint32_t leg, qn_error *error)
{
    quern_status status = qn_chain_check(&run->chains[leg], run->stage->result, name_of_result(run), error);
    if (status == QUERN_OK && qn_leg_has_groups(run->stage, leg))
        status = qn_chain_check(&run->groupings[leg], NULL, NULL, error);
    return status;
}

static qn_chain_end_fn end_of(const qn_stage_run *run)
{
    if (run->links)
        return qn_link_stage_end;
    if (run->into)
        return end_in_result;
    return run->stored ? end_in_store : end_in_sink;
}

const qn_bad_limit *qn_stage_bad_limit(const qn_stage_run *run, uint32_t leg)
{
    return &run->bad[leg].limit;
}

static void prepare_bad_log(qn_stage_run *run, uint32_t leg)
{
    const qn_node *source = qn_leg_source(run->stage, leg);
    qn_bad_limit limit = qn_bad_limit_of(&run->engine->settings, source);
    qn_bad_log_init(&run->bad[leg], &limit, source->name, run->number, run->quarantine);
}

static quern_status prepare_leg(qn_stage_run *run, uint32_t number, qn_error *error)
{
    const qn_leg *leg = &run->stage->legs[number];
    const qn_node *const *operators = run->stage->steps + leg->first_step + 1;
    uint32_t grouping = qn_leg_has_groups(run->stage, number);
    run->ends[number] = (qn_leg_end){run, number};
    prepare_bad_log(run, number);
    quern_status status = qn_chain_init(&run->chains[number], operators + grouping, leg->operator_count - grouping,
                                        run->engine->counters, end_of(run), &run->ends[number], error);
    if (status == QUERN_OK && grouping)
        status = qn_chain_init(&run->groupings[number], operators, 1, run->engine->counters,
                               qn_result_legs_end_in_chain, &run->ends[number], error);
    if (status == QUERN_OK)
        prepare_samples(run, number, leg->first_step + 1 + grouping);
    if (status == QUERN_OK)
        lend_lookups(run, number, leg->first_step + 1 + grouping);
    if (status == QUERN_OK && run->engine->settings.check)
        status = check_callbacks(run, number, error);
    if (status == QUERN_OK && qn_bad_limit_passes(&run->bad[number].limit) && !run->chains[number].has_stretches)
        status = qn_chain_hold(&run->chains[number], qn_settings_held_bytes_max(&run->engine->settings), error);
    run->chains[number].record_bytes_max = run->groupings[number].record_bytes_max =
        run->engine->settings.record_bytes_max;
    return status;
}

static quern_status prepare_chains(qn_stage_run *run, qn_error *error)
{
    quern_status status = QUERN_OK;
    run->hot_keys.key_type = run->stage->schema.key;
    for (uint32_t leg = 0; leg < run->stage->leg_count && status == QUERN_OK; leg++)
        status = prepare_leg(run, leg, error);
    return status;
}

static quern_status start_agent(qn_stage_run *run, qn_error *error)
{
    qn_engine *engine = run->engine;
    qn_master *master = engine->comm->rank == 0 ? &run->master : NULL;
    quern_status status = qn_agent_start(&run->agent, engine->comm, engine->stage_number, master, run->into, error);
    if (status == QUERN_OK)
        qn_rank_shows_start(run);
    return status;
}

static qn_checkpoint_stage about(const qn_stage_run *run)
{
    return (qn_checkpoint_stage){.stages = run->stages,
                                 .index = run->index,
                                 .result = run->into,
                                 .counters = run->engine->counters,
                                 .counted = run->counted};
}

void qn_stage_log_attempt(const qn_stage_run *run, const char *at, uint32_t attempt, const char *why)
{
    if (run->figures.attempts_failed <= ATTEMPTS_LOGGED_MAX)
        qn_log_line(&run->engine->log, "%s: attempt %u at %s failed: %s", qn_leg_source(run->stage, 0)->name, attempt,
                    at, why);
}

static bool can_rest(const qn_stage_run *run)
{
    return qn_checkpoint_can_cut(&run->engine->checkpoint, run->stages, run->index);
}

/* begun: by an earlier attempt at the job; NULL: nothing. */
static quern_status start_master(qn_stage_run *run, qn_task_state *begun, qn_error *error)
{
    qn_engine *engine = run->engine;
    qn_master_config config = {.comm = engine->comm,
                               .settings = &engine->settings,
                               .progress = &engine->progress,
                               .log = &engine->log,
                               .board = engine->board,
                               .failed = &engine->failed,
                               .stage = run->stage,
                               .makes_parts = qn_stage_makes_parts(run),
                               .number = engine->stage_number,
                               .rank_node = engine->rank_node,
                               .far = &run->far,
                               .epochs = engine->checkpoint.directory ? &engine->checkpoint.when : NULL,
                               .into = can_rest(run) ? run->into : NULL,
                               .note = run->notes_parts ? qn_checkpoint_watch_parts : NULL,
                               .note_user = &run->notes,
                               .counter_count = qn_counter_count(engine->counters),
                               .check = qn_stage_check_outputs,
                               .check_user = run,
                               .begun = begun};
    return qn_master_start(&run->master, &config, error);
}

static void make_tasks(qn_stage_run *run, qn_error *error)
{
    const qn_checkpoint *checkpoint = &run->engine->checkpoint;
    qn_task_state state = {0}, *begun = NULL;
    bool is_master = run->engine->comm->rank == 0;
    if (is_master && (run->kept ? qn_checkpoint_get_made(checkpoint, run->index, &run->kept->list, &state)
                                : qn_checkpoint_get_tasks(checkpoint, run->index, &state)))
        begun = &state;
    if (qn_node_tasks_are_there(run->stage))
        qn_node_tasks_gather(run->engine, run->stage, begun, &run->far, error);
    if (error->status == QUERN_OK && is_master)
        start_master(run, begun, error);
    qn_task_state_fini(&state);
}

/* What an earlier attempt at the job had of the stage. */
static quern_status take_up(qn_stage_run *run, qn_error *error)
{
    qn_checkpoint *checkpoint = &run->engine->checkpoint;
    uint64_t goes_on = run->master.went_on;
    if (!qn_checkpoint_has_begun(checkpoint, run->index) && !run->kept)
        return QUERN_OK;
    quern_status status = qn_comm_broadcast(run->engine->comm, &goes_on, sizeof goes_on, 0, error);
    if (run->kept)
        return status == QUERN_OK ? qn_stage_take_up_parts(run, goes_on, error) : status;
    qn_checkpoint_stage stage = about(run);
    run->goes_on = goes_on;
    run->restores = goes_on && run->into->kind == QN_RESULT_COLLATED;
    run->master.restores = run->restores;
    run->master.has_results &= !goes_on;
    if (status == QUERN_OK && goes_on)
        status = qn_checkpoint_take_up(checkpoint, &stage, error);
    if (status == QUERN_OK && run->restores) {
        qn_stage_expect_saved(run, error);
        status = qn_comm_agree(run->engine->comm, error);
    }
    run->keeps = run->restores && can_rest(run) && qn_checkpoint_can_keep(checkpoint, run->index);
    if (run->keeps && run->engine->comm->rank == 0)
        qn_master_hold(&run->master);
    if (status != QUERN_OK || goes_on)
        return status;
    if (run->engine->comm->rank == 0)
        qn_progress_say(&run->engine->progress, "checkpoint: '%s' is done again: its input is cut in another way",
                        run->stage->result->name);
    return status;
}

static void begin_notes(qn_stage_run *run)
{
    qn_checkpoint *checkpoint = &run->engine->checkpoint;
    run->notes_parts = qn_checkpoint_can_note_parts(checkpoint, run->stages, run->index);
    if (run->notes_parts)
        run->notes = (qn_part_notes){.checkpoint = checkpoint,
                                     .stage = run->index,
                                     .directory = run->stage->sink->directory,
                                     .when = checkpoint->when};
}

static quern_status prepare(qn_stage_run *run, qn_error *error)
{
    qn_engine *engine = run->engine;
    bool is_master = engine->comm->rank == 0;
    begin_notes(run);
    if (run->kept && qn_stage_verify_parts(run, error) != QUERN_OK)
        return error->status;
    if (prepare_chains(run, error) == QUERN_OK && engine->settings.isolate)
        qn_isolation_begin(run, error);
    make_tasks(run, error);
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK)
        status = take_up(run, error);
    if (status == QUERN_OK && qn_quotes_matter(run->stage))
        status = qn_quotes_learn(engine->comm, run->stage, qn_bad_legs(&engine->settings, run->stage),
                                 is_master ? &run->master.tasks : NULL, error);
    if (status == QUERN_OK)
        status = number_parts(run, error);
    if (status == QUERN_OK)
        status = qn_stage_learn_places(run, error);
    if (status == QUERN_OK)
        status = qn_memory_legs_learn(run, error);
    return status == QUERN_OK ? start_agent(run, error) : status;
}

static void stop_agent(qn_stage_run *run)
{
    qn_agent_stop(&run->agent);
    run->figures.shuffle_ns += run->agent.shuffle_ns;
    run->figures.helper_turns += run->agent.helped;
    run->figures.tasks_left += run->agent.left_count;
}

/* All ranks have left their tasks: what there is is saved, or is already, and then the stage goes on, unless the job is to end. */
static quern_status rest(qn_stage_run *run, qn_error *error)
{
    qn_engine *engine = run->engine;
    qn_checkpoint_stage stage = about(run);
    bool ends = false;
    quern_status status = run->keeps ? qn_checkpoint_keep(&engine->checkpoint, &stage, error)
                                     : qn_checkpoint_cut(&engine->checkpoint, &stage, &run->master, &ends, error);
    run->keeps = false;
    if (status == QUERN_OK && ends)
        status = qn_error_set(error, QUERN_ERROR_SUSPENDED, 0,
                              "the job was told to end, or its time is over: what it has done is in %s",
                              engine->checkpoint.directory);
    if (status != QUERN_OK)
        return status;
    engine->stage_number++;
    qn_result_reopen(run->into);
    if (engine->comm->rank == 0) {
        qn_master_go_on(&run->master, engine->stage_number);
        run->master.into = can_rest(run) ? run->into : NULL;
    }
    return start_agent(run, error);
}

static void start_watchdog(qn_stage_run *run)
{
    qn_engine *engine = run->engine;
    if (qn_watchdog_start(&run->watchdog, &engine->site, &run->agent.progress_ns, engine->settings.task_timeout_ns,
                          &run->agent.error) != QUERN_OK)
        qn_agent_break(&run->agent, &run->agent.error);
}

/* From rest to rest until the tasks are done. */
static void work(qn_stage_run *run, qn_error *error)
{
    bool reads_results = !run->is_restored && !run->goes_on;
    for (;;) {
        start_watchdog(run);
        qn_heartbeat_see(run->engine->heartbeat, &run->agent);
        if (run->restores)
            qn_stage_restore_saved(run);
        else if (reads_results)
            qn_result_legs_run(run);
        run->restores = reads_results = false;
        qn_tasks_run(run);
        finish_rounds(run);
        qn_heartbeat_unsee(run->engine->heartbeat);
        qn_watchdog_stop(&run->watchdog);
        bool rests = run->agent.rests;
        stop_agent(run);
        if (error->status == QUERN_OK)
            *error = run->agent.error;
        if (!rests || qn_comm_agree(run->engine->comm, error) != QUERN_OK || rest(run, error) != QUERN_OK)
            return;
    }
}

quern_status qn_stage_restore_all(qn_stage_run *run, qn_error *error)
{
    qn_engine *engine = run->engine;
    run->is_restored = run->restores = true;
    run->master = (qn_master){.comm = engine->comm,
                              .progress = &engine->progress,
                              .board = engine->board,
                              .stage = engine->stage_number,
                              .stage_name = run->stage->result->name,
                              .epochs = &engine->checkpoint.when,
                              .restores = true};
    qn_stage_expect_saved(run, error);
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK && start_agent(run, error) == QUERN_OK)
        work(run, error);
    qn_tasks_end(run);
    qn_master_finish(&run->master);
    return qn_comm_agree(engine->comm, error);
}

static void fini_leg(qn_stage_run *run, uint32_t leg)
{
    qn_chain_fini(&run->chains[leg]);
    qn_chain_fini(&run->groupings[leg]);
    free(run->places[leg]);
    qn_bad_log_fini(&run->bad[leg]);
}

quern_status qn_stage_run_all(qn_stage_run *run, qn_error *error)
{
    quern_status status = prepare(run, error);
    run->engine->site = (qn_site){.stage = qn_leg_source(run->stage, 0)->name};
    if (status == QUERN_OK) {
        work(run, error);
        finish_store(run);
        if (error->status == QUERN_OK && run->master.made.count > run->notes.taken_up)
            qn_checkpoint_note_parts(&run->notes, &run->master);
        keep_figures(run);
        run->delivered_before = run->master.delivered_before;
        run->one_reader = qn_task_list_find_one_reader(&run->master.tasks);
    }
    qn_epochs_forget_steps(&run->engine->checkpoint.when);
    qn_tasks_end(run);
    qn_isolation_end(run);
    for (uint32_t leg = 0; leg < run->stage->leg_count; leg++)
        fini_leg(run, leg);
    qn_master_finish(&run->master);
    qn_node_tasks_destroy(&run->far);
    run->engine->site = (qn_site){0};
    return qn_comm_agree(run->engine->comm, error);
}
