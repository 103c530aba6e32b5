/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/cluster.c: the cluster at work, from epoch to epoch and from failure to failure.
 *
 * A rank's orders stand in slots with begin and end, known as soon as the order is sent. So the timeline holds one happening for each task in
 * hand: its report; or, where several are told of at once, its end, at which the rank tells what is done if it is enough or if nothing else is in hand. What was told stays
 * in its slot until the master has taken the message. When an epoch is due all of them are taken off and put back as what becomes of them: done before the rank heard of
 * the pause, left at a border of a block, or not begun.
 */
#include "scheduler/sim/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "scheduler/hand_size.h"
#include "scheduler/sim/cluster_curve.h"
#include "scheduler/sim/cluster_shuffle.h"
#include "scheduler/sim/draws.h"
#include "scheduler/sim/sim_random.h"
#include "scheduler/sim/sim_timeline.h"

enum { CURVE_PARTS = 128, PART_ALL = 65535 };

static const double NS_PER_S = 1e9;

typedef enum report_kind {
    REPORT_DONE, /* of a task by itself, and of all that was done before it and not told */
    REPORT_LEFT,
    REPORT_TOLD, /* of all that was told */
    TASK_ENDS,   /* no report: a rank may make one */
} report_kind;

typedef enum slot_state { SLOT_HELD, SLOT_DONE, SLOT_TOLD } slot_state;

typedef struct slot {
    uint32_t task; /* QN_SCHED_NONE: empty */
    uint16_t attempt, state;
    uint64_t begin_ns, end_ns;
} slot;

typedef struct cluster {
    const qn_cluster_config *config;
    qn_cluster_result result;
    uint64_t random;
    qn_sim_timeline timeline;
    bool out_of_memory;

    qn_sched *sched;
    void *sched_memory;
    uint32_t *rank_node;
    uint64_t *free_ns;    /* [rank_count] when it has worked through its orders */
    slot *slots;          /* [rank_count][hand_max] */
    uint8_t *tells_every; /* [rank_count] tasks that the rank was asked to tell of at once */
    uint32_t hand_max;
    qn_hand_size hand_size;
    uint64_t told_ns;            /* of work, in the present message */
    bool *saved_done;            /* [task_count] of the last epoch */
    uint16_t *part, *saved_part; /* of PART_ALL, that is done of a task that was left */
    uint64_t *node_fails_ns;     /* [node_count] */

    uint64_t now_ns, fails_ns; /* the next failure of any node */
    uint64_t visit_ns, master_free_ns;
    uint32_t visit_count;
    bool is_pausing, is_over;
    uint64_t paused_ns, tail_began_ns;
    double since_ns; /* work since the last epoch */
    qn_cluster_shuffle shuffle;
    uint64_t hop_ns; /* from rank to rank of what the master says to all */
    uint64_t second, second_messages;
} cluster;

/* What tasks and ranks are like. */

static bool is_slow(const cluster *c, uint32_t rank)
{
    uint64_t random = qn_sim_mix(c->config->seed ^ 0x510e527f ^ ((uint64_t)c->rank_node[rank] << 24));
    return qn_draw_unit(&random) <= c->config->slow_share;
}

static double drawn_ns(const cluster *c, uint32_t task)
{
    const qn_cluster_config *config = c->config;
    uint64_t random = qn_sim_mix(config->seed ^ ((uint64_t)task << 20) ^ 0x9b05688c);
    switch (config->lengths) {
    case QN_CLUSTER_LOGNORMAL:
        return qn_draw_lognormal(&random, (double)config->task_ns, config->spread);
    case QN_CLUSTER_PARETO:
        return qn_draw_pareto(&random, (double)config->task_ns, config->spread);
    case QN_CLUSTER_CONSTANT:
        break;
    }
    return (double)config->task_ns;
}

/* What is left of a task, on a rank. */
static uint64_t length_ns(const cluster *c, uint32_t task, uint32_t rank)
{
    double length = drawn_ns(c, task) * (is_slow(c, rank) ? c->config->slow_factor : 1);
    double least = qn_cluster_read_ns(c->config);
    length = length > least ? length : least;
    if (c->part != NULL) {
        length *= 1 - (double)c->part[task] / PART_ALL;
    }
    return 1 + (uint64_t)(length + c->shuffle.task_ns);
}

