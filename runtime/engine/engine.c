/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/engine/bad_log.h"
#include "runtime/engine/engine_internal.h"
#include "runtime/engine/heartbeat.h"
#include "runtime/engine/join_table.h"
#include "runtime/engine/link_run.h"
#include "runtime/engine/node_tasks.h"
#include "runtime/engine/recovery.h"
#include "runtime/engine/report.h"
#include "runtime/engine/run_shares.h"
#include "runtime/engine/stage_restore.h"

/* One run: its stages, the results that live between them, and the sinks. */
typedef struct job {
    qn_engine *engine;
    qn_stages stages;
    qn_result *results[QN_STAGE_COUNT_MAX];
    qn_join_table *tables[QN_STAGE_COUNT_MAX];  /* in the place of results of stages that are left out */
    qn_sink_writer writers[QN_STAGE_COUNT_MAX]; /* of the stages that end in one */
    qn_kept_output kept[QN_STAGE_COUNT_MAX];    /* what an earlier attempt at the job finished of them */
    qn_run_shares shares;
    qn_quarantine quarantine;
    qn_report report;
    bool is_done;    /* by an earlier attempt: nothing is left to do */
    bool may_report; /* all ranks have begun one */
    bool is_shown;   /* some of it, perhaps: to the program, or in a file that is not this rank's alone */
} job;

/* And whether somebody has asked since the last run to see the ranks. */
static quern_status check_same_graph(qn_engine *engine, const qn_graph *graph, qn_error *error)
{
    bool is_wanted = engine->comm->rank == 0 && qn_event_queue_has(engine->progress.queue, QN_LISTENER_PROGRAM);
    uint64_t digests[] = {graph->digest, ~graph->digest, is_wanted};
    quern_status status = qn_comm_reduce_max(engine->comm, digests, 3, error);
    if (status == QUERN_OK && digests[2] != 0)
        status = qn_engine_show_ranks(engine, error);
    if (status == QUERN_OK && digests[0] != ~digests[1])
        status = qn_error_set(error, QUERN_ERROR_PLAN_MISMATCH, 0,
                              "the ranks built different graphs: every rank must make the same calls with the same "
                              "arguments");
    return status;
}

/* what: an output, or the quarantine. */
static void say_taken_over(qn_engine *engine, const char *what, const char *directory, const qn_lock_file *lock)
{
    const char *left_by = lock->left_by;
    if (!directory || !left_by[0])
        return;
    qn_log_line(&engine->log, "%s: %s is taken over from %s, which gave no sign of life", what, directory, left_by);
    qn_progress_say(&engine->progress, "%s: %s is taken over from %s, which gave no sign of life", what, directory,
                    left_by);
}

/* What rank 0 knows of parts of a stage's output that are there; none where the journal cannot be understood. */
static qn_kept_parts find_kept(job *run, uint32_t index)
{
    qn_kept_output *kept = &run->kept[index];
    kept->list.counter_count = qn_counter_count(run->engine->counters);
    if (run->engine->comm->rank == 0 && qn_checkpoint_has_parts(&run->engine->checkpoint, index))
        qn_checkpoint_get_parts(&run->engine->checkpoint, index, &kept->list, &kept->part_count);
    return (qn_kept_parts){.items = kept->list.items, .count = kept->list.count, .part_count = kept->part_count};
}

static quern_status open_sinks(job *run, qn_error *error)
{
    for (uint32_t i = 0; i < run->stages.count && error->status == QUERN_OK; i++) {
        const qn_sink *sink = run->stages.items[i].sink;
        if (!sink)
            continue;
        qn_kept_parts kept = find_kept(run, i);
        qn_sink_writer_init(&run->writers[i], sink, run->engine->comm, run->shares.kept_bytes_max[sink->kind],
                            kept.count > 0 ? &kept : NULL, error);
        run->writers[i].checks = run->engine->settings.check;
        say_taken_over(run->engine, "output", run->writers[i].output.directory, &run->writers[i].output.lock);
    }
    quern_status status = qn_comm_agree(run->engine->comm, error);
    for (uint32_t i = 0; i < run->stages.count && status == QUERN_OK; i++)
        if (run->writers[i].sink)
            status = qn_sink_writer_share_token(&run->writers[i], run->engine->comm, error);
    return status;
}

