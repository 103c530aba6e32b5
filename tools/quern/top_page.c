/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/top_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/report_read.h"
#include "tools/quern/plain_text.h"

#define COLUMNS_MAX     500
#define STAGES_SHOWN    3
#define ALERTS_SHOWN    5
#define BAR_COLUMNS     20
#define SILENT_NOTABLE  5.0 /* seconds, of a rank */
#define RANKS_SHOWN_MIN 3   /* whatever else there is */

/* Columns of ranks.json that are shown; those that are looked for first fit into 80. */
#define COLUMNS(X)                                                                                                     \
    X(NODE, "node")                                                                                                    \
    X(STATE, "state")                                                                                                  \
    X(TASK, "task")                                                                                                    \
    X(TASKS, "tasks")                                                                                                  \
    X(RECORDS, "records")                                                                                              \
    X(BYTES, "bytes")                                                                                                  \
    X(SENT, "sent_bytes")                                                                                              \
    X(ROUNDS, "rounds")                                                                                                \
    X(SPILLED, "spilled_bytes")                                                                                        \
    X(USED, "used_bytes")                                                                                              \
    X(MEMORY, "memory_bytes")                                                                                          \
    X(WORK, "work_ms")                                                                                                 \
    X(SILENT, "silent_ms")

enum {
#define ENUMERATOR(column, name) COLUMN_##column,
    COLUMNS(ENUMERATOR)
#undef ENUMERATOR
        COLUMN_COUNT
};

typedef struct sheet {
    const quern_top_view *view;
    quern_top_line_fn line;
    void *user;
    size_t row_count;
    size_t place[COLUMN_COUNT]; /* of the columns in a row; SIZE_MAX: not there */
    const json_t *rows;
} sheet;

/* ---- lines ---- */

static bool is_full(const sheet *page)
{
    return page->view->rows > 0 && page->row_count >= page->view->rows;
}

static void put(sheet *page, quern_top_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void put(sheet *page, quern_top_style style, const char *format, ...)
{
    char raw[QUERN_TOP_LINE_BYTES], line[4 * COLUMNS_MAX + 1];
    size_t columns = page->view->columns < COLUMNS_MAX ? page->view->columns : COLUMNS_MAX;
    va_list arguments;
    if (is_full(page))
        return;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    quern_plain_text(raw, columns, line, sizeof line);
    page->line(page->user, line, style);
    page->row_count++;
}

static void add(char *raw, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *raw, const char *format, ...)
{
    size_t used = strlen(raw);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw + used, QUERN_TOP_LINE_BYTES - used, format, arguments);
    va_end(arguments);
}

