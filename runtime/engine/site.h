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
    uint32_t task, attempt;         /* with a source, and apart */
    bool is_apart;                  /* this is a process of callbacks: the rank has the source */
    const char *volatile between;   /* what it does without a stage; static; NULL: nothing that has a name */
} qn_site;

/* Appends lines to text[bytes]: rank, stage, operator, task and record, as far as there are any. */
void qn_site_tell(const qn_site *site, uint32_t rank, uint32_t size, char *text, size_t bytes);

/* Appends the same as a part of one line, but for rank and stage: operator, task and, where the source stands still, the record. */
void qn_site_describe(const qn_site *site, bool source_stands, char *text, size_t bytes);

/* What the last words of a process of callbacks lack: an attempt at something failed since it ended, and the failure names the record; at: "task 3". */
void qn_site_say_ended(uint32_t rank, const char *at, uint32_t attempt, const qn_error *failure);

#endif
