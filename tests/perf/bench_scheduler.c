/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/perf/bench_scheduler.c: decisions per second of the scheduler, one line per configuration.
 *
 * A decision is a RUN action together with the event that brought it about. Attempts end in random order,
 * as in a real job, so that the machine's memory is not walked in a friendly order. Each line is the median
 * of five runs.
 *
 *     bench_scheduler [--enforce]     with --enforce: exit status 1 if a line is below the mark
 */
#include "scheduler/scheduler.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUN_COUNT = 5, TASKS_PER_FAILURE = 100 };

static const double MARK_PER_SECOND = 1e6;

typedef struct bench {
    const char *name;
    uint32_t rank_count, node_count, task_count;
    bool hinted, failing;
} bench;

static const bench BENCHES[] = {
    {"plain", 100, 1, 1000000, false, false},
    {"hinted", 100, 4, 1000000, true, false},
    {"hinted, 1 % failing", 100, 4, 1000000, true, true},
    {"plain", 10000, 1, 1000000, false, false},
    {"hinted", 10000, 200, 1000000, true, false},
    {"hinted, 1 % failing", 10000, 200, 1000000, true, true},
    {"plain", 100000, 1, 1000000, false, false},
    {"hinted", 100000, 1500, 1000000, true, false},
    {"hinted, 1 % failing", 100000, 1500, 1000000, true, true},
    {"hinted, 1 % failing", 100000, 1500, 10000000, true, true},
};

static void *take_memory(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) {
        fprintf(stderr, "bench_scheduler: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Attempts that are out at the ranks; the next one to end is drawn from them. */
typedef struct flight {
    qn_sched_action *runs;
    size_t count;
} flight;

static bool send_out(qn_sched *sched, flight *out)
{
    qn_sched_action action;
    while (qn_sched_next(sched, &action)) {
        if (action.kind != QN_SCHED_RUN) {
            return false;
        }
        out->runs[out->count++] = action;
    }
    return true;
}

static void end_one(qn_sched *sched, flight *out, bool failing, uint64_t *random)
{
    uint64_t drawn = draw(random);
    size_t slot = (size_t)((drawn >> 20) % out->count);
    qn_sched_action ended = out->runs[slot];
    out->runs[slot] = out->runs[--out->count];
    bool fails = failing && ended.attempt == 1 && drawn % TASKS_PER_FAILURE == 0;
    qn_sched_event_kind kind = fails ? QN_SCHED_TASK_FAILED : QN_SCHED_TASK_DONE;
    qn_sched_feed(sched, &(qn_sched_event){kind, ended.rank, ended.task, ended.attempt});
}

static double decisions_per_second(qn_sched *sched, const bench *what, flight *out)
{
    uint64_t random = 88172645463325252u;
    double start_s = now_s();
    for (uint32_t rank = 0; rank < what->rank_count; rank++) {
        qn_sched_feed(sched, &(qn_sched_event){.kind = QN_SCHED_RANK_READY, .rank = rank});
    }
    while (send_out(sched, out)) {
        end_one(sched, out, what->failing, &random);
    }
    double taken_s = now_s() - start_s;
    qn_sched_counts counts = qn_sched_get_counts(sched);
    if (counts.done != what->task_count) {
        fprintf(stderr, "bench_scheduler: the stage did not finish\n");
        exit(EXIT_FAILURE);
    }
    return (double)counts.attempts / taken_s;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double measure(const bench *what)
{
    uint32_t *rank_node = take_memory(what->rank_count * sizeof *rank_node);
    uint32_t *task_node = take_memory(what->task_count * sizeof *task_node);
    uint64_t random = 1;
    for (uint32_t rank = 0; rank < what->rank_count; rank++) {
        rank_node[rank] = (uint32_t)((uint64_t)rank * what->node_count / what->rank_count);
    }
    for (uint32_t task = 0; task < what->task_count; task++) {
        task_node[task] = (uint32_t)(draw(&random) % what->node_count);
    }
    qn_sched_config config = {
        .rank_count = what->rank_count,
        .node_count = what->node_count,
        .task_count = what->task_count,
        .in_hand_max = 2,
        .attempt_count_max = 4,
        .rank_node = rank_node,
        .task_node = what->hinted ? task_node : NULL,
    };
    void *memory = take_memory(qn_sched_bytes(&config));
    flight out = {.runs = take_memory((size_t)what->rank_count * config.in_hand_max * sizeof *out.runs)};
    double rates[RUN_COUNT];
    for (int i = 0; i < RUN_COUNT; i++) {
        out.count = 0;
        rates[i] = decisions_per_second(qn_sched_init(memory, &config), what, &out);
    }
    qsort(rates, RUN_COUNT, sizeof rates[0], compare_doubles);
    free(out.runs);
    free(memory);
    free(task_node);
    free(rank_node);
    return rates[RUN_COUNT / 2];
}

int main(int argc, char **argv)
{
    bool enforce = argc == 2 && strcmp(argv[1], "--enforce") == 0;
    bool met = true;
    for (size_t i = 0; i < sizeof BENCHES / sizeof BENCHES[0]; i++) {
        double rate = measure(&BENCHES[i]);
        met = met && rate >= MARK_PER_SECOND;
        printf("%7" PRIu32 " ranks %9" PRIu32 " tasks  %-20s %10.0f decisions/s\n", BENCHES[i].rank_count,
               BENCHES[i].task_count, BENCHES[i].name, rate);
    }
    return enforce && !met ? EXIT_FAILURE : EXIT_SUCCESS;
}
