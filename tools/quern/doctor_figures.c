/* SPDX-License-Identifier: BSD-3-Clause */
/* What the ranks of one world found, judged. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quern/doctor.h"

#define NS_PER_MS            1e6
#define NS_PER_S             1e9
#define RANK_MEMORY_MIN      ((double)(128 << 20))
#define SKEW_NS_MAX          (1 * NS_PER_S)
#define ROUND_NS_MAX         (1 * NS_PER_MS) /* of a few bytes, within a node; ranks that wait for a core take several */
#define ROUND_NS_MAX_BETWEEN (10 * NS_PER_MS)
#define NODE_BYTES_PER_S_MIN 125e6 /* Ethernet of 1 Gbit/s */
#define LISTED_MAX           4

typedef struct figures {
    quern_doctor *all;
    quern_findings *findings;
    const json_t *ranks, *world;
    size_t rank_count;
    long node_count;
} figures;

static json_int_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "?";
}

static const json_t *rank_at(const figures *all, size_t rank)
{
    return json_array_get(all->ranks, rank);
}

/* ---- MPI ---- */

static void judge_versions(const figures *all)
{
    const json_t *first = json_object_get(rank_at(all, 0), "mpi");
    for (size_t i = 1; i < all->rank_count; i++) {
        const json_t *other = json_object_get(rank_at(all, i), "mpi");
        if (strcmp(text_of(first, "mpi"), text_of(other, "mpi")) == 0)
            continue;
        quern_findings_add(all->findings, QUERN_LEVEL_ERROR, "mpi", "%s on %s, but %s on %s", text_of(first, "mpi"),
                           text_of(rank_at(all, 0), "host"), text_of(other, "mpi"), text_of(rank_at(all, i), "host"));
        quern_findings_remedy(
            all->findings,
            "the same MPI on all nodes: modules in the shell's start files, or mpirun -x LD_LIBRARY_PATH");
        return;
    }
    quern_findings_add(all->findings, QUERN_LEVEL_OK, "mpi", "all ranks have %s, MPI %d.%d", text_of(first, "mpi"),
                       (int)integer_of(first, "standard"), (int)integer_of(first, "substandard"));
}

static void judge_threads(const figures *all)
{
    const json_t *mpi = json_object_get(rank_at(all, 0), "mpi");
    const char *level = text_of(mpi, "threads");
    if (*level == '?') {
        quern_findings_add(all->findings, QUERN_LEVEL_OK, "threads", "one rank without a launcher needs no MPI");
        return;
    }
    bool is_whole = strcmp(level, "MULTIPLE") == 0, is_half = strcmp(level, "SERIALIZED") == 0;
    quern_findings_add(all->findings,
                       is_whole  ? QUERN_LEVEL_OK
                       : is_half ? QUERN_LEVEL_NOTE
                                 : QUERN_LEVEL_WARNING,
                       "threads", "MPI gives MPI_THREAD_%s", level);
    if (!is_whole)
        quern_findings_remedy(
            all->findings, is_half
                               ? "hangs between nodes and deaths of ranks are noticed with MPI_THREAD_MULTIPLE only: "
                                 "an MPI that is built with it"
                               : "a slow callback stalls the shuffle of all ranks: an MPI that is built with threads");
}

static void judge_losses(const figures *all)
{
    bool is_told = json_is_true(json_object_get(all->world, "tells_losses")),
         has = json_is_true(json_object_get(all->all->about, "has_ulfm"));
    if (is_told)
        quern_findings_add(all->findings, QUERN_LEVEL_OK, "ulfm", "MPI tells of ranks that die: the others go on");
    else {
        quern_findings_add(all->findings, has ? QUERN_LEVEL_NOTE : QUERN_LEVEL_OK, "ulfm",
                           has ? "MPI can tell of ranks that die, but is not told to: a rank that dies ends the job"
                               : "this MPI does not tell of ranks that die: a rank that dies ends the job, and quern "
                                 "run --restarts starts it again");
        if (has)
            quern_findings_remedy(all->findings, "mpirun --with-ft ulfm, which quern run --restarts gives by itself");
    }
}

/* ---- cores ---- */

static size_t count_shared(const figures *all, const json_t **first_out)
{
    size_t count = 0;
    *first_out = NULL;
    for (size_t i = 0; i < all->rank_count; i++) {
        if (integer_of(rank_at(all, i), "sharers") <= 1)
            continue;
        if (count++ == 0)
            *first_out = rank_at(all, i);
    }
    return count;
}

