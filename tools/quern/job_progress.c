/* SPDX-License-Identifier: BSD-3-Clause */
/* quern status: how far a job is, from the file that it keeps in its directory. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/quern/batch_job.h"
#include "tools/quern/commands.h"
#include "tools/quern/plain_text.h"

#define SILENT_SECONDS 30

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static double real(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* Fit for a terminal. One of four in turn. */
static const char *text(const json_t *object, const char *name)
{
    static char texts[4][1024];
    static unsigned turn;
    char *clean = texts[turn++ % 4];
    const char *value = json_string_value(json_object_get(object, name));
    quern_plain_text(value ? value : "", sizeof texts[0], clean, sizeof texts[0]);
    return clean;
}

static void print_bytes(json_int_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1000;
    printf(unit > 0 && value < 10 ? "%.2f %s" : "%.0f %s", value, units[unit]);
}

static void print_stages(const json_t *status)
{
    size_t index;
    json_t *stage;
    json_array_foreach(json_object_get(status, "stages_over"), index, stage)
    {
        printf("  stage %lld  %-24s %9.1f s  done, ", (long long)number(stage, "number"), text(stage, "name"),
               real(stage, "seconds"));
        print_bytes(number(stage, "bytes"));
        printf(" read\n");
    }
    stage = json_object_get(status, "stage");
    if (!json_is_object(stage))
        return;
    const json_t *figures = json_object_get(status, "figures");
    double seconds = real(stage, "seconds"), done = real(stage, "bytes_done"), all = real(stage, "bytes");
    double before = real(stage, "bytes_before"), to_read = real(figures, "result_records");
    printf("  stage %lld  %-24s %9.1f s", (long long)number(stage, "number"), text(stage, "name"), seconds);
    if (all > 0) {
        printf("  %.0f %%, %lld of %lld tasks, ", 100 * done / all, (long long)number(stage, "tasks_done"),
               (long long)number(stage, "tasks"));
        print_bytes(number(stage, "bytes_done"));
        printf(" of ");
        print_bytes(number(stage, "bytes"));
        if (done > before && done < all)
            printf(", about %.0f s to go", seconds * (all - done) / (done - before));
    } else if (to_read > 0) {
        double read = real(figures, "records");
        printf("  %.0f %% of %.0f records", read < to_read ? 100 * read / to_read : 100, to_read);
        if (read > 0 && read < to_read)
            printf(", about %.0f s to go", seconds * (to_read - read) / read);
    }
    printf("\n");
}

/* Whether it lives. */
static bool print_status(const json_t *status)
{
    long long age = (long long)time(NULL) - (long long)number(status, "updated");
    const char *state = text(status, "state");
    bool runs = strcmp(state, "running") == 0 || strcmp(state, "starting") == 0;
    printf("%s: process %lld on %s, %lld ranks on %lld nodes", state, (long long)number(status, "process"),
           text(status, "host"), (long long)number(status, "ranks"), (long long)number(status, "nodes"));
    if (number(status, "run") > 0)
        printf(", run %lld, stage %lld of %lld", (long long)number(status, "run"),
               (long long)json_array_size(json_object_get(status, "stages_over")) +
                   json_is_object(json_object_get(status, "stage")),
               (long long)number(status, "stages"));
    printf(runs ? ", started %lld s ago\n" : ", %lld s long\n",
           (long long)(runs ? time(NULL) : number(status, "updated")) - (long long)number(status, "started"));
    print_stages(status);
    if (*text(status, "error"))
        printf("  %s\n", text(status, "error"));
    if (runs && age > SILENT_SECONDS)
        printf("  It has said nothing for %lld s: it was killed, or does not see its directory any more.\n", age);
    return !runs || age <= SILENT_SECONDS;
}

static int show(const char *name, bool as_json)
{
    quern_batch_job job;
    if (quern_batch_find(name, &job) != 0)
        return 1;
    json_t *status = quern_batch_read_status(&job);
    int result = 0;
    if (as_json && status)
        result = json_dumpf(status, stdout, JSON_INDENT(1)) == 0 && putchar('\n') != EOF ? 0 : 1;
    else if (as_json)
        result = quern_command_fail(0, "%s has no status yet", job.directory);
    else {
        printf("%s: %s%s", name, job.directory, *job.state ? ", in SLURM " : "\n");
        if (*job.state)
            printf("%s\n", job.state);
        if (!status)
            printf("no status yet\n");
        else
            result = print_status(status) ? 0 : 1;
    }
    json_decref(status);
    return result;
}

static const struct argp_option options[] = {
    {"json", QUERN_COMMAND_KEY, NULL, 0, "Prints status.json as it is"},
    {0},
};

static bool take(void *as_json, int key, const char *word)
{
    (void)key, (void)word;
    *(bool *)as_json = true;
    return true;
}

static int run(int argc, char **argv)
{
    bool as_json = false;
    int status = 0;
    setlocale(LC_CTYPE, "");
    for (int i = quern_command_parse(&quern_command_status, argc, argv, take, &as_json); i < argc; i++)
        status |= show(argv[i], as_json);
    return status;
}

const quern_command quern_command_status = {
    .name = "status",
    .operands = "JOB...",
    .what = "says how far jobs are",
    .about = "JOB is a job directory, or the number of a job of SLURM. It reads what the job writes there once a "
             "second, so it works on "
             "any machine that sees the directory. The exit status is 1, too, if a job that should run has said "
             "nothing for 30 seconds.",
    .options = options,
    .examples = "  quern status 1234\n"
                "  quern status --json quern-1234 | jq .stage\n",
    .see = "quern-cancel(1), quern-submit(1), quern-top(1), squeue(1)",
    .run = run,
};
