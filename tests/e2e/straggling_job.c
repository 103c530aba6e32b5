/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job of which one rank is slow: straggling_job WHAT OUT PATH...
 *
 * WHAT: count (the lines are counted), text (they are written as they come), sort, top (the longest lines), collect. The callback looks at each
 * line, counts it, and takes its time: STRAGGLE=RANK:SLOW:FAST says how many nanoseconds for a line on that rank and on the others, as sleep. STRAGGLE_FAIL=N:
 * it fails at every N-th of the lines on each rank, once.
 */
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long sleep_ns, owed_ns, fail_every, seen;
static quern_counter *looks;

#define NAP_NS 200000 /* shorter ones take longer than they should */

static int look(const quern_record *record, int *keep_out, void *user)
{
    (void)user;
    quern_counter_add(looks, 1 + (int64_t)record->key.bytes);
    owed_ns += sleep_ns;
    if (owed_ns >= NAP_NS) {
        struct timespec before, after, nap = {owed_ns / 1000000000, owed_ns % 1000000000};
        clock_gettime(CLOCK_MONOTONIC, &before);
        nanosleep(&nap, NULL);
        clock_gettime(CLOCK_MONOTONIC, &after);
        owed_ns -= (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    }
    *keep_out = record->key.bytes % 7 != 3;
    return fail_every > 0 && ++seen % fail_every == 0;
}

static int print(const quern_record *record, void *user)
{
    (void)user;
    printf("%.*s\n", (int)record->key.bytes, (const char *)record->key.data);
    return 0;
}

static int print_counted(const quern_record *record, void *user)
{
    long long number = 0;
    (void)user;
    memcpy(&number, record->value.data, record->value.bytes < sizeof number ? record->value.bytes : sizeof number);
    printf("%lld %.*s\n", number, (int)record->key.bytes, (const char *)record->key.data);
    return 0;
}

static int measure(const quern_record *in, quern_record *out, void *user)
{
    static int64_t bytes;
    (void)user;
    bytes = (int64_t)in->key.bytes;
    out->key = in->key;
    out->value = (quern_span){&bytes, sizeof bytes};
    return 0;
}

static void ask_for(const char *what, quern_dataset *lines, const char *out)
{
    if (strcmp(what, "count") == 0)
        quern_write_text(quern_count_by_key(lines), out);
    else if (strcmp(what, "text") == 0)
        quern_write_text(lines, out);
    else if (strcmp(what, "sort") == 0)
        quern_write_text(quern_sort_by_key(lines, NULL), out);
    else if (strcmp(what, "collect") == 0)
        quern_collect(lines, QUERN_COLLECT_ROOT, print, NULL);
    else
        quern_top_k(quern_map(lines, (quern_schema){.key = QUERN_BYTES, .value = QUERN_I64}, measure, NULL), 50,
                    print_counted, NULL);
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    if (status != QUERN_OK || argc < 4)
        return 2;
    int slow = -1;
    long slow_ns = 0, fast_ns = 0;
    if (getenv("STRAGGLE") && sscanf(getenv("STRAGGLE"), "%d:%ld:%ld", &slow, &slow_ns, &fast_ns) != 3)
        return 2;
    sleep_ns = quern_context_rank(context) == slow ? slow_ns : fast_ns;
    fail_every = getenv("STRAGGLE_FAIL") ? atol(getenv("STRAGGLE_FAIL")) : 0;
    looks = quern_counter_create(context, "looks");
    const char *const *paths = (const char *const *)argv + 3;
    quern_dataset *lines = quern_read_text(context, paths, (size_t)argc - 3, NULL);
    ask_for(argv[1], quern_name(quern_filter(lines, look, NULL), "look"), argv[2]);
    status = quern_run(context);
    if (quern_context_rank(context) == 0 && status == QUERN_OK)
        printf("looks %lld\n", (long long)quern_counter_value(looks));
    else if (quern_context_rank(context) == 0)
        fprintf(stderr, "straggling_job: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return quern_exit_status(status);
}
