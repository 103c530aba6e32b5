/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/comm/loss_mpi.h: what MPI says about ranks that died, where it can (ULFM: Open MPI 5 below mpirun --with-ft ulfm). Elsewhere nothing
 * dies without the launcher ending the job, and all of this says so.
 *
 * Only for comm_mpi.c.
 */
#ifndef QN_COMM_LOSS_MPI_H
#define QN_COMM_LOSS_MPI_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether MPI, which is initialised, tells of deaths, and its launcher lets the others live. */
bool qn_loss_is_told(void);
/* Whether a code says that a rank died, or that another one noticed. */
bool qn_loss_is_code(int code);
/* Ranks of the communicator that are known to be dead, or that it was revoked. Local, and cheap (0.3 microseconds). */
bool qn_loss_is_seen(MPI_Comm comm);
/* The lowest rank of the communicator that is not known to be dead. Local. */
int qn_loss_lowest_living(MPI_Comm comm);
/* All calls on it fail from now on, on all ranks. Takes MPI_COMM_NULL. Local, any thread. */
void qn_loss_revoke(MPI_Comm comm);
/* Each bit of *flags that is set on all ranks that live, in a communicator that may be revoked; `flags` must stay until the request is over. Its error says
 * that a rank is dead; the flags hold all the same. */
int qn_loss_agree_start(MPI_Comm comm, int *flags, MPI_Request *request);
/* Those who live. */
int qn_loss_shrink(MPI_Comm comm, MPI_Comm *shrunk_out);

#endif
