/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/stage_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/data/key_text.h"
#include "runtime/engine/result_feed.h"

/* A place to wait: progress; and if that had nothing to do, sleep, a little more each time. */
static void wait_a_little(qn_stage_run *run, qn_backoff *backoff)
{
    uint64_t start_ns = qn_clock_ns();
    uint64_t activity = run->agent.activity;
    qn_agent_progress(&run->agent);
    if (run->agent.activity == activity)
        qn_backoff_wait(backoff);
    else
        qn_backoff_reset(backoff);
    run->figures.wait_ns += qn_clock_ns() - start_ns;
}

static quern_status stopped(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "the job failed elsewhere");
}

/* The end of the chain in a stage with a shuffle: inside the gate, waiting for room as needed. */
static quern_status end_in_shuffle(void *user, const qn_batch *batch, qn_error *error)
{
    qn_stage_run *run = user;
    size_t next = 0;
    qn_backoff backoff = {0};
    qn_agent_enter(&run->agent);
    quern_status status = QUERN_OK;
    if (run->chain.operator_count > 0)
        qn_agent_progress_if_due(&run->agent); /* a callback may emit for long */
    while (!run->agent.aborted) {
        status = qn_shuffle_insert(run->into, batch, &next, error);
        if (status != QUERN_OK || next == batch->block.count)
            break;
        wait_a_little(run, &backoff);
    }
    if (run->agent.aborted)
        status = stopped(error);
    qn_agent_leave(&run->agent);
    return status;
}

static quern_status end_in_sink(void *user, const qn_batch *batch, qn_error *error)
{
    qn_stage_run *run = user;
    return qn_sink_writer_put(run->writer, batch, error);
}

/* Appends to a failure's text where it happened: at a record, if that is known, else somewhere in the block. */
static void locate_in_file(const qn_stage_run *run, const qn_text_source *source, qn_error *failure)
{
    bool exact = qn_chain_knows_record(&run->chain, failure);
    uint64_t offset = 0;
    const char *path = qn_text_source_locate(source, exact ? run->chain.failed_origin : 0, &offset);
    size_t used = strlen(failure->text);
    snprintf(failure->text + used, sizeof failure->text - used, ", %s at byte %llu of %s",
             exact ? "on the record" : "in the block of records", (unsigned long long)offset, path);
}

/* The same in a stage that reads a result. */
static void locate_in_result(const qn_stage_run *run, const qn_batch *batch, qn_error *failure)
{
    const qn_node *source = run->stage->source;
    bool exact = qn_chain_knows_record(&run->chain, failure);
    uint32_t at = exact ? run->chain.failed_origin : 0;
    char key[QN_KEY_TEXT_BYTES_MAX + 1];
    size_t used = strlen(failure->text);
    qn_key_describe(source->schema.key, batch->block.key[at], batch->block.key_bytes[at], key);
    snprintf(failure->text + used, sizeof failure->text - used, ", %s '%s' %s key \"%s\" (%u bytes)",
             exact ? "on the record of" : "in the block of records of", source->name, exact ? "with" : "from", key,
             batch->block.key_bytes[at]);
}

/* The master says which task failed where there is another attempt; a rank that breaks says it itself. */
static void name_task(const qn_task *task, qn_error *failure)
{
    qn_error bare = *failure;
    qn_error_clear(failure);
    qn_error_set(failure, bare.status, 0, "task %u (attempt %u): %s", task->order.task, task->order.attempt, bare.text);
}

/* A part is an attempt's as a whole. */
static bool makes_parts(const qn_stage_run *run)
{
    return run->writer && qn_sink_writer_has_parts(run->writer);
}

/* An attempt failed: can it be tried elsewhere, and from where on? */
static void give_up_attempt(qn_stage_run *run, const qn_task *task, const qn_text_source *source, uint64_t skip,
                            qn_error *failure)
{
    bool retryable = run->chain.callback_failed || failure->status == QUERN_ERROR_INPUT;
    qn_resume resume = {0};
    if (makes_parts(run)) {
        qn_sink_writer_drop_part(run->writer); /* the whole part is made again */
        qn_chain_roll_back(&run->chain);
    } else {
        resume.place = source->block_place;
        resume.skip = run->chain.delivered > skip ? run->chain.delivered : skip;
    }
    run->figures.attempts_failed++;
    if (retryable) {
        qn_agent_report_failed(&run->agent, task, &resume, true, failure);
        return;
    }
    name_task(task, failure);
    qn_agent_break(&run->agent, failure);
}

