/* SPDX-License-Identifier: BSD-3-Clause */
/* Arrays in memory as a source: every element once, in order, where it stands; attempts, positions, repetition. */
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>

#include "api_kit.h"

#define ELEMENT_COUNT 20000
#define STEP_COUNT    100

static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0, 0};

static quern_context *start(void)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = (uint64_t)kit_size() * 64 << 20;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

/* The elements [begin, end) of ELEMENT_COUNT that this rank has; `way` is how they are cut. Some ranks have none. */
static void my_share(int way, uint64_t *begin, uint64_t *end)
{
    uint64_t cut[64] = {0};
    int size = kit_size(), last = 0;
    for (int i = 0; i < size; i++) {
        bool has_none = size > 2 && i % 3 == 1 + way % 2;
        cut[i + 1] = has_none ? cut[i] : cut[i] + ELEMENT_COUNT / (uint64_t)(size + 1 + way) + (uint64_t)i;
        if (cut[i + 1] > ELEMENT_COUNT)
            cut[i + 1] = ELEMENT_COUNT;
        last = has_none ? last : i;
    }
    *begin = cut[kit_rank()];
    *end = kit_rank() == last ? ELEMENT_COUNT : cut[kit_rank() + 1];
    if (kit_rank() > last)
        *begin = *end = ELEMENT_COUNT;
}

typedef struct holding {
    uint64_t *keys, *values; /* of this rank, in memory that ends where they end */
    uint64_t begin, count;
    quern_memory_array halves[2];
} holding;

/* Element i has the key i and the value 3 i, in two arrays. */
static holding hold(int way)
{
    holding mine;
    uint64_t end;
    my_share(way, &mine.begin, &end);
    mine.count = end - mine.begin;
    mine.keys = malloc(mine.count * 8 + (mine.count == 0));
    mine.values = malloc(mine.count * 8 + (mine.count == 0));
    for (uint64_t i = 0; i < mine.count; i++) {
        mine.keys[i] = mine.begin + i;
        mine.values[i] = 3 * (mine.begin + i);
    }
    uint64_t first = mine.count / 3;
    mine.halves[0] = (quern_memory_array){.count = first, .key = mine.keys, .value = mine.values};
    mine.halves[1] =
        (quern_memory_array){.count = mine.count - first, .key = mine.keys + first, .value = mine.values + first};
    return mine;
}

static void release(holding *mine)
{
    free(mine->keys);
    free(mine->values);
}

/* ---- what is read ---- */

static int modulo(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t key;
    (void)user;
    key = quern_u64(in->key) % 1000;
    out->key = quern_of_u64(&key);
    return 0;
}

static void the_arrays_of_all_ranks_are_reduced_as_one(void)
{
    quern_context *context = start();
    holding mine = hold(0);
    const char *output = kit_path("sums");
    quern_dataset *all = quern_read_memory(context, u64_u64, mine.halves, 2);
    quern_write_text(quern_reduce_by_key(quern_map(all, u64_u64, modulo, NULL), QUERN_SUM), output);
    kit_run(context);
    kit_text expected = {0};
    for (uint64_t key = 0; key < 1000; key++) {
        uint64_t sum = 0;
        for (uint64_t i = key; i < ELEMENT_COUNT; i += 1000)
            sum += 3 * i;
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", key, sum);
    }
    kit_check_output(output, &expected, false);
    CHECK_SAME(kit_reported("source_records"), ELEMENT_COUNT + 1000); /* the result is read, too */
    kit_free(&expected);
    quern_context_destroy(context);
    release(&mine);
}

static int expect_in_order(const quern_record *record, void *user)
{
    uint64_t *next = user;
    CHECK_SAME(quern_u64(record->key), *next);
    CHECK_SAME(quern_u64(record->value), *next);
    ++*next;
    return 0;
}

static void elements_are_numbered_rank_after_rank(void)
{
    for (int way = 0; way < 2; way++) {
        quern_context *context = start();
        holding mine = hold(way);
        uint64_t next = 0;
        quern_dataset *all = quern_keys(quern_read_memory(context, u64_u64, mine.halves, 2));
        quern_collect(quern_zip_with_index(all, u64_u64, NULL, NULL), QUERN_COLLECT_ALL, expect_in_order, &next);
        kit_run(context);
        CHECK_SAME(next, ELEMENT_COUNT);
        quern_context_destroy(context);
        release(&mine);
    }
}