static void open_store(job *run, uint32_t index, qn_error *error)
{
    qn_store_config config = {
        .schema = run->stages.items[index].result->schema,
        .pool_bytes = run->shares.store_bytes,
        .block_bytes = run->shares.share.block_bytes,
        .scratch = qn_settings_get_scratch(&run->engine->settings),
    };
    qn_result_create_stored(&run->results[index], &config, error);
}

static void open_reduced(job *run, uint32_t index, qn_error *error)
{
    const qn_stage *stage = &run->stages.items[index];
    qn_shuffle_config config = {
        .comm = run->engine->comm,
        .reducer = &stage->result->reducer,
        .schema = stage->result->input->schema,
        .pool_bytes = run->shares.share.pool_bytes,
        .round_bytes = run->shares.share.round_bytes,
        .block_bytes = run->shares.share.block_bytes,
        .scratch = qn_settings_get_scratch(&run->engine->settings),
    };
    qn_result_create_reduced(&run->results[index], &config, error);
}

/* Of two inputs the inner side comes first. Where one is kept in order, the records are those of the other. */
static qn_layout layout_of(const qn_stage *stage)
{
    const qn_node *node = stage->result;
    const quern_schema *inputs[] = {&node->schema, node->other ? &node->other->schema : NULL};
    bool has_tag = node->of.collate.kind == QN_COLLATE_BY_HASH;
    if (!node->other)
        return qn_layout_of(inputs[0], NULL, has_tag);
    if (stage->kept != QN_STAGE_NONE)
        return qn_layout_of(inputs[1 - stage->kept_side], NULL, has_tag);
    return qn_layout_of(inputs[1 - stage->outer_side], inputs[stage->outer_side], has_tag);
}

static void open_collated(job *run, uint32_t index, qn_error *error)
{
    const qn_stage *stage = &run->stages.items[index];
    const qn_node *node = stage->result;
    const qn_collate *collate = &node->of.collate;
    qn_result *beside = stage->kept == QN_STAGE_NONE ? NULL : run->results[stage->kept];
    qn_division division = node->other ? QN_DIVIDE_OUTER : QN_DIVIDE_RECORDS;
    qn_collator_config config = {
        .comm = run->engine->comm,
        .collation = {.kind = collate->kind,
                      .layout = layout_of(stage),
                      .descending = collate->descending,
                      .values_descending = collate->values_descending,
                      .compare_keys = collate->compare_keys,
                      .compare_values = collate->compare_values,
                      .user = collate->user},
        .division = collate->divides_keys && !beside ? division : QN_DIVIDE_KEYS,
        .outer_input = stage->outer_side,
        .like = beside ? beside->collated : NULL,
        .pool_bytes = run->shares.share.pool_bytes,
        .round_bytes = run->shares.share.round_bytes,
        .block_bytes = run->shares.share.block_bytes,
        .scratch = qn_settings_get_scratch(&run->engine->settings),
    };
    if (qn_result_create_collated(&run->results[index], &config, error) != QUERN_OK)
        return;
    run->results[index]->beside = beside;
    run->results[index]->beside_side = stage->kept_side == stage->outer_side ? QN_SIDE_OUTER : QN_SIDE_INNER;
}

static quern_status open_result(job *run, uint32_t index, qn_error *error)
{
    qn_node_kind kind = run->stages.items[index].result->kind;
    if (kind == QN_NODE_STORE || kind == QN_NODE_LINKS)
        open_store(run, index, error);
    else if (kind == QN_NODE_REDUCE)
        open_reduced(run, index, error);
    else
        open_collated(run, index, error);
    return qn_comm_agree(run->engine->comm, error);
}

static void close_result(job *run, uint32_t index)
{
    if (!run->stages.items[index].is_made) /* else it is the cache's */
        qn_result_destroy(run->results[index]);
    run->results[index] = NULL;
    qn_join_table_destroy(run->tables[index]);
    run->tables[index] = NULL;
}

/* What joins of the stage look their records up in. */
static void lend_tables(const job *run, qn_stage_run *stage_run)
{
    const qn_stage *stage = stage_run->stage;
    for (uint32_t step = 0; step < stage->step_count; step++) {
        if (!qn_stage_looks_up(stage, step))
            continue;
        uint32_t made_by = qn_stages_find(&run->stages, stage->steps[step]->input);
        QN_ASSERT(made_by != QN_STAGE_NONE && run->tables[made_by]);
        stage_run->lookups[step] = &run->tables[made_by]->lookup;
        stage_run->figures.broadcast_bytes += qn_join_table_charge_bytes(run->tables[made_by]);
    }
}

