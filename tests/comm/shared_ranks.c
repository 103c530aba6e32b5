/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/comm/shared_ranks.c: bytes that all ranks have, and beats of nodes: shared_ranks NODE_SIZE_MAX, under mpirun. NODE_SIZE_MAX 0: all ranks are of
 * one node; else a node is so many ranks of this machine.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/comm/shared.h"

#define SECONDS_MAX 100
#define LARGE_BYTES ((uint64_t)70 << 20) /* more than /dev/shm has in many containers */

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail(__LINE__, #condition, error.text);                                                                    \
    } while (0)

static qn_comm *comm;
static atomic_bool beats_end;

/* Ends the job: the launcher takes the other ranks along. */
static void fail(int line, const char *what, const char *text)
{
    fprintf(stderr, "rank %u of %u: line %d: %s (%s)\n", comm ? comm->rank : 0, comm ? comm->size : 0, line, what,
            text);
    _exit(1);
}

static uint8_t byte_of(uint32_t rank, uint64_t at)
{
    return (uint8_t)((at * 2654435761u >> 8) + rank * 7 + 1);
}

/* How many bytes a rank brings; every third one none. */
static uint64_t bytes_of(uint32_t rank, uint64_t most_bytes)
{
    return rank % 3 == 2 ? 0 : most_bytes / (rank + 1) + rank;
}

/* In the order of nodes, and of the ranks of each. */
static void check_all(const qn_shared *shared, const uint32_t *nodes, uint64_t most_bytes)
{
    qn_error error = {0};
    const uint8_t *at = shared->data;
    for (uint32_t node = 0; node < comm->node_count; node++)
        for (uint32_t rank = 0; rank < comm->size; rank++) {
            uint64_t bytes = nodes[rank] == node ? bytes_of(rank, most_bytes) : 0;
            for (uint64_t i = 0; i < bytes; i += i < 5000 ? 1 : 997)
                CHECK(at[i] == byte_of(rank, i));
            at += bytes;
        }
    CHECK(at == shared->data + shared->bytes);
}

static void bring(const uint32_t *nodes, uint64_t most_bytes, bool all_share, bool expect_private)
{
    qn_error error = {0};
    qn_shared shared = {0};
    bool may_share = all_share || comm->node_rank != comm->node_size - 1;
    qn_shared_wish wish = {bytes_of(comm->rank, most_bytes), 4096, may_share};
    CHECK(qn_shared_create(&shared, comm, &wish, &error) == QUERN_OK);
    CHECK(shared.is_private == (expect_private || comm->node_size == 1));
    for (uint64_t i = 0; i < shared.mine_bytes; i++)
        shared.mine[i] = byte_of(comm->rank, i);
    CHECK(qn_shared_spread(&shared, &error) == QUERN_OK);
    if (qn_shared_helper_number(&shared) == qn_shared_helper_count(&shared) - 1)
        memset(shared.data + shared.bytes, 42, shared.room_bytes);
    CHECK(qn_shared_settle(&shared, &error) == QUERN_OK);
    qn_shared_seal(&shared);
    check_all(&shared, nodes, most_bytes);
    CHECK(shared.data[shared.bytes] == 42 && shared.data[shared.bytes + 4095] == 42);
    qn_shared_destroy(&shared);
    CHECK(shared.data == NULL);
}

/* Each rank writes a stretch of its own into the room, again and again. */
static void what_ranks_write_comes_to_all(bool all_share)
{
    qn_error error = {0};
    qn_shared shared = {0};
    uint64_t *begins = calloc(comm->size + 1, sizeof *begins);
    CHECK(begins != NULL);
    for (uint32_t rank = 0; rank < comm->size; rank++)
        begins[rank + 1] = begins[rank] + bytes_of(rank, 3000);
    qn_shared_wish wish = {0, 100 + begins[comm->size], all_share || comm->node_rank != comm->node_size - 1};
    const qn_shared_area area = {100, begins};
    CHECK(qn_shared_create(&shared, comm, &wish, &error) == QUERN_OK);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint64_t at = begins[comm->rank]; at < begins[comm->rank + 1]; at++)
            shared.data[100 + at] = byte_of(comm->rank + round, at);
        CHECK(qn_comm_agree(comm, &error) == QUERN_OK);
        CHECK(qn_shared_exchange(&shared, &area, 1, &error) == QUERN_OK);
        for (uint32_t rank = 0; rank < comm->size; rank++)
            for (uint64_t at = begins[rank]; at < begins[rank + 1]; at++)
                CHECK(shared.data[100 + at] == byte_of(rank + round, at));
        CHECK(qn_comm_agree(comm, &error) == QUERN_OK); /* all have looked */
    }
    qn_shared_destroy(&shared);
    free(begins);
}

/* What a rank sees if another one of its node wrote after the seal: nothing may write. */
static void sealed_memory_cannot_be_written(void)
{
    qn_error error = {0};
    qn_shared shared = {0};
    qn_shared_wish wish = {comm->rank == 0 ? 10 : 0, 0, true};
    CHECK(qn_shared_create(&shared, comm, &wish, &error) == QUERN_OK);
    CHECK(shared.bytes == 10);
    CHECK(qn_shared_spread(&shared, &error) == QUERN_OK);
    qn_shared_seal(&shared);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile uint8_t *)shared.data = 1;
        _exit(0);
    }
    int state = 0;
    CHECK(waitpid(child, &state, 0) == child && WIFSIGNALED(state) && WTERMSIG(state) == SIGSEGV);
    qn_shared_destroy(&shared);
}

