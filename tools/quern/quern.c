/* SPDX-License-Identifier: BSD-3-Clause */
/* The command `quern`: what goes with the library and is no job. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quern/commands.h"

typedef struct command {
    const char *name, *usage, *what;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
    {"cancel", "[--wait SECONDS | --now] JOB...",
     "ends jobs, by number or directory, and lets them save what they have", quern_command_cancel},
    {"clean", "[--dry-run] [DIR...]", "removes what jobs left in DIR that were killed, and nothing of one that lives",
     quern_command_clean},
    {"pack", "[--store] -o ARCHIVE.zip PATH...", "many small files as one archive, which is read at full speed",
     quern_command_pack},
    {"report", "[-o DIR] JOB [JOB]",
     "what bounded a job, with report.html, trace.json and metrics.prom made again; of two jobs what differs",
     quern_command_report},
    {"run", "[-n RANKS] [--hosts HOSTS] [--restarts TIMES] [--checkpoint DIR] [--mpirun PATH] -- JOB ARGUMENT...",
     "a job under mpirun; with --restarts it is started again when it was killed, and goes on", quern_command_run},
    {"sim", "[--ranks R] [--nodes N] [--tasks T] [--seed S] [--json] [--plot FILE] [OPTION...]",
     "how long a stage would take on a cluster (--help: all options); --faults: does every answer survive",
     quern_command_sim},
    {"status", "[--json] JOB...", "how far jobs are, by number or directory", quern_command_status},
    {"submit",
     "[--nodes N] [--tasks-per-node N] [--cpus-per-task N] [--time T] [--mem M] [--partition P] [--account A] [--name "
     "NAME] [--array TASKS] [--after JOB] [--ahead SECONDS] [--job DIR] [--launcher mpirun|srun] [--requeue] "
     "[--no-checkpoint] [-o SCRIPT] [--dry-run] -- JOB ARGUMENT...",
     "a job to SLURM, as a batch script; prints its number", quern_command_submit},
    {"verify", "DIR...", "are outputs whole, as their manifests say", quern_command_verify},
};

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

static void print_usage(FILE *to)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "%s quern %s %s\n           %s\n", i == 0 ? "usage:" : "      ", commands[i].name,
                commands[i].usage, commands[i].what);
}

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        int status = commands[i].run(argc - 1, argv + 1);
        if (status == QUERN_COMMAND_MISUSED)
            print_usage(stderr);
        return status;
    }
    print_usage(stderr);
    return QUERN_COMMAND_MISUSED;
}
