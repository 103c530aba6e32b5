/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/perf/quern_jobs.c: the jobs of the bare programs that end in memory, by Quern: what they work out is counted and then
 * dropped, so that writing is not measured. Prints the figures that bench_operators.py compares.
 *
 *     quern_jobs sort RECORDS        100-byte records by their first 10 bytes
 *     quern_jobs ints ROWS           rows of two int64: sums of the second by the first
 *     quern_jobs text LINES          lines key<TAB>integer: sums by key
 *     quern_jobs join BUILD PROBE    rows of two int64 each, on the first
 */
#include <inttypes.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

static quern_counter *left_count;

/* Looks at each record, as whoever uses it would. */
static int look_and_drop(const quern_block *block, uint8_t *keep_out, void *user)
{
    static volatile uint64_t seen;
    uint64_t sum = 0;
    (void)user;
    for (size_t i = 0; i < block->count; i++)
        sum += *(const uint8_t *)block->key[i] + *(const uint8_t *)block->value[i];
    seen = seen + sum;
    quern_counter_add(left_count, (int64_t)block->count);
    memset(keep_out, 0, block->count);
    return 0;
}

static int none(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 1; /* all were dropped */
}

static int put_pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)left;
    (void)user;
    return quern_emit(out, key, *right);
}

static const quern_schema ints = {.key = QUERN_I64, .value = QUERN_I64};

static quern_dataset *read_ints(quern_context *context, const char *path)
{
    const quern_fixed_options rows = {.struct_size = sizeof rows, .record_bytes = 16, .schema = ints};
    return quern_read_fixed(context, &path, 1, &rows);
}

static quern_dataset *read_records(quern_context *context, const char *path)
{
    const quern_fixed_options records = {
        .struct_size = sizeof records,
        .record_bytes = 100,
        .key_bytes = 10,
        .value_bytes = 90,
        .schema = {.key = QUERN_FIXED, .value = QUERN_FIXED, .key_bytes = 10, .value_bytes = 90}};
    return quern_read_fixed(context, &path, 1, &records);
}

/* Lines are as `generate` makes them: a sign and digits, of which no sum overflows. */
static int parse_lines(const quern_block *lines, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < lines->count; i++) {
        const char *line = lines->key[i], *end = line + lines->key_bytes[i];
        const char *tab = memchr(line, '\t', lines->key_bytes[i]);
        int64_t number = 0;
        if (!tab || tab + 1 == end)
            return quern_fail(out, i, "the line has no tab and number");
        int is_negative = tab[1] == '-';
        for (const char *digit = tab + 1 + is_negative; digit < end; digit++)
            number = 10 * number + (*digit - '0');
        number = is_negative ? -number : number;
        if (quern_emit(out, quern_bytes(line, (size_t)(tab - line)), quern_of_i64(&number)) != 0)
            return -1;
    }
    return 0;
}

static quern_dataset *read_lines(quern_context *context, const char *path)
{
    const quern_schema sums = {.key = QUERN_BYTES, .value = QUERN_I64};
    return quern_flat_map_block(quern_read_text(context, &path, 1, NULL), sums, parse_lines, NULL);
}

/* The left side streams past the right one: the probe is the left one. NULL: no such job. */
static quern_dataset *make_job(quern_context *context, int argc, char **argv, const char **figure_out)
{
    if (argc == 3 && strcmp(argv[1], "sort") == 0) {
        *figure_out = "sorted";
        return quern_sort_by_key(read_records(context, argv[2]), NULL);
    }
    if (argc == 3 && strcmp(argv[1], "ints") == 0) {
        *figure_out = "groups";
        return quern_reduce_by_key(read_ints(context, argv[2]), QUERN_SUM);
    }
    if (argc == 3 && strcmp(argv[1], "text") == 0) {
        *figure_out = "groups";
        return quern_reduce_by_key(read_lines(context, argv[2]), QUERN_SUM);
    }
    if (argc == 4 && strcmp(argv[1], "join") == 0) {
        *figure_out = "matches";
        return quern_join(read_ints(context, argv[3]), read_ints(context, argv[2]), QUERN_JOIN_INNER, ints, put_pair,
                          NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    const char *figure = "";
    quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0;
    left_count = quern_counter_create(context, "left");
    quern_dataset *job = make_job(context, argc, argv, &figure);
    quern_collect(quern_filter_block(job, look_and_drop, NULL), QUERN_COLLECT_ROOT, none, NULL);
    quern_status status = job ? quern_run(context) : QUERN_ERROR_INVALID_ARGUMENT;
    if (status != QUERN_OK && speaks)
        fprintf(stderr, "quern_jobs: %s\nusage: quern_jobs sort FILE | ints FILE | text FILE | join FILE FILE\n",
                quern_context_error_text(context));
    if (status == QUERN_OK && speaks)
        printf("%s=%" PRId64 "\n", figure, quern_counter_value(left_count));
    quern_context_destroy(context);
    return status != QUERN_OK;
}
