/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/master.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/base/suspension.h"
#include "runtime/engine/job_status.h"
#include "runtime/engine/master_tell.h"

/* The task that is the turn-th to be handed out. */
static qn_task_entry find_task(const qn_master *master, uint32_t turn)
{
    return qn_task_list_find(&master->tasks, qn_task_list_at(&master->tasks, turn));
}

static quern_status no_memory(const qn_master *master, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to schedule %u tasks", master->tasks.count);
}

/* Of the splits, in the order in which they are handed out: as a number of JSON. */
static quern_status digest_tasks(qn_master *master, uint64_t *digest_out, qn_error *error)
{
    *digest_out = master->tasks.count;
    for (uint32_t turn = 0; turn < master->tasks.count; turn++) {
        qn_task_entry task = find_task(master, turn);
        master->message.bytes = 0;
        qn_task_list_encode(&master->tasks, &task, &master->message);
        if (master->message.failed)
            return no_memory(master, error);
        *digest_out = qn_checksum(master->message.data, master->message.bytes, *digest_out);
    }
    *digest_out &= INT64_MAX;
    return QUERN_OK;
}

/* Where an earlier attempt at the job stopped, if the tasks are the same. */
static quern_status take_up(qn_master *master, qn_task_state *begun, qn_error *error)
{
    uint64_t digest = 0;
    quern_status status = begun ? digest_tasks(master, &digest, error) : QUERN_OK;
    master->went_on = begun && status == QUERN_OK && digest == begun->digest && begun->count == master->tasks.count;
    if (master->went_on) {
        master->resumes = begun->resumes;
        begun->resumes = NULL;
        for (uint32_t turn = 0; turn < master->tasks.count; turn++) {
            bool goes_on = !begun->done[turn] && master->resumes[turn];
            master->delivered_before += goes_on ? master->resumes[turn]->skip : 0;
            master->bytes_before += begun->done[turn] ? find_task(master, turn).bytes : 0;
        }
        master->bytes_done = master->bytes_before;
        return QUERN_OK;
    }
    master->resumes = calloc(master->tasks.count + 1, sizeof *master->resumes);
    return status == QUERN_OK && !master->resumes ? no_memory(master, error) : status;
}

/* Records of a second attempt wait until it takes over. Those of callbacks in another process do not, nor do bad ones. Where pieces of packed files
 * are lent (lend_run.c), ranks that have nothing to do help. */
static bool may_second(const qn_master *master, const qn_master_config *config)
{
    bool passes_bad = qn_bad_legs(config->settings, config->stage) != 0, has_packed = master->tasks.has_packed;
    return config->makes_parts ? passes_bad || !has_packed : !passes_bad && !has_packed && !config->settings->isolate;
}

/* Check mode compares what attempts do. */
static quern_status start_stragglers(qn_master *master, const qn_master_config *config, uint32_t hand_max,
                                     qn_error *error)
{
    const qn_settings *settings = config->settings;
    qn_straggler_config stragglers = {.rank_count = master->comm->size,
                                      .hand_max = hand_max,
                                      .makes_parts = config->makes_parts,
                                      .may_second = may_second(master, config),
                                      .is_eager = settings->speculate == QUERN_ON};
    if (settings->speculate == QUERN_OFF || settings->check || master->comm->size == 1)
        return QUERN_OK;
    master->stragglers_memory = malloc(qn_stragglers_bytes(&stragglers));
    if (!master->stragglers_memory)
        return no_memory(master, error);
    qn_stragglers_init(&master->stragglers, master->stragglers_memory, &stragglers);
    return QUERN_OK;
}

/* Where tasks are to be run, by their turn, if it matters for some. */
static quern_status place_tasks(const qn_master *master, const qn_far_tasks *far, uint32_t **node_out, bool **stays_out,
                                qn_error *error)
{
    uint32_t count = master->tasks.count;
    if (!far || far->count == 0)
        return QUERN_OK;
    *node_out = calloc(count, sizeof **node_out);
    *stays_out = calloc(count, sizeof **stays_out);
    if (!*node_out || !*stays_out)
        return no_memory(master, error);
    for (uint32_t turn = 0; turn < count; turn++) {
        (*node_out)[turn] = find_task(master, turn).node;
        (*stays_out)[turn] = (*node_out)[turn] != QN_SCHED_NONE;
    }
    return QUERN_OK;
}

