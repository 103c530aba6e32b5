/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/task_state.h: which tasks of a stage are done, and where those go on that are not begun at the begin; as a line of the journal
 * says it.
 *
 * What a task is depends on how the input was cut: an attempt at the job that goes on with them, with however many ranks, cuts it in the same
 * way, and knows by the digest that it is so.
 */
#ifndef QN_ENGINE_TASK_STATE_H
#define QN_ENGINE_TASK_STATE_H

#include <jansson.h>

#include "runtime/engine/message.h"

typedef struct qn_task_state {
    uint64_t split_bytes, record_bytes_max; /* of the cut: qn_task_cut */
    uint32_t worker_count;
    bool is_scattered; /* they are handed out in that order */
    uint64_t digest;   /* of the splits */
    uint32_t count;
    bool *done;          /* [count] */
    qn_resume **resumes; /* [count], NULL where an attempt begins at the begin; owned, and so are they */
} qn_task_state;

/* NULL: no memory. */
json_t *qn_task_state_pack(const qn_task_state *state);
/* False: it is none, or there is no memory. */
bool qn_task_state_parse(qn_task_state *state, const json_t *packed);
void qn_task_state_fini(qn_task_state *state); /* takes a zeroed one */

#endif
