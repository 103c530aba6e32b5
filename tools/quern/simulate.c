/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern sim: how a stage would go on a cluster of any size: the real scheduler, and the real rules for epochs and for stragglers, the rest a model
 * (scheduler/sim/cluster.h). With --faults as the first option it is another program, quern-faults, since that has all of the library in it.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "runtime/engine/epochs.h"
#include "scheduler/sim/cluster.h"
#include "tools/quern/beside.h"
#include "tools/quern/commands.h"
#include "tools/quern/fault_options.h"
#include "tools/quern/sim_plot.h"

#define NS_PER_S        1e9
#define NS_PER_US       1e3
#define S_PER_HOUR      3600.0
#define ATTEMPTS        4
#define FAULTS_PROGRAM  "quern-faults"
#define ROUND_BYTES_MAX 4194304 /* what settings.c chooses where memory is no matter */
#define DEFAULT_CORES   16
#define TASKS_PER_RANK  100
#define COUNT_MAX       4e9

/* Name, what it takes, its default, least and most; what 0 means, which is the default, is in brackets. */
#define DERIVED_NUMBERS(X)                                                                                             \
    X(BATCH, "batch", "K", 0, 0, 1e6, "Messages that the master takes in a look (0: no bound)")                        \
    X(RANK_MEMORY, "rank-memory", "B", 0, 0, 1e15, "Of a rank, a 32nd of which is a round at most (0: enough)")        \
    X(TASK_BATCH, "task-batch", "K", 0, 0, 32, "Tasks that a rank is given and tells of at once (0: by the load)")     \
    X(RANKS, "ranks", "R", 0, 1, COUNT_MAX, "Ranks (nodes times cores)")                                               \
    X(NODES, "nodes", "N", 0, 1, COUNT_MAX, "Nodes (ranks by cores)")                                                  \
    X(TASKS, "tasks", "T", 0, 0, COUNT_MAX, "Tasks (100 a rank)")                                                      \
    X(SPREAD, "spread", "X", 0, 0, 99, "Lognormal: sigma of the logarithm (0.5); pareto: alpha, above 1 (2)")          \
    X(MTBF, "mtbf", "HOURS", 0, 0, 1e9, "Mean time between failures of a node (0: none fails)")                        \
    X(STATE_BYTES, "state-bytes", "B", 0, 0, 1e18, "That an epoch has to save at the end of the stage (0: no epochs)") \
    X(EVERY, "checkpoint-every", "S", 0, 0, 1e9, "Seconds between epochs (0: the rule of real jobs)")                  \
    X(SEND_BANDWIDTH, "send-bandwidth", "B/s", 0, 0, 1e18,                                                             \
      "Of a rank, what it sends to other nodes, besides the link's time (0: no bound)")                                \
    X(LEVELS, "levels", "1|2", 0, 0, 2,                                                                                \
      "Of rounds: among all ranks, or within nodes and then between them (0: the quicker)")                            \
    X(DISK_BANDWIDTH, "disk-bandwidth", "B/s", 0, 0, 1e18, "Of the file system, which all share (0: no bound)")

