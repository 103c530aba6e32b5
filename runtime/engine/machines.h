/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/machines.h: whether what MPI calls a node is a machine.
 *
 * Intuition. MPI says which ranks share a node, but it goes by its launcher's daemons: two containers of one machine are two nodes, and a daemon that
 * stands for several machines makes them one. A mark of the machine itself, its boot id, shows both. Nodes that share a machine divide its
 * memory among them; ranks of a node that do not share a machine share no memory either.
 *
 * Rejected: hwloc. It tells what a machine is made of, and two machines of one kind are made of the same; names of hosts are containers' own, or the same on
 * all of them; serial numbers are for root, or missing on virtual machines. The boot id is the kernel's, random at each start, the same in all of its containers,
 * and to be read by anybody.
 */
#ifndef QN_ENGINE_MACHINES_H
#define QN_ENGINE_MACHINES_H

#include "runtime/comm/comm.h"

typedef struct qn_machine {
    uint32_t node_count; /* nodes of the job that are on this one's machine, itself included */
    bool is_one;         /* all ranks of the node are on one machine */
} qn_machine;

/* Collective. The same on all ranks of a node; the same status on all ranks. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_MPI. */
quern_status qn_machine_learn(qn_machine *machine_out, qn_comm *comm, qn_error *error);

/* From the marks of the node's ranks and of the first rank of each node; 0: not known, and then nothing is said against MPI. */
qn_machine qn_machine_judge(const uint64_t *rank_marks, uint32_t rank_count, const uint64_t *node_marks,
                            uint32_t node_count, uint32_t node);

#endif