static quern_status begin_and_run(job *run, uint32_t index, qn_stage_run *stage_run, qn_error *error)
{
    const qn_stage *stage = stage_run->stage;
    quern_status status = stage->result ? open_result(run, index, error) : QUERN_OK;
    if (status != QUERN_OK)
        return status;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        stage_run->from[leg] = stage->legs[leg].parent == QN_STAGE_NONE ? NULL : run->results[stage->legs[leg].parent];
    lend_tables(run, stage_run);
    stage_run->stages = &run->stages;
    bool is_stored = qn_result_get_store(run->results[index]) != NULL;
    stage_run->into = is_stored ? NULL : run->results[index];
    stage_run->stored = is_stored ? run->results[index] : NULL;
    stage_run->writers = run->writers;
    stage_run->writer = stage->sink ? &run->writers[index] : NULL;
    stage_run->kept = qn_checkpoint_has_parts(&run->engine->checkpoint, index) ? &run->kept[index] : NULL;
    stage_run->quarantine = &run->quarantine;
    stage_run->number = run->report.stage_count;
    run->engine->stage_number++;
    return qn_stage_run_with_links(stage_run, &run->shares.share, error);
}

/* What the account says of a stage is what the report says. */
static void note_stage(qn_account *account, uint32_t index, const qn_report_stage *reported)
{
    qn_stage_facts *facts = &account->facts[index];
    *facts = (qn_stage_facts){
        .ran = true,
        .status = reported->status,
        .elapsed_ms = (uint64_t)(reported->seconds * 1e3 + 0.5),
        .read_bytes = reported->read_bytes,
        .sent_bytes = reported->sent_bytes,
        .spilled_bytes = reported->spilled_bytes,
    };
    memcpy(facts->leg_bytes, reported->leg_bytes, sizeof facts->leg_bytes);
    QN_ASSERT(reported->edge_count <= QN_STEP_COUNT_MAX + 1);
    for (uint32_t i = 0; i < reported->edge_count; i++) {
        const qn_edge_stats *edge = &reported->edges[i].stats;
        facts->steps[i] = (qn_step_facts){edge->records_in, edge->records_out, edge->records_dropped};
    }
}

/* A stage that failed is in the report too; what goes wrong in adding it then is not the job's failure. */
static quern_status report_stage(job *run, uint32_t index, const qn_stage_run *stage_run, quern_status outcome,
                                 double seconds, qn_error *error)
{
    qn_error failure = {0};
    uint32_t count = run->report.stage_count;
    qn_report_add_stage(&run->report, stage_run, outcome, seconds, &failure);
    if (run->report.stage_count > count)
        note_stage(run->engine->account, index, &run->report.stages[count]);
    quern_status status = qn_comm_agree(run->engine->comm, &failure);
    if (outcome == QUERN_OK && status != QUERN_OK)
        *error = failure;
    return outcome == QUERN_OK ? status : outcome;
}

/* On rank 0, to whoever looks. */
static void begin_showing(const job *run, const qn_stage *stage, uint64_t now_ns)
{
    qn_engine *engine = run->engine;
    const char *name = qn_leg_source(stage, 0)->name;
    uint32_t number = run->report.stage_count + 1;
    engine->failed.stage = number;
    qn_job_status_begin_stage(engine->status, name);
    qn_board_begin_stage(engine->board, number, name, stage->result ? stage->result->name : "output", now_ns);
    qn_progress_begin_stage(&engine->progress, number, run->stages.count, name);
}

static void end_showing(job *run, double seconds)
{
    qn_engine *engine = run->engine;
    const qn_report_stage *stage = &run->report.stages[run->report.stage_count - 1];
    qn_progress_sums sums = {.read_bytes = stage->read_bytes,
                             .sent_bytes = stage->sent_bytes,
                             .spilled_bytes = stage->spilled_bytes,
                             .seconds = seconds};
    uint64_t work_ns = 0, most_ns = 0;
    for (uint32_t rank = 0; engine->comm->rank == 0 && rank < engine->comm->size; rank++) {
        const qn_stage_figures *figures = &stage->ranks[rank];
        sums.tasks += figures->tasks;
        sums.records += figures->source_records;
        work_ns += figures->work_ns;
        sums.busiest = figures->work_ns > most_ns ? rank : sums.busiest;
        most_ns = figures->work_ns > most_ns ? figures->work_ns : most_ns;
    }
    sums.to_mean = work_ns > 0 ? (double)most_ns * engine->comm->size / (double)work_ns : 1;
    qn_progress_end_stage(&engine->progress, &sums);
    qn_job_status_end_stage(engine->status, stage->read_bytes, seconds);
}

