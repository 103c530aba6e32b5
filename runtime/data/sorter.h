/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/sorter.h: packed records of one rank in the order of a collation, out of core.
 *
 * Records are appended as they come, to memory of a fixed size. When that is full it is sorted and becomes a run on disk. At the end
 * the memory is sorted, and the result is what is in memory, or the merge of it and the runs. It can be read any number of
 * times.
 *
 * Memory is the pool. A merge of runs needs a block for each: they take the place of what was in the pool, fewer runs at a
 * time where the pool is small. Where it is not, what records leave of it is for reading runs in large pieces, one ahead of the other. Not counted are one block that is written, the blocks of a merge as far as two of them are more than the
 * pool, and a record that alone is more than the pool, while it is written and read.
 *
 * Records can be made durable before the end (qn_sorter_save()), each once however often that is asked for. So a run on disk is of records that
 * were all saved, or of none that was: where memory of which a part was saved becomes a run, or runs of both kinds become one, the rest of
 * them is saved first.
 */
#ifndef QN_DATA_SORTER_H
#define QN_DATA_SORTER_H

#include "runtime/base/status.h"
#include "runtime/data/collation.h"
#include "runtime/data/spill.h"

typedef struct qn_sorter qn_sorter;

typedef struct qn_sorter_config {
    const qn_collation *collation; /* borrowed until destroy */
    uint64_t pool_bytes;           /* records and what sorting them needs, all together */
    size_t block_bytes;            /* of spilled runs */
    qn_scratch scratch;            /* borrowed */
    uint64_t cached_bytes_max;     /* of runs in the page cache; 0: QN_SPILL_CACHED_BYTES_MAX */
} qn_sorter_config;

typedef struct qn_sorter_stats {
    uint64_t record_count;  /* appended */
    uint64_t record_bytes;  /* the same, packed */
    uint64_t spill_runs;    /* written from memory */
    uint64_t spilled_bytes; /* written, merged runs included */
    uint64_t memory_bytes_peak;
} qn_sorter_stats;

/* Takes records that are to be durable, as they are packed. What goes wrong there is its own to keep: the sort goes on. */
typedef struct qn_sorter_saver {
    void (*put)(const qn_packed *record, const void *packed, uint64_t bytes, void *user);
    void (*end)(void *user); /* of some that came one after the other */
    void *user;
} qn_sorter_saver;

quern_status qn_sorter_create(qn_sorter **sorter_out, const qn_sorter_config *config, qn_error *error);
void qn_sorter_destroy(qn_sorter *sorter); /* takes NULL */

/* Appends the packed record that takes `bytes` bytes at `record` (record->prefix and so on are what is decoded of it): copies. Spills as
 * needed; a record larger than the pool is taken too, alone. QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY. */
quern_status qn_sorter_append(qn_sorter *sorter, const qn_packed *record, const void *packed, uint64_t bytes,
                              qn_error *error);
/* The same with all records that lie one behind the other in `bytes` bytes. QUERN_ERROR_CORRUPT: they do not fit. */
quern_status qn_sorter_append_all(qn_sorter *sorter, const void *packed, uint64_t bytes, qn_error *error);

/* Before finish: the saver gets all records that it has not got yet, in any order. It is borrowed until finish, and may get others meanwhile. Errors
 * of reading runs: QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY, QUERN_ERROR_CORRUPT. */
quern_status qn_sorter_save(qn_sorter *sorter, const qn_sorter_saver *saver, qn_error *error);
/* Before finish: what is here is saved elsewhere already, and the saver gets what comes. It is borrowed as by qn_sorter_save(). */
void qn_sorter_note_saved(qn_sorter *sorter, const qn_sorter_saver *saver);
/* Of packed records that no saver has got. */
uint64_t qn_sorter_get_unsaved_bytes(const qn_sorter *sorter);

/* Before finish: what is in memory becomes a run already if it nearly fills it. For who has to wait anyhow: then all ranks write at the
 * same time, instead of each while the others wait for it. QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY. */
quern_status qn_sorter_spill_early(qn_sorter *sorter, qn_error *error);
/* No more records: sorts what is in memory. */
quern_status qn_sorter_finish(qn_sorter *sorter, qn_error *error);

/* Starts, or starts again, at the first record; one reading at a time. After finish. */
quern_status qn_sorter_rewind(qn_sorter *sorter, qn_error *error);
/* The next up to `max` records in order: borrowed, until the next call; where qn_sorter_is_stable(), until destroy. *count_out 0 at the end.
 * Records that are read from runs are in blocks of the reader's, so that fewer than max may come at a time. */
quern_status qn_sorter_next(qn_sorter *sorter, qn_packed *records_out, size_t max, size_t *count_out, qn_error *error);
/* After finish: processes that are forked from now on have the records and may read them, from a rewind of their own on; or have them no more, as
 * at first (runtime/base/pages.h). Nobody reads here meanwhile. */
void qn_sorter_share(qn_sorter *sorter, bool with_children);
/* All records are in memory. */
bool qn_sorter_is_stable(const qn_sorter *sorter);

/* The memory that it takes, with that of the blocks of a reading. */
uint64_t qn_sorter_get_memory_bytes(const qn_sorter *sorter);
/* After finish, while nobody reads: what is in memory becomes a run. QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY; it is as good as before
 * then. */
quern_status qn_sorter_shrink(qn_sorter *sorter, qn_error *error);

qn_sorter_stats qn_sorter_get_stats(const qn_sorter *sorter);

#endif
