/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of the manual, in the macros man(7), and the page for docs/.
 *
 * What is text in a table may hold anything: in roff a backslash, a minus that is to stay one, and a line that begins with a dot or a
 * quote mean something, and so do | and < in Markdown.
 */
#include <ctype.h>
#include <string.h>

#include "include/quern/options.h"
#include "tools/quern/manual.h"

/* ---- roff ---- */

static void put_roff(FILE *to, const char *text)
{
    bool begins = true;
    for (; *text; text++) {
        if (begins && (*text == '.' || *text == '\''))
            fputs("\\&", to);
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else
            fputc(*text, to);
        begins = *text == '\n';
    }
}

static void put_section(FILE *to, const char *name)
{
    fprintf(to, ".SH %s\n", name);
}

static void put_head(FILE *to, const char *title, int section, const char *name, const char *what)
{
    fputs(".TH ", to);
    for (const char *at = title; *at; at++)
        fputc(toupper((unsigned char)*at), to);
    fprintf(to, " %d \"\" \"quern " QUERN_COMMAND_VERSION "\" \"Quern\"\n", section);
    put_section(to, "NAME");
    put_roff(to, name);
    fputs(" \\- ", to);
    put_roff(to, what);
    fputc('\n', to);
}

/* Paragraphs have an empty line between. */
static void put_paragraphs(FILE *to, const char *text)
{
    for (const char *end; (end = strstr(text, "\n\n")); text = end + 2) {
        fprintf(to, ".PP\n");
        for (; text < end; text++)
            put_roff(to, (char[]){*text, 0});
        fputc('\n', to);
    }
    fputs(".PP\n", to);
    put_roff(to, text);
    fputc('\n', to);
}

static void put_row(FILE *to, const char *head, const char *text)
{
    fputs(".TP\n.B ", to);
    put_roff(to, head);
    fputc('\n', to);
    put_roff(to, text);
    fputs(".\n", to);
}

/* How an option is written: -o FILE, --output=FILE. */
static const char *write_option(const struct argp_option *option, char *text, size_t bytes)
{
    int written = 0;
    if (quern_command_has_letter(option))
        written = snprintf(text, bytes, "-%c%s%s%s", option->key, option->arg && !option->name ? " " : "",
                           option->arg && !option->name ? option->arg : "", option->name ? ", " : "");
    if (option->name)
        snprintf(text + written, bytes - (size_t)written, "--%s%s%s", option->name, option->arg ? "=" : "",
                 option->arg ? option->arg : "");
    return text;
}

static void put_options(FILE *to, const quern_command *command)
{
    char text[256];
    put_section(to, "OPTIONS");
    for (const struct argp_option *option = command->options; quern_command_is_option(option); option++)
        put_row(to, write_option(option, text, sizeof text), option->doc);
    put_row(to, "-?, --help", "Says all this");
}

static void put_exits(FILE *to, const quern_command *command)
{
    put_section(to, "EXIT STATUS");
    put_row(to, "0", "done");
    put_row(to, "1", "it failed, and said why in one line");
    put_row(to, "2", "misuse");
    for (const quern_command_exit *one = command->exits; one && one->status; one++)
        put_row(to, one->status, one->when);
}

void quern_manual_print(FILE *to, const quern_command *command)
{
    char title[64];
    snprintf(title, sizeof title, "quern-%s", command->name);
    put_head(to, title, 1, title, command->what);
    put_section(to, "SYNOPSIS");
    fprintf(to, ".B quern %s\n[OPTION...] ", command->name);
    put_roff(to, command->operands);
    fputc('\n', to);
    put_section(to, "DESCRIPTION");
    put_paragraphs(to, command->about);
    put_options(to, command);
    put_exits(to, command);
    if (command->examples) {
        put_section(to, "EXAMPLES");
        fputs(".nf\n", to);
        put_roff(to, command->examples);
        fputs(".fi\n", to);
    }
    put_section(to, "SEE ALSO");
    put_roff(to, command->see);
    fputc('\n', to);
}

