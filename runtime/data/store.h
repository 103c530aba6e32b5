/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/store.h: the records of one rank, kept in parts as they came, out of core.
 *
 * Intuition. A part is what one task or one stored part gave, and is kept or dropped as a whole. Records are packed (packed.h)
 * behind each other into memory of a fixed size; what does not fit any more goes to a run on disk. So a part is a stretch
 * of memory, then runs; either may be missing. A dropped part is the newest: it is cut off. When no more parts come they are
 * put in the order of their numbers, and each can be read any number of times.
 *
 *     begin_part ── put … ── end_part or drop_part ── … ── finish ── readers, shrink
 *
 * Rejected: writing older parts out to keep newer ones in memory. It writes everything once, to read a part of it from memory
 * all the same.
 */
#ifndef QN_DATA_STORE_H
#define QN_DATA_STORE_H

#include "runtime/base/arena.h"
#include "runtime/data/batch.h"
#include "runtime/data/packed.h"
#include "runtime/data/running_sum.h"
#include "runtime/data/spill.h"

#define QN_STORE_PART_RUNS_MAX 2 /* what was in memory once, and what never was */

typedef struct qn_store_part {
    uint64_t number;
    uint64_t record_count;
    qn_running_sum sum; /* of the values, if they are numbers */
    uint64_t memory_offset;
    uint64_t memory_bytes;
    qn_run runs[QN_STORE_PART_RUNS_MAX];
    uint32_t run_count;
} qn_store_part;

typedef struct qn_store_config {
    quern_schema schema;
    uint64_t pool_bytes; /* records in memory and the table of parts */
    size_t block_bytes;  /* of runs */
    qn_scratch scratch;  /* borrowed until fini */
} qn_store_config;

typedef struct qn_store {
    qn_store_config config;
    qn_layout layout;
    uint8_t *memory; /* [pool_bytes] reserved, and slack */
    uint64_t used_bytes;
    qn_store_part *parts; /* [part_count], by number once finished; while part_open the last one is open */
    size_t part_count, part_capacity;
    bool part_open, finished;
    qn_spill spill;
    qn_run_writer writer; /* of the open part, if writing */
    bool writing;
    uint8_t *packed; /* [packed_bytes]: a record on its way to a run */
    uint64_t packed_bytes;
    uint64_t record_count; /* of all ended parts, */
    uint64_t record_bytes; /* and as many bytes of packed records */
    uint64_t open_bytes;   /* of the open part */
    uint64_t spill_runs;
    uint64_t memory_bytes_peak;
} qn_store;

/* QUERN_ERROR_NO_MEMORY. */
quern_status qn_store_init(qn_store *store, const qn_store_config *config, qn_error *error);
void qn_store_fini(qn_store *store); /* takes a zeroed one */

/* One part is open at a time; numbers come in any order, each once. */
quern_status qn_store_begin_part(qn_store *store, uint64_t number, qn_error *error);
/* Appends the records: copies. QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY: the part is then to be dropped. */
quern_status qn_store_put(qn_store *store, const qn_batch *batch, qn_error *error);
quern_status qn_store_end_part(qn_store *store, qn_error *error);
void qn_store_drop_part(qn_store *store); /* the open one, if there is one */

/* No more parts: they are now in the order of their numbers. */
void qn_store_finish(qn_store *store);

/* Memory that it takes now. */
uint64_t qn_store_get_memory_bytes(const qn_store *store);
/* After finish, while nobody reads: writes parts to disk until it takes at most bytes_max, but for the table of its parts. Errors as put;
 * the store is as good as before. */
quern_status qn_store_shrink(qn_store *store, uint64_t bytes_max, qn_error *error);

/* Reads parts, after finish; any number of readers. */
typedef struct qn_store_reader {
    const qn_store *store;
    const qn_store_part *part;
    const uint8_t *next;
    uint64_t left_bytes;
    const uint8_t *slack_end; /* keys may be read up to here */
    uint32_t run_next;        /* of the part's runs */
    qn_run_reader run;
    qn_arena tails;   /* keys at the end of a block, to have slack behind them */
    uint8_t *aligned; /* values of fixed size [QN_BATCH_COUNT_MAX] */
    const void *key[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
} qn_store_reader;

/* QUERN_ERROR_NO_MEMORY. */
quern_status qn_store_reader_open(qn_store_reader *reader, const qn_store *store, qn_error *error);
void qn_store_reader_close(qn_store_reader *reader); /* takes a zeroed one */
/* Goes to the first record of a part, below store->part_count. */
void qn_store_reader_begin(qn_store_reader *reader, size_t part);
/* The next records of the part, which live until the next call; count 0 at its end. Values of a fixed size are aligned to 8
 * bytes. QUERN_ERROR_CORRUPT: the scratch file is not what was written. QUERN_ERROR_SCRATCH, QUERN_ERROR_NO_MEMORY. */
quern_status qn_store_reader_next(qn_store_reader *reader, qn_batch *batch_out, qn_error *error);

#endif
