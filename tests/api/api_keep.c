/* SPDX-License-Identifier: BSD-3-Clause */
/* Datasets that are kept over runs, places of records, and prefix sums: the same on any number of ranks, and under failures. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT  20000
#define SPLIT_BYTES 9000
#define SMALL_MIB   12              /* of memory for each rank */
#define LONG_TAIL   " of the lines" /* keys are longer than 16 bytes */

static const quern_schema bytes_none = {QUERN_BYTES, QUERN_NONE, 0};
static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema bytes_i64 = {QUERN_BYTES, QUERN_I64, 0};
static const quern_schema bytes_bytes = {QUERN_BYTES, QUERN_BYTES, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema u64_none = {QUERN_U64, QUERN_NONE, 0};
static const quern_schema u64_bytes = {QUERN_U64, QUERN_BYTES, 0};
static const char *input[1];
static kit_text lines;
static quern_counter *seen;

static void make_input(void)
{
    for (uint64_t i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "%" PRIu64 "\n", i);
    input[0] = strdup(kit_path("lines"));
    kit_write_for_all(input[0], &lines);
}

static quern_context *start_with(uint64_t memory_mib, const char *report_path)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = SPLIT_BYTES;
    options.memory_bytes = memory_mib * (uint64_t)kit_size() << 20;
    options.report_path = report_path;
    quern_context *context = kit_context(&options);
    seen = quern_counter_create(context, "seen");
    return context;
}

static quern_context *start(uint64_t memory_mib)
{
    return start_with(memory_mib, kit_path("report.json"));
}

/* test_api.py adds up stages of one input only. */
static quern_context *start_unreported(void)
{
    return start_with(64, "/dev/null");
}

static quern_dataset *read_lines(quern_context *context)
{
    return quern_read_text(context, input, 1, NULL);
}

/* ---- callbacks; user: a name under which to fail once on every 997th line, or NULL ---- */

static bool is_due(uint64_t line, const char *name)
{
    return name && line % 997 == 500 && kit_first_time("%s.%" PRIu64, name, line);
}

/* A line, as often as its number modulo 4 says, numbered. */
static int some_of_each(const quern_record *in, quern_emitter *out, void *name)
{
    uint64_t line = kit_number(in->key);
    quern_counter_add(seen, 1);
    for (uint64_t i = 0; i < line % 4; i++) {
        char text[60];
        snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64 LONG_TAIL, line, i);
        if (i == 1 && is_due(line, name))
            return 1;
        if (quern_emit(out, quern_text(text), quern_of_u64(&line)))
            return 1;
    }
    return is_due(line, name);
}

static int count_line(const quern_record *in, quern_record *out, void *name)
{
    (void)out;
    quern_counter_add(seen, 1);
    return is_due(kit_number(in->key), name);
}

/* What some_of_each() makes of all lines, with what comes behind the key. */
static kit_text expect_some(void (*behind)(kit_text *text, uint64_t index, uint64_t line))
{
    kit_text text = {0};
    uint64_t index = 0;
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        for (uint64_t i = 0; i < line % 4; i++) {
            kit_put(&text, "%" PRIu64 ".%" PRIu64 LONG_TAIL "\t", line, i);
            behind(&text, index++, line);
        }
    }
    return text;
}

static void put_line(kit_text *text, uint64_t index, uint64_t line)
{
    (void)index;
    kit_put(text, "%" PRIu64 "\n", line);
}

static void put_index(kit_text *text, uint64_t index, uint64_t line)
{
    (void)line;
    kit_put(text, "%" PRIu64 "\n", index);
}

static void check_written(quern_context *context, quern_dataset *dataset, const char *name, kit_text expected)
{
    const char *output = kit_path("out.%s", name);
    quern_write_text(dataset, output);
    kit_run(context);
    kit_check_output(output, &expected, true);
    kit_free(&expected);
}

/* ---- caches ---- */

