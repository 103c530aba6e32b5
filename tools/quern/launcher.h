/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/launcher.h: what a launcher says of itself. */
#ifndef QUERN_TOOLS_LAUNCHER_H
#define QUERN_TOOLS_LAUNCHER_H

/* The first number of the version, if it is Open MPI's and has its usual name; else 0. Takes some seconds at most. */
long quern_launcher_open_mpi_version(const char *mpirun);

#endif
