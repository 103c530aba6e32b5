/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/test_collator.c: the records of all ranks come out in one order, each once, whoever inserts what and when. The ranks are
 * in one process; the model is all records under qsort().
 */
#include "tests/shuffle/collatorkit.h"

#ifdef __SANITIZE_ADDRESS__
#define WORLD_COUNT 6 /* each takes many times as long */
#define GIANT_COUNT 3
#else
#define WORLD_COUNT 60
#define GIANT_COUNT 12
#endif

/* ---- tests ---- */

START_TEST(all_records_come_out_sorted_and_once_in_every_shape_and_any_order_of_turns)
{
    uint64_t state = 11;
    for (uint64_t seed = 1; seed <= WORLD_COUNT; seed++) {
        kit_shape shape = random_shape(&state);
        qn_division division = shape.sides ? (kit_random_below(&state, 4) ? QN_DIVIDE_OUTER : QN_DIVIDE_KEYS)
                                           : (qn_division)kit_random_below(&state, 2);
        open_world(1 + (uint32_t)kit_random_below(&state, RING_SIZE_MAX), &shape, division, random_sizes(&state), seed);
        fill_inputs(kit_random_below(&state, 8) ? kit_random_below(&state, 1500) : kit_random_below(&state, 3));
        run_world();
        check_result();
        close_world();
    }
}
END_TEST

START_TEST(giant_records_reach_every_rank_that_needs_them)
{
    for (uint64_t seed = 1; seed <= GIANT_COUNT; seed++) {
        kit_shape shape = {.kind = QN_COLLATE_BY_HASH,
                           .key_type = QUERN_BYTES,
                           .value_type = QUERN_BYTES,
                           .sides = true,
                           .key_count = 3,
                           .value_count = 1000000,
                           .hot_percent = 90,
                           .inner_percent = 3,
                           .giant_per_mille = 30,
                           .giant_bytes = 20000};
        open_world(2 + (uint32_t)seed % 7, &shape, QN_DIVIDE_OUTER, (sizes){32 << 10, 1024, 4096}, seed);
        fill_inputs(500);
        run_world();
        uint64_t copies = 0;
        for (uint32_t r = 0; r < ring.size; r++)
            copies += world.ranks[r].collator.copies;
        ck_assert_uint_gt(copies, 0);
        check_result();
        close_world();
    }
}
END_TEST

START_TEST(a_giant_record_is_packed_once_however_many_pieces_it_takes)
{
    kit_shape shape = {.key_type = QUERN_BYTES,
                       .value_type = QUERN_BYTES,
                       .kind = QN_COLLATE_BY_HASH,
                       .key_count = 100,
                       .value_count = 1000000,
                       .giant_per_mille = 30,
                       .giant_bytes = 20000};
    spoilt_count = 0;
    for (uint64_t seed = 1; seed <= GIANT_COUNT; seed++) {
        open_world(3, &shape, QN_DIVIDE_KEYS, (sizes){32 << 10, 1024, 4096}, seed);
        world.spoils = true;
        fill_inputs(300);
        run_world();
        check_result();
        close_world();
    }
    ck_assert_uint_gt(spoilt_count, GIANT_COUNT);
}
END_TEST

/* Every rank inserts as long as there is room, and then looks once for rounds, one rank after the other. */
static void take_turns(void)
{
    for (uint32_t r = 0; !all_are_over(); r = (r + 1) % ring.size) {
        uint64_t ask;
        rank *me = &world.ranks[r];
        if (qn_collator_is_over(&me->collator))
            continue;
        while (me->next < me->stop && insert_some(me) > 0)
            ;
        if (me->next == me->stop && !me->ended) {
            kit_assert_ok(qn_collator_end(&me->collator, &error), &error);
            end(me);
        }
        kit_assert_ok(qn_collator_progress(&me->collator, &ask, &error), &error);
        if (ask != UINT64_MAX)
            announce(ask);
    }
}

START_TEST(rounds_do_not_leave_before_the_records_that_wait_for_them)
{
    enum { RECORD_COUNT = 4000, RECORD_BYTES = 16, CHUNK_BYTES = 1024, SIZE = 4 };
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .key_count = 100000, .value_count = 1};
    open_world(SIZE, &shape, QN_DIVIDE_RECORDS, (sizes){64 << 10, CHUNK_BYTES, 4096}, 3);
    for (uint32_t r = 0; r < SIZE; r++) {
        for (size_t i = 0; i < RECORD_COUNT; i++)
            kit_pack_random(&world.ranks[r].input, &shape, &world.collation.layout, &world.state);
        kit_unpack(&world.ranks[r].input, &world.collation.layout);
        world.ranks[r].stop = world.ranks[r].input.count;
    }
    take_turns();
    ck_assert_uint_lt(world.ranks[0].collator.rounds.started, 2 * RECORD_COUNT * RECORD_BYTES / CHUNK_BYTES / SIZE);
    check_result();
    close_world();
}
END_TEST