/* The same, with defaults that are said by the table. */
#define NUMBERS(X)                                                                                                     \
    X(CORES, "cores", "C", DEFAULT_CORES, 1, 1e6, "Ranks on a node")                                                   \
    X(SEED, "seed", "S", 1, 0, 9e15, "Of all chance")                                                                  \
    X(TASK_TIME, "task-time", "S", 1, 1e-6, 1e6, "Seconds a task takes on average")                                    \
    X(STRAGGLERS, "stragglers", "SHARE", 0, 0, 1, "Share of the nodes that is slow")                                   \
    X(SLOWDOWN, "slowdown", "X", 3, 1, 1e6, "How many times slower")                                                   \
    X(OVERHEAD, "overhead", "US", 60, 0, 1e9, "Microseconds that each task takes besides")                             \
    X(BLOCK_TIME, "block-time", "US", 300, 0, 1e9, "Microseconds in which a rank leaves a task")                       \
    X(SHAPE, "shape", "K", 0.7, 0.1, 10, "Of Weibull's distribution of failures")                                      \
    X(RESTART_TIME, "restart-time", "S", 60, 0, 1e7, "Seconds from a failure to the next start")                       \
    X(RESTARTS, "restarts", "K", 1000, 0, 1e6, "Before it is given up")                                                \
    X(SYNC_TIME, "sync-time", "MS", 20, 0, 1e6, "Milliseconds that an epoch takes besides its bytes")                  \
    X(LATENCY, "latency", "US", 2, 0, 1e9, "Microseconds of a message between nodes")                                  \
    X(NODE_LATENCY, "node-latency", "US", 0.5, 0, 1e9, "The same within a node")                                       \
    X(BANDWIDTH, "bandwidth", "B/s", 12.5e9, 0, 1e18, "Of a node's link (0: no bound)")                                \
    X(TASK_BYTES, "task-bytes", "B", 0, 0, 1e15, "That a task reads")                                                  \
    X(SHUFFLE_BYTES, "shuffle-bytes", "B", 0, 0, 1e18, "That all ranks together send to others")                       \
    X(LATE, "late", "SHARE", 1, 0, 1, "Of these are sent when the last task is over (1: a reduction in memory)")       \
    X(ROUND_BYTES, "round-bytes", "B", ROUND_BYTES_MAX, 1024, 1e9, "Of a rank in one round of the shuffle")            \
    X(EXCHANGE_TIME, "exchange-time", "NS", 500, 0, 1e9, "Nanoseconds of a rank for each message of a round")          \
    X(COPY_BANDWIDTH, "copy-bandwidth", "B/s", 5e9, 0, 1e18,                                                           \
      "Of a rank, for all copies that two levels take (0: no bound)")                                                  \
    X(PACKED, "packed", "SHARE", 1, 0.001, 1,                                                                          \
      "Share of what is shuffled that is left by compression (1: there is none)")                                      \
    X(PACK_BANDWIDTH, "pack-bandwidth", "B/s", 400e6, 0, 1e18,                                                         \
      "Of a rank that compresses, there and back (0: no bound)")                                                       \
    X(RECEIVE_TIME, "receive-time", "NS", 1000, 0, 1e9, "Nanoseconds of the master to take a message")                 \
    X(SEND_TIME, "send-time", "NS", 1200, 0, 1e9, "Nanoseconds of the master to send an order")                        \
    X(POLL_TIME, "poll-time", "US", 300, 0, 1e9, "Microseconds from one look for messages to the next")                \
    X(LOOK_TIME, "look-time", "MS", 5, 0, 1e6, "Milliseconds for which it goes on taking messages at most")            \
    X(RECEIVE_TASK, "receive-task", "NS", 260, 0, 1e9, "Nanoseconds for each further task that a message tells of")    \
    X(SEND_TASK, "send-task", "NS", 400, 0, 1e9, "Nanoseconds for each further task that an order is for")

#define AS_ID(id, ...) id,
enum { DERIVED_NUMBERS(AS_ID) NUMBERS(AS_ID) NUMBER_COUNT };

typedef struct number_option {
    const char *name;
    double value, least, most; /* value: the default */
} number_option;

#define AS_NUMBER(id, name, unit, value, least, most, what) {name, value, least, most},
static const number_option defaults[NUMBER_COUNT] = {DERIVED_NUMBERS(AS_NUMBER) NUMBERS(AS_NUMBER)};

enum {
    OPTION_LENGTHS = NUMBER_COUNT,
    OPTION_SPECULATE,
    OPTION_PARTS,
    OPTION_JSON,
    OPTION_PLOT,
    OPTION_FAULTS,
    OPTION_OF_FAULTS
};

#define TEXT_OF(value)                                              #value
#define AS_DERIVED_OPTION(id, name, unit, value, least, most, what) {name, QUERN_COMMAND_KEY + id, unit, 0, what},
#define AS_OPTION(id, name, unit, value, least, most, what)                                                            \
    {name, QUERN_COMMAND_KEY + id, unit, 0, what " (" TEXT_OF(value) ")"},
