/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page: report_page.html, with what it shows of the report as JSON in its midst. The report grows with ranks times stages, so it is
 * not put there as it is: figures of ranks become lists in place of objects, of QN_PAGE_RANKS_MAX ranks at most, and what is drawn for each stage is there for
 * the STAGES_DRAWN_MAX that took longest.
 *
 * Inside of a page `</script>` ends a script wherever it stands, so the characters <, > and & are written as escapes, which JSON knows in texts; elsewhere they
 * do not occur.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/job_pages.h"
#include "runtime/engine/report_page.inc"
#include "runtime/engine/report_read.h"
#include "runtime/engine/run_view.h"
#include "runtime/engine/stage_run.h"

#define STAGES_DRAWN_MAX 12
#define COUNTERS_MAX     200

/* Of which ranks something is shown. */
typedef struct choice {
    const json_t *ranks;
    size_t count, shown;
} choice;

static size_t rank_at(const choice *of, size_t i)
{
    return i * of->count / of->shown;
}

static void set(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value ? value : json_null());
}

/* A field of the report that goes to the page as it is. */
static void copy(json_t *to, const json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);
    if (value)
        json_object_set(to, name, value);
}

/* A field of ranks as a list, divided. */
static json_t *column_of(const choice *of, const json_t *ranks, const char *name, double by)
{
    json_t *list = json_array();
    for (size_t i = 0; i < of->shown; i++) {
        double value = qn_report_number(json_array_get(ranks, rank_at(of, i)), name);
        json_array_append_new(list, by == 1 ? json_integer((json_int_t)value) : json_real(value / by));
    }
    return list;
}

static json_t *texts_of(const choice *of, const char *name)
{
    json_t *list = json_array();
    for (size_t i = 0; i < of->shown; i++)
        json_array_append_new(list, json_string(qn_report_text(json_array_get(of->ranks, rank_at(of, i)), name)));
    return list;
}

/* Names once, and a number for each rank. */
static void set_hosts(json_t *page, json_t *shown, const choice *of)
{
    json_t *names = json_array(), *numbers = json_array(), *known = json_object();
    for (size_t i = 0; i < of->shown; i++) {
        const char *name = qn_report_text(json_array_get(of->ranks, rank_at(of, i)), "host");
        json_t *number = json_object_get(known, name);
        if (!number) {
            json_object_set_new(known, name, json_integer((json_int_t)json_array_size(names)));
            json_array_append_new(names, json_string(name));
            number = json_object_get(known, name);
        }
        json_array_append(numbers, number);
    }
    json_decref(known);
    set(page, "hosts", names);
    set(shown, "host", numbers);
}

static json_t *describe_shown(json_t *page, const choice *of)
{
    static const char *const figures[] = {"rank",       "tasks",          "attempts_failed", "input_bytes",
                                          "sent_bytes", "received_bytes", "spilled_bytes",   "peak_rss_bytes"};
    json_t *shown = json_object();
    set_hosts(page, shown, of);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        set(shown, figures[i], column_of(of, of->ranks, figures[i], 1));
    set(shown, "work_seconds", column_of(of, of->ranks, "work_ns", 1e9));
    set(shown, "wait_seconds", column_of(of, of->ranks, "wait_ns", 1e9));
    set(shown, "line", texts_of(of, "line"));
    set(shown, "pinned", texts_of(of, "pinned"));
    return shown;
}

static json_t *sum_figures(const json_t *ranks)
{
    json_t *sums = json_object();
#define SET_SUM(field, meaning) set(sums, #field, json_real(qn_report_sum(ranks, #field)));
    QN_STAGE_FIGURES(SET_SUM)
#undef SET_SUM
    return sums;
}

static json_t *sum_states(const json_t *ranks)
{
    json_t *sums = json_object();
    for (size_t i = 0; i < json_array_size(ranks); i++) {
        json_t *seconds = json_object_get(json_array_get(ranks, i), "state_seconds");
        const char *name;
        json_t *value;
        json_object_foreach(seconds, name, value)
            set(sums, name, json_real(qn_report_number(sums, name) + json_number_value(value)));
    }
    return sums;
}

/* Whether there are fewer than so many stages that took longer. */
static bool is_drawn(const json_t *stages, size_t number)
{
    double seconds = qn_report_number(json_array_get(stages, number), "seconds");
    size_t longer = 0;
    for (size_t i = 0; i < json_array_size(stages); i++) {
        double other = qn_report_number(json_array_get(stages, i), "seconds");
        longer += other > seconds || (other == seconds && i < number);
    }
    return longer < STAGES_DRAWN_MAX;
}

