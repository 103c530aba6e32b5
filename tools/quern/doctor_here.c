/* SPDX-License-Identifier: BSD-3-Clause */
/* What `quern doctor` sees without starting a job. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/engine/allocation.h"
#include "runtime/engine/scratch_choice.h"
#include "runtime/topology/cpu_quota.h"
#include "tools/doctor/machine_look.h"
#include "tools/doctor/scratch_look.h"
#include "tools/quern/commands.h"
#include "tools/quern/cores.h"
#include "tools/quern/doctor.h"

#define PROBE          "quern-probe"
#define ABOUT_SECONDS  20 /* libraries may come over a network */
#define ASK_SECONDS    10
#define LOOK_SECONDS   20
#define ENDING_SECONDS 1
#define LINE_BYTES     256
#define NS_PER_MINUTE  (UINT64_C(60) * 1000000000)
#define SAME_MPI                                                                                                       \
    "take the launcher that belongs to the library: its directory first in PATH, or --mpirun; or build Quern with "    \
    "the "                                                                                                             \
    "MPI of this launcher"

typedef struct kind_text {
    char text[64];
} kind_text;

static kind_text text_of(quern_mpi_kind kind)
{
    kind_text of;
    if (kind.major > 0)
        snprintf(of.text, sizeof of.text, "%s %d.%d.%d", kind.name, kind.major, kind.minor, kind.release);
    else
        snprintf(of.text, sizeof of.text, "%s", kind.name);
    return of;
}

/* The last line that says something. */
static void last_line(const char *text, char line[LINE_BYTES])
{
    *line = 0;
    while (*text) {
        size_t bytes = strcspn(text, "\n");
        if (bytes > 0)
            snprintf(line, LINE_BYTES, "%.*s", (int)(bytes < LINE_BYTES ? bytes : LINE_BYTES - 1), text);
        text += bytes + (text[bytes] != 0);
    }
}

static const char *about_text(const quern_doctor *all, const char *key)
{
    const char *text = json_string_value(json_object_get(all->about, key));
    return text ? text : "?";
}

/* ---- the library ---- */

static void ask_about(quern_doctor *all)
{
    char option[] = "--about", *words[] = {all->probe, option, NULL}, line[LINE_BYTES];
    quern_answer answer;
    all->can_start = false;
    if (!quern_beside_find(PROBE, "doctor", all->probe)) {
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, "library", "there is no %s", all->probe);
        quern_findings_remedy(&all->findings, "install all of Quern: meson install");
        return;
    }
    if (quern_ask(words, ABOUT_SECONDS, ENDING_SECONDS, &answer) != 0) {
        all->findings.is_short = true;
        return;
    }
    all->about = answer.status == 0 ? json_loads(answer.words, 0, NULL) : NULL;
    all->can_start = all->about != NULL;
    if (!all->about) {
        last_line(answer.errors, line);
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, "library",
                           "programs that are linked with Quern do not start (status %d): %s", answer.status,
                           *line             ? line
                           : answer.was_late ? "it takes too long"
                                             : "without a word");
        quern_findings_remedy(
            &all->findings, "load the modules that Quern was built with, or name their directories in LD_LIBRARY_PATH; "
                            "or build it again");
    }
    quern_answer_fini(&answer);
}

static void judge_library(quern_doctor *all)
{
    quern_findings *findings = &all->findings;
    quern_mpi_kind built = quern_mpi_kind_read(about_text(all, "mpi_built"));
    json_t *libraries = json_object_get(all->about, "mpi_libraries");
    all->library = quern_mpi_kind_read(about_text(all, "mpi"));
    bool is_other = built.family != all->library.family || built.major != all->library.major;
    bool is_double = json_array_size(libraries) > 1,
         is_newer = built.minor != all->library.minor || built.release != all->library.release;
    if (is_double) {
        quern_findings_add(findings, QUERN_LEVEL_ERROR, "library", "two libraries of MPI are loaded: %s and %s",
                           json_string_value(json_array_get(libraries, 0)),
                           json_string_value(json_array_get(libraries, 1)));
        quern_findings_remedy(findings, "HDF5 brings an MPI of its own: build Quern and HDF5 with the same one");
        return;
    }
    quern_findings_add(findings,
                       is_other   ? QUERN_LEVEL_ERROR
                       : is_newer ? QUERN_LEVEL_NOTE
                                  : QUERN_LEVEL_OK,
                       "library", "Quern %s is built with %s and finds %s (%s)", about_text(all, "quern"),
                       text_of(built).text, text_of(all->library).text, about_text(all, "mpi_path"));
    if (is_other)
        quern_findings_remedy(
            findings,
            "let the loader find the library that Quern was built with: LD_LIBRARY_PATH, modules; or build it again");
    else if (is_newer)
        quern_findings_remedy(findings, "versions of one series go together; build Quern again if jobs behave oddly");
}

