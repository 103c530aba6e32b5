/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys of every type and pairs of them, and reductions of numbers of every type, against plain loops. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "api_kit.h"

#define LINE_COUNT    300
#define EACH_COUNT    80 /* records of a line */
#define KEY_COUNT     700
#define ROOM_BYTES    512
#define UNITS_PER_ONE 1048576 /* values are multiples of 2^-20 */

static const char *input[1];

static void make_input(void)
{
    kit_text lines = {0};
    for (int i = 0; i < LINE_COUNT; i++)
        kit_put(&lines, "%d\n", i);
    input[0] = strdup(kit_path("in"));
    kit_write_for_all(input[0], &lines);
    kit_free(&lines);
}

static quern_dataset *lines_of(quern_context *context)
{
    return quern_read_text(context, input, 1, NULL);
}

/* ---- keys of a type by number, in any of the forms that are equal ---- */

static size_t make_f64(uint64_t number, uint64_t form, void *room)
{
    const uint64_t nan_of_some_kind = UINT64_C(0x7ff0000000000001) + form % 5 + (form << 63);
    double value = (double)number * 0.37 - 100;
    if (number == 0)
        value = form % 2 ? -0.0 : 0.0;
    if (number == 2 || number == 3)
        value = number == 2 ? INFINITY : -INFINITY;
    memcpy(room, number == 1 ? (const void *)&nan_of_some_kind : (const void *)&value, 8);
    return 8;
}

static size_t make_f32(uint64_t number, uint64_t form, void *room)
{
    const uint32_t nan_of_some_kind = UINT32_C(0x7f800001) + (uint32_t)form % 5 + ((uint32_t)form << 31);
    float value = (float)number / 3;
    if (number == 0)
        value = form % 2 ? -0.0F : 0.0F;
    memcpy(room, number == 1 ? (const void *)&nan_of_some_kind : (const void *)&value, 4);
    return 4;
}

static size_t make_integer(quern_type type, uint64_t number, void *room)
{
    int64_t wide = (int64_t)number * (number % 2 ? -1 : 1) * INT64_C(10000000000000007);
    int32_t narrow = (int32_t)number * (number % 2 ? -1 : 1) * 1000003;
    size_t bytes = type == QUERN_I64 || type == QUERN_U64 ? 8 : 4;
    memcpy(room, bytes == 8 ? (const void *)&wide : (const void *)&narrow, bytes);
    return bytes;
}

/* Words of 0 to some 40 bytes, or structs of any bytes but tabs and newlines. */
static size_t make_bytes(uint64_t number, size_t bytes, void *room)
{
    char *to = room;
    size_t length = (size_t)snprintf(to, ROOM_BYTES, "%" PRIu64, number);
    if (bytes == 0)
        bytes = number == 0 ? 0 : length + (number % 37);
    for (size_t i = length; i < bytes; i++)
        to[i] = number % 3 ? 'x' : i == length ? (char)0xff : 0;
    return bytes;
}

static size_t make_simple(quern_type type, uint32_t fixed_bytes, uint64_t number, uint64_t form, void *room)
{
    if (type == QUERN_F64)
        return make_f64(number, form, room);
    if (type == QUERN_F32)
        return make_f32(number, form, room);
    if (type == QUERN_BYTES || type == QUERN_FIXED)
        return make_bytes(number, fixed_bytes, room);
    return make_integer(type, number, room);
}

static bool is_text(quern_type type)
{
    return type == QUERN_BYTES || type == QUERN_FIXED;
}

/* The bytes of the first or the second of a pair, if it is a struct: of two, the first has a third. */
static uint32_t part_bytes(const quern_schema *schema, int which)
{
    quern_type types[] = {QUERN_PAIR_FIRST(schema->key), QUERN_PAIR_SECOND(schema->key)};
    if (types[which] != QUERN_FIXED)
        return 0;
    if (types[!which] != QUERN_FIXED)
        return schema->key_bytes;
    return which == 0 ? schema->key_bytes / 3 : schema->key_bytes - schema->key_bytes / 3;
}

