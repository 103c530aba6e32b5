/* SPDX-License-Identifier: BSD-3-Clause */
/* Callbacks that fail: the first time only, and always. What comes out must be what comes out without failures. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api_kit.h"

#define LINE_COUNT  30000
#define SPLIT_BYTES 20000
#define KEY_COUNT   900
#define BURST_COUNT 100000

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema i64_i64 = {QUERN_I64, QUERN_I64, 0};
static const char *input[1];
static quern_counter *seen, *weight;
static kit_text lines_in_order;

/* Which lines make trouble, and when. */
typedef struct trouble {
    const char *name;
    uint64_t every;  /* lines that are multiples of it, from it on */
    uint64_t before; /* how many records the callback emits before it fails */
    bool always;
} trouble;

/* Whether the callback is to fail now. */
static bool is_due(const trouble *t, uint64_t line)
{
    if (t->every == 0 || line == 0 || line % t->every != 0)
        return false;
    if (t->always) {
        kit_note(t->name);
        return true;
    }
    return kit_first_time("%s.%" PRIu64, t->name, line);
}

static void make_input(void)
{
    for (uint64_t i = 0; i < LINE_COUNT; i++)
        kit_put(&lines_in_order, "%" PRIu64 "\n", i);
    input[0] = strdup(kit_path("lines"));
    kit_write_for_all(input[0], &lines_in_order);
}

static quern_context *small_splits_with(uint64_t attempts, quern_switch speculate)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = SPLIT_BYTES;
    options.attempt_count_max = attempts;
    options.speculate = speculate;
    options.report_path = kit_path("report.json"); /* copied */
    quern_context *context = kit_context(&options);
    seen = quern_counter_create(context, "seen");
    weight = quern_counter_create(context, "weight");
    CHECK(seen != NULL && weight != NULL);
    return context;
}

static quern_context *small_splits(uint64_t attempts)
{
    return small_splits_with(attempts, QUERN_AUTO);
}

static uint64_t emitted_by(uint64_t line, const trouble *t)
{
    return t->before >= 1000 && line % t->every == 0 && line > 0 ? t->before : line % 4;
}

static uint64_t key_of(uint64_t line, uint64_t i)
{
    return (line * 31 + i * i) % KEY_COUNT;
}

/* Emits (key_of, line + i) emitted_by times, and fails where t says so. */
static int emit_some(const quern_record *in, quern_emitter *out, void *user)
{
    const trouble *t = user;
    uint64_t line = kit_number(in->key), count = emitted_by(line, t);
    bool due = is_due(t, line);
    quern_counter_add(seen, 1);
    quern_counter_add(weight, -(int64_t)line);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key = key_of(line, i), value = line + i;
        if (due && i == t->before)
            return 7;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&value)))
            return 1;
    }
    return due ? 7 : 0;
}

static int fail_map(const quern_record *in, quern_record *out, void *user)
{
    (void)out;
    return is_due(user, quern_u64(in->key)) ? 3 : 0;
}

static int fail_filter(const quern_record *in, int *keep_out, void *user)
{
    *keep_out = quern_u64(in->value) % 5 != 0;
    return is_due(user, quern_u64(in->value)) ? 4 : 0;
}

static int fail_filter_block(const quern_block *in, uint8_t *keep_out, void *user)
{
    for (size_t i = 0; i < in->count; i++)
        keep_out[i] = quern_u64(quern_bytes(in->value[i], 8)) % 5 != 0;
    for (size_t i = 0; i < in->count; i++)
        if (is_due(user, quern_u64(quern_bytes(in->value[i], 8))))
            return 5;
    return 0;
}

static int fail_map_block(const quern_block *in, quern_emitter *out, void *user)
{
    for (size_t i = 0; i < in->count; i++) {
        if (is_due(user, quern_u64(quern_bytes(in->value[i], 8))))
            return 6;
        if (quern_emit(out, quern_bytes(in->key[i], 8), quern_bytes(in->value[i], 8)))
            return 1;
    }
    return 0;
}

/* ---- the model ---- */

static void print_sum(const kit_entry *entry, void *text)
{
    kit_put(text, "%" PRIu64 "\t%" PRIu64 "\n", quern_u64(quern_bytes(entry->key, 8)), entry->value[0]);
}

