/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern-faults (quern sim --faults): does every answer survive? Thousands of jobs, each from a seed: the library as it is, on ranks in one
 * process (fault_world.h), whose messages are late and whose machines die, at every kind of moment, with disks that forget (fault_disk.h). A job that
 * died or was told to end goes on from its checkpoint, with any number of ranks, until it is over. Then its answer has to be the right one.
 *
 * What is not the right answer, a job that fails or hangs, or a broken assertion, is told with its seed and with those of its faults that are
 * enough for it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scheduler/sim/sim_random.h"
#include "tools/faults/fault_answer.h"
#include "tools/faults/fault_disk.h"
#include "tools/faults/fault_job.h"
#include "tools/faults/fault_text.h"
#include "tools/quern/fault_options.h"
#include "tools/quern/litter.h"

#define MISUSED       2
#define SUSPENDED     75
#define ATTEMPTS_MAX  5 /* with faults; then one without */
#define PATIENCE_S    60
#define USAGE_COLUMNS 16
#define RUNS_DEFAULT  1000
#define SEEDS_MAX     4096 /* of a file */

/* Faults of an attempt, as bits; a plan has those of all attempts. */
enum {
    FAULT_DEATH = 1,
    FAULT_TEAR = 2,
    FAULT_ASKED = 4,
    FAULT_FAILING = 8,
    FAULT_DAMAGE = 16,
    FAULT_SLOW = 32,
    FAULT_BITS = 6
};

static const char *const fault_names[FAULT_BITS] = {
    "a rank dies",    "the disk forgets",        "the job is asked to end",
    "callbacks fail", "a saved file is damaged", "messages are slow"};

typedef struct totals {
    uint64_t runs, failed, attempts, deaths[QN_FAULT_MOMENT_COUNT], hardly, suspended, torn_files, damaged, epochs,
        resumed_epochs, trace, kinds[QN_FAULT_KIND_COUNT];
} totals;

typedef struct seed_line {
    uint64_t seed;
    qn_fault_kind kind; /* QN_FAULT_KIND_COUNT: by chance */
} seed_line;

typedef struct campaign {
    uint64_t first_seed, run_count;
    qn_fault_kind kind;                 /* QN_FAULT_KIND_COUNT: all */
    bool traces, prints_json, is_quick; /* quick: does not look for the least faults */
    const char *seeds_path;
    uint64_t without; /* faults that are left out */
    uint64_t fail_count_max;
    char parent[PATH_MAX - 64], directory[PATH_MAX];
    qn_fault_report *report; /* shared with the process that plays */
    totals sum;
} campaign;

/* ---- one attempt */

static uint64_t bit_of(uint32_t attempt, uint32_t fault)
{
    return (uint64_t)fault << (attempt * FAULT_BITS);
}

/* Of the faults of an attempt, those that a seed has; half of the attempts have no more than a death. */
static uint32_t draw_faults(uint64_t *random)
{
    uint32_t faults = qn_sim_chance(random, 850) ? FAULT_DEATH : FAULT_ASKED;
    if (qn_sim_chance(random, 500))
        faults |= FAULT_TEAR;
    if (qn_sim_chance(random, 500))
        return faults;
    faults |= qn_sim_chance(random, 200) ? FAULT_ASKED : 0;
    faults |= qn_sim_chance(random, 400) ? FAULT_FAILING : 0;
    faults |= qn_sim_chance(random, 300) ? FAULT_DAMAGE : 0;
    return faults | (qn_sim_chance(random, 400) ? FAULT_SLOW : 0);
}

