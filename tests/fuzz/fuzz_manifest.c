/* SPDX-License-Identifier: BSD-3-Clause */
/* `quern verify` of an output with any manifest: it says yes or no, and reads nothing outside of the directory. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"
#include "tools/quern/commands.h"

static char directory[40];

static void put(const char *name, const void *data, size_t bytes)
{
    char path[80];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes, "cannot write %s", path);
    close(fd);
}

static void remove_all(void)
{
    static const char *const names[] = {"_SUCCESS", "part-0", "_MANIFEST.json"};
    char path[80];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "%s/fuzz-files-XXXXXX", fuzz_directory());
    FUZZ_CHECK(mkdtemp(directory), "no directory");
    atexit(remove_all);
    put("_SUCCESS", "", 0);
    put("part-0", "word\t1\n", 7);
}

/* What the command says is not looked at. */
int quern_command_fail(int number, const char *format, ...)
{
    (void)number;
    (void)format;
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool is_made;
    char *argv[] = {"verify", directory, NULL};
    if (!is_made)
        make_directory();
    is_made = true;
    put("_MANIFEST.json", data, bytes);
    int out = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    FUZZ_CHECK(out >= 0 && nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0, "no way out");
    int status = quern_command_verify.run(2, argv);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(nowhere);
    FUZZ_CHECK(status == 0 || status == 1, "status %d", status);
    return 0;
}