/* Sums by key of what emit_some() emits, less multiples of five if filtered. */
static void model_sums(const trouble *t, bool filtered, kit_text *text)
{
    kit_model model = {0};
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        for (uint64_t i = 0; i < emitted_by(line, t); i++) {
            uint64_t key = key_of(line, i);
            if (!filtered || (line + i) % 5 != 0)
                kit_at(&model, &key, 8)->value[0] += line + i;
        }
    }
    kit_each(&model, print_sum, text);
    kit_forget(&model);
}

static void check_counters(void)
{
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT);
    CHECK_SAME(quern_counter_value(weight), -(int64_t)LINE_COUNT * (LINE_COUNT - 1) / 2);
}

static quern_dataset *emitted(quern_context *context, trouble *t)
{
    return quern_flat_map(quern_read_text(context, input, 1, NULL), u64_u64, emit_some, t);
}

static void check_sums(quern_context *context, quern_dataset *records, const trouble *t, bool filtered)
{
    kit_text expected = {0};
    const char *output = kit_path("out.%s", t->name);
    quern_write_text(quern_reduce_by_key(records, QUERN_SUM), output);
    kit_run(context);
    model_sums(t, filtered, &expected);
    kit_check_output(output, &expected, false);
    check_counters();
    kit_free(&expected);
}

/* ---- failing once ---- */

static void a_flat_map_that_fails_once_in_many_tasks_counts_everything_once(void)
{
    quern_context *context = small_splits(8);
    trouble early = {.name = "early", .every = 709}, late = {.name = "late", .every = 709, .before = 2};
    check_sums(context, emitted(context, &early), &early, false);
    check_sums(context, emitted(context, &late), &late, false);
    quern_context_destroy(context);
}

/* The lines again, compressed: so small that a rank lends them in few pieces. */
static void make_packed_input(const char *path)
{
    if (kit_rank() == 0) {
        char text[10000];
        snprintf(text, sizeof text, "gzip -c '%s' > '%s'", input[0], path);
        CHECK(system(text) == 0);
    }
    kit_barrier();
}

static void pieces_of_a_compressed_file_that_fail_once_count_everything_once(void)
{
    static char path[4096];
    const char *plain = input[0];
    snprintf(path, sizeof path, "%s", kit_path("lines.gz"));
    make_packed_input(path);
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = SPLIT_BYTES;
    options.attempt_count_max = 8;
    options.memory_bytes = (uint64_t)kit_size() << 25; /* pieces are small, too */
    options.report_path = kit_path("report.json");
    quern_context *context = kit_context(&options);
    seen = quern_counter_create(context, "seen");
    weight = quern_counter_create(context, "weight");
    trouble early = {.name = "packed-early", .every = 4001}, late = {.name = "packed-late", .every = 4001, .before = 2};
    input[0] = path;
    check_sums(context, emitted(context, &early), &early, false);
    check_sums(context, emitted(context, &late), &late, false);
    input[0] = plain;
    quern_context_destroy(context);
}

static void a_failure_behind_a_hundred_thousand_emitted_records_leaves_no_trace(void)
{
    quern_context *context = small_splits(8);
    trouble burst = {.name = "burst", .every = 9999, .before = BURST_COUNT};
    check_sums(context, emitted(context, &burst), &burst, false);
    quern_context_destroy(context);
}

static void later_operators_may_fail_once_too(void)
{
    quern_context *context = small_splits(8);
    trouble none = {.name = "none"};
    /* Few enough that no task fails eight times. */
    trouble map = {.name = "map", .every = 449}, filter = {.name = "filter", .every = 9001};
    trouble filter_block = {.name = "filter_block", .every = 14009}, map_block = {.name = "map_block", .every = 7013};
    quern_dataset *records = quern_map(emitted(context, &none), u64_u64, fail_map, &map);
    records = quern_filter(records, fail_filter, &filter);
    records = quern_filter_block(records, fail_filter_block, &filter_block);
    records = quern_map_block(records, u64_u64, fail_map_block, &map_block);
    check_sums(context, records, &none, true);
    quern_context_destroy(context);
}

