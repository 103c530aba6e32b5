/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern completion: what shells offer behind `quern`, made from the tables of commands.
 *
 * Each shell gets a script in its own language that holds all words; nothing is run when the user presses a key. What an option takes
 * is told by the word that stands for it: FILE, DIR, PROGRAM, or words with | between. Behind the -- of a command that runs a job, the first
 * word is a program; from there on the options of every job are offered, and files.
 */
#include <stdio.h>
#include <string.h>

#include "include/quern/options.h"
#include "tools/quern/commands.h"

#define JOB_OPTION(field, type, name, kind, standard, meaning) {"--quern-" name "=", meaning},
static const struct {
    const char *name, *meaning;
} job_options[] = {QUERN_OPTION_LIST(JOB_OPTION)};
#define JOB_OPTION_COUNT (sizeof job_options / sizeof *job_options)

static bool takes(const struct argp_option *option, const char *argument)
{
    return option->arg && strcmp(option->arg, argument) == 0;
}

static bool takes_choices(const struct argp_option *option)
{
    return option->arg && strchr(option->arg, '|');
}

/* What is one of several words, with spaces between. */
static void put_choices(const struct argp_option *option)
{
    for (const char *at = option->arg; *at; at++)
        putchar(*at == '|' ? ' ' : *at);
}

/* Text within single quotes, in which `more` is escaped, too. */
static void put_quoted(const char *text, const char *more)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr(more, *text))
            putchar('\\');
        putchar(*text);
    }
}

static void put_command_names(const char *before, const char *after)
{
    for (const quern_command *const *one = quern_commands; *one; one++)
        printf("%s%s%s", before, (*one)->name, after);
}

/* ---- bash ---- */

static void put_bash_arguments(const quern_command *command)
{
    for (const struct argp_option *option = command->options; quern_command_is_option(option); option++) {
        if (!option->arg)
            continue;
        fputs("        ", stdout);
        if (option->name)
            printf("'%s --%s'", command->name, option->name);
        if (quern_command_has_letter(option))
            printf("%s'%s -%c'", option->name ? " | " : "", command->name, option->key);
        if (takes_choices(option)) {
            fputs(") _quern_words '", stdout);
            put_choices(option);
            fputs("'; return ;;\n", stdout);
        } else
            printf(") %s; return ;;\n", takes(option, "FILE")      ? "_quern_paths -f"
                                        : takes(option, "DIR")     ? "_quern_paths -d"
                                        : takes(option, "PROGRAM") ? "_quern_paths -c"
                                                                   : ":");
    }
}

static void put_bash_options(const quern_command *command)
{
    printf("        %s) _quern_words '", command->name);
    for (const struct argp_option *option = command->options; quern_command_is_option(option); option++) {
        if (option->name)
            printf("--%s%s ", option->name, option->arg ? "=" : "");
        else
            printf("-%c ", option->key);
    }
    fputs("--help' ;;\n", stdout);
}

