/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_order_check.c: comparisons that are no order are found, named with the law and what breaks it; orders are not.
 */
#include "runtime/data/type.h"
#include "runtime/exec/order_check.h"
#include "tests/exec/chain_kit.h"

#define ROW_COUNT   500
#define BLOCK_COUNT 40

static qn_error failure;
static uint32_t origin;
static uint64_t call_count;

static int64_t number_of(quern_span span)
{
    return (int64_t)(quern_u64(span) % 1000);
}

static int by_number(quern_span left, quern_span right, void *user)
{
    (void)user;
    call_count++;
    return (number_of(left) > number_of(right)) - (number_of(left) < number_of(right));
}

/* Many are equal, and yet it is an order. */
static int by_hundreds(quern_span left, quern_span right, void *user)
{
    (void)user;
    return (int)(number_of(left) / 100 - number_of(right) / 100) * 7;
}

static int all_equal(quern_span left, quern_span right, void *user)
{
    (void)left;
    (void)right;
    (void)user;
    return 0;
}

/* As scissors, paper and stone. */
static int in_a_ring(quern_span left, quern_span right, void *user)
{
    (void)user;
    int64_t turn = (number_of(left) - number_of(right) + 3000) % 3;
    return turn == 0 ? 0 : turn == 1 ? 1 : -1;
}

/* Those that are near are equal. */
static int nearly(quern_span left, quern_span right, void *user)
{
    int64_t difference = number_of(left) - number_of(right);
    (void)user;
    return difference > 200 ? 1 : difference < -200 ? -1 : 0;
}

static int less_only(quern_span left, quern_span right, void *user)
{
    (void)user;
    return number_of(left) < number_of(right) ? -1 : 1;
}

static int less_or_equal(quern_span left, quern_span right, void *user)
{
    (void)user;
    return number_of(left) < number_of(right) ? -1 : 0;
}

static int by_calls(quern_span left, quern_span right, void *user)
{
    static uint64_t turn;
    return ++turn % 200 == 0 ? 1 : by_number(left, right, user);
}

static int writing(quern_span left, quern_span right, void *user)
{
    uint64_t number = quern_u64(left) + (quern_u64(left) % 7 == 3);
    memcpy((void *)(uintptr_t)left.data, &number, sizeof number);
    return by_number(left, right, user);
}

/* Values of another key have another meaning. */
static int within_key(quern_span left, quern_span right, void *user)
{
    if (quern_u64(left) / 1000 != quern_u64(right) / 1000)
        ck_abort_msg("values of two keys meet");
    return by_number(left, right, user);
}

typedef struct breach {
    qn_compare_fn compare;
    const char *law;
    int shown_count;
} breach;

static const breach breaches[] = {
    {in_a_ring, "is not transitive", 3},
    {nearly, "is not transitive", 3},
    {less_only, "is not reflexive", 1},
    {less_or_equal, "is not antisymmetric", 2},
    {by_calls, "gave another outcome for the same two when it was called again", 2},
    {writing, "changed what it was given", 0},
};

/* Blocks of records whose keys and values are numbers: keys any, or one of three; values 1000 times that one and more. */
static quern_status run(const qn_collate *collate, uint64_t seed)
{
    static uint64_t keys[ROW_COUNT], values[ROW_COUNT];
    const void *key[ROW_COUNT], *value[ROW_COUNT];
    uint32_t bytes[ROW_COUNT];
    const qn_node node = {
        .kind = QN_NODE_COLLATE, .name = "hidden", .schema = {QUERN_U64, QUERN_U64, 0, 0}, .of.collate = *collate};
    qn_order_check *check = qn_order_check_create(&node, "my order");
    ck_assert(qn_order_check_applies(&node) && check);
    qn_error_clear(&failure);
    quern_status status = QUERN_OK;
    for (int block = 0; block < BLOCK_COUNT && status == QUERN_OK; block++) {
        for (size_t i = 0; i < ROW_COUNT; i++) {
            keys[i] = collate->compare_keys ? kit_random_below(&seed, 100000) : kit_random_below(&seed, 3);
            values[i] = keys[i] * 1000 + kit_random_below(&seed, 1000);
            key[i] = &keys[i];
            value[i] = &values[i];
            bytes[i] = 8;
        }
        const qn_batch batch = {.block = {ROW_COUNT, key, bytes, value, bytes}};
        status = qn_order_check_take(check, &batch, &origin, &failure);
        ck_assert_uint_lt(origin, ROW_COUNT);
    }
    qn_order_check_destroy(check);
    return status;
}

