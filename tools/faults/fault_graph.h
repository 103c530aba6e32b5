/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_graph.h: what a job asks of the library, on each rank.
 */
#ifndef QN_FAULTS_FAULT_GRAPH_H
#define QN_FAULTS_FAULT_GRAPH_H

#include <quern/quern.h>

#include "tools/faults/fault_job.h"

/* All runs of the job, whose answers are known. *is_wrong_out (preset): what this rank was handed is not the answer. */
quern_status qn_fault_graph_run(const qn_fault_job *job, quern_context *context, bool *is_wrong_out);

#endif