/* Kilobytes of this process that are its own and no other's, and of a shared file. */
static void memory_is_there_once_a_node(void)
{
    qn_error error = {0};
    qn_shared shared = {0};
    qn_shared_wish wish = {0, LARGE_BYTES, true};
    char line[256];
    unsigned long long pss = 0, number;
    CHECK(qn_shared_create(&shared, comm, &wish, &error) == QUERN_OK);
    for (uint64_t i = 0; i < LARGE_BYTES; i += 4096)
        shared.data[i] = 1; /* every rank has all pages */
    CHECK(qn_shared_settle(&shared, &error) == QUERN_OK);
    FILE *file = fopen("/proc/self/smaps", "r");
    bool ours = false;
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long begin, end;
        if (sscanf(line, "%llx-%llx ", &begin, &end) == 2)
            ours = begin == (unsigned long long)(uintptr_t)shared.data;
        else if (ours && sscanf(line, "Pss: %llu kB", &number) == 1)
            pss += number;
    }
    if (file)
        fclose(file);
    CHECK(qn_shared_settle(&shared, &error) == QUERN_OK);
    uint64_t most = (LARGE_BYTES / comm->node_size >> 10) + 4096;
    CHECK(shared.is_private || (pss > 0 && pss <= most));
    CHECK(qn_shared_charge_bytes(&shared) <= LARGE_BYTES / comm->node_size + 1);
    qn_shared_destroy(&shared);
}

/* Beats until it is told to end: what came from the node before is right and never older than what came before it. */
static void *beat(void *user)
{
    uint32_t *nodes = user, before = (comm->node + comm->node_count - 1) % comm->node_count, lead = 0;
    uint64_t last = 0;
    while (nodes[lead] != before)
        lead++;
    for (uint64_t number = 1; !atomic_load(&beats_end) || last == 0; number++) {
        qn_error error = {0};
        qn_comm_beat mine = {.number = number, .rank = comm->rank, .process = (int32_t)getpid(), .host = "here"},
                     theirs;
        CHECK(qn_comm_beat_once(comm, &mine, &theirs, &error) == QUERN_OK);
        bool is_last = theirs.number == QN_COMM_LAST_BEAT; /* that node has ended already, or never begun */
        CHECK(theirs.number == 0 || (theirs.number > last && theirs.rank == lead));
        CHECK(theirs.number == 0 || is_last || (theirs.number < 1000000 && strcmp(theirs.host, "here") == 0));
        last = theirs.number > 0 ? theirs.number : last;
        usleep(200);
    }
    return NULL;
}

/* By a thread beside the one that has collectives to wait for. */
static void beats_come_from_the_node_before_beside_collectives(uint32_t *nodes)
{
    qn_error error = {0};
    pthread_t thread;
    CHECK(qn_comm_has_beats(comm) == (comm->node_count > 1 && comm->node_rank == 0));
    for (int round = 0; round < 2; round++) {
        atomic_store(&beats_end, false);
        if (qn_comm_has_beats(comm) && (round == 0 || comm->node != 1)) /* a node may never have beaten */
            CHECK(pthread_create(&thread, NULL, beat, nodes) == 0);
        for (uint64_t i = 0; i < 300; i++) {
            uint64_t number = i + comm->rank;
            CHECK(qn_comm_reduce_max(comm, &number, 1, &error) == QUERN_OK && number == i + comm->size - 1);
        }
        atomic_store(&beats_end, true);
        if (qn_comm_has_beats(comm) && (round == 0 || comm->node != 1))
            CHECK(pthread_join(thread, NULL) == 0);
        CHECK(qn_comm_end_beats(comm, &error) == QUERN_OK);
    }
}

int main(int argc, char **argv)
{
    qn_error error = {0};
    qn_comm_start start = {.node_size_max = argc > 1 ? (uint32_t)atoi(argv[1]) : 0};
    alarm(SECONDS_MAX);
    CHECK(qn_comm_create(&start, &comm, &error) == QUERN_OK);
    uint32_t *nodes = calloc(comm->size, sizeof *nodes);
    CHECK(nodes != NULL);
    CHECK(start.node_size_max == 0 || comm->node_size <= start.node_size_max);
    CHECK(qn_comm_gather(comm, &comm->node, sizeof comm->node, nodes, &error) == QUERN_OK);
    CHECK(qn_comm_broadcast(comm, nodes, comm->size * sizeof *nodes, 0, &error) == QUERN_OK);
    bring(nodes, 100000, true, false);
    bring(nodes, 0, true, false);
    bring(nodes, LARGE_BYTES, true, false);
    bring(nodes, 100000, false, true);
    what_ranks_write_comes_to_all(true);
    what_ranks_write_comes_to_all(false);
    sealed_memory_cannot_be_written();
    memory_is_there_once_a_node();
    beats_come_from_the_node_before_beside_collectives(nodes);
    qn_comm_destroy(comm);
    free(nodes);
    return 0;
}
