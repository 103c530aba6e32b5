/* SPDX-License-Identifier: BSD-3-Clause */
/* Sources of records of one length, and operators on one record at a time, against plain models of them. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "api_kit.h"

#define LINE_COUNT   20000
#define RECORD_COUNT 30000
#define KEY_COUNT    500

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const char *lines_path[1];
static kit_text lines;

static quern_context *context_with(uint64_t split_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = split_bytes;
    options.attempt_count_max = 8;
    options.report_path = kit_path("report.json"); /* copied */
    return kit_context(&options);
}

static void make_lines(void)
{
    for (uint64_t i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "%" PRIu64 "\n", i);
    lines_path[0] = strdup(kit_path("lines"));
    kit_write_for_all(lines_path[0], &lines);
}

static uint64_t word_of(const void *data)
{
    return quern_u64(quern_bytes(data, 8));
}

static void print_number(const kit_entry *entry, void *text)
{
    kit_put(text, "%" PRIu64 "\t%" PRId64 "\n", word_of(entry->key), (int64_t)entry->value[0]);
}

static void print_signed(const kit_entry *entry, void *text)
{
    kit_put(text, "%" PRId64 "\t%" PRId64 "\n", (int64_t)word_of(entry->key), (int64_t)entry->value[0]);
}

static void check_model(quern_context *context, kit_model *model, const char *output)
{
    kit_text expected = {0};
    kit_run(context);
    kit_each(model, print_number, &expected);
    kit_check_output(output, &expected, false);
    kit_forget(model);
    kit_free(&expected);
}

/* ---- records of one length ---- */

/* A header, then records of a key (8 bytes), some filling, and a value (8 bytes). */
typedef struct shape {
    const char *name;
    uint32_t header_bytes, filling_bytes, tail_bytes;
} shape;

static uint64_t key_at(uint64_t i)
{
    return i * i % KEY_COUNT;
}

static int64_t value_at(uint64_t i)
{
    return (int64_t)(i % 1000) - 300;
}

static const char *write_records(const shape *of)
{
    kit_text data = {0};
    const char *path = kit_path("records.%s", of->name);
    for (uint32_t i = 0; i < of->header_bytes; i++)
        kit_put_bytes(&data, "H", 1);
    for (uint64_t i = 0; i < RECORD_COUNT; i++) {
        uint64_t key = key_at(i);
        int64_t value = value_at(i);
        kit_put_bytes(&data, &key, 8);
        for (uint32_t n = 0; n < of->filling_bytes; n++)
            kit_put_bytes(&data, "\n", 1);
        kit_put_bytes(&data, &value, 8);
        for (uint32_t n = 0; n < of->tail_bytes; n++)
            kit_put_bytes(&data, "", 1);
    }
    kit_write_for_all(path, &data);
    kit_free(&data);
    return path;
}

static quern_fixed_options options_of(const shape *of)
{
    quern_fixed_options options = {.struct_size = sizeof options, .header_bytes = of->header_bytes};
    options.record_bytes = 16 + of->filling_bytes + of->tail_bytes;
    options.value_offset = 8 + of->filling_bytes;
    options.schema = (quern_schema){QUERN_U64, QUERN_I64, 0};
    return options;
}

static const shape shapes[] = {{"plain", 0, 0, 0}, {"odd", 3, 5, 4}, {"wide", 8, 2000, 8}};

static void numbers_of_fixed_records_are_those_of_the_file(void)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        quern_context *context = context_with(i == 2 ? 5000000 : 4001);
        quern_fixed_options options = options_of(&shapes[i]);
        const char *paths[] = {write_records(&shapes[i])};
        kit_model model = {0};
        for (uint64_t n = 0; n < RECORD_COUNT; n++) {
            uint64_t key = key_at(n);
            kit_at(&model, &key, 8)->value[0] += (uint64_t)value_at(n);
        }
        const char *output = kit_path("out.fixed.%s", shapes[i].name);
        quern_write_text(quern_reduce_by_key(quern_read_fixed(context, paths, 1, &options), QUERN_SUM), output);
        check_model(context, &model, output);
        quern_context_destroy(context);
    }
}

