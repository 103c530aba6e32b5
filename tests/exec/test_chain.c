/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_chain.c: chains of operators against a plain model of them, and exactly-once through failures.
 *
 * Values carry the index of their source record in the upper half; the operators below keep it there.
 */
#include "runtime/exec/chain.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define KEY_BYTES_MAX   24
#define DEPTH_MAX       QN_CHAIN_COUNT_MAX
#define INDEX_OF(value) ((uint32_t)((value) >> 32))

typedef struct row {
    uint8_t key[KEY_BYTES_MAX + QN_SLACK_BYTES];
    uint32_t key_bytes;
    uint64_t value;
} row;

typedef struct rows {
    row *items;
    size_t count, capacity;
} rows;

static const quern_schema plain = {QUERN_BYTES, QUERN_U64, 0};
static qn_error error;

static void rows_add(rows *to, const void *key, size_t key_bytes, uint64_t value)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity ? 2 * to->capacity : 1024;
        to->items = realloc(to->items, to->capacity * sizeof *to->items);
        if (!to->items)
            abort();
    }
    row *added = &to->items[to->count++];
    memset(added, 0, sizeof *added);
    memcpy(added->key, key, key_bytes < KEY_BYTES_MAX ? key_bytes : KEY_BYTES_MAX);
    added->key_bytes = (uint32_t)key_bytes;
    added->value = value;
}

static void rows_free(rows *of)
{
    free(of->items);
    *of = (rows){0};
}

static void check_rows(const rows *got, const rows *expected)
{
    ck_assert_uint_eq(got->count, expected->count);
    size_t wrong_count = 0;
    for (size_t i = 0; i < got->count; i++)
        wrong_count += got->items[i].value != expected->items[i].value ||
                       got->items[i].key_bytes != expected->items[i].key_bytes ||
                       memcmp(got->items[i].key, expected->items[i].key, KEY_BYTES_MAX) != 0;
    ck_assert_uint_eq(wrong_count, 0);
}

/* What all callbacks share: when to fail, and what was seen then. */
static struct world {
    uint64_t call_count;
    uint64_t fail_at; /* the call that fails; 0: none */
    uint32_t failed_index;
    bool ignore_emit;
    struct quern_counter counter;
} world;

static bool fails_now(uint64_t value)
{
    world.counter.pending++;
    if (++world.call_count != world.fail_at)
        return false;
    world.failed_index = INDEX_OF(value);
    return true;
}

/* The three things that operators do, on rows. */

static uint32_t map_key(const void *key, size_t key_bytes, uint8_t *to)
{
    uint32_t kept = key_bytes < KEY_BYTES_MAX ? (uint32_t)key_bytes : KEY_BYTES_MAX - 1;
    memcpy(to, key, kept);
    to[kept] = (uint8_t)('a' + kept % 26);
    return kept + 1;
}

static uint64_t map_value(uint64_t value)
{
    return (value & ~UINT64_C(0xffffffff)) | (uint32_t)(value * 3 + 1);
}

static uint32_t copies_of(uint64_t value)
{
    return (uint32_t)value % 997 == 61 ? 700 : (uint32_t)value % 4;
}

static bool is_kept(uint64_t value)
{
    return (uint32_t)value % 3 != 0;
}

static int map_one(const quern_record *in, quern_record *out, void *user)
{
    static uint8_t key[KEY_BYTES_MAX];
    static uint64_t value;
    (void)user;
    value = map_value(quern_u64(in->value));
    if (fails_now(value))
        return 7;
    out->key = quern_bytes(key, map_key(in->key.data, in->key.bytes, key));
    out->value = quern_of_u64(&value);
    return 0;
}

static int copy_one(quern_span key, uint64_t value, quern_emitter *out)
{
    for (uint32_t i = 0; i < copies_of(value); i++) {
        uint64_t copied = value + i;
        if (quern_emit(out, key, quern_of_u64(&copied)) != 0 && !world.ignore_emit)
            return 9;
    }
    return 0;
}

static int flat_map_one(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    uint64_t value = quern_u64(in->value);
    int code = copy_one(in->key, value, out);
    return fails_now(value) ? 7 : code; /* after its records, so that some of them are on their way */
}

static int filter_one(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    uint64_t value = quern_u64(in->value);
    if (fails_now(value))
        return 7;
    *keep_out = is_kept(value);
    return 0;
}

