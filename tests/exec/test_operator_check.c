/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_operator_check.c: callbacks that break a promise are found and named; those that keep it give what they gave.
 */
#include "tests/exec/chain_kit.h"
#include "tests/refusal.h"

#define ROW_COUNT 100

static kit_chain tested;
static uint64_t call_count;

#define NODE(kind_, fn_)                                                                                               \
    {                                                                                                                  \
        .kind = QN_NODE_##kind_, .name = "the guilty", .schema = {QUERN_BYTES, QUERN_U64, 0}, .fn_                     \
    }

/* ---- those that keep their promises ---- */

START_TEST(random_chains_give_the_same_records_figures_and_counters_in_check_mode)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        uint64_t state = seed;
        qn_node_kind kinds[6];
        qn_edge_stats edges[6] = {{0}};
        uint32_t depth = 1 + (uint32_t)kit_random_below(&state, 6);
        kit_rows in, expected;
        kit_choose_kinds(kinds, depth, &state);
        kit_make_rows(&in, kit_random_below(&state, 60), &state);
        kit_model_chain(&in, kinds, depth, &expected, edges);
        kit_open_chain(&tested, kinds, depth);
        kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
        uint64_t calls_unchecked = kit_world.call_count;
        kit_close_chain(&tested);
        kit_open_chain(&tested, kinds, depth);
        kit_assert_ok(qn_chain_check(&tested.chain, NULL, NULL, &kit_error), &kit_error);
        kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
        kit_check_rows(&tested.end.got, &expected);
        kit_check_edges(&tested.chain, edges, depth);
        ck_assert_uint_ge(kit_world.call_count, 2 * calls_unchecked);
        ck_assert_int_ge(kit_world.counter.sum, (int64_t)calls_unchecked);
        ck_assert_int_le(kit_world.counter.sum, (int64_t)(calls_unchecked + depth)); /* blocks came in two parts */
        kit_close_chain(&tested);
        kit_free_rows(&in);
        kit_free_rows(&expected);
    }
}
END_TEST

static int value_of_place(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    static uint64_t value;
    (void)user;
    value = quern_u64(in->value) * 1000 + index;
    out->value = quern_of_u64(&value);
    return 0;
}

static quern_status keep_rows(void *user, const qn_batch *batch, qn_error *failure)
{
    (void)failure;
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        kit_add_row(user, record.key.data, record.key.bytes, quern_u64(record.value));
    }
    return QUERN_OK;
}