/* The first attempt fails far behind, the second before that, the third passes: what the first delivered stays delivered. */
static int fail_twice(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), value = 1;
    (void)user;
    bool first = line == 400 && kit_first_time("twice.first"), second = false;
    quern_counter_add(seen, 1);
    quern_counter_add(weight, -(int64_t)line);
    if (line == 100 && kit_exists(kit_path("first.twice.first")))
        second = kit_first_time("twice.second");
    for (uint64_t i = 0; i < (line == 100 || line == 400 ? 5000 : 1); i++) {
        if ((first && i == 4000) || (second && i == 1234))
            return 1;
        uint64_t key = line * 7919 + i;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&value)))
            return 1;
    }
    return 0;
}

static void an_attempt_that_fails_earlier_than_the_one_before_adds_nothing_twice(void)
{
    quern_context *context = small_splits(8);
    kit_text expected = {0};
    kit_model model = {0};
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        for (uint64_t i = 0; i < (line == 100 || line == 400 ? 5000 : 1); i++) {
            uint64_t key = line * 7919 + i;
            kit_at(&model, &key, 8)->value[0]++;
        }
    }
    kit_each(&model, print_sum, &expected);
    quern_write_text(
        quern_reduce_by_key(quern_flat_map(quern_read_text(context, input, 1, NULL), u64_u64, fail_twice, NULL),
                            QUERN_SUM),
        kit_path("out.twice"));
    kit_run(context);
    CHECK(kit_exists(kit_path("first.twice.second")));
    kit_check_output(kit_path("out.twice"), &expected, false);
    check_counters();
    kit_forget(&model);
    kit_free(&expected);
    quern_context_destroy(context);
}

static int pass_line(const quern_record *in, quern_record *out, void *user)
{
    (void)out;
    uint64_t line = kit_number(in->key);
    quern_counter_add(seen, 1);
    quern_counter_add(weight, -(int64_t)line);
    return is_due(user, line) ? 2 : 0;
}

static void a_job_without_a_reduction_writes_and_counts_once(void)
{
    const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
    quern_context *context = small_splits(8);
    trouble pass = {.name = "pass", .every = 3300}; /* blocks of the same task were written before */
    quern_write_text(quern_map(quern_read_text(context, input, 1, NULL), only_key, pass_line, &pass),
                     kit_path("out.pass"));
    kit_run(context);
    kit_check_output(kit_path("out.pass"), &lines_in_order, true);
    check_counters();
    quern_context_destroy(context);
}

static int to_integers(const quern_record *in, quern_emitter *out, void *user)
{
    int64_t line = (int64_t)kit_number(in->key);
    bool due = is_due(user, (uint64_t)line);
    quern_counter_add(seen, 1);
    quern_counter_add(weight, -line);
    if (quern_emit(out, quern_of_i64(&line), quern_of_i64(&line)))
        return 1;
    return due;
}

static int take_descending(const quern_record *record, void *user)
{
    int64_t *next = user;
    CHECK_SAME(quern_i64(record->value), *next);
    --*next;
    return 0;
}

static void top_k_without_a_reduction_sees_no_record_twice(void)
{
    quern_context *context = small_splits(8);
    trouble top = {.name = "top", .every = 1777};
    int64_t next = LINE_COUNT - 1;
    quern_top_k(quern_flat_map(quern_read_text(context, input, 1, NULL), i64_i64, to_integers, &top), LINE_COUNT + 5,
                take_descending, &next);
    kit_run(context);
    if (kit_rank() == 0)
        CHECK_SAME(next, -1);
    check_counters();
    quern_context_destroy(context);
}

/* Operators behind a reduction are tried again where its result is. */
static int spread_result(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t key = quern_u64(in->key), sum = quern_u64(in->value);
    bool due = is_due(user, key);
    quern_counter_add(seen, 1);
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t again = key / 10;
        if (due && i == 2)
            return 1;
        if (quern_emit(out, quern_of_u64(&again), quern_of_u64(&sum)))
            return 1;
    }
    return 0;
}

