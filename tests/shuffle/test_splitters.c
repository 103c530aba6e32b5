/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/test_splitters.c: every record gets a rank, in the order of the records, each rank about as many, and no key that must
 * stay whole is parted. Streams of records are routed and looked at; samples are taken from the same streams, or from others.
 */
#include "tests/shuffle/collatekit.h"

#include <math.h>

#define SIZE_MAX_TESTED 64

static qn_error error;
static qn_collation collation;
static qn_splitters splitters;
static kit_packed samples[SIZE_MAX_TESTED];

static void set_up(void)
{
    qn_error_clear(&error);
}

static void free_samples(void)
{
    qn_splitters_fini(&splitters);
    for (uint32_t rank = 0; rank < SIZE_MAX_TESTED; rank++)
        kit_free_packed(&samples[rank]);
}

/* Cuts by samples[], of which each stands for `each` records of its rank. */
static quern_status cut(qn_division division, uint32_t size, uint64_t each)
{
    qn_rank_sample given[SIZE_MAX_TESTED];
    for (uint32_t rank = 0; rank < size; rank++)
        given[rank] = (qn_rank_sample){samples[rank].bytes, samples[rank].used_bytes, samples[rank].count * each};
    return qn_splitters_init(&splitters, &collation, division, given, size, &error);
}

/* Where each record of a stream goes. */
typedef struct routed {
    uint32_t first, last;
} routed;

static routed *route_all(const kit_packed *stream, uint32_t size)
{
    routed *to = kit_take(stream->count * sizeof *to);
    for (size_t i = 0; i < stream->count; i++) {
        qn_splitters_route(&splitters, &stream->items[i], &to[i].first, &to[i].last);
        if (to[i].first > to[i].last || to[i].last >= size)
            ck_abort_msg("record %zu goes to ranks %u to %u of %u", i, to[i].first, to[i].last, size);
        if (to[i].first != to[i].last && (!collation.layout.has_side || stream->items[i].side != QN_SIDE_INNER))
            ck_abort_msg("record %zu, which is not an inner one, goes to several ranks", i);
    }
    return to;
}

/* `stream` is sorted. Records that are the same bytes may go to a stretch of ranks; what is behind them must not go before. */
static void check_monotone(const kit_packed *stream, const routed *to)
{
    uint32_t reached = 0, reached_by_equals = 0;
    for (size_t i = 0; i < stream->count; i++) {
        if (i > 0 && qn_collation_compare(&collation, &stream->items[i - 1], &stream->items[i]) != 0)
            reached = reached_by_equals;
        if (to[i].first < reached)
            ck_abort_msg("record %zu goes to rank %u, one before it to %u", i, to[i].first, reached);
        if (to[i].first > reached_by_equals)
            reached_by_equals = to[i].first;
    }
}

/* The records of the key at `begin`: up to where. */
static size_t end_of_key(const kit_packed *stream, size_t begin)
{
    size_t end = begin + 1;
    while (end < stream->count &&
           qn_collation_compare_keys(&collation, &stream->items[begin], &stream->items[end]) == 0)
        end++;
    return end;
}

static void check_whole_keys(const kit_packed *stream, const routed *to)
{
    for (size_t i = 1; i < stream->count; i++)
        if (qn_collation_compare_keys(&collation, &stream->items[i - 1], &stream->items[i]) == 0 &&
            to[i].first != to[i - 1].first)
            ck_abort_msg("the key of record %zu is parted", i);
}

