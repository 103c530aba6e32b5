/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern sim: how a stage would go on a cluster of any size: the real scheduler and the real rule for epochs, the rest a model
 * (scheduler/sim/cluster.h). With --faults as the first option it is another program, quern-faults, since that has all of the library in it.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "runtime/engine/epochs.h"
#include "scheduler/sim/cluster.h"
#include "tools/quern/commands.h"
#include "tools/quern/sim_plot.h"

#define NS_PER_S        1e9
#define NS_PER_US       1e3
#define S_PER_HOUR      3600.0
#define IN_HAND         2 /* as the master of real jobs has it */
#define ATTEMPTS        4
#define FAULTS_PROGRAM  "quern-faults"
#define ROUND_BYTES_MAX (4.0 * 1048576) /* what settings.c chooses where memory is no matter */
#define DEFAULT_CORES   16
#define TASKS_PER_RANK  100
#define COUNT_MAX       4e9

enum {
    RANKS,
    NODES,
    CORES,
    TASKS,
    SEED,
    TASK_TIME,
    SPREAD,
    STRAGGLERS,
    SLOWDOWN,
    OVERHEAD,
    BLOCK_TIME,
    MTBF,
    SHAPE,
    RESTART_TIME,
    RESTARTS,
    STATE_BYTES,
    EVERY,
    SYNC_TIME,
    LATENCY,
    NODE_LATENCY,
    BANDWIDTH,
    DISK_BANDWIDTH,
    TASK_BYTES,
    SHUFFLE_BYTES,
    LATE,
    ROUND_BYTES,
    EXCHANGE_TIME,
    LEVELS,
    COPY_BANDWIDTH,
    PACKED,
    PACK_BANDWIDTH,
    RECEIVE_TIME,
    SEND_TIME,
    POLL_TIME,
    BATCH,
    NUMBER_COUNT
};

typedef struct number_option {
    const char *name, *unit;
    double value, least, most; /* value: the default */
    const char *what;
} number_option;

static const number_option defaults[NUMBER_COUNT] = {
    [RANKS] = {"ranks", "R", 0, 1, COUNT_MAX, "ranks (nodes times cores)"},
    [NODES] = {"nodes", "N", 0, 1, COUNT_MAX, "nodes (ranks by cores)"},
    [CORES] = {"cores", "C", DEFAULT_CORES, 1, 1e6, "ranks on a node"},
    [TASKS] = {"tasks", "T", 0, 0, COUNT_MAX, "tasks (100 a rank)"},
    [SEED] = {"seed", "S", 1, 0, 9e15, "of all chance"},
    [TASK_TIME] = {"task-time", "S", 1, 1e-6, 1e6, "seconds a task takes on average"},
    [SPREAD] = {"spread", "X", 0, 0, 99, "lognormal: sigma of the logarithm (0.5); pareto: alpha, above 1 (2)"},
    [STRAGGLERS] = {"stragglers", "SHARE", 0, 0, 1, "of the nodes are slow"},
    [SLOWDOWN] = {"slowdown", "X", 3, 1, 1e6, "how many times slower"},
    [OVERHEAD] = {"overhead", "US", 60, 0, 1e9, "microseconds that each task takes besides"},
    [BLOCK_TIME] = {"block-time", "US", 300, 0, 1e9, "microseconds in which a rank leaves a task"},
    [MTBF] = {"mtbf", "HOURS", 0, 0, 1e9, "mean time between failures of a node (0: none fails)"},
    [SHAPE] = {"shape", "K", 0.7, 0.1, 10, "of Weibull's distribution of failures"},
    [RESTART_TIME] = {"restart-time", "S", 60, 0, 1e7, "seconds from a failure to the next start"},
    [RESTARTS] = {"restarts", "K", 1000, 0, 1e6, "before it is given up"},
    [STATE_BYTES] = {"state-bytes", "B", 0, 0, 1e18,
                     "that an epoch has to save at the end of the stage (0: no epochs)"},
    [EVERY] = {"checkpoint-every", "S", 0, 0, 1e9, "seconds between epochs (0: the rule of real jobs)"},
    [SYNC_TIME] = {"sync-time", "MS", 20, 0, 1e6, "milliseconds that an epoch takes besides its bytes"},
    [LATENCY] = {"latency", "US", 2, 0, 1e9, "microseconds of a message between nodes"},
    [NODE_LATENCY] = {"node-latency", "US", 0.5, 0, 1e9, "the same within a node"},
    [BANDWIDTH] = {"bandwidth", "B/s", 12.5e9, 0, 1e18, "of a node's link (0: no bound)"},
    [DISK_BANDWIDTH] = {"disk-bandwidth", "B/s", 0, 0, 1e18, "of the file system, which all share (0: no bound)"},
    [TASK_BYTES] = {"task-bytes", "B", 0, 0, 1e15, "that a task reads"},
    [SHUFFLE_BYTES] = {"shuffle-bytes", "B", 0, 0, 1e18, "that all ranks together send to others"},
    [LATE] = {"late", "SHARE", 1, 0, 1, "of these are sent when the last task is over (1: a reduction in memory)"},
    [ROUND_BYTES] = {"round-bytes", "B", ROUND_BYTES_MAX, 1024, 1e9, "of a rank in one round of the shuffle"},
    [EXCHANGE_TIME] = {"exchange-time", "NS", 500, 0, 1e9, "nanoseconds of a rank for each message of a round"},
    [LEVELS] = {"levels", "1|2", 0, 0, 2,
                "of a round: among all ranks, or within nodes and then between them (0: the quicker)"},
    [COPY_BANDWIDTH] = {"copy-bandwidth", "B/s", 5e9, 0, 1e18,
                        "of a rank, for all copies that two levels take (0: no bound)"},
    [PACKED] = {"packed", "SHARE", 1, 0.001, 1, "of what is shuffled is left when it is compressed (1: it is not)"},
    [PACK_BANDWIDTH] = {"pack-bandwidth", "B/s", 400e6, 0, 1e18,
                        "of a rank that compresses, there and back (0: no bound)"},
    [RECEIVE_TIME] = {"receive-time", "NS", 1000, 0, 1e9, "nanoseconds of the master to take a message"},
    [SEND_TIME] = {"send-time", "NS", 1500, 0, 1e9, "nanoseconds of the master to send an order"},
    [POLL_TIME] = {"poll-time", "US", 300, 0, 1e9, "microseconds from one look for messages to the next"},
    [BATCH] = {"batch", "K", 64, 1, 1e6, "messages that it takes at once"},
};

