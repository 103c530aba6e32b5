/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trace events, as Perfetto and Chrome's viewer read them: a process for each node, a thread for each rank, and one more process for the stages of the job. Times are microseconds
 * from the begin of the run, by the clock of rank 0.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/job_pages.h"
#include "runtime/engine/report_read.h"

#define EVENTS_OF_RANK_MIN 16

typedef struct trace {
    FILE *to;
    const json_t *report, *ranks, *states;
    json_t *named; /* nodes, by number */
    bool has_events;
    double microseconds; /* of the run */
    size_t columns;      /* of each rank are told apart */
} trace;

static void begin_event(trace *of, char phase, double process, double thread, const char *name)
{
    json_t *quoted = json_string(name);
    char *text = quoted ? json_dumps(quoted, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    fprintf(of->to, "%s\n{\"ph\":\"%c\",\"pid\":%.0f,\"tid\":%.0f,\"name\":%s", of->has_events ? "," : "", phase,
            process, thread, text ? text : "\"\"");
    of->has_events = true;
    free(text);
    json_decref(quoted);
}

/* What a process or a thread is called, and where it stands. */
static void name_event(trace *of, const char *what, double process, double thread, const char *name)
{
    json_t *quoted = json_pack("{s:s}", "name", name);
    char *text = quoted ? json_dumps(quoted, JSON_ENSURE_ASCII | JSON_COMPACT) : NULL;
    begin_event(of, 'M', process, thread, what);
    fprintf(of->to, ",\"args\":%s}", text ? text : "{}");
    free(text);
    json_decref(quoted);
}

static void slice(trace *of, double process, double thread, const char *name, double begin_us, double us)
{
    begin_event(of, 'X', process, thread, name);
    fprintf(of->to, ",\"ts\":%.3f,\"dur\":%.3f}", begin_us, us);
}

/* The state that most of the columns from `first` to `end` are in; 0: none. */
static char most_of(const char *line, size_t first, size_t end)
{
    size_t counts[256] = {0};
    unsigned char most = ' ';
    for (size_t i = first; i < end; i++) {
        unsigned char letter = (unsigned char)line[i];
        if (++counts[letter] > counts[most] || most == ' ')
            most = letter;
    }
    return (char)(most == ' ' ? 0 : most);
}

static void put_states(trace *of, double process, double thread, const char *line)
{
    size_t length = strlen(line), count = of->columns < length ? of->columns : length, since = 0;
    char state = 0;
    for (size_t i = 0; i <= count; i++) {
        char next = (char)(i < count ? most_of(line, i * length / count, (i + 1) * length / count) : 0);
        if (next == state && i < count)
            continue;
        const char *name = qn_report_text(of->states, (const char[]){state, 0});
        if (state)
            slice(of, process, thread, *name ? name : "?", of->microseconds * (double)since / (double)count,
                  of->microseconds * (double)(i - since) / (double)count);
        state = next;
        since = i;
    }
}

static void put_memory(trace *of, const json_t *rank, double process, double number)
{
    const json_t *memory = json_object_get(rank, "resident_bytes");
    size_t count = json_array_size(memory), step = 1 + count * 8 / (of->columns > 0 ? of->columns : 1);
    char name[32];
    double before = -1;
    snprintf(name, sizeof name, "memory of rank %.0f", number);
    for (size_t i = 0; i < count; i += step) {
        double bytes = json_number_value(json_array_get(memory, i));
        if (bytes == before)
            continue;
        begin_event(of, 'C', process, number, name);
        fprintf(of->to, ",\"ts\":%.3f,\"args\":{\"bytes\":%.0f}}", of->microseconds * (double)i / (double)count, bytes);
        before = bytes;
    }
}

/* Once, wherever its ranks stand. */
static void name_node(trace *of, const json_t *rank)
{
    double node = qn_report_number(rank, "node");
    char key[32], name[128];
    snprintf(key, sizeof key, "%.17g", node);
    if (json_object_get(of->named, key))
        return;
    json_object_set_new(of->named, key, json_true());
    snprintf(name, sizeof name, "node %.0f, %.80s", node, qn_report_text(rank, "host"));
    name_event(of, "process_name", node, 0, name);
}

static void put_rank(trace *of, const json_t *rank)
{
    double node = qn_report_number(rank, "node"), number = qn_report_number(rank, "rank");
    char name[128];
    name_node(of, rank);
    snprintf(name, sizeof name, "rank %.0f", number);
    name_event(of, "thread_name", node, number, name);
    put_states(of, node, number, qn_report_text(rank, "line"));
    put_memory(of, rank, node, number);
}

/* Behind the last node. */
static void put_stages(trace *of)
{
    const json_t *stages = json_object_get(of->report, "stages");
    double process = 1;
    for (size_t i = 0; i < json_array_size(of->ranks); i++) {
        double node = qn_report_number(json_array_get(of->ranks, i), "node");
        process = node + 1 > process ? node + 1 : process;
    }
    name_event(of, "process_name", process, 0, "stages");
    for (size_t i = 0; i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);
        slice(of, process, 0, qn_report_text(stage, "name"), qn_report_number(stage, "start_seconds") * 1e6,
              qn_report_number(stage, "seconds") * 1e6);
    }
}

bool qn_trace_write(FILE *to, const json_t *report)
{
    const json_t *timeline = json_object_get(report, "timeline");
    trace of = {.to = to,
                .report = report,
                .ranks = json_object_get(report, "ranks"),
                .states = json_object_get(timeline, "states"),
                .named = json_object(),
                .microseconds = qn_report_number(timeline, "seconds") * 1e6};
    size_t count = json_array_size(of.ranks);
    of.columns = QN_TRACE_EVENTS_MAX / (count > 0 ? count : 1);
    of.columns = of.columns < EVENTS_OF_RANK_MIN ? EVENTS_OF_RANK_MIN : of.columns;
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", to);
    for (size_t i = 0; i < count; i++)
        put_rank(&of, json_array_get(of.ranks, i));
    put_stages(&of);
    json_decref(of.named);
    fputs("\n]}\n", to);
    return !ferror(to);
}
