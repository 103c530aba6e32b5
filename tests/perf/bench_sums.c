/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/perf/bench_sums.c: what sums of doubles cost: 20 million values of a million keys.
 *
 * usage: bench_sums FILE plain|sum|mean|u64 [RECORDS KEYS]    FILE: made if it is not there; prints seconds of quern_run()
 */
#include <inttypes.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINE_COUNT 20000

typedef struct plan {
    uint64_t record_count, key_count;
    int integers;
} plan;

static uint64_t mix(uint64_t word)
{
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* Line n: its share of the records. */
static int emit_records(const quern_record *in, quern_emitter *out, void *user)
{
    const plan *wanted = user;
    uint64_t line = strtoull(in->key.data, NULL, 10), count = wanted->record_count / LINE_COUNT;
    for (uint64_t i = line * count; i < (line + 1) * count; i++) {
        uint64_t key = mix(i + 1) % wanted->key_count, whole = mix(i + UINT64_C(0x9e3779b97f4a7c15));
        double value = (double)(int64_t)whole * 0x1p-40;
        whole >>= 20;
        if (quern_emit(out, quern_of_u64(&key), wanted->integers ? quern_of_u64(&whole) : quern_of_f64(&value)))
            return 1;
    }
    return 0;
}

static int count_result(const quern_record *record, void *user)
{
    (void)record;
    ++*(uint64_t *)user;
    return 0;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void make_file(const char *path)
{
    FILE *file = fopen(path, "wx");
    for (int i = 0; file && i < LINE_COUNT; i++)
        fprintf(file, "%d\n", i);
    if (file)
        fclose(file);
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    if (argc < 3)
        return 2;
    const char *paths[] = {argv[1]}, *mode = argv[2];
    plan wanted = {argc > 3 ? strtoull(argv[3], NULL, 10) : 20000000, argc > 4 ? strtoull(argv[4], NULL, 10) : 1000000,
                   strcmp(mode, "u64") == 0};
    uint64_t results = 0;
    int ours = 1;
    char *program[] = {argv[0], NULL};
    make_file(paths[0]);
    if (quern_context_create(&ours, program, NULL, &context) != QUERN_OK)
        return 1;
    const quern_schema records = {.key = QUERN_U64, .value = wanted.integers ? QUERN_U64 : QUERN_F64};
    quern_dataset *emitted = quern_flat_map(quern_read_text(context, paths, 1, NULL), records, emit_records, &wanted);
    quern_reduction reduction = strcmp(mode, "plain") == 0  ? QUERN_SUM_PLAIN
                                : strcmp(mode, "mean") == 0 ? QUERN_MEAN
                                                            : QUERN_SUM;
    quern_collect(quern_reduce_by_key(emitted, reduction), QUERN_COLLECT_LOCAL, count_result, &results);
    double begin = now();
    quern_status status = quern_run(context);
    if (status == QUERN_OK && quern_context_rank(context) == 0)
        printf("%s %.3f s, %" PRIu64 " keys here\n", mode, now() - begin, results);
    else if (status != QUERN_OK)
        fprintf(stderr, "%s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return status != QUERN_OK;
}
