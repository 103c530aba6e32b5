/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/record_log.h: records that wait: copies, in the order in which they came, given back in batches. Bounded.
 */
#ifndef QN_EXEC_RECORD_LOG_H
#define QN_EXEC_RECORD_LOG_H

#include <stdbool.h>

#include "runtime/base/buffer.h"
#include "runtime/data/batch.h"

typedef struct qn_logged_record {
    size_t at; /* of the key in the bytes; the value is behind it */
    uint32_t key_bytes, value_bytes, origin;
} qn_logged_record;

/* What a batch that is given back is made of. */
typedef struct qn_logged_room {
    const void *key[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX], value_bytes[QN_BATCH_COUNT_MAX], origin[QN_BATCH_COUNT_MAX];
} qn_logged_room;

typedef struct qn_record_log {
    uint64_t bytes_max; /* set by the owner */
    uint8_t *bytes;     /* [capacity_bytes] */
    size_t capacity_bytes, used_bytes;
    qn_logged_record *records; /* [count] */
    size_t count, capacity;
    bool has_values;
    qn_logged_room room;
} qn_record_log;

void qn_record_log_fini(qn_record_log *log); /* takes a zeroed one */

/* False: there is no room within the bound, or no memory, which is the same; then nothing was added. */
bool qn_record_log_add(qn_record_log *log, const qn_batch *batch);
/* Only the first `count` stay. */
void qn_record_log_cut(qn_record_log *log, size_t count);
/* Some of the records from `from` on, until the next call: how many; 0 at the end. */
size_t qn_record_log_give(qn_record_log *log, size_t from, qn_batch *batch_out);

/* All records as a message of another rank has them: without the numbers of where they came from. Look at buffer->failed. */
void qn_record_log_encode(const qn_record_log *log, qn_buffer *into);
/* In place of what was in the log, whatever its bound. False: it is cut off, or there is no memory. */
bool qn_record_log_decode(qn_record_log *log, qn_reader *from);

#endif
