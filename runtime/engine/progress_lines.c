/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/progress_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/utf8.h"
#include "runtime/engine/job_status.h"
#include "runtime/engine/progress.h"

#define LINE_BYTES_MAX    512
#define TERMINAL_EVERY_NS (200 * QN_NS_PER_MS)
#define LOG_EVERY_NS      (30 * QN_NS_PER_S)
#define RETRIES_MAX       10 /* lines of a run */

void qn_progress_lines_init(qn_progress_lines *lines, bool shows_lines, bool shows_plans)
{
    bool terminal = shows_lines && isatty(STDERR_FILENO);
    *lines = (qn_progress_lines){.shows_lines = shows_lines,
                                 .shows_plans = shows_plans,
                                 .terminal = terminal,
                                 .every_ns = terminal ? TERMINAL_EVERY_NS : LOG_EVERY_NS};
}

/* A pipe takes a long text in pieces. */
static void put(const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(STDERR_FILENO, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nobody looks any more */
        text += written;
        bytes -= (size_t)written;
    }
}

/* What there is room for on the terminal without going on in the next line; elsewhere all. */
static size_t room_of(const qn_progress_lines *lines)
{
    struct winsize size;
    bool is_known = lines->terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return is_known && size.ws_col < LINE_BYTES_MAX ? size.ws_col - 1U : LINE_BYTES_MAX - 16;
}

/* In the place of the line that is open; stays: it will not be rewritten. */
static void put_line(qn_progress_lines *lines, char *text, bool stays)
{
    char line[LINE_BYTES_MAX + 16];
    bool is_open = lines->terminal && !stays;
    qn_utf8_replace_controls(text);
    int bytes = snprintf(line, sizeof line, "%s%s%s", lines->terminal ? "\r\033[K" : "", text, is_open ? "" : "\n");
    put(line, (size_t)bytes);
    lines->line_open = is_open;
}

static void put_cut_line(qn_progress_lines *lines, char *text, bool stays)
{
    qn_utf8_cut(text, room_of(lines));
    put_line(lines, text, stays);
}

/* Where nothing is to be rewritten, the open line goes. */
static void close_line(qn_progress_lines *lines)
{
    if (lines->line_open)
        put("\r\033[K", 4);
    lines->line_open = false;
}

static void add(char *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *line, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(line);
    va_start(arguments, format);
    vsnprintf(line + used, LINE_BYTES_MAX - used, format, arguments);
    va_end(arguments);
}

static void add_stage(const quern_event *event, char *line)
{
    add(line, "quern: stage %u of %u '%s'", event->stage, event->stage_count, event->stage_name);
}

static const char *rate(double number, double seconds)
{
    return qn_progress_bytes((uint64_t)(seconds > 0 ? number / seconds : 0));
}

static void add_rates(const quern_event *event, char *line)
{
    double number = event->seconds > 0 ? (double)event->records / event->seconds : 0;
    add(line, number >= 1e6 ? ", %.1f M records/s" : ", %.0f records/s", number >= 1e6 ? number / 1e6 : number);
    add(line, ", %s/s, %s sent, %s spilled", rate((double)event->read_bytes, event->seconds),
        qn_progress_bytes(event->sent_bytes), qn_progress_bytes(event->spilled_bytes));
}

/* In hundredths; records of results are foreseen about. */
static double part_of(uint64_t done, uint64_t all)
{
    return done < all ? 100.0 * (double)done / (double)all : 100.0;
}

static void draw_stage(qn_progress_lines *lines, const quern_event *event)
{
    char line[LINE_BYTES_MAX] = "";
    uint64_t now_ns = qn_clock_ns();
    if (now_ns < lines->next_ns)
        return;
    lines->next_ns = now_ns + lines->every_ns;
    add_stage(event, line);
    if (event->tasks_all > 0)
        add(line, ": %" PRIu64 " of %" PRIu64 " tasks, %.0f %%, %s of %s", event->tasks_done, event->tasks_all,
            part_of(event->bytes_done, event->bytes_all), qn_progress_bytes(event->bytes_done),
            qn_progress_bytes(event->bytes_all));
    else if (event->records_all > 0)
        add(line, ": %.0f %% of %" PRIu64 " records", part_of(event->records, event->records_all), event->records_all);
    else
        add(line, ": %.0f s", event->seconds);
    if (event->seconds_left >= 0)
        add(line, ", %.0f s left", event->seconds_left);
    add_rates(event, line);
    if (event->slowest_rank != QUERN_EVENT_NO_RANK)
        add(line, ", %s rank %u on %s", event->slowest_is_silent ? "silent" : "slowest", event->slowest_rank,
            event->slowest_host);
    put_cut_line(lines, line, false);
}

