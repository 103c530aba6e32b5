/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/ringkit.h: ranks of one process, whose exchanges are copies. What a rank sends waits, as it was at the start, until its
 * receiver looks; an exchange takes a step each time it is tested.
 */
#ifndef TESTS_SHUFFLE_RINGKIT_H
#define TESTS_SHUFFLE_RINGKIT_H

#include "runtime/comm/comm.h"
#include "runtime/shuffle/rounds.h"
#include "tests/kit.h"

#define RING_SIZE_MAX 8

typedef struct ring_letter {
    uint64_t word; /* bytes and flags */
    uint8_t *bytes;
} ring_letter;

static struct ring {
    uint32_t size;
    qn_comm comms[RING_SIZE_MAX];
    uint64_t started[RING_SIZE_MAX];
    struct {
        qn_exchange *of;
        uint64_t round;
    } exchanges[RING_SIZE_MAX][QN_ROUNDS_IN_FLIGHT];
    ring_letter letters[QN_ROUNDS_IN_FLIGHT * 2][RING_SIZE_MAX][RING_SIZE_MAX]; /* [round][from][to] */
    bool damages;                                                               /* a byte of each letter */
} ring;

static inline quern_status ring_start(qn_exchange *exchange, qn_error *of)
{
    (void)of;
    uint32_t from = exchange->comm->rank;
    uint64_t round = ring.started[from]++;
    ring.exchanges[from][round % QN_ROUNDS_IN_FLIGHT].of = exchange;
    ring.exchanges[from][round % QN_ROUNDS_IN_FLIGHT].round = round;
    for (uint32_t to = 0; to < ring.size; to++) {
        ring_letter *letter = &ring.letters[round % (2 * QN_ROUNDS_IN_FLIGHT)][from][to];
        uint64_t bytes = exchange->sent[to] & QN_EXCHANGE_BYTES_MASK;
        ck_assert_ptr_null(letter->bytes);
        ck_assert_uint_le(bytes, exchange->stride);
        letter->word = exchange->sent[to];
        letter->bytes = (uint8_t *)kit_take(bytes);
        memcpy(letter->bytes, exchange->send_chunks + to * exchange->stride, bytes);
        letter->bytes[bytes / 2] ^= ring.damages && bytes > 0;
    }
    exchange->state = QN_EXCHANGE_COUNTS;
    return QUERN_OK;
}

static inline quern_status ring_test(qn_exchange *exchange, qn_error *of)
{
    (void)of;
    uint32_t to = exchange->comm->rank;
    unsigned slot = ring.exchanges[to][0].of == exchange ? 0 : 1;
    if (ring.exchanges[to][1].of == exchange && ring.exchanges[to][1].round > ring.exchanges[to][slot].round)
        slot = 1; /* it is the only one */
    uint64_t round = ring.exchanges[to][slot].round;
    ck_assert_ptr_eq(ring.exchanges[to][slot].of, exchange);
    for (uint32_t from = 0; from < ring.size; from++)
        if (ring.started[from] <= round)
            return QUERN_OK;
    for (uint32_t from = 0; from < ring.size; from++) {
        ring_letter *letter = &ring.letters[round % (2 * QN_ROUNDS_IN_FLIGHT)][from][to];
        if (exchange->state == QN_EXCHANGE_COUNTS)
            exchange->received[from] = letter->word;
        else if (exchange->state == QN_EXCHANGE_PAYLOAD) {
            memcpy(exchange->receive_chunks + from * exchange->stride, letter->bytes,
                   letter->word & QN_EXCHANGE_BYTES_MASK);
            free(letter->bytes);
            letter->bytes = NULL;
        }
    }
    if (exchange->state != QN_EXCHANGE_DONE)
        exchange->state++;
    return QUERN_OK;
}

static const qn_comm_ops ring_ops = {.exchange_start = ring_start, .exchange_test = ring_test};

static inline void ring_open(uint32_t size)
{
    memset(&ring, 0, sizeof ring);
    ring.size = size;
    for (uint32_t rank = 0; rank < size; rank++)
        ring.comms[rank] = (qn_comm){
            .ops = &ring_ops, .rank = rank, .size = size, .node_count = 1, .node_rank = rank, .node_size = size};
}

/* Throws away what is still on its way. */
static inline void ring_close(void)
{
    for (unsigned round = 0; round < QN_ROUNDS_IN_FLIGHT * 2; round++)
        for (uint32_t from = 0; from < ring.size; from++)
            for (uint32_t to = 0; to < ring.size; to++)
                free(ring.letters[round][from][to].bytes);
}

#endif
