/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rounds that a shuffle has, by the code that shuffles. A round of a few bytes is the latency of the slowest pair of ranks, and
 * of ranks that have to wait for a core; one of many is what the network and the memory carry.
 */
#include <string.h>

#include "runtime/base/clock.h"
#include "tools/doctor/probe.h"

#define FEW_BYTES      8
#define MANY_BYTES_MAX ((size_t)1 << 20) /* between two ranks */
#define MANY_BYTES_MIN ((size_t)1 << 10)
#define ALL_BYTES      ((size_t)4 << 20) /* of a rank to all others, if it can be */
#define FEW_ROUNDS     200
#define MANY_ROUNDS    10
#define ROUNDS_NS_MAX  (3 * QN_NS_PER_S / 2) /* of a kind; a round that takes long is the last one */
#define LOOK_ROUNDS    10                    /* short ones, after which it is agreed whether that is enough */

static quern_status go_round(qn_exchange *exchange, uint64_t bytes, qn_error *error)
{
    qn_backoff backoff = {0};
    for (uint32_t to = 0; to < exchange->comm->size; to++)
        exchange->sent[to] = bytes;
    quern_status status = qn_exchange_start(exchange, error);
    while (status == QUERN_OK && exchange->state != QN_EXCHANGE_DONE) {
        status = qn_exchange_test(exchange, error);
        if (status == QUERN_OK && exchange->state != QN_EXCHANGE_DONE)
            qn_backoff_wait(&backoff);
    }
    if (status == QUERN_OK)
        qn_exchange_reopen(exchange);
    return status;
}

/* The shortest and the mean time of rounds, as this rank sees them. Rank 0's clock says when it is enough. */
static quern_status go_rounds(qn_comm *comm, size_t bytes, int count, uint64_t *best_ns_out, uint64_t *mean_ns_out,
                              qn_error *error)
{
    qn_exchange exchange = {0};
    uint64_t best_ns = UINT64_MAX, all_ns = 0, done = 0, is_enough = 0;
    if (qn_exchange_init(&exchange, comm, bytes, error) == QUERN_OK)
        memset(exchange.send_chunks, 'q', comm->size * bytes);
    quern_status status = qn_comm_agree(comm, error);
    if (status != QUERN_OK) {
        qn_exchange_fini(&exchange);
        return status;
    }
    status = go_round(&exchange, bytes, error); /* the first one makes connections */
    while (status == QUERN_OK && !is_enough && done < (uint64_t)count) {
        uint64_t begin_ns = qn_clock_ns();
        status = go_round(&exchange, bytes, error);
        uint64_t took_ns = qn_clock_ns() - begin_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        all_ns += took_ns;
        done++;
        is_enough = comm->rank == 0 && all_ns > ROUNDS_NS_MAX;
        if (status == QUERN_OK && (bytes > FEW_BYTES || done % LOOK_ROUNDS == 0))
            status = qn_comm_broadcast(comm, &is_enough, sizeof is_enough, 0, error);
        else
            is_enough = 0;
    }
    if (status == QUERN_OK)
        qn_exchange_fini(&exchange);
    *best_ns_out = best_ns;
    *mean_ns_out = done > 0 ? all_ns / done : 0;
    return status;
}

quern_status quern_probe_exchange(qn_comm *comm, json_t **figures_out, qn_error *error)
{
    uint64_t few_best_ns = 0, few_ns = 0, many_best_ns = 0, many_ns = 0;
    size_t bytes = ALL_BYTES / comm->size;
    *figures_out = NULL;
    bytes = bytes > MANY_BYTES_MAX ? MANY_BYTES_MAX : bytes < MANY_BYTES_MIN ? MANY_BYTES_MIN : bytes;
    quern_status status = go_rounds(comm, FEW_BYTES, FEW_ROUNDS, &few_best_ns, &few_ns, error);
    if (status == QUERN_OK)
        status = go_rounds(comm, bytes, MANY_ROUNDS, &many_best_ns, &many_ns, error);
    if (status == QUERN_OK && comm->rank == 0)
        *figures_out =
            json_pack("{sI sI sI sI}", "few_ns", (json_int_t)few_ns, "few_best_ns", (json_int_t)few_best_ns, "many_ns",
                      (json_int_t)many_best_ns, "many_bytes", (json_int_t)(bytes * (comm->size - 1)));
    return status;
}