static quern_span key_of(const quern_block *in, size_t i)
{
    return quern_bytes(in->key[i], in->key_bytes[i]);
}

static uint64_t value_of(const quern_block *in, size_t i)
{
    return quern_u64(quern_bytes(in->value[i], in->value_bytes[i]));
}

static int map_block(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < in->count; i++) {
        uint8_t key[KEY_BYTES_MAX];
        uint64_t value = map_value(value_of(in, i));
        uint32_t key_bytes = map_key(in->key[i], in->key_bytes[i], key);
        if (fails_now(value_of(in, 0)) || quern_emit(out, quern_bytes(key, key_bytes), quern_of_u64(&value)) != 0)
            return 7;
    }
    return 0;
}

static int flat_map_block(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    for (size_t i = 0; i < in->count; i++)
        if (copy_one(key_of(in, i), value_of(in, i), out) != 0 || fails_now(value_of(in, 0)))
            return 7;
    return 0;
}

static int filter_block(const quern_block *in, uint8_t *keep_out, void *user)
{
    (void)user;
    if (fails_now(value_of(in, 0)))
        return 7;
    for (size_t i = 0; i < in->count; i++)
        keep_out[i] = is_kept(value_of(in, i));
    return 0;
}

static qn_node make_node(qn_node_kind kind)
{
    qn_node node = {.kind = kind, .name = "tested", .schema = plain};
    switch (kind) {
    case QN_NODE_MAP:
        node.fn.map = map_one;
        break;
    case QN_NODE_FLAT_MAP:
        node.fn.flat_map = flat_map_one;
        break;
    case QN_NODE_FILTER:
        node.fn.filter = filter_one;
        break;
    case QN_NODE_MAP_BLOCK:
        node.fn.flat_map_block = map_block;
        break;
    case QN_NODE_FLAT_MAP_BLOCK:
        node.fn.flat_map_block = flat_map_block;
        break;
    default:
        node.fn.filter_block = filter_block;
    }
    return node;
}

/* What the operator makes of the rows, record by record. */
static void model_operator(const rows *in, qn_node_kind kind, rows *out)
{
    for (size_t i = 0; i < in->count; i++) {
        const row *from = &in->items[i];
        uint8_t key[KEY_BYTES_MAX];
        if (kind == QN_NODE_MAP || kind == QN_NODE_MAP_BLOCK) {
            uint32_t key_bytes = map_key(from->key, from->key_bytes, key);
            rows_add(out, key, key_bytes, map_value(from->value));
        } else if (kind == QN_NODE_FLAT_MAP || kind == QN_NODE_FLAT_MAP_BLOCK) {
            for (uint32_t copy = 0; copy < copies_of(from->value); copy++)
                rows_add(out, from->key, from->key_bytes, from->value + copy);
        } else if (is_kept(from->value))
            rows_add(out, from->key, from->key_bytes, from->value);
    }
}

/* A block over rows. */
typedef struct block_of_rows {
    const void *key[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
} block_of_rows;

static qn_batch make_batch(const rows *of, block_of_rows *arrays)
{
    for (size_t i = 0; i < of->count; i++) {
        arrays->key[i] = of->items[i].key;
        arrays->key_bytes[i] = of->items[i].key_bytes;
        arrays->value[i] = &of->items[i].value;
        arrays->value_bytes[i] = 8;
    }
    return (qn_batch){.block = {of->count, arrays->key, arrays->key_bytes, arrays->value, arrays->value_bytes}};
}

static void make_rows(rows *made, size_t count, uint64_t *state)
{
    *made = (rows){0};
    for (size_t i = 0; i < count; i++) {
        char key[KEY_BYTES_MAX];
        int key_bytes = snprintf(key, sizeof key, "%u", (unsigned)kit_random_below(state, 100000));
        rows_add(made, key, (size_t)key_bytes, (uint64_t)i << 32 | (uint32_t)kit_random_below(state, 1000));
    }
}

/* The end of the chain: remembers what arrived, and checks what every batch promises. */
typedef struct collector {
    rows got;
    uint64_t batch_count;
    uint64_t fail_at; /* the batch that fails; 0: none */
    quern_status failure;
    uint64_t misplaced_count; /* rows whose origin is not their source record */
} collector;

static quern_status collect(void *user, const qn_batch *batch, qn_error *failure)
{
    collector *into = user;
    if (batch->block.count < 1 || batch->block.count > QN_BATCH_COUNT_MAX)
        ck_abort_msg("a batch of %zu records", batch->block.count);
    if (++into->batch_count == into->fail_at)
        return qn_error_set(failure, into->failure, 0, "the end failed");
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        uint8_t readable[QN_SLACK_BYTES];
        memcpy(readable, (const uint8_t *)record.key.data + record.key.bytes, sizeof readable);
        into->misplaced_count += qn_batch_origin(batch, i) != INDEX_OF(quern_u64(record.value));
        rows_add(&into->got, record.key.data, record.key.bytes, quern_u64(record.value));
    }
    return QUERN_OK;
}

