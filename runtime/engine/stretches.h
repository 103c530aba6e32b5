/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/stretches.h: what is on this rank already, through operators that give at the end of a stretch (runtime/exec/stretch.h). */
#ifndef QN_ENGINE_STRETCHES_H
#define QN_ENGINE_STRETCHES_H

#include "runtime/engine/stage_run.h"

/* Runs all blocks of a part through the leg's chain, from the first one on. Inside the gate. Its failure is the agent's. */
typedef quern_status (*qn_stretches_feed_fn)(qn_stage_run *run, uint32_t leg, bool is_first, void *user);

/* Feeds a part as one stretch, again and again until it passes or there were as many attempts as a task has: the data is here and nowhere
 * else. Groups come once. Of a leg without stretches: feeds it. Inside the gate. */
quern_status qn_stretches_run(qn_stage_run *run, uint32_t leg, uint64_t part, qn_stretches_feed_fn feed, void *user);

#endif
