/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/comm/exchange_ranks.c: what every exchange has to do, on one level and on two: exchange_ranks NODE_SIZE_MAX, under mpirun. NODE_SIZE_MAX 0: all
 * ranks are of one node; else a node is so many ranks of this machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/comm/comm.h"

#define SECONDS_MAX 100
#define IN_FLIGHT   2
#define ROUNDS      24

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail(__LINE__, #condition, error.text);                                                                    \
    } while (0)

static qn_comm *comm;

/* Ends the job: the launcher takes the other ranks along. */
static void fail(int line, const char *what, const char *text)
{
    fprintf(stderr, "rank %u of %u: line %d: %s (%s)\n", comm ? comm->rank : 0, comm ? comm->size : 0, line, what,
            text);
    _exit(1);
}

static uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return number ^ number >> 29;
}

/* Of one pair of ranks in one round. */
static uint64_t number_of(uint64_t round, uint32_t from, uint32_t to)
{
    return mix(round << 40 ^ (uint64_t)from << 20 ^ to);
}

/* Nothing, all that there is room for, or something; and in some rounds nobody has anything. */
static uint64_t bytes_of(uint64_t number, uint64_t round, size_t stride)
{
    if (round % 6 == 5 || number % 4 == 0)
        return 0;
    return number % 4 == 1 ? stride : number / 4 % stride;
}

static uint64_t flags_of(uint64_t number)
{
    return number & (QN_EXCHANGE_ENDED | QN_EXCHANGE_MORE);
}

static void fill(qn_exchange *exchange, uint64_t round)
{
    for (uint32_t to = 0; to < comm->size; to++) {
        uint64_t number = number_of(round, comm->rank, to), bytes = bytes_of(number, round, exchange->stride);
        uint8_t *chunk = exchange->send_chunks + to * exchange->stride;
        exchange->sent[to] = bytes | flags_of(number);
        for (uint64_t i = 0; i < bytes; i++)
            chunk[i] = (uint8_t)(number >> i % 57 ^ i);
    }
}

static void check_counts(const qn_exchange *exchange, uint64_t round)
{
    qn_error error = {0};
    CHECK(exchange->damaged_from == UINT32_MAX);
    for (uint32_t from = 0; from < comm->size; from++) {
        uint64_t number = number_of(round, from, comm->rank);
        CHECK(exchange->received[from] == (bytes_of(number, round, exchange->stride) | flags_of(number)));
    }
}

static void check_chunks(const qn_exchange *exchange, uint64_t round)
{
    qn_error error = {0};
    for (uint32_t from = 0; from < comm->size; from++) {
        uint64_t number = number_of(round, from, comm->rank), bytes = bytes_of(number, round, exchange->stride);
        const uint8_t *chunk = exchange->receive_chunks + from * exchange->stride;
        for (uint64_t i = 0; i < bytes; i++)
            CHECK(chunk[i] == (uint8_t)(number >> i % 57 ^ i));
    }
}

/* Moves on what is on its way, as far as counts allow; true: the oldest one is done. */
static bool look(qn_exchange *exchanges, uint64_t done, uint64_t started, uint64_t *counted)
{
    qn_error error = {0};
    for (uint64_t round = done; round < started; round++) {
        qn_exchange *exchange = &exchanges[round % IN_FLIGHT];
        CHECK(qn_exchange_test(exchange, &error) == QUERN_OK);
        if (exchange->state == QN_EXCHANGE_COUNTS)
            return false;
        if (*counted == round) {
            check_counts(exchange, round);
            ++*counted;
        }
    }
    return done < started && exchanges[done % IN_FLIGHT].state == QN_EXCHANGE_DONE;
}