/* Of pairs, many share the first, others the second. */
static quern_span make_key(const quern_schema *schema, uint64_t number, uint64_t form, uint8_t room[ROOM_BYTES])
{
    uint8_t parts[2][ROOM_BYTES];
    if (!QUERN_IS_PAIR(schema->key))
        return quern_bytes(room, make_simple(schema->key, schema->key_bytes, number, form, room));
    quern_type first = QUERN_PAIR_FIRST(schema->key), second = QUERN_PAIR_SECOND(schema->key);
    quern_span a = quern_bytes(parts[0], make_simple(first, part_bytes(schema, 0), number / 20, form, parts[0]));
    quern_span b = quern_bytes(parts[1], make_simple(second, part_bytes(schema, 1), number % 20, form >> 1, parts[1]));
    quern_span pair = quern_pair_put(schema->key, a, b, room);
    CHECK_SAME(pair.bytes, quern_pair_bytes(schema->key, a, b));
    CHECK_SAME(pair.bytes, a.bytes + b.bytes + (is_text(first) && is_text(second) ? 4 : 0));
    return pair;
}

/* ---- texts of keys, as the output is to have them ---- */

static void put_simple_text(kit_text *to, quern_type type, const void *data, size_t bytes)
{
    quern_span span = {data, bytes};
    double real = type == QUERN_F64 ? quern_f64(span) : type == QUERN_F32 ? (double)quern_f32(span) : 1;
    if (isnan(real))
        kit_put(to, "nan");
    else if (type == QUERN_F64 || type == QUERN_F32)
        kit_put(to, "%.*g", type == QUERN_F64 ? 17 : 9, real == 0 ? 0.0 : real);
    else if (type == QUERN_I64)
        kit_put(to, "%" PRId64, quern_i64(span));
    else if (type == QUERN_U64)
        kit_put(to, "%" PRIu64, quern_u64(span));
    else if (type == QUERN_I32)
        kit_put(to, "%" PRId32, quern_i32(span));
    else if (type == QUERN_U32)
        kit_put(to, "%" PRIu32, quern_u32(span));
    else
        kit_put_bytes(to, data, bytes);
}

static void put_key_text(kit_text *to, const quern_schema *schema, uint64_t number)
{
    uint8_t room[ROOM_BYTES];
    quern_type type = schema->key;
    if (!QUERN_IS_PAIR(type)) {
        put_simple_text(to, type, room, make_simple(type, schema->key_bytes, number, 0, room));
        return;
    }
    put_simple_text(to, QUERN_PAIR_FIRST(type), room,
                    make_simple(QUERN_PAIR_FIRST(type), part_bytes(schema, 0), number / 20, 0, room));
    kit_put(to, "\t");
    put_simple_text(to, QUERN_PAIR_SECOND(type), room,
                    make_simple(QUERN_PAIR_SECOND(type), part_bytes(schema, 1), number % 20, 0, room));
}

/* ---- records ---- */

typedef struct record {
    uint64_t number, form; /* of the key */
    int64_t units;         /* of the value */
} record;

static record record_of(uint64_t line, uint64_t i)
{
    uint64_t state = line * EACH_COUNT + i;
    record made = {kit_random(&state) % KEY_COUNT, kit_random(&state), 0};
    made.units = (int64_t)kit_random(&state) >> (12 + kit_random(&state) % 40);
    return made;
}

static int emit_records(const quern_record *in, quern_emitter *out, void *user)
{
    uint8_t room[ROOM_BYTES + 1];
    const quern_schema *schema = user;
    uint64_t line = kit_number(in->key);
    for (uint64_t i = 0; i < EACH_COUNT; i++) {
        record made = record_of(line, i);
        double value = (double)made.units / UNITS_PER_ONE;
        quern_span key = make_key(schema, made.number, made.form, room);
        if (quern_emit(out, key, quern_of_f64(&value)))
            return 1;
    }
    return 0;
}

/* What a loop makes of all records: by the number of the key. */
typedef struct answer {
    uint64_t count;
    int64_t units; /* what 2^63 units cannot hold does not come */
    double least, largest;
} answer;

static void find_answers(answer answers[KEY_COUNT])
{
    memset(answers, 0, KEY_COUNT * sizeof *answers);
    for (uint64_t line = 0; line < LINE_COUNT; line++)
        for (uint64_t i = 0; i < EACH_COUNT; i++) {
            record made = record_of(line, i);
            answer *into = &answers[made.number];
            double value = (double)made.units / UNITS_PER_ONE;
            into->least = into->count == 0 || value < into->least ? value : into->least;
            into->largest = into->count == 0 || value > into->largest ? value : into->largest;
            into->units += made.units;
            into->count++;
        }
}

