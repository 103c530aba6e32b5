/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/launcher.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_BYTES      256
#define ANSWER_SECONDS   5
#define STATUS_NOT_FOUND 127

/* What has another name may be anything, and do anything when it is asked. */
static bool is_called_as_usual(const char *mpirun)
{
    static const char *const names[] = {"mpirun", "mpiexec", "mpirun.openmpi", "mpiexec.openmpi"};
    const char *slash = strrchr(mpirun, '/');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(slash ? slash + 1 : mpirun, names[i]) == 0)
            return true;
    return false;
}

static pid_t ask(const char *mpirun, int out)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(nowhere, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    alarm(ANSWER_SECONDS);
    execlp(mpirun, mpirun, "--version", (char *)NULL);
    _exit(STATUS_NOT_FOUND);
}

/* The first words of what it writes; the rest is read, so that nothing keeps it from its end. */
static void read_words(int in, char words[WORDS_BYTES])
{
    char rest[WORDS_BYTES];
    size_t used = 0;
    for (ssize_t got; (got = read(in, rest, sizeof rest)) > 0;) {
        size_t room = WORDS_BYTES - 1 - used, more = (size_t)got < room ? (size_t)got : room;
        memcpy(words + used, rest, more);
        used += more;
    }
    words[used] = 0;
}

long quern_launcher_open_mpi_version(const char *mpirun)
{
    char words[WORDS_BYTES] = "";
    int ends[2];
    if (!is_called_as_usual(mpirun) || pipe2(ends, O_CLOEXEC) != 0)
        return 0;
    pid_t pid = ask(mpirun, ends[1]);
    close(ends[1]);
    if (pid > 0) {
        read_words(ends[0], words);
        waitpid(pid, NULL, 0);
    }
    close(ends[0]);
    const char *name = strstr(words, "(Open MPI) ");
    return name ? strtol(name + strlen("(Open MPI) "), NULL, 10) : 0;
}
