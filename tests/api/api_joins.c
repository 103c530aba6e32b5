/* SPDX-License-Identifier: BSD-3-Clause */
/* Joins of all types by sorting, against loops over both sides. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

#define NONE      UINT64_C(99999)
#define HOT_COUNT 160000

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const char *const type_names[] = {"", "inner", "left", "right", "full", "semi", "anti"};

/* Lines "key value". */
typedef struct side {
    const char *path[1];
    size_t count;
    uint64_t keys[4000], values[4000];
} side;

static side many, few, empty, third;

static void make_side(side *made, const char *name, size_t count, uint64_t key_first, uint64_t key_count, uint64_t seed)
{
    kit_text text = {0};
    uint64_t state = seed;
    kit_put_bytes(&text, "", 0);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = key_first + (kit_random(&state) % 3 ? kit_random(&state) % key_count : kit_random(&state) % 4);
        made->keys[i] = key;
        made->values[i] = kit_random(&state) % 50;
        kit_put(&text, "%" PRIu64 " %" PRIu64 "\n", key, made->values[i]);
    }
    made->count = count;
    made->path[0] = strdup(kit_path("%s", name));
    kit_write_for_all(made->path[0], &text);
    kit_free(&text);
}

static int parse(const quern_record *in, quern_emitter *out, void *user)
{
    const char *line = in->key.data, *space = memchr(line, ' ', in->key.bytes);
    uint64_t value = strtoull(space + 1, NULL, 10);
    (void)user;
    return quern_emit(out, quern_bytes(line, (size_t)(space - line)), quern_of_u64(&value));
}

static quern_context *small_splits(uint64_t split_bytes, uint64_t memory_bytes)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = split_bytes;
    options.attempt_count_max = 4;
    options.memory_bytes = memory_bytes;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_dataset *read_side(quern_context *context, const side *from)
{
    return quern_flat_map(quern_read_text(context, from->path, 1, NULL), bytes_u64, parse, NULL);
}

static quern_join_outer outer; /* of joins that are made from now on */

static quern_dataset *sorted_join(quern_dataset *left, quern_dataset *right, quern_join_type type, quern_schema schema,
                                  quern_join_fn fn, void *user)
{
    quern_join_options options = {sizeof options, QUERN_JOIN_SORT, outer};
    return quern_join_with(left, right, type, schema, fn, user, &options);
}

/* left * 100000 + right, of what is there. */
static int pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    uint64_t value = (left ? quern_u64(*left) : NONE) * 100000 + (right ? quern_u64(*right) : NONE);
    const char *failing = user;
    if (failing && value % 11 == 3 &&
        kit_first_time("%s.%.*s.%" PRIu64, failing, (int)key.bytes, (const char *)key.data, value))
        return 5;
    return quern_emit(out, key, quern_of_u64(&value));
}

static bool has_key(const side *in, uint64_t key)
{
    for (size_t i = 0; i < in->count; i++)
        if (in->keys[i] == key)
            return true;
    return false;
}

static void put_pair(kit_text *to, uint64_t key, uint64_t left, uint64_t right)
{
    kit_put(to, "%" PRIu64 "\t%" PRIu64 "\n", key, left * 100000 + right);
}

static void model_join(kit_text *to, const side *left, const side *right, int type)
{
    for (size_t l = 0; l < left->count; l++) {
        bool found = has_key(right, left->keys[l]);
        for (size_t r = 0; r < right->count && found && type <= QUERN_JOIN_FULL; r++)
            if (left->keys[l] == right->keys[r])
                put_pair(to, left->keys[l], left->values[l], right->values[r]);
        if ((found && type == QUERN_JOIN_SEMI) ||
            (!found && (type == QUERN_JOIN_LEFT || type == QUERN_JOIN_FULL || type == QUERN_JOIN_ANTI)))
            put_pair(to, left->keys[l], left->values[l], NONE);
    }
    for (size_t r = 0; r < right->count && (type == QUERN_JOIN_RIGHT || type == QUERN_JOIN_FULL); r++)
        if (!has_key(left, right->keys[r]))
            put_pair(to, right->keys[r], NONE, right->values[r]);
}

static void check_all_types(quern_context *context, const side *left, const side *right, const char *name,
                            const char *failing)
{
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++)
        quern_write_text(sorted_join(read_side(context, left), read_side(context, right), (quern_join_type)type,
                                     bytes_u64, pair, (void *)(uintptr_t)failing),
                         kit_path("out.%s.%s", name, type_names[type]));
    kit_run(context);
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++) {
        kit_text expected = {0};
        model_join(&expected, left, right, type);
        kit_check_output(kit_path("out.%s.%s", name, type_names[type]), &expected, false);
        kit_free(&expected);
    }
}

