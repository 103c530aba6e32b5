/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/test_rounds.c: rows between ranks of one process arrive whole, in order and once, in chunks or in fragments.
 */
#include "tests/data/keykit.h"
#include "tests/shuffle/ringkit.h"

#define ROW_COUNT_MAX   4000
#define GIANT_BYTES_MAX 20000
#define VALUE_WORDS_MAX 32

static qn_error error;
static uint8_t *giant; /* bytes of long keys, which may begin anywhere in it */

/* What one rank sends another: rows in order, made from a seed on both sides. */
typedef struct stream {
    uint64_t state;
    size_t count;
    uint64_t sum; /* of lengths, for the account */
} stream;

typedef struct row {
    qn_key key;
    uint64_t value[VALUE_WORDS_MAX];
} row;

typedef struct rank {
    qn_rounds rounds;
    uint32_t number;
    stream sending[RING_SIZE_MAX], receiving[RING_SIZE_MAX];
    row next[RING_SIZE_MAX]; /* the row that is not sent yet */
    size_t left[RING_SIZE_MAX];
    uint64_t state;
    bool is_late;
} rank;

static rank ranks[RING_SIZE_MAX];
static uint32_t value_words, chunk_bytes;
static uint64_t giants_percent;

static row next_row(stream *from)
{
    row made = {0};
    uint64_t choice = kit_random_below(&from->state, 100);
    uint32_t bytes = (uint32_t)kit_random_below(&from->state, 41);
    if (choice < giants_percent)
        bytes = (uint32_t)kit_random_below(&from->state, GIANT_BYTES_MAX);
    else if (choice < giants_percent + 5) /* about the size of a chunk */
        bytes = chunk_bytes - 100 - 8 * value_words + (uint32_t)kit_random_below(&from->state, 200);
    made.key = qn_key_of(giant + kit_random_below(&from->state, 1000), bytes);
    for (uint32_t word = 0; word < value_words; word++)
        made.value[word] = kit_random(&from->state);
    from->count++;
    from->sum += bytes;
    return made;
}

/* Rows of a rank: those that it is to send, in their order. */
static quern_status receive(void *user, uint32_t from, const uint64_t *rows, uint64_t bytes, uint64_t row_count,
                            qn_error *of)
{
    rank *me = user;
    (void)of;
    for (uint64_t i = 0; i < row_count; i++) {
        qn_key key;
        const uint64_t *value;
        uint64_t row_bytes = qn_row_decode(rows, bytes, value_words, &key, &value);
        ck_assert_uint_gt(row_bytes, 0);
        row expected = next_row(&me->receiving[from]);
        if (qn_key_compare(&expected.key, &key) != 0 || memcmp(expected.value, value, 8 * (size_t)value_words) != 0)
            ck_abort_msg("row %zu from rank %u is another", me->receiving[from].count, from);
        rows += row_bytes / 8;
        bytes -= row_bytes;
    }
    ck_assert_uint_eq(bytes, 0);
    return QUERN_OK;
}

static void open_ranks(uint32_t size, uint32_t words, size_t rows_each, size_t round_bytes, uint64_t seed)
{
    ring_open(size);
    value_words = words;
    round_bytes = round_bytes > 0 ? round_bytes : size * QN_ROUNDS_CHUNK_BYTES_GOOD;
    chunk_bytes = (uint32_t)(round_bytes / size);
    chunk_bytes = chunk_bytes < QN_ROUNDS_CHUNK_BYTES_GOOD ? chunk_bytes : QN_ROUNDS_CHUNK_BYTES_GOOD;
    qn_error_clear(&error);
    for (uint32_t r = 0; r < size; r++) {
        memset(&ranks[r], 0, sizeof ranks[r]);
        ranks[r].number = r;
        ranks[r].state = seed + r;
        for (uint32_t other = 0; other < size; other++) {
            ranks[r].sending[other].state = seed * 10000 + r * 100 + other;
            ranks[r].receiving[other].state = seed * 10000 + other * 100 + r;
            ranks[r].left[other] = rows_each > 0 ? kit_random_below(&ranks[r].state, rows_each) : 0;
            ranks[r].next[other] = next_row(&ranks[r].sending[other]);
        }
        kit_assert_ok(qn_rounds_init(&ranks[r].rounds, &ring.comms[r], words, round_bytes, receive, &ranks[r], &error),
                      &error);
    }
}