static quern_status run_stage(job *run, qn_stage_run *stage_run, qn_error *error)
{
    const qn_stage *stage = stage_run->stage;
    qn_engine *engine = run->engine;
    uint32_t index = stage_run->index;
    uint64_t start_ns = qn_clock_ns();
    begin_showing(run, stage, start_ns);
    quern_status status = begin_and_run(run, index, stage_run, error);
    qn_board_end_stage(engine->board);
    qn_progress_rest(&engine->progress);
    double seconds = (double)(qn_clock_ns() - start_ns) / 1e9;
    qn_log_line(&engine->log, "stage %u: '%s' to %s, %.3f s: %s", engine->stage_number, qn_leg_source(stage, 0)->name,
                stage->result ? "a result" : "an output", seconds, quern_status_name(status));
    status = report_stage(run, index, stage_run, status, seconds, error);
    if (status == QUERN_OK)
        end_showing(run, seconds);
    return status;
}

static bool is_to_stay(const qn_stage *stage)
{
    return !stage->result || stage->result->is_cached;
}

/* The stored side of the join that the stage collates for. */
static const qn_store *stored_side(const job *run, const qn_node *collate)
{
    uint32_t made_by = qn_stages_find(&run->stages, collate->join.stored[collate->build == QN_BUILD_RIGHT]);
    QN_ASSERT(made_by != QN_STAGE_NONE && run->results[made_by]);
    return qn_result_get_store(run->results[made_by]);
}

/* Now that the small side of a join is stored: is it small? Then it becomes a table, and the stage is left out. */
static quern_status try_table(job *run, uint32_t index, qn_error *error)
{
    qn_engine *engine = run->engine;
    const qn_node *collate = run->stages.items[index].result;
    if (!collate || collate->build == QN_BUILD_NONE ||
        (!qn_join_is_chosen(collate) && qn_stage_reader_count(&run->stages, index) > 1))
        return QUERN_OK;
    uint64_t start_ns = qn_clock_ns();
    qn_join_table_limit limit = qn_join_table_limit_of(engine, collate, run->stages.live_max);
    quern_status status = qn_join_table_create(&run->tables[index], engine, stored_side(run, collate), &limit, error);
    if (status != QUERN_OK || !run->tables[index])
        return status;
    qn_log_line(&engine->log, "a table of %llu records for a join, %.3f s",
                (unsigned long long)run->tables[index]->lookup.record_count, (double)(qn_clock_ns() - start_ns) / 1e9);
    if (qn_stages_broadcast(&run->stages, index)) {
        qn_stages_broadcast(&engine->account->stages, index);
        return QUERN_OK;
    }
    qn_join_table_destroy(run->tables[index]);
    run->tables[index] = NULL;
    return QUERN_OK;
}

/* What counters had before a stage; NULL: there are none, or no memory. */
static int64_t *note_counters(const struct quern_counter *counters)
{
    int64_t *sums = calloc(qn_counter_count(counters) + 1, sizeof *sums);
    for (size_t i = 0; sums && counters; counters = counters->next)
        sums[i++] = counters->sum;
    return sums;
}

static quern_status restore_stage(job *run, uint32_t index, qn_error *error)
{
    quern_status status = open_result(run, index, error);
    run->engine->stage_number++;
    return status == QUERN_OK ? qn_stage_restore_result(run->engine, &run->stages, index, run->results[index], error)
                              : status;
}

static quern_status save_stage(job *run, uint32_t index, const int64_t *counted, qn_error *error)
{
    qn_engine *engine = run->engine;
    engine->site.between = "saving a stage in the checkpoint";
    quern_status status = qn_checkpoint_save(&engine->checkpoint,
                                             &(qn_checkpoint_stage){.stages = &run->stages,
                                                                    .index = index,
                                                                    .result = run->results[index],
                                                                    .counters = engine->counters,
                                                                    .counted = counted},
                                             error);
    engine->site.between = NULL;
    return status;
}

