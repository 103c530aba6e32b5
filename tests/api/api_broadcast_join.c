/* SPDX-License-Identifier: BSD-3-Clause */
/* Joins by broadcast, against loops over both sides: every type of join and of key, the order, and when the library takes this way. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

#define KEY_BYTES_MAX   200
#define VALUE_BYTES_MAX 48
#define HOT_COUNT       20000

static const quern_schema text_text = {QUERN_BYTES, QUERN_BYTES, 0, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0, 0};
static const char *const type_names[] = {"", "inner", "left", "right", "full", "semi", "anti"};

/* ---- records of any types, made of their number ---- */

typedef struct side {
    const char *path[1]; /* lines 0 to count - 1 */
    quern_schema schema;
    uint64_t count, seed, key_count;
} side;

typedef struct record {
    uint64_t key_room[KEY_BYTES_MAX / 8 + 2], value_room[VALUE_BYTES_MAX / 8 + 1];
    quern_span key, value;
} record;

/* Keys of bytes: none at all, NUL bytes, prefixes of each other, long ones. */
static size_t make_bytes(uint8_t *to, uint64_t number, size_t most_bytes)
{
    size_t bytes = number % 7 == 0 ? number % 3 : number % 5 == 0 ? most_bytes - number % 9 : 3 + number % 15;
    memset(to, number % 2 ? 0 : 'x', bytes);
    if (bytes > 0)
        to[bytes - 1] = (uint8_t)number;
    return bytes;
}

static size_t make_number(quern_type type, uint8_t *to, uint64_t number)
{
    double real = number % 6 == 0 ? 0.0 : number % 6 == 1 ? -0.0 : ((double)number - 20) / 4;
    float single = (float)real;
    int32_t narrow = (int32_t)number - 20;
    int64_t wide = type == QUERN_U64 ? (int64_t)number : ((int64_t)number - 20) * (INT64_C(1) << 33);
    const void *from = type == QUERN_F64                        ? (const void *)&real
                       : type == QUERN_F32                      ? (const void *)&single
                       : type == QUERN_I32 || type == QUERN_U32 ? (const void *)&narrow
                                                                : (const void *)&wide;
    memcpy(to, from, quern_number_bytes(type));
    return quern_number_bytes(type);
}

static size_t make_field(quern_type type, uint32_t fixed_bytes, uint8_t *to, uint64_t number, size_t most_bytes)
{
    if (type == QUERN_NONE)
        return 0;
    if (type == QUERN_BYTES)
        return make_bytes(to, number, most_bytes);
    if (type != QUERN_FIXED)
        return make_number(type, to, number);
    memset(to, 7, fixed_bytes);
    to[fixed_bytes - 1] = (uint8_t)number;
    return fixed_bytes;
}

static size_t make_key(const quern_schema *schema, uint8_t *to, uint64_t number)
{
    if (!QUERN_IS_PAIR(schema->key))
        return make_field(schema->key, schema->key_bytes, to, number, KEY_BYTES_MAX - 20);
    quern_type first = QUERN_PAIR_FIRST(schema->key), second = QUERN_PAIR_SECOND(schema->key);
    uint8_t one[KEY_BYTES_MAX], other[KEY_BYTES_MAX];
    quern_span left = {one, make_field(first, 0, one, number / 3, 60)};
    quern_span right = {other, make_field(second, 0, other, number % 3, 60)};
    return quern_pair_put(schema->key, left, right, to).bytes;
}

static void make_record(const side *of, uint64_t number, record *made)
{
    uint64_t state = of->seed + number * 77;
    uint64_t key = kit_random(&state) % 3 ? kit_random(&state) % of->key_count : kit_random(&state) % 4;
    size_t value_bytes = make_field(of->schema.value, of->schema.value_bytes, (uint8_t *)made->value_room,
                                    kit_random(&state) % 40, VALUE_BYTES_MAX);
    made->key = quern_bytes(made->key_room, make_key(&of->schema, (uint8_t *)made->key_room, key));
    made->value = quern_bytes(made->value_room, value_bytes);
}

static int emit_record(const quern_record *in, quern_emitter *out, void *user)
{
    record made;
    make_record(user, kit_number(in->key), &made);
    return quern_emit(out, made.key, made.value);
}

