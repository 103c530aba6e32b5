/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/comm/backend.h: what comm.c and the two backends share; nobody else includes it. */
#ifndef QN_COMM_BACKEND_H
#define QN_COMM_BACKEND_H

#include "runtime/comm/comm.h"

enum { QN_COMM_SUM, QN_COMM_MAX };

/* What calls fail with in a broken communicator. */
quern_status qn_comm_fail_lost(qn_error *error);

/* One process, no MPI. */
quern_status qn_comm_create_solo(qn_comm **comm_out, qn_error *error);

/* Memory that the MPI backend keeps per exchange. */
size_t qn_exchange_backend_bytes(uint32_t size);

/* What the environment says about who started this process. */
typedef struct qn_launch {
    bool launched;       /* an MPI launcher did */
    bool one_node;       /* all ranks are on this node, as the launcher says */
    uint64_t rank_count; /* as promised; 0: unknown */
    uint64_t node_rank_count;
    bool lets_live;      /* it does not end the job when a rank dies */
    const char *promise; /* the variable that promises rank_count */
} qn_launch;

qn_launch qn_launch_query(void);
/* The name of Open MPI's transport for one node, which differs between versions. */
const char *qn_launch_shared_memory_transport(void);
/* Sets defaults of Open MPI that make the start fast on one node, and ranks polite where they outnumber cores. What the user
 * set stays. Before MPI_Init only. */
void qn_launch_tune(const qn_launch *launch);
/* QUERN_ERROR_LAUNCHER if fewer ranks are here than promised. */
quern_status qn_launch_check(const qn_launch *launch, uint64_t rank_count, qn_error *error);

#endif
