/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern run: a job under mpirun, which is started again when it was killed, and goes on from its checkpoint.
 *
 * What a launcher says of a job's end cannot be relied on, so there is a mark of the job's own: the lock's file in its checkpoint is there
 * until the job closes that, well or not. If it is still there, rank 0 was killed, even if the launcher says that all is well.
 *
 * A job may also be killed when it is over, but its processes are not. So the checkpoint has a file `keep`, by which the job leaves
 * everything as it is; a restart then finds all runs done. We remove it all when the job has ended well, and know that it has: it
 * writes the status of its last run into that file. Open MPI 5's launcher ends the job when it loses a host, which has time to save what there is and to close
 * its checkpoint, and then says that all is well.
 *
 * A restart is worth it where the launcher was killed or is stuck, or says that a signal ended a rank or that a node was lost (128 and
 * above, but for 255, which is what exit(-1) gives). Errors that the job tells in words (1, 2, whatever it likes) would only come again, but for 74: data that
 * ranks had written or sent came back damaged, which another attempt may be spared. 75 is
 * a job that ended in time before its walltime: who gave that knows when to run it again. On several hosts the status may also be that of what
 * the launcher reaches them by (255 of ssh): there the mark decides.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/status.h"
#include "tools/quern/commands.h"
#include "tools/quern/cores.h"
#include "tools/quern/hosts.h"
#include "tools/quern/job_directory.h"
#include "tools/quern/keeper.h"
#include "tools/quern/launcher.h"
#include "tools/quern/litter.h"
#include "tools/quern/live.h"
#include "tools/quern/show_report.h"

#define RESTART_COUNT_MAX    1000
#define RANK_COUNT_MAX       (1 << 24)
#define SIGNALLED            128 /* and the signal: the status of shells and launchers */
#define STATUS_DAMAGED       74  /* quern_exit_status() of QUERN_ERROR_CORRUPT */
#define STATUS_NOT_LOADED    127 /* of the loader, in a launcher that was killed while it loads; and of a shell */
#define STATUS_HOST_LOST     205 /* of Open MPI's mpirun, too */
#define STATUS_SUSPENDED     75  /* the same of QUERN_ERROR_SUSPENDED */
#define STATUS_HUNG          76  /* docs/explanation/faults.md */
#define STATUS_ANY_FAILURE   255
#define REMOTE_PAUSE_SECONDS 2  /* ranks elsewhere outlive a launcher by up to one */
#define WORDS_MAX            24 /* of our own in a command */
#define KEEP_NAME            "keep"
#define WORD_BYTES           64 /* of a status's name */
#define CHECKPOINT_OPTION    "--quern-checkpoint"
#define JOB_OPTION           "--quern-job"
#define PROGRESS_OPTION      "--quern-progress"
#define CHECKPOINT_TEMPLATE  "quern-checkpoint.XXXXXX"
#define WORK_DIRECTORY_COUNT 2