static void judge_hdf5(quern_doctor *all)
{
    quern_findings *findings = &all->findings;
    const char *built = about_text(all, "hdf5_built"), *found = about_text(all, "hdf5");
    bool is_other = strcmp(built, found) != 0,
         is_parallel = json_is_true(json_object_get(all->about, "hdf5_is_parallel"));
    quern_findings_add(findings,
                       is_other      ? QUERN_LEVEL_ERROR
                       : is_parallel ? QUERN_LEVEL_OK
                                     : QUERN_LEVEL_NOTE,
                       "hdf5", "Quern is built with HDF5 %s (%s) and finds %s", built,
                       is_parallel ? "with MPI" : "without MPI", found);
    if (is_other)
        quern_findings_remedy(findings, "HDF5 ends programs that were built with another version of it: "
                                        "LD_LIBRARY_PATH, modules; or build Quern again");
    else if (!is_parallel)
        quern_findings_remedy(findings, "several ranks write a file each; for one file of all ranks build with "
                                        "libhdf5-openmpi-dev or libhdf5-mpich-dev");
}

/* ---- the launcher ---- */

static void judge_fit(quern_doctor *all, const char *path, quern_mpi_kind launcher)
{
    quern_findings *findings = &all->findings;
    quern_mpi_kind library = all->library;
    quern_level level = QUERN_LEVEL_OK;
    bool is_known = launcher.family != QUERN_MPI_UNKNOWN && library.family != QUERN_MPI_UNKNOWN && all->about;
    if (!is_known)
        level = QUERN_LEVEL_NOTE;
    else if (launcher.family != library.family)
        level = QUERN_LEVEL_ERROR;
    else if (library.family == QUERN_MPI_OPEN)
        level = launcher.major != library.major       ? QUERN_LEVEL_ERROR
                : launcher.minor != library.minor     ? QUERN_LEVEL_WARNING
                : launcher.release != library.release ? QUERN_LEVEL_NOTE
                                                      : QUERN_LEVEL_OK;
    quern_findings_add(findings, level, "launcher", "mpirun is %s, %s; the library is %s", path, text_of(launcher).text,
                       all->about ? text_of(library).text : "not known");
    if (level == QUERN_LEVEL_NOTE && !is_known)
        quern_findings_remedy(findings, "the probe shows whether it starts jobs as it is to");
    else if (level != QUERN_LEVEL_OK)
        quern_findings_remedy(findings, SAME_MPI);
}

/* Another one that a user may get by another order of PATH. */
static void tell_others(quern_doctor *all, const char *name)
{
    char path[PATH_MAX];
    if (!quern_launcher_which(name, 1, path))
        return;
    quern_findings_add(&all->findings, QUERN_LEVEL_NOTE, "launcher", "PATH has another %s, behind the first one: %s",
                       name, path);
    quern_findings_remedy(&all->findings, "see to it that jobs, too, get the first one: modules in batch scripts");
}

static bool is_one(const char *variable)
{
    const char *text = getenv(variable);
    return text && strcmp(text, "1") == 0;
}

/* Whom Open MPI's launcher refuses. */
static void judge_user(quern_doctor *all)
{
    if (geteuid() != 0)
        return;
    bool may = is_one("OMPI_ALLOW_RUN_AS_ROOT") && is_one("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM");
    quern_findings_add(&all->findings, may ? QUERN_LEVEL_OK : QUERN_LEVEL_ERROR, "user", "this is root, %s",
                       may ? "whom Open MPI's mpirun was told to take" : "whom Open MPI's mpirun refuses");
    if (may)
        return;
    quern_findings_remedy(
        &all->findings,
        "run jobs as a user; or, in a container, export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1");
    all->can_start = false;
}

/* docs/howto/slurm.md has the figures. */
static void judge_fence(quern_doctor *all)
{
    bool is_risky = all->library.family == QUERN_MPI_OPEN && !getenv("SLURM_PMIX_FENCE");
    quern_findings_add(&all->findings, is_risky ? QUERN_LEVEL_NOTE : QUERN_LEVEL_OK, "launcher",
                       "srun starts ranks, by --mpi=pmix");
    if (is_risky)
        quern_findings_remedy(&all->findings,
                              "export SLURM_PMIX_FENCE=ring: on several nodes some starts hang without it");
}