START_TEST(records_keep_their_places_when_they_are_numbered_again)
{
    const qn_node zip = {
        .kind = QN_NODE_ZIP, .name = "zip", .schema = {QUERN_BYTES, QUERN_U64, 0}, .fn.zip = value_of_place};
    kit_rows in, got = {0};
    uint64_t state = 6;
    kit_make_rows(&in, ROW_COUNT, &state);
    kit_open_operators(&tested, &zip, 1, keep_rows, &got);
    qn_chain_begin_part(&tested.chain, &(qn_place){.record_count = 50});
    kit_assert_ok(qn_chain_check(&tested.chain, NULL, NULL, &kit_error), &kit_error);
    for (int block = 0; block < 3; block++)
        kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
    ck_assert_uint_eq(got.count, 3 * in.count);
    for (size_t i = 0; i < got.count; i++)
        ck_assert_uint_eq(got.items[i].value, in.items[i % in.count].value * 1000 + 50 + i);
    kit_free_rows(&got);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

static int copy_block(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    call_count += in->count == ROW_COUNT;
    for (size_t i = 0; i < in->count; i++)
        if (quern_emit(out, quern_bytes(in->key[i], in->key_bytes[i]), quern_bytes(in->value[i], 8)) != 0)
            return 1;
    return 0;
}

START_TEST(no_block_comes_whole_as_the_source_cut_it)
{
    const qn_node map = NODE(MAP_BLOCK, fn.flat_map_block = copy_block);
    uint64_t arrived = 0, state = 8;
    kit_rows in;
    kit_make_rows(&in, ROW_COUNT, &state);
    kit_open_operators(&tested, &map, 1, kit_count_records, &arrived);
    kit_assert_ok(qn_chain_check(&tested.chain, NULL, NULL, &kit_error), &kit_error);
    call_count = 0;
    kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
    ck_assert_uint_eq(call_count, 0);
    ck_assert_uint_eq(arrived, ROW_COUNT);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

/* A failure in any call, the first or a repeated one, is a callback's, and the block goes on behind what was delivered. */
START_TEST(a_failure_of_a_repeated_call_is_tried_again_and_loses_and_doubles_nothing)
{
    static const qn_node_kind kinds[] = {QN_NODE_FLAT_MAP, QN_NODE_FILTER_BLOCK, QN_NODE_MAP};
    uint64_t state = 4;
    qn_edge_stats edges[3] = {{0}};
    kit_rows in, expected;
    kit_make_rows(&in, 30, &state);
    kit_model_chain(&in, kinds, 3, &expected, edges);
    for (uint64_t fail_at = 1, failed_count = fail_at; failed_count > 0; fail_at++) {
        failed_count = 0;
        kit_open_chain(&tested, kinds, 3);
        kit_assert_ok(qn_chain_check(&tested.chain, NULL, NULL, &kit_error), &kit_error);
        kit_world.fail_at = fail_at;
        for (uint64_t skip = 0; kit_run_chain(&tested, &in, skip) != QUERN_OK; failed_count++) {
            ck_assert(tested.chain.callback_failed && failed_count == 0);
            skip = tested.chain.delivered;
        }
        kit_check_rows(&tested.end.got, &expected);
        kit_check_edges(&tested.chain, edges, 3);
        kit_close_chain(&tested);
    }
    ck_assert_uint_gt(kit_world.call_count, 3 * in.count);
    kit_free_rows(&in);
    kit_free_rows(&expected);
}
END_TEST

/* ---- those that do not ---- */

static int keep_all(const quern_record *in, int *keep_out, void *user)
{
    (void)in;
    (void)keep_out;
    (void)user;
    return 0;
}

static int count_calls(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)user;
    call_count++;
    out->value = quern_of_u64(&call_count);
    return 0;
}

static int remember_last(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t last, given;
    (void)user;
    given = kit_index_of(quern_u64(in->value)) == 0 ? 0 : last; /* the same for the same block, in the same order */
    last = quern_u64(in->value);
    out->value = quern_of_u64(&given);
    return 0;
}

static int emit_more_and_more(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    for (uint64_t i = 0; i < (call_count > ROW_COUNT); i++)
        if (quern_emit(out, in->key, in->value) != 0)
            return 1;
    call_count++;
    return quern_emit(out, in->key, in->value);
}

static int keep_every_other(const quern_record *in, int *keep_out, void *user)
{
    (void)in;
    (void)user;
    *keep_out = call_count++ % 2 == 0;
    return 0;
}

static int keep_first_of_block(const quern_block *in, uint8_t *keep_out, void *user)
{
    (void)user;
    memset(keep_out, 0, in->count);
    keep_out[0] = 1;
    return 0;
}

static int emit_size_of_block(const quern_block *in, quern_emitter *out, void *user)
{
    uint64_t count = in->count;
    (void)user;
    return quern_emit(out, quern_text("size"), quern_of_u64(&count));
}

static int number_in_block(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (uint64_t i = 0; i < in->count; i++)
        if (quern_emit(out, quern_bytes(in->key[i], in->key_bytes[i]), quern_of_u64(&i)) != 0)
            return 1;
    return 0;
}

static int number_in_all(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (uint64_t i = 0; i < in->count; i++, call_count++)
        if (quern_emit(out, quern_bytes(in->key[i], in->key_bytes[i]), quern_of_u64(&call_count)) != 0)
            return 1;
    return 0;
}

static void overwrite(const void *memory)
{
    uint8_t *byte = (uint8_t *)(uintptr_t)memory;
    *byte ^= 1;
}

static int overwrite_key(const quern_record *in, quern_record *out, void *user)
{
    (void)user;
    if (kit_index_of(quern_u64(in->value)) == 7)
        overwrite(in->key.data);
    out->key = quern_text("other");
    return 0;
}

static int overwrite_value(const quern_record *in, int *keep_out, void *user)
{
    (void)keep_out;
    (void)user;
    if (kit_index_of(quern_u64(in->value)) == 7)
        overwrite(in->value.data);
    return 0;
}

static int number_by_state(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    (void)in;
    (void)user;
    call_count += index;
    out->value = quern_of_u64(&call_count);
    return 0;
}

static int key_by_state(const quern_record *in, quern_span *key_out, void *user)
{
    (void)in;
    (void)user;
    call_count++;
    *key_out = quern_of_u64(&call_count);
    return 0;
}

static int overwrite_in_block(const quern_block *in, uint8_t *keep_out, void *user)
{
    (void)keep_out;
    (void)user;
    if (in->count > 7)
        overwrite(in->key[7]);
    return 0;
}

typedef struct breach {
    qn_node node;
    const char *part; /* of the text */
    uint32_t origin;
} breach;

static const breach breaches[] = {
    {NODE(MAP, fn.map = count_calls), "gave other records for the same input when it was called again", 0},
    {NODE(MAP, fn.map = remember_last), "with the records in another order", UINT32_MAX},
    {NODE(FLAT_MAP, fn.flat_map = emit_more_and_more), "gave 1 records for an input, and 2 for the same", UINT32_MAX},
    {NODE(FILTER, fn.filter = keep_every_other), "records for an input, and ", UINT32_MAX},
    {NODE(FILTER_BLOCK, fn.filter_block = keep_first_of_block), "with the block cut in two", UINT32_MAX},
    {NODE(FLAT_MAP_BLOCK, fn.flat_map_block = emit_size_of_block), "with the block cut in two", 0},
    {NODE(MAP_BLOCK, fn.flat_map_block = number_in_block), "with the block cut in two", 0},
    {NODE(MAP_BLOCK, fn.flat_map_block = number_in_all), "for the same input when it was called again", 0},
    {NODE(MAP, fn.map = overwrite_key), "changed a record that it was given", 7},
    {NODE(FILTER, fn.filter = overwrite_value), "changed a record that it was given", 7},
    {NODE(FILTER_BLOCK, fn.filter_block = overwrite_in_block), "changed a record that it was given", UINT32_MAX},
    {NODE(ZIP, fn.zip = number_by_state), "gave other records for the same input when it was called again", UINT32_MAX},
    {NODE(KEY_BY, fn.key = key_by_state), "gave other records for the same input when it was called again", UINT32_MAX},
};

static void check_found(const breach *of)
{
    qn_node nodes[3] = {NODE(FILTER, fn.filter = keep_all), of->node, kit_make_node(QN_NODE_FILTER_BLOCK)};
    uint64_t arrived = 0, state = 9;
    kit_rows in;
    call_count = 0;
    kit_make_rows(&in, ROW_COUNT, &state);
    nodes[0].name = nodes[2].name = "the innocent";
    kit_open_operators(&tested, nodes, 3, kit_count_records, &arrived);
    kit_assert_ok(qn_chain_check(&tested.chain, NULL, NULL, &kit_error), &kit_error);
    quern_status status = QUERN_OK;
    for (int blocks = 0; blocks < 2 && status == QUERN_OK; blocks++)
        status = kit_run_chain(&tested, &in, 0);
    ck_assert_msg(status == QUERN_ERROR_CHECK, "not found: %s", of->part);
    ck_assert_msg(strstr(kit_error.text, "the callback of 'the guilty' ") == kit_error.text, "%s", kit_error.text);
    ck_assert_msg(strstr(kit_error.text, of->part) != NULL, "%s", kit_error.text);
    ck_assert(!tested.chain.callback_failed && qn_chain_knows_record(&tested.chain, &kit_error));
    if (of->origin != UINT32_MAX)
        ck_assert_uint_eq(tested.chain.failed_origin, of->origin);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}

START_TEST(a_callback_that_breaks_its_promise_is_named_with_the_record)
{
    for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++)
        check_found(&breaches[i]);
}
END_TEST