typedef struct job {
    const char *mpirun, *hosts, *checkpoint_given, *directory_given;
    quern_live_lines lines;
    long rank_count, restart_count_max, attempt_count;
    char **words; /* of the program and its arguments, up to a NULL */
    bool is_local;
    bool lets_live; /* the launcher is told to let ranks live when others die */
    bool checkpoint_is_ours, checkpoint_is_in_words, has_no_directory;
    char checkpoint[PATH_MAX]; /* "": none */
    char work[WORK_DIRECTORY_COUNT][PATH_MAX];
    int work_fds[WORK_DIRECTORY_COUNT];
    quern_hosts asked; /* of `hosts`, where those that do not answer are left out; else none */
    quern_keeper keeper;
    quern_live live;
} job;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    va_list arguments;
    fputs("quern: run: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* ---- how many, and where ---- */

/* Where a batch system gave nodes, the launcher knows them. */
static bool has_allocation(void)
{
    static const char *const variables[] = {"SLURM_JOB_ID", "PBS_NODEFILE", "LSB_HOSTS", "PE_HOSTFILE"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            return true;
    return false;
}

static void choose_ranks(job *all)
{
    all->is_local = !all->hosts && !has_allocation();
    if (!all->is_local)
        return; /* without a number, the launcher fills the nodes */
    long cores = quern_cores_count().usable;
    if (all->rank_count == 0)
        all->rank_count = cores > 0 ? cores : 1;
    if (all->rank_count <= cores)
        return;
    setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0);
    setenv("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe", 0);
}

/* ---- what the launcher leaves when it is killed ---- */

/* What is made there is ours to remove; who cleans up sees by the lock that we live. */
static void make_work(job *all, int index, const char *parent, const char *const variables[])
{
    char *path = all->work[index];
    if (getenv(variables[0]) || getenv(variables[1]) ||
        snprintf(path, PATH_MAX, "%s/" LITTER_PREFIX "XXXXXX", parent) >= PATH_MAX || !mkdtemp(path)) {
        *path = 0;
        return;
    }
    all->work_fds[index] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (all->work_fds[index] >= 0)
        flock(all->work_fds[index], LOCK_EX | LOCK_NB);
    for (int i = 0; i < 2; i++)
        setenv(variables[i], path, 1);
}

/* Only here: what is on other machines, the launcher's daemons there remove. */
static void make_works(job *all)
{
    static const char *const session[] = {"OMPI_MCA_orte_tmpdir_base", "PRTE_MCA_prte_tmpdir_base"},
                             *const memory[] = {"OMPI_MCA_btl_vader_backing_directory",
                                                "OMPI_MCA_btl_sm_backing_directory"};
    const char *temporary = getenv("TMPDIR");
    if (!all->is_local)
        return;
    make_work(all, 0, temporary && *temporary ? temporary : "/tmp", session);
    make_work(all, 1, "/dev/shm", memory);
}

static void empty_works(const job *all)
{
    for (int i = 0; i < WORK_DIRECTORY_COUNT; i++)
        if (*all->work[i])
            quern_litter_empty(all->work[i]);
}

static void remove_works(job *all)
{
    for (int i = 0; i < WORK_DIRECTORY_COUNT; i++) {
        if (!*all->work[i])
            continue;
        if (!quern_litter_remove(all->work[i]))
            say("%s cannot be removed: %s", all->work[i], strerror(errno));
        if (all->work_fds[i] >= 0)
            close(all->work_fds[i]);
    }
}

/* ---- the checkpoint ---- */

static bool has_file(const job *all, const char *name)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/%s", all->checkpoint, name);
    return access(path, F_OK) == 0;
}

/* The value of an option of the job's own, if there is one among its arguments. */
static const char *find_option(const job *all, const char *name)
{
    for (char **word = all->words + 1; *word && strcmp(*word, "--") != 0; word++) {
        if (strncmp(*word, name, strlen(name)) != 0)
            continue;
        char after = (*word)[strlen(name)];
        if (after == '=')
            return *word + strlen(name) + 1;
        if (after == 0 && word[1])
            return word[1];
    }
    return NULL;
}

/* One that only the environment names is passed on as if it had been given: the job would not take another than that. */
static int make_checkpoint(job *all)
{
    const char *found = find_option(all, CHECKPOINT_OPTION), *set = getenv("QUERN_CHECKPOINT");
    if (!all->checkpoint_given && !found && set && *set && all->restart_count_max > 0)
        all->checkpoint_given = set;
    char directory[PATH_MAX];
    all->checkpoint_is_in_words = found != NULL;
    if (found && all->checkpoint_given)
        return quern_command_fail(0, "the job has a %s of its own", CHECKPOINT_OPTION);
    if (!found && !all->checkpoint_given && all->restart_count_max == 0)
        return 0;
    all->checkpoint_is_ours = !found && !all->checkpoint_given;
    snprintf(directory, sizeof directory, "%s",
             found                   ? found
             : all->checkpoint_given ? all->checkpoint_given
                                     : CHECKPOINT_TEMPLATE);
    if (all->checkpoint_is_ours ? !mkdtemp(directory) : mkdir(directory, 0700) != 0 && errno != EEXIST)
        return quern_command_fail(errno, "cannot make the checkpoint %s", directory);
    if (!realpath(directory, all->checkpoint))
        return quern_command_fail(errno, "cannot use the checkpoint %s", directory);
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/" KEEP_NAME, all->checkpoint);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return quern_command_fail(errno, "cannot make %s", path);
    close(fd);
    return 0;
}

