/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/collect.h: the records of a dataset for the program, as a sink.
 *
 * A rank keeps its records as parts behind each other: one part per task, or one per rank of a result, each a header
 * and packed records. Address space for all that the budget allows is reserved at the begin, so that nothing moves
 * while it grows and the bound is exact. A failed attempt's part is cut off again, as if it had never been. What the ranks
 * have is brought together as it lies; sorting the parts by their numbers then gives the order of the input, or, of a
 * reduction, that of hash and bytes, whoever had which part.
 *
 * Rejected: passing records on to the program piece by piece as they arrive. Nothing would bound what a program keeps of
 * them, and it would be told of a budget that is too small in the middle of its records.
 */
#ifndef QN_ENGINE_COLLECT_H
#define QN_ENGINE_COLLECT_H

#include "runtime/engine/sink.h"

/* writer->kept_bytes_max is what the records of this rank may take. QUERN_ERROR_NO_MEMORY. */
quern_status qn_collect_init(qn_sink_writer *writer, qn_error *error);

/* One part is open at a time. put: QUERN_ERROR_BUDGET beyond writer->kept_bytes_max; the part is then to be dropped. */
quern_status qn_collect_begin_part(qn_sink_writer *writer, uint64_t number, qn_error *error);
quern_status qn_collect_put(qn_sink_writer *writer, const qn_batch *batch, qn_error *error);
void qn_collect_end_part(qn_sink_writer *writer);
void qn_collect_drop_part(qn_sink_writer *writer);

/* Brings the parts to where they are asked for, hands the records out there, and frees them. Collective. memory_bytes: what
 * this rank may take for its own and all others' records; QUERN_ERROR_BUDGET beyond it, before anything is sent. */
quern_status qn_collect_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error);
void qn_collect_free(qn_sink_writer *writer); /* takes a zeroed one */

#endif
