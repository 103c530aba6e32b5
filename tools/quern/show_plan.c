/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern explain: the plan of a job that is not run; or of one that was, what was foreseen of it against what it came to.
 *
 * The job is started with the option explain=only, by which the library writes the plan into a job directory of ours and gives no run. What the job
 * prints is kept back, since it belongs to no run, and shown if there is no plan.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/engine/report_read.h"
#include "tools/quern/commands.h"
#include "tools/quern/litter.h"
#include "tools/quern/plain_text.h"
#include "tools/quern/show_report.h"

#define PATH_BYTES     4096
#define RANK_COUNT_MAX 1000000
#define PATIENCE_LOOKS 60 /* after the plan is there, for the job to end */
#define LOOK_NS        50000000
#define NAME_COLUMNS   40
#define WORDS_MAX      8

typedef struct wishes {
    long rank_count; /* 0: no launcher */
    bool is_graph;
    const char *mpirun;
    char **words;
} wishes;

/* ---- a job that is not to be run ---- */

typedef struct attempt {
    char directory[PATH_BYTES], plan[PATH_BYTES + 16], said[PATH_BYTES + 16];
    pid_t process;
    int outcome;
} attempt;

static volatile sig_atomic_t ended_by;

static void note_signal(int number)
{
    ended_by = number;
}

/* Options that would lead the plan elsewhere are left out. */
static bool is_ours(const char *word, bool *has_value_out)
{
    static const char *const names[] = {"--quern-job", "--quern-explain", "--quern-progress", "--quern-singleton"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t bytes = strlen(names[i]);
        if (strncmp(word, names[i], bytes) != 0 || (word[bytes] != 0 && word[bytes] != '='))
            continue;
        *has_value_out = word[bytes] == '=';
        return true;
    }
    return false;
}

/* NULL: no memory. */
static char **make_command(const wishes *all, char ranks[32])
{
    size_t count = 0, words = 0;
    bool is_over = false, has_value = false;
    while (all->words[words])
        words++;
    char **command = calloc(words + WORDS_MAX, sizeof *command);
    if (!command)
        return NULL;
    snprintf(ranks, 32, "%ld", all->rank_count);
    if (all->rank_count > 0) {
        command[count++] = (char *)all->mpirun;
        command[count++] = (char *)"-n";
        command[count++] = ranks;
    }
    for (size_t i = 0; i < words; i++) {
        is_over |= strcmp(all->words[i], "--") == 0; /* what is behind is the job's, whatever it is */
        if (i == 0 || is_over || !is_ours(all->words[i], &has_value))
            command[count++] = all->words[i];
        else if (!has_value && i + 1 < words)
            i++;
    }
    return command;
}

static void set_environment(const wishes *all, const attempt *made)
{
    setenv("QUERN_EXPLAIN", all->is_graph ? "only-dot" : "only", 1);
    setenv("QUERN_JOB", made->directory, 1);
    setenv("QUERN_PROGRESS", "off", 1);
    unsetenv("QUERN_REPORT");
    unsetenv("QUERN_LOG");
    if (all->rank_count == 0)
        setenv("QUERN_SINGLETON", "on", 1);
    else
        unsetenv("QUERN_SINGLETON");
}

static int start(const wishes *all, attempt *made)
{
    char ranks[32];
    char **command = make_command(all, ranks);
    int said = open(made->said, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND, 0600);
    made->process = command && said >= 0 ? fork() : -1;
    if (made->process == 0) {
        set_environment(all, made);
        dup2(said, STDOUT_FILENO);
        dup2(said, STDERR_FILENO);
        execvp(command[0], command);
        fprintf(stderr, "cannot start %s: %s\n", command[0], strerror(errno));
        fflush(stderr);
        _exit(QUERN_COMMAND_NOT_FOUND);
    }
    int number = errno;
    if (said >= 0)
        close(said);
    free(command);
    return made->process < 0 ? quern_command_fail(number, "cannot start the job") : 0;
}

/* A program may go on whatever its runs give: then it is ended. */
static void wait_for(attempt *made)
{
    int looks = 0;
    while (waitpid(made->process, &made->outcome, WNOHANG) == 0) {
        struct timespec pause = {0, LOOK_NS};
        nanosleep(&pause, NULL);
        looks += access(made->plan, F_OK) == 0;
        if (ended_by != 0 || looks == PATIENCE_LOOKS)
            kill(made->process, SIGTERM);
        else if (looks == 2 * PATIENCE_LOOKS)
            kill(made->process, SIGKILL);
    }
}