static long count_lines(const job *all)
{
    char path[PATH_MAX + 16];
    long lines = 0;
    snprintf(path, sizeof path, "%s/journal", all->checkpoint);
    FILE *journal = fopen(path, "re");
    for (int byte; journal && (byte = getc(journal)) != EOF;)
        lines += byte == '\n';
    if (journal)
        fclose(journal);
    return lines;
}

/* Each attempt writes one line when it begins; more than that is something done. */
static bool holds_work(const job *all)
{
    return count_lines(all) > all->attempt_count;
}

/* What the job wrote there at its end; "": nothing. */
static void read_keep(const job *all, char *word, size_t bytes)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/" KEEP_NAME, all->checkpoint);
    FILE *keep = fopen(path, "re");
    size_t used = keep ? fread(word, 1, bytes - 1, keep) : 0;
    if (keep)
        fclose(keep);
    word[used] = 0;
    word[strcspn(word, "\n")] = 0;
}

/* Of the attempt before, that is nothing to go by. */
static void empty_keep(const job *all)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/" KEEP_NAME, all->checkpoint);
    if (*all->checkpoint && truncate(path, 0) != 0)
        say("%s cannot be emptied: %s", path, strerror(errno));
}

/* By whoever ended the processes: nobody asked us to. */
static bool was_told_to_end(const job *all)
{
    char word[WORD_BYTES];
    read_keep(all, word, sizeof word);
    return strcmp(word, quern_status_name(QUERN_ERROR_SUSPENDED)) == 0;
}

/* Whether all is said to be well, but it is not. Where ranks may live when others die, all may have died before there was a lock. */
static bool is_lied_to(const job *all)
{
    char word[WORD_BYTES];
    if (!*all->checkpoint)
        return false;
    read_keep(all, word, sizeof word);
    return has_file(all, "lock") || was_told_to_end(all) || strcmp(word, quern_status_name(QUERN_ERROR_MPI)) == 0 ||
           (all->lets_live && *word == 0);
}

static bool is_saved(const char *name)
{
    return strncmp(name, "run-", 4) == 0;
}

/* What a job has there, and nothing else; the journal, which says what the rest is, first. */
static void empty_checkpoint(const job *all)
{
    DIR *open = opendir(all->checkpoint);
    if (!open)
        return;
    unlinkat(dirfd(open), "journal", 0);
    for (struct dirent *entry; (entry = readdir(open));)
        if (is_saved(entry->d_name))
            unlinkat(dirfd(open), entry->d_name, 0);
    closedir(open);
}

/* What can be gone on from stays. */
static void leave_checkpoint(const job *all, bool is_over)
{
    char path[PATH_MAX + 16];
    if (!*all->checkpoint)
        return;
    snprintf(path, sizeof path, "%s/" KEEP_NAME, all->checkpoint);
    unlink(path);
    if (is_over)
        empty_checkpoint(all);
    if (!all->checkpoint_is_ours)
        return;
    if (!is_over && (holds_work(all) || (!all->is_local && has_file(all, "lock"))))
        say("what the job had done is in %s: go on from there by --checkpoint, or remove it", all->checkpoint);
    else if (!quern_litter_remove(all->checkpoint))
        say("%s cannot be removed: %s", all->checkpoint, strerror(errno));
}

/* ---- the job directory ---- */

/* The job hears of it by the environment, in which one may have been named already. On other machines it is where the ranks begin, which
 * is the same place if they see it. */
