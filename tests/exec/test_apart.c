/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_apart.c: a rank whose process of callbacks writes what it must not into the memory that both have: the block fails as damaged,
 * and nothing is written beyond what was made for it; and one that is slow works on each load once. What crashes or hangs: tests/e2e/test_isolation.py.
 */
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "runtime/exec/apart_internal.h"
#include "tests/exec/chain_kit.h"

#define RECORD_BYTES_MAX ((uint64_t)4 << 20)

typedef struct part {
    uint32_t key_bytes, value_bytes;
    uint64_t part_bytes;
} part;

static struct qn_apart *apart;
static const part *told; /* what the child says of a record, up to one of no bytes */
static kit_chain tested;

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

/* In the child. */
static int write_wildly(const quern_record *in, int *keep_out, void *user)
{
    (void)in, (void)user;
    *keep_out = 0;
    for (const part *next = told; next->key_bytes > 0; next++) {
        qn_apart_slot *slot = qn_apart_slot_at(apart->shared, atomic_load(&apart->shared->produced));
        slot->kind = QN_APART_PART;
        slot->whole_key_bytes = next->key_bytes;
        slot->whole_value_bytes = next->value_bytes;
        slot->part_bytes = next->part_bytes;
        slot->has_values = true;
        memset(slot->data, 'x', sizeof slot->data);
        atomic_fetch_add(&apart->shared->produced, 1);
    }
    qn_apart_wake(&apart->shared->rank_sleeps, &apart->shared->to_rank);
    _exit(3);
}

static void open_apart(qn_chain *chain)
{
    qn_apart_config config = {.chains = &chain,
                              .chain_count = 1,
                              .before_fork = ignore,
                              .after_fork = ignore,
                              .look_around = go_on,
                              .note = note};
    kit_assert_ok(qn_apart_create(&apart, &config, &kit_error), &kit_error);
}

static void check_parts(const part *parts, quern_status expected, const char *text)
{
    qn_node node = {.kind = QN_NODE_FILTER, .name = "wild", .schema = kit_plain, .fn.filter = write_wildly};
    qn_chain *chain = &tested.chain;
    uint64_t state = 1, count = 0;
    kit_rows in;
    kit_make_rows(&in, 1, &state);
    kit_open_operators(&tested, &node, 1, kit_count_records, &count);
    chain->record_bytes_max = RECORD_BYTES_MAX;
    open_apart(chain);
    told = parts;
    ck_assert_int_eq(kit_run_chain(&tested, &in, 0), expected);
    ck_assert_msg(strstr(kit_error.text, text) != NULL, "%s", kit_error.text);
    ck_assert_uint_eq(count, 0);
    qn_apart_destroy(apart);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}

START_TEST(a_record_whose_later_parts_tell_other_lengths_is_damaged)
{
    static const part longer[] = {{16, 16, 8}, {16, 1 << 20, QN_APART_SLOT_BYTES}, {0}},
                      longer_key[] = {{16, 16, 8}, {1 << 20, 16, 8}, {0}},
                      shorter[] = {{16, 1 << 20, QN_APART_SLOT_BYTES}, {16, 16, 8}, {0}};
    check_parts(longer, QUERN_ERROR_INTERNAL, "wrote where it must not");
    check_parts(longer_key, QUERN_ERROR_INTERNAL, "wrote where it must not");
    check_parts(shorter, QUERN_ERROR_INTERNAL, "wrote where it must not");
}
END_TEST

START_TEST(parts_that_cannot_be_of_a_record_are_damaged)
{
    static const part too_long[] = {{16, (uint32_t)RECORD_BYTES_MAX, 8}, {0}}, empty[] = {{16, 16, 0}, {0}},
                      beyond_slot[] = {{16, 1 << 20, QN_APART_SLOT_BYTES + 1}, {0}},
                      beyond_record[] = {{16, 16, 33}, {0}};
    check_parts(too_long, QUERN_ERROR_INTERNAL, "wrote where it must not");
    check_parts(empty, QUERN_ERROR_INTERNAL, "wrote where it must not");
    check_parts(beyond_slot, QUERN_ERROR_INTERNAL, "wrote where it must not");
    check_parts(beyond_record, QUERN_ERROR_INTERNAL, "wrote where it must not");
}
END_TEST

START_TEST(a_record_of_which_a_part_is_missing_costs_an_attempt)
{
    static const part begun[] = {{16, 1 << 20, QN_APART_SLOT_BYTES}, {16, 1 << 20, QN_APART_SLOT_BYTES}, {0}};
    check_parts(begun, QUERN_ERROR_CALLBACK, "exit status 3");
}
END_TEST

/* ---- what both read and write ---- */

#define LOAD_COUNT 160

static pid_t rank_pid;

static int keep_all(const quern_record *in, int *keep_out, void *user)
{
    (void)in, (void)user;
    *keep_out = 1;
    return 0;
}

int __real_sem_post(sem_t *semaphore);
int __wrap_sem_post(sem_t *semaphore);

/* The child stands still where it has told the rank something, for as long as that needs to give it something else. */
int __wrap_sem_post(sem_t *semaphore)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    int result = __real_sem_post(semaphore);
    if (rank_pid != 0 && getpid() != rank_pid)
        nanosleep(&moment, NULL);
    return result;
}

/* Each load has another number of blocks: what is left over of one must not look like a part of the next. */
static void give_loads(qn_chain *chain, const qn_batch *batch, uint64_t *block_count_out)
{
    for (uint32_t load = 0; load < LOAD_COUNT; load++) {
        uint32_t done = 0, blocks = load % 2 ? QN_APART_BLOCKS_MAX : 1 + load / 2 % (QN_APART_SLOTS / 2);
        qn_apart_begin(apart, chain);
        for (uint32_t i = 0; i < blocks; i++)
            kit_assert_ok(qn_apart_put(apart, batch, &kit_error), &kit_error);
        kit_assert_ok(qn_apart_run_load(apart, chain, 0, &done, &kit_error), &kit_error);
        ck_assert_uint_eq(done, blocks);
        *block_count_out += blocks;
    }
}

START_TEST(a_child_that_is_slow_to_look_works_on_each_load_once)
{
    qn_node node = {.kind = QN_NODE_FILTER, .name = "all", .schema = kit_plain, .fn.filter = keep_all};
    qn_chain *chain = &tested.chain;
    uint64_t state = 1, count = 0, block_count = 0;
    kit_rows in;
    kit_make_rows(&in, 2, &state);
    kit_open_operators(&tested, &node, 1, kit_count_records, &count);
    open_apart(chain);
    qn_batch batch = kit_make_batch(&in);
    rank_pid = getpid();
    give_loads(chain, &batch, &block_count);
    rank_pid = 0;
    ck_assert_uint_eq(count, 2 * block_count);
    ck_assert_uint_eq(qn_chain_edge(chain, 0).records_in, 2 * block_count);
    qn_apart_destroy(apart);
    kit_close_chain(&tested);
    kit_free_rows(&in);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_record_whose_later_parts_tell_other_lengths_is_damaged,
        parts_that_cannot_be_of_a_record_are_damaged,
        a_record_of_which_a_part_is_missing_costs_an_attempt,
        a_child_that_is_slow_to_look_works_on_each_load_once,
    };
    return kit_run_tests("apart", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
