/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether the ranks of the probe came up as one world; and if not, why. */
#include <string.h>

#include "tools/quern/doctor.h"

#define NAMED_MAX  4 /* silent ranks */
#define LINE_BYTES 256
#define TEXT_BYTES 1024
#define CHECK      "ranks"

static const char *starter(const quern_doctor *all)
{
    return all->uses_srun ? "srun" : all->mpirun ? all->mpirun : "mpirun";
}

/* ---- nothing began ---- */

/* The first line with words in it, without the frame around them. */
static void first_line(const char *text, char line[LINE_BYTES])
{
    *line = 0;
    while (*text && !*line) {
        size_t bytes = strcspn(text, "\n"), blank = strspn(text, "- \t*=");
        if (blank < bytes)
            snprintf(line, LINE_BYTES, "%.*s", (int)(bytes - blank < LINE_BYTES ? bytes - blank : LINE_BYTES - 1),
                     text + blank);
        text += bytes + (text[bytes] != 0);
    }
}

/* NULL: it is nothing that we know. */
static const char *remedy_for(const char *errors)
{
    static const struct {
        const char *words, *remedy;
    } known[] = {
        {"slots", "ask for fewer ranks (-n), or give hosts more slots: --hosts n1:8,n2:8"},
        {"as root",
         "run as a user; or, in a container, export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"},
        {"Permission denied", "ssh to each host must work without a password (ssh-copy-id), and see the same files"},
        {"Host key", "ssh to each host must work without a question: ssh-keyscan HOST >> ~/.ssh/known_hosts"},
        {"cannot be reached", "see that the host is up, and that ssh HOST true works"},
        {"could not be executed", "Quern must lie under the same path on all hosts"},
        {"could not be found", "MPI and Quern must lie under the same paths on all hosts"},
        {"tcp",
         "see which networks the hosts have in common: OMPI_MCA_oob_tcp_if_include, OMPI_MCA_btl_tcp_if_include"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(errors, known[i].words))
            return known[i].remedy;
    return NULL;
}

static void add_start_remedy(quern_doctor *all, const char *errors)
{
    const char *remedy = remedy_for(errors);
    if (remedy)
        quern_findings_remedy(&all->findings, "%s", remedy);
    else
        quern_findings_remedy(&all->findings,
                              "try `%s -n 2 hostname`, with the same hosts, until it works; then this again",
                              starter(all));
}

static void judge_none(quern_doctor *all, const quern_answer *answer)
{
    char line[LINE_BYTES];
    first_line(answer->errors, line);
    if (answer->was_late)
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK, "%s started no rank within %ld s%s%s",
                           starter(all), all->timeout_s, *line ? ": " : "", line);
    else
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK, "%s started no rank, and ended with status %d%s%s",
                           starter(all), answer->status, *line ? ": " : "", line);
    add_start_remedy(all, answer->errors);
}

/* ---- some did ---- */

static size_t count_if(const quern_heard *heard, bool (*is_so)(const quern_heard_process *one))
{
    size_t count = 0;
    for (size_t i = 0; i < heard->count; i++)
        count += is_so(&heard->each[i]);
    return count;
}

static bool is_alone(const quern_heard_process *one)
{
    return one->rank == 0 && one->size == 1;
}

static bool is_first(const quern_heard_process *one)
{
    return one->rank == 0;
}

static bool is_done(const quern_heard_process *one)
{
    return one->is_done;
}

static bool has_failed(const quern_heard_process *one)
{
    return *one->failed != 0;
}

static void add_mismatch_remedy(quern_doctor *all)
{
    if (all->uses_srun)
        quern_findings_remedy(&all->findings, "srun does not speak what this MPI understands: srun --mpi=list must "
                                              "have pmix; or mpirun inside of sbatch");
    else
        quern_findings_remedy(&all->findings, "the launcher belongs to another MPI than the library, or is none: "
                                              "--mpirun=PROGRAM, or its directory first in PATH");
}

static void judge_many_worlds(quern_doctor *all, const quern_heard *heard)
{
    size_t alone = count_if(heard, is_alone);
    if (alone == heard->count)
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK,
                           "%s started %zu processes, and each of them is alone: rank 0 of 1", starter(all),
                           heard->count);
    else
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK,
                           "the %zu processes that %s started are several worlds, %zu with a rank 0", heard->count,
                           starter(all), count_if(heard, is_first));
    add_mismatch_remedy(all);
}

static void judge_failed(quern_doctor *all, const quern_heard *heard)
{
    const quern_heard_process *one = heard->each;
    while (!has_failed(one))
        one++;
    quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK, "%zu of %zu ranks failed; process %ld on %s: %s",
                       count_if(heard, has_failed), heard->count, one->pid, one->host, one->failed);
    if (strstr(one->failed, "promises"))
        add_mismatch_remedy(all);
    else
        quern_findings_remedy(&all->findings,
                              "what it says above; and the same with -n 1, and with the hosts one by one");
}

static bool is_starting(const quern_heard_process *one)
{
    return !one->is_done && one->rank < 0;
}

static bool is_stuck(const quern_heard_process *one)
{
    return !one->is_done && one->rank >= 0;
}

