/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/exec/chain_kit.h"

const quern_schema kit_plain = {QUERN_BYTES, QUERN_U64, 0};
qn_error kit_error;
struct kit_world kit_world;

uint32_t kit_index_of(uint64_t value)
{
    return (uint32_t)(value >> 32);
}

void kit_add_row(kit_rows *to, const void *key, size_t key_bytes, uint64_t value)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity ? 2 * to->capacity : 1024;
        to->items = realloc(to->items, to->capacity * sizeof *to->items);
        if (!to->items)
            abort();
    }
    kit_row *added = &to->items[to->count++];
    memset(added, 0, sizeof *added);
    memcpy(added->key, key, key_bytes < KIT_KEY_BYTES_MAX ? key_bytes : KIT_KEY_BYTES_MAX);
    added->key_bytes = (uint32_t)key_bytes;
    added->value = value;
}

void kit_free_rows(kit_rows *of)
{
    free(of->items);
    *of = (kit_rows){0};
}

void kit_check_rows(const kit_rows *got, const kit_rows *expected)
{
    ck_assert_uint_eq(got->count, expected->count);
    size_t wrong_count = 0;
    for (size_t i = 0; i < got->count; i++)
        wrong_count += got->items[i].value != expected->items[i].value ||
                       got->items[i].key_bytes != expected->items[i].key_bytes ||
                       memcmp(got->items[i].key, expected->items[i].key, KIT_KEY_BYTES_MAX) != 0;
    ck_assert_uint_eq(wrong_count, 0);
}

static bool fails_now(uint64_t value)
{
    kit_world.counter.pending++;
    if (++kit_world.call_count != kit_world.fail_at)
        return false;
    kit_world.failed_index = kit_index_of(value);
    return true;
}

/* The three things that operators do, on rows. */

