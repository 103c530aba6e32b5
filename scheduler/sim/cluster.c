/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/cluster.c: the cluster at work, from epoch to epoch and from failure to failure, and its master.
 *
 * When an epoch is due every rank leaves what it has: it is done before the rank heard of the pause, left at a border of a block, or not begun.
 */
#include "scheduler/sim/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "scheduler/sim/cluster_curve.h"
#include "scheduler/sim/cluster_internal.h"
#include "scheduler/sim/draws.h"

enum { CURVE_PARTS = 128 };

static const double NS_PER_S = 1e9;

/* A rank hears what the master says to all from the rank above it in a binary tree. */
static uint64_t heard_ns(const qn_cluster *c, uint64_t said_ns, uint32_t rank)
{
    uint64_t levels = 0;
    for (uint64_t i = rank; i > 0; i = (i - 1) / 2) {
        levels++;
    }
    return said_ns + levels * c->hop_ns;
}

/* The master. */

static uint64_t visit_after(const qn_cluster *c, uint64_t arrival_ns)
{
    uint64_t poll_ns = c->config->poll_ns;
    uint64_t next_ns = (c->visit_ns > c->master_free_ns ? c->visit_ns : c->master_free_ns) + poll_ns;
    if (arrival_ns <= next_ns) {
        return next_ns;
    }
    return poll_ns == 0 ? arrival_ns : next_ns + (arrival_ns - next_ns + poll_ns - 1) / poll_ns * poll_ns;
}

void qn_cluster_count_message(qn_cluster *c, uint64_t messages, uint64_t tasks_done)
{
    uint64_t second = c->master_free_ns / (uint64_t)NS_PER_S;
    if (second != c->second) {
        c->second = second;
        c->second_messages = 0;
    }
    c->second_messages += messages;
    if (c->second_messages > c->result.peak_messages_per_s) {
        c->result.peak_messages_per_s = c->second_messages;
    }
    qn_cluster_curve_add_messages(&c->result, c->master_free_ns, messages, tasks_done);
}

void qn_cluster_master_works(qn_cluster *c, uint64_t ns)
{
    c->master_free_ns += ns;
    c->now_ns = c->master_free_ns;
    c->result.master_busy_ns += (double)ns;
}

static bool is_look_over(const qn_cluster *c, uint64_t arrival_ns)
{
    const qn_cluster_config *config = c->config;
    bool has_taken_enough = config->batch_max > 0 && c->visit_count == config->batch_max;
    bool has_looked_enough = config->look_ns > 0 && c->master_free_ns - c->visit_ns >= config->look_ns;
    return arrival_ns > c->master_free_ns || has_taken_enough || has_looked_enough;
}

static void master_takes(qn_cluster *c, uint64_t arrival_ns)
{
    if (is_look_over(c, arrival_ns)) {
        c->visit_ns = visit_after(c, arrival_ns);
        c->master_free_ns = c->visit_ns;
        c->visit_count = 0;
    }
    c->visit_count++;
    qn_cluster_master_works(c, c->config->receive_ns);
    double waited_ns = (double)(c->master_free_ns - arrival_ns);
    if (waited_ns > c->result.longest_queue_ns) {
        c->result.longest_queue_ns = waited_ns;
    }
    c->result.messages++;
}

/* begins_message: the one before was for another rank. */
static void send_order(qn_cluster *c, const qn_sched_action *run, bool begins_message)
{
    qn_cluster_master_works(c, begins_message ? c->config->send_ns : c->config->send_task_ns);
    c->result.orders++;
    c->result.order_messages += begins_message;
    c->tells_every[run->rank] = (uint8_t)c->hand_size.batch;
    uint64_t arrival_ns = c->now_ns + qn_cluster_latency_ns(c, run->rank);
    qn_cluster_end_second(c, run->rank, arrival_ns); /* of which it hears in the next message */
    qn_cluster_note_given(c, run->rank, run->task);
    qn_cluster_slot slot = {
        .task = run->task, .attempt = (uint16_t)run->attempt, .from = qn_cluster_part_of(c, run->task)};
    qn_cluster_hold(c, run->rank, slot, arrival_ns, qn_cluster_length_ns(c, run->task, slot.from, run->rank));
}