enum { OPTION_LENGTHS = NUMBER_COUNT, OPTION_JSON, OPTION_PLOT, OPTION_HELP, OPTION_COUNT };

typedef struct simulation {
    double numbers[NUMBER_COUNT];
    bool is_given[NUMBER_COUNT];
    qn_cluster_lengths lengths;
    bool prints_json;
    const char *plot;
    qn_epochs epochs;
    double seconds; /* that it took */
} simulation;

static const char *const length_names[] = {
    [QN_CLUSTER_CONSTANT] = "constant", [QN_CLUSTER_LOGNORMAL] = "lognormal", [QN_CLUSTER_PARETO] = "pareto"};

/* ---- options */

static void print_help(void)
{
    printf("usage: quern sim [OPTION...]\n       quern sim --faults [OPTION...]   (quern sim --faults --help)\n\n");
    for (int i = 0; i < NUMBER_COUNT; i++)
        printf("  --%s %s%*s%s%s%g%s\n", defaults[i].name, defaults[i].unit,
               (int)(26 - strlen(defaults[i].name) - strlen(defaults[i].unit)), "", defaults[i].what,
               defaults[i].value > 0 ? "; " : "", defaults[i].value,
               defaults[i].value > 0 ? "" : " if it is not given");
    printf("  --distribution NAME          of task times: constant, lognormal, pareto\n"
           "  --json                       figures as one object\n"
           "  --plot FILE.svg|FILE.png     drawn by gnuplot\n"
           "Numbers may end in k, M, G or T (powers of 1000), or Ki, Mi, Gi, Ti.\n");
}

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

static int parse_option(simulation *sim, int option, const char *text)
{
    if (option < NUMBER_COUNT) {
        sim->is_given[option] = true;
        if (parse_number(&defaults[option], text, &sim->numbers[option]))
            return 0;
        return quern_command_fail(0, "sim: --%s takes a number from %g to %g, not '%s'", defaults[option].name,
                                  defaults[option].least, defaults[option].most, text);
    }
    if (option == OPTION_JSON)
        sim->prints_json = true;
    else if (option == OPTION_PLOT)
        sim->plot = text;
    else {
        for (size_t i = 0; i < sizeof length_names / sizeof *length_names; i++)
            if (strcmp(text, length_names[i]) == 0) {
                sim->lengths = (qn_cluster_lengths)i;
                return 0;
            }
        return quern_command_fail(0, "sim: --distribution is constant, lognormal or pareto, not '%s'", text);
    }
    return 0;
}

