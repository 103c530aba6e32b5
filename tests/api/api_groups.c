/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups, cogroups and the largest of each key, against arrays that are sorted. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

#define LINE_COUNT  6000
#define KEY_COUNT   300
#define BURST_COUNT 100000
#define BIG_COUNT   240000 /* values of one key */

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema u64_bytes = {QUERN_U64, QUERN_BYTES, 0};
static const quern_schema fixed_u64 = {.key = QUERN_FIXED, .value = QUERN_U64, .key_bytes = 3};
static const char *lines[1];
static uint64_t keys[LINE_COUNT], values[LINE_COUNT];
static const char compare_mark;

static void make_input(void)
{
    kit_text text = {0};
    uint64_t state = 5;
    for (int i = 0; i < LINE_COUNT; i++) {
        keys[i] = kit_random(&state) % 3 ? kit_random(&state) % KEY_COUNT : 7;
        values[i] = kit_random(&state) % 1000;
        kit_put(&text, "%" PRIu64 " %" PRIu64 "\n", keys[i], values[i]);
    }
    lines[0] = strdup(kit_path("lines"));
    kit_write_for_all(lines[0], &text);
    kit_free(&text);
}

static int parse(const quern_record *in, quern_emitter *out, void *user)
{
    const char *line = in->key.data;
    uint64_t key = strtoull(line, NULL, 10), value = strtoull(memchr(line, ' ', in->key.bytes), NULL, 10);
    (void)user;
    return quern_emit(out, quern_of_u64(&key), quern_of_u64(&value));
}

static quern_context *small_splits(void)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 3000;
    options.attempt_count_max = 4;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_dataset *read_lines(quern_context *context)
{
    return quern_flat_map(quern_read_text(context, lines, 1, NULL), u64_u64, parse, NULL);
}