/* One block: read and worked on outside of the gate. *more_out: there was one. */
static quern_status run_block(qn_stage_run *run, qn_text_source *source, uint64_t *skip, bool *more_out,
                              qn_error *failure)
{
    qn_batch batch;
    run->chain.callback_failed = false;
    run->chain.delivered = 0;
    qn_agent_leave(&run->agent);
    quern_status status = qn_text_source_next(source, &batch, failure);
    *more_out = status == QUERN_OK && batch.block.count > 0;
    if (*more_out)
        status = qn_chain_run(&run->chain, &batch, *skip, failure);
    if (*more_out && status != QUERN_OK)
        locate_in_file(run, source, failure);
    qn_agent_enter(&run->agent);
    if (status == QUERN_OK && *more_out) {
        run->figures.source_records += batch.block.count;
        *skip = 0;
    }
    return status;
}

static quern_status begin_part(qn_stage_run *run, const qn_task *task, qn_error *failure)
{
    if (!run->writer)
        return QUERN_OK;
    return qn_sink_writer_begin_part(run->writer, task->order.task, task->order.task_count, failure);
}

static void run_task(qn_stage_run *run, qn_text_source *source, const qn_task *task)
{
    qn_error failure = {0};
    const qn_resume *resume = &task->order.resume;
    uint64_t skip = resume->skip;
    bool more = true;
    run->figures.attempts++;
    uint64_t source_records = run->figures.source_records;
    if (run->into)
        qn_shuffle_foresee(run->into, task->order.task, task->order.task_count);
    qn_chain_mark(&run->chain);
    bool resumed = resume->place.started || resume->place.segment > 0;
    quern_status status = begin_part(run, task, &failure);
    if (status == QUERN_OK)
        status = qn_text_source_open(source, task->message, task->bytes, resumed ? &resume->place : NULL, &failure);
    while (status == QUERN_OK && more && !run->agent.aborted) {
        status = run_block(run, source, &skip, &more, &failure);
        qn_agent_progress_if_due(&run->agent);
    }
    if (run->agent.aborted)
        return;
    if (status == QUERN_OK && run->writer)
        status = qn_sink_writer_end_part(run->writer, &failure);
    if (status == QUERN_OK) {
        run->figures.tasks++;
        run->figures.input_bytes += qn_text_source_task_bytes(source);
        qn_agent_report_done(&run->agent, task);
        return;
    }
    if (makes_parts(run))
        run->figures.source_records = source_records; /* they will all be read again */
    give_up_attempt(run, task, source, skip, &failure);
}

static void run_tasks(qn_stage_run *run, qn_text_source *source)
{
    qn_backoff backoff = {0};
    while (!run->agent.ended && !run->agent.aborted) {
        qn_task task;
        if (!qn_agent_take_task(&run->agent, &task)) {
            wait_a_little(run, &backoff);
            continue;
        }
        qn_backoff_reset(&backoff);
        uint64_t start_ns = qn_clock_ns();
        run_task(run, source, &task);
        run->figures.work_ns += qn_clock_ns() - start_ns;
        free(task.message);
    }
}

static void run_source(qn_stage_run *run)
{
    const qn_text_input *text = &run->stage->source->text;
    qn_text_source source = {0};
    qn_delimiters delimiters;
    qn_delimiters_init(&delimiters, text->delimiters, text->delimiter_count);
    quern_status status = qn_text_source_init(&source, &delimiters, text->skip_empty,
                                              run->engine->settings.record_bytes_max, &run->agent.error);
    if (status == QUERN_OK)
        run_tasks(run, &source);
    else
        qn_agent_break(&run->agent, &run->agent.error);
    qn_text_source_fini(&source);
}

/* The same block again and again until it passes or there were too many attempts: the data is here and nowhere else. */
static quern_status run_result_block(qn_stage_run *run, const qn_batch *batch, qn_error *error)
{
    uint64_t skip = 0;
    for (uint32_t attempt = 1;; attempt++) {
        qn_error failure = {0};
        run->figures.attempts++;
        qn_agent_leave(&run->agent);
        quern_status status = qn_chain_run(&run->chain, batch, skip, &failure);
        qn_agent_enter(&run->agent);
        if (status == QUERN_OK)
            return QUERN_OK;
        run->figures.attempts_failed++;
        if (!run->chain.callback_failed || attempt == run->engine->settings.attempt_count_max) {
            locate_in_result(run, batch, &failure);
            return qn_error_set(error, failure.status, 0, "%s", failure.text);
        }
        skip = run->chain.delivered > skip ? run->chain.delivered : skip;
    }
}

static quern_status feed_result(qn_stage_run *run, qn_result_feed *feed)
{
    quern_status status = QUERN_OK;
    qn_batch batch = {0};
    do {
        status = qn_result_feed_next(feed, &batch, &run->agent.error);
        if (status == QUERN_OK && batch.block.count > 0)
            status = run_result_block(run, &batch, &run->agent.error);
        if (status == QUERN_OK)
            run->figures.source_records += batch.block.count;
        qn_agent_progress_if_due(&run->agent);
    } while (status == QUERN_OK && batch.block.count > 0 && !run->agent.aborted);
    return status;
}

