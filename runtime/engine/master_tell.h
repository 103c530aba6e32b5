/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/master_tell.h: what the master tells of tasks: which there are, and why attempts at them failed.
 */
#ifndef QN_ENGINE_MASTER_TELL_H
#define QN_ENGINE_MASTER_TELL_H

#include "runtime/engine/master.h"

/* To those who listen, once the tasks are made. */
void qn_master_tell_tasks(const qn_master *master, const qn_master_config *config);
/* The last failure, of an attempt on a rank, to the log and for the report: a run that succeeds in spite of it has no error. text: why, of so many bytes. */
void qn_master_tell_failed(qn_master *master, const qn_task_outcome *outcome, uint32_t from, const char *text,
                           size_t text_bytes);

#endif