static int parse_options(simulation *sim, int argc, char **argv)
{
    struct option names[OPTION_COUNT + 1] = {{0}};
    for (int i = 0; i < NUMBER_COUNT; i++)
        names[i] = (struct option){defaults[i].name, required_argument, NULL, i + 1};
    names[OPTION_LENGTHS] = (struct option){"distribution", required_argument, NULL, OPTION_LENGTHS + 1};
    names[OPTION_JSON] = (struct option){"json", no_argument, NULL, OPTION_JSON + 1};
    names[OPTION_PLOT] = (struct option){"plot", required_argument, NULL, OPTION_PLOT + 1};
    names[OPTION_HELP] = (struct option){"help", no_argument, NULL, OPTION_HELP + 1};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == '?')
            return QUERN_COMMAND_MISUSED;
        if (option == OPTION_HELP + 1) {
            print_help();
            exit(0);
        }
        int status = parse_option(sim, option - 1, optarg);
        if (status != 0)
            return status;
    }
    return optind == argc ? 0 : QUERN_COMMAND_MISUSED;
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
        .in_hand_max = IN_HAND,
        .attempt_count_max = ATTEMPTS,
        .lengths = sim->lengths,
        .task_ns = (uint64_t)(n[TASK_TIME] * NS_PER_S),
        .spread = n[SPREAD],
        .slow_share = n[STRAGGLERS],
        .slow_factor = n[SLOWDOWN],
        .task_overhead_ns = (uint64_t)(n[OVERHEAD] * NS_PER_US),
        .block_ns = (uint64_t)(n[BLOCK_TIME] * NS_PER_US),
        .receive_ns = (uint64_t)n[RECEIVE_TIME],
        .send_ns = (uint64_t)n[SEND_TIME],
        .poll_ns = (uint64_t)(n[POLL_TIME] * NS_PER_US),
        .batch_max = (uint32_t)n[BATCH],
        .latency_ns = (uint64_t)(n[LATENCY] * NS_PER_US),
        .node_latency_ns = (uint64_t)(n[NODE_LATENCY] * NS_PER_US),
        .link_bytes_per_s = n[BANDWIDTH],
        .disk_bytes_per_s = n[DISK_BANDWIDTH],
        .task_bytes = (uint64_t)n[TASK_BYTES],
        .shuffle_bytes = (uint64_t)n[SHUFFLE_BYTES],
        .late_share = n[LATE],
        .round_bytes = (uint64_t)n[ROUND_BYTES],
        .exchange_ns = (uint64_t)n[EXCHANGE_TIME],
        .levels = (uint32_t)n[LEVELS],
        .copy_bytes_per_s = n[COPY_BANDWIDTH],
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
           per_second(result->messages, result->makespan_ns), per_second(result->orders, result->makespan_ns),
           (unsigned long long)result->peak_messages_per_s, result->longest_queue_ns / 1e6);
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
    return input;
}

/* What depends on the machine that it runs on stands apart: all the rest is the same for the same seed. */
static void print_json(const simulation *sim, const qn_cluster_result *result)
{
    json_t *all = json_pack(
        "{s:i, s:o, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:i, s:i, s:I, "
        "s:i, s:I, s:I, s:I, s:f, s:o, "
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
        pack_curve(result), "here", "seconds", sim->seconds, "peak_bytes", peak_bytes());
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

/* ---- the other program: beside this one, or where installing puts it */

static int run_faults(int argc, char **argv)
{
    static const char *const places[] = {FAULTS_PROGRAM, "../faults/" FAULTS_PROGRAM,
                                         "../libexec/quern/" FAULTS_PROGRAM};
    char self[PATH_MAX], path[2 * PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    self[bytes > 0 ? bytes : 0] = 0;
    const char *directory = dirname(self);
    argv[1] = (char *)FAULTS_PROGRAM;
    (void)argc;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, places[i]);
        execv(path, argv + 1);
    }
    return quern_command_fail(errno, "sim: cannot start " FAULTS_PROGRAM);
}

int quern_command_sim(int argc, char **argv)
{
    simulation sim = {0};
    if (argc > 1 && strcmp(argv[1], "--faults") == 0)
        return run_faults(argc, argv);
    for (int i = 0; i < NUMBER_COUNT; i++)
        sim.numbers[i] = defaults[i].value;
    int status = parse_options(&sim, argc, argv);
    if (status != 0)
        return status;
    if (settle_ranks(&sim) <= 0)
        return quern_command_fail(0, "sim: %g ranks are not %g nodes of %g", sim.numbers[RANKS], sim.numbers[NODES],
                                  sim.numbers[CORES]);
    return simulate(&sim);
}
