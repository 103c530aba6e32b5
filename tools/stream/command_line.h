/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/stream/command_line.h: commands as users write them, and the programs that they mean. */
#ifndef QUERN_TOOLS_STREAM_COMMAND_LINE_H
#define QUERN_TOOLS_STREAM_COMMAND_LINE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Words up to a NULL, in one allocation. By white space, but for what stands between quotes, and what follows a backslash: as a shell's words,
 * of which nothing is expanded. with_shell: the command is one word for /bin/sh -c. NULL: no memory, or *problem_out says what is wrong. */
char **quern_stream_split_command(const char *command, bool with_shell, const char **problem_out);

/* Whether the program of a command, looked for as execvp() does, is there and may be run; else why not, as errno says it. path_out: where it is, if it is. */
int quern_stream_find_program(const char *name, char path_out[PATH_MAX]);

#endif
