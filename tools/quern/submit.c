/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern submit: a job as a batch script of SLURM, for people to read, and to sbatch.
 *
 * What the script is to see to: that the job is told some time before its walltime ends; that a rank which ends badly ends all of it; that
 * a job which saved itself in time, or whose node died, goes on; and that its log is not lost when it does. What the job says of itself is
 * in its job directory, whose name is the comment of the job, so that status and cancel find it by the number.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quern/batch_job.h"
#include "tools/quern/commands.h"
#include "tools/quern/job_directory.h"

#define AHEAD_SECONDS        "60" /* SLURM looks at limits every 30 s */
#define CRASH_RESTART_COUNT  3
#define PLAIN_CHARACTERS     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=.,/:@%"
#define ARRAY_TASK_REFERENCE "%a"

/* Options that are SLURM's own, in the order of the script. */
typedef enum directive {
    NAME,
    PARTITION,
    ACCOUNT,
    NODES,
    TASKS,
    CPUS,
    MEMORY,
    TIME,
    ARRAY,
    DIRECTIVE_COUNT,
} directive;

static const char *const directive_names[DIRECTIVE_COUNT] = {
    [NAME] = "job-name",         [PARTITION] = "partition", [ACCOUNT] = "account", [NODES] = "nodes",
    [TASKS] = "ntasks-per-node", [CPUS] = "cpus-per-task",  [MEMORY] = "mem",      [TIME] = "time",
    [ARRAY] = "array",
};

typedef struct submission {
    const char *values[DIRECTIVE_COUNT]; /* NULL: as the site has it */
    const char *ahead, *after, *directory, *script_path;
    bool is_dry, requeues, uses_srun, saves;
    char **words; /* of the program and its arguments, up to a NULL */
    int argc;
    char **argv; /* all of our own */
} submission;

/* ---- the script ---- */

/* In an array %a is the task's number. */
static void put_quoted(FILE *script, const char *word, bool is_array)
{
    const char *mark = is_array ? strstr(word, ARRAY_TASK_REFERENCE) : NULL;
    if (*word && word[strspn(word, PLAIN_CHARACTERS)] == 0 && !mark) {
        fputs(word, script);
        return;
    }
    fputc('\'', script);
    for (const char *at = word; *at; at++) {
        if (is_array && strncmp(at, ARRAY_TASK_REFERENCE, 2) == 0) {
            fputs("'\"$SLURM_ARRAY_TASK_ID\"'", script);
            at++;
        } else if (*at == '\'')
            fputs("'\\''", script);
        else
            fputc(*at, script);
    }
    fputc('\'', script);
}

static void put_words(FILE *script, char *const *words, bool is_array)
{
    for (char *const *word = words; *word; word++) {
        fputs(word == words ? "" : " ", script);
        put_quoted(script, *word, is_array);
    }
}

/* A comment must not end where the words have an end of a line. */
static void put_origin(FILE *script, const submission *all)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to) {
        put_words(to, all->argv + 1, false);
        fclose(to);
    }
    for (char *at = text; at && *at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    fprintf(script, "# Made by: quern submit %s\n", text ? text : "");
    free(text);
}

/* SLURM's names for the log's file, as the shell says them. */
static void put_directory(FILE *script, const submission *all)
{
    const char *number = all->values[ARRAY] ? "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" : "$SLURM_JOB_ID";
    for (const char *at = all->directory; *at; at++)
        if (strncmp(at, JOB_DIRECTORY_NUMBER, strlen(JOB_DIRECTORY_NUMBER)) == 0) {
            fputs(number, script);
            at++;
        } else
            fputc(*at, script);
}

static void put_directives(FILE *script, const submission *all)
{
    for (int i = 0; i < DIRECTIVE_COUNT; i++)
        if (all->values[i])
            fprintf(script, "#SBATCH --%s=%s\n", directive_names[i], all->values[i]);
    if (all->after)
        fprintf(script, "#SBATCH --dependency=afterok:%s\n#SBATCH --kill-on-invalid-dep=yes\n", all->after);
    fprintf(script,
            "#SBATCH --comment=\"" BATCH_COMMENT "%s\"\n"
            "#SBATCH --output=quern-%s.log\n"
            "#SBATCH --open-mode=append\n"
            "#SBATCH --signal=B:USR1@%s\n"
            "#SBATCH --%srequeue\n",
            all->directory, all->values[ARRAY] ? "%A_%a" : "%j", all->ahead, all->requeues ? "" : "no-");
}