static void add_seconds(char *raw, double seconds)
{
    long long whole = (long long)fmax(0, seconds);
    if (whole < 100)
        add(raw, "%lld s", whole);
    else
        add(raw, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

/* 12345678 as 12.3 M. */
static void add_count(char *raw, double number)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    size_t unit = 0;
    for (; fabs(number) >= 10000 && unit + 1 < sizeof units / sizeof *units; unit++)
        number /= 1000;
    add(raw, unit > 0 && number < 100 ? "%.1f%s" : "%.0f%s", number, units[unit]);
}

/* ---- the job ---- */

static bool runs(const json_t *status)
{
    const char *state = qn_report_text(status, "state");
    return strcmp(state, "running") == 0 || strcmp(state, "starting") == 0;
}

static void put_job(sheet *page)
{
    char raw[QUERN_TOP_LINE_BYTES] = "";
    const json_t *status = page->view->status;
    add(raw, "%.200s: %s%.40s", page->view->name, runs(status) ? "" : "ended, ", qn_report_text(status, "state"));
    add(raw, ", %.0f ranks on %.0f nodes, rank 0 on %.100s", qn_report_number(status, "ranks"),
        qn_report_number(status, "nodes"), qn_report_text(status, "host"));
    if (qn_report_number(status, "run") > 0)
        add(raw, ", run %.0f", qn_report_number(status, "run"));
    add(raw, ", ");
    add_seconds(raw, qn_report_number(status, "updated") - qn_report_number(status, "started"));
    put(page, QUERN_TOP_STRONG, "%s", raw);
    if (*qn_report_text(status, "error"))
        put(page, QUERN_TOP_ALERT, "  %.1000s", qn_report_text(status, "error"));
    if (page->view->silent_seconds > 0)
        put(page, QUERN_TOP_ALERT,
            "  Nothing new came for %.0f s: the job was killed or is suspended, or does not see its directory.",
            page->view->silent_seconds);
}

void quern_top_describe_stage_over(const json_t *stage, char line[QUERN_TOP_LINE_BYTES])
{
    snprintf(line, QUERN_TOP_LINE_BYTES, "stage %.0f  %.60s: done in %.1f s, %s read",
             qn_report_number(stage, "number"), qn_report_text(stage, "name"), qn_report_number(stage, "seconds"),
             qn_report_bytes(qn_report_number(stage, "bytes")));
}

static void put_stages_over(sheet *page)
{
    const json_t *over = json_object_get(page->view->status, "stages_over");
    size_t count = json_array_size(over);
    for (size_t i = count > STAGES_SHOWN ? count - STAGES_SHOWN : 0; i < count; i++) {
        char line[QUERN_TOP_LINE_BYTES];
        quern_top_describe_stage_over(json_array_get(over, i), line);
        put(page, QUERN_TOP_PLAIN, "  %s", line);
    }
}

static void add_bar(char *raw, double part)
{
    size_t filled = (size_t)(fmin(1, fmax(0, part)) * BAR_COLUMNS);
    add(raw, "  [%.*s%.*s] %.0f %%", (int)filled, "####################", (int)(BAR_COLUMNS - filled),
        "....................", 100 * part);
}

void quern_top_describe_stage(const json_t *status, char raw[QUERN_TOP_LINE_BYTES])
{
    const json_t *stage = json_object_get(status, "stage"), *figures = json_object_get(status, "figures");
    double records = qn_report_number(figures, "result_records");
    double seconds = qn_report_number(stage, "seconds"), done = qn_report_number(stage, "bytes_done");
    double all = qn_report_number(stage, "bytes"), before = qn_report_number(stage, "bytes_before");
    *raw = 0;
    add(raw, "stage %.0f of %.0f  %.60s: ", qn_report_number(stage, "number"), qn_report_number(status, "stages"),
        qn_report_text(stage, "name"));
    add_seconds(raw, seconds);
    if (all > 0) {
        add_bar(raw, done / all);
        add(raw, ", %.0f of %.0f tasks, %s", qn_report_number(stage, "tasks_done"), qn_report_number(stage, "tasks"),
            qn_report_bytes(done));
        add(raw, " of %s", qn_report_bytes(all));
    }
    if (all == 0 && records > 0) { /* it reads an earlier result */
        add_bar(raw, qn_report_number(figures, "records") / records);
        done = qn_report_number(figures, "records");
        all = records;
        add(raw, ", ");
        add_count(raw, fmin(done, all));
        add(raw, " of ");
        add_count(raw, all);
        add(raw, " records");
    }
    if (done > before && done < all) {
        add(raw, ", about ");
        add_seconds(raw, qn_report_clamp(seconds * (all - done) / (done - before)));
        add(raw, " to go");
    }
}

static void put_stage(sheet *page)
{
    char line[QUERN_TOP_LINE_BYTES];
    if (!json_is_object(json_object_get(page->view->status, "stage")))
        return;
    quern_top_describe_stage(page->view->status, line);
    put(page, QUERN_TOP_STRONG, "  %s", line);
}

static void put_figures(sheet *page)
{
    const json_t *status = page->view->status, *figures = json_object_get(status, "figures");
    const json_t *stage = json_object_get(status, "stage");
    char raw[QUERN_TOP_LINE_BYTES] = "  ";
    double records = qn_report_number(figures, "records"), seconds = qn_report_number(stage, "seconds");
    if (!json_is_object(figures))
        return;
    add_count(raw, records);
    add(raw, " records");
    if (seconds > 0) {
        add(raw, ", ");
        add_count(raw, records / seconds);
        add(raw, "/s, %s/s", qn_report_bytes(qn_report_number(figures, "bytes") / seconds));
    }
    add(raw, ", %s sent in %.0f rounds, ", qn_report_bytes(qn_report_number(figures, "sent_bytes")),
        qn_report_number(figures, "rounds"));
    add(raw, "%s spilled, ", qn_report_bytes(qn_report_number(figures, "spilled_bytes")));
    add(raw, "memory %s", qn_report_bytes(qn_report_number(figures, "used_bytes")));
    add(raw, " of %s", qn_report_bytes(qn_report_number(figures, "memory_bytes")));
    put(page, QUERN_TOP_PLAIN, "%s", raw);
    snprintf(raw, sizeof raw, "  %.0f ranks idle, %.0f silent", qn_report_number(figures, "idle_ranks"),
             qn_report_number(figures, "silent_ranks"));
    if (json_is_integer(json_object_get(figures, "slowest_rank")))
        add(raw, ", slowest is rank %.0f on %.100s", qn_report_number(figures, "slowest_rank"),
            qn_report_text(figures, "slowest_host"));
    put(page, QUERN_TOP_PLAIN, "%s", raw);
}

static void put_keys(sheet *page)
{
    const json_t *keys = json_object_get(json_object_get(page->view->status, "figures"), "hot_keys");
    char raw[QUERN_TOP_LINE_BYTES] = "  hot keys:";
    for (size_t i = 0; i < json_array_size(keys) && i < 5; i++) {
        const json_t *key = json_array_get(keys, i);
        add(raw, "%s '%.100s' %.1f %%", i > 0 ? "," : "", qn_report_text(key, "key"),
            100 * qn_report_number(key, "share"));
    }
    if (json_array_size(keys) > 0)
        put(page, QUERN_TOP_PLAIN, "%s", raw);
}

static void put_alerts(sheet *page)
{
    const json_t *alerts = json_object_get(page->view->status, "alerts");
    size_t count = json_array_size(alerts);
    for (size_t i = count > ALERTS_SHOWN ? count - ALERTS_SHOWN : 0; i < count; i++)
        put(page, QUERN_TOP_ALERT, "  ! %.40s: %.1000s", qn_report_text(json_array_get(alerts, i), "kind"),
            qn_report_text(json_array_get(alerts, i), "text"));
}

/* ---- ranks ---- */

static void find_columns(sheet *page)
{
    static const char *const names[] = {
#define NAME(column, name) name,
        COLUMNS(NAME)
#undef NAME
    };
    const json_t *columns = json_object_get(page->view->ranks, "columns");
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        page->place[column] = SIZE_MAX;
        for (size_t i = 0; i < json_array_size(columns); i++) {
            const char *name = json_string_value(json_array_get(columns, i));
            if (name && strcmp(name, names[column]) == 0)
                page->place[column] = i;
        }
    }
    page->rows = json_object_get(page->view->ranks, "ranks");
}