static void make_side(side *made, const char *name, quern_schema schema, uint64_t count, uint64_t key_count,
                      uint64_t seed)
{
    kit_text lines = {0};
    kit_put_bytes(&lines, "", 0);
    for (uint64_t i = 0; i < count; i++)
        kit_put(&lines, "%" PRIu64 "\n", i);
    *made = (side){{strdup(kit_path("%s", name))}, schema, count, seed, key_count};
    kit_write_for_all(made->path[0], &lines);
    kit_free(&lines);
}

static quern_dataset *read_side(quern_context *context, side *from)
{
    return quern_flat_map(quern_read_text(context, from->path, 1, NULL), from->schema, emit_record, from);
}

/* ---- what a pair becomes, and what loops make of both sides ---- */

static void put_hex(kit_text *to, const quern_span *span)
{
    kit_put(to, span ? "" : "-");
    for (size_t i = 0; span && i < span->bytes; i++)
        kit_put(to, "%02x", ((const uint8_t *)span->data)[i]);
}

/* A key of -0.0 is one of 0.0. */
static void put_key(kit_text *to, quern_type type, quern_span key)
{
    double real = 0;
    float single = 0;
    if (type == QUERN_F64 && quern_f64(key) == 0)
        key = quern_bytes(&real, sizeof real);
    if (type == QUERN_F32 && quern_f32(key) == 0)
        key = quern_bytes(&single, sizeof single);
    put_hex(to, &key);
}

static int describe(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    static kit_text name, values;
    const quern_type *type = user;
    name.bytes = values.bytes = 0;
    put_key(&name, *type, key);
    put_hex(&values, left);
    kit_put(&values, " ");
    put_hex(&values, right);
    return quern_emit(out, quern_bytes(name.data ? name.data : "", name.bytes), quern_bytes(values.data, values.bytes));
}

static bool same_key(quern_type type, quern_span left, quern_span right)
{
    if (type == QUERN_F64)
        return quern_f64(left) == quern_f64(right);
    if (type == QUERN_F32)
        return quern_f32(left) == quern_f32(right);
    return left.bytes == right.bytes && memcmp(left.data, right.data, left.bytes) == 0;
}

static void put_line(kit_text *to, quern_type type, quern_span key, const quern_span *left, const quern_span *right)
{
    put_key(to, type, key);
    kit_put(to, "\t");
    put_hex(to, left);
    kit_put(to, " ");
    put_hex(to, right);
    kit_put(to, "\n");
}

static quern_type value_type; /* of compare_values() */

static int compare_values(const void *a, const void *b)
{
    const record *left = *(const record *const *)a, *right = *(const record *const *)b;
    if (value_type == QUERN_U64 || value_type == QUERN_I64) {
        int64_t one = quern_i64(left->value), other = quern_i64(right->value);
        return one < other ? -1 : one > other;
    }
    size_t common = left->value.bytes < right->value.bytes ? left->value.bytes : right->value.bytes;
    int result = memcmp(left->value.data, right->value.data, common);
    return result ? result
                  : (int)(left->value.bytes > right->value.bytes) - (int)(left->value.bytes < right->value.bytes);
}

static record *all_of(const side *of, record ***order_out)
{
    record *all = calloc(of->count + 1, sizeof *all);
    record **order = calloc(of->count + 1, sizeof *order);
    CHECK(all && order);
    for (uint64_t i = 0; i < of->count; i++) {
        make_record(of, i, &all[i]);
        order[i] = &all[i];
    }
    *order_out = order;
    return all;
}