/* Of one key: where the outer records are, all inner ones are too; and who has only a part knows it. */
static void check_joined_key(const kit_packed *stream, const routed *to, size_t begin, size_t end)
{
    uint32_t outer_first = UINT32_MAX, outer_last = 0;
    bool is_first;
    for (size_t i = begin; i < end; i++)
        if (stream->items[i].side == QN_SIDE_OUTER) {
            outer_first = to[i].first < outer_first ? to[i].first : outer_first;
            outer_last = to[i].first > outer_last ? to[i].first : outer_last;
        }
    for (size_t i = begin; i < end; i++) {
        const qn_packed *record = &stream->items[i];
        if (record->side != QN_SIDE_INNER)
            continue;
        if (outer_first <= outer_last && (to[i].first > outer_first || to[i].last < outer_last))
            ck_abort_msg("inner record %zu goes to ranks %u to %u, outer ones of its key to %u to %u", i, to[i].first,
                         to[i].last, outer_first, outer_last);
        for (uint32_t rank = to[i].first; rank <= to[i].last; rank++)
            if (qn_splitters_is_divided(&splitters, rank, record, &is_first) != (to[i].first < to[i].last) ||
                is_first != (rank == to[i].first))
                ck_abort_msg("rank %u of %u to %u is wrong about the key of record %zu being divided", rank,
                             to[i].first, to[i].last, i);
    }
    if (outer_first < outer_last)
        for (uint32_t rank = outer_first; rank <= outer_last; rank++)
            if (!qn_splitters_is_divided(&splitters, rank, &stream->items[begin], &is_first))
                ck_abort_msg("rank %u does not know that the key of record %zu is divided", rank, begin);
}

static void check_routes(const kit_packed *stream, qn_division division, uint32_t size)
{
    routed *to = route_all(stream, size);
    check_monotone(stream, to);
    if (division == QN_DIVIDE_KEYS)
        check_whole_keys(stream, to);
    if (collation.layout.has_side && division == QN_DIVIDE_OUTER)
        for (size_t begin = 0, end; begin < stream->count; begin = end) {
            end = end_of_key(stream, begin);
            check_joined_key(stream, to, begin, end);
        }
    free(to);
}

static kit_shape random_shape(uint64_t *state)
{
    static const uint64_t counts[] = {1, 2, 3, 10, 300, 100000};
    kit_shape shape = {
        .kind = (qn_collation_kind)kit_random_below(state, 3),
        .key_type = kit_random_below(state, 2) ? QUERN_BYTES : QUERN_U64,
        .value_type = kit_random_below(state, 2) ? QUERN_BYTES : QUERN_U64,
        .sides = kit_random_below(state, 2),
        .values_descending = kit_random_below(state, 2),
        .key_count = counts[kit_random_below(state, 6)],
        .value_count = counts[kit_random_below(state, 6)],
        .hot_percent = (uint32_t)kit_random_below(state, 2) * (uint32_t)kit_random_below(state, 100),
        .inner_percent = (uint32_t)kit_random_below(state, 101),
    };
    shape.descending = shape.kind != QN_COLLATE_BY_HASH && kit_random_below(state, 2);
    return shape;
}

static void make_stream(kit_packed *stream, const kit_shape *shape, size_t count, uint64_t *state)
{
    for (size_t i = 0; i < count; i++)
        kit_pack_random(stream, shape, &collation.layout, state);
    kit_sort_packed(stream, &collation);
}

START_TEST(routes_ascend_and_keep_together_what_belongs_together_in_every_shape)
{
    uint64_t state = 1;
    for (uint64_t round = 0; round < kit_rounds(2000); round++) {
        kit_shape shape = random_shape(&state);
        uint32_t size = 1 + (uint32_t)kit_random_below(&state, round % 10 ? 9 : SIZE_MAX_TESTED);
        uint64_t sampled = kit_random_below(&state, 3) ? kit_random_below(&state, 60) : kit_random_below(&state, 4);
        qn_division division = shape.sides ? (kit_random_below(&state, 4) ? QN_DIVIDE_OUTER : QN_DIVIDE_KEYS)
                                           : (qn_division)kit_random_below(&state, 2);
        collation = kit_collation_of(&shape);
        for (uint32_t rank = 0; rank < size; rank++)
            for (uint64_t i = 0; i < sampled * kit_random_below(&state, 3); i++)
                kit_pack_random(&samples[rank], &shape, &collation.layout, &state);
        kit_packed stream = {0};
        make_stream(&stream, &shape, 400, &state);
        kit_assert_ok(cut(division, size, 1 + kit_random_below(&state, 50)), &error);
        check_routes(&stream, division, size);
        kit_free_packed(&stream);
        free_samples();
    }
}
END_TEST