static uint64_t latency_ns(const cluster *c, uint32_t rank)
{
    return c->rank_node[rank] == 0 ? c->config->node_latency_ns : c->config->latency_ns;
}

/* A rank hears what the master says to all from the rank above it in a binary tree. */
static uint64_t heard_ns(const cluster *c, uint64_t said_ns, uint32_t rank)
{
    uint64_t levels = 0;
    for (uint64_t i = rank; i > 0; i = (i - 1) / 2) {
        levels++;
    }
    return said_ns + levels * c->hop_ns;
}

/* The master. */

static uint64_t visit_after(const cluster *c, uint64_t arrival_ns)
{
    uint64_t poll_ns = c->config->poll_ns;
    uint64_t next_ns = (c->visit_ns > c->master_free_ns ? c->visit_ns : c->master_free_ns) + poll_ns;
    if (arrival_ns <= next_ns) {
        return next_ns;
    }
    return poll_ns == 0 ? arrival_ns : next_ns + (arrival_ns - next_ns + poll_ns - 1) / poll_ns * poll_ns;
}

static void count_message(cluster *c, uint64_t messages, uint64_t tasks_done)
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

/* The clock becomes that of the master when it has taken the message. */
/* The clock becomes that of the master when it has done something that takes so long. */
static void master_works(cluster *c, uint64_t ns)
{
    c->master_free_ns += ns;
    c->now_ns = c->master_free_ns;
    c->result.master_busy_ns += (double)ns;
}

static bool is_look_over(const cluster *c, uint64_t arrival_ns)
{
    const qn_cluster_config *config = c->config;
    bool has_taken_enough = config->batch_max > 0 && c->visit_count == config->batch_max;
    bool has_looked_enough = config->look_ns > 0 && c->master_free_ns - c->visit_ns >= config->look_ns;
    return arrival_ns > c->master_free_ns || has_taken_enough || has_looked_enough;
}

static void master_takes(cluster *c, uint64_t arrival_ns)
{
    if (is_look_over(c, arrival_ns)) {
        c->visit_ns = visit_after(c, arrival_ns);
        c->master_free_ns = c->visit_ns;
        c->visit_count = 0;
    }
    c->visit_count++;
    master_works(c, c->config->receive_ns);
    double waited_ns = (double)(c->master_free_ns - arrival_ns);
    if (waited_ns > c->result.longest_queue_ns) {
        c->result.longest_queue_ns = waited_ns;
    }
    c->result.messages++;
}

/* A report: when it is sent, or the end of a task. */
static void report(cluster *c, report_kind kind, uint64_t time_ns, uint32_t rank, uint32_t task, uint32_t attempt)
{
    qn_sim_happening arrival = {.time_ns = time_ns + (kind == TASK_ENDS ? 0 : latency_ns(c, rank)),
                                .kind = (uint16_t)kind,
                                .rank = rank,
                                .task = task,
                                .attempt = (uint16_t)attempt};
    if (!qn_sim_timeline_add(&c->timeline, arrival)) {
        c->out_of_memory = true;
    }
}

static slot *hand_of(const cluster *c, uint32_t rank)
{
    return &c->slots[(size_t)rank * c->hand_max];
}

static slot *find_slot(const cluster *c, uint32_t rank, uint32_t task)
{
    slot *hand = hand_of(c, rank);
    for (uint32_t i = 0; i < c->hand_max; i++) {
        if (hand[i].task == task) {
            return &hand[i];
        }
    }
    return NULL;
}

/* begins_message: the one before was for another rank. */
static void send_order(cluster *c, const qn_sched_action *run, bool begins_message)
{
    master_works(c, begins_message ? c->config->send_ns : c->config->send_task_ns);
    c->result.orders++;
    c->result.order_messages += begins_message;
    c->tells_every[run->rank] = (uint8_t)c->hand_size.batch;
    uint64_t arrival_ns = c->now_ns + latency_ns(c, run->rank);
    uint64_t *free_ns = &c->free_ns[run->rank];
    slot *place = find_slot(c, run->rank, QN_SCHED_NONE);
    if (place == NULL) {
        c->result.broken = "a rank was sent more tasks than it can hold";
        return;
    }
    place->task = run->task;
    place->attempt = (uint16_t)run->attempt;
    place->state = SLOT_HELD;
    place->begin_ns = arrival_ns > *free_ns ? arrival_ns : *free_ns;
    place->end_ns = place->begin_ns + length_ns(c, run->task, run->rank);
    *free_ns = place->end_ns;
    report(c, c->hand_size.batch > 1 ? TASK_ENDS : REPORT_DONE, place->end_ns, run->rank, run->task, run->attempt);
}