static void operators_behind_a_reduction_may_fail_once(void)
{
    quern_context *context = small_splits(8);
    trouble none = {.name = "plain"}, behind = {.name = "behind", .every = 300}, last = {.name = "last", .every = 30};
    kit_model keys = {0}, model = {0};
    kit_text expected = {0};
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        for (uint64_t i = 0; i < emitted_by(line, &none); i++) {
            uint64_t key = key_of(line, i), again = key / 10;
            kit_at(&keys, &key, 8);
            kit_at(&model, &again, 8)->value[0] += 3 * (line + i);
        }
    }
    kit_each(&model, print_sum, &expected);
    quern_dataset *sums = quern_reduce_by_key(emitted(context, &none), QUERN_SUM);
    quern_dataset *spread = quern_reduce_by_key(quern_flat_map(sums, u64_u64, spread_result, &behind), QUERN_SUM);
    quern_write_text(quern_map(spread, u64_u64, fail_map, &last), kit_path("out.behind"));
    kit_run(context);
    kit_check_output(kit_path("out.behind"), &expected, false);
    CHECK_SAME(quern_counter_value(seen), LINE_COUNT + keys.count);
    kit_forget(&keys);
    kit_forget(&model);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* ---- an input that fails once: the system call under the library is ours ---- */

static bool reads_fail;

__attribute__((visibility("default"))) ssize_t pread64(int fd, void *data, size_t bytes, off64_t offset);
ssize_t pread64(int fd, void *data, size_t bytes, off64_t offset)
{
    if (reads_fail && offset >= 256 << 10 && kit_first_time("read.%lld", (long long)offset)) {
        errno = EIO;
        return -1;
    }
    if (lseek64(fd, offset, SEEK_SET) < 0)
        return -1;
    return read(fd, data, bytes);
}

static void a_read_that_fails_once_gives_no_record_twice(void)
{
    const uint64_t count = 200000;
    quern_options options;
    quern_options_init(&options);
    options.attempt_count_max =
        8; /* each goes on behind the failure, and may read elsewhere, where it fails once more */
    options.speculate = QUERN_OFF;
    quern_context *context = kit_context(&options);
    const char *paths[] = {kit_path("many")};
    kit_text lines = {0}, expected = {0};
    for (uint64_t i = 0; i < count; i++) {
        kit_put(&lines, "%" PRIu64 "\n", i % 1000);
        if (i < 1000)
            kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", i, count / 1000);
    }
    if (kit_rank() == 0)
        kit_write(paths[0], &lines);
    quern_dataset *read_lines = quern_read_text(context, paths, 1, NULL);
    quern_write_text(quern_reduce_by_key(read_lines, QUERN_COUNT), kit_path("out.read"));
    reads_fail = true;
    kit_run(context);
    reads_fail = false;
    kit_check_output(kit_path("out.read"), &expected, false);
    CHECK(kit_exists(kit_path("first.read.262144")));
    kit_free(&lines);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* ---- failing always ---- */

static void expect_failure(quern_context *context, const trouble *t, uint64_t attempts, const char *operator)
{
    char place[100];
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(text, operator);
    if (t) {
        CHECK_SAME(kit_noted(t->name), attempts);
        CHECK_HAS(text, "task ");
        CHECK_HAS(text, input[0]);
        snprintf(place, sizeof place, "byte %zu ",
                 (size_t)(strstr(lines_in_order.data, "\n20011\n") + 1 - lines_in_order.data));
        CHECK_HAS(text, place);
    }
    CHECK_SAME(quern_counter_value(seen), 0);
    kit_check_no_output(kit_path("failed"));
    kit_check_no_output(kit_path("failed.first"));
}

static void a_callback_that_always_fails_ends_the_job_after_the_attempts(void)
{
    const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
    for (uint64_t attempts = 1; attempts <= 8; attempts += 7) {
        /* Where a rank is slow, a second one would begin the same attempt, and call as often again. */
        quern_context *context = small_splits_with(attempts, QUERN_OFF);
        trouble shuffled = {.name = attempts == 1 ? "shuffled1" : "shuffled8", .every = 20011, .always = true};
        trouble written = {.name = attempts == 1 ? "written1" : "written8", .every = 20011, .always = true};
        quern_write_text(quern_reduce_by_key(emitted(context, &shuffled), QUERN_SUM), kit_path("failed"));
        expect_failure(context, &shuffled, attempts, "flat map");
        quern_dataset *lines = quern_read_text(context, input, 1, NULL);
        quern_write_text(lines, kit_path("failed.first"));
        quern_write_text(quern_name(quern_map(lines, only_key, pass_line, &written), "my map"), kit_path("failed"));
        expect_failure(context, &written, attempts, "my map");
        /* And the context is still good. */
        trouble none = {.name = attempts == 1 ? "after1" : "after8"};
        check_sums(context, emitted(context, &none), &none, false);
        quern_context_destroy(context);
    }
}

static int fail_on_rank(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    return kit_rank() == *(const int *)user;
}

static void a_callback_behind_a_reduction_that_fails_on_one_rank_ends_the_job(void)
{
    quern_context *context = small_splits(2);
    trouble none = {.name = "before"};
    for (int rank = 0; rank < kit_size(); rank++) {
        quern_dataset *sums = quern_reduce_by_key(emitted(context, &none), QUERN_SUM);
        quern_dataset *mapped = quern_map(sums, u64_u64, fail_on_rank, &rank);
        quern_write_text(sums, kit_path("failed.first"));
        quern_write_text(mapped, kit_path("failed"));
        expect_failure(context, NULL, 0, "map");
        quern_write_text(quern_reduce_by_key(mapped, QUERN_SUM), kit_path("failed"));
        expect_failure(context, NULL, 0, "map");
    }
    quern_context_destroy(context);
}

/* Fails where a rank combines values, wherever that is. */
static int fail_reduce(void *into, const void *value, void *user)
{
    (void)user;
    uint64_t sum, more;
    memcpy(&sum, into, sizeof sum);
    memcpy(&more, value, sizeof more);
    if (sum == 1000000 || more == 1000000)
        return 1;
    sum = more > sum ? more : sum;
    memcpy(into, &sum, sizeof sum);
    return 0;
}

static int one_bad_key(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), key = line % 10 == 0 ? 424242 : line, value = 1000000 * (line % 10 == 0);
    (void)user;
    return quern_emit(out, quern_of_u64(&key), quern_of_u64(&value));
}

