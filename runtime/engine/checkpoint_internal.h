/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/checkpoint_internal.h: what the directory (checkpoint.c), runs (checkpoint_runs.c), what they read (checkpoint_inputs.c) and their
 * stages (checkpoint_stages.c) share. */
#ifndef QN_ENGINE_CHECKPOINT_INTERNAL_H
#define QN_ENGINE_CHECKPOINT_INTERNAL_H

#include "runtime/engine/checkpoint.h"

#define SAVED_PREFIX "run-" /* of files of results */

/* To the log, and to whoever looks at progress. */
void qn_checkpoint_say(const qn_checkpoint *checkpoint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was saved, or not, since start_ns: to the log, and if it was, to those who listen. */
void qn_checkpoint_note_saved(const qn_checkpoint *checkpoint, quern_status status, uint64_t start_ns,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts a line in the place of one that is out of date. */
quern_status qn_checkpoint_take_line(json_t *lines, json_t *line, qn_error *error);
/* A file's path, to be freed; NULL: no memory. */
char *qn_checkpoint_path(const qn_checkpoint *checkpoint, const char *name);
/* What a line says is so from now on. Borrows it. Rank 0. */
quern_status qn_checkpoint_note(qn_checkpoint *checkpoint, json_t *line, qn_error *error);
/* Adds a file's content to a digest. QUERN_ERROR_SYSTEM, QUERN_ERROR_NO_MEMORY. */
quern_status qn_checkpoint_digest_file(const char *path, uint64_t *digest, qn_error *error);
/* Removes files that no line names. Rank 0. */
void qn_checkpoint_sweep(const qn_checkpoint *checkpoint);

/* ---- of checkpoint_parts.c; rank 0 */

/* An earlier attempt's line. QUERN_ERROR_NO_MEMORY. */
quern_status qn_checkpoint_read_parts(qn_checkpoint *checkpoint, json_t *line, qn_error *error);
/* Whether a stage that writes has parts that may be taken up; says why not. */
void qn_checkpoint_choose_parts(qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t stage);

/* ---- of checkpoint_inputs.c; rank 0 */

/* Takes a line that says what is behind a digest of inputs, or of what was given. Borrows it. QUERN_ERROR_NO_MEMORY. */
quern_status qn_checkpoint_take_told(qn_checkpoint *checkpoint, const char *event, json_t *line, qn_error *error);
/* What was given until this run; what the run and its stages read. QUERN_ERROR_NO_MEMORY. */
quern_status qn_checkpoint_tell_givens(qn_checkpoint *checkpoint, qn_error *error);
quern_status qn_checkpoint_look(qn_checkpoint *checkpoint, const qn_stages *stages, qn_error *error);
/* Whether a line is of other work by that: the reason, until the next call, or NULL. inputs: of the line's stage, or of the run. */
const char *qn_checkpoint_why_not_given(qn_checkpoint *checkpoint, const json_t *line);
const char *qn_checkpoint_why_not_inputs(qn_checkpoint *checkpoint, const json_t *line, const json_t *inputs);

/* ---- of checkpoint_stages.c */

#define QN_DIGEST_TEXT_BYTES 17

void qn_checkpoint_print_digest(uint64_t digest, char text[QN_DIGEST_TEXT_BYTES]);
bool qn_checkpoint_has_digest(const json_t *line, uint64_t digest);

/* Why a line is not of the stage's work, until the next call, or NULL. */
const char *qn_checkpoint_why_not(qn_checkpoint *checkpoint, const json_t *line, uint32_t stage);
/* Finds what can be reused of the stages of a run that is to be run. Collective. QUERN_ERROR_CHECKPOINT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_checkpoint_choose(qn_checkpoint *checkpoint, const qn_stages *stages, bool only_files,
                                  const struct quern_counter *counters, qn_error *error);

/* Of the same run and stage; NULL: none. */
json_t *qn_checkpoint_find_line(const json_t *lines, uint64_t run, uint64_t stage);
/* Whether the result of a stage is one that can be saved; whether, besides, nothing but that came of the stage, of work that can be looked at. The same
 * on all ranks. */
bool qn_checkpoint_can_save(const qn_stages *stages, uint32_t index);
bool qn_checkpoint_is_noted(const qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t stage);
/* The path of this rank's file of a result, to be freed; NULL: no memory. name_out: in the directory. */
char *qn_checkpoint_name_file(const qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage,
                              char name_out[QN_SAVED_NAME_BYTES]);
/* The files of all ranks, on rank 0, of a result that can be saved; the ranks agree. */
quern_status qn_checkpoint_write_files(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage,
                                       qn_saved_file **all_out, qn_error *error);
/* Reads the files of a stage into its result, if it is a reduction's. *rows_out: of all. The ranks agree. */
quern_status qn_checkpoint_read_files(const qn_checkpoint *checkpoint, uint32_t stage, qn_result *result,
                                      uint64_t *rows_out, qn_error *error);
/* What all ranks counted in the stage, as an array; NULL: no memory, or the ranks could not talk. Collective. */
json_t *qn_checkpoint_sum_counted(const qn_checkpoint *checkpoint, const struct quern_counter *counters,
                                  const int64_t *before, qn_error *error);
/* Adds to the counters what a line says; rank 0. */
void qn_checkpoint_count_again(const json_t *line, struct quern_counter *counters);
/* A line of a stage, or of an epoch in one (tasks; taken): NULL: no memory. Takes `counted`. Rank 0. */
json_t *qn_checkpoint_describe(const qn_checkpoint *checkpoint, uint32_t stage, const qn_saved_file *files,
                               json_t *counted, json_t *tasks);
/* Appends, if the checkpoint is still ours, and lets the line count. Takes the reference. Rank 0. */
quern_status qn_checkpoint_append(qn_checkpoint *checkpoint, json_t *line, qn_error *error);
/* Saving failed. The job goes on, unless its ranks cannot talk any more. */
quern_status qn_checkpoint_go_on_without(qn_checkpoint *checkpoint, const qn_error *failure, qn_error *error);

#endif