static quern_status make_scheduler(qn_master *master, const qn_sched_config *config, qn_error *error)
{
    size_t bytes = qn_sched_bytes(config);
    QN_ASSERT(bytes > 0);
    master->sched_memory = malloc(bytes);
    if (!master->sched_memory)
        return no_memory(master, error);
    master->sched = qn_sched_init(master->sched_memory, config);
    QN_ASSERT(master->sched != NULL);
    return QUERN_OK;
}

static quern_status start_scheduler(qn_master *master, const qn_master_config *master_config, const bool *task_done,
                                    qn_error *error)
{
    uint32_t *task_node = NULL;
    bool *task_stays = NULL;
    const qn_settings *settings = master_config->settings;
    uint32_t hand_max = qn_hand_size_limit(master->tasks.count, master->comm->size);
    qn_hand_size_init(&master->hand_size, hand_max, settings->task_batch, qn_clock_ns());
    qn_sched_config config = {
        .rank_count = master->comm->size,
        .node_count = master->comm->node_count,
        .task_count = master->tasks.count,
        .in_hand_max = hand_max,
        .in_hand_begin = qn_hand_size_get(&master->hand_size),
        .attempt_count_max = settings->attempt_count_max,
        .rank_node = master_config->rank_node,
        .task_done = task_done,
    };
    quern_status status = place_tasks(master, master_config->far, &task_node, &task_stays, error);
    config.task_node = task_node;
    config.task_stays = task_stays;
    if (status == QUERN_OK)
        status = make_scheduler(master, &config, error);
    free(task_node);
    free(task_stays);
    if (status != QUERN_OK)
        return status;
    master->parked = calloc(master->comm->size, sizeof *master->parked);
    if (!master->parked)
        return no_memory(master, error);
    if (master->tasks.has_packed && qn_helpers_init(&master->helpers, master->comm->size, error) != QUERN_OK)
        return error->status;
    if (start_stragglers(master, master_config, hand_max, error) != QUERN_OK ||
        qn_orders_init(&master->orders, master->comm->size, error) != QUERN_OK)
        return error->status;
    for (uint32_t rank = 0; rank < master->comm->size; rank++)
        qn_sched_feed(master->sched, &(qn_sched_event){.kind = QN_SCHED_RANK_READY, .rank = rank});
    return QUERN_OK;
}

/* Where the first records that ranks read decide how the rest is divided, they are to come from everywhere. */
static qn_task_turns choose_turns(const qn_stage *stage, const qn_settings *settings, const qn_comm *comm)
{
    if (settings->check)
        return QN_TASKS_SHUFFLED;
    bool is_sampled = comm->size > 1 && stage->result && stage->result->kind == QN_NODE_COLLATE;
    return is_sampled ? QN_TASKS_SCATTERED : QN_TASKS_IN_ORDER;
}

static qn_task_cut choose_cut(const qn_master_config *config)
{
    const qn_settings *settings = config->settings;
    const qn_task_state *begun = config->begun;
    qn_task_turns turns_begun = begun && begun->is_scattered ? QN_TASKS_SCATTERED : QN_TASKS_IN_ORDER;
    return (qn_task_cut){.split_bytes = begun ? begun->split_bytes : settings->split_bytes,
                         .record_bytes_max = begun ? begun->record_bytes_max : settings->record_bytes_max,
                         .worker_count = begun ? begun->worker_count : config->comm->size,
                         .turns = begun ? turns_begun : choose_turns(config->stage, settings, config->comm),
                         .seed = config->number,
                         .bad_legs = qn_bad_legs(settings, config->stage),
                         .far = config->far};
}

