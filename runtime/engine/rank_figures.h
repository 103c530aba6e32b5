/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/rank_figures.h: what a rank shows of itself while a stage runs: figures, and its hottest keys.
 *
 * Once a second each rank writes its own into memory of its node (pulse.h); the first rank of the node looks at all of them, and sends them to
 * rank 0 in few messages (rank_shows.h), which keeps the last of each rank (board.h).
 */
#ifndef QN_ENGINE_RANK_FIGURES_H
#define QN_ENGINE_RANK_FIGURES_H

#include <assert.h>
#include <stdint.h>

#include "runtime/data/hot_keys.h"

#define QN_RANK_NO_TASK UINT32_MAX

/* Of the stage that runs, result_records those of results and arrays that it has to read: X(field, unit by which it is divided in ranks.json, name there). All uint64_t. */
#define QN_RANK_FIGURES(X)                                                                                             \
    X(tasks, 1, "tasks")                                                                                               \
    X(records, 1, "records")                                                                                           \
    X(result_records, 1, "result_records")                                                                             \
    X(bytes, 1, "bytes")                                                                                               \
    X(sent_bytes, 1, "sent_bytes")                                                                                     \
    X(rounds, 1, "rounds")                                                                                             \
    X(spilled_bytes, 1, "spilled_bytes")                                                                               \
    X(used_bytes, 1, "used_bytes")                                                                                     \
    X(memory_bytes, 1, "memory_bytes")                                                                                 \
    X(work_ns, 1000000, "work_ms")                                                                                     \
    X(silent_ns, 1000000, "silent_ms")

typedef struct qn_rank_figures {
    uint32_t rank;
    uint32_t stage; /* number of the stage that they are of, as in messages; 0: none yet */
    uint32_t state; /* qn_timeline_state */
    uint32_t task;  /* in hand; QN_RANK_NO_TASK: none */
    uint32_t attempt, unused;
#define QN_RANK_FIELD(field, unit, name) uint64_t field;
    QN_RANK_FIGURES(QN_RANK_FIELD)
#undef QN_RANK_FIELD
} qn_rank_figures;

#define QN_RANK_KEYS_MAX 3

typedef struct qn_rank_show {
    qn_rank_figures figures; /* without state and silent_ns, which whoever looks finds out */
    uint64_t sample_count;   /* of records, for the keys */
    qn_hot_key keys[QN_RANK_KEYS_MAX];
} qn_rank_show;

/* Of one message: so small that MPI takes it at once, since nobody may be there to receive it when a stage ends. */
#define QN_SHOWN_RANKS_MAX 16
#define QN_SHOWN_KEYS_MAX  5

typedef struct qn_shown_keys {
    uint64_t sample_count;
    qn_hot_key keys[QN_SHOWN_KEYS_MAX]; /* up to one without a tag */
} qn_shown_keys;

typedef struct qn_shown {
    uint32_t node, count;
    char host[64];
    uint64_t scratch_bytes, scratch_free_bytes; /* of the file system of its scratch directory; 0: not known */
    qn_shown_keys keys;                         /* of all ranks of the node together */
    qn_rank_figures ranks[QN_SHOWN_RANKS_MAX];
} qn_shown;

static_assert(sizeof(qn_shown) < 4000, "eager for every transport");

#endif