static void put_answer(kit_text *to, const quern_schema *schema, quern_reduction reduction, uint64_t number,
                       const answer *from)
{
    put_key_text(to, schema, number);
    double sum = (double)from->units / UNITS_PER_ONE;
    if (reduction == QUERN_COUNT)
        kit_put(to, "\t%" PRIu64 "\n", from->count);
    else if (reduction == QUERN_SUM)
        kit_put(to, "\t%.17g\n", sum);
    else if (reduction == QUERN_MEAN)
        kit_put(to, "\t%.17g\n", sum / (double)from->count);
    else
        kit_put(to, "\t%.17g\n", reduction == QUERN_MIN ? from->least : from->largest);
}

static const quern_reduction reductions[] = {QUERN_SUM, QUERN_MAX, QUERN_COUNT, QUERN_MEAN, QUERN_MIN};
#define REDUCTION_COUNT (sizeof reductions / sizeof *reductions)

static void check_keys(const char *name, quern_schema schema)
{
    quern_context *context = kit_context(NULL);
    answer answers[KEY_COUNT];
    find_answers(answers);
    size_t count = REDUCTION_COUNT;
    schema.value = QUERN_F64;
    if (schema.key != QUERN_BYTES && schema.key != QUERN_F64 && schema.key != QUERN_I32)
        count = 2; /* of the others the same is to be expected */
    quern_dataset *records = quern_flat_map(lines_of(context), schema, emit_records, &schema);
    for (size_t i = 0; i < count; i++)
        quern_write_text(quern_reduce_by_key(records, reductions[i]), kit_path("%s-%d", name, (int)reductions[i]));
    kit_run(context);
    for (size_t i = 0; i < count; i++) {
        kit_text expected = {0};
        for (uint64_t number = 0; number < KEY_COUNT; number++)
            put_answer(&expected, &schema, reductions[i], number, &answers[number]);
        kit_check_output(kit_path("%s-%d", name, (int)reductions[i]), &expected, false);
        kit_free(&expected);
    }
    quern_context_destroy(context);
}

static void keys_of_every_type_are_reduced(void)
{
    check_keys("bytes", (quern_schema){.key = QUERN_BYTES});
    check_keys("i64", (quern_schema){.key = QUERN_I64});
    check_keys("u64", (quern_schema){.key = QUERN_U64});
    check_keys("i32", (quern_schema){.key = QUERN_I32});
    check_keys("u32", (quern_schema){.key = QUERN_U32});
    check_keys("f32", (quern_schema){.key = QUERN_F32});
    check_keys("f64", (quern_schema){.key = QUERN_F64});
    check_keys("fixed4", (quern_schema){.key = QUERN_FIXED, .key_bytes = 4});
    check_keys("fixed11", (quern_schema){.key = QUERN_FIXED, .key_bytes = 11});
    check_keys("fixed256", (quern_schema){.key = QUERN_FIXED, .key_bytes = QUERN_FIXED_BYTES_MAX});
}

/* Structs within have so many bytes. */
static void check_pairs_with(const char *name, quern_type type, uint32_t fixed_bytes)
{
    check_keys(name, (quern_schema){.key = type, .key_bytes = fixed_bytes});
}

static void check_pairs(int i, int j, quern_type type)
{
    char name[16];
    snprintf(name, sizeof name, "pair%d%d", i, j);
    check_pairs_with(name, type, 0);
}

static void pairs_as_keys_are_reduced(void)
{
    check_pairs(0, 0, QUERN_PAIR(QUERN_BYTES, QUERN_BYTES));
    check_pairs(0, 1, QUERN_PAIR(QUERN_BYTES, QUERN_I64));
    check_pairs(4, 0, QUERN_PAIR(QUERN_F32, QUERN_BYTES));
    check_pairs(2, 4, QUERN_PAIR(QUERN_U32, QUERN_F32)); /* 8 bytes, but no word */
    check_pairs(3, 3, QUERN_PAIR(QUERN_F64, QUERN_F64));
    check_pairs(2, 1, QUERN_PAIR(QUERN_U32, QUERN_I64));
}