#define AS_NOTHING(letter, name, argument, what)
#define AS_FAULT_OPTION(letter, name, argument, what)                                                                  \
    {name, QUERN_COMMAND_KEY + OPTION_OF_FAULTS + (letter), argument, 0, "With --faults: " what},
static const struct argp_option options[] = {
    DERIVED_NUMBERS(AS_DERIVED_OPTION) NUMBERS(AS_OPTION){"distribution", QUERN_COMMAND_KEY + OPTION_LENGTHS,
                                                          "constant|lognormal|pareto", 0, "Of task times (constant)"},
    {"speculate", QUERN_COMMAND_KEY + OPTION_SPECULATE, "off|auto|on", 0,
     "Near the end ranks leave tasks to others, which begin second attempts, as the option of jobs has it (auto)"},
    {"parts", QUERN_COMMAND_KEY + OPTION_PARTS, NULL, 0,
     "Each task makes a part of an output, whole or not at all, as in stages without a reduction"},
    {"json", QUERN_COMMAND_KEY + OPTION_JSON, NULL, 0, "Figures as one object"},
    {"plot", QUERN_COMMAND_KEY + OPTION_PLOT, "FILE", 0, "Drawn by gnuplot, as FILE.svg or FILE.png"},
    {"faults", QUERN_COMMAND_KEY + OPTION_FAULTS, NULL, 0,
     "As the first one: another simulation, which takes --seed and --json as well, and of the others those below"},
    QN_FAULT_OPTIONS(AS_FAULT_OPTION, AS_NOTHING){0},
};

typedef struct simulation {
    double numbers[NUMBER_COUNT];
    bool is_given[NUMBER_COUNT];
    qn_cluster_lengths lengths;
    qn_cluster_speculate speculate;
    bool makes_parts, prints_json;
    const char *plot;
    qn_epochs epochs;
    double seconds; /* that it took */
} simulation;

static const char *const length_names[] = {
    [QN_CLUSTER_CONSTANT] = "constant", [QN_CLUSTER_LOGNORMAL] = "lognormal", [QN_CLUSTER_PARETO] = "pareto"};

static const char *const speculate_names[] = {
    [QN_CLUSTER_SPECULATE_OFF] = "off", [QN_CLUSTER_SPECULATE_AUTO] = "auto", [QN_CLUSTER_SPECULATE_ON] = "on"};

/* ---- options */

static bool parse_number(const number_option *option, const char *text, double *value_out)
{
    static const char units[] = "kMGT";
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        bool is_binary = end[1] == 'i';
        value *= pow(is_binary ? 1024 : 1000, (double)(unit - units + 1));
        end += is_binary ? 2 : 1;
    }
    *value_out = value;
    return errno == 0 && end != text && *end == 0 && value >= option->least && value <= option->most;
}

static bool take_number(simulation *sim, int number, const char *text)
{
    const number_option *option = &defaults[number];
    sim->is_given[number] = true;
    if (parse_number(option, text, &sim->numbers[number]))
        return true;
    quern_command_fail(0, "sim: --%s takes a number from %g to %g", option->name, option->least, option->most);
    return false;
}

/* Which of the names it is; -1: none. */
static int find_name(const char *const *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return -1;
}

static bool take_lengths(simulation *sim, const char *text)
{
    int found = find_name(length_names, sizeof length_names / sizeof *length_names, text);
    if (found >= 0)
        sim->lengths = (qn_cluster_lengths)found;
    return found >= 0;
}

static bool take_speculate(simulation *sim, const char *text)
{
    int found = find_name(speculate_names, sizeof speculate_names / sizeof *speculate_names, text);
    if (found >= 0)
        sim->speculate = (qn_cluster_speculate)found;
    return found >= 0;
}

