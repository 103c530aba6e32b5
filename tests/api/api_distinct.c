/* SPDX-License-Identifier: BSD-3-Clause */
/* Reductions of so many different keys that records step aside of the tables, and of what turns from few keys to many and back:
 * against sums that are known beforehand. Whichever way records go is not to be seen from outside. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define ROW_COUNT    UINT64_C(3300000) /* enough that each of three ranks has a table larger than the caches */
#define FEW_COUNT    UINT64_C(1000)
#define MOST         5
#define KEY_FACTOR   UINT64_C(0x9e3779b97f4a7c15)
#define SMALL_MEMORY 24 /* MiB a rank: much is spilled */

/* Number of a row's key. */
typedef uint64_t (*course_fn)(uint64_t row);

static uint64_t distinct(uint64_t row)
{
    return row % (ROW_COUNT - 100);
}

static uint64_t few_then_distinct(uint64_t row)
{
    return row < ROW_COUNT / 3 ? row % FEW_COUNT : row;
}

static uint64_t distinct_then_few(uint64_t row)
{
    return row < ROW_COUNT / 2 ? row : row % FEW_COUNT;
}

static int64_t value_of(uint64_t row)
{
    return (int64_t)(row % 1000) + 1; /* a sum is never 0 */
}

static const char *write_rows(const char *name, course_fn course)
{
    const char *path = strdup(kit_path("%s", name));
    kit_text rows = {0};
    for (uint64_t row = 0; kit_rank() == 0 && row < ROW_COUNT; row++) {
        uint64_t pair[2] = {course(row) * KEY_FACTOR, (uint64_t)value_of(row)};
        kit_put_bytes(&rows, pair, sizeof pair);
    }
    kit_write_for_all(path, &rows);
    kit_free(&rows);
    return path;
}

static quern_context *context_with(uint64_t memory_mib)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = (memory_mib * (uint64_t)kit_size()) << 20;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_dataset *read_rows(quern_context *context, const char *path)
{
    const quern_fixed_options options = {
        .struct_size = sizeof options, .record_bytes = 16, .schema = {QUERN_U64, QUERN_I64, 0}};
    return quern_read_fixed(context, &path, 1, &options);
}

/* ---- sums ---- */

/* Of keys, by their numbers. */
static int64_t *expected_sums(course_fn course)
{
    int64_t *sums = calloc(ROW_COUNT, sizeof *sums);
    CHECK(sums != NULL);
    for (uint64_t row = 0; row < ROW_COUNT; row++)
        sums[course(row)] += value_of(row); /* 0: no such key */
    return sums;
}

static uint64_t expected_count(const int64_t *sums)
{
    uint64_t count = 0;
    for (uint64_t key = 0; key < ROW_COUNT; key++)
        count += sums[key] != 0;
    return count;
}

static uint64_t inverse(uint64_t factor)
{
    uint64_t found = factor;
    for (int i = 0; i < 6; i++)
        found *= 2 - factor * found;
    return found;
}

typedef struct seen {
    const int64_t *sums;
    uint64_t inverse, count;
} seen;

static int check_sum(const quern_record *record, void *user)
{
    seen *so_far = user;
    uint64_t key = quern_u64(record->key) * so_far->inverse;
    CHECK(key < ROW_COUNT);
    CHECK_SAME(quern_i64(record->value), so_far->sums[key]);
    so_far->count++;
    return 0;
}

static void check_sums(course_fn course, const char *name, uint64_t memory_mib)
{
    int64_t *sums = expected_sums(course);
    seen so_far = {sums, inverse(KEY_FACTOR), 0};
    const char *path = write_rows(name, course);
    quern_context *context = context_with(memory_mib);
    quern_collect(quern_reduce_by_key(read_rows(context, path), QUERN_SUM), QUERN_COLLECT_LOCAL, check_sum, &so_far);
    kit_run(context);
    CHECK_SAME(kit_sum(so_far.count), expected_count(sums));
    quern_context_destroy(context);
    free(sums);
}

static void integers_that_are_nearly_all_distinct_are_summed(void)
{
    check_sums(distinct, "distinct", 600);
}

static void few_keys_that_become_many_are_summed(void)
{
    check_sums(few_then_distinct, "few-first", 600);
}

static void many_keys_that_become_few_are_summed(void)
{
    check_sums(distinct_then_few, "few-last", 600);
}

/* ---- the same bytes with little memory ---- */

static void write_sums(const char *path, uint64_t memory_mib, const char *output)
{
    quern_context *context = context_with(memory_mib);
    quern_write_text(quern_reduce_by_key(read_rows(context, path), QUERN_SUM), output);
    kit_run(context);
    quern_context_destroy(context);
}

static void little_memory_gives_the_same_bytes(void)
{
    const char *path = write_rows("bytes", distinct);
    const char *much = strdup(kit_path("much")), *little = strdup(kit_path("little"));
    write_sums(path, 600, much);
    write_sums(path, SMALL_MEMORY, little);
    if (kit_rank() == 0) {
        kit_text got = kit_read_output(little), expected = kit_read_output(much);
        CHECK_SAME(got.bytes, expected.bytes);
        CHECK(memcmp(got.data, expected.data, got.bytes) == 0);
        kit_free(&got);
        kit_free(&expected);
    }
    kit_barrier();
}

/* ---- other readers ---- */

static int note_most(const quern_record *record, void *user)
{
    int64_t *sum = user;
    *sum += quern_i64(record->value);
    return 0;
}

static void what_stepped_aside_is_read_more_than_once(void)
{
    const char *path = write_rows("twice", distinct);
    quern_context *context = context_with(600);
    quern_dataset *reduced = quern_cache(quern_reduce_by_key(read_rows(context, path), QUERN_MAX));
    int64_t first = 0, second = 0;
    quern_top_k(reduced, MOST, note_most, &first);
    quern_collect(quern_reduce_by_key(quern_value_as_key(reduced), QUERN_COUNT), QUERN_COLLECT_LOCAL, note_most,
                  &second);
    kit_run(context);
    CHECK_SAME(kit_sum((uint64_t)first), MOST * 1000);
    CHECK_SAME(kit_sum((uint64_t)second), ROW_COUNT - 100);
    first = 0;
    quern_top_k(reduced, MOST, note_most, &first);
    kit_run(context);
    CHECK_SAME(kit_sum((uint64_t)first), MOST * 1000);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(integers_that_are_nearly_all_distinct_are_summed, 40);
    RUN(few_keys_that_become_many_are_summed, 40);
    RUN(many_keys_that_become_few_are_summed, 40);
    RUN(little_memory_gives_the_same_bytes, 60);
    RUN(what_stepped_aside_is_read_more_than_once, 60);
    return kit_finish();
}