void quern_manual_print_all(FILE *to)
{
    char head[64];
    put_head(to, "quern", 1, "quern", "runs, submits, watches and checks jobs of the MapReduce engine Quern");
    put_section(to, "SYNOPSIS");
    fputs(".B quern\nCOMMAND [OPTION...]\n", to);
    put_section(to, "COMMANDS");
    for (const quern_command *const *one = quern_commands; *one; one++) {
        snprintf(head, sizeof head, "quern-%s(1)", (*one)->name);
        put_row(to, head, (*one)->what);
    }
    put_section(to, "SEE ALSO");
    put_roff(to, "quern-options(7), mpirun(1)\n");
}

#define OPTION_ROW(field, type, name, kind, standard, meaning) {"--quern-" name, #kind, standard, meaning},

static const struct {
    const char *name, *kind, *standard, *meaning;
} job_options[] = {QUERN_OPTION_LIST(OPTION_ROW)};

void quern_manual_print_options(FILE *to)
{
    char head[128];
    put_head(to, "quern-options", 7, "quern-options", "options of every job of Quern");
    put_section(to, "DESCRIPTION");
    put_paragraphs(to, "Every program that uses Quern takes these, in front of -- if there is one, or from the "
                       "environment: --quern-memory=4G is "
                       "QUERN_MEMORY=4G there.");
    put_section(to, "OPTIONS");
    for (size_t i = 0; i < sizeof job_options / sizeof *job_options; i++) {
        char text[1024];
        snprintf(head, sizeof head, "%s=%s", job_options[i].name, job_options[i].kind);
        snprintf(text, sizeof text, "%s. Without it: %s", job_options[i].meaning, job_options[i].standard);
        put_row(to, head, text);
    }
    put_section(to, "SEE ALSO");
    put_roff(to, "quern(1), quern-run(1)\n");
}

/* ---- Markdown ---- */

static void put_cell(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void put_table_row(FILE *to, const char *code, const char *text)
{
    fputs("| `", to);
    put_cell(to, code);
    fputs("` | ", to);
    put_cell(to, text);
    fputs(" |\n", to);
}

static void put_tables(FILE *to, const quern_command *command)
{
    char text[256];
    if (quern_command_is_option(command->options)) {
        fputs("\n| option | what it says |\n| --- | --- |\n", to);
        for (const struct argp_option *option = command->options; quern_command_is_option(option); option++)
            put_table_row(to, write_option(option, text, sizeof text), option->doc);
    }
    if (!command->exits)
        return;
    fputs("\n| exit status | when |\n| --- | --- |\n", to);
    for (const quern_command_exit *one = command->exits; one->status; one++)
        put_table_row(to, one->status, one->when);
}

static void put_examples(FILE *to, const char *lines)
{
    fputs("\n```sh\n", to);
    while (*lines) {
        lines += strspn(lines, " ");
        size_t bytes = strcspn(lines, "\n");
        fprintf(to, "%.*s\n", (int)bytes, lines);
        lines += bytes + (lines[bytes] == '\n');
    }
    fputs("```\n", to);
}

void quern_manual_print_markdown(FILE *to)
{
    fputs("# Commands\n\n"
          "`quern help --markdown` wrote this page from the tables by which the commands read their arguments; `man "
          "quern-run` and "
          "`quern run --help`\nsay the same. Every command ends with 0 when it is done, with 1 when it failed and said "
          "why in one line, and with 2 "
          "when it was\nmisused; what else there is stands with it. The options of every job are in "
          "[options.md](options.md).\n",
          to);
    for (const quern_command *const *one = quern_commands; *one; one++) {
        fprintf(to, "\n## quern %s\n\n`quern %s [OPTION...]%s%s` %s.\n\n%s\n", (*one)->name, (*one)->name,
                quern_command_has_operands(*one) ? " " : "", (*one)->operands, (*one)->what, (*one)->about);
        put_tables(to, *one);
        if ((*one)->examples)
            put_examples(to, (*one)->examples);
    }
}
