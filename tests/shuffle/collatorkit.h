/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/collatorkit.h: collators of all ranks in one process, what they are to insert, and what has to come out of them; the model is all
 * records under qsort().
 */
#ifndef TESTS_SHUFFLE_COLLATORKIT_H
#define TESTS_SHUFFLE_COLLATORKIT_H

#include "runtime/shuffle/collator.h"
#include "tests/shuffle/collatekit.h"
#include "tests/shuffle/ringkit.h"

#define TURN_COUNT_MAX 20000000

static kit_directory directory;
static qn_error error;
static size_t spoilt_count;

static inline void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

static inline void tear_down(void)
{
    kit_remove_directory(&directory);
}

/* One rank: what it is to insert, of each input. */
typedef struct rank {
    qn_collator collator;
    kit_packed input;
    size_t next;
    size_t spoilt; /* one more than the number of the record that is, for now; 0: none */
    bool ended;
    size_t stop; /* where it stops inserting for now */
} rank;

static struct world {
    rank ranks[RING_SIZE_MAX];
    kit_shape shape;
    qn_collation collation;
    qn_division division;
    uint64_t state;
    uint32_t ended_count;
    uint64_t discard_at; /* the turn; 0: never */
    bool spoils;
    bool announced;    /* a round */
    kit_packed before; /* what is not inserted, but restored */
} world;

typedef struct sizes {
    uint64_t pool_bytes;
    size_t round_bytes; /* of each rank's chunk */
    size_t block_bytes;
} sizes;

static inline void open_world(uint32_t size, const kit_shape *shape, qn_division division, sizes how, uint64_t seed)
{
    memset(&world, 0, sizeof world);
    ring_open(size);
    qn_error_clear(&error);
    world.shape = *shape;
    world.division = division;
    world.state = seed;
    world.collation = kit_collation_of(shape);
    for (uint32_t r = 0; r < size; r++) {
        qn_collator_config config = {.comm = &ring.comms[r],
                                     .collation = world.collation,
                                     .division = division,
                                     .pool_bytes = how.pool_bytes,
                                     .round_bytes = how.round_bytes * size,
                                     .block_bytes = how.block_bytes,
                                     .scratch.directory = directory.path};
        kit_assert_ok(qn_collator_init(&world.ranks[r].collator, &config, &error), &error);
    }
}

static inline void close_world(void)
{
    for (uint32_t r = 0; r < ring.size; r++) {
        qn_collator_fini(&world.ranks[r].collator);
        kit_free_packed(&world.ranks[r].input);
    }
    kit_free_packed(&world.before);
    ring_close();
}

static inline void fill_inputs(size_t each)
{
    for (uint32_t r = 0; r < ring.size; r++) {
        size_t count = kit_random_below(&world.state, 4) ? each : kit_random_below(&world.state, each + 1);
        for (size_t i = 0; i < count; i++)
            kit_pack_random(&world.ranks[r].input, &world.shape, &world.collation.layout, &world.state);
    }
}

static inline void flip_value(const qn_packed *record)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)record->value;
    for (uint32_t i = 0; i < record->value_bytes; i++)
        bytes[i] ^= 0xff;
}

/* What was read of a large record that waits is not to be read again: it is another one until it is gone. */
static inline void spoil_giant(rank *me)
{
    if (me->spoilt > 0 && me->next >= me->spoilt) {
        flip_value(&me->input.items[me->spoilt - 1]);
        me->spoilt = 0;
    }
    if (me->spoilt == 0 && me->next < me->input.count && me->collator.lined) {
        flip_value(&me->input.items[me->next]);
        me->spoilt = me->next + 1;
        spoilt_count++;
    }
}

/* Some records from `next` on, of one side, as a block. */
static inline size_t insert_some(rank *me)
{
    static const void *keys[QN_BATCH_COUNT_MAX], *values[QN_BATCH_COUNT_MAX];
    static uint32_t key_bytes[QN_BATCH_COUNT_MAX], value_bytes[QN_BATCH_COUNT_MAX];
    size_t most = 1 + kit_random_below(&world.state, QN_BATCH_COUNT_MAX), count = 0, done = 0;
    uint32_t side = me->input.items[me->next].side;
    while (count < most && me->next + count < me->stop && me->input.items[me->next + count].side == side) {
        const qn_packed *record = &me->input.items[me->next + count];
        keys[count] = record->key;
        key_bytes[count] = record->key_bytes;
        values[count] = record->value;
        value_bytes[count++] = record->value_bytes;
    }
    qn_batch batch = {.block = {count, keys, key_bytes, values, value_bytes}};
    if (world.shape.value_type == QUERN_NONE)
        batch.block.value = NULL;
    kit_assert_ok(qn_collator_insert(&me->collator, &batch, side == QN_SIDE_OUTER ? 0 : 1, &done, &error), &error);
    me->next += done;
    if (world.spoils)
        spoil_giant(me);
    return done;
}

