/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said of the most frequent keys, against the shares that they were drawn with. */
#include "runtime/data/hot_keys.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define KEY_COUNT   5000
#define BATCH_COUNT 20000

/* Half of all records have key 3, a tenth key 4, the rest is even. */
static uint32_t draw_key(uint64_t *state)
{
    uint64_t random = kit_random_below(state, 10);
    return random < 5 ? 3 : random < 6 ? 4 : (uint32_t)kit_random_below(state, KEY_COUNT);
}

/* Blocks of some records each, of which one is looked at. */
static void note_stream(qn_hot_keys *hot, uint64_t seed)
{
    uint64_t state = seed;
    memset(hot, 0, sizeof *hot);
    hot->key_type = QUERN_U64;
    for (size_t i = 0; i < BATCH_COUNT; i++) {
        uint64_t keys[7 + 2];
        const void *key[7];
        uint32_t bytes[7];
        for (size_t k = 0; k < 7; k++) {
            keys[k] = draw_key(&state);
            key[k] = &keys[k];
            bytes[k] = sizeof keys[k];
        }
        qn_batch batch = {.block = {.count = 7, .key = key, .key_bytes = bytes}};
        qn_hot_keys_note(hot, &batch);
    }
}

static void check_share(const qn_hot_keys *hot, const qn_hot_key *key, const char *text, double share)
{
    ck_assert_str_eq(key->text, text);
    double seen = (double)key->count / (double)hot->sample_count;
    ck_assert_msg(seen > share - 0.03 && seen < share + 0.03, "%s: %f, not %f", text, seen, share);
}

START_TEST(the_hottest_keys_are_named_with_about_their_share)
{
    static qn_hot_keys hot;
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    note_stream(&hot, 1);
    ck_assert_uint_eq(hot.sample_count, BATCH_COUNT);
    ck_assert_uint_eq(qn_hot_keys_rank(&hot, BATCH_COUNT / 50, hottest), 2);
    check_share(&hot, hottest[0], "3", 0.5);
    check_share(&hot, hottest[1], "4", 0.1);
}
END_TEST

START_TEST(counts_of_several_ranks_add_up)
{
    static qn_hot_keys sum, one;
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    note_stream(&sum, 1);
    for (uint64_t rank = 2; rank < 6; rank++) {
        note_stream(&one, rank);
        qn_hot_keys_merge(&sum, &one);
    }
    ck_assert_uint_eq(sum.sample_count, 5 * BATCH_COUNT);
    ck_assert_uint_eq(qn_hot_keys_rank(&sum, sum.sample_count / 50, hottest), 2);
    check_share(&sum, hottest[0], "3", 0.5);
    check_share(&sum, hottest[1], "4", 0.1);
}
END_TEST

START_TEST(no_key_is_named_where_all_are_equally_frequent)
{
    static qn_hot_keys hot;
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    uint64_t state = 9;
    hot.key_type = QUERN_U64;
    for (size_t i = 0; i < BATCH_COUNT; i++) {
        uint64_t key[3] = {kit_random_below(&state, KEY_COUNT)};
        hot.sample_count++;
        qn_hot_keys_note_one(&hot, key, sizeof key[0], 1, 0);
    }
    ck_assert_uint_eq(qn_hot_keys_rank(&hot, 2 + BATCH_COUNT / 200, hottest), 0);
}
END_TEST

START_TEST(at_most_so_many_are_named_the_most_frequent_first)
{
    static qn_hot_keys hot;
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    hot.key_type = QUERN_U64;
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t key[3] = {i * 7 % 20};
        qn_hot_keys_note_one(&hot, key, sizeof key[0], 100 + key[0], 0);
    }
    ck_assert_uint_eq(qn_hot_keys_rank(&hot, 1, hottest), QN_HOT_KEYS_SHOWN);
    for (uint64_t i = 0; i < QN_HOT_KEYS_SHOWN; i++)
        ck_assert_uint_eq(hottest[i]->count, 119 - i);
}
END_TEST

static void set_up(void) {}

static void tear_down(void) {}

int main(void)
{
    const TTest *const tests[] = {
        the_hottest_keys_are_named_with_about_their_share,
        counts_of_several_ranks_add_up,
        no_key_is_named_where_all_are_equally_frequent,
        at_most_so_many_are_named_the_most_frequent_first,
    };
    return kit_run_tests("hot_keys", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