static void all_types_pair_as_the_loops_do(void)
{
    quern_context *context = small_splits(1500, 0);
    check_all_types(context, &many, &few, "many_few", NULL);
    check_all_types(context, &few, &many, "few_many", NULL);
    quern_context_destroy(context);
}

/* Of a key; the pairs of one outer record, of which there may be two that are equal, ascend by the inner value. */
static void check_outer_values_ascend(const char *directory, bool is_left)
{
    kit_text lines = kit_rank() == 0 ? kit_read_output(directory) : (kit_text){0};
    uint64_t last_key = UINT64_MAX, last = 0, count = 0;
    for (char *at = lines.data, *end = at + lines.bytes; at < end; at++, count++) {
        uint64_t key = strtoull(at, &at, 10), pair = strtoull(at, &at, 10);
        uint64_t value = is_left ? pair / 100000 : pair % 100000;
        CHECK(*at == '\n' && (key != last_key || value >= last));
        last_key = key;
        last = value;
    }
    CHECK(kit_rank() != 0 || count > 0);
    kit_free(&lines);
}

/* The larger side is the outer one, if the program does not say which: the same bytes. Semi and anti joins only have left values. */
static void pairs_come_in_the_order_of_the_outer_side_which_is_the_larger_one(void)
{
    static const char *const names[] = {"auto", "left", "right"};
    const side *lefts[] = {&many, &few}, *rights[] = {&few, &many};
    for (int larger = QUERN_JOIN_OUTER_LEFT; larger <= QUERN_JOIN_OUTER_RIGHT; larger++) {
        quern_context *context = small_splits(1500, 0);
        const side *left = lefts[larger - 1], *right = rights[larger - 1];
        for (int chosen = QUERN_JOIN_OUTER_AUTO; chosen <= QUERN_JOIN_OUTER_RIGHT; chosen++) {
            outer = (quern_join_outer)chosen;
            char name[20];
            snprintf(name, sizeof name, "%s.of.%s", names[chosen], names[larger]);
            check_all_types(context, left, right, name, NULL);
        }
        for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++) {
            for (int chosen = QUERN_JOIN_OUTER_LEFT; chosen <= QUERN_JOIN_OUTER_RIGHT; chosen++)
                check_outer_values_ascend(kit_path("out.%s.of.%s.%s", names[chosen], names[larger], type_names[type]),
                                          chosen == QUERN_JOIN_OUTER_LEFT || type >= QUERN_JOIN_SEMI);
            const char *expected = type >= QUERN_JOIN_SEMI ? names[3 - larger] : names[larger];
            kit_check_same_output(kit_path("out.auto.of.%s.%s", names[larger], type_names[type]),
                                  kit_path("out.%s.of.%s.%s", expected, names[larger], type_names[type]));
        }
        quern_context_destroy(context);
    }
    outer = QUERN_JOIN_OUTER_AUTO;
}

static void a_side_may_be_empty(void)
{
    quern_context *context = small_splits(1500, 0);
    check_all_types(context, &few, &empty, "no_right", NULL);
    check_all_types(context, &empty, &few, "no_left", NULL);
    check_all_types(context, &empty, &empty, "none", NULL);
    quern_context_destroy(context);
}

static void callbacks_that_fail_pair_once_all_the_same(void)
{
    quern_context *context = small_splits(1500, 0);
    check_all_types(context, &many, &few, "failing", "failing");
    check_all_types(context, &few, &many, "failing_too", "failing_too");
    quern_context_destroy(context);
}

/* A few records, all equal, of which some of the ranks that share the key get none. */
static void a_rank_without_a_part_of_a_divided_key_does_not_take_it_for_a_missing_one(void)
{
    static side same;
    quern_context *context = small_splits(4, 0);
    kit_text text = {0};
    for (same.count = 0; same.count < 12; same.count++) {
        same.keys[same.count] = 5;
        same.values[same.count] = 1;
        kit_put(&text, "5 1\n");
    }
    same.path[0] = strdup(kit_path("same"));
    kit_write_for_all(same.path[0], &text);
    check_all_types(context, &same, &same, "same", NULL);
    outer = QUERN_JOIN_OUTER_RIGHT;
    check_all_types(context, &same, &same, "same_from_the_right", NULL);
    outer = QUERN_JOIN_OUTER_AUTO;
    kit_free(&text);
    quern_context_destroy(context);
}