static void pairs_with_structs_are_reduced(void)
{
    check_pairs_with("struct-number", QUERN_PAIR(QUERN_FIXED, QUERN_I64), 5);
    check_pairs_with("number-struct", QUERN_PAIR(QUERN_F32, QUERN_FIXED), QUERN_FIXED_BYTES_MAX);
    check_pairs_with("struct4-number4", QUERN_PAIR(QUERN_FIXED, QUERN_U32), 4); /* 8 bytes, but no word */
    check_pairs_with("struct-bytes", QUERN_PAIR(QUERN_FIXED, QUERN_BYTES), 11);
    check_pairs_with("bytes-struct", QUERN_PAIR(QUERN_BYTES, QUERN_FIXED), 3);
    check_pairs_with("structs", QUERN_PAIR(QUERN_FIXED, QUERN_FIXED), 12);
}

/* ---- collected keys, and what is made of their parts ---- */

typedef struct seen {
    quern_schema schema;
    answer answers[KEY_COUNT];
    uint64_t count;
} seen;

/* The canonical forms of a key's parts are what was emitted in form 0, but for NaN. */
static int check_pair(const quern_record *got, void *user)
{
    seen *check = user;
    quern_type type = check->schema.key;
    quern_span first = quern_pair_first(type, got->key), second = quern_pair_second(type, got->key);
    CHECK_SAME(first.bytes, 4);
    CHECK_SAME(got->value.bytes, 8);
    float real = quern_f32(first);
    CHECK(!(real == 0 && signbit(real)));
    CHECK(!isnan(real) || quern_u32(first) == 0x7fc00000);
    uint64_t tens = isnan(real) ? 1 : (uint64_t)lround((double)real * 3);
    uint64_t ones = second.bytes == 0 ? 0 : kit_number(second);
    CHECK(tens * 20 + ones < KEY_COUNT);
    CHECK(quern_f64(got->value) == check->answers[tens * 20 + ones].largest);
    check->count++;
    return 0;
}

static void pairs_are_collected_and_taken_apart(void)
{
    static seen check = {.schema = {.key = QUERN_PAIR(QUERN_F32, QUERN_BYTES), .value = QUERN_F64}};
    quern_context *context = kit_context(NULL);
    find_answers(check.answers);
    check.count = 0;
    quern_dataset *records = quern_flat_map(lines_of(context), check.schema, emit_records, &check.schema);
    quern_collect(quern_reduce_by_key(records, QUERN_MAX), QUERN_COLLECT_ALL, check_pair, &check);
    kit_run(context);
    CHECK_SAME(check.count, KEY_COUNT);
    quern_context_destroy(context);
}

/* ---- sums whose order must not matter ---- */

#define MANY_KEYS 400000

static int emit_nasty(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), key_count = *(const uint64_t *)user;
    for (uint64_t i = 0; i < (key_count < MANY_KEYS ? 10 : 20) * EACH_COUNT; i++) {
        uint64_t state = line * 2000 + i, word = kit_random(&state);
        uint32_t key = (uint32_t)(kit_random(&state) % key_count);
        double value;
        if (key % 100 != 7 && (word >> 52 & 0x7ff) == 0x7ff)
            word ^= UINT64_C(1) << 62;
        memcpy(&value, &word, sizeof value);
        if (key % 3 == 0)
            value = (double)(int64_t)word * 0.1;
        if (quern_emit(out, quern_of_u32(&key), quern_of_f64(&value)))
            return 1;
    }
    return 0;
}

static void run_nasty(uint64_t key_count, const quern_options *options, const char *name)
{
    quern_context *context = kit_context(options);
    const quern_schema schema = {QUERN_U32, QUERN_F64, 0, 0};
    quern_dataset *records = quern_flat_map(lines_of(context), schema, emit_nasty, &key_count);
    quern_write_text(quern_reduce_by_key(records, QUERN_SUM), kit_path("%s", name));
    kit_run(context);
    quern_context_destroy(context);
}

/* The digests are compared over all numbers of ranks; here, over sizes of tasks. */
static void sums_of_doubles_have_the_same_bits_however_the_work_is_cut(void)
{
    quern_options options;
    quern_options_init(&options);
    run_nasty(50, NULL, "whole");
    options.split_bytes = 7;
    run_nasty(50, &options, "cut");
    kit_text whole = kit_read_output(kit_path("whole"));
    kit_check_output(kit_path("cut"), &whole, true);
    kit_free(&whole);
}

