/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_chain_records.c: operators that need no flat map: new keys, values as keys, bins, samples.
 */
#include "tests/exec/chain_kit.h"

static kit_chain tested;

/* ---- new keys ---- */

static int shorten(const quern_record *in, quern_span *key_out, void *user)
{
    (void)user;
    ck_assert_ptr_eq(key_out->data, in->key.data);
    key_out->bytes = (in->key.bytes + 1) / 2;
    return 0;
}

static quern_status check_shortened(void *user, const qn_batch *batch, qn_error *failure)
{
    const kit_rows *in = user;
    (void)failure;
    for (size_t i = 0; i < batch->block.count; i++) {
        const kit_row *from = &in->items[batch->origin[i]];
        ck_assert_uint_eq(batch->block.key_bytes[i], (from->key_bytes + 1) / 2);
        ck_assert(memcmp(batch->block.key[i], from->key, batch->block.key_bytes[i]) == 0);
        ck_assert_ptr_eq(batch->block.value[i], &from->value);
    }
    return QUERN_OK;
}

START_TEST(a_new_key_leaves_the_value_where_it_is)
{
    qn_node node = {.kind = QN_NODE_KEY_BY, .name = "tested", .schema = kit_plain, .fn.key = shorten};
    kit_rows in;
    uint64_t state = 3;
    kit_make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    kit_open_operators(&tested, &node, 1, check_shortened, &in);
    kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
    ck_assert_uint_eq(tested.chain.end_records, in.count);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

/* Keys of so many bytes do not fit the emitter's buffer together: blocks are handed on in between. */
static uint8_t long_key[40000];

static int lengthen(const quern_record *in, quern_span *key_out, void *user)
{
    (void)user;
    memcpy(long_key, in->value.data, 8);
    *key_out = quern_bytes(long_key, sizeof long_key);
    return 0;
}

static quern_status check_lengthened(void *user, const qn_batch *batch, qn_error *failure)
{
    (void)user;
    (void)failure;
    for (size_t i = 0; i < batch->block.count; i++) {
        ck_assert_uint_eq(batch->block.key_bytes[i], sizeof long_key);
        ck_assert(memcmp(batch->block.key[i], batch->block.value[i], 8) == 0);
    }
    return QUERN_OK;
}

START_TEST(new_keys_may_be_longer_than_a_block_of_them_has_room)
{
    qn_node node = {.kind = QN_NODE_KEY_BY, .name = "tested", .schema = kit_plain, .fn.key = lengthen};
    kit_rows in;
    uint64_t state = 4;
    kit_make_rows(&in, 100, &state);
    kit_open_operators(&tested, &node, 1, check_lengthened, NULL);
    kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
    ck_assert_uint_eq(tested.chain.end_records, in.count);
    tested.chain.record_bytes_max = sizeof long_key;
    ck_assert_int_eq(kit_run_chain(&tested, &in, 0), QUERN_ERROR_RECORD_TOO_LARGE);
    ck_assert(!tested.chain.callback_failed);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

START_TEST(a_new_key_of_the_wrong_size_fails_on_its_record)
{
    qn_node node = {.kind = QN_NODE_KEY_BY, .name = "tested", .schema = {QUERN_U64, QUERN_U64, 0}, .fn.key = shorten};
    kit_rows in;
    uint64_t state = 5, arrived = 0;
    kit_make_rows(&in, 20, &state);
    for (size_t i = 0; i < in.count; i++)
        in.items[i].key_bytes = i == 13 ? 14 : 16;
    kit_open_operators(&tested, &node, 1, kit_count_records, &arrived);
    ck_assert_int_eq(kit_run_chain(&tested, &in, 0), QUERN_ERROR_CALLBACK);
    ck_assert(tested.chain.callback_failed);
    ck_assert_uint_eq(tested.chain.failed_origin, 13);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

/* ---- values as keys ---- */

static quern_status check_moved(void *user, const qn_batch *batch, qn_error *failure)
{
    const uint64_t *values = user;
    (void)failure;
    ck_assert_ptr_null(batch->block.value);
    for (size_t i = 0; i < batch->block.count; i++) {
        uint64_t slack[2];
        ck_assert_uint_eq(batch->block.key_bytes[i], 8);
        memcpy(slack, (const uint8_t *)batch->block.key[i] + 8, sizeof slack); /* must be readable */
        ck_assert(memcmp(batch->block.key[i], &values[batch->origin[i]], 8) == 0);
    }
    return QUERN_OK;
}

START_TEST(a_value_becomes_a_key_though_nothing_can_be_read_behind_it)
{
    qn_node node = {.kind = QN_NODE_VALUE_AS_KEY, .name = "tested", .schema = {QUERN_U64, QUERN_NONE, 0}};
    enum { COUNT = 9 };
    uint64_t *values = kit_take(COUNT * sizeof *values); /* nothing behind it: the sanitizer watches */
    const void *at[COUNT];
    uint32_t bytes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = i * 77;
        at[i] = &values[i];
        bytes[i] = 8;
    }
    qn_batch batch = {.block = {COUNT, at, bytes, at, bytes}};
    kit_open_operators(&tested, &node, 1, check_moved, values);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 0, &kit_error), &kit_error);
    ck_assert_uint_eq(tested.chain.end_records, COUNT);
    kit_close_chain(&tested);
    free(values);
}
END_TEST