/* seen: how many moments of each kind a run without faults had. */
static qn_fault_weather draw_weather(uint64_t *random, uint32_t faults, const qn_fault_report *seen)
{
    qn_fault_weather weather = {
        .seed = qn_sim_draw(random),
        .rank_count = 1 + (uint32_t)qn_sim_below(random, qn_sim_chance(random, 300) ? QN_FAULT_RANKS_MAX : 4),
        .death_kind = (qn_fault_moment)qn_sim_below(random, QN_FAULT_MOMENT_COUNT),
    };
    weather.node_count = 1 + (uint32_t)qn_sim_below(random, weather.rank_count);
    weather.death_number = 1 + qn_sim_below(random, seen->moments[weather.death_kind] + 1);
    weather.outlive_ns = qn_sim_chance(random, 500) ? 0 : qn_sim_below(random, 30000000);
    weather.asked_rank = (uint32_t)qn_sim_below(random, weather.rank_count);
    weather.asked_ns = qn_sim_below(random, seen->now_ns + 1);
    uint64_t slow_ns = 1 + qn_sim_below(random, 20000000);
    uint32_t failing = 1 + (uint32_t)qn_sim_below(random, 3);
    weather.dies = faults & FAULT_DEATH;
    weather.tears = faults & FAULT_TEAR;
    weather.is_asked = faults & FAULT_ASKED;
    weather.slow_ns = faults & FAULT_SLOW ? slow_ns : 0;
    weather.failing_callbacks = faults & FAULT_FAILING ? failing : 0;
    return weather;
}