START_TEST(a_key_that_is_mostly_inner_records_keeps_the_cuts_in_order)
{
    static const uint32_t inner_percents[] = {50, 80, 90, 97, 99};
    uint64_t state = 2;
    for (int i = 0; i < 5; i++)
        for (uint32_t size = 2; size <= 17; size += 3) {
            kit_shape shape = {.kind = QN_COLLATE_BY_HASH,
                               .key_type = QUERN_U64,
                               .value_type = QUERN_U64,
                               .sides = true,
                               .key_count = 50,
                               .value_count = 1000,
                               .hot_percent = 80,
                               .inner_percent = inner_percents[i]};
            collation = kit_collation_of(&shape);
            for (uint32_t rank = 0; rank < size; rank++)
                for (int sample = 0; sample < 300; sample++)
                    kit_pack_random(&samples[rank], &shape, &collation.layout, &state);
            kit_packed stream = {0};
            make_stream(&stream, &shape, 3000, &state);
            kit_assert_ok(cut(QN_DIVIDE_OUTER, size, 10), &error);
            for (uint32_t c = 1; c < splitters.count; c++) {
                int order =
                    qn_collation_compare_keys(&collation, &splitters.cuts[c - 1].record, &splitters.cuts[c].record);
                ck_assert_int_le(order, 0);
            }
            check_routes(&stream, QN_DIVIDE_OUTER, size);
            kit_free_packed(&stream);
            free_samples();
        }
}
END_TEST

START_TEST(without_samples_all_records_go_to_one_rank)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_BYTES, .key_count = 100, .value_count = 3};
    uint64_t state = 3;
    collation = kit_collation_of(&shape);
    for (uint32_t size = 1; size <= 9; size += 4) {
        kit_packed stream = {0};
        make_stream(&stream, &shape, 500, &state);
        kit_assert_ok(cut(QN_DIVIDE_RECORDS, size, 1), &error);
        routed *to = route_all(&stream, size);
        for (size_t i = 0; i < stream.count; i++)
            ck_assert_uint_eq(to[i].first, to[0].first);
        free(to);
        kit_free_packed(&stream);
        free_samples();
    }
}
END_TEST

START_TEST(one_sample_alone_divides_what_is_before_it_from_what_is_behind)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .key_count = 1000, .value_count = 1};
    uint64_t state = 4;
    collation = kit_collation_of(&shape);
    kit_packed stream = {0};
    make_stream(&stream, &shape, 500, &state);
    for (int division = QN_DIVIDE_RECORDS; division <= QN_DIVIDE_KEYS; division++)
        for (uint32_t size = 2; size <= 7; size++) {
            kit_pack(&samples[size / 2], &shape, &collation.layout, 500, 0, QN_SIDE_INNER, 0);
            kit_assert_ok(cut((qn_division)division, size, 100), &error);
            check_routes(&stream, (qn_division)division, size);
            routed *to = route_all(&stream, size);
            ck_assert_uint_lt(to[0].first, to[stream.count - 1].first);
            free(to);
            free_samples();
        }
    kit_free_packed(&stream);
}
END_TEST

