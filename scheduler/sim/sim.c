/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/sim.c: the simulated world and its clock.
 *
 * Intuition. A rank is a queue of attempts and a clock; the master is the real scheduler; between them lie
 * messages with random delays. Everything is a happening on one timeline.
 *
 * Model. A happening at a rank (an order arrives, an attempt ends, the rank crashes) changes only that rank
 * and may send a message. A happening at the master (ready, report, loss) is fed to the scheduler and to
 * the oracle, and the actions that follow are sent out. After the verdict the world runs on until nothing
 * moves, so that late reports meet a scheduler that has concluded.
 *
 * A rank that is "only believed lost" never crashes: it goes on working and reporting, as one cut off by a
 * slow network would.
 *
 * The bound on the makespan. Follow the task that finishes last. It has at most `a` attempts; in each it is
 * in some hand for at most in_hand_max attempts' time, two messages and the detection of a loss. While it
 * is pending, every living rank is at work or waits for a message, but for those that must avoid it (at
 * most a - 1): this time is covered by the work and messages of all attempts, divided by the survivors that
 * need not avoid it.
 */
#include "scheduler/sim/sim.h"
#include "scheduler/sim/sim_oracle.h"
#include "scheduler/sim/sim_random.h"
#include "scheduler/sim/sim_timeline.h"

#include <stdlib.h>

/* Delays, in greatest message latencies. */
enum { READY_LATENCIES = 10, DETECTION_LATENCIES = 20, REPEAT_LATENCIES = 200 };

enum { TAIL_OCTAVES_LIMIT = 20 };

typedef enum happening_kind {
    READY_ARRIVES, /* at the master */
    DONE_ARRIVES,
    FAILED_ARRIVES,
    LOSS_ARRIVES,
    ORDER_ARRIVES, /* at a rank */
    ATTEMPT_SUCCEEDS,
    ATTEMPT_FAILS,
    RANK_CRASHES,
} happening_kind;

typedef struct order {
    uint32_t task, attempt;
} order;

typedef struct world_rank {
    bool crashed, broken;
    uint32_t factor;
    uint32_t order_count; /* the first one is running */
    order orders[QN_SCHED_IN_HAND_MAX];
} world_rank;

typedef struct world {
    const qn_sim_config *config;
    uint64_t random;
    uint64_t now_ns;
    qn_sim_timeline timeline;
    bool out_of_memory;

    world_rank *ranks;
    uint32_t *rank_node;
    uint32_t *task_node;
    void *memory;
    qn_sched *sched;
    qn_sim_oracle *oracle;

    uint64_t busy_ns, longest_ns;
    uint64_t busy_at_verdict_ns, longest_at_verdict_ns;
    uint32_t alive_at_verdict;
    qn_sim_result result;
} world;

/* Chance. */

static uint64_t latency(world *w)
{
    return 1 + qn_sim_below(&w->random, w->config->latency_ns_max);
}

/* The length of a task belongs to the task: every attempt of it takes as long on an equal rank. */
static uint64_t task_length_ns(const world *w, uint32_t task)
{
    uint64_t random = qn_sim_mix(w->config->seed ^ ((uint64_t)task << 20));
    uint64_t length_ns = w->config->task_ns + qn_sim_below(&random, w->config->task_ns);
    for (uint32_t octave = 0; octave < w->config->tail_octaves_max && qn_sim_chance(&random, 350); octave++) {
        length_ns *= 2;
    }
    return length_ns;
}

/* Messages. */

static void add(world *w, happening_kind kind, uint64_t delay_ns, uint32_t rank, const order *about)
{
    qn_sim_happening happening = {
        .time_ns = w->now_ns + delay_ns,
        .kind = (uint16_t)kind,
        .rank = rank,
        .task = about == NULL ? QN_SCHED_NONE : about->task,
        .attempt = (uint16_t)(about == NULL ? 0 : about->attempt),
    };
    if (!qn_sim_timeline_add(&w->timeline, happening)) {
        w->out_of_memory = true;
    }
}

static void send_to_master(world *w, happening_kind kind, uint64_t delay_ns, uint32_t rank, const order *about)
{
    add(w, kind, delay_ns, rank, about);
    if (qn_sim_chance(&w->random, w->config->repeat_permille)) {
        uint64_t later_ns = qn_sim_below(&w->random, REPEAT_LATENCIES * w->config->latency_ns_max);
        add(w, kind, delay_ns + later_ns, rank, about);
    }
}

