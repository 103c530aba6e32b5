/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/progress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/engine/job_status.h"

#define LINE_BYTES_MAX    256
#define TERMINAL_EVERY_NS (100 * QN_NS_PER_MS)
#define LOG_EVERY_NS      (1 * QN_NS_PER_S)

void qn_progress_start(qn_progress *progress, bool shown, struct qn_job_status *status)
{
    uint64_t now_ns = qn_clock_ns();
    *progress =
        (qn_progress){.shown = shown, .terminal = shown && isatty(STDERR_FILENO), .start_ns = now_ns, .status = status};
    progress->every_ns = progress->terminal ? TERMINAL_EVERY_NS : LOG_EVERY_NS;
    progress->next_ns = now_ns + progress->every_ns;
}

static void put(const char *line, size_t bytes)
{
    if (write(STDERR_FILENO, line, bytes) < 0)
        return; /* nobody looks any more */
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

void qn_progress_update(qn_progress *progress, const char *stage, uint64_t bytes_done, uint64_t bytes_all,
                        uint32_t tasks_done, uint32_t tasks_all)
{
    qn_job_status_update(progress->status, tasks_done, bytes_done);
    uint64_t now_ns = progress->shown ? qn_clock_ns() : 0;
    if (!progress->shown || now_ns < progress->next_ns)
        return;
    progress->next_ns = now_ns + progress->every_ns;
    double seconds = (double)(now_ns - progress->start_ns) / 1e9;
    char line[LINE_BYTES_MAX];
    int bytes =
        snprintf(line, sizeof line, "%squern: %s %3.0f%%, %s of %s, %s/s, task %u of %u, %.1f s%s",
                 progress->terminal ? "\r\033[K" : "", stage,
                 bytes_all ? 100.0 * (double)bytes_done / (double)bytes_all : 100.0, qn_progress_bytes(bytes_done),
                 qn_progress_bytes(bytes_all), qn_progress_bytes((uint64_t)((double)bytes_done / seconds)), tasks_done,
                 tasks_all, seconds, progress->terminal ? "" : "\n");
    if (bytes > 0)
        put(line, (size_t)bytes < sizeof line ? (size_t)bytes : sizeof line - 1);
    progress->line_open = progress->terminal;
}