static const json_t *cell(const sheet *page, size_t rank, size_t column)
{
    return page->place[column] == SIZE_MAX ? NULL
                                           : json_array_get(json_array_get(page->rows, rank), page->place[column]);
}

static double number(const sheet *page, size_t rank, size_t column)
{
    return qn_report_clamp(json_number_value(cell(page, rank, column)));
}

/* By what ranks are ordered, the largest first; those that are alike by their numbers. */
typedef struct weighed {
    double weight;
    size_t rank;
} weighed;

static double weight_of(const sheet *page, size_t rank)
{
    switch (page->view->order) {
    case QUERN_TOP_BY_LOAD:
        return number(page, rank, COLUMN_WORK);
    case QUERN_TOP_BY_MEMORY:
        return number(page, rank, COLUMN_USED);
    case QUERN_TOP_BY_SILENCE:
        return number(page, rank, COLUMN_SILENT);
    case QUERN_TOP_BY_RANK:
        break;
    }
    return 0;
}

static int compare(const void *left, const void *right)
{
    const weighed *one = left, *other = right;
    if (one->weight != other->weight)
        return one->weight > other->weight ? -1 : 1;
    return one->rank < other->rank ? -1 : one->rank > other->rank;
}

static weighed *order_ranks(const sheet *page, size_t count)
{
    weighed *ranks = calloc(count + 1, sizeof *ranks);
    for (size_t rank = 0; ranks && rank < count; rank++)
        ranks[rank] = (weighed){weight_of(page, rank), rank};
    if (ranks)
        qsort(ranks, count, sizeof *ranks, compare);
    return ranks;
}

static const char *host_of(const sheet *page, size_t rank)
{
    double node = number(page, rank, COLUMN_NODE);
    const json_t *hosts = json_object_get(page->view->ranks, "hosts");
    const char *host = node >= 0 ? json_string_value(json_array_get(hosts, (size_t)node)) : NULL;
    return host ? host : "";
}

