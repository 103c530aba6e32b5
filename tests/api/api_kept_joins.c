/* SPDX-License-Identifier: BSD-3-Clause */
/* Kept datasets that are joined and cogrouped again and again: sorted once, and every run gives what the first one gave. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

#define NONE       UINT64_C(99999)
#define RUN_COUNT  4
#define HOT_LINES  200
#define HOT_OF     800 /* records of a line */
#define HOT_KEYS   20000
#define SMALL_MIB  12 /* of memory for each rank */
#define PLENTY_MIB 64

static const quern_schema bytes_u64 = {QUERN_BYTES, QUERN_U64, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const char *const type_names[] = {"", "inner", "left", "right", "full", "semi", "anti"};

/* Lines "key value". */
typedef struct side {
    const char *path[1];
    size_t count;
    uint64_t keys[4000], values[4000];
} side;

static side many, few, third, empty;

/* Keys from key_first on, all about as often. */
static void make_side(side *made, const char *name, size_t count, uint64_t key_first, uint64_t key_count, uint64_t seed)
{
    kit_text text = {0};
    uint64_t state = seed;
    kit_put_bytes(&text, "", 0);
    for (size_t i = 0; i < count; i++) {
        made->keys[i] = key_first + kit_random(&state) % key_count;
        made->values[i] = kit_random(&state) % 50;
        kit_put(&text, "%" PRIu64 " %" PRIu64 "\n", made->keys[i], made->values[i]);
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

static quern_context *start(uint64_t memory_mib)
{
    quern_options options;
    quern_options_init(&options);
    options.broadcast_bytes = 1; /* joins by sorting, however small */
    options.split_bytes = 1500;
    options.attempt_count_max = 4;
    options.memory_bytes = memory_mib * (uint64_t)kit_size() << 20;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

static quern_dataset *read_side(quern_context *context, const side *from)
{
    return quern_flat_map(quern_read_text(context, from->path, 1, NULL), bytes_u64, parse, NULL);
}

/* left * 100000 + right, of what is there. user: a name under which to fail now and then, or NULL. */
static int pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    uint64_t value = (left ? quern_u64(*left) : NONE) * 100000 + (right ? quern_u64(*right) : NONE);
    const char *failing = user;
    if (failing && strcmp(failing, "always") == 0)
        return 6;
    if (failing && value % 11 == 3 &&
        kit_first_time("%s.%.*s.%" PRIu64, failing, (int)key.bytes, (const char *)key.data, value))
        return 5;
    return quern_emit(out, key, quern_of_u64(&value));
}

/* How many and what sum on the left, and the same on the right. */
static int weigh(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    quern_values *sides[] = {left, right};
    uint64_t weight = 0;
    quern_span value;
    int more = 0;
    (void)user;
    for (int i = 0; i < 2 && more >= 0; i++)
        for (uint64_t at = 1; (more = quern_values_next(sides[i], &value)) > 0; at++)
            weight += (i == 0 ? 1 : 1000003) * (1000 + at * quern_u64(value));
    return more < 0 ? more : quern_emit(out, key, quern_of_u64(&weight));
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

static kit_text model_join(const side *left, const side *right, quern_join_type type)
{
    kit_text text = {0};
    for (size_t l = 0; l < left->count; l++) {
        bool found = has_key(right, left->keys[l]);
        for (size_t r = 0; r < right->count && found && type <= QUERN_JOIN_FULL; r++)
            if (left->keys[l] == right->keys[r])
                put_pair(&text, left->keys[l], left->values[l], right->values[r]);
        if ((found && type == QUERN_JOIN_SEMI) ||
            (!found && (type == QUERN_JOIN_LEFT || type == QUERN_JOIN_FULL || type == QUERN_JOIN_ANTI)))
            put_pair(&text, left->keys[l], left->values[l], NONE);
    }
    for (size_t r = 0; r < right->count && (type == QUERN_JOIN_RIGHT || type == QUERN_JOIN_FULL); r++)
        if (!has_key(left, right->keys[r]))
            put_pair(&text, right->keys[r], NONE, right->values[r]);
    return text;
}

static bool plan_has(quern_context *context, const char *part)
{
    char *plan = NULL;
    CHECK(quern_explain(context, QUERN_EXPLAIN_TEXT, &plan) == QUERN_OK);
    bool has = strstr(plan, part) != NULL;
    free(plan);
    return has;
}

/* ---- tests ---- */

static void join_all_types(quern_context *context, quern_dataset *kept, const side *partner, const char *name,
                           const char *failing)
{
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++)
        quern_write_text(quern_join(kept, read_side(context, partner), (quern_join_type)type, bytes_u64, pair,
                                    (void *)(uintptr_t)failing),
                         kit_path("out.%s.%s", name, type_names[type]));
    kit_run(context);
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++) {
        kit_text expected = model_join(&many, partner, (quern_join_type)type);
        kit_check_output(kit_path("out.%s.%s", name, type_names[type]), &expected, false);
        kit_free(&expected);
    }
}

static void a_kept_left_side_is_joined_with_partner_after_partner(void)
{
    quern_context *context = start(PLENTY_MIB);
    quern_dataset *kept = quern_cache(read_side(context, &many));
    join_all_types(context, kept, &few, "first", NULL);
    join_all_types(context, kept, &third, "second", NULL);
    join_all_types(context, kept, &empty, "third", NULL);
    join_all_types(context, kept, &few, "fourth", "failing");
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++)
        kit_check_same_output(kit_path("out.first.%s", type_names[type]), kit_path("out.fourth.%s", type_names[type]));
    quern_context_destroy(context);
}

/* On the left, or on the right of what has each key once. */
static void the_plan_says_from_when_on_a_side_is_kept_in_order(void)
{
    for (int right = 0; right < 2; right++) {
        quern_context *context = start(PLENTY_MIB);
        quern_dataset *kept = quern_cache(read_side(context, &many));
        for (int run = 0; run < RUN_COUNT; run++) {
            quern_dataset *sums = quern_reduce_by_key(read_side(context, &few), QUERN_SUM);
            quern_dataset *joined = right ? quern_join(sums, kept, QUERN_JOIN_FULL, bytes_u64, pair, NULL)
                                          : quern_join(kept, sums, QUERN_JOIN_FULL, bytes_u64, pair, NULL);
            quern_write_text(joined, kit_path("out.plan.%d.%d", right, run));
            CHECK_SAME(plan_has(context, right ? "right side kept in order" : "left side kept in order"), run > 0);
            CHECK_SAME(plan_has(context, "\"keep in order\" (bytes, u64), kept for later runs"), run == 1);
            kit_run(context);
            CHECK_SAME(kit_reported("cached_records"), run > 0 ? many.count : 0);
            kit_check_same_output(kit_path("out.plan.%d.0", right), kit_path("out.plan.%d.%d", right, run));
        }
        quern_uncache(kept);
        quern_write_text(quern_join(kept, read_side(context, &few), QUERN_JOIN_INNER, bytes_u64, pair, NULL),
                         kit_path("out.plan.uncached.%d", right));
        CHECK(!plan_has(context, "in order"));
        kit_run(context);
        kit_text expected = model_join(&many, &few, QUERN_JOIN_INNER);
        kit_check_output(kit_path("out.plan.uncached.%d", right), &expected, false);
        kit_free(&expected);
        quern_context_destroy(context);
    }
}

/* Many records of a line. */
static int multiply(const quern_record *in, quern_emitter *out, void *user)
{
    int code = 0;
    for (int i = 0; i < 40 && code == 0; i++)
        code = parse(in, out, user);
    return code;
}

/* By then it is known to have more records than the other side. */
static void a_side_that_became_the_larger_one_is_still_joined_as_the_smaller_one(void)
{
    quern_context *context = start(PLENTY_MIB);
    quern_dataset *kept =
        quern_cache(quern_flat_map(quern_read_text(context, few.path, 1, NULL), bytes_u64, multiply, NULL));
    for (int run = 0; run < 3; run++) {
        quern_write_text(quern_join(kept, read_side(context, &many), QUERN_JOIN_FULL, bytes_u64, pair, NULL),
                         kit_path("out.grown.%d", run));
        kit_run(context);
        CHECK_SAME(plan_has(context, "right side outer"), true);
        kit_check_same_output(kit_path("out.grown.0"), kit_path("out.grown.%d", run));
    }
    quern_context_destroy(context);
}

/* What might have hot keys on the left is sorted together with what is kept. */
static void a_kept_right_side_of_just_any_left_one_is_joined_anew(void)
{
    quern_context *context = start(PLENTY_MIB);
    quern_dataset *kept = quern_cache(read_side(context, &few));
    for (int run = 0; run < 3; run++) {
        quern_write_text(quern_join(read_side(context, &many), kept, QUERN_JOIN_FULL, bytes_u64, pair, NULL),
                         kit_path("out.right.%d", run));
        CHECK(!plan_has(context, "side kept in order"));
        kit_run(context);
        kit_check_same_output(kit_path("out.right.0"), kit_path("out.right.%d", run));
    }
    quern_context_destroy(context);
}

static void a_run_that_fails_leaves_what_is_kept_as_it_was(void)
{
    quern_context *context = start(PLENTY_MIB);
    quern_dataset *kept = quern_cache(read_side(context, &many));
    for (int run = 0; run < 6; run++) { /* the second one, which makes the order, fails, and one that finds it there */
        bool fails = run == 1 || run == 3;
        quern_write_text(quern_join(kept, read_side(context, &few), QUERN_JOIN_LEFT, bytes_u64, pair,
                                    fails ? (void *)(uintptr_t) "always" : NULL),
                         kit_path("out.fails.%d", run));
        CHECK_SAME(plan_has(context, "left side kept in order"), run > 0);
        if (fails)
            kit_run_fails(context, QUERN_ERROR_CALLBACK);
        else {
            kit_run(context);
            kit_check_same_output(kit_path("out.fails.0"), kit_path("out.fails.%d", run));
        }
    }
    quern_context_destroy(context);
}

static void both_sides_may_be_kept_and_one_side_may_be_both(void)
{
    quern_context *context = start(PLENTY_MIB);
    quern_dataset *left = quern_cache(read_side(context, &many)), *right = quern_cache(read_side(context, &few));
    for (int run = 0; run < RUN_COUNT; run++) {
        quern_dataset *weighed = quern_cogroup(left, right, bytes_u64, weigh, NULL);
        quern_write_text(quern_union(weighed, quern_cogroup(right, left, bytes_u64, weigh, NULL)),
                         kit_path("out.both.%d", run));
        quern_write_text(quern_cogroup(left, left, bytes_u64, weigh, NULL), kit_path("out.same.%d", run));
        kit_run(context);
        kit_check_same_output(kit_path("out.same.0"), kit_path("out.same.%d", run));
        kit_text first = {0};
        if (kit_rank() == 0)
            first = kit_read_output(kit_path("out.both.0"));
        kit_check_output(kit_path("out.both.%d", run), &first, false); /* the parts of a union lie between each other */
        kit_free(&first);
    }
    quern_context_destroy(context);
}

/* A side without records, or with too few for the cuts, is not kept in order. */
static void sides_that_are_too_small_to_cut_are_joined_all_the_same(void)
{
    const side *kept_sides[] = {&empty, &third};
    for (int which = 0; which < 2; which++) {
        quern_context *context = start(PLENTY_MIB);
        quern_dataset *kept = quern_cache(read_side(context, kept_sides[which]));
        for (int run = 0; run < RUN_COUNT; run++) {
            quern_write_text(quern_cogroup(kept, read_side(context, &many), bytes_u64, weigh, NULL),
                             kit_path("out.small.%d.%d", which, run));
            kit_run(context);
            kit_check_same_output(kit_path("out.small.%d.0", which), kit_path("out.small.%d.%d", which, run));
        }
        quern_context_destroy(context);
    }
}

/* ---- much ---- */

/* Half of the records have one key. */
static int emit_hot(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key), state = line;
    (void)user;
    for (uint64_t i = 0; i < HOT_OF; i++) {
        uint64_t key = i % 2 ? 4242 : kit_random(&state) % HOT_KEYS;
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&line)) != 0)
            return 1;
    }
    return 0;
}

