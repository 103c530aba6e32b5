/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/commands.h: the subcommands of `quern`, each a main of its own: argv[0] is its name. */
#ifndef QUERN_TOOLS_COMMANDS_H
#define QUERN_TOOLS_COMMANDS_H

#define QUERN_COMMAND_MISUSED   2   /* the exit status; 1: it failed, and said why in one line */
#define QUERN_COMMAND_NOT_FOUND 127 /* what it was to run */

int quern_command_cancel(int argc, char **argv);
int quern_command_clean(int argc, char **argv);
int quern_command_pack(int argc, char **argv);
int quern_command_report(int argc, char **argv);
int quern_command_run(int argc, char **argv); /* the job's status */
int quern_command_sim(int argc, char **argv);
int quern_command_status(int argc, char **argv);
int quern_command_submit(int argc, char **argv);
int quern_command_verify(int argc, char **argv);

/* Says why on standard error, with the system's words if `number` is not 0; returns 1. */
int quern_command_fail(int number, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -1: the text is no number from `least` to `most`. */
long quern_command_read_number(const char *text, long least, long most);

#endif
