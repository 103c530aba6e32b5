/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_emitter.c: what callbacks emit: records of any size, of another schema, too few and too many.
 */
#include "tests/exec/chain_kit.h"
#include "tests/refusal.h"

static kit_chain tested;

static kit_rows some_rows(uint32_t count)
{
    kit_rows made = {0};
    for (uint32_t i = 0; i < count; i++)
        kit_add_row(&made, "key", 3, (uint64_t)i << 32);
    return made;
}

/* One operator over a block of `count` records; `tested` stays open. */
static quern_status run_operator(const qn_node *node, uint32_t count, qn_chain_end_fn end, void *end_user)
{
    kit_rows in = some_rows(count);
    kit_open_operators(&tested, node, 1, end, end_user);
    quern_status status = kit_run_chain(&tested, &in, 0);
    kit_free_rows(&in);
    return status;
}

/* Giant records: every size about the emitter's buffer, many at once, and small ones between them. */

typedef struct giant_plan {
    const uint32_t *sizes;
    size_t count;
    size_t seen;
} giant_plan;

static uint8_t giant_bytes[3 << 20];

static int emit_giants(const quern_record *in, quern_emitter *out, void *user)
{
    giant_plan *giants = user;
    (void)in;
    for (size_t i = 0; i < giants->count; i++) {
        uint32_t bytes = giants->sizes[i];
        int code = quern_emit(out, quern_bytes(giant_bytes + i, bytes), quern_bytes(giant_bytes + 2 * i, bytes / 2));
        if (code != 0)
            return code;
    }
    return 0;
}

static quern_status check_giants(void *user, const qn_batch *batch, qn_error *failure)
{
    giant_plan *giants = user;
    for (size_t n = 0; n < batch->block.count; n++, giants->seen++) {
        size_t i = giants->seen % giants->count;
        quern_record record = qn_batch_record(batch, n);
        if (record.key.bytes != giants->sizes[i] || record.value.bytes != giants->sizes[i] / 2 ||
            memcmp(record.key.data, giant_bytes + i, record.key.bytes) != 0 ||
            memcmp(record.value.data, giant_bytes + 2 * i, record.value.bytes) != 0 ||
            (uintptr_t)record.value.data % 8 != 0)
            return qn_error_set(failure, QUERN_ERROR_INTERNAL, 0, "giant %zu is another", giants->seen);
        uint8_t readable[2 * QN_SLACK_BYTES];
        memcpy(readable, (const uint8_t *)record.key.data + record.key.bytes, QN_SLACK_BYTES);
        memcpy(readable, (const uint8_t *)record.value.data + record.value.bytes, QN_SLACK_BYTES);
    }
    return QUERN_OK;
}

static qn_node node_of_giants(giant_plan *giants)
{
    return (qn_node){.kind = QN_NODE_FLAT_MAP,
                     .name = "giants",
                     .schema = {QUERN_BYTES, QUERN_BYTES, 0},
                     .fn.flat_map = emit_giants,
                     .user = giants};
}

static void run_giants(const uint32_t *sizes, size_t count)
{
    giant_plan giants = {sizes, count, 0};
    qn_node node = node_of_giants(&giants);
    kit_assert_ok(run_operator(&node, 2, check_giants, &giants), &kit_error);
    ck_assert_uint_eq(giants.seen, 2 * count);
    kit_close_chain(&tested);
}

START_TEST(records_of_any_size_arrive_whole)
{
    uint64_t state = 3;
    for (size_t i = 0; i < sizeof giant_bytes; i++)
        giant_bytes[i] = (uint8_t)kit_random(&state);
    for (uint32_t bytes = 87000; bytes < 87500; bytes++) /* key and value fill the buffer of 128 KiB */
        run_giants((uint32_t[]){bytes, 0, bytes, 1}, 4);
    run_giants((uint32_t[]){1 << 20, 5, 2 << 20, 7, 1 << 20, 0, 131072, 131071, 131073}, 9);
    uint32_t sizes[1500];
    for (size_t i = 0; i < 1500; i++)
        sizes[i] = (uint32_t)kit_random_below(&state, i % 100 == 0 ? 300000 : 60);
    run_giants(sizes, 1500);
    run_giants((uint32_t[1500]){0}, 1500);
}
END_TEST