static void sums_of_doubles_have_the_same_bits_in_memory_and_spilled(void)
{
    quern_options options;
    quern_options_init(&options);
    run_nasty(MANY_KEYS, NULL, "in-memory");
    options.memory_bytes = (uint64_t)11 * (uint64_t)kit_size() << 20;
    run_nasty(MANY_KEYS, &options, "spilled");
    CHECK(kit_size() > 1 || kit_reported("spill_runs") > 0);
    kit_text expected = kit_read_output(kit_path("in-memory"));
    kit_check_output(kit_path("spilled"), &expected, true);
    kit_free(&expected);
}

/* ---- values of every type ---- */

typedef struct top {
    quern_type type;
    uint64_t count;
} top;

static const quern_type numbers[] = {QUERN_I64, QUERN_U64, QUERN_I32, QUERN_U32, QUERN_F32, QUERN_F64};

static int emit_number(const quern_record *in, quern_emitter *out, void *user)
{
    uint8_t key[4], value[8];
    quern_type type = *(const quern_type *)user;
    uint64_t line = kit_number(in->key);
    make_simple(QUERN_I32, 0, line / 2, 0, key);
    size_t bytes = make_simple(type, 0, line, line, value);
    return quern_emit(out, quern_bytes(key, sizeof key), quern_bytes(value, bytes));
}

static double real_of(quern_type type, quern_span span)
{
    switch (type) {
    case QUERN_I64:
        return (double)quern_i64(span);
    case QUERN_U64:
        return (double)quern_u64(span);
    case QUERN_I32:
        return quern_i32(span);
    case QUERN_U32:
        return quern_u32(span);
    case QUERN_F32:
        return (double)quern_f32(span);
    default:
        return quern_f64(span);
    }
}

/* How many lines have a larger value: all that came before. NaN is the largest. */
static int check_top(const quern_record *got, void *user)
{
    top *check = user;
    uint64_t larger = 0;
    double mine = real_of(check->type, got->value);
    CHECK_SAME(got->value.bytes, quern_number_bytes(check->type));
    for (uint64_t line = 0; line < LINE_COUNT; line++) {
        uint8_t value[8];
        double other = real_of(check->type, quern_bytes(value, make_simple(check->type, 0, line, line, value)));
        larger += !isnan(mine) && (isnan(other) || other > mine);
    }
    CHECK_SAME(larger, check->count);
    check->count++;
    return 0;
}

static void the_largest_of_numbers_of_every_type_are_found(void)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        quern_context *context = kit_context(NULL);
        top check = {numbers[i], 0};
        quern_dataset *all =
            quern_flat_map(lines_of(context), (quern_schema){QUERN_I32, numbers[i], 0, 0}, emit_number, &check.type);
        quern_top_k(all, 25, check_top, &check);
        kit_run(context);
        CHECK_SAME(check.count, kit_rank() == 0 ? 25 : 0);
        quern_context_destroy(context);
    }
}

static int keep_larger(void *into, const void *value, void *user)
{
    quern_type type = *(const quern_type *)user;
    size_t bytes = quern_number_bytes(type);
    if (real_of(type, quern_bytes(value, bytes)) > real_of(type, quern_bytes(into, bytes)))
        memcpy(into, value, bytes);
    return 0;
}

/* Two lines share a key: what a callback makes of their values is what the built-in does; neither leaves anything of 4-byte values. */
static void reductions_by_callback_take_numbers_of_every_type(void)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        quern_context *context = kit_context(NULL);
        quern_type type = numbers[i];
        quern_dataset *all =
            quern_flat_map(lines_of(context), (quern_schema){QUERN_I32, type, 0, 0}, emit_number, &type);
        quern_write_text(quern_reduce_by_key(all, QUERN_MAX), kit_path("built-in%zu", i));
        quern_write_text(quern_reduce_by_key_with(all, keep_larger, &type), kit_path("by-callback%zu", i));
        kit_run(context);
        kit_text expected = {0};
        for (uint64_t line = 0; line < LINE_COUNT; line += 2) {
            uint8_t pair[2][8];
            make_simple(type, 0, line, line, pair[0]);
            size_t bytes = make_simple(type, 0, line + 1, line + 1, pair[1]);
            int second = real_of(type, quern_bytes(pair[1], 8)) > real_of(type, quern_bytes(pair[0], 8));
            make_simple(QUERN_I32, 0, line / 2, 0, pair[!second]);
            put_simple_text(&expected, QUERN_I32, pair[!second], 4);
            kit_put(&expected, "\t");
            put_simple_text(&expected, type, pair[second], bytes);
            kit_put(&expected, "\n");
        }
        kit_check_output(kit_path("built-in%zu", i), &expected, false);
        kit_check_output(kit_path("by-callback%zu", i), &expected, false);
        kit_free(&expected);
        quern_context_destroy(context);
    }
}

