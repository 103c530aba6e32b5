/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_reduction_check.c: reductions that break a law are found, named with law and key; those that keep all are not.
 */
#include "runtime/exec/reduction_check.h"
#include "tests/exec/chain_kit.h"

#define ROW_COUNT 300

static qn_error failure;
static uint32_t origin;

/* Values 1 … of three keys in turn: "0", "1", "2". */
static qn_batch make_batch(kit_rows *rows)
{
    *rows = (kit_rows){0};
    for (uint64_t i = 0; i < ROW_COUNT; i++)
        kit_add_row(rows, &"012"[i % 3], 1, i + 1);
    return kit_make_batch(rows);
}

/* Takes all records; the status. */
static quern_status check_node(const qn_node *reduce)
{
    kit_rows rows;
    qn_batch batch = make_batch(&rows);
    qn_reduction_check *check = qn_reduction_check_create(reduce);
    ck_assert_ptr_nonnull(check);
    qn_error_clear(&failure);
    quern_status status = qn_reduction_check_take(check, &batch, &origin, &failure);
    qn_reduction_check_destroy(check);
    for (size_t i = 0; i < rows.count; i++)
        ck_assert_uint_eq(rows.items[i].value, i + 1);
    kit_free_rows(&rows);
    return status;
}

static qn_node node_of(qn_reducer reducer)
{
    reducer.value_bytes = 8;
    reducer.value_words = 1;
    return (qn_node){.kind = QN_NODE_REDUCE, .name = "sums", .schema = {QUERN_BYTES, QUERN_U64, 0}, .reducer = reducer};
}

static void check_found(qn_reducer reducer, const char *begin, const char *law)
{
    qn_node reduce = node_of(reducer);
    ck_assert_msg(check_node(&reduce) == QUERN_ERROR_CHECK, "not found: %s", law);
    ck_assert_msg(strstr(failure.text, begin) == failure.text, "%s", failure.text);
    ck_assert_msg(strstr(failure.text, law) != NULL, "%s", failure.text);
    char key[40];
    snprintf(key, sizeof key, "; values of key \"%c\" (1 bytes)", "012"[origin % 3]);
    ck_assert_msg(strstr(failure.text, key) != NULL, "%s", failure.text);
}

static void check_right(qn_reducer reducer)
{
    qn_node reduce = node_of(reducer);
    ck_assert_msg(check_node(&reduce) == QUERN_OK, "%s", failure.text);
}

/* ---- by a callback ---- */

#define REDUCE(name, work)                                                                                             \
    static int name(void *into_memory, const void *value_memory, void *user)                                           \
    {                                                                                                                  \
        uint64_t *into = into_memory, *value = (uint64_t *)(uintptr_t)value_memory;                                    \
        (void)user;                                                                                                    \
        work return 0;                                                                                                 \
    }

REDUCE(add, *into += *value;)
REDUCE(take_larger, *into = *into > *value ? *into : *value;)
REDUCE(subtract, *into -= *value;)
REDUCE(keep_first, (void)into; (void)value;)
REDUCE(average, *into = (*into + *value) / 2;)
REDUCE(empty_value, *into += *value; *value = 0;)
REDUCE(count_calls, static uint64_t calls; *into += *value + calls++;)
REDUCE(refuse_small, if (*into < *value) return 1; *into += *value;)
REDUCE(refuse, (void)into; (void)value; return 1;)
/* Right for single values: not for sums. */
REDUCE(halve_large_sums, *into += *value; *into /= *into > 150 ? 2 : 1;)

START_TEST(a_reduction_that_breaks_a_law_is_named_with_law_and_key)
{
    static const char begin[] = "the callback of 'sums' ";
    check_found((qn_reducer){.kind = QN_REDUCER_USER, .fn = subtract}, begin, "is not commutative");
    check_found((qn_reducer){.kind = QN_REDUCER_USER, .fn = keep_first}, begin, "is not commutative");
    check_found((qn_reducer){.kind = QN_REDUCER_USER, .fn = refuse_small}, begin, "is not commutative");
    check_found((qn_reducer){.kind = QN_REDUCER_USER, .fn = average}, begin, "is not associative");
    check_found((qn_reducer){.kind = QN_REDUCER_USER, .fn = empty_value}, begin, "changed the value that it combines");
    check_found((qn_reducer){.kind = QN_REDUCER_USER, .fn = count_calls}, begin, "when it was called again");
    check_found((qn_reducer){.kind = QN_REDUCER_USER, .fn = halve_large_sums}, begin, "is not associative");
    ck_assert_uint_lt(origin, 45); /* three values alone are too small */
}
END_TEST

START_TEST(reductions_that_keep_the_laws_pass_and_so_does_what_fails_in_any_order)
{
    check_right((qn_reducer){.kind = QN_REDUCER_USER, .fn = add});
    check_right((qn_reducer){.kind = QN_REDUCER_USER, .fn = take_larger});
    check_right((qn_reducer){.kind = QN_REDUCER_USER, .fn = refuse});
    check_right((qn_reducer){.kind = QN_REDUCER_SUM_U64});
    check_right((qn_reducer){.kind = QN_REDUCER_COUNT});
}
END_TEST