/* ---- samples ---- */

static uint64_t identities[QN_BATCH_COUNT_MAX];

/* What arrives of the rows from `first` on, as a block of its own. */
static void run_part(const kit_rows *in, size_t first, size_t count)
{
    kit_rows part = {in->items + first, count, 0};
    qn_batch batch = kit_make_batch(&part);
    batch.identity = identities + first;
    qn_error_clear(&kit_error);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 0, &kit_error), &kit_error);
}

static qn_node sample_node(double fraction, uint64_t seed)
{
    return (qn_node){.kind = QN_NODE_SAMPLE,
                     .name = "sample",
                     .schema = kit_plain,
                     .of.sample = {(uint64_t)(fraction * (double)QN_SAMPLE_WHOLE), seed}};
}

static quern_status collect_values(void *user, const qn_batch *batch, qn_error *failure)
{
    kit_rows *got = user;
    (void)failure;
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        kit_add_row(got, record.key.data, record.key.bytes, quern_u64(record.value));
    }
    return QUERN_OK;
}

START_TEST(a_sample_does_not_depend_on_how_records_are_grouped_into_blocks)
{
    static const qn_node_kind kinds[] = {QN_NODE_FLAT_MAP, QN_NODE_FLAT_MAP_BLOCK, QN_NODE_MAP, QN_NODE_MAP_BLOCK};
    kit_rows in, first = {0}, got = {0};
    uint64_t state = 6;
    kit_make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    for (size_t i = 0; i < in.count; i++)
        identities[i] = kit_random(&state);
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        first.count = kind % 2 == 0 ? 0 : first.count; /* the block-wise kind gives the same records as the other */
        for (size_t step = in.count; step > 0; step = step == 1 ? 0 : step / 7 + 1) {
            qn_node nodes[] = {kit_make_node(kinds[kind]), sample_node(0.5, 1), kit_make_node(QN_NODE_FLAT_MAP_BLOCK),
                               sample_node(0.8, 1), kit_make_node(QN_NODE_MAP_BLOCK)};
            memset(&kit_world, 0, sizeof kit_world);
            got.count = 0;
            kit_open_operators(&tested, nodes, 5, collect_values, &got);
            for (size_t at = 0; at < in.count; at += step)
                run_part(&in, at, at + step < in.count ? step : in.count - at);
            kit_close_chain(&tested);
            if (first.count == 0)
                for (size_t i = 0; i < got.count; i++)
                    kit_add_row(&first, got.items[i].key, got.items[i].key_bytes, got.items[i].value);
            kit_check_rows(&got, &first);
        }
        ck_assert_uint_gt(first.count, 50);
    }
    kit_free_rows(&in);
    kit_free_rows(&first);
    kit_free_rows(&got);
}
END_TEST

START_TEST(a_block_that_is_run_again_keeps_the_same_records_and_ways_keep_others)
{
    kit_rows in, got = {0};
    uint64_t state = 7;
    kit_make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    for (size_t i = 0; i < in.count; i++)
        identities[i] = i; /* as alike as identities can be */
    qn_node node = sample_node(0.5, 9);
    kit_open_operators(&tested, &node, 1, collect_values, &got);
    run_part(&in, 0, in.count);
    size_t count = got.count;
    ck_assert_uint_gt(count, 180);
    ck_assert_uint_lt(count, 330);
    run_part(&in, 0, in.count);
    kit_rows before = {got.items, count, 0}, again = {got.items + count, got.count - count, 0};
    kit_check_rows(&again, &before);
    qn_chain_set_way(&tested.chain, 0, 1);
    run_part(&in, 0, in.count);
    kit_rows other = {got.items + 2 * count, got.count - 2 * count, 0};
    size_t same_count = 0;
    for (size_t i = 0; i < other.count && i < count; i++)
        same_count += other.items[i].value == got.items[i].value;
    ck_assert_uint_lt(same_count, count / 2);
    qn_edge_stats edge = qn_chain_edge(&tested.chain, 0);
    ck_assert_uint_eq(edge.records_in, 3 * in.count);
    ck_assert_uint_eq(edge.records_out + edge.records_dropped, edge.records_in);
    kit_close_chain(&tested);
    kit_free_rows(&in);
    kit_free_rows(&got);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_new_key_leaves_the_value_where_it_is,
        new_keys_may_be_longer_than_a_block_of_them_has_room,
        a_new_key_of_the_wrong_size_fails_on_its_record,
        a_value_becomes_a_key_though_nothing_can_be_read_behind_it,
        a_sample_does_not_depend_on_how_records_are_grouped_into_blocks,
        a_block_that_is_run_again_keeps_the_same_records_and_ways_keep_others,
    };
    return kit_run_tests("chain_records", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
