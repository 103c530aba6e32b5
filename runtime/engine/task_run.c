/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/task_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/timeline.h"
#include "runtime/engine/isolation.h"
#include "runtime/engine/lend_run.h"
#include "runtime/engine/second_run.h"
#include "runtime/engine/stage_parts.h"
#include "runtime/engine/task_step.h"
#include "runtime/exec/apart.h"
#include "runtime/exec/hold.h"
#include "runtime/exec/stretch.h"

/* The reader of the leg whose task came last: one buffer at a time. */
typedef struct open_source {
    qn_source reader;
    uint32_t leg;
    bool is_open;
} open_source;

/* A task that was left in its midst since the stage is to rest stays as it is, its source open, and goes on behind the rest: what it takes to get
 * there once more, in a packed file all before it, is not done again at each epoch. */
typedef struct qn_task_runner {
    open_source from, worker;
    bool is_parked;
    qn_task task; /* the parked one */
    uint64_t skip;
    qn_text_place stretch_place; /* where the present stretch began: stretch.h */
} qn_task_runner;

/* Appends to a failure's text where it happened: at a record, if that is known, else somewhere in the block. */
static void locate_in_file(const qn_chain *chain, const qn_source *source, qn_error *failure)
{
    bool exact = qn_chain_knows_record(chain, failure);
    uint64_t offset = 0;
    const char *path = qn_source_locate(source, exact ? chain->failed_origin : 0, &offset);
    size_t used = strlen(failure->text);
    snprintf(failure->text + used, sizeof failure->text - used, ", %s at %s %llu of %s",
             exact ? "on the record" : "in the block of records", qn_source_unit(source), (unsigned long long)offset,
             path);
}

/* The master says which task failed where there is another attempt; a rank that breaks says it itself. */
static void name_task(const qn_task *task, qn_error *failure)
{
    qn_error bare = *failure;
    qn_error_clear(failure);
    qn_error_set(failure, bare.status, 0, "task %u (attempt %u): %s", task->order.task, task->order.attempt, bare.text);
}

static void say_ended(const qn_stage_run *run, const qn_task_order *order, const qn_error *failure)
{
    char at[32];
    snprintf(at, sizeof at, "task %u", order->task);
    qn_site_say_ended(run->engine->comm->rank, at, order->attempt, failure);
}

static void drop_part(qn_stage_run *run, uint32_t leg)
{
    qn_stage_drop_part(run);
    qn_bad_log_drop(&run->bad[leg]);
    qn_chain_roll_back(&run->chains[leg]);
}

/* About. */
static uint64_t left_bytes(const qn_source *source)
{
    uint64_t all = qn_source_task_bytes(source), done = qn_source_done_bytes(source);
    return all > done ? all - done : 1;
}

/* Nothing of a stretch counts; it is to be taken again as a whole. */
static qn_resume drop_stretch(qn_stage_run *run, uint32_t leg, const qn_source *source)
{
    qn_bad_log_drop(&run->bad[leg]);
    qn_chain_roll_back(&run->chains[leg]);
    return (qn_resume){.place = run->tasks->stretch_place, .left_bytes = qn_source_task_bytes(source)};
}

void qn_task_give_up(qn_stage_run *run, const qn_task *task, const qn_source *source, uint64_t skip, qn_error *failure)
{
    qn_chain *chain = &run->chains[task->order.leg];
    bool retryable = chain->callback_failed || failure->status == QUERN_ERROR_INPUT;
    qn_resume resume = {0};
    if (qn_stage_makes_parts(run)) {
        drop_part(run, task->order.leg); /* it is made again as a whole */
    } else if (chain->has_stretches) {
        retryable &= chain->delivered == 0;
        resume = drop_stretch(run, task->order.leg, source);
    } else {
        resume.place = *qn_source_block_place(source);
        resume.skip = chain->delivered > skip ? chain->delivered : skip;
        resume.left_bytes = left_bytes(source);
    }
    run->figures.attempts_failed++;
    if (chain->ended_apart)
        say_ended(run, &task->order, failure);
    if (retryable) {
        qn_agent_report_failed(&run->agent, task, &resume, true, failure);
        return;
    }
    name_task(task, failure);
    qn_agent_break(&run->agent, failure);
}

/* Whether a failed attempt leaves nothing. */
static bool is_made_again_whole(const qn_stage_run *run, uint32_t leg)
{
    return qn_stage_makes_parts(run) || run->chains[leg].has_stretches;
}

