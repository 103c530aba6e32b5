/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/engine_broadcast.h: what the program gives to all ranks, within the budget.
 */
#ifndef QN_ENGINE_ENGINE_BROADCAST_H
#define QN_ENGINE_ENGINE_BROADCAST_H

#include "runtime/comm/shared.h"
#include "runtime/engine/engine.h"

/* Rank 0's bytes, read-only on every rank; error: may have a failure already, on any rank. Collective; the same outcome on all ranks.
 * QUERN_ERROR_BUDGET, QUERN_ERROR_NO_MEMORY, QUERN_ERROR_MPI. */
quern_status qn_engine_broadcast(qn_engine *engine, const void *data, size_t bytes, qn_shared *shared, qn_error *error);
/* Local. */
void qn_engine_unbroadcast(qn_engine *engine, qn_shared *shared);

#endif