static bool is_together(const json_t *one, const json_t *other)
{
    return integer_of(one, "node") == integer_of(other, "node") &&
           strcmp(text_of(one, "place"), text_of(other, "place")) == 0;
}

static void list_sharers(const figures *all, const json_t *first, char *list, size_t bytes)
{
    size_t count = 0;
    *list = 0;
    for (size_t i = 0; i < all->rank_count; i++) {
        if (!is_together(first, rank_at(all, i)) || ++count > LISTED_MAX)
            continue;
        snprintf(list + strlen(list), bytes - strlen(list), "%s%zu", count > 1 ? ", " : "", i);
    }
    if (count > LISTED_MAX)
        snprintf(list + strlen(list), bytes - strlen(list), " and %zu others", count - LISTED_MAX);
}

static void judge_binding(const figures *all)
{
    const json_t *first;
    char list[128];
    size_t shared = count_shared(all, &first);
    if (shared > 0) {
        list_sharers(all, first, list, sizeof list);
        quern_findings_add(all->findings, QUERN_LEVEL_WARNING, "binding",
                           "%zu of %zu ranks share a core with others: ranks %s on %s have %s, of the units %s", shared,
                           all->rank_count, list, text_of(first, "host"), text_of(first, "place"),
                           text_of(first, "allowed"));
        quern_findings_remedy(all->findings, "where the node has free cores: --bind-to core of mpirun, "
                                             "--cpu-bind=cores of srun, or OMPI_MCA_hwloc_base_binding_policy=none, "
                                             "and Quern binds by itself; else fewer ranks (-n)");
    } else if (integer_of(rank_at(all, 0), "sharers") == 0) {
        quern_findings_add(all->findings, QUERN_LEVEL_NOTE, "binding",
                           "ranks are not bound to cores; the first may use the units %s",
                           text_of(rank_at(all, 0), "allowed"));
        quern_findings_remedy(all->findings,
                              "--quern-pin=on, unless the launcher binds them, or several jobs share the node");
    } else
        quern_findings_add(all->findings, QUERN_LEVEL_OK, "binding",
                           "each of %zu ranks has a core of its own; the first %s", all->rank_count,
                           text_of(rank_at(all, 0), "place"));
}

/* ---- memory and clocks ---- */

static void judge_budget(const figures *all)
{
    const json_t *least = rank_at(all, 0);
    for (size_t i = 1; i < all->rank_count; i++)
        if (integer_of(rank_at(all, i), "rank_memory") < integer_of(least, "rank_memory"))
            least = rank_at(all, i);
    double bytes = (double)integer_of(least, "rank_memory");
    bool is_little = bytes < RANK_MEMORY_MIN;
    quern_findings_add(all->findings, is_little ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "budget",
                       "a job would take %s for each rank, of %s for %s (%s)", quern_bytes_text(bytes),
                       quern_bytes_text((double)integer_of(least, "node_memory")), text_of(least, "host"),
                       text_of(least, "memory_source"));
    if (is_little)
        quern_findings_remedy(all->findings,
                              "fewer ranks on a node, or more memory for it: --quern-memory, --mem of sbatch");
}

/* By how much the clock of a rank's node is ahead of that of rank 0's, in real time; the clocks that are compared count from different times. */
static double skew_ns(const figures *all, const json_t *rank)
{
    return (double)(integer_of(rank, "wall_ns") - integer_of(rank_at(all, 0), "wall_ns") -
                    integer_of(rank, "ahead_ns"));
}

static void judge_clocks(const figures *all)
{
    const json_t *most = rank_at(all, 0);
    for (size_t i = 1; i < all->rank_count; i++)
        if (fabs(skew_ns(all, rank_at(all, i))) > fabs(skew_ns(all, most)))
            most = rank_at(all, i);
    if (all->node_count == 1) {
        quern_findings_add(all->findings, QUERN_LEVEL_OK, "clocks", "one node has one clock");
        return;
    }
    double skew = skew_ns(all, most);
    bool is_far = fabs(skew) > SKEW_NS_MAX;
    quern_findings_add(all->findings, is_far ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "clocks",
                       "of %ld nodes the clock of %s differs most from that of %s: by %.3f ms, give or take %.3f",
                       all->node_count, text_of(most, "host"), text_of(rank_at(all, 0), "host"), skew / NS_PER_MS,
                       (double)integer_of(most, "clock_error_ns") / NS_PER_MS);
    if (is_far)
        quern_findings_remedy(
            all->findings,
            "chrony or ntpd on every node: times of files and logs do not agree (traces are aligned all the same)");
}

/* ---- messages and HDF5 ---- */