START_TEST(ranks_with_nothing_get_their_part)
{
    for (uint32_t size = 2; size <= RING_SIZE_MAX; size++)
        for (uint32_t giver = 0; giver < 2; giver++) {
            kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .key_count = 100000, .value_count = 1};
            open_world(size, &shape, QN_DIVIDE_RECORDS, (sizes){256 << 10, 8192, 4096}, size);
            for (int i = 0; i < 4000; i++)
                kit_pack_random(&world.ranks[giver * (size - 1)].input, &shape, &world.collation.layout, &world.state);
            run_world();
            ck_assert_double_le(check_result(), 1.3);
            close_world();
        }
}
END_TEST

START_TEST(a_discard_in_any_state_ends_all_ranks)
{
    for (uint64_t at = 1; at <= 400; at += at < 30 ? 1 : 23) {
        kit_shape shape = {.kind = QN_COLLATE_BY_HASH,
                           .key_type = QUERN_BYTES,
                           .value_type = QUERN_BYTES,
                           .sides = true,
                           .key_count = 5,
                           .value_count = 1000,
                           .inner_percent = 20,
                           .giant_per_mille = 50,
                           .giant_bytes = 5000};
        open_world(2 + (uint32_t)at % 4, &shape, QN_DIVIDE_OUTER, (sizes){32 << 10, 1024, 4096}, at);
        fill_inputs(400);
        world.discard_at = at;
        run_world();
        close_world();
    }
}
END_TEST

/* Records [0, count) in the order of `key_of`, dealt out in stretches to the ranks. */
static double measure_load(uint32_t size, const kit_shape *shape, sizes how, size_t count, uint64_t (*key_of)(size_t),
                           uint64_t (*value_of)(size_t))
{
    open_world(size, shape, QN_DIVIDE_RECORDS, how, 5);
    for (size_t i = 0; i < count; i++)
        kit_pack(&world.ranks[i * size / count].input, shape, &world.collation.layout, key_of(i), value_of(i),
                 QN_SIDE_INNER, shape->pad_bytes);
    run_world();
    double load = check_result();
    close_world();
    return load;
}

static uint64_t same(size_t i)
{
    return i;
}

static uint64_t zero(size_t i)
{
    (void)i;
    return 0;
}

static uint64_t column(size_t i)
{
    return i % 8 * 1000000 + i;
}

START_TEST(the_sample_is_of_all_that_was_held_and_not_of_its_begin)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .value_type = QUERN_U64};
    double load = measure_load(4, &shape, (sizes){8 << 20, 1024, 4096}, 30000, same, zero);
    ck_assert_msg(load <= 1.2, "sorted input: %.3f of the mean", load);
    shape.value_type = QUERN_BYTES;
    shape.pad_bytes = 60;
    load = measure_load(4, &shape, (sizes){16 << 20, 4096, 4096}, 30000, same, same);
    ck_assert_msg(load <= 1.25, "sorted input with long values: %.3f of the mean", load);
}
END_TEST

START_TEST(input_with_a_period_is_sampled_all_the_same)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .value_type = QUERN_U64};
    for (uint32_t size = 2; size <= 3; size++) {
        double load = measure_load(size, &shape, (sizes){16 << 20, 65536, 4096}, 30000 * (size_t)size, column, zero);
        ck_assert_msg(load <= 1.2, "%.3f of the mean on %u ranks", load, size);
    }
}
END_TEST

START_TEST(records_that_differ_late_or_never_are_spread_too)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .value_type = QUERN_BYTES, .pad_bytes = 200};
    double load = measure_load(4, &shape, (sizes){32 << 20, 65536, 16384}, 12000, zero, zero);
    ck_assert_msg(load <= 1.2, "all records are equal: %.3f of the mean", load);
    load = measure_load(4, &shape, (sizes){32 << 20, 65536, 16384}, 12000, zero, same);
    ck_assert_msg(load <= 1.2, "the values differ at their ends: %.3f of the mean", load);
}
END_TEST

