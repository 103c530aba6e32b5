/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern-stream: the job of `quern stream` (tools/quern/stream.c, which checks its arguments first).
 *
 *     lines of files ──► map [──► combine] ──► sorted by key, each key on one rank ──► reduce ──► parts
 *
 * A launcher may start it as any job. Its arguments are those of `quern stream` but for how many ranks there are and where.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/engine/scratch_choice.h"
#include "tools/stream/command_line.h"
#include "tools/stream/stage.h"

enum { MAP, REDUCE, COMBINE, COMMAND_COUNT };

#define MISUSED             2
#define TIMEOUT_SECONDS_MAX 1000000
#define RECORD_BYTES_MAX    ((size_t)1 << 30) /* unless the option says otherwise */
#define TASK_TIMEOUT        "QUERN_TASK_TIMEOUT"

typedef struct job {
    const char *commands[COMMAND_COUNT]; /* NULL: there is none */
    char **words[COMMAND_COUNT];
    const char *directory;
    bool with_shell, is_misused;
    long timeout_s;
    quern_compression compression;
    quern_spawner spawner;
    quern_stream_config config;
    quern_stream_stage map, reduce;
    quern_stream_combiner combiner;
    quern_options options;
} job;

/* ---- arguments ---- */

static quern_compression compression_of(const char *name)
{
    return strcmp(name, "gzip") == 0   ? QUERN_GZIP
           : strcmp(name, "zstd") == 0 ? QUERN_ZSTD
           : strcmp(name, "lz4") == 0  ? QUERN_LZ4
                                       : QUERN_NOT_COMPRESSED;
}

static void take_option(job *all, int key, const char *word)
{
    switch (key) {
    case 'm':
    case 'c':
    case 'r':
        all->commands[key == 'm' ? MAP : key == 'c' ? COMBINE : REDUCE] = word;
        break;
    case 'o':
        all->directory = word;
        break;
    case 's':
        all->with_shell = true;
        break;
    case 'f':
        all->config.format = strcmp(word, "lengths") == 0 ? QUERN_STREAM_LENGTHS : QUERN_STREAM_LINES;
        all->is_misused |= strcmp(word, "lengths") != 0 && strcmp(word, "lines") != 0;
        break;
    case 't':
        all->timeout_s = strtol(word, NULL, 10);
        all->is_misused |= all->timeout_s < 1 || all->timeout_s > TIMEOUT_SECONDS_MAX;
        break;
    case 'p':
        all->config.is_per_file = true;
        break;
    case 'e':
        all->config.shows_stderr = true;
        break;
    case 'z':
        all->compression = compression_of(word);
        all->is_misused |= all->compression == QUERN_NOT_COMPRESSED;
        break;
    default:
        all->is_misused = true;
    }
}

static void read_arguments(job *all, int argc, char **argv)
{
    static const struct option names[] = {
        {"map", required_argument, NULL, 'm'},
        {"combine", required_argument, NULL, 'c'},
        {"reduce", required_argument, NULL, 'r'},
        {"output", required_argument, NULL, 'o'},
        {"shell", no_argument, NULL, 's'},
        {"format", required_argument, NULL, 'f'},
        {"timeout", required_argument, NULL, 't'},
        {"per-file", no_argument, NULL, 'p'},
        {"stderr", no_argument, NULL, 'e'},
        {"compress", required_argument, NULL, 'z'},
        {0},
    };
    int key;
    opterr = 0;
    all->config.format = QUERN_STREAM_LINES;
    while ((key = getopt_long(argc, argv, "o:", names, NULL)) != -1)
        take_option(all, key, optarg);
    all->is_misused |= !all->commands[MAP] || !all->directory || optind == argc;
    all->is_misused |= all->commands[COMBINE] && !all->commands[REDUCE];
    for (int i = 0; i < COMMAND_COUNT && !all->is_misused; i++) {
        const char *problem = NULL;
        if (all->commands[i])
            all->words[i] = quern_stream_split_command(all->commands[i], all->with_shell, &problem);
        all->is_misused |= all->commands[i] && !all->words[i];
    }
}

/* The library's own option is for callbacks, which here only wait for commands: it is taken as the commands'. */
static void take_timeout(job *all)
{
    const char *set = getenv(TASK_TIMEOUT);
    if (all->timeout_s == 0 && all->options.task_timeout_s > 0)
        all->timeout_s = (long)all->options.task_timeout_s;
    else if (all->timeout_s == 0 && set)
        all->timeout_s = strtol(set, NULL, 10);
    all->options.task_timeout_s = 0;
    unsetenv(TASK_TIMEOUT);
    bool is_set = all->timeout_s > 0 && all->timeout_s <= TIMEOUT_SECONDS_MAX;
    all->config.timeout_ms = is_set ? (int)(all->timeout_s * 1000) : -1;
}

static const char *find_scratch(const job *all)
{
    const char *set = getenv("QUERN_SCRATCH"), *asked = all->options.scratch_dir;
    if (!asked && set && *set)
        asked = set;
    return qn_scratch_choose(asked);
}

static bool encrypts(const job *all)
{
    const char *set = getenv("QUERN_ENCRYPT");
    return (all->options.encrypt && *all->options.encrypt) || (set && *set);
}

/* ---- the job ---- */

