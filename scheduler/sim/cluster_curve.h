/* SPDX-License-Identifier: BSD-3-Clause */
/* scheduler/sim/cluster_curve.h: what went on when, in stretches of time that become longer as a run does. */
#ifndef QN_SCHEDULER_SIM_CLUSTER_CURVE_H
#define QN_SCHEDULER_SIM_CLUSTER_CURVE_H

#include "scheduler/sim/cluster.h"

/* Begins with stretches of this length. */
void qn_cluster_curve_init(qn_cluster_result *result, uint64_t bucket_ns);
/* A rank worked from begin to end. */
void qn_cluster_curve_add_work(qn_cluster_result *result, uint64_t begin_ns, uint64_t end_ns);
/* The master took a message, by which so many tasks were done, and sent orders. */
void qn_cluster_curve_add_messages(qn_cluster_result *result, uint64_t now_ns, uint64_t messages, uint64_t tasks_done);

#endif
