/* SPDX-License-Identifier: BSD-3-Clause */
/* quern help: what commands do, in one form or another. */
#include <stdio.h>
#include <string.h>

#include "tools/quern/commands.h"
#include "tools/quern/manual.h"

enum { MAN = QUERN_COMMAND_KEY, MARKDOWN };

static const struct argp_option options[] = {
    {"man", MAN, NULL, 0,
     "The page of the manual, for man(1); without a COMMAND quern(1), and of `options` quern-options(7)"},
    {"markdown", MARKDOWN, NULL, 0, "All commands as one page"},
    {0},
};

static bool take(void *form, int key, const char *word)
{
    (void)word;
    *(int *)form = key;
    return true;
}

static int print_manual(const char *name)
{
    const quern_command *command = name ? quern_command_find(name) : NULL;
    if (name && strcmp(name, "options") == 0)
        quern_manual_print_options(stdout);
    else if (!name)
        quern_manual_print_all(stdout);
    else if (command)
        quern_manual_print(stdout, command);
    else
        return quern_command_fail(0, "there is no command '%s'", name);
    return 0;
}

static int print_help(const char *name)
{
    const quern_command *command = quern_command_find(name);
    if (!command)
        return quern_command_fail(0, "there is no command '%s'", name);
    quern_command_print_help(command);
    return 0;
}

static int run(int argc, char **argv)
{
    int form = 0;
    const char *name = argv[quern_command_parse(&quern_command_help, argc, argv, take, &form)];
    if (form == MAN)
        return print_manual(name);
    if (form == MARKDOWN)
        quern_manual_print_markdown(stdout);
    else if (name)
        return print_help(name);
    else
        quern_command_print_list(stdout);
    return 0;
}

const quern_command quern_command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .what = "says what the commands do, or one of them",
    .about = "`quern COMMAND --help` says the same of one.",
    .options = options,
    .examples = "  quern help run\n"
                "  quern help --man run | man -l -\n",
    .see = "quern(1)",
    .run = run,
};