static int weigh(const quern_record *record, void *user)
{
    uint64_t *sums = user;
    sums[0]++;
    sums[1] += sums[0] * quern_u64(record->key);
    return 0;
}

static void a_sample_does_not_depend_on_which_rank_has_what(void)
{
    uint64_t sums[2][2] = {0};
    for (int way = 0; way < 2; way++) {
        quern_context *context = start();
        holding mine = hold(way);
        quern_dataset *all = quern_read_memory(context, u64_u64, mine.halves, 2);
        quern_collect(quern_sample(all, 0.1, 7), QUERN_COLLECT_ALL, weigh, sums[way]);
        kit_run(context);
        quern_context_destroy(context);
        release(&mine);
    }
    CHECK(sums[0][0] > ELEMENT_COUNT / 20 && sums[0][0] < ELEMENT_COUNT / 5);
    CHECK_SAME(sums[0][0], sums[1][0]);
    CHECK_SAME(sums[0][1], sums[1][1]);
    if (kit_rank() == 0)
        printf("sample %" PRIu64 " %" PRIu64 "\n", sums[0][0], sums[0][1]); /* the same on any number of ranks */
}

/* ---- structs, strides and types ---- */

typedef struct particle {
    float mass;
    int32_t cell;
    double energy;
    uint8_t name[6];
    uint16_t flags;
} particle;

static int add_energy(const quern_record *record, void *user)
{
    double *sums = user;
    sums[0]++;
    sums[1] += quern_f64(record->value);
    return 0;
}

static int count_cell(const quern_record *record, void *user)
{
    CHECK_SAME(record->value.bytes, 8);
    CHECK(quern_i32(record->key) >= -3 && quern_i32(record->key) <= 3);
    CHECK_SAME(quern_u64(record->value), 100 * kit_size());
    ++*(int *)user;
    return 0;
}

static int check_name(const quern_record *record, void *user)
{
    CHECK_SAME(record->key.bytes, 6);
    CHECK(memcmp(record->key.data, "name-", 5) == 0);
    CHECK_SAME(record->value.bytes, 4);
    CHECK(quern_f32(record->value) == 0.5f);
    ++*(int *)user;
    return 0;
}

static int check_float(const quern_record *record, void *user)
{
    CHECK(quern_f32(record->key) == 0.5f);
    CHECK_SAME(quern_u64(record->value), 700 * kit_size());
    ++*(int *)user;
    return 0;
}

static void members_of_structs_are_keys_and_values(void)
{
    enum { COUNT = 700 };
    quern_context *context = start();
    particle *all = malloc(COUNT * sizeof *all);
    int cells = 0, names = 0, floats = 0;
    double energies[2] = {0};
    for (int i = 0; i < COUNT; i++) {
        all[i] = (particle){.mass = 0.5f, .cell = i % 7 - 3, .energy = i};
        memcpy(all[i].name, "name-x", 6);
    }
    quern_memory_array cell = {COUNT, &all[0].cell, sizeof *all, &all[0].energy, sizeof *all};
    quern_memory_array name = {COUNT, all[0].name, sizeof *all, &all[0].mass, sizeof *all};
    quern_memory_array mass = {COUNT, &all[0].mass, sizeof *all, NULL, 0};
    quern_dataset *by_cell = quern_read_memory(context, (quern_schema){QUERN_I32, QUERN_F64, 0, 0}, &cell, 1);
    quern_dataset *by_name = quern_read_memory(context, (quern_schema){QUERN_FIXED, QUERN_F32, 0, 6}, &name, 1);
    quern_dataset *by_mass = quern_read_memory(context, (quern_schema){QUERN_F32, QUERN_NONE, 0, 0}, &mass, 1);
    quern_collect(by_cell, QUERN_COLLECT_LOCAL, add_energy, energies);
    quern_collect(quern_count_by_key(by_cell), QUERN_COLLECT_ALL, count_cell, &cells);
    quern_collect(by_name, QUERN_COLLECT_LOCAL, check_name, &names);
    quern_collect(quern_count_by_key(by_mass), QUERN_COLLECT_ALL, check_float, &floats);
    kit_run(context);
    CHECK(energies[0] == COUNT && energies[1] == COUNT * (COUNT - 1) / 2.0);
    CHECK_SAME(cells, 7);
    CHECK_SAME(names, COUNT);
    CHECK_SAME(floats, 1);
    free(all);
    quern_context_destroy(context);
}

