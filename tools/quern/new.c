/* SPDX-License-Identifier: BSD-3-Clause */
/* quern new: a directory with a job that can be built and run, to be changed into one's own. The files are those of template/. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/quern/commands.h"

#define NAME_MARK       "@NAME@"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define NAME_BYTES_MAX  64
#define PATH_BYTES      4096

static const struct {
    const char *name, *text;
} files[] = {
#include "tools/quern/template.inc"
};

/* The text with the project's name where the mark stands. */
static void put_named(FILE *to, const char *text, const char *name)
{
    for (const char *mark; (mark = strstr(text, NAME_MARK)); text = mark + strlen(NAME_MARK)) {
        fwrite(text, 1, (size_t)(mark - text), to);
        fputs(name, to);
    }
    fputs(text, to);
}

static int write_file(const char *directory, const char *file_name, const char *text, const char *name)
{
    char path[PATH_BYTES];
    FILE *to = fmemopen(path, sizeof path, "w");
    if (!to)
        return quern_command_fail(errno, "cannot write in %s", directory);
    fprintf(to, "%s/", directory);
    put_named(to, file_name, name);
    fclose(to);
    FILE *file = fopen(path, "wxe");
    bool is_written = file && (put_named(file, text, name), ferror(file) == 0);
    if ((file && fclose(file) != 0) || !is_written)
        return quern_command_fail(errno, "cannot write %s", path);
    return 0;
}

static bool is_name(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 0 && bytes <= NAME_BYTES_MAX && name[0] != '-' && strspn(name, NAME_CHARACTERS) == bytes;
}

static int make_project(const char *directory)
{
    const char *slash = strrchr(directory, '/'), *name = slash ? slash + 1 : directory;
    if (!is_name(name))
        return quern_command_fail(0, "new: a name is up to %d letters, digits, _ and -, not '%s'", NAME_BYTES_MAX,
                                  name);
    if (strlen(directory) + 2 * NAME_BYTES_MAX > PATH_BYTES)
        return quern_command_fail(ENAMETOOLONG, "cannot make %s", directory);
    if (mkdir(directory, 0777) != 0)
        return quern_command_fail(errno, "cannot make %s", directory);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (write_file(directory, files[i].name, files[i].text, name) != 0)
            return 1;
    printf("%s is there; %s/README.md says how to build and run it\n", directory, directory);
    return 0;
}

static const struct argp_option options[] = {{0}};

static int run(int argc, char **argv)
{
    int status = 0;
    for (int i = quern_command_parse(&quern_command_new, argc, argv, NULL, NULL); i < argc; i++)
        status |= make_project(argv[i]);
    return status;
}

const quern_command quern_command_new = {
    .name = "new",
    .operands = "DIR...",
    .what = "makes the project of a job that can be built and run, to be changed",
    .about = "DIR must not be there. Its last name becomes that of the program. There is one source file, with a map, "
             "a reduction and an output, a "
             "meson.build for the installed library, and a README.md that says how to build and run it.",
    .options = options,
    .examples = "  quern new stations && cd stations\n"
                "  meson setup build && meson compile -C build\n",
    .see = "quern-run(1), meson(1)",
    .run = run,
};
