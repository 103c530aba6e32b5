/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/site.h: where this rank is in its work, for its last words (runtime/base/crash.h).
 *
 * Written down without cost: pointers to what knows more, once a task.
 */
#ifndef QN_ENGINE_SITE_H
#define QN_ENGINE_SITE_H

#include <stddef.h>

#include "runtime/exec/chain.h"
#include "runtime/io/source.h"
#include "scheduler/scheduler.h"

typedef struct qn_site {
    const char *stage;              /* its name; NULL: no stage runs */
    const qn_chain *volatile chain; /* NULL: no task and no result is being worked on */
    const qn_source *source;        /* NULL: a result is read */
    uint32_t task, attempt;         /* with a source */
} qn_site;

/* Appends lines to text[bytes]: rank, stage, operator, task and record, as far as there are any. */
void qn_site_tell(const qn_site *site, uint32_t rank, uint32_t size, char *text, size_t bytes);

#endif