/* Structs of the user's are handed to a reduction, which wants them aligned. */
static int add_three(void *into, const void *value, void *user)
{
    uint32_t *sums = into;
    const uint32_t *more = value;
    (void)user;
    CHECK((uintptr_t)into % 8 == 0 && (uintptr_t)value % 8 == 0);
    for (int i = 0; i < 3; i++)
        sums[i] += more[i];
    return 0;
}

static int check_three(const quern_record *record, void *user)
{
    uint32_t sums[3];
    (void)user;
    memcpy(sums, record->value.data, sizeof sums);
    CHECK_SAME(sums[0], RECORD_COUNT);
    CHECK_SAME(sums[1], RECORD_COUNT / 2);
    CHECK_SAME(sums[2], 7 * RECORD_COUNT);
    return 0;
}

static void structs_of_a_file_are_reduced_as_they_stand_there(void)
{
    quern_context *context = context_with(10007);
    kit_text data = {0};
    const char *paths[] = {kit_path("structs")};
    for (uint32_t i = 0; i < RECORD_COUNT; i++) {
        uint32_t three[] = {1, i % 2, 7};
        kit_put_bytes(&data, "k", 1);
        kit_put_bytes(&data, three, sizeof three);
    }
    kit_write_for_all(paths[0], &data);
    quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = 13, .key_bytes = 1};
    options.schema = (quern_schema){QUERN_BYTES, QUERN_FIXED, 12};
    quern_dataset *structs = quern_read_fixed(context, paths, 1, &options);
    quern_collect(quern_reduce_by_key_with(structs, add_three, NULL), QUERN_COLLECT_ROOT, check_three, NULL);
    kit_run(context);
    kit_free(&data);
    quern_context_destroy(context);
}

typedef struct two_counts {
    uint64_t zeros, nans, others;
} two_counts;

static int add_up_floats(const quern_record *record, void *user)
{
    two_counts *counts = user;
    double key = quern_f64(record->key);
    uint64_t *count = isnan(key) ? &counts->nans : key == 0 ? &counts->zeros : &counts->others;
    CHECK_SAME(*count, 0); /* each of them is one key */
    *count = quern_u64(record->value);
    return 0;
}

static void floating_point_keys_of_a_file_are_equal_when_their_numbers_are(void)
{
    quern_context *context = context_with(1003);
    kit_text data = {0};
    const char *paths[] = {kit_path("floats")};
    const double numbers[] = {0.0, -0.0, NAN, -NAN, 7.5};
    for (uint32_t i = 0; i < 5000; i++) {
        int32_t value = i % 5 == 4 ? -3 : 0;
        kit_put_bytes(&data, &value, sizeof value);
        kit_put_bytes(&data, &numbers[i % 5], sizeof *numbers);
    }
    kit_write_for_all(paths[0], &data);
    quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = 12, .key_offset = 4};
    options.schema = (quern_schema){QUERN_F64, QUERN_NONE, 0, 0};
    two_counts counts = {0};
    quern_collect(quern_count_by_key(quern_read_fixed(context, paths, 1, &options)), QUERN_COLLECT_ALL, add_up_floats,
                  &counts);
    options.schema.value = QUERN_I32;
    options.value_bytes = 4; /* at 0, though the key is behind it */
    const double bounds_of_values[] = {-3.5, 0};
    quern_write_text(quern_histogram(quern_read_fixed(context, paths, 1, &options), bounds_of_values, 2),
                     kit_path("out.int32"));
    kit_run(context);
    CHECK_SAME(counts.zeros, 2000);
    CHECK_SAME(counts.nans, 2000);
    CHECK_SAME(counts.others, 1000);
    kit_text expected = {0};
    kit_put(&expected, "1\t1000\n2\t4000\n");
    kit_check_output(kit_path("out.int32"), &expected, false);
    kit_free(&expected);
    options.schema = (quern_schema){QUERN_PAIR(QUERN_U32, QUERN_BYTES), QUERN_NONE, 0, 0};
    options.value_bytes = 0;
    CHECK(quern_read_fixed(context, paths, 1, &options) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "pairs");
    kit_free(&data);
    quern_context_destroy(context);
}

/* Records as they stand in the file, one behind the other. */
typedef struct expected_records {
    const kit_text *data;
    size_t next;
    uint32_t key_bytes, value_bytes;
} expected_records;