/* In the order of the large side, which is streamed; pairs of a record in that of the small values. is_left: the large side is. */
static void model(kit_text *to, const side *streamed, const side *small, quern_join_type type, bool is_left)
{
    record **of_small, **of_large, *smalls = all_of(small, &of_small), *larges = all_of(streamed, &of_large);
    quern_type key = streamed->schema.key;
    bool *has_partner = calloc(small->count + 1, sizeof *has_partner);
    kit_put(to, "%s", "");
    value_type = small->schema.value;
    qsort(of_small, small->count, sizeof *of_small, compare_values);
    for (uint64_t l = 0; l < streamed->count; l++) {
        const record *one = &larges[l];
        bool found = false;
        for (uint64_t s = 0; s < small->count; s++) {
            const record *other = of_small[s];
            if (!same_key(key, one->key, other->key))
                continue;
            if (!found || type <= QUERN_JOIN_FULL)
                if (type != QUERN_JOIN_ANTI)
                    put_line(to, key, one->key, is_left ? &one->value : &other->value,
                             type == QUERN_JOIN_SEMI ? NULL
                             : is_left               ? &other->value
                                                     : &one->value);
            found = has_partner[s] = true;
        }
        bool keeps = type == QUERN_JOIN_ANTI || type == QUERN_JOIN_FULL ||
                     type == (is_left ? QUERN_JOIN_LEFT : QUERN_JOIN_RIGHT);
        if (!found && keeps)
            put_line(to, key, one->key, is_left ? &one->value : NULL, is_left ? NULL : &one->value);
    }
    for (uint64_t s = 0; s < small->count; s++)
        if (!has_partner[s] && (type == QUERN_JOIN_FULL || type == (is_left ? QUERN_JOIN_RIGHT : QUERN_JOIN_LEFT)))
            put_line(to, key, of_small[s]->key, is_left ? NULL : &of_small[s]->value,
                     is_left ? &of_small[s]->value : NULL);
    free(has_partner);
    free(of_small);
    free(of_large);
    free(smalls);
    free(larges);
}

/* ---- running ---- */

static quern_context *with(uint64_t memory_bytes, uint64_t broadcast_bytes, quern_switch shared_memory)
{
    quern_options options;
    quern_options_init(&options);
    options.memory_bytes = memory_bytes;
    options.broadcast_bytes = broadcast_bytes;
    options.shared_memory = shared_memory;
    options.split_bytes = 700;
    options.attempt_count_max = 4;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_dataset *join(quern_context *context, side *left, side *right, quern_join_type type,
                           quern_join_strategy strategy)
{
    quern_join_options options = {sizeof options, strategy};
    return quern_join_with(read_side(context, left), read_side(context, right), type, text_text, describe,
                           &left->schema.key, &options);
}

static bool says(quern_context *context, const char *part)
{
    char *text = NULL;
    CHECK(quern_explain(context, QUERN_EXPLAIN_TEXT, &text) == QUERN_OK);
    bool found = strstr(text, part) != NULL;
    free(text);
    return found;
}

static bool is_allowed(quern_join_type type, quern_join_strategy strategy)
{
    if (strategy == QUERN_JOIN_BROADCAST_LEFT)
        return type == QUERN_JOIN_INNER || type == QUERN_JOIN_RIGHT;
    return type != QUERN_JOIN_RIGHT && type != QUERN_JOIN_FULL;
}

/* Every type of join that can be one by broadcast, in one run. */
static void check_types(quern_context *context, side *left, side *right, const char *name)
{
    for (int strategy = QUERN_JOIN_BROADCAST_LEFT; strategy <= QUERN_JOIN_BROADCAST_RIGHT; strategy++)
        for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++)
            if (is_allowed((quern_join_type)type, (quern_join_strategy)strategy))
                quern_write_text(join(context, left, right, (quern_join_type)type, (quern_join_strategy)strategy),
                                 kit_path("out.%s.%s.%d", name, type_names[type], strategy));
    kit_run(context);
    CHECK(says(context, "broadcast join"));
    CHECK(!says(context, "shuffle:"));
    for (int strategy = QUERN_JOIN_BROADCAST_LEFT; strategy <= QUERN_JOIN_BROADCAST_RIGHT; strategy++)
        for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++) {
            kit_text expected = {0};
            bool is_left = strategy == QUERN_JOIN_BROADCAST_RIGHT;
            if (!is_allowed((quern_join_type)type, (quern_join_strategy)strategy))
                continue;
            model(&expected, is_left ? left : right, is_left ? right : left, (quern_join_type)type, is_left);
            kit_check_output(kit_path("out.%s.%s.%d", name, type_names[type], strategy), &expected, true);
            kit_free(&expected);
        }
}

static void check_keys(quern_schema left_schema, quern_schema right_schema, const char *name)
{
    static side left, right;
    quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_AUTO);
    make_side(&left, "left", left_schema, 250, 70, 1);
    make_side(&right, "right", right_schema, 90, 50, 2);
    check_types(context, &left, &right, name);
    quern_context_destroy(context);
}