static int check_window(const quern_record *record, void *user)
{
    int *next = user;
    const uint8_t *bytes = record->key.data;
    for (int i = 0; i < 20; i++)
        CHECK_SAME(bytes[i], (*next + i) % 251);
    ++*next;
    return 0;
}

static void windows_may_overlap(void)
{
    enum { BYTES = 3000 };
    quern_context *context = start();
    uint8_t *bytes = malloc(BYTES);
    int next = 0;
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i % 251);
    quern_memory_array windows = {.count = BYTES - 19, .key = bytes, .key_stride = 1};
    quern_dataset *all = quern_read_memory(context, (quern_schema){QUERN_FIXED, QUERN_NONE, 0, 20}, &windows, 1);
    quern_collect(all, QUERN_COLLECT_LOCAL, check_window, &next);
    kit_run(context);
    CHECK_SAME(next, BYTES - 19);
    free(bytes);
    quern_context_destroy(context);
}

/* ---- where it stands ---- */

typedef struct extent {
    const holding *of;
    uint64_t inside, outside;
} extent;

static bool is_within(const void *data, const uint64_t *array, uint64_t count)
{
    return (uintptr_t)data >= (uintptr_t)array && (uintptr_t)data < (uintptr_t)(array + count);
}

static int note_places(const quern_block *in, uint8_t *keep_out, void *user)
{
    extent *seen = user;
    (void)keep_out;
    for (size_t i = 0; i < in->count; i++) {
        bool key_is = is_within(in->key[i], seen->of->keys, seen->of->count);
        CHECK(is_within(in->value[i], seen->of->values, seen->of->count));
        seen->inside += key_is;
        seen->outside += !key_is;
    }
    return 0;
}

static int count_any(const quern_record *record, void *user)
{
    (void)record;
    ++*(uint64_t *)user;
    return 0;
}

static void blocks_point_into_the_arrays(void)
{
    quern_context *context = start();
    holding mine = hold(0);
    extent seen = {&mine, 0, 0};
    uint64_t count = 0;
    quern_dataset *all = quern_read_memory(context, u64_u64, mine.halves, 2);
    quern_collect(quern_filter_block(all, note_places, &seen), QUERN_COLLECT_LOCAL, count_any, &count);
    kit_run(context);
    CHECK_SAME(count, mine.count);
    CHECK(seen.inside + 4 >= mine.count);                    /* two keys at the end of each of two arrays are copied */
    CHECK_SAME(seen.inside + seen.outside >= mine.count, 1); /* more in check mode */
    quern_context_destroy(context);
    release(&mine);
}

/* ---- attempts ---- */

static uint64_t failures_left, seen_count;

static int fail_at(const quern_record *in, quern_record *out, void *user)
{
    (void)out;
    seen_count++;
    if (quern_u64(in->key) != *(const uint64_t *)user || failures_left == 0)
        return 0;
    failures_left--;
    return 1;
}

static void a_failed_attempt_is_repeated_where_the_elements_are(void)
{
    quern_context *context = start();
    holding mine = hold(0);
    uint64_t bad = 1234, next[2] = {0};
    failures_left = 1;
    seen_count = 0;
    quern_dataset *all = quern_map(quern_read_memory(context, u64_u64, mine.halves, 2), u64_u64, fail_at, &bad);
    quern_collect(all, QUERN_COLLECT_ALL, weigh, next);
    kit_run(context);
    CHECK_SAME(next[0], ELEMENT_COUNT);
    CHECK_SAME(kit_reported("attempts_failed"), 1);
    CHECK(seen_count >= mine.count);
    quern_context_destroy(context);
    release(&mine);
}

static void a_failure_names_the_element_its_array_and_its_rank(void)
{
    quern_context *context = start();
    holding mine = hold(0);
    uint64_t bad = ELEMENT_COUNT - 1;
    char expected[100];
    bool has_it = mine.count > 0 && mine.begin + mine.count == ELEMENT_COUNT;
    uint64_t element = kit_sum(has_it ? mine.halves[1].count - 1 : 0);
    uint64_t rank = kit_sum(has_it ? (uint64_t)kit_rank() : 0);
    failures_left = UINT64_MAX;
    quern_dataset *all = quern_map(quern_read_memory(context, u64_u64, mine.halves, 2), u64_u64, fail_at, &bad);
    quern_collect(quern_count_by_key(all), QUERN_COLLECT_ROOT, count_any, &seen_count);
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    snprintf(expected, sizeof expected, "on element %" PRIu64 " of array 1 of rank %" PRIu64, element, rank);
    CHECK_HAS(text, expected);
    quern_context_destroy(context);
    release(&mine);
}