static void draw_stage_end(qn_progress_lines *lines, const quern_event *event)
{
    char line[LINE_BYTES_MAX] = "";
    add_stage(event, line);
    add(line, ": done in %.1f s", event->seconds);
    if (event->tasks_all > 0)
        add(line, ", %" PRIu64 " tasks, %s", event->tasks_all, qn_progress_bytes(event->read_bytes));
    add_rates(event, line);
    if (event->slowest_to_mean > 1.05)
        add(line, ", rank %u worked %.1f times the mean", event->slowest_rank, event->slowest_to_mean);
    put_cut_line(lines, line, true);
}

static void draw_run_end(qn_progress_lines *lines, const quern_event *event)
{
    char line[LINE_BYTES_MAX] = "";
    if (event->status == QUERN_OK)
        add(line, "quern: done: %s in %.2f s, %s/s", qn_progress_bytes(event->read_bytes), event->seconds,
            rate((double)event->read_bytes, event->seconds));
    close_line(lines);
    if (line[0])
        put_line(lines, line, true);
}

/* Of a silent rank, who noticed it writes himself; what is so before anything was done stands in notes, or in the report. */
static bool is_said_otherwise(const char *topic)
{
    static const char *const topics[] = {QN_ALERT_SILENT, "unsplittable input", "oversubscribed core", "budget cut"};
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if (strcmp(topic, topics[i]) == 0)
            return true;
    return false;
}

static void draw_text(qn_progress_lines *lines, const quern_event *event)
{
    char line[LINE_BYTES_MAX] = "";
    bool is_alert = event->kind == QUERN_EVENT_ALERT;
    if (is_alert && is_said_otherwise(event->topic))
        return;
    add(line, "quern: %s%s%s", event->topic, is_alert ? ": " : "", event->text);
    put_line(lines, line, true);
}

/* A lost rank is told by whoever noticed. */
static void draw_retry(qn_progress_lines *lines, const quern_event *event)
{
    char line[LINE_BYTES_MAX] = "";
    if (lines->retry_count++ >= RETRIES_MAX)
        return;
    add_stage(event, line);
    add(line, ": %s%s", event->text, lines->retry_count == RETRIES_MAX ? "; others are not shown" : "");
    put_line(lines, line, true);
}

static void draw_plan(qn_progress_lines *lines, const char *text)
{
    close_line(lines);
    if (lines->shows_plans)
        put(text, strlen(text));
}

void qn_progress_lines_draw(const quern_event *event, void *user)
{
    qn_progress_lines *lines = user;
    if (event->kind == QUERN_EVENT_PLAN)
        draw_plan(lines, event->text);
    if (!lines->shows_lines)
        return;
    if (event->kind == QUERN_EVENT_RUN_BEGUN)
        lines->retry_count = 0;
    else if (event->kind == QUERN_EVENT_RETRY)
        draw_retry(lines, event);
    else if (event->kind == QUERN_EVENT_STAGE_BEGUN)
        lines->next_ns = qn_clock_ns() + lines->every_ns;
    else if (event->kind == QUERN_EVENT_PROGRESS)
        draw_stage(lines, event);
    else if (event->kind == QUERN_EVENT_STAGE_ENDED)
        draw_stage_end(lines, event);
    else if (event->kind == QUERN_EVENT_ALERT || event->kind == QUERN_EVENT_NOTE)
        draw_text(lines, event);
    else if (event->kind == QUERN_EVENT_RUN_ENDED)
        draw_run_end(lines, event);
}
