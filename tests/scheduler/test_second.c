/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/scheduler/test_second.c: second attempts, event by event, and in a model of ranks to which and from which messages take their time,
 * through every order of events that there is.
 *
 * The model. A task is some blocks of RECORDS records. The rank that has it in hand delivers block after block, or part of one and fails. Asked
 * to yield, or to rest, it gives the task back at the next border. A second works on the same blocks, from where the task was last known to be,
 * and keeps back what it has. Told to take over at a place, it delivers what it has from that place on, and goes on; told to drop, it forgets. Where attempts
 * make parts, nothing is delivered before the attempt is through: then a part is committed, and the task reported done.
 *
 * Messages of the master to a rank arrive in their order, and so do reports; what is announced (to rest) goes its own way and may overtake. When
 * no hand holds a task in a stage that rests, all ranks meet, and what is still under way is of the time before, and dropped.
 *
 * What holds in every state: the audit; no record is counted twice. In the end each is counted once, and each part committed once.
 */
#include "tests/scheduler/model_kit.h"

enum { RANK_MAX = 3, TASK_MAX = 3, BLOCK_MAX = 2, RECORDS = 2, MAIL_MAX = 10 };

typedef struct bounds {
    uint8_t ranks, tasks, blocks, attempts, makes_parts;
    uint8_t late, yields, failures, pauses, deaths, losses;
} bounds;

/* Where an attempt begins, or goes on: a block, and how many of its records were delivered. */
typedef struct spot {
    uint8_t block, skip;
} spot;

typedef struct mail {
    uint8_t kind, task, attempt;
    spot at;
} mail;

typedef struct mailbox {
    mail items[MAIL_MAX];
    uint8_t count;
} mailbox;

typedef struct rank_model {
    uint8_t is_lost, has_task, task, attempt, has_part;
    spot at;
    uint8_t is_asked; /* to yield this task */
    uint8_t is_second, second_from, second_end, second_task;
    uint8_t is_resting, rest_comes;
    mailbox in, out;
} rank_model;

typedef struct result_model {
    uint8_t counted[TASK_MAX][BLOCK_MAX], committed[TASK_MAX], done[TASK_MAX];
    spot at[TASK_MAX];
} result_model;

typedef struct world {
    bounds left;
    rank_model ranks[RANK_MAX];
    result_model now, saved;
    uint8_t is_paused, over;
} world;

enum { MAIL_YIELD = 100 };

static bounds most;
static world here;
static uint64_t end_count, taken_over_count;

static void post(mailbox *box, mail item)
{
    ck_assert_uint_lt(box->count, MAIL_MAX);
    box->items[box->count++] = item;
}

static mail take(mailbox *box)
{
    mail first = box->items[0];
    memmove(box->items, box->items + 1, (MAIL_MAX - 1) * sizeof *box->items);
    box->items[--box->count] = (mail){0};
    return first;
}

static void deliver(uint8_t task, uint8_t block, uint8_t from, uint8_t to)
{
    here.now.counted[task][block] = (uint8_t)(here.now.counted[task][block] + to - from);
    if (most.losses == 0 && here.now.counted[task][block] > RECORDS)
        ck_abort_msg("records of task %u are counted twice", task);
}

static void end_stage(const qn_sched_action *action)
{
    here.over = true;
    end_count++;
    if (action->kind == QN_SCHED_FAIL) {
        ck_assert(most.failures + most.losses >= most.attempts || most.losses >= most.ranks);
        return;
    }
    for (uint32_t task = 0; task < most.tasks; task++) {
        ck_assert(qn_sched_is_done(sched, task));
        if (most.makes_parts && most.losses == 0)
            ck_assert_uint_eq(here.now.committed[task], 1);
        for (uint32_t block = 0; !most.makes_parts && most.losses == 0 && block < most.blocks; block++)
            ck_assert_uint_eq(here.now.counted[task][block], RECORDS);
    }
}

static void carry_out(void)
{
    qn_sched_action action;
    while (!here.over && qn_sched_next(sched, &action)) {
        if (action.kind == QN_SCHED_FINISH || action.kind == QN_SCHED_FAIL) {
            end_stage(&action);
            return;
        }
        ck_assert(!here.ranks[action.rank].is_lost);
        ck_assert(!here.is_paused || action.kind == QN_SCHED_DROP || action.kind == QN_SCHED_TAKE_OVER);
        taken_over_count += action.kind == QN_SCHED_TAKE_OVER;
        post(&here.ranks[action.rank].in,
             (mail){(uint8_t)action.kind, (uint8_t)action.task, (uint8_t)action.attempt, here.now.at[action.task]});
    }
    const char *broken = qn_sched_check(sched);
    if (broken)
        ck_abort_msg("%s", broken);
}

