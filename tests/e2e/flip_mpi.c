/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before MPI, a network that changes a byte: on rank FLIP_RANK, in the FLIP_ROUND-th exchange of FLIP_WHAT (counts, payload) that brings something
 * from another rank (FLIP_FROM, if that is set), byte FLIP_BYTE of that (below 0: from the end); then there is a file FLIP_DONE.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MAX 16

typedef struct waiting {
    MPI_Request *request; /* NULL: free */
    unsigned char *data;
    long bytes;
} waiting;

static waiting all[WAITING_MAX];
static long seen_count;

static long number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static int is_wanted(const char *what)
{
    const char *wanted = getenv("FLIP_WHAT");
    int rank = -1;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return wanted && strcmp(wanted, what) == 0 && rank == number_of("FLIP_RANK");
}

static void await(MPI_Request *request, void *data, long bytes)
{
    if (bytes == 0 || ++seen_count != number_of("FLIP_ROUND"))
        return;
    for (int i = 0; i < WAITING_MAX; i++)
        if (!all[i].request) {
            all[i] = (waiting){request, data, bytes};
            return;
        }
    abort();
}

/* The rank that it is to come from, in the numbers of a communicator: the first one that is not this one, if none is named; -1: it is not there. */
static int other_rank(MPI_Comm comm)
{
    int rank = 0, wanted = (int)number_of("FLIP_FROM");
    MPI_Group world, group;
    PMPI_Comm_rank(comm, &rank);
    if (!getenv("FLIP_FROM"))
        return rank == 0;
    PMPI_Comm_group(MPI_COMM_WORLD, &world);
    PMPI_Comm_group(comm, &group);
    PMPI_Group_translate_ranks(world, 1, &wanted, group, &rank);
    PMPI_Group_free(&world);
    PMPI_Group_free(&group);
    return rank == MPI_UNDEFINED ? -1 : rank;
}

int MPI_Ialltoall(const void *send, int send_count, MPI_Datatype send_type, void *receive, int receive_count,
                  MPI_Datatype receive_type, MPI_Comm comm, MPI_Request *request)
{
    int bytes = 0, from = other_rank(comm);
    PMPI_Type_size(receive_type, &bytes);
    bytes *= receive_count;
    if (from >= 0 && is_wanted("counts"))
        await(request, (char *)receive + (long)bytes * from, bytes);
    return PMPI_Ialltoall(send, send_count, send_type, receive, receive_count, receive_type, comm, request);
}

int MPI_Ialltoallv(const void *send, const int send_counts[], const int send_at[], MPI_Datatype send_type,
                   void *receive, const int receive_counts[], const int receive_at[], MPI_Datatype receive_type,
                   MPI_Comm comm, MPI_Request *request)
{
    int from = other_rank(comm);
    if (from >= 0 && is_wanted("payload"))
        await(request, (char *)receive + receive_at[from], receive_counts[from]);
    return PMPI_Ialltoallv(send, send_counts, send_at, send_type, receive, receive_counts, receive_at, receive_type,
                           comm, request);
}

int MPI_Test(MPI_Request *request, int *done, MPI_Status *status)
{
    int code = PMPI_Test(request, done, status);
    for (int i = 0; i < WAITING_MAX && *done; i++)
        if (all[i].request == request) {
            long at = number_of("FLIP_BYTE");
            all[i].data[at < 0 ? all[i].bytes + at : at % all[i].bytes] ^= 4;
            all[i].request = NULL;
            fclose(fopen(getenv("FLIP_DONE"), "w"));
        }
    return code;
}