typedef struct tested_chain {
    qn_node nodes[DEPTH_MAX];
    qn_stage stage;
    qn_chain chain;
    collector end;
} tested_chain;

static void open_chain(tested_chain *tested, const qn_node_kind *kinds, uint32_t depth)
{
    memset(tested, 0, sizeof *tested);
    memset(&world, 0, sizeof world);
    qn_error_clear(&error);
    for (uint32_t i = 0; i < depth; i++) {
        tested->nodes[i] = make_node(kinds[i]);
        tested->stage.operators[i] = &tested->nodes[i];
    }
    tested->stage.operator_count = depth;
    tested->stage.schema = plain;
    kit_assert_ok(qn_chain_init(&tested->chain, &tested->stage, &world.counter, collect, &tested->end, &error), &error);
}

static void close_chain(tested_chain *tested)
{
    qn_chain_fini(&tested->chain);
    rows_free(&tested->end.got);
}

static void choose_kinds(qn_node_kind *kinds, uint32_t depth, uint64_t *state)
{
    for (uint32_t i = 0; i < depth; i++)
        kinds[i] = QN_NODE_MAP + (qn_node_kind)kit_random_below(state, 6);
}

static void model_chain(const rows *in, const qn_node_kind *kinds, uint32_t depth, rows *out, qn_edge_stats *edges)
{
    rows now = {0};
    for (size_t i = 0; i < in->count; i++)
        rows_add(&now, in->items[i].key, in->items[i].key_bytes, in->items[i].value);
    for (uint32_t i = 0; i < depth; i++) {
        rows next = {0};
        model_operator(&now, kinds[i], &next);
        bool is_filter = kinds[i] == QN_NODE_FILTER || kinds[i] == QN_NODE_FILTER_BLOCK;
        edges[i].records_in += now.count;
        edges[i].records_out += next.count;
        edges[i].records_dropped += is_filter ? now.count - next.count : 0;
        rows_free(&now);
        now = next;
    }
    *out = now;
}

static void check_edges(const qn_chain *chain, const qn_edge_stats *expected, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++) {
        qn_edge_stats edge = qn_chain_edge(chain, i);
        ck_assert_uint_eq(edge.records_in, expected[i].records_in);
        ck_assert_uint_eq(edge.records_out, expected[i].records_out);
        ck_assert_uint_eq(edge.records_dropped, expected[i].records_dropped);
    }
}

START_TEST(a_random_chain_gives_what_its_operators_give_one_by_one)
{
    static tested_chain tested;
    static block_of_rows arrays;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        uint64_t state = seed;
        qn_node_kind kinds[6];
        qn_edge_stats edges[6] = {{0}};
        uint32_t depth = 1 + (uint32_t)kit_random_below(&state, 6);
        choose_kinds(kinds, depth, &state);
        rows in, expected;
        make_rows(&in, kit_random_below(&state, 60), &state);
        model_chain(&in, kinds, depth, &expected, edges);
        open_chain(&tested, kinds, depth);
        qn_batch batch = make_batch(&in, &arrays);
        kit_assert_ok(qn_chain_run(&tested.chain, &batch, 0, &error), &error);
        check_rows(&tested.end.got, &expected);
        check_edges(&tested.chain, edges, depth);
        ck_assert_uint_eq(tested.chain.delivered, expected.count);
        ck_assert_uint_eq(tested.chain.end_records, expected.count);
        ck_assert_int_eq(world.counter.sum, (int64_t)world.call_count);
        ck_assert_int_eq(world.counter.pending, 0);
        if (kinds[0] != QN_NODE_FLAT_MAP_BLOCK && kinds[0] != QN_NODE_MAP_BLOCK && depth == 1)
            ck_assert_uint_eq(tested.end.misplaced_count, 0);
        close_chain(&tested);
        rows_free(&in);
        rows_free(&expected);
    }
}
END_TEST