static void a_cache_is_worked_out_in_the_first_run_that_needs_it_and_never_again(void)
{
    quern_context *context = start(64);
    quern_dataset *some = quern_cache(quern_flat_map(read_lines(context), bytes_u64, some_of_each, "cache"));
    quern_write_text(read_lines(context), kit_path("out.other"));
    kit_run(context);
    CHECK_SAME(quern_counter_value(seen), 0);
    check_written(context, some, "first", expect_some(put_line));
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
    CHECK_SAME(kit_reported("cached_records"), 0);
    for (int run = 0; run < 3; run++) {
        char name[20];
        snprintf(name, sizeof name, "again%d", run);
        check_written(context, some, name, expect_some(put_line));
        CHECK_SAME(quern_counter_value(seen), 0);
        CHECK_SAME(kit_reported("input_bytes"), 0);
        CHECK_SAME(kit_reported("cached_records"), LINE_COUNT / 4 * 6);
    }
    quern_uncache(some);
    check_written(context, some, "uncached", expect_some(put_line));
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
    check_written(context, some, "uncached_again", expect_some(put_line));
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
    quern_uncache(some);
    quern_uncache(NULL);
    quern_context_destroy(context);
}

typedef struct tally {
    uint64_t count, sum;
} tally;

static int add_value(const quern_record *record, void *user)
{
    tally *sum = user;
    sum->count++;
    sum->sum += quern_u64(record->value);
    return 0;
}

static void a_cache_has_many_readers_in_the_run_that_makes_it_and_in_others(void)
{
    quern_context *context = start_unreported();
    quern_dataset *some = quern_cache(quern_flat_map(read_lines(context), bytes_u64, some_of_each, NULL));
    for (int run = 0; run < 3; run++) {
        tally all = {0}, both = {0};
        kit_text expected = expect_some(put_line);
        quern_collect(some, QUERN_COLLECT_ALL, add_value, &all);
        quern_collect(quern_union(some, some), QUERN_COLLECT_ALL, add_value, &both);
        quern_write_text(some, kit_path("out.readers%d", run));
        quern_write_text(quern_reduce_by_key(some, QUERN_SUM), kit_path("out.sums%d", run));
        kit_run(context);
        CHECK_SAME(all.count, LINE_COUNT / 4 * 6);
        CHECK_SAME(both.count, 2 * all.count);
        CHECK_SAME(both.sum, 2 * all.sum);
        CHECK_SAME(quern_counter_value(seen), run == 0 ? LINE_COUNT : 0);
        kit_check_output(kit_path("out.readers%d", run), &expected, true);
        kit_check_output(kit_path("out.sums%d", run), &expected, false);
        kit_free(&expected);
    }
    quern_context_destroy(context);
}

static void a_reduction_is_kept_itself_and_not_copied(void)
{
    quern_context *context = start(64);
    quern_dataset *counts =
        quern_reduce_by_key(quern_flat_map(read_lines(context), bytes_u64, some_of_each, NULL), QUERN_SUM);
    quern_dataset *kept = quern_cache(counts);
    kit_text expected = expect_some(put_line);
    for (int run = 0; run < 3; run++) {
        quern_write_text(run == 1 ? counts : kept, kit_path("out.kept%d", run));
        kit_run(context);
        kit_check_output(kit_path("out.kept%d", run), &expected, false);
        CHECK_SAME(quern_counter_value(seen), run == 0 ? LINE_COUNT : 0);
        CHECK_SAME(kit_reported("end_records"), (run == 0 ? 2 : 1) * (LINE_COUNT / 4 * 6));
    }
    quern_uncache(kept);
    quern_write_text(kept, kit_path("out.not_kept"));
    kit_run(context);
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
    kit_free(&expected);
    quern_context_destroy(context);
}

static int always_fail(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 1;
}