static int ascending(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* The values of a key, sorted. */
static size_t values_of(uint64_t key, uint64_t *found)
{
    size_t count = 0;
    for (int i = 0; i < LINE_COUNT; i++)
        if (keys[i] == key)
            found[count++] = values[i];
    qsort(found, count, sizeof *found, ascending);
    return count;
}

static void check(quern_context *context, quern_dataset *records, const char *name, kit_text *expected)
{
    CHECK_STATUS(quern_write_text(records, kit_path("out.%s", name)), QUERN_OK, quern_context_error_text(context));
    kit_run(context);
    kit_check_output(kit_path("out.%s", name), expected, false);
    kit_free(expected);
}

/* ---- groups ---- */

static uint64_t mix(uint64_t digest, uint64_t value)
{
    return (digest ^ value) * UINT64_C(1099511628211) % UINT64_C(1000000007);
}

/* A number that depends on all values and their order. */
static int digest_values(quern_values *of, uint64_t *digest)
{
    quern_span value;
    int more;
    for (*digest = 0; (more = quern_values_next(of, &value)) > 0;)
        *digest = mix(*digest, quern_u64(value));
    return more;
}

static int digest_group(quern_span key, quern_values *of, quern_emitter *out, void *user)
{
    uint64_t digest, again;
    (void)user;
    if (digest_values(of, &digest) != 0 || quern_values_rewind(of) != 0 || digest_values(of, &again) != 0)
        return 1;
    CHECK_SAME(again, digest);
    return quern_emit(out, key, quern_of_u64(&digest));
}

static void model_groups(kit_text *to, bool descends, uint64_t modulus)
{
    static uint64_t found[LINE_COUNT];
    for (uint64_t key = 0; key < KEY_COUNT; key++) {
        size_t count = values_of(key, found);
        uint64_t digest = 0;
        for (uint64_t class = 0; class < modulus; class ++)
            for (size_t i = 0; i < count; i++) {
                uint64_t value = found[descends ? count - 1 - i : i];
                if (modulus == 1 || value % modulus == class)
                    digest = mix(digest, value);
            }
        if (count > 0)
            kit_put(to, "%" PRIu64 "\t%" PRIu64 "\n", key, digest);
    }
}

static int by_remainder(quern_span left, quern_span right, void *user)
{
    uint64_t a = quern_u64(left) % 10, b = quern_u64(right) % 10;
    CHECK(user == &compare_mark);
    return (a > b) - (a < b);
}

static void values_of_a_group_come_in_the_order_that_was_asked_for(void)
{
    quern_context *context = small_splits();
    kit_text expected = {0};
    quern_group_options options = {sizeof options, .values_descending = 1};
    model_groups(&expected, false, 1);
    check(context, quern_group_by_key(read_lines(context), u64_u64, digest_group, NULL, NULL), "ascending", &expected);
    model_groups(&expected, true, 1);
    check(context, quern_group_by_key(read_lines(context), u64_u64, digest_group, NULL, &options), "descending",
          &expected);
    options = (quern_group_options){sizeof options, .compare_values = by_remainder,
                                    .compare_user = (void *)(uintptr_t)&compare_mark};
    model_groups(&expected, false, 10);
    check(context, quern_group_by_key(read_lines(context), u64_u64, digest_group, NULL, &options), "compared",
          &expected);
    quern_context_destroy(context);
}

static quern_counter *calls, *mapped;

/* Fails once on some keys, after some records; the values are read in part. */
static int emit_many(quern_span key, quern_values *of, quern_emitter *out, void *user)
{
    uint64_t number = quern_u64(key), count = number == 7 ? BURST_COUNT : number % 900;
    quern_span value;
    (void)user;
    quern_counter_add(calls, 1);
    if (number % 2 && quern_values_next(of, &value) != 1)
        return 1;
    for (uint64_t i = 0; i < count; i++) {
        if (number % 5 == 2 && i == count / 2 && kit_first_time("group.%" PRIu64, number))
            return 9;
        if (quern_emit(out, key, quern_of_u64(&i)) != 0)
            return 1;
    }
    return number % 7 == 3 && kit_first_time("late.%" PRIu64, number) ? 9 : 0;
}

static int map_some(const quern_record *in, quern_record *out, void *user)
{
    uint64_t value = quern_u64(in->value);
    (void)user;
    quern_counter_add(mapped, 1);
    *out = *in;
    return value % 500 == 499 && kit_first_time("map.%" PRIu64 ".%" PRIu64, quern_u64(in->key), value) ? 3 : 0;
}

static void callbacks_that_fail_emit_and_count_once(void)
{
    quern_context *context = small_splits();
    static uint64_t found[LINE_COUNT];
    kit_text expected = {0};
    uint64_t group_count = 0, record_count = 0, failures = 0;
    calls = quern_counter_create(context, "calls");
    mapped = quern_counter_create(context, "mapped");
    quern_dataset *groups = quern_group_by_key(read_lines(context), u64_u64, emit_many, NULL, NULL);
    for (uint64_t key = 0; key < KEY_COUNT; key++) {
        uint64_t count = key == 7 ? BURST_COUNT : key % 900;
        if (values_of(key, found) == 0)
            continue;
        group_count++;
        record_count += count;
        failures += count / 500 + (uint64_t)(key % 7 == 3) +
                    (uint64_t)(key % 5 == 2 && count > 0); /* the first are map_some()'s */
        if (count > 0)
            kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", key, count * (count - 1) / 2);
    }
    check(context, quern_reduce_by_key(quern_map(groups, u64_u64, map_some, NULL), QUERN_SUM), "emitted", &expected);
    CHECK_SAME(quern_counter_value(calls), group_count);
    CHECK_SAME(quern_counter_value(mapped), record_count);
    CHECK_SAME(kit_reported("attempts_failed"), failures);
    quern_context_destroy(context);
}

static int always_fail(quern_span key, quern_values *of, quern_emitter *out, void *user)
{
    (void)of;
    (void)out;
    (void)user;
    if (quern_u64(key) != 123)
        return 0;
    kit_note("always");
    return 44;
}

static void a_callback_that_always_fails_ends_the_job_and_names_the_key(void)
{
    quern_context *context = small_splits();
    quern_write_text(quern_group_by_key(read_lines(context), u64_u64, always_fail, NULL, NULL), kit_path("out.never"));
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(text, "123");
    CHECK_HAS(text, "returned 44");
    CHECK_SAME(kit_noted("always"), 4);
    kit_check_no_output(kit_path("out.never"));
    quern_context_destroy(context);
}

/* ---- one group larger than memory ---- */

static int emit_big(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), key = 1;
    char value[80] = "";
    (void)user;
    for (uint64_t i = 0; i < BIG_COUNT / LINE_COUNT; i++) {
        snprintf(value, sizeof value, "%06" PRIu64 ".%06" PRIu64, line, i);
        if (quern_emit(out, quern_of_u64(&key), quern_bytes(value, sizeof value)) != 0)
            return 1;
    }
    return 0;
}

static int count_big(quern_span key, quern_values *of, quern_emitter *out, void *user)
{
    (void)user;
    for (int times = 0; times < 2; times++) {
        char before[80] = "";
        uint64_t count = 0;
        quern_span value;
        for (; quern_values_next(of, &value) > 0; count++) {
            CHECK(value.bytes == sizeof before && memcmp(before, value.data, sizeof before) <= 0);
            memcpy(before, value.data, sizeof before);
        }
        if (quern_emit(out, key, quern_of_u64(&count)) != 0 || quern_values_rewind(of) != 0)
            return 1;
    }
    return 0;
}