static void choose_launcher(quern_doctor *all)
{
    char path[PATH_MAX];
    const char *mpirun = all->mpirun ? all->mpirun : "mpirun";
    bool has_srun = quern_launcher_which("srun", 0, path), has_mpirun = quern_launcher_which(mpirun, 0, path);
    all->uses_srun = all->launcher ? strcmp(all->launcher, "srun") == 0
                                   : !has_mpirun && !all->mpirun && !all->hosts && has_srun && getenv("SLURM_JOB_ID");
    if (all->uses_srun && has_srun) {
        judge_fence(all);
        return;
    }
    if (!has_mpirun || all->uses_srun) {
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, "launcher", "there is no %s in PATH",
                           all->uses_srun ? "srun" : mpirun);
        quern_findings_remedy(&all->findings,
                              "load the module of MPI, install openmpi-bin, or name it: --mpirun=PROGRAM%s",
                              has_srun ? "; srun is there: --launcher srun inside of a job" : "");
        all->can_start = false;
        return;
    }
    quern_mpi_kind kind = quern_launcher_ask(mpirun);
    judge_fit(all, path, kind);
    if (!all->mpirun)
        tell_others(all, mpirun);
    if (kind.family == QUERN_MPI_OPEN)
        judge_user(all);
}

/* ---- SLURM ---- */

typedef enum srun_state { SRUN_STARTS, SRUN_LACKS_PMIX, SRUN_IS_ALONE } srun_state;

static srun_state ask_srun(void)
{
    char srun[] = "srun", option[] = "--mpi=list", *words[] = {srun, option, NULL};
    quern_answer answer;
    if (quern_ask(words, ASK_SECONDS, ENDING_SECONDS, &answer) != 0)
        return SRUN_IS_ALONE;
    bool knows = strstr(answer.words, "pmix") || strstr(answer.errors, "pmix"), has_ended = answer.status == 0;
    quern_answer_fini(&answer);
    return knows ? SRUN_STARTS : has_ended ? SRUN_LACKS_PMIX : SRUN_IS_ALONE;
}

static void say_place(char place[LINE_BYTES])
{
    const char *job = getenv("SLURM_JOB_ID"), *nodes = getenv("SLURM_JOB_NODELIST");
    uint64_t left_ns = job ? qn_allocation_left_ns(true) : 0;
    if (!job)
        snprintf(place, LINE_BYTES, "this is no job of it");
    else if (left_ns > 0)
        snprintf(place, LINE_BYTES, "this is its job %s on %s, which ends in %llu minutes", job, nodes ? nodes : "?",
                 (unsigned long long)(left_ns / NS_PER_MINUTE));
    else
        snprintf(place, LINE_BYTES, "this is its job %s on %s", job, nodes ? nodes : "?");
}

static void judge_srun(quern_doctor *all, const char *found, const char *missing)
{
    char place[LINE_BYTES];
    quern_findings *findings = &all->findings;
    srun_state state = strstr(found, "srun") ? ask_srun() : SRUN_STARTS;
    bool lacks_pmix = state == SRUN_LACKS_PMIX && all->library.family == QUERN_MPI_OPEN;
    if (state == SRUN_IS_ALONE) {
        quern_findings_add(findings, QUERN_LEVEL_NOTE, "slurm", "SLURM's commands are here (%s), but find no cluster",
                           found + 1);
        quern_findings_remedy(findings, "on a node of a cluster SLURM_CONF, or /etc/slurm/slurm.conf, says where it "
                                        "is; elsewhere they are not needed");
        return;
    }
    say_place(place);
    quern_findings_add(findings, *missing || lacks_pmix ? QUERN_LEVEL_NOTE : QUERN_LEVEL_OK, "slurm",
                       "%s has%s%s%s%s; %s", text_of(quern_launcher_ask("srun")).text, found,
                       *missing ? ", but not" : "", missing, lacks_pmix ? "; srun cannot start Open MPI (no pmix)" : "",
                       place);
    if (*missing)
        quern_findings_remedy(findings, "quern submit, status and cancel need sbatch, squeue and scontrol");
    else if (lacks_pmix)
        quern_findings_remedy(findings, "start ranks by mpirun inside of sbatch; or SLURM's plugin for PMIx");
}