static void conclude(qn_cluster *c, const qn_sched_action *action)
{
    c->is_over = true;
    c->result.finished = action->kind == QN_SCHED_FINISH;
}

static void act(qn_cluster *c, const qn_sched_action *action, bool begins_message)
{
    switch (action->kind) {
    case QN_SCHED_RUN:
        send_order(c, action, begins_message);
        break;
    case QN_SCHED_SECOND:
        qn_cluster_send_second(c, action);
        break;
    case QN_SCHED_TAKE_OVER:
        qn_cluster_send_take_over(c, action);
        break;
    case QN_SCHED_DROP:
        qn_cluster_send_drop(c, action);
        break;
    case QN_SCHED_FINISH:
    case QN_SCHED_FAIL:
        conclude(c, action);
    }
}

void qn_cluster_carry_out(qn_cluster *c)
{
    qn_sched_action action;
    uint64_t messages = c->result.order_messages;
    uint32_t rank_before = QN_SCHED_NONE;
    while (c->result.broken == NULL && qn_sched_next(c->sched, &action)) {
        act(c, &action, action.rank != rank_before);
        rank_before = action.kind == QN_SCHED_RUN ? action.rank : QN_SCHED_NONE;
    }
    qn_cluster_count_message(c, c->result.order_messages - messages, 0);
    if (c->tail_began_ns == 0 && qn_sched_get_counts(c->sched).pending == 0) {
        c->tail_began_ns = c->now_ns;
    }
}

/* And what is to be done if nothing is pending. */
static void carry_on(qn_cluster *c)
{
    qn_cluster_carry_out(c);
    qn_cluster_press_on(c);
}

static void tell(qn_cluster *c, qn_sched_event_kind kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    c->result.event_count++;
    if (!qn_sched_feed(c->sched, &(qn_sched_event){kind, rank, task, attempt})) {
        c->result.broken = "a right event was taken for stale";
    }
}

/* Work. */

void qn_cluster_count_work(qn_cluster *c, uint64_t begin_ns, uint64_t end_ns)
{
    if (begin_ns < end_ns) {
        qn_cluster_curve_add_work(&c->result, begin_ns, end_ns);
        c->since_ns += (double)(end_ns - begin_ns);
    }
}

/* A rank went on with a task from one place to another: that is to be where it was, and nothing is to count twice. */
static void join_part(qn_cluster *c, uint32_t task, uint32_t from, uint32_t to)
{
    if (c->part == NULL) {
        return;
    }
    if (c->part[task] != from) {
        c->result.broken = "what was done of a task does not join";
    }
    c->part[task] = to;
}

static void take_done(qn_cluster *c, uint32_t rank, const qn_cluster_slot *slot)
{
    qn_cluster_count_work(c, slot->begin_ns, slot->end_ns);
    c->told_ns += slot->end_ns - slot->begin_ns;
    tell(c, QN_SCHED_TASK_DONE, rank, slot->task, slot->attempt);
    join_part(c, slot->task, slot->from, QN_CLUSTER_WHOLE);
    qn_cluster_note_over(c, rank, slot->task, QN_CLUSTER_WHOLE);
}

/* Of a rank, what it has done and did not tell by itself: all that is told with a report of this kind. */
static uint32_t take_all_done(qn_cluster *c, qn_cluster_happening kind, uint32_t rank)
{
    uint32_t count = 0, kept = 0;
    qn_cluster_slot *hand = qn_cluster_hand(c, rank);
    for (uint32_t i = 0; i < c->hand_count[rank]; i++) {
        if (hand[i].state >= (kind == QN_CLUSTER_TOLD ? QN_CLUSTER_SLOT_TOLD : QN_CLUSTER_SLOT_DONE)) {
            take_done(c, rank, &hand[i]);
            count++;
        } else {
            hand[kept++] = hand[i];
        }
    }
    c->hand_count[rank] = (uint8_t)kept;
    return count;
}