static quern_status run_and_save_stage(job *run, uint32_t index, qn_error *error)
{
    qn_engine *engine = run->engine;
    qn_stage_run *stage_run = calloc(1, sizeof *stage_run);
    int64_t *counted = note_counters(engine->counters);
    if (!stage_run || !counted)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a stage");
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK) {
        stage_run->engine = engine;
        stage_run->stage = &run->stages.items[index];
        stage_run->index = index;
        stage_run->counted = counted;
        status = run_stage(run, stage_run, error);
    }
    if (status == QUERN_OK)
        status = save_stage(run, index, counted, error);
    free(stage_run);
    free(counted);
    return status;
}

static quern_status make_stage(job *run, uint32_t index, qn_error *error)
{
    if (qn_checkpoint_has(&run->engine->checkpoint, index))
        return restore_stage(run, index, error);
    quern_status status = try_table(run, index, error);
    if (status != QUERN_OK || run->stages.items[index].is_left_out)
        return status;
    return run_and_save_stage(run, index, error);
}

static quern_status run_stages(job *run, qn_error *error)
{
    quern_status status = QUERN_OK;
    uint64_t unneeded = qn_checkpoint_unneeded(&run->engine->checkpoint, &run->stages);
    for (uint32_t i = 0; i < run->stages.count; i++)
        if (run->stages.items[i].is_made)
            run->results[i] = qn_cache_find(&run->engine->cache, run->stages.items[i].result);
    for (uint32_t i = 0; i < run->stages.count && status == QUERN_OK; i++) {
        if (run->stages.items[i].is_made)
            continue;
        if (unneeded >> i & 1)
            qn_checkpoint_skip(&run->engine->checkpoint, i, run->engine->counters);
        else
            status = make_stage(run, i, error);
        for (uint32_t made = 0; made < i; made++)
            if (run->stages.items[made].last_reader == i && !is_to_stay(&run->stages.items[made]))
                close_result(run, made);
    }
    return status;
}

/* What is kept in order tells the planner what it may be used for; alike on all ranks, which have the same cuts. */
static void judge_sorted(qn_node *node, const qn_result *result)
{
    if (result->kind != QN_RESULT_COLLATED)
        return;
    node->has_hot_key = result->collated->splitters.has_hot_key;
    node->is_uneven = result->collated->splitters.is_uneven;
}

static quern_status keep_result(job *run, uint32_t index, qn_node *node, qn_error *error)
{
    judge_sorted(node, run->results[index]);
    if (node->is_uneven)
        return QUERN_OK;
    quern_status status = qn_cache_add(&run->engine->cache, node, run->results[index], error);
    if (status != QUERN_OK)
        return status;
    run->results[index] = NULL;
    node->made_digest = qn_checkpoint_digest_of(&run->engine->checkpoint, index);
    return status;
}

/* A run that succeeded: what it made for later ones is the cache's now. Local: no memory on one rank means that the others, too, have to
 * work it out again. */
static quern_status keep_results(job *run, const qn_graph *graph, qn_error *error)
{
    if (!graph->cached) /* on no rank */
        return QUERN_OK;
    for (qn_node *node = graph->cached; node; node = node->next_cached)
        for (uint32_t i = 0; i < run->stages.count && error->status == QUERN_OK; i++)
            if (run->stages.items[i].result == node && !run->stages.items[i].is_made)
                keep_result(run, i, node, error);
    quern_status status = qn_comm_agree(run->engine->comm, error);
    if (status == QUERN_OK)
        status = qn_cache_learn_sizes(&run->engine->cache, run->engine->comm, error);
    for (uint32_t i = 0; i < run->stages.count && status != QUERN_OK; i++)
        if (run->stages.items[i].result && !run->stages.items[i].is_made)
            qn_cache_forget(&run->engine->cache, run->stages.items[i].result);
    return status;
}

static bool is_new_result(const job *run, uint32_t index)
{
    return run->results[index] && !run->stages.items[index].is_made;
}

/* What the rank has at the end, when the tables are gone, beside what other sinks and caches still keep. */
static uint64_t memory_left_to(const job *run, uint32_t index)
{
    uint64_t kept_bytes = qn_cache_get_memory_bytes(&run->engine->cache) + run->engine->settings.held_bytes;
    uint64_t memory_bytes = run->engine->settings.rank_memory_bytes;
    for (uint32_t i = 0; i < run->stages.count; i++) {
        kept_bytes += i != index ? run->writers[i].kept_bytes : 0;
        kept_bytes += is_new_result(run, i) ? qn_result_get_memory_bytes(run->results[i]) : 0;
    }
    return memory_bytes > kept_bytes ? memory_bytes - kept_bytes : 0;
}