static void look_at_slurm(quern_doctor *all)
{
    static const char *const names[] = {"srun", "sbatch", "squeue", "scontrol"};
    char path[PATH_MAX], found[LINE_BYTES] = "", missing[LINE_BYTES] = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *list = quern_launcher_which(names[i], 0, path) ? found : missing;
        snprintf(list + strlen(list), LINE_BYTES - strlen(list), " %s", names[i]);
    }
    if (*found)
        judge_srun(all, found, missing);
    else
        quern_findings_add(&all->findings, QUERN_LEVEL_OK, "slurm", "there is no SLURM here");
}

/* ---- the machine ---- */

static void look_at_cores(quern_findings *findings)
{
    quern_cores cores = quern_cores_count();
    char quota[64] = "no quota";
    bool is_cut = cores.usable < cores.allowed;
    if (cores.quota != QN_CPU_QUOTA_NONE)
        snprintf(quota, sizeof quota, "a quota of the time of %.1f", (double)cores.quota / 1000);
    quern_findings_add(findings,
                       is_cut               ? QUERN_LEVEL_WARNING
                       : cores.allowed == 0 ? QUERN_LEVEL_NOTE
                                            : QUERN_LEVEL_OK,
                       "cores", "%ld of %ld cores may be used, with %s", cores.allowed, cores.all, quota);
    if (is_cut)
        quern_findings_remedy(
            findings, "-n %ld: with more ranks all are stopped in turn; or a higher limit (--cpus of docker, cpu.max)",
            cores.usable);
    else if (cores.allowed == 0)
        quern_findings_remedy(findings, "give the number of ranks: -n");
}

/* In a child: a file system that does not answer holds who asks it. */
static void write_looks(const void *scratch)
{
    quern_findings findings = {0};
    quern_machine_look(&findings);
    quern_scratch_look(&findings, scratch);
    json_t *list = quern_findings_to_json(&findings);
    if (list)
        json_dumpf(list, stdout, JSON_COMPACT);
    json_decref(list);
    quern_findings_fini(&findings);
}

/* By quern clean itself. */
static void look_at_litter(quern_doctor *all)
{
    char self[] = "/proc/self/exe", name[] = "clean", dry[] = "--dry-run", memory[] = "/dev/shm";
    const char *scratch = quern_doctor_scratch(all);
    bool is_memory = strcmp(scratch, memory) == 0;
    char *words[] = {self, name, dry, memory, is_memory ? NULL : (char *)scratch, NULL};
    quern_answer answer;
    size_t count = 0;
    if (quern_ask(words, ASK_SECONDS, ENDING_SECONDS, &answer) != 0)
        return;
    for (const char *at = answer.words; (at = strstr(at, "would remove ")); at++)
        count++;
    if (answer.status == 0)
        quern_findings_add(&all->findings, count > 0 ? QUERN_LEVEL_NOTE : QUERN_LEVEL_OK, "litter",
                           "%zu directories of killed jobs are left in %s and %s", count, scratch, memory);
    if (answer.status == 0 && count > 0)
        quern_findings_remedy(&all->findings, "quern clean %s %s", scratch, memory);
    quern_answer_fini(&answer);
}

static void look_at_places(quern_doctor *all)
{
    quern_answer answer;
    if (quern_ask_function(write_looks, quern_doctor_scratch(all), "this machine", LOOK_SECONDS, &answer) != 0) {
        all->findings.is_short = true;
        return;
    }
    json_t *list = json_loads(answer.words, 0, NULL);
    if (list) {
        quern_findings_add_json(&all->findings, list, NULL);
        look_at_litter(all);
    } else {
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, "scratch", "%s does not answer within %d s",
                           quern_doctor_scratch(all), LOOK_SECONDS);
        quern_findings_remedy(&all->findings,
                              "its file system hangs: name another directory, --quern-scratch=DIR or QUERN_SCRATCH");
        all->can_start = false;
    }
    json_decref(list);
    quern_answer_fini(&answer);
}

const char *quern_doctor_scratch(const quern_doctor *all)
{
    const char *set = getenv("QUERN_SCRATCH");
    return qn_scratch_choose(all->scratch ? all->scratch : set && *set ? set : NULL);
}

void quern_doctor_look_here(quern_doctor *all)
{
    ask_about(all);
    if (all->about) {
        judge_library(all);
        judge_hdf5(all);
    }
    choose_launcher(all);
    look_at_slurm(all);
    look_at_cores(&all->findings);
    look_at_places(all);
}