static bool take(void *all, int key, const char *word)
{
    simulation *sim = all;
    int option = key - QUERN_COMMAND_KEY;
    if (option < NUMBER_COUNT)
        return take_number(sim, option, word);
    if (option == OPTION_LENGTHS)
        return take_lengths(sim, word);
    if (option == OPTION_SPECULATE)
        return take_speculate(sim, word);
    if (option == OPTION_PARTS)
        sim->makes_parts = true;
    else if (option == OPTION_JSON)
        sim->prints_json = true;
    else if (option == OPTION_PLOT)
        sim->plot = word;
    else {
        quern_command_fail(0, option == OPTION_FAULTS ? "sim: --faults comes first"
                                                      : "sim: that option is one of --faults, which comes first");
        return false;
    }
    return true;
}

/* Of ranks, nodes and cores two are enough; 0: they contradict each other. */
static double settle_ranks(simulation *sim)
{
    double *numbers = sim->numbers;
    if (!sim->is_given[RANKS])
        numbers[RANKS] = (sim->is_given[NODES] ? numbers[NODES] : 1) * numbers[CORES];
    if (!sim->is_given[NODES])
        numbers[NODES] = ceil(numbers[RANKS] / numbers[CORES]);
    else if (!sim->is_given[CORES])
        numbers[CORES] = ceil(numbers[RANKS] / numbers[NODES]);
    if (!sim->is_given[TASKS])
        numbers[TASKS] = numbers[RANKS] * TASKS_PER_RANK;
    if (!sim->is_given[SPREAD])
        numbers[SPREAD] = sim->lengths == QN_CLUSTER_PARETO ? 2 : 0.5;
    return ceil(numbers[RANKS] / numbers[CORES]) == numbers[NODES] ? numbers[RANKS] : 0;
}

/* ---- epochs, by the rule of real jobs */

static bool is_due(void *user, uint64_t now_ns, uint64_t bytes)
{
    return qn_epochs_is_due(user, now_ns, bytes);
}

static void note_epoch(void *user, uint64_t start_ns, uint64_t now_ns, uint64_t bytes)
{
    qn_epochs_note(user, start_ns, now_ns, bytes);
}

/* What it cost is not known to the next attempt. */
static void restart_epochs(void *user, uint64_t now_ns)
{
    qn_epochs *epochs = user;
    epochs->last_ns = now_ns;
    epochs->cost_ns = epochs->cost_bytes = 0;
}

static void prepare_epochs(simulation *sim)
{
    double month_h = 30 * 24; /* of a node, where nothing is said: as the option node-mtbf */
    double mtbf_h = sim->numbers[MTBF] > 0 ? sim->numbers[MTBF] : month_h;
    sim->epochs = (qn_epochs){
        .every_ns = (uint64_t)(sim->numbers[EVERY] * NS_PER_S),
        .failure_ns = (uint64_t)(mtbf_h * S_PER_HOUR * NS_PER_S / sim->numbers[NODES]),
        .deadline_ns = UINT64_MAX,
    };
}

/* ---- what comes of it */