static int check_next(const quern_record *record, void *user)
{
    expected_records *expected = user;
    const char *at = expected->data->data + expected->next;
    CHECK_SAME(record->key.bytes, expected->key_bytes);
    CHECK_SAME(record->value.bytes, expected->value_bytes);
    CHECK(memcmp(record->key.data, at, expected->key_bytes) == 0);
    CHECK(expected->value_bytes == 0 ||
          memcmp(record->value.data, at + expected->key_bytes, expected->value_bytes) == 0);
    expected->next += expected->key_bytes + expected->value_bytes;
    return 0;
}

static void without_types_the_key_is_the_record_or_its_first_bytes_and_the_value_the_rest(void)
{
    kit_text data = {0};
    uint64_t state = 4;
    const char *paths[] = {kit_path("plain")};
    for (uint64_t i = 0; i < 30 * 1000; i++) {
        char byte = (char)kit_random(&state);
        kit_put_bytes(&data, &byte, 1);
    }
    kit_write_for_all(paths[0], &data);
    for (uint32_t key_bytes = 0; key_bytes <= 30; key_bytes += 10) {
        quern_context *context = context_with(777);
        quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = 30, .key_bytes = key_bytes};
        uint32_t expected_key = key_bytes == 0 ? 30 : key_bytes;
        expected_records expected = {&data, 0, expected_key, 30 - expected_key};
        quern_collect(quern_read_fixed(context, paths, 1, &options), QUERN_COLLECT_ALL, check_next, &expected);
        kit_run(context);
        CHECK_SAME(expected.next, data.bytes);
        quern_context_destroy(context);
    }
    kit_free(&data);
}

static void check_refused(quern_context *context, quern_dataset *dataset, const char *part)
{
    CHECK(dataset == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), part);
}

static void fields_outside_of_the_record_are_refused(void)
{
    quern_context *context = context_with(4096);
    const char *missing[] = {NULL};
    const quern_fixed_options good = {.struct_size = sizeof good, .record_bytes = 16};
    quern_fixed_options bad = good;
    check_refused(context, quern_read_fixed(context, lines_path, 1, NULL), "record_bytes");
    check_refused(context, quern_read_fixed(context, missing, 1, &good), "a path is NULL");
    bad.struct_size = 0;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "sizeof(quern_fixed_options)");
    bad = good;
    bad.record_bytes = 0;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "record_bytes");
    bad = good;
    bad.key_bytes = 17;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "behind the record");
    bad = good;
    bad.key_offset = 16;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "behind the record");
    bad = good;
    bad.schema = (quern_schema){QUERN_U64, QUERN_U64, 0};
    bad.value_offset = 9;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "behind the record");
    bad.value_offset = 8;
    bad.key_bytes = 4;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "another size than its type");
    bad.key_bytes = 8;
    bad.schema.value = QUERN_NONE;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "QUERN_NONE");
    bad.schema = (quern_schema){QUERN_FIXED, QUERN_NONE, 8};
    bad.value_offset = 0;
    check_refused(context, quern_read_fixed(context, lines_path, 1, &bad), "schema");
    quern_context_destroy(context);
}

static void a_file_that_is_no_whole_number_of_records_is_named_before_any_work(void)
{
    quern_context *context = context_with(4096);
    char size[40];
    quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = 1000, .header_bytes = 1};
    quern_write_text(quern_keys(quern_read_fixed(context, lines_path, 1, &options)), kit_path("failed"));
    const char *text = kit_run_fails(context, QUERN_ERROR_INPUT);
    CHECK_HAS(text, lines_path[0]);
    snprintf(size, sizeof size, "%zu bytes", lines.bytes);
    CHECK_HAS(text, size);
    snprintf(size, sizeof size, "remainder of %zu", (lines.bytes - 1) % 1000);
    CHECK_HAS(text, size);
    kit_check_no_output(kit_path("failed"));
    quern_context_destroy(context);
}

typedef struct trouble {
    const char *name;
    uint64_t every;
    bool always;
} trouble;

static bool is_due(const trouble *t, uint64_t number)
{
    return t->every > 0 && number > 0 && number % t->every == 0 &&
           (t->always || kit_first_time("%s.%" PRIu64, t->name, number));
}

/* Records are numbered; those of trouble fail after one of two records was emitted. */
static int twice(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t number = quern_u64(in->key), key = number % KEY_COUNT;
    if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&number)) || is_due(user, number))
        return 3;
    return quern_emit(out, quern_of_u64(&key), quern_of_u64(&number));
}