static void a_dataset_is_joined_with_itself(void)
{
    quern_context *context = small_splits(1500, 0);
    kit_text expected = {0};
    quern_dataset *records = read_side(context, &few);
    quern_write_text(sorted_join(records, records, QUERN_JOIN_FULL, bytes_u64, pair, NULL), kit_path("out.itself"));
    kit_run(context);
    model_join(&expected, &few, &few, QUERN_JOIN_FULL);
    kit_check_output(kit_path("out.itself"), &expected, false);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* Of each key one record with the sum. */
static void sum_side(const side *of, side *sums)
{
    sums->count = 0;
    for (size_t i = 0; i < of->count; i++) {
        size_t at = 0;
        while (at < sums->count && sums->keys[at] != of->keys[i])
            at++;
        if (at == sums->count)
            sums->values[sums->count++] = 0;
        sums->keys[at] = of->keys[i];
        sums->values[at] += of->values[i];
    }
}

static void reductions_are_joined_and_read_twice(void)
{
    quern_context *context = small_splits(1500, 0);
    static side left, right;
    sum_side(&many, &left);
    sum_side(&few, &right);
    quern_dataset *sums = quern_reduce_by_key(read_side(context, &many), QUERN_SUM);
    quern_dataset *others = quern_reduce_by_key(read_side(context, &few), QUERN_SUM);
    quern_write_text(sorted_join(sums, others, QUERN_JOIN_FULL, bytes_u64, pair, NULL), kit_path("out.sums"));
    quern_write_text(sorted_join(sums, sums, QUERN_JOIN_INNER, bytes_u64, pair, NULL), kit_path("out.same_sums"));
    kit_run(context);
    kit_text expected = {0}, same = {0};
    model_join(&expected, &left, &right, QUERN_JOIN_FULL);
    model_join(&same, &left, &left, QUERN_JOIN_INNER);
    kit_check_output(kit_path("out.sums"), &expected, false);
    kit_check_output(kit_path("out.same_sums"), &same, false);
    kit_free(&expected);
    kit_free(&same);
    quern_context_destroy(context);
}

static int to_remainder(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t value;
    (void)user;
    value = quern_u64(in->value) % 40;
    *out = (quern_record){in->key, quern_of_u64(&value)};
    return 0;
}

static void joins_are_joined_and_united(void)
{
    quern_context *context = small_splits(1500, 0);
    static side middle;
    kit_text expected = {0};
    quern_dataset *first =
        sorted_join(read_side(context, &few), read_side(context, &third), QUERN_JOIN_INNER, bytes_u64, pair, NULL);
    first = quern_map(quern_union(first, read_side(context, &third)), bytes_u64, to_remainder, NULL);
    quern_write_text(sorted_join(first, read_side(context, &few), QUERN_JOIN_LEFT, bytes_u64, pair, NULL),
                     kit_path("out.chain"));
    kit_run(context);
    middle.count = 0;
    for (size_t l = 0; l < few.count; l++)
        for (size_t r = 0; r < third.count; r++)
            if (few.keys[l] == third.keys[r]) {
                CHECK(middle.count < 3500);
                middle.keys[middle.count] = few.keys[l];
                middle.values[middle.count++] = (few.values[l] * 100000 + third.values[r]) % 40;
            }
    for (size_t r = 0; r < third.count; r++) {
        middle.keys[middle.count] = third.keys[r];
        middle.values[middle.count++] = third.values[r] % 40;
    }
    model_join(&expected, &middle, &few, QUERN_JOIN_LEFT);
    kit_check_output(kit_path("out.chain"), &expected, false);
    kit_free(&expected);
    quern_context_destroy(context);
}

/* ---- much ---- */

/* Half of the left records have one key. */
static int emit_hot(const quern_record *in, quern_emitter *out, void *user)
{
    const char *line = in->key.data;
    uint64_t number = strtoull(line, NULL, 10) * 7 + strtoull(strchr(line, ' '), NULL, 10), state = number;
    (void)user;
    for (uint64_t i = 0; i < HOT_COUNT / 200; i++) {
        uint64_t key = i % 2 ? 4242 : kit_random(&state) % 20000, value = i;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&value)) != 0)
            return 1;
    }
    return 0;
}

/* Keys 0 to 19999, once each, of 200 lines. */
static int emit_all(const quern_record *in, quern_emitter *out, void *user)
{
    static const uint64_t each = 20000 / 200;
    quern_counter_add(user, 1);
    uint64_t number = quern_u64(in->value);
    for (uint64_t key = number * each; key < (number + 1) * each; key++)
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&key)) != 0)
            return 1;
    return 0;
}