static int copy_out(const char *path, FILE *to)
{
    char room[4096];
    size_t bytes;
    FILE *from = fopen(path, "re");
    if (!from)
        return quern_command_fail(errno, "cannot read %s", path);
    while ((bytes = fread(room, 1, sizeof room, from)) > 0)
        fwrite(room, 1, bytes, to);
    fclose(from);
    return fflush(to) == 0 ? 0 : quern_command_fail(errno, "cannot write the plan");
}

static int tell(const attempt *made)
{
    if (access(made->plan, F_OK) == 0)
        return copy_out(made->plan, stdout);
    copy_out(made->said, stderr);
    if (WIFSIGNALED(made->outcome))
        return quern_command_fail(0, "there is no plan: the job was ended by signal %d", WTERMSIG(made->outcome));
    if (WEXITSTATUS(made->outcome) == QUERN_COMMAND_NOT_FOUND) {
        quern_command_fail(0, "there is no plan: the job cannot be started");
        return QUERN_COMMAND_NOT_FOUND;
    }
    return quern_command_fail(0, "there is no plan: the job ended with status %d before its first run",
                              WEXITSTATUS(made->outcome));
}

static void heed_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

static int explain_job(const wishes *all)
{
    attempt made = {0};
    const char *temporary = getenv("TMPDIR");
    snprintf(made.directory, sizeof made.directory, "%s/quern-explain.XXXXXX",
             temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(made.directory))
        return quern_command_fail(errno, "cannot make %s", made.directory);
    snprintf(made.plan, sizeof made.plan, "%s/plan.%s", made.directory, all->is_graph ? "dot" : "txt");
    snprintf(made.said, sizeof made.said, "%s/said", made.directory);
    heed_signals();
    int status = start(all, &made);
    if (status == 0) {
        wait_for(&made);
        status = ended_by != 0 ? quern_command_fail(0, "ended by signal %d", (int)ended_by) : tell(&made);
    }
    if (!quern_litter_remove(made.directory))
        quern_command_fail(errno, "%s cannot be removed", made.directory);
    return status;
}

/* ---- a job that was run ---- */

static void put_name(const char *name)
{
    char text[4 * NAME_COLUMNS + 1];
    size_t columns = quern_plain_text(name, NAME_COLUMNS, text, sizeof text);
    printf("  %s%*s", text, (int)(NAME_COLUMNS - columns), "");
}

/* Read by the leg that begins with the edge; -1: none does. */
static double read_bytes_of(const json_t *stage, size_t edge)
{
    const json_t *legs = json_object_get(stage, "legs");
    for (size_t i = 0; i < json_array_size(legs); i++) {
        const json_t *leg = json_array_get(legs, i), *first = json_object_get(leg, "first_edge");
        if (json_is_integer(first) && json_integer_value(first) == (json_int_t)edge)
            return qn_report_number(leg, "read_bytes");
    }
    return -1;
}

static void put_edge(const json_t *stage, const json_t *edge, size_t number)
{
    char foreseen[64] = "-", actual[64] = "-";
    double was = read_bytes_of(stage, number);
    if (json_is_number(json_object_get(edge, "foreseen_bytes")))
        snprintf(foreseen, sizeof foreseen, "%s %s",
                 json_is_true(json_object_get(edge, "foreseen_at_most")) ? "at most" : "about",
                 qn_report_bytes(qn_report_number(edge, "foreseen_bytes")));
    if (was >= 0)
        snprintf(actual, sizeof actual, "%s", qn_report_bytes(was));
    put_name(qn_report_text(edge, "name"));
    printf("%17s%11s%16.0f%16.0f%16.0f\n", foreseen, actual, qn_report_number(edge, "records_in"),
           qn_report_number(edge, "records_out"), qn_report_number(edge, "records_dropped"));
}