/* Into a column of its own, so that what is wide does not move what follows. */
static void add_cell(char *raw, int columns, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_cell(char *raw, int columns, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add(raw, " %*s", columns, text);
}

/* A cleaned text in so many columns, to the left. */
static void add_name(char *raw, int columns, const char *text)
{
    char clean[128];
    size_t used = quern_plain_text(text, (size_t)columns, clean, sizeof clean);
    add(raw, " %s%*s", clean, columns - (int)used, "");
}

static void put_rank(sheet *page, size_t rank)
{
    char raw[QUERN_TOP_LINE_BYTES] = "", records[QUERN_TOP_LINE_BYTES] = "";
    const char *state = json_string_value(cell(page, rank, COLUMN_STATE));
    double silent = number(page, rank, COLUMN_SILENT) / 1000;
    add(raw, "%7zu", rank);
    add_name(raw, 14, host_of(page, rank));
    add_name(raw, 8, state ? state : "");
    if (json_is_integer(cell(page, rank, COLUMN_TASK)))
        add_cell(raw, 7, "%.0f", number(page, rank, COLUMN_TASK));
    else
        add_cell(raw, 7, "-");
    add_cell(raw, 7, "%.0f", number(page, rank, COLUMN_TASKS));
    add_count(records, number(page, rank, COLUMN_RECORDS));
    add_cell(raw, 8, "%s", records);
    double memory = number(page, rank, COLUMN_MEMORY), used = number(page, rank, COLUMN_USED);
    add_cell(raw, 8, "%s", qn_report_bytes(used));
    add_cell(raw, 5, "%.0f %%", memory > 0 ? 100 * used / memory : 0);
    add_cell(raw, 7, silent > 0 ? "%.0f s" : "-", silent);
    add_cell(raw, 8, "%.1f s", number(page, rank, COLUMN_WORK) / 1000);
    add_cell(raw, 8, "%s", qn_report_bytes(number(page, rank, COLUMN_BYTES)));
    add_cell(raw, 8, "%s", qn_report_bytes(number(page, rank, COLUMN_SENT)));
    add_cell(raw, 7, "%.0f", number(page, rank, COLUMN_ROUNDS));
    add_cell(raw, 8, "%s", qn_report_bytes(number(page, rank, COLUMN_SPILLED)));
    put(page, silent >= SILENT_NOTABLE ? QUERN_TOP_ALERT : QUERN_TOP_PLAIN, "%s", raw);
}

static size_t put_ranks(sheet *page)
{
    size_t count = 0, shown = 0, keys = page->view->keys ? 1 : 0;
    find_columns(page);
    count = json_array_size(page->rows);
    if (count == 0)
        return 0;
    size_t left = page->view->rows > page->row_count + keys + 1 ? page->view->rows - page->row_count - keys - 1 : 0;
    size_t first = page->view->first < count ? page->view->first : count - 1;
    put(page, QUERN_TOP_STRONG, "%7s %-14s %-8s %7s %7s %8s %8s %5s %7s %8s %8s %8s %7s %8s", "rank", "host", "does",
        "task", "done", "records", "memory", "part", "silent", "work", "read", "sent", "rounds", "spilled");
    weighed *ranks = order_ranks(page, count);
    for (size_t i = first; ranks && i < count && (page->view->rows == 0 || shown < left); i++, shown++)
        put_rank(page, ranks[i].rank);
    free(ranks);
    return count;
}

size_t quern_top_page(const quern_top_view *view, quern_top_line_fn line, void *user)
{
    sheet all = {.view = view, .line = line, .user = user};
    quern_top_view upper = *view;
    size_t least = RANKS_SHOWN_MIN + 2;
    if (!view->status) {
        put(&all, QUERN_TOP_ALERT, "%.200s: there is no status.json, or it cannot be read", view->name);
        return 0;
    }
    upper.rows = view->rows > 2 * least ? view->rows - least : view->rows;
    all.view = &upper;
    put_job(&all);
    put_stage(&all);
    put_figures(&all);
    put_keys(&all);
    put_alerts(&all);
    put_stages_over(&all);
    all.view = view;
    size_t count = put_ranks(&all);
    if (view->keys)
        put(&all, QUERN_TOP_STRONG, "%s", view->keys);
    return count;
}