static qn_cluster_config configure(const simulation *sim, const qn_cluster_epochs *epochs)
{
    const double *n = sim->numbers;
    return (qn_cluster_config){
        .seed = (uint64_t)n[SEED],
        .rank_count = (uint32_t)n[RANKS],
        .node_count = (uint32_t)n[NODES],
        .task_count = (uint32_t)n[TASKS],
        .attempt_count_max = ATTEMPTS,
        .lengths = sim->lengths,
        .task_ns = (uint64_t)(n[TASK_TIME] * NS_PER_S),
        .spread = n[SPREAD],
        .slow_share = n[STRAGGLERS],
        .slow_factor = n[SLOWDOWN],
        .task_overhead_ns = (uint64_t)(n[OVERHEAD] * NS_PER_US),
        .block_ns = (uint64_t)(n[BLOCK_TIME] * NS_PER_US),
        .speculate = sim->speculate,
        .makes_parts = sim->makes_parts,
        .receive_ns = (uint64_t)n[RECEIVE_TIME],
        .send_ns = (uint64_t)n[SEND_TIME],
        .poll_ns = (uint64_t)(n[POLL_TIME] * NS_PER_US),
        .look_ns = (uint64_t)(n[LOOK_TIME] * 1e6),
        .receive_task_ns = (uint64_t)n[RECEIVE_TASK],
        .send_task_ns = (uint64_t)n[SEND_TASK],
        .batch_max = (uint32_t)n[BATCH],
        .task_batch = (uint32_t)n[TASK_BATCH],
        .latency_ns = (uint64_t)(n[LATENCY] * NS_PER_US),
        .node_latency_ns = (uint64_t)(n[NODE_LATENCY] * NS_PER_US),
        .link_bytes_per_s = n[BANDWIDTH],
        .disk_bytes_per_s = n[DISK_BANDWIDTH],
        .task_bytes = (uint64_t)n[TASK_BYTES],
        .shuffle_bytes = (uint64_t)n[SHUFFLE_BYTES],
        .late_share = n[LATE],
        .round_bytes = (uint64_t)n[ROUND_BYTES],
        .exchange_ns = (uint64_t)n[EXCHANGE_TIME],
        .rank_memory_bytes = (uint64_t)n[RANK_MEMORY],
        .levels = (uint32_t)n[LEVELS],
        .copy_bytes_per_s = n[COPY_BANDWIDTH],
        .send_bytes_per_s = n[SEND_BANDWIDTH],
        .packed_share = n[PACKED],
        .pack_bytes_per_s = n[PACK_BANDWIDTH],
        .state_bytes = (uint64_t)n[STATE_BYTES],
        .sync_ns = (uint64_t)(n[SYNC_TIME] * 1e6),
        .failure_ns = n[MTBF] * S_PER_HOUR * NS_PER_S,
        .shape = n[SHAPE],
        .restart_ns = (uint64_t)(n[RESTART_TIME] * NS_PER_S),
        .restart_count_max = (uint32_t)n[RESTARTS],
        .epochs = n[STATE_BYTES] > 0 ? epochs : NULL,
    };
}

static double peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss * 1024 : 0;
}

/* Of the ranks' time, the part that was work that counts. */
static double utilisation(const simulation *sim, const qn_cluster_result *result)
{
    return result->makespan_ns > 0 ? result->work_ns / result->makespan_ns / sim->numbers[RANKS] : 1;
}

static double per_second(uint64_t count, double ns)
{
    return ns > 0 ? (double)count / ns * NS_PER_S : 0;
}

static void print_text(const simulation *sim, const qn_cluster_result *result)
{
    const double *n = sim->numbers;
    double makespan_s = result->makespan_ns / NS_PER_S, ideal_s = result->ideal_ns / NS_PER_S;
    printf("%.0f ranks on %.0f nodes, %.0f tasks of %g s (%s), seed %.0f\n", n[RANKS], n[NODES], n[TASKS], n[TASK_TIME],
           length_names[sim->lengths], n[SEED]);
    printf("makespan     %12.3f s%s\n", makespan_s, result->finished ? "" : ", and not over: it failed too often");
    printf("ideal        %12.3f s, %.1f %% of that\n", ideal_s, makespan_s > 0 ? 100 * ideal_s / makespan_s : 100);
    printf("utilisation  %12.1f %% of the ranks' time is work that counts\n", 100 * utilisation(sim, result));
    printf("end          %12.3f s from the last task that was handed out to the end of the last\n",
           result->tail_ns / NS_PER_S);
    printf("shuffle      %12.3f s behind the last task, in %u rounds on %u level%s; %.1f MB of buffers a rank\n",
           result->exposed_ns / NS_PER_S, result->round_count, result->levels, result->levels == 1 ? "" : "s",
           (double)result->round_buffer_bytes / 1e6);
    printf("master       %12.1f %% busy, %.0f messages/s and %.0f orders/s, at most %llu of both in a second; %.3f ms "
           "is the "
           "longest that one waited\n",
           result->makespan_ns > 0 ? 100 * result->master_busy_ns / result->makespan_ns : 0,
           per_second(result->messages, result->makespan_ns), per_second(result->order_messages, result->makespan_ns),
           (unsigned long long)result->peak_messages_per_s, result->longest_queue_ns / 1e6);
    printf(
        "orders       %12.2f tasks in one that the master sends, %.2f in one that it gets; a rank holds %u at most\n",
        result->order_messages ? (double)result->orders / (double)result->order_messages : 0,
        result->messages ? (double)result->orders / (double)result->messages : 0, result->hand_most);
    printf("leaving      %12llu tasks were asked for; %llu were left to others when they had begun\n",
           (unsigned long long)result->asked, (unsigned long long)result->left);
    printf("seconds      %12llu second attempts, of which %llu won; %.3f s of each rank's work did not count by them\n",
           (unsigned long long)result->seconds, (unsigned long long)result->seconds_won,
           result->twice_ns / NS_PER_S / n[RANKS]);
    printf("failures     %12u, which took %.3f s of each rank's work, and %.3f s until it went on\n", result->failures,
           result->lost_ns / NS_PER_S / n[RANKS], result->down_ns / NS_PER_S);
    printf("epochs       %12u in %.3f s\n", result->epochs, result->epochs_ns / NS_PER_S);
    printf("simulated in %12.3f s, %.0f ns for each of %llu events; %.0f MB at most, of which the scheduler has %.0f\n",
           sim->seconds, result->event_count ? sim->seconds * NS_PER_S / (double)result->event_count : 0,
           (unsigned long long)result->event_count, peak_bytes() / 1e6, (double)result->scheduler_bytes / 1e6);
}