static void close_ranks(void)
{
    for (uint32_t r = 0; r < ring.size; r++)
        qn_rounds_fini(&ranks[r].rounds);
    ring_close();
}

static void step_row(rank *me, uint32_t to)
{
    me->left[to]--;
    me->next[to] = next_row(&me->sending[to]);
}

/* Rows for one rank until there is no room: one at a time, or some into an opened chunk. */
static void fill(rank *me, uint32_t to)
{
    while (me->left[to] > 0) {
        if (kit_random_below(&me->state, 2)) {
            qn_rounds_chunk chunk = qn_rounds_open_chunk(&me->rounds, to);
            for (uint64_t most = kit_random_below(&me->state, 20); most > 0 && me->left[to] > 0; most--) {
                if (!qn_rounds_chunk_add(&chunk, &me->next[to].key, me->next[to].value, value_words))
                    break;
                step_row(me, to);
            }
            qn_rounds_close_chunk(&me->rounds, to, &chunk);
        }
        if (me->left[to] == 0)
            return;
        if (!qn_rounds_put(&me->rounds, to, &me->next[to].key, me->next[to].value))
            return;
        step_row(me, to);
    }
}

static bool has_more(const rank *me)
{
    size_t left = 0;
    for (uint32_t to = 0; to < ring.size; to++)
        left += me->left[to];
    return left > 0;
}

/* As a shuffle does: fill, ask, start, progress. */
static void turn(rank *me)
{
    qn_rounds *rounds = &me->rounds;
    uint64_t number;
    if (qn_rounds_is_over(rounds))
        return;
    kit_assert_ok(qn_rounds_progress(rounds, &error), &error);
    if (qn_rounds_is_open(rounds) && kit_random_below(&me->state, 4))
        for (uint32_t to = 0; to < ring.size; to++)
            fill(me, to);
    rounds->more = has_more(me);
    rounds->ended = !rounds->more && !me->is_late;
    if ((rounds->more || rounds->ended) && qn_rounds_ask(rounds, &number))
        for (uint32_t r = 0; r < ring.size; r++)
            qn_rounds_announce(&ranks[r].rounds, number);
    if (qn_rounds_can_start(rounds))
        kit_assert_ok(qn_rounds_start(rounds, &error), &error);
}

static bool all_are_over(void)
{
    for (uint32_t r = 0; r < ring.size; r++)
        if (!qn_rounds_is_over(&ranks[r].rounds))
            return false;
    return true;
}

static void run_ranks(uint64_t seed)
{
    uint64_t state = seed;
    for (uint64_t turns = 0; !all_are_over(); turns++) {
        ck_assert_uint_lt(turns, 50000000);
        turn(&ranks[kit_random_below(&state, ring.size)]);
    }
}

static void check_accounts(void)
{
    uint64_t sent = 0, received = 0;
    for (uint32_t r = 0; r < ring.size; r++) {
        ck_assert_uint_eq(ranks[r].rounds.completed, ranks[0].rounds.completed);
        sent += ranks[r].rounds.sent_rows;
        received += ranks[r].rounds.received_rows;
        for (uint32_t from = 0; from < ring.size; from++) /* the sender has made one that it never sends */
            ck_assert_uint_eq(ranks[r].receiving[from].count + 1, ranks[from].sending[r].count);
    }
    ck_assert_uint_eq(sent, received);
}

static void check_rounds(uint32_t size, uint32_t words, size_t rows_each, size_t round_bytes, uint64_t percent,
                         uint64_t seed)
{
    giants_percent = percent;
    open_ranks(size, words, rows_each, round_bytes, seed);
    run_ranks(seed);
    check_accounts();
    close_ranks();
}

static void set_up(void)
{
    uint64_t state = 1;
    giant = (uint8_t *)kit_take(GIANT_BYTES_MAX + 1000 + QN_SLACK_BYTES);
    for (size_t i = 0; i < GIANT_BYTES_MAX + 1000; i++)
        giant[i] = (uint8_t)kit_random(&state);
}