/* Keys that are alike for 3000 bytes and more, and values, in the order of the input or in any. */
START_TEST(records_that_differ_behind_thousands_of_bytes_are_divided_where_samples_have_room)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .value_type = QUERN_BYTES, .pad_bytes = 3000};
    double load = measure_load(4, &shape, (sizes){32 << 20, 4 << 20, 16384}, 6000, zero, same);
    ck_assert_msg(load <= 1.2, "the values differ behind 3000 bytes: %.3f of the mean", load);
    shape.values_descending = true;
    load = measure_load(3, &shape, (sizes){32 << 20, 4 << 20, 16384}, 6000, zero, same);
    ck_assert_msg(load <= 1.2, "and descend: %.3f of the mean", load);
    shape =
        (kit_shape){.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_BYTES, .value_type = QUERN_U64, .key_pad_bytes = 3000};
    load = measure_load(4, &shape, (sizes){32 << 20, 4 << 20, 16384}, 6000, same, zero);
    ck_assert_msg(load <= 1.2, "the keys do: %.3f of the mean", load);
}
END_TEST

/* ---- cuts of another collator ---- */

static struct follower {
    qn_collator collator;
    kit_packed input;
} followers[RING_SIZE_MAX];

static void insert_all(struct follower *me, size_t *next)
{
    for (bool full = false; *next < me->input.count && !full;) {
        const qn_packed *record = &me->input.items[*next];
        const void *key = record->key, *value = record->value;
        qn_batch batch = {.block = {1, &key, &record->key_bytes, &value, &record->value_bytes}};
        size_t done = 0;
        if (qn_collator_insert(&me->collator, &batch, 0, &done, &error) != QUERN_OK)
            ck_abort_msg("%s", error.text);
        full = done == 0;
        *next += done;
    }
    if (*next == me->input.count && !me->collator.ended)
        kit_assert_ok(qn_collator_end(&me->collator, &error), &error);
}

/* Records of other values under the keys of the world, by way of collators that follow those of the world. */
static void run_followers(const qn_collation *collation, sizes how, uint32_t each)
{
    kit_shape shape = world.shape;
    size_t next[RING_SIZE_MAX] = {0};
    bool over = false;
    shape.value_count = 7;
    for (uint32_t r = 0; r < ring.size; r++) {
        struct follower *me = &followers[r];
        *me = (struct follower){0};
        qn_collator_config config = {.comm = &ring.comms[r],
                                     .collation = *collation,
                                     .division = QN_DIVIDE_KEYS,
                                     .like = &world.ranks[r].collator,
                                     .pool_bytes = how.pool_bytes,
                                     .round_bytes = how.round_bytes * ring.size,
                                     .block_bytes = how.block_bytes,
                                     .scratch.directory = directory.path};
        kit_assert_ok(qn_collator_init(&me->collator, &config, &error), &error);
        for (uint32_t i = 0; i < each; i++)
            kit_pack_random(&me->input, &shape, &collation->layout, &world.state);
        kit_unpack(&me->input, &collation->layout);
    }
    for (uint64_t turns = 0; !over; turns++) {
        uint64_t ask;
        uint32_t ended = 0;
        if (turns == TURN_COUNT_MAX)
            ck_abort_msg("the ranks do not end");
        over = true;
        for (uint32_t r = 0; r < ring.size; r++) {
            if (kit_random_below(&world.state, 3) == 0) {
                ended += followers[r].collator.ended;
                over &= qn_collator_is_over(&followers[r].collator);
                continue; /* the others come by */
            }
            insert_all(&followers[r], &next[r]);
            if (qn_collator_progress(&followers[r].collator, &ask, &error) != QUERN_OK)
                ck_abort_msg("%s", error.text);
            for (uint32_t to = 0; ask != UINT64_MAX && to < ring.size; to++)
                qn_collator_announce(&followers[to].collator, ask);
            ended += followers[r].collator.ended;
            over &= qn_collator_is_over(&followers[r].collator);
        }
        for (uint32_t r = 0; ended == ring.size && r < ring.size; r++)
            qn_collator_announce(&followers[r].collator, UINT64_MAX);
    }
}

/* The first and the last record of what a rank has in both; false: nothing. */
static bool find_ends(const kit_packed *kept, const kit_packed *moved, const qn_packed **first, const qn_packed **last)
{
    *first = *last = NULL;
    for (int i = 0; i < 2; i++) {
        const kit_packed *of = i == 0 ? kept : moved;
        if (of->count == 0)
            continue;
        if (!*first || qn_collation_compare_keys(&world.collation, &of->items[0], *first) < 0)
            *first = &of->items[0];
        if (!*last || qn_collation_compare_keys(&world.collation, &of->items[of->count - 1], *last) > 0)
            *last = &of->items[of->count - 1];
    }
    return *first != NULL;
}