static int count_pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    uint64_t one = 1, zero = 0;
    (void)user;
    CHECK(left && right && quern_u64(key) == quern_u64(*right));
    return quern_emit(out, quern_of_u64(&zero), quern_of_u64(&one));
}

static int number_line(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t number = kit_number(in->key);
    (void)user;
    return quern_emit(out, in->key, quern_of_u64(&number));
}

/* test_api.py looks at the report of this case. */
static void load_of_a_join_with_a_hot_key(void)
{
    quern_context *context = small_splits(60, ((uint64_t)24 << 20) * (uint64_t)kit_size());
    static const char *paths[1];
    kit_text numbers = {0}, expected = {0};
    for (int i = 0; i < 200; i++)
        kit_put(&numbers, "%d 0\n", i);
    paths[0] = kit_path("numbers");
    kit_write_for_all(paths[0], &numbers);
    quern_dataset *lines = quern_read_text(context, paths, 1, NULL);
    quern_dataset *left = quern_flat_map(lines, u64_u64, emit_hot, NULL);
    quern_dataset *right = quern_flat_map(quern_flat_map(lines, bytes_u64, number_line, NULL), u64_u64, emit_all, NULL);
    quern_dataset *counted = sorted_join(left, right, QUERN_JOIN_INNER, u64_u64, count_pair, NULL);
    quern_write_text(quern_reduce_by_key(counted, QUERN_SUM), kit_path("out.hot"));
    kit_run(context);
    kit_put(&expected, "0\t%d\n", HOT_COUNT);
    kit_check_output(kit_path("out.hot"), &expected, false);
    kit_free(&numbers);
    kit_free(&expected);
    quern_context_destroy(context);
}

static void wrong_arguments_are_refused(void)
{
    quern_context *context = small_splits(1500, 0);
    quern_dataset *lines = read_side(context, &few);
    quern_dataset *numbers = quern_flat_map(lines, u64_u64, emit_all, NULL);
    CHECK(quern_join(lines, numbers, QUERN_JOIN_INNER, bytes_u64, pair, NULL) == NULL);
    CHECK_STATUS(quern_run(context), QUERN_ERROR_INVALID_PLAN, quern_context_error_text(context));
    quern_context_destroy(context);
    context = small_splits(1500, 0);
    lines = read_side(context, &few);
    CHECK(quern_join(lines, lines, (quern_join_type)7, bytes_u64, pair, NULL) == NULL);
    CHECK(quern_join(lines, lines, (quern_join_type)0, bytes_u64, pair, NULL) == NULL);
    CHECK(quern_join(lines, NULL, QUERN_JOIN_INNER, bytes_u64, pair, NULL) == NULL);
    CHECK(quern_join(lines, lines, QUERN_JOIN_INNER, bytes_u64, NULL, NULL) == NULL);
    quern_context_destroy(context);
    context = small_splits(1500, 0);
    lines = read_side(context, &few);
    outer = (quern_join_outer)3;
    CHECK(sorted_join(lines, lines, QUERN_JOIN_INNER, bytes_u64, pair, NULL) == NULL);
    CHECK_STATUS(quern_run(context), QUERN_ERROR_INVALID_ARGUMENT, quern_context_error_text(context));
    CHECK_HAS(quern_context_error_text(context), "quern_join_outer");
    outer = QUERN_JOIN_OUTER_AUTO;
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_side(&many, "many", 2500, 0, 400, 1);
    make_side(&few, "few", 130, 300, 300, 2);
    make_side(&third, "third", 60, 310, 280, 3);
    make_side(&empty, "empty", 0, 0, 1, 4);
    RUN(all_types_pair_as_the_loops_do, 25);
    RUN(pairs_come_in_the_order_of_the_outer_side_which_is_the_larger_one, 40);
    RUN(a_side_may_be_empty, 25);
    RUN(callbacks_that_fail_pair_once_all_the_same, 25);
    RUN(a_rank_without_a_part_of_a_divided_key_does_not_take_it_for_a_missing_one, 20);
    RUN(a_dataset_is_joined_with_itself, 15);
    RUN(reductions_are_joined_and_read_twice, 15);
    RUN(joins_are_joined_and_united, 15);
    RUN(load_of_a_join_with_a_hot_key, 25);
    RUN(wrong_arguments_are_refused, 10);
    return kit_finish();
}
