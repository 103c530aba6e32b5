/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_hash.c: keys of all lengths, their order, and how evenly their tags fall.
 */
#include "runtime/base/hash.h"
#include "tests/kit.h"

#define PART_COUNT 64
#define KEY_COUNT  200000

START_TEST(keys_of_every_length_give_their_bytes_and_length_back)
{
    uint64_t state = 1;
    uint8_t data[100 + QN_SLACK_BYTES];
    for (uint32_t bytes = 0; bytes <= 100; bytes++) {
        for (int round = 0; round < 50; round++) {
            uint64_t mask = round % 2 ? 0xff : 1;
            for (size_t i = 0; i < sizeof data; i++)
                data[i] = (uint8_t)(kit_random(&state) & mask);
            qn_key key = qn_key_of(data, bytes);
            ck_assert_uint_eq(qn_key_bytes(&key), bytes);
            ck_assert_mem_eq(qn_key_data(&key), data, bytes);
            ck_assert_uint_eq(QN_TAG_CODE(key.tag), bytes <= 16 ? bytes + 1 : QN_TAG_LONG);
            ck_assert_uint_ne(key.tag, 0);
        }
    }
}
END_TEST

START_TEST(what_lies_behind_a_key_does_not_matter)
{
    uint64_t state = 2;
    for (uint32_t bytes = 0; bytes <= 40; bytes++) {
        uint8_t a[40 + QN_SLACK_BYTES];
        uint8_t b[40 + QN_SLACK_BYTES];
        for (size_t i = 0; i < sizeof a; i++) {
            a[i] = (uint8_t)kit_random(&state);
            b[i] = i < bytes ? a[i] : (uint8_t)~a[i];
        }
        qn_key from_a = qn_key_of(a, bytes);
        qn_key from_b = qn_key_of(b, bytes);
        ck_assert_uint_eq(from_a.tag, from_b.tag);
        ck_assert_int_eq(qn_key_compare(&from_a, &from_b), 0);
        if (bytes > QN_KEY_SHORT_BYTES)
            continue;
        ck_assert_uint_eq(from_a.k0, from_b.k0);
        ck_assert_uint_eq(from_a.k1, from_b.k1);
    }
}
END_TEST

START_TEST(the_hash_of_tiny_keys_can_be_undone)
{
    uint64_t state = 6;
    uint64_t wrong_count = 0;
    for (int round = 0; round < 100000; round++) {
        uint64_t word = (kit_random(&state) & QN_HASH_56_BITS) >> kit_random_below(&state, 56);
        wrong_count += qn_unhash_tiny(qn_hash_tiny(word)) != word || qn_hash_tiny(word) > QN_HASH_56_BITS;
    }
    ck_assert_uint_eq(wrong_count, 0);
}
END_TEST

/* Outputs are in this order: a change is a change for users. */
START_TEST(tags_are_what_they_were)
{
    static const struct {
        const char *text;
        uint64_t tag;
    } known[] = {
        {"", UINT64_C(0x0000000000000001)},
        {"a", UINT64_C(0x93ae802e6868cb02)},
        {"pressure", UINT64_C(0x312405dc90326f09)},
        {"sixteen bytes!!!", UINT64_C(0x2631bb74ffd5b011)},
        {"seventeen bytes!!", UINT64_C(0xb14f47dee1b230ff)},
        {"a key that is much longer than sixteen bytes, to be sure", UINT64_C(0x4866c64c535c74ff)},
        {"a key that is longer than the pieces: seventy bytes and then some more!!!", UINT64_C(0xd8134fc43429d4ff)},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char data[128] = {0};
        strcpy(data, known[i].text);
        qn_key key = qn_key_of(data, (uint32_t)strlen(data));
        ck_assert_msg(key.tag == known[i].tag, "%d: 0x%016llx", (int)i, (unsigned long long)key.tag);
    }
}
END_TEST