static void set_directory(job *all, const char *pattern)
{
    char path[PATH_MAX];
    int reason = quern_job_directory_name(pattern, all->is_local, path);
    if (reason == 0 && !all->directory_given)
        reason = quern_job_directory_probe(path);
    if (reason != 0) {
        say("there is no job directory, since none can be made here: %s; see --job", strerror(reason));
        return;
    }
    setenv("QUERN_JOB", path, 1);
}

/* Else ranks elsewhere would not know it. */
static void send_directory(void)
{
    static const char list[] = "OMPI_MCA_mca_base_env_list";
    const char *before = getenv(list);
    char text[1024];
    if (snprintf(text, sizeof text, "%s%sQUERN_JOB", before ? before : "", before && *before ? ";" : "") <
        (int)sizeof text)
        setenv(list, text, 1);
}

/* Of a job that has lines of its own, ours would be a second kind. */
static quern_live_lines choose_lines(const job *all)
{
    const char *set = getenv("QUERN_PROGRESS");
    bool has_own = find_option(all, PROGRESS_OPTION) || (set && *set);
    return all->lines == QUERN_LIVE_AUTO && has_own ? QUERN_LIVE_OFF : all->lines;
}

static int choose_directory(job *all)
{
    const char *found = find_option(all, JOB_OPTION), *set = getenv("QUERN_JOB");
    if (found && (all->directory_given || all->has_no_directory))
        return quern_command_fail(0, "the job has a %s of its own", JOB_OPTION);
    bool is_set = set && *set && !all->directory_given && !all->has_no_directory;
    if (all->has_no_directory)
        unsetenv("QUERN_JOB");
    else if (!found && !is_set)
        set_directory(all, all->directory_given ? all->directory_given : JOB_DIRECTORY);
    const char *now = found ? found : getenv("QUERN_JOB");
    if (now && !found && !all->is_local)
        send_directory();
    quern_live_init(&all->live, now ? now : "", choose_lines(all), !found && !is_set);
    all->keeper.look = quern_live_look;
    all->keeper.user = &all->live;
    return 0;
}

/* ---- one command ---- */

static void add_job(const job *all, char **command, size_t count, char *checkpoint_word)
{
    char **word = all->words;
    do
        command[count++] = *word++;
    while (*word && strcmp(*word, "--") != 0); /* behind that the job takes everything as it is */
    if (*all->checkpoint) {
        if (!all->checkpoint_is_in_words)
            command[count++] = checkpoint_word;
        command[count++] = (char *)"--quern-resume=on";
    }
    while (*word)
        command[count++] = *word++;
    command[count] = NULL;
}

/* Who answers now: the list for the launcher, freed by the caller; NULL without memory. */
static char *choose_hosts(job *all)
{
    if (all->asked.count == 0)
        return strdup(all->hosts);
    quern_hosts_ask(&all->asked, &all->keeper.before, &all->keeper.awaited);
    for (size_t i = 0; i < all->asked.count; i++)
        if (!all->asked.each[i].answers)
            say("%s does not answer: it is left out", all->asked.each[i].name);
    return quern_hosts_list(&all->asked);
}

static int run_once(job *all)
{
    char ranks[32], *hosts = NULL, checkpoint_word[PATH_MAX + sizeof CHECKPOINT_OPTION + 1];
    size_t count = 0, words = 0;
    while (all->words[words])
        words++;
    char **command = calloc(words + WORDS_MAX, sizeof *command);
    if (!command || (all->hosts && !(hosts = choose_hosts(all)))) {
        free(command);
        return quern_command_fail(ENOMEM, "cannot run a job");
    }
    snprintf(ranks, sizeof ranks, "%ld", quern_hosts_share(&all->asked, all->rank_count));
    snprintf(checkpoint_word, sizeof checkpoint_word, CHECKPOINT_OPTION "=%s", all->checkpoint);
    command[count++] = (char *)all->mpirun;
    if (all->rank_count > 0) {
        command[count++] = (char *)"-n";
        command[count++] = ranks;
    }
    if (all->lets_live) {
        command[count++] = (char *)"--with-ft";
        command[count++] = (char *)"ulfm";
    }
    if (all->hosts) {
        command[count++] = (char *)"--host";
        command[count++] = hosts;
    }
    add_job(all, command, count, checkpoint_word);
    all->attempt_count++;
    empty_keep(all);
    quern_live_begin(&all->live);
    int failed = quern_keeper_run(&all->keeper, command);
    free(command);
    free(hosts);
    if (quern_live_end(&all->live)) /* whoever was killed could not say so */
        quern_report_killed(all->live.job.directory);
    return failed;
}