/* A place for bad records that are set apart; the next attempt is to know that it is this job's. */
static quern_status open_quarantine(job *run, qn_error *error)
{
    qn_engine *engine = run->engine;
    if (!qn_bad_are_set_apart(&engine->settings, &run->stages))
        return QUERN_OK;
    qn_quarantine_place place = {.directory = engine->settings.quarantine_dir, .run = engine->run_count};
    place.is_ours = qn_checkpoint_has_quarantine(&engine->checkpoint, place.directory);
    quern_status status = qn_quarantine_open(&run->quarantine, engine->comm, &place, error);
    if (status == QUERN_OK) {
        say_taken_over(engine, "quarantine", place.directory, &run->quarantine.lock);
        qn_checkpoint_note_quarantine(&engine->checkpoint, place.directory);
    }
    return status;
}

/* What others may have seen of it already when a rank is lost. */
static bool is_shown_by_delivery(const qn_sink *sink)
{
    return sink->kind == QN_SINK_TOP_K || sink->kind == QN_SINK_COLLECT ||
           (sink->kind == QN_SINK_HDF5 && sink->one_file);
}

static quern_status deliver(job *run, uint32_t index, qn_error *error)
{
    qn_sink_writer *writer = &run->writers[index];
    if (!writer->sink)
        return QUERN_OK;
    run->is_shown |= is_shown_by_delivery(writer->sink);
    return qn_sink_writer_deliver(writer, run->engine->comm, memory_left_to(run, index), error);
}

/* First what can still fail in the user's hands, then the files. */
static quern_status commit_sinks(job *run, const qn_graph *graph, qn_error *error)
{
    quern_status status = QUERN_OK;
    run->engine->site.between = "committing the outputs";
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_COMMIT);
    for (uint32_t i = 0; i < run->stages.count && status == QUERN_OK; i++)
        status = deliver(run, i, error);
    if (status == QUERN_OK && run->quarantine.directory)
        status = qn_quarantine_commit(&run->quarantine, run->engine->comm, error);
    if (status == QUERN_OK)
        status = qn_checkpoint_begin_commit(&run->engine->checkpoint, graph, run->engine->counters, error);
    for (uint32_t i = 0; i < run->stages.count && status == QUERN_OK; i++)
        if (run->writers[i].sink) {
            run->writers[i].output.announce = qn_checkpoint_announce;
            run->writers[i].output.announce_user = &run->engine->checkpoint;
            status = qn_sink_writer_commit(&run->writers[i], run->engine->comm, error);
        }
    qn_timeline_enter(before);
    return status;
}

static void close_results(job *run)
{
    for (uint32_t i = 0; i < run->stages.count; i++)
        close_result(run, i);
}

/* Of a job that was told to end, parts that are noted, or could have been, stay as they would if it had been killed; and of one that failed before
 * it came to them, those of an earlier attempt. */
static bool is_to_stay_unfinished(const job *run, uint32_t index, quern_status status)
{
    if (status == QUERN_OK || !run->writers[index].sink)
        return false;
    if (run->kept[index].list.count > 0 && !run->kept[index].is_settled)
        return true;
    return status == QUERN_ERROR_SUSPENDED &&
           qn_checkpoint_can_note_parts(&run->engine->checkpoint, &run->stages, index);
}

static void close_job(job *run, quern_status status)
{
    qn_error ignored = {0};
    bool keep = status == QUERN_OK;
    close_results(run);
    for (uint32_t i = 0; i < run->stages.count; i++) {
        if (is_to_stay_unfinished(run, i, status))
            qn_sink_writer_leave(&run->writers[i], false);
        else
            qn_sink_writer_fini(&run->writers[i], keep);
        qn_part_list_fini(&run->kept[i].list);
    }
    qn_quarantine_close(&run->quarantine, keep);
    if (!keep) {
        qn_comm_agree(run->engine->comm, &ignored); /* all files are gone before the directories go */
        for (uint32_t i = 0; i < run->stages.count; i++)
            qn_sink_writer_withdraw(&run->writers[i]);
        qn_quarantine_withdraw(&run->quarantine);
    }
    /* Also of one that an earlier attempt did. */
    run->engine->run_count += keep && qn_bad_are_set_apart(&run->engine->settings, &run->stages);
}