static void add_silent(const quern_heard_process *one, char *text)
{
    size_t used = strlen(text);
    if (is_starting(one))
        snprintf(text + used, TEXT_BYTES - used, "; rank %s (process %ld on %s) in the start of MPI", one->number,
                 one->pid, one->host);
    else
        snprintf(text + used, TEXT_BYTES - used, "; rank %ld (process %ld on %s) in %s", one->rank, one->pid, one->host,
                 *one->step ? one->step : "nothing yet");
}

/* Who is such a one, a few of them; the others wait for these. */
static void name_silent(const quern_heard *heard, bool (*is_so)(const quern_heard_process *one), char *text)
{
    size_t named = 0;
    for (size_t i = 0; i < heard->count && named < NAMED_MAX; i++) {
        if (!is_so(&heard->each[i]))
            continue;
        add_silent(&heard->each[i], text);
        named++;
    }
    if (count_if(heard, is_so) > named)
        snprintf(text + strlen(text), TEXT_BYTES - strlen(text), "; and others");
}

/* Ranks that were to be there; 0: nobody knows. */
static size_t count_expected(const quern_doctor *all, const quern_heard *heard)
{
    long most = all->rank_count;
    for (size_t i = 0; i < heard->count; i++)
        most = heard->each[i].promised > most ? heard->each[i].promised : most;
    return (size_t)most;
}

/* Who was last heard of where. */
static void judge_silent(quern_doctor *all, const quern_heard *heard, const quern_answer *answer)
{
    char text[TEXT_BYTES] = "", line[LINE_BYTES];
    size_t silent = heard->count - count_if(heard, is_done), expected = count_expected(all, heard);
    bool is_up = count_if(heard, is_starting) == 0;
    if (expected > heard->count) {
        snprintf(text, sizeof text, "; of %zu that were to be there %zu never began", expected,
                 expected - heard->count);
        is_up = false;
    }
    name_silent(heard, is_up ? is_stuck : is_starting, text);
    first_line(answer->errors, line);
    if (answer->was_late)
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK, "%zu of %zu ranks had not ended after %ld s%s",
                           silent, heard->count, all->timeout_s, text);
    else
        quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK,
                           "%zu of %zu ranks did not come to their end (status %d%s%s)%s", silent, heard->count,
                           answer->status, *line ? ", " : "", line, text);
    quern_findings_remedy(
        &all->findings,
        is_up ? "see the network between these hosts: firewalls, OMPI_MCA_btl_tcp_if_include; more time: --timeout"
              : "MPI looks for networks: firewalls, OMPI_MCA_oob_tcp_if_include, names of hosts; more time: --timeout");
}

static bool is_damaged(const quern_heard *heard)
{
    json_int_t size = json_integer_value(json_object_get(json_array_get(heard->worlds, 0), "size"));
    return heard->is_damaged || json_array_size(heard->worlds) != 1 || json_array_size(heard->ranks) != (size_t)size;
}

static void judge_damaged(quern_doctor *all)
{
    quern_findings_add(&all->findings, QUERN_LEVEL_ERROR, CHECK,
                       "the ranks came up, but what %s passed on of their words is not whole", starter(all));
    quern_findings_remedy(&all->findings, "once more; the output of jobs does not go this way");
}

static void judge_one_world(quern_doctor *all, const quern_heard *heard, const quern_answer *answer)
{
    const json_t *world = json_array_get(heard->worlds, 0);
    long size = (long)json_integer_value(json_object_get(world, "size")),
         nodes = (long)json_integer_value(json_object_get(world, "node_count"));
    bool is_other = all->rank_count > 0 && size != all->rank_count;
    quern_level level = is_other                           ? QUERN_LEVEL_ERROR
                        : answer->status != 0 || size == 1 ? QUERN_LEVEL_WARNING
                                                           : QUERN_LEVEL_OK;
    if (level == QUERN_LEVEL_WARNING && answer->status == 0 && all->rank_count == 1)
        level = QUERN_LEVEL_OK;
    quern_findings_add(&all->findings, level, CHECK, "%ld rank%s on %ld node%s came up as one world, by %s", size,
                       size == 1 ? "" : "s", nodes, nodes == 1 ? "" : "s", starter(all));
    if (is_other)
        quern_findings_remedy(&all->findings, "%ld were asked for: see the hosts and their slots", all->rank_count);
    else if (answer->status != 0)
        quern_findings_remedy(&all->findings,
                              "%s ended with status %d although all was well: look for tests of `_SUCCESS` in your "
                              "scripts, not of the status",
                              starter(all), answer->status);
    else if (level == QUERN_LEVEL_WARNING)
        quern_findings_remedy(&all->findings, "one rank has nobody to talk to: -n 2 shows more");
}

bool quern_doctor_judge_ranks(quern_doctor *all, const quern_heard *heard, const quern_answer *answer)
{
    if (heard->is_short)
        return false;
    if (heard->count == 0)
        judge_none(all, answer);
    else if (count_if(heard, is_first) > 1)
        judge_many_worlds(all, heard);
    else if (count_if(heard, has_failed) > 0)
        judge_failed(all, heard);
    else if (count_if(heard, is_done) < heard->count)
        judge_silent(all, heard, answer);
    else if (is_damaged(heard))
        judge_damaged(all);
    else
        judge_one_world(all, heard, answer);
    return !is_damaged(heard);
}
