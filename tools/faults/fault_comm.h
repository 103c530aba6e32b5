/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_comm.h: how the ranks of a world (fault_world.h) talk: a backend of runtime/comm/comm.h beside that of MPI.
 *
 * A message arrives after a time by chance, but never before one that the same rank sent to the same rank earlier, as MPI promises; of
 * messages of different ranks any may come first. Announcements go along the tree of the MPI backend. Of a collective no rank learns more
 * than it has to: the root of a gather leaves last, its others at once.
 */
#ifndef QN_FAULTS_FAULT_COMM_H
#define QN_FAULTS_FAULT_COMM_H

#include "runtime/comm/comm.h"

/* Of the rank whose turn it is. NULL: no memory. */
qn_comm *qn_fault_comm_create(void);

#endif