quern_status qn_master_start(qn_master *master, const qn_master_config *config, qn_error *error)
{
    const qn_stage *stage = config->stage;
    const qn_settings *settings = config->settings;
    *master = (qn_master){.comm = config->comm,
                          .progress = config->progress,
                          .stage = config->number,
                          .epochs = config->epochs,
                          .log = config->log,
                          .board = config->board,
                          .failed = config->failed,
                          .into = config->into,
                          .made = {.counter_count = config->counter_count},
                          .note = config->note,
                          .note_user = config->note_user,
                          .check = config->check,
                          .check_user = config->check_user,
                          .stage_name = qn_leg_source(stage, 0)->name};
    uint32_t task_leg_count = 0;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        task_leg_count += qn_leg_has_tasks(stage, leg);
    master->has_results = task_leg_count < stage->leg_count;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        master->bad[leg] =
            (qn_bad_watch){qn_bad_limit_of(settings, qn_leg_source(stage, leg)), qn_leg_source(stage, leg)->name, 0};
    if (task_leg_count == 0)
        return QUERN_OK;
    master->cut = choose_cut(config);
    quern_status status = qn_task_list_create(&master->tasks, stage, &master->cut, error);
    if (status != QUERN_OK)
        return status;
    qn_master_tell_tasks(master, config);
    status = take_up(master, config->begun, error);
    qn_job_status_set_size(config->progress->status, master->tasks.count, master->tasks.bytes, master->bytes_before);
    return status == QUERN_OK ? start_scheduler(master, config, master->went_on ? config->begun->done : NULL, error)
                              : status;
}

quern_status qn_master_pack_tasks(qn_master *master, json_t **packed_out, qn_error *error)
{
    qn_task_state state = {.split_bytes = master->cut.split_bytes,
                           .record_bytes_max = master->cut.record_bytes_max,
                           .worker_count = master->cut.worker_count,
                           .is_scattered = master->cut.turns == QN_TASKS_SCATTERED,
                           .count = master->tasks.count,
                           .done = calloc(master->tasks.count + 1, sizeof *state.done),
                           .resumes = master->resumes};
    quern_status status = digest_tasks(master, &state.digest, error);
    for (uint32_t task = 0; state.done && task < state.count; task++)
        state.done[task] = qn_sched_is_done(master->sched, task);
    *packed_out = status == QUERN_OK && state.done ? qn_task_state_pack(&state) : NULL;
    free(state.done);
    return *packed_out || status != QUERN_OK ? status : no_memory(master, error);
}

void qn_master_finish(qn_master *master)
{
    for (uint32_t task = 0; master->resumes && task < master->tasks.count; task++)
        free(master->resumes[task]);
    free(master->resumes);
    free(master->parked);
    free(master->sched_memory);
    qn_task_list_destroy(&master->tasks);
    qn_helpers_fini(&master->helpers);
    free(master->stragglers_memory);
    qn_part_list_fini(&master->made);
    qn_orders_fini(&master->orders);
    qn_buffer_fini(&master->message);
    *master = (qn_master){0};
}

/* Adds up what the ranks left out: more than may be ends the job before the stage does. */
static quern_status watch_bad(qn_master *master, const qn_task_outcome *outcome, const char *text, size_t text_bytes,
                              qn_error *error)
{
    char last[QN_BAD_TEXT_BYTES_MAX];
    if (outcome->bad_count == 0 || outcome->leg >= QN_LEG_COUNT_MAX)
        return QUERN_OK;
    qn_bad_watch *watch = &master->bad[outcome->leg];
    watch->count += outcome->bad_count;
    if (watch->count <= watch->limit.count_max)
        return QUERN_OK;
    snprintf(last, sizeof last, "%.*s", (int)text_bytes, text ? text : "");
    return qn_bad_limit_exceed(&watch->limit, watch->count, watch->source, " so far", last, error);
}

/* Of the task so many bytes are left. */
static uint64_t left_bytes(const qn_master *master, uint32_t turn, const qn_task_entry *task)
{
    const qn_resume *resume = master->resumes[turn];
    return resume && resume->left_bytes > 0 ? resume->left_bytes : task->bytes;
}

static void note_given(qn_master *master, uint32_t rank, uint32_t turn, const qn_task_entry *task, uint64_t now_ns)
{
    qn_helpers_give(&master->helpers, rank, task->is_packed);
    qn_stragglers_end_second(&master->stragglers, rank);
    qn_stragglers_give(&master->stragglers, rank, turn, left_bytes(master, turn, task), task->is_packed, now_ns);
}