static void put_settings(FILE *script, const submission *all)
{
    fputs("\n# Report, log and status of the job; for the commands quern status and quern cancel.\nexport QUERN_JOB=",
          script);
    put_directory(script, all);
    fputs("\nmkdir -p \"$QUERN_JOB\"\n", script);
    if (all->saves)
        fputs("# What it goes on from when it was told to end, or when it or a node died.\n"
              "export QUERN_CHECKPOINT=$QUERN_JOB/checkpoint QUERN_RESUME=on\n",
              script);
    fputs("# A rank that ends badly ends all of them; ranks find each other in the way that does not hang.\n"
          "export SLURM_KILL_BAD_EXIT=1 SLURM_PMIX_FENCE=ring\n",
          script);
}

static void put_launch(FILE *script, const submission *all)
{
    fputs("\n# In the background, so that this shell hears of the end of the walltime, and tells the ranks.\n", script);
    fputs(all->uses_srun ? "srun --mpi=pmix --kill-on-bad-exit=1 --cpu-bind=cores " : "mpirun --bind-to core ", script);
    put_words(script, all->words, all->values[ARRAY] != NULL);
    fputs(" &\n"
          "launcher=$!\n"
          "trap 'kill -USR1 \"$launcher\"' USR1\n"
          "trap 'kill -TERM \"$launcher\"' TERM\n"
          "while wait \"$launcher\"; status=$?; kill -0 \"$launcher\" 2>/dev/null; do :; done\n"
          "\n# Whoever was killed made no page of how far the job was.\n"
          "if [ \"$status\" -ne 0 ] && command -v quern >/dev/null; then\n"
          "    quern report --ended \"$QUERN_JOB\" || :\n"
          "fi\n",
          script);
}

static void put_end(FILE *script, const submission *all)
{
    fputs("\n# 0: done; 74: spilled or sent data was damaged; 75: what there was is saved, and the same job goes on "
          "from it; 76: a rank hung; above 128: a "
          "signal, or a node died.\n",
          script);
    if (all->requeues)
        fprintf(script,
                "again=no\n"
                "case $status in\n"
                "75) again=yes ;;\n"
                "74 | 76 | 1[2-9][0-9] | 2[0-9][0-9]) [ \"${SLURM_RESTART_COUNT:-0}\" -lt %d ] && again=yes ;;\n"
                "esac\n"
                "if [ \"$again\" = yes ] && [ ! -e \"$QUERN_JOB/cancel\" ]; then\n"
                "    echo \"quern: status $status, the job is queued again\"\n"
                "    scontrol requeue \"%s\"\n"
                "fi\n",
                CRASH_RESTART_COUNT,
                all->values[ARRAY] ? "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" : "$SLURM_JOB_ID");
    fputs("exit \"$status\"\n", script);
}

static char *write_script(const submission *all)
{
    char *text = NULL;
    size_t size = 0;
    FILE *script = open_memstream(&text, &size);
    if (!script)
        return NULL;
    fputs("#!/bin/bash\n", script);
    put_origin(script, all);
    put_directives(script, all);
    put_settings(script, all);
    put_launch(script, all);
    put_end(script, all);
    return fclose(script) == 0 ? text : NULL;
}

/* ---- what becomes of it ---- */

static int save_script(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool is_written = file && fputs(text, file) >= 0;
    if ((file && fclose(file) != 0) || !is_written)
        return quern_command_fail(errno, "cannot write %s", path);
    return 0;
}

static int send_script(const char *text)
{
    static const char *const command[] = {"sbatch", "--parsable", NULL};
    char *answer = NULL;
    int status = quern_batch_call(command, text, false, &answer);
    if (status == 0 && answer) {
        answer[strcspn(answer, ";\n")] = 0; /* "number;cluster" where there are several */
        printf("%s\n", answer);
        fprintf(stderr, "quern: submitted; see quern status %s, quern cancel %s\n", answer, answer);
    }
    free(answer);
    return status == 0 ? 0 : 1;
}

/* ---- arguments ---- */

/* Lines that SLURM reads have no quotes that it would understand everywhere. */
static bool is_plain(const char *value)
{
    return !value || (*value && value[strspn(value, PLAIN_CHARACTERS "[]")] == 0);
}