/* Of a part nothing counts before it is made. */
static void take_left(qn_cluster *c, uint32_t rank, const qn_cluster_slot *slot)
{
    uint32_t to = c->config->makes_parts ? slot->from : slot->to;
    if (c->config->makes_parts) {
        c->result.twice_ns += (double)(slot->end_ns - slot->begin_ns);
    } else {
        qn_cluster_count_work(c, slot->begin_ns, slot->end_ns);
    }
    tell(c, QN_SCHED_TASK_GIVEN_BACK, rank, slot->task, slot->attempt);
    join_part(c, slot->task, slot->from, to);
    qn_cluster_note_over(c, rank, slot->task, to);
}

static uint32_t take_report_of_task(qn_cluster *c, const qn_sim_happening *what)
{
    qn_cluster_slot *slot = qn_cluster_find_slot(c, what->rank, what->task);
    if (slot == NULL) {
        c->result.broken = "a report of a task that is in no hand";
        return 0;
    }
    const qn_cluster_slot taken = *slot;
    qn_cluster_remove_slot(c, what->rank, slot);
    if (what->kind == QN_CLUSTER_DONE) {
        take_done(c, what->rank, &taken);
        return 1;
    }
    take_left(c, what->rank, &taken);
    return 0;
}

static void take_report(qn_cluster *c, const qn_sim_happening *what)
{
    master_takes(c, what->time_ns);
    c->told_ns = 0;
    uint32_t done_count = take_all_done(c, (qn_cluster_happening)what->kind, what->rank);
    if (what->kind == QN_CLUSTER_READY) {
        qn_cluster_take_ready(c, what);
    } else if (what->kind != QN_CLUSTER_TOLD) {
        done_count += take_report_of_task(c, what);
    }
    if (done_count > 1) {
        qn_cluster_master_works(c, (done_count - 1) * c->config->receive_task_ns);
    }
    qn_cluster_count_message(c, 1, done_count);
    qn_hand_size_note(&c->hand_size, done_count, c->told_ns, c->now_ns);
    qn_sched_set_hand(c->sched, what->rank, qn_hand_size_get(&c->hand_size));
    if (qn_hand_size_get(&c->hand_size) > c->result.hand_most) {
        c->result.hand_most = qn_hand_size_get(&c->hand_size);
    }
    carry_on(c);
}

/* Epochs. */

static uint64_t state_bytes_now(const qn_cluster *c)
{
    double share =
        c->config->task_count == 0 ? 1 : (double)qn_sched_get_counts(c->sched).done / (double)c->config->task_count;
    return (uint64_t)((double)c->config->state_bytes * share);
}

static double disk_ns(const qn_cluster *c, uint64_t bytes)
{
    return c->config->disk_bytes_per_s <= 0 ? 0 : (double)bytes / c->config->disk_bytes_per_s * NS_PER_S;
}

/* What becomes of the tasks in hand, when their rank hears that it is to leave them: the last one first, so that none moves up. */
static void leave_all(qn_cluster *c, uint32_t rank)
{
    for (uint32_t i = c->hand_count[rank]; i-- > 0;) {
        qn_cluster_slot *slot = &qn_cluster_hand(c, rank)[i];
        if (slot->state == QN_CLUSTER_SLOT_HELD) {
            qn_cluster_leave(c, rank, slot, heard_ns(c, c->paused_ns, rank));
        }
    }
}

static void pause(qn_cluster *c)
{
    c->is_pausing = true;
    c->paused_ns = c->now_ns;
    tell(c, QN_SCHED_PAUSE, 0, 0, 0);
    qn_cluster_carry_out(c);
    for (uint32_t rank = 0; rank < c->config->rank_count; rank++) {
        leave_all(c, rank);
    }
}

static void pause_if_due(qn_cluster *c)
{
    const qn_cluster_epochs *epochs = c->config->epochs;
    if (epochs == NULL || c->is_pausing || c->is_over) {
        return;
    }
    if (epochs->is_due(epochs->user, c->now_ns, state_bytes_now(c) / c->config->rank_count)) {
        pause(c);
    }
}

static void crash(qn_cluster *c);