static void a_run_that_fails_keeps_nothing_and_leaves_what_was_kept(void)
{
    quern_context *context = start(64);
    quern_dataset *some = quern_cache(quern_flat_map(read_lines(context), bytes_u64, some_of_each, NULL));
    quern_dataset *bad = quern_map(some, bytes_u64, always_fail, NULL);
    quern_write_text(bad, kit_path("out.bad"));
    kit_run_fails(context, QUERN_ERROR_CALLBACK);
    check_written(context, some, "after", expect_some(put_line));
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
    quern_write_text(quern_cache(quern_map(some, bytes_u64, always_fail, NULL)), kit_path("out.bad"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "store");
    check_written(context, some, "after_again", expect_some(put_line));
    CHECK_SAME(quern_counter_value(seen), 0);
    quern_context_destroy(context);
}

static void attempts_that_fail_leave_nothing_in_a_cache(void)
{
    quern_context *context = start(64);
    quern_dataset *first = quern_cache(quern_map(read_lines(context), bytes_none, count_line, "attempt"));
    quern_dataset *second = quern_cache(quern_flat_map(first, bytes_u64, some_of_each, "second"));
    quern_dataset *third = quern_cache(quern_flat_map(quern_keys(second), bytes_u64, some_of_each, "third"));
    check_written(context, second, "second", expect_some(put_line));
    CHECK_SAME(quern_counter_value(seen), 2 * LINE_COUNT);
    CHECK(kit_exists(kit_path("first.attempt.500")) && kit_exists(kit_path("first.second.1497")));
    tally all = {0};
    quern_collect(third, QUERN_COLLECT_ALL, add_value, &all);
    kit_run(context);
    uint64_t expected = 0;
    for (uint64_t line = 0; line < LINE_COUNT; line++)
        expected += (line % 4) * (line % 4);
    CHECK_SAME(all.count, expected);
    quern_context_destroy(context);
}

static void a_plan_tells_what_is_kept_and_what_was(void)
{
    quern_context *context = start(64);
    quern_dataset *some = quern_cache(quern_flat_map(read_lines(context), bytes_u64, some_of_each, NULL));
    char *text = NULL;
    for (int run = 0; run < 2; run++) {
        quern_write_text(some, kit_path("out.plan%d", run));
        CHECK_SAME(quern_explain(context, QUERN_EXPLAIN_TEXT, &text), QUERN_OK);
        CHECK_HAS(text, run == 0 ? "store: store (bytes, u64), kept for later runs, read by stage 2\n"
                                 : "store: store (bytes, u64), kept from an earlier run, takes ");
        free(text);
        kit_run(context);
    }
    CHECK_SAME(quern_explain(context, QUERN_EXPLAIN_TEXT, &text), QUERN_OK);
    CHECK_HAS(text, "stage 1: kept\n  store: store (bytes, u64), kept from an earlier run, takes ");
    CHECK_HAS(text, " bytes, read by stage 2\n"
                    "stage 2: QUERN_OK\n  source: result of stage 1, store (bytes, u64) [out 30000, ");
    free(text);
    CHECK_SAME(quern_explain(context, QUERN_EXPLAIN_DOT, &text), QUERN_OK);
    free(text);
    quern_context_destroy(context);
}

/* ---- more than memory ---- */

#define WIDE_BYTES 1000

/* So many records of a line, of about WIDE_BYTES. */
static int widen(const quern_record *in, quern_emitter *out, void *user)
{
    static char text[WIDE_BYTES];
    uint64_t line = kit_number(in->key), count = *(const uint64_t *)user;
    quern_counter_add(seen, 1);
    memset(text, 'x', sizeof text);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = line * count + i;
        if (quern_emit(out, quern_of_u64(&number), quern_bytes(text, WIDE_BYTES - number % 100)))
            return 1;
    }
    return 0;
}

/* Key and length are to follow from the index. Gives one key, so that a sum of all lengths remains. */
static int check_index(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    static const uint64_t one_key = 1;
    static uint64_t length;
    (void)user;
    quern_counter_add(seen, 1);
    length = in->value.bytes;
    out->key = quern_of_u64(&one_key);
    out->value = quern_of_u64(&length);
    return quern_u64(in->key) != index || length != WIDE_BYTES - index % 100;
}

