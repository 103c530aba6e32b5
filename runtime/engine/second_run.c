/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/second_run.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/engine/kept_back.h"
#include "runtime/engine/task_step.h"

#define BORDER_COUNT_MAX 65536

/* Before a block. */
typedef struct border {
    qn_text_place next_place,
        block_place; /* the same place, as who leaves before the block tells it, and who fails in it */
    uint64_t skip;   /* records of the block that are not in the log, since they were delivered */
    size_t record;   /* the first in the log that came behind it */
} border;

typedef struct second {
    qn_stage_run *run;
    qn_source *source;
    qn_task task;
    qn_chain *chain;
    bool makes_part, has_part, more;
    qn_task_begun begun;
    uint64_t skip;
    qn_kept_back kept;
    border *borders; /* [border_count] */
    size_t border_count, border_capacity;
    uint64_t *tallies; /* of the leg, at each border */
    size_t tally_count;
} second;

/* ---- borders ---- */

static bool grow_borders(second *self)
{
    size_t capacity = self->border_capacity ? 2 * self->border_capacity : 64;
    if (self->border_count < self->border_capacity)
        return true;
    border *borders = self->border_count < BORDER_COUNT_MAX ? realloc(self->borders, capacity * sizeof *borders) : NULL;
    if (!borders)
        return false;
    self->borders = borders;
    uint64_t *tallies = realloc(self->tallies, (capacity + 1) * self->tally_count * sizeof *tallies);
    if (!tallies)
        return false;
    self->tallies = tallies;
    self->border_capacity = capacity;
    return true;
}

static uint64_t *tally_at(const second *self, size_t at)
{
    return self->tallies + at * self->tally_count;
}

/* False: there is no room for more. */
static bool put_border(second *self)
{
    if (!grow_borders(self))
        return false;
    bool is_first = self->border_count == 0;
    border *here = &self->borders[self->border_count];
    here->next_place = is_first ? self->task.order.resume.place : *qn_source_next_place(self->source);
    here->block_place = here->next_place;
    here->skip = self->skip;
    here->record = self->kept.log.count;
    qn_leg_tally(self->run, self->task.order.leg, tally_at(self, self->border_count++));
    return true;
}

/* What was counted since a border does not count. */
static void take_back_behind(second *self, size_t from)
{
    uint32_t leg = self->task.order.leg;
    uint64_t *now = tally_at(self, self->border_capacity); /* there is room for one more */
    if (from >= self->border_count)
        return;
    qn_leg_tally(self->run, leg, now);
    qn_leg_take_back(self->run, leg, tally_at(self, from), now);
}

/* Of the block that failed nothing stays; the border before it is where to go on. */
static qn_resume cut_block(second *self)
{
    border *last = &self->borders[self->border_count - 1];
    qn_resume resume = {.place = last->next_place, .skip = last->skip};
    take_back_behind(self, self->border_count - 1);
    qn_record_log_cut(&self->kept.log, last->record);
    self->border_count--;
    return resume;
}

/* ---- the attempt ---- */

static bool is_told(const second *self)
{
    const qn_agent *agent = &self->run->agent;
    return agent->aborted || agent->ended || qn_agent_look_at_second(agent, &self->task) != QN_SECOND_WORKS;
}

static quern_status step(second *self, qn_error *failure)
{
    quern_status status = qn_task_step(self->run, self->source, &self->task, &self->skip, &self->more, failure);
    if (status == QUERN_OK && !self->makes_part)
        self->borders[self->border_count - 1].block_place = *qn_source_block_place(self->source);
    qn_agent_progress_if_due(&self->run->agent);
    return status;
}

/* Block by block; where it stops, order.resume says where to go on. */
static void work(second *self)
{
    qn_stage_run *run = self->run;
    qn_error failure = {0};
    bool has_room = true;
    if (self->chain->has_stretches) { /* of which there is one on a rank, and nothing before its end */
        self->has_part = false;
        return;
    }
    self->skip = self->task.order.resume.skip;
    self->more = true;
    quern_status status = qn_task_open(run, self->source, &self->task, &failure);
    bool is_open = status == QUERN_OK;
    while (status == QUERN_OK && self->more && !run->agent.pausing && !is_told(self)) {
        has_room = self->makes_part || put_border(self);
        if (!has_room)
            break;
        status = step(self, &failure);
    }
    if (is_open && status == QUERN_OK && (self->makes_part || self->border_count > 0) && self->skip == 0)
        self->task.order.resume = qn_task_next(self->source, 0);
    else if (is_open && status != QUERN_OK && !self->makes_part && self->border_count > 0)
        self->task.order.resume = cut_block(self);
    self->begun.is_through = status == QUERN_OK && !self->more;
    self->has_part &= status == QUERN_OK;
    qn_task_close(run);
}