/* A rank was lost: outputs are left as if all had been, since a file with its last name may be part of an output that is whole; whoever
 * begins again finds out. */
static void leave_job(job *run)
{
    close_results(run);
    for (uint32_t i = 0; i < run->stages.count; i++)
        qn_sink_writer_leave(&run->writers[i], !run->engine->checkpoint.directory);
    for (uint32_t i = 0; i < run->stages.count; i++)
        qn_part_list_fini(&run->kept[i].list);
}

/* A job that failed counted nothing, and its ranks may not even have the same counters: they do not talk about them. */
static quern_status total_counters(qn_engine *engine, bool kept, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (struct quern_counter *counter = engine->counters; counter && status == QUERN_OK; counter = counter->next) {
        uint64_t sum = kept ? (uint64_t)counter->sum : 0;
        if (kept)
            status = qn_comm_reduce_sum(engine->comm, &sum, 1, error);
        counter->total = (int64_t)sum;
        counter->sum = 0;
    }
    return status;
}

static void count_read_bytes(qn_engine *engine, const qn_report *report, quern_status status)
{
    uint64_t bytes = 0;
    if (status != QUERN_OK || engine->comm->rank != 0)
        return;
    for (uint32_t i = 0; i < report->stage_count; i++)
        for (uint32_t rank = 0; rank < engine->comm->size; rank++)
            bytes += report->stages[i].ranks[rank].input_bytes;
    engine->progress.run_bytes = bytes;
}

static quern_status do_work(job *run, const qn_graph *graph, qn_error *error)
{
    qn_engine *engine = run->engine;
    qn_run_shares_deal(&run->shares, run->engine, &run->stages, error);
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK)
        status = open_sinks(run, error);
    if (status == QUERN_OK)
        status = open_quarantine(run, error);
    if (status == QUERN_OK)
        status = run_stages(run, error);
    if (status == QUERN_OK)
        status = commit_sinks(run, graph, error);
    return status == QUERN_OK ? qn_checkpoint_end_run(&engine->checkpoint, graph, engine->counters, error) : status;
}

static quern_status run_job(job *run, const qn_graph *graph, qn_error *error)
{
    qn_engine *engine = run->engine;
    quern_status status = check_same_graph(engine, graph, error);
    if (status == QUERN_OK && qn_join_tables_choose(engine, graph, error) == QUERN_OK) {
        run->stages = engine->account->stages;
        if (engine->comm->rank == 0 && engine->settings.is_seen)
            qn_engine_foresee(engine, engine->account);
        qn_job_status_begin_run(engine->status, run->stages.count);
        qn_board_begin_run(engine->board);
        qn_progress_begin_run(&engine->progress, run->stages.count);
        qn_engine_tell_place(engine);
        qn_report_init(&run->report, run->stages.count, engine->comm->rank == 0 ? engine->settings.report_path : NULL,
                       error);
    }
    status = qn_comm_agree(engine->comm, error);
    run->may_report = status == QUERN_OK;
    if (status == QUERN_OK && engine->checkpoint.directory)
        status = qn_node_tasks_digest(engine, &run->stages, error);
    if (status == QUERN_OK)
        status = qn_checkpoint_begin_run(&engine->checkpoint, graph, &run->stages, engine->node_files, engine->counters,
                                         &run->is_done, error);
    if (status == QUERN_OK && !run->is_done)
        status = do_work(run, graph, error);
    quern_status counted = total_counters(engine, status == QUERN_OK, error);
    return status == QUERN_OK ? counted : status;
}

/* Nothing of the last run is left when the next begins. */
static void forget_account(qn_engine *engine)
{
    free(engine->account);
    engine->account = NULL;
}

static quern_status compare_decisions(qn_comm *comm, bool mine, qn_error *error)
{
    uint64_t answers[2] = {mine, !mine};
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_reduce_max(comm, answers, 2, error);
    if (status == QUERN_OK && answers[0] == answers[1])
        status =
            qn_error_set(error, QUERN_ERROR_PLAN_MISMATCH, 0,
                         "iterate: until ended the repetition on some ranks only: decide by what all ranks have, such "
                         "as a counter");
    return status;
}