static void a_cache_of_many_times_the_memory_is_spilled_and_read_in_order(void)
{
    quern_context *context = start(SMALL_MIB);
    uint64_t count = 13; /* 247 MB of records, on one rank 20 times its memory */
    uint64_t all = LINE_COUNT * count, length = 0;
    for (uint64_t i = 0; i < all; i++)
        length += WIDE_BYTES - i % 100;
    quern_dataset *wide = quern_cache(quern_flat_map(read_lines(context), u64_bytes, widen, &count));
    quern_dataset *sum = quern_reduce_by_key(quern_zip_with_index(wide, u64_u64, check_index, NULL), QUERN_SUM);
    for (int run = 0; run < 2; run++) {
        char name[20];
        kit_text expected = {0};
        snprintf(name, sizeof name, "length%d", run);
        kit_put(&expected, "1\t%" PRIu64 "\n", length);
        check_written(context, sum, name, expected);
        CHECK_SAME(quern_counter_value(seen), (run == 0 ? LINE_COUNT : 0) + all);
        CHECK_SAME(kit_reported("cached_records"), run == 0 ? 0 : all);
        CHECK(run > 0 || kit_reported("spilled_bytes") > length / 2);
    }
    quern_context_destroy(context);
}

static int line_times(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t key, value;
    key = value = kit_number(in->key) * *(const uint64_t *)user;
    out->key = quern_of_u64(&key);
    out->value = quern_of_u64(&value);
    return 0;
}

static int to_one_key(const quern_record *in, quern_record *out, void *user)
{
    static const uint64_t one_key = 1;
    (void)in;
    (void)user;
    out->key = quern_of_u64(&one_key);
    return 0;
}

static void many_caches_share_a_small_memory_and_none_fails(void)
{
    enum { COUNT = 12 };
    quern_context *context = start(32);
    quern_dataset *kept[COUNT];
    uint64_t factors[COUNT], width = 2, records = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        factors[i] = i + 1;
        quern_dataset *numbers = quern_map(read_lines(context), u64_u64, line_times, &factors[i]);
        kept[i] = quern_cache(i % 2 ? numbers : quern_reduce_by_key(numbers, QUERN_MAX));
        if (i % 3 == 0)
            kept[i] = quern_cache(quern_flat_map(read_lines(context), u64_bytes, widen, &width)); /* 38 MB */
        records += i % 3 == 0 ? width * LINE_COUNT : LINE_COUNT;
        tally some = {0};
        for (uint64_t j = 0; j <= i; j++)
            quern_collect(quern_reduce_by_key(quern_map(kept[j], u64_none, to_one_key, NULL), QUERN_COUNT),
                          QUERN_COLLECT_ROOT, add_value, &some);
        kit_run(context);
        if (kit_rank() == 0)
            CHECK_SAME(some.sum, records);
    }
    quern_context_destroy(context);
}

static int many_keys(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), count = *(const uint64_t *)user;
    quern_counter_add(seen, 1);
    for (uint64_t i = 0; i < count; i++) {
        char text[60];
        snprintf(text, sizeof text, "%" PRIu64 LONG_TAIL, line * count + i);
        if (quern_emit(out, quern_text(text), quern_of_u64(&line)))
            return 1;
    }
    return 0;
}

/* With few keys a kept table has to go to disk before the next run, with many most of it is there already. */
static void check_kept_reduction(uint64_t count)
{
    quern_context *context = start(SMALL_MIB);
    kit_text expected = {0};
    for (uint64_t i = 0; i < LINE_COUNT * count; i++)
        kit_put(&expected, "%" PRIu64 LONG_TAIL "\t%" PRIu64 "\n", i, i / count);
    quern_dataset *kept =
        quern_cache(quern_reduce_by_key(quern_flat_map(read_lines(context), bytes_u64, many_keys, &count), QUERN_SUM));
    for (unsigned run = 0; run < 3; run++) {
        const char *output = kit_path("out.room%u_%u", (unsigned)count, run);
        quern_write_text(run == 1 ? quern_reduce_by_key(kept, QUERN_MAX) : kept, output);
        kit_run(context);
        kit_check_output(output, &expected, false);
        CHECK_SAME(quern_counter_value(seen), run == 0 ? LINE_COUNT : 0);
    }
    kit_free(&expected);
    quern_context_destroy(context);
}