static json_t *pack_curve(const qn_cluster_result *result)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < result->bucket_count; i++) {
        const qn_cluster_bucket *bucket = &result->buckets[i];
        json_array_append_new(
            list, json_pack("{s:f, s:I, s:I}", "busy_ranks", bucket->busy_ns / (double)result->bucket_ns, "messages",
                            (json_int_t)bucket->messages, "tasks_done", (json_int_t)bucket->tasks_done));
    }
    return list;
}

static json_t *pack_input(const simulation *sim)
{
    json_t *input = json_object();
    for (int i = 0; i < NUMBER_COUNT; i++)
        json_object_set_new(input, defaults[i].name, json_real(sim->numbers[i]));
    json_object_set_new(input, "distribution", json_string(length_names[sim->lengths]));
    json_object_set_new(input, "speculate", json_string(speculate_names[sim->speculate]));
    json_object_set_new(input, "parts", json_boolean(sim->makes_parts));
    return input;
}

/* What depends on the machine that it runs on stands apart: all the rest is the same for the same seed. */
static void print_json(const simulation *sim, const qn_cluster_result *result)
{
    json_t *all = json_pack(
        "{s:i, s:o, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:i, s:i, s:I, "
        "s:i, s:I, s:I, s:I, s:f, s:o, s:I, s:i, s:I, s:I, s:I, s:I, s:f, "
        "s:{s:f, s:f}}",
        "quern_sim", 1, "input", pack_input(sim), "finished", (int)result->finished, "makespan_seconds",
        result->makespan_ns / NS_PER_S, "ideal_seconds", result->ideal_ns / NS_PER_S, "utilisation",
        utilisation(sim, result), "work_seconds", result->work_ns / NS_PER_S, "lost_seconds",
        result->lost_ns / NS_PER_S, "end_seconds", result->tail_ns / NS_PER_S, "shuffle_seconds",
        result->exposed_ns / NS_PER_S, "epoch_seconds", result->epochs_ns / NS_PER_S, "down_seconds",
        result->down_ns / NS_PER_S, "master_busy_seconds", result->master_busy_ns / NS_PER_S, "messages",
        (json_int_t)result->messages, "orders", (json_int_t)result->orders, "peak_messages_per_second",
        (json_int_t)result->peak_messages_per_s, "failures", (int)result->failures, "epochs", (int)result->epochs,
        "rounds", (json_int_t)result->round_count, "levels", (int)result->levels, "round_buffer_bytes",
        (json_int_t)result->round_buffer_bytes, "scheduler_bytes", (json_int_t)result->scheduler_bytes, "events",
        (json_int_t)result->event_count, "curve_step_seconds", (double)result->bucket_ns / NS_PER_S, "curve",
        pack_curve(result), "order_messages", (json_int_t)result->order_messages, "hand_most", (int)result->hand_most,
        "asked", (json_int_t)result->asked, "left", (json_int_t)result->left, "second_attempts",
        (json_int_t)result->seconds, "second_attempts_won", (json_int_t)result->seconds_won, "twice_seconds",
        result->twice_ns / NS_PER_S, "here", "seconds", sim->seconds, "peak_bytes", peak_bytes());
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(all);
}

