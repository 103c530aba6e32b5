/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern stream: a job whose mapper and reducer are commands, under `quern run`.
 *
 * The job is another program, quern-stream (tools/stream), since this one knows no MPI. Here arguments are checked, so that what is
 * misspelt is said once and before anything starts.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quern/beside.h"
#include "tools/quern/commands.h"
#include "tools/quern/job_directory.h"
#include "tools/stream/command_line.h"

#define PROGRAM          "quern-stream"
#define WORDS_MAX        64 /* besides paths and options of the library */
#define LIBRARY_OPTION   "--quern-"
#define TIMEOUT_MAX      1000000
#define STAGE_COUNT      3
#define RUN_OPTION_COUNT 7
#define AT_RANKS         0 /* among those; the others follow in the order of their keys */
#define AT_HOSTS         1

enum {
    RANKS = 'n',
    OUTPUT = 'o',
    MAP = QUERN_COMMAND_KEY,
    COMBINE,
    REDUCE,
    SHELL,
    FORMAT,
    PER_FILE,
    TIMEOUT,
    COMPRESS,
    SHOW_STDERR,
    HOSTS,
    RESTARTS,
    CHECKPOINT,
    MPIRUN,
    DIRECTORY_NAME,
    PROGRESS,
    NO_DIRECTORY,
};

static const struct argp_option options[] = {
    {"map", MAP, "COMMAND", 0, "Gets lines of the input, and gives lines"},
    {"combine", COMBINE, "COMMAND", 0,
     "Gets some of what map gave, sorted, and gives less of the same kind; of a key it may run any number of times"},
    {"reduce", REDUCE, "COMMAND", 0,
     "Gets what map gave, sorted, all of a key in one process; without it, that is the output"},
    {"output", OUTPUT, "DIR", 0, "Where the output goes; absent or empty"},
    {"shell", SHELL, NULL, 0, "Commands are for /bin/sh; without it, they are a program and its arguments"},
    {"format", FORMAT, "lines|lengths", 0,
     "What commands read and write: lines, with a tab behind the key, or records with their lengths before them "
     "(lines)"},
    {"per-file", PER_FILE, NULL, 0, "A process of map never sees two files"},
    {"timeout", TIMEOUT, "SECONDS", 0, "Kills a command that neither reads nor writes for so long (never)"},
    {"compress", COMPRESS, "gzip|zstd|lz4", 0, "Compresses the output"},
    {"stderr", SHOW_STDERR, NULL, 0,
     "Shows what commands write to standard error, and not only how that of a failed one ends"},
    {NULL, RANKS, "RANKS", 0, "As of quern run, and so is all that follows"},
    {"hosts", HOSTS, "HOSTS", 0, "Goes to mpirun as --host"},
    {"restarts", RESTARTS, "TIMES", 0, "Starts a job that was killed again, so many times at most (0)"},
    {"checkpoint", CHECKPOINT, "DIR", 0, "Where the job saves, and goes on from"},
    {"job", DIRECTORY_NAME, "DIR", 0, "The job directory (" JOB_DIRECTORY " where you are)"},
    {"no-job", NO_DIRECTORY, NULL, 0, "Has no job directory"},
    {"progress", PROGRESS, "auto|on|off", 0, "Lines about how far the job is (auto)"},
    {"mpirun", MPIRUN, "PROGRAM", 0, "The launcher (mpirun)"},
    {0},
};

typedef struct streaming {
    const char *stages[STAGE_COUNT]; /* map, combine, reduce; NULL: there is none */
    const char *output, *format, *timeout, *compress;
    bool with_shell, is_per_file, shows_stderr, has_no_directory;
    const char *of_run[RUN_OPTION_COUNT]; /* ranks, hosts, restarts, checkpoint, mpirun, job, progress */
    char **library;                       /* options of the library; [library_count] */
    size_t library_count;
} streaming;

static bool is_one_of(const char *word, const char *first, const char *second, const char *third)
{
    return strcmp(word, first) == 0 || strcmp(word, second) == 0 || strcmp(word, third) == 0;
}

