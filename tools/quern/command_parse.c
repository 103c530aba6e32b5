/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of commands, by their tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quern/commands.h"

typedef struct reading {
    const quern_command *command;
    quern_command_take_fn take;
    void *all;
    int operands_at;
} reading;

bool quern_command_is_option(const struct argp_option *option)
{
    return option->name || option->key != 0;
}

bool quern_command_has_letter(const struct argp_option *option)
{
    return option->key > 0 && option->key < QUERN_COMMAND_KEY;
}

bool quern_command_has_operands(const quern_command *command)
{
    return *command->operands != 0;
}

bool quern_command_needs_operands(const quern_command *command)
{
    return quern_command_has_operands(command) && *command->operands != '[';
}

bool quern_command_takes_job(const quern_command *command)
{
    return strstr(command->operands, QUERN_COMMAND_JOB) != NULL;
}

static const struct argp_option *find_option(const quern_command *command, int key)
{
    const struct argp_option *option = command->options;
    while (option->key != key)
        option++;
    return option;
}

/* argp calls this for each option and once for the operands. */
static error_t take_argument(int key, char *word, struct argp_state *state)
{
    reading *all = state->input;
    if (key == ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN; /* so that they come all at once */
    if (key == ARGP_KEY_ARGS) {
        if (!quern_command_has_operands(all->command))
            argp_error(state, "it takes no '%s'", state->argv[state->next]);
        all->operands_at = state->next;
        state->next = state->argc;
        return 0;
    }
    if (key == ARGP_KEY_NO_ARGS && quern_command_needs_operands(all->command))
        argp_error(state, "it takes %s", all->command->operands);
    if (key >= ARGP_KEY_END || key <= 0)
        return ARGP_ERR_UNKNOWN;
    if (!all->take(all->all, key, word)) {
        const char *name = find_option(all->command, key)->name;
        argp_error(state, "'%s' is nothing for -%s%s", word ? word : "", name ? "-" : "",
                   name ? name : (char[]){(char)key, 0});
    }
    return 0;
}

static void put_exits(FILE *to, const quern_command *command)
{
    fputs("Exit status:\n  0    done\n  1    it failed, and said why in one line\n  2    misuse\n", to);
    for (const quern_command_exit *one = command->exits; one && one->status; one++)
        fprintf(to, "  %-4s %s\n", one->status, one->when);
}

/* What stands before the options and behind them, as argp wants it. NULL: no memory. */
static char *write_text(const quern_command *command)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return NULL;
    fprintf(to, "quern %s: %s.\v%s\n\n", command->name, command->what, command->about);
    put_exits(to, command);
    if (command->examples)
        fprintf(to, "\nExamples:\n%s", command->examples);
    return fclose(to) == 0 ? text : NULL;
}

/* argp makes lines of 79 characters of it. */
static void parse(reading *all, int argc, char **argv)
{
    char *text = write_text(all->command);
    const struct argp argp = {
        .options = all->command->options,
        .parser = take_argument,
        .args_doc = all->command->operands,
        .doc = text,
    };
    argp_err_exit_status = QUERN_COMMAND_MISUSED;
    error_t failed =
        argp_parse(&argp, argc, argv, quern_command_takes_job(all->command) ? ARGP_IN_ORDER : 0, NULL, all);
    free(text);
    if (failed)
        exit(quern_command_fail(failed, "cannot read the arguments"));
}

int quern_command_parse(const quern_command *command, int argc, char **argv, quern_command_take_fn take, void *all)
{
    reading input = {.command = command, .take = take, .all = all, .operands_at = argc};
    parse(&input, argc, argv);
    return input.operands_at;
}

void quern_command_print_help(const quern_command *command)
{
    char name[64], help[] = "--help";
    char *words[] = {name, help, NULL};
    snprintf(name, sizeof name, "quern %s", command->name);
    quern_command_parse(command, 2, words, NULL, NULL);
}
