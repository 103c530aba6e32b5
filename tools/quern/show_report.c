/* SPDX-License-Identifier: BSD-3-Clause */
/* quern report: the page, the trace and the metrics of a job, made again of its report; or what differs between two. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/engine/job_pages.h"
#include "runtime/engine/report_read.h"
#include "runtime/engine/stage_run.h"
#include "runtime/engine/verdict.h"
#include "tools/quern/batch_job.h"
#include "tools/quern/commands.h"
#include "tools/quern/show_report.h"

#define PATH_BYTES     4096
#define REPORT_BYTES   ((uint64_t)1 << 30) /* no report is larger; what is, is none */
#define DIFFERS_FROM   0.02
#define SILENT_SECONDS 30

typedef struct found_report {
    json_t *report;             /* owned */
    char directory[PATH_BYTES]; /* where its pages are */
} found_report;

/* ---- finding it ---- */

/* NULL: there is none, which has been said if it is to be. */
static json_t *read_report(const char *path, bool says)
{
    struct stat about;
    json_error_t problem;
    if (stat(path, &about) != 0) {
        if (says)
            quern_command_fail(errno, "cannot read %s", path);
        return NULL;
    }
    bool may_be = S_ISREG(about.st_mode) && about.st_size > 0 && (uint64_t)about.st_size <= REPORT_BYTES;
    json_t *report = may_be ? json_load_file(path, JSON_ALLOW_NUL, &problem) : NULL;
    if (json_is_object(report) && json_is_array(json_object_get(report, "ranks")))
        return report;
    json_decref(report);
    if (says)
        quern_command_fail(0, "%s is not a report", path);
    return NULL;
}

static json_t *stage_of(const json_t *status, double start, const char *outcome)
{
    return json_pack("{s:s, s:s, s:s, s:f, s:f}", "name", qn_report_text(status, "name"), "end", "", "status", outcome,
                     "start_seconds", start, "seconds", qn_report_number(status, "seconds"));
}

static bool is_unfinished(const json_t *status)
{
    const char *state = qn_report_text(status, "state");
    return strcmp(state, "running") == 0 || strcmp(state, "starting") == 0;
}

/* Whether that report is of the last run that the status tells of, and not of one before. The status is written once a second, the
 * report when a run ends: what ended since then is to be seen by the files' times alone, which one process made. */
static bool is_of_last_run(const char *directory, const json_t *status)
{
    char path[PATH_BYTES + 16];
    struct stat report, told;
    double run = qn_report_number(status, "run");
    if (!is_unfinished(status) || (run > 0 && qn_report_number(status, "runs_over") >= run))
        return true;
    snprintf(path, sizeof path, "%s/report.json", directory);
    bool is_known = stat(path, &report) == 0;
    snprintf(path, sizeof path, "%s/status.json", directory);
    is_known = is_known && stat(path, &told) == 0;
    return is_known && (report.st_mtim.tv_sec > told.st_mtim.tv_sec || (report.st_mtim.tv_sec == told.st_mtim.tv_sec &&
                                                                        report.st_mtim.tv_nsec > told.st_mtim.tv_nsec));
}

static json_t *stages_of(const json_t *status)
{
    const json_t *over = json_object_get(status, "stages_over"), *stage = json_object_get(status, "stage");
    json_t *stages = json_array();
    double start = 0;
    for (size_t i = 0; i < json_array_size(over); i++) {
        json_array_append_new(stages, stage_of(json_array_get(over, i), start, "QUERN_OK"));
        start += qn_report_number(json_array_get(over, i), "seconds");
    }
    if (json_is_object(stage))
        json_array_append_new(stages, stage_of(stage, start, "unfinished"));
    return stages;
}

static json_t *say_how_it_ended(const json_t *status, double seconds, bool is_over)
{
    const json_t *stage = json_object_get(status, "stage");
    double age = difftime(time(NULL), (time_t)qn_report_number(status, "updated"));
    if (*qn_report_text(status, "error"))
        return json_string(qn_report_text(status, "error"));
    if (!is_over && is_unfinished(status) && age <= SILENT_SECONDS)
        return json_string("it runs; the report is made when it ends");
    return json_sprintf("it was killed after %.0f s, in stage %.0f '%s'; what its ranks did is lost with them", seconds,
                        qn_report_number(stage, "number"), qn_report_text(stage, "name"));
}