/* Ranks. */

static void start_attempt(world *w, uint32_t rank)
{
    world_rank *self = &w->ranks[rank];
    const order *first = &self->orders[0];
    uint64_t length_ns = task_length_ns(w, first->task) * self->factor;
    bool fails = self->broken || first->task < w->config->poison_count;
    if (self->broken) {
        length_ns = length_ns / 100 + 1;
    } else if (qn_sim_chance(&w->random, w->config->fail_permille)) {
        fails = true;
        length_ns = 1 + qn_sim_below(&w->random, length_ns);
    }
    w->busy_ns += length_ns;
    if (length_ns > w->longest_ns) {
        w->longest_ns = length_ns;
    }
    add(w, fails ? ATTEMPT_FAILS : ATTEMPT_SUCCEEDS, length_ns, rank, first);
}

static void rank_gets_order(world *w, const qn_sim_happening *what)
{
    world_rank *self = &w->ranks[what->rank];
    if (self->order_count == w->config->in_hand_max) {
        w->result.broken = "a rank was sent more tasks than it can hold";
        return;
    }
    self->orders[self->order_count++] = (order){what->task, what->attempt};
    if (self->order_count == 1) {
        start_attempt(w, what->rank);
    }
}

static void rank_ends_attempt(world *w, const qn_sim_happening *what)
{
    world_rank *self = &w->ranks[what->rank];
    order ended = self->orders[0];
    self->order_count--;
    for (uint32_t i = 0; i < self->order_count; i++) {
        self->orders[i] = self->orders[i + 1];
    }
    happening_kind report = what->kind == ATTEMPT_SUCCEEDS ? DONE_ARRIVES : FAILED_ARRIVES;
    send_to_master(w, report, latency(w), what->rank, &ended);
    if (self->order_count > 0) {
        start_attempt(w, what->rank);
    }
}

static void rank_happening(world *w, const qn_sim_happening *what)
{
    world_rank *self = &w->ranks[what->rank];
    if (self->crashed) {
        return;
    }
    if (what->kind == ORDER_ARRIVES) {
        rank_gets_order(w, what);
    } else if (what->kind == RANK_CRASHES) {
        self->crashed = true;
    } else {
        rank_ends_attempt(w, what);
    }
}

/* The master. */

static void note(world *w, const char *broken)
{
    if (w->result.broken == NULL) {
        w->result.broken = broken;
    }
}

static void trace(world *w, uint32_t kind, uint32_t rank, uint32_t task, uint32_t attempt)
{
    uint64_t hash = w->result.trace_hash;
    hash = qn_sim_mix(hash ^ w->now_ns);
    hash = qn_sim_mix(hash + (((uint64_t)kind << 32) | rank));
    hash = qn_sim_mix(hash + (((uint64_t)attempt << 32) | task));
    w->result.trace_hash = hash;
}

static void conclude(world *w, const qn_sched_action *action)
{
    w->result.finished = action->kind == QN_SCHED_FINISH;
    w->result.makespan_ns = w->now_ns;
    w->busy_at_verdict_ns = w->busy_ns;
    w->longest_at_verdict_ns = w->longest_ns;
    w->alive_at_verdict = qn_sched_get_counts(w->sched).ranks_alive;
}

static void carry_out_actions(world *w)
{
    qn_sched_action action;
    while (w->result.broken == NULL && qn_sched_next(w->sched, &action)) {
        trace(w, 16u + action.kind, action.rank, action.task, action.attempt);
        note(w, qn_sim_oracle_see_action(w->oracle, &action));
        if (w->result.broken != NULL) {
            return;
        }
        if (action.kind == QN_SCHED_RUN) {
            add(w, ORDER_ARRIVES, latency(w), action.rank, &(order){action.task, action.attempt});
        } else {
            conclude(w, &action);
        }
    }
}

static void audit(world *w)
{
    qn_sched_counts counts = qn_sched_get_counts(w->sched);
    note(w, qn_sched_check(w->sched));
    note(w, qn_sim_oracle_audit(w->oracle, &counts));
}

