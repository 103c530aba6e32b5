/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/aligned_ranks.c: the clocks of nodes are aligned: aligned_ranks NODE_SIZE_MAX [AHEAD_SECONDS], under mpirun. Each node is so many ranks of this
 * machine. AHEAD_SECONDS: by how much this rank's clock is ahead of rank 0's, where it was started in a time namespace of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/engine/clock_align.h"

#define SECONDS_MAX  100
#define ERROR_NS_MAX (100 * QN_NS_PER_MS) /* of the quickest of some ways on a machine that is busy */

int main(int argc, char **argv)
{
    qn_error error = {0};
    qn_engine engine = {0};
    qn_comm_start start = {.node_size_max = argc > 1 ? (uint32_t)atoi(argv[1]) : 0};
    int64_t ahead_ns = argc > 2 ? atoll(argv[2]) * (int64_t)QN_NS_PER_S : 0;
    alarm(SECONDS_MAX);
    if (qn_comm_create(&start, &engine.comm, &error) != QUERN_OK)
        return 1;
    engine.rank_node = calloc(engine.comm->size, sizeof *engine.rank_node);
    uint32_t *nodes = engine.comm->rank == 0 ? engine.rank_node : NULL;
    bool done = qn_comm_gather(engine.comm, &engine.comm->node, sizeof engine.comm->node, nodes, &error) == QUERN_OK;
    for (int turn = 0; turn < 3 && done; turn++) {
        done = qn_clock_align(&engine, &error) == QUERN_OK;
        int64_t wrong_ns = engine.clock_ahead_ns + ahead_ns;
        if (engine.comm->node == 0)
            done &= engine.clock_ahead_ns == 0 && engine.clock_error_ns == 0;
        else
            done &= llabs(wrong_ns) <= engine.clock_error_ns && engine.clock_error_ns < (int64_t)ERROR_NS_MAX;
        if (!done)
            fprintf(stderr, "rank %u: off by %" PRId64 " ns, said to be at most %" PRId64 " (%s)\n", engine.comm->rank,
                    wrong_ns, engine.clock_error_ns, error.text);
    }
    free(engine.rank_node);
    if (!done)
        _exit(1); /* the launcher takes the others along */
    qn_comm_destroy(engine.comm);
    return 0;
}