void qn_master_hold(qn_master *master)
{
    master->keeps = master->pausing = true;
    master->paused_ns = qn_clock_ns();
    qn_sched_feed(master->sched, &(qn_sched_event){.kind = QN_SCHED_PAUSE});
}

void qn_master_go_on(qn_master *master, uint32_t number)
{
    master->stage = number;
    for (uint32_t i = 0; i < master->parked_count; i++) {
        qn_task_entry task = find_task(master, master->parked[i].task);
        note_given(master, master->parked[i].rank, master->parked[i].task, &task, qn_clock_ns());
    }
    master->parked_count = 0;
    master->ended = master->pausing = master->rests = master->keeps = false;
    if (master->sched)
        qn_sched_feed(master->sched, &(qn_sched_event){.kind = QN_SCHED_RESUME});
}

/* A rank has a task no longer. */
static void note_over(qn_master *master, const qn_task_outcome *outcome, uint32_t rank, const qn_task_entry *task,
                      uint64_t left, uint64_t now_ns)
{
    qn_helpers_take_back(&master->helpers, rank, task->is_packed);
    qn_stragglers_take(&master->stragglers, rank, outcome->task, left, now_ns);
}

/* The same of one that is not done. */
static void note_left(qn_master *master, const qn_task_outcome *outcome, uint32_t rank)
{
    qn_task_entry task = find_task(master, outcome->task);
    note_over(master, outcome, rank, &task, outcome->resume.left_bytes, qn_clock_ns());
}

/* What is said of a part counts as the task does. */
static quern_status task_done(qn_master *master, const qn_task_outcome *outcome, qn_reader *message, uint32_t from,
                              uint64_t now_ns, qn_error *error)
{
    size_t part_bytes = 0, text_bytes = 0;
    const void *part = qn_reader_span(message, &part_bytes);
    const char *last_bad = qn_reader_span(message, &text_bytes);
    if (message->failed)
        return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a control message is too short");
    qn_sched_event event = {QN_SCHED_TASK_DONE, from, outcome->task, outcome->attempt};
    if (!qn_sched_feed(master->sched, &event))
        return QUERN_OK;
    qn_task_entry task = find_task(master, outcome->task);
    note_over(master, outcome, from, &task, 0, now_ns);
    master->bytes_done += task.bytes;
    quern_status status = master->note ? qn_part_list_decode(&master->made, part, part_bytes, error) : QUERN_OK;
    return status == QUERN_OK ? watch_bad(master, outcome, last_bad, text_bytes, error) : status;
}

static quern_status keep_resume(qn_master *master, const qn_task_outcome *outcome, qn_error *error)
{
    qn_resume *resume = master->resumes[outcome->task];
    if (!resume && !(resume = master->resumes[outcome->task] = malloc(sizeof *resume)))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to retry a task");
    *resume = outcome->resume;
    return QUERN_OK;
}

static quern_status task_failed(qn_master *master, const qn_task_outcome *outcome, qn_reader *message, uint32_t from,
                                qn_error *error)
{
    size_t text_bytes = 0;
    quern_status status = (quern_status)qn_reader_u32(message);
    const char *text = qn_reader_span(message, &text_bytes);
    qn_sched_event event = {QN_SCHED_TASK_FAILED, from, outcome->task, outcome->attempt};
    if (!qn_sched_feed(master->sched, &event))
        return QUERN_OK;
    note_left(master, outcome, from);
    qn_error_clear(&master->last_failure);
    qn_error_set(&master->last_failure, status, 0, "task %u failed on rank %u (attempt %u): %.*s", outcome->task, from,
                 outcome->attempt, (int)text_bytes, text ? text : "");
    qn_master_tell_failed(master, outcome, from, text, text_bytes);
    if (!outcome->retryable)
        return qn_error_set(error, status, 0, "%s", master->last_failure.text);
    qn_progress_tell(master->progress, QUERN_EVENT_RETRY, master->last_failure.text);
    return keep_resume(master, outcome, error);
}

static quern_status task_given_back(qn_master *master, const qn_task_outcome *outcome, uint32_t from, qn_error *error)
{
    qn_sched_event event = {QN_SCHED_TASK_GIVEN_BACK, from, outcome->task, outcome->attempt};
    if (!qn_sched_feed(master->sched, &event))
        return QUERN_OK;
    note_left(master, outcome, from);
    return keep_resume(master, outcome, error);
}