/* Only legs with a sample pay for identities. */
static void identify_in_file(qn_stage_run *run, const qn_source *source, qn_batch *batch)
{
    qn_source_identify(source, batch->block.count, run->identities.of);
    batch->identity = run->identities.of;
}

/* After this attempt there is none. */
static bool is_last_attempt(const qn_stage_run *run, const qn_task_order *order)
{
    return order->attempt >= run->engine->settings.attempt_count_max;
}

bool qn_task_is_same_place(const qn_text_place *left, const qn_text_place *right)
{
    return left->segment == right->segment && left->member == right->member && left->started == right->started &&
           left->scan_offset == right->scan_offset && left->record_offset == right->record_offset;
}

/* Nothing of the block is at the end: it can be run again. */
static bool can_run_again(const qn_chain *chain, uint64_t skip)
{
    return chain->callback_failed && chain->delivered == 0 && skip == 0;
}

/* The last attempt goes on behind blocks that others failed at, and has for each of its own as many tries as a task has attempts. */
static quern_status try_again(qn_stage_run *run, const qn_task_order *order, const qn_source *source,
                              const qn_batch *batch, qn_error *failure)
{
    qn_chain *chain = &run->chains[order->leg];
    bool was_tried = order->attempt > 1 && qn_task_is_same_place(&order->resume.place, qn_source_block_place(source));
    quern_status status = failure->status;
    for (uint32_t tries = 1; !was_tried && tries < run->engine->settings.attempt_count_max && can_run_again(chain, 0);
         tries++) {
        qn_error_clear(failure);
        status = qn_hold_run(chain, batch, 0, failure);
        if (status == QUERN_OK)
            break;
    }
    return status;
}

/* Record by record: those at which a callback fails are bad. */
static quern_status leave_out(qn_chain *chain, qn_source *source, const qn_batch *batch, size_t *left_out,
                              qn_error *failure)
{
    quern_status status = QUERN_OK;
    qn_error_clear(failure);
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        qn_batch one = qn_batch_slice(batch, i, 1);
        one.identity += batch->identity ? i : 0;
        status = qn_hold_run(chain, &one, 0, failure);
        if (status == QUERN_OK)
            continue;
        chain->failed_origin = (uint32_t)i;
        if (!can_run_again(chain, 0))
            break;
        qn_source_blame(source, (uint32_t)i, failure->text);
        qn_error_clear(failure);
        (*left_out)++;
        status = QUERN_OK;
    }
    return status;
}

/* A block whose bad records may be left out. */
static quern_status run_held(qn_stage_run *run, const qn_task_order *order, qn_source *source, const qn_batch *batch,
                             uint64_t skip, size_t *left_out, qn_error *failure)
{
    qn_chain *chain = &run->chains[order->leg];
    quern_status status = qn_hold_run(chain, batch, skip, failure);
    if (status == QUERN_OK || !is_last_attempt(run, order) || !can_run_again(chain, skip))
        return status;
    status = try_again(run, order, source, batch, failure);
    return status != QUERN_OK && can_run_again(chain, 0) ? leave_out(chain, source, batch, left_out, failure) : status;
}

static void forget_failure(qn_chain *chain)
{
    chain->callback_failed = chain->ended_apart = false;
    chain->delivered = 0;
}

static void note_progress(const qn_stage_run *run, const qn_source *source, bool more)
{
    uint64_t task_bytes = qn_source_task_bytes(source);
    qn_result_note_task(run->into, more ? qn_source_done_bytes(source) : task_bytes, task_bytes);
}

/* Behind a block, inside the gate: what is shown of it meanwhile is not counted twice. */
static void count_records(qn_stage_run *run, uint32_t leg, uint64_t count)
{
    run->source_records[leg] += count;
    qn_chain_note_counted(&run->chains[leg]);
}