/* The exit status of the process that played, or 128 and its signal. */
static int play(campaign *all, const qn_fault_job *job, const qn_fault_weather *weather)
{
    int status = 0;
    memset(all->report, 0, sizeof *all->report);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(PATIENCE_S);
        qn_fault_job_play(job, weather, all->report);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void count(campaign *all, int status, const qn_fault_weather *weather)
{
    const qn_fault_report *report = all->report;
    all->sum.attempts++;
    all->sum.trace = qn_sim_mix(all->sum.trace ^ report->trace);
    all->sum.epochs += report->epochs;
    all->sum.resumed_epochs += report->resumed_epochs;
    all->sum.torn_files += report->torn_files;
    all->sum.suspended += status == SUSPENDED;
    if (status == QN_FAULT_DIED)
        all->sum.deaths[weather->death_kind]++;
    all->sum.hardly += status == 0 && weather->dies;
}

/* What an attempt may end with that is not over; else what is wrong. */
static const char *judge_status(int status, const qn_fault_weather *weather)
{
    if (status == 0 || (status == QN_FAULT_DIED && weather->dies) || (status == SUSPENDED && weather->is_asked))
        return NULL;
    if (status == QN_FAULT_WRONG)
        return "what it was handed is another answer";
    if (status == QN_FAULT_HUNG || status == 128 + SIGALRM)
        return "it hangs";
    return status > 128 ? "a signal ended it" : "it failed";
}

/* ---- one seed */

/* Paths of a job are relative, since a name by chance in them would be chance that no seed decides. */
static bool empty_directory(const campaign *all)
{
    return quern_litter_remove(all->directory) && mkdir(all->directory, 0700) == 0 && chdir(all->directory) == 0;
}

static void tell_attempt(const campaign *all, uint32_t attempt, const qn_fault_weather *weather, int status)
{
    if (!all->traces)
        return;
    fprintf(stderr, "attempt %u on %u ranks of %u nodes: status %d%s%s", attempt + 1, weather->rank_count,
            weather->node_count, status, all->report->text[0] ? ", " : "", all->report->text);
    if (weather->dies)
        fprintf(stderr, "; to die %s, moment %" PRIu64 " of %" PRIu64, qn_fault_moment_names[weather->death_kind],
                weather->death_number, all->report->moments[weather->death_kind]);
    fprintf(stderr, "\n");
}

/* Outputs that are there, but a journal that is damaged does not say any more whose they are: that is told, and nothing is overwritten. */
static bool is_in_the_way(const qn_fault_report *report)
{
    return strstr(report->text, "QUERN_ERROR_OUTPUT_EXISTS") != NULL;
}

/* From attempt to attempt until it is over. *faults_out: those that the seed has. */
static const char *play_seed(campaign *all, seed_line line, uint64_t without, uint64_t *faults_out)
{
    bool was_damaged = false;
    uint64_t random = qn_sim_mix(line.seed ^ 0x7365656473);
    qn_fault_job job = qn_fault_job_draw(line.seed, line.kind);
    *faults_out = 0;
    all->sum.kinds[job.kind]++;
    if (!empty_directory(all) || !qn_fault_text_prepare(&job))
        return "the directory cannot be used";
    qn_fault_answer_prepare(&job);
    qn_fault_report seen = {.moments = {100, 100, 50, 20, 60, 60}, .now_ns = 100000000};
    for (uint32_t attempt = 0;; attempt++) {
        uint32_t faults = attempt < ATTEMPTS_MAX ? draw_faults(&random) : 0;
        *faults_out |= bit_of(attempt, faults);
        faults &= (uint32_t) ~(without >> (attempt * FAULT_BITS));
        qn_fault_weather weather = draw_weather(&random, faults, &seen);
        uint64_t damage_random = qn_sim_draw(&random);
        weather.traces = all->traces;
        bool is_damaged = (faults & FAULT_DAMAGE) && qn_fault_disk_damage("saved", &damage_random);
        all->sum.damaged += is_damaged;
        was_damaged |= is_damaged;
        int status = play(all, &job, &weather);
        tell_attempt(all, attempt, &weather, status);
        count(all, status, &weather);
        const char *wrong = judge_status(status, &weather);
        if (wrong && was_damaged && is_in_the_way(all->report)) {
            qn_fault_answer_clear();
            continue;
        }
        if (wrong)
            return wrong;
        if (status == 0)
            return qn_fault_answer_judge();
        for (int kind = 0; kind < QN_FAULT_MOMENT_COUNT; kind++)
            seen.moments[kind] =
                all->report->moments[kind] > seen.moments[kind] ? all->report->moments[kind] : seen.moments[kind];
        if (attempt >= ATTEMPTS_MAX)
            return "an attempt without faults is not over";
    }
}

/* ---- what fails */

static void print_faults(uint64_t faults)
{
    for (uint32_t attempt = 0; attempt <= ATTEMPTS_MAX; attempt++)
        for (uint32_t bit = 0; bit < FAULT_BITS; bit++)
            if (faults & bit_of(attempt, 1u << bit))
                printf("  attempt %u: %s\n", attempt + 1, fault_names[bit]);
}

/* Leaves out one fault after the other, as long as it is wrong without. */
static uint64_t find_least(campaign *all, seed_line line, uint64_t faults)
{
    uint64_t without = all->without, ignored = 0;
    totals before = all->sum;
    bool traces = all->traces;
    all->traces = false;
    for (uint32_t bit = 64; bit-- > 0;) {
        uint64_t one = UINT64_C(1) << bit;
        if ((faults & one & ~without) && play_seed(all, line, without | one, &ignored))
            without |= one;
    }
    all->sum = before;
    all->traces = traces;
    return without;
}

static void tell_failure(campaign *all, seed_line line, const char *wrong, uint64_t faults)
{
    const char *kind = qn_fault_kind_names[qn_fault_job_draw(line.seed, line.kind).kind];
    printf("seed %" PRIu64 " (%s): %s%s%s\n", line.seed, kind, wrong, all->report->text[0] ? ": " : "",
           all->report->text);
    if (all->is_quick)
        return;
    uint64_t without = find_least(all, line, faults);
    printf("of its faults these are enough:\n");
    print_faults(faults & ~without);
    printf("to see it: quern sim --faults --seed %" PRIu64 " --kind %s --runs 1 --without %" PRIx64 " --trace\n",
           line.seed, kind, without);
    fflush(stdout);
}

/* QN_FAULT_KIND_COUNT: there is none of that name. */
static qn_fault_kind find_kind(const char *name)
{
    int kind = 0;
    while (kind < QN_FAULT_KIND_COUNT && strcmp(name, qn_fault_kind_names[kind]) != 0)
        kind++;
    return (qn_fault_kind)kind;
}

/* Those that once failed, a line each; what follows # is passed over. */
static bool read_seeds(campaign *all, seed_line lines[SEEDS_MAX])
{
    char text[256], kind[16];
    FILE *file = fopen(all->seeds_path, "r");
    all->run_count = 0;
    while (file && fgets(text, sizeof text, file) && all->run_count < SEEDS_MAX) {
        char *end = NULL;
        uint64_t seed = strtoull(text, &end, 10);
        bool has_kind = end != text && sscanf(end, " %15[a-z]", kind) == 1;
        lines[all->run_count] = (seed_line){seed, has_kind ? find_kind(kind) : all->kind};
        all->run_count += end != text;
    }
    return file && fclose(file) == 0;
}

static void run_all(campaign *all, const seed_line *lines)
{
    for (uint64_t i = 0; i < all->run_count && all->sum.failed < all->fail_count_max; i++) {
        uint64_t faults = 0;
        seed_line line = lines ? lines[i] : (seed_line){all->first_seed + i, all->kind};
        const char *wrong = play_seed(all, line, all->without, &faults);
        all->sum.runs++;
        all->sum.failed += wrong != NULL;
        if (wrong)
            tell_failure(all, line, wrong, faults);
    }
}

/* ---- the command */

static void print_sum(const campaign *all, double seconds)
{
    const totals *sum = &all->sum;
    printf("%" PRIu64 " runs from seed %" PRIu64 ", %" PRIu64 " of them wrong; %.1f runs a second\n", sum->runs,
           all->first_seed, sum->failed, seconds > 0 ? (double)sum->runs / seconds : 0);
    printf("%" PRIu64 " attempts, of which %" PRIu64 " were over before they were to die and %" PRIu64
           " were asked to end; deaths:",
           sum->attempts, sum->hardly, sum->suspended);
    for (int kind = 0; kind < QN_FAULT_MOMENT_COUNT; kind++)
        printf(" %s %" PRIu64, qn_fault_moment_names[kind], sum->deaths[kind]);
    printf("\njobs:");
    for (int kind = 0; kind < QN_FAULT_KIND_COUNT; kind++)
        printf(" %s %" PRIu64, qn_fault_kind_names[kind], sum->kinds[kind]);
    printf("\n%" PRIu64 " epochs, from %" PRIu64 " of which a job went on; %" PRIu64 " files torn, %" PRIu64
           " damaged\n",
           sum->epochs, sum->resumed_epochs, sum->torn_files, sum->damaged);
}

static void print_json(const campaign *all, double seconds)
{
    const totals *sum = &all->sum;
    json_t *deaths = json_object(), *kinds = json_object();
    for (int kind = 0; kind < QN_FAULT_KIND_COUNT; kind++)
        json_object_set_new(kinds, qn_fault_kind_names[kind], json_integer((json_int_t)sum->kinds[kind]));
    for (int kind = 0; kind < QN_FAULT_MOMENT_COUNT; kind++)
        json_object_set_new(deaths, qn_fault_moment_names[kind], json_integer((json_int_t)sum->deaths[kind]));
    json_t *object =
        json_pack("{s:i, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:f}", "quern_faults", 1,
                  "first_seed", (json_int_t)all->first_seed, "runs", (json_int_t)sum->runs, "kinds", kinds, "wrong",
                  (json_int_t)sum->failed, "attempts", (json_int_t)sum->attempts, "suspended",
                  (json_int_t)sum->suspended, "deaths", deaths, "epochs", (json_int_t)sum->epochs, "resumed_epochs",
                  (json_int_t)sum->resumed_epochs, "torn_files", (json_int_t)sum->torn_files, "damaged_files",
                  (json_int_t)sum->damaged, "trace", (json_int_t)(sum->trace & INT64_MAX), "seconds", seconds);
    json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

static int misused(int status)
{
#define ROW(letter, name, argument, what) {name, argument, what},
    static const struct {
        const char *name, *argument, *what;
    } rows[] = {QN_FAULT_OPTIONS(ROW, ROW)};
#undef ROW
    FILE *to = status == 0 ? stdout : stderr;
    fputs("usage: quern sim --faults [OPTION...]\n", to);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fprintf(to, "  --%s%s%-*s %s\n", rows[i].name, rows[i].argument ? "=" : "",
                USAGE_COLUMNS - (int)strlen(rows[i].name) - (rows[i].argument != NULL),
                rows[i].argument ? rows[i].argument : "", rows[i].what);
    return status;
}

static bool parse_number(const char *text, int base, uint64_t *number_out)
{
    char *end = NULL;
    errno = 0;
    *number_out = strtoull(text, &end, base);
    return errno == 0 && end != text && *end == 0 && *text != '-';
}

static const char *choose_parent(void)
{
    const char *temporary = getenv("TMPDIR");
    if (access("/dev/shm", W_OK | X_OK) == 0)
        return "/dev/shm";
    return temporary && *temporary ? temporary : "/var/tmp";
}

static int parse_options(campaign *all, int argc, char **argv)
{
#define NAME(letter, name, argument, what)                                                                             \
    {name, (const char *)argument ? required_argument : no_argument, NULL, letter},
    static const struct option names[] = {
        QN_FAULT_OPTIONS(NAME, NAME){"help", no_argument, NULL, 'h'},
        {0},
    };
#undef NAME
    bool is_right = true;
    int option;
    while (is_right && (option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'h')
            exit(misused(0));
        else if (option == 'r')
            is_right = parse_number(optarg, 10, &all->run_count);
        else if (option == 's')
            is_right = parse_number(optarg, 10, &all->first_seed);
        else if (option == 'w')
            is_right = parse_number(optarg, 16, &all->without);
        else if (option == 'f')
            is_right = parse_number(optarg, 10, &all->fail_count_max) && all->fail_count_max > 0;
        else if (option == 'k')
            is_right = (all->kind = find_kind(optarg)) != QN_FAULT_KIND_COUNT;
        else if (option == 'd')
            is_right = snprintf(all->parent, sizeof all->parent, "%s", optarg) < (int)sizeof all->parent;
        else if (option == 'j')
            all->prints_json = true;
        else if (option == 't')
            all->traces = true;
        else if (option == 'q')
            all->is_quick = true;
        else if (option == 'S')
            all->seeds_path = optarg;
        else
            is_right = false;
    }
    return is_right && optind == argc ? 0 : misused(MISUSED);
}

/* Of a path that may be relative. */
static bool make_whole(char path[PATH_MAX])
{
    char *whole = realpath(path, NULL);
    bool fits = whole && snprintf(path, PATH_MAX, "%s", whole) < PATH_MAX;
    free(whole);
    return fits;
}

int main(int argc, char **argv)
{
    static seed_line seeds[SEEDS_MAX];
    static campaign all = {
        .first_seed = 1, .run_count = RUNS_DEFAULT, .fail_count_max = 5, .kind = QN_FAULT_KIND_COUNT};
    snprintf(all.parent, sizeof all.parent, "%s", choose_parent());
    int status = parse_options(&all, argc, argv);
    if (status != 0)
        return status;
    if (all.seeds_path && !read_seeds(&all, seeds)) {
        fprintf(stderr, "quern: sim: cannot read %s: %s\n", all.seeds_path, strerror(errno));
        return 1;
    }
    snprintf(all.directory, sizeof all.directory, "%s/quern-faults.XXXXXX", all.parent);
    all.report = mmap(NULL, sizeof *all.report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all.report == MAP_FAILED || !mkdtemp(all.directory) || !make_whole(all.directory)) {
        fprintf(stderr, "quern: sim: cannot make a directory in %s: %s\n", all.parent, strerror(errno));
        return 1;
    }
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* pages of 2 MB would be zeroed for jobs that need little */
    run_all(&all, all.seeds_path ? seeds : NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    (void)!chdir("/");
    quern_litter_remove(all.directory);
    if (all.prints_json)
        print_json(&all, seconds);
    else
        print_sum(&all, seconds);
    return all.sum.failed > 0;
}