static qn_task_order make_order(const qn_master *master, uint32_t turn, uint32_t attempt, const qn_task_entry *task)
{
    qn_task_order order = {.task = turn,
                           .attempt = attempt,
                           .task_count = master->tasks.count,
                           .leg = task->leg,
                           .place = task->place,
                           .is_local = task->node != UINT32_MAX};
    if (master->resumes[turn])
        order.resume = *master->resumes[turn];
    return order;
}

static void put_split(qn_master *master, const qn_task_entry *task)
{
    size_t begun = qn_buffer_begin_span(&master->message);
    qn_task_list_encode(&master->tasks, task, &master->message);
    qn_buffer_end_span(&master->message, begun);
}

static quern_status send_message(qn_master *master, uint32_t rank, qn_error *error)
{
    if (master->message.failed)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a task message");
    return qn_comm_send(master->comm, rank, master->message.data, master->message.bytes, error);
}

/* SECOND comes with the split. */
static quern_status send_order(qn_master *master, qn_message_kind kind, uint32_t rank, uint32_t turn, uint32_t attempt,
                               qn_error *error)
{
    qn_task_entry task = find_task(master, turn);
    qn_task_order order = make_order(master, turn, attempt, &task);
    qn_message_begin(&master->message, kind, master->stage);
    qn_buffer_append(&master->message, &order, sizeof order);
    if (kind == QN_MESSAGE_SECOND)
        put_split(master, &task);
    return send_message(master, rank, error);
}

/* What one rank was given, from the first of it on. */
static quern_status send_tasks(qn_master *master, const qn_given_task *given, qn_error *error)
{
    uint32_t rank = given->rank;
    qn_message_begin(&master->message, QN_MESSAGE_TASK, master->stage);
    qn_buffer_append_u32(&master->message, master->hand_size.batch);
    uint64_t now_ns = qn_clock_ns();
    for (; given; given = given->next == UINT32_MAX ? NULL : &master->orders.items[given->next]) {
        qn_task_entry task = find_task(master, given->task);
        qn_task_order order = make_order(master, given->task, given->attempt, &task);
        note_given(master, rank, given->task, &task, now_ns);
        qn_buffer_append(&master->message, &order, sizeof order);
        put_split(master, &task);
    }
    return send_message(master, rank, error);
}

static quern_status send_all_tasks(qn_master *master, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < master->orders.count && status == QUERN_OK; i++)
        if (master->orders.items[i].begins_chain)
            status = send_tasks(master, &master->orders.items[i], error);
    qn_orders_clear(&master->orders);
    return status;
}

static quern_status give_task(qn_master *master, const qn_sched_action *action, qn_error *error)
{
    quern_status status = qn_orders_is_full(&master->orders) ? send_all_tasks(master, error) : QUERN_OK;
    qn_orders_add(&master->orders, action->rank, action->task, action->attempt);
    return status;
}

static quern_status send_second(qn_master *master, const qn_sched_action *action, qn_error *error)
{
    uint32_t attempt = 0, holder = qn_sched_get_holder(master->sched, action->task, &attempt);
    qn_stragglers_begin_second(&master->stragglers, action->rank, holder, action->task);
    qn_log_line(master->log, "%s: task %u takes long: rank %u makes a second attempt", master->stage_name, action->task,
                action->rank);
    return send_order(master, QN_MESSAGE_SECOND, action->rank, action->task, action->attempt, error);
}

static quern_status send_take_over(qn_master *master, const qn_sched_action *action, qn_error *error)
{
    qn_task_entry task = find_task(master, action->task);
    note_given(master, action->rank, action->task, &task, qn_clock_ns());
    qn_log_line(master->log, "%s: task %u: rank %u takes over (attempt %u)", master->stage_name, action->task,
                action->rank, action->attempt);
    return send_order(master, QN_MESSAGE_TAKE_OVER, action->rank, action->task, action->attempt, error);
}

static quern_status send_drop(qn_master *master, const qn_sched_action *action, qn_error *error)
{
    qn_stragglers_end_second(&master->stragglers, action->rank);
    qn_log_line(master->log, "%s: task %u: rank %u drops its second attempt", master->stage_name, action->task,
                action->rank);
    return send_order(master, QN_MESSAGE_DROP, action->rank, action->task, action->attempt, error);
}

