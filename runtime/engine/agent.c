/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/agent.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/suspension.h"
#include "runtime/base/thread.h"
#include "runtime/base/timeline.h"

#define PROGRESS_EVERY_NS     (300 * QN_NS_PER_US)
#define HELPER_LOOKS_EVERY_NS (10 * QN_NS_PER_MS)
#define HELPER_WORKS_EVERY_NS (1 * QN_NS_PER_MS)
#define HELPER_AFTER_NS       (20 * QN_NS_PER_MS) /* the working thread has been outside for so long */
#define MESSAGES_AT_ONCE_MAX  64
#define MASTER_LOOK_NS_MAX                                                                                             \
    (5 * QN_NS_PER_MS)                  /* the master takes more: others wait for it; but it has work of its own, too */
#define TELL_AFTER_NS (2 * QN_NS_PER_S) /* that a task is done, however many are wanted at once */

void qn_agent_leave(qn_agent *agent)
{
    pthread_mutex_unlock(&agent->gate);
}

void qn_agent_enter(qn_agent *agent)
{
    pthread_mutex_lock(&agent->gate);
}

static void abort_here(qn_agent *agent)
{
    agent->aborted = true;
    if (agent->result) {
        qn_result_discard(agent->result);
        qn_result_announce(agent->result, UINT64_MAX);
    }
}

