/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/job_directory.h: what job directories are called that nobody gave a name.
 *
 * A name is all that is chosen here: the job makes the directory, so a program that is none of Quern's has none.
 */
#ifndef QUERN_TOOLS_JOB_DIRECTORY_H
#define QUERN_TOOLS_JOB_DIRECTORY_H

#include <stdbool.h>

#define JOB_DIRECTORY_NUMBER "%j" /* in a name: the number of the job */
#define JOB_DIRECTORY        "quern-" JOB_DIRECTORY_NUMBER

/* The number: SLURM's where it gave one, else when it is now, 20261122-182512, and behind both the number of this process, since one batch job
 * may start several. Writes a path of at most PATH_MAX bytes, which is absolute where is_here: the job runs on this machine. 0, or
 * the system's reason why it could not be made. */
int quern_job_directory_name(const char *pattern, bool is_here, char *path);

/* 0, or the system's reason why a directory of that name cannot be made with a file in it. What was not there is not there afterwards. */
int quern_job_directory_probe(const char *path);

#endif