/* The rank that has the task in hand is to give it back, if it still has it. */
static quern_status send_leave(qn_master *master, const qn_straggler_order *of, qn_error *error)
{
    qn_log_line(master->log, "%s: task %u: rank %u is asked to leave it to others", master->stage_name, of->task,
                of->rank);
    return send_order(master, of->unless_begun ? QN_MESSAGE_LEAVE_UNBEGUN : QN_MESSAGE_LEAVE, of->rank, of->task,
                      of->attempt, error);
}

/* Its part is made: the rank that has the task in hand need not go on, unless it is through before it hears so. */
static quern_status second_ready(qn_master *master, const qn_task_outcome *outcome, uint32_t from, qn_error *error)
{
    qn_straggler_order order;
    bool is_to_leave = qn_stragglers_second_is_ready(&master->stragglers, master->sched, from, outcome->task, &order);
    return is_to_leave ? send_leave(master, &order, error) : QUERN_OK;
}

/* Its helpers, if it has some, will be told anew. */
static quern_status task_parked(qn_master *master, const qn_task_outcome *outcome, uint32_t from, qn_error *error)
{
    if (master->parked_count == master->comm->size || !master->pausing)
        return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "rank %u rests out of place", from);
    note_left(master, outcome, from);
    master->parked[master->parked_count++] = (qn_parked){from, outcome->task};
    return keep_resume(master, outcome, error);
}

static quern_status take_shown(qn_master *master, qn_reader *message, qn_error *error)
{
    qn_shown shown;
    const void *fields = qn_reader_take(message, sizeof shown);
    if (!fields)
        return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a control message is too short");
    memcpy(&shown, fields, sizeof shown);
    if (master->board)
        qn_board_take(master->board, &shown, qn_clock_ns());
    return QUERN_OK;
}

static quern_status take_outcome(const qn_master *master, qn_reader *message, qn_task_outcome *outcome_out,
                                 qn_error *error)
{
    const void *fields = qn_reader_take(message, sizeof *outcome_out);
    if (!fields || !master->sched)
        return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a control message is too short or out of place");
    memcpy(outcome_out, fields, sizeof *outcome_out);
    if (outcome_out->task >= master->tasks.count)
        return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a control message names task %u", outcome_out->task);
    return QUERN_OK;
}

static quern_status tasks_done(qn_master *master, qn_reader *message, uint32_t from, qn_error *error)
{
    uint32_t count = 0;
    uint64_t busy_ns = 0, now_ns = qn_clock_ns();
    for (; message->left_bytes > 0; count++) {
        qn_task_outcome outcome;
        if (take_outcome(master, message, &outcome, error) != QUERN_OK ||
            task_done(master, &outcome, message, from, now_ns, error) != QUERN_OK)
            return error->status;
        busy_ns += outcome.busy_ns;
    }
    qn_hand_size_note(&master->hand_size, count, busy_ns, now_ns);
    if (count > 0)
        qn_sched_set_hand(master->sched, from, qn_hand_size_get(&master->hand_size));
    return QUERN_OK;
}

quern_status qn_master_receive(qn_master *master, const qn_message_head *head, qn_reader *message, uint32_t from,
                               qn_error *error)
{
    if (head->kind == QN_MESSAGE_SUSPEND) {
        if (master->epochs)
            master->epochs->is_to_end = true;
        else
            qn_suspension_ask();
        return QUERN_OK;
    }
    if (head->kind == QN_MESSAGE_SHOWN)
        return take_shown(master, message, error);
    if (head->kind == QN_MESSAGE_IDLE) {
        master->idle_count++;
        return QUERN_OK;
    }
    if (head->kind == QN_MESSAGE_WANT_ROUND) {
        uint64_t number = qn_reader_u64(message);
        /* Rounds between were announced by their counts, which the master need not have seen yet. */
        if (number >= master->next_round)
            master->next_round = number + 1;
        return QUERN_OK;
    }
    if (head->kind == QN_MESSAGE_BROKEN) {
        size_t text_bytes = 0;
        quern_status status = (quern_status)qn_reader_u32(message);
        const char *text = qn_reader_span(message, &text_bytes);
        return qn_error_set(error, status, 0, "rank %u: %.*s", from, (int)text_bytes, text ? text : "");
    }
    if (head->kind == QN_MESSAGE_DONE)
        return tasks_done(master, message, from, error);
    qn_task_outcome outcome;
    if (take_outcome(master, message, &outcome, error) != QUERN_OK)
        return error->status;
    if (head->kind == QN_MESSAGE_READY)
        return second_ready(master, &outcome, from, error);
    if (head->kind == QN_MESSAGE_GIVEN_BACK)
        return task_given_back(master, &outcome, from, error);
    if (head->kind == QN_MESSAGE_PARKED)
        return task_parked(master, &outcome, from, error);
    return task_failed(master, &outcome, message, from, error);
}

