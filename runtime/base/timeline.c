/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/timeline.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define COLUMN_NS_FIRST (100 * QN_NS_PER_US)
#define LOOK_NS_MIN     (20 * QN_NS_PER_MS) /* at memory: a look takes some microseconds */

typedef struct column {
    uint64_t ns[QN_TIMELINE_STATE_COUNT];
    uint64_t memory_bytes;
} column;

struct qn_timeline {
    uint64_t begin_ns, since_ns; /* of the state that it is in */
    uint64_t column_ns, look_ns;
    qn_timeline_state state;
    int memory_fd;
    uint64_t ns[QN_TIMELINE_STATE_COUNT]; /* in all columns */
    column columns[QN_TIMELINE_COLUMNS];
};

static _Thread_local qn_timeline *own;

qn_timeline *qn_timeline_create(void)
{
    qn_timeline *timeline = calloc(1, sizeof *timeline);
    if (timeline)
        timeline->memory_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    return timeline;
}

void qn_timeline_destroy(qn_timeline *timeline)
{
    if (timeline && timeline->memory_fd >= 0)
        close(timeline->memory_fd);
    free(timeline);
}

void qn_timeline_begin(qn_timeline *timeline, uint64_t now_ns)
{
    if (!timeline)
        return;
    memset(timeline->columns, 0, sizeof timeline->columns);
    memset(timeline->ns, 0, sizeof timeline->ns);
    timeline->begin_ns = timeline->since_ns = now_ns;
    timeline->column_ns = COLUMN_NS_FIRST;
    timeline->look_ns = 0;
    timeline->state = QN_TIMELINE_OTHER;
}

void qn_timeline_attach(qn_timeline *timeline)
{
    own = timeline;
}

static void add(column *to, const column *from)
{
    for (size_t state = 0; state < QN_TIMELINE_STATE_COUNT; state++)
        to->ns[state] += from->ns[state];
    if (to->memory_bytes < from->memory_bytes)
        to->memory_bytes = from->memory_bytes;
}

static void widen(qn_timeline *timeline)
{
    column *columns = timeline->columns;
    for (size_t i = 0; i < QN_TIMELINE_COLUMNS / 2; i++) {
        column both = columns[2 * i];
        add(&both, &columns[2 * i + 1]);
        columns[i] = both;
    }
    memset(columns + QN_TIMELINE_COLUMNS / 2, 0, QN_TIMELINE_COLUMNS / 2 * sizeof *columns);
    timeline->column_ns *= 2;
}

static column *column_at(qn_timeline *timeline, uint64_t at_ns)
{
    while ((at_ns - timeline->begin_ns) / timeline->column_ns >= QN_TIMELINE_COLUMNS)
        widen(timeline);
    return &timeline->columns[(at_ns - timeline->begin_ns) / timeline->column_ns];
}

void qn_timeline_note(qn_timeline *timeline, qn_timeline_state state, uint64_t now_ns)
{
    if (!timeline)
        return;
    if (now_ns > timeline->since_ns) {
        timeline->ns[timeline->state] += now_ns - timeline->since_ns;
        column_at(timeline, now_ns); /* it is wide enough for all that follows */
        while (timeline->since_ns < now_ns) {
            column *here = column_at(timeline, timeline->since_ns);
            uint64_t number = (uint64_t)(here - timeline->columns);
            uint64_t border_ns = timeline->begin_ns + (number + 1) * timeline->column_ns;
            uint64_t until_ns = border_ns < now_ns ? border_ns : now_ns;
            here->ns[timeline->state] += until_ns - timeline->since_ns;
            timeline->since_ns = until_ns;
        }
    }
    timeline->state = state;
}

void qn_timeline_note_memory(qn_timeline *timeline, uint64_t bytes)
{
    column *here = column_at(timeline, timeline->since_ns);
    if (here->memory_bytes < bytes)
        here->memory_bytes = bytes;
}

