/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/engine/board.h"
#include "runtime/engine/job_status.h"

#define LINE_BYTES_MAX    512
#define TERMINAL_EVERY_NS (200 * QN_NS_PER_MS)
#define LOG_EVERY_NS      (30 * QN_NS_PER_S)

void qn_progress_start(qn_progress *progress, bool shown, struct qn_job_status *status, struct qn_board *board)
{
    uint64_t now_ns = qn_clock_ns();
    *progress = (qn_progress){.shown = shown,
                              .terminal = shown && isatty(STDERR_FILENO),
                              .start_ns = now_ns,
                              .status = status,
                              .board = board};
    progress->every_ns = progress->terminal ? TERMINAL_EVERY_NS : LOG_EVERY_NS;
    progress->next_ns = now_ns + progress->every_ns;
}

static void put(const char *line, size_t bytes)
{
    if (write(STDERR_FILENO, line, bytes) < 0)
        return; /* nobody looks any more */
}

/* Names may be anything: those of C0, and of C1 in UTF-8. */
static void replace_controls(char *text)
{
    unsigned char before = 0;
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        unsigned char here = *at;
        if (here < 0x20 || here == 0x7f)
            *at = '?';
        else if (before == 0xc2 && here >= 0x80 && here < 0xa0)
            at[-1] = *at = '?';
        before = here;
    }
}

/* A pipe takes a long text in pieces. */
static void put_whole(const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t written = write(STDERR_FILENO, text, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nobody looks any more */
        text += written;
        left -= (size_t)written;
    }
}

void qn_progress_say(qn_progress *progress, const char *format, ...)
{
    if (!progress->shown)
        return;
    char line[LINE_BYTES_MAX] = "quern: ";
    size_t prefix = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + prefix, sizeof line - prefix - 1, format, arguments);
    va_end(arguments);
    replace_controls(line);
    size_t bytes = strlen(line);
    line[bytes++] = '\n';
    if (progress->line_open)
        put("\r\033[K", 4);
    progress->line_open = false;
    put(line, bytes);
}

void qn_progress_show(qn_progress *progress, const char *text)
{
    if (progress->line_open)
        put("\r\033[K", 4);
    progress->line_open = false;
    put_whole(text);
}

const char *qn_progress_bytes(uint64_t bytes)
{
    static char texts[4][24];
    static unsigned turn;
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    char *text = texts[turn++ % 4];
    double number = (double)bytes;
    unsigned unit = 0;
    for (; number >= 1000 && unit < 5; unit++)
        number /= 1000;
    snprintf(text, sizeof texts[0], number < 10 && unit > 0 ? "%.2f %s" : "%.0f %s", number, units[unit]);
    return text;
}

/* What there is room for on the terminal without going on in the next line; elsewhere all. */
static size_t room_of(const qn_progress *progress)
{
    struct winsize size;
    bool is_known = progress->terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return is_known && size.ws_col < LINE_BYTES_MAX ? size.ws_col - 1U : LINE_BYTES_MAX - 16;
}

/* Not within a character. */
static void cut(char *text, size_t bytes)
{
    if (strlen(text) <= bytes)
        return;
    while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80)
        bytes--;
    text[bytes] = 0;
}

/* In the place of the line that is open; stays: it will not be rewritten. */
static void put_line(qn_progress *progress, char *text, bool stays)
{
    char line[LINE_BYTES_MAX + 16];
    replace_controls(text);
    cut(text, room_of(progress));
    int bytes = snprintf(line, sizeof line, "%s%s%s", progress->terminal ? "\r\033[K" : "", text,
                         progress->terminal && !stays ? "" : "\n");
    put(line, (size_t)bytes);
    progress->line_open = progress->terminal && !stays;
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

static void add_stage(const qn_progress *progress, char *line)
{
    add(line, "quern: stage %u of %u '%s'", progress->stage, progress->stage_count, progress->name);
}

void qn_progress_begin_stage(qn_progress *progress, uint32_t number, uint32_t count, const char *name)
{
    progress->stage = number;
    progress->stage_count = count > number ? count : number; /* some are left out, and do not count */
    snprintf(progress->name, sizeof progress->name, "%s", name);
    cut(progress->name, sizeof progress->name - 2);
    progress->start_ns = qn_clock_ns();
    progress->next_ns = progress->start_ns + progress->every_ns;
}

static const char *rate(double number, double seconds)
{
    return qn_progress_bytes((uint64_t)(seconds > 0 ? number / seconds : 0));
}

static void add_records(char *line, double records, double seconds)
{
    double number = seconds > 0 ? records / seconds : 0;
    add(line, number >= 1e6 ? ", %.1f M records/s" : ", %.0f records/s", number >= 1e6 ? number / 1e6 : number);
}

void qn_progress_end_stage(qn_progress *progress, const qn_progress_sums *sums)
{
    char line[LINE_BYTES_MAX] = "";
    if (!progress->shown)
        return;
    add_stage(progress, line);
    add(line, ": done in %.1f s", sums->seconds);
    if (sums->tasks > 0)
        add(line, ", %" PRIu64 " tasks, %s", sums->tasks, qn_progress_bytes(sums->read_bytes));
    add_records(line, (double)sums->records, sums->seconds);
    add(line, ", %s/s, %s sent, %s spilled", rate((double)sums->read_bytes, sums->seconds),
        qn_progress_bytes(sums->sent_bytes), qn_progress_bytes(sums->spilled_bytes));
    if (sums->to_mean > 1.05)
        add(line, ", rank %u worked %.1f times the mean", sums->busiest, sums->to_mean);
    put_line(progress, line, true);
}

static void add_totals(const qn_progress *progress, char *line, double seconds, uint64_t now_ns)
{
    qn_board_totals totals;
    qn_board_sum(progress->board, now_ns, &totals);
    add_records(line, (double)totals.sum.records, seconds);
    add(line, ", %s/s, %s sent, %s spilled", rate((double)totals.sum.bytes, seconds),
        qn_progress_bytes(totals.sum.sent_bytes), qn_progress_bytes(totals.sum.spilled_bytes));
    if (totals.slowest != QN_RANK_NO_TASK)
        add(line, ", %s rank %u on %s", totals.slowest_is_silent ? "silent" : "slowest", totals.slowest,
            totals.slowest_host);
}

void qn_progress_update(qn_progress *progress, uint64_t bytes_done, uint64_t bytes_all, uint32_t tasks_done,
                        uint32_t tasks_all)
{
    qn_job_status_update(progress->status, tasks_done, bytes_done);
    uint64_t now_ns = progress->shown ? qn_clock_ns() : 0;
    if (!progress->shown || now_ns < progress->next_ns)
        return;
    progress->next_ns = now_ns + progress->every_ns;
    double seconds = (double)(now_ns - progress->start_ns) / 1e9;
    char line[LINE_BYTES_MAX] = "";
    add_stage(progress, line);
    if (tasks_all > 0)
        add(line, ": %u of %u tasks, %.0f %%, %s of %s", tasks_done, tasks_all,
            bytes_all ? 100.0 * (double)bytes_done / (double)bytes_all : 100.0, qn_progress_bytes(bytes_done),
            qn_progress_bytes(bytes_all));
    else
        add(line, ": %.0f s", seconds);
    if (bytes_done > 0 && bytes_done < bytes_all)
        add(line, ", %.0f s left", seconds * (double)(bytes_all - bytes_done) / (double)bytes_done);
    add_totals(progress, line, seconds, now_ns);
    put_line(progress, line, false);
}
