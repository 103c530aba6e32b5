/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/perf/bench_exchange.c: microseconds that a round of full chunks takes, on one level and on two, by the size of a chunk: bench_exchange
 * [NODE_SIZE_MAX [SECONDS]], under mpirun. By hand; what it says chooses the levels (docs/decisions/0011-two-levels.md).
 *
 * The two take turns. Two rounds are on their way, as in a shuffle, and nobody works beside: the ranks look all the time.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/comm/comm.h"

#define IN_FLIGHT 2
#define TURNS     8 /* for each size and number of levels */

static qn_comm *comm;

static void check(quern_status status, const qn_error *error)
{
    if (status == QUERN_OK)
        return;
    fprintf(stderr, "bench_exchange: %s\n", error->text);
    exit(1);
}

static void start(qn_exchange *exchange)
{
    qn_error error = {0};
    for (uint32_t to = 0; to < comm->size; to++)
        exchange->sent[to] = exchange->stride;
    check(qn_exchange_start(exchange, &error), &error);
}

static void run_rounds(qn_exchange *exchanges, uint64_t count)
{
    qn_error error = {0};
    uint64_t started = 0;
    for (uint64_t done = 0; done < count;) {
        if (started < count && started < done + IN_FLIGHT)
            start(&exchanges[started++ % IN_FLIGHT]);
        for (uint64_t round = done; round < started; round++) {
            check(qn_exchange_test(&exchanges[round % IN_FLIGHT], &error), &error);
            if (exchanges[round % IN_FLIGHT].state == QN_EXCHANGE_COUNTS)
                break;
        }
        if (exchanges[done % IN_FLIGHT].state == QN_EXCHANGE_DONE)
            qn_exchange_reopen(&exchanges[done++ % IN_FLIGHT]);
        else
            sched_yield();
    }
}

/* Nanoseconds of as many rounds, as the slowest rank has it. */
static uint64_t measure(uint32_t levels, size_t stride, uint64_t count)
{
    qn_error error = {0};
    qn_exchange exchanges[IN_FLIGHT] = {{0}};
    comm->shuffle_levels = levels;
    for (int i = 0; i < IN_FLIGHT; i++)
        check(qn_exchange_init(&exchanges[i], comm, stride, &error), &error);
    run_rounds(exchanges, IN_FLIGHT); /* memory is there, and connections */
    uint64_t nothing = 0;
    check(qn_comm_reduce_max(comm, &nothing, 1, &error), &error);
    uint64_t start_ns = qn_clock_ns();
    run_rounds(exchanges, count);
    uint64_t ns = qn_clock_ns() - start_ns;
    for (int i = 0; i < IN_FLIGHT; i++)
        qn_exchange_fini(&exchanges[i]);
    check(qn_comm_reduce_max(comm, &ns, 1, &error), &error);
    return ns;
}

static int compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

static void compare_levels(size_t stride, double seconds)
{
    uint64_t found[2][TURNS];
    uint64_t each_ns = measure(1, stride, 4) / 4, count = (uint64_t)(seconds * 1e9 / TURNS / (double)(each_ns + 1));
    count = count < 2 ? 2 : count;
    for (int turn = 0; turn < TURNS; turn++)
        for (uint32_t levels = 1; levels <= 2; levels++)
            found[levels - 1][turn] = measure(levels, stride, count) / count;
    for (int i = 0; i < 2; i++)
        qsort(found[i], TURNS, sizeof(uint64_t), compare);
    double one = (double)found[0][TURNS / 2] / 1e3, two = (double)found[1][TURNS / 2] / 1e3;
    if (comm->rank == 0)
        printf("| %zu | %.0f | %.0f | %.2f |\n", stride, one, two, two / one);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    qn_error error = {0};
    qn_comm_start begin = {.node_size_max = argc > 1 ? (uint32_t)atoi(argv[1]) : 0};
    double seconds = argc > 2 ? atof(argv[2]) : 1;
    check(qn_comm_create(&begin, &comm, &error), &error);
    if (!comm->can_relay) {
        fprintf(stderr,
                "bench_exchange: two levels take several nodes with as many ranks each, and several of these\n");
        return 1;
    }
    comm->trusts_network = true;
    if (comm->rank == 0)
        printf("%u nodes of %u ranks\n\n| bytes of a chunk | one level, us | two, us | ratio |\n| --- | --- | --- | "
               "--- |\n",
               comm->node_count, comm->node_size);
    for (size_t stride = 1024; stride <= (size_t)1 << 20; stride *= 4)
        compare_levels(stride, seconds);
    qn_comm_destroy(comm);
    return 0;
}