static void keys_of_bytes_of_any_length(void)
{
    check_keys((quern_schema){QUERN_BYTES, QUERN_U64, 0, 0}, (quern_schema){QUERN_BYTES, QUERN_BYTES, 0, 0}, "bytes");
    check_keys((quern_schema){QUERN_BYTES, QUERN_NONE, 0, 0}, (quern_schema){QUERN_BYTES, QUERN_U64, 0, 0}, "none");
}

static void keys_that_are_numbers(void)
{
    check_keys((quern_schema){QUERN_I64, QUERN_BYTES, 0, 0}, (quern_schema){QUERN_I64, QUERN_I64, 0, 0}, "i64");
    check_keys((quern_schema){QUERN_F64, QUERN_U64, 0, 0}, (quern_schema){QUERN_F64, QUERN_U64, 0, 0}, "f64");
    check_keys((quern_schema){QUERN_I32, QUERN_U64, 0, 0}, (quern_schema){QUERN_I32, QUERN_NONE, 0, 0}, "i32");
    check_keys((quern_schema){QUERN_F32, QUERN_NONE, 0, 0}, (quern_schema){QUERN_F32, QUERN_BYTES, 0, 0}, "f32");
}

static void keys_that_are_structs_and_pairs(void)
{
    check_keys((quern_schema){QUERN_FIXED, QUERN_FIXED, 5, 3}, (quern_schema){QUERN_FIXED, QUERN_FIXED, 12, 3}, "f3");
    check_keys((quern_schema){QUERN_FIXED, QUERN_U64, 0, 24}, (quern_schema){QUERN_FIXED, QUERN_U64, 0, 24}, "f24");
    check_keys((quern_schema){QUERN_PAIR(QUERN_BYTES, QUERN_U32), QUERN_U64, 0, 0},
               (quern_schema){QUERN_PAIR(QUERN_BYTES, QUERN_U32), QUERN_BYTES, 0, 0}, "pair");
    check_keys((quern_schema){QUERN_PAIR(QUERN_I32, QUERN_I32), QUERN_U64, 0, 0},
               (quern_schema){QUERN_PAIR(QUERN_I32, QUERN_I32), QUERN_U64, 0, 0}, "pair32");
    check_keys((quern_schema){QUERN_PAIR(QUERN_BYTES, QUERN_BYTES), QUERN_NONE, 0, 0},
               (quern_schema){QUERN_PAIR(QUERN_BYTES, QUERN_BYTES), QUERN_U64, 0, 0}, "pairs");
}

static void a_side_may_be_empty(void)
{
    static side some, none;
    quern_schema schema = {QUERN_BYTES, QUERN_U64, 0, 0};
    quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_AUTO);
    make_side(&some, "some", schema, 100, 30, 1);
    make_side(&none, "no", schema, 0, 30, 1);
    check_types(context, &some, &none, "no_right");
    check_types(context, &none, &some, "no_left");
    check_types(context, &none, &none, "nothing");
    quern_context_destroy(context);
}

/* ---- the choice ---- */

static side many, few, large;

static void check_choice(quern_context *context, side *left, side *right, quern_join_type type, bool broadcast,
                         const char *name)
{
    kit_text expected = {0};
    quern_write_text(join(context, left, right, type, QUERN_JOIN_AUTO), kit_path("out.%s", name));
    kit_run(context);
    CHECK_SAME(says(context, "broadcast join"), broadcast);
    CHECK_SAME(says(context, "shuffle:"), !broadcast);
    model(&expected, left, right, type, true);
    kit_check_output(kit_path("out.%s", name), &expected, false);
    kit_free(&expected);
}

static void the_smaller_side_is_broadcast_if_it_is_small_and_the_type_allows(void)
{
    quern_context *context = with(UINT64_C(1) << 28, 4800, QUERN_AUTO);
    check_choice(context, &many, &few, QUERN_JOIN_INNER, true, "small_right");
    check_choice(context, &few, &many, QUERN_JOIN_INNER, true, "small_left");
    check_choice(context, &many, &few, QUERN_JOIN_LEFT, true, "left_small_right");
    check_choice(context, &few, &many, QUERN_JOIN_RIGHT, true, "right_small_left");
    check_choice(context, &few, &many, QUERN_JOIN_LEFT, false, "left_small_left");
    check_choice(context, &many, &few, QUERN_JOIN_RIGHT, false, "right_small_right");
    check_choice(context, &many, &few, QUERN_JOIN_FULL, false, "full");
    check_choice(context, &many, &few, QUERN_JOIN_ANTI, true, "anti");
    check_choice(context, &many, &large, QUERN_JOIN_INNER, false, "both_large");
    quern_context_destroy(context);
    context = with(UINT64_C(1) << 28, 1, QUERN_AUTO);
    check_choice(context, &many, &few, QUERN_JOIN_INNER, false, "never");
    quern_context_destroy(context);
}