static void feed(world *w, const qn_sched_event *event)
{
    w->result.event_count++;
    trace(w, event->kind, event->rank, event->task, event->attempt);
    note(w, qn_sim_oracle_see_event(w->oracle, event, qn_sched_feed(w->sched, event)));
    carry_out_actions(w);
    note(w, qn_sim_oracle_see_rest(w->oracle));
    uint32_t period = w->config->check_period_events;
    if (period > 0 && w->result.event_count % period == 0) {
        audit(w);
    }
}

/* A report of what a rank is working on, in the name of its neighbour. */
static void feed_impostor(world *w)
{
    uint32_t rank = (uint32_t)qn_sim_below(&w->random, w->config->rank_count);
    uint32_t neighbour = (rank + 1) % w->config->rank_count;
    if (w->ranks[rank].order_count > 0 && neighbour != rank) {
        const order *running = &w->ranks[rank].orders[0];
        feed(w, &(qn_sched_event){QN_SCHED_TASK_DONE, neighbour, running->task, running->attempt});
    }
}

/* An event that can never be right, whatever the state. */
static void feed_stray(world *w)
{
    const qn_sim_config *config = w->config;
    qn_sched_event stray = {
        .kind = (qn_sched_event_kind)qn_sim_below(&w->random, 5),
        .rank = (uint32_t)qn_sim_below(&w->random, config->rank_count),
        .task = (uint32_t)qn_sim_below(&w->random, (uint64_t)config->task_count + 2),
        .attempt = qn_sim_chance(&w->random, 500) ? 0 : config->attempt_count_max + 1,
    };
    if (stray.kind == QN_SCHED_RANK_READY || stray.kind == QN_SCHED_RANK_LOST) {
        stray.rank = qn_sim_chance(&w->random, 500) ? config->rank_count : QN_SCHED_NONE;
    }
    feed(w, &stray);
}

static void master_happening(world *w, const qn_sim_happening *what)
{
    static const qn_sched_event_kind kinds[] = {
        [READY_ARRIVES] = QN_SCHED_RANK_READY,
        [DONE_ARRIVES] = QN_SCHED_TASK_DONE,
        [FAILED_ARRIVES] = QN_SCHED_TASK_FAILED,
        [LOSS_ARRIVES] = QN_SCHED_RANK_LOST,
    };
    feed(w, &(qn_sched_event){kinds[what->kind], what->rank, what->task, what->attempt});
    if (w->result.broken == NULL && qn_sim_chance(&w->random, w->config->stray_permille)) {
        if (qn_sim_chance(&w->random, 500)) {
            feed_stray(w);
        } else {
            feed_impostor(w);
        }
    }
}

/* The run. */

static void plan_loss(world *w, uint32_t rank)
{
    uint64_t when_ns = qn_sim_below(&w->random, w->config->lost_within_ns);
    if (qn_sim_chance(&w->random, 500)) {
        add(w, RANK_CRASHES, when_ns, rank, NULL);
    }
    uint64_t detected_ns = qn_sim_below(&w->random, DETECTION_LATENCIES * w->config->latency_ns_max);
    send_to_master(w, LOSS_ARRIVES, when_ns + detected_ns, rank, NULL);
}

static void populate(world *w)
{
    const qn_sim_config *config = w->config;
    for (uint32_t rank = 0; rank < config->rank_count; rank++) {
        world_rank *self = &w->ranks[rank];
        self->factor = qn_sim_chance(&w->random, config->slow_permille) ? config->slow_factor : 1;
        self->broken = rank < config->broken_count;
        uint64_t ready_ns = qn_sim_below(&w->random, READY_LATENCIES * config->latency_ns_max);
        send_to_master(w, READY_ARRIVES, ready_ns, rank, NULL);
        if (qn_sim_chance(&w->random, config->lost_permille)) {
            plan_loss(w, rank);
        }
    }
}

static void place(world *w)
{
    const qn_sim_config *config = w->config;
    for (uint32_t rank = 0; rank < config->rank_count; rank++) {
        w->rank_node[rank] = (uint32_t)((uint64_t)rank * config->node_count / config->rank_count);
    }
    for (uint32_t task = 0; task < config->task_count; task++) {
        bool hinted = qn_sim_chance(&w->random, config->hinted_permille);
        w->task_node[task] = hinted ? (uint32_t)qn_sim_below(&w->random, config->node_count) : QN_SCHED_NONE;
    }
}

