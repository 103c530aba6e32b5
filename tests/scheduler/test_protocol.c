/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_protocol.c: the real scheduler in a model of the rest (ranks, a result, epochs, a job that dies and is run again),
 * through every order of events that there is, for a few ranks, tasks and faults.
 *
 * The model. A task is some blocks. A rank works on the first task in its hand, block after block, each of which is counted in the
 * result; or fails at one, or is lost. That a task is done it tells at once, or keeps to itself as long as it has another one in hand, until it tells of all of them, but
 * before it says anything else. How many tasks it may hold changes at any time. When the scheduler rests, ranks end their tasks, give them back at the block where they are, or keep them
 * there (park) and go on with them after the rest; when no hand holds any other, an epoch is cut: the result, the tasks that are done and the places of the others. When the job dies, what is saved is what there is, and
 * any number of ranks begins with it.
 *
 * What holds in every state: the scheduler's own audit; no block is counted twice; something can happen until the stage is over. In the
 * end every block is counted once. (A rank that is lost in the midst of a stage takes its part of the result along; that, nothing here
 * mends, so only tasks are counted then.)
 */
#include "tests/scheduler/model_kit.h"

enum { RANK_MAX = 3, TASK_MAX = 4, BLOCK_MAX = 2, HAND_MAX = 3 };

typedef struct bounds {
    uint8_t ranks, tasks, blocks, hands, attempts;
    uint8_t deaths; /* of the job */
    uint8_t losses; /* of ranks */
    uint8_t failures, pauses;
    uint8_t kept;    /* reports that may wait, of all ranks */
    uint8_t resized; /* changes of hands */
} bounds;

typedef struct rank_model {
    uint8_t is_lost, hand_count, place; /* place: of the first task, in blocks */
    uint8_t is_parked;                  /* that task is */
    uint8_t task[HAND_MAX], attempt[HAND_MAX];
    uint8_t kept_count, kept_task[HAND_MAX], kept_attempt[HAND_MAX]; /* done, and not told */
} rank_model;

/* What is durable, and what there is besides. Bytes, so that equal states are equal bytes. */
typedef struct result_model {
    uint8_t counted[TASK_MAX][BLOCK_MAX], place[TASK_MAX], done[TASK_MAX];
} result_model;

typedef struct world {
    bounds left;
    rank_model ranks[RANK_MAX];
    result_model now, saved;
    uint8_t is_paused, is_over;
} world;

static bounds most;
static world here;
static uint64_t end_count;

/* ---- what can happen ---- */

static void end_stage(const qn_sched_action *action)
{
    here.is_over = true;
    end_count++;
    if (action->kind == QN_SCHED_FAIL) {
        uint32_t alive = 0;
        for (uint32_t rank = 0; rank < RANK_MAX; rank++)
            alive += !here.ranks[rank].is_lost;
        if (most.failures + most.losses < most.attempts && alive > 0)
            ck_abort_msg("a stage failed that had ranks and attempts left");
        return;
    }
    for (uint32_t task = 0; task < most.tasks; task++) {
        if (!qn_sched_is_done(sched, task))
            ck_abort_msg("task %u is not done in the end", task);
        for (uint32_t block = 0; block < most.blocks; block++)
            if (most.losses == 0 && here.now.counted[task][block] != 1)
                ck_abort_msg("a block is counted %u times in the end", here.now.counted[task][block]);
    }
}

/* The master carries out all at once. */
static void carry_out(void)
{
    qn_sched_action action;
    while (!here.is_over && qn_sched_next(sched, &action)) {
        if (action.kind != QN_SCHED_RUN) {
            end_stage(&action);
            return;
        }
        rank_model *rank = &here.ranks[action.rank];
        if (here.is_paused || rank->is_lost || rank->hand_count + rank->kept_count == most.hands)
            ck_abort_msg("a task was given to a rank that takes none");
        if (rank->hand_count == 0)
            rank->place = here.now.place[action.task];
        rank->task[rank->hand_count] = (uint8_t)action.task;
        rank->attempt[rank->hand_count++] = (uint8_t)action.attempt;
    }
    const char *broken = qn_sched_check(sched);
    if (broken)
        ck_abort_msg("%s", broken);
}

/* A rank's first task is no longer in its hand; the place where another attempt begins is kept. */
static void drop_first(rank_model *rank)
{
    here.now.place[rank->task[0]] = rank->place;
    memmove(rank->task, rank->task + 1, HAND_MAX - 1);
    memmove(rank->attempt, rank->attempt + 1, HAND_MAX - 1);
    rank->hand_count--;
    rank->task[rank->hand_count] = rank->attempt[rank->hand_count] = 0;
    rank->place = rank->hand_count > 0 ? here.now.place[rank->task[0]] : 0;
}