/* One block: read and worked on outside of the gate. *more_out: there was one. */
static quern_status run_block(qn_stage_run *run, const qn_task_order *order, qn_source *source, uint64_t *skip,
                              bool *more_out, qn_error *failure)
{
    qn_batch batch;
    uint32_t leg = order->leg;
    qn_chain *chain = &run->chains[leg];
    forget_failure(chain);
    qn_agent_leave(&run->agent);
    quern_status status = qn_source_next(source, &batch, failure);
    bool has_block = status == QUERN_OK && batch.block.count > 0;
    *more_out = has_block || (status == QUERN_OK && source->bad.count > 0);
    if (has_block && qn_chain_samples(chain))
        identify_in_file(run, source, &batch);
    size_t left_out = 0;
    if (has_block)
        status = chain->hold ? run_held(run, order, source, &batch, *skip, &left_out, failure)
                             : qn_chain_run(chain, &batch, *skip, failure);
    if (has_block && status != QUERN_OK)
        locate_in_file(chain, source, failure);
    if (status == QUERN_OK)
        status = qn_bad_log_take(&run->bad[leg], &source->bad, is_made_again_whole(run, leg), failure);
    qn_agent_enter(&run->agent);
    bool counts = status == QUERN_OK && *more_out;
    count_records(run, leg, counts ? batch.block.count - left_out : 0);
    if (counts)
        *skip = 0;
    if (status == QUERN_OK && run->into && !run->is_second)
        note_progress(run, source, *more_out);
    return status;
}

static quern_status open_task(const qn_stage_run *run, qn_source *source, const qn_task_order *order, const void *split,
                              size_t bytes, qn_error *failure)
{
    bool passes = qn_bad_limit_passes(qn_stage_bad_limit(run, order->leg));
    qn_source_forgive_damage(source, passes && is_last_attempt(run, order));
    const qn_text_place *place = &order->resume.place;
    bool resumed = place->started || place->segment > 0 || place->member > 0;
    return qn_source_open(source, split, bytes, resumed ? place : NULL, failure);
}

/* The source is to be at the block that failed, to say where that is. */
static void go_back(qn_stage_run *run, qn_source *source, const qn_task_order *order, const void *split, size_t bytes,
                    const qn_text_place *at, qn_error *failure)
{
    qn_batch batch;
    qn_error unread = {0};
    qn_task_order there = *order;
    there.resume.place = *at;
    if (open_task(run, source, &there, split, bytes, &unread) == QUERN_OK &&
        qn_source_next(source, &batch, &unread) == QUERN_OK)
        return;
    run->chains[order->leg].callback_failed = false;
    *failure = unread;
}

/* As run_block(), some blocks of a leg whose callbacks run apart. */
static quern_status run_apart(qn_stage_run *run, const qn_task_order *order, qn_source *source, const void *split,
                              size_t bytes, uint64_t *skip, bool *more_out, qn_error *failure)
{
    qn_load_outcome outcome;
    uint32_t leg = order->leg;
    qn_chain *chain = &run->chains[leg];
    forget_failure(chain);
    qn_agent_leave(&run->agent);
    quern_status status = qn_isolation_run(run, leg, source, *skip, &outcome, failure);
    if (status != QUERN_OK && outcome.must_go_back && !outcome.read_failed)
        go_back(run, source, order, split, bytes, &outcome.at, failure);
    if (status != QUERN_OK && !outcome.read_failed)
        locate_in_file(chain, source, failure);
    qn_agent_enter(&run->agent);
    *more_out = outcome.more;
    count_records(run, leg, outcome.record_count);
    if (outcome.block_count > 0)
        *skip = 0;
    if (status == QUERN_OK && run->into && !run->is_second)
        note_progress(run, source, *more_out);
    return failure->status;
}

/* Whether a task is to be left where it is, since the stage rests or others have nothing to do: never before something was worked on, so that
 * each rest has brought the stage on, however often it is to rest and however long it takes to open a file. A part is left for another one only, as a whole. */
static bool is_to_leave(const qn_stage_run *run, const qn_task_order *order, bool has_begun)
{
    bool rests = run->agent.pausing && !qn_stage_makes_parts(run);
    return has_begun && (rests || qn_agent_is_asked(&run->agent, order));
}

/* What this rank works on now. */
static void show_here(qn_stage_run *run, const qn_source *source, const qn_task_order *order)
{
    qn_site *site = &run->engine->site;
    if (run->apart)
        qn_apart_label(run->apart, order->task, order->attempt);
    *site = (qn_site){site->stage, &run->chains[order->leg], source, order->task, order->attempt};
}

static quern_status step(qn_stage_run *run, qn_source *source, const qn_task_order *order, const void *split,
                         size_t bytes, uint64_t *skip, bool *more_out, qn_error *failure)
{
    qn_epochs *when = &run->engine->checkpoint.when;
    qn_epochs_begin_step(when, qn_clock_ns());
    quern_status status = qn_isolation_takes_loads(run, order->leg)
                              ? run_apart(run, order, source, split, bytes, skip, more_out, failure)
                              : run_block(run, order, source, skip, more_out, failure);
    qn_epochs_end_step(when, qn_clock_ns());
    return status;
}

