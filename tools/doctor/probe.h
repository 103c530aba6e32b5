/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/doctor/probe.h: the parts of quern-probe. */
#ifndef QUERN_DOCTOR_PROBE_H
#define QUERN_DOCTOR_PROBE_H

#include <jansson.h>

#include "runtime/comm/comm.h"

/* What this program was built with and what is loaded, as JSON. Before MPI is initialised, or after. NULL: no memory. */
json_t *quern_probe_about(void);
/* What MPI, which is initialised unless there is one rank, gives this rank: the same. */
json_t *quern_probe_mpi(void);

/* Rounds of the shuffle of a few bytes, and of many, between all ranks: their times as JSON on rank 0, NULL elsewhere. Collective; the same
 * status on all ranks. */
quern_status quern_probe_exchange(qn_comm *comm, json_t **figures_out, qn_error *error);

/* A file of HDF5 that all ranks write and read together in a directory that all of them see: the same. */
quern_status quern_probe_hdf5(qn_comm *comm, const char *directory, json_t **figures_out, qn_error *error);

#endif