static void tear_down(void)
{
    free(giant);
}

START_TEST(rows_of_all_sizes_arrive_whole_and_in_order)
{
    for (uint32_t size = 2; size <= RING_SIZE_MAX; size = size * 2 - 1) {
        check_rounds(size, 1, ROW_COUNT_MAX / size, 0, 0, size);
        check_rounds(size, 2, ROW_COUNT_MAX / size, 10000, 0, size);
        check_rounds(size, 32, ROW_COUNT_MAX / size, 100000, 0, size);
    }
}
END_TEST

START_TEST(in_small_chunks_with_one_round_under_way_all_arrives_too)
{
    for (uint32_t size = 2; size <= RING_SIZE_MAX; size = size * 2 - 1) {
        ring_open(size);
        ck_assert_uint_eq(qn_rounds_in_flight(&ring.comms[0], size * QN_ROUNDS_CHUNK_BYTES_MIN), 1);
        ck_assert_uint_eq(qn_rounds_in_flight(&ring.comms[0], size * QN_ROUNDS_CHUNK_BYTES_GOOD), QN_ROUNDS_IN_FLIGHT);
        ring_close();
        check_rounds(size, 1, ROW_COUNT_MAX / 4 / size, size * QN_ROUNDS_CHUNK_BYTES_MIN, 0, size);
        check_rounds(size, 2, 200 / size, size * QN_ROUNDS_CHUNK_BYTES_MIN, 10, size);
        check_rounds(size, 1, 200 / size, size * 640, 20, size);
    }
}
END_TEST

START_TEST(fragments_before_and_behind_rows_arrive_whole_and_in_order)
{
    for (uint32_t size = 2; size <= RING_SIZE_MAX; size = size * 2 - 1)
        for (uint64_t percent = 2; percent <= 100; percent *= 7) {
            check_rounds(size, 1, 400 / size, 0, percent, size);
            check_rounds(size, 2, 400 / size, 8192 * size, percent, size);
            check_rounds(size, 32, 200 / size, 0, percent, size);
        }
}
END_TEST

START_TEST(nothing_to_send_is_over_all_the_same)
{
    for (uint32_t size = 2; size <= RING_SIZE_MAX; size++)
        check_rounds(size, 1, 0, 0, 0, size);
}
END_TEST

/* Whoever ends late holds the end up, and no round takes place that others do not take part in. */
START_TEST(rounds_are_over_together_once_the_last_rank_ended)
{
    uint64_t state = 3;
    giants_percent = 5;
    open_ranks(4, 1, 100, 0, 9);
    ranks[2].is_late = true;
    for (int turns = 0; turns < 100000; turns++)
        turn(&ranks[kit_random_below(&state, 4)]);
    for (uint32_t r = 0; r < 4; r++)
        ck_assert(!qn_rounds_is_over(&ranks[r].rounds) && !has_more(&ranks[r]));
    ranks[2].is_late = false;
    run_ranks(4);
    check_accounts();
    close_ranks();
}
END_TEST

START_TEST(a_chunk_has_no_room_behind_a_fragment_nor_while_it_is_on_its_way)
{
    uint64_t value = 7;
    giants_percent = 0;
    open_ranks(2, 1, 0, 0, 1);
    qn_rounds *rounds = &ranks[0].rounds;
    qn_key large = qn_key_of(giant, 1900), tiny = qn_key_of(giant, 3);
    ck_assert(!qn_rounds_put(rounds, 1, &large, &value)); /* the first of two pieces */
    ck_assert_uint_eq(qn_rounds_open_chunk(rounds, 1).left_bytes, 0);
    ck_assert(!qn_rounds_put(rounds, 1, &large, &value));
    qn_rounds_chunk other = qn_rounds_open_chunk(rounds, 0);
    ck_assert_uint_eq(other.left_bytes, QN_ROUNDS_CHUNK_BYTES_GOOD - sizeof(qn_block_header));
    ck_assert(qn_rounds_chunk_add(&other, &tiny, &value, 1));
    qn_rounds_close_chunk(rounds, 0, &other);
    ck_assert_uint_eq(qn_rounds_open_chunk(rounds, 0).left_bytes, other.left_bytes);
    for (int i = 0; i < QN_ROUNDS_IN_FLIGHT; i++) {
        ck_assert(qn_rounds_is_open(rounds));
        kit_assert_ok(qn_rounds_start(rounds, &error), &error);
    }
    ck_assert(!qn_rounds_is_open(rounds));
    for (uint32_t to = 0; to < 2; to++)
        ck_assert_uint_eq(qn_rounds_open_chunk(rounds, to).left_bytes, 0);
    ck_assert(!qn_rounds_put(rounds, 1, &tiny, &value));
    ck_assert(!qn_rounds_put(rounds, 1, &large, &value));
    close_ranks();
}
END_TEST

