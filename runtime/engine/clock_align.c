/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/clock_align.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/engine/message.h"

#define TURNS      8
#define PATIENCE_S 60 /* who failed and sends no word shall not be waited for for ever */

/* Of a stage that never is: whatever came late would be dropped. */
typedef struct clock_word {
    qn_message_head head;
    uint64_t asked_ns, told_ns;
} clock_word;

/* What rank 0 knows of a node, whose clock is ahead of its own by so much. */
typedef struct node_clock {
    int64_t ahead_ns, error_ns;
} node_clock;

/* The next word, from whichever rank. */
static quern_status wait_for_word(qn_comm *comm, clock_word *word_out, uint32_t *from_out, qn_error *error)
{
    qn_backoff backoff = {0};
    uint64_t begin_ns = qn_clock_ns();
    while (qn_clock_ns() - begin_ns < PATIENCE_S * QN_NS_PER_S) {
        const void *data = NULL;
        size_t bytes = 0;
        quern_status status = qn_comm_poll(comm, &data, &bytes, from_out, error);
        if (status != QUERN_OK)
            return status;
        if (data && bytes == sizeof *word_out) {
            memcpy(word_out, data, sizeof *word_out);
            return QUERN_OK;
        }
        if (!data)
            qn_backoff_wait(&backoff);
    }
    return qn_error_set(error, QUERN_ERROR_MPI, 0, "another node did not tell its time within %d s", PATIENCE_S);
}

static void learn(node_clock *clock, const clock_word *word, uint64_t now_ns)
{
    int64_t way_ns = (int64_t)(now_ns - word->asked_ns) / 2;
    if (clock->error_ns >= 0 && clock->error_ns <= way_ns)
        return;
    clock->error_ns = way_ns;
    clock->ahead_ns = (int64_t)(word->told_ns - word->asked_ns) - way_ns;
}

/* The first rank of each node: nodes are numbered by it. */
static quern_status ask_all(const qn_engine *engine, qn_error *error)
{
    qn_comm *comm = engine->comm;
    quern_status status = QUERN_OK;
    uint32_t next = 1;
    for (uint32_t rank = 1; rank < comm->size && status == QUERN_OK; rank++) {
        if (engine->rank_node[rank] != next)
            continue;
        clock_word word = {.asked_ns = qn_clock_ns()};
        status = qn_comm_send(comm, rank, &word, sizeof word, error);
        next++;
    }
    return status;
}

static quern_status ask(const qn_engine *engine, node_clock *clocks, qn_error *error)
{
    qn_comm *comm = engine->comm;
    quern_status status = QUERN_OK;
    for (uint32_t node = 1; node < comm->node_count; node++)
        clocks[node].error_ns = -1;
    for (uint32_t turn = 0; turn < TURNS && status == QUERN_OK; turn++) {
        status = ask_all(engine, error);
        for (uint32_t left = comm->node_count - 1; left > 0 && status == QUERN_OK; left--) {
            clock_word word;
            uint32_t from = 0;
            status = wait_for_word(comm, &word, &from, error);
            if (status == QUERN_OK)
                learn(&clocks[engine->rank_node[from]], &word, qn_clock_ns());
        }
    }
    return status;
}

static quern_status answer(qn_comm *comm, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t turn = 0; turn < TURNS && status == QUERN_OK; turn++) {
        clock_word word;
        uint32_t from = 0;
        status = wait_for_word(comm, &word, &from, error);
        word.told_ns = qn_clock_ns();
        if (status == QUERN_OK)
            status = qn_comm_send(comm, 0, &word, sizeof word, error);
    }
    return status;
}

quern_status qn_clock_align(qn_engine *engine, qn_error *error)
{
    qn_comm *comm = engine->comm;
    engine->clock_ahead_ns = engine->clock_error_ns = 0;
    if (comm->node_count == 1)
        return QUERN_OK;
    node_clock *clocks = calloc(comm->node_count, sizeof *clocks);
    if (!clocks)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the clocks of %u nodes", comm->node_count);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK && comm->rank == 0)
        ask(engine, clocks, error);
    else if (status == QUERN_OK && comm->node_rank == 0)
        answer(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, clocks, comm->node_count * sizeof *clocks, 0, error);
    if (status == QUERN_OK) {
        engine->clock_ahead_ns = -clocks[comm->node].ahead_ns;
        engine->clock_error_ns = clocks[comm->node].error_ns;
    }
    free(clocks);
    return status;
}
