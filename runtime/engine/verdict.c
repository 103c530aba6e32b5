/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/verdict.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/timeline.h"
#include "runtime/engine/disk_watch.h"
#include "runtime/engine/job_status.h"
#include "runtime/engine/report_read.h"

#define TEXT_BYTES         1024
#define NAME_BYTES         96 /* of a text from the data within another */
#define ALERTS_MAX         64
#define SHORT_SECONDS      0.2 /* start and end take most of such a run, and nothing can be said about the rest */
#define WAITING_MUCH       0.2
#define SPILLING_MUCH      0.15
#define SHUFFLING_MUCH     0.35
#define OUTSIDE_MUCH       0.4  /* of the run's time, outside of stages */
#define STRAGGLES_FROM     1.5  /* times the mean of the stage */
#define STRAGGLES_PART     0.05 /* of the run's time, that it is behind the mean */
#define HOT_PART           0.1
#define UNEVEN_FROM        1.3
#define MEMORY_NEAR        0.9
#define ONE_READER_PART    0.3 /* of the bytes of a stage */
#define ONE_READER_NOTABLE 0.5 /* of what each rank would read */

typedef struct placed_rank {
    double node;
    size_t rank;
} placed_rank;

typedef struct weighing {
    json_t *report, *alerts;
    const json_t *ranks, *stages;
    placed_rank *by_node; /* all ranks, by node and rank; NULL: there was no memory, and nothing is said of nodes */
    double elapsed, rank_count;
    double part[QN_TIMELINE_STATE_COUNT]; /* of the time of all ranks */
    double waiting;                       /* WAIT and IDLE */
} weighing;

/* Cut at the border of a character. */
static const char *brief(const char *text, char *to)
{
    size_t bytes = strlen(text);
    if (bytes >= NAME_BYTES) {
        bytes = NAME_BYTES - 4;
        while (bytes > 0 && ((unsigned char)text[bytes] & 0xC0) == 0x80)
            bytes--;
    }
    snprintf(to, NAME_BYTES, "%.*s%s", (int)bytes, text, text[bytes] ? "…" : "");
    return to;
}

/* json_string() takes valid UTF-8 only: a text that was cut inside of a character loses that. */
static json_t *text_json(char *text)
{
    json_t *made = json_string(text);
    for (size_t end = strlen(text); !made && end > 0; made = json_string(text))
        text[--end] = 0;
    return made;
}