quern_status qn_engine_decide(qn_engine *engine, bool mine, bool *all_out, qn_error *error)
{
    const qn_error before = *error;
    qn_recovery_mark mark = qn_recovery_mark_here(engine);
    quern_status status = compare_decisions(engine->comm, mine, error);
    while (qn_recovery_conclude(engine, mark.why_not, status, error) == QN_OUTCOME_AGAIN) {
        *error = before;
        status = qn_recovery_go_on(engine, mark, error);
        if (status == QUERN_OK)
            status = compare_decisions(engine->comm, mine, error);
    }
    *all_out = mine;
    return error->status;
}

/* What cannot be had again, or not be taken back, when a rank is lost. */
static const char *why_not_again(const job *run, const qn_graph *graph, const qn_recovery_mark *mark)
{
    if (mark->why_not)
        return mark->why_not;
    if (graph->reads_memory)
        return "arrays that a rank had in memory are lost with it";
    if (run->quarantine.directory)
        return "bad records were set apart";
    return run->is_shown ? "what it gives may have been given already" : NULL;
}

static void end_attempt(job *run, quern_status status)
{
    qn_engine *engine = run->engine;
    close_job(run, status);
    engine->last_run = status;
    count_read_bytes(engine, &run->report, status);
    if (engine->account) {
        engine->account->ran = true;
        engine->account->status = status;
        qn_cache_tell_sizes(&engine->cache, engine->account);
    }
}

static quern_status work_on(job *run, const qn_graph *graph, qn_error *error)
{
    qn_engine *engine = run->engine;
    forget_account(engine);
    qn_engine_start_progress(engine);
    qn_heartbeat_begin_run(engine->heartbeat);
    quern_status status = run_job(run, graph, error);
    if (run->may_report) {
        qn_error outcome = *error;
        quern_status written = qn_report_write(&run->report, engine, &outcome, error);
        status = status == QUERN_OK ? written : status;
    }
    return status == QUERN_OK ? keep_results(run, graph, error) : status;
}

/* From the begin to the end, unless a rank is lost meanwhile. */
static qn_outcome try_run(qn_engine *engine, const qn_graph *graph, const qn_recovery_mark *mark, qn_error *error)
{
    job *run = calloc(1, sizeof *run);
    engine->failed.count = 0;
    if (!run)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a run");
    quern_status status = qn_comm_agree(engine->comm, error);
    bool has_begun = run && status == QUERN_OK;
    if (has_begun) {
        run->engine = engine;
        status = work_on(run, graph, error);
    }
    const char *why_not = has_begun ? why_not_again(run, graph, mark) : mark->why_not;
    qn_outcome outcome = qn_recovery_conclude(engine, why_not, status, error);
    if (has_begun && outcome == QN_OUTCOME_AGAIN)
        leave_job(run);
    else if (has_begun)
        end_attempt(run, outcome == QN_OUTCOME_DONE ? QUERN_OK : error->status);
    if (has_begun) {
        engine->site.between = NULL;
        qn_heartbeat_end_run(engine->heartbeat);
        qn_report_fini(&run->report);
    }
    free(run);
    return outcome;
}

quern_status qn_engine_run(qn_engine *engine, const qn_graph *graph, struct quern_counter *counters, qn_error *error)
{
    const qn_error before = *error;
    qn_recovery_mark mark = qn_recovery_mark_here(engine);
    engine->counters = counters;
    engine->run_ns = qn_clock_ns();
    engine->has_report = false;
    memset(engine->sent_group_bytes, 0, sizeof engine->sent_group_bytes);
    qn_progress_open_run(&engine->progress);
    qn_timeline_begin(engine->timeline, engine->run_ns);
    qn_timeline_attach(engine->timeline);
    while (try_run(engine, graph, &mark, error) == QN_OUTCOME_AGAIN) {
        *error = before;
        memset(engine->sent_group_bytes, 0, sizeof engine->sent_group_bytes); /* the groups will be others */
        qn_timeline_enter(QN_TIMELINE_RECOVER);
        if (qn_recovery_go_on(engine, mark, error) != QUERN_OK)
            break;
        qn_timeline_enter(QN_TIMELINE_OTHER);
    }
    qn_timeline_attach(NULL);
    if (error->status != QUERN_OK && !engine->has_report)
        qn_report_write_failure(engine, error);
    qn_job_status_end_run(engine->status, error);
    qn_progress_end_run(&engine->progress, error->status, error->text);
    qn_engine_show_plan(engine);
    qn_progress_drain(&engine->progress);
    return error->status;
}