/* Hands the open message to the master: over the wire, or directly if it is here. */
static quern_status send_to_master(qn_agent *agent)
{
    if (agent->message.failed)
        return qn_error_set(&agent->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
    return qn_comm_send(agent->comm, 0, agent->message.data, agent->message.bytes, &agent->error);
}

/* What is done and not told yet. It is told before anything else is said of tasks, so to the master it is as if it had been told at once and were late. */
static quern_status tell_done(qn_agent *agent)
{
    if (agent->done_count == 0)
        return QUERN_OK;
    quern_status status = agent->done.failed
                              ? qn_error_set(&agent->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message")
                              : qn_comm_send(agent->comm, 0, agent->done.data, agent->done.bytes, &agent->error);
    agent->done_count = 0;
    return status;
}

/* While a rank works on a task, or has one in hand, that becomes more sooner or later. */
static quern_status tell_done_if_late(qn_agent *agent)
{
    return agent->done_count > 0 && qn_clock_ns() - agent->done_since_ns >= TELL_AFTER_NS ? tell_done(agent) : QUERN_OK;
}

void qn_agent_break(qn_agent *agent, const qn_error *failure)
{
    if (failure != &agent->error && agent->error.status == QUERN_OK)
        agent->error = *failure;
    if (!agent->told && !agent->aborted && !agent->master) {
        qn_message_begin(&agent->message, QN_MESSAGE_BROKEN, agent->stage);
        qn_buffer_append_u32(&agent->message, agent->error.status);
        qn_buffer_append_span(&agent->message, agent->error.text, strlen(agent->error.text));
        send_to_master(agent); /* if that fails MPI is broken, and its launcher will end the job */
    }
    agent->told = true;
    abort_here(agent);
}

static void report_all_done(qn_agent *agent)
{
    if (tell_done(agent) != QUERN_OK)
        qn_agent_break(agent, &agent->error);
}

/* Tasks of the master in reserve; lent pieces are worked on all the same. */
static void pause_here(qn_agent *agent)
{
    agent->pausing = true;
    report_all_done(agent);
    for (uint32_t left = agent->task_count; left > 0; left--) {
        qn_task task;
        qn_agent_take_task(agent, &task);
        if (task.lender != QN_AGENT_MASTERS ||
            task.second > 0) { /* of a second only the master knows whether it took over */
            agent->tasks[(agent->task_first + agent->task_count++) % QN_AGENT_TASKS_MAX] = task;
            continue;
        }
        qn_agent_give_back(agent, &task, &task.order.resume);
        free(task.message);
    }
}

static quern_status take_order(qn_agent *agent, qn_reader *message, uint32_t lender, uint32_t second)
{
    size_t split_bytes = 0;
    qn_task full = {.lender = lender}, *task = &full;
    bool has_room = agent->task_count < QN_AGENT_TASKS_MAX;
    if (has_room)
        task = &agent->tasks[(agent->task_first + agent->task_count) % QN_AGENT_TASKS_MAX];
    const void *fields = qn_reader_take(message, sizeof task->order);
    const void *split = qn_reader_span(message, &split_bytes);
    if (message->failed || (!has_room && lender == QN_AGENT_MASTERS))
        return qn_error_set(&agent->error, QUERN_ERROR_INTERNAL, 0, "a task message is too short or one too many");
    memcpy(&task->order, fields, sizeof task->order);
    task->lender = lender;
    task->second = second;
    if (agent->pausing && lender == QN_AGENT_MASTERS && second == 0) {
        qn_agent_give_back(agent, task, &task->order.resume);
        return QUERN_OK;
    }
    if (!has_room) {
        const qn_task_order *order = &task->order;
        const qn_loan_return back = {
            .number = order->task, .attempt = order->attempt, .is_undone = true, .resume = order->resume};
        qn_agent_return(agent, task, &back);
        return QUERN_OK;
    }
    task->bytes = split_bytes;
    task->message = malloc(task->bytes > 0 ? task->bytes : 1);
    if (!task->message)
        return qn_error_set(&agent->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a task");
    if (task->bytes > 0)
        memcpy(task->message, split, task->bytes);
    agent->task_count++;
    return QUERN_OK;
}

static quern_status take_orders(qn_agent *agent, qn_reader *message)
{
    quern_status status = QUERN_OK;
    agent->report_every = qn_reader_u32(message);
    while (message->left_bytes > 0 && status == QUERN_OK)
        status = take_order(agent, message, QN_AGENT_MASTERS, 0);
    return status;
}

/* Those that were dropped before they were begun. */
static void forget_seconds(qn_agent *agent)
{
    for (uint32_t left = agent->task_count; left > 0; left--) {
        qn_task task;
        qn_agent_take_task(agent, &task);
        if (task.second > 0 && qn_agent_look_at_second(agent, &task) == QN_SECOND_IS_DROPPED)
            free(task.message);
        else
            agent->tasks[(agent->task_first + agent->task_count++) % QN_AGENT_TASKS_MAX] = task;
    }
}

/* A second attempt comes in, behind whatever is here. */
static quern_status take_second(qn_agent *agent, qn_reader *message)
{
    qn_reader ahead = *message;
    const void *fields = qn_reader_take(&ahead, sizeof agent->second.order);
    if (!fields)
        return qn_error_set(&agent->error, QUERN_ERROR_INTERNAL, 0, "a task message is too short");
    memcpy(&agent->second.order, fields, sizeof agent->second.order);
    agent->second.task = agent->second.order.task;
    agent->second.state = QN_SECOND_WORKS;
    agent->second.number++;
    forget_seconds(agent);
    return take_order(agent, message, QN_AGENT_MASTERS, agent->second.number);
}

/* In hand, but not begun: it is given back at once, by whichever thread is here. */
static bool give_back_reserve(qn_agent *agent, const qn_task_order *order)
{
    bool found = false;
    for (uint32_t left = agent->task_count; left > 0; left--) {
        qn_task task = {0};
        qn_agent_take_task(agent, &task);
        if (!found && task.lender == QN_AGENT_MASTERS && task.second == 0 && task.order.task == order->task &&
            task.order.attempt == order->attempt) {
            qn_agent_give_back(agent, &task, &task.order.resume);
            free(task.message);
            found = true;
            continue;
        }
        agent->tasks[(agent->task_first + agent->task_count++) % QN_AGENT_TASKS_MAX] = task;
    }
    return found;
}

/* LEAVE, LEAVE_UNBEGUN, TAKE_OVER, DROP. */
static quern_status take_word(qn_agent *agent, uint32_t kind, qn_reader *message)
{
    qn_task_order order;
    const void *fields = qn_reader_take(message, sizeof order);
    if (!fields)
        return qn_error_set(&agent->error, QUERN_ERROR_INTERNAL, 0, "a message about a task is too short");
    memcpy(&order, fields, sizeof order);
    if (kind == QN_MESSAGE_LEAVE || kind == QN_MESSAGE_LEAVE_UNBEGUN) {
        report_all_done(agent); /* the master thinks that it takes long */
        if (!give_back_reserve(agent, &order) && kind == QN_MESSAGE_LEAVE) {
            agent->is_asked = true;
            agent->asked_task = order.task;
            agent->asked_attempt = order.attempt;
        }
        return QUERN_OK;
    }
    QN_ASSERT(agent->second.number > 0 && agent->second.task == order.task);
    agent->second.order = order;
    agent->second.state = kind == QN_MESSAGE_DROP ? QN_SECOND_IS_DROPPED : QN_SECOND_TAKES_OVER;
    forget_seconds(agent);
    return QUERN_OK;
}

/* How an attempt ended: outcome, status, text. */
static void put_outcome(qn_buffer *message, const qn_task_outcome *outcome, const qn_error *failure)
{
    qn_buffer_append(message, outcome, sizeof *outcome);
    qn_buffer_append_u32(message, failure->status);
    qn_buffer_append_span(message, failure->text, strlen(failure->text));
}

static quern_status take_back(qn_agent *agent, qn_reader *message)
{
    qn_loan_return back = {0};
    const void *fields = qn_reader_take(message, sizeof back);
    if (fields)
        memcpy(&back, fields, sizeof back);
    back.given = qn_reader_span(message, &back.given_bytes);
    if (message->failed)
        return qn_error_set(&agent->error, QUERN_ERROR_INTERNAL, 0, "a message about a piece is too short");
    if (!qn_loans_take_back(&agent->loans, &back))
        return qn_error_set(&agent->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the records of a piece");
    return QUERN_OK;
}

static void take_end(qn_agent *agent, uint64_t how)
{
    agent->rests = how != QN_END_FOR_GOOD;
    agent->has_rounds = how == QN_END_FOR_NOW;
    agent->ended = true;
}

/* A message of the master, or of a rank that lends or helps. */
static quern_status obey(qn_agent *agent, const qn_message_head *head, qn_reader *message, uint32_t from)
{
    switch (head->kind) {
    case QN_MESSAGE_TASK:
        return agent->aborted ? QUERN_OK : take_orders(agent, message);
    case QN_MESSAGE_LENT:
        return agent->aborted ? QUERN_OK : take_order(agent, message, from, 0);
    case QN_MESSAGE_SECOND:
        return agent->aborted ? QUERN_OK : take_second(agent, message);
    case QN_MESSAGE_LEAVE:
    case QN_MESSAGE_LEAVE_UNBEGUN:
    case QN_MESSAGE_TAKE_OVER:
    case QN_MESSAGE_DROP:
        return agent->aborted ? QUERN_OK : take_word(agent, head->kind, message);
    case QN_MESSAGE_HELPER:
        qn_loans_add_helper(&agent->loans, qn_reader_u32(message));
        return QUERN_OK;
    case QN_MESSAGE_RETURNED:
        return take_back(agent, message);
    case QN_MESSAGE_ROUND:
        if (agent->result)
            qn_result_announce(agent->result, qn_reader_u64(message));
        return QUERN_OK;
    case QN_MESSAGE_PAUSE:
        pause_here(agent);
        return QUERN_OK;
    case QN_MESSAGE_END:
        take_end(agent, qn_reader_u64(message));
        return QUERN_OK;
    case QN_MESSAGE_ABORT:
        agent->ended = true;
        abort_here(agent);
        return QUERN_OK;
    default:
        return qn_error_set(&agent->error, QUERN_ERROR_INTERNAL, 0, "a control message of unknown kind %u", head->kind);
    }
}

static bool is_for_master(uint32_t kind)
{
    return kind == QN_MESSAGE_DONE || kind == QN_MESSAGE_FAILED || kind == QN_MESSAGE_WANT_ROUND ||
           kind == QN_MESSAGE_IDLE || kind == QN_MESSAGE_BROKEN || kind == QN_MESSAGE_GIVEN_BACK ||
           kind == QN_MESSAGE_PARKED || kind == QN_MESSAGE_SUSPEND || kind == QN_MESSAGE_READY ||
           kind == QN_MESSAGE_SHOWN;
}

static quern_status handle(qn_agent *agent, const void *data, size_t bytes, uint32_t from)
{
    qn_reader message = qn_reader_of(data, bytes);
    qn_message_head head;
    const void *fields = qn_reader_take(&message, sizeof head);
    if (!fields)
        return qn_error_set(&agent->error, QUERN_ERROR_INTERNAL, 0, "a control message is too short");
    memcpy(&head, fields, sizeof head);
    if (head.stage != agent->stage)
        return QUERN_OK; /* late, from a stage that is over */
    if (!is_for_master(head.kind))
        return obey(agent, &head, &message, from);
    QN_ASSERT(agent->master != NULL);
    return qn_master_receive(agent->master, &head, &message, from, &agent->error);
}

static quern_status handle_own(void *user, const void *message, size_t bytes, qn_error *error)
{
    (void)error;
    return handle(user, message, bytes, 0);
}

/* It comes whether anything goes on or not, and is no sign of life. */
static bool is_shown(const void *data, size_t bytes)
{
    qn_message_head head = {0};
    memcpy(&head, data, bytes < sizeof head ? bytes : sizeof head);
    return head.kind == QN_MESSAGE_SHOWN;
}

/* *more_out: there may be more. */
static quern_status take_messages(qn_agent *agent, bool *more_out)
{
    *more_out = false;
    for (int i = 0; i < MESSAGES_AT_ONCE_MAX; i++) {
        const void *data = NULL;
        size_t bytes = 0;
        uint32_t from = 0;
        quern_status status = qn_comm_poll(agent->comm, &data, &bytes, &from, &agent->error);
        bool is_activity = data && !is_shown(data, bytes);
        if (status == QUERN_OK && data)
            status = handle(agent, data, bytes, from);
        if (status != QUERN_OK || !data)
            return status;
        agent->activity += is_activity;
    }
    *more_out = true;
    return QUERN_OK;
}

/* Few at once, so that a rank gets back to its work; but the master takes all that are there, within bounds, and answers in between. */
static quern_status take_all_messages(qn_agent *agent)
{
    bool more = false;
    quern_status status = take_messages(agent, &more);
    if (!agent->master || !more)
        return status;
    for (uint64_t end_ns = qn_clock_ns() + MASTER_LOOK_NS_MAX; status == QUERN_OK && more && qn_clock_ns() < end_ns;) {
        status = qn_master_step(agent->master, handle_own, agent, &agent->error);
        if (status == QUERN_OK)
            status = take_messages(agent, &more);
    }
    return status;
}

static quern_status move_rounds(qn_agent *agent)
{
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_SHUFFLE);
    uint64_t start_ns = qn_clock_ns();
    uint64_t ask = UINT64_MAX;
    uint64_t rounds_before = qn_rounds_get_activity(qn_result_get_rounds(agent->result));
    quern_status status = qn_result_progress(agent->result, &ask, &agent->error);
    agent->shuffle_ns += qn_clock_ns() - start_ns;
    qn_timeline_enter(before);
    agent->activity += qn_rounds_get_activity(qn_result_get_rounds(agent->result)) - rounds_before;
    if (status != QUERN_OK || ask == UINT64_MAX)
        return status;
    qn_message_begin(&agent->message, QN_MESSAGE_WANT_ROUND, agent->stage);
    qn_buffer_append_u64(&agent->message, ask);
    return send_to_master(agent);
}

/* The master, too, looks for itself (epochs.h), but a signal may be sent to any rank. */
static quern_status pass_on_suspension(qn_agent *agent)
{
    if (agent->told_suspend || agent->master || !qn_suspension_is_asked())
        return QUERN_OK;
    agent->told_suspend = true;
    qn_message_begin(&agent->message, QN_MESSAGE_SUSPEND, agent->stage);
    return send_to_master(agent);
}

static void make_progress(qn_agent *agent)
{
    quern_status status = take_all_messages(agent);
    if (status == QUERN_OK)
        status = tell_done_if_late(agent);
    if (status == QUERN_OK)
        status = pass_on_suspension(agent);
    if (agent->result && (status == QUERN_OK || agent->aborted))
        status = move_rounds(agent);
    if (agent->master)
        status = qn_master_step(agent->master, handle_own, agent, &agent->error);
    if (status != QUERN_OK && !agent->aborted)
        qn_agent_break(agent, &agent->error);
}

static void show_if_due(qn_agent *agent, uint64_t now_ns, bool is_worker)
{
    uint64_t last_ns = is_worker ? agent->own_shown_ns : agent->shown_ns;
    if (!agent->show || now_ns - last_ns < agent->show_every_ns || agent->ended)
        return;
    agent->shown_ns = now_ns;
    agent->own_shown_ns = is_worker ? now_ns : agent->own_shown_ns;
    agent->show(agent->show_user, now_ns, is_worker);
}

void qn_agent_progress(qn_agent *agent)
{
    make_progress(agent);
    uint64_t now_ns = qn_clock_ns();
    show_if_due(agent, now_ns, true);
    atomic_store_explicit(&agent->progress_ns, now_ns, memory_order_relaxed);
}

void qn_agent_show_alone(qn_agent *agent, uint64_t now_ns)
{
    if (agent->comm->size > 1 || pthread_mutex_trylock(&agent->gate) != 0)
        return;
    show_if_due(agent, now_ns, false);
    pthread_mutex_unlock(&agent->gate);
}

void qn_agent_progress_if_due(qn_agent *agent)
{
    uint64_t last_ns = atomic_load_explicit(&agent->progress_ns, memory_order_relaxed);
    if (qn_clock_ns() - last_ns >= PROGRESS_EVERY_NS)
        qn_agent_progress(agent);
}

bool qn_agent_take_task(qn_agent *agent, qn_task *task_out)
{
    if (agent->task_count == 0)
        return false;
    *task_out = agent->tasks[agent->task_first];
    agent->task_first = (agent->task_first + 1) % QN_AGENT_TASKS_MAX;
    agent->task_count--;
    return true;
}

static void report(qn_agent *agent)
{
    if (tell_done(agent) != QUERN_OK || send_to_master(agent) != QUERN_OK)
        qn_agent_break(agent, &agent->error);
}

static bool has_more_of_masters(const qn_agent *agent)
{
    for (uint32_t i = 0; i < agent->task_count; i++) {
        const qn_task *task = &agent->tasks[(agent->task_first + i) % QN_AGENT_TASKS_MAX];
        if (task->lender == QN_AGENT_MASTERS && task->second == 0)
            return true;
    }
    return false;
}

void qn_agent_report_done(qn_agent *agent, const qn_task *task, const qn_buffer *part, uint64_t bad_count,
                          const char *last_bad)
{
    qn_task_outcome outcome = {
        .task = task->order.task, .attempt = task->order.attempt, .leg = task->order.leg, .bad_count = bad_count};
    uint64_t now_ns = qn_clock_ns();
    outcome.busy_ns = now_ns - agent->began_ns;
    if (agent->done_count++ == 0) {
        agent->done.failed = false;
        agent->done_since_ns = now_ns;
        qn_message_begin(&agent->done, QN_MESSAGE_DONE, agent->stage);
    }
    qn_buffer_append(&agent->done, &outcome, sizeof outcome);
    qn_buffer_append_span(&agent->done, part ? part->data : NULL, part ? part->bytes : 0);
    qn_buffer_append_span(&agent->done, last_bad, bad_count > 0 ? strlen(last_bad) : 0);
    if (agent->done_count >= agent->report_every || agent->pausing || !has_more_of_masters(agent))
        report_all_done(agent);
}

void qn_agent_report_failed(qn_agent *agent, const qn_task *task, const qn_resume *resume, bool retryable,
                            const qn_error *failure)
{
    qn_task_outcome outcome = {
        .task = task->order.task, .attempt = task->order.attempt, .retryable = retryable, .resume = *resume};
    qn_message_begin(&agent->message, QN_MESSAGE_FAILED, agent->stage);
    put_outcome(&agent->message, &outcome, failure);
    report(agent);
}

static void report_left(qn_agent *agent, qn_message_kind kind, const qn_task *task, const qn_resume *resume)
{
    qn_task_outcome outcome = {.task = task->order.task, .attempt = task->order.attempt, .resume = *resume};
    qn_message_begin(&agent->message, kind, agent->stage);
    qn_buffer_append(&agent->message, &outcome, sizeof outcome);
    report(agent);
}

void qn_agent_give_back(qn_agent *agent, const qn_task *task, const qn_resume *resume)
{
    agent->left_count += !agent->pausing;
    agent->is_asked &= !qn_agent_is_asked(agent, &task->order); /* whoever gets it again is not */
    report_left(agent, QN_MESSAGE_GIVEN_BACK, task, resume);
}

void qn_agent_park(qn_agent *agent, const qn_task *task, const qn_resume *resume)
{
    report_left(agent, QN_MESSAGE_PARKED, task, resume);
}

/* Sends the open message to any rank. */
static void send_to_rank(qn_agent *agent, uint32_t rank)
{
    if (agent->message.failed)
        qn_error_set(&agent->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a control message");
    else
        qn_comm_send(agent->comm, rank, agent->message.data, agent->message.bytes, &agent->error);
    if (agent->error.status != QUERN_OK && !agent->aborted)
        qn_agent_break(agent, &agent->error);
}

void qn_agent_lend(qn_agent *agent, qn_loan *loan)
{
    qn_message_begin(&agent->message, QN_MESSAGE_LENT, agent->stage);
    qn_buffer_append(&agent->message, &loan->order, sizeof loan->order);
    qn_buffer_append_span(&agent->message, loan->piece.data, loan->piece.bytes);
    qn_loans_mark_out(&agent->loans, loan);
    send_to_rank(agent, agent->loans.helpers[loan->helper]);
}

void qn_agent_return(qn_agent *agent, const qn_task *task, const qn_loan_return *back)
{
    qn_message_begin(&agent->message, QN_MESSAGE_RETURNED, agent->stage);
    qn_buffer_append(&agent->message, back, sizeof *back);
    qn_buffer_append_span(&agent->message, back->given, back->given_bytes);
    send_to_rank(agent, task->lender);
}

bool qn_agent_is_asked(const qn_agent *agent, const qn_task_order *order)
{
    return agent->is_asked && agent->asked_task == order->task && agent->asked_attempt == order->attempt;
}

qn_second_state qn_agent_look_at_second(const qn_agent *agent, const qn_task *task)
{
    return agent->second.number == task->second ? agent->second.state : QN_SECOND_IS_DROPPED;
}

void qn_agent_report_ready(qn_agent *agent, const qn_task *task)
{
    qn_task_outcome outcome = {.task = task->order.task, .attempt = task->order.attempt};
    qn_message_begin(&agent->message, QN_MESSAGE_READY, agent->stage);
    qn_buffer_append(&agent->message, &outcome, sizeof outcome);
    report(agent);
}

void qn_agent_show(qn_agent *agent, const void *data, size_t bytes)
{
    qn_message_begin(&agent->message, QN_MESSAGE_SHOWN, agent->stage);
    qn_buffer_append(&agent->message, data, bytes);
    report(agent);
}

void qn_agent_report_idle(qn_agent *agent)
{
    qn_message_begin(&agent->message, QN_MESSAGE_IDLE, agent->stage);
    report(agent);
}

static void *help(void *user)
{
    qn_agent *agent = user;
    uint64_t pause_ns = HELPER_LOOKS_EVERY_NS;
    while (!qn_thread_pause(&agent->helper_stop, pause_ns)) {
        pause_ns = HELPER_LOOKS_EVERY_NS;
        uint64_t last_ns = atomic_load_explicit(&agent->progress_ns, memory_order_relaxed);
        if (qn_clock_ns() - last_ns < HELPER_AFTER_NS || pthread_mutex_trylock(&agent->gate) != 0)
            continue;
        make_progress(agent);
        show_if_due(agent, qn_clock_ns(), false);
        agent->helped++;
        pthread_mutex_unlock(&agent->gate);
        pause_ns = HELPER_WORKS_EVERY_NS;
    }
    return NULL;
}

quern_status qn_agent_start(qn_agent *agent, qn_comm *comm, uint32_t stage, qn_master *master, qn_result *result,
                            qn_error *error)
{
    memset(agent, 0, sizeof *agent);
    agent->comm = comm;
    agent->stage = stage;
    agent->master = master;
    agent->result = result;
    pthread_mutex_init(&agent->gate, NULL);
    sem_init(&agent->helper_stop, 0, 0);
    qn_agent_enter(agent);
    agent->shown_ns = agent->own_shown_ns = qn_clock_ns();
    atomic_store(&agent->progress_ns, agent->shown_ns);
    agent->has_helper = comm->helper_allowed && comm->size > 1;
    int reason = agent->has_helper ? qn_thread_start(&agent->helper, help, agent) : 0;
    if (reason != 0) {
        agent->has_helper = false;
        qn_agent_stop(agent);
        return qn_error_set(error, QUERN_ERROR_SYSTEM, reason, "cannot start a thread");
    }
    return QUERN_OK;
}

void qn_agent_stop(qn_agent *agent)
{
    qn_agent_leave(agent);
    if (agent->has_helper) {
        sem_post(&agent->helper_stop);
        pthread_join(agent->helper, NULL);
        agent->has_helper = false;
    }
    for (qn_task task; qn_agent_take_task(agent, &task);)
        free(task.message);
    qn_buffer_fini(&agent->message);
    qn_buffer_fini(&agent->done);
    qn_loans_fini(&agent->loans);
    pthread_mutex_destroy(&agent->gate);
    sem_destroy(&agent->helper_stop);
}