/* ---- with other sources ---- */

static int check_pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)user;
    CHECK_SAME(quern_u64(*left), quern_u64(*right));
    return quern_emit(out, key, *left);
}

static void memory_is_joined_and_united_with_memory_and_text(void)
{
    quern_context *context = start();
    holding mine = hold(0), other = hold(1);
    uint64_t joined = 0, united = 0;
    kit_text line = {0};
    const char *path = kit_path("one-line");
    kit_put(&line, "12345678\n");
    kit_write_for_all(path, &line);
    quern_dataset *left = quern_read_memory(context, u64_u64, mine.halves, 2);
    quern_dataset *right = quern_read_memory(context, u64_u64, other.halves, 2);
    quern_dataset *nothing = quern_read_memory(context, u64_u64, NULL, 0);
    quern_fixed_options eight = {
        .struct_size = sizeof eight, .record_bytes = 9, .schema = {QUERN_U64, QUERN_NONE, 0, 0}};
    eight.key_bytes = 8;
    quern_dataset *file = quern_read_fixed(context, &path, 1, &eight);
    quern_collect(quern_join(left, quern_union(right, nothing), QUERN_JOIN_INNER, u64_u64, check_pair, NULL),
                  QUERN_COLLECT_ALL, count_any, &joined);
    quern_collect(quern_distinct(quern_union(quern_union(quern_keys(left), file), quern_keys(right))),
                  QUERN_COLLECT_ALL, count_any, &united);
    kit_run(context);
    CHECK_SAME(joined, ELEMENT_COUNT);
    CHECK_SAME(united, ELEMENT_COUNT + 1);
    kit_free(&line);
    quern_context_destroy(context);
    release(&mine);
    release(&other);
}

static void a_sort_of_arrays_that_are_in_order_is_right(void)
{
    quern_context *context = start();
    holding mine = hold(0);
    const char *output = kit_path("sorted");
    kit_text expected = {0};
    quern_dataset *all = quern_read_memory(context, u64_u64, mine.halves, 2);
    quern_write_text(quern_sort_by_key(all, NULL), output);
    kit_run(context);
    for (uint64_t i = 0; i < ELEMENT_COUNT; i++)
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", i, 3 * i);
    kit_check_output(output, &expected, true);
    kit_free(&expected);
    quern_context_destroy(context);
    release(&mine);
}

static int note_one(const quern_record *in, int *keep_out, void *user)
{
    (void)in;
    *keep_out = 0;
    ++*(uint64_t *)user;
    return 0;
}

/* More than there is memory for, so that the first records that are read decide how all are divided. */
static void a_sort_of_arrays_that_are_in_order_is_even(void)
{
    enum { COUNT = 1000000 };
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = (uint64_t)kit_size() * 16 << 20;
    quern_context *context = kit_context(&options);
    uint64_t *keys = malloc(COUNT * sizeof *keys), mine = 0;
    for (uint64_t i = 0; i < COUNT; i++)
        keys[i] = i * (uint64_t)kit_size() + (uint64_t)kit_rank();
    quern_memory_array thirds[] = {
        {.count = COUNT / 3, .key = keys}, {.count = 0}, {.count = COUNT - COUNT / 3, .key = keys + COUNT / 3}};
    quern_dataset *all = quern_read_memory(context, (quern_schema){QUERN_U64, QUERN_NONE, 0, 0}, thirds, 3);
    quern_dataset *sorted = quern_sort_by_key(all, NULL);
    quern_collect(quern_filter(sorted, note_one, &mine), QUERN_COLLECT_LOCAL, count_any, NULL);
    CHECK_STATUS(quern_run(context), QUERN_OK, quern_context_error_text(context));
    CHECK_SAME(kit_sum(mine), (uint64_t)COUNT * (uint64_t)kit_size());
    CHECK(kit_max(mine) < COUNT + COUNT / 2);
    free(keys);
    quern_context_destroy(context);
}

/* ---- time steps ---- */

static uint64_t resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu %lu", &all, &resident) == 2);
    fclose(file);
    return resident * 4096;
}

static int add_value(const quern_record *record, void *user)
{
    *(uint64_t *)user += quern_u64(record->value);
    return 0;
}