static int emit_much(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t number = kit_number(in->key), each = *(const uint64_t *)user;
    for (uint64_t i = 0; i < each; i++) {
        uint64_t key = number * each + i;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&key)) != 0)
            return 1;
    }
    return 0;
}

static int count_pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    uint64_t one = 1, zero = 0;
    (void)key, (void)left, (void)right, (void)user;
    return quern_emit(out, quern_of_u64(&zero), quern_of_u64(&one));
}

static quern_dataset *grown(quern_context *context, const side *from, const uint64_t *each)
{
    return quern_flat_map(quern_read_text(context, from->path, 1, NULL), u64_u64, emit_much, (void *)(uintptr_t)each);
}

/* The right side grows on its way, to 150 times as many records. */
static void check_grown(quern_context *context, quern_join_strategy strategy, uint64_t each, bool broadcast,
                        const char *name)
{
    static const uint64_t once = 1;
    static uint64_t grows;
    kit_text expected = {0};
    quern_join_options options = {sizeof options, strategy};
    grows = each;
    quern_dataset *pairs = quern_join_with(grown(context, &many, &once), grown(context, &few, &grows), QUERN_JOIN_INNER,
                                           u64_u64, count_pair, NULL, &options);
    quern_write_text(quern_reduce_by_key(pairs, QUERN_SUM), kit_path("out.%s", name));
    CHECK(says(context, "or a broadcast join"));
    kit_run(context);
    CHECK_SAME(says(context, "broadcast join"), broadcast);
    uint64_t keys = few.count * each;
    kit_put(&expected, "0\t%" PRIu64 "\n", keys < many.count ? keys : many.count);
    kit_check_output(kit_path("out.%s", name), &expected, true);
    kit_free(&expected);
}

static void a_side_that_becomes_large_is_sorted_after_all(void)
{
    quern_context *context = with(UINT64_C(96) << 20, 60000, QUERN_AUTO);
    check_grown(context, QUERN_JOIN_AUTO, 10, true, "grows_a_little");
    check_grown(context, QUERN_JOIN_AUTO, 150, false, "grows");
    check_grown(context, QUERN_JOIN_BROADCAST_RIGHT, 150, true, "grows_by_hand");
    check_grown(context, QUERN_JOIN_BROADCAST_RIGHT, 16000, false, "grows_too_much");
    quern_context_destroy(context);
}

/* ---- copies, failures, hot keys ---- */

static void copies_for_each_rank_give_the_same_bytes(void)
{
    quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_OFF);
    check_types(context, &many, &few, "copies");
    quern_context_destroy(context);
    context = with(UINT64_C(1) << 28, 0, kit_rank() == kit_size() - 1 ? QUERN_OFF : QUERN_AUTO);
    check_types(context, &many, &few, "one_cannot");
    quern_context_destroy(context);
}

static int describe_or_fail(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out,
                            void *user)
{
    static kit_text name;
    int code = describe(key, left, right, out, user);
    name.bytes = 0;
    put_key(&name, QUERN_BYTES, key);
    if (code == 0 && left && quern_u64(*left) % 20 == 7 && kit_random(&(uint64_t){quern_u64(*left)}) % 3 == 0 &&
        kit_first_time("failing.%" PRIu64, quern_u64(*left)))
        return 5;
    return code;
}

static void callbacks_that_fail_pair_once_all_the_same(void)
{
    quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_AUTO);
    kit_text expected = {0};
    quern_join_options options = {sizeof options, QUERN_JOIN_BROADCAST_RIGHT};
    quern_write_text(quern_join_with(read_side(context, &many), read_side(context, &few), QUERN_JOIN_LEFT, text_text,
                                     describe_or_fail, &many.schema.key, &options),
                     kit_path("out.failing"));
    kit_run(context);
    model(&expected, &many, &few, QUERN_JOIN_LEFT, true);
    kit_check_output(kit_path("out.failing"), &expected, true);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* Half of the records of a side have one key, the others keys that are the rarer the larger they are. */
