/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/plan/join_choice.h: how the two sides of each join come together, and what becomes of the stages.
 *
 * Twice, something is decided. Before a run, from what is known of the inputs: a side that looks small is to be stored by a stage
 * of its own, and the stages are cut so. When it is stored, from its real size: if it is small, the stage in which both sides would
 * have been collated is left out, and whoever would have read it reads the other side instead, through the join.
 *
 *     stored small side ──┐                            stored small side, of which a table is made
 *     large side, a, b ───┴ collated: join, c    or    large side, a, b, join, c
 *
 * If both are collated, one of them is the outer side (grouper.h), which comes first in the order of pairs, and only of the outer side is a hot
 * key divided. So that is the side that is made of more: its hottest key can be the hotter one. A key that is hot on the inner side is one
 * rank's work, of at most as much as that side has. Chosen before a run, and for what is kept once and for all: so a later run
 * gives the same bytes, though it knows better by then.
 *
 * Rejected: to choose key by key. Ranks know what is hot by a sample, which depends on how many they are, and so would the order.
 *
 * Nothing in it depends on the ranks: every rank decides the same from the same numbers.
 */
#ifndef QN_PLAN_JOIN_CHOICE_H
#define QN_PLAN_JOIN_CHOICE_H

#include "runtime/plan/stages.h"

#define QN_INPUT_BYTES_UNKNOWN UINT64_MAX

/* The bytes of a source, or of what is kept of a result; QN_INPUT_BYTES_UNKNOWN. */
typedef uint64_t (*qn_input_bytes_fn)(const qn_node *node, void *user);

/* What is known before a run; zeros: nothing. */
typedef struct qn_known_sizes {
    qn_input_bytes_fn bytes_of;
    void *user;
    uint64_t table_bytes_max; /* of a side that is to be tried as a table where the program did not choose */
    bool is_certain;          /* all ranks choose alike, and run: what is cached is weighed once and for all */
} qn_known_sizes;

/* No side of any join is to be tried as a table. */
void qn_joins_forget(const qn_graph *graph);
/* Sets node->build and node->outer_side of every join of the stages, which were cut with none chosen; true: they are to be cut again. */
bool qn_joins_choose(const qn_graph *graph, const qn_stages *stages, const qn_known_sizes *sizes);

/* Whether the program chose the side; else it is broadcast only where the join is read once. */
static inline bool qn_join_is_chosen(const qn_node *collate)
{
    return collate->join.strategy != QUERN_JOIN_AUTO;
}

/* How many legs read what the stage collates. */
uint32_t qn_stage_reader_count(const qn_stages *stages, uint32_t index);

/* The stage at index, which collates for a join, is left out: its readers read its large side. False: that would be more legs or
 * steps than a stage can have, and nothing was changed. */
bool qn_stages_broadcast(qn_stages *stages, uint32_t index);

#endif