/* Nothing is in hand. False: a node failed before all was saved. */
static bool cut(qn_cluster *c)
{
    const qn_cluster_config *config = c->config;
    uint64_t bytes = state_bytes_now(c);
    double rest_ns = qn_cluster_depth(config->rank_count) * (double)c->hop_ns + 2 * c->shuffle.round_ns;
    uint64_t end_ns = c->now_ns + config->sync_ns + (uint64_t)(rest_ns + disk_ns(c, bytes));
    if (end_ns >= c->fails_ns) {
        crash(c);
        return false;
    }
    for (uint32_t task = 0; task < config->task_count; task++) {
        c->saved_done[task] = qn_sched_is_done(c->sched, task);
    }
    memcpy(c->saved_part, c->part, config->task_count * sizeof *c->part);
    c->result.work_ns += c->since_ns;
    c->since_ns = 0;
    c->result.epochs++;
    c->result.epochs_ns += (double)(end_ns - c->paused_ns);
    config->epochs->note(config->epochs->user, c->paused_ns, end_ns, bytes / config->rank_count);
    c->now_ns = c->master_free_ns = c->visit_ns = end_ns;
    c->is_pausing = false;
    tell(c, QN_SCHED_RESUME, 0, 0, 0);
    carry_on(c);
    return true;
}

/* Failures. */

static uint64_t whole_ns(double life)
{
    return life >= 9e18 ? UINT64_MAX / 2 : 1 + (uint64_t)life;
}

static uint64_t life_ns(qn_cluster *c)
{
    return whole_ns(qn_draw_weibull(&c->random, c->config->failure_ns, c->config->shape));
}

static void find_next_failure(qn_cluster *c)
{
    c->fails_ns = UINT64_MAX;
    for (uint32_t node = 0; c->config->failure_ns > 0 && node < c->config->node_count; node++) {
        if (c->node_fails_ns[node] < c->fails_ns) {
            c->fails_ns = c->node_fails_ns[node];
        }
    }
}

/* Nodes have run before: each has some of its life behind it. */
static void draw_failures(qn_cluster *c)
{
    for (uint32_t node = 0; node < c->config->node_count && c->config->failure_ns > 0; node++) {
        c->node_fails_ns[node] = whole_ns(qn_draw_weibull_rest(&c->random, c->config->failure_ns, c->config->shape));
    }
    find_next_failure(c);
}

static bool begin(qn_cluster *c);

static void lose_hands(qn_cluster *c, uint64_t failed_ns)
{
    for (uint32_t rank = 0; rank < c->config->rank_count; rank++) {
        for (uint32_t i = 0; i < c->hand_count[rank]; i++) {
            const qn_cluster_slot *slot = &qn_cluster_hand(c, rank)[i];
            qn_cluster_count_work(c, slot->begin_ns, slot->end_ns < failed_ns ? slot->end_ns : failed_ns);
        }
    }
}

/* A node failed, and with it the job. */
static void crash(qn_cluster *c)
{
    uint64_t failed_ns = c->fails_ns, start_ns = failed_ns + c->config->restart_ns;
    lose_hands(c, failed_ns);
    qn_cluster_lose_seconds(c, failed_ns);
    c->result.lost_ns += c->since_ns;
    c->result.failures++;
    for (uint32_t node = 0; node < c->config->node_count; node++) {
        if (c->node_fails_ns[node] <= start_ns) {
            c->node_fails_ns[node] = start_ns + life_ns(c);
        }
    }
    find_next_failure(c);
    start_ns += (uint64_t)disk_ns(c, c->config->epochs != NULL ? state_bytes_now(c) : 0);
    c->result.down_ns += (double)(start_ns - failed_ns);
    c->now_ns = start_ns;
    c->is_over = c->result.failures > c->config->restart_count_max;
    if (!c->is_over && !begin(c)) {
        c->out_of_memory = true;
    }
}

/* The run. */