static int status_of(const job *all)
{
    int outcome = all->keeper.outcome;
    if (all->keeper.was_lost)
        return STATUS_HOST_LOST; /* which it would have found out itself, in a quarter of an hour */
    return WIFEXITED(outcome) ? WEXITSTATUS(outcome) : SIGNALLED + WTERMSIG(outcome);
}

static size_t count_answering(const quern_hosts *hosts)
{
    size_t count = 0;
    for (size_t i = 0; i < hosts->count; i++)
        count += hosts->each[i].answers;
    return count;
}

/* Whether fewer hosts answer than when the launcher began. One that is lost while it reaches for them is no rank or node to it: it ends as if it
 * had been given a wrong name. */
static bool lost_a_host(job *all)
{
    size_t before = count_answering(&all->asked);
    if (before == 0 || all->restart_count_max == 0)
        return false;
    quern_hosts_ask(&all->asked, &all->keeper.before, &all->keeper.awaited);
    return count_answering(&all->asked) < before;
}

/* Why it is worth to start the job again, as words; NULL: it is not. */
static const char *why_again(job *all, char *text, size_t bytes)
{
    int status = status_of(all);
    bool was_killed = WIFSIGNALED(all->keeper.outcome);
    if (!*all->checkpoint || all->keeper.signal_passed != 0 || all->keeper.was_no_command)
        return NULL;
    if (all->keeper.was_lost)
        snprintf(text, bytes, "a host does not take what %s tells it", all->mpirun);
    else if (all->keeper.was_stuck)
        snprintf(text, bytes, "%s did not end though its processes had", all->mpirun);
    else if (was_killed)
        snprintf(text, bytes, "%s was killed by signal %d (%s)", all->mpirun, status - SIGNALLED,
                 strsignal(status - SIGNALLED));
    else if (status > SIGNALLED && status < SIGNALLED + 65)
        snprintf(text, bytes, "a rank was killed by signal %d (%s)", status - SIGNALLED, strsignal(status - SIGNALLED));
    else if (status > SIGNALLED && status < STATUS_ANY_FAILURE)
        snprintf(text, bytes, "%s lost a rank or a node (status %d)", all->mpirun, status);
    else if (status == STATUS_HUNG)
        snprintf(text, bytes, "a rank hung (status %d)", status);
    else if (status == STATUS_DAMAGED)
        snprintf(text, bytes, "what ranks had written or sent came back damaged (status %d)", status);
    else if (status == 0 && is_lied_to(all))
        snprintf(text, bytes, "%s says that all is well, but the job did not end", all->mpirun);
    else if (status != 0 && (!all->is_local || status == STATUS_NOT_LOADED) && has_file(all, "lock"))
        snprintf(text, bytes, "%s ended with status %d, but the job did not end", all->mpirun, status);
    else if (status != 0 && lost_a_host(all))
        snprintf(text, bytes, "%s ended with status %d, and a host does not answer any more", all->mpirun, status);
    else
        return NULL;
    return text;
}

/* The launcher's status, unless it is known to lie: on several hosts, since it lost one. */
static int last_status(const job *all)
{
    if (status_of(all) != 0 || !is_lied_to(all))
        return status_of(all);
    return !all->is_local ? STATUS_HOST_LOST : was_told_to_end(all) ? STATUS_SUSPENDED : 1;
}