static bool is_valid(const qn_sim_config *config)
{
    bool slow_right = config->slow_permille == 0 || config->slow_factor > 0;
    return config->rank_count > 0 && config->node_count > 0 && config->task_ns > 0 && config->latency_ns_max > 0 &&
           config->tail_octaves_max <= TAIL_OCTAVES_LIMIT && slow_right;
}

static bool build(world *w)
{
    const qn_sim_config *config = w->config;
    w->ranks = calloc(config->rank_count, sizeof *w->ranks);
    w->rank_node = calloc(config->rank_count, sizeof *w->rank_node);
    w->task_node = calloc((size_t)config->task_count + 1, sizeof *w->task_node);
    if (w->ranks == NULL || w->rank_node == NULL || w->task_node == NULL) {
        return false;
    }
    place(w);
    qn_sched_config sched_config = {
        .rank_count = config->rank_count,
        .node_count = config->node_count,
        .task_count = config->task_count,
        .in_hand_max = config->in_hand_max,
        .attempt_count_max = config->attempt_count_max,
        .rank_node = w->rank_node,
        .task_node = config->hinted_permille == 0 ? NULL : w->task_node,
    };
    size_t bytes = qn_sched_bytes(&sched_config);
    w->memory = bytes == 0 ? NULL : malloc(bytes);
    if (w->memory == NULL) {
        return false;
    }
    w->sched = qn_sched_init(w->memory, &sched_config);
    w->oracle = qn_sim_oracle_create(&sched_config);
    return w->oracle != NULL;
}

static void tear_down(world *w)
{
    qn_sim_timeline_fini(&w->timeline);
    qn_sim_oracle_destroy(w->oracle);
    free(w->memory);
    free(w->task_node);
    free(w->rank_node);
    free(w->ranks);
}

static void judge_makespan(world *w)
{
    const qn_sim_config *config = w->config;
    uint64_t attempts = w->result.counts.attempts;
    uint64_t latency_ns = config->latency_ns_max;
    uint64_t avoiding = config->attempt_count_max - 1;
    uint64_t working = w->alive_at_verdict > avoiding ? w->alive_at_verdict - avoiding : 1;
    uint64_t covered_ns = (w->busy_at_verdict_ns + attempts * 2 * latency_ns) / working;
    uint64_t message_ns = (2 + DETECTION_LATENCIES) * latency_ns;
    uint64_t attempt_ns = config->in_hand_max * w->longest_at_verdict_ns + message_ns;
    uint64_t bound_ns = READY_LATENCIES * latency_ns + covered_ns + config->attempt_count_max * attempt_ns;
    if (w->alive_at_verdict <= avoiding) {
        bound_ns += config->rank_count * DETECTION_LATENCIES * latency_ns;
    }
    uint64_t even_ns = w->busy_at_verdict_ns / config->rank_count;
    w->result.ideal_ns = even_ns > w->longest_at_verdict_ns ? even_ns : w->longest_at_verdict_ns;
    w->result.bound_ns = bound_ns;
    if (w->result.finished && w->result.makespan_ns > bound_ns) {
        note(w, "the makespan is above the bound of a work-conserving schedule");
    }
}

static void play(world *w)
{
    qn_sim_happening what;
    populate(w);
    carry_out_actions(w);
    while (w->result.broken == NULL && !w->out_of_memory && qn_sim_timeline_next(&w->timeline, &what)) {
        w->now_ns = what.time_ns;
        if (what.kind <= LOSS_ARRIVES) {
            master_happening(w, &what);
        } else {
            rank_happening(w, &what);
        }
    }
}

bool qn_sim_run(const qn_sim_config *config, qn_sim_result *result_out)
{
    if (!is_valid(config)) {
        return false;
    }
    world w = {.config = config, .random = config->seed};
    bool played = build(&w);
    if (played) {
        play(&w);
        played = !w.out_of_memory;
    }
    if (played) {
        audit(&w);
        if (!qn_sim_oracle_is_concluded(w.oracle)) {
            note(&w, "nothing moves any more and there is no verdict");
        }
        w.result.counts = qn_sched_get_counts(w.sched);
        judge_makespan(&w);
        *result_out = w.result;
    }
    tear_down(&w);
    return played;
}