static void a_kept_reduction_makes_room_for_later_runs(void)
{
    check_kept_reduction(2);
    check_kept_reduction(4);
}

/* ---- places ---- */

static void places_are_those_of_the_input_whatever_the_ranks_and_failures(void)
{
    quern_context *context = start(64);
    quern_dataset *some = quern_flat_map(read_lines(context), bytes_u64, some_of_each, "places");
    check_written(context, quern_zip_with_index(some, bytes_none, NULL, NULL), "zipped", expect_some(put_index));
    quern_dataset *twice =
        quern_zip_with_index(quern_zip_with_index(some, bytes_none, NULL, NULL), bytes_u64, NULL, NULL);
    check_written(context, twice, "twice", expect_some(put_index));
    quern_dataset *cached = quern_cache(quern_zip_with_index(some, bytes_none, NULL, NULL));
    check_written(context, cached, "cached", expect_some(put_index));
    check_written(context, cached, "cached_again", expect_some(put_index));
    CHECK_SAME(quern_counter_value(seen), 0);
    quern_context_destroy(context);
}

static int join_index(const quern_record *in, uint64_t index, quern_record *out, void *name)
{
    static char text[60];
    uint64_t line = kit_number(in->key);
    quern_counter_add(seen, 1);
    snprintf(text, sizeof text, "%" PRIu64 "/%.*s", index, (int)in->key.bytes, (const char *)in->key.data);
    out->value = quern_text(text);
    return is_due(line, name);
}

static void a_callback_with_places_that_fails_once_is_called_with_the_same_ones_again(void)
{
    quern_context *context = start_unreported();
    quern_dataset *both = quern_union(read_lines(context), quern_keys(quern_cache(read_lines(context))));
    quern_dataset *placed = quern_zip_with_index(both, bytes_bytes, join_index, "join");
    kit_text expected = {0};
    for (uint64_t i = 0; i < 2 * LINE_COUNT; i++)
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "/%" PRIu64 "\n", i % LINE_COUNT, i, i % LINE_COUNT);
    check_written(context, placed, "placed", expected);
    CHECK_SAME(quern_counter_value(seen), 2 * LINE_COUNT);
    CHECK(kit_exists(kit_path("first.join.500")));
    quern_context_destroy(context);
}

typedef struct sequence {
    uint64_t *keys;
    uint64_t count;
} sequence;

static int take_key(const quern_record *record, void *user)
{
    sequence *all = user;
    all->keys[all->count++] = quern_u64(record->key);
    return 0;
}

static int check_place(const quern_record *record, void *user)
{
    sequence *all = user;
    CHECK_SAME(quern_u64(record->value), all->count);
    CHECK_SAME(quern_u64(record->key), all->keys[all->count]);
    all->count++;
    return 0;
}

static void places_of_a_reduction_are_in_its_order(void)
{
    uint64_t factor = 3;
    quern_context *context = start(64);
    quern_dataset *reduced =
        quern_reduce_by_key(quern_map(read_lines(context), u64_u64, line_times, &factor), QUERN_MAX);
    for (int kept = 0; kept < 2; kept++) {
        sequence all = {calloc(LINE_COUNT, sizeof(uint64_t)), 0};
        quern_collect(reduced, QUERN_COLLECT_ALL, take_key, &all);
        kit_run(context);
        CHECK_SAME(all.count, LINE_COUNT);
        all.count = 0;
        quern_collect(quern_zip_with_index(reduced, bytes_none, NULL, NULL), QUERN_COLLECT_ALL, check_place, &all);
        kit_run(context);
        CHECK_SAME(all.count, LINE_COUNT);
        free(all.keys);
        reduced = quern_cache(reduced);
    }
    quern_context_destroy(context);
}