START_TEST(a_sample_that_does_not_fit_its_block_is_refused)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY,
                       .key_type = QUERN_BYTES,
                       .value_type = QUERN_BYTES,
                       .key_count = 100000,
                       .value_count = 100000};
    uint64_t state = 5;
    collation = kit_collation_of(&shape);
    for (uint32_t rank = 0; rank < 3; rank++)
        for (int i = 0; i < 5; i++)
            kit_pack_random(&samples[rank], &shape, &collation.layout, &state);
    samples[1].used_bytes--;
    ck_assert_int_eq(cut(QN_DIVIDE_RECORDS, 3, 1), QUERN_ERROR_CORRUPT);
    qn_splitters_fini(&splitters);
    samples[1].used_bytes++;
    memset(samples[2].bytes, 0xff, 4); /* the length of a key */
    qn_error_clear(&error);
    ck_assert_int_eq(cut(QN_DIVIDE_RECORDS, 3, 1), QUERN_ERROR_CORRUPT);
    free_samples();
}
END_TEST

/* ---- load ---- */

/* Numbers of keys with frequencies as 1 / rank^1.2. */
#define ZIPF_COUNT 20000
#ifdef __SANITIZE_ADDRESS__
#define ROUTED_COUNT   100000 /* each takes many times as long */
#define SIZES_OF_LOADS 2, 7
#else
#define ROUTED_COUNT   200000
#define SIZES_OF_LOADS 2, 3, 7, 64
#endif
static double zipf_sums[ZIPF_COUNT];

