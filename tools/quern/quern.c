/* SPDX-License-Identifier: BSD-3-Clause */
/* The command `quern`: what goes with the library and is no job. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quern/commands.h"

const char *argp_program_version = "quern " QUERN_COMMAND_VERSION;

const quern_command *const quern_commands[] = {
    &quern_command_cancel,     &quern_command_cat,    &quern_command_clean,
    &quern_command_completion, &quern_command_doctor, &quern_command_explain,
    &quern_command_help,       &quern_command_new,    &quern_command_pack,
    &quern_command_report,     &quern_command_run,    &quern_command_sim,
    &quern_command_status,     &quern_command_stream, &quern_command_submit,
    &quern_command_top,        &quern_command_verify, NULL,
};

const quern_command *quern_command_find(const char *name)
{
    for (const quern_command *const *one = quern_commands; *one; one++)
        if (strcmp((*one)->name, name) == 0)
            return *one;
    return NULL;
}

int quern_command_fail(int number, const char *format, ...)
{
    va_list arguments;
    fputs("quern: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, number != 0 ? ": %s\n" : "\n", strerror(number));
    return 1;
}

long quern_command_read_number(const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && number >= least && number <= most ? number : -1;
}

void quern_command_print_list(FILE *to)
{
    fputs("usage: quern COMMAND [OPTION...]\n\n", to);
    for (const quern_command *const *one = quern_commands; *one; one++)
        fprintf(to, "  %-11s %s\n", (*one)->name, (*one)->what);
    fputs("\n`quern COMMAND --help` says more of each. The exit status is 0, or 1 where a command failed and said why, "
          "or 2\n"
          "for misuse; those of `quern run` are the job's.\n",
          to);
}

static int run(const quern_command *command, int argc, char **argv)
{
    char name[64];
    snprintf(name, sizeof name, "quern %s", command->name);
    argv[0] = name;
    return command->run(argc, argv);
}

int main(int argc, char **argv)
{
    const quern_command *command = argc > 1 ? quern_command_find(argv[1]) : NULL;
    if (command)
        return run(command, argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        puts(argp_program_version);
    else if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        quern_command_print_list(stdout);
    else {
        if (argc > 1)
            quern_command_fail(0, "there is no command '%s'", argv[1]);
        quern_command_print_list(stderr);
        return QUERN_COMMAND_MISUSED;
    }
    return 0;
}