static int emit_hot(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t number = kit_number(in->key), each = *(const uint64_t *)user, state = number;
    for (uint64_t i = 0; i < each; i++) {
        uint64_t chance = kit_random(&state) % 10000 + 1;
        uint64_t key = i % 2 ? 4242 : 10000 / chance, value = number * each + i;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&value)) != 0)
            return 1;
    }
    return 0;
}

static void hot_keys_of_either_side_are_no_problem(void)
{
    static const uint64_t much = HOT_COUNT / 50, little = 2;
    quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_AUTO);
    quern_join_options options = {sizeof options, QUERN_JOIN_BROADCAST_RIGHT};
    quern_dataset *lines = quern_read_text(context, few.path, 1, NULL);
    quern_dataset *much_data = quern_flat_map(lines, u64_u64, emit_hot, (void *)(uintptr_t)&much);
    quern_dataset *little_data = quern_flat_map(lines, u64_u64, emit_hot, (void *)(uintptr_t)&little);
    quern_dataset *hot_left =
        quern_join_with(much_data, little_data, QUERN_JOIN_SEMI, u64_u64, count_pair, NULL, &options);
    quern_dataset *hot_right =
        quern_join_with(little_data, much_data, QUERN_JOIN_INNER, u64_u64, count_pair, NULL, &options);
    quern_write_text(quern_reduce_by_key(hot_left, QUERN_SUM), kit_path("out.hot_left"));
    quern_write_text(quern_reduce_by_key(hot_right, QUERN_SUM), kit_path("out.hot_right"));
    kit_run(context);
    CHECK(says(context, "broadcast join"));
    kit_text left = kit_read_output(kit_path("out.hot_left")), right = kit_read_output(kit_path("out.hot_right"));
    if (kit_rank() == 0) {
        CHECK(kit_number(quern_bytes(left.data + 2, left.bytes - 2)) >= few.count * much / 2);
        CHECK(kit_number(quern_bytes(right.data + 2, right.bytes - 2)) >= few.count * few.count * much / 2);
    }
    kit_free(&left);
    kit_free(&right);
    quern_context_destroy(context);
}

/* ---- together with the rest ---- */

static int to_key(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)left, (void)user;
    return quern_emit(out, key, *right);
}

static quern_dataset *by_hand(quern_dataset *left, quern_dataset *right, quern_join_strategy strategy)
{
    quern_join_options options = {sizeof options, strategy};
    quern_schema schema = {QUERN_BYTES, QUERN_U64, 0, 0};
    return quern_join_with(left, right, QUERN_JOIN_INNER, schema, to_key, NULL, &options);
}

/* The same graph, by broadcast and by sorting; a union on the large side, joins behind joins, a join that is read twice, one as the small side
 * of another, and a sample behind one. */
static void ask_for_all(quern_context *context, quern_join_strategy strategy, const char *name)
{
    quern_dataset *small = quern_cache(read_side(context, &few));
    quern_dataset *united = quern_union(read_side(context, &many), read_side(context, &few));
    quern_dataset *first = by_hand(united, small, strategy);
    quern_dataset *second = by_hand(first, quern_reduce_by_key(small, QUERN_MAX), strategy);
    quern_dataset *third = by_hand(read_side(context, &many), quern_reduce_by_key(second, QUERN_MAX), strategy);
    quern_dataset *fourth = by_hand(small, by_hand(small, small, strategy), strategy);
    quern_write_text(quern_reduce_by_key(first, QUERN_SUM), kit_path("out.first.%s", name));
    quern_write_text(quern_reduce_by_key(quern_union(second, second), QUERN_SUM), kit_path("out.second.%s", name));
    quern_write_text(quern_reduce_by_key(third, QUERN_COUNT), kit_path("out.third.%s", name));
    quern_write_text(quern_sort_by_key(fourth, NULL), kit_path("out.fourth.%s", name));
    kit_run(context);
    CHECK_SAME(says(context, "broadcast join"), strategy != QUERN_JOIN_SORT);
    quern_write_text(quern_sort_by_key(by_hand(small, small, strategy), NULL), kit_path("out.kept.%s", name));
    kit_run(context);
}