static int simulate(simulation *sim)
{
    qn_cluster_result *result = calloc(1, sizeof *result);
    const qn_cluster_epochs epochs = {is_due, note_epoch, restart_epochs, &sim->epochs};
    prepare_epochs(sim);
    qn_cluster_config config = configure(sim, &epochs);
    clock_t start = clock();
    if (!result || !qn_cluster_run(&config, result)) {
        free(result);
        return quern_command_fail(0, "sim: there is no such cluster, or no memory for it");
    }
    sim->seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    int status = result->broken ? quern_command_fail(0, "sim: seed %.0f: %s", sim->numbers[SEED], result->broken) : 0;
    if (status == 0 && sim->prints_json)
        print_json(sim, result);
    else if (status == 0)
        print_text(sim, result);
    if (status == 0 && sim->plot)
        status = quern_sim_plot(sim->plot, result, sim->numbers[RANKS]);
    free(result);
    return status;
}

/* ---- the other program ---- */

static int run_faults(int argc, char **argv)
{
    char path[BESIDE_BYTES];
    (void)argc;
    argv[1] = (char *)FAULTS_PROGRAM;
    if (quern_beside_find(FAULTS_PROGRAM, "faults", path))
        execv(path, argv + 1);
    return quern_command_fail(errno, "sim: cannot start " FAULTS_PROGRAM);
}

static int run(int argc, char **argv)
{
    simulation sim = {.speculate = QN_CLUSTER_SPECULATE_AUTO};
    if (argc > 1 && strcmp(argv[1], "--faults") == 0)
        return run_faults(argc, argv);
    for (int i = 0; i < NUMBER_COUNT; i++)
        sim.numbers[i] = defaults[i].value;
    quern_command_parse(&quern_command_sim, argc, argv, take, &sim);
    if (settle_ranks(&sim) <= 0)
        return quern_command_fail(0, "sim: %g ranks are not %g nodes of %g", sim.numbers[RANKS], sim.numbers[NODES],
                                  sim.numbers[CORES]);
    if (sim.makes_parts && sim.numbers[STATE_BYTES] > 0)
        return quern_command_fail(0,
                                  "sim: where tasks make --parts nothing is saved by epochs: not with --state-bytes");
    return simulate(&sim);
}

const quern_command quern_command_sim = {
    .name = "sim",
    .operands = "",
    .what = "says how long a stage would take on a cluster, or whether every answer survives faults",
    .about =
        "The scheduler is the one of real jobs, and so are the rules by which epochs are cut, and by which tasks go "
        "on elsewhere near the end of the stage or are begun a second time; the rest is a model of ranks, tasks, "
        "links, a "
        "file system, and nodes that fail. It prints how long the stage takes, how busy ranks and master are, and "
        "what failures and epochs "
        "take. The same options give the same figures on any machine.\n\n"
        "With --faults as its first option it runs jobs by the library as it is, on ranks that die and with "
        "messages and disks that fail, "
        "and compares their answers; see quern sim --faults --help.\n\n"
        "Numbers may end in k, M, G or T (powers of 1000), or Ki, Mi, Gi, Ti.",
    .options = options,
    .examples = "  quern sim --ranks 10k --cores 128 --tasks 1M --distribution lognormal\n"
                "  quern sim --nodes 100 --cores 64 --mtbf 8760 --state-bytes 1T --json\n"
                "  quern sim --faults --runs 1000\n",
    .see = "gnuplot(1)",
    .run = run,
};
