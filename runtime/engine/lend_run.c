/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/lend_run.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/engine/kept_back.h"
#include "runtime/engine/task_step.h"

#define PIECE_BYTES_MIN      ((size_t)64 << 10)
#define PIECE_BYTES_MAX      ((size_t)1 << 20)
#define PIECE_PART           512 /* of a rank's memory is a piece, */
#define TURN_PIECE_BYTES_MAX ((size_t)256 << 10)
#define TURN_PIECE_PART      2048 /* and where what it gave has to wait */
#define GIVEN_PER_PIECE                                                                                                \
    8 /* that may wait: bytes of records that a piece gave, as they are logged, for each of its own */
#define TURN_LOANS_PART 16   /* of a rank's memory, all loans whose records wait */
#define SHARES          1024 /* into which a packed file is divided to foresee how much comes */

/* Where records are a part, they come to it in the order of the input. */
static bool has_turns(const qn_stage_run *run)
{
    return qn_stage_makes_parts(run);
}

/* Where records end that are bad only the one reader of a content knows, but of text and of records of one length; and a part that is dropped
 * takes the bad ones that it had with it, which those on other ranks would not be. */
bool qn_lending_applies(const qn_stage_run *run, const qn_task *task)
{
    qn_node_kind kind = qn_leg_source(run->stage, task->order.leg)->kind;
    bool passes_bad = qn_bad_limit_passes(qn_stage_bad_limit(run, task->order.leg));
    bool has_plain_records = kind == QN_NODE_TEXT || kind == QN_NODE_FIXED;
    bool has_pieces = kind != QN_NODE_HDF5 && (!passes_bad || (has_plain_records && !has_turns(run)));
    /* A stretch of each piece would be a stretch of a megabyte. */
    has_pieces &= !run->chains[task->order.leg].has_stretches;
    return has_pieces && !run->links && run->engine->comm->size > 1 && qn_split_is_packed(task->message, task->bytes);
}

/* Fewer bytes where memory is little: all loans together are a small part of it. */
static size_t piece_bytes(const qn_stage_run *run)
{
    uint64_t bytes = run->engine->settings.rank_memory_bytes / (has_turns(run) ? TURN_PIECE_PART : PIECE_PART);
    uint64_t most = has_turns(run) ? TURN_PIECE_BYTES_MAX : PIECE_BYTES_MAX;
    return bytes < PIECE_BYTES_MIN ? PIECE_BYTES_MIN : bytes > most ? most : (size_t)bytes;
}

static void begin_loans(qn_stage_run *run)
{
    uint64_t bytes = run->engine->settings.rank_memory_bytes / TURN_LOANS_PART;
    uint64_t fits = bytes / ((1 + GIVEN_PER_PIECE) * piece_bytes(run));
    uint32_t count = fits < 2 ? 2 : fits > QN_LOANS_TO_HELPERS_MAX ? QN_LOANS_TO_HELPERS_MAX : (uint32_t)fits;
    qn_loans_begin(&run->agent.loans, has_turns(run), has_turns(run) ? count : 0);
}

/* ---- a piece whose records wait ---- */

/* Of the step that failed nothing stays; the border before it is where to go on. */
typedef struct waiting_run {
    qn_stage_run *run;
    qn_source *source;
    const qn_task *task;
    qn_kept_back kept;
    uint64_t *begun, *border, *now; /* tallies: [tally_count] */
    size_t tally_count;
    size_t record; /* the first in the log behind the border */
    qn_resume resume;
} waiting_run;

static quern_status begin_waiting(waiting_run *self, qn_error *failure)
{
    uint32_t leg = self->task->order.leg;
    self->tally_count = qn_leg_tally_count(self->run, leg);
    self->begun = calloc(3 * self->tally_count, sizeof *self->begun);
    if (!self->begun)
        return qn_error_set(failure, QUERN_ERROR_NO_MEMORY, 0, "no memory for the tally of a piece");
    self->border = self->begun + self->tally_count;
    self->now = self->border + self->tally_count;
    self->resume = self->task->order.resume;
    qn_leg_tally(self->run, leg, self->begun);
    qn_kept_back_begin(&self->kept, self->run, leg, GIVEN_PER_PIECE * piece_bytes(self->run));
    return QUERN_OK;
}

