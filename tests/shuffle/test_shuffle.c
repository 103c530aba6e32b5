/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/test_shuffle.c: a reduction gives the same rows in the same order whether records are combined where they are or step
 * aside, on any number of ranks, in memory and with spilling. The ranks are in one process; the model is one rank with much
 * memory on which nothing steps aside.
 */
#include "runtime/shuffle/shuffle.h"
#include "tests/shuffle/ringkit.h"

#define BATCH_COUNT    300
#define KEY_ROOM_BYTES 6000
#define TURN_COUNT_MAX 4000000
#define NEVER          ((uint64_t)1 << 50)
#define AT_ONCE        ((uint64_t)2 << 10) /* of keys and values in a table */
#define FEW_RECORDS    20000
#define MANY_RECORDS   120000

static uint64_t record_count = FEW_RECORDS;
static uint64_t rest_at; /* a record where all ranks rest; 0: none */
static kit_directory directory;
static qn_error error;

static void set_up(void)
{
    record_count = FEW_RECORDS;
    rest_at = 0;
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

/* ---- records by number ---- */

typedef enum course {
    DISTINCT, /* nearly no key comes twice */
    FEW,      /* few keys */
    FEW_THEN_DISTINCT,
    DISTINCT_THEN_FEW,
    IN_ORDER, /* of the hash, as an earlier output is */
    ONE_HOT,  /* a third are of one key, the rest distinct */
} course;

typedef struct job {
    quern_type key_type; /* QUERN_BYTES, QUERN_U64, QUERN_FIXED of 12 bytes */
    quern_type value_type;
    qn_reducer reducer;
    course course;
    uint32_t large_per_mille; /* keys that no pile takes, and some that no chunk does */
} job;

static uint64_t key_number(const job *of, uint64_t number)
{
    uint64_t state = number, random = kit_random(&state), half = record_count / 2;
    switch (of->course) {
    case FEW:
        return random % 50;
    case FEW_THEN_DISTINCT:
        return number < half ? random % 50 : number % (record_count - 9);
    case DISTINCT_THEN_FEW:
        return number < half ? number : random % 50;
    case ONE_HOT:
        return random % 3 ? number : 7;
    default:
        return number % (record_count - 9);
    }
}

static uint32_t make_key(const job *of, uint64_t number, uint8_t *room)
{
    uint64_t key = key_number(of, number), state = key, random = kit_random(&state);
    if (of->course == IN_ORDER) {
        uint64_t tiny = qn_unhash_tiny(key * ((UINT64_C(1) << 56) / record_count));
        memcpy(room, &tiny, 8);
        return 7;
    }
    memset(room, 'k', of->large_per_mille > 0 ? KEY_ROOM_BYTES : 64);
    memcpy(room, &key, 8);
    memcpy(room + 8, &random, 4);
    if (of->key_type != QUERN_BYTES)
        return of->key_type == QUERN_U64 ? 8 : 12;
    if (random % 1000 < of->large_per_mille)
        return 130 + (uint32_t)(random >> 20) % (random % 7 ? 200 : KEY_ROOM_BYTES - 200);
    return 5 + (uint32_t)(random >> 20) % 36;
}

/* ---- a world of ranks ---- */

typedef struct sizes {
    uint32_t ranks;
    uint64_t pool_bytes;
    size_t round_bytes;
    uint64_t aside_bytes_min;
} sizes;

static struct world {
    qn_shuffle shuffles[RING_SIZE_MAX];
    uint64_t next[RING_SIZE_MAX]; /* record; each rank has each ranks-th */
    bool ended[RING_SIZE_MAX];
    uint8_t keys[BATCH_COUNT][KEY_ROOM_BYTES + QN_SLACK_BYTES];
    uint64_t values[BATCH_COUNT];
    const void *key[BATCH_COUNT], *value[BATCH_COUNT];
    uint32_t key_bytes[BATCH_COUNT], value_bytes[BATCH_COUNT];
} world;

/* The rows of the ranks, one behind the other. */
typedef struct rows {
    uint8_t *bytes;
    uint64_t used_bytes, capacity_bytes, count;
} rows;

static void open_world(const job *of, const sizes *how)
{
    memset(&world, 0, sizeof world);
    ring_open(how->ranks);
    for (uint32_t rank = 0; rank < how->ranks; rank++) {
        qn_shuffle_config config = {.comm = &ring.comms[rank],
                                    .reducer = &of->reducer,
                                    .schema = {of->key_type, of->value_type, 0, of->key_type == QUERN_FIXED ? 12 : 0},
                                    .pool_bytes = how->pool_bytes,
                                    .round_bytes = how->round_bytes,
                                    .block_bytes = 8192,
                                    .scratch.directory = directory.path,
                                    .aside_bytes_min = how->aside_bytes_min};
        kit_assert_ok(qn_shuffle_init(&world.shuffles[rank], &config, &error), &error);
        world.next[rank] = rank;
    }
}

static void close_world(const sizes *how)
{
    for (uint32_t rank = 0; rank < how->ranks; rank++)
        qn_shuffle_fini(&world.shuffles[rank]);
    ring_close();
}

/* The next records of a rank. */
static quern_block make_block(const job *of, const sizes *how, uint32_t rank)
{
    quern_block block = {0, world.key, world.key_bytes, world.value, world.value_bytes};
    uint64_t end = rest_at > 0 ? rest_at : record_count;
    for (uint64_t number = world.next[rank]; number < end && block.count < BATCH_COUNT; number += how->ranks) {
        size_t i = block.count++;
        double real = (double)(number % 1000) / 7;
        world.key[i] = world.keys[i];
        world.key_bytes[i] = make_key(of, number, world.keys[i]);
        world.values[i] = number * 3 - 77;
        if (of->value_type == QUERN_F64)
            memcpy(&world.values[i], &real, sizeof real);
        world.value[i] = &world.values[i];
        world.value_bytes[i] = 8;
    }
    if (of->value_type == QUERN_NONE)
        block.value = NULL;
    return block;
}

static quern_status take_turn(const job *of, const sizes *how, uint32_t rank)
{
    qn_shuffle *shuffle = &world.shuffles[rank];
    uint64_t ask;
    quern_status status = QUERN_OK;
    if (!world.ended[rank] && !qn_shuffle_is_blocked(shuffle)) {
        size_t done = 0;
        quern_block block = make_block(of, how, rank);
        if (block.count > 0)
            status = qn_shuffle_insert(shuffle, &(qn_batch){.block = block}, &done, &error);
        else {
            world.ended[rank] = true;
            status = rest_at > 0 ? qn_shuffle_rest(shuffle, &error) : qn_shuffle_end(shuffle, &error);
        }
        world.next[rank] += done * how->ranks;
    }
    if (status == QUERN_OK)
        status = qn_shuffle_progress(shuffle, &ask, &error);
    for (uint32_t to = 0; to < how->ranks && status == QUERN_OK && ask != UINT64_MAX; to++)
        qn_shuffle_announce(&world.shuffles[to], ask);
    return status;
}

/* Until the shuffle is over on all ranks, or fails on one. */
static quern_status run_world(const job *of, const sizes *how, uint64_t seed)
{
    bool announced = false;
    for (uint64_t turn = 0, state = seed; turn < TURN_COUNT_MAX; turn++) {
        uint32_t over = 0, ended = 0;
        quern_status status = take_turn(of, how, (uint32_t)kit_random_below(&state, how->ranks));
        if (status != QUERN_OK)
            return status;
        for (uint32_t rank = 0; rank < how->ranks; rank++) {
            over += qn_shuffle_is_over(&world.shuffles[rank]);
            ended += world.ended[rank];
        }
        for (uint32_t rank = 0; rank < how->ranks && ended == how->ranks && !announced; rank++)
            qn_shuffle_announce(&world.shuffles[rank], UINT64_MAX);
        announced = ended == how->ranks;
        if (over == how->ranks)
            return QUERN_OK;
    }
    ck_abort_msg("it does not end");
}

static void add_row(rows *to, const qn_key *key, const uint64_t *value, uint32_t words)
{
    uint64_t key_bytes = qn_key_bytes(key), bytes = 8 + key_bytes + 8 * (uint64_t)words;
    if (to->used_bytes + bytes > to->capacity_bytes) {
        to->capacity_bytes = 2 * (to->used_bytes + bytes);
        to->bytes = realloc(to->bytes, to->capacity_bytes);
        ck_assert_ptr_nonnull(to->bytes);
    }
    uint8_t *at = to->bytes + to->used_bytes;
    memcpy(at, &key_bytes, 8);
    memcpy(at + 8, qn_key_data(key), key_bytes);
    memcpy(at + 8 + key_bytes, value, 8 * (size_t)words);
    to->used_bytes += bytes;
    to->count++;
}

static void read_merged(const job *of, qn_home *home, rows *to)
{
    const qn_key *key;
    const uint64_t *value;
    kit_assert_ok(qn_home_result_open(home, &error), &error);
    for (;;) {
        if (qn_home_result_next(home, &key, &value, &error) != QUERN_OK) /* an assertion that holds costs much more */
            ck_abort_msg("%s", error.text);
        if (!key)
            return;
        add_row(to, key, value, of->reducer.value_words);
    }
}

static void read_tables(const job *of, qn_home *home, bool ordered, rows *to)
{
    kit_assert_ok(qn_home_tables_open(home, ordered, &error), &error);
    for (qn_table *table;;) {
        const uint64_t *slots[100 + 1];
        uint64_t wide[QN_TABLE_NARROW_WORDS];
        if (qn_home_tables_next(home, &table, &error) != QUERN_OK)
            ck_abort_msg("%s", error.text);
        if (!table)
            return;
        qn_table_scan scan = qn_table_scan_of(table, 0, UINT64_MAX);
        for (size_t count; (count = qn_table_scan_take(&scan, slots, 100)) > 0;)
            for (size_t i = 0; i < count; i++) {
                qn_key key =
                    scan.tiny_left ? qn_key_of_tag(slots[i][0]) : (qn_key){slots[i][0], slots[i][1], slots[i][2]};
                add_row(to, &key, qn_table_scan_value(&scan, slots[i], wide), of->reducer.value_words);
            }
    }
}

static void expect_same(const rows *got, const rows *expected)
{
    ck_assert_uint_eq(got->count, expected->count);
    ck_assert_uint_eq(got->used_bytes, expected->used_bytes);
    ck_assert_int_eq(memcmp(got->bytes, expected->bytes, got->used_bytes), 0);
}

static void expect_balance(const sizes *how, uint64_t row_count)
{
    uint64_t in = 0, merged = 0;
    for (uint32_t rank = 0; rank < how->ranks; rank++) {
        const qn_shuffle *shuffle = &world.shuffles[rank];
        in += shuffle->stats.records_in;
        merged += shuffle->stats.merged + shuffle->home.merged + shuffle->home.result_merged;
    }
    ck_assert_uint_eq(in, record_count);
    ck_assert_uint_eq(in - merged, row_count);
}

static uint64_t sum_aside(const sizes *how)
{
    uint64_t sum = 0;
    for (uint32_t rank = 0; rank < how->ranks; rank++)
        sum += world.shuffles[rank].stats.records_aside;
    return sum;
}

static uint64_t sum_runs(const sizes *how)
{
    uint64_t sum = 0;
    for (uint32_t rank = 0; rank < how->ranks; rank++)
        sum += world.shuffles[rank].home.spill_runs;
    return sum;
}

static rows read_world(const job *of, const sizes *how)
{
    rows all = {0};
    for (uint32_t rank = 0; rank < how->ranks; rank++) {
        kit_assert_ok(qn_shuffle_finish(&world.shuffles[rank], &error), &error);
        read_merged(of, &world.shuffles[rank].home, &all);
    }
    expect_balance(how, all.count);
    return all;
}

/* Reads it in all the other ways, too. */
static void expect_rows(const job *of, const sizes *how, const rows *expected)
{
    rows all = read_world(of, how), again = {0}, kept = {0};
    expect_same(&all, expected);
    free(all.bytes);
    for (uint32_t rank = 0; rank < how->ranks; rank++) {
        qn_home *home = &world.shuffles[rank].home;
        rows loose = {0}, counted = {0};
        read_merged(of, home, &counted);
        if (qn_home_is_tables(home, false)) {
            read_tables(of, home, false, &loose);
            ck_assert_uint_eq(loose.count, counted.count);
            ck_assert_uint_eq(loose.used_bytes, counted.used_bytes);
        }
        if (qn_home_is_tables(home, true))
            read_tables(of, home, true, &again);
        else
            read_merged(of, home, &again);
        free(loose.bytes);
        free(counted.bytes);
    }
    expect_same(&again, expected);
    for (uint32_t rank = 0; rank < how->ranks; rank++) {
        qn_shuffle_retire(&world.shuffles[rank]);
        kit_assert_ok(qn_shuffle_shrink(&world.shuffles[rank], &error), &error);
        read_merged(of, &world.shuffles[rank].home, &kept);
    }
    expect_balance(how, kept.count);
    expect_same(&kept, expected);
    free(again.bytes);
    free(kept.bytes);
}

static rows model_of(const job *of)
{
    sizes alone = {1, (uint64_t)15 << 20, 65536, NEVER};
    open_world(of, &alone);
    kit_assert_ok(run_world(of, &alone, 1), &error);
    ck_assert_uint_eq(sum_aside(&alone), 0);
    rows model = read_world(of, &alone);
    close_world(&alone);
    return model;
}

static void expect_alike(const job *of, bool steps)
{
    static const sizes ways[] = {
        {1, (uint64_t)12 << 20, 65536, AT_ONCE}, {2, (uint64_t)12 << 20, 65536, AT_ONCE},
        {3, (uint64_t)12 << 20, 8192, AT_ONCE},  {7, (uint64_t)12 << 20, 65536, AT_ONCE},
        {2, (uint64_t)12 << 20, 65536, NEVER},   {1, (uint64_t)1 << 18, 65536, AT_ONCE},
        {2, (uint64_t)1 << 19, 65536, AT_ONCE},  {3, (uint64_t)1 << 18, 65536, AT_ONCE},
    };
    rows model = model_of(of);
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        if (KIT_SANITIZED && !kit_is_chosen(way + (size_t)of->course, 2))
            continue;
        open_world(of, &ways[way]);
        kit_assert_ok(run_world(of, &ways[way], way), &error);
        if (ways[way].aside_bytes_min == NEVER)
            ck_assert_uint_eq(sum_aside(&ways[way]), 0);
        else if (steps)
            ck_assert_uint_gt(sum_aside(&ways[way]), record_count / 10);
        expect_rows(of, &ways[way], &model);
        close_world(&ways[way]);
    }
    free(model.bytes);
}

