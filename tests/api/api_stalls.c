/* SPDX-License-Identifier: BSD-3-Clause */
/* What could make ranks wait for each other for ever, or for too long: skew, slow callbacks, giant keys, hardly any memory. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api_kit.h"

#define MIB             ((uint64_t)1 << 20)
#define ROUND_BYTES_MIN 65536

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};

/* The least memory that a context takes, from the text of its refusal. */
static uint64_t least_memory(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = MIB;
    options.round_bytes = ROUND_BYTES_MIN;
    quern_context *context = NULL;
    quern_status status = quern_context_create(NULL, NULL, &options, &context);
    CHECK_STATUS(status, QUERN_ERROR_BUDGET, quern_context_error_text(NULL));
    CHECK(context == NULL);
    const char *text = strstr(quern_context_error_text(NULL), "at least ");
    CHECK(text != NULL);
    uint64_t mib = strtoull(text + strlen("at least "), NULL, 10);
    CHECK(mib > 1 && mib < 1000);
    return mib * MIB;
}

static quern_context *tight(uint64_t memory_bytes, uint64_t split_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = memory_bytes;
    options.round_bytes = ROUND_BYTES_MIN;
    options.split_bytes = split_bytes;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

/* `count` lines "0", "1", …; each at least a task when splits are of one byte. */
static const char *number_lines(uint64_t count)
{
    const char *path = kit_path("lines%" PRIu64, count);
    kit_text lines = {0};
    for (uint64_t i = 0; i < count; i++)
        kit_put(&lines, "%" PRIu64 "\n", i);
    kit_write_for_all(path, &lines);
    kit_free(&lines);
    return path;
}

static quern_dataset *numbers(quern_context *context, uint64_t count)
{
    const char *paths[] = {number_lines(count)};
    return quern_read_text(context, paths, 1, NULL);
}

/* ---- how many keys have which count: a check that needs little room ---- */

static int swap(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t count;
    (void)user;
    count = quern_u64(in->value);
    out->key = quern_of_u64(&count);
    return 0;
}

static void check_histogram(quern_context *context, quern_dataset *counts, const char *name, uint64_t times,
                            uint64_t keys)
{
    kit_text expected = {0};
    kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", times, keys);
    quern_write_text(quern_reduce_by_key(quern_map(counts, u64_u64, swap, NULL), QUERN_COUNT), kit_path("%s", name));
    kit_run(context);
    kit_check_output(kit_path("%s", name), &expected, true);
    kit_free(&expected);
}

/* ---- cases ---- */

typedef struct spread {
    uint64_t count; /* keys of a line */
    uint64_t times; /* each */
    uint64_t only;  /* multiples of it emit; 0: all */
} spread;

static int emit_spread(const quern_record *in, quern_emitter *out, void *user)
{
    const spread *s = user;
    uint64_t line = kit_number(in->key), one = 1;
    if (s->only && line % s->only != 0)
        return 0;
    for (uint64_t i = 0; i < s->count * s->times; i++) {
        uint64_t key = (line * s->count + i % s->count) * UINT64_C(0x9e3779b97f4a7c15);
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&one)))
            return 1;
    }
    return 0;
}

static void one_rank_that_emits_everything_is_no_trouble(void)
{
    quern_context *context = tight(least_memory(), 1 << 20);
    spread all = {.count = 400000, .times = 2};
    quern_dataset *records = quern_flat_map(numbers(context, 1), u64_u64, emit_spread, &all); /* one line: one task */
    check_histogram(context, quern_reduce_by_key(records, QUERN_SUM), "everything", 2, 400000);
    quern_context_destroy(context);
    context = tight(least_memory(), 1);
    spread one = {.count = 300000, .times = 1, .only = 50}; /* 50 tasks, of which one emits */
    records = quern_flat_map(numbers(context, 50), u64_u64, emit_spread, &one);
    check_histogram(context, quern_reduce_by_key(records, QUERN_SUM), "one", 1, 300000);
    quern_context_destroy(context);
}