/* The first byte of a value tells its key; values of other keys are refused. */
static int add_of_one_key(void *into_memory, const void *value_memory, void *user)
{
    uint64_t *into = into_memory;
    const uint64_t *value = value_memory;
    (void)user;
    if (*into % 3 != *value % 3)
        ck_abort_msg("values of two keys met");
    *into += 3 * (*value / 3 + 1);
    return 0;
}

START_TEST(values_of_different_keys_never_meet)
{
    qn_node reduce = node_of((qn_reducer){.kind = QN_REDUCER_USER, .fn = add_of_one_key});
    check_node(&reduce);
    ck_assert(failure.status == QUERN_OK || strstr(failure.text, "commutative"));
}
END_TEST

/* ---- aggregations ---- */

#define ACCUMULATE(name, work)                                                                                         \
    static int name(void *accumulator, quern_span value, void *user)                                                   \
    {                                                                                                                  \
        uint64_t *into = accumulator, number = quern_u64(value);                                                       \
        (void)user;                                                                                                    \
        work return 0;                                                                                                 \
    }

ACCUMULATE(put, *into += number;)
ACCUMULATE(put_last, *into = number;)
ACCUMULATE(put_twice, *into += 2 * number;)
ACCUMULATE(put_and_double, *into = *into + number + (*into > 0);)
ACCUMULATE(put_calls, static uint64_t calls; *into += number + calls++;)
ACCUMULATE(put_and_empty, *into += number; memset((void *)(uintptr_t)value.data, 0, 8);)
/* The sum in the lower half; in the upper one what came last, which finish leaves out. */
ACCUMULATE(put_with_trace, *into = (uint32_t)(*into + number) | number << 32;)
REDUCE(merge_with_trace, *into = (uint32_t)(*into + *value) | (*value >> 32 << 32);)

static int begin_with_one(void *accumulator, void *user)
{
    (void)user;
    *(uint64_t *)accumulator = 1;
    return 0;
}

static int finish_without_trace(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t sum;
    (void)user;
    sum = (uint32_t)quern_u64(in->value);
    out->value = quern_of_u64(&sum);
    return 0;
}

static int finish_as_it_is(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 0;
}

#define AGGREGATION(merge_, accumulate_) .kind = QN_REDUCER_AGGREGATE, .fn = merge_, .accumulate = accumulate_

START_TEST(an_aggregation_that_breaks_a_law_is_named_with_its_callback)
{
    static const char accumulates[] = "the accumulate of 'sums' ", merges[] = "the merge of 'sums' ";
    check_found((qn_reducer){AGGREGATION(halve_large_sums, put)}, merges, "is not associative");
    check_found((qn_reducer){AGGREGATION(subtract, put)}, merges, "is not commutative");
    check_found((qn_reducer){AGGREGATION(empty_value, put)}, merges, "changed the value that it combines");
    check_found((qn_reducer){AGGREGATION(add, put_last)}, accumulates, "in the other order");
    check_found((qn_reducer){AGGREGATION(add, put_and_double)}, accumulates, "does not fit merge");
    check_found((qn_reducer){AGGREGATION(add, put), .init = begin_with_one}, accumulates, "does not fit merge");
    check_found((qn_reducer){AGGREGATION(add, put_calls)}, accumulates, "when it was called again");
    check_found((qn_reducer){AGGREGATION(add, put_and_empty)}, accumulates, "changed the value that it was given");
    check_found((qn_reducer){AGGREGATION(merge_with_trace, put_with_trace)}, merges, "is not commutative");
    check_found((qn_reducer){AGGREGATION(merge_with_trace, put_with_trace), .finish_fn = finish_as_it_is,
                             .finished_type = QUERN_U64},
                merges, "is not commutative");
}
END_TEST

START_TEST(aggregations_that_keep_the_laws_pass_though_only_what_finish_gives_is_equal)
{
    check_right((qn_reducer){AGGREGATION(add, put)});
    check_right((qn_reducer){AGGREGATION(add, put_twice)});
    check_right((qn_reducer){AGGREGATION(take_larger, put), .init = NULL, .finish_fn = finish_without_trace,
                             .finished_type = QUERN_NONE});
    check_right((qn_reducer){AGGREGATION(merge_with_trace, put_with_trace), .finish_fn = finish_without_trace,
                             .finished_type = QUERN_U64});
    check_right((qn_reducer){AGGREGATION(merge_with_trace, put_with_trace), .finish_fn = finish_as_it_is,
                             .finished_type = QUERN_NONE});
}
END_TEST

/* ---- the sample ---- */