static void put_stage(const json_t *stage, size_t number)
{
    const json_t *edges = json_object_get(stage, "edges"), *ranks = json_object_get(stage, "ranks");
    char status[64];
    quern_plain_text(qn_report_text(stage, "status"), sizeof status - 1, status, sizeof status);
    printf("stage %zu: %s, %.3f s; %s read, %s sent, %s spilled\n", number, status, qn_report_number(stage, "seconds"),
           qn_report_bytes(qn_report_sum(ranks, "input_bytes")), qn_report_bytes(qn_report_sum(ranks, "sent_bytes")),
           qn_report_bytes(qn_report_sum(ranks, "spilled_bytes")));
    for (size_t i = 0; i < json_array_size(edges); i++)
        put_edge(stage, json_array_get(edges, i), i);
}

static int explain_report(const char *name)
{
    char status[64];
    json_t *report = quern_report_load(name);
    const json_t *stages = json_object_get(report, "stages");
    if (!report)
        return 1;
    quern_plain_text(qn_report_text(report, "status"), sizeof status - 1, status, sizeof status);
    printf("run: %s, %.3f s on %zu ranks, %zu stages\n", status, qn_report_number(report, "elapsed_seconds"),
           json_array_size(json_object_get(report, "ranks")), json_array_size(stages));
    printf("%-*s%17s%11s%16s%16s%16s\n", NAME_COLUMNS + 2, "", "foreseen", "read", "records in", "out", "dropped");
    for (size_t i = 0; i < json_array_size(stages); i++)
        put_stage(json_array_get(stages, i), i + 1);
    json_decref(report);
    return fflush(stdout) == 0 ? 0 : quern_command_fail(errno, "cannot write");
}

/* ---- the command ---- */

enum { DOT = QUERN_COMMAND_KEY, MPIRUN };

static const struct argp_option options[] = {
    {NULL, 'n', "N", 0, "The job is started on so many ranks; without it, as one process without a launcher", 0},
    {"dot", DOT, NULL, 0, "A graph for Graphviz's dot, of a job that is not run", 0},
    {"mpirun", MPIRUN, "PROGRAM", 0, "The launcher (mpirun)", 0},
    {0},
};

static bool take(void *given, int key, const char *word)
{
    wishes *all = given;
    if (key == 'n')
        all->rank_count = quern_command_read_number(word, 1, RANK_COUNT_MAX);
    else if (key == DOT)
        all->is_graph = true;
    else
        all->mpirun = word;
    return all->rank_count >= 0;
}

/* One word that is a directory, a file that is no program, or the number of a job of SLURM. */
static bool is_past(const char *word)
{
    struct stat about;
    if (stat(word, &about) != 0)
        return *word != 0 && word[strspn(word, "0123456789")] == 0;
    return S_ISDIR(about.st_mode) || (S_ISREG(about.st_mode) && access(word, X_OK) != 0);
}

static int run(int argc, char **argv)
{
    wishes all = {.mpirun = "mpirun"};
    int operand = quern_command_parse(&quern_command_explain, argc, argv, take, &all);
    bool is_marked = operand > 1 && strcmp(argv[operand - 1], "--") == 0;
    all.words = argv + operand;
    if (is_marked || operand + 1 < argc || !is_past(argv[operand]))
        return explain_job(&all);
    if (all.is_graph) {
        quern_command_fail(0, "explain: --dot is for a job that is not run");
        return QUERN_COMMAND_MISUSED;
    }
    return explain_report(argv[operand]);
}

static const quern_command_exit exits[] = {
    {"127", "there is no such job or launcher"},
    {NULL, NULL},
};

const quern_command quern_command_explain = {
    .name = "explain",
    .operands = "DIR | " QUERN_COMMAND_JOB,
    .what = "shows the plan of a job without running it, or what became of one",
    .about = "The job is started, and builds its graph; its first run gives the plan, and nothing is read, written or "
             "run. What the job prints is "
             "kept back, unless there is no plan. A program of several runs shows the first, since the others need "
             "what it gives; one that goes on "
             "all the same is ended after 3 seconds.\n\n"
             "DIR is a job directory, a report or the number of a job of SLURM: then for each source, operator and end "
             "of each stage "
             "it shows the bytes that were foreseen before the run, those that were read, and the records.",
    .options = options,
    .exits = exits,
    .examples = "  quern explain -- ./wordcount -o counts input/\n"
                "  quern explain --dot -- ./wordcount -o counts input/ | dot -Tsvg >plan.svg\n"
                "  quern run -n 8 -- ./wordcount --quern-job=job -o counts input/ && quern explain job\n",
    .see = "quern-run(1), quern-report(1), dot(1)",
    .run = run,
};