/* Of a job that has no report what its status says: it was killed, or, unless is_over, lives. */
static json_t *report_of_status(const json_t *status, bool is_over)
{
    double seconds = qn_report_number(status, "updated") - qn_report_number(status, "started");
    json_t *alerts = json_object_get(status, "alerts");
    json_t *report = json_pack("{s:s, s:o, s:f, s:[], s:o}", "status",
                               is_unfinished(status) ? "unfinished" : qn_report_text(status, "state"), "error",
                               say_how_it_ended(status, seconds, is_over), "elapsed_seconds", seconds, "ranks",
                               "stages", stages_of(status));
    if (report)
        qn_verdict_set(report);
    if (report && alerts)
        json_object_set(report, "alerts", alerts);
    return report;
}

/* Of a directory or a number of SLURM. is_over: the job does not run, whatever it says. */
static bool find_in_directory(const char *name, bool is_over, found_report *found)
{
    quern_batch_job job;
    char path[PATH_BYTES + 16];
    if (quern_batch_find(name, &job) != 0)
        return false;
    snprintf(found->directory, sizeof found->directory, "%s", job.directory);
    snprintf(path, sizeof path, "%s/report.json", found->directory);
    json_t *status = quern_batch_read_status(&job);
    bool is_done = strcmp(qn_report_text(status, "state"), "done") == 0;
    found->report = read_report(path, !status || is_done);
    bool is_lost = is_over || qn_report_number(status, "run") <= 1;
    if (found->report && !is_of_last_run(found->directory, status) && is_lost) {
        json_decref(found->report); /* of an earlier job in that directory */
        found->report = NULL;
    }
    if (found->report)
        qn_verdict_set(found->report);
    else if (status && !is_done)
        found->report = report_of_status(status, is_over);
    json_decref(status);
    return found->report != NULL;
}

/* What the job said of its last run if it came to that, else what its status says. NULL, too: the pages are as they should be. */
static json_t *report_of_dead(const char *directory, const json_t *status)
{
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/report.json", directory);
    if (!is_unfinished(status))
        return NULL;
    if (!is_of_last_run(directory, status))
        return report_of_status(status, true);
    json_t *report = read_report(path, false);
    if (report)
        qn_verdict_set(report);
    return report;
}

void quern_report_killed(const char *directory)
{
    static const qn_log none = {.fd = -1};
    quern_batch_job job = {0};
    snprintf(job.directory, sizeof job.directory, "%s", directory);
    json_t *status = quern_batch_read_status(&job);
    json_t *report = report_of_dead(directory, status);
    if (report)
        qn_job_pages_write(directory, report, &none);
    json_decref(report);
    json_decref(status);
}

/* name: of a job, or of a file with a report, whose pages are to be beside it. */
static bool find(const char *name, bool is_over, found_report *found)
{
    struct stat about;
    *found = (found_report){0};
    if (stat(name, &about) != 0 || !S_ISREG(about.st_mode))
        return find_in_directory(name, is_over, found);
    const char *slash = strrchr(name, '/');
    snprintf(found->directory, sizeof found->directory, "%.*s", slash ? (int)(slash - name) : 1, slash ? name : ".");
    if (slash == name)
        snprintf(found->directory, sizeof found->directory, "/");
    found->report = read_report(name, true);
    if (found->report)
        qn_verdict_set(found->report);
    return found->report != NULL;
}

json_t *quern_report_load(const char *name)
{
    found_report found;
    return find(name, false, &found) ? found.report : NULL;
}

/* ---- one ---- */

/* Texts of the data may hold what terminals obey. */
static void put_text(const json_t *object, const char *name, const char *behind)
{
    for (const char *text = qn_report_text(object, name); *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7F ? '?' : *text);
    fputs(behind, stdout);
}

static void say(const json_t *report)
{
    const json_t *verdict = json_object_get(report, "verdict"), *alerts = json_object_get(report, "alerts");
    put_text(verdict, "text", "\n");
    put_text(verdict, "change", "\n");
    for (size_t i = 0; i < json_array_size(alerts); i++) {
        fputs("  ", stdout);
        put_text(json_array_get(alerts, i), "kind", ": ");
        put_text(json_array_get(alerts, i), "text", "\n");
    }
}

static int show(const char *name, const char *directory, bool is_over)
{
    found_report found;
    static const qn_log none = {.fd = -1};
    if (!find(name, is_over, &found))
        return 1;
    int result = 0;
    const char *to = directory ? directory : found.directory;
    say(found.report);
    if (!qn_job_pages_write(to, found.report, &none))
        result = quern_command_fail(errno, "cannot write the page, the trace and the metrics in %s", to);
    else
        printf("%s/report.html\n", to);
    json_decref(found.report);
    return result;
}

/* ---- two ---- */

static void put(double value, bool is_seconds, bool is_bytes)
{
    if (is_seconds)
        printf(" %13.3f s", value);
    else if (is_bytes)
        printf(" %15s", qn_report_bytes(value));
    else
        printf(" %15.0f", value);
}

