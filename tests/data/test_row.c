/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_row.c: rows and blocks there and back, their bytes as they are frozen, and rows that lie.
 */
#include "runtime/data/row.h"
#include "tests/data/keykit.h"

START_TEST(rows_of_all_keys_and_values_come_back)
{
    keykit_set set = keykit_make(3000, 1);
    uint64_t state = 1;
    size_t wrong_count = 0;
    for (uint32_t words = 0; words <= KEYKIT_WORDS_MAX; words += words < 3 ? 1 : 5) {
        for (size_t i = 0; i < set.count; i++) {
            uint64_t value[KEYKIT_WORDS_MAX];
            const qn_key *key = &set.keys[i].key;
            for (uint32_t word = 0; word < words; word++)
                value[word] = kit_random(&state);
            uint64_t bytes = qn_row_bytes(key, words);
            uint64_t *row = malloc(bytes); /* exactly: what is written or read behind it is noticed */
            memset(row, 0xee, bytes);
            qn_row_encode(key, value, words, row);
            qn_key got;
            const uint64_t *got_value = NULL;
            wrong_count += qn_row_decode(row, bytes, words, &got, &got_value) != bytes;
            wrong_count += qn_key_compare(&got, key) != 0 || qn_key_bytes(&got) != qn_key_bytes(key);
            wrong_count += memcmp(got_value, value, 8 * (size_t)words) != 0;
            wrong_count += bytes % 8 != 0 || bytes < qn_row_bytes_min(words);
            if (bytes > 8)
                wrong_count += qn_row_decode(row, bytes - 8, words, &got, &got_value) != 0;
            free(row);
        }
    }
    ck_assert_uint_eq(wrong_count, 0);
    keykit_free(&set);
}
END_TEST