/* Two at a time; ranks look at moments of their own, some of them seldom. */
static void chunks_and_counts_arrive_as_they_were_sent(size_t stride, uint32_t levels, bool trusts)
{
    qn_error error = {0};
    qn_exchange exchanges[IN_FLIGHT] = {{0}};
    uint64_t started = 0, counted = 0, done = 0;
    comm->shuffle_levels = levels;
    comm->trusts_network = trusts;
    uint32_t has = comm->can_relay ? levels : 1;
    CHECK(qn_exchange_levels(comm, stride) == has);
    CHECK(qn_exchange_bytes(comm, stride) == (1 + has) * stride * comm->size);
    for (int i = 0; i < IN_FLIGHT; i++)
        CHECK(qn_exchange_init(&exchanges[i], comm, stride, &error) == QUERN_OK);
    while (done < ROUNDS) {
        qn_exchange *next = &exchanges[started % IN_FLIGHT];
        if (started < ROUNDS && next->state == QN_EXCHANGE_IDLE) {
            fill(next, started++);
            CHECK(qn_exchange_start(next, &error) == QUERN_OK);
        }
        if (mix(started + comm->rank) % 5 == 0)
            usleep(300);
        if (!look(exchanges, done, started, &counted))
            continue;
        check_chunks(&exchanges[done % IN_FLIGHT], done);
        qn_exchange_reopen(&exchanges[done++ % IN_FLIGHT]);
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        qn_exchange_fini(&exchanges[i]);
}

/* The greatest of all chunks, in which all ranks are on their way at the same time. */
static void large_chunks_tell_the_speed_of_the_link_and_small_ones_do_not(uint32_t levels)
{
    qn_error error = {0};
    qn_exchange exchange = {0};
    comm->shuffle_levels = levels;
    for (size_t stride = 1024; stride <= (size_t)64 << 10; stride *= 64) {
        comm->link_bytes = comm->link_ns = 0;
        CHECK(qn_exchange_init(&exchange, comm, stride, &error) == QUERN_OK);
        for (uint32_t to = 0; to < comm->size; to++)
            exchange.sent[to] = stride;
        CHECK(qn_exchange_start(&exchange, &error) == QUERN_OK);
        while (exchange.state != QN_EXCHANGE_DONE)
            CHECK(qn_exchange_test(&exchange, &error) == QUERN_OK);
        uint64_t far = comm->size - comm->node_size;
        CHECK(comm->link_bytes == (stride > 1024 ? far * stride : 0));
        CHECK((comm->link_ns > 0) == (comm->link_bytes > 0));
        qn_exchange_fini(&exchange);
    }
}

/* Two levels are for small chunks of many ranks, where they are a quarter of the messages. */
static void levels_are_chosen_by_messages_and_their_sizes(void)
{
    static const struct {
        uint32_t nodes, ranks;
        size_t stride;
        uint32_t levels;
    } cases[] = {{4, 4, 1024, 1},  {8, 8, 1024, 2},  {8, 8, 4096, 2},     {8, 8, 4160, 1},
                 {64, 2, 1024, 1}, {2, 64, 1024, 1}, {1000, 128, 1024, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        qn_error error = {0};
        qn_comm other = {
            .size = cases[i].nodes * cases[i].ranks, .node_count = cases[i].nodes, .node_size = cases[i].ranks};
        CHECK(qn_exchange_levels(&other, cases[i].stride) == 1); /* of nodes with unequal ranks */
        other.can_relay = true;
        CHECK(qn_exchange_levels(&other, cases[i].stride) == cases[i].levels);
        for (other.shuffle_levels = 1; other.shuffle_levels <= 2; other.shuffle_levels++)
            CHECK(qn_exchange_levels(&other, cases[i].stride) == other.shuffle_levels);
    }
}

/* With equal nodes of several ranks. */
static void there_can_be_two_levels_where_nodes_are_equal(void)
{
    qn_error error = {0};
    bool is_even = comm->size == comm->node_count * comm->node_size; /* nodes are filled up one after the other */
    uint64_t uneven = !is_even;
    CHECK(qn_comm_reduce_max(comm, &uneven, 1, &error) == QUERN_OK);
    CHECK(comm->can_relay == (!uneven && comm->node_count > 1 && comm->node_size > 1));
    for (uint32_t rank = 0; rank < comm->size; rank++)
        CHECK(qn_comm_is_near(comm, rank) || comm->node_of[rank] != comm->node);
    CHECK(qn_comm_is_near(comm, comm->rank));
}

int main(int argc, char **argv)
{
    qn_error error = {0};
    qn_comm_start start = {.node_size_max = argc > 1 ? (uint32_t)atoi(argv[1]) : 0};
    alarm(SECONDS_MAX);
    CHECK(qn_comm_create(&start, &comm, &error) == QUERN_OK);
    levels_are_chosen_by_messages_and_their_sizes();
    there_can_be_two_levels_where_nodes_are_equal();
    for (uint32_t levels = 1; levels <= 2 && comm->size > 1; levels++) {
        for (int trusts = 0; trusts <= 1; trusts++) {
            chunks_and_counts_arrive_as_they_were_sent(1024, levels, trusts);
            chunks_and_counts_arrive_as_they_were_sent(40000, levels, trusts);
        }
        large_chunks_tell_the_speed_of_the_link_and_small_ones_do_not(levels);
    }
    qn_comm_destroy(comm);
    return 0;
}