static void drop_part(second *self)
{
    qn_stage_run *run = self->run;
    qn_stage_drop_part(run);
    qn_bad_log_drop(&run->bad[self->task.order.leg]);
    qn_chain_roll_back(self->chain);
    run->source_records[self->task.order.leg] = self->begun.source_records;
    self->begun = (qn_task_begun){0};
}

static quern_status begin(second *self, qn_error *failure)
{
    uint32_t leg = self->task.order.leg;
    self->begun.source_records = self->run->source_records[leg];
    qn_chain_mark(self->chain);
    if (self->makes_part) {
        self->has_part = qn_stage_begin_part(self->run, leg, self->task.order.place, true, failure) == QUERN_OK;
        return failure->status;
    }
    self->tally_count = qn_leg_tally_count(self->run, leg);
    qn_kept_back_begin(&self->kept, self->run, leg, qn_settings_held_bytes_max(&self->run->engine->settings));
    return QUERN_OK;
}

/* ---- the end of it ---- */

/* The border at which the other attempt was left; border_count: none of those here. */
static size_t find_border(const second *self, const qn_resume *left)
{
    size_t at = 0;
    while (at < self->border_count && !qn_task_is_same_place(&self->borders[at].next_place, &left->place) &&
           !qn_task_is_same_place(&self->borders[at].block_place, &left->place))
        at++;
    return at < self->border_count && left->skip >= self->borders[at].skip ? at : self->border_count;
}

/* What it has from the border on counts; it goes on behind that. Else it goes on from where the other left. */
static quern_status take_over_records(second *self, const qn_task_order *order, qn_error *failure)
{
    size_t at = find_border(self, &order->resume);
    qn_resume behind = self->task.order.resume;
    self->task.order = *order;
    if (at == self->border_count) {
        take_back_behind(self, 0);
        self->begun = (qn_task_begun){0};
        return QUERN_OK;
    }
    uint64_t dropped = order->resume.skip - self->borders[at].skip;
    self->task.order.resume = behind;
    self->chain->end_records -= dropped;
    qn_leg_take_back(self->run, order->leg, tally_at(self, 0), tally_at(self, at));
    return qn_kept_back_deliver(self->run, order->leg, &self->kept.log, self->borders[at].record + (size_t)dropped,
                                failure);
}

static quern_status take_over_part(second *self, const qn_task_order *order, qn_error *failure)
{
    qn_resume behind = self->task.order.resume;
    self->task.order = *order;
    if (!self->has_part)
        return QUERN_OK;
    self->task.order.resume = behind;
    self->begun.has_part = true;
    return qn_stage_adopt_part(self->run, failure);
}

static void take_over(second *self)
{
    qn_error failure = {0};
    qn_stage_run *run = self->run;
    const qn_task_order order = run->agent.second.order;
    run->figures.second_attempts_won++;
    quern_status status =
        self->makes_part ? take_over_part(self, &order, &failure) : take_over_records(self, &order, &failure);
    if (status != QUERN_OK && !run->agent.aborted)
        qn_agent_break(&run->agent, &failure);
    if (status == QUERN_OK)
        qn_task_run(run, self->source, &self->task, &self->begun);
}

static void drop(second *self)
{
    if (self->has_part)
        drop_part(self);
    else if (!self->makes_part)
        take_back_behind(self, 0);
}

static void wait_for_word(second *self)
{
    qn_backoff backoff = {0};
    if (self->makes_part && self->begun.is_through && !is_told(self))
        qn_agent_report_ready(&self->run->agent, &self->task);
    while (!is_told(self))
        qn_stage_run_wait(self->run, &backoff, QN_TIMELINE_WAIT);
}

static void fini(second *self)
{
    qn_kept_back_fini(&self->kept);
    free(self->borders);
    free(self->tallies);
}

void qn_second_run(qn_stage_run *run, qn_source *source, const qn_task *task)
{
    second *self = calloc(1, sizeof *self);
    qn_error failure = {0};
    if (!self) {
        qn_error_set(&failure, QUERN_ERROR_NO_MEMORY, 0, "no memory for a second attempt");
        qn_agent_break(&run->agent, &failure);
        return;
    }
    *self = (second){.run = run,
                     .source = source,
                     .task = *task,
                     .chain = &run->chains[task->order.leg],
                     .makes_part = qn_stage_makes_parts(run)};
    run->figures.second_attempts++;
    run->is_second = true;
    bool had_part = begin(self, &failure) == QUERN_OK;
    if (had_part)
        work(self);
    if (self->makes_part && had_part && !self->has_part)
        drop_part(self);
    if (!self->makes_part)
        qn_kept_back_end(&self->kept);
    run->is_second = false;
    wait_for_word(self);
    if (!run->agent.aborted && qn_agent_look_at_second(&run->agent, &self->task) == QN_SECOND_TAKES_OVER)
        take_over(self);
    else
        drop(self);
    fini(self);
    free(self);
}
