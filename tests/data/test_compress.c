/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/test_compress.c: blocks are compressed where that saves more time than it takes, and noise is soon left alone.
 */
#include "runtime/data/compress.h"
#include "tests/kit.h"

#define BLOCK UINT64_C(100000)

/* Offers `count` blocks that become packed_bytes each in pack_ns; returns how many were tried, and in *kept_out how many kept. */
static uint32_t offer(qn_compressor *compressor, uint32_t count, uint64_t packed_bytes, uint64_t pack_ns,
                      uint32_t *kept_out)
{
    uint32_t tried = 0;
    *kept_out = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!qn_compressor_wants(compressor))
            continue;
        tried++;
        *kept_out += qn_compressor_judge(compressor, BLOCK, packed_bytes, pack_ns);
    }
    return tried;
}

START_TEST(on_a_slow_disk_what_becomes_half_is_compressed_and_on_a_fast_one_left_alone)
{
    uint32_t kept = 0;
    qn_compressor slow = {0}, fast = {0};
    qn_compressor_note_disk(&slow, 1000000, 10000000); /* 0.1 GB/s: half a block saved is 1 ms */
    qn_compressor_note_disk(&fast, 1000000, 250000);   /* 4 GB/s: 25 us */
    ck_assert_uint_eq(offer(&slow, 10000, BLOCK / 2, 200000, &kept), 10000);
    ck_assert_uint_eq(kept, 10000);
    ck_assert_uint_lt(offer(&fast, 10000, BLOCK / 2, 200000, &kept), 20);
    ck_assert_uint_eq(kept, 0);
}
END_TEST

START_TEST(noise_is_left_alone_however_slow_the_disk)
{
    uint32_t kept = 0;
    for (int compression = QN_COMPRESS_WHERE_IT_PAYS; compression <= QN_COMPRESS_ALL; compression++) {
        qn_compressor compressor = {.compression = (qn_compression)compression};
        qn_compressor_note_disk(&compressor, 1000, UINT64_C(1000000000));
        ck_assert_uint_lt(offer(&compressor, 10000, 0, 1, &kept), 20);
        ck_assert_uint_lt(offer(&compressor, 10000, BLOCK - 10, 1, &kept), 20);
        ck_assert_uint_eq(kept, 0);
    }
}
END_TEST

START_TEST(a_disk_that_becomes_slow_is_noticed)
{
    uint32_t kept = 0;
    qn_compressor compressor = {0};
    qn_compressor_note_disk(&compressor, UINT64_C(1) << 30, UINT64_C(1) << 28);
    offer(&compressor, 5000, BLOCK / 2, 200000, &kept);
    ck_assert_uint_eq(kept, 0);
    for (int i = 0; i < 64; i++)
        qn_compressor_note_disk(&compressor, UINT64_C(64) << 20, UINT64_C(640) << 20); /* 0.1 GB/s */
    offer(&compressor, 5000, BLOCK / 2, 200000, &kept);
    ck_assert_uint_gt(kept, 5000 - QN_COMPRESS_SKIP_COUNT_MAX - 1);
}
END_TEST

START_TEST(what_is_not_read_back_saves_half_as_much)
{
    uint32_t kept = 0;
    qn_compressor both = {0}, one = {.goes_one_way = true};
    qn_compressor_note_disk(&both, 1000000, 5000000); /* half a block saved is 0.25 ms, twice that with the way back */
    qn_compressor_note_disk(&one, 1000000, 5000000);
    offer(&both, 100, BLOCK / 2, 300000, &kept);
    ck_assert_uint_eq(kept, 100);
    offer(&one, 100, BLOCK / 2, 300000, &kept);
    ck_assert_uint_eq(kept, 0);
}
END_TEST

START_TEST(nothing_is_compressed_before_the_disk_is_known_or_when_it_is_not_wanted)
{
    uint32_t kept = 0;
    qn_compressor unknown = {0}, unwanted = {.compression = QN_COMPRESS_NONE};
    qn_compressor_note_disk(&unwanted, 1000, UINT64_C(1000000000));
    ck_assert_uint_eq(offer(&unknown, 100, 1, 1, &kept), 0);
    ck_assert_uint_eq(offer(&unwanted, 100, 1, 1, &kept), 0);
}
END_TEST

START_TEST(what_is_compressed_comes_back_and_what_is_not_lz4_is_refused)
{
    uint8_t data[5000], packed[5000], back[5000];
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)((size_t) "words and counts"[i % 16] + i / 1000);
    size_t bytes = qn_compress(data, sizeof data, packed, sizeof packed);
    ck_assert_uint_gt(bytes, 0);
    ck_assert_uint_lt(bytes, sizeof data / 10);
    ck_assert_uint_eq(qn_compress(data, sizeof data, back, bytes - 1), 0);
    ck_assert(qn_decompress(packed, bytes, back, sizeof back));
    ck_assert_mem_eq(data, back, sizeof data);
    ck_assert(!qn_decompress(packed, bytes, back, sizeof back - 1));
    ck_assert(!qn_decompress(packed, bytes - 1, back, sizeof back));
    ck_assert(!qn_decompress(packed, bytes, back, (size_t)1 << 40));
    for (int round = 0; round < 10000; round++) {
        for (size_t i = 0; i < 40; i++)
            packed[i] = (uint8_t)kit_random(&state);
        (void)qn_decompress(packed, 40, back, 1 + kit_random_below(&state, sizeof back)); /* the sanitizers watch */
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        on_a_slow_disk_what_becomes_half_is_compressed_and_on_a_fast_one_left_alone,
        noise_is_left_alone_however_slow_the_disk,
        a_disk_that_becomes_slow_is_noticed,
        what_is_not_read_back_saves_half_as_much,
        nothing_is_compressed_before_the_disk_is_known_or_when_it_is_not_wanted,
        what_is_compressed_comes_back_and_what_is_not_lz4_is_refused,
    };
    return kit_run_tests("compress", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
