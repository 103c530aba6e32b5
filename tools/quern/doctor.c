/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern doctor: what keeps jobs from running here, or slows them, and what to do about it.
 *
 * The probe is started by `quern run`, so that ranks, hosts and binding are those of a job, and nothing is left of it; or by srun. It never takes longer
 * than it may: who was silent then is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/quern/commands.h"
#include "tools/quern/doctor.h"
#include "tools/quern/keeper.h"
#include "tools/quern/litter.h"

#define RANK_COUNT_MAX  (1 << 24)
#define TIMEOUT_DEFAULT 60
#define TIMEOUT_MAX     86400
#define ENDING_SECONDS  (KEEPER_ENDING_SECONDS + 5) /* of `quern run`, which ends the launcher */
#define WORDS_MAX       24
#define SIGNALLED       128
#define STATUS_FOUND    3
#define NUMBER_BYTES    32
#define NO_DIRECTORY    "-" /* that no rank sees */

enum { RANKS = 'n', HOSTS = QUERN_COMMAND_KEY, SCRATCH, TIMEOUT, JSON, LAUNCHER, MPIRUN };

static const struct argp_option options[] = {
    {NULL, RANKS, "RANKS", 0, "How many the probe has; without it, as many as quern run would start"},
    {"hosts", HOSTS, "HOSTS", 0,
     "Goes to mpirun as --host; without it, this machine, or the nodes of the batch system"},
    {"scratch", SCRATCH, "DIR", 0, "Where jobs are to spill; without it, where they would"},
    {"timeout", TIMEOUT, "SECONDS", 0, "How long the probe may take (60)"},
    {"json", JSON, NULL, 0, "As JSON, with the figures of every rank"},
    {"launcher", LAUNCHER, "mpirun|srun", 0,
     "What starts the probe (mpirun; srun in a job of SLURM where there is no mpirun)"},
    {"mpirun", MPIRUN, "PROGRAM", 0, "The launcher (mpirun)"},
    {0},
};

static bool take(void *given, int key, const char *word)
{
    quern_doctor *all = given;
    if (key == RANKS)
        all->rank_count = quern_command_read_number(word, 1, RANK_COUNT_MAX);
    else if (key == TIMEOUT)
        all->timeout_s = quern_command_read_number(word, 1, TIMEOUT_MAX);
    else if (key == JSON)
        all->is_json = true;
    else
        *(key == HOSTS      ? &all->hosts
          : key == SCRATCH  ? &all->scratch
          : key == LAUNCHER ? &all->launcher
                            : &all->mpirun) = word;
    return all->rank_count >= 0 && all->timeout_s >= 0 &&
           (key != LAUNCHER || strcmp(word, "mpirun") == 0 || strcmp(word, "srun") == 0);
}

/* ---- the probe ---- */

static void put(char **words, size_t *count, const char *option, const char *value)
{
    if (!value)
        return;
    if (option)
        words[(*count)++] = (char *)(uintptr_t)option;
    words[(*count)++] = (char *)(uintptr_t)value;
}

/* As `quern run` would be given a job, or srun. */
static void put_words(const quern_doctor *all, const char *directory, char number[NUMBER_BYTES], char *scratch_word,
                      char **words)
{
    size_t count = 0;
    bool is_run = !all->uses_srun;
    snprintf(number, NUMBER_BYTES, "%ld", all->rank_count);
    if (is_run) {
        put(words, &count, "/proc/self/exe", "run");
        put(words, &count, "--hosts", all->hosts);
        put(words, &count, "--mpirun", all->mpirun);
    } else
        put(words, &count, "srun", "--mpi=pmix");
    put(words, &count, NULL, is_run ? NULL : "-K");
    put(words, &count, "-n", all->rank_count > 0 ? number : NULL);
    put(words, &count, NULL, is_run ? "--" : NULL);
    put(words, &count, all->probe, directory);
    put(words, &count, NULL, all->scratch ? scratch_word : NULL);
    words[count] = NULL;
}