static void the_least_memory_is_enough_for_many_keys(void)
{
    quern_context *context = tight(least_memory(), 3);
    spread all = {.count = 4000, .times = 1};
    quern_dataset *records = quern_flat_map(numbers(context, 100), u64_u64, emit_spread, &all);
    check_histogram(context, quern_reduce_by_key(records, QUERN_COUNT), "least", 1, 400000);
    quern_context_destroy(context);
}

/* Keys that all belong to the last rank: found by looking where a first run put them. */
static uint64_t *owned;
static uint64_t owned_count;

static int emit_owned(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), one = 1;
    (void)user;
    for (uint64_t i = 0; i < owned_count; i++) {
        uint64_t key = owned[(i + line * 7919) % owned_count];
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&one)))
            return 1;
    }
    return 0;
}

static void find_owned(const char *output, int rank)
{
    char path[600];
    snprintf(path, sizeof path, "%s/part-%05d", output, rank);
    kit_text part = kit_read(path);
    owned = calloc(part.bytes / 2 + 1, sizeof *owned);
    owned_count = 0;
    for (char *at = part.data; *at; at = strchr(at, '\n') + 1)
        owned[owned_count++] = strtoull(at, NULL, 10);
    kit_free(&part);
}

static void keys_that_all_belong_to_one_rank_get_there(void)
{
    quern_context *context = tight(least_memory(), 1);
    spread some = {.count = 20000 * (uint64_t)kit_size(), .times = 1};
    quern_dataset *records = quern_flat_map(numbers(context, 1), u64_u64, emit_spread, &some);
    quern_write_text(quern_reduce_by_key(records, QUERN_COUNT), kit_path("where"));
    kit_run(context);
    for (int rank = 0; rank<kit_size(); rank += kit_size()> 1 ? kit_size() - 1 : 1) {
        char name[20];
        find_owned(kit_path("where"), rank);
        CHECK(owned_count > 10000);
        snprintf(name, sizeof name, "to%d", rank);
        records = quern_flat_map(numbers(context, 25), u64_u64, emit_owned, NULL);
        check_histogram(context, quern_reduce_by_key(records, QUERN_SUM), name, 25, owned_count);
        free(owned);
        /* The keys take a third of a rank's pool: spilling now and then is fine, a run for every few rows is not. */
        CHECK(kit_reported("spill_runs") < 500);
    }
    quern_context_destroy(context);
}

/* What a job wrote is in the order of the hash: read by another job it must not cost much more than any other order. */
static int key_of_line(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t key;
    (void)user;
    key = kit_number(in->key);
    out->key = quern_of_u64(&key);
    return 0;
}

static void keys_in_the_order_of_an_output_spill_no_more_than_others(void)
{
    const quern_schema u64_key = {QUERN_U64, QUERN_NONE, 0};
    const uint64_t pool_bytes = 4 * MIB;
    quern_context *context = tight(least_memory() + (uint64_t)kit_size() * pool_bytes, 1 << 20);
    spread some = {.count = 300000, .times = 1};
    quern_dataset *records = quern_flat_map(numbers(context, 1), u64_u64, emit_spread, &some);
    quern_write_text(quern_reduce_by_key(records, QUERN_COUNT), kit_path("in-order"));
    kit_run(context);
    uint64_t spill_runs = kit_reported("spill_runs");
    const char *parts[64];
    for (int rank = 0; rank < kit_size(); rank++)
        parts[rank] = strdup(kit_path("in-order/part-%05d", rank));
    records = quern_map(quern_read_text(context, parts, (size_t)kit_size(), NULL), u64_key, key_of_line, NULL);
    check_histogram(context, quern_reduce_by_key(records, QUERN_COUNT), "again", 1, 300000);
    CHECK(kit_reported("spill_runs") <= 4 * spill_runs + 32 * (uint64_t)kit_size()); /* they were thousands */
    CHECK(kit_reported("table_bytes_peak") <= 2 * (uint64_t)kit_size() * (pool_bytes + 4 * MIB)); /* two reductions */
    quern_context_destroy(context);
}

/* ---- a slow callback ---- */

#define SLEEP_SECONDS 3
static double slept_until, last_seconds;
static atomic_int reductions_inside;