static quern_dataset *build(job *all, quern_context *context, char **paths, size_t path_count)
{
    const quern_schema pairs = {QUERN_BYTES, QUERN_BYTES, 0, 0}, records = {QUERN_BYTES, QUERN_NONE, 0, 0};
    quern_text_options places = {.struct_size = sizeof places, .value = QUERN_TEXT_PLACE};
    quern_sort_options whole = {.struct_size = sizeof whole, .whole_keys = 1};
    bool reduces = all->commands[REDUCE] != NULL;
    quern_dataset *lines = quern_read_text(context, (const char *const *)paths, path_count, &places);
    quern_dataset *mapped = quern_name(
        quern_flat_map_stretch(lines, reduces ? pairs : records, &quern_stream_stage_operator, &all->map), "map");
    if (!reduces)
        return mapped;
    quern_dataset *sorted = quern_sort_by_key(mapped, &whole);
    return quern_name(quern_flat_map_stretch(sorted, records, &quern_stream_stage_operator, &all->reduce), "reduce");
}

static int prepare(job *all)
{
    all->config.spawner = &all->spawner;
    all->config.scratch = find_scratch(all);
    all->config.record_bytes_max = all->options.record_bytes_max > 0 ? all->options.record_bytes_max : RECORD_BYTES_MAX;
    all->map.name = "map";
    all->map.command = MAP;
    all->map.program = all->words[MAP][0];
    all->map.gives_pairs = all->commands[REDUCE] != NULL;
    all->combiner.command = COMBINE;
    all->combiner.name = all->commands[COMBINE] ? all->words[COMBINE][0] : "";
    all->reduce.name = "reduce";
    all->reduce.command = REDUCE;
    all->reduce.program = all->commands[REDUCE] ? all->words[REDUCE][0] : "";
    all->reduce.takes_pairs = true;
    int map = quern_stream_stage_init(&all->map, &all->config, all->commands[COMBINE] ? &all->combiner : NULL);
    int reduce = quern_stream_stage_init(&all->reduce, &all->config, NULL);
    return map != 0 ? map : reduce;
}

/* The executable is this one whatever the commands are: what they run, and the files that they name, are the work. What names no file is in the
 * command line. */
static void note_command(quern_context *context, const char *command)
{
    char path[PATH_MAX];
    struct stat about;
    const char *problem = NULL;
    char **words = command ? quern_stream_split_command(command, false, &problem)
                           : NULL; /* of a shell's, too, as far as they are plain */
    for (char **word = words; word && *word; word++) {
        bool is_program = word == words && quern_stream_find_program(*word, path) == 0;
        if (!is_program)
            snprintf(path, sizeof path, "%s", *word);
        if (stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, R_OK) == 0)
            quern_note_file(context, path);
    }
    free(words);
}

static quern_status run(job *all, quern_context *context, char **paths, size_t path_count)
{
    bool is_root = quern_context_rank(context) == 0;
    for (int i = 0; i < COMMAND_COUNT && is_root; i++)
        note_command(context, all->commands[i]);
    quern_output_options form = {.struct_size = sizeof form, .compression = all->compression};
    form.form = all->config.format == QUERN_STREAM_LINES ? QUERN_FORM_TEXT : QUERN_FORM_FIXED;
    quern_write_files(build(all, context, paths, path_count), all->directory, &form);
    return quern_run(context);
}

/* On all ranks alike. */
static const char *find_problem(const job *all)
{
    if (all->is_misused)
        return "usage: quern-stream --map COMMAND [--combine COMMAND] [--reduce COMMAND] [OPTION...] -o DIR PATH...";
    return encrypts(all) ? "what commands give waits in scratch as it is: the option encrypt cannot be kept" : NULL;
}

int main(int argc, char **argv)
{
    static job all;
    quern_context *context = NULL;
    quern_options_init(&all.options);
    quern_status status = quern_options_read_argv(&all.options, &argc, argv);
    if (status != QUERN_OK)
        all.is_misused = true;
    else
        read_arguments(&all, argc, argv);
    signal(SIGPIPE, SIG_IGN); /* commands that do not read to the end */
    const char *problem = find_problem(&all);
    take_timeout(&all);
    int failed = problem ? 0 : quern_spawner_create(&all.spawner, all.words, COMMAND_COUNT);
    if (!problem && failed == 0)
        failed = prepare(&all);
    if (status == QUERN_OK)
        status = quern_context_create(NULL, NULL, &all.options, &context);
    else
        status = quern_context_create(&argc, argv, NULL, &context); /* fails alike, and knows which rank is to say so */
    bool speaks = quern_context_rank(context) == 0;
    if (status == QUERN_OK && !problem && failed == 0)
        status = run(&all, context, argv + optind, (size_t)(argc - optind));
    if (status != QUERN_OK && speaks)
        fprintf(stderr, "quern stream: %s\n", quern_context_error_text(context));
    if ((problem && status == QUERN_OK && speaks) || failed != 0)
        fprintf(stderr, "quern stream: %s\n", problem ? problem : strerror(failed));
    if (failed != 0)
        abort(); /* others may be in the middle of it: the launcher ends them */
    quern_context_destroy(context);
    if (!problem) {
        quern_stream_stage_fini(&all.map);
        quern_stream_stage_fini(&all.reduce);
        quern_spawner_destroy(&all.spawner);
    }
    return problem ? MISUSED : quern_exit_status(status);
}
