/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/commands.h: the subcommands of `quern`.
 *
 * What a command is called, takes and ends with is said once, in a table beside its code. From it its arguments are read (glibc's
 * argp does that, and prints --help), and pages of the manual, docs/commands.md and completions for shells are made (manual.c,
 * completion.c). What an option takes is a word in capitals, by which shells know what to offer: FILE, DIR, PROGRAM, or words with | between.
 */
#ifndef QUERN_TOOLS_COMMANDS_H
#define QUERN_TOOLS_COMMANDS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define QUERN_COMMAND_MISUSED   2   /* the exit status; 1: it failed, and said why in one line */
#define QUERN_COMMAND_NOT_FOUND 127 /* what it was to run */

/* Of options without a letter: keys from here on. */
#define QUERN_COMMAND_KEY 0x100

/* What follows is a job, with arguments of its own: our options come before it. */
#define QUERN_COMMAND_JOB "-- JOB [ARGUMENT...]"

typedef struct quern_command_exit {
    const char *status, *when;
} quern_command_exit;

typedef struct quern_command {
    const char *name;
    const char *operands;              /* as in a synopsis; what may be left out in brackets; "": there are none */
    const char *what;                  /* a line: "ends jobs" */
    const char *about;                 /* paragraphs, with an empty line between */
    const struct argp_option *options; /* up to an empty one */
    const quern_command_exit *exits;   /* besides 0, 1 and 2, up to an empty one; NULL: there are none */
    const char *examples;              /* lines */
    const char *see;                   /* pages of the manual */
    int (*run)(int argc, char **argv); /* argv[0] is for messages; the exit status */
} quern_command;

extern const quern_command quern_command_cancel, quern_command_cat, quern_command_clean, quern_command_completion,
    quern_command_doctor, quern_command_explain, quern_command_help, quern_command_new, quern_command_pack,
    quern_command_report, quern_command_run, quern_command_sim, quern_command_status, quern_command_stream,
    quern_command_submit, quern_command_top, quern_command_verify;

/* All of them by name, up to NULL, and what they are as a list. */
extern const quern_command *const quern_commands[];
void quern_command_print_list(FILE *to);

/* NULL: there is none. */
const quern_command *quern_command_find(const char *name);

/* Takes an option, by its key, and the word behind it, NULL where it has none. False: the word is nothing that it takes. */
typedef bool (*quern_command_take_fn)(void *all, int key, const char *word);

/* Hands the options of argv to `take` (NULL: there are none), and returns where the operands begin, behind all options: argc if there are none.
 * Misuse, --help and --version end the program. */
int quern_command_parse(const quern_command *command, int argc, char **argv, quern_command_take_fn take, void *all);

/* What --help says. */
void quern_command_print_help(const quern_command *command);

/* False of the empty one, with which a table ends. */
bool quern_command_is_option(const struct argp_option *option);
bool quern_command_has_letter(const struct argp_option *option);

/* Whether it takes operands; whether it must have some; whether they are a job. */
bool quern_command_has_operands(const quern_command *command);
bool quern_command_needs_operands(const quern_command *command);
bool quern_command_takes_job(const quern_command *command);

/* Says why on standard error, with the system's words if `number` is not 0; returns 1. */
int quern_command_fail(int number, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -1: the text is no number from `least` to `most`. */
long quern_command_read_number(const char *text, long least, long most);

#endif