static bool are_plain(const submission *all)
{
    const char *others[] = {all->ahead, all->after, all->directory};
    const char *bad = NULL;
    for (int i = 0; i < DIRECTIVE_COUNT; i++)
        bad = is_plain(all->values[i]) ? bad : all->values[i];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        bad = is_plain(others[i]) ? bad : others[i];
    if (bad)
        quern_command_fail(0, "'%s' has characters that cannot be in a batch script's head", bad);
    return !bad;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum {
    SCRIPT = 'o',
    DIRECTIVES = QUERN_COMMAND_KEY, /* and the directive */
    AFTER = DIRECTIVES + DIRECTIVE_COUNT,
    AHEAD,
    DIRECTORY_NAME,
    LAUNCHER,
    REQUEUE,
    NO_CHECKPOINT,
    DRY_RUN,
};

static const struct argp_option options[] = {
    {"nodes", DIRECTIVES + NODES, "N", 0, "How many nodes"},
    {"tasks-per-node", DIRECTIVES + TASKS, "N", 0, "Ranks on each"},
    {"cpus-per-task", DIRECTIVES + CPUS, "N", 0, "Processors of a rank"},
    {"time", DIRECTIVES + TIME, "TIME", 0, "The walltime, as SLURM has it: 2:00:00"},
    {"mem", DIRECTIVES + MEMORY, "SIZE", 0, "Memory of a node: 60G"},
    {"partition", DIRECTIVES + PARTITION, "NAME", 0, "Where"},
    {"account", DIRECTIVES + ACCOUNT, "NAME", 0, "Who pays"},
    {"name", DIRECTIVES + NAME, "NAME", 0, "What the job is called (the program's name)"},
    {"array", DIRECTIVES + ARRAY, "TASKS", 0, "A job for each of 0-9, say; %a in its arguments is which"},
    {"after", AFTER, "JOB", 0, "Begins when this one has ended well, and never if it has not"},
    {"ahead", AHEAD, "SECONDS", 0, "How long before the end of the walltime the job is told (60)"},
    {"job", DIRECTORY_NAME, "DIR", 0, "The job directory; %j in it is the number (" JOB_DIRECTORY ")"},
    {"launcher", LAUNCHER, "mpirun|srun", 0, "What starts the ranks (mpirun)"},
    {"requeue", REQUEUE, NULL, 0, "Is queued again when it has saved itself in time, or a node died, and goes on"},
    {"no-checkpoint", NO_CHECKPOINT, NULL, 0, "Saves nothing"},
    {"output", SCRIPT, "FILE", 0, "Leaves the script there, too"},
    {"dry-run", DRY_RUN, NULL, 0, "Does not submit; prints the script, unless it goes to a file"},
    {0},
};

static bool take_switch(submission *all, int key)
{
    if (key == REQUEUE)
        all->requeues = true;
    else if (key == NO_CHECKPOINT)
        all->saves = false;
    else
        all->is_dry = true;
    return true;
}

static bool take(void *given, int key, const char *word)
{
    submission *all = given;
    if (!word)
        return take_switch(all, key);
    if (key >= DIRECTIVES && key < AFTER)
        all->values[key - DIRECTIVES] = word;
    else if (key == AFTER)
        all->after = word;
    else if (key == AHEAD)
        all->ahead = word;
    else if (key == DIRECTORY_NAME)
        all->directory = word;
    else if (key == SCRIPT)
        all->script_path = word;
    else
        return (all->uses_srun = strcmp(word, "srun") == 0) || strcmp(word, "mpirun") == 0;
    return true;
}

static void read_arguments(int argc, char **argv, submission *all)
{
    *all = (submission){.ahead = AHEAD_SECONDS, .directory = JOB_DIRECTORY, .saves = true, .argc = argc, .argv = argv};
    all->words = argv + quern_command_parse(&quern_command_submit, argc, argv, take, all);
    if (!all->values[NAME] && is_plain(last_name(all->words[0])))
        all->values[NAME] = last_name(all->words[0]);
}

static int run(int argc, char **argv)
{
    submission all;
    read_arguments(argc, argv, &all);
    if (!are_plain(&all))
        return 1;
    char *text = write_script(&all);
    if (!text)
        return quern_command_fail(0, "no memory for a script");
    int status = all.script_path ? save_script(all.script_path, text) : 0;
    if (status == 0 && all.is_dry && !all.script_path)
        fputs(text, stdout);
    if (status == 0 && !all.is_dry)
        status = send_script(text);
    free(text);
    return status;
}

const quern_command quern_command_submit = {
    .name = "submit",
    .operands = QUERN_COMMAND_JOB,
    .what = "writes a batch script for SLURM, submits it, and prints the job's number",
    .about = "The script is meant to be read, and to be changed where a site is special. The job gets a directory with "
             "its report, log, status and "
             "checkpoint, and a log of what it prints, to which restarts append. It is told in time before its "
             "walltime ends, saves what it "
             "has, and ends with status 75; with --requeue it then is queued again, and goes on. So it is when a rank "
             "was killed or hung or a "
             "node died, but three times at most.",
    .options = options,
    .examples =
        "  quern submit --nodes 4 --tasks-per-node 16 --time 2:00:00 --requeue -- ./wordcount -o counts input/\n"
        "  quern submit --dry-run --array 0-9 -- ./wordcount -o counts-%a input-%a\n",
    .see = "quern-status(1), quern-cancel(1), quern-run(1), sbatch(1)",
    .run = run,
};