static void run_result(qn_stage_run *run)
{
    qn_result_feed feed = {0};
    uint64_t start_ns = qn_clock_ns();
    qn_comm *comm = run->engine->comm;
    quern_status status = QUERN_OK;
    if (run->writer)
        status = qn_sink_writer_begin_part(run->writer, comm->rank, comm->size, &run->agent.error);
    if (status == QUERN_OK)
        status = qn_result_feed_open(&feed, run->from, run->stage->source, makes_parts(run), &run->agent.error);
    if (status == QUERN_OK)
        status = feed_result(run, &feed);
    qn_result_feed_close(&feed);
    if (status == QUERN_OK && run->writer) {
        qn_agent_leave(&run->agent); /* syncing may take long */
        status = qn_sink_writer_end_part(run->writer, &run->agent.error);
        qn_agent_enter(&run->agent);
    }
    run->figures.work_ns += qn_clock_ns() - start_ns;
    if (status == QUERN_OK)
        qn_agent_report_idle(&run->agent);
    else if (!run->agent.aborted)
        qn_agent_break(&run->agent, &run->agent.error);
}

/* Until every rank is through. A rank whose MPI is broken cannot take part any more. */
static void finish_rounds(qn_stage_run *run)
{
    qn_backoff backoff = {0};
    while (!run->agent.ended && run->agent.error.status != QUERN_ERROR_MPI)
        wait_a_little(run, &backoff);
    if (!run->into)
        return;
    if (!run->agent.aborted && qn_shuffle_end(run->into, &run->agent.error) != QUERN_OK)
        qn_agent_break(&run->agent, &run->agent.error);
    qn_shuffle_announce(run->into, UINT64_MAX);
    qn_backoff_reset(&backoff);
    while (!qn_shuffle_is_over(run->into) && run->agent.error.status != QUERN_ERROR_MPI)
        wait_a_little(run, &backoff);
}

static void keep_figures(qn_stage_run *run)
{
    qn_stage_figures *figures = &run->figures;
    figures->end_records = run->chain.end_records;
    figures->shuffle_ns = run->agent.shuffle_ns;
    figures->helper_turns = run->agent.helped;
    for (uint32_t i = 0; i < run->chain.operator_count; i++)
        run->edges[i] = qn_chain_edge(&run->chain, i);
    if (!run->into)
        return;
    const qn_rounds *rounds = &run->into->rounds;
    figures->merged_records = run->into->stats.merged;
    figures->shuffle_rounds = rounds->completed;
    figures->exchange_ns = rounds->exchange_ns;
    figures->sent_records = rounds->sent_rows;
    figures->sent_bytes = rounds->sent_bytes;
    figures->received_records = rounds->received_rows;
    figures->received_bytes = rounds->received_bytes;
    figures->spill_runs = run->into->stats.spill_runs;
    figures->spilled_bytes = run->into->spill.written_bytes;
    figures->table_bytes_peak = run->into->stats.table_bytes_peak;
}

static quern_status prepare(qn_stage_run *run, qn_error *error)
{
    qn_engine *engine = run->engine;
    const qn_node *source = run->stage->source;
    quern_status status =
        qn_chain_init(&run->chain, run->stage, engine->counters, run->into ? end_in_shuffle : end_in_sink, run, error);
    run->chain.record_bytes_max = engine->settings.record_bytes_max;
    if (status == QUERN_OK && engine->settings.check)
        status = qn_chain_check(&run->chain, run->stage->reduce, error);
    if (status == QUERN_OK && engine->comm->rank == 0)
        status = qn_master_start(&run->master, engine->comm, &engine->settings, &engine->progress, engine->stage_number,
                                 source->name, run->from ? NULL : source->text.paths, source->text.path_count,
                                 engine->rank_node, error);
    status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK)
        status = qn_agent_start(&run->agent, engine->comm, engine->stage_number,
                                engine->comm->rank == 0 ? &run->master : NULL, run->into, error);
    return status;
}

quern_status qn_stage_run_all(qn_stage_run *run, qn_error *error)
{
    quern_status status = prepare(run, error);
    if (status == QUERN_OK) {
        if (run->from)
            run_result(run);
        else
            run_source(run);
        finish_rounds(run);
        qn_agent_stop(&run->agent);
        keep_figures(run);
        if (error->status == QUERN_OK)
            *error = run->agent.error;
    }
    qn_chain_fini(&run->chain);
    qn_master_finish(&run->master);
    return qn_comm_agree(run->engine->comm, error);
}