static job job_of(quern_type key_type, quern_reduction reduction, quern_type value_type, course way)
{
    job of = {.key_type = key_type, .value_type = value_type, .course = way};
    quern_type result;
    ck_assert(qn_reducer_choose(&of.reducer, reduction, value_type, &result, &error));
    of.reducer.key_type = key_type;
    return of;
}

/* ---- tests ---- */

START_TEST(integers_that_step_aside_have_the_same_sums)
{
    for (course way = DISTINCT; way <= ONE_HOT; way++) {
        job of = job_of(QUERN_U64, QUERN_SUM, QUERN_I64, way == IN_ORDER ? DISTINCT : way);
        expect_alike(&of, way != FEW);
    }
}
END_TEST

START_TEST(keys_of_any_length_step_aside)
{
    for (course way = DISTINCT; way <= ONE_HOT; way++) {
        job of = job_of(QUERN_BYTES, QUERN_COUNT, QUERN_NONE, way);
        expect_alike(&of, way != FEW);
    }
}
END_TEST

START_TEST(keys_too_large_for_piles_and_chunks_are_combined_meanwhile)
{
    job of = job_of(QUERN_BYTES, QUERN_SUM, QUERN_I64, DISTINCT);
    of.large_per_mille = 30;
    expect_alike(&of, true);
}
END_TEST