static void nothing_has_no_places(void)
{
    quern_context *context = start(64);
    const char *paths[] = {kit_path("empty")};
    kit_text none = {0};
    kit_put(&none, "%s", "");
    kit_write_for_all(paths[0], &none);
    quern_dataset *empty = quern_cache(quern_read_text(context, paths, 1, NULL));
    tally all = {0};
    for (int run = 0; run < 2; run++) {
        quern_collect(quern_zip_with_index(empty, bytes_none, NULL, NULL), QUERN_COLLECT_ALL, add_value, &all);
        quern_collect(quern_prefix_sum(quern_reduce_by_key(empty, QUERN_COUNT)), QUERN_COLLECT_ALL, add_value, &all);
        kit_run(context);
        CHECK_SAME(all.count, 0);
    }
    kit_free(&none);
    quern_context_destroy(context);
}

/* ---- prefix sums ---- */

static void put_sum(kit_text *text, uint64_t index, uint64_t line)
{
    static uint64_t sum;
    sum = index == 0 ? line : sum + line;
    kit_put(text, "%" PRIu64 "\n", sum);
}

static int alternate(const quern_record *in, quern_record *out, void *user)
{
    static int64_t value;
    (void)user;
    uint64_t line = quern_u64(in->value);
    value = line % 2 ? -3 * (int64_t)line : INT64_MAX / LINE_COUNT / 4;
    out->value = quern_of_i64(&value);
    return 0;
}

static void put_signed_sum(kit_text *text, uint64_t index, uint64_t line)
{
    static int64_t sum;
    sum = (index == 0 ? 0 : sum) + (line % 2 ? -3 * (int64_t)line : INT64_MAX / LINE_COUNT / 4);
    kit_put(text, "%" PRId64 "\n", sum);
}

static void prefix_sums_are_those_of_the_order_of_the_input(void)
{
    quern_context *context = start(64);
    quern_dataset *some = quern_cache(quern_flat_map(read_lines(context), bytes_u64, some_of_each, "sums"));
    check_written(context, quern_prefix_sum(some), "sums", expect_some(put_sum));
    check_written(context, quern_prefix_sum(quern_map(some, bytes_i64, alternate, NULL)), "signed",
                  expect_some(put_signed_sum));
    quern_context_destroy(context);
}

/* Eighths, some of which are huge and cancel; of few bits, for floats. */
static int64_t eighths_of(quern_type type, uint64_t line)
{
    if (type == QUERN_F64 && (line % 1000 == 1 || line % 1000 == 5)) /* both come once */
        return (line % 1000 == 1 ? 1 : -1) * (INT64_C(1) << 60);
    return (int64_t)(line % 1001) - 300;
}

static int of_type(const quern_record *in, quern_record *out, void *user)
{
    static int32_t narrow;
    static float small;
    static double real;
    uint64_t line = quern_u64(in->value);
    quern_type type = *(const quern_type *)user;
    narrow = type == QUERN_I32 ? INT32_MAX - (int32_t)(line % 7) : -(int32_t)line - 1;
    if (type == QUERN_I32 && line % 3 == 0)
        narrow = INT32_MIN;
    small = (float)eighths_of(type, line) / 8;
    real = (double)eighths_of(type, line) / 8;
    out->value = type == QUERN_F64   ? quern_of_f64(&real)
                 : type == QUERN_F32 ? quern_bytes(&small, sizeof small)
                                     : quern_bytes(&narrow, sizeof narrow);
    return 0;
}

static void put_sum_of_type(quern_type type, kit_text *text, uint64_t index, uint64_t line)
{
    static int64_t sum;
    int32_t narrow = line % 3 == 0 ? INT32_MIN : INT32_MAX - (int32_t)(line % 7);
    sum = index == 0 ? 0 : sum;
    sum += type == QUERN_I32 ? narrow : type == QUERN_U32 ? UINT32_MAX - (int64_t)line : eighths_of(type, line);
    if (type == QUERN_F64 || type == QUERN_F32)
        kit_put(text, "%.17g\n", (double)sum / 8);
    else
        kit_put(text, "%" PRId64 "\n", sum);
}