/* Whether the record at fault is known: not behind an operator that works on whole blocks. */
static bool names_records(const qn_node_kind *kinds, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++)
        if (kinds[i] == QN_NODE_MAP_BLOCK || kinds[i] == QN_NODE_FLAT_MAP_BLOCK)
            return false;
    return true;
}

/* Attempts on two chains in turn, as on two ranks, into one end. Each fails at another call, earlier or later. */
static void run_with_failures(const qn_node_kind *kinds, uint32_t depth, const rows *in, uint64_t calls,
                              uint64_t *state)
{
    static tested_chain ranks[2];
    static block_of_rows arrays;
    rows expected;
    qn_edge_stats edges[DEPTH_MAX] = {{0}};
    model_chain(in, kinds, depth, &expected, edges);
    for (int rank = 0; rank < 2; rank++) {
        open_chain(&ranks[rank], kinds, depth);
        ranks[rank].chain.end_user = &ranks[0].end;
    }
    world.ignore_emit = kit_random_below(state, 2);
    qn_batch batch = make_batch(in, &arrays);
    uint64_t skip = 0;
    uint32_t last = 0;
    for (uint32_t attempt = 0; attempt < 5; attempt++) {
        qn_chain *chain = &ranks[last = attempt % 2].chain;
        world.call_count = 0;
        world.fail_at = attempt < 4 ? 1 + kit_random_below(state, calls) : 0;
        qn_error_clear(&error);
        quern_status status = qn_chain_run(chain, &batch, skip, &error);
        ck_assert_int_eq(world.counter.pending, 0);
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_CALLBACK);
        ck_assert(chain->callback_failed);
        ck_assert_str_eq(error.text, "the callback of 'tested' returned 7");
        if (names_records(kinds, depth))
            ck_assert_uint_eq(chain->failed_origin, world.failed_index);
        ck_assert_int_eq(world.counter.sum, 0);
        skip = chain->delivered > skip ? chain->delivered : skip;
        ck_assert_uint_eq(ranks[0].end.got.count, skip);
    }
    check_rows(&ranks[0].end.got, &expected);
    if (names_records(kinds, depth))
        ck_assert_uint_eq(ranks[0].end.misplaced_count, 0);
    check_edges(&ranks[last].chain, edges, depth);
    ck_assert_uint_eq(qn_chain_edge(&ranks[1 - last].chain, 0).records_in, 0);
    ck_assert_int_eq(world.counter.sum, (int64_t)world.call_count);
    ck_assert_uint_eq(ranks[0].chain.end_records + ranks[1].chain.end_records, expected.count);
    close_chain(&ranks[0]);
    close_chain(&ranks[1]);
    rows_free(&expected);
}

static uint64_t count_calls(const qn_node_kind *kinds, uint32_t depth, const rows *in)
{
    static tested_chain tested;
    static block_of_rows arrays;
    open_chain(&tested, kinds, depth);
    qn_batch batch = make_batch(in, &arrays);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 0, &error), &error);
    close_chain(&tested);
    return world.call_count;
}

START_TEST(what_arrives_through_failures_is_what_arrives_without_them)
{
    for (uint64_t seed = 1; seed <= 250; seed++) {
        uint64_t state = seed * 977;
        qn_node_kind kinds[5];
        rows in;
        uint32_t depth = 1 + (uint32_t)kit_random_below(&state, 5);
        choose_kinds(kinds, depth, &state);
        make_rows(&in, 1 + kit_random_below(&state, 40), &state);
        uint64_t calls = count_calls(kinds, depth, &in);
        for (int round = 0; round < 4; round++)
            run_with_failures(kinds, depth, &in, calls, &state);
        rows_free(&in);
    }
}
END_TEST