quern_status qn_task_open(qn_stage_run *run, qn_source *source, const qn_task *task, qn_error *failure)
{
    show_here(run, source, &task->order);
    return open_task(run, source, &task->order, task->message, task->bytes, failure);
}

quern_status qn_task_step(qn_stage_run *run, qn_source *source, const qn_task *task, uint64_t *skip, bool *more_out,
                          qn_error *failure)
{
    return step(run, source, &task->order, task->message, task->bytes, skip, more_out, failure);
}

void qn_task_close(qn_stage_run *run)
{
    qn_site *site = &run->engine->site;
    *site = (qn_site){.stage = site->stage};
}

static quern_status begin_stretch(qn_stage_run *run, const qn_task_order *order, qn_error *failure)
{
    const quern_stretch stretch = {.task = order->task, .attempt = order->attempt};
    qn_chain *chain = &run->chains[order->leg];
    if (!chain->has_stretches)
        return QUERN_OK;
    qn_agent_leave(&run->agent);
    quern_status status = qn_stretch_begin(chain, &stretch, failure);
    qn_agent_enter(&run->agent);
    return status;
}

/* counts: what it gives is wanted. */
static quern_status end_stretch(qn_stage_run *run, uint32_t leg, bool counts, qn_error *failure)
{
    qn_chain *chain = &run->chains[leg];
    if (!chain->has_stretches)
        return QUERN_OK;
    qn_agent_leave(&run->agent);
    quern_status status = counts ? qn_stretch_end(chain, failure) : QUERN_OK;
    qn_stretch_drop(chain);
    if (status == QUERN_OK && counts)
        status = qn_bad_log_settle(&run->bad[leg], failure);
    qn_agent_enter(&run->agent);
    return status;
}

/* The blocks of a task, from where its attempt begins, or, is_open, was left. *skip_out: of a failure, or of one left, what an earlier attempt
 * had delivered of the block that comes next. *left_out: it was left before its end; NULL: it is not to be. */
static quern_status run_blocks(qn_stage_run *run, qn_source *source, const qn_task_order *order, const void *split,
                               size_t bytes, bool is_open, uint64_t *skip_out, bool *left_out, qn_error *failure)
{
    quern_status status = QUERN_OK;
    bool more = true, leaves = false, has_begun = false;
    *skip_out = is_open ? *skip_out : order->resume.skip;
    run->figures.attempts += !is_open;
    run->tasks->stretch_place = is_open ? *qn_source_next_place(source) : order->resume.place;
    show_here(run, source, order);
    if (!is_open)
        status = open_task(run, source, order, split, bytes, failure);
    if (status == QUERN_OK && run->into && !is_open)
        qn_result_note_task(run->into, 0, qn_source_task_bytes(source));
    if (status == QUERN_OK)
        status = begin_stretch(run, order, failure);
    while (status == QUERN_OK && more && !run->agent.aborted &&
           !(leaves = left_out && is_to_leave(run, order, has_begun))) {
        status = step(run, source, order, split, bytes, skip_out, &more, failure);
        has_begun = true;
        qn_agent_progress_if_due(&run->agent);
    }
    bool counts = status == QUERN_OK && !run->agent.aborted && !(leaves && qn_stage_makes_parts(run));
    quern_status at_end = end_stretch(run, order->leg, counts, failure);
    qn_task_close(run);
    if (left_out)
        *left_out = leaves;
    return status != QUERN_OK ? status : at_end;
}

qn_resume qn_task_next(const qn_source *source, uint64_t skip)
{
    return (qn_resume){.place = *qn_source_next_place(source), .skip = skip, .left_bytes = left_bytes(source)};
}

/* Whoever gets the task goes on behind what this rank worked on; a part, another rank has made. */
static void leave_task(qn_stage_run *run, const qn_source *source, const qn_task *task, uint64_t skip,
                       uint64_t source_records)
{
    qn_resume resume = {0};
    if (qn_stage_makes_parts(run)) {
        drop_part(run, task->order.leg);
        run->source_records[task->order.leg] = source_records;
    } else {
        resume = qn_task_next(source, skip);
    }
    qn_agent_give_back(&run->agent, task, &resume);
}

void qn_task_park(qn_stage_run *run, const qn_source *source, const qn_task *task, uint64_t skip)
{
    qn_resume resume = qn_task_next(source, skip);
    run->tasks->is_parked = true;
    run->tasks->task = *task;
    run->tasks->skip = skip;
    qn_agent_park(&run->agent, task, &resume);
}