/* From what is saved. */
static bool begin(qn_cluster *c)
{
    const qn_cluster_config *config = c->config;
    qn_hand_size_init(&c->hand_size, c->hand_max, config->task_batch, c->now_ns);
    qn_sched_config sched_config = {
        .rank_count = config->rank_count,
        .node_count = config->node_count,
        .task_count = config->task_count,
        .in_hand_max = c->hand_max,
        .in_hand_begin = qn_hand_size_get(&c->hand_size),
        .attempt_count_max = config->attempt_count_max,
        .rank_node = c->rank_node,
        .task_done = c->saved_done,
    };
    size_t bytes = qn_sched_bytes(&sched_config);
    if (bytes == 0 || (c->sched_memory == NULL && (c->sched_memory = malloc(bytes)) == NULL)) {
        return false;
    }
    c->result.scheduler_bytes = bytes;
    c->sched = qn_sched_init(c->sched_memory, &sched_config);
    if (c->saved_part != NULL) {
        memcpy(c->part, c->saved_part, config->task_count * sizeof *c->part);
    } else if (c->part != NULL) {
        memset(c->part, 0, config->task_count * sizeof *c->part);
    }
    qn_cluster_end_begin(c);
    for (uint32_t rank = 0; rank < config->rank_count; rank++) {
        c->free_ns[rank] = c->now_ns;
        c->hand_count[rank] = 0;
        tell(c, QN_SCHED_RANK_READY, rank, 0, 0);
    }
    qn_sim_timeline_fini(&c->timeline);
    c->void_count = 0;
    c->since_ns = 0;
    c->is_pausing = false;
    c->tail_began_ns = 0;
    c->visit_ns = c->master_free_ns = c->now_ns;
    c->visit_count = 0;
    if (config->epochs != NULL) {
        config->epochs->restart(config->epochs->user, c->now_ns);
    }
    carry_on(c);
    return true;
}

/* When the last task is over there is what came late, and a word to all. False: a node failed in between. */
static bool end(qn_cluster *c)
{
    double word_ns = qn_cluster_depth(c->config->rank_count) * (double)c->hop_ns;
    uint64_t end_ns = c->now_ns + (uint64_t)(c->shuffle.exposed_ns + word_ns);
    if (end_ns >= c->fails_ns) {
        c->is_over = c->result.finished = false;
        crash(c);
        return c->is_over;
    }
    c->result.work_ns += c->since_ns;
    c->result.tail_ns = (double)(c->now_ns - c->tail_began_ns);
    c->result.exposed_ns = (double)(end_ns - c->now_ns);
    c->now_ns = end_ns;
    return true;
}

static void happen(qn_cluster *c, const qn_sim_happening *what)
{
    switch ((qn_cluster_happening)what->kind) {
    case QN_CLUSTER_DONE:
    case QN_CLUSTER_LEFT:
    case QN_CLUSTER_TOLD:
    case QN_CLUSTER_READY:
        take_report(c, what);
        pause_if_due(c);
        break;
    case QN_CLUSTER_TASK_ENDS:
        qn_cluster_end_task(c, what);
        break;
    case QN_CLUSTER_LEAVE:
    case QN_CLUSTER_LEAVE_UNBEGUN:
        qn_cluster_hear_leave(c, what);
        break;
    case QN_CLUSTER_LOOK:
        qn_cluster_look(c, what->time_ns);
    }
}

static void step(qn_cluster *c)
{
    qn_sim_happening what;
    if (c->is_pausing && qn_sched_get_counts(c->sched).in_hand == 0) {
        cut(c);
        return;
    }
    if (!qn_sim_timeline_next(&c->timeline, &what)) {
        c->result.broken = "nothing moves any more and there is no verdict";
    } else if (what.time_ns >= c->fails_ns) {
        crash(c);
    } else if (!qn_cluster_is_void(c, &what)) {
        happen(c, &what);
    }
}

static void play(qn_cluster *c)
{
    bool has_ended = false;
    draw_failures(c);
    if (!begin(c)) {
        c->out_of_memory = true;
    }
    while (!has_ended && c->result.broken == NULL && !c->out_of_memory) {
        if (!c->is_over) {
            step(c);
        } else {
            has_ended = !c->result.finished || end(c);
        }
    }
}

static double even_work_ns(const qn_cluster *c)
{
    double sum_ns = 0, power = 0;
    for (uint32_t task = 0; task < c->config->task_count; task++) {
        sum_ns += qn_cluster_drawn_ns(c, task);
    }
    for (uint32_t rank = 0; rank < c->config->rank_count; rank++) {
        power += qn_cluster_is_slow(c, rank) ? 1 / c->config->slow_factor : 1;
    }
    return sum_ns / power;
}