static quern_dataset *read_numbers(quern_context *context, const char **path)
{
    kit_text data = {0};
    kit_put_bytes(&data, "head", 4);
    for (uint64_t i = 0; i < RECORD_COUNT; i++) {
        kit_put_bytes(&data, &i, 8);
        kit_put_bytes(&data, "..", 2);
    }
    *path = kit_path("numbers");
    kit_write_for_all(*path, &data);
    kit_free(&data);
    quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = 10, .header_bytes = 4};
    options.schema.key = QUERN_U64;
    return quern_read_fixed(context, path, 1, &options);
}

static void fixed_records_of_failed_attempts_count_once_and_failures_name_file_and_byte(void)
{
    const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
    quern_context *context = context_with(20011);
    trouble once = {.name = "fixed", .every = 611}, always = {.name = "never", .every = 20000, .always = true};
    const char *path = NULL;
    quern_dataset *numbers = read_numbers(context, &path);
    kit_model model = {0};
    for (uint64_t i = 0; i < RECORD_COUNT; i++) {
        uint64_t key = i % KEY_COUNT;
        kit_at(&model, &key, 8)->value[0] += 2 * i;
    }
    quern_write_text(quern_reduce_by_key(quern_flat_map(numbers, u64_u64, twice, &once), QUERN_SUM),
                     kit_path("out.once"));
    check_model(context, &model, kit_path("out.once"));
    quern_write_text(quern_reduce_by_key(quern_flat_map(numbers, u64_u64, twice, &always), QUERN_SUM),
                     kit_path("failed"));
    const char *text = kit_run_fails(context, QUERN_ERROR_CALLBACK);
    CHECK_HAS(text, path);
    CHECK_HAS(text, "byte 200004 ");
    kit_check_no_output(kit_path("failed"));
    quern_context_destroy(context);
}

/* ---- key by, value as key, count by key ---- */

static int by_length(const quern_record *in, quern_span *key_out, void *user)
{
    static uint64_t length;
    CHECK(key_out->data == in->key.data && key_out->bytes == in->key.bytes);
    length = in->key.bytes;
    *key_out = quern_of_u64(&length);
    return is_due(user, kit_number(in->key));
}

static int by_last_digit(const quern_record *in, quern_span *key_out, void *user)
{
    (void)user;
    *key_out = quern_bytes((const char *)in->value.data + in->value.bytes - 1, 1);
    return 0;
}

static void a_record_without_a_value_keeps_its_old_key_as_the_value(void)
{
    quern_context *context = context_with(1000);
    trouble once = {.name = "key", .every = 1777};
    kit_text expected = {0}, counts = {0};
    quern_dataset *by = quern_key_by(quern_read_text(context, lines_path, 1, NULL), QUERN_U64, 0, by_length, &once);
    quern_write_text(by, kit_path("out.by"));
    quern_write_text(quern_count_by_key(quern_key_by(by, QUERN_BYTES, 0, by_last_digit, NULL)), kit_path("out.digits"));
    kit_run(context);
    for (uint64_t i = 0; i < LINE_COUNT; i++) {
        char digits[24];
        kit_put(&expected, "%d\t%" PRIu64 "\n", snprintf(digits, sizeof digits, "%" PRIu64, i), i);
    }
    for (int digit = 0; digit < 10; digit++)
        kit_put(&counts, "%d\t%d\n", digit, LINE_COUNT / 10);
    kit_check_output(kit_path("out.by"), &expected, true);
    kit_check_output(kit_path("out.digits"), &counts, false);
    kit_free(&expected);
    kit_free(&counts);
    quern_context_destroy(context);
}

static int half(const quern_record *in, quern_span *key_out, void *user)
{
    static int64_t number;
    (void)user;
    number = quern_i64(in->key) / 2;
    *key_out = quern_of_i64(&number);
    return 0;
}

static int without_key(const quern_record *in, quern_span *key_out, void *user)
{
    (void)user;
    *key_out = quern_bytes(in->key.data, 3);
    return 0;
}

