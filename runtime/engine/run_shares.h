/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/run_shares.h: how a run deals out the memory of a rank (docs/explanation/memory.md). */
#ifndef QN_ENGINE_RUN_SHARES_H
#define QN_ENGINE_RUN_SHARES_H

#include "runtime/engine/engine.h"

typedef struct qn_run_shares {
    qn_memory_share share;                       /* of each reduction */
    uint64_t store_bytes;                        /* the pool of each store */
    uint64_t kept_bytes_max[QN_SINK_KIND_COUNT]; /* of each sink of that kind */
} qn_run_shares;

/* What is kept for the program first, then results of earlier runs, then those of this one. Earlier results make room, on disk. Collective;
 * the same outcome on all ranks. QUERN_ERROR_BUDGET: there is too little, and it says how much is needed. */
quern_status qn_run_shares_deal(qn_run_shares *shares, qn_engine *engine, const qn_stages *stages, qn_error *error);

#endif
