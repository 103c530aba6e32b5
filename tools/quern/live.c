/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/live.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "runtime/engine/report_read.h"
#include "tools/quern/plain_text.h"
#include "tools/quern/top_page.h"

#define LOG_EVERY_SECONDS 30
#define LINE_BYTES        (2 * QUERN_TOP_LINE_BYTES)
#define CLEAR             "\r\033[K"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- the file ---- */

/* Whether it is another than last time. */
static bool look_at_file(quern_live *live)
{
    char path[PATH_MAX + 16];
    struct stat about;
    snprintf(path, sizeof path, "%s/status.json", live->job.directory);
    if (stat(path, &about) != 0 || (about.st_ino == live->seen_file && about.st_mtim.tv_sec == live->seen.tv_sec &&
                                    about.st_mtim.tv_nsec == live->seen.tv_nsec))
        return false;
    live->seen = about.st_mtim;
    live->seen_file = about.st_ino;
    return true;
}

/* ---- lines ---- */

static void put(const char *text)
{
    size_t bytes = strlen(text);
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

/* Who runs in the background must not write over what is typed in front. */
static bool may_draw(const quern_live *live)
{
    return live->lines != QUERN_LIVE_OFF && (!live->is_terminal || tcgetpgrp(STDERR_FILENO) == getpgrp());
}

/* What fits without going on in the next line of a terminal. */
static size_t column_count(const quern_live *live)
{
    struct winsize size;
    bool is_known = live->is_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return is_known && size.ws_col < QUERN_TOP_LINE_BYTES ? size.ws_col - 1U : QUERN_TOP_LINE_BYTES;
}

/* In the place of the line that is open; stays: it will not be rewritten. */
static void put_line(quern_live *live, const char *text, bool stays)
{
    char raw[LINE_BYTES], plain[LINE_BYTES], line[LINE_BYTES + 16];
    snprintf(raw, sizeof raw, "quern: %s", text);
    quern_plain_text(raw, column_count(live), plain, sizeof plain);
    bool is_open = live->is_terminal && !stays;
    snprintf(line, sizeof line, "%s%s%s", live->is_terminal ? CLEAR : "", plain, is_open ? "" : "\n");
    put(line);
    live->is_open = is_open;
}

static void say_where(quern_live *live)
{
    char here[PATH_MAX];
    size_t bytes = getcwd(here, sizeof here) ? strlen(here) : 0;
    const char *name = live->job.directory;
    if (bytes > 0 && strncmp(name, here, bytes) == 0 && name[bytes] == '/')
        name += bytes + 1;
    char plain[PATH_MAX];
    quern_plain_text(name, PATH_MAX, plain, sizeof plain);
    fprintf(stderr, "quern: run: the job directory is %s: see quern top %s\n", plain, plain);
    live->is_new = false;
}

/* A log is told of stages that it has heard of. */
static bool is_told(const quern_live *live, json_int_t stage)
{
    return live->is_terminal || live->lines == QUERN_LIVE_ON || live->drawn == stage;
}

static void show_stages_over(quern_live *live, const json_t *status)
{
    const json_t *over = json_object_get(status, "stages_over");
    char line[QUERN_TOP_LINE_BYTES];
    for (size_t i = 0; i < json_array_size(over); i++) {
        const json_t *stage = json_array_get(over, i);
        json_int_t number = json_integer_value(json_object_get(stage, "number"));
        if (number <= live->over)
            continue;
        live->over = number;
        if (!is_told(live, number))
            continue;
        quern_top_describe_stage_over(stage, line);
        put_line(live, line, true);
    }
}

static void show_stage(quern_live *live, const json_t *status)
{
    char line[QUERN_TOP_LINE_BYTES];
    const json_t *stage = json_object_get(status, "stage");
    if (!json_is_object(stage) || (!live->is_terminal && now() < live->next))
        return;
    live->next = now() + LOG_EVERY_SECONDS;
    live->drawn = json_integer_value(json_object_get(stage, "number"));
    quern_top_describe_stage(status, line);
    put_line(live, line, false);
}

static void show(quern_live *live, const json_t *status)
{
    json_int_t run = json_integer_value(json_object_get(status, "run"));
    if (run != live->run)
        live->over = live->drawn = 0;
    live->run = run;
    show_stages_over(live, status);
    show_stage(live, status);
}

/* ---- an attempt ---- */

void quern_live_init(quern_live *live, const char *directory, quern_live_lines lines, bool is_new)
{
    *live = (quern_live){.lines = lines, .is_new = is_new, .is_terminal = isatty(STDERR_FILENO)};
    snprintf(live->job.directory, sizeof live->job.directory, "%s", directory);
}

void quern_live_begin(quern_live *live)
{
    live->is_begun = false;
    live->run = live->over = live->drawn = 0;
    live->next = now() + LOG_EVERY_SECONDS;
    if (*live->job.directory)
        look_at_file(live);
}

void quern_live_look(void *user)
{
    quern_live *live = user;
    if (!*live->job.directory || !look_at_file(live))
        return;
    live->is_begun = true;
    if (live->is_new)
        say_where(live);
    json_t *status = may_draw(live) ? quern_batch_read_status(&live->job) : NULL;
    if (status)
        show(live, status);
    json_decref(status);
}

bool quern_live_end(quern_live *live)
{
    quern_live_look(live);
    if (live->is_open)
        put(CLEAR);
    live->is_open = false;
    return live->is_begun;
}
