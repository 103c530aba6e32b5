/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/clock_align.h: by how much the clocks of nodes differ, so that what ranks did can be drawn on one axis.
 *
 * Rank 0 sends its time to the first rank of each other node, which answers with its own, some times over. Of the quickest answer half of the way
 * is taken to be each direction's: it is wrong by no more than that half. All nodes are asked at once, so a thousand take
 * hardly longer than one. Ranks of one node have one clock, and a job of one node exchanges nothing.
 */
#ifndef QN_ENGINE_CLOCK_ALIGN_H
#define QN_ENGINE_CLOCK_ALIGN_H

#include "runtime/engine/engine.h"

/* Sets engine->clock_ahead_ns and clock_error_ns, both 0 on the node of rank 0. Collective, outside of stages. QUERN_ERROR_MPI, QUERN_ERROR_NO_MEMORY. */
quern_status qn_clock_align(qn_engine *engine, qn_error *error);

#endif
