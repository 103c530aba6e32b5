/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_apart_turns.c: turns in a process that ends again and again, wherever it is: the rank gets what each turn gives once and in order,
 * counts it once, and turns that are through are not taken again. Real groups: tests/e2e/test_isolation.py.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/exec/apart.h"
#include "runtime/exec/chain_internal.h"
#include "tests/exec/chain_kit.h"

#define TURN_COUNT  6000
#define ENDS_MAX    12
#define COUNT_MAX   1500
#define LARGE_BYTES ((size_t)300000)

static struct qn_apart *apart;
static kit_chain tested;
static struct quern_counter counter;

/* What outlives children: how often one may still end, and which turns were begun. */
static struct shared {
    uint64_t random_state;
    uint32_t ends_left;
    uint32_t call_counts[TURN_COUNT];
} * shared;

/* What the rank has got. */
static struct got {
    uint64_t turn, at, record_count;
} got;

/* Most turns give nothing or little; some give more than a block, or a record longer than a slot. */
static uint64_t count_of(uint64_t turn)
{
    uint64_t draw = turn * UINT64_C(0x9E3779B97F4A7C15) >> 40;
    return draw % 97 == 0 ? draw % COUNT_MAX : draw % 3;
}

static size_t key_of(uint64_t turn, uint64_t at, char *key)
{
    static const size_t plain_bytes = 24;
    memset(key, 'k', plain_bytes);
    memcpy(key, &turn, sizeof turn);
    memcpy(key + sizeof turn, &at, sizeof at);
    return turn % 1009 == 5 && at == 0 ? LARGE_BYTES : plain_bytes;
}

static void end_now_and_then(void)
{
    if (shared->ends_left > 0 && kit_random(&shared->random_state) % 4000 == 0) {
        shared->ends_left--;
        _exit(3);
    }
}

static int give(quern_emitter *out, void *user)
{
    static char key[LARGE_BYTES];
    uint64_t turn = *(const uint64_t *)user, one = 1;
    shared->call_counts[turn]++;
    for (uint64_t at = 0; at < count_of(turn); at++) {
        size_t bytes = key_of(turn, at, key);
        end_now_and_then();
        counter.pending++;
        if (quern_emit(out, quern_bytes(key, bytes), quern_of_u64(&one)) != 0)
            return 1;
    }
    end_now_and_then();
    return 0;
}

static quern_status take_turns(void *user, uint64_t first, qn_error *error)
{
    quern_status status = QUERN_OK;
    (void)user;
    for (uint64_t turn = first; turn < TURN_COUNT && status == QUERN_OK; turn++) {
        qn_turn of = {give, NULL, &turn};
        qn_apart_begin_turn(apart, turn, quern_bytes(&turn, sizeof turn));
        status = qn_chain_turn(&tested.chain, &of, 1, error);
        if (status == QUERN_OK)
            status = qn_apart_end_turn(apart, turn);
    }
    return status;
}

static quern_status take(void *user, const qn_batch *batch, qn_error *error)
{
    static char key[LARGE_BYTES];
    (void)user, (void)error;
    for (size_t i = 0; i < batch->block.count; i++) {
        while (got.at == count_of(got.turn)) {
            got.turn++;
            got.at = 0;
        }
        size_t bytes = key_of(got.turn, got.at++, key);
        ck_assert_uint_eq(batch->block.key_bytes[i], bytes);
        ck_assert_int_eq(memcmp(batch->block.key[i], key, 24), 0);
        got.record_count++;
    }
    return QUERN_OK;
}

static void ignore(void *user)
{
    (void)user;
}

static bool go_on(void *user)
{
    (void)user;
    return true;
}

static void note(void *user, uint32_t chain, uint32_t task, uint32_t attempt)
{
    (void)user, (void)chain, (void)task, (void)attempt;
}

static void open_all(void)
{
    static const qn_node node = {.kind = QN_NODE_GROUP, .name = "groups", .schema = {QUERN_BYTES, QUERN_U64, 0, 0}};
    qn_chain *chain = &tested.chain;
    qn_apart_config config = {.chains = &chain,
                              .chain_count = 1,
                              .before_fork = ignore,
                              .after_fork = ignore,
                              .look_around = go_on,
                              .note = note,
                              .take_turns = take_turns};
    kit_open_operators(&tested, &node, 1, take, NULL);
    counter = (struct quern_counter){.name = "given"};
    chain->counters = &counter;
    chain->record_bytes_max = 2 * LARGE_BYTES;
    kit_assert_ok(qn_apart_create(&apart, &config, &kit_error), &kit_error);
    got = (struct got){0};
    memset(shared->call_counts, 0, sizeof shared->call_counts);
}

/* Returns how often the child ended. */
static uint32_t run_to_the_end(void)
{
    uint64_t through = 0, skip = 0;
    for (uint32_t ends = 0;; ends++) {
        qn_error failure = {0};
        uint64_t before = through;
        quern_status status = qn_apart_run_turns(apart, &tested.chain, skip, &through, &failure);
        if (status == QUERN_OK)
            return ends;
        ck_assert_msg(tested.chain.ended_apart && strstr(failure.text, "exit status 3"), "%s", failure.text);
        ck_assert_uint_ge(through, before);
        ck_assert_uint_ge(qn_apart_get_view(apart)->turn, through);
        for (uint64_t turn = 0; turn < through; turn++)
            shared->call_counts[turn] = UINT32_MAX; /* not once more: it would begin again at 0 */
        skip = through > before || tested.chain.delivered > skip ? tested.chain.delivered : skip;
    }
}

static void check_all(uint64_t seed, uint32_t ends)
{
    uint64_t wanted = 0;
    for (uint64_t turn = 0; turn < TURN_COUNT; turn++)
        wanted += count_of(turn);
    shared->random_state = seed;
    shared->ends_left = ends;
    open_all();
    uint32_t seen = run_to_the_end();
    ck_assert(seen + shared->ends_left == ends && seen >= ends / 3);
    ck_assert_uint_eq(got.record_count, wanted);
    ck_assert_int_eq(counter.sum, (int64_t)wanted);
    ck_assert_uint_eq(tested.chain.operators[0].stats.records_out, wanted);
    for (uint64_t turn = 0; turn < TURN_COUNT; turn++)
        ck_assert_uint_ge(shared->call_counts[turn], 1);
    qn_apart_destroy(apart);
    kit_close_chain(&tested);
}

START_TEST(each_turn_counts_once_however_often_the_child_ends)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        check_all(seed, (uint32_t)seed % 4 == 0 ? 0 : ENDS_MAX);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {each_turn_counts_once_however_often_the_child_ends};
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return kit_run_tests("apart turns", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