static quern_status step_waiting(waiting_run *self, bool *more_out, qn_error *failure)
{
    qn_stage_run *run = self->run;
    uint64_t skip = self->resume.skip;
    self->record = self->kept.log.count;
    qn_leg_tally(run, self->task->order.leg, self->border);
    quern_status status = qn_task_step(run, self->source, self->task, &skip, more_out, failure);
    qn_agent_progress_if_due(&run->agent);
    if (status == QUERN_OK) {
        self->resume = qn_task_next(self->source, 0);
        return QUERN_OK;
    }
    qn_leg_tally(run, self->task->order.leg, self->now);
    qn_leg_take_back(run, self->task->order.leg, self->border, self->now);
    qn_record_log_cut(&self->kept.log, self->record);
    return status;
}

/* What was counted goes with the records to whose part they are: it does not count here. */
static void end_waiting(waiting_run *self, qn_buffer *given)
{
    uint32_t leg = self->task->order.leg;
    qn_leg_tally(self->run, leg, self->now);
    qn_leg_take_back(self->run, leg, self->begun, self->now);
    for (size_t i = 0; i < self->tally_count; i++)
        qn_buffer_append_u64(given, self->now[i] - self->begun[i]);
    qn_record_log_encode(&self->kept.log, given);
}

/* One attempt. What it gave, up to where it says that one is to go on. False: the rank is broken. */
static bool run_waiting(qn_stage_run *run, qn_source *source, const qn_task *task, qn_loan_return *back,
                        qn_buffer *given)
{
    waiting_run self = {.run = run, .source = source, .task = task};
    qn_error failure = {0};
    qn_resume unused;
    bool more = true, is_open = begin_waiting(&self, &failure) == QUERN_OK;
    run->figures.attempts++;
    quern_status status = is_open ? qn_task_open(run, source, task, &failure) : failure.status;
    while (status == QUERN_OK && more && !run->agent.aborted)
        status = step_waiting(&self, &more, &failure);
    qn_task_close(run);
    if (is_open) {
        qn_kept_back_end(&self.kept);
        end_waiting(&self, given);
    }
    back->is_undone = status != QUERN_OK;
    back->has_failed = status != QUERN_OK && !self.kept.is_full;
    back->resume = self.resume;
    qn_kept_back_fini(&self.kept);
    free(self.begun);
    if (given->failed)
        qn_agent_break(&run->agent, &(qn_error){QUERN_ERROR_NO_MEMORY, "no memory for the records of a piece"});
    return !given->failed && (!back->has_failed || qn_task_leave_piece(run, source, task, 0, &unused, &failure));
}

/* In its turn: as if it had been worked on here. Nothing: the helper did not begin. */
static bool deliver_given(qn_stage_run *run, const qn_task_order *order, const qn_buffer *given)
{
    if (given->bytes == 0)
        return true;
    qn_error failure = {0};
    qn_record_log log = {0};
    qn_reader reader = qn_reader_of(given->data, given->bytes);
    size_t tally_count = qn_leg_tally_count(run, order->leg);
    const void *counted = qn_reader_take(&reader, tally_count * sizeof(uint64_t));
    uint64_t *tallies = calloc(2 * tally_count, sizeof *tallies);
    bool is_there = counted && tallies && qn_record_log_decode(&log, &reader);
    if (is_there) {
        memcpy(tallies, counted, tally_count * sizeof *tallies);
        qn_leg_take_back(run, order->leg, tallies, tallies + tally_count);
        qn_kept_back_deliver(run, order->leg, &log, 0, &failure);
    } else {
        qn_error_set(&failure, QUERN_ERROR_NO_MEMORY, 0, "no memory for the records of a piece");
    }
    qn_record_log_fini(&log);
    free(tallies);
    if (failure.status != QUERN_OK)
        qn_agent_break(&run->agent, &failure);
    return failure.status == QUERN_OK;
}

/* ---- the helper ---- */