static int emit_each(const quern_record *in, quern_emitter *out, void *user)
{
    uint64_t line = kit_number(in->key);
    (void)user;
    for (uint64_t key = line; key < HOT_KEYS; key += HOT_LINES)
        if (quern_emit(out, quern_of_u64(&key), quern_of_u64(&line)) != 0)
            return 1;
    return 0;
}

/* test_api.py adds up the report: the side with half of its records under one key is kept in order, in memory and on disk. */
static void a_kept_side_with_a_hot_key_is_cogrouped_in_little_memory(void)
{
    static const char *paths[1];
    kit_text lines = {0};
    for (int i = 0; i < HOT_LINES; i++)
        kit_put(&lines, "%d\n", i);
    paths[0] = strdup(kit_path("numbers"));
    kit_write_for_all(paths[0], &lines);
    kit_free(&lines);
    for (int small = 0; small < 2; small++) {
        quern_context *context = start(small ? SMALL_MIB : PLENTY_MIB);
        quern_dataset *read = quern_read_text(context, paths, 1, NULL);
        quern_dataset *kept = quern_cache(quern_flat_map(read, u64_u64, emit_hot, NULL));
        for (int run = 0; run < RUN_COUNT; run++) {
            quern_dataset *each = quern_flat_map(read, u64_u64, emit_each, NULL);
            quern_write_text(quern_cogroup(kept, each, u64_u64, weigh, NULL), kit_path("out.hot.%d.%d", small, run));
            kit_run(context);
            kit_check_same_output(kit_path("out.hot.0.0"), kit_path("out.hot.%d.%d", small, run));
        }
        quern_context_destroy(context);
    }
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_side(&many, "many", 2500, 0, 400, 1);
    make_side(&few, "few", 130, 300, 300, 2);
    make_side(&third, "third", 3, 310, 280, 3);
    make_side(&empty, "empty", 0, 0, 1, 4);
    RUN(a_kept_left_side_is_joined_with_partner_after_partner, 60);
    RUN(the_plan_says_from_when_on_a_side_is_kept_in_order, 60);
    RUN(a_side_that_became_the_larger_one_is_still_joined_as_the_smaller_one, 40);
    RUN(a_kept_right_side_of_just_any_left_one_is_joined_anew, 40);
    RUN(a_run_that_fails_leaves_what_is_kept_as_it_was, 40);
    RUN(both_sides_may_be_kept_and_one_side_may_be_both, 40);
    RUN(sides_that_are_too_small_to_cut_are_joined_all_the_same, 40);
    RUN(a_kept_side_with_a_hot_key_is_cogrouped_in_little_memory, 60);
    return kit_finish();
}