/* What emit_spread() emits for another line. */
static int emit_line(quern_emitter *out, uint64_t line, uint64_t count)
{
    char text[24];
    spread s = {.count = count, .times = 1};
    int bytes = snprintf(text, sizeof text, "%" PRIu64, line);
    return emit_spread(&(quern_record){.key = quern_bytes(text, (size_t)bytes)}, out, &s);
}

static int emit_and_sleep(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key);
    if (line == *(const uint64_t *)user) {
        int result = emit_line(out, 2 * line, 1000);
        sleep(SLEEP_SECONDS);
        slept_until = kit_seconds();
        return result || emit_line(out, 2 * line + 1, 1000);
    }
    int result = emit_line(out, line, 2000);
    if (slept_until == 0)
        last_seconds = kit_seconds();
    return result;
}

/* Reductions may come on a thread of the library's, yet never two at a time on a rank. */
static int add_alone(void *into, const void *value, void *user)
{
    (void)user;
    CHECK_SAME(atomic_fetch_add(&reductions_inside, 1), 0);
    *(uint64_t *)into += *(const uint64_t *)value;
    atomic_fetch_sub(&reductions_inside, 1);
    return 0;
}

static void check_nobody_waited(double start)
{
    double seconds = kit_seconds() - start;
    uint64_t woke_ms = kit_max((uint64_t)(slept_until > 0 ? 1000 * (slept_until - start) : 0));
    uint64_t others_ms = kit_max(slept_until > 0 ? 0 : (uint64_t)(1000 * (last_seconds - start)));
    CHECK(woke_ms >= 1000 * SLEEP_SECONDS);
    if (others_ms + 200 > woke_ms)
        kit_fail(__FILE__, __LINE__, "others worked until %" PRIu64 " ms, the sleeper woke at %" PRIu64, others_ms,
                 woke_ms);
    CHECK(seconds < SLEEP_SECONDS + 6);
}

static void a_callback_that_sleeps_does_not_hold_the_others_up(void)
{
    uint64_t kinds = kit_size() == 1 ? 0 : kit_size() == 4 ? 2 : 1; /* it takes its time */
    for (uint64_t sleeper = 0; sleeper < kinds; sleeper++) {
        uint64_t line = sleeper * 11;
        char name[20];
        quern_context *context = tight(least_memory(), 1);
        snprintf(name, sizeof name, "slow%" PRIu64, sleeper);
        quern_dataset *records = quern_flat_map(numbers(context, 100), u64_u64, emit_and_sleep, &line);
        slept_until = last_seconds = 0;
        quern_dataset *sums =
            sleeper ? quern_reduce_by_key_with(records, add_alone, NULL) : quern_reduce_by_key(records, QUERN_SUM);
        kit_barrier();
        double start = kit_seconds();
        check_histogram(context, sums, name, 1, 200000);
        check_nobody_waited(start);
        quern_context_destroy(context);
    }
}

/* Every line in three tasks, some of which doze: rows arrive while their rank is in a callback. */
static int emit_and_doze(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    int result = emit_line(out, kit_number(in->key) / 3, 20000);
    if (kit_number(in->key) % 20 == 0)
        usleep(200000);
    return result;
}

static void reductions_of_a_rank_never_run_two_at_a_time(void)
{
    quern_context *context = tight(least_memory(), 1);
    quern_dataset *records = quern_flat_map(numbers(context, 60), u64_u64, emit_and_doze, NULL);
    check_histogram(context, quern_reduce_by_key_with(records, add_alone, NULL), "alone", 3, 400000);
    quern_context_destroy(context);
}

/* ---- giant keys ---- */

static const uint64_t giant_mib[] = {1, 2, 3, 5, 8, 13, 20};
#define GIANT_COUNT (sizeof giant_mib / sizeof *giant_mib)
#define GIANT_TIMES 3

/* A giant differs from its neighbours in its last bytes only, the worst for comparing. */
static int emit_giants(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key) % (2 * GIANT_COUNT);
    size_t bytes = giant_mib[line / 2] * MIB + line % 3;
    uint8_t *giant = malloc(bytes);
    (void)user;
    CHECK(giant != NULL);
    memset(giant, 'g', bytes);
    giant[bytes - 1] = (uint8_t)('0' + line % 2);
    int result = quern_emit(out, quern_bytes("tiny", 4), quern_bytes("", 0));
    result = result || quern_emit(out, quern_bytes(giant, bytes), quern_bytes("", 0));
    free(giant);
    return result;
}