/* Each step has other values and another length. */
static void a_hundred_steps_see_what_the_arrays_hold_and_take_no_more_memory(void)
{
    enum { LONGEST = 5000 };
    quern_context *context = start();
    uint64_t *keys = malloc(LONGEST * 8), *values = malloc(LONGEST * 8);
    uint64_t heap_bytes = 0, bytes = 0;
    quern_memory_array array = {.count = 1, .key = keys, .value = values};
    quern_dataset *state = quern_read_memory(context, u64_u64, &array, 1);
    quern_dataset *sums = quern_reduce_by_key(state, QUERN_SUM);
    for (uint64_t step = 0; step < STEP_COUNT; step++) {
        uint64_t sum = 0, expected = 0;
        array.count = (step * 37 + (uint64_t)kit_rank() * 11) % LONGEST;
        for (uint64_t i = 0; i < array.count; i++) {
            keys[i] = i % 100;
            values[i] = step + i;
            expected += step + i;
        }
        CHECK_SAME(quern_renew_memory(state, &array, 1), QUERN_OK);
        quern_collect(sums, QUERN_COLLECT_ALL, add_value, &sum);
        CHECK_STATUS(quern_run(context), QUERN_OK, quern_context_error_text(context));
        CHECK_SAME(sum, kit_sum(expected));
        if (step == STEP_COUNT / 5) {
            heap_bytes = mallinfo2().uordblks;
            bytes = resident_bytes();
        }
    }
    CHECK(mallinfo2().uordblks <= heap_bytes + 65536);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
    CHECK(resident_bytes() <= bytes + (1 << 20));
#endif
    (void)bytes;
    free(keys);
    free(values);
    quern_context_destroy(context);
}

/* ---- refusals ---- */

static void what_cannot_be_read_is_refused(void)
{
    const uint64_t number = 1;
    const quern_memory_array no_key = {.count = 1, .value = &number}, no_value = {.count = 1, .key = &number},
                             both = {.count = 1, .key = &number, .value = &number},
                             endless = {.count = SIZE_MAX, .key = &number, .value = &number};
    const struct {
        quern_schema schema;
        const quern_memory_array *array;
    } bad[] = {
        {{QUERN_BYTES, QUERN_U64, 0, 0}, &both},
        {{QUERN_U64, QUERN_BYTES, 0, 0}, &both},
        {{QUERN_NONE, QUERN_NONE, 0, 0}, &no_value},
        {u64_u64, &no_key},
        {u64_u64, &no_value},
        {{QUERN_U64, QUERN_NONE, 0, 0}, &both},
        {u64_u64, &endless},
        {u64_u64, NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        quern_context *context = start();
        CHECK(!quern_read_memory(context, bad[i].schema, bad[i].array, 1));
        CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "read memory");
        quern_context_destroy(context);
    }
    quern_context *context = start();
    quern_dataset *state = quern_read_memory(context, u64_u64, &both, 1);
    uint64_t count = 0;
    CHECK_SAME(quern_renew_memory(state, &no_key, 1), QUERN_ERROR_INVALID_ARGUMENT);
    kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT);
    CHECK_SAME(quern_renew_memory(quern_keys(state), &both, 1), QUERN_ERROR_INVALID_ARGUMENT);
    kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT);
    quern_collect(state, QUERN_COLLECT_ALL, count_any, &count); /* the old arrays are still there */
    kit_run(context);
    CHECK_SAME(count, kit_size());
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(the_arrays_of_all_ranks_are_reduced_as_one, 10);
    RUN(elements_are_numbered_rank_after_rank, 10);
    RUN(a_sample_does_not_depend_on_which_rank_has_what, 10);
    RUN(members_of_structs_are_keys_and_values, 10);
    RUN(windows_may_overlap, 10);
    RUN(blocks_point_into_the_arrays, 10);
    RUN(a_failed_attempt_is_repeated_where_the_elements_are, 10);
    RUN(a_failure_names_the_element_its_array_and_its_rank, 10);
    RUN(memory_is_joined_and_united_with_memory_and_text, 20);
    RUN(a_sort_of_arrays_that_are_in_order_is_right, 10);
    RUN(a_sort_of_arrays_that_are_in_order_is_even, 60);
    RUN(a_hundred_steps_see_what_the_arrays_hold_and_take_no_more_memory, 60);
    RUN(what_cannot_be_read_is_refused, 20);
    return kit_finish();
}
