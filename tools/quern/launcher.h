/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/launcher.h: which launcher there is, and what launchers and libraries of MPI say of themselves. */
#ifndef QUERN_TOOLS_LAUNCHER_H
#define QUERN_TOOLS_LAUNCHER_H

#include <limits.h>
#include <stdbool.h>

/* Those of a family start each other's programs. */
typedef enum quern_mpi_family {
    QUERN_MPI_UNKNOWN,
    QUERN_MPI_OPEN,  /* Open MPI */
    QUERN_MPI_MPICH, /* and what comes of it: Intel's, Cray's, MVAPICH */
    QUERN_MPI_SLURM, /* srun, which starts both */
} quern_mpi_family;

typedef struct quern_mpi_kind {
    quern_mpi_family family;
    const char *name; /* "Open MPI"; static */
    int major, minor, release;
} quern_mpi_kind;

/* From what `mpirun --version`, MPI_Get_library_version() or a header says. */
quern_mpi_kind quern_mpi_kind_read(const char *words);

/* Asks a launcher that has its usual name; one that has another may be anything, and do anything. Takes some seconds at most. */
quern_mpi_kind quern_launcher_ask(const char *mpirun);
/* The first number of the version, if it is Open MPI's; else 0. The same. */
long quern_launcher_open_mpi_version(const char *mpirun);

/* Finds a program as execvp() would, behind the first so many of other files. False: there is none. */
bool quern_launcher_which(const char *name, int skipped, char path_out[PATH_MAX]);

#endif
