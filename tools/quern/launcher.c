/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/launcher.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/quern/ask.h"

#define ANSWER_SECONDS  5
#define ENDING_SECONDS  1
#define DIRECTORIES_MAX 256 /* of PATH */

static bool is_called_as_usual(const char *mpirun)
{
    static const char *const names[] = {"mpirun", "mpiexec", "mpirun.openmpi", "mpiexec.openmpi", "srun"};
    const char *slash = strrchr(mpirun, '/');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(slash ? slash + 1 : mpirun, names[i]) == 0)
            return true;
    return false;
}

/* The first that fits decides: MPICH is named by what came of it, too. */
quern_mpi_kind quern_mpi_kind_read(const char *words)
{
    static const struct {
        const char *mark;
        quern_mpi_kind kind;
    } marks[] = {
        {"Open MPI", {.family = QUERN_MPI_OPEN, .name = "Open MPI"}},
        {"Intel(R) MPI", {.family = QUERN_MPI_MPICH, .name = "Intel MPI"}},
        {"Intel MPI", {.family = QUERN_MPI_MPICH, .name = "Intel MPI"}},
        {"MVAPICH", {.family = QUERN_MPI_MPICH, .name = "MVAPICH"}},
        {"CRAY MPICH", {.family = QUERN_MPI_MPICH, .name = "Cray MPICH"}},
        {"HYDRA", {.family = QUERN_MPI_MPICH, .name = "MPICH"}},
        {"MPICH", {.family = QUERN_MPI_MPICH, .name = "MPICH"}},
        {"slurm", {.family = QUERN_MPI_SLURM, .name = "SLURM"}},
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = strstr(words, marks[i].mark);
        quern_mpi_kind kind = marks[i].kind;
        if (!at)
            continue;
        at += strlen(marks[i].mark);
        if (kind.family == QUERN_MPI_MPICH && *at == '2')
            at++; /* MVAPICH2 */
        at += strcspn(at, "0123456789");
        sscanf(at, "%d.%d.%d", &kind.major, &kind.minor, &kind.release);
        return kind;
    }
    return (quern_mpi_kind){.name = "an MPI that does not say its name"};
}

quern_mpi_kind quern_launcher_ask(const char *mpirun)
{
    char option[] = "--version", *words[] = {(char *)(uintptr_t)mpirun, option, NULL};
    quern_answer answer;
    quern_mpi_kind kind = quern_mpi_kind_read("");
    if (!is_called_as_usual(mpirun) || quern_ask(words, ANSWER_SECONDS, ENDING_SECONDS, &answer) != 0)
        return kind;
    kind = quern_mpi_kind_read(answer.words);
    quern_answer_fini(&answer);
    return kind;
}

long quern_launcher_open_mpi_version(const char *mpirun)
{
    quern_mpi_kind kind = quern_launcher_ask(mpirun);
    return kind.family == QUERN_MPI_OPEN ? kind.major : 0;
}

static bool is_program(const char *path, struct stat *about)
{
    return stat(path, about) == 0 && S_ISREG(about->st_mode) && access(path, X_OK) == 0;
}

bool quern_launcher_which(const char *name, int skipped, char path_out[PATH_MAX])
{
    const char *directories = getenv("PATH");
    struct stat about, last = {0};
    if (strchr(name, '/')) {
        snprintf(path_out, PATH_MAX, "%s", name);
        return skipped == 0 && is_program(name, &about);
    }
    for (int i = 0; directories && *directories && i < DIRECTORIES_MAX; i++) {
        int length = (int)strcspn(directories, ":");
        snprintf(path_out, PATH_MAX, "%.*s/%s", length, directories, name);
        directories += length + (directories[length] == ':');
        if (!is_program(path_out, &about) || (about.st_ino == last.st_ino && about.st_dev == last.st_dev))
            continue;
        if (skipped-- == 0)
            return true;
        last = about;
    }
    return false;
}
