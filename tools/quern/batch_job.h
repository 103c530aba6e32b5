/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/batch_job.h: jobs by the number that SLURM gave them, or by their job directory.
 *
 * Everything goes through SLURM's commands and through files, so it works wherever these do: on a login node, say.
 */
#ifndef QUERN_TOOLS_BATCH_JOB_H
#define QUERN_TOOLS_BATCH_JOB_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define BATCH_COMMENT "quern job directory: " /* of a job of SLURM, and then the directory's name */
#define BATCH_WORD    64

/* Runs a command found by PATH, gives it `input` (NULL: none) and takes what it prints, which the caller frees; what it has to say
 * on standard error goes to ours, unless is_quiet. Returns its exit status, 127 where it cannot be started. */
int quern_batch_call(const char *const *command, const char *input, bool is_quiet, char **output_out);

typedef struct quern_batch_job {
    char number[BATCH_WORD]; /* of SLURM; "": it is not known to it by one */
    char state[BATCH_WORD];  /* PENDING, RUNNING ...; "": SLURM does not know it any more, or never did */
    char directory[PATH_MAX];
} quern_batch_job;

/* By a number (12, or 12_3 of an array) or a directory. 1, with words on standard error: there is none. */
int quern_batch_find(const char *name, quern_batch_job *job);

/* Of a file in the job's directory; the caller's. NULL: there is none yet, or it is nothing that a job writes. */
json_t *quern_batch_read_json(const quern_batch_job *job, const char *name);
/* The same of status.json. */
json_t *quern_batch_read_status(const quern_batch_job *job);

#endif