static int supervise(job *all)
{
    char text[256];
    for (long restart = 0;; restart++) {
        if (run_once(all) != 0)
            return 1;
        const char *reason = why_again(all, text, sizeof text);
        if (!reason && all->keeper.was_lost)
            say("a host does not take what %s tells it: the job was ended", all->mpirun);
        if (!reason)
            return last_status(all);
        if (restart == all->restart_count_max) {
            say("%s; it was started %ld times", reason, restart + 1);
            return last_status(all);
        }
        say("%s: starting again, %ld of %ld times", reason, restart + 1, all->restart_count_max);
        empty_works(all);
        if (!all->is_local)
            quern_keeper_pause(&all->keeper, REMOTE_PAUSE_SECONDS);
        if (all->keeper.signal_passed != 0)
            return SIGNALLED + all->keeper.signal_passed;
    }
}

/* ---- arguments ---- */

enum { RANKS = 'n', HOSTS = QUERN_COMMAND_KEY, RESTARTS, CHECKPOINT, DIRECTORY_NAME, NO_DIRECTORY, PROGRESS, MPIRUN };

static const struct argp_option options[] = {
    {NULL, RANKS, "RANKS", 0,
     "How many; without it, on one machine a rank on each core that may be used, and elsewhere as many as mpirun "
     "finds"},
    {"hosts", HOSTS, "HOSTS", 0,
     "Goes to mpirun as --host; without it, this machine, or the nodes of the batch system"},
    {"restarts", RESTARTS, "TIMES", 0, "Starts a job that was killed again, so many times at most (0)"},
    {"checkpoint", CHECKPOINT, "DIR", 0,
     "Where the job saves, and goes on from; without it, with --restarts, a directory quern-checkpoint.XXXXXX where "
     "you are"},
    {"job", DIRECTORY_NAME, "DIR", 0,
     "The job directory, with status, report and log; %j in it is SLURM's number of the job, or the time, and behind "
     "that the number of the process (" JOB_DIRECTORY " where you are; QUERN_JOB and --quern-job are as good)"},
    {"no-job", NO_DIRECTORY, NULL, 0, "Has no job directory"},
    {"progress", PROGRESS, "auto|on|off", 0,
     "Lines about how far the job is: auto, on a terminal one for each stage, else one every 30 seconds; on, also one "
     "for each stage that is over; a job that has --quern-progress draws its own (auto)"},
    {"mpirun", MPIRUN, "PROGRAM", 0, "The launcher (mpirun)"},
    {0},
};

static bool take_progress(job *all, const char *word)
{
    static const char *const words[] = {[QUERN_LIVE_AUTO] = "auto", [QUERN_LIVE_ON] = "on", [QUERN_LIVE_OFF] = "off"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) {
            all->lines = (quern_live_lines)i;
            return true;
        }
    return false;
}

static bool take(void *given, int key, const char *word)
{
    job *all = given;
    if (key == PROGRESS)
        return take_progress(all, word);
    if (key == NO_DIRECTORY) {
        all->has_no_directory = true;
        return true;
    }
    if (key == RANKS)
        all->rank_count = quern_command_read_number(word, 1, RANK_COUNT_MAX);
    else if (key == RESTARTS)
        all->restart_count_max = quern_command_read_number(word, 0, RESTART_COUNT_MAX);
    else
        *(key == HOSTS            ? &all->hosts
          : key == CHECKPOINT     ? &all->checkpoint_given
          : key == DIRECTORY_NAME ? &all->directory_given
                                  : &all->mpirun) = word;
    return all->rank_count >= 0 && all->restart_count_max >= 0;
}

static void read_arguments(int argc, char **argv, job *all)
{
    *all = (job){.mpirun = "mpirun", .work_fds = {-1, -1}};
    all->words = argv + quern_command_parse(&quern_command_run, argc, argv, take, all);
}

#ifdef QN_HAS_ULFM
#define OPEN_MPI_THAT_TELLS 5 /* of deaths */

static bool is_not_to_recover(const job *all)
{
    static const char word[] = "--quern-recover=off";
    const char *set = getenv("QUERN_RECOVER");
    bool is_off = set && strcmp(set, "off") == 0;
    for (char **given = all->words + 1; *given && strcmp(*given, "--") != 0; given++)
        is_off |= strcmp(*given, word) == 0;
    return is_off;
}