void qn_lending_help(qn_stage_run *run, qn_source *source, const qn_task *task)
{
    qn_error failure = {0};
    qn_buffer given = {0};
    qn_loan_return back = {.number = task->order.task, .attempt = task->order.attempt};
    bool goes_back = true;
    if (has_turns(run)) {
        goes_back = run_waiting(run, source, task, &back, &given);
    } else {
        uint64_t skip = 0;
        back.is_undone = back.has_failed = qn_task_run_piece(run, source, task, &skip, &failure) != QUERN_OK;
        if (back.has_failed && !run->agent.aborted)
            goes_back = qn_task_leave_piece(run, source, task, skip, &back.resume, &failure);
    }
    back.given = given.data;
    back.given_bytes = given.bytes;
    if (goes_back && !run->agent.aborted)
        qn_agent_return(&run->agent, task, &back);
    qn_buffer_fini(&given);
}

/* ---- the lender ---- */

/* A piece that goes straight to the stage's end, until it passes. False: it did not. */
static bool run_own(qn_stage_run *run, qn_source *source, const qn_task_order *order, const qn_buffer *piece)
{
    qn_task task = {.order = *order, .message = piece->data, .bytes = piece->bytes};
    for (;; task.order.attempt++) {
        qn_error failure = {0};
        uint64_t skip = 0;
        quern_status status = qn_task_run_piece(run, source, &task, &skip, &failure);
        if (run->agent.aborted || status == QUERN_OK)
            return status == QUERN_OK;
        if (!qn_task_leave_piece(run, source, &task, skip, &task.order.resume, &failure))
            return false;
    }
}

/* Out of its turn. */
static void run_out_of_turn(qn_stage_run *run, qn_source *source, qn_loan *loan)
{
    qn_task task = {.order = loan->order, .message = loan->piece.data, .bytes = loan->piece.bytes};
    qn_loan_return back = {.number = loan->order.task, .attempt = loan->order.attempt};
    qn_loans_mark_out(&run->agent.loans, loan);
    if (run_waiting(run, source, &task, &back, &loan->given))
        qn_loans_take_back(&run->agent.loans, &back);
}

static void settle_one(qn_stage_run *run, qn_source *worker, qn_loan *loan)
{
    qn_loans *loans = &run->agent.loans;
    bool is_through = !loans->has_turns || deliver_given(run, &loan->order, &loan->given);
    if (is_through && loan->state == QN_LOAN_UNDONE)
        is_through = run_own(run, worker, &loan->order, &loan->piece);
    if (is_through)
        qn_loans_settle(loans, loan);
}

/* Delivers, and works on, what came back and has its turn. False: there was nothing. */
static bool settle_due(qn_stage_run *run, qn_source *worker)
{
    qn_loan *loan;
    bool was_there = false;
    while (!run->agent.aborted && (loan = qn_loans_find_due(&run->agent.loans))) {
        settle_one(run, worker, loan);
        was_there = true;
    }
    return was_there;
}

/* Until there are no loans. */
static void settle_all(qn_stage_run *run, qn_source *worker)
{
    qn_backoff backoff = {0};
    while (!run->agent.aborted && run->agent.loans.out_count > 0)
        if (!settle_due(run, worker))
            qn_stage_run_wait(run, &backoff, QN_TIMELINE_IDLE);
}

/* A loan for the next piece: of a helper with a free hand; of this rank, if the piece is out of turn; NULL: it goes straight to the end. */
static qn_loan *find_loan(qn_stage_run *run, qn_source *worker)
{
    qn_loans *loans = &run->agent.loans;
    qn_backoff backoff = {0};
    for (;;) {
        qn_loan *loan = qn_loans_find_free(loans);
        if (!loan && loans->has_turns && loans->out_count > 0)
            loan = qn_loans_find_own(loans);
        if (loan || !loans->has_turns || loans->out_count == 0 || run->agent.aborted)
            return loan;
        if (!settle_due(run, worker))
            qn_stage_run_wait(run, &backoff, QN_TIMELINE_IDLE);
    }
}