static bool take(void *given, int key, const char *word)
{
    streaming *all = given;
    if (key >= MAP && key <= REDUCE)
        all->stages[key - MAP] = word;
    else if (key == RANKS)
        all->of_run[AT_RANKS] = word;
    else if (key == NO_DIRECTORY)
        all->has_no_directory = true;
    else if (key >= HOSTS)
        all->of_run[key - HOSTS + AT_HOSTS] = word;
    else if (key == SHELL || key == PER_FILE || key == SHOW_STDERR)
        *(key == SHELL ? &all->with_shell : key == PER_FILE ? &all->is_per_file : &all->shows_stderr) = true;
    else
        *(key == OUTPUT    ? &all->output
          : key == FORMAT  ? &all->format
          : key == TIMEOUT ? &all->timeout
                           : &all->compress) = word;
    return (key != FORMAT || is_one_of(word, "lines", "lengths", "lines")) &&
           (key != PROGRESS || is_one_of(word, "auto", "on", "off")) &&
           (key != COMPRESS || is_one_of(word, "gzip", "zstd", "lz4")) &&
           (key != TIMEOUT || quern_command_read_number(word, 1, TIMEOUT_MAX) > 0);
}

/* Takes the library's options out of argv, up to "--". NULL where there is no memory. */
static char **take_library_options(int *argc, char **argv, size_t *count_out)
{
    char **taken = calloc((size_t)*argc + 1, sizeof *taken);
    int kept = 0, i = 0;
    for (; taken && i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], LIBRARY_OPTION, strlen(LIBRARY_OPTION)) == 0)
            taken[(*count_out)++] = argv[i];
        else
            argv[kept++] = argv[i];
    }
    while (taken && i < *argc)
        argv[kept++] = argv[i++];
    if (taken)
        argv[ *argc = kept] = NULL;
    return taken;
}

/* 0, or the exit status. Elsewhere there may be other programs: then ranks find out. */
static int check_command(const streaming *all, int stage)
{
    static const char *const names[] = {"map", "combine", "reduce"};
    const char *problem = NULL, *command = all->stages[stage];
    bool is_elsewhere = all->of_run[AT_HOSTS] != NULL;
    if (!command)
        return 0;
    char **words = quern_stream_split_command(command, all->with_shell, &problem);
    if (!words && !problem)
        return quern_command_fail(ENOMEM, "stream: cannot read --%s", names[stage]);
    if (!words) {
        quern_command_fail(0, "stream: --%s: %s", names[stage], problem);
        return QUERN_COMMAND_MISUSED;
    }
    char path[PATH_MAX];
    int missing = is_elsewhere ? 0 : quern_stream_find_program(words[0], path);
    if (missing != 0)
        quern_command_fail(missing, "stream: --%s: cannot run '%s'", names[stage], words[0]);
    free(words);
    return missing != 0 ? QUERN_COMMAND_NOT_FOUND : 0;
}

static int check(const streaming *all)
{
    const char *problem = !all->stages[0]                     ? "--map is missing"
                          : !all->output                      ? "-o is missing"
                          : all->stages[1] && !all->stages[2] ? "--combine is nothing without --reduce"
                                                              : NULL;
    if (problem) {
        quern_command_fail(0, "stream: %s", problem);
        return QUERN_COMMAND_MISUSED;
    }
    for (int i = 0; i < STAGE_COUNT; i++) {
        int status = check_command(all, i);
        if (status != 0)
            return status;
    }
    return 0;
}

static void put(char **words, size_t *count, const char *option, const char *value)
{
    if (!value)
        return;
    words[(*count)++] = (char *)(uintptr_t)option;
    words[(*count)++] = (char *)(uintptr_t)value;
}

static void put_switch(char **words, size_t *count, const char *option, bool is_on)
{
    if (is_on)
        words[(*count)++] = (char *)(uintptr_t)option;
}