START_TEST(sums_of_doubles_have_the_same_bits)
{
    job of = job_of(QUERN_FIXED, QUERN_SUM, QUERN_F64, FEW_THEN_DISTINCT);
    expect_alike(&of, true);
    of = job_of(QUERN_U64, QUERN_MEAN, QUERN_F64, ONE_HOT);
    expect_alike(&of, true);
}
END_TEST

START_TEST(extremes_and_means_step_aside)
{
    job of = job_of(QUERN_BYTES, QUERN_MIN, QUERN_F64, DISTINCT_THEN_FEW);
    expect_alike(&of, true);
    of = job_of(QUERN_BYTES, QUERN_MAX, QUERN_I64, ONE_HOT);
    expect_alike(&of, true);
    of = job_of(QUERN_U64, QUERN_MEAN, QUERN_I64, DISTINCT);
    expect_alike(&of, true);
}
END_TEST

static int add_words(void *into, const void *value, void *user)
{
    (void)user;
    if ((uintptr_t)value % 8 != 0)
        return 1;
    *(uint64_t *)into += *(const uint64_t *)value;
    return 0;
}

static int begin(void *accumulator, void *user)
{
    (void)user;
    *(uint64_t *)accumulator = 0;
    return 0;
}

static int accumulate(void *accumulator, quern_span value, void *user)
{
    uint64_t *words = accumulator;
    (void)user;
    words[0] += quern_u64(value);
    words[1]++;
    return value.bytes == 8 ? 0 : 1;
}

