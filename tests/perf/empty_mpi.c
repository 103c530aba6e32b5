/* SPDX-License-Identifier: BSD-3-Clause */
/* What every MPI program costs: start and end. The yardstick for the start-up of a small job. */
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    return MPI_Finalize();
}