static void a_group_larger_than_memory_is_read_in_order_and_twice(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = ((uint64_t)14 << 20) * (uint64_t)kit_size();
    options.report_path = kit_path("report.json");
    options.split_bytes = 3000;
    quern_context *context = kit_context(&options);
    kit_text expected = {0};
    kit_put(&expected, "1\t%d\n1\t%d\n", BIG_COUNT, BIG_COUNT);
    quern_dataset *records = quern_flat_map(quern_read_text(context, lines, 1, NULL), u64_bytes, emit_big, NULL);
    check(context, quern_group_by_key(records, u64_u64, count_big, NULL, NULL), "big", &expected);
    CHECK(kit_reported("spill_runs") > 0);
    quern_context_destroy(context);
}

/* ---- cogroups and the largest ---- */

static int keep_below_200(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = quern_u64(in->key) < 200;
    return 0;
}

static int keep_above_100(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = quern_u64(in->key) > 100;
    return 0;
}

static int digest_both(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    uint64_t digest, other;
    (void)user;
    if (digest_values(left, &digest) != 0 || digest_values(right, &other) != 0)
        return 1;
    digest = mix(digest * 3, other);
    return quern_emit(out, key, quern_of_u64(&digest));
}

static void a_cogroup_gives_the_values_of_both_sides(void)
{
    quern_context *context = small_splits();
    static uint64_t found[LINE_COUNT];
    kit_text expected = {0};
    for (uint64_t key = 0; key < KEY_COUNT; key++) {
        size_t count = values_of(key, found);
        uint64_t digest = 0;
        for (size_t i = 0; i < count; i++)
            digest = mix(digest, found[i]);
        if (count > 0)
            kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", key,
                    mix(key < 200 ? digest * 3 : 0, key > 100 ? digest : 0));
    }
    quern_dataset *records = read_lines(context);
    check(context,
          quern_cogroup(quern_filter(records, keep_below_200, NULL), quern_filter(records, keep_above_100, NULL),
                        u64_u64, digest_both, NULL),
          "both", &expected);
    quern_context_destroy(context);
}

static void the_largest_of_each_key_are_kept(void)
{
    static uint64_t found[LINE_COUNT];
    for (uint64_t k = 1; k <= 10000; k = k * 5 + 2) {
        quern_context *context = small_splits();
        kit_text expected = {0};
        for (uint64_t key = 0; key < KEY_COUNT; key++) {
            size_t count = values_of(key, found);
            for (size_t i = 0; i < count && i < k; i++)
                kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", key, found[count - 1 - i]);
        }
        char name[40];
        snprintf(name, sizeof name, "largest.%" PRIu64, k);
        check(context, quern_top_k_by_key(read_lines(context), k), name, &expected);
        quern_context_destroy(context);
    }
}

static int to_fixed(const quern_record *in, quern_emitter *out, void *user)
{
    char key[8];
    (void)user;
    snprintf(key, sizeof key, "%03" PRIu64, quern_u64(in->key) % 1000);
    return quern_emit(out, quern_bytes(key, 3), in->value);
}

static void keys_of_fixed_length_are_grouped_too(void)
{
    quern_context *context = small_splits();
    static uint64_t found[LINE_COUNT];
    kit_text expected = {0};
    for (uint64_t key = 0; key < KEY_COUNT; key++) {
        size_t count = values_of(key, found);
        uint64_t digest = 0;
        for (size_t i = 0; i < count; i++)
            digest = mix(digest, found[i]);
        if (count > 0)
            kit_put(&expected, "%03" PRIu64 "\t%" PRIu64 "\n", key, digest);
    }
    quern_dataset *records = quern_flat_map(read_lines(context), fixed_u64, to_fixed, NULL);
    check(context, quern_group_by_key(records, fixed_u64, digest_group, NULL, NULL), "fixed", &expected);
    quern_context_destroy(context);
}

static void wrong_arguments_are_refused(void)
{
    quern_context *context = small_splits();
    quern_dataset *records = read_lines(context);
    quern_group_options unset = {0};
    CHECK(quern_group_by_key(records, u64_u64, digest_group, NULL, &unset) == NULL);
    CHECK_HAS(quern_context_error_text(context), "struct_size");
    CHECK(quern_group_by_key(records, u64_u64, NULL, NULL, NULL) == NULL);
    CHECK(quern_top_k_by_key(records, 0) == NULL);
    CHECK(quern_cogroup(records, records, u64_u64, NULL, NULL) == NULL);
    CHECK(quern_cogroup(records, quern_flat_map(records, bytes_u64, to_fixed, NULL), u64_u64, digest_both, NULL) ==
          NULL);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(values_of_a_group_come_in_the_order_that_was_asked_for, 20);
    RUN(callbacks_that_fail_emit_and_count_once, 20);
    RUN(a_callback_that_always_fails_ends_the_job_and_names_the_key, 15);
    RUN(a_group_larger_than_memory_is_read_in_order_and_twice, 30);
    RUN(a_cogroup_gives_the_values_of_both_sides, 15);
    RUN(the_largest_of_each_key_are_kept, 25);
    RUN(keys_of_fixed_length_are_grouped_too, 15);
    RUN(wrong_arguments_are_refused, 10);
    return kit_finish();
}