START_TEST(a_damaged_block_is_an_error_that_names_its_rank)
{
    uint64_t value = 7;
    giants_percent = 0;
    for (int large = 0; large < 2; large++) {
        open_ranks(2, 1, 0, 0, 1);
        ring.damages = true;
        qn_key key = qn_key_of(giant, large ? 1900 : 900);
        for (uint32_t r = 0; r < 2; r++) {
            if (r == 1)
                ck_assert(qn_rounds_put(&ranks[1].rounds, 0, &key, &value) == !large);
            kit_assert_ok(qn_rounds_start(&ranks[r].rounds, &error), &error);
        }
        quern_status status = QUERN_OK;
        for (int i = 0; i < 5 && status == QUERN_OK; i++)
            status = qn_rounds_progress(&ranks[0].rounds, &error);
        ck_assert_int_eq(status, QUERN_ERROR_CORRUPT);
        ck_assert_ptr_nonnull(strstr(error.text, "rank 1"));
        close_ranks();
    }
}
END_TEST

/* Even ranks are of one node, odd ones of another; every third rank compresses nothing, and unpacks all the same. */
static const uint32_t two_nodes[RING_SIZE_MAX] = {0, 1, 0, 1, 0, 1, 0, 1};

static void open_nodes(uint32_t size, uint32_t words, size_t rows_each, size_t round_bytes, uint64_t seed)
{
    round_bytes = round_bytes > 0 ? round_bytes : size * QN_ROUNDS_CHUNK_BYTES_GOOD;
    open_ranks(size, words, rows_each, round_bytes, seed);
    for (uint32_t r = 0; r < size; r++) {
        qn_rounds_fini(&ranks[r].rounds);
        ring.comms[r].node = two_nodes[r];
        ring.comms[r].node_count = 2;
        ring.comms[r].node_of = two_nodes;
        ring.comms[r].compress_links = r % 3 == 2 ? QUERN_OFF : QUERN_ON;
        kit_assert_ok(qn_rounds_init(&ranks[r].rounds, &ring.comms[r], words, round_bytes, receive, &ranks[r], &error),
                      &error);
    }
}

static void be_compressible(void)
{
    for (size_t i = 0; i < GIANT_BYTES_MAX + 1000; i++)
        giant[i] = (uint8_t)(i % 7);
}

START_TEST(what_goes_to_another_node_is_compressed_and_arrives_as_it_was)
{
    be_compressible();
    for (uint32_t size = 2; size <= RING_SIZE_MAX; size = size * 2 - 1)
        for (uint64_t percent = 0; percent <= 14; percent += 7) {
            giants_percent = percent;
            open_nodes(size, 2, 3000 / size, 16384 * size, size + percent);
            run_ranks(size);
            check_accounts();
            for (uint32_t r = 0; r < size; r++) {
                const qn_rounds *rounds = &ranks[r].rounds;
                ck_assert_uint_eq(rounds->sent_bytes < rounds->sent_plain_bytes, r % 3 != 2);
            }
            close_ranks();
        }
}
END_TEST