static uint64_t draw_zipf(uint64_t *state)
{
    double point = (double)(kit_random(state) >> 11) / 9007199254740992.0 * zipf_sums[ZIPF_COUNT - 1];
    uint64_t first = 0, end = ZIPF_COUNT - 1;
    while (first < end) {
        uint64_t middle = (first + end) / 2;
        if (zipf_sums[middle] < point)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

#define HOT_KEY 7

/* What keys are drawn from. */
typedef struct source {
    const char *name;
    bool zipf;
    uint32_t hot_percent;
    uint64_t value_count;
    bool hot_is_inner; /* the hot key has no outer records */
} source;

static uint64_t draw_key(const source *from, uint64_t *state)
{
    if (from->zipf)
        return draw_zipf(state);
    return kit_random_below(state, 100) < from->hot_percent ? HOT_KEY : kit_random_below(state, ZIPF_COUNT);
}

static uint32_t draw_side(const kit_shape *shape, const source *from, uint64_t key, uint32_t inner_percent,
                          uint64_t *state)
{
    if (inner_percent == 0)
        return shape->sides;
    if (from->hot_is_inner && key == HOT_KEY)
        return QN_SIDE_INNER;
    return kit_random_below(state, 100) < inner_percent ? QN_SIDE_INNER : QN_SIDE_OUTER;
}

static void prepare_zipf(void)
{
    double sum = 0;
    for (int i = 0; i < ZIPF_COUNT; i++)
        zipf_sums[i] = sum += pow(i + 1, -1.2);
}

/* What ranks have when a stream of as many samples and many more records is routed. inner_percent: of the records of a join. */
typedef struct loads {
    double most, mean, mean_without_copies;
    double hottest_inner; /* the records of the two keys that have most of them */
} loads;

static double two_largest(const uint32_t counts[ZIPF_COUNT])
{
    uint32_t first = 0, second = 0;
    for (int key = 0; key < ZIPF_COUNT; key++) {
        second = counts[key] > first ? first : counts[key] > second ? counts[key] : second;
        first = counts[key] > first ? counts[key] : first;
    }
    return (double)first + second;
}

static loads measure_loads(const kit_shape *shape, const source *from, qn_division division, uint32_t size,
                           uint32_t inner_percent)
{
    static uint32_t inner_counts[ZIPF_COUNT];
    uint64_t state = 6, of_rank[SIZE_MAX_TESTED] = {0}, sum = 0, most = 0;
    uint32_t sampled = 65536 / size < 4096 ? 65536 / size : 4096;
    collation = kit_collation_of(shape);
    for (uint32_t rank = 0; rank < size; rank++)
        for (uint32_t i = 0; i < sampled; i++) {
            uint64_t key = draw_key(from, &state);
            kit_pack(&samples[rank], shape, &collation.layout, key, kit_random_below(&state, from->value_count),
                     draw_side(shape, from, key, inner_percent, &state), 0);
        }
    kit_assert_ok(cut(division, size, 50), &error);
    memset(inner_counts, 0, sizeof inner_counts);
    for (int i = 0; i < ROUTED_COUNT; i++) {
        struct {
            uint64_t number, slack[2];
        } key = {draw_key(from, &state), {0}}, value = {kit_random_below(&state, from->value_count), {0}};
        qn_packed record = {.key = (const uint8_t *)&key,
                            .value = (const uint8_t *)&value,
                            .key_bytes = 8,
                            .value_bytes = 8,
                            .side = draw_side(shape, from, key.number, inner_percent, &state)};
        uint32_t first, last;
        inner_counts[key.number] += shape->sides && record.side == QN_SIDE_INNER;
        record.prefix = collation.layout.has_tag ? qn_key_of(&key, 8).tag : qn_order_prefix(QUERN_U64, record.key, 8);
        qn_splitters_route(&splitters, &record, &first, &last);
        for (; first <= last; first++, sum++)
            of_rank[first]++;
    }
    for (uint32_t rank = 0; rank < size; rank++)
        most = of_rank[rank] > most ? of_rank[rank] : most;
    free_samples();
    return (loads){(double)most, (double)sum / size, (double)ROUTED_COUNT / size, two_largest(inner_counts)};
}

START_TEST(the_busiest_rank_has_at_most_a_fifth_more_than_the_mean_whatever_the_keys)
{
    static const source sources[] = {
        {"zipf", .zipf = true, .value_count = 1000000},
        {"zipf, equal values", .zipf = true, .value_count = 1},
        {"half one key", .hot_percent = 50, .value_count = 1000000},
        {"half one record", .hot_percent = 50, .value_count = 1},
        {"all one record", .hot_percent = 100, .value_count = 1},
        {"all different", .value_count = 1000000},
    };
    static const uint32_t sizes[] = {SIZES_OF_LOADS};
    prepare_zipf();
    for (size_t s = 0; s < sizeof sources / sizeof *sources; s++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int joined = 0; joined < 2; joined++) {
                kit_shape shape = {.kind = joined ? QN_COLLATE_BY_HASH : QN_COLLATE_BY_KEY,
                                   .key_type = QUERN_U64,
                                   .value_type = QUERN_U64,
                                   .sides = joined};
                loads got =
                    measure_loads(&shape, &sources[s], joined ? QN_DIVIDE_OUTER : QN_DIVIDE_RECORDS, sizes[i], 0);
                ck_assert_msg(got.most <= 1.2 * got.mean, "%s, %s: %.3f of the mean on %u ranks", sources[s].name,
                              joined ? "outer" : "records", got.most / got.mean, sizes[i]);
            }
}
END_TEST

/* A rank begins within a key, has its inner records too, and ends in front of another one, since it cannot end among its inner records: so it may
 * have a share and the inner records of two keys. */
START_TEST(where_both_sides_have_hot_keys_a_rank_has_a_share_and_the_inner_records_of_two_keys_at_most)
{
    static const source sources[] = {
        {"zipf", .zipf = true, .value_count = 1000000},
        {"half one key", .hot_percent = 50, .value_count = 1000000},
        {"a tenth one key", .hot_percent = 10, .value_count = 1000000},
        {"all one key", .hot_percent = 100, .value_count = 1000000},
        {"half one inner key", .hot_percent = 50, .value_count = 1000000, .hot_is_inner = true},
        {"a tenth one inner key", .hot_percent = 10, .value_count = 1000000, .hot_is_inner = true},
    };
    static const uint32_t sizes[] = {SIZES_OF_LOADS}, inner_percents[] = {10, 50};
    const kit_shape shape = {.kind = QN_COLLATE_BY_HASH, .key_type = QUERN_U64, .value_type = QUERN_U64, .sides = true};
    prepare_zipf();
    for (size_t s = 0; s < sizeof sources / sizeof *sources; s++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t p = 0; p < sizeof inner_percents / sizeof *inner_percents; p++) {
                loads got = measure_loads(&shape, &sources[s], QN_DIVIDE_OUTER, sizes[i], inner_percents[p]);
                ck_assert_msg(got.most <= 1.2 * (got.mean_without_copies + got.hottest_inner),
                              "%s, %u %% inner: %.0f on one of %u ranks, of %.0f on each and %.0f of two keys",
                              sources[s].name, inner_percents[p], got.most, sizes[i], got.mean_without_copies,
                              got.hottest_inner);
                ck_assert_msg(!sources[s].zipf || got.most <= 1.2 * got.mean,
                              "%u %% inner: %.3f of the mean on %u ranks", inner_percents[p], got.most / got.mean,
                              sizes[i]);
            }
}
END_TEST

START_TEST(a_rank_that_held_more_counts_more)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .key_count = 1000, .value_count = 1};
    collation = kit_collation_of(&shape);
    for (uint64_t i = 0; i < 100; i++) { /* rank 0: 1000 records of small keys; rank 1: 9000 of large ones */
        kit_pack(&samples[0], &shape, &collation.layout, i, 0, 0, 0);
        kit_pack(&samples[1], &shape, &collation.layout, 1000 + i, 0, 0, 0);
    }
    const qn_rank_sample given[] = {{samples[0].bytes, samples[0].used_bytes, 1000},
                                    {samples[1].bytes, samples[1].used_bytes, 9000}};
    kit_assert_ok(qn_splitters_init(&splitters, &collation, QN_DIVIDE_RECORDS, given, 2, &error), &error);
    uint64_t cut_key;
    memcpy(&cut_key, splitters.cuts[0].record.key, sizeof cut_key);
    ck_assert_uint_ge(cut_key, 1043); /* 5000 records are before 1044 */
    ck_assert_uint_le(cut_key, 1046);
    free_samples();
}
END_TEST