static bool is_valid(const qn_cluster_config *config)
{
    bool has_spread = config->lengths == QN_CLUSTER_CONSTANT ||
                      (config->spread > (config->lengths == QN_CLUSTER_PARETO ? 1 : 0) && config->spread < 100);
    return config->rank_count > 0 && config->node_count > 0 && config->node_count <= config->rank_count &&
           config->task_ns > 0 && has_spread && config->late_share >= 0 && config->late_share <= 1 &&
           config->slow_share >= 0 && config->slow_share <= 1 &&
           (config->slow_share <= 0 || config->slow_factor >= 1) && (config->failure_ns <= 0 || config->shape > 0.1) &&
           2 * config->task_batch <= QN_SCHED_IN_HAND_MAX && !(config->makes_parts && config->epochs != NULL);
}

static bool build(qn_cluster *c)
{
    const qn_cluster_config *config = c->config;
    size_t tasks = (size_t)config->task_count + 1;
    c->rank_node = calloc(config->rank_count, sizeof *c->rank_node);
    c->free_ns = calloc(config->rank_count, sizeof *c->free_ns);
    c->hand_max = qn_hand_size_limit(config->task_count, config->rank_count);
    c->slots = calloc((size_t)config->rank_count * c->hand_max, sizeof *c->slots);
    c->hand_count = calloc(config->rank_count, sizeof *c->hand_count);
    c->tells_every = calloc(config->rank_count, sizeof *c->tells_every);
    c->node_fails_ns = calloc(config->node_count, sizeof *c->node_fails_ns);
    bool has_all = c->rank_node != NULL && c->free_ns != NULL && c->slots != NULL && c->hand_count != NULL &&
                   c->tells_every != NULL && c->node_fails_ns != NULL && qn_cluster_end_build(c);
    if (config->epochs != NULL || c->stragglers_memory != NULL) {
        c->part = calloc(tasks, sizeof *c->part);
        has_all = has_all && c->part != NULL;
    }
    if (config->epochs != NULL) {
        c->saved_done = calloc(tasks, sizeof *c->saved_done);
        c->saved_part = calloc(tasks, sizeof *c->saved_part);
        has_all = has_all && c->saved_done != NULL && c->saved_part != NULL;
    }
    for (uint32_t rank = 0; has_all && rank < config->rank_count; rank++) {
        c->rank_node[rank] = (uint32_t)((uint64_t)rank * config->node_count / config->rank_count);
    }
    return has_all;
}

static void tear_down(qn_cluster *c)
{
    qn_sim_timeline_fini(&c->timeline);
    qn_cluster_end_tear_down(c);
    free(c->sched_memory);
    free(c->rank_node);
    free(c->free_ns);
    free(c->slots);
    free(c->hand_count);
    free(c->tells_every);
    free(c->saved_done);
    free(c->part);
    free(c->saved_part);
    free(c->node_fails_ns);
}

bool qn_cluster_run(const qn_cluster_config *config, qn_cluster_result *result_out)
{
    if (!is_valid(config)) {
        return false;
    }
    qn_cluster c = {.config = config, .random = config->seed, .hop_ns = config->latency_ns + config->poll_ns / 2};
    bool played = build(&c);
    if (played) {
        c.shuffle = qn_cluster_shuffle_plan(config);
        c.result.levels = c.shuffle.levels;
        c.result.round_count = c.shuffle.round_count;
        c.result.round_buffer_bytes = c.shuffle.buffer_bytes;
        c.result.ideal_ns = even_work_ns(&c);
        qn_cluster_curve_init(&c.result, (uint64_t)(c.result.ideal_ns / CURVE_PARTS));
        play(&c);
        played = !c.out_of_memory;
    }
    if (played) {
        c.result.makespan_ns = (double)c.now_ns;
        c.result.overhead_ns = (c.shuffle.task_ns + (double)config->task_overhead_ns) * config->task_count;
        if (c.result.broken == NULL) {
            c.result.broken = qn_sched_check(c.sched);
        }
        *result_out = c.result;
    }
    tear_down(&c);
    return played;
}