static int count_quotes(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += *text == '"';
    return count;
}

static void check_found(const breach *of, bool by_values)
{
    qn_collate collate = {.compare_keys = by_values ? NULL : of->compare,
                          .compare_values = by_values ? of->compare : NULL};
    const char *begin = by_values ? "the comparison of values of 'my order' " : "the comparison of keys of 'my order' ";
    call_count = 0;
    ck_assert_msg(run(&collate, 5) == QUERN_ERROR_CHECK, "not found: %s", of->law);
    ck_assert_msg(strstr(failure.text, begin) == failure.text, "%s", failure.text);
    ck_assert_msg(strstr(failure.text, of->law) != NULL, "%s", failure.text);
    ck_assert_msg(count_quotes(failure.text) == 2 * of->shown_count, "%s", failure.text);
}

START_TEST(a_comparison_that_is_no_order_is_named_with_the_law_and_the_keys)
{
    for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
        check_found(&breaches[i], false);
        check_found(&breaches[i], true);
    }
}
END_TEST

START_TEST(orders_pass_however_many_are_equal)
{
    const qn_compare_fn orders[] = {by_number, by_hundreds, all_equal};
    for (uint64_t seed = 1; seed <= 10; seed++)
        for (size_t i = 0; i < 3; i++) {
            ck_assert_msg(run(&(qn_collate){.compare_keys = orders[i]}, seed) == QUERN_OK, "%s", failure.text);
            ck_assert_msg(run(&(qn_collate){.compare_values = orders[i]}, seed) == QUERN_OK, "%s", failure.text);
        }
}
END_TEST

START_TEST(values_of_different_keys_never_meet)
{
    ck_assert_msg(run(&(qn_collate){.compare_values = within_key}, 3) == QUERN_OK, "%s", failure.text);
}
END_TEST

/* Whoever sorts a block of 512 compares 8 times for each. */
START_TEST(a_record_costs_a_few_comparisons)
{
    call_count = 0;
    ck_assert_int_eq(run(&(qn_collate){.compare_keys = by_number}, 3), QUERN_OK);
    ck_assert_uint_gt(call_count, ROW_COUNT);
    ck_assert_uint_lt(call_count, 2 * ROW_COUNT * BLOCK_COUNT);
    call_count = 0;
    ck_assert_int_eq(run(&(qn_collate){.compare_values = by_number}, 3), QUERN_OK);
    ck_assert_uint_gt(call_count, ROW_COUNT);
    ck_assert_uint_lt(call_count, 8 * ROW_COUNT * BLOCK_COUNT);
}
END_TEST

START_TEST(a_chain_that_ends_in_an_order_of_the_users_names_it)
{
    static kit_chain tested;
    const qn_node sorted = {.kind = QN_NODE_COLLATE,
                            .schema = {QUERN_BYTES, QUERN_U64, 0, 0},
                            .of.collate = {.kind = QN_COLLATE_BY_USER, .compare_keys = less_only}};
    uint64_t state = 3;
    kit_rows rows;
    kit_make_rows(&rows, 10, &state);
    for (size_t i = 0; i < rows.count; i++)
        rows.items[i].key_bytes = 8; /* read as numbers */
    kit_open_chain(&tested, NULL, 0);
    kit_assert_ok(qn_chain_check(&tested.chain, &sorted, "my order", &kit_error), &kit_error);
    ck_assert_int_eq(kit_run_chain(&tested, &rows, 0), QUERN_ERROR_CHECK);
    ck_assert_ptr_nonnull(strstr(kit_error.text, "the comparison of keys of 'my order' is not reflexive"));
    ck_assert_uint_eq(tested.end.got.count, 0);
    kit_close_chain(&tested);
    kit_free_rows(&rows);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_comparison_that_is_no_order_is_named_with_the_law_and_the_keys,
        orders_pass_however_many_are_equal,
        values_of_different_keys_never_meet,
        a_record_costs_a_few_comparisons,
        a_chain_that_ends_in_an_order_of_the_users_names_it,
    };
    return kit_run_tests("order_check", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