START_TEST(zeros_of_different_numbers_are_different_keys)
{
    static const uint8_t zeros[64];
    for (uint32_t a = 0; a < 40; a++) {
        for (uint32_t b = 0; b < a; b++) {
            qn_key longer = qn_key_of(zeros, a);
            qn_key shorter = qn_key_of(zeros, b);
            ck_assert_uint_ne(longer.tag, shorter.tag);
            ck_assert_int_gt(qn_key_compare_bytes(&longer, &shorter), 0);
            ck_assert_int_lt(qn_key_compare_bytes(&shorter, &longer), 0);
            ck_assert_int_ne(qn_key_compare(&longer, &shorter), 0);
        }
    }
}
END_TEST

START_TEST(bytes_are_compared_as_unsigned_with_a_prefix_first)
{
    static const struct {
        const char *smaller, *larger;
    } pairs[] = {
        {"", "a"},
        {"a", "b"},
        {"a", "a\x01"},
        {"\x7f", "\x80"},
        {"abc", "\xff"},
        {"abcdefgh", "abcdefghi"},
        {"abcdefghijklmnop", "abcdefghijklmnopq"},
        {"abcdefghijklmnopq", "abcdefghijklmnopr"},
        {"abcdefghijklmnopqr", "b"},
        {"abcdefgZ", "abcdefga"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char a[64] = {0};
        char b[64] = {0};
        strcpy(a, pairs[i].smaller);
        strcpy(b, pairs[i].larger);
        qn_key smaller = qn_key_of(a, (uint32_t)strlen(a));
        qn_key larger = qn_key_of(b, (uint32_t)strlen(b));
        ck_assert_int_lt(qn_key_compare_bytes(&smaller, &larger), 0);
        ck_assert_int_gt(qn_key_compare_bytes(&larger, &smaller), 0);
        ck_assert_int_eq(qn_key_compare_bytes(&larger, &larger), 0);
    }
}
END_TEST

typedef uint32_t (*make_key_fn)(uint32_t number, char *data);

static uint32_t make_decimal(uint32_t number, char *data)
{
    return (uint32_t)sprintf(data, "%u", number);
}

static uint32_t make_word(uint32_t number, char *data)
{
    memcpy(data, &(uint64_t){number}, 8);
    return 8;
}

static uint32_t make_high_word(uint32_t number, char *data)
{
    memcpy(data, &(uint64_t){(uint64_t)number << 40}, 8);
    return 8;
}

static uint32_t make_double(uint32_t number, char *data)
{
    memcpy(data, &(double){number}, 8);
    return 8;
}

static uint32_t make_second_word(uint32_t number, char *data)
{
    memset(data, 0, 16);
    memcpy(data + 8, &number, 4);
    return 16;
}

static uint32_t make_letters(uint32_t number, char *data)
{
    uint32_t bytes = 0;
    for (; number > 0 || bytes == 0; number /= 26)
        data[bytes++] = (char)('a' + number % 26);
    return bytes;
}

static uint32_t make_seven(uint32_t number, char *data)
{
    return (uint32_t)sprintf(data, "%07u", number);
}

/* What differs is in the last bytes of seven. */
static uint32_t make_end_of_seven(uint32_t number, char *data)
{
    memset(data, 'x', 4);
    memcpy(data + 4, &number, 3);
    return 7;
}

static uint32_t make_padded(uint32_t number, char *data)
{
    return (uint32_t)sprintf(data, "%u     ", number) / 2 * 2;
}

static uint32_t make_long(uint32_t number, char *data)
{
    return (uint32_t)sprintf(data, "/a/long/common/path/%u", number);
}

/* 200000 keys in 64 parts: 3125 each, with a deviation of 56; seven times that is never seen by chance. */
START_TEST(tags_of_keys_that_are_alike_fall_evenly_into_partitions)
{
    static const make_key_fn makers[] = {make_decimal, make_word, make_high_word, make_double,       make_second_word,
                                         make_letters, make_long, make_seven,     make_end_of_seven, make_padded};
    for (size_t maker = 0; maker < sizeof makers / sizeof *makers; maker++) {
        uint32_t high[PART_COUNT] = {0};
        uint32_t middle[PART_COUNT] = {0};
        for (uint32_t number = 0; number < KEY_COUNT; number++) {
            char data[128] = {0};
            uint32_t bytes = makers[maker](number, data);
            qn_key key = qn_key_of(data, bytes);
            high[key.tag >> 58]++;
            middle[key.tag >> 30 & (PART_COUNT - 1)]++;
        }
        for (int part = 0; part < PART_COUNT; part++)
            ck_assert_msg(abs((int)high[part] - KEY_COUNT / PART_COUNT) < 400 &&
                              abs((int)middle[part] - KEY_COUNT / PART_COUNT) < 400,
                          "maker %d part %d: %u %u", (int)maker, part, high[part], middle[part]);
    }
}
END_TEST

static int compare_tags(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* 56 bits of hash: two of 200000 keys are equal with probability 3e-7. */
START_TEST(keys_that_are_alike_have_different_tags)
{
    static const make_key_fn makers[] = {make_decimal, make_word,    make_high_word, make_second_word,
                                         make_long,    make_letters, make_seven,     make_end_of_seven};
    uint64_t *tags = kit_take(KEY_COUNT * sizeof *tags);
    for (size_t maker = 0; maker < sizeof makers / sizeof *makers; maker++) {
        for (uint32_t number = 0; number < KEY_COUNT; number++) {
            char data[128] = {0};
            uint32_t bytes = makers[maker](number, data);
            tags[number] = qn_key_of(data, bytes).tag;
        }
        qsort(tags, KEY_COUNT, sizeof *tags, compare_tags);
        uint32_t equal_count = 0;
        for (uint32_t i = 1; i < KEY_COUNT; i++)
            equal_count += tags[i - 1] == tags[i];
        ck_assert_uint_eq(equal_count, 0);
    }
    free(tags);
}
END_TEST

START_TEST(no_first_word_makes_all_second_words_collide)
{
    static const uint64_t firsts[] = {0, UINT64_MAX, UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xa0761d6478bd642f),
                                      UINT64_C(0xd6e8feb86659fd93)};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        uint64_t words[4] = {firsts[i], 1};
        uint64_t tag = qn_key_of(words, 16).tag;
        uint32_t equal_count = 0;
        for (words[1] = 2; words[1] < 1000; words[1]++)
            equal_count += qn_key_of(words, 16).tag == tag;
        ck_assert_msg(equal_count == 0, "first word %016llx: %u of 998 keys have the same tag",
                      (unsigned long long)firsts[i], equal_count);
    }
}
END_TEST

START_TEST(a_checksum_depends_on_every_byte_and_on_the_seed)
{
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    uint64_t right = qn_checksum(data, sizeof data, 7);
    ck_assert_uint_ne(qn_checksum(data, sizeof data, 8), right);
    ck_assert_uint_ne(qn_checksum(data, sizeof data - 1, 7), right);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] ^= 0x10;
        ck_assert_uint_ne(qn_checksum(data, sizeof data, 7), right);
        data[i] ^= 0x10;
    }
    ck_assert_uint_eq(qn_checksum(data, sizeof data, 7), right);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        keys_of_every_length_give_their_bytes_and_length_back,
        what_lies_behind_a_key_does_not_matter,
        the_hash_of_tiny_keys_can_be_undone,
        tags_are_what_they_were,
        zeros_of_different_numbers_are_different_keys,
        bytes_are_compared_as_unsigned_with_a_prefix_first,
        tags_of_keys_that_are_alike_fall_evenly_into_partitions,
        keys_that_are_alike_have_different_tags,
        no_first_word_makes_all_second_words_collide,
        a_checksum_depends_on_every_byte_and_on_the_seed,
    };
    return kit_run_tests("hash", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