static void carry_out(cluster *c)
{
    qn_sched_action action;
    uint64_t messages = c->result.order_messages;
    uint32_t rank_before = QN_SCHED_NONE;
    while (c->result.broken == NULL && qn_sched_next(c->sched, &action)) {
        if (action.kind == QN_SCHED_RUN) {
            send_order(c, &action, action.rank != rank_before);
            rank_before = action.rank;
        } else {
            c->is_over = true;
            c->result.finished = action.kind == QN_SCHED_FINISH;
        }
    }
    count_message(c, c->result.order_messages - messages, 0);
    if (c->tail_began_ns == 0 && qn_sched_get_counts(c->sched).pending == 0) {
        c->tail_began_ns = c->now_ns;
    }
}

static void tell(cluster *c, qn_sched_event_kind kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    c->result.event_count++;
    if (!qn_sched_feed(c->sched, &(qn_sched_event){kind, rank, task, attempt})) {
        c->result.broken = "a right event was taken for stale";
    }
}

/* Work. */

static void count_work(cluster *c, uint64_t begin_ns, uint64_t end_ns)
{
    if (begin_ns < end_ns) {
        qn_cluster_curve_add_work(&c->result, begin_ns, end_ns);
        c->since_ns += (double)(end_ns - begin_ns);
    }
}

static void take_done(cluster *c, uint32_t rank, slot *place)
{
    uint32_t task = place->task;
    place->task = QN_SCHED_NONE;
    count_work(c, place->begin_ns, place->end_ns);
    c->told_ns += place->end_ns - place->begin_ns;
    tell(c, QN_SCHED_TASK_DONE, rank, task, place->attempt);
}

/* Of a rank, what it has done and did not tell by itself: all that is told with a report of this kind. */
static uint32_t take_all_done(cluster *c, report_kind kind, uint32_t rank)
{
    uint32_t count = 0;
    slot *hand = hand_of(c, rank);
    for (uint32_t i = 0; i < c->hand_max; i++) {
        if (hand[i].task != QN_SCHED_NONE && hand[i].state >= (kind == REPORT_TOLD ? SLOT_TOLD : SLOT_DONE)) {
            take_done(c, rank, &hand[i]);
            count++;
        }
    }
    return count;
}

static uint32_t take_report_of_task(cluster *c, const qn_sim_happening *what)
{
    slot *place = find_slot(c, what->rank, what->task);
    if (place == NULL) {
        c->result.broken = "a report of a task that is in no hand";
        return 0;
    }
    if (what->kind == REPORT_DONE) {
        take_done(c, what->rank, place);
        return 1;
    }
    place->task = QN_SCHED_NONE;
    tell(c, QN_SCHED_TASK_GIVEN_BACK, what->rank, what->task, what->attempt);
    return 0;
}

static void take_report(cluster *c, const qn_sim_happening *what)
{
    master_takes(c, what->time_ns);
    c->told_ns = 0;
    uint32_t done_count = take_all_done(c, (report_kind)what->kind, what->rank);
    if (what->kind != REPORT_TOLD) {
        done_count += take_report_of_task(c, what);
    }
    if (done_count > 1) {
        master_works(c, (done_count - 1) * c->config->receive_task_ns);
    }
    count_message(c, 1, done_count);
    qn_hand_size_note(&c->hand_size, done_count, c->told_ns, c->now_ns);
    qn_sched_set_hand(c->sched, what->rank, qn_hand_size_get(&c->hand_size));
    if (qn_hand_size_get(&c->hand_size) > c->result.hand_most) {
        c->result.hand_most = qn_hand_size_get(&c->hand_size);
    }
    carry_out(c);
}

/* A rank tells what is done, if it is as much as was asked for, or it has nothing to go on with. */
static void end_task(cluster *c, const qn_sim_happening *what)
{
    uint32_t done_count = 0;
    bool goes_on = false;
    slot *hand = hand_of(c, what->rank);
    find_slot(c, what->rank, what->task)->state = SLOT_DONE;
    for (uint32_t i = 0; i < c->hand_max; i++) {
        bool is_there = hand[i].task != QN_SCHED_NONE;
        done_count += is_there && hand[i].state == SLOT_DONE;
        goes_on |= is_there && hand[i].state == SLOT_HELD && hand[i].begin_ns <= what->time_ns;
    }
    if (goes_on && done_count < c->tells_every[what->rank]) {
        return;
    }
    for (uint32_t i = 0; i < c->hand_max; i++) {
        hand[i].state = hand[i].state == SLOT_DONE ? SLOT_TOLD : hand[i].state;
    }
    report(c, REPORT_TOLD, what->time_ns, what->rank, QN_SCHED_NONE, 0);
}

