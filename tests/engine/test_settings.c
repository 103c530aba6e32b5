/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/engine/test_settings.c: how memory is dealt out to ranks that are more than any machine here can start. */
#include "runtime/engine/settings.h"
#include "runtime/shuffle/rounds.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define MIB ((uint64_t)1 << 20)

enum { CORES = 128 };

static qn_comm comm;

/* Nodes of 128 ranks. */
static qn_memory_share share_of(uint32_t nodes, uint64_t rank_memory_bytes)
{
    qn_error error = {0};
    qn_memory_share share = {0};
    qn_settings settings = {.rank_memory_bytes = rank_memory_bytes,
                            .least_rank_memory_bytes = rank_memory_bytes,
                            .node_memory_bytes = rank_memory_bytes * CORES};
    comm = (qn_comm){.size = nodes * CORES, .node_count = nodes, .node_size = CORES, .can_relay = nodes > 1};
    kit_assert_ok(qn_settings_share(&settings, &comm, 1, 0, &share, &error), &error);
    return share;
}

static uint64_t buffers_of(const qn_memory_share *share)
{
    return qn_rounds_bytes(&comm, share->round_bytes);
}

START_TEST(few_ranks_have_rounds_of_four_mebibytes)
{
    qn_memory_share share = share_of(1, 2048 * MIB);
    ck_assert_uint_eq(share.round_bytes, 4 * MIB);
    ck_assert_uint_eq(qn_rounds_in_flight(&comm, share.round_bytes), QN_ROUNDS_IN_FLIGHT);
}
END_TEST

START_TEST(many_ranks_have_chunks_of_a_kibibyte_where_there_is_memory_for_it)
{
    qn_memory_share share = share_of(800, 8192 * MIB);
    ck_assert_uint_eq(share.round_bytes, (uint64_t)comm.size * QN_ROUNDS_CHUNK_BYTES_GOOD);
    ck_assert_uint_eq(buffers_of(&share), 6 * share.round_bytes + QN_ROUNDS_CHUNK_BYTES_GOOD);
}
END_TEST

START_TEST(where_there_is_not_buffers_take_a_tenth_of_the_memory)
{
    for (uint64_t mib = 1024; mib <= 2048; mib += 256) {
        qn_memory_share share = share_of(800, mib * MIB);
        ck_assert_uint_eq(qn_rounds_in_flight(&comm, share.round_bytes), 1);
        ck_assert_uint_le(buffers_of(&share), mib * MIB / 10);
        ck_assert_uint_ge(buffers_of(&share), mib * MIB / 20);
    }
}
END_TEST

START_TEST(chunks_are_never_smaller_than_the_least)
{
    qn_memory_share share = share_of(800, 400 * MIB);
    ck_assert_uint_eq(share.round_bytes, (uint64_t)comm.size * QN_ROUNDS_CHUNK_BYTES_MIN);
    share = share_of(10000, 4096 * MIB);
    ck_assert_uint_eq(buffers_of(&share),
                      3 * (uint64_t)comm.size * QN_ROUNDS_CHUNK_BYTES_MIN + QN_ROUNDS_CHUNK_BYTES_MIN);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        few_ranks_have_rounds_of_four_mebibytes,
        many_ranks_have_chunks_of_a_kibibyte_where_there_is_memory_for_it,
        where_there_is_not_buffers_take_a_tenth_of_the_memory,
        chunks_are_never_smaller_than_the_least,
    };
    return kit_run_tests("settings", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
