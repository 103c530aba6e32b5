/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/resume.h: by what a job that goes on from its checkpoint (docs/howto/go-on.md) knows that what is there is of its own work.
 *
 *     static double threshold = 0.75; // from a configuration file, or the environment: what the command line does not say
 *     quern_note_parameter(context, "threshold", &threshold, sizeof threshold);
 *     quern_note_file(context, "model.bin");
 *     quern_status status = quern_run(context);
 *
 * What is known without that. The program's file and the library's version; the command line of rank 0's process, but for options of the library and the
 * directory of its first word; the operators, paths and options of the graph; paths, sizes and times of change of the files that it reads; and what
 * quern_broadcast() gave. Not known: what callbacks read by themselves, the environment, files that were read into variables,
 * libraries that the program loads, and, where ranks run different programs, those of other ranks. If any of these changes the answer, note it.
 *
 * What it does. A checkpoint is used for no run and no stage for which another value was noted before, or none; the job says which. What is noted after a run does not count for that
 * run. Without the option checkpoint nothing is done.
 */
#ifndef QUERN_RESUME_H
#define QUERN_RESUME_H

#include <quern/context.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The work from here on depends on these bytes. Local; what rank 0 notes counts, so every rank may call it. name: 1 to 256 bytes of UTF-8 without control
 * characters, for messages; copied. The same name again, with the same bytes or others, is one more that is noted. data: borrowed
 * during the call; NULL if bytes is 0. Structs may have padding of any value: note their members. Where it fails, the next quern_run() does, on
 * all ranks. QUERN_ERROR_INVALID_ARGUMENT: NULL, another name, or more than 4096 of them. QUERN_ERROR_NO_MEMORY. Inside a callback, and with NULL instead of a context, it does nothing. Since 0.1. */
QUERN_API void quern_note_parameter(quern_context *context, const char *name, const void *data, size_t bytes);

/* The work from here on depends on the content of a file, and on its path. Local; rank 0 reads it, if there is a checkpoint, and others do nothing. Of a file
 * of more than 1 GiB size and time of change are taken instead. At the next quern_run(): QUERN_ERROR_INPUT: it cannot be read, or is no regular file. QUERN_ERROR_INVALID_ARGUMENT: NULL, or more
 * than 4096 names. QUERN_ERROR_NO_MEMORY. Otherwise as quern_note_parameter(). Since 0.1. */
QUERN_API void quern_note_file(quern_context *context, const char *path);

#ifdef __cplusplus
}
#endif
#endif