/* ---- a rank ---- */

static void report(rank_model *rank, qn_sched_event_kind kind)
{
    post(&rank->out, (mail){(uint8_t)kind, rank->task, rank->attempt, most.makes_parts ? (spot){0, 0} : rank->at});
    rank->has_task = rank->task = rank->attempt = rank->is_asked = 0;
    rank->at = (spot){0, 0};
}

static void begin(rank_model *rank, const mail *order)
{
    ck_assert(!rank->has_task);
    rank->has_task = true;
    rank->task = order->task;
    rank->attempt = order->attempt;
    rank->at = order->at;
}

static void forget_second(rank_model *rank)
{
    rank->is_second = rank->second_from = rank->second_end = rank->second_task = 0;
}

/* What it has from there on is delivered; if it has nothing of it, it begins there. */
static void take_over(rank_model *rank, const mail *order)
{
    ck_assert(rank->is_second && rank->second_task == order->task);
    begin(rank, order);
    if (most.makes_parts)
        rank->at.block = rank->second_end;
    for (uint8_t block = order->at.block; !most.makes_parts && block >= rank->second_from && block < rank->second_end;
         block++) {
        deliver(order->task, block, block == order->at.block ? order->at.skip : 0, RECORDS);
        rank->at = (spot){(uint8_t)(block + 1), 0};
    }
    forget_second(rank);
}

static void obey(rank_model *rank)
{
    mail order = take(&rank->in);
    switch (order.kind) {
    case QN_SCHED_RUN:
        begin(rank, &order);
        break;
    case QN_SCHED_SECOND:
        ck_assert(!rank->is_second);
        rank->is_second = true;
        rank->second_task = order.task;
        rank->second_from = rank->second_end = order.at.block;
        break;
    case QN_SCHED_TAKE_OVER:
        take_over(rank, &order);
        break;
    case QN_SCHED_DROP:
        ck_assert(rank->is_second);
        forget_second(rank);
        break;
    default:
        rank->is_asked |= rank->has_task && rank->task == order.task && rank->attempt == order.attempt;
    }
}

static bool work(rank_model *rank)
{
    if (!rank->has_task) {
        bool goes_on = rank->is_second && !rank->is_resting && rank->second_end < most.blocks;
        rank->second_end = (uint8_t)(rank->second_end + goes_on);
        return goes_on;
    }
    if (rank->at.block == most.blocks) {
        here.now.committed[rank->task] = (uint8_t)(here.now.committed[rank->task] + most.makes_parts);
        report(rank, QN_SCHED_TASK_DONE);
        return true;
    }
    if (!most.makes_parts)
        deliver(rank->task, rank->at.block, rank->at.skip, RECORDS);
    rank->at = (spot){(uint8_t)(rank->at.block + 1), 0};
    return true;
}

/* In the midst of a block. */
static void fail_midway(rank_model *rank)
{
    here.left.failures--;
    if (!most.makes_parts && rank->at.skip + 1 < RECORDS) {
        deliver(rank->task, rank->at.block, 0, 1);
        rank->at.skip++;
    }
    report(rank, QN_SCHED_TASK_FAILED);
}

static void lose(uint32_t index)
{
    here.ranks[index] = (rank_model){.is_lost = true};
    here.left.losses--;
    tell(QN_SCHED_RANK_LOST, index, 0, 0);
}

/* ---- the master ---- */

static void hear(uint32_t index)
{
    mail told = take(&here.ranks[index].out);
    if (told.kind != QN_SCHED_TASK_DONE)
        here.now.at[told.task] = told.at;
    tell((qn_sched_event_kind)told.kind, index, told.task, told.attempt);
}

/* A task that a rank has in hand, as the master knows. */
static bool find_in_hand(uint32_t index, mail *found)
{
    if (here.ranks[index].is_lost || sched->ranks[index].hand_count == 0)
        return false;
    uint32_t task = qn_sched_hand(sched, index)[0];
    *found = (mail){.task = (uint8_t)task, .attempt = sched->tasks[task].attempt};
    return true;
}

static bool be_late(uint32_t index)
{
    mail found;
    if (here.left.late == 0 || !find_in_hand(index, &found) ||
        !qn_sched_feed(sched, &(qn_sched_event){QN_SCHED_TASK_LATE, index, found.task, found.attempt}))
        return false;
    here.left.late--;
    return true;
}