static void joins_behind_joins_and_unions_are_what_sorting_makes_of_them(void)
{
    static const char *const outputs[] = {"first", "second", "third", "fourth", "kept"};
    quern_context *context = with(UINT64_C(1) << 29, 0, QUERN_AUTO);
    ask_for_all(context, QUERN_JOIN_BROADCAST_RIGHT, "table");
    ask_for_all(context, QUERN_JOIN_SORT, "sorted");
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        kit_text expected = kit_read_output(kit_path("out.%s.sorted", outputs[i]));
        kit_check_output(kit_path("out.%s.table", outputs[i]), &expected, true);
        kit_free(&expected);
    }
    quern_context_destroy(context);
}

static void a_sample_behind_a_join_is_the_same_for_any_ranks(void)
{
    quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_AUTO);
    quern_dataset *united = quern_union(read_side(context, &many), read_side(context, &many));
    quern_dataset *joined = by_hand(united, read_side(context, &few), QUERN_JOIN_BROADCAST_RIGHT);
    quern_write_text(quern_sample(joined, 0.5, 3), kit_path("out.sampled"));
    kit_run(context);
    kit_text kept = kit_read_output(kit_path("out.sampled"));
    kit_check_output(kit_path("out.sampled"), &kept, true); /* prints its digest */
    kit_free(&kept);
    quern_context_destroy(context);
}

/* ---- arguments ---- */

static void strategies_that_the_type_does_not_allow_are_refused(void)
{
    for (int strategy = QUERN_JOIN_BROADCAST_LEFT; strategy <= QUERN_JOIN_BROADCAST_RIGHT; strategy++)
        for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++) {
            if (is_allowed((quern_join_type)type, (quern_join_strategy)strategy))
                continue;
            quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_AUTO);
            CHECK(!join(context, &many, &few, (quern_join_type)type, (quern_join_strategy)strategy));
            CHECK_STATUS(quern_run(context), QUERN_ERROR_INVALID_PLAN, quern_context_error_text(context));
            CHECK_HAS(quern_context_error_text(context), "QUERN_JOIN_AUTO");
            quern_context_destroy(context);
        }
}

static void wrong_options_are_refused(void)
{
    quern_join_options options = {sizeof options, (quern_join_strategy)9};
    quern_context *context = with(UINT64_C(1) << 28, 0, QUERN_AUTO);
    quern_dataset *lines = read_side(context, &few);
    CHECK(!quern_join_with(lines, lines, QUERN_JOIN_INNER, text_text, describe, NULL, &options));
    CHECK_STATUS(quern_run(context), QUERN_ERROR_INVALID_ARGUMENT, quern_context_error_text(context));
    options = (quern_join_options){0, QUERN_JOIN_AUTO};
    CHECK(!quern_join_with(lines, lines, QUERN_JOIN_INNER, text_text, describe, NULL, &options));
    CHECK_STATUS(quern_run(context), QUERN_ERROR_INVALID_ARGUMENT, quern_context_error_text(context));
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_side(&many, "many", (quern_schema){QUERN_BYTES, QUERN_U64, 0, 0}, 1200, 200, 1);
    make_side(&few, "few", (quern_schema){QUERN_BYTES, QUERN_U64, 0, 0}, 60, 150, 2);
    make_side(&large, "large", (quern_schema){QUERN_BYTES, QUERN_U64, 0, 0}, 1400, 2500, 3);
    RUN(keys_of_bytes_of_any_length, 30);
    RUN(keys_that_are_numbers, 30);
    RUN(keys_that_are_structs_and_pairs, 30);
    RUN(a_side_may_be_empty, 30);
    RUN(the_smaller_side_is_broadcast_if_it_is_small_and_the_type_allows, 40);
    RUN(a_side_that_becomes_large_is_sorted_after_all, 40);
    RUN(copies_for_each_rank_give_the_same_bytes, 30);
    RUN(callbacks_that_fail_pair_once_all_the_same, 20);
    RUN(hot_keys_of_either_side_are_no_problem, 30);
    RUN(joins_behind_joins_and_unions_are_what_sorting_makes_of_them, 40);
    RUN(a_sample_behind_a_join_is_the_same_for_any_ranks, 20);
    RUN(strategies_that_the_type_does_not_allow_are_refused, 20);
    RUN(wrong_options_are_refused, 20);
    return kit_finish();
}