/* In the order in which they were done. */
static void tell_kept(uint32_t index)
{
    rank_model *rank = &here.ranks[index];
    for (uint32_t i = 0; i < rank->kept_count; i++)
        tell(QN_SCHED_TASK_DONE, index, rank->kept_task[i], rank->kept_attempt[i]);
    rank->kept_count = 0;
    memset(rank->kept_task, 0, sizeof rank->kept_task);
    memset(rank->kept_attempt, 0, sizeof rank->kept_attempt);
}

static void report_first(uint32_t rank, qn_sched_event_kind kind)
{
    tell_kept(rank);
    uint8_t task = here.ranks[rank].task[0], attempt = here.ranks[rank].attempt[0];
    drop_first(&here.ranks[rank]);
    tell(kind, rank, task, attempt);
}

/* The first only where it is the only one: what a rank has in reserve it gives back at once. */
static void give_back_last(uint32_t index)
{
    rank_model *rank = &here.ranks[index];
    if (rank->hand_count == 1) {
        report_first(index, QN_SCHED_TASK_GIVEN_BACK);
        return;
    }
    tell_kept(index);
    uint8_t last = --rank->hand_count, task = rank->task[last], attempt = rank->attempt[last];
    rank->task[last] = rank->attempt[last] = 0;
    tell(QN_SCHED_TASK_GIVEN_BACK, index, task, attempt);
}

/* A task that is done, while another one is in hand. */
static void keep_first(uint32_t index)
{
    rank_model *rank = &here.ranks[index];
    rank->kept_task[rank->kept_count] = rank->task[0];
    rank->kept_attempt[rank->kept_count++] = rank->attempt[0];
    here.left.kept--;
    drop_first(rank);
}

static void resize(uint32_t index)
{
    here.left.resized--;
    qn_sched_set_hand(sched, index, sched->ranks[index].hand_max == most.hands ? 1 : most.hands);
}

static void work(uint32_t index)
{
    rank_model *rank = &here.ranks[index];
    if (rank->place == most.blocks) {
        report_first(index, QN_SCHED_TASK_DONE);
        return;
    }
    uint8_t *counted = &here.now.counted[rank->task[0]][rank->place++];
    ++*counted;
    if (*counted > 1 && most.losses == 0)
        ck_abort_msg("a block is counted twice");
}

static void lose(uint32_t index)
{
    while (here.ranks[index].hand_count > 0)
        drop_first(&here.ranks[index]);
    here.ranks[index] = (rank_model){.is_lost = true};
    here.left.losses--;
    tell(QN_SCHED_RANK_LOST, index, 0, 0);
}

static bool is_at_rest(void)
{
    for (uint32_t rank = 0; rank < RANK_MAX; rank++)
        if (here.ranks[rank].hand_count > here.ranks[rank].is_parked || here.ranks[rank].kept_count > 0)
            return false;
    return here.is_paused;
}

static void cut_epoch(void)
{
    for (uint32_t task = 0; task < most.tasks; task++)
        here.now.done[task] = qn_sched_is_done(sched, task);
    for (uint32_t rank = 0; rank < RANK_MAX; rank++)
        here.ranks[rank].is_parked = false;
    here.saved = here.now;
    here.is_paused = false;
    tell(QN_SCHED_RESUME, 0, 0, 0);
}

static void pause(void)
{
    here.is_paused = true;
    here.left.pauses--;
    tell(QN_SCHED_PAUSE, 0, 0, 0);
}

/* On so many ranks, from what is saved. */
static void begin_attempt(uint32_t rank_count)
{
    bool done[TASK_MAX];
    for (uint32_t task = 0; task < TASK_MAX; task++)
        done[task] = here.saved.done[task];
    qn_sched_config config = plain_config(rank_count, most.tasks, most.hands, most.attempts);
    config.task_done = done;
    memset(memory, 0, memory_bytes);
    sched = qn_sched_init(memory, &config);
    memset(here.ranks, 0, sizeof here.ranks);
    here.now = here.saved;
    here.is_paused = false;
    for (uint32_t rank = 0; rank < RANK_MAX; rank++) {
        here.ranks[rank].is_lost = rank >= rank_count;
        if (rank < rank_count)
            tell(QN_SCHED_RANK_READY, rank, 0, 0);
    }
}

/* Event `number` of a rank. False: it cannot happen now. */
static bool happen_at(uint32_t index, uint32_t number)
{
    rank_model *rank = &here.ranks[index];
    bool is_busy = rank->hand_count > 0 && !rank->is_parked;
    if (number == 0 && is_busy)
        work(index);
    else if (number == 1 && (is_busy || rank->hand_count > 1) && here.is_paused)
        give_back_last(index);
    else if (number == 4 && is_busy && here.is_paused) {
        tell_kept(index);
        rank->is_parked = true;
        here.now.place[rank->task[0]] = rank->place;
    } else if (number == 2 && is_busy && here.left.failures > 0 && rank->place < most.blocks) {
        here.left.failures--;
        report_first(index, QN_SCHED_TASK_FAILED);
    } else if (number == 5 && is_busy && here.left.kept > 0 && rank->hand_count > 1 && rank->place == most.blocks &&
               !here.is_paused) {
        keep_first(index);
    } else if (number == 6 && !rank->is_lost && here.left.resized > 0) {
        resize(index);
    } else if (number == 3 && !rank->is_lost && here.left.losses > 0)
        lose(index);
    else
        return false;
    return true;
}