static bool ask_to_yield(uint32_t index)
{
    mail found;
    if (here.left.yields == 0 || here.is_paused || !find_in_hand(index, &found))
        return false;
    found.kind = MAIL_YIELD;
    here.left.yields--;
    post(&here.ranks[index].in, found);
    return true;
}

static void pause(void)
{
    here.is_paused = true;
    here.left.pauses--;
    for (uint32_t rank = 0; rank < most.ranks; rank++)
        here.ranks[rank].rest_comes = !here.ranks[rank].is_lost;
    tell(QN_SCHED_PAUSE, 0, 0, 0);
}

/* All ranks meet. */
static void cut_epoch(void)
{
    for (uint32_t task = 0; task < most.tasks; task++)
        here.now.done[task] = qn_sched_is_done(sched, task);
    for (uint32_t rank = 0; rank < RANK_MAX; rank++) {
        ck_assert(!here.ranks[rank].has_task);
        here.ranks[rank] = (rank_model){.is_lost = here.ranks[rank].is_lost};
    }
    here.saved = here.now;
    here.is_paused = false;
    tell(QN_SCHED_RESUME, 0, 0, 0);
}

static void begin_job(void)
{
    bool done[TASK_MAX];
    for (uint32_t task = 0; task < TASK_MAX; task++)
        done[task] = here.saved.done[task];
    qn_sched_config config = plain_config(most.ranks, most.tasks, 1, most.attempts);
    config.task_done = done;
    memset(memory, 0, memory_bytes);
    sched = qn_sched_init(memory, &config);
    memset(here.ranks, 0, sizeof here.ranks);
    here.now = here.saved;
    here.is_paused = false;
    for (uint32_t rank = 0; rank < RANK_MAX; rank++) {
        here.ranks[rank].is_lost = rank >= most.ranks;
        if (rank < most.ranks)
            tell(QN_SCHED_RANK_READY, rank, 0, 0);
    }
}

/* ---- what can happen ---- */

enum { WORKS, OBEYS, IS_HEARD, YIELDS, HEARS_OF_REST, FAILS, IS_LOST, IS_LATE, IS_TO_YIELD, RANK_EVENTS };

static bool happen_at(uint32_t index, uint32_t number)
{
    rank_model *rank = &here.ranks[index];
    bool may_leave = rank->has_task && rank->at.block < most.blocks;
    if (rank->is_lost)
        return false;
    if (number == WORKS)
        return work(rank);
    if (number == OBEYS && rank->in.count > 0)
        obey(rank);
    else if (number == IS_HEARD && rank->out.count > 0)
        hear(index);
    else if (number == YIELDS && rank->has_task && (rank->is_asked || (rank->is_resting && !most.makes_parts)))
        report(rank, QN_SCHED_TASK_GIVEN_BACK);
    else if (number == HEARS_OF_REST && rank->rest_comes) {
        rank->rest_comes = false;
        rank->is_resting = true;
    } else if (number == FAILS && may_leave && here.left.failures > 0)
        fail_midway(rank);
    else if (number == IS_LOST && here.left.losses > 0)
        lose(index);
    else
        return (number == IS_LATE && be_late(index)) || (number == IS_TO_YIELD && ask_to_yield(index));
    return true;
}

static bool happen(uint32_t event)
{
    if (event < RANK_MAX * RANK_EVENTS)
        return happen_at(event / RANK_EVENTS, event % RANK_EVENTS);
    event -= RANK_MAX * RANK_EVENTS;
    if (event == 0 && here.is_paused && qn_sched_get_counts(sched).in_hand == 0)
        cut_epoch();
    else if (event == 1 && !here.is_paused && here.left.pauses > 0)
        pause();
    else if (event == 2 && here.left.deaths > 0) {
        here.left.deaths--;
        begin_job();
    } else
        return false;
    return true;
}

static bool is_progress(uint32_t event)
{
    return event < RANK_MAX * RANK_EVENTS ? event % RANK_EVENTS <= HEARS_OF_REST : event == RANK_MAX * RANK_EVENTS;
}

static bool is_over(void)
{
    return here.over;
}