/* part: NULL or empty where nothing is to be said of one. */
static void end_task(qn_stage_run *run, const qn_source *source, const qn_task *task, const qn_buffer *part)
{
    run->figures.tasks++;
    run->figures.local_tasks += task->order.is_local;
    run->figures.input_bytes += qn_source_task_bytes(source);
    run->source_bytes[task->order.leg] += qn_source_task_bytes(source);
    char last_bad[QN_BAD_TEXT_BYTES_MAX];
    uint64_t bad_count = qn_bad_log_tell(&run->bad[task->order.leg], last_bad, sizeof last_bad);
    qn_agent_report_done(&run->agent, task, part, bad_count, last_bad);
}

quern_status qn_task_begin_attempt(qn_stage_run *run, const qn_task *task, const qn_task_begun *begun,
                                   qn_error *failure)
{
    uint32_t leg = task->order.leg;
    if (run->into)
        qn_result_foresee(run->into, task->order.task, task->order.task_count);
    if (begun && begun->has_part)
        return QUERN_OK;
    qn_chain_mark(&run->chains[leg]);
    return qn_stage_begin_part(run, leg, task->order.place, false, failure);
}

quern_status qn_task_end_attempt(qn_stage_run *run, const qn_source *source, const qn_task *task, qn_error *failure)
{
    quern_status status = qn_bad_log_settle(&run->bad[task->order.leg], failure);
    if (status == QUERN_OK)
        status = qn_stage_end_part(run, failure);
    qn_buffer part = {0};
    if (status == QUERN_OK)
        status = qn_stage_describe_part(run, &part, failure);
    if (status == QUERN_OK)
        end_task(run, source, task, &part);
    qn_buffer_fini(&part);
    return status;
}

/* is_open: it was parked, and goes on. */
static void run_task(qn_stage_run *run, qn_source *source, const qn_task *task, const qn_task_begun *begun,
                     bool is_open)
{
    qn_error failure = {0};
    uint32_t leg = task->order.leg;
    uint64_t skip = is_open ? run->tasks->skip : 0;
    uint64_t source_records = begun && begun->has_part ? begun->source_records : run->source_records[leg];
    bool leaves = false, is_through = begun && begun->is_through;
    quern_status status = qn_task_begin_attempt(run, task, begun, &failure);
    run->figures.attempts += is_through;
    if (status == QUERN_OK && !is_through)
        status = run_blocks(run, source, &task->order, task->message, task->bytes, is_open, &skip, &leaves, &failure);
    if (run->agent.aborted)
        return;
    if (status == QUERN_OK && leaves && qn_agent_is_asked(&run->agent, &task->order))
        leave_task(run, source, task, skip, source_records);
    else if (status == QUERN_OK && leaves)
        qn_task_park(run, source, task, skip);
    else if (status == QUERN_OK)
        status = qn_task_end_attempt(run, source, task, &failure);
    if (status == QUERN_OK)
        return;
    if (is_made_again_whole(run, leg))
        run->source_records[leg] = source_records; /* they will all be read again */
    qn_task_give_up(run, task, source, skip, &failure);
}

void qn_task_run(qn_stage_run *run, qn_source *source, const qn_task *task, const qn_task_begun *begun)
{
    run_task(run, source, task, begun, false);
}

/* ---- pieces of packed files: lend_run.h */

quern_status qn_task_run_piece(qn_stage_run *run, qn_source *source, const qn_task *task, uint64_t *skip_out,
                               qn_error *failure)
{
    return run_blocks(run, source, &task->order, task->message, task->bytes, false, skip_out, NULL, failure);
}

bool qn_task_leave_piece(qn_stage_run *run, const qn_source *source, const qn_task *task, uint64_t skip,
                         qn_resume *resume_out, qn_error *failure)
{
    const qn_chain *chain = &run->chains[task->order.leg];
    run->figures.attempts_failed++;
    if (chain->ended_apart)
        say_ended(run, &task->order, failure);
    *resume_out =
        (qn_resume){.place = *qn_source_block_place(source), .skip = chain->delivered > skip ? chain->delivered : skip};
    if (chain->callback_failed && !is_last_attempt(run, &task->order)) {
        qn_stage_log_attempt(run, "a piece of a packed file", task->order.attempt, failure->text);
        return true;
    }
    name_task(task, failure);
    qn_agent_break(&run->agent, failure);
    return false;
}

/* ---- the tasks of a rank */