static void add_alert(weighing *of, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_alert(weighing *of, const char *kind, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (json_array_size(of->alerts) == ALERTS_MAX)
        return;
    json_t *alert = json_object();
    json_object_set_new(alert, "kind", json_string(kind));
    json_object_set_new(alert, "text", text_json(text));
    json_array_append_new(of->alerts, alert);
}

/* ---- what is striking */

/* The rank that worked longest in a stage, and for how many times the mean. */
static double longest_of(const json_t *stage, size_t *rank_out)
{
    const json_t *ranks = json_object_get(stage, "ranks");
    double sum = qn_report_sum(ranks, "work_ns"), most = 0;
    *rank_out = 0;
    for (size_t i = 0; i < json_array_size(ranks); i++) {
        double work = qn_report_number(json_array_get(ranks, i), "work_ns");
        if (work > most) {
            most = work;
            *rank_out = i;
        }
    }
    return sum > 0 ? most * (double)json_array_size(ranks) / sum : 1;
}

static bool straggles(const weighing *of, const json_t *stage, size_t *rank_out, double *seconds_out, double *mean_out)
{
    const json_t *ranks = json_object_get(stage, "ranks");
    double ratio = longest_of(stage, rank_out);
    *seconds_out = qn_report_number(json_array_get(ranks, *rank_out), "work_ns") / 1e9;
    *mean_out = *seconds_out / ratio;
    return json_array_size(ranks) > 1 && ratio >= STRAGGLES_FROM &&
           *seconds_out - *mean_out >= STRAGGLES_PART * of->elapsed && of->elapsed >= SHORT_SECONDS;
}

static void look_at_stragglers(weighing *of)
{
    for (size_t i = 0; i < json_array_size(of->stages); i++) {
        const json_t *stage = json_array_get(of->stages, i);
        size_t rank;
        double seconds, mean;
        char name[NAME_BYTES], host[NAME_BYTES];
        if (straggles(of, stage, &rank, &seconds, &mean))
            add_alert(of, "straggler", "rank %zu on %s worked %.2f s in stage %zu '%s', where the mean is %.2f s", rank,
                      brief(qn_report_text(json_array_get(of->ranks, rank), "host"), host), seconds, i + 1,
                      brief(qn_report_text(stage, "name"), name), mean);
    }
}

static const json_t *hottest_of(const json_t *stage)
{
    return json_array_get(json_object_get(stage, "hottest_keys"), 0);
}

static void look_at_keys(weighing *of)
{
    for (size_t i = 0; i < json_array_size(of->stages); i++) {
        const json_t *stage = json_array_get(of->stages, i), *key = hottest_of(stage);
        char name[NAME_BYTES], text[NAME_BYTES];
        if (qn_report_number(key, "share") >= HOT_PART)
            add_alert(of, "hot key", "key '%s' holds about %.0f %% of the records that arrive at '%s' in stage %zu",
                      brief(qn_report_text(key, "key"), text), 100 * qn_report_number(key, "share"),
                      brief(qn_report_text(stage, "end"), name), i + 1);
    }
}

/* Small ones are read while other ranks read others. */
static void look_at_readers(weighing *of)
{
    for (size_t i = 0; i < json_array_size(of->stages); i++) {
        const json_t *stage = json_array_get(of->stages, i), *whole = json_object_get(stage, "one_reader");
        double bytes = qn_report_sum(json_object_get(stage, "ranks"), "input_bytes");
        double largest = qn_report_number(whole, "largest_bytes");
        char path[NAME_BYTES];
        if (of->rank_count > 1 && largest > 0 && largest * of->rank_count >= ONE_READER_NOTABLE * bytes)
            add_alert(of, "unsplittable input",
                      "%.0f of the files of stage %zu cannot be split, each has one reader; the largest is %s, %s",
                      qn_report_number(whole, "files"), i + 1, brief(qn_report_text(whole, "largest"), path),
                      qn_report_bytes(largest));
    }
}

/* What a rank had in memory before the run needed any: MPI, and the program. */
static double begun_with(const json_t *rank)
{
    const json_t *resident = json_object_get(rank, "resident_bytes");
    double bytes = 0;
    for (size_t i = 0; i < json_array_size(resident) && bytes == 0; i++)
        bytes = json_number_value(json_array_get(resident, i));
    return bytes;
}

/* The ranks of one node stand together in by_node, but need not follow each other: launchers may deal them out in turn. */
typedef struct node_view {
    size_t first, end; /* in by_node; zeroed before the first node */
    const json_t *rank;
    size_t rank_count;
    char host[NAME_BYTES];
} node_view;

static const json_t *rank_at(const weighing *of, size_t place)
{
    return json_array_get(of->ranks, of->by_node[place].rank);
}

static bool next_node(const weighing *of, node_view *node)
{
    size_t count = of->by_node ? json_array_size(of->ranks) : 0;
    node->first = node->end;
    if (node->first == count)
        return false;
    while (node->end < count && of->by_node[node->end].node == of->by_node[node->first].node)
        node->end++;
    node->rank = rank_at(of, node->first);
    node->rank_count = node->end - node->first;
    brief(qn_report_text(node->rank, "host"), node->host);
    return true;
}

static void look_at_memory(weighing *of)
{
    double budget = qn_report_number(of->report, "memory_bytes_per_node");
    for (node_view node = {0}; next_node(of, &node);) {
        double used = 0;
        for (size_t i = node.first; i < node.end; i++)
            used += fmax(qn_report_number(rank_at(of, i), "peak_rss_bytes") - begun_with(rank_at(of, i)), 0);
        if (budget > 0 && used >= MEMORY_NEAR * budget)
            add_alert(of, "memory", "the ranks on %s came to need up to %s of memory, and the budget of the node is %s",
                      node.host, qn_report_bytes(used), qn_report_bytes(budget));
    }
}

/* Whether cgroups do not let as many run at once. */
static bool is_throttled(const node_view *node)
{
    double allowed = qn_report_number(node->rank, "processors_allowed");
    return allowed > 0 && allowed < (double)node->rank_count;
}

static void look_at_quotas(weighing *of)
{
    for (node_view node = {0}; next_node(of, &node);)
        if (is_throttled(&node))
            add_alert(of, "processor quota", "%zu ranks on %s share %.2f processors, which is what the cgroup allows",
                      node.rank_count, node.host, qn_report_number(node.rank, "processors_allowed"));
}

/* The first rank of the node that has its core not for itself; NULL: there is none. */
static const json_t *find_crowded(const weighing *of, const node_view *node)
{
    for (size_t i = node->first; i < node->end; i++)
        if (qn_report_number(rank_at(of, i), "core_sharers") > 1)
            return rank_at(of, i);
    return NULL;
}

static void look_at_nodes(weighing *of)
{
    for (node_view node = {0}; next_node(of, &node);) {
        double all = qn_report_number(node.rank, "scratch_bytes");
        double left = qn_report_number(node.rank, "scratch_free_bytes");
        const json_t *crowded = find_crowded(of, &node);
        char place[NAME_BYTES];
        if (all > 0 && left < (1 - QN_DISK_NEAR) * all)
            add_alert(of, QN_ALERT_DISK, QN_DISK_OF "%s is %.0f %% full, %s are left", node.host,
                      100 - 100 * left / all, qn_report_bytes(left));
        if (crowded)
            add_alert(of, "oversubscribed core", "%.0f ranks on %s share %s", qn_report_number(crowded, "core_sharers"),
                      node.host, brief(qn_report_text(crowded, "pinned"), place));
    }
}

static void look_at_run(weighing *of)
{
    const char *source = qn_report_text(of->report, "memory_source");
    const json_t *recoveries = json_object_get(of->report, "recoveries");
    double failed = qn_report_sum(of->ranks, "attempts_failed");
    if (strncmp(source, "cgroup", 6) == 0 || strncmp(source, "SLURM", 5) == 0)
        add_alert(of, "budget cut", "the memory budget, %s a node, is what %s allows, not what the machine has",
                  qn_report_bytes(qn_report_number(of->report, "memory_bytes_per_node")),
                  strncmp(source, "cgroup", 6) == 0 ? "the cgroup" : "SLURM");
    if (json_array_size(recoveries) > 0)
        add_alert(of, "lost ranks", "%.0f ranks were lost; the others went on",
                  qn_report_sum(recoveries, "lost_count"));
    if (failed > 0)
        add_alert(of, "failed attempts", "%.0f attempts failed and were made again, or ended the job", failed);
}

static bool is_of_kind(const json_t *alert, const char *kind)
{
    return strcmp(qn_report_text(alert, "kind"), kind) == 0;
}

/* Whether the disk of that node is full at the end, too, and was told of for that. */
static bool is_still_full(const weighing *of, const json_t *told)
{
    const char *text = qn_report_text(told, "text");
    size_t bytes = strlen(QN_DISK_OF);
    if (strncmp(text, QN_DISK_OF, bytes) != 0)
        return false;
    bytes += strcspn(text + bytes, " ") + 1;
    for (size_t i = 0; i < json_array_size(of->alerts); i++) {
        const json_t *alert = json_array_get(of->alerts, i);
        if (is_of_kind(alert, QN_ALERT_DISK) && strncmp(qn_report_text(alert, "text"), text, bytes) == 0)
            return true;
    }
    return false;
}

/* What was told while the run went on, and cannot be found again. */
static void keep_told(weighing *of)
{
    const json_t *told = json_object_get(of->report, "alerts");
    for (size_t i = 0; i < json_array_size(told) && json_array_size(of->alerts) < ALERTS_MAX; i++) {
        json_t *alert = json_array_get(told, i);
        if (is_of_kind(alert, QN_ALERT_SILENT) || (is_of_kind(alert, QN_ALERT_DISK) && !is_still_full(of, alert)))
            json_array_append(of->alerts, alert);
    }
}

/* ---- what bounded it */

static void weigh(weighing *of)
{
    static const char *const names[] = {
#define NAME(state, name, letter) name,
        QN_TIMELINE_STATES(NAME)
#undef NAME
    };
    double all = 0;
    for (size_t state = 0; state < QN_TIMELINE_STATE_COUNT; state++) {
        of->part[state] = qn_report_state_seconds(of->ranks, names[state]);
        all += of->part[state];
    }
    for (size_t state = 0; state < QN_TIMELINE_STATE_COUNT; state++)
        of->part[state] = all > 0 ? of->part[state] / all : 0;
    of->waiting = of->part[QN_TIMELINE_WAIT] + of->part[QN_TIMELINE_IDLE];
}

/* The stage that took longest. */
static size_t longest_stage(const weighing *of)
{
    size_t longest = 0;
    for (size_t i = 1; i < json_array_size(of->stages); i++)
        if (qn_report_number(json_array_get(of->stages, i), "seconds") >
            qn_report_number(json_array_get(of->stages, longest), "seconds"))
            longest = i;
    return longest;
}

/* The rank that waited most, and for which part of its time. */
static double most_waiting(const weighing *of, size_t *rank_out)
{
    double most = 0;
    *rank_out = 0;
    for (size_t i = 0; i < json_array_size(of->ranks); i++) {
        json_t *seconds = json_object_get(json_array_get(of->ranks, i), "state_seconds");
        double waits = qn_report_number(seconds, "wait") + qn_report_number(seconds, "idle"), all = 0;
        void *at = json_object_iter(seconds);
        for (; at; at = json_object_iter_next(seconds, at))
            all += json_number_value(json_object_iter_value(at));
        if (all > 0 && waits / all > most) {
            most = waits / all;
            *rank_out = i;
        }
    }
    return most;
}

static void conclude(const weighing *of, const char *bound_by, const char *change, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void conclude(const weighing *of, const char *bound_by, const char *change, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_t *verdict = json_object();
    json_object_set_new(verdict, "bound_by", json_string(bound_by));
    json_object_set_new(verdict, "text", text_json(text));
    json_object_set_new(verdict, "change", json_string(change));
    json_object_set_new(of->report, "verdict", verdict);
}

static bool lacks_cores(const weighing *of)
{
    for (node_view node = {0}; next_node(of, &node);)
        if (find_crowded(of, &node) || is_throttled(&node))
            return true;
    return false;
}

/* Why ranks waited in the stage that took longest. */
static void say_why_waited(const weighing *of)
{
    size_t number = longest_stage(of), waiter, worker;
    const json_t *stage = json_array_get(of->stages, number), *key = hottest_of(stage);
    const json_t *whole = json_object_get(stage, "one_reader"), *ranks = json_object_get(stage, "ranks");
    char name[NAME_BYTES], text[NAME_BYTES], lead[2 * NAME_BYTES];
    double most = most_waiting(of, &waiter), seconds, mean, bytes = qn_report_sum(ranks, "input_bytes");
    double tasks = qn_report_sum(ranks, "tasks"),
           uneven = qn_report_number(json_object_get(stage, "load"), "busiest_to_mean");
    snprintf(lead, sizeof lead, "ranks waited %.0f %% of the time, rank %zu %.0f %%", 100 * of->waiting, waiter,
             100 * most);
    brief(qn_report_text(stage, "name"), name);
    if (qn_report_number(whole, "largest_bytes") >= ONE_READER_PART * bytes && qn_report_number(whole, "files") > 0)
        conclude(of, "one reader",
                 "Pack the input in a form that can be split (quern pack, bgzip, zstd in frames), or divide it into "
                 "several files.",
                 "In stage %zu '%s' %s, since %s cannot be split and one rank reads all of it.", number + 1, name, lead,
                 brief(qn_report_text(whole, "largest"), text));
    else if (qn_report_number(key, "share") >= fmin(HOT_PART, 0.5 / of->rank_count) && uneven >= UNEVEN_FROM)
        conclude(of, "hot key",
                 "Combine before the records are exchanged (a reduction instead of a group), or divide the key.",
                 "In stage %zu '%s' %s, since key '%s' holds about %.0f %% of the records and rank %.0f has %.1f times "
                 "the mean.",
                 number + 1, name, lead, brief(qn_report_text(key, "key"), text), 100 * qn_report_number(key, "share"),
                 qn_report_number(json_object_get(stage, "load"), "busiest_rank"), uneven);
    else if (straggles(of, stage, &worker, &seconds, &mean))
        conclude(of, "straggler",
                 "See whether its node is slower or busy, and whether smaller tasks help (--quern-split-bytes).",
                 "In stage %zu '%s' %s, for rank %zu on %s, which worked %.2f s where the mean is %.2f s.", number + 1,
                 name, lead, worker, brief(qn_report_text(json_array_get(of->ranks, worker), "host"), text), seconds,
                 mean);
    else if (of->elapsed - qn_report_sum(of->stages, "seconds") >= OUTSIDE_MUCH * of->elapsed)
        conclude(of, "set-up", "Do more in one run; fewer, larger input files and fewer ranks begin and end sooner.",
                 "Ranks waited %.0f %% of the time, and %.2f s of the %.2f s were before, between and behind stages: "
                 "set-up, "
                 "listing files, commit.",
                 100 * of->waiting, of->elapsed - qn_report_sum(of->stages, "seconds"), of->elapsed);
    else if (lacks_cores(of))
        conclude(of, "oversubscribed cores",
                 "Start as many ranks as there are cores, and as the cgroup allows processors.",
                 "In stage %zu '%s' %s: several ranks share a core or a quota, and wait for those that cannot run.",
                 number + 1, name, lead);
    else if (tasks > 0 && tasks < 2 * of->rank_count)
        conclude(of, "few tasks", "Make smaller tasks (--quern-split-bytes), or start fewer ranks.",
                 "In stage %zu '%s' %s: it has %.0f tasks for %.0f ranks.", number + 1, name, lead, tasks,
                 of->rank_count);
    else
        conclude(of, "waiting",
                 "See in the timeline below for whom: the ranks that are not waiting then are what it takes to change.",
                 "In stage %zu '%s', which took longest, %s.", number + 1, name, lead);
}

static void say_what_worked(const weighing *of)
{
    const double *part = of->part;
    if (part[QN_TIMELINE_REDUCE] > part[QN_TIMELINE_MAP])
        conclude(of, "reduce", "More ranks, or less to sort and to group: filter and combine earlier.",
                 "Ranks worked: merging, sorting, grouping and the operators behind took %.0f %% of the time, waiting "
                 "%.0f %%.",
                 100 * part[QN_TIMELINE_REDUCE], 100 * of->waiting);
    else
        conclude(of, "map", "More ranks; or callbacks, or an input format, that take less.",
                 "Ranks worked: reading and mapping took %.0f %% of the time, waiting %.0f %%.",
                 100 * part[QN_TIMELINE_MAP], 100 * of->waiting);
}

static void judge(const weighing *of)
{
    char failure[TEXT_BYTES / 2];
    const char *error = qn_report_text(of->report, "error");
    if (strcmp(qn_report_text(of->report, "status"), "QUERN_OK") != 0) {
        snprintf(failure, sizeof failure, "%s", error);
        conclude(of, "failure", "docs/status.md says what each status asks for.", "The run failed, %s: %s",
                 qn_report_text(of->report, "status"), failure);
    } else if (of->elapsed < SHORT_SECONDS)
        conclude(of, "short", "Nothing: there is too little work to see what bounds it.",
                 "The run took %.3f s, of which its start and end are a good part.", of->elapsed);
    else if (of->waiting >= WAITING_MUCH && of->rank_count > 1)
        say_why_waited(of);
    else if (of->part[QN_TIMELINE_SPILL] >= SPILLING_MUCH)
        conclude(of, "scratch",
                 "More memory (--quern-memory), more nodes, or a faster scratch directory (--quern-scratch).",
                 "Writing to scratch took %.0f %% of the time: %s did not fit the memory budget.",
                 100 * of->part[QN_TIMELINE_SPILL], qn_report_bytes(qn_report_sum(of->ranks, "spilled_bytes")));
    else if (of->part[QN_TIMELINE_SHUFFLE] + of->part[QN_TIMELINE_WAIT] >= SHUFFLING_MUCH)
        conclude(of, "exchange", "Send less: filter and combine before the exchange, and send smaller records.",
                 "Exchanging records took %.0f %% of the time: %s were sent.",
                 100 * (of->part[QN_TIMELINE_SHUFFLE] + of->part[QN_TIMELINE_WAIT]),
                 qn_report_bytes(qn_report_sum(of->ranks, "sent_bytes")));
    else
        say_what_worked(of);
}

static int compare_places(const void *left, const void *right)
{
    const placed_rank *one = left, *other = right;
    if (one->node != other->node)
        return one->node < other->node ? -1 : 1;
    return one->rank < other->rank ? -1 : one->rank > other->rank;
}

/* The caller frees it. */
static placed_rank *order_by_node(const json_t *ranks)
{
    size_t count = json_array_size(ranks);
    placed_rank *made = calloc(count + 1, sizeof *made);
    for (size_t rank = 0; made && rank < count; rank++)
        made[rank] = (placed_rank){qn_report_number(json_array_get(ranks, rank), "node"), rank};
    if (made)
        qsort(made, count, sizeof *made, compare_places);
    return made;
}

void qn_verdict_set(json_t *report)
{
    weighing of = {.report = report,
                   .ranks = json_object_get(report, "ranks"),
                   .stages = json_object_get(report, "stages"),
                   .alerts = json_array(),
                   .elapsed = qn_report_number(report, "elapsed_seconds")};
    of.rank_count = (double)json_array_size(of.ranks);
    of.by_node = order_by_node(of.ranks);
    weigh(&of);
    judge(&of);
    look_at_stragglers(&of);
    look_at_keys(&of);
    look_at_readers(&of);
    look_at_memory(&of);
    look_at_nodes(&of);
    look_at_quotas(&of);
    look_at_run(&of);
    keep_told(&of);
    free(of.by_node);
    json_object_set_new(report, "alerts", of.alerts);
}