static int start_probe(quern_doctor *all, const char *directory, quern_heard *heard)
{
    char *words[WORDS_MAX], number[NUMBER_BYTES], scratch_word[PATH_MAX + sizeof "--quern-scratch="];
    quern_answer answer;
    snprintf(scratch_word, sizeof scratch_word, "--quern-scratch=%s", all->scratch ? all->scratch : "");
    put_words(all, directory, number, scratch_word, words);
    if (quern_ask(words, (double)all->timeout_s, ENDING_SECONDS, &answer) != 0)
        return 1;
    quern_heard_read(heard, answer.words, answer.words_bytes);
    if (quern_doctor_judge_ranks(all, heard, &answer))
        quern_doctor_judge_figures(all, heard);
    quern_answer_fini(&answer);
    return 0;
}

/* A directory that shows by its name, and by who holds it, whose it is: quern clean knows it, too. */
static int run_probe(quern_doctor *all, quern_heard *heard)
{
    char directory[PATH_MAX];
    int fd = -1;
    bool is_made =
        snprintf(directory, sizeof directory, "%s/" LITTER_PREFIX "XXXXXX", quern_doctor_scratch(all)) < PATH_MAX &&
        mkdtemp(directory) != NULL;
    if (is_made && (fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
        flock(fd, LOCK_EX | LOCK_NB);
    int failed = start_probe(all, is_made ? directory : NO_DIRECTORY, heard);
    if (is_made && !quern_litter_remove(directory))
        failed = quern_command_fail(errno, "doctor: cannot remove %s", directory);
    if (fd >= 0)
        close(fd);
    return failed;
}

/* ---- all of it ---- */

static int say(const quern_doctor *all, const quern_heard *heard)
{
    bool is_said = !all->findings.is_short && !heard->is_short;
    if (is_said && all->is_json)
        is_said = quern_doctor_print_json(all, heard, stdout);
    else if (is_said)
        quern_doctor_print(&all->findings, stdout);
    if (!is_said || fflush(stdout) != 0)
        return quern_command_fail(is_said ? errno : ENOMEM, "doctor: cannot say what it found");
    return quern_doctor_count(&all->findings, QUERN_LEVEL_ERROR) > 0 ? STATUS_FOUND : 0;
}

static int check_given(const quern_doctor *all)
{
    bool is_srun = all->launcher && strcmp(all->launcher, "srun") == 0;
    if (!is_srun || (!all->hosts && !all->mpirun))
        return 0;
    quern_command_fail(0, "doctor: --hosts and --mpirun are nothing with --launcher srun");
    return QUERN_COMMAND_MISUSED;
}

static int run(int argc, char **argv)
{
    static quern_doctor all;
    quern_heard heard = {0};
    quern_command_parse(&quern_command_doctor, argc, argv, take, &all);
    int status = check_given(&all);
    if (status != 0)
        return status;
    all.timeout_s = all.timeout_s > 0 ? all.timeout_s : TIMEOUT_DEFAULT;
    quern_ask_heed_signals();
    quern_doctor_look_here(&all);
    if (all.can_start && quern_ask_signal() == 0)
        status = run_probe(&all, &heard);
    if (quern_ask_signal() != 0)
        status = SIGNALLED + quern_ask_signal();
    else if (status == 0)
        status = say(&all, &heard);
    quern_heard_fini(&heard);
    quern_findings_fini(&all.findings);
    json_decref(all.about);
    return status;
}

static const quern_command_exit exits[] = {
    {"3", "an error was found: jobs do not run as they are to"},
    {"128+N", "signal N came; nothing is said then"},
    {0},
};

const quern_command quern_command_doctor = {
    .name = "doctor",
    .operands = "",
    .what = "finds what keeps jobs from running here, or slows them, and says what to do",
    .about = "It looks at this machine: the library of MPI that jobs are linked with, the launcher and whether it "
             "fits, cores, memory, limits, the scratch "
             "directory, what killed jobs left. Then it starts a probe as quern run would start a job, and looks at "
             "its ranks: whether they are one world, "
             "threads, losses, which cores they have, their memory, clocks of nodes, the time of messages, a file of "
             "HDF5 that all write, and each "
             "node's memory, limits and scratch.\n\n"
             "A line for each check begins with ok, note, warning or error, and where something is to be done, a line "
             "with it follows. With warnings jobs "
             "run, but slower or with less than they could have; notes are good to know.",
    .options = options,
    .exits = exits,
    .examples = "  quern doctor\n"
                "  quern doctor -n 8 --hosts n1:4,n2:4 --scratch /local/scratch\n"
                "  sbatch --nodes 4 --wrap 'quern doctor'\n",
    .see = "quern-run(1), quern-clean(1), mpirun(1), srun(1)",
    .run = run,
};