static int merge(void *into, const void *from, void *user)
{
    uint64_t *words = into;
    (void)user;
    words[0] += ((const uint64_t *)from)[0];
    words[1] += ((const uint64_t *)from)[1];
    return 0;
}

START_TEST(reductions_of_the_user_step_aside)
{
    job of = {.key_type = QUERN_BYTES, .value_type = QUERN_U64, .course = DISTINCT_THEN_FEW};
    of.reducer = (qn_reducer){
        .kind = QN_REDUCER_USER, .value_bytes = 8, .value_words = 1, .key_type = QUERN_BYTES, .fn = add_words};
    expect_alike(&of, true);
    of.reducer = (qn_reducer){.kind = QN_REDUCER_AGGREGATE,
                              .value_bytes = 16,
                              .value_words = 2,
                              .key_type = QUERN_BYTES,
                              .fn = merge,
                              .init = begin,
                              .accumulate = accumulate};
    expect_alike(&of, true);
}
END_TEST

START_TEST(full_piles_settle_in_the_table_if_their_keys_have_room)
{
    /* Keys are distinct for a while, and come again and again later: the piles fill, their keys do not. */
    job of = job_of(QUERN_U64, QUERN_SUM, QUERN_I64, DISTINCT_THEN_FEW);
    sizes how = {1, (uint64_t)1 << 20, 65536, 1024};
    record_count = MANY_RECORDS;
    rows model = model_of(&of);
    open_world(&of, &how);
    world.shuffles[0].watch.aside_count_max = NEVER; /* it never looks again */
    kit_assert_ok(run_world(&of, &how, 1), &error);
    ck_assert_uint_gt(sum_aside(&how), record_count * 9 / 10);
    ck_assert_uint_le(sum_runs(&how), 8);
    expect_rows(&of, &how, &model);
    close_world(&how);
    free(model.bytes);
}
END_TEST