/* Of as many keys as you like, each three times, far from each other. */
START_TEST(a_law_is_tried_however_many_keys_there_are)
{
    qn_node reduce = node_of((qn_reducer){.kind = QN_REDUCER_USER, .fn = average});
    reduce.schema.key = QUERN_U64;
    qn_reduction_check *check = qn_reduction_check_create(&reduce);
    quern_status status = QUERN_OK;
    qn_error_clear(&failure);
    for (uint64_t n = 0; n < 3 * 20000 && status == QUERN_OK; n++) {
        uint64_t number = n % 20000, value = n * n;
        const void *key = &number, *values = &value;
        uint32_t bytes = 8;
        qn_batch batch = {.block = {1, &key, &bytes, &values, &bytes}};
        status = qn_reduction_check_take(check, &batch, &origin, &failure);
        ck_assert(status == QUERN_OK || n >= 40000);
    }
    ck_assert_int_eq(status, QUERN_ERROR_CHECK);
    ck_assert_ptr_nonnull(strstr(failure.text, "is not associative"));
    qn_reduction_check_destroy(check);
}
END_TEST

START_TEST(values_too_long_to_keep_are_left_out)
{
    static uint8_t large[1025];
    qn_node reduce = node_of((qn_reducer){AGGREGATION(subtract, put)});
    for (uint32_t bytes = 1024; bytes <= 1025; bytes++) {
        qn_reduction_check *check = qn_reduction_check_create(&reduce);
        const void *keys[2] = {"a", "a"}, *values[2] = {large, large + (bytes == 1024)};
        const uint32_t key_bytes[2] = {1, 1}, value_bytes[2] = {bytes, bytes};
        qn_batch batch = {.block = {2, keys, key_bytes, values, value_bytes}};
        large[0] = 1;
        qn_error_clear(&failure);
        ck_assert_int_eq(qn_reduction_check_take(check, &batch, &origin, &failure),
                         bytes == 1024 ? QUERN_ERROR_CHECK : QUERN_OK);
        qn_reduction_check_destroy(check);
    }
}
END_TEST

/* ---- the order ---- */

START_TEST(records_come_in_another_order_each_once_and_whole)
{
    qn_node reduce = node_of((qn_reducer){.kind = QN_REDUCER_COUNT});
    qn_reduction_check *check = qn_reduction_check_create(&reduce);
    kit_rows rows;
    qn_batch batch = make_batch(&rows);
    uint64_t first[ROW_COUNT], moved_count = 0;
    bool seen[ROW_COUNT + 1] = {false};
    for (int again = 0; again < 2; again++) {
        const qn_batch *shuffled = qn_reduction_check_shuffle(check, &batch);
        ck_assert_uint_eq(shuffled->block.count, ROW_COUNT);
        for (size_t i = 0; i < ROW_COUNT; i++) {
            quern_record record = qn_batch_record(shuffled, i);
            uint64_t value = quern_u64(record.value);
            ck_assert(again || !seen[value]);
            ck_assert(!again || first[i] == value);
            seen[value] = true;
            first[i] = value;
            moved_count += value != i + 1;
            ck_assert_uint_eq(qn_batch_origin(shuffled, i), value - 1);
            ck_assert_int_eq(*(const char *)record.key.data, "012"[(value - 1) % 3]);
        }
    }
    ck_assert_uint_gt(moved_count, ROW_COUNT);
    qn_reduction_check_destroy(check);
    kit_free_rows(&rows);
}
END_TEST

START_TEST(a_chain_hands_records_shuffled_to_a_reduction_and_names_one_that_breaks_a_law)
{
    static kit_chain tested;
    qn_node right = node_of((qn_reducer){.kind = QN_REDUCER_USER, .fn = add});
    qn_node wrong = node_of((qn_reducer){.kind = QN_REDUCER_USER, .fn = subtract});
    kit_rows rows;
    make_batch(&rows);
    for (int which = 0; which < 3; which++) {
        kit_open_chain(&tested, NULL, 0);
        const qn_node *reduce = which == 0 ? NULL : which == 1 ? &right : &wrong;
        kit_assert_ok(qn_chain_check(&tested.chain, reduce, "sums", &kit_error), &kit_error);
        quern_status status = kit_run_chain(&tested, &rows, 0);
        ck_assert_int_eq(status, which < 2 ? QUERN_OK : QUERN_ERROR_CHECK);
        ck_assert_uint_eq(tested.end.got.count, which < 2 ? ROW_COUNT : 0);
        size_t moved_count = 0;
        for (size_t i = 0; i < tested.end.got.count; i++)
            moved_count += tested.end.got.items[i].value != i + 1;
        ck_assert(which == 1 ? moved_count > ROW_COUNT / 2 : moved_count == 0);
        ck_assert(which < 2 || !tested.chain.end_failed);
        kit_close_chain(&tested);
    }
    kit_free_rows(&rows);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_reduction_that_breaks_a_law_is_named_with_law_and_key,
        reductions_that_keep_the_laws_pass_and_so_does_what_fails_in_any_order,
        values_of_different_keys_never_meet,
        an_aggregation_that_breaks_a_law_is_named_with_its_callback,
        aggregations_that_keep_the_laws_pass_though_only_what_finish_gives_is_equal,
        a_law_is_tried_however_many_keys_there_are,
        values_too_long_to_keep_are_left_out,
        records_come_in_another_order_each_once_and_whole,
        a_chain_hands_records_shuffled_to_a_reduction_and_names_one_that_breaks_a_law,
    };
    return kit_run_tests("reduction_check", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