/* Such a launcher says that all is well when all ranks were killed: so only with a checkpoint, by which we know better. */
static bool lets_live(const job *all)
{
    return *all->checkpoint && all->rank_count != 1 && !is_not_to_recover(all) &&
           quern_launcher_open_mpi_version(all->mpirun) >= OPEN_MPI_THAT_TELLS;
}
#else
static bool lets_live(const job *all)
{
    (void)all;
    return false;
}
#endif

/* Without one of them a part of the input would be left out, and nobody would see it in the output. */
static bool needs_all_hosts(const job *all)
{
    return find_option(all, "--quern-node-local") || getenv("QUERN_NODE_LOCAL");
}

/* A cut cable is noticed in seconds: else the launcher waits for ever, or (Open MPI 5) for eight minutes. What was on its way when it was cut: peers.h. */
static void watch_network(void)
{
    static const char *const launchers[] = {"OMPI_MCA", "PRTE_MCA"}; /* of Open MPI 4, and of 5 */
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        static const char *const settings[][2] = {{"time", "3"}, {"intvl", "1"}, {"probes", "3"}};
        for (size_t j = 0; j < sizeof settings / sizeof *settings; j++) {
            char name[64];
            snprintf(name, sizeof name, "%s_oob_tcp_keepalive_%s", launchers[i], settings[j][0]);
            setenv(name, settings[j][1], 0);
        }
    }
}

static const quern_command_exit exits[] = {
    {"74", "what ranks had written to scratch or sent came back damaged"},
    {"75", "what there was is saved: the same job goes on from it"},
    {"76", "a rank hung"},
    {"127", "there is no such launcher"},
    {"128+N", "signal N ended a rank or the launcher"},
    {"205", "Open MPI lost a node"},
    {"else", "the job's own"},
    {0},
};

static int run(int argc, char **argv)
{
    static job all;
    read_arguments(argc, argv, &all);
    choose_ranks(&all);
    if (!all.is_local)
        watch_network();
    if (all.hosts && all.restart_count_max > 0 && !needs_all_hosts(&all) &&
        quern_hosts_init(&all.asked, all.hosts) != 0)
        return 1;
    setlocale(LC_CTYPE, "");
    if (quern_keeper_init(&all.keeper, all.is_local) != 0 || choose_directory(&all) != 0 || make_checkpoint(&all) != 0)
        return 1;
    all.keeper.has_peers = !all.is_local;
    all.lets_live = lets_live(&all);
    make_works(&all);
    int status = supervise(&all);
    remove_works(&all);
    leave_checkpoint(&all, status == 0);
    quern_keeper_fini(&all.keeper);
    quern_hosts_fini(&all.asked);
    return status;
}

const quern_command quern_command_run = {
    .name = "run",
    .operands = QUERN_COMMAND_JOB,
    .what = "runs a job under mpirun, and starts it again when it was killed",
    .about =
        "A job of Quern's gets a job directory, for quern top, quern status and quern report; other programs leave "
        "none. While it runs lines tell how far it is.\n\n"
        "A job that was killed, or whose rank, node or launcher was, is started again, and goes on from its "
        "checkpoint; so are ranks that "
        "hang, and jobs whose spill files or messages were damaged. An error that the job tells in words only "
        "comes again, and ends it. --quern-checkpoint and "
        "--quern-resume are added to "
        "its arguments, unless it has a checkpoint of its own. Without --restarts and --checkpoint any program "
        "can be run.\n\n"
        "Nothing that the job started on this machine outlives it. Signals go to the job; 10 seconds after one "
        "that asks for an end, what is "
        "left is killed.",
    .options = options,
    .exits = exits,
    .examples = "  quern run -- ./wordcount -o counts input/\n"
                "  quern run -n 64 --restarts 5 -- ./job -o out input\n",
    .see = "quern-clean(1), quern-submit(1), mpirun(1)",
    .run = run,
};
