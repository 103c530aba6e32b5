/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metrics of a run in the text form of OpenMetrics, for the textfile collector of node_exporter. All of them are gauges: they are of the last run, and begin
 * anew with the next, and both OpenMetrics and the older form of Prometheus read gauges alike. No metric is of a rank: as many series as ranks are more than a
 * server of metrics is for.
 */
#include <math.h>
#include <string.h>

#include "runtime/base/timeline.h"
#include "runtime/engine/job_pages.h"
#include "runtime/engine/report_read.h"
#include "runtime/engine/stage_run.h"

static void family(FILE *to, const char *name, const char *unit, const char *what)
{
    fprintf(to, "# TYPE %s gauge\n", name);
    if (*unit)
        fprintf(to, "# UNIT %s %s\n", name, unit);
    fprintf(to, "# HELP %s %s\n", name, what);
}

static void put_number(FILE *to, double number)
{
    if (number == floor(number) && fabs(number) < 9e15)
        fprintf(to, " %.0f\n", number);
    else
        fprintf(to, " %.9g\n", number);
}

/* A label's value between quotes: these, backslashes and ends of lines are what has to be escaped. */
static void put_label(FILE *to, const char *name, const char *value)
{
    fprintf(to, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", to);
        else if (*value == '"' || *value == '\\')
            fprintf(to, "\\%c", *value);
        else
            putc(*value, to);
    }
    putc('"', to);
}

static void put_plain(FILE *to, const char *name, const char *unit, const char *what, double number)
{
    family(to, name, unit, what);
    fputs(name, to);
    put_number(to, number);
}

static void put_states(FILE *to, const json_t *ranks)
{
    family(to, "quern_state_seconds", "seconds", "Time of all ranks in a state.");
    static const char *const names[] = {
#define NAME(state, name, letter) name,
        QN_TIMELINE_STATES(NAME)
#undef NAME
    };
    for (size_t state = 0; state < QN_TIMELINE_STATE_COUNT; state++) {
        fprintf(to, "quern_state_seconds{state=\"%s\"}", names[state]);
        put_number(to, qn_report_state_seconds(ranks, names[state]));
    }
}

static void put_stages(FILE *to, const json_t *stages)
{
    family(to, "quern_stage_seconds", "seconds", "Wall time of a stage.");
    for (size_t i = 0; i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);
        fprintf(to, "quern_stage_seconds{stage=\"%zu\",", i + 1);
        put_label(to, "name", qn_report_text(stage, "name"));
        putc('}', to);
        put_number(to, qn_report_number(stage, "seconds"));
    }
}

/* Figures of the report, summed over the ranks: those in nanoseconds are in the states. */
static void put_figures(FILE *to, const json_t *ranks)
{
#define PUT_FIGURE(field, meaning)                                                                                     \
    if (!strstr(#field, "_ns"))                                                                                        \
        put_plain(to, "quern_" #field, "", "Of all ranks: " meaning ".", qn_report_sum(ranks, #field));
    QN_STAGE_FIGURES(PUT_FIGURE)
#undef PUT_FIGURE
}

static void put_alerts(FILE *to, const json_t *alerts)
{
    family(to, "quern_alerts", "", "Alerts of a kind.");
    for (size_t i = 0; i < json_array_size(alerts); i++) {
        const char *kind = qn_report_text(json_array_get(alerts, i), "kind");
        size_t count = 0, before = 0;
        for (size_t other = 0; other < json_array_size(alerts); other++) {
            bool is_same = strcmp(kind, qn_report_text(json_array_get(alerts, other), "kind")) == 0;
            count += is_same;
            before += is_same && other < i;
        }
        if (before > 0)
            continue;
        fputs("quern_alerts{", to);
        put_label(to, "kind", kind);
        putc('}', to);
        put_number(to, (double)count);
    }
}

static void put_status(FILE *to, const json_t *report)
{
    const char *status = qn_report_text(report, "status");
    put_plain(to, "quern_run_ok", "", "Whether the last run succeeded.", strcmp(status, "QUERN_OK") == 0);
    family(to, "quern_run_status", "", "1, with the status of the last run.");
    fputs("quern_run_status{", to);
    put_label(to, "status", status);
    fputs("} 1\n", to);
}

bool qn_metrics_write(FILE *to, const json_t *report)
{
    const json_t *ranks = json_object_get(report, "ranks");
    double lost = qn_report_sum(json_object_get(report, "recoveries"), "lost_count");
    put_status(to, report);
    put_plain(to, "quern_run_elapsed_seconds", "seconds", "Wall time of the last run.",
              qn_report_number(report, "elapsed_seconds"));
    put_plain(to, "quern_ranks", "", "Ranks of the last run.", (double)json_array_size(ranks));
    put_plain(to, "quern_lost_ranks", "", "Ranks that were lost in the life of the job.", lost);
    put_plain(to, "quern_memory_budget_bytes", "bytes", "Memory budget of a node.",
              qn_report_number(report, "memory_bytes_per_node"));
    put_states(to, ranks);
    put_stages(to, json_object_get(report, "stages"));
    put_figures(to, ranks);
    put_alerts(to, json_object_get(report, "alerts"));
    fputs("# EOF\n", to);
    return !ferror(to);
}
