/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/topology.h: what the machine has, and which core each worker of a node gets.
 *
 * Intuition. Every rank of a node says which processing units it may use (what mpirun, SLURM's cpu-bind
 * or a cgroup left it); from these sets every rank computes the same placement; then each binds
 * its own thread. The decision (qn_pin_plan) is a pure function of the topology and the sets, so it is
 * tested on synthetic machines; only qn_pin_apply touches the real one.
 */
#ifndef QN_TOPOLOGY_TOPOLOGY_H
#define QN_TOPOLOGY_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* A set of processing units as text: hwloc's list form, "0-3,8"; or, where that does not fit, 'x' and hexadecimal digits of
 * 4 units each, unit 0 first: "xf1". So 8184 units fit however they are scattered. */
#define QN_TOPOLOGY_SET_BYTES_MAX   2048
#define QN_TOPOLOGY_PLACE_BYTES_MAX 96

typedef struct qn_topology qn_topology;

/* Reads the topology of this machine (or the synthetic one of the string, for tests; NULL for the real).
 * Local. QUERN_ERROR_TOPOLOGY if hwloc cannot, QUERN_ERROR_NO_MEMORY. The caller owns *topology_out until
 * qn_topology_destroy. */
quern_status qn_topology_create(const char *synthetic, qn_topology **topology_out, qn_error *error);
void qn_topology_destroy(qn_topology *topology); /* takes NULL */

uint32_t qn_topology_core_count(const qn_topology *topology);
uint32_t qn_topology_pu_count(const qn_topology *topology);

/* What the calling thread may use now: hwloc's allowed set, cut by the binding of the process and thread. As text
 * (see above). QUERN_ERROR_TOPOLOGY if it does not fit or cannot be asked, QUERN_ERROR_NO_MEMORY. */
quern_status qn_topology_query_allowed(const qn_topology *topology, char text_out[QN_TOPOLOGY_SET_BYTES_MAX],
                                       qn_error *error);

/* Where one rank of the node sits. */
typedef struct qn_pin_place {
    uint32_t core;    /* logical index of the core, or UINT32_MAX: not pinned (nothing to choose from) */
    uint32_t pu;      /* OS index of the first processing unit of the core that the rank may use */
    uint32_t package; /* logical indices; UINT32_MAX where the machine has none */
    uint32_t numa;
    uint32_t sharers; /* ranks of this node on the same core, itself included */
} qn_pin_place;

/* Chooses a core for every rank of the node. allowed[i] is the text of qn_topology_query_allowed on local
 * rank i. Deterministic, so that every rank computes the same. No two ranks share a core while a core that
 * one of them may use is free (a maximum matching); beyond that, ranks share as evenly as their sets allow. Among
 * equals, neighbouring local ranks are spread over packages and NUMA nodes evenly, so that memory bandwidth
 * is used (2 ranks on a 2-package machine get one package each). Unparsable sets are
 * QUERN_ERROR_TOPOLOGY; too many ranks QUERN_ERROR_INVALID_ARGUMENT; QUERN_ERROR_NO_MEMORY. places_out: [rank_count]. */
quern_status qn_pin_plan(const qn_topology *topology, uint32_t rank_count, const char *const *allowed,
                         qn_pin_place *places_out, qn_error *error);

/* Binds the calling thread to the processing units of the place's core that it may use, remembering the old binding in
 * the topology. Local. qn_pin_restore puts the old binding back (nothing if none). On a failure nothing is bound:
 * QUERN_ERROR_INVALID_ARGUMENT for a core that there is not, or if another thread is bound by this topology;
 * QUERN_ERROR_TOPOLOGY if the thread may use no unit of the core, or its binding cannot be asked; QUERN_ERROR_SYSTEM if the
 * system refuses; QUERN_ERROR_NO_MEMORY. */
quern_status qn_pin_apply(qn_topology *topology, const qn_pin_place *place, qn_error *error);
void qn_pin_restore(qn_topology *topology);

/* "core 3, PU 6, package 0, NUMA 0" (or "not pinned"), cut to fit. */
void qn_pin_describe(const qn_pin_place *place, char text_out[QN_TOPOLOGY_PLACE_BYTES_MAX]);

#endif