/* Epochs. */

static uint64_t state_bytes_now(const cluster *c)
{
    double share =
        c->config->task_count == 0 ? 1 : (double)qn_sched_get_counts(c->sched).done / (double)c->config->task_count;
    return (uint64_t)((double)c->config->state_bytes * share);
}

static double disk_ns(const cluster *c, uint64_t bytes)
{
    return c->config->disk_bytes_per_s <= 0 ? 0 : (double)bytes / c->config->disk_bytes_per_s * NS_PER_S;
}

/* What becomes of a task in hand, when its rank hears that it is to leave it. */
static void leave(cluster *c, qn_sim_happening *what)
{
    slot *place = what->kind == REPORT_TOLD ? NULL : find_slot(c, what->rank, what->task);
    uint64_t pause_ns = heard_ns(c, c->paused_ns, what->rank);
    if (place == NULL) {
        return;
    }
    if (what->kind == TASK_ENDS) { /* a rank that is to rest tells at once */
        what->kind = REPORT_DONE;
        what->time_ns += latency_ns(c, what->rank);
    }
    if (place->end_ns <= pause_ns) {
        return;
    }
    uint64_t stop_ns = pause_ns;
    if (place->begin_ns < pause_ns) {
        stop_ns += qn_sim_below(&c->random, c->config->block_ns);
        if (stop_ns >= place->end_ns) {
            return;
        }
        double did = (double)(stop_ns - place->begin_ns) / (double)(place->end_ns - place->begin_ns);
        c->part[what->task] += (uint16_t)((PART_ALL - c->part[what->task]) * did);
        count_work(c, place->begin_ns, stop_ns);
    }
    what->kind = REPORT_LEFT;
    what->time_ns = stop_ns + latency_ns(c, what->rank);
    if (c->free_ns[what->rank] > stop_ns) {
        c->free_ns[what->rank] = stop_ns;
    }
}

static void pause(cluster *c)
{
    qn_sim_timeline before = c->timeline;
    qn_sim_happening what;
    c->timeline = (qn_sim_timeline){0};
    c->is_pausing = true;
    c->paused_ns = c->now_ns;
    tell(c, QN_SCHED_PAUSE, 0, 0, 0);
    while (qn_sim_timeline_next(&before, &what)) {
        leave(c, &what);
        c->out_of_memory |= !qn_sim_timeline_add(&c->timeline, what);
    }
    qn_sim_timeline_fini(&before);
}

static void pause_if_due(cluster *c)
{
    const qn_cluster_epochs *epochs = c->config->epochs;
    if (epochs == NULL || c->is_pausing || c->is_over) {
        return;
    }
    if (epochs->is_due(epochs->user, c->now_ns, state_bytes_now(c) / c->config->rank_count)) {
        pause(c);
    }
}

static void crash(cluster *c);

/* Nothing is in hand. False: a node failed before all was saved. */
static bool cut(cluster *c)
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
    carry_out(c);
    return true;
}

/* Failures. */

static uint64_t whole_ns(double life)
{
    return life >= 9e18 ? UINT64_MAX / 2 : 1 + (uint64_t)life;
}

static uint64_t life_ns(cluster *c)
{
    return whole_ns(qn_draw_weibull(&c->random, c->config->failure_ns, c->config->shape));
}

static void find_next_failure(cluster *c)
{
    c->fails_ns = UINT64_MAX;
    for (uint32_t node = 0; c->config->failure_ns > 0 && node < c->config->node_count; node++) {
        if (c->node_fails_ns[node] < c->fails_ns) {
            c->fails_ns = c->node_fails_ns[node];
        }
    }
}

/* Nodes have run before: each has some of its life behind it. */
static void draw_failures(cluster *c)
{
    for (uint32_t node = 0; node < c->config->node_count && c->config->failure_ns > 0; node++) {
        c->node_fails_ns[node] = whole_ns(qn_draw_weibull_rest(&c->random, c->config->failure_ns, c->config->shape));
    }
    find_next_failure(c);
}