static inline void announce(uint64_t round)
{
    world.announced = true;
    for (uint32_t r = 0; r < ring.size; r++)
        qn_collator_announce(&world.ranks[r].collator, round);
}

static inline void end(rank *me)
{
    if (me->ended)
        return;
    me->ended = true;
    if (++world.ended_count == ring.size)
        announce(UINT64_MAX);
}

static inline void turn(rank *me)
{
    uint64_t ask;
    if (qn_collator_is_over(&me->collator))
        return;
    if (!me->collator.discarding && kit_random_below(&world.state, 3)) {
        while (me->next < me->stop && insert_some(me) > 0 && kit_random_below(&world.state, 4))
            ;
        if (me->next == me->input.count && !me->ended) {
            kit_assert_ok(qn_collator_end(&me->collator, &error), &error);
            end(me);
        }
    }
    kit_assert_ok(qn_collator_progress(&me->collator, &ask, &error), &error);
    if (ask != UINT64_MAX)
        announce(ask);
}

static inline bool all_are_over(void)
{
    for (uint32_t r = 0; r < ring.size; r++)
        if (!qn_collator_is_over(&world.ranks[r].collator))
            return false;
    return true;
}

static inline void run_world(void)
{
    for (uint32_t r = 0; r < ring.size; r++) {
        kit_unpack(&world.ranks[r].input, &world.collation.layout);
        world.ranks[r].stop = world.ranks[r].input.count;
    }
    for (uint64_t turns = 1; !all_are_over(); turns++) {
        ck_assert_uint_lt(turns, TURN_COUNT_MAX);
        rank *me = &world.ranks[kit_random_below(&world.state, ring.size)];
        if (world.discard_at > 0 && turns >= world.discard_at && !me->collator.discarding) {
            qn_collator_discard(&me->collator);
            end(me);
        }
        turn(me);
    }
}

/* ---- what came out ---- */

/* All inputs in the order of the collation. */
static inline kit_packed sort_inputs(void)
{
    kit_packed all = {0};
    for (uint32_t r = 0; r <= ring.size; r++) {
        const kit_packed *input = r < ring.size ? &world.ranks[r].input : &world.before;
        if (input->used_bytes > 0)
            memcpy(kit_grow(&all, input->used_bytes), input->bytes, input->used_bytes);
        all.used_bytes += input->used_bytes;
        all.count += input->count;
    }
    kit_sort_packed(&all, &world.collation);
    return all;
}

/* The result of a rank, its records one behind the other. */
static inline kit_packed read_result(qn_collator *collator)
{
    kit_packed result = {0};
    qn_packed read[300];
    size_t count;
    kit_assert_ok(qn_collator_rewind(collator, &error), &error);
    do {
        kit_assert_ok(qn_sorter_next(collator->sorter, read, 1 + kit_random_below(&world.state, 300), &count, &error),
                      &error);
        for (size_t i = 0; i < count; i++) {
            uint64_t bytes = qn_packed_bytes(&world.collation.layout, read[i].key_bytes, read[i].value_bytes);
            qn_packed_encode(&world.collation.layout, &read[i], kit_grow(&result, bytes));
            result.used_bytes += bytes;
            result.count++;
        }
    } while (count > 0);
    kit_unpack(&result, &world.collation.layout);
    return result;
}

static inline bool is_copied(const qn_packed *record)
{
    return world.collation.layout.has_side && record->side == QN_SIDE_INNER;
}

/* The records but for those of the inner side, one rank behind the other, are the model's. */
static inline void check_order(const kit_packed *results, const kit_packed *model)
{
    size_t at = 0;
    for (uint32_t r = 0; r < ring.size; r++)
        for (size_t i = 0; i < results[r].count; i++) {
            if (i > 0 && qn_collation_compare(&world.collation, &results[r].items[i - 1], &results[r].items[i]) > 0)
                ck_abort_msg("rank %u, record %zu: not sorted", r, i);
            if (is_copied(&results[r].items[i]))
                continue;
            while (at < model->count && is_copied(&model->items[at]))
                at++;
            if (at == model->count || !kit_is_same_record(&results[r].items[i], &model->items[at++]))
                ck_abort_msg("rank %u, record %zu is another than the model's %zu", r, i, at - 1);
        }
    while (at < model->count && is_copied(&model->items[at]))
        at++;
    ck_assert_uint_eq(at, model->count);
}