START_TEST(a_failure_of_any_callback_of_a_full_block_loses_and_doubles_nothing)
{
    static const qn_node_kind kinds[] = {QN_NODE_MAP, QN_NODE_FLAT_MAP, QN_NODE_FILTER, QN_NODE_FLAT_MAP_BLOCK};
    rows in;
    uint64_t state = 11;
    make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    uint64_t calls = count_calls(kinds, 4, &in);
    ck_assert_uint_gt(calls, 2000);
    for (int round = 0; round < 30; round++)
        run_with_failures(kinds, 4, &in, calls, &state);
    rows_free(&in);
}
END_TEST

/* A failure behind the chain (a reducer's, say) left its batch half done: taking the block up again would lose the rest. */
static void check_failure_of_the_end(qn_node_kind kind, size_t count, quern_status failure, uint64_t at)
{
    static tested_chain tested;
    static block_of_rows arrays;
    rows in = {0};
    for (size_t i = 0; i < count; i++)
        rows_add(&in, "key", 3, (uint64_t)i << 32 | 61);
    for (int ignore_emit = 0; ignore_emit < 2; ignore_emit++) {
        open_chain(&tested, &kind, 1);
        world.ignore_emit = ignore_emit != 0;
        tested.end.failure = failure;
        tested.end.fail_at = at;
        qn_batch batch = make_batch(&in, &arrays);
        ck_assert_int_eq(qn_chain_run(&tested.chain, &batch, 0, &error), failure);
        ck_assert_str_eq(error.text, "the end failed");
        ck_assert_msg(!tested.chain.callback_failed, "kind %d, batch %d, status %d", (int)kind, (int)at, (int)failure);
        ck_assert_int_eq(world.counter.sum, 0);
        close_chain(&tested);
    }
    rows_free(&in);
}

START_TEST(a_failure_behind_the_chain_is_not_taken_for_one_of_its_callbacks)
{
    static const quern_status failures[] = {QUERN_ERROR_NO_MEMORY, QUERN_ERROR_OVERFLOW, QUERN_ERROR_CALLBACK};
    for (size_t i = 0; i < 3; i++) {
        check_failure_of_the_end(QN_NODE_MAP, 10, failures[i], 1);
        check_failure_of_the_end(QN_NODE_FLAT_MAP, 1, failures[i], 1);
        check_failure_of_the_end(QN_NODE_FLAT_MAP, 1, failures[i], 2);
        check_failure_of_the_end(QN_NODE_FLAT_MAP, 3, failures[i], 2);
        check_failure_of_the_end(QN_NODE_FLAT_MAP_BLOCK, 3, failures[i], 1);
    }
}
END_TEST

START_TEST(a_chain_that_failed_works_on_the_next_block)
{
    static tested_chain tested;
    static block_of_rows arrays;
    static const qn_node_kind kinds[] = {QN_NODE_FLAT_MAP, QN_NODE_MAP};
    qn_edge_stats edges[2] = {{0}};
    uint64_t state = 4;
    rows in, expected;
    make_rows(&in, 100, &state);
    model_chain(&in, kinds, 2, &expected, edges);
    open_chain(&tested, kinds, 2);
    qn_batch batch = make_batch(&in, &arrays);
    world.fail_at = 50;
    ck_assert_int_eq(qn_chain_run(&tested.chain, &batch, 0, &error), QUERN_ERROR_CALLBACK);
    world.fail_at = 0;
    tested.end.got.count = 0;
    qn_error_clear(&error);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 0, &error), &error);
    check_rows(&tested.end.got, &expected);
    check_edges(&tested.chain, edges, 2);
    ck_assert(!tested.chain.callback_failed);
    close_chain(&tested);
    rows_free(&in);
    rows_free(&expected);
}
END_TEST

START_TEST(a_chain_may_be_as_deep_as_a_stage_allows)
{
    static tested_chain tested;
    static block_of_rows arrays;
    qn_node_kind kinds[DEPTH_MAX];
    uint64_t state = 5;
    rows in;
    for (uint32_t i = 0; i < DEPTH_MAX; i++)
        kinds[i] = i % 2 ? QN_NODE_MAP_BLOCK : QN_NODE_MAP;
    make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    rows expected;
    qn_edge_stats edges[DEPTH_MAX] = {{0}};
    model_chain(&in, kinds, DEPTH_MAX, &expected, edges);
    open_chain(&tested, kinds, DEPTH_MAX);
    qn_batch batch = make_batch(&in, &arrays);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 0, &error), &error);
    check_rows(&tested.end.got, &expected);
    check_edges(&tested.chain, edges, DEPTH_MAX);
    close_chain(&tested);
    rows_free(&in);
    rows_free(&expected);
}
END_TEST