static void pass_piece(qn_stage_run *run, qn_source *worker, const qn_task *task, const qn_piece *piece, qn_buffer *own)
{
    qn_loans *loans = &run->agent.loans;
    qn_loan *loan = find_loan(run, worker);
    qn_buffer *bytes = loan ? &loan->piece : own;
    qn_task_order order = task->order;
    order.attempt = 1;
    order.task = loan ? qn_loans_number(loans, loan) : 0;
    order.resume = (qn_resume){.place = qn_piece_place(piece)};
    bytes->bytes = 0;
    qn_piece_encode(piece, bytes);
    if (loan)
        loan->order = order;
    if (bytes->failed)
        qn_agent_break(&run->agent, &(qn_error){QUERN_ERROR_NO_MEMORY, "no memory for a piece of a packed file"});
    else if (!loan)
        run_own(run, worker, &order, own);
    else if (loan->helper == QN_LOANS_NO_HELPER)
        run_out_of_turn(run, worker, loan);
    else
        qn_agent_lend(&run->agent, loan);
}

/* The next piece, if there is one, to whom it goes. */
static quern_status take_piece(qn_stage_run *run, qn_source *source, qn_source *worker, const qn_task *task,
                               qn_piece *piece, qn_buffer *own, bool *more_out, qn_error *failure)
{
    qn_agent_leave(&run->agent);
    quern_status status = qn_source_next_piece(source, piece_bytes(run), piece, failure);
    *more_out = status == QUERN_OK && (piece->bytes > 0 || source->bad.count > 0);
    if (status == QUERN_OK)
        status = qn_bad_log_take(&run->bad[task->order.leg], &source->bad, false, failure);
    qn_agent_enter(&run->agent);
    qn_agent_progress(&run->agent);
    if (run->into)
        qn_result_foresee(run->into, (uint64_t)((task->order.task + piece->share) * SHARES),
                          (uint64_t)task->order.task_count * SHARES);
    if (status == QUERN_OK && piece->bytes > 0 && !run->agent.aborted)
        pass_piece(run, worker, task, piece, own);
    return status;
}

/* Piece by piece, to the end or until the stage is to rest; all loans are back then. */
static quern_status lend(qn_stage_run *run, qn_source *source, qn_source *worker, const qn_task *task, bool *more_out,
                         qn_error *failure)
{
    qn_buffer own = {0};
    qn_piece piece = {0};
    bool has_begun = false;
    quern_status status = QUERN_OK;
    begin_loans(run);
    *more_out = true;
    while (status == QUERN_OK && *more_out && !run->agent.aborted &&
           !(run->agent.pausing && has_begun && !has_turns(run))) {
        status = take_piece(run, source, worker, task, &piece, &own, more_out, failure);
        has_begun = true;
        settle_due(run, worker);
    }
    settle_all(run, worker);
    qn_buffer_fini(&own);
    return status;
}

void qn_lending_run(qn_stage_run *run, qn_source *source, qn_source *worker, const qn_task *task, bool is_open)
{
    qn_error failure = {0};
    uint32_t leg = task->order.leg;
    uint64_t source_records = run->source_records[leg];
    bool more = true;
    quern_status status = is_open ? QUERN_OK : qn_task_begin_attempt(run, task, NULL, &failure);
    if (status == QUERN_OK && !is_open)
        status = qn_task_open(run, source, task, &failure);
    run->figures.attempts += !is_open;
    if (status == QUERN_OK)
        status = lend(run, source, worker, task, &more, &failure);
    qn_task_close(run);
    if (run->agent.aborted)
        return;
    qn_loans_dismiss(&run->agent.loans);
    if (status == QUERN_OK && more)
        qn_task_park(run, source, task, 0);
    else if (status == QUERN_OK)
        status = qn_task_end_attempt(run, source, task, &failure);
    if (status == QUERN_OK)
        return;
    if (has_turns(run))
        run->source_records[leg] = source_records; /* they will all be read again */
    run->chains[leg].delivered = 0;                /* of the piece that could not be read */
    run->chains[leg].callback_failed = false;
    qn_task_give_up(run, task, source, 0, &failure);
}
