/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/quotes.h: how many quotes are before each place at which a file of rows is cut, counted by all ranks.
 *
 * Only whether the number is odd matters (runtime/io/row_grammar.h). Every rank counts in stretches of its own, from the first split to
 * the last; rank 0 adds up from the begin of each file. Where bad rows are passed over it is states that are worked out so
 * (runtime/io/row_states.h).
 */
#ifndef QN_ENGINE_QUOTES_H
#define QN_ENGINE_QUOTES_H

#include "runtime/comm/comm.h"
#include "runtime/engine/task_list.h"

/* Whether a leg of the stage reads rows whose quotes may hold line breaks. */
bool qn_quotes_matter(const qn_stage *stage);

/* bad_legs: of qn_bad_legs(). Counts, and tells the splits of tasks (rank 0; NULL on the others). Collective; the same status on all ranks. QUERN_ERROR_INPUT,
 * QUERN_ERROR_NO_MEMORY. */
quern_status qn_quotes_learn(qn_comm *comm, const qn_stage *stage, uint32_t bad_legs, qn_task_list *tasks,
                             qn_error *error);

#endif