static void judge_exchange(const figures *all)
{
    const json_t *exchange = json_object_get(all->world, "exchange");
    if (all->rank_count == 1) {
        quern_findings_add(all->findings, QUERN_LEVEL_OK, "messages", "one rank sends none");
        return;
    }
    double few_ns = (double)integer_of(exchange, "few_ns"), many_ns = (double)integer_of(exchange, "many_ns"),
           bytes = (double)integer_of(exchange, "many_bytes");
    double per_s = many_ns > 0 ? bytes / many_ns * NS_PER_S : 0,
           node_per_s = per_s * (double)integer_of(rank_at(all, 0), "node_size");
    bool is_between = all->node_count > 1, is_late = few_ns > (is_between ? ROUND_NS_MAX_BETWEEN : ROUND_NS_MAX);
    bool is_thin = is_between && node_per_s < NODE_BYTES_PER_S_MIN;
    quern_findings_add(all->findings, is_late || is_thin ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "messages",
                       "a round of a few bytes between all ranks takes %.3f ms, and in one of %s each rank sends %s/s",
                       few_ns / NS_PER_MS, quern_bytes_text(bytes), quern_bytes_text(per_s));
    if (is_late)
        quern_findings_remedy(
            all->findings,
            "ranks wait for cores, or the network is slow: fewer ranks than cores, or OMPI_MCA_mpi_yield_when_idle=1; "
            "other jobs on the node");
    else if (is_thin)
        quern_findings_remedy(all->findings, "is that the network that is meant? OMPI_MCA_btl_tcp_if_include, or "
                                             "OMPI_MCA_pml=ucx for InfiniBand; an MPI that was built with its "
                                             "drivers");
}

static void judge_shared_file(const figures *all)
{
    const json_t *file = json_object_get(all->world, "hdf5");
    const char *scratch = quern_doctor_scratch(all->all);
    if (!json_is_true(json_object_get(all->world, "is_shared")))
        quern_findings_add(
            all->findings, QUERN_LEVEL_OK, "hdf5-file",
            "not all ranks see %s, as is right for scratch; a file of all ranks was not tried: --scratch with "
            "a directory that all nodes see does that",
            scratch);
    else if (file)
        quern_findings_add(all->findings, QUERN_LEVEL_OK, "hdf5-file",
                           "all ranks wrote and read one of %s in %s, in %.1f ms",
                           quern_bytes_text((double)integer_of(file, "bytes")), scratch,
                           (double)integer_of(file, "took_ns") / NS_PER_MS);
    else {
        bool is_parallel = json_is_true(json_object_get(all->all->about, "hdf5_is_parallel"));
        quern_findings_add(all->findings, is_parallel ? QUERN_LEVEL_WARNING : QUERN_LEVEL_NOTE, "hdf5-file", "%s",
                           is_parallel ? text_of(all->world, "hdf5_failed")
                                       : "HDF5 without MPI has no file of all ranks");
        quern_findings_remedy(all->findings,
                              is_parallel
                                  ? "another layer of MPI-IO: OMPI_MCA_io=romio321 or ompio; a file per rank needs none"
                                  : "write a file per rank");
    }
}

/* ---- other machines ---- */

static void add_others(const figures *all)
{
    const char *here = quern_probe_host();
    for (size_t i = 0; i < all->rank_count; i++)
        if (strcmp(text_of(rank_at(all, i), "host"), here) != 0)
            quern_findings_add_json(all->findings, json_object_get(rank_at(all, i), "findings"),
                                    text_of(rank_at(all, i), "host"));
}

void quern_doctor_judge_figures(quern_doctor *all, const quern_heard *heard)
{
    const json_t *world = json_array_get(heard->worlds, 0);
    const figures of = {.all = all,
                        .findings = &all->findings,
                        .ranks = heard->ranks,
                        .world = world,
                        .rank_count = json_array_size(heard->ranks),
                        .node_count = (long)integer_of(world, "node_count")};
    if (of.rank_count == 0)
        return;
    judge_versions(&of);
    judge_threads(&of);
    judge_losses(&of);
    if (json_object_get(world, "engine_failed")) {
        quern_findings_add(of.findings, QUERN_LEVEL_ERROR, "set-up", "a job would end at once: %s",
                           text_of(world, "engine_failed"));
        quern_findings_remedy(of.findings, "what it says; options of the environment (QUERN_...) count, too");
    } else {
        judge_binding(&of);
        judge_budget(&of);
        judge_clocks(&of);
    }
    judge_exchange(&of);
    judge_shared_file(&of);
    add_others(&of);
}