START_TEST(a_chain_without_operators_hands_its_blocks_on)
{
    static tested_chain tested;
    static block_of_rows arrays;
    uint64_t state = 6;
    rows in;
    make_rows(&in, 100, &state);
    open_chain(&tested, NULL, 0);
    qn_batch batch = make_batch(&in, &arrays);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 0, &error), &error);
    check_rows(&tested.end.got, &in);
    ck_assert_uint_eq(tested.end.misplaced_count, 0);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 100, &error), &error);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 150, &error), &error);
    ck_assert_uint_eq(tested.end.got.count, 100);
    kit_assert_ok(qn_chain_run(&tested.chain, &batch, 99, &error), &error);
    ck_assert_uint_eq(tested.end.got.count, 101);
    ck_assert_uint_eq(tested.end.got.items[100].value, in.items[99].value);
    close_chain(&tested);
    rows_free(&in);
}
END_TEST

static quern_status count_records(void *user, const qn_batch *batch, qn_error *failure)
{
    *(uint64_t *)user += batch->block.count;
    if (batch->block.value && (uintptr_t)batch->block.value[0] % 8 != 0)
        return qn_error_set(failure, QUERN_ERROR_INTERNAL, 0, "a value is not aligned");
    return QUERN_OK;
}

START_TEST(any_number_of_records_can_be_dropped_from_the_front)
{
    static tested_chain tested;
    static block_of_rows arrays;
    static const qn_node_kind kinds[] = {QN_NODE_MAP, QN_NODE_FILTER, QN_NODE_FLAT_MAP};
    qn_edge_stats edges[3] = {{0}};
    uint64_t state = 8;
    rows in, expected;
    make_rows(&in, 300, &state);
    model_chain(&in, kinds, 3, &expected, edges);
    open_chain(&tested, kinds, 3);
    qn_batch batch = make_batch(&in, &arrays);
    for (size_t skip = 0; skip < expected.count + 3; skip++) {
        tested.end.got.count = 0;
        kit_assert_ok(qn_chain_run(&tested.chain, &batch, skip, &error), &error);
        size_t dropped = skip < expected.count ? skip : expected.count;
        rows rest = {expected.items + dropped, expected.count - dropped, 0};
        check_rows(&tested.end.got, &rest);
        ck_assert_uint_eq(tested.chain.delivered, expected.count);
    }
    ck_assert_uint_eq(tested.end.misplaced_count, 0);
    close_chain(&tested);
    rows_free(&in);
    rows_free(&expected);
}
END_TEST

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

static void run_giants(const uint32_t *sizes, size_t count)
{
    static block_of_rows arrays;
    giant_plan giants = {sizes, count, 0};
    qn_node node = {.kind = QN_NODE_FLAT_MAP,
                    .name = "giants",
                    .schema = {QUERN_BYTES, QUERN_BYTES, 0},
                    .fn.flat_map = emit_giants,
                    .user = &giants};
    qn_stage stage = {.operators = {&node}, .operator_count = 1};
    qn_chain chain;
    rows in;
    uint64_t state = 1;
    make_rows(&in, 2, &state);
    qn_batch batch = make_batch(&in, &arrays);
    qn_error_clear(&error);
    kit_assert_ok(qn_chain_init(&chain, &stage, NULL, check_giants, &giants, &error), &error);
    kit_assert_ok(qn_chain_run(&chain, &batch, 0, &error), &error);
    ck_assert_uint_eq(giants.seen, 2 * count);
    qn_chain_fini(&chain);
    rows_free(&in);
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
    static block_of_rows arrays;
    giant_plan giants = {(uint32_t[]){10, 1 << 20}, 2, 0};
    qn_node node = {.kind = QN_NODE_FLAT_MAP,
                    .name = "giants",
                    .schema = {QUERN_BYTES, QUERN_BYTES, 0},
                    .fn.flat_map = emit_giants,
                    .user = &giants};
    qn_stage stage = {.operators = {&node}, .operator_count = 1};
    qn_chain chain;
    uint64_t arrived = 0;
    rows in = {0};
    rows_add(&in, "k", 1, 0);
    qn_batch batch = make_batch(&in, &arrays);
    kit_assert_ok(qn_chain_init(&chain, &stage, NULL, count_records, &arrived, &error), &error);
    allocations_left = 0;
    quern_status status = qn_chain_run(&chain, &batch, 0, &error);
    allocations_left = -1;
    ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    ck_assert(!chain.callback_failed);
    ck_assert_uint_eq(arrived, 1);
    qn_chain_fini(&chain);
    rows_free(&in);
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
    if (INDEX_OF(quern_u64(in->value)) != 3)
        return 0;
    emitted_code =
        quern_emit(out, quern_bytes(giant_bytes, offered->key_bytes), quern_bytes(giant_bytes, offered->value_bytes));
    return world.ignore_emit ? 0 : emitted_code;
}