/* Numbers that stand unaligned in a file: as values they are read as words. */
static void numbers_that_were_keys_are_values_of_their_type(void)
{
    quern_context *context = context_with(3001);
    shape odd = {"keys", 3, 0, 1};
    const char *paths[] = {write_records(&odd)};
    quern_fixed_options options = {.struct_size = sizeof options, .record_bytes = 17, .header_bytes = 3};
    options.key_offset = 8;
    options.schema.key = QUERN_I64;
    quern_dataset *values = quern_read_fixed(context, paths, 1, &options);
    kit_model sums = {0}, kept = {0}, counts = {0};
    for (uint64_t i = 0; i < RECORD_COUNT; i++) {
        int64_t key = value_at(i) / 2, number = value_at(i);
        kit_at(&sums, &key, 8)->value[0] += (uint64_t)number;
        kit_at(&counts, &number, 8)->value[0]++;
        key /= 2;
        kit_at(&kept, &key, 8)->value[0] += (uint64_t)number;
    }
    quern_dataset *halved = quern_key_by(values, QUERN_I64, 0, half, NULL);
    quern_write_text(quern_reduce_by_key(halved, QUERN_SUM), kit_path("out.halved"));
    quern_write_text(quern_reduce_by_key(quern_key_by(halved, QUERN_I64, 0, half, NULL), QUERN_SUM),
                     kit_path("out.kept"));
    quern_write_text(quern_count_by_key(quern_value_as_key(halved)), kit_path("out.values"));
    kit_run(context);
    kit_model *models[] = {&sums, &kept, &counts};
    const char *names[] = {"out.halved", "out.kept", "out.values"};
    for (int i = 0; i < 3; i++) {
        kit_text expected = {0};
        kit_each(models[i], print_signed, &expected);
        kit_check_output(kit_path("%s", names[i]), &expected, false);
        kit_forget(models[i]);
        kit_free(&expected);
    }
    quern_context_destroy(context);
}

static const quern_type end_and_length = QUERN_PAIR(QUERN_FIXED, QUERN_U32);

static int by_end(const quern_record *in, quern_span *key_out, void *user)
{
    uint32_t length = (uint32_t)in->key.bytes;
    quern_span end = quern_bytes((const char *)in->key.data + length - 1, 1);
    *key_out = quern_pair_put(end_and_length, end, quern_of_u32(&length), user);
    return 0;
}

static void keys_are_structs_that_the_dataset_had_not(void)
{
    quern_context *context = context_with(1000);
    char room[8];
    kit_text expected = {0};
    quern_dataset *text = quern_read_text(context, lines_path, 1, NULL);
    quern_write_text(quern_key_by(text, end_and_length, 1, by_end, room), kit_path("out.ends"));
    kit_run(context);
    for (uint64_t i = 0; i < LINE_COUNT; i++) {
        char digits[24];
        int length = snprintf(digits, sizeof digits, "%" PRIu64, i);
        kit_put(&expected, "%s\t%d\t%s\n", digits + length - 1, length, digits);
    }
    kit_check_output(kit_path("out.ends"), &expected, false);
    kit_free(&expected);
    quern_context_destroy(context);
}

static void keys_and_values_that_do_not_fit_are_refused(void)
{
    quern_context *context = context_with(1000);
    quern_dataset *text = quern_read_text(context, lines_path, 1, NULL);
    quern_write_text(quern_key_by(text, QUERN_U64, 0, without_key, NULL), kit_path("failed"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "'key by' gave a record that does not fit its schema");
    CHECK(quern_key_by(text, QUERN_FIXED, 0, without_key, NULL) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "schema");
    CHECK(quern_key_by(text, QUERN_BYTES, 0, NULL, NULL) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "callback is NULL");
    CHECK(quern_value_as_key(text) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_PLAN), "no values");
    CHECK(quern_key_by(NULL, QUERN_BYTES, 0, without_key, NULL) == NULL && quern_value_as_key(NULL) == NULL);
    CHECK(quern_sample(NULL, 0.5, 1) == NULL && quern_count_by_key(NULL) == NULL &&
          quern_histogram(NULL, NULL, 0) == NULL);
    kit_check_no_output(kit_path("failed"));
    quern_context_destroy(context);
}

/* ---- histograms ---- */

static int to_number(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t number;
    (void)user;
    number = kit_number(in->key) - 100; /* small ones are negative, or very large */
    out->key = quern_text("any");
    out->value = quern_of_u64(&number);
    return 0;
}