/* A filter hands on what it was given: the bytes that the next one overwrites are its own input too. */
START_TEST(who_overwrites_a_record_is_named_and_not_who_handed_it_on)
{
    qn_node nodes[2] = {NODE(FILTER, fn.filter = keep_all), breaches[9].node};
    uint64_t arrived = 0, state = 9;
    kit_rows in;
    nodes[0].name = "the innocent";
    kit_make_rows(&in, ROW_COUNT, &state);
    kit_open_operators(&tested, nodes, 2, kit_count_records, &arrived);
    kit_assert_ok(qn_chain_check(&tested.chain, NULL, NULL, &kit_error), &kit_error);
    ck_assert_int_eq(kit_run_chain(&tested, &in, 0), QUERN_ERROR_CHECK);
    ck_assert_ptr_nonnull(strstr(kit_error.text, "'the guilty' changed"));
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

START_TEST(nothing_is_found_where_nobody_looks)
{
    for (size_t i = 0; i < 8; i++) {
        uint64_t arrived = 0, state = 9;
        kit_rows in;
        kit_make_rows(&in, ROW_COUNT, &state);
        kit_open_operators(&tested, &breaches[i].node, 1, kit_count_records, &arrived);
        kit_assert_ok(kit_run_chain(&tested, &in, 0), &kit_error);
        kit_close_chain(&tested);
        kit_free_rows(&in);
    }
}
END_TEST

START_TEST(refused_memory_gives_no_check_and_leaves_nothing)
{
    static const qn_node_kind kinds[] = {QN_NODE_MAP, QN_NODE_FILTER};
    qn_node reduce = {.kind = QN_NODE_REDUCE, .reducer = {.kind = QN_REDUCER_USER}};
    for (int left = 0; left < 5; left++) {
        kit_open_chain(&tested, kinds, 2);
        allocations_left = left;
        quern_status status = qn_chain_check(&tested.chain, &reduce, reduce.name, &kit_error);
        allocations_left = -1;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        kit_close_chain(&tested);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        random_chains_give_the_same_records_figures_and_counters_in_check_mode,
        records_keep_their_places_when_they_are_numbered_again,
        no_block_comes_whole_as_the_source_cut_it,
        a_failure_of_a_repeated_call_is_tried_again_and_loses_and_doubles_nothing,
        a_callback_that_breaks_its_promise_is_named_with_the_record,
        who_overwrites_a_record_is_named_and_not_who_handed_it_on,
        nothing_is_found_where_nobody_looks,
        refused_memory_gives_no_check_and_leaves_nothing,
    };
    return kit_run_tests("operator_check", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
