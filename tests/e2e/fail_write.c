/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded before MPI, an I/O error of one rank alone: on rank FAIL_RANK the FAIL_CALL-th collective write to a file fails without taking
 * part, as it does where a library gives up before it calls MPI.
 */
#include <mpi.h>
#include <stdlib.h>

static long number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? atol(text) : -1;
}

int MPI_File_write_at_all(MPI_File file, MPI_Offset offset, const void *data, int count, MPI_Datatype type,
                          MPI_Status *status)
{
    static long call_count;
    int rank = -1;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == number_of("FAIL_RANK") && ++call_count == number_of("FAIL_CALL"))
        return MPI_ERR_NO_SPACE;
    return PMPI_File_write_at_all(file, offset, data, count, type, status);
}