/* The format of messages and spilled runs: tag, two words of value, key. */
START_TEST(rows_are_the_words_that_they_were)
{
    static const struct {
        const char *text;
        size_t words;
        uint64_t row[8];
    } known[] = {
        {"", 3, {UINT64_C(0x0000000000000001), UINT64_C(0x0000000000000007), UINT64_C(0xffffffffffffffff)}},
        {"seven..", 3, {UINT64_C(0x7131f0a493d82c08), UINT64_C(0x0000000000000007), UINT64_C(0xffffffffffffffff)}},
        {"eight...",
         4,
         {UINT64_C(0x3434b70900627609), UINT64_C(0x0000000000000007), UINT64_C(0xffffffffffffffff),
          UINT64_C(0x2e2e2e7468676965)}},
        {"nine letters",
         5,
         {UINT64_C(0xa778b0f1df02f00d), UINT64_C(0x0000000000000007), UINT64_C(0xffffffffffffffff),
          UINT64_C(0x74656c20656e696e), UINT64_C(0x0000000073726574)}},
        {"seventeen letters",
         7,
         {UINT64_C(0x950518dffb9534ff), UINT64_C(0x0000000000000007), UINT64_C(0xffffffffffffffff),
          UINT64_C(0x0000000000000011), UINT64_C(0x6565746e65766573), UINT64_C(0x72657474656c206e),
          UINT64_C(0x0000000000000073)}},
        {"twenty-four letters long",
         7,
         {UINT64_C(0x00e7db73416079ff), UINT64_C(0x0000000000000007), UINT64_C(0xffffffffffffffff),
          UINT64_C(0x0000000000000018), UINT64_C(0x662d79746e657774), UINT64_C(0x7474656c2072756f),
          UINT64_C(0x676e6f6c20737265)}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char data[64] = {0};
        uint64_t row[8];
        strcpy(data, known[i].text);
        qn_key key = qn_key_of(data, (uint32_t)strlen(data));
        ck_assert_uint_eq(qn_row_bytes(&key, 2), 8 * known[i].words);
        qn_row_encode(&key, (const uint64_t[]){7, UINT64_MAX}, 2, row);
        for (size_t word = 0; word < known[i].words; word++)
            ck_assert_msg(row[word] == known[i].row[word], "'%s' word %zu: %016llx", data, word,
                          (unsigned long long)row[word]);
    }
}
END_TEST

/* A row of random words, or a right one with some of them changed, in memory that ends where it is said to. */
static uint64_t make_suspect(uint64_t *words, uint64_t words_max, uint32_t value_words, const keykit_set *set,
                             uint64_t *state)
{
    uint64_t count = kit_random_below(state, words_max + 1);
    static const uint64_t odd[] = {0, 1, 16, 17, 0xff, 0x1ff, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63, 24, 32};
    for (uint64_t i = 0; i < words_max; i++)
        words[i] =
            kit_random_below(state, 3) ? odd[kit_random_below(state, sizeof odd / sizeof *odd)] : kit_random(state);
    const qn_key *key = &set->keys[kit_random_below(state, set->count)].key;
    if (kit_random_below(state, 2) && qn_row_bytes(key, value_words) <= 8 * words_max) {
        static const uint64_t value[KEYKIT_WORDS_MAX];
        qn_row_encode(key, value, value_words, words);
        count = qn_row_bytes(key, value_words) / 8;
        uint64_t at = kit_random_below(state, count);
        words[at] ^= kit_random_below(state, 2) ? UINT64_C(1) << kit_random_below(state, 64) : kit_random(state);
    }
    return count;
}

START_TEST(rows_that_lie_are_refused_or_stay_within_their_bytes)
{
    keykit_set set = keykit_make(1000, 2);
    uint64_t state = 2;
    uint64_t refused_count = 0, accepted_count = 0;
    for (int round = 0; round < 200000; round++) {
        uint64_t words[48];
        uint32_t value_words = (uint32_t)kit_random_below(&state, 5);
        uint64_t bytes = 8 * make_suspect(words, sizeof words / 8, value_words, &set, &state);
        uint64_t *row = malloc(bytes > 0 ? bytes : 1);
        memcpy(row, words, bytes);
        qn_key key;
        const uint64_t *value = NULL;
        uint64_t row_bytes = qn_row_decode(row, bytes, value_words, &key, &value);
        if (row_bytes > 0) {
            const uint8_t *data = qn_key_data(&key);
            uint64_t key_bytes = qn_key_bytes(&key);
            const uint8_t *end = (const uint8_t *)row + row_bytes;
            bool is_long = QN_TAG_CODE(key.tag) == QN_TAG_LONG;
            if (row_bytes > bytes || row_bytes % 8 != 0 || key.tag != row[0] || key.tag == 0 || value != row + 1 ||
                (const uint8_t *)(value + value_words) > end || (!is_long && key_bytes > QN_KEY_SHORT_BYTES) ||
                (is_long && (data < (const uint8_t *)row || data + key_bytes > end || key_bytes <= QN_KEY_SHORT_BYTES)))
                ck_abort_msg("round %d", round);
        }
        *(row_bytes > 0 ? &accepted_count : &refused_count) += 1;
        free(row);
    }
    ck_assert_uint_gt(refused_count, 10000);
    ck_assert_uint_gt(accepted_count, 10000);
    keykit_free(&set);
}
END_TEST

typedef struct small_block {
    qn_block_header header;
    uint64_t payload[5];
} small_block;

static void make_block(small_block *block)
{
    for (uint64_t i = 0; i < 5; i++)
        block->payload[i] = i * UINT64_C(0x0102030405060708);
    qn_block_seal(&block->header, QN_BLOCK_FRAGMENT, 2, 3, sizeof block->payload, 77);
}

START_TEST(a_sealed_block_is_right_and_any_changed_bit_is_noticed)
{
    small_block block;
    make_block(&block);
    ck_assert(qn_block_verify(&block.header, sizeof block, 3));
    for (size_t bit = 0; bit < 8 * sizeof block; bit++) {
        ((uint8_t *)&block)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_msg(!qn_block_verify(&block.header, sizeof block, 3), "byte %zu, bit %zu", bit / 8, bit % 8);
        ((uint8_t *)&block)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert(qn_block_verify(&block.header, sizeof block, 3));
}
END_TEST

START_TEST(two_changed_bytes_of_a_header_do_not_hide_each_other)
{
    small_block block;
    uint64_t state = 4;
    uint64_t unnoticed_count = 0;
    for (int round = 0; round < 200000; round++) {
        make_block(&block);
        small_block right = block;
        for (int i = 0; i < 2; i++)
            ((uint8_t *)&block)[kit_random_below(&state, sizeof block.header)] ^=
                (uint8_t)(1 << kit_random_below(&state, 8));
        unnoticed_count += memcmp(&block, &right, sizeof block) != 0 && qn_block_verify(&block.header, sizeof block, 3);
    }
    ck_assert_uint_eq(unnoticed_count, 0);
}
END_TEST

START_TEST(a_block_of_another_size_or_another_kind_of_values_is_refused)
{
    small_block block;
    make_block(&block);
    for (uint64_t bytes = 0; bytes < sizeof block; bytes++) {
        uint8_t *cut = malloc(bytes > 0 ? bytes : 1);
        memcpy(cut, &block, bytes);
        ck_assert(!qn_block_verify((qn_block_header *)cut, bytes, 3));
        free(cut);
    }
    ck_assert(!qn_block_verify(&block.header, sizeof block, 2));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        rows_of_all_keys_and_values_come_back,
        rows_are_the_words_that_they_were,
        rows_that_lie_are_refused_or_stay_within_their_bytes,
        a_sealed_block_is_right_and_any_changed_bit_is_noticed,
        two_changed_bytes_of_a_header_do_not_hide_each_other,
        a_block_of_another_size_or_another_kind_of_values_is_refused,
    };
    return kit_run_tests("row", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
