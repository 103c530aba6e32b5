/* SPDX-License-Identifier: BSD-3-Clause */
/* scheduler/sim/cluster_shuffle.h: what the shuffle of a stage takes, which is reckoned before the stage is played (cluster.h). */
#ifndef QN_SCHEDULER_SIM_CLUSTER_SHUFFLE_H
#define QN_SCHEDULER_SIM_CLUSTER_SHUFFLE_H

#include "scheduler/sim/cluster.h"

typedef struct qn_cluster_shuffle {
    uint32_t levels, round_count;
    uint64_t buffer_bytes; /* of a rank */
    double round_ns;       /* of the collectives of a round */
    double task_ns;        /* that each task takes besides: its part of early rounds */
    double exposed_ns;     /* behind the last task */
} qn_cluster_shuffle;

qn_cluster_shuffle qn_cluster_shuffle_plan(const qn_cluster_config *config);

/* What the bytes of a task take to be read if all ranks read at once. */
double qn_cluster_read_ns(const qn_cluster_config *config);

/* Levels of a binary tree of so many ranks. */
double qn_cluster_depth(uint32_t count);

#endif