START_TEST(thousands_of_ranks_are_cut_in_little_time_though_all_records_are_equal)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .value_type = QUERN_U64};
    enum { SIZE = 2000, EACH = 32 };
    collation = kit_collation_of(&shape);
    for (int i = 0; i < EACH; i++)
        kit_pack(&samples[0], &shape, &collation.layout, 1, 1, 0, 0);
    qn_rank_sample *given = kit_take(SIZE * sizeof *given);
    for (int rank = 0; rank < SIZE; rank++)
        given[rank] = (qn_rank_sample){samples[0].bytes, samples[0].used_bytes, 1000};
    double start_ms = kit_now_ms();
    kit_assert_ok(qn_splitters_init(&splitters, &collation, QN_DIVIDE_RECORDS, given, SIZE, &error), &error);
    ck_assert_double_lt(kit_now_ms() - start_ms, 1000);
    free(given);
    free_samples();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        routes_ascend_and_keep_together_what_belongs_together_in_every_shape,
        a_key_that_is_mostly_inner_records_keeps_the_cuts_in_order,
        without_samples_all_records_go_to_one_rank,
        one_sample_alone_divides_what_is_before_it_from_what_is_behind,
        a_sample_that_does_not_fit_its_block_is_refused,
        the_busiest_rank_has_at_most_a_fifth_more_than_the_mean_whatever_the_keys,
        where_both_sides_have_hot_keys_a_rank_has_a_share_and_the_inner_records_of_two_keys_at_most,
        a_rank_that_held_more_counts_more,
        thousands_of_ranks_are_cut_in_little_time_though_all_records_are_equal,
    };
    return kit_run_tests("splitters", tests, sizeof tests / sizeof *tests, set_up, NULL);
}
