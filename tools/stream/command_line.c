/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/stream/command_line.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/bin:/usr/bin" /* of execvp() */

typedef struct splitting {
    const char *from;
    char **words;
    char *to;
    size_t count;
    char quote; /* that is open, or 0 */
} splitting;

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The bytes of one word, which ends at a blank outside of quotes, or at the end. */
static void take_word(splitting *all)
{
    all->words[all->count++] = all->to;
    for (; *all->from && (all->quote || !is_blank(*all->from)); all->from++) {
        bool escapes = *all->from == '\\' && all->quote != '\'' && all->from[1];
        if (escapes && all->quote == '"' && !strchr("\"\\$`", all->from[1]))
            escapes = false;
        if (escapes)
            *all->to++ = *++all->from;
        else if (all->quote ? *all->from == all->quote : *all->from == '"' || *all->from == '\'')
            all->quote = all->quote ? 0 : *all->from;
        else
            *all->to++ = *all->from;
    }
    *all->to++ = 0;
}

static char **shell_words(const char *command)
{
    char **words = malloc(4 * sizeof *words + strlen(command) + 1);
    if (!words)
        return NULL;
    words[0] = (char *)"/bin/sh";
    words[1] = (char *)"-c";
    words[2] = strcpy((char *)(words + 4), command);
    words[3] = NULL;
    return words;
}

char **quern_stream_split_command(const char *command, bool with_shell, const char **problem_out)
{
    *problem_out = NULL;
    if (command[strspn(command, " \t\r\n")] == 0) {
        *problem_out = "it is empty";
        return NULL;
    }
    if (with_shell)
        return shell_words(command);
    size_t bytes = strlen(command), words_max = bytes / 2 + 2; /* each but the last has a blank behind it */
    char **words = malloc(words_max * sizeof *words + bytes + 2);
    if (!words)
        return NULL;
    splitting all = {.from = command, .words = words, .to = (char *)(words + words_max)};
    for (;;) {
        while (is_blank(*all.from))
            all.from++;
        if (!*all.from)
            break;
        take_word(&all);
    }
    words[all.count] = NULL;
    if (!all.quote)
        return words;
    free(words);
    *problem_out = "a quote is not closed";
    return NULL;
}

static int look_at(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return errno;
    if (!S_ISREG(about.st_mode))
        return S_ISDIR(about.st_mode) ? EISDIR : EACCES;
    return access(path, X_OK) == 0 ? 0 : errno;
}

int quern_stream_find_program(const char *name, char path_out[PATH_MAX])
{
    int problem = ENOENT;
    const char *from = getenv("PATH");
    if (strchr(name, '/')) {
        snprintf(path_out, PATH_MAX, "%s", name);
        return look_at(name);
    }
    for (from = from ? from : DEFAULT_PATH; from; from = *from ? from + 1 : NULL) {
        size_t bytes = strcspn(from, ":");
        snprintf(path_out, PATH_MAX, "%.*s%s%s", (int)bytes, from, bytes ? "/" : "", name);
        int found = look_at(path_out);
        if (found == 0)
            return 0;
        problem = found == EACCES ? EACCES : problem;
        from += bytes;
    }
    return problem;
}