static const char
    bash_start[] = "# quern completion bash\n"
                   "_quern_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$word\"); }\n"
                   "_quern_paths() {\n"
                   "    compopt -o filenames\n"
                   "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$word\")\n"
                   "}\n"
                   "_quern_job() {\n"
                   "    case $word in\n"
                   "    -*) _quern_words \"$quern_job_options\" ;;\n"
                   "    *) if [ \"$1\" -eq \"$COMP_CWORD\" ]; then _quern_paths -c; else _quern_paths -f; fi ;;\n"
                   "    esac\n"
                   "}\n",
    bash_function[] =
        "_quern() {\n"
        "    local command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} i\n"
        "    COMPREPLY=()\n"
        "    [ \"$word\" != = ] || word=\n"
        "    [ \"$before\" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "    [ \"${COMP_WORDS[COMP_CWORD]}\" != = ] || before=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
        "        _quern_words \"$quern_commands --help --version\"\n"
        "        return\n"
        "    fi\n"
        "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
        "        if [ \"${COMP_WORDS[i]}\" = -- ]; then\n"
        "            _quern_job $((i + 1))\n"
        "            return\n"
        "        fi\n"
        "    done\n"
        "    case \"$command $before\" in\n",
    bash_middle[] = "    esac\n"
                    "    case $command in\n"
                    "    help) _quern_words \"$quern_commands --man --markdown\"; return ;;\n"
                    "    completion) _quern_words 'bash zsh fish'; return ;;\n"
                    "    esac\n"
                    "    case $word in\n"
                    "    -*)\n"
                    "        case $command in\n",
    bash_end[] = "        esac\n"
                 "        [[ ${COMPREPLY-} != *= ]] || compopt -o nospace\n"
                 "        ;;\n"
                 "    *) _quern_paths -f ;;\n"
                 "    esac\n"
                 "}\n"
                 "complete -F _quern quern\n";

static void put_bash(void)
{
    fputs(bash_start, stdout);
    fputs("quern_commands='", stdout);
    put_command_names("", " ");
    fputs("'\nquern_job_options='", stdout);
    for (size_t i = 0; i < JOB_OPTION_COUNT; i++)
        printf("%s ", job_options[i].name);
    fputs("'\n", stdout);
    fputs(bash_function, stdout);
    for (const quern_command *const *one = quern_commands; *one; one++)
        put_bash_arguments(*one);
    fputs(bash_middle, stdout);
    for (const quern_command *const *one = quern_commands; *one; one++)
        put_bash_options(*one);
    fputs(bash_end, stdout);
}

/* ---- zsh ---- */

static void put_zsh_option(const char *dashes, const char *name, const struct argp_option *option)
{
    printf(" \\\n            '%s%s%s[", dashes, name, !option->arg ? "" : *name && name[1] ? "=" : "+");
    put_quoted(option->doc, "[]:");
    putchar(']');
    if (takes_choices(option)) {
        fputs(":word:(", stdout);
        put_choices(option);
        putchar(')');
    } else if (option->arg)
        printf(":%s:%s", option->arg,
               takes(option, "FILE")      ? "_files"
               : takes(option, "DIR")     ? "_files -/"
               : takes(option, "PROGRAM") ? "_command_names -e"
                                          : " ");
    putchar('\'');
}

static void put_zsh_operands(const quern_command *command)
{
    if (strcmp(command->name, "help") == 0)
        fputs(" \\\n            '1:command:($quern_commands)'", stdout);
    else if (strcmp(command->name, "completion") == 0)
        fputs(" \\\n            '1:shell:(bash zsh fish)'", stdout);
    else if (quern_command_takes_job(command))
        fputs(" \\\n            '1:job:_command_names -e' '*::argument:_quern_job'", stdout);
    else if (quern_command_has_operands(command))
        fputs(" \\\n            '*:operand:_files'", stdout);
}

static void put_zsh_command(const quern_command *command)
{
    printf("        %s) _arguments -s", command->name);
    for (const struct argp_option *option = command->options; quern_command_is_option(option); option++) {
        if (quern_command_has_letter(option))
            put_zsh_option("-", (char[]){(char)option->key, 0}, option);
        if (option->name)
            put_zsh_option("--", option->name, option);
    }
    fputs(" \\\n            '--help[Says all this]'", stdout);
    put_zsh_operands(command);
    fputs(" ;;\n", stdout);
}

static void put_zsh(void)
{
    fputs("#compdef quern\n# quern completion zsh\n_quern_job() {\n    _arguments -s", stdout);
    for (size_t i = 0; i < JOB_OPTION_COUNT; i++) {
        printf(" \\\n        '%s[", job_options[i].name);
        put_quoted(job_options[i].meaning, "[]:");
        fputs("]:value:_files'", stdout);
    }
    fputs(" \\\n        '*:argument:_files'\n}\n_quern() {\n    local -a quern_commands=(", stdout);
    put_command_names("", " ");
    fputs(")\n    if ((CURRENT == 2)); then\n        local -a told=(", stdout);
    for (const quern_command *const *one = quern_commands; *one; one++) {
        printf("\n            '%s:", (*one)->name);
        put_quoted((*one)->what, ":");
        putchar('\'');
    }
    fputs(")\n        _describe command told\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n",
          stdout);
    for (const quern_command *const *one = quern_commands; *one; one++)
        put_zsh_command(*one);
    fputs("    esac\n}\n"
          "if [ \"$funcstack[1]\" = _quern ]; then _quern; else compdef _quern quern; fi\n",
          stdout);
}

/* ---- fish ---- */

static void put_fish_text(const char *text)
{
    fputs(" -d '", stdout);
    for (; *text; text++)
        printf("%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
    fputs("'\n", stdout);
}

static void put_fish_option(const quern_command *command, const struct argp_option *option)
{
    printf("complete -c quern -n '__fish_seen_subcommand_from %s'", command->name);
    if (quern_command_has_letter(option))
        printf(" -s %c", option->key);
    if (option->name)
        printf(" -l %s", option->name);
    if (option->arg)
        printf(" -r%s", takes(option, "FILE") || takes(option, "PROGRAM") ? " -F" : " -f");
    if (takes_choices(option)) {
        fputs(" -a '", stdout);
        put_choices(option);
        putchar('\'');
    } else if (takes(option, "DIR"))
        fputs(" -a '(__fish_complete_directories)'", stdout);
    put_fish_text(option->doc);
}

static void put_fish(void)
{
    fputs("# quern completion fish\n", stdout);
    for (const quern_command *const *one = quern_commands; *one; one++) {
        printf("complete -c quern -n __fish_use_subcommand -f -a %s", (*one)->name);
        put_fish_text((*one)->what);
    }
    for (const quern_command *const *one = quern_commands; *one; one++)
        for (const struct argp_option *option = (*one)->options; quern_command_is_option(option); option++)
            put_fish_option(*one, option);
    fputs("complete -c quern -n '__fish_seen_subcommand_from help' -f -a '", stdout);
    put_command_names("", " ");
    fputs("'\ncomplete -c quern -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n", stdout);
    for (const quern_command *const *one = quern_commands; *one; one++)
        if (quern_command_takes_job(*one))
            for (size_t i = 0; i < JOB_OPTION_COUNT; i++)
                printf("complete -c quern -n '__fish_seen_subcommand_from %s; and contains -- -- (commandline -opc)' "
                       "-a %s\n",
                       (*one)->name, job_options[i].name);
}

/* ---- the command ---- */

static const struct argp_option options[] = {{0}};

static int run(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*put)(void);
    } shells[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
    const char *name = argv[quern_command_parse(&quern_command_completion, argc, argv, NULL, NULL)];
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shells[i].name, name) == 0) {
            shells[i].put();
            return 0;
        }
    return quern_command_fail(0, "completion: there is none for %s, but for bash, zsh and fish", name);
}

const quern_command quern_command_completion = {
    .name = "completion",
    .operands = "SHELL",
    .what = "prints a script by which bash, zsh or fish complete the words behind quern",
    .about = "Installing Quern puts these where shells look for them. In a shell that does not look there, read it "
             "when the shell begins.",
    .options = options,
    .examples = "  source <(quern completion bash)\n"
                "  quern completion fish > ~/.config/fish/completions/quern.fish\n",
    .see = "bash(1), zsh(1), fish(1)",
    .run = run,
};