static void compare(const char *name, double before, double after)
{
    bool is_seconds = strstr(name, "seconds") != NULL, is_bytes = strstr(name, "bytes") != NULL;
    bool differs = fabs(after - before) > DIFFERS_FROM * fmax(before, after);
    if (before == 0 && after == 0)
        return;
    printf("%-34s", name);
    put(before, is_seconds, is_bytes);
    put(after, is_seconds, is_bytes);
    if (!differs)
        printf("        =\n");
    else if (before > 0)
        printf(" %7.2f x\n", after / before);
    else
        printf("      new\n");
}

static void compare_figures(const json_t *before, const json_t *after)
{
#define COMPARE_FIGURE(field, meaning)                                                                                 \
    if (!strstr(#field, "_ns"))                                                                                        \
        compare(#field, qn_report_sum(before, #field), qn_report_sum(after, #field));
    QN_STAGE_FIGURES(COMPARE_FIGURE)
#undef COMPARE_FIGURE
}

static void compare_states(const json_t *before, const json_t *after)
{
#define COMPARE_STATE(state, name, letter)                                                                             \
    compare("seconds of ranks: " name, qn_report_state_seconds(before, name), qn_report_state_seconds(after, name));
    QN_TIMELINE_STATES(COMPARE_STATE)
#undef COMPARE_STATE
}

/* Side by side as they ran. */
static void compare_stages(const json_t *before, const json_t *after)
{
    size_t count = json_array_size(before) > json_array_size(after) ? json_array_size(before) : json_array_size(after);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(before, i), *other = json_array_get(after, i);
        char name[64];
        snprintf(name, sizeof name, "seconds of stage %zu '%.14s'", i + 1, qn_report_text(one ? one : other, "name"));
        compare(name, qn_report_number(one, "seconds"), qn_report_number(other, "seconds"));
    }
}

static int show_both(const char *first, const char *second)
{
    found_report before, after = {0};
    bool found = find(first, false, &before);
    found = find(second, false, &after) && found;
    if (found) {
        const json_t *ranks = json_object_get(before.report, "ranks"), *others = json_object_get(after.report, "ranks");
        printf("%-34s %15.15s %15.15s\n", "", first, second);
        compare("ranks", (double)json_array_size(ranks), (double)json_array_size(others));
        compare("elapsed seconds", qn_report_number(before.report, "elapsed_seconds"),
                qn_report_number(after.report, "elapsed_seconds"));
        compare_stages(json_object_get(before.report, "stages"), json_object_get(after.report, "stages"));
        compare_states(ranks, others);
        compare_figures(ranks, others);
        printf("\n%s:\n", first);
        say(before.report);
        printf("\n%s:\n", second);
        say(after.report);
    }
    json_decref(before.report);
    json_decref(after.report);
    return found ? 0 : 1;
}

#define ENDED QUERN_COMMAND_KEY

typedef struct wishes {
    const char *directory; /* for the files; NULL: the job's */
    bool is_over;
} wishes;

static bool take(void *given, int key, const char *word)
{
    wishes *all = given;
    if (key == ENDED) {
        all->is_over = true;
        return true;
    }
    all->directory = word;
    return *word != 0;
}

static const struct argp_option options[] = {
    {"ended", ENDED, NULL, 0, "The job does not run any more: if it says that it does, it was killed", 0},
    {"output", 'o', "DIR", 0, "Makes the files in DIR, and not in the job's directory", 0},
    {0},
};

static int run(int argc, char **argv)
{
    wishes all = {0};
    int first = quern_command_parse(&quern_command_report, argc, argv, take, &all);
    if (argc - first == 1)
        return show(argv[first], all.directory, all.is_over);
    if (argc - first == 2 && !all.directory && !all.is_over)
        return show_both(argv[first], argv[first + 1]);
    quern_command_fail(0, "report takes a job, or two without -o and --ended");
    return QUERN_COMMAND_MISUSED;
}

const quern_command quern_command_report = {
    .name = "report",
    .operands = "JOB [JOB]",
    .what = "says what bounded a job, or what differs between two",
    .about = "JOB is a job directory, the number of a job of SLURM, or the file of a report. Of one job it also makes "
             "report.html, a page of its own that a browser opens from the file system, trace.json for Perfetto, and "
             "metrics.prom for node_exporter, as the job itself does when it ends. Of a job that was killed they say "
             "how far "
             "it was.\n\nOf two jobs it prints their figures side by side, and by which factor they differ where that "
             "is more "
             "than 2 %.",
    .options = options,
    .examples = "  quern report quern-1234\n  quern report before after\n",
    .see = "quern-status(1), quern-run(1)",
    .run = run,
};