static int map_offer(const quern_record *in, quern_record *out, void *user)
{
    const offer *offered = user;
    bool chosen = INDEX_OF(quern_u64(in->value)) == 3;
    const offer *given = offered;
    out->key = quern_bytes(giant_bytes, chosen || offered->schema.key == QUERN_BYTES ? given->key_bytes : 8);
    size_t right_bytes = offered->schema.value == QUERN_FIXED ? offered->schema.value_bytes : 8;
    out->value =
        quern_bytes(giant_bytes, chosen || offered->schema.value == QUERN_BYTES ? given->value_bytes : right_bytes);
    return 0;
}

static void check_offer(const offer *offered, qn_node_kind kind)
{
    static block_of_rows arrays;
    uint64_t arrived = 0;
    qn_node node = {.kind = kind, .name = "offering", .schema = offered->schema, .user = (void *)(uintptr_t)offered};
    if (kind == QN_NODE_MAP)
        node.fn.map = map_offer;
    else
        node.fn.flat_map = emit_offer;
    qn_stage stage = {.operators = {&node}, .operator_count = 1};
    qn_chain chain;
    rows in = {0};
    for (uint64_t i = 0; i < 6; i++)
        rows_add(&in, "key", 3, i << 32);
    qn_batch batch = make_batch(&in, &arrays);
    qn_error_clear(&error);
    kit_assert_ok(qn_chain_init(&chain, &stage, NULL, count_records, &arrived, &error), &error);
    quern_status status = qn_chain_run(&chain, &batch, 0, &error);
    ck_assert_int_eq(status, offered->fits ? QUERN_OK : QUERN_ERROR_CALLBACK);
    if (!offered->fits) {
        ck_assert(chain.callback_failed);
        ck_assert_uint_eq(chain.failed_origin, 3);
        ck_assert_ptr_nonnull(strstr(error.text, "'offering' gave a record that does not fit its schema"));
        ck_assert(kind == QN_NODE_MAP || emitted_code != 0);
    }
    ck_assert_uint_eq(arrived, !offered->fits ? 0 : kind == QN_NODE_MAP ? 6 : 1);
    qn_chain_fini(&chain);
    rows_free(&in);
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
    };
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        for (int ignore_emit = 0; ignore_emit < 2; ignore_emit++) {
            world.ignore_emit = ignore_emit != 0;
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
    static block_of_rows arrays;
    memset(giant_bytes, 0xff, 1000);
    for (uint32_t value_bytes = 1; value_bytes <= QUERN_FIXED_BYTES_MAX; value_bytes++) {
        uint64_t seen = 0;
        qn_node node = {.kind = QN_NODE_FLAT_MAP,
                        .name = "fixed",
                        .schema = {QUERN_BYTES, QUERN_FIXED, value_bytes},
                        .fn.flat_map = emit_fixed,
                        .user = &value_bytes};
        qn_stage stage = {.operators = {&node}, .operator_count = 1};
        qn_chain chain;
        rows in = {0};
        for (uint64_t i = 0; i < 5; i++)
            rows_add(&in, "key", 3, i << 32);
        qn_batch batch = make_batch(&in, &arrays);
        kit_assert_ok(qn_chain_init(&chain, &stage, NULL, check_filled, &seen, &error), &error);
        kit_assert_ok(qn_chain_run(&chain, &batch, 0, &error), &error);
        ck_assert_uint_eq(seen, 5);
        qn_chain_fini(&chain);
        rows_free(&in);
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
    static block_of_rows arrays;
    for (int more = -1; more <= 600; more += more < 1 ? 1 : 599) {
        uint64_t arrived = 0;
        qn_node node = {.kind = QN_NODE_MAP_BLOCK,
                        .name = "miscounting",
                        .schema = plain,
                        .fn.flat_map_block = emit_wrong_count,
                        .user = &more};
        qn_stage stage = {.operators = {&node}, .operator_count = 1};
        qn_chain chain;
        rows in = {0};
        rows_add(&in, "key", 3, 0);
        rows_add(&in, "key", 3, 1);
        qn_batch batch = make_batch(&in, &arrays);
        qn_error_clear(&error);
        kit_assert_ok(qn_chain_init(&chain, &stage, NULL, count_records, &arrived, &error), &error);
        ck_assert_int_eq(qn_chain_run(&chain, &batch, 0, &error), more == 0 ? QUERN_OK : QUERN_ERROR_CALLBACK);
        if (more != 0) {
            char expected[100];
            snprintf(expected, sizeof expected, "the callback of 'miscounting' gave %d records for a block of 2",
                     2 + more);
            ck_assert_str_eq(error.text, expected);
            ck_assert(chain.callback_failed);
        }
        qn_chain_fini(&chain);
        rows_free(&in);
    }
}
END_TEST

static quern_status check_references(void *user, const qn_batch *batch, qn_error *failure)
{
    const rows *in = user;
    (void)failure;
    for (size_t i = 0; i < batch->block.count; i++) {
        ck_assert_ptr_eq(batch->block.key[i], in->items[batch->origin[i]].key);
        ck_assert_ptr_eq(batch->block.value[i], &in->items[batch->origin[i]].value);
    }
    return QUERN_OK;
}

START_TEST(filters_pass_references_on)
{
    static block_of_rows arrays;
    qn_node nodes[] = {make_node(QN_NODE_FILTER), make_node(QN_NODE_FILTER_BLOCK)};
    qn_stage stage = {.operators = {&nodes[0], &nodes[1]}, .operator_count = 2};
    qn_chain chain;
    rows in;
    uint64_t state = 9;
    make_rows(&in, QN_BATCH_COUNT_MAX, &state);
    qn_batch batch = make_batch(&in, &arrays);
    kit_assert_ok(qn_chain_init(&chain, &stage, NULL, check_references, &in, &error), &error);
    kit_assert_ok(qn_chain_run(&chain, &batch, 0, &error), &error);
    ck_assert_uint_gt(chain.end_records, 100);
    qn_chain_fini(&chain);
    rows_free(&in);
}
END_TEST

START_TEST(refused_memory_creates_no_chain)
{
    qn_node nodes[3] = {make_node(QN_NODE_MAP), make_node(QN_NODE_FILTER), make_node(QN_NODE_FLAT_MAP)};
    qn_stage stage = {.operators = {&nodes[0], &nodes[1], &nodes[2]}, .operator_count = 3};
    int failure_count = 0;
    for (;; failure_count++) {
        qn_chain chain;
        uint64_t arrived = 0;
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_chain_init(&chain, &stage, NULL, count_records, &arrived, &error);
        allocations_left = -1;
        if (status != QUERN_OK)
            ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        qn_chain_fini(&chain);
        qn_chain_fini(&chain);
        if (status == QUERN_OK)
            break;
    }
    ck_assert_int_ge(failure_count, 4);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_random_chain_gives_what_its_operators_give_one_by_one,
        what_arrives_through_failures_is_what_arrives_without_them,
        a_failure_of_any_callback_of_a_full_block_loses_and_doubles_nothing,
        a_failure_behind_the_chain_is_not_taken_for_one_of_its_callbacks,
        a_chain_that_failed_works_on_the_next_block,
        a_chain_may_be_as_deep_as_a_stage_allows,
        a_chain_without_operators_hands_its_blocks_on,
        any_number_of_records_can_be_dropped_from_the_front,
        records_of_any_size_arrive_whole,
        a_refusal_of_memory_for_a_giant_record_ends_the_block_and_is_no_callback_s_fault,
        records_that_do_not_fit_their_schema_are_refused_and_the_source_record_is_named,
        fixed_values_are_aligned_and_zero_filled_to_whole_words,
        a_block_wise_map_that_gives_another_number_of_records_fails,
        filters_pass_references_on,
        refused_memory_creates_no_chain,
    };
    return kit_run_tests("chain", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