static bool begin(cluster *c);

/* A node failed, and with it the job. */
static void crash(cluster *c)
{
    uint64_t failed_ns = c->fails_ns, start_ns = failed_ns + c->config->restart_ns;
    for (size_t i = 0; i < (size_t)c->config->rank_count * c->hand_max; i++) {
        const slot *place = &c->slots[i];
        if (place->task != QN_SCHED_NONE) {
            count_work(c, place->begin_ns, place->end_ns < failed_ns ? place->end_ns : failed_ns);
        }
    }
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
static bool begin(cluster *c)
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
    if (c->part != NULL) {
        memcpy(c->part, c->saved_part, config->task_count * sizeof *c->part);
    }
    for (size_t i = 0; i < (size_t)config->rank_count * c->hand_max; i++) {
        c->slots[i].task = QN_SCHED_NONE;
    }
    for (uint32_t rank = 0; rank < config->rank_count; rank++) {
        c->free_ns[rank] = c->now_ns;
        tell(c, QN_SCHED_RANK_READY, rank, 0, 0);
    }
    qn_sim_timeline_fini(&c->timeline);
    c->since_ns = 0;
    c->is_pausing = false;
    c->tail_began_ns = 0;
    c->visit_ns = c->master_free_ns = c->now_ns;
    c->visit_count = 0;
    if (config->epochs != NULL) {
        config->epochs->restart(config->epochs->user, c->now_ns);
    }
    carry_out(c);
    return true;
}

/* When the last task is over there is what came late, and a word to all. False: a node failed in between. */
static bool end(cluster *c)
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

static void step(cluster *c)
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
    } else if (what.kind == TASK_ENDS) {
        end_task(c, &what);
    } else {
        take_report(c, &what);
        pause_if_due(c);
    }
}

static void play(cluster *c)
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

static double even_work_ns(const cluster *c)
{
    double sum_ns = 0, power = 0;
    for (uint32_t task = 0; task < c->config->task_count; task++) {
        sum_ns += drawn_ns(c, task);
    }
    for (uint32_t rank = 0; rank < c->config->rank_count; rank++) {
        power += is_slow(c, rank) ? 1 / c->config->slow_factor : 1;
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
           2 * config->task_batch <= QN_SCHED_IN_HAND_MAX;
}

static bool build(cluster *c)
{
    const qn_cluster_config *config = c->config;
    size_t tasks = (size_t)config->task_count + 1;
    c->rank_node = calloc(config->rank_count, sizeof *c->rank_node);
    c->free_ns = calloc(config->rank_count, sizeof *c->free_ns);
    c->hand_max = qn_hand_size_limit(config->task_count, config->rank_count);
    c->slots = calloc((size_t)config->rank_count * c->hand_max, sizeof *c->slots);
    c->tells_every = calloc(config->rank_count, sizeof *c->tells_every);
    c->node_fails_ns = calloc(config->node_count, sizeof *c->node_fails_ns);
    bool has_all = c->rank_node != NULL && c->free_ns != NULL && c->slots != NULL && c->tells_every != NULL &&
                   c->node_fails_ns != NULL;
    if (config->epochs != NULL) {
        c->saved_done = calloc(tasks, sizeof *c->saved_done);
        c->part = calloc(tasks, sizeof *c->part);
        c->saved_part = calloc(tasks, sizeof *c->saved_part);
        has_all = has_all && c->saved_done != NULL && c->part != NULL && c->saved_part != NULL;
    }
    for (uint32_t rank = 0; has_all && rank < config->rank_count; rank++) {
        c->rank_node[rank] = (uint32_t)((uint64_t)rank * config->node_count / config->rank_count);
    }
    return has_all;
}

static void tear_down(cluster *c)
{
    qn_sim_timeline_fini(&c->timeline);
    free(c->sched_memory);
    free(c->rank_node);
    free(c->free_ns);
    free(c->slots);
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
    cluster c = {.config = config, .random = config->seed, .hop_ns = config->latency_ns + config->poll_ns / 2};
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
        c.result.overhead_ns = c.shuffle.task_ns * config->task_count;
        if (c.result.broken == NULL) {
            c.result.broken = qn_sched_check(c.sched);
        }
        *result_out = c.result;
    }
    tear_down(&c);
    return played;
}