static void a_reduction_that_fails_ends_the_job(void)
{
    quern_context *context = small_splits(2);
    quern_dataset *bad = quern_flat_map(quern_read_text(context, input, 1, NULL), u64_u64, one_bad_key, NULL);
    quern_write_text(quern_reduce_by_key_with(bad, fail_reduce, NULL), kit_path("failed"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "reduction of key");
    kit_check_no_output(kit_path("failed"));
    /* An integer key in words that people can read. */
    quern_write_text(quern_reduce_by_key_with(bad, fail_reduce, NULL), kit_path("failed"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "424242");
    quern_context_destroy(context);
}

static int fail_each(const quern_record *record, void *user)
{
    (void)record;
    return --*(int *)user < 0;
}

static void a_top_k_callback_that_fails_takes_all_outputs_with_it(void)
{
    quern_context *context = small_splits(2);
    trouble none = {.name = "top"};
    int left = 3;
    quern_dataset *sums = quern_reduce_by_key(emitted(context, &none), QUERN_SUM);
    quern_write_text(sums, kit_path("failed.first"));
    quern_top_k(sums, 10, fail_each, &left);
    quern_write_text(sums, kit_path("failed"));
    expect_failure(context, NULL, 0, "top k");
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(a_flat_map_that_fails_once_in_many_tasks_counts_everything_once, 10);
    RUN(pieces_of_a_compressed_file_that_fail_once_count_everything_once, 10);
    RUN(a_failure_behind_a_hundred_thousand_emitted_records_leaves_no_trace, 10);
    RUN(later_operators_may_fail_once_too, 10);
    RUN(an_attempt_that_fails_earlier_than_the_one_before_adds_nothing_twice, 10);
    RUN(top_k_without_a_reduction_sees_no_record_twice, 10);
    RUN(operators_behind_a_reduction_may_fail_once, 10);
    RUN(a_read_that_fails_once_gives_no_record_twice, 10);
    RUN(a_job_without_a_reduction_writes_and_counts_once, 10);
    RUN(a_callback_that_always_fails_ends_the_job_after_the_attempts, 15);
    RUN(a_callback_behind_a_reduction_that_fails_on_one_rank_ends_the_job, 15);
    RUN(a_reduction_that_fails_ends_the_job, 10);
    RUN(a_top_k_callback_that_fails_takes_all_outputs_with_it, 10);
    return kit_finish();
}