/* Tells those whose task is packed who has nothing to do. */
static quern_status send_helpers(qn_master *master, qn_error *error)
{
    uint32_t helper = 0, lender = 0;
    quern_status status = QUERN_OK;
    while (status == QUERN_OK && qn_helpers_next(&master->helpers, &helper, &lender)) {
        qn_message_begin(&master->message, QN_MESSAGE_HELPER, master->stage);
        qn_buffer_append_u32(&master->message, helper);
        status = master->message.failed
                     ? qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message")
                     : qn_comm_send(master->comm, lender, master->message.data, master->message.bytes, error);
    }
    return status;
}

/* To all ranks, rank 0 included. */
static quern_status announce(qn_master *master, qn_message_kind kind, const uint64_t *number, qn_master_own_fn own,
                             void *user, qn_error *error)
{
    qn_message_begin(&master->message, kind, master->stage);
    if (number)
        qn_buffer_append_u64(&master->message, *number);
    if (master->message.failed)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
    quern_status status = qn_comm_announce(master->comm, master->message.data, master->message.bytes, error);
    return status == QUERN_OK ? own(user, master->message.data, master->message.bytes, error) : status;
}

/* To one rank in the order in which they were decided: what is not sent yet goes before anything else. */
static quern_status act(qn_master *master, const qn_sched_action *action, qn_error *error)
{
    if (action->kind != QN_SCHED_RUN && send_all_tasks(master, error) != QUERN_OK)
        return error->status;
    switch (action->kind) {
    case QN_SCHED_RUN:
        return give_task(master, action, error);
    case QN_SCHED_SECOND:
        return send_second(master, action, error);
    case QN_SCHED_TAKE_OVER:
        return send_take_over(master, action, error);
    case QN_SCHED_DROP:
        return send_drop(master, action, error);
    case QN_SCHED_FINISH:
        master->tasks_over = true;
        return QUERN_OK;
    case QN_SCHED_FAIL:
        break;
    }
    if (action->rank == QN_SCHED_NONE && action->task != QN_SCHED_NONE)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s: the node that has the files of task %u is lost",
                            master->stage_name, action->task);
    return qn_error_set(error, master->last_failure.status, 0, "%s", master->last_failure.text);
}

static quern_status carry_out_all(qn_master *master, qn_error *error)
{
    qn_sched_action action;
    quern_status status = QUERN_OK;
    while (status == QUERN_OK && qn_sched_next(master->sched, &action))
        status = act(master, &action, error);
    return status == QUERN_OK ? send_all_tasks(master, error) : status;
}

/* What takes long near the end. */
static quern_status press_on(qn_master *master, qn_error *error)
{
    qn_straggler_order order;
    uint64_t now_ns = qn_clock_ns();
    quern_status status = QUERN_OK;
    while (status == QUERN_OK && !master->pausing && !master->tasks_over &&
           qn_stragglers_press_on(&master->stragglers, master->sched, now_ns, &order))
        status = order.advice == QN_STRAGGLER_ASK ? send_leave(master, &order, error) : carry_out_all(master, error);
    return status;
}

