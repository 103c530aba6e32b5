/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load of ranks under skew: keys by Zipf's law with 1.2, and one key that half of the records have, reduced, aggregated, sorted and
 * joined, as the left side and as the right one, with keys that are each there once and with such as are skewed too, with splits as they are
 * chosen by themselves and with few tasks. test_api.py looks at the reports of cases named even_…, and
 * nearly_even_….
 */
#include <math.h>
#include <stdlib.h>

#include "api_kit.h"

#define ROW_COUNT     150000
#define KEY_COUNT     20000
#define ZIPF_EXPONENT 1.2

static const quern_schema i64_i64 = {QUERN_I64, QUERN_I64, 0};
static const char *zipf_path[1], *half_path[1], *build_path[1];

typedef struct row {
    int64_t key, value;
} row;

static int64_t zipf_key(const double *sums, uint64_t *state)
{
    double at = (double)(kit_random(state) >> 11) / 0x1p53 * sums[KEY_COUNT - 1];
    size_t first = 0, end = KEY_COUNT;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (sums[middle] <= at)
            first = middle + 1;
        else
            end = middle;
    }
    return (int64_t)(first * 7919 % KEY_COUNT);
}

static const char *write_rows(const char *name, bool half, size_t count)
{
    static double sums[KEY_COUNT];
    kit_text rows = {0};
    uint64_t state = 5;
    double sum = 0;
    for (size_t i = 0; i < KEY_COUNT; i++)
        sums[i] = sum += pow((double)i + 1, -ZIPF_EXPONENT);
    for (size_t i = 0; i < count; i++) {
        row made = {zipf_key(sums, &state), (int64_t)(kit_random(&state) % 1000000)};
        if (half)
            made.key = kit_random(&state) % 2 ? 4242 : (int64_t)(kit_random(&state) % KEY_COUNT);
        if (count == KEY_COUNT)
            made.key = (int64_t)i; /* each once */
        kit_put_bytes(&rows, &made, sizeof made);
    }
    const char *path = strdup(kit_path("%s", name));
    kit_write_for_all(path, &rows);
    kit_free(&rows);
    return path;
}

static quern_dataset *rows_of(quern_context *context, const char *const *path)
{
    const quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = sizeof(row), .schema = i64_i64};
    return quern_read_fixed(context, path, 1, &options);
}

static int add(void *into, const void *value, void *user)
{
    (void)user;
    *(int64_t *)into += *(const int64_t *)value;
    return 0;
}

static int put(void *accumulator, quern_span value, void *user)
{
    (void)user;
    *(int64_t *)accumulator += quern_i64(value);
    return 0;
}

static int pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)user;
    return quern_emit(out, key, right ? *right : *left);
}

static int drop(const quern_record *in, int *keep_out, void *user)
{
    (void)in;
    (void)user;
    *keep_out = 0;
    return 0;
}

static int none(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 1;
}

static int any(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 0;
}

enum job { REDUCE, AGGREGATE, SORT, JOIN, JOIN_TO, JOIN_BOTH, JOB_COUNT };

static quern_dataset *job_of(quern_context *context, enum job job, const char *const *path)
{
    quern_aggregation sums = {sizeof sums, 8, NULL, put, add, NULL, {0}};
    quern_dataset *rows = rows_of(context, path);
    if (job == REDUCE)
        return quern_reduce_by_key(rows, QUERN_SUM);
    if (job == AGGREGATE)
        return quern_aggregate_by_key(rows, &sums, NULL);
    if (job == SORT)
        return quern_sort_by_key(rows, NULL);
    if (job == JOIN_BOTH) /* which makes no pairs: they would be half of all records, squared */
        return quern_join(rows, rows_of(context, path), QUERN_JOIN_SEMI, i64_i64, pair, NULL);
    quern_dataset *others = rows_of(context, build_path);
    return quern_join(job == JOIN ? rows : others, job == JOIN ? others : rows, QUERN_JOIN_INNER, i64_i64, pair, NULL);
}

/* Of joins that make a pair of each record these stay where they were made, so that the report tells how many each rank made. */
static void run_job(quern_context *context, enum job job, const char *const *path)
{
    quern_dataset *made = job_of(context, job, path);
    if (job == JOIN || job == JOIN_TO)
        quern_collect(made, QUERN_COLLECT_LOCAL, any, NULL);
    else
        quern_collect(quern_filter(made, drop, NULL), QUERN_COLLECT_ROOT, none, NULL);
    kit_run(context);
}

static quern_context *context_with(uint64_t task_count)
{
    quern_options options;
    quern_options_init(&options);
    options.broadcast_bytes = 1; /* joins by sorting, however small */
    options.split_bytes = task_count > 0 ? ROW_COUNT * sizeof(row) / task_count + 1 : 0;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

/* tasks: of the file; 0: as they are chosen. */
static void run_all(uint64_t task_count, const char *const *path)
{
    quern_context *context = context_with(task_count);
    for (int job = 0; job < JOB_COUNT; job++) {
        if (job == JOIN_BOTH &&
            path == half_path) /* a quarter of all records is copied, and ranks cannot be full of it: nearly_even_… */
            continue;
        run_job(context, (enum job)job, path);
    }
    quern_context_destroy(context);
}

static void even_load_of_zipf_with_tasks_as_chosen(void)
{
    run_all(0, zipf_path);
}

static void even_load_of_zipf_with_one_task(void)
{
    run_all(1, zipf_path);
}

static void even_load_of_zipf_with_few_tasks(void)
{
    for (uint64_t count = 2; count <= 8; count++)
        run_all(count, zipf_path);
}

static void even_load_of_zipf_with_many_tasks(void)
{
    run_all(150, zipf_path);
}

static void even_load_of_a_half_with_tasks_as_chosen(void)
{
    run_all(0, half_path);
}

static void even_load_of_a_half_with_few_tasks(void)
{
    for (uint64_t count = 2; count <= 8; count++)
        run_all(count, half_path);
}

static void even_load_of_a_half_with_many_tasks(void)
{
    run_all(150, half_path);
}

static void nearly_even_load_of_a_half_of_both_sides(void)
{
    quern_context *context = context_with(150);
    run_job(context, JOIN_BOTH, half_path);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    zipf_path[0] = write_rows("zipf", false, ROW_COUNT);
    half_path[0] = write_rows("half", true, ROW_COUNT);
    build_path[0] = write_rows("build", false, KEY_COUNT);
    RUN(even_load_of_zipf_with_tasks_as_chosen, 30);
    RUN(even_load_of_zipf_with_one_task, 30);
    RUN(even_load_of_zipf_with_few_tasks, 60);
    RUN(even_load_of_zipf_with_many_tasks, 30);
    RUN(even_load_of_a_half_with_tasks_as_chosen, 30);
    RUN(even_load_of_a_half_with_few_tasks, 60);
    RUN(even_load_of_a_half_with_many_tasks, 30);
    RUN(nearly_even_load_of_a_half_of_both_sides, 30);
    return kit_finish();
}
