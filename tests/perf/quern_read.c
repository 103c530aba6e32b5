/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern_read PATH...: what bare_read does, by Quern: lines, whatever they are packed in, each counted in a callback of blocks.
 *
 * Prints the lines, their bytes, the status, and the seconds of quern_run() on rank 0.
 */
#include <inttypes.h>
#include <quern/quern.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int count_lines(const quern_block *in, uint8_t *keep_out, void *user)
{
    quern_counter **counters = user;
    uint64_t bytes = 0;
    for (size_t i = 0; i < in->count; i++)
        bytes += in->key_bytes[i];
    quern_counter_add(counters[0], (int64_t)in->count);
    quern_counter_add(counters[1], (int64_t)bytes);
    memset(keep_out, 0, in->count);
    return 0;
}

static int ignore(const quern_record *record, void *user)
{
    (void)record, (void)user;
    return 0;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    quern_counter *counters[] = {quern_counter_create(context, "lines"), quern_counter_create(context, "bytes")};
    quern_dataset *lines = quern_read_text(context, (const char *const *)&argv[1], (size_t)argc - 1, NULL);
    quern_collect(quern_filter_block(lines, count_lines, counters), QUERN_COLLECT_ROOT, ignore, NULL);
    double start = now();
    if (status == QUERN_OK)
        status = quern_run(context);
    double seconds = now() - start;
    if (status == QUERN_OK && quern_context_rank(context) == 0)
        printf("%" PRId64 "\t%" PRId64 "\t%s\t%.6f\n", quern_counter_value(counters[0]),
               quern_counter_value(counters[1]), quern_status_name(status), seconds);
    quern_context_destroy(context);
    return status != QUERN_OK;
}