/* The inner records of the model's key [begin, end) are on the rank as a whole or not at all; true: they are. */
static inline bool has_inner(const kit_packed *result, size_t *next, const kit_packed *model, size_t begin, size_t end)
{
    size_t found = 0, wanted = 0;
    bool has_outer = false;
    for (size_t i = begin; i < end; i++)
        wanted += is_copied(&model->items[i]);
    for (; *next < result->count &&
           qn_collation_compare_keys(&world.collation, &result->items[*next], &model->items[begin]) == 0;
         ++*next) {
        has_outer |= !is_copied(&result->items[*next]);
        found += is_copied(&result->items[*next]);
    }
    if (found != 0 && found != wanted)
        ck_abort_msg("%zu of %zu inner records of a key are on a rank", found, wanted);
    if (has_outer && found != wanted)
        ck_abort_msg("outer records are alone");
    return found > 0;
}

static inline void check_inner(const kit_packed *results, const kit_packed *model)
{
    size_t next[RING_SIZE_MAX] = {0};
    for (size_t begin = 0, stop; begin < model->count; begin = stop) {
        uint32_t holder_count = 0;
        for (stop = begin + 1; stop < model->count && qn_collation_compare_keys(&world.collation, &model->items[begin],
                                                                                &model->items[stop]) == 0;
             stop++)
            ;
        for (uint32_t r = 0; r < ring.size; r++)
            holder_count += has_inner(&results[r], &next[r], model, begin, stop);
        ck_assert_int_eq(holder_count > 0, is_copied(&model->items[begin]));
        if (world.division != QN_DIVIDE_OUTER)
            ck_assert_uint_le(holder_count, 1);
    }
}

static inline void check_accounts(void)
{
    uint64_t in = 0, restored = 0, copies = 0, owned = 0, sent = 0, received = 0;
    for (uint32_t r = 0; r < ring.size; r++) {
        const qn_collator *collator = &world.ranks[r].collator;
        ck_assert_uint_eq(collator->records_in, world.ranks[r].input.count);
        in += collator->records_in;
        copies += collator->copies;
        restored += collator->restored;
        owned += qn_sorter_get_stats(collator->sorter).record_count;
        sent += collator->rounds.sent_rows;
        received += collator->rounds.received_rows;
    }
    ck_assert_uint_eq(restored, world.before.count);
    ck_assert_uint_eq(in + restored + copies, owned);
    ck_assert_uint_eq(sent, received);
    if (!world.collation.layout.has_side || world.division != QN_DIVIDE_OUTER)
        ck_assert_uint_eq(copies, 0);
}

/* The busiest rank, of the mean. */
static inline double check_result(void)
{
    kit_packed model = sort_inputs(), results[RING_SIZE_MAX];
    size_t most = 0, sum = 0;
    for (uint32_t r = 0; r < ring.size; r++) {
        results[r] = read_result(&world.ranks[r].collator);
        kit_packed again = read_result(&world.ranks[r].collator);
        ck_assert_uint_eq(again.used_bytes, results[r].used_bytes);
        ck_assert(again.used_bytes == 0 || memcmp(again.bytes, results[r].bytes, again.used_bytes) == 0);
        kit_free_packed(&again);
        most = results[r].count > most ? results[r].count : most;
        sum += results[r].count;
    }
    check_order(results, &model);
    if (world.collation.layout.has_side)
        check_inner(results, &model);
    check_accounts();
    for (uint32_t r = 0; r < ring.size; r++)
        kit_free_packed(&results[r]);
    kit_free_packed(&model);
    return sum > 0 ? (double)most * ring.size / (double)sum : 1;
}

/* ---- what is tried ---- */

static inline kit_shape random_shape(uint64_t *state)
{
    static const uint64_t counts[] = {1, 2, 10, 300, 100000};
    static const quern_type types[] = {QUERN_BYTES, QUERN_U64, QUERN_NONE};
    kit_shape shape = {
        .kind = (qn_collation_kind)kit_random_below(state, 3),
        .key_type = types[kit_random_below(state, 2)],
        .value_type = types[kit_random_below(state, 3)],
        .sides = kit_random_below(state, 2),
        .values_descending = kit_random_below(state, 2),
        .key_count = counts[kit_random_below(state, 5)],
        .value_count = counts[kit_random_below(state, 5)],
        .hot_percent = (uint32_t)kit_random_below(state, 2) * (uint32_t)kit_random_below(state, 100),
        .inner_percent = (uint32_t)kit_random_below(state, 101),
        .pad_bytes = (uint32_t)kit_random_below(state, 2) * (uint32_t)kit_random_below(state, 120),
        .giant_per_mille = (uint32_t)kit_random_below(state, 2) * 20,
        .giant_bytes = (uint32_t)kit_random_below(state, 9000),
    };
    shape.descending = shape.kind != QN_COLLATE_BY_HASH && kit_random_below(state, 2);
    return shape;
}

static inline sizes random_sizes(uint64_t *state)
{
    static const uint64_t pools[] = {16 << 10, 64 << 10, 256 << 10, 2 << 20};
    return (sizes){pools[kit_random_below(state, 4)], 1024 + 8 * kit_random_below(state, 2000),
                   kit_random_below(state, 2) ? 4096 : 16384};
}

#endif