static json_t *describe_stage(const json_t *stage, const choice *of, bool draws)
{
    static const char *const names[] = {"name",         "end",   "status", "start_seconds", "seconds",   "load",
                                        "hottest_keys", "edges", "legs",   "bad_records",   "one_reader"};
    const json_t *ranks = json_object_get(stage, "ranks");
    json_t *shown = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        copy(shown, stage, names[i]);
    set(shown, "sums", sum_figures(ranks));
    if (!draws)
        return shown;
    bool owns = qn_report_sum(ranks, "owned_records") > 0;
    set(shown, "loads", column_of(of, ranks, owns ? "owned_records" : "source_records", 1));
    set(shown, "work_seconds", column_of(of, ranks, "work_ns", 1e9));
    return shown;
}

static json_t *describe_stages(const json_t *stages, const choice *of)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(stages); i++)
        json_array_append_new(list, describe_stage(json_array_get(stages, i), of, is_drawn(stages, i)));
    return list;
}

/* Over time: of all ranks the largest, and the mean. */
static json_t *describe_memory(const json_t *ranks)
{
    json_t *largest = json_array(), *mean = json_array(), *both = json_object();
    size_t count = json_array_size(ranks);
    for (size_t at = 0; at < QN_VIEW_MEMORY_COLUMNS; at++) {
        double most = 0, sum = 0;
        for (size_t i = 0; i < count; i++) {
            const json_t *memory = json_object_get(json_array_get(ranks, i), "resident_bytes");
            double bytes = qn_report_clamp(json_number_value(json_array_get(memory, at)));
            most = bytes > most ? bytes : most;
            sum += bytes;
        }
        json_array_append_new(largest, json_integer((json_int_t)most));
        json_array_append_new(mean, json_integer((json_int_t)(count > 0 ? sum / (double)count : 0)));
    }
    set(both, "largest", largest);
    set(both, "mean", mean);
    return both;
}

/* What is one number for all ranks. */
static void set_totals(json_t *page, const json_t *report, const json_t *ranks)
{
    double nodes = 0, first = 0, most = 0;
    size_t count = json_array_size(ranks);
    for (size_t i = 0; i < count; i++) {
        const json_t *rank = json_array_get(ranks, i);
        double node = qn_report_number(rank, "node"), peak = qn_report_number(rank, "peak_rss_bytes");
        nodes = node + 1 > nodes ? node + 1 : nodes;
        first += node == 0;
        most = peak > most ? peak : most;
    }
    set(page, "rank_count", json_integer((json_int_t)count));
    set(page, "node_count", json_real(nodes));
    set(page, "peak_rss_bytes", json_real(most));
    set(page, "memory_bytes_per_rank",
        json_real(qn_report_number(report, "memory_bytes_per_node") / (first > 0 ? first : 1)));
}

static void set_counters(json_t *page, json_t *counters)
{
    json_t *shown = json_object(), *value;
    const char *name;
    json_object_foreach(counters, name, value)
    {
        if (json_object_size(shown) < COUNTERS_MAX)
            json_object_set(shown, name, value);
    }
    set(page, "counters", shown);
}

static json_t *describe(const json_t *report)
{
    static const char *const names[] = {
        "status",        "error",          "elapsed_seconds", "input_bytes", "memory_bytes_per_node",
        "memory_source", "recoveries",     "failed_attempts", "verdict",     "alerts",
        "timeline",      "exchanged_bytes"};
    const json_t *ranks = json_object_get(report, "ranks");
    json_t *page = json_object();
    choice of = {.ranks = ranks, .count = json_array_size(ranks)};
    of.shown = of.count < QN_PAGE_RANKS_MAX ? of.count : QN_PAGE_RANKS_MAX;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        copy(page, report, names[i]);
    set_totals(page, report, ranks);
    set_counters(page, json_object_get(report, "counters"));
    set(page, "sums", sum_figures(ranks));
    set(page, "state_seconds", sum_states(ranks));
    set(page, "memory", describe_memory(ranks));
    set(page, "shown", describe_shown(page, &of));
    set(page, "stages", describe_stages(json_object_get(report, "stages"), &of));
    return page;
}

static int put_escaped(const char *text, size_t bytes, void *to)
{
    for (size_t i = 0; i < bytes; i++) {
        bool is_plain = text[i] != '<' && text[i] != '>' && text[i] != '&';
        if (is_plain ? putc(text[i], to) == EOF : fprintf(to, "\\u%04x", text[i]) < 0)
            return -1;
    }
    return 0;
}

bool qn_page_write(FILE *to, const json_t *report)
{
    json_t *page = describe(report);
    bool written = fwrite(page_before, 1, sizeof page_before, to) == sizeof page_before &&
                   json_dump_callback(page, put_escaped, to, JSON_COMPACT | JSON_REAL_PRECISION(6)) == 0 &&
                   fwrite(page_behind, 1, sizeof page_behind, to) == sizeof page_behind;
    json_decref(page);
    return written && !ferror(to);
}