static qn_source_format format_of(const qn_node *node)
{
    qn_source_format format = {.kind = QN_SOURCE_TEXT, .skip_empty = node->text.skip_empty, .value = node->text.value};
    if (node->kind == QN_NODE_FIXED)
        return (qn_source_format){.kind = QN_SOURCE_FIXED, .layout = node->of.layout};
    if (node->kind == QN_NODE_SEQUENCES || node->kind == QN_NODE_ROWS || node->kind == QN_NODE_FILES)
        return (qn_source_format){.kind = QN_SOURCE_RECORDS, .records = node->of.records};
    if (node->kind == QN_NODE_HDF5)
        return (qn_source_format){.kind = QN_SOURCE_HDF5, .array = node->of.array};
    qn_delimiters_init(&format.delimiters, node->text.delimiters, node->text.delimiter_count);
    return format;
}

static void close_reader(open_source *from)
{
    if (from->is_open)
        qn_source_fini(&from->reader);
    from->is_open = false;
}

static quern_status open_reader(qn_stage_run *run, open_source *from, uint32_t leg)
{
    if (from->is_open && from->leg == leg)
        return QUERN_OK;
    close_reader(from);
    qn_source_format format = format_of(qn_leg_source(run->stage, leg));
    quern_status status =
        qn_source_init(&from->reader, &format, run->engine->settings.record_bytes_max, &run->agent.error);
    const qn_bad_limit *limit = qn_stage_bad_limit(run, leg);
    if (status == QUERN_OK && qn_bad_limit_passes(limit))
        qn_source_pass_bad(&from->reader, limit->policy == QUERN_BAD_QUARANTINE);
    from->leg = leg;
    from->is_open = status == QUERN_OK;
    return status;
}

/* The next task in hand; after a rest first the parked one. False: there is none now. */
static bool take_task(qn_stage_run *run, qn_task *task_out, bool *is_open_out)
{
    qn_task_runner *runner = run->tasks;
    *is_open_out = runner->is_parked && !run->agent.pausing;
    if (!*is_open_out)
        return qn_agent_take_task(&run->agent, task_out);
    *task_out = runner->task;
    runner->is_parked = false;
    return true;
}

/* While a task is parked nothing but others' pieces comes. */
static void run_one(qn_stage_run *run, const qn_task *task, bool is_open)
{
    open_source *from = &run->tasks->from, *worker = &run->tasks->worker;
    bool keeps_source = run->tasks->is_parked;
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_MAP);
    uint64_t start_ns = run->agent.began_ns = qn_clock_ns();
    if (open_reader(run, keeps_source ? worker : from, task->order.leg) != QUERN_OK)
        qn_agent_break(&run->agent, &run->agent.error);
    else if (task->lender != QN_AGENT_MASTERS)
        qn_lending_help(run, keeps_source ? &worker->reader : &from->reader, task);
    else if (task->second > 0 && !is_open)
        qn_second_run(run, &from->reader, task);
    else if (!qn_lending_applies(run, task))
        run_task(run, &from->reader, task, NULL, is_open);
    else if (open_reader(run, worker, task->order.leg) == QUERN_OK)
        qn_lending_run(run, &from->reader, &worker->reader, task, is_open);
    else
        qn_agent_break(&run->agent, &run->agent.error);
    close_reader(worker);
    run->figures.work_ns += qn_clock_ns() - start_ns;
    qn_timeline_enter(before);
    if (keeps_source || !run->tasks->is_parked)
        free(task->message);
}

void qn_tasks_run(qn_stage_run *run)
{
    qn_backoff backoff = {0};
    if (!run->tasks && !(run->tasks = calloc(1, sizeof *run->tasks))) {
        qn_error failure = {QUERN_ERROR_NO_MEMORY, "no memory for tasks"};
        qn_agent_break(&run->agent, &failure);
        return;
    }
    while (!run->agent.ended && !run->agent.aborted) {
        qn_task task;
        bool is_open = false;
        if (!take_task(run, &task, &is_open)) {
            qn_stage_run_wait(run, &backoff, QN_TIMELINE_IDLE);
            continue;
        }
        qn_backoff_reset(&backoff);
        run_one(run, &task, is_open);
    }
    if (!run->tasks->is_parked)
        close_reader(&run->tasks->from);
}

void qn_tasks_end(qn_stage_run *run)
{
    if (!run->tasks)
        return;
    if (run->tasks->is_parked)
        free(run->tasks->task.message);
    close_reader(&run->tasks->from);
    free(run->tasks);
    run->tasks = NULL;
}
