/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/heartbeat.h: ranks notice that one of them hangs, say what it did last, and end the job after a bound.
 *
 * Each rank has a thread that once a second writes the rank's pulse (pulse.h) into memory of the node, and looks at those of the
 * others (roll.h decides). Everybody watches everybody of the node, and the first whose beats come acts for all: so no rank is the watchman whose
 * own hang nobody would see. Between nodes the first ranks stand in a ring and send their beats with MPI, if it allows several threads; each
 * watches the one before it.
 *
 * A process that does not run is not killed from here: the rank that acts ends itself with QN_HEARTBEAT_EXIT_STATUS, and the launcher, which sees to
 * that on every node, ends the others, the stopped one too. Killed first, it would be its signal that the launcher reports. A rank that
 * is stuck itself ends itself, with last words and the calls in which it is stuck.
 *
 * What is told goes to standard error where the option crash-report is on, and to the log.
 *
 * Rejected: beats through MPI on one node (a stopped process is seen by memory alone, and every rank watches); a thread that enters the gate to
 * progress (agent.h has one already); ending a job because all its ranks wait for each other (a rank that waits is seen to run,
 * and what it waits for is watched itself).
 */
#ifndef QN_ENGINE_HEARTBEAT_H
#define QN_ENGINE_HEARTBEAT_H

#include "runtime/engine/agent.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/rank_figures.h"

#define QN_HEARTBEAT_EXIT_STATUS 76 /* frozen; documented in docs/explanation/faults.md */

typedef struct qn_heartbeat qn_heartbeat;

/* For the life of the engine (borrowed). Collective; the same status on all ranks. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_SYSTEM,
 * QUERN_ERROR_MPI. */
quern_status qn_heartbeat_start(qn_heartbeat **heartbeat_out, struct qn_engine *engine, qn_error *error);
/* Takes NULL, and then does nothing. Collective. */
void qn_heartbeat_stop(qn_heartbeat *heartbeat);

/* As those of pulse.h, by the working thread. */
void qn_heartbeat_begin_run(qn_heartbeat *heartbeat);
void qn_heartbeat_end_run(qn_heartbeat *heartbeat);
void qn_heartbeat_see(qn_heartbeat *heartbeat, qn_agent *agent);
void qn_heartbeat_unsee(qn_heartbeat *heartbeat);

/*
 * What ranks of the node show of themselves. By whoever is in the gate, but for get_own_show's keys: by the working thread. Members are those that this rank
 * sees, its whole node if that has memory in common.
 */
qn_rank_show *qn_heartbeat_get_own_show(qn_heartbeat *heartbeat); /* to be written; borrowed */
uint32_t qn_heartbeat_get_count(const qn_heartbeat *heartbeat);
/* Whether this rank is to tell rank 0 of all that it sees. */
bool qn_heartbeat_speaks(const qn_heartbeat *heartbeat);
/* A copy, with state and silent_ns as they are now. Its figures may be a moment apart. */
qn_rank_show qn_heartbeat_look(const qn_heartbeat *heartbeat, uint32_t member);
/* Its name; bytes > 0. */
void qn_heartbeat_get_host(const qn_heartbeat *heartbeat, char *host_out, size_t bytes);

#endif