START_TEST(memory_stays_within_the_pool)
{
    job of = job_of(QUERN_U64, QUERN_SUM, QUERN_I64, DISTINCT);
    record_count = MANY_RECORDS;
    for (uint32_t ranks = 1; ranks <= 3; ranks++) {
        sizes how = {ranks, (uint64_t)1 << 20, 65536, AT_ONCE};
        open_world(&of, &how);
        kit_assert_ok(run_world(&of, &how, ranks), &error);
        ck_assert_uint_gt(sum_runs(&how), 0);
        for (uint32_t rank = 0; rank < ranks; rank++) {
            const qn_shuffle *shuffle = &world.shuffles[rank];
            ck_assert_uint_le(shuffle->stats.memory_bytes_peak, how.pool_bytes);
            ck_assert_uint_le(shuffle->home.bytes_peak, how.pool_bytes);
        }
        close_world(&how);
    }
}
END_TEST

START_TEST(who_steps_aside_looks_again)
{
    job of = job_of(QUERN_U64, QUERN_SUM, QUERN_I64, DISTINCT_THEN_FEW);
    sizes how = {2, (uint64_t)12 << 20, 65536, AT_ONCE};
    open_world(&of, &how);
    kit_assert_ok(run_world(&of, &how, 1), &error);
    ck_assert_uint_gt(sum_aside(&how), record_count / 10);
    for (uint32_t rank = 0; rank < 2; rank++)
        ck_assert(!world.shuffles[rank].watch.is_aside);
    close_world(&how);
}
END_TEST