enum { RANK_EVENTS = 7, OTHER_EVENTS = 2 + RANK_MAX };

static bool happen(uint32_t event)
{
    if (event < RANK_MAX * RANK_EVENTS)
        return happen_at(event / RANK_EVENTS, event % RANK_EVENTS);
    event -= RANK_MAX * RANK_EVENTS;
    if (event == 0 && is_at_rest())
        cut_epoch();
    else if (event == 1 && !here.is_paused && here.left.pauses > 0)
        pause();
    else if (event >= 2 && here.left.deaths > 0 && event - 1 <= most.ranks) {
        here.left.deaths--;
        begin_attempt(event - 1);
    } else
        return false;
    return true;
}

/* Whether an event is one that brings the stage on, and no fault. */
static bool is_progress(uint32_t event)
{
    return event < RANK_MAX * RANK_EVENTS ? event % RANK_EVENTS <= 1 || event % RANK_EVENTS >= 4
                                          : event == RANK_MAX * RANK_EVENTS;
}

static bool is_over(void)
{
    return here.is_over;
}

static void exhaust(const bounds *of)
{
    qn_sched_config config = plain_config(of->ranks, of->tasks, of->hands, of->attempts);
    model all = {&here, sizeof here, RANK_MAX * RANK_EVENTS + OTHER_EVENTS, happen, is_progress, carry_out, is_over};
    begin_model(&config);
    most = *of;
    memset(&here, 0, sizeof here);
    here.left = *of;
    end_count = 0;
    begin_attempt(of->ranks);
    carry_out();
    explore(&all, 0);
    printf("# %u ranks, %u tasks of %u blocks, %u deaths, %u losses, %u failures, %u pauses: %llu states, %llu ends\n",
           of->ranks, of->tasks, of->blocks, of->deaths, of->losses, of->failures, of->pauses,
           (unsigned long long)state_count, (unsigned long long)end_count);
    ck_assert_uint_gt(end_count, 0);
}

/* ---- tests ---- */

START_TEST(a_job_that_dies_at_any_moment_counts_every_block_once)
{
    static const bounds all[] = {
        {.ranks = 1, .tasks = 2, .blocks = 2, .hands = 2, .attempts = 2, .deaths = 2, .pauses = 2},
        {.ranks = 2, .tasks = 3, .blocks = 2, .hands = 2, .attempts = 2, .deaths = 2, .pauses = 2},
        {.ranks = 2, .tasks = 2, .blocks = 2, .hands = 2, .attempts = 3, .deaths = 2, .failures = 2, .pauses = 2},
        {.ranks = 3, .tasks = 4, .blocks = 1, .hands = 1, .attempts = 2, .deaths = 2, .pauses = 2},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        exhaust(&all[i]);
}
END_TEST

START_TEST(reports_that_wait_and_hands_that_change_lose_and_double_nothing)
{
    static const bounds all[] = {
        {.ranks = 2,
         .tasks = 4,
         .blocks = 1,
         .hands = 3,
         .attempts = 2,
         .deaths = 1,
         .pauses = 1,
         .kept = 3,
         .resized = 1},
        {.ranks = 2,
         .tasks = 3,
         .blocks = 2,
         .hands = 3,
         .attempts = 3,
         .failures = 1,
         .pauses = 1,
         .kept = 2,
         .resized = 2},
        {.ranks = 3, .tasks = 4, .blocks = 1, .hands = 3, .attempts = 4, .losses = 2, .kept = 2, .resized = 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        exhaust(&all[i]);
}
END_TEST

START_TEST(a_stage_that_loses_ranks_ends_with_every_task_done_once_or_for_a_reason)
{
    static const bounds all[] = {
        {.ranks = 3, .tasks = 3, .blocks = 1, .hands = 2, .attempts = 4, .losses = 2, .failures = 1, .pauses = 1},
        {.ranks = 3, .tasks = 4, .blocks = 1, .hands = 1, .attempts = 4, .losses = 2, .failures = 1},
        {.ranks = 2, .tasks = 2, .blocks = 1, .hands = 2, .attempts = 2, .losses = 2, .failures = 2, .pauses = 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        exhaust(&all[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_job_that_dies_at_any_moment_counts_every_block_once,
        reports_that_wait_and_hands_that_change_lose_and_double_nothing,
        a_stage_that_loses_ranks_ends_with_every_task_done_once_or_for_a_reason,
    };
    return kit_run_tests("protocol", tests, sizeof tests / sizeof *tests, NULL, end_model);
}