START_TEST(a_refusal_of_memory_for_a_giant_record_ends_the_block_and_is_no_callback_s_fault)
{
    giant_plan giants = {(uint32_t[]){10, 1 << 20}, 2, 0};
    qn_node node = node_of_giants(&giants);
    uint64_t arrived = 0;
    kit_rows in = some_rows(1);
    kit_open_operators(&tested, &node, 1, kit_count_records, &arrived);
    allocations_left = 0;
    quern_status status = kit_run_chain(&tested, &in, 0);
    allocations_left = -1;
    ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    ck_assert(!tested.chain.callback_failed);
    ck_assert_uint_eq(arrived, 1);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

/* Records that do not fit their schema. */

typedef struct offer {
    quern_schema schema;
    size_t key_bytes, value_bytes;
    bool fits;
} offer;

static int emitted_code;

static int emit_offer(const quern_record *in, quern_emitter *out, void *user)
{
    const offer *offered = user;
    if (kit_index_of(quern_u64(in->value)) != 3)
        return 0;
    emitted_code =
        quern_emit(out, quern_bytes(giant_bytes, offered->key_bytes), quern_bytes(giant_bytes, offered->value_bytes));
    return kit_world.ignore_emit ? 0 : emitted_code;
}

static int map_offer(const quern_record *in, quern_record *out, void *user)
{
    const offer *offered = user;
    bool chosen = kit_index_of(quern_u64(in->value)) == 3;
    out->key = quern_bytes(giant_bytes, chosen || offered->schema.key == QUERN_BYTES ? offered->key_bytes : 8);
    size_t number_bytes = quern_number_bytes(offered->schema.value);
    size_t right_bytes = number_bytes > 0 ? number_bytes : offered->schema.value_bytes;
    out->value =
        quern_bytes(giant_bytes, chosen || offered->schema.value == QUERN_BYTES ? offered->value_bytes : right_bytes);
    return 0;
}

static void check_offer(const offer *offered, qn_node_kind kind)
{
    uint64_t arrived = 0;
    qn_node node = {.kind = kind, .name = "offering", .schema = offered->schema, .user = (void *)(uintptr_t)offered};
    if (kind == QN_NODE_MAP)
        node.fn.map = map_offer;
    else
        node.fn.flat_map = emit_offer;
    quern_status status = run_operator(&node, 6, kit_count_records, &arrived);
    ck_assert_int_eq(status, offered->fits ? QUERN_OK : QUERN_ERROR_CALLBACK);
    if (!offered->fits) {
        ck_assert(tested.chain.callback_failed);
        ck_assert_uint_eq(tested.chain.failed_origin, 3);
        ck_assert_ptr_nonnull(strstr(kit_error.text, "'offering' gave a record that does not fit its schema"));
        ck_assert(kind == QN_NODE_MAP || emitted_code != 0);
    }
    ck_assert_uint_eq(arrived, !offered->fits ? 0 : kind == QN_NODE_MAP ? 6 : 1);
    kit_close_chain(&tested);
}

START_TEST(records_that_do_not_fit_their_schema_are_refused_and_the_source_record_is_named)
{
    static const offer offers[] = {
        {{QUERN_BYTES, QUERN_NONE, 0}, 0, 0, true},
        {{QUERN_BYTES, QUERN_NONE, 0}, 5, 9, true}, /* a value that is not wanted is left out */
        {{QUERN_BYTES, QUERN_BYTES, 0}, 0, 0, true},
        {{QUERN_BYTES, QUERN_BYTES, 0}, (size_t)1 << 31, 0, false},
        {{QUERN_BYTES, QUERN_BYTES, 0}, 1, (size_t)1 << 31, false},
        {{QUERN_BYTES, QUERN_BYTES, 0}, SIZE_MAX, SIZE_MAX, false},
        {{QUERN_BYTES, QUERN_U64, 0}, 3, 8, true},
        {{QUERN_BYTES, QUERN_U64, 0}, 3, 0, false},
        {{QUERN_BYTES, QUERN_U64, 0}, 3, 7, false},
        {{QUERN_BYTES, QUERN_I64, 0}, 3, 9, false},
        {{QUERN_I64, QUERN_NONE, 0}, 8, 0, true},
        {{QUERN_I64, QUERN_NONE, 0}, 7, 0, false},
        {{QUERN_U64, QUERN_NONE, 0}, 0, 0, false},
        {{QUERN_U64, QUERN_NONE, 0}, 16, 0, false},
        {{QUERN_BYTES, QUERN_FIXED, 13}, 1, 13, true},
        {{QUERN_BYTES, QUERN_FIXED, 13}, 1, 12, false},
        {{QUERN_BYTES, QUERN_FIXED, 13}, 1, 16, false},
        {{QUERN_BYTES, QUERN_FIXED, 256}, 1, 256, true},
        {{QUERN_BYTES, QUERN_F32, 0}, 1, 4, true},
        {{QUERN_BYTES, QUERN_F32, 0}, 1, 8, false},
        {{QUERN_BYTES, QUERN_I32, 0}, 1, 3, false},
        {{QUERN_BYTES, QUERN_F64, 0}, 1, 4, false},
    };
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        for (int ignore_emit = 0; ignore_emit < 2; ignore_emit++) {
            kit_world.ignore_emit = ignore_emit != 0;
            check_offer(&offers[i], QN_NODE_FLAT_MAP);
        }
        if (offers[i].key_bytes < 1000 && offers[i].value_bytes < 1000)
            check_offer(&offers[i], QN_NODE_MAP);
    }
}
END_TEST

