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

quern_status qn_top_k_put(qn_sink_writer *writer, const qn_batch *batch, qn_error *error);
/* Collective. */
quern_status qn_top_k_deliver(qn_sink_writer *writer, qn_comm *comm, qn_error *error);
void qn_top_k_free(qn_sink_writer *writer);

#endif
