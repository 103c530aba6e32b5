/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/memory_leg.h: what is particular to legs that read arrays in memory; else they are read as results are, by the rank that
 * has them.
 *
 * An element is known by its number in the order of ranks, so that a sample does not depend on which rank has which. For this, and only
 * where a leg has a sample, ranks tell each other how many they have.
 */
#ifndef QN_ENGINE_MEMORY_LEG_H
#define QN_ENGINE_MEMORY_LEG_H

#include "runtime/engine/stage_run.h"
#include "runtime/io/memory_source.h"

/* Collective. */
quern_status qn_memory_legs_learn(qn_stage_run *run, qn_error *error);
/* Gives the block its identities, which live until the next call. */
void qn_memory_leg_identify(qn_stage_run *run, uint32_t leg, const qn_memory_source *source, qn_batch *batch);
/* Appends to a failure's text which element it was. */
void qn_memory_leg_locate(const qn_chain *chain, const qn_memory_source *source, uint32_t rank, qn_error *failure);

#endif
