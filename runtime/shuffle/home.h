/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/shuffle/home.h: what came to the rank whose keys it is, out of core: a part of a reduction's result.
 *
 * Rows, which were combined where they were, are combined with others in a table. Records that stepped aside (aside.h) lie
 * in piles until there is a reason to combine them: the result is read, or memory is full.
 *
 *     rows ─────► table ──┬───────────────────► result
 *                    ▲    └──► runs on disk ──────►
 *                    │settle        ▲             ▲
 *     records ──► piles ────────────┴─────────────┘
 *
 * Memory is full. A pile is combined to see how many keys there are. If the keys of all have room in the table, they settle
 * there, pile by pile, whose keys are neighbours in the table and so in the caches; else table and piles become a run: what
 * they are in the order of the hash, as if it were the result. A pile that is much larger than others (keys that came in the order of
 * an earlier output) settles first, since the table in which it is combined would be large as well.
 *
 * The result is in the order (hash, bytes) and the same whichever way a record went.
 */
#ifndef QN_SHUFFLE_HOME_H
#define QN_SHUFFLE_HOME_H

#include "runtime/data/merge.h"

typedef struct qn_home_config {
    const qn_reducer *reducer; /* borrowed until fini */
    quern_schema schema;       /* of records */
    uint64_t tag_first, tag_last;
    uint64_t pool_bytes;
    size_t block_bytes; /* of spilled runs */
    qn_scratch scratch;
} qn_home_config;

typedef struct qn_home {
    qn_home_config config;
    qn_table table;
    qn_piles piles; /* made when the first record steps aside */
    qn_spill spill;
    qn_run runs[QN_MERGE_FAN_IN_MAX];
    uint32_t run_count;
    qn_piles_reader reader; /* of the result */
    qn_merge merge;         /* the result in order */
    bool merge_open, is_settling;
    bool in_order;          /* the tables of the result */
    bool table_given;       /* to who reads the result as tables */
    uint64_t records_owned; /* that came */
    uint64_t merged;        /* of these, into others */
    uint64_t
        merged_later; /* the same when a result that was read already was written to disk: each reading counts them, as before */
    uint64_t result_merged; /* the same in what gave the result, once it was read to its end */
    uint64_t spill_runs;
    uint64_t bytes_peak; /* of the memory, whenever it was about to shrink */
} qn_home;

/* bytes_max, wherever it is passed, is what the memory of all may grow to now; at most pool_bytes. Errors, of all that says quern_status:
 * QUERN_ERROR_NO_MEMORY, QUERN_ERROR_SCRATCH, QUERN_ERROR_BUDGET (too many runs), a reducer's failure. */

quern_status qn_home_init(qn_home *home, const qn_home_config *config, qn_error *error);
void qn_home_fini(qn_home *home); /* takes a zeroed one */

/* Memory of table and piles. */
static inline uint64_t qn_home_get_bytes(const qn_home *home)
{
    return qn_table_get_bytes(&home->table) + (home->piles.count > 0 ? qn_piles_get_bytes(&home->piles) : 0);
}

/* Rows into the table. */
quern_status qn_home_insert(qn_home *home, const qn_entry *entries, size_t count, uint64_t bytes_max, qn_error *error);
/* Records of a block into the table. */
quern_status qn_home_insert_block(qn_home *home, const quern_block *block, const qn_classified *classified,
                                  uint64_t bytes_max, qn_error *error);

/* Before the first record is put into the piles. */
quern_status qn_home_open_piles(qn_home *home, qn_error *error);
/* After so many records were. */
quern_status qn_home_count_records(qn_home *home, uint64_t count, uint64_t bytes_max, qn_error *error);

/* Before the result is opened; it changes nothing then, until it is read to its end. */
quern_status qn_home_finish(qn_home *home, qn_error *error);
/* Starts (again) at the first record of the result. */
quern_status qn_home_result_open(qn_home *home, qn_error *error);
quern_status qn_home_result_next(qn_home *home, const qn_key **key_out, const uint64_t **value_out, qn_error *error);
void qn_home_result_close(qn_home *home); /* takes one that is not open */
/* The same as tables, where qn_home_is_tables() says so; *table_out NULL at the end. Ordered: scans give their rows in order, and one table
 * comes behind the other. */
quern_status qn_home_tables_open(qn_home *home, bool ordered, qn_error *error);
quern_status qn_home_tables_next(qn_home *home, qn_table **table_out, qn_error *error);

/* Whether it can be read as tables: there are no runs; and in order, what piles become, of keys of one length: a table has two
 * arrays, of which one is then empty. */
static inline bool qn_home_is_tables(const qn_home *home, bool ordered)
{
    return home->run_count == 0 && (!ordered || (home->piles.record_count > 0 && !home->piles.layout.key_varies));
}

/* All that is in memory into one more run; changes nothing where there are too many already. */
quern_status qn_home_shrink(qn_home *home, bool *shrunk_out, qn_error *error);

#endif