static quern_status check_filled(void *user, const qn_batch *batch, qn_error *failure)
{
    (void)failure;
    for (size_t i = 0; i < batch->block.count; i++, ++*(uint64_t *)user)
        for (size_t at = batch->block.value_bytes[i]; at % 8 != 0; at++)
            ck_assert_uint_eq(((const uint8_t *)batch->block.value[i])[at], 0);
    return QUERN_OK;
}

static int emit_fixed(const quern_record *in, quern_emitter *out, void *user)
{
    (void)in;
    return quern_emit(out, quern_bytes(giant_bytes, 20), quern_bytes(giant_bytes, *(uint32_t *)user));
}

START_TEST(fixed_values_are_aligned_and_zero_filled_to_whole_words)
{
    memset(giant_bytes, 0xff, 1000);
    for (uint32_t value_bytes = 1; value_bytes <= QUERN_FIXED_BYTES_MAX; value_bytes++) {
        uint64_t seen = 0;
        qn_node node = {.kind = QN_NODE_FLAT_MAP,
                        .name = "fixed",
                        .schema = {QUERN_BYTES, QUERN_FIXED, value_bytes},
                        .fn.flat_map = emit_fixed,
                        .user = &value_bytes};
        kit_assert_ok(run_operator(&node, 5, check_filled, &seen), &kit_error);
        ck_assert_uint_eq(seen, 5);
        kit_close_chain(&tested);
    }
}
END_TEST

static int emit_wrong_count(const quern_block *in, quern_emitter *out, void *user)
{
    size_t count = in->count + (size_t) * (int *)user;
    for (size_t i = 0; i < count; i++)
        if (quern_emit(out, quern_text("k"), quern_of_u64(&(uint64_t){i})) != 0)
            return 1;
    return 0;
}

START_TEST(a_block_wise_map_that_gives_another_number_of_records_fails)
{
    for (int more = -1; more <= 600; more += more < 1 ? 1 : 599) {
        uint64_t arrived = 0;
        qn_node node = {.kind = QN_NODE_MAP_BLOCK,
                        .name = "miscounting",
                        .schema = kit_plain,
                        .fn.flat_map_block = emit_wrong_count,
                        .user = &more};
        ck_assert_int_eq(run_operator(&node, 2, kit_count_records, &arrived),
                         more == 0 ? QUERN_OK : QUERN_ERROR_CALLBACK);
        if (more != 0) {
            char expected[100];
            snprintf(expected, sizeof expected, "the callback of 'miscounting' gave %d records for a block of 2",
                     2 + more);
            ck_assert_str_eq(kit_error.text, expected);
            ck_assert(tested.chain.callback_failed);
        }
        kit_close_chain(&tested);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        records_of_any_size_arrive_whole,
        a_refusal_of_memory_for_a_giant_record_ends_the_block_and_is_no_callback_s_fault,
        records_that_do_not_fit_their_schema_are_refused_and_the_source_record_is_named,
        fixed_values_are_aligned_and_zero_filled_to_whole_words,
        a_block_wise_map_that_gives_another_number_of_records_fails,
    };
    return kit_run_tests("emitter", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
