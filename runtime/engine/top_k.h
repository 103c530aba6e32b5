/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/top_k.h: the k records with the largest values, as a sink.
 *
 * Each rank keeps its own k largest in a heap whose root is the smallest of them; at the end rank 0 gets them all, sorts, and hands
 * the first k to the user. Order: larger values first, equal values by ascending key bytes.
 */
#ifndef QN_ENGINE_TOP_K_H
#define QN_ENGINE_TOP_K_H

#include "runtime/engine/sink.h"

/* Memory to set aside for the rows of a rank: those of k keys of usual lengths, at most bytes_max. */
uint64_t qn_top_k_expect_bytes(const qn_sink *sink, uint64_t bytes_max);

/* QUERN_ERROR_BUDGET beyond writer->kept_bytes_max, QUERN_ERROR_NO_MEMORY. */
quern_status qn_top_k_put(qn_sink_writer *writer, const qn_batch *batch, qn_error *error);
/* Collective. memory_bytes: what rank 0 may take for the rows of all ranks; QUERN_ERROR_BUDGET beyond it. */
quern_status qn_top_k_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error);
void qn_top_k_free(qn_sink_writer *writer);

#endif
