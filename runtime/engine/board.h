/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/board.h: what rank 0 knows of all ranks while a stage runs: the last figures that came of each.
 *
 * It is written as messages come, and read by whoever shows it: a thread that writes files, and lines of progress. From it rank 0 also sees what
 * somebody should look at before the stage is over: each such thing is told once. It knows neither messages nor clocks: times are handed in.
 *
 * Figures of ranks are those of the stage; between stages the last ones stay. Its size is that of the ranks, and files made of it
 * are, too.
 */
#ifndef QN_ENGINE_BOARD_H
#define QN_ENGINE_BOARD_H

#include <jansson.h>
#include <stdbool.h>

#include "runtime/base/status.h"
#include "runtime/engine/rank_figures.h"

typedef struct qn_board qn_board;

/* kind: as in the report. */
typedef void (*qn_board_alert_fn)(void *user, const char *kind, const char *text);

/* Of all ranks together. */
typedef struct qn_board_totals {
    uint32_t rank_count, idle_count, silent_count;
    uint32_t
        slowest; /* of those that work, who has done least; a silent one before all others; QN_RANK_NO_TASK: none */
    bool slowest_is_silent;
    char slowest_host[64];
    qn_rank_figures sum; /* of all figures; silent_ns: the longest; rounds: the most */
} qn_board_totals;

/* alert: called by qn_board_judge(). QUERN_ERROR_NO_MEMORY. */
quern_status qn_board_create(qn_board **board_out, uint32_t rank_count, uint32_t node_count, qn_board_alert_fn alert,
                             void *user, qn_error *error);
void qn_board_destroy(qn_board *board); /* takes NULL, as all below, which then do nothing */

/* After some were lost. Without memory for them nothing is shown any more. */
void qn_board_resize(qn_board *board, uint32_t rank_count, uint32_t node_count);
/* A run begins: what was told in the last one may be told again. */
void qn_board_begin_run(qn_board *board);
/* number: from 1, in the run. Copies names. */
void qn_board_begin_stage(qn_board *board, uint32_t number, const char *name, const char *end, uint64_t now_ns);
void qn_board_end_stage(qn_board *board);

/* What came; what is out of bounds in it is passed over. */
void qn_board_take(qn_board *board, const qn_shown *shown, uint64_t now_ns);
/* Tells what is striking, each once: by its one caller, out of the lock. */
void qn_board_judge(qn_board *board, uint64_t now_ns);

void qn_board_sum(qn_board *board, uint64_t now_ns, qn_board_totals *totals_out);
/* As objects, which are the caller's: totals with the hottest keys, and all ranks. NULL: no board, no memory. */
json_t *qn_board_describe_totals(qn_board *board, uint64_t now_ns);
json_t *qn_board_describe_ranks(qn_board *board, uint64_t now_ns);

#endif