/* What is read in between is what is there then. */
static void rest(const job *of, const sizes *how, uint64_t at)
{
    rows all = {0};
    rest_at = at;
    kit_assert_ok(run_world(of, how, at), &error);
    for (uint32_t rank = 0; rank < how->ranks; rank++) {
        kit_assert_ok(qn_shuffle_finish(&world.shuffles[rank], &error), &error);
        read_merged(of, &world.shuffles[rank].home, &all);
        qn_home_result_close(&world.shuffles[rank].home);
    }
    uint64_t whole = record_count;
    record_count = at;
    expect_balance(how, all.count);
    record_count = whole;
    for (uint32_t rank = 0; rank < how->ranks; rank++) {
        qn_shuffle_reopen(&world.shuffles[rank]);
        world.ended[rank] = false;
    }
    rest_at = 0;
    free(all.bytes);
}

START_TEST(a_shuffle_that_rests_goes_on_as_if_it_had_not)
{
    static const sizes ways[] = {
        {1, (uint64_t)12 << 20, 65536, AT_ONCE}, {2, (uint64_t)12 << 20, 65536, NEVER},
        {3, (uint64_t)12 << 20, 8192, AT_ONCE},  {1, (uint64_t)1 << 18, 65536, AT_ONCE},
        {2, (uint64_t)1 << 19, 65536, AT_ONCE},  {3, (uint64_t)1 << 18, 65536, NEVER},
    };
    for (course way = DISTINCT; way <= ONE_HOT; way++) {
        job of = job_of(QUERN_BYTES, QUERN_SUM, QUERN_I64, way);
        of.large_per_mille = way == DISTINCT ? 20 : 0;
        rows model = model_of(&of);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            if (KIT_SANITIZED && !kit_is_chosen(i + (size_t)way, 3))
                continue;
            open_world(&of, &ways[i]);
            rest(&of, &ways[i], 1);
            rest(&of, &ways[i], record_count / 3);
            rest(&of, &ways[i], record_count / 3);
            rest(&of, &ways[i], record_count - 5);
            kit_assert_ok(run_world(&of, &ways[i], i), &error);
            expect_rows(&of, &ways[i], &model);
            close_world(&ways[i]);
        }
        free(model.bytes);
    }
}
END_TEST

START_TEST(a_sum_that_overflows_in_a_pile_names_its_key)
{
    job of = job_of(QUERN_U64, QUERN_SUM, QUERN_U64, DISTINCT);
    sizes how = {1, (uint64_t)12 << 20, 65536, AT_ONCE};
    uint64_t key = 7, most = UINT64_MAX;
    const void *keys[] = {&key, &key}, *values[] = {&most, &most};
    uint32_t bytes[] = {8, 8};
    qn_batch two = {.block = {2, keys, bytes, values, bytes}};
    size_t next = 0;
    const qn_key *found;
    const uint64_t *value;
    open_world(&of, &how);
    qn_shuffle *shuffle = &world.shuffles[0];
    shuffle->watch.is_aside = true;
    kit_assert_ok(qn_shuffle_insert(shuffle, &two, &next, &error), &error);
    ck_assert_uint_eq(next, 2);
    kit_assert_ok(qn_shuffle_end(shuffle, &error), &error);
    kit_assert_ok(qn_shuffle_finish(shuffle, &error), &error);
    quern_status status = qn_home_result_open(&shuffle->home, &error);
    if (status == QUERN_OK)
        status = qn_home_result_next(&shuffle->home, &found, &value, &error);
    ck_assert_int_eq(status, QUERN_ERROR_OVERFLOW);
    ck_assert_ptr_nonnull(strstr(error.text, "\"7\""));
    close_world(&how);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        integers_that_step_aside_have_the_same_sums,
        keys_of_any_length_step_aside,
        keys_too_large_for_piles_and_chunks_are_combined_meanwhile,
        sums_of_doubles_have_the_same_bits,
        extremes_and_means_step_aside,
        reductions_of_the_user_step_aside,
        full_piles_settle_in_the_table_if_their_keys_have_room,
        memory_stays_within_the_pool,
        who_steps_aside_looks_again,
        a_shuffle_that_rests_goes_on_as_if_it_had_not,
        a_sum_that_overflows_in_a_pile_names_its_key,
    };
    return kit_run_tests("shuffle", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