static const double bounds[] = {-50.5, -50, 0, 0.5, 7, 1000.25, 1e4, 18446744073709500416.0};
#define BOUND_COUNT (sizeof bounds / sizeof *bounds)

static void check_histogram(quern_type type, const char *output)
{
    quern_context *context = context_with(3000);
    kit_text expected = {0};
    uint64_t counts[BOUND_COUNT + 1] = {0};
    quern_schema schema = {QUERN_BYTES, type, 0};
    for (int64_t i = -100; i < LINE_COUNT - 100; i++) {
        long double number = type == QUERN_I64 ? (long double)i : (long double)(uint64_t)i;
        size_t bin = 0;
        while (bin < BOUND_COUNT && number >= bounds[bin])
            bin++;
        counts[bin]++;
    }
    for (size_t bin = 0; bin <= BOUND_COUNT; bin++)
        if (counts[bin] > 0)
            kit_put(&expected, "%zu\t%" PRIu64 "\n", bin, counts[bin]);
    double copied[BOUND_COUNT];
    memcpy(copied, bounds, sizeof bounds);
    quern_dataset *numbers = quern_map(quern_read_text(context, lines_path, 1, NULL), schema, to_number, NULL);
    quern_dataset *histogram = quern_histogram(numbers, copied, BOUND_COUNT);
    memset(copied, 0, sizeof copied);
    quern_write_text(histogram, output);
    kit_run(context);
    kit_check_output(output, &expected, false);
    kit_free(&expected);
    quern_context_destroy(context);
}

static void histograms_count_each_value_in_its_bin(void)
{
    check_histogram(QUERN_I64, kit_path("out.signed"));
    check_histogram(QUERN_U64, kit_path("out.unsigned"));
}

/* Values are consecutive numbers from -100 on, so the one at a place is known. */
static void quantiles_are_exact_and_in_the_order_of_values(void)
{
    static const double fractions[] = {0.5, 0, 1, 0.25, 1e-12, 0.9999999, 0.5, 1.0 / 3};
    enum { COUNT = sizeof fractions / sizeof *fractions };
    quern_context *context = context_with(3000);
    quern_dataset *numbers = quern_map(quern_read_text(context, lines_path, 1, NULL),
                                       (quern_schema){QUERN_BYTES, QUERN_I64, 0}, to_number, NULL);
    quern_write_text(quern_quantiles(numbers, fractions, COUNT), kit_path("out.quantiles"));
    kit_run(context);
    kit_text expected = {0};
    for (int64_t at = 0; at < LINE_COUNT; at++)
        for (int order = 0; order < COUNT; order++) {
            static const int by_fraction[COUNT] = {1, 4, 3, 7, 0, 6, 5, 2};
            long double before = (long double)at / LINE_COUNT, with = (long double)(at + 1) / LINE_COUNT;
            double fraction = fractions[by_fraction[order]];
            if (fraction <= with && (fraction > before || (at == 0 && fraction == 0)))
                kit_put(&expected, "%" PRId64 "\t%d\n", at - 100, by_fraction[order]);
        }
    kit_check_output(kit_path("out.quantiles"), &expected, true);
    kit_free(&expected);
    quern_context_destroy(context);
}

static int number_fixed(const quern_record *in, quern_record *out, void *user)
{
    (void)user;
    out->value = in->key;
    return 0;
}

/* Of the numbers 1 … count the quantile of a decimal p / whole is its own place, ceil(p * count / whole), which integers give. */
static void check_decimal_quantiles(uint64_t count, uint64_t whole)
{
    quern_context *context = context_with(3000);
    uint64_t *numbers = malloc(count * sizeof *numbers);
    double *fractions = malloc((whole + 1) * sizeof *fractions);
    kit_text expected = {0};
    char name[64];
    snprintf(name, sizeof name, "out.decimals.%" PRIu64 ".%" PRIu64, count, whole);
    for (uint64_t i = 0; i < count; i++)
        numbers[i] = i + 1;
    for (uint64_t p = 0; p <= whole; p++) {
        uint64_t place = (p * count + whole - 1) / whole;
        fractions[p] = (double)p / (double)whole;
        kit_put(&expected, "%" PRIu64 "\t%" PRIu64 "\n", place > 0 ? place : 1, p);
    }
    quern_memory_array array = {.count = quern_context_rank(context) == 0 ? count : 0, .key = numbers};
    quern_dataset *keys = quern_read_memory(context, (quern_schema){QUERN_U64, QUERN_NONE, 0, 0}, &array, 1);
    quern_dataset *values = quern_map(keys, (quern_schema){QUERN_U64, QUERN_U64, 0, 0}, number_fixed, NULL);
    quern_write_text(quern_quantiles(values, fractions, whole + 1), kit_path(name));
    kit_run(context);
    kit_check_output(kit_path(name), &expected, true);
    kit_free(&expected);
    free(fractions);
    free(numbers);
    quern_context_destroy(context);
}