/* All keys of a rank, in both, come before those of the next. */
static void check_side_by_side(uint64_t record_count)
{
    kit_packed kept[RING_SIZE_MAX], moved[RING_SIZE_MAX];
    const qn_packed *before = NULL, *first, *last;
    uint64_t count = 0;
    for (uint32_t r = 0; r < ring.size; r++) {
        kept[r] = read_result(&world.ranks[r].collator);
        moved[r] = read_result(&followers[r].collator);
        count += moved[r].count;
        for (size_t i = 1; i < moved[r].count; i++)
            if (qn_collation_compare(&world.collation, &moved[r].items[i - 1], &moved[r].items[i]) > 0)
                ck_abort_msg("rank %u, record %zu: not sorted", r, i);
        if (!find_ends(&kept[r], &moved[r], &first, &last))
            continue;
        if (before)
            ck_assert_int_lt(qn_collation_compare_keys(&world.collation, before, first), 0);
        before = last;
    }
    ck_assert_uint_eq(count, record_count);
    for (uint32_t r = 0; r < ring.size; r++) {
        kit_free_packed(&kept[r]);
        kit_free_packed(&moved[r]);
    }
}

START_TEST(a_collator_with_the_cuts_of_another_has_each_key_where_that_one_has_it)
{
    for (uint64_t seed = 0; seed < 16; seed++) {
        uint64_t state = seed;
        kit_shape shape = {.kind = QN_COLLATE_BY_HASH,
                           .key_type = seed % 2 ? QUERN_BYTES : QUERN_U64,
                           .value_type = QUERN_BYTES,
                           .key_count = seed % 3 ? 3000 : 4,
                           .value_count = 50,
                           .hot_percent = seed % 4 == 3 ? 60 : 0};
        sizes how = {seed % 5 ? 64 << 10 : 4096 << 10, 2048, 4096};
        uint32_t each = seed % 7 == 6 ? 0 : 300;
        open_world(1 + (uint32_t)kit_random_below(&state, 7), &shape, QN_DIVIDE_KEYS, how, seed);
        if (seed % 8 != 5)
            fill_inputs(400);
        run_world();
        bool retires = seed % 2;
        for (uint32_t r = 0; retires && r < ring.size; r++) {
            kit_assert_ok(qn_collator_retire(&world.ranks[r].collator, &error), &error);
            if (r % 2)
                kit_assert_ok(qn_collator_shrink(&world.ranks[r].collator, &error), &error);
        }
        qn_collation collation = world.collation;
        run_followers(&collation, how, each);
        check_side_by_side((uint64_t)each * ring.size);
        for (uint32_t r = 0; r < ring.size; r++) {
            qn_collator_fini(&followers[r].collator);
            kit_free_packed(&followers[r].input);
        }
        close_world();
    }
}
END_TEST

static const qn_splitters *cut_hot(uint32_t size, uint32_t hot_percent, uint64_t key_count)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_HASH,
                       .key_type = QUERN_U64,
                       .value_type = QUERN_U64,
                       .key_count = key_count,
                       .value_count = 50,
                       .hot_percent = hot_percent};
    open_world(size, &shape, QN_DIVIDE_KEYS, (sizes){1 << 20, 4096, 4096}, 3);
    fill_inputs(2000);
    run_world();
    return &world.ranks[0].collator.splitters;
}

START_TEST(hot_keys_and_cuts_that_are_uneven_for_others_are_known)
{
    const qn_splitters *cuts = cut_hot(4, 0, 100000);
    ck_assert(!cuts->has_hot_key && !cuts->is_uneven);
    close_world();
    cuts = cut_hot(4, 30, 100000);
    ck_assert(cuts->has_hot_key && !cuts->is_uneven);
    close_world();
    cuts = cut_hot(6, 95, 100000);
    ck_assert(cuts->has_hot_key && cuts->is_uneven);
    close_world();
    cuts = cut_hot(7, 0, 2);
    ck_assert(cuts->has_hot_key && cuts->is_uneven);
    close_world();
    cuts = cut_hot(1, 0, 2);
    ck_assert(!cuts->has_hot_key && !cuts->is_uneven);
    close_world();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        all_records_come_out_sorted_and_once_in_every_shape_and_any_order_of_turns,
        giant_records_reach_every_rank_that_needs_them,
        a_giant_record_is_packed_once_however_many_pieces_it_takes,
        rounds_do_not_leave_before_the_records_that_wait_for_them,
        ranks_with_nothing_get_their_part,
        a_discard_in_any_state_ends_all_ranks,
        the_sample_is_of_all_that_was_held_and_not_of_its_begin,
        input_with_a_period_is_sampled_all_the_same,
        records_that_differ_late_or_never_are_spread_too,
        records_that_differ_behind_thousands_of_bytes_are_divided_where_samples_have_room,
        a_collator_with_the_cuts_of_another_has_each_key_where_that_one_has_it,
        hot_keys_and_cuts_that_are_uneven_for_others_are_known,
    };
    return kit_run_tests("collator", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