static void exhaust(const bounds *of)
{
    qn_sched_config config = plain_config(of->ranks, of->tasks, 1, of->attempts);
    model all = {&here, sizeof here, RANK_MAX * RANK_EVENTS + 3, happen, is_progress, carry_out, is_over};
    begin_model(&config);
    most = *of;
    memset(&here, 0, sizeof here);
    here.left = *of;
    end_count = taken_over_count = 0;
    begin_job();
    carry_out();
    explore(&all, 0);
    printf("# %u ranks, %u tasks of %u blocks%s: %u late, %u asked to yield, %u failures, %u pauses, %u deaths, %u "
           "losses: "
           "%llu states, %llu ends\n",
           of->ranks, of->tasks, of->blocks, of->makes_parts ? " that make parts" : "", of->late, of->yields,
           of->failures, of->pauses, of->deaths, of->losses, (unsigned long long)state_count,
           (unsigned long long)end_count);
    ck_assert_uint_gt(end_count, 0);
    ck_assert_uint_gt(taken_over_count, 0);
}

/* ---- tests ---- */

START_TEST(every_record_counts_once_whoever_wins)
{
    static const bounds all[] = {
        {.ranks = 2, .tasks = 1, .blocks = 2, .attempts = 3, .late = 3, .yields = 3, .failures = 2},
        {.ranks = 3, .tasks = 2, .blocks = 2, .attempts = 2, .late = 2, .yields = 1, .failures = 1},
        {.ranks = 2, .tasks = 3, .blocks = 2, .attempts = 3, .late = 2, .yields = 2, .failures = 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        exhaust(&all[i]);
}
END_TEST

START_TEST(every_part_is_committed_once_whoever_wins)
{
    static const bounds all[] = {
        {.ranks = 2, .tasks = 2, .blocks = 2, .attempts = 3, .makes_parts = 1, .late = 3, .yields = 3, .failures = 2},
        {.ranks = 3, .tasks = 2, .blocks = 1, .attempts = 2, .makes_parts = 1, .late = 3, .yields = 2, .failures = 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        exhaust(&all[i]);
}
END_TEST

START_TEST(an_epoch_may_be_cut_and_the_job_may_die_while_there_are_seconds)
{
    static const bounds all[] = {
        {.ranks = 2, .tasks = 2, .blocks = 2, .attempts = 2, .late = 2, .yields = 1, .pauses = 2, .deaths = 1},
        {.ranks = 2, .tasks = 1, .blocks = 2, .attempts = 3, .late = 2, .yields = 2, .failures = 1, .pauses = 2},
        {.ranks = 3, .tasks = 2, .blocks = 1, .attempts = 2, .late = 2, .yields = 1, .pauses = 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        exhaust(&all[i]);
}
END_TEST

START_TEST(ranks_with_and_without_seconds_may_be_lost)
{
    static const bounds all[] = {
        {.ranks = 3, .tasks = 2, .blocks = 1, .attempts = 4, .late = 2, .yields = 1, .losses = 2},
        {.ranks = 2,
         .tasks = 2,
         .blocks = 1,
         .attempts = 2,
         .late = 2,
         .yields = 1,
         .failures = 1,
         .losses = 2,
         .pauses = 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        exhaust(&all[i]);
}
END_TEST

static void late(uint32_t rank, uint32_t task, uint32_t attempt)
{
    ck_assert(feed(QN_SCHED_TASK_LATE, rank, task, attempt));
}

/* Task 0 on rank 0, which is late; rank 1 is its second. */
static void build_second(uint32_t rank_count, uint32_t attempts)
{
    build_plain(rank_count, 1, 2, attempts);
    for (uint32_t rank = 0; rank < rank_count; rank++)
        ready(rank);
    expect_run(0, 0, 1);
    late(0, 0, 1);
    expect_action(QN_SCHED_SECOND, 1, 0);
    expect_nothing();
}

START_TEST(a_second_needs_an_idle_rank_and_nothing_pending)
{
    build_plain(2, 3, 1, 2);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    expect_stale(QN_SCHED_TASK_LATE, 0, 0, 1);
    done(1, 1, 1);
    expect_run(1, 2, 1);
    expect_stale(QN_SCHED_TASK_LATE, 0, 0, 1);
    done(1, 2, 1);
    late(0, 0, 1);
    expect_action(QN_SCHED_SECOND, 1, 0);
    expect_stale(QN_SCHED_TASK_LATE, 0, 0, 1);
    expect_stale(QN_SCHED_TASK_DONE, 1, 0, 1);
}
END_TEST

START_TEST(the_first_result_wins_and_the_second_is_dropped)
{
    build_second(2, 2);
    done(0, 0, 1);
    expect_action(QN_SCHED_DROP, 1, 0);
    expect_finish();
}
END_TEST

START_TEST(a_task_that_is_left_goes_to_its_second_as_the_same_attempt)
{
    build_second(2, 1);
    ck_assert(feed(QN_SCHED_TASK_GIVEN_BACK, 0, 0, 1));
    ck_assert_uint_eq(expect_action(QN_SCHED_TAKE_OVER, 1, 0).attempt, 1);
    expect_stale(QN_SCHED_TASK_DONE, 0, 0, 1);
    done(1, 0, 1);
    expect_finish();
    ck_assert_uint_eq(qn_sched_get_counts(sched).attempts, 1);
    ck_assert_uint_eq(qn_sched_get_counts(sched).taken_over, 1);
}
END_TEST

START_TEST(a_task_that_failed_goes_to_its_second_as_the_next_attempt)
{
    build_second(2, 2);
    failed(0, 0, 1);
    ck_assert_uint_eq(expect_action(QN_SCHED_TAKE_OVER, 1, 0).attempt, 2);
    failed(1, 0, 2);
    expect_fail(1, 0);
}
END_TEST

START_TEST(the_last_attempt_fails_the_stage_though_it_has_a_second)
{
    build_second(2, 1);
    failed(0, 0, 1);
    expect_action(QN_SCHED_DROP, 1, 0);
    expect_fail(0, 0);
}
END_TEST

START_TEST(a_task_of_a_lost_rank_goes_to_its_second_and_a_lost_second_is_forgotten)
{
    build_second(3, 3);
    lost(1);
    expect_nothing();
    late(0, 0, 1);
    expect_action(QN_SCHED_SECOND, 2, 0);
    lost(0);
    ck_assert_uint_eq(expect_action(QN_SCHED_TAKE_OVER, 2, 0).attempt, 2);
    done(2, 0, 2);
    expect_finish();
}
END_TEST

START_TEST(a_pause_drops_seconds_and_none_begins_meanwhile)
{
    build_second(2, 2);
    ck_assert(feed(QN_SCHED_PAUSE, 0, 0, 0));
    expect_action(QN_SCHED_DROP, 1, 0);
    expect_stale(QN_SCHED_TASK_LATE, 0, 0, 1);
    ck_assert(feed(QN_SCHED_TASK_GIVEN_BACK, 0, 0, 1));
    expect_nothing();
    ck_assert_uint_eq(qn_sched_get_counts(sched).in_hand, 0);
    ck_assert(feed(QN_SCHED_RESUME, 0, 0, 0));
    expect_run(1, 0, 1);
}
END_TEST

START_TEST(a_second_is_left_for_a_task_that_is_nobodys)
{
    build_plain(2, 2, 1, 3);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    done(1, 1, 1);
    late(0, 0, 1);
    expect_action(QN_SCHED_SECOND, 1, 0);
    done(0, 0, 1);
    expect_action(QN_SCHED_DROP, 1, 0);
    expect_finish();
    build_plain(3, 2, 1, 3);
    for (uint32_t rank = 0; rank < 3; rank++)
        ready(rank);
    expect_run(0, 0, 1);
    expect_run(1, 1, 1);
    late(0, 0, 1);
    expect_action(QN_SCHED_SECOND, 2, 0);
    failed(1, 1, 1);
    expect_run(2, 1, 2);
    expect_action(QN_SCHED_DROP, 2, 0);
    expect_nothing();
}
END_TEST

START_TEST(who_takes_over_before_it_was_told_to_begin_is_told_to_run)
{
    build_plain(2, 1, 1, 2);
    ready(0);
    ready(1);
    expect_run(0, 0, 1);
    late(0, 0, 1);
    ck_assert(feed(QN_SCHED_TASK_GIVEN_BACK, 0, 0, 1));
    expect_run(1, 0, 1);
    expect_nothing();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_second_needs_an_idle_rank_and_nothing_pending,
        the_first_result_wins_and_the_second_is_dropped,
        a_task_that_is_left_goes_to_its_second_as_the_same_attempt,
        a_task_that_failed_goes_to_its_second_as_the_next_attempt,
        the_last_attempt_fails_the_stage_though_it_has_a_second,
        a_task_of_a_lost_rank_goes_to_its_second_and_a_lost_second_is_forgotten,
        a_pause_drops_seconds_and_none_begins_meanwhile,
        a_second_is_left_for_a_task_that_is_nobodys,
        who_takes_over_before_it_was_told_to_begin_is_told_to_run,
        every_record_counts_once_whoever_wins,
        every_part_is_committed_once_whoever_wins,
        an_epoch_may_be_cut_and_the_job_may_die_while_there_are_seconds,
        ranks_with_and_without_seconds_may_be_lost,
    };
    return kit_run_tests("second", tests, sizeof tests / sizeof *tests, NULL, end_model);
}