static void quantiles_of_decimal_fractions_are_those_of_the_decimals(void)
{
    static const uint64_t counts[] = {1, 7, 10, 50, 99, 100, 1000, 4093, 10000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        check_decimal_quantiles(counts[i], 1000);
    check_decimal_quantiles(100, 100);
    check_decimal_quantiles(1000, 3);
}

static void quantiles_of_nothing_are_none_and_bad_fractions_are_refused(void)
{
    static const double bad[] = {-0.1, 1.1, NAN};
    quern_context *context = context_with(3000);
    quern_schema schema = {QUERN_BYTES, QUERN_U64, 0};
    quern_dataset *numbers = quern_map(quern_read_text(context, lines_path, 1, NULL), schema, to_number, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(context, quern_quantiles(numbers, &bad[i], 1), "from 0 to 1");
    check_refused(context, quern_quantiles(numbers, NULL, 1), "fractions");
    check_refused(context, quern_quantiles(numbers, bounds, 0), "fractions");
    const double half = 0.5;
    quern_dataset *none = quern_map(quern_read_text(context, NULL, 0, NULL), schema, to_number, NULL);
    quern_write_text(quern_quantiles(none, &half, 1), kit_path("out.no_quantiles"));
    kit_run(context);
    kit_text expected = {0};
    kit_check_output(kit_path("out.no_quantiles"), &expected, true);
    quern_context_destroy(context);
}

static void bounds_that_do_not_ascend_are_refused(void)
{
    quern_context *context = context_with(3000);
    const double bad[][2] = {{1, 1}, {2, 1}, {NAN, 1}, {1, NAN}};
    quern_dataset *text = quern_read_text(context, lines_path, 1, NULL);
    quern_dataset *numbers = quern_map(text, bytes_u64, to_number, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(context, quern_histogram(numbers, bad[i], 2), "ascend");
    check_refused(context, quern_histogram(numbers, NULL, 2), "bounds");
    check_refused(context, quern_histogram(numbers, bounds, 0), "bounds");
    check_refused(context, quern_histogram(numbers, bounds, 65537), "bounds");
    CHECK(quern_histogram(text, bounds, BOUND_COUNT) == NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_PLAN), "numbers");
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_lines();
    RUN(numbers_of_fixed_records_are_those_of_the_file, 20);
    RUN(structs_of_a_file_are_reduced_as_they_stand_there, 10);
    RUN(floating_point_keys_of_a_file_are_equal_when_their_numbers_are, 10);
    RUN(without_types_the_key_is_the_record_or_its_first_bytes_and_the_value_the_rest, 10);
    RUN(fields_outside_of_the_record_are_refused, 10);
    RUN(a_file_that_is_no_whole_number_of_records_is_named_before_any_work, 10);
    RUN(fixed_records_of_failed_attempts_count_once_and_failures_name_file_and_byte, 15);
    RUN(a_record_without_a_value_keeps_its_old_key_as_the_value, 10);
    RUN(keys_are_structs_that_the_dataset_had_not, 10);
    RUN(numbers_that_were_keys_are_values_of_their_type, 10);
    RUN(keys_and_values_that_do_not_fit_are_refused, 10);
    RUN(histograms_count_each_value_in_its_bin, 10);
    RUN(quantiles_are_exact_and_in_the_order_of_values, 20);
    RUN(quantiles_of_decimal_fractions_are_those_of_the_decimals, 30);
    RUN(quantiles_of_nothing_are_none_and_bad_fractions_are_refused, 20);
    RUN(bounds_that_do_not_ascend_are_refused, 10);
    return kit_finish();
}