/* The second number of the file: pages that are resident. */
uint64_t qn_timeline_query_memory(const qn_timeline *timeline)
{
    char text[128];
    ssize_t bytes = timeline && timeline->memory_fd >= 0 ? pread(timeline->memory_fd, text, sizeof text - 1, 0) : -1;
    if (bytes <= 0)
        return 0;
    text[bytes] = 0;
    char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

qn_timeline_state qn_timeline_enter(qn_timeline_state state)
{
    qn_timeline *timeline = own;
    if (!timeline)
        return QN_TIMELINE_OTHER;
    qn_timeline_state before = timeline->state;
    uint64_t now_ns = qn_clock_ns();
    qn_timeline_note(timeline, state, now_ns);
    if (now_ns >= timeline->look_ns) {
        qn_timeline_note_memory(timeline, qn_timeline_query_memory(timeline));
        timeline->look_ns = now_ns + (timeline->column_ns > LOOK_NS_MIN ? timeline->column_ns : LOOK_NS_MIN);
    }
    return before;
}

void qn_timeline_sum(const qn_timeline *timeline, uint64_t *ns_out)
{
    memset(ns_out, 0, QN_TIMELINE_STATE_COUNT * sizeof *ns_out);
    if (timeline)
        memcpy(ns_out, timeline->ns, sizeof timeline->ns);
}

qn_timeline_state qn_timeline_get_state(const qn_timeline *timeline)
{
    return timeline ? *(const volatile qn_timeline_state *)&timeline->state : QN_TIMELINE_OTHER;
}

void qn_timeline_sum_now(const qn_timeline *timeline, uint64_t now_ns, uint64_t *ns_out)
{
    for (size_t state = 0; state < QN_TIMELINE_STATE_COUNT; state++)
        ns_out[state] = timeline ? *(const volatile uint64_t *)&timeline->ns[state] : 0;
    uint64_t since_ns = timeline ? *(const volatile uint64_t *)&timeline->since_ns : now_ns;
    if (now_ns > since_ns)
        ns_out[qn_timeline_get_state(timeline)] += now_ns - since_ns;
}

static char letter_of(const double *weights)
{
    static const char letters[] = {
#define LETTER(state, name, letter) letter,
        QN_TIMELINE_STATES(LETTER)
#undef LETTER
    };
    size_t most = 0;
    for (size_t state = 1; state < QN_TIMELINE_STATE_COUNT; state++)
        if (weights[state] > weights[most])
            most = state;
    return (char)(weights[most] > 0 ? letters[most] : ' ');
}

/* The part of a column that lies between two times. */
static double part_of(const qn_timeline *timeline, size_t number, double begin_ns, double end_ns)
{
    double first = (double)number * (double)timeline->column_ns, last = first + (double)timeline->column_ns;
    first = first > begin_ns ? first : begin_ns;
    last = last < end_ns ? last : end_ns;
    return last > first ? (last - first) / (double)timeline->column_ns : 0;
}

/* The columns that touch part i of the time, from *first_out up to the one returned; both may lie beyond the last. */
static size_t columns_of(const qn_timeline *timeline, double begin_ns, double end_ns, size_t *first_out)
{
    double width = (double)timeline->column_ns, most = QN_TIMELINE_COLUMNS;
    double first = begin_ns > 0 ? begin_ns / width : 0, last = end_ns > 0 ? end_ns / width + 1 : 0;
    *first_out = (size_t)(first < most ? first : most);
    return (size_t)(last < most ? last : most);
}

void qn_timeline_draw(const qn_timeline *timeline, uint64_t begin_ns, uint64_t end_ns, size_t count, char *letters_out)
{
    memset(letters_out, ' ', count);
    double step_ns = ((double)end_ns - (double)begin_ns) / (double)(count > 0 ? count : 1);
    for (size_t i = 0; timeline && step_ns > 0 && i < count; i++) {
        double weights[QN_TIMELINE_STATE_COUNT] = {0};
        double from_ns = (double)begin_ns - (double)timeline->begin_ns + step_ns * (double)i;
        size_t at, end = columns_of(timeline, from_ns, from_ns + step_ns, &at);
        for (; at < end; at++) {
            double part = part_of(timeline, at, from_ns, from_ns + step_ns);
            for (size_t state = 0; state < QN_TIMELINE_STATE_COUNT; state++)
                weights[state] += part * (double)timeline->columns[at].ns[state];
        }
        letters_out[i] = letter_of(weights);
    }
}

void qn_timeline_draw_memory(const qn_timeline *timeline, uint64_t begin_ns, uint64_t end_ns, size_t count,
                             uint64_t *bytes_out)
{
    memset(bytes_out, 0, count * sizeof *bytes_out);
    double step_ns = ((double)end_ns - (double)begin_ns) / (double)(count > 0 ? count : 1);
    for (size_t i = 0; timeline && step_ns > 0 && i < count; i++) {
        double from_ns = (double)begin_ns - (double)timeline->begin_ns + step_ns * (double)i;
        size_t at, end = columns_of(timeline, from_ns, from_ns + step_ns, &at);
        for (; at < end; at++)
            if (bytes_out[i] < timeline->columns[at].memory_bytes)
                bytes_out[i] = timeline->columns[at].memory_bytes;
        if (bytes_out[i] == 0 && i > 0)
            bytes_out[i] = bytes_out[i - 1];
    }
}