/* The arguments of `quern run`. */
static size_t put_words(const streaming *all, char *job, char **paths, char **words)
{
    static const char *const of_run[] = {"-n",       "--hosts", "--restarts", "--checkpoint",
                                         "--mpirun", "--job",   "--progress"};
    static char name[] = "quern run", end[] = "--";
    size_t count = 0;
    words[count++] = name;
    for (size_t i = 0; i < RUN_OPTION_COUNT; i++)
        put(words, &count, of_run[i], all->of_run[i]);
    put_switch(words, &count, "--no-job", all->has_no_directory);
    words[count++] = end;
    words[count++] = job;
    put(words, &count, "--map", all->stages[0]);
    put(words, &count, "--combine", all->stages[1]);
    put(words, &count, "--reduce", all->stages[2]);
    put(words, &count, "-o", all->output);
    put(words, &count, "--format", all->format);
    put(words, &count, "--timeout", all->timeout);
    put(words, &count, "--compress", all->compress);
    put_switch(words, &count, "--shell", all->with_shell);
    put_switch(words, &count, "--per-file", all->is_per_file);
    put_switch(words, &count, "--stderr", all->shows_stderr);
    for (size_t i = 0; i < all->library_count; i++)
        words[count++] = all->library[i];
    words[count++] = end;
    while (*paths)
        words[count++] = *paths++;
    words[count] = NULL;
    return count;
}

static int run_job(const streaming *all, char **paths, size_t path_count)
{
    static char job[BESIDE_BYTES];
    if (!quern_beside_find(PROGRAM, "stream", job))
        return quern_command_fail(ENOENT, "stream: cannot find " PROGRAM);
    char **words = calloc(WORDS_MAX + all->library_count + path_count, sizeof *words);
    if (!words)
        return quern_command_fail(ENOMEM, "stream: cannot run a job");
    size_t count = put_words(all, job, paths, words);
    int status = quern_command_run.run((int)count, words);
    free(words);
    return status;
}

static int run(int argc, char **argv)
{
    streaming all = {0};
    all.library = take_library_options(&argc, argv, &all.library_count);
    if (!all.library)
        return quern_command_fail(ENOMEM, "stream: cannot read the arguments");
    int first = quern_command_parse(&quern_command_stream, argc, argv, take, &all);
    int status = check(&all);
    if (status == 0)
        status = run_job(&all, argv + first, (size_t)(argc - first));
    free(all.library);
    return status;
}

static const quern_command_exit exits[] = {
    {"74", "what ranks had written to scratch or sent came back damaged"},
    {"75", "what there was is saved: the same job goes on from it"},
    {"76", "a rank hung"},
    {"127", "a command, or the launcher, is not there or cannot be run"},
    {"128+N", "signal N ended a rank or the launcher"},
    {"else", "as of quern run"},
    {0},
};

const quern_command quern_command_stream = {
    .name = "stream",
    .operands = "PATH...",
    .what = "runs a job whose mapper and reducer are commands",
    .about =
        "Commands in any language read records from standard input and write records to standard output, as with "
        "Hadoop streaming: lines, whose "
        "key is what is before the first tab. A reducer gets its lines sorted by the bytes of the key, and of equal "
        "keys by the rest; all lines "
        "of a key come to one process. The parts of the output in the order of their names are the whole.\n\n"
        "PATH is a file, packed or not, or a directory with all files below it. A process of map gets a piece of "
        "the input, of reduce what "
        "a rank has of all. A command that ends with another status than 0, by a signal, or by --timeout, has "
        "another attempt, on another "
        "rank where there is one; nothing of a failed one is in the output. What it wrote last to standard error "
        "is in the message.\n\n"
        "Options of the library (--quern-NAME=VALUE) may stand among the others. Commands find in QUERN_STREAM_STAGE, "
        "_TASK, _ATTEMPT, _INPUT_FILE and "
        "_INPUT_OFFSET what they work on.",
    .options = options,
    .exits = exits,
    .examples =
        "  quern stream --map ./words.py --combine ./sum.py --reduce ./sum.py -o counts input/\n"
        "  quern stream --shell --map \"grep -i error | cut -f 3\" -o errors logs/\n"
        "  quern stream -n 8 --map \"perl map.pl\" --reduce \"awk -f sum.awk\" -o out --quern-progress=on input\n",
    .see = "quern-run(1), quern-options(7)",
    .run = run,
};