static quern_status carry_out(qn_master *master, qn_error *error)
{
    quern_status status = master->sched ? carry_out_all(master, error) : QUERN_OK;
    if (master->sched) {
        if (status == QUERN_OK && qn_sched_get_counts(master->sched).pending == 0) {
            status = send_helpers(master, error);
            if (status == QUERN_OK)
                status = press_on(master, error);
        }
    }
    uint32_t done_count = master->sched ? qn_sched_get_counts(master->sched).done : 0;
    qn_progress_update(master->progress, &(qn_progress_tasks){.bytes_done = master->bytes_done,
                                                              .bytes_before = master->bytes_before,
                                                              .bytes_all = master->tasks.bytes,
                                                              .tasks_done = done_count,
                                                              .tasks_all = master->tasks.count});
    return status;
}

/* Nothing of the stage can be saved, or there is no time for it: a rank does not leave its task, say. */
static quern_status suspend(const qn_master *master, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_SUSPENDED, 0, "%s: the job was told to end, or its time is over",
                        master->stage_name);
}

/* Whether some rank is not through with what it has to read before tasks are all that is left: results, or what an earlier attempt saved. */
static bool are_reading(const qn_master *master)
{
    return (master->has_results || master->restores) && master->idle_count < master->comm->size;
}

/* Whether an epoch is to be cut, or the job to end. */
static quern_status watch_time(qn_master *master, qn_master_own_fn own, void *user, qn_error *error)
{
    if (!master->epochs)
        return qn_suspension_is_asked() ? suspend(master, error) : QUERN_OK;
    uint64_t now_ns = qn_clock_ns(), bytes = master->into ? qn_result_get_saved_bytes(master->into) : 0;
    bool ends = qn_epochs_must_end(master->epochs, now_ns, bytes);
    if (master->note)
        master->note(master->note_user, master, ends);
    bool is_reading = are_reading(master);
    if (ends && (!master->into || is_reading || !qn_epochs_may_save(master->epochs, now_ns, bytes)))
        return suspend(master, error);
    if (master->pausing || is_reading || !master->into || !master->sched ||
        !(ends || qn_epochs_is_due(master->epochs, now_ns, bytes)))
        return QUERN_OK;
    master->pausing = true;
    master->paused_ns = now_ns;
    qn_sched_feed(master->sched, &(qn_sched_event){.kind = QN_SCHED_PAUSE});
    return announce(master, QN_MESSAGE_PAUSE, NULL, own, user, error);
}

/* Whether no rank emits anything any more: for good, or for now. */
static bool are_all_idle(qn_master *master)
{
    if (are_reading(master))
        return false;
    master->rests = master->pausing && (!master->tasks_over || master->keeps) &&
                    qn_sched_get_counts(master->sched).in_hand == master->parked_count;
    return !master->sched || master->tasks_over || master->rests;
}

/* How a stage ends. Where no round was announced none has taken place, and a collated result need not rest with one: then ranks still hold all
 * that they emitted, and better cuts can be made of more. */
static uint64_t choose_end(const qn_master *master)
{
    if (!master->rests)
        return QN_END_FOR_GOOD;
    bool has_rounds = master->into->kind == QN_RESULT_REDUCED || master->announced_rounds > 0;
    return has_rounds ? QN_END_FOR_NOW : QN_END_WITHOUT_ROUNDS;
}

quern_status qn_master_step(qn_master *master, qn_master_own_fn own, void *user, qn_error *error)
{
    if (master->ended || master->aborted)
        return QUERN_OK;
    if (error->status == QUERN_OK && master->check)
        master->check(master->check_user, error);
    quern_status status = error->status == QUERN_OK ? watch_time(master, own, user, error) : error->status;
    if (status == QUERN_OK)
        status = carry_out(master, error);
    if (status != QUERN_OK) {
        master->aborted = true;
        qn_error ignored = {0}; /* the first failure is the one to tell */
        announce(master, QN_MESSAGE_ABORT, NULL, own, user, &ignored);
        return status;
    }
    uint64_t round = master->next_round - 1;
    if (master->next_round > master->announced_rounds) {
        master->announced_rounds = master->next_round;
        status = announce(master, QN_MESSAGE_ROUND, &round, own, user, error);
    }
    if (status == QUERN_OK && are_all_idle(master)) {
        uint64_t how = choose_end(master);
        master->ended = true;
        status = announce(master, QN_MESSAGE_END, &how, own, user, error);
    }
    return status;
}