/* The length in place of the key, and whether all of it is what it should be. */
static int measure(const quern_record *in, quern_record *out, void *user)
{
    static char text[100];
    const uint8_t *giant = in->key.data;
    uint64_t good = in->key.bytes < 10;
    (void)user;
    if (!good) {
        good = giant[0] == 'g' && memcmp(giant, giant + 1, in->key.bytes - 2) == 0;
        int bytes = snprintf(text, sizeof text, "%zu bytes, %c, %s", in->key.bytes, giant[in->key.bytes - 1],
                             good ? "good" : "BAD");
        out->key = quern_bytes(text, (size_t)bytes);
    }
    return 0;
}

static void giant_keys_travel_in_small_rounds(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = 80 * MIB * (uint64_t)kit_size();
    options.round_bytes = ROUND_BYTES_MIN;
    options.record_bytes_max = 24 * MIB;
    options.split_bytes = 1;
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    const quern_schema counted = {QUERN_BYTES, QUERN_U64, 0};
    kit_text expected = {0};
    quern_dataset *giants =
        quern_flat_map(numbers(context, 2 * GIANT_COUNT * GIANT_TIMES), only_key, emit_giants, NULL);
    quern_write_text(quern_map(quern_reduce_by_key(giants, QUERN_COUNT), counted, measure, NULL), kit_path("giants"));
    kit_run(context);
    for (uint64_t line = 0; line < 2 * GIANT_COUNT; line++)
        kit_put(&expected, "%" PRIu64 " bytes, %" PRIu64 ", good\t%d\n", giant_mib[line / 2] * MIB + line % 3, line % 2,
                GIANT_TIMES);
    kit_put(&expected, "tiny\t%d\n", (int)(2 * GIANT_COUNT * GIANT_TIMES));
    kit_check_output(kit_path("giants"), &expected, false);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* ---- far more than fits ---- */

static uint64_t peak_rss_bytes(void)
{
    kit_text status = kit_read("/proc/self/status");
    const char *line = strstr(status.data, "VmHWM:");
    CHECK(line != NULL);
    uint64_t bytes = 1024 * strtoull(line + strlen("VmHWM:"), NULL, 10);
    kit_free(&status);
    return bytes;
}

#define FLOOD_MEMORY (64 * MIB)

static void ten_million_records_out_of_one_stay_within_the_budget(void)
{
    if (kit_size() != 2 && kit_size() != 7) /* it takes its time */
        return;
    quern_context *context = tight(FLOOD_MEMORY, 0);
    spread flood = {.count = 2500000, .times = 4};
    uint64_t before = kit_sum(peak_rss_bytes());
    double start = kit_seconds();
    quern_dataset *records = quern_flat_map(numbers(context, 1), u64_u64, emit_spread, &flood);
    check_histogram(context, quern_reduce_by_key(records, QUERN_COUNT), "flood", 4, 2500000);
    uint64_t grown = kit_sum(peak_rss_bytes()) - before;
    uint64_t allowed = FLOOD_MEMORY + FLOOD_MEMORY / 8 + 4 * MIB * (uint64_t)kit_size();
    if (grown > allowed && !getenv("KIT_PATIENCE"))
        kit_fail(__FILE__, __LINE__, "%" PRIu64 " MiB more, with a budget of %" PRIu64, grown / MIB,
                 FLOOD_MEMORY / MIB);
    CHECK(kit_seconds() - start < 40);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(one_rank_that_emits_everything_is_no_trouble, 30);
    RUN(the_least_memory_is_enough_for_many_keys, 30);
    RUN(keys_that_all_belong_to_one_rank_get_there, 30);
    RUN(keys_in_the_order_of_an_output_spill_no_more_than_others, 30);
    RUN(a_callback_that_sleeps_does_not_hold_the_others_up, 30);
    RUN(giant_keys_travel_in_small_rounds, 60);
    RUN(ten_million_records_out_of_one_stay_within_the_budget, 60);
    RUN(reductions_of_a_rank_never_run_two_at_a_time, 30);
    return kit_finish();
}
