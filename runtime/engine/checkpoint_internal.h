/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/checkpoint_internal.h: what the directory (checkpoint.c) and the stages of a run (checkpoint_stages.c) share. */
#ifndef QN_ENGINE_CHECKPOINT_INTERNAL_H
#define QN_ENGINE_CHECKPOINT_INTERNAL_H

#include "runtime/engine/checkpoint.h"

/* To the log, and to whoever looks at progress. */
void qn_checkpoint_say(const qn_checkpoint *checkpoint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* False, and 0: it has no such number. */
bool qn_json_number(const json_t *object, const char *key, uint64_t *number_out);
uint64_t qn_json_get_number(const json_t *object, const char *key);

/* A file's path, to be freed; NULL: no memory. */
char *qn_checkpoint_path(const qn_checkpoint *checkpoint, const char *name);
/* What a line says is so from now on. Borrows it. Rank 0. */
quern_status qn_checkpoint_note(qn_checkpoint *checkpoint, json_t *line, qn_error *error);
/* Adds a file's content to a digest. QUERN_ERROR_SYSTEM, QUERN_ERROR_NO_MEMORY. */
quern_status qn_checkpoint_digest_file(const char *path, uint64_t *digest, qn_error *error);
/* Removes files that no line names. Rank 0. */
void qn_checkpoint_sweep(const qn_checkpoint *checkpoint);

#endif