/* ---- what is refused ---- */

static int emit_seven(const quern_record *in, quern_emitter *out, void *user)
{
    (void)in;
    (void)user;
    return quern_emit(out, quern_bytes("\x09\0\0\0abc", 7), quern_text(""));
}

static void keys_of_the_wrong_length_fail_the_job(void)
{
    static const quern_schema schemas[] = {
        {QUERN_I32, QUERN_NONE, 0, 0},
        {QUERN_FIXED, QUERN_NONE, 0, 8},
        {QUERN_PAIR(QUERN_I32, QUERN_F32), QUERN_NONE, 0, 0},
        {QUERN_PAIR(QUERN_BYTES, QUERN_F64), QUERN_NONE, 0, 0},
        {QUERN_PAIR(QUERN_FIXED, QUERN_I32), QUERN_NONE, 0, 4},
        {QUERN_PAIR(QUERN_BYTES, QUERN_BYTES), QUERN_NONE, 0, 0}, /* whose first would be longer than both */
    };
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        quern_context *context = kit_context(NULL);
        quern_write_text(quern_flat_map(lines_of(context), schemas[i], emit_seven, NULL), kit_path("failed%zu", i));
        CHECK_HAS(kit_run_fails(context, QUERN_ERROR_CALLBACK), "does not fit its schema: key of 7 bytes");
        quern_context_destroy(context);
    }
}

static void check_refused(quern_schema schema, quern_reduction reduction, quern_status expected)
{
    quern_context *context = kit_context(NULL);
    quern_dataset *records = quern_flat_map(lines_of(context), schema, emit_seven, NULL);
    CHECK(!quern_reduce_by_key(records, reduction));
    CHECK_HAS(kit_run_fails(context, expected), records ? "value type" : "schema");
    quern_context_destroy(context);
}

static void types_and_reductions_that_do_not_go_together_are_refused(void)
{
    quern_type pair = QUERN_PAIR(QUERN_I64, QUERN_I64);
    check_refused((quern_schema){QUERN_I64, pair, 0, 0}, QUERN_COUNT, QUERN_ERROR_INVALID_ARGUMENT);
    check_refused((quern_schema){QUERN_PAIR(pair, QUERN_I64), QUERN_I64, 0, 0}, QUERN_COUNT,
                  QUERN_ERROR_INVALID_ARGUMENT);
    check_refused((quern_schema){QUERN_FIXED, QUERN_I64, 0, 0}, QUERN_COUNT, QUERN_ERROR_INVALID_ARGUMENT);
    check_refused((quern_schema){QUERN_FIXED, QUERN_I64, 0, 257}, QUERN_COUNT, QUERN_ERROR_INVALID_ARGUMENT);
    check_refused((quern_schema){QUERN_I64, QUERN_I64, 0, 0}, QUERN_SUM_PLAIN, QUERN_ERROR_INVALID_PLAN);
    check_refused((quern_schema){QUERN_I64, QUERN_BYTES, 0, 0}, QUERN_MEAN, QUERN_ERROR_INVALID_PLAN);
    check_refused((quern_schema){QUERN_I64, QUERN_NONE, 0, 0}, QUERN_MIN, QUERN_ERROR_INVALID_PLAN);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(keys_of_every_type_are_reduced, 60);
    RUN(pairs_as_keys_are_reduced, 60);
    RUN(pairs_with_structs_are_reduced, 60);
    RUN(pairs_are_collected_and_taken_apart, 20);
    RUN(sums_of_doubles_have_the_same_bits_however_the_work_is_cut, 30);
    RUN(sums_of_doubles_have_the_same_bits_in_memory_and_spilled, 30);
    RUN(the_largest_of_numbers_of_every_type_are_found, 20);
    RUN(reductions_by_callback_take_numbers_of_every_type, 20);
    RUN(keys_of_the_wrong_length_fail_the_job, 20);
    RUN(types_and_reductions_that_do_not_go_together_are_refused, 20);
    return kit_finish();
}