#define PUT_SUM_OF(type)                                                                                               \
    static void put_sum_of_##type(kit_text *text, uint64_t index, uint64_t line)                                       \
    {                                                                                                                  \
        put_sum_of_type(QUERN_##type, text, index, line);                                                              \
    }
PUT_SUM_OF(I32)
PUT_SUM_OF(U32)
PUT_SUM_OF(F32)
PUT_SUM_OF(F64)

/* Of 32 bits in 64; of floating-point numbers without a rounding before the last. */
static void prefix_sums_of_every_type_of_numbers_are_exact(void)
{
    static const quern_type types[] = {QUERN_I32, QUERN_U32, QUERN_F32, QUERN_F64};
    static void (*const put[])(kit_text *, uint64_t, uint64_t) = {put_sum_of_I32, put_sum_of_U32, put_sum_of_F32,
                                                                  put_sum_of_F64};
    quern_context *context = start(64);
    quern_dataset *some = quern_cache(quern_flat_map(read_lines(context), bytes_u64, some_of_each, "types"));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        quern_type type = types[i];
        char name[20];
        snprintf(name, sizeof name, "type%zu", i);
        check_written(context,
                      quern_prefix_sum(quern_map(some, (quern_schema){QUERN_BYTES, type, 0, 0}, of_type, &type)), name,
                      expect_some(put[i]));
    }
    quern_context_destroy(context);
}

static int huge_at(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t value;
    uint64_t line = kit_number(in->key);
    value = line == 17 ? UINT64_MAX / 2 : line == *(const uint64_t *)user ? UINT64_MAX / 2 + 1 : 0;
    out->value = quern_of_u64(&value);
    return 0;
}

static int huge_signed_at(const quern_record *in, quern_record *out, void *user)
{
    static int64_t value;
    uint64_t line = kit_number(in->key);
    value = line == 17 ? INT64_MIN : line == *(const uint64_t *)user ? -1 : line == *(const uint64_t *)user + 1;
    out->value = quern_of_i64(&value);
    return 0;
}

static void a_prefix_sum_beyond_64_bits_fails_and_names_the_key(void)
{
    quern_context *context = start(64);
    uint64_t at = 15001;
    tally all = {0};
    quern_collect(quern_prefix_sum(quern_map(read_lines(context), bytes_u64, huge_at, &at)), QUERN_COLLECT_ALL,
                  add_value, &all);
    kit_run(context); /* UINT64_MAX is one yet */
    CHECK_SAME(all.count, LINE_COUNT);
    at = 17;
    quern_dataset *bad = quern_prefix_sum(quern_map(read_lines(context), bytes_i64, huge_signed_at, &at));
    at = 15001;
    quern_write_text(bad, kit_path("out.overflow"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_OVERFLOW), "\"15001\"");
    kit_check_no_output(kit_path("out.overflow"));
    quern_write_text(
        quern_prefix_sum(quern_zip_with_index(quern_prefix_sum(read_lines(context)), bytes_u64, NULL, NULL)),
        kit_path("out.overflow"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_PLAN), "prefix sum: values must be");
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(a_cache_is_worked_out_in_the_first_run_that_needs_it_and_never_again, 40);
    RUN(a_cache_has_many_readers_in_the_run_that_makes_it_and_in_others, 40);
    RUN(a_reduction_is_kept_itself_and_not_copied, 40);
    RUN(a_run_that_fails_keeps_nothing_and_leaves_what_was_kept, 40);
    RUN(attempts_that_fail_leave_nothing_in_a_cache, 40);
    RUN(a_plan_tells_what_is_kept_and_what_was, 40);
    RUN(a_cache_of_many_times_the_memory_is_spilled_and_read_in_order, 60);
    RUN(a_kept_reduction_makes_room_for_later_runs, 60);
    RUN(many_caches_share_a_small_memory_and_none_fails, 60);
    RUN(places_are_those_of_the_input_whatever_the_ranks_and_failures, 40);
    RUN(a_callback_with_places_that_fails_once_is_called_with_the_same_ones_again, 40);
    RUN(places_of_a_reduction_are_in_its_order, 40);
    RUN(nothing_has_no_places, 40);
    RUN(prefix_sums_are_those_of_the_order_of_the_input, 40);
    RUN(prefix_sums_of_every_type_of_numbers_are_exact, 60);
    RUN(a_prefix_sum_beyond_64_bits_fails_and_names_the_key, 40);
    return kit_finish();
}
