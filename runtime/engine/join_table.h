/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/join_table.h: the table of a broadcast join: one on each node, of the records that all ranks have stored.
 *
 * The ranks of a node put their packed records behind each other into memory that they share, the nodes send each other theirs, and the
 * ranks of a node build the table together, each its stretch of the slots (runtime/data/lookup.h). The packed records are given back
 * if the table does not need them.
 */
#ifndef QN_ENGINE_JOIN_TABLE_H
#define QN_ENGINE_JOIN_TABLE_H

#include "runtime/comm/shared.h"
#include "runtime/data/lookup.h"
#include "runtime/engine/engine.h"
#include "runtime/shuffle/result.h"

typedef struct qn_join_table {
    qn_lookup lookup;
    qn_shared packed, memory;
} qn_join_table;

typedef struct qn_join_table_limit {
    uint64_t record_bytes_max; /* of the packed records */
    uint64_t bytes_max;        /* of these and the table, on a node */
} qn_join_table_limit;

/* A table of what is stored, if that is within the limit; else, or if the nodes do not have the memory, *table_out is NULL. Collective; the same outcome on all ranks. QUERN_ERROR_MPI, and those of reading a store. */
quern_status qn_join_table_create(qn_join_table **table_out, qn_engine *engine, const qn_store *stored,
                                  const qn_join_table_limit *limit, qn_error *error);
/* Takes NULL. Local. */
void qn_join_table_destroy(qn_join_table *table);

/* What it takes of this rank's memory. */
uint64_t qn_join_table_charge_bytes(const qn_join_table *table);

/* Makes the engine's account of a run, in which is decided how joins are to be made: from what is listed on rank 0,
 * and what is kept on all. Collective; the same outcome on all ranks. */
quern_status qn_join_tables_choose(qn_engine *engine, const qn_graph *graph, qn_error *error);

/* What a side is made of, as a rank alone can say it. */
uint64_t qn_join_table_guess_bytes(const qn_node *node, void *engine);
/* The most that a side may be made of, to be tried. */
uint64_t qn_join_table_input_bytes_max(const qn_engine *engine);

/* Of one table, in a run of so many results at the same time. */
qn_join_table_limit qn_join_table_limit_of(const qn_engine *engine, const qn_node *collate, uint32_t live_count);

#endif