static uint32_t map_key(const void *key, size_t key_bytes, uint8_t *to)
{
    uint32_t kept = key_bytes < KIT_KEY_BYTES_MAX ? (uint32_t)key_bytes : KIT_KEY_BYTES_MAX - 1;
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
    static uint8_t key[KIT_KEY_BYTES_MAX];
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
        if (quern_emit(out, key, quern_of_u64(&copied)) != 0 && !kit_world.ignore_emit)
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
        uint8_t key[KIT_KEY_BYTES_MAX];
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

qn_node kit_make_node(qn_node_kind kind)
{
    qn_node node = {.kind = kind, .name = "tested", .schema = kit_plain};
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
static void model_operator(const kit_rows *in, qn_node_kind kind, kit_rows *out)
{
    for (size_t i = 0; i < in->count; i++) {
        const kit_row *from = &in->items[i];
        uint8_t key[KIT_KEY_BYTES_MAX];
        if (kind == QN_NODE_MAP || kind == QN_NODE_MAP_BLOCK) {
            uint32_t key_bytes = map_key(from->key, from->key_bytes, key);
            kit_add_row(out, key, key_bytes, map_value(from->value));
        } else if (kind == QN_NODE_FLAT_MAP || kind == QN_NODE_FLAT_MAP_BLOCK) {
            for (uint32_t copy = 0; copy < copies_of(from->value); copy++)
                kit_add_row(out, from->key, from->key_bytes, from->value + copy);
        } else if (is_kept(from->value))
            kit_add_row(out, from->key, from->key_bytes, from->value);
    }
}

qn_batch kit_make_batch(const kit_rows *of)
{
    static const void *keys[QN_BATCH_COUNT_MAX], *values[QN_BATCH_COUNT_MAX];
    static uint32_t key_bytes[QN_BATCH_COUNT_MAX], value_bytes[QN_BATCH_COUNT_MAX];
    if (of->count > QN_BATCH_COUNT_MAX) /* ck_assert() would take memory, which may be refused now */
        ck_abort_msg("a block of %zu rows", of->count);
    for (size_t i = 0; i < of->count; i++) {
        keys[i] = of->items[i].key;
        key_bytes[i] = of->items[i].key_bytes;
        values[i] = &of->items[i].value;
        value_bytes[i] = 8;
    }
    return (qn_batch){.block = {of->count, keys, key_bytes, values, value_bytes}};
}

void kit_make_rows(kit_rows *made, size_t count, uint64_t *state)
{
    *made = (kit_rows){0};
    for (size_t i = 0; i < count; i++) {
        char key[KIT_KEY_BYTES_MAX];
        int key_bytes = snprintf(key, sizeof key, "%u", (unsigned)kit_random_below(state, 100000));
        kit_add_row(made, key, (size_t)key_bytes, (uint64_t)i << 32 | (uint32_t)kit_random_below(state, 1000));
    }
}

/* Checks what every batch promises, too. */
static quern_status collect(void *user, const qn_batch *batch, qn_error *failure)
{
    kit_collector *into = user;
    if (batch->block.count < 1 || batch->block.count > QN_BATCH_COUNT_MAX)
        ck_abort_msg("a batch of %zu records", batch->block.count);
    if (++into->batch_count == into->fail_at)
        return qn_error_set(failure, into->failure, 0, "the end failed");
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        uint8_t readable[QN_SLACK_BYTES];
        memcpy(readable, (const uint8_t *)record.key.data + record.key.bytes, sizeof readable);
        into->misplaced_count += qn_batch_origin(batch, i) != kit_index_of(quern_u64(record.value));
        kit_add_row(&into->got, record.key.data, record.key.bytes, quern_u64(record.value));
    }
    return QUERN_OK;
}

static void open_chain(kit_chain *tested, const qn_node *nodes, uint32_t count, struct quern_counter *counters,
                       qn_chain_end_fn end, void *end_user)
{
    for (uint32_t i = 0; i < count; i++) {
        tested->nodes[i] = nodes[i];
        tested->operators[i] = &tested->nodes[i];
    }
    tested->operator_count = count;
    qn_error_clear(&kit_error);
    kit_assert_ok(
        qn_chain_init(&tested->chain, tested->operators, tested->operator_count, counters, end, end_user, &kit_error),
        &kit_error);
}

void kit_open_chain(kit_chain *tested, const qn_node_kind *kinds, uint32_t depth)
{
    qn_node nodes[QN_CHAIN_COUNT_MAX];
    for (uint32_t i = 0; i < depth; i++)
        nodes[i] = kit_make_node(kinds[i]);
    memset(&kit_world, 0, sizeof kit_world);
    *tested = (kit_chain){0};
    open_chain(tested, nodes, depth, &kit_world.counter, collect, &tested->end);
}

void kit_open_operators(kit_chain *tested, const qn_node *nodes, uint32_t count, qn_chain_end_fn end, void *end_user)
{
    *tested = (kit_chain){0};
    open_chain(tested, nodes, count, NULL, end, end_user);
}

quern_status kit_run_chain(kit_chain *tested, const kit_rows *in, uint64_t skip)
{
    qn_batch batch = kit_make_batch(in);
    qn_error_clear(&kit_error);
    return qn_chain_run(&tested->chain, &batch, skip, &kit_error);
}

void kit_close_chain(kit_chain *tested)
{
    qn_chain_fini(&tested->chain);
    kit_free_rows(&tested->end.got);
}

void kit_choose_kinds(qn_node_kind *kinds, uint32_t depth, uint64_t *state)
{
    for (uint32_t i = 0; i < depth; i++)
        kinds[i] = QN_NODE_MAP + (qn_node_kind)kit_random_below(state, 6);
}

void kit_model_chain(const kit_rows *in, const qn_node_kind *kinds, uint32_t depth, kit_rows *out, qn_edge_stats *edges)
{
    kit_rows now = {0};
    for (size_t i = 0; i < in->count; i++)
        kit_add_row(&now, in->items[i].key, in->items[i].key_bytes, in->items[i].value);
    for (uint32_t i = 0; i < depth; i++) {
        kit_rows next = {0};
        model_operator(&now, kinds[i], &next);
        bool is_filter = kinds[i] == QN_NODE_FILTER || kinds[i] == QN_NODE_FILTER_BLOCK;
        edges[i].records_in += now.count;
        edges[i].records_out += next.count;
        edges[i].records_dropped += is_filter ? now.count - next.count : 0;
        kit_free_rows(&now);
        now = next;
    }
    *out = now;
}

void kit_check_edges(const qn_chain *chain, const qn_edge_stats *expected, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++) {
        qn_edge_stats edge = qn_chain_edge(chain, i);
        ck_assert_uint_eq(edge.records_in, expected[i].records_in);
        ck_assert_uint_eq(edge.records_out, expected[i].records_out);
        ck_assert_uint_eq(edge.records_dropped, expected[i].records_dropped);
    }
}

quern_status kit_count_records(void *user, const qn_batch *batch, qn_error *failure)
{
    *(uint64_t *)user += batch->block.count;
    if (batch->block.value && (uintptr_t)batch->block.value[0] % 8 != 0)
        return qn_error_set(failure, QUERN_ERROR_INTERNAL, 0, "a value is not aligned");
    return QUERN_OK;
}