START_TEST(what_stays_in_the_node_and_what_is_small_is_never_compressed)
{
    uint64_t value = 7;
    be_compressible();
    giants_percent = 0;
    open_nodes(3, 1, 0, 0, 1);
    qn_rounds *rounds = &ranks[0].rounds;
    qn_key key = qn_key_of(giant, 900), tiny = qn_key_of(giant, 3);
    ck_assert(qn_rounds_put(rounds, 2, &key, &value));  /* of the same node */
    ck_assert(qn_rounds_put(rounds, 1, &tiny, &value)); /* of another one */
    kit_assert_ok(qn_rounds_start(rounds, &error), &error);
    ck_assert_uint_eq(rounds->sent_bytes, rounds->sent_plain_bytes);
    ck_assert_uint_gt(rounds->sent_bytes, 900);
    close_ranks();
}
END_TEST

START_TEST(where_it_has_to_pay_only_slow_links_are_compressed_for)
{
    uint64_t value = 7;
    be_compressible();
    giants_percent = 0;
    static const struct {
        uint64_t bytes, ns;
        bool pays;
    } links[] = {{0, 0, false}, {1 << 20, 1 << 30, true}, {UINT64_C(1) << 40, 1, false}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        open_nodes(2, 1, 0, 200000, 1);
        ranks[0].rounds.compressor.compression = QN_COMPRESS_WHERE_IT_PAYS;
        ring.comms[0].link_bytes = links[i].bytes;
        ring.comms[0].link_ns = links[i].ns;
        qn_rounds *rounds = &ranks[0].rounds;
        qn_key key = qn_key_of(giant, GIANT_BYTES_MAX);
        ck_assert(qn_rounds_put(rounds, 1, &key, &value));
        kit_assert_ok(qn_rounds_start(rounds, &error), &error);
        ck_assert_uint_eq(rounds->sent_bytes < rounds->sent_plain_bytes, links[i].pays);
        close_ranks();
    }
}
END_TEST

/* Of what says that it is compressed, nothing is believed. */
START_TEST(a_compressed_block_that_is_none_is_damaged)
{
    uint64_t value = 7;
    be_compressible();
    giants_percent = 0;
    for (int lie = 0; lie < 4; lie++) {
        open_nodes(2, 1, 0, 20000, 1);
        qn_key key = qn_key_of(giant, 5000);
        ring.comms[0].trusts_network = ring.comms[1].trusts_network = true;
        ck_assert(qn_rounds_put(&ranks[1].rounds, 0, &key, &value));
        for (uint32_t r = 0; r < 2; r++)
            kit_assert_ok(qn_rounds_start(&ranks[r].rounds, &error), &error);
        ring_letter *letter = &ring.letters[0][1][0];
        qn_block_header *header = (qn_block_header *)letter->bytes;
        ck_assert_uint_eq(header->flags, QN_BLOCK_LZ4);
        if (lie == 0)
            header->row_bytes--;
        else if (lie == 1)
            header->row_bytes = UINT64_MAX;
        else if (lie == 2)
            header->flags |= QN_BLOCK_FRAGMENT; /* of one byte, as its count of rows says then */
        else
            letter->bytes[sizeof *header] ^= 0xff;
        quern_status status = QUERN_OK;
        for (int i = 0; i < 5 && status == QUERN_OK; i++)
            status = qn_rounds_progress(&ranks[0].rounds, &error);
        ck_assert_int_eq(status, QUERN_ERROR_CORRUPT);
        ck_assert_ptr_nonnull(strstr(error.text, "from rank 1 to rank 0"));
        close_ranks();
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        rows_of_all_sizes_arrive_whole_and_in_order,
        in_small_chunks_with_one_round_under_way_all_arrives_too,
        fragments_before_and_behind_rows_arrive_whole_and_in_order,
        nothing_to_send_is_over_all_the_same,
        rounds_are_over_together_once_the_last_rank_ended,
        a_chunk_has_no_room_behind_a_fragment_nor_while_it_is_on_its_way,
        a_damaged_block_is_an_error_that_names_its_rank,
        what_goes_to_another_node_is_compressed_and_arrives_as_it_was,
        what_stays_in_the_node_and_what_is_small_is_never_compressed,
        where_it_has_to_pay_only_slow_links_are_compressed_for,
        a_compressed_block_that_is_none_is_damaged,
    };
    return kit_run_tests("rounds", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
